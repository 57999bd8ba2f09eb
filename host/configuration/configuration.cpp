// SPDX-License-Identifier: Apache-2.0
#include "host/configuration/configuration.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <unordered_set>

#include "host/account/desired_tables.hpp"
#include "host/ec2/replies.hpp"

namespace mirrornic {
namespace {

/// A value in a file, with its path for messages.
class Value {
public:
    /// @param path to the value; empty: it is the whole file
    Value(const std::string& file, const Json& json, const std::string& path = "")
        : file_(file), json_(json), start_(path) {}
    Value(const Value& parent, const std::string& name, const Json& json)
        : file_(parent.file_), json_(json), parent_(&parent), name_(&name) {}
    Value(const Value& parent, std::size_t index)
        : file_(parent.file_), json_(parent.json_[index]), parent_(&parent), index_(index) {}
    /// The same path with another value.
    Value(const Value& at, const Json& json)
        : file_(at.file_),
          json_(json),
          start_(at.start_),
          parent_(at.parent_),
          name_(at.name_),
          index_(at.index_) {}

    const Json& json() const { return json_; }

    /// File and path for a message: "eni.json: NetworkInterfaces[3].MacAddress".
    std::string where() const {
        const std::string at = path();
        return file_ + (at.empty() ? "" : ": " + at);
    }
    [[noreturn]] void fail(const std::string& why) const {
        throw ConfigurationError(where() + ": " + shown(json_) + " " + why);
    }

    /// Calls `read(name, value)` for each member. A member that is null counts as absent, as the
    /// AWS CLI's
    /// `--query` and other writers of JSON mean it. An element of a list is never absent.
    template <class Read>
    void each_member(Read read) const {
        if (!json_.is_object()) fail("is not an object");
        for (auto at = json_.begin(); at != json_.end(); ++at)
            if (!at->is_null()) read(at.key(), Value(*this, at.key(), at.value()));
    }
    template <class Read>
    void each_element(Read read) const {
        if (!json_.is_array()) fail("is not a list");
        for (std::size_t i = 0; i < json_.size(); ++i) read(Value(*this, i));
    }

    const std::string& text() const {
        if (!json_.is_string()) fail("is not a string");
        return json_.get_ref<const std::string&>();
    }
    /// @param prefix as in "eni-"
    const std::string& id(const char* prefix) const {
        const auto& id = text();
        if (!is_id(id, prefix)) fail(std::string("is not an id that starts with ") + prefix);
        return id;
    }
    template <class T>
    T integer(std::int64_t minimum, std::int64_t maximum) const {
        const bool fits =
            json_.is_number_integer() &&
            (!json_.is_number_unsigned() || json_.get<std::uint64_t>() <= std::uint64_t(maximum)) &&
            json_.get<std::int64_t>() >= minimum && json_.get<std::int64_t>() <= maximum;
        if (!fits)
            fail("is not a whole number from " + std::to_string(minimum) + " to " +
                 std::to_string(maximum));
        return T(json_.get<std::int64_t>());
    }
    IpAddress address(bool v6) const {
        try {
            const auto address = IpAddress::parse(text());
            if (address.v6 == v6) return address;
        } catch (const std::invalid_argument&) {
        }
        fail(v6 ? "is not an IPv6 address" : "is not an IPv4 address");
    }
    MacAddress mac() const {
        try {
            return parse_mac(text());
        } catch (const std::invalid_argument& error) {
            throw ConfigurationError(where() + ": " + error.what());
        }
    }
    Cidr cidr() const {
        try {
            return Cidr::parse(text());
        } catch (const std::invalid_argument&) {
            fail("is not a CIDR block");
        }
    }
    /// A time in UTC as the API writes it, "2026-01-31T12:00:00.000Z".
    std::string time() const {
        static const std::regex form(
            R"((\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]00:?00))");
        std::smatch parts;
        if (!std::regex_match(text(), parts, form)) fail("is not a time in UTC");
        const std::string fraction = parts[3].matched ? parts[3].str() : ".000";
        return parts[1].str() + "T" + parts[2].str() + fraction + "Z";
    }
    /// The position of the text in a list of allowed texts.
    std::size_t one_of(const std::vector<std::string>& values) const {
        const auto at = std::find(values.begin(), values.end(), text());
        std::string all;
        for (const auto& value : values) all += (all.empty() ? "" : ", ") + value;
        if (at == values.end()) fail("is none of " + all);
        return std::size_t(at - values.begin());
    }
    Tags tags() const {
        Tags tags;
        each_element([&](const Value& tag) {
            const std::string *key = nullptr, *value = nullptr;
            tag.each_member([&](const std::string& name, const Value& member) {
                if (name == "Key") key = &member.text();
                if (name == "Value") value = &member.text();
            });
            if (!key) tag.fail("has no Key");
            tags[*key] = value ? *value : "";
        });
        return tags;
    }
    PortRange ports() const {
        std::optional<std::uint16_t> from, to;
        each_member([&](const std::string& name, const Value& member) {
            if (name == "FromPort") from = member.integer<std::uint16_t>(0, 65535);
            if (name == "ToPort") to = member.integer<std::uint16_t>(0, 65535);
        });
        if (!from || !to) fail("has no FromPort or no ToPort");
        return {*from, *to};
    }

private:
    std::string path() const {
        if (!parent_) return start_;
        const std::string before = parent_->path();
        if (!name_) return before + "[" + std::to_string(index_) + "]";
        return before + (before.empty() ? "" : ".") + *name_;
    }

    const std::string& file_;
    const Json& json_;
    std::string start_;
    const Value* parent_ = nullptr;
    const std::string* name_ = nullptr;
    std::size_t index_ = 0;
};

/// The id that is the value's member `name`.
const std::string& id_in(const Value& value, const char* name, const char* prefix) {
    if (!value.json().is_object()) value.fail("is not an object");
    const auto member = value.json().find(name);
    if (member == value.json().end() || member->is_null())
        throw ConfigurationError(value.where() + ": " + name + " is missing");
    return Value(value, name, *member).id(prefix);
}

/// Which list of a file is read, and which element of it.
struct ListPosition {
    std::uint32_t number = 0;  ///< of the list, over all files
    std::string name = {};     ///< "NetworkInterfaces"
    std::size_t element = 0;
};

/// Where an object was met last. It must not come twice in one list, because what one of the two
/// says would be lost. No reply of EC2 has an object twice.
class LastPlace {
public:
    /// @param value the object @throws ConfigurationError that names both places
    void meet(const ListPosition& at, const Value& value, const std::string& id) {
        if (list_ == at.number)
            throw ConfigurationError(value.where() + ": " + id + " is there already, in " +
                                     at.name + "[" + std::to_string(element_) + "]");
        list_ = at.number;
        element_ = std::uint32_t(at.element);
    }

private:
    std::uint32_t list_ = 0, element_ = 0;
};

/// The same for objects that have a sequence.
class LastPlaces {
public:
    void meet(const ListPosition& at, const Value& value, const std::string& id,
              Sequence sequence) {
        if (places_.size() < sequence) places_.resize(sequence);
        places_[sequence - 1].meet(at, value, id);
    }

private:
    std::vector<LastPlace> places_;
};

/// An object that is being read: what the files have said of it so far.
template <class T>
struct Draft {
    T object;
    std::string where;              // where it came first, for messages
    std::set<std::string> members;  // those that a file gave
    LastPlace last = {};
};

/// Drafts by id, in order of first appearance.
template <class T>
class Drafts {
public:
    /// The draft of the object whose id is the value's member `name`.
    Draft<T>& of(const ListPosition& at_list, const Value& value, const char* name,
                 const char* prefix) {
        const std::string& id = id_in(value, name, prefix);
        const auto [at, added] = index_.emplace(id, drafts_.size());
        if (added) {
            drafts_.push_back({{}, value.where(), {}});
            drafts_.back().object.id = id;
        }
        drafts_[at->second].last.meet(at_list, value, id);
        return drafts_[at->second];
    }
    const std::vector<Draft<T>>& all() const { return drafts_; }

private:
    std::vector<Draft<T>> drafts_;
    std::unordered_map<std::string, std::size_t> index_;
};

[[noreturn]] void fail_missing(const std::string& where, const std::string& id, const char* name) {
    throw ConfigurationError(where + " (" + id + "): " + name + " is missing");
}

template <class T>
void require(const Draft<T>& draft, std::initializer_list<const char*> members) {
    for (const auto* name : members)
        if (!draft.members.count(name)) fail_missing(draft.where, draft.object.id, name);
}

/// Keeps equal texts of many objects once. It keeps a bounded number, because some texts are
/// different in each object.
class TextPool {
public:
    SharedText operator()(const std::string& text) {
        if (texts_.size() == limit) texts_.clear();
        return texts_.try_emplace(text, text).first->second;
    }

private:
    static constexpr std::size_t limit = 4096;
    std::unordered_map<std::string, SharedText> texts_;
};

const std::vector<std::string> target_types = {"network-interface", "network-load-balancer",
                                               "gateway-load-balancer-endpoint"};

/// Reads and keeps members that have no effect but to be shown.
class Shown {
public:
    /// The value in the form of a reply; members that no reply has are left out.
    Json read(const ReplyMember& member, const Value& value) {
        seen_.insert(&member);
        switch (member.type) {
            case ParameterType::boolean:
                if (!value.json().is_boolean()) value.fail("is neither true nor false");
                return value.json();
            case ParameterType::integer:
                return value.integer<std::int64_t>(std::numeric_limits<std::int64_t>::min(),
                                                   std::numeric_limits<std::int64_t>::max());
            case ParameterType::string:
                return value.text();
            case ParameterType::timestamp:
                return value.time();
            case ParameterType::structure:
                return structure(member.members, value);
            case ParameterType::string_list:
            case ParameterType::structure_list:
                break;
        }
        Json out = Json::array();
        value.each_element([&](const Value& element) {
            out.push_back(member.type == ParameterType::string_list
                              ? Json(element.text())
                              : structure(member.members, element));
        });
        return out;
    }

    /// Adds members to those that earlier files gave. A member that is null is removed.
    static void keep(std::string& text, Json added) {
        if (!text.empty()) {
            Json former = Json::parse(text);
            former.update(added);
            added = std::move(former);
        }
        for (auto at = added.begin(); at != added.end();)
            at = at->is_null() ? added.erase(at) : std::next(at);
        text = added.empty() ? "" : to_text(added);
        text.shrink_to_fit();
    }

    std::unordered_set<const ReplyMember*> take() { return std::move(seen_); }

private:
    Json structure(const std::vector<ReplyMember>& members, const Value& value) {
        Json out = Json::object();
        value.each_member([&](const std::string& name, const Value& inner) {
            if (const auto* member = find_member(members, name)) out[name] = read(*member, inner);
        });
        return out;
    }

    std::unordered_set<const ReplyMember*> seen_;
};

class Reader {
public:
    explicit Reader(const std::atomic<bool>* stop = nullptr) : stop_(stop) {}

    void read(const ConfigurationText& file) {
        read(file.name, [&](JsonSink& sink) { parse_json(file.text, sink); });
    }
    void read(const std::string& file) {
        read(file, [&](JsonSink& sink) { parse_json_file(file, sink); });
    }

    Configuration finish(bool skip_unresolved) {
        Configuration out;
        if (!without_mac_.empty())
            fail_missing(without_mac_.begin()->second,
                         interfaces_.at(without_mac_.begin()->first).id, "MacAddress");
        out.account.take_network(std::make_shared<const Network>(
            std::move(interfaces_), std::move(vpcs_), std::move(route_tables_), shown_.take()));
        check_macs(*out.account.network());
        Change change;
        for (const auto& draft : targets_.all()) change.put.emplace_back(checked_target(draft));
        for (const auto& draft : filters_.all()) change.put.emplace_back(draft.object);
        out.account.apply(change);
        change = {};
        for (const auto& draft : rules_.all())
            if (checked_rule(draft, out.account)) change.put.emplace_back(draft.object);
        out.account.apply(change);
        for (const auto& [filter, count] : rules_without_)
            warnings_.push_back(std::to_string(count) + " rules are left out: their filter " +
                                filter + " is not in the configuration");
        sessions(out.account, skip_unresolved);
        out.warnings = std::move(warnings_);
        return out;
    }

private:
    using Method = void (Reader::*)(const Value&);

    /// The member function that reads the elements of a list; null: the list is not used.
    static Method reader_of(const std::string& list) {
        static const std::map<std::string, Method> readers = {
            {"NetworkInterfaces", &Reader::interface},
            {"Reservations", &Reader::reservation},
            {"Instances", &Reader::instance},
            {"Vpcs", &Reader::vpc},
            {"RouteTables", &Reader::route_table},
            {"TrafficMirrorTargets", &Reader::target},
            {"TrafficMirrorFilters", &Reader::filter},
            {"TrafficMirrorFilterRules", &Reader::listed_rule},
            {"TrafficMirrorSessions", &Reader::session}};
        const auto at = readers.find(list);
        return at == readers.end() ? nullptr : at->second;
    }

    /// Passes the members and elements of one file to the reader.
    struct File : JsonSink {
        File(Reader& its_reader, const std::string& its_name)
            : reader(its_reader), name(its_name) {}
        void list(const std::string& member) override {
            reader.list_ = {reader.list_.number + 1, member, 0};
            method = reader_of(member);
            used |= method != nullptr;
            if (member == "NextToken") fail_left_over(Json::array());
        }
        void element(const std::string& member, std::size_t index, const Json& value) override {
            if (reader.stop_ && *reader.stop_)
                throw ConfigurationError(name + ": not read to its end");
            reader.list_.element = index;
            if (method)
                (reader.*method)(Value(name, value, member + "[" + std::to_string(index) + "]"));
        }
        void member(const std::string& member, const Json& value) override {
            if (value.is_null()) return;
            if (member == "NextToken" && value != "") fail_left_over(value);
            if (reader_of(member)) Value(name, value, member).fail("is not a list");
            if (member == "VpcId" || (value.is_object() && value.contains("Value")))
                attributes[member] = value;
        }
        void no_object(const Json& value) override { Value(name, value).fail("is not an object"); }
        [[noreturn]] void fail_left_over(const Json& value) const {
            Value(name, value, "NextToken")
                .fail(
                    "is left over: the listing was cut; print it again without --max-items and "
                    "--no-paginate");
        }

        Reader& reader;
        const std::string& name;
        Method method = nullptr;
        bool used = false;
        Json attributes = Json::object();  ///< describe-vpc-attribute prints one object
    };

    template <class Parse>
    void read(const std::string& name, Parse parse) {
        File file(*this, name);
        try {
            parse(file);
        } catch (const JsonError& error) {
            throw ConfigurationError(name + ": " + error.what());
        } catch (const ConfigurationError&) {
            throw;
        } catch (const std::runtime_error& error) {  // names the file
            throw ConfigurationError(error.what());
        }
        if (file.attributes.size() > 1 && file.attributes.contains("VpcId")) {
            file.used = true;
            ++list_.number;
            vpc(Value(name, file.attributes));
        }
        if (!file.used)
            warnings_.push_back(name +
                                ": holds none of NetworkInterfaces, Reservations, Vpcs, "
                                "RouteTables, TrafficMirrorTargets, TrafficMirrorFilters, "
                                "TrafficMirrorFilterRules and TrafficMirrorSessions");
    }

    /// Reads the member `wanted` of each element of a list. If the elements have more members than
    /// that one and `Primary`, the list is also kept as it is, to be shown.
    template <class Read>
    auto each_in(const Value& list, const ReplyMember& reply, const char* wanted, Json& shown,
                 Read read) {
        std::vector<decltype(read(list))> out;
        bool more = false;
        list.each_element([&](const Value& element) {
            const auto before = out.size();
            element.each_member([&](const std::string& name, const Value& value) {
                if (name == wanted)
                    out.push_back(read(value));
                else if (name != "Primary" && find_member(reply.members, name))
                    more = true;
            });
            if (out.size() == before) element.fail(std::string("has no ") + wanted);
        });
        Json& kept = shown[reply.name] = nullptr;  // what an earlier file said counts no more
        if (more) {
            kept = shown_.read(reply, list);
            for (std::size_t i = 0; i < out.size(); ++i) kept[i][wanted] = out[i].to_string();
        }
        return out;
    }

    void interface(const Value& value) {
        const std::size_t before = interfaces_.size();
        auto& o = interfaces_.of(id_in(value, "NetworkInterfaceId", "eni-"));
        last_interfaces_.meet(list_, value, o.id, o.sequence);
        bool has_mac = interfaces_.size() == before && !without_mac_.count(o.sequence);
        static const auto& members = listed_members("DescribeNetworkInterfaces");
        Json shown;
        value.each_member([&](const std::string& name, const Value& member) {
            const auto* reply = find_member(members, name);
            if (name == "MacAddress") {
                o.mac = member.mac();
                has_mac = true;
            } else if (name == "PrivateIpAddress")
                o.ipv4 = member.address(false);
            else if (name == "VpcId")
                o.vpc_id = shared_(member.id("vpc-"));
            else if (name == "SubnetId")
                o.subnet_id = shared_(member.id("subnet-"));
            else if (name == "InterfaceType")
                o.type = shared_(member.text());
            else if (name == "Description")
                o.description = shared_(member.text());
            else if (name == "AvailabilityZone")
                o.availability_zone = shared_(member.text());
            else if (name == "OwnerId")
                o.owner_id = shared_(member.text());
            else if (name == "TagSet")
                o.tags = member.tags();
            else if (name == "Mtu")
                o.mtu = member.integer<std::uint16_t>(576, 9216);
            else if (name == "Ipv6Addresses")
                o.ipv6 = each_in(member, *reply, "Ipv6Address", shown,
                                 [](const Value& v) { return v.address(true); });
            else if (name == "PrivateIpAddresses")
                o.private_ipv4 = each_in(member, *reply, "PrivateIpAddress", shown,
                                         [](const Value& v) { return v.address(false); });
            else if (reply && name != "NetworkInterfaceId")
                shown[name] = shown_.read(*reply, member);
        });
        if (has_mac)
            without_mac_.erase(o.sequence);
        else
            without_mac_.emplace(o.sequence, value.where());
        Shown::keep(o.shown, std::move(shown));
    }

    /// Reads an element of describe-instances.
    void reservation(const Value& value) {
        Json owner;
        value.each_member([&](const std::string& name, const Value& member) {
            if (name == "OwnerId") owner = member.text();
        });
        value.each_member([&](const std::string& name, const Value& member) {
            if (name == "Instances")
                member.each_element([&](const Value& element) { instance_of(element, owner); });
        });
    }

    /// Reads an element of run-instances, which prints one reservation.
    void instance(const Value& value) { instance_of(value, nullptr); }

    /// Reads the interfaces of an instance. They get the members that describe-network-interfaces
    /// would show of the instance.
    /// @param owner of the instance; null: not known
    void instance_of(const Value& value, const Json& owner) {
        Json zone, id;
        value.each_member([&](const std::string& name, const Value& member) {
            if (name == "InstanceId") id = member.text();
            if (name == "Placement")
                member.each_member([&](const std::string& inner, const Value& where) {
                    if (inner == "AvailabilityZone") zone = where.text();
                });
        });
        value.each_member([&](const std::string& name, const Value& member) {
            if (name != "NetworkInterfaces") return;
            member.each_element([&](const Value& element) {
                Json whole = element.json();
                if (whole.is_object()) {
                    whole["AvailabilityZone"] = zone;
                    auto& attachment = whole["Attachment"];
                    if (!id.is_null() && (attachment.is_null() || attachment.is_object())) {
                        attachment["InstanceId"] = id;
                        attachment["InstanceOwnerId"] = owner;
                    }
                }
                interface(Value(element, whole));
            });
        });
    }

    void vpc(const Value& value) {
        static const auto& members = listed_members("DescribeVpcs");
        auto& o = vpcs_.of(id_in(value, "VpcId", "vpc-"));
        last_vpcs_.meet(list_, value, o.id, o.sequence);
        Json shown;
        value.each_member([&](const std::string& name, const Value& member) {
            const auto* reply = find_member(members, name);
            if (name == "CidrBlock") {
                o.cidr = member.cidr();
                if (o.cidr->base.v6) member.fail("is not an IPv4 CIDR block");
                with_block_.insert(o.id);
            } else if (name == "OwnerId") {
                o.owner_id = member.text();
            } else if (name == "Tags") {
                o.tags = member.tags();
            } else if (name == "CidrBlockAssociationSet") {
                o.associated = each_in(member, *reply, "CidrBlock", shown,
                                       [](const Value& v) { return v.cidr(); });
            } else if (name == "EnableDnsSupport") {
                o.dns_support = flag(member);
            } else if (name == "EnableDnsHostnames") {
                o.dns_hostnames = flag(member);
            } else if (name == "EnableNetworkAddressUsageMetrics") {
                o.address_usage_metrics = flag(member);
            } else if (reply && name != "VpcId") {
                shown[name] = shown_.read(*reply, member);
            }
        });
        Shown::keep(o.shown, std::move(shown));
        // Without CidrBlock the first associated block is the primary one.
        if (!with_block_.count(o.id) && !o.associated.empty()) o.cidr = o.associated.front();
    }

    /// Reads an attribute, {"Value": true}.
    static bool flag(const Value& value) {
        std::optional<bool> out;
        value.each_member([&](const std::string& name, const Value& member) {
            if (name != "Value") return;
            if (!member.json().is_boolean()) member.fail("is neither true nor false");
            out = member.json().get<bool>();
        });
        if (!out) value.fail("has no Value");
        return *out;
    }

    void route_table(const Value& value) {
        static const auto& members = listed_members("DescribeRouteTables");
        auto& o = route_tables_.of(id_in(value, "RouteTableId", "rtb-"));
        last_route_tables_.meet(list_, value, o.id, o.sequence);
        Json shown;
        value.each_member([&](const std::string& name, const Value& member) {
            if (name == "Tags")
                o.tags = member.tags();
            else if (const auto* reply = find_member(members, name);
                     reply && name != "RouteTableId")
                shown[name] = shown_.read(*reply, member);
        });
        Shown::keep(o.shown, std::move(shown));
    }

    void target(const Value& value) {
        auto& draft = targets_.of(list_, value, "TrafficMirrorTargetId", "tmt-");
        auto& o = draft.object;
        const auto address = [&](TargetType type, const std::string& text) {
            o.type = type;
            o.address = text;
        };
        value.each_member([&](const std::string& name, const Value& member) {
            draft.members.insert(name);
            if (name == "NetworkInterfaceId")
                address(TargetType::network_interface, member.id("eni-"));
            if (name == "NetworkLoadBalancerArn") {
                if (!load_balancer_of(member.text()))
                    member.fail(
                        "is not arn:aws:elasticloadbalancing:REGION:ACCOUNT:"
                        "loadbalancer/net/NAME/ID");
                address(TargetType::network_load_balancer, member.text());
            }
            if (name == "GatewayLoadBalancerEndpointId")
                address(TargetType::gateway_load_balancer_endpoint, member.id("vpce-"));
            if (name == "Type") target_type_[o.id] = target_types[member.one_of(target_types)];
            if (name == "Description") o.description = member.text();
            if (name == "OwnerId") o.owner_id = member.text();
            if (name == "Tags") o.tags = member.tags();
        });
    }

    void filter(const Value& value) {
        auto& draft = filters_.of(list_, value, "TrafficMirrorFilterId", "tmf-");
        auto& o = draft.object;
        value.each_member([&](const std::string& name, const Value& member) {
            if (name == "Description") o.description = member.text();
            if (name == "Tags") o.tags = member.tags();
            if (name == "NetworkServices") {
                o.amazon_dns = false;
                member.each_element([&](const Value& service) {
                    service.one_of({"amazon-dns"});
                    o.amazon_dns = true;
                });
            }
            const auto rules = [&](Direction direction) {
                member.each_element([&](const Value& element) { rule(element, &o.id, direction); });
            };
            if (name == "IngressFilterRules") rules(Direction::ingress);
            if (name == "EgressFilterRules") rules(Direction::egress);
        });
    }

    void listed_rule(const Value& value) { rule(value, nullptr, std::nullopt); }

    /// @param filter,direction those of the list that has the rule; the rule need not repeat them
    void rule(const Value& value, const std::string* filter, std::optional<Direction> direction) {
        auto& draft = rules_.of(list_, value, "TrafficMirrorFilterRuleId", "tmfr-");
        auto& o = draft.object;
        if (filter) {
            o.filter_id = *filter;
            o.direction = *direction;
            draft.members.insert({"TrafficMirrorFilterId", "TrafficDirection"});
        }
        value.each_member([&](const std::string& name, const Value& member) {
            draft.members.insert(name);
            if (name == "TrafficMirrorFilterId") {
                o.filter_id = member.id("tmf-");
                if (filter && o.filter_id != *filter) member.fail("stands in a list of " + *filter);
            }
            if (name == "TrafficDirection") {
                o.direction = Direction(member.one_of({"ingress", "egress"}));
                if (direction && o.direction != *direction)
                    member.fail("stands in the list of the other direction");
            }
            if (name == "RuleNumber") o.number = member.integer<std::uint16_t>(1, 32766);
            if (name == "RuleAction") o.accept = member.one_of({"accept", "reject"}) == 0;
            if (name == "Protocol") o.protocol = member.integer<std::uint8_t>(0, 255);
            if (name == "SourcePortRange") o.source_ports = member.ports();
            if (name == "DestinationPortRange") o.destination_ports = member.ports();
            if (name == "SourceCidrBlock") o.source = member.cidr();
            if (name == "DestinationCidrBlock") o.destination = member.cidr();
            if (name == "Description") o.description = member.text();
            if (name == "Tags") o.tags = member.tags();
        });
    }

    void session(const Value& value) {
        auto& draft = sessions_.of(list_, value, "TrafficMirrorSessionId", "tms-");
        auto& o = draft.object;
        value.each_member([&](const std::string& name, const Value& member) {
            draft.members.insert(name);
            if (name == "NetworkInterfaceId") o.interface_id = member.id("eni-");
            if (name == "TrafficMirrorTargetId") o.target_id = member.id("tmt-");
            if (name == "TrafficMirrorFilterId") o.filter_id = member.id("tmf-");
            if (name == "OwnerId") o.owner_id = member.text();
            if (name == "SessionNumber") o.number = member.integer<std::uint16_t>(1, 32766);
            if (name == "VirtualNetworkId") o.vni = member.integer<std::uint32_t>(0, 16777215);
            if (name == "PacketLength") o.packet_length = member.integer<std::uint16_t>(1, 8500);
            if (name == "Description") o.description = member.text();
            if (name == "Tags") o.tags = member.tags();
        });
    }

    void check_macs(const Network& network) {
        std::map<MacAddress, std::size_t> further;  // owners beside the first one
        for (const auto& interface : network.interfaces())
            if (network.with_mac(interface.mac) != &interface) ++further[interface.mac];
        for (const auto& [mac, count] : further)
            warnings_.push_back(
                to_string(mac) + " is the MAC address of " + std::to_string(count + 1) +
                " interfaces; its frames are taken for those of " + network.with_mac(mac)->id);
    }

    const TrafficMirrorTarget& checked_target(const Draft<TrafficMirrorTarget>& draft) {
        const char* const members[] = {"NetworkInterfaceId", "NetworkLoadBalancerArn",
                                       "GatewayLoadBalancerEndpointId"};
        std::size_t kinds = 0;
        for (const auto* name : members) kinds += draft.members.count(name);
        if (kinds != 1)
            throw ConfigurationError(
                draft.where + " (" + draft.object.id +
                "): exactly one of NetworkInterfaceId, NetworkLoadBalancerArn "
                "and GatewayLoadBalancerEndpointId makes a target; there are " +
                std::to_string(kinds));
        const auto type = target_type_.find(draft.object.id);
        if (type != target_type_.end() &&
            type->second != target_types[std::size_t(draft.object.type)])
            throw ConfigurationError(draft.where + " (" + draft.object.id + "): Type \"" +
                                     type->second + "\" does not go with " +
                                     members[std::size_t(draft.object.type)]);
        return draft.object;
    }

    /// Whether the rule's filter exists.
    bool checked_rule(const Draft<TrafficMirrorFilterRule>& draft, const Account& account) {
        const auto& rule = draft.object;
        require(draft, {"TrafficMirrorFilterId", "TrafficDirection", "RuleNumber", "RuleAction",
                        "SourceCidrBlock", "DestinationCidrBlock"});
        if (const auto fault = fault_of(rule))
            throw ConfigurationError(draft.where + " (" + rule.id + "): " + fault->sentence);
        const auto number = std::tuple(rule.filter_id, rule.direction, rule.number);
        const auto [other, free] = rule_numbers_.emplace(number, rule.id);
        if (!free)
            throw ConfigurationError(draft.where + " (" + rule.id + "): RuleNumber " +
                                     std::to_string(rule.number) + " of " + rule.filter_id +
                                     " is taken by " + other->second);
        if (account.filters().find(rule.filter_id)) return true;
        ++rules_without_[rule.filter_id];
        return false;
    }

    /// What a session names and the configuration does not have: one sentence each, with the
    /// command that prints it.
    static std::vector<std::string> missing(const Account& account,
                                            const TrafficMirrorSession& session) {
        std::vector<std::string> out;
        const auto lacks = [&](const std::string& what, const std::string& command) {
            out.push_back(session.id + ": " + what + " is missing: aws ec2 " + command);
        };
        const auto interface = [&](const std::string& id, const std::string& of) {
            if (!account.interfaces().find(id))
                lacks(of + id, "describe-network-interfaces --network-interface-ids " + id);
        };
        interface(session.interface_id, "interface ");
        if (!account.filters().find(session.filter_id))
            lacks(
                "filter " + session.filter_id,
                "describe-traffic-mirror-filters --traffic-mirror-filter-ids " + session.filter_id);
        const auto* target = account.targets().find(session.target_id);
        if (!target)
            lacks(
                "target " + session.target_id,
                "describe-traffic-mirror-targets --traffic-mirror-target-ids " + session.target_id);
        else if (target->type == TargetType::network_interface)
            interface(target->address, "the interface of target " + target->id + ", ");
        else if (account.interfaces_of(*target).empty()) {
            const bool balancer = target->type == TargetType::network_load_balancer;
            lacks("an interface of target " + target->id + ", " + target->address + ",",
                  "describe-network-interfaces --filters 'Name=description,Values=" +
                      (balancer ? "ELB " + target->endpoint() : "*" + target->address + "*") + "'");
        }
        return out;
    }

    void sessions(Account& account, bool skip_unresolved) {
        std::vector<std::string> lacking;
        Change change;
        for (const auto& draft : sessions_.all()) {
            const auto& session = draft.object;
            require(draft, {"NetworkInterfaceId", "TrafficMirrorTargetId", "TrafficMirrorFilterId",
                            "SessionNumber", "VirtualNetworkId"});
            const auto lacks = missing(account, session);
            if (lacks.empty()) change.put.emplace_back(session);
            lacking.insert(lacking.end(), lacks.begin(), lacks.end());
        }
        if (skip_unresolved) {
            for (const auto& line : lacking) warnings_.push_back("left out: " + line);
        } else if (!lacking.empty()) {
            std::string all =
                "sessions name what the configuration does not hold; add it with "
                "--config, or leave these sessions out with --skip-unresolved";
            for (const auto& line : lacking) all += "\n  " + line;
            throw ConfigurationError(all);
        }
        std::map<std::pair<std::string, std::uint16_t>, std::string> numbers;
        for (const auto& draft : sessions_.all()) {
            const auto& session = draft.object;
            if (!missing(account, session).empty()) continue;
            const auto fail = [&](const std::string& why) {
                throw ConfigurationError(draft.where + " (" + session.id + "): " + why);
            };
            const auto [other, free] =
                numbers.emplace(std::pair(session.interface_id, session.number), session.id);
            if (!free)
                fail("SessionNumber " + std::to_string(session.number) + " of " +
                     session.interface_id + " is taken by " + other->second);
            const auto& source = *account.interfaces().find(session.interface_id);
            const auto& target = *account.targets().find(session.target_id);
            if (const auto* on = account.target_on(source))
                fail("its source " + source.id + " is the target " + on->id +
                     ", and a target cannot be a source");
            if (!route(account, source, target))
                fail("its source " + source.id + " and its target " + target.id +
                     " have addresses of no common IP version");
        }
        account.apply(change);
    }

    const std::atomic<bool>* const stop_;
    Listed<NetworkInterface> interfaces_;
    std::map<Sequence, std::string> without_mac_;  // interfaces so far, and where they stand
    Listed<Vpc> vpcs_;
    Listed<RouteTable> route_tables_;
    ListPosition list_;
    LastPlaces last_interfaces_, last_vpcs_, last_route_tables_;
    Shown shown_;
    std::set<std::string> with_block_;  // VPCs whose CidrBlock some file gave
    TextPool shared_;
    Drafts<TrafficMirrorTarget> targets_;
    Drafts<TrafficMirrorFilter> filters_;
    Drafts<TrafficMirrorFilterRule> rules_;
    Drafts<TrafficMirrorSession> sessions_;
    std::map<std::string, std::string> target_type_;  // as Type says it, by id
    std::map<std::tuple<std::string, Direction, std::uint16_t>, std::string> rule_numbers_;
    std::map<std::string, std::size_t> rules_without_;  // number of rules, by missing filter
    std::vector<std::string> warnings_;
};

}  // namespace

Configuration parse_configuration(const std::vector<ConfigurationText>& files,
                                  bool skip_unresolved) {
    Reader reader;
    for (const auto& file : files) reader.read(file);
    return reader.finish(skip_unresolved);
}

Configuration read_configuration(const std::vector<std::string>& files, bool skip_unresolved,
                                 const std::atomic<bool>* stop) {
    Reader reader(stop);
    for (const auto& name : files) reader.read(name);
    return reader.finish(skip_unresolved);
}

std::optional<std::string> first_object(const Account& account) {
    if (account.sessions().size() != 0) return "session " + account.sessions().begin()->second.id;
    if (account.targets().size() != 0) return "target " + account.targets().begin()->second.id;
    if (account.filters().size() != 0) return "filter " + account.filters().begin()->second.id;
    return std::nullopt;
}

}  // namespace mirrornic
