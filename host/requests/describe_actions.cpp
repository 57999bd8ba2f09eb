// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "host/ec2/filter_values.hpp"
#include "host/ec2/replies.hpp"
#include "host/requests/perform_actions.hpp"

namespace mirrornic {
namespace {

Json tag_list(const Tags& tags) {
    Json out = Json::array();
    for (const auto& [key, value] : tags) out.push_back({{"Key", key}, {"Value", value}});
    return out;
}

template <class T>
void add(Json& out, const char* name, const std::optional<T>& value) {
    if (value) out[name] = *value;
}

/// Adds a text of a configured object, if the configuration has one.
void add(Json& out, const char* name, const std::string& value) {
    if (!value.empty()) out[name] = value;
}
void add(Json& out, const char* name, const SharedText& value) { add(out, name, value.get()); }

void add(Json& out, const char* name, const std::optional<PortRange>& range) {
    if (range) out[name] = {{"FromPort", range->from}, {"ToPort", range->to}};
}

void add_shown(Json& out, const std::string& shown) {
    if (!shown.empty()) out.update(Json::parse(shown));
}

// --- Filters -------------------------------------------------------------------------------------

/// Compares one member of an interface with a filter's values, without making the interface's whole
/// reply. Null: the member can be compared only in the reply.
using InterfaceFilter = bool (*)(const NetworkInterface& interface, const FilterValues& values);

bool match_set(const std::string& text, const FilterValues& values) {
    return !text.empty() && values.match(text);
}

InterfaceFilter interface_filter(const std::string& member) {
    using Interface = NetworkInterface;
    using Values = FilterValues;
    static const std::unordered_map<std::string, InterfaceFilter> filters = {
        {"NetworkInterfaceId", [](const Interface& o, const Values& v) { return v.match(o.id); }},
        {"MacAddress",
         [](const Interface& o, const Values& v) { return v.match(to_string(o.mac)); }},
        {"PrivateIpAddresses.PrivateIpAddress",
         [](const Interface& o, const Values& v) {
             return (o.ipv4 && v.match(o.ipv4->to_string())) ||
                    std::any_of(o.private_ipv4.begin(), o.private_ipv4.end(),
                                [&](const auto& a) { return v.match(a.to_string()); });
         }},
        {"Ipv6Addresses.Ipv6Address",
         [](const Interface& o, const Values& v) {
             return std::any_of(o.ipv6.begin(), o.ipv6.end(),
                                [&](const auto& a) { return v.match(a.to_string()); });
         }},
        {"VpcId", [](const Interface& o, const Values& v) { return match_set(o.vpc_id, v); }},
        {"SubnetId", [](const Interface& o, const Values& v) { return match_set(o.subnet_id, v); }},
        {"InterfaceType", [](const Interface& o, const Values& v) { return match_set(o.type, v); }},
        {"Description",
         [](const Interface& o, const Values& v) { return match_set(o.description, v); }},
        {"AvailabilityZone",
         [](const Interface& o, const Values& v) { return match_set(o.availability_zone, v); }},
        {"OwnerId", [](const Interface& o, const Values& v) { return match_set(o.owner_id, v); }}};
    const auto at = filters.find(member);
    return at == filters.end() ? nullptr : at->second;
}

const FilterName& filter_named(const Action& action, const std::string& name) {
    return *std::find_if(action.filters.begin(), action.filters.end(),
                         [&](const auto& filter) { return filter.name == name; });
}

/// @throws RequestError for a filter by a member that the configuration gives of no object.
void check_configured(const Context& c, const Action& action, const Json& p) {
    if (!p.contains("Filters")) return;
    for (const auto& filter : p["Filters"]) {
        const auto& name = text(filter, "Name");
        if (name.compare(0, 4, "tag:") == 0) continue;
        const auto& known = filter_named(action, name);
        if (known.configured &&
            !c.account.network()->shows(member_at(listed_members(action.name), known.member)))
            throw RequestError(ErrorCode::unsupported_operation,
                               "Filters: " + shown(name) + " is not supported, for no " +
                                   known.member + " is in the configuration");
    }
}

/// The filters of a request. An object is shown if it passes all of them.
class Filters {
public:
    Filters(const Action& action, const Json& p) {
        if (!p.contains("Filters")) return;
        for (const auto& filter : p["Filters"]) {
            const auto& name = text(filter, "Name");
            FilterValues values(filter["Values"]);
            if (name == "tag-key") {
                tag_keys_.push_back(std::move(values));
            } else if (name.compare(0, 4, "tag:") == 0) {
                tags_.emplace_back(name.substr(4), std::move(values));
            } else {
                const auto& known = filter_named(action, name);
                members_.push_back({known.member, std::move(values),
                                    action.name == "DescribeNetworkInterfaces"
                                        ? interface_filter(known.member)
                                        : nullptr});
            }
        }
    }

    /// Makes the checks that need no reply of the object. False: it does not pass.
    bool may_pass(const NetworkInterface& interface) const {
        return pass(interface.tags) &&
               std::all_of(members_.begin(), members_.end(), [&](const Member& each) {
                   return !each.of_interface || each.of_interface(interface, each.values);
               });
    }
    template <class T>
    bool may_pass(const T& object) const {
        return pass(object.tags);
    }
    bool pass(const Tags& tags) const {
        for (const auto& [key, values] : tags_) {
            const auto tag = tags.find(key);
            if (tag == tags.end() || !values.match(tag->second)) return false;
        }
        for (const auto& values : tag_keys_)
            if (std::none_of(tags.begin(), tags.end(),
                             [&](const auto& tag) { return values.match(tag.first); }))
                return false;
        return true;
    }
    /// Makes the other checks, with the object's reply.
    bool pass_shown(const Json& item) const {
        return std::all_of(members_.begin(), members_.end(), [&](const Member& each) {
            return each.of_interface || match(item, each.path, each.values);
        });
    }

private:
    struct Member {
        std::string path;  ///< "Member", or "List.Member": of any element
        FilterValues values;
        InterfaceFilter of_interface;
    };

    static bool match(const Json& structure, const std::string& path, const FilterValues& values) {
        const auto dot = path.find('.');
        const auto at = structure.find(path.substr(0, dot));
        if (at == structure.end()) return false;
        if (dot == std::string::npos)
            return values.match(at->is_string() ? at->get_ref<const std::string&>() : at->dump());
        const std::string rest = path.substr(dot + 1);
        if (!at->is_array()) return match(*at, rest, values);
        return std::any_of(at->begin(), at->end(),
                           [&](const Json& element) { return match(element, rest, values); });
    }

    std::vector<std::pair<std::string, FilterValues>> tags_;  ///< by key
    std::vector<FilterValues> tag_keys_;
    std::vector<Member> members_;
};

// --- Pages ---------------------------------------------------------------------------------------

/// One page of a listing. Its token is the position or id of its last object, with a check value
/// over that position, the action, and all parameters except the page's size. So a token is valid
/// only for the same action and parameters (S9).
class Page : public Listing {
protected:
    Page(const Action& action, const Json& p, const char* list)
        : Listing(list), filters(action, p), size_(p.value("MaxResults", std::size_t{0})) {
        Json bound = p;
        for (const auto* name : {"MaxResults", "NextToken", "DryRun"}) bound.erase(name);
        bound_ = action.name + "\n" + to_text(bound) + "\n";
        if (!p.contains("NextToken")) return;
        const auto& token = text(p, "NextToken");
        for (std::size_t i = 16; i + 1 < token.size(); i += 2) {
            const auto high = digits.find(token[i]), low = digits.find(token[i + 1]);
            if (high != std::string::npos && low != std::string::npos)
                position_ += char(high << 4 | low);
        }
        if (position_.empty() || position_[0] < '0' || position_[0] > '9' ||
            position_.find(' ') > 19 || this->token() != token)
            throw RequestError(
                ErrorCode::invalid_next_token,
                "NextToken: " + shown(token) + " is not of this action and these filters");
        sequence_ = std::stoull(position_);
        key_ = position_.substr(position_.find(' ') + 1);
    }

    /// Where the page before has ended; 0 and empty: there is none.
    Sequence sequence() const { return sequence_; }
    const std::string& key() const { return key_; }

    /// Adds an object's reply to the page. False: the page was full already.
    bool take(Sequence sequence, const std::string& key, Json item) {
        if (size_ != 0 && taken_ == size_) {
            next_ = token();
            return false;
        }
        position_ = std::to_string(sequence) + " " + key;
        items_.push_back(std::move(item));
        ++taken_;
        return true;
    }

    const Filters filters;

private:
    /// The token of the position, in hexadecimal digits: FNV-1a 64 over what it is bound to and the
    /// position, then the position.
    std::string token() const {
        std::uint64_t hash = 0xcbf29ce484222325;
        for (const unsigned char c : bound_ + position_) hash = (hash ^ c) * 0x100000001b3;
        std::string out;
        for (int shift = 60; shift >= 0; shift -= 4) out += digits[hash >> shift & 15];
        for (const unsigned char c : position_) (out += digits[c >> 4]) += digits[c & 15];
        return out;
    }

    static inline const std::string digits = "0123456789abcdef";
    const std::size_t size_;  ///< 0: all
    std::size_t taken_ = 0;
    std::string bound_, position_, key_;
    Sequence sequence_ = 0;
};

/// A page of objects of one kind: of all, or of those that the request names.
template <class Objects>
class ObjectPage : public Page {
public:
    ObjectPage(const Context& c, const Action& action, const Json& p, const char* list,
               const Objects& objects)
        : Page(action, p, list),
          account_(c.account),
          network_(c.account.network()),
          objects_(objects),
          at_(sequence()) {}

    /// Restricts the page to these objects.
    void only(std::set<Sequence> named) { named_ = std::move(named); }

private:
    bool step() override {
        const auto* object = objects_.next(at_);
        if (named_) {
            const auto next = named_->upper_bound(at_);
            if (next == named_->end()) return false;
            object = objects_.next(*next - 1);
            at_ = *next;
            if (!object || object->sequence != at_) return true;  // it has gone meanwhile
        }
        if (!object) return false;
        at_ = object->sequence;
        if (!filters.may_pass(*object)) return true;
        Json item = reply_of(account_, *object);
        return !filters.pass_shown(item) || take(at_, "", std::move(item));
    }

    const Account& account_;
    const std::shared_ptr<const Network> network_;  ///< the one at the begin, kept alive
    const Objects& objects_;
    std::optional<std::set<Sequence>> named_;
    Sequence at_;
};

/// A page of configured objects, in the order of their ids. A page begins after the last id of the
/// page before. That holds also when the configuration was read again in between, which changes
/// positions.
template <class T>
class ObjectPage<Listed<T>> : public Page {
public:
    ObjectPage(const Context& c, const Action& action, const Json& p, const char* list,
               const Listed<T>& objects)
        : Page(action, p, list),
          account_(c.account),
          network_(c.account.network()),
          objects_(objects),
          at_(objects.behind(key())) {}

    void only(const std::set<Sequence>& named) {
        named_.emplace();
        for (const Sequence sequence : named) {
            const T& object = objects_.at(sequence);
            if (object.id > key()) named_->emplace(object.id, &object);
        }
    }

private:
    const T* next() {
        if (!named_) return objects_.in_order(at_++);
        return named_->empty() ? nullptr : named_->extract(named_->begin()).mapped();
    }
    bool step() override {
        const T* const object = next();
        if (!object) return false;
        if (!filters.may_pass(*object)) return true;
        Json item = reply_of(account_, *object);
        return !filters.pass_shown(item) || take(0, object->id, std::move(item));
    }

    const Account& account_;
    const std::shared_ptr<const Network> network_;  ///< the one at the begin, kept alive
    const Listed<T>& objects_;
    std::optional<std::map<std::string, const T*>> named_;  ///< those still to be shown
    std::size_t at_;
};

/// @param among only these objects; nothing: all
template <class Objects>
Effect describe(const Context& c, const Json& p, const char* action, const char* list,
                const char* ids, ErrorCode not_found, const Objects& objects,
                const std::optional<std::set<Sequence>>& among = std::nullopt) {
    const auto page =
        std::make_shared<ObjectPage<Objects>>(c, *find_action(action), p, list, objects);
    check_configured(c, *find_action(action), p);
    auto named = among;
    if (p.contains(ids)) {
        named.emplace();
        for (const auto& id : p[ids]) {
            const auto* object = objects.find(id.get_ref<const std::string&>());
            if (!object || (among && among->count(object->sequence) == 0))
                throw RequestError(not_found,
                                   std::string(ids) + ": " + shown(id) + " does not exist");
            named->insert(object->sequence);
        }
    }
    if (named) page->only(std::move(*named));
    Effect effect;
    effect.listing = page;
    return effect;
}

}  // namespace

const TargetMember& member_of(TargetType type) {
    static const TargetMember members[] = {
        {"NetworkInterfaceId", ErrorCode::network_interface_id_not_found, "network-interface"},
        {"NetworkLoadBalancerArn", ErrorCode::load_balancer_arn_not_found, "network-load-balancer"},
        {"GatewayLoadBalancerEndpointId", ErrorCode::vpc_endpoint_id_not_found,
         "gateway-load-balancer-endpoint"},
    };
    return members[std::size_t(type)];
}

// Member by member: an initializer list would copy each of them.

Json reply_of(const Account&, const TrafficMirrorTarget& target) {
    const auto& member = member_of(target.type);
    Json out = Json::object();
    out["TrafficMirrorTargetId"] = target.id;
    out[member.name] = target.address;
    out["Type"] = member.type;
    out["OwnerId"] = target.owner_id;
    out["Tags"] = tag_list(target.tags);
    add(out, "Description", target.description);
    return out;
}

Json reply_of(const Account&, const TrafficMirrorFilterRule& rule) {
    Json out = Json::object();
    out["TrafficMirrorFilterRuleId"] = rule.id;
    out["TrafficMirrorFilterId"] = rule.filter_id;
    out["TrafficDirection"] = rule.direction == Direction::ingress ? "ingress" : "egress";
    out["RuleNumber"] = rule.number;
    out["RuleAction"] = rule.accept ? "accept" : "reject";
    out["SourceCidrBlock"] = rule.source.to_string();
    out["DestinationCidrBlock"] = rule.destination.to_string();
    out["Tags"] = tag_list(rule.tags);
    add(out, "Protocol", rule.protocol);
    add(out, "SourcePortRange", rule.source_ports);
    add(out, "DestinationPortRange", rule.destination_ports);
    add(out, "Description", rule.description);
    return out;
}

Json reply_of(const Account& account, const TrafficMirrorFilter& filter) {
    Json out = Json::object();
    out["TrafficMirrorFilterId"] = filter.id;
    out["IngressFilterRules"] = Json::array();
    out["EgressFilterRules"] = Json::array();
    out["NetworkServices"] = Json::array();
    out["Tags"] = tag_list(filter.tags);
    for (const auto* rule : account.rules_of_filter(filter.id))
        out[rule->direction == Direction::ingress ? "IngressFilterRules" : "EgressFilterRules"]
            .push_back(reply_of(account, *rule));
    if (filter.amazon_dns) out["NetworkServices"].push_back("amazon-dns");
    add(out, "Description", filter.description);
    return out;
}

Json reply_of(const Account& account, const TrafficMirrorSession& session) {
    Json out = Json::object();
    out["TrafficMirrorSessionId"] = session.id;
    out["TrafficMirrorTargetId"] = session.target_id;
    out["TrafficMirrorFilterId"] = session.filter_id;
    out["NetworkInterfaceId"] = session.interface_id;
    out["OwnerId"] = session.owner_id;
    out["SessionNumber"] = session.number;
    out["VirtualNetworkId"] = session.vni;
    out["Tags"] = tag_list(session.tags);
    const auto* target = account.targets().find(session.target_id);
    add(out, "PacketLength",
        target ? effective_packet_length(session, *target) : session.packet_length);
    add(out, "Description", session.description);
    return out;
}

Json reply_of(const Account&, const NetworkInterface& interface) {
    Json out = Json::object();
    out["NetworkInterfaceId"] = interface.id;
    out["MacAddress"] = to_string(interface.mac);
    out["PrivateIpAddresses"] = Json::array();
    out["Ipv6Addresses"] = Json::array();
    out["TagSet"] = tag_list(interface.tags);
    if (interface.ipv4) {
        out["PrivateIpAddress"] = interface.ipv4->to_string();
        out["PrivateIpAddresses"].push_back(
            {{"PrivateIpAddress", interface.ipv4->to_string()}, {"Primary", true}});
    }
    for (const auto& address : interface.private_ipv4)
        if (address != interface.ipv4)
            out["PrivateIpAddresses"].push_back(
                {{"PrivateIpAddress", address.to_string()}, {"Primary", false}});
    for (const auto& address : interface.ipv6)
        out["Ipv6Addresses"].push_back({{"Ipv6Address", address.to_string()}});
    add(out, "VpcId", interface.vpc_id);
    add(out, "SubnetId", interface.subnet_id);
    add(out, "InterfaceType", interface.type);
    add(out, "Description", interface.description);
    add(out, "AvailabilityZone", interface.availability_zone);
    add(out, "OwnerId", interface.owner_id);
    add_shown(out, interface.shown);
    return out;
}

Json reply_of(const Account&, const Vpc& vpc) {
    Json out = Json::object();
    out["VpcId"] = vpc.id;
    out["CidrBlockAssociationSet"] = Json::array();
    out["Tags"] = tag_list(vpc.tags);
    // The primary block is an associated one too.
    if (vpc.cidr) {
        out["CidrBlock"] = vpc.cidr->to_string();
        out["CidrBlockAssociationSet"].push_back({{"CidrBlock", vpc.cidr->to_string()}});
    }
    for (const auto& cidr : vpc.associated)
        if (!(cidr == vpc.cidr))
            out["CidrBlockAssociationSet"].push_back({{"CidrBlock", cidr.to_string()}});
    add(out, "OwnerId", vpc.owner_id);
    add_shown(out, vpc.shown);
    return out;
}

Json reply_of(const Account&, const RouteTable& table) {
    Json out = Json::object();
    out["RouteTableId"] = table.id;
    out["Tags"] = tag_list(table.tags);
    add_shown(out, table.shown);
    return out;
}

Effect describe_sessions(const Context& c, const Json& p) {
    return describe(c, p, "DescribeTrafficMirrorSessions", "TrafficMirrorSessions",
                    "TrafficMirrorSessionIds", ErrorCode::session_id_not_found,
                    c.account.sessions());
}

Effect describe_targets(const Context& c, const Json& p) {
    return describe(c, p, "DescribeTrafficMirrorTargets", "TrafficMirrorTargets",
                    "TrafficMirrorTargetIds", ErrorCode::target_id_not_found, c.account.targets());
}

Effect describe_filters(const Context& c, const Json& p) {
    return describe(c, p, "DescribeTrafficMirrorFilters", "TrafficMirrorFilters",
                    "TrafficMirrorFilterIds", ErrorCode::filter_id_not_found, c.account.filters());
}

Effect describe_interfaces(const Context& c, const Json& p) {
    return describe(c, p, "DescribeNetworkInterfaces", "NetworkInterfaces", "NetworkInterfaceIds",
                    ErrorCode::network_interface_id_not_found, c.account.interfaces());
}

Effect describe_route_tables(const Context& c, const Json& p) {
    return describe(c, p, "DescribeRouteTables", "RouteTables", "RouteTableIds",
                    ErrorCode::route_table_id_not_found, c.account.route_tables());
}

/// What the configuration does not say is as AWS makes a VPC.
Effect describe_vpc_attribute(const Context& c, const Json& p) {
    const auto& vpc = existing(c.account.vpcs(), p, "VpcId", ErrorCode::vpc_id_not_found);
    const auto& attribute = text(p, "Attribute");
    Json out = Json::object();
    out["VpcId"] = vpc.id;
    const bool is_default = !vpc.shown.empty() && Json::parse(vpc.shown).value("IsDefault", false);
    if (attribute == "enableDnsSupport")
        out["EnableDnsSupport"]["Value"] = vpc.dns_support.value_or(true);
    else if (attribute == "enableDnsHostnames")
        out["EnableDnsHostnames"]["Value"] = vpc.dns_hostnames.value_or(is_default);
    else
        out["EnableNetworkAddressUsageMetrics"]["Value"] =
            vpc.address_usage_metrics.value_or(false);
    return {std::move(out)};
}

Effect describe_vpcs(const Context& c, const Json& p) {
    return describe(c, p, "DescribeVpcs", "Vpcs", "VpcIds", ErrorCode::vpc_id_not_found,
                    c.account.vpcs());
}

Effect describe_rules(const Context& c, const Json& p) {
    if (!p.contains("TrafficMirrorFilterId"))
        return describe(c, p, "DescribeTrafficMirrorFilterRules", "TrafficMirrorFilterRules",
                        "TrafficMirrorFilterRuleIds", ErrorCode::filter_rule_id_not_found,
                        c.account.rules());
    const auto& filter =
        existing(c.account.filters(), p, "TrafficMirrorFilterId", ErrorCode::filter_id_not_found);
    std::set<Sequence> rules;
    for (const auto* rule : c.account.rules_of_filter(filter.id)) rules.insert(rule->sequence);
    return describe(c, p, "DescribeTrafficMirrorFilterRules", "TrafficMirrorFilterRules",
                    "TrafficMirrorFilterRuleIds", ErrorCode::filter_rule_id_not_found,
                    c.account.rules(), rules);
}

namespace {

/// A page of tags, in the creation order of their resources, then by key.
class TagPage : public Page {
public:
    TagPage(const Context& c, const Json& p)
        : Page(*find_action("DescribeTags"), p, "Tags"),
          account_(c.account),
          at_(sequence()),
          key_at_(key()) {}

private:
    struct Tagged {
        Sequence sequence;
        const std::string* id;
        const char* type;
        const Tags* tags;
    };

    /// The first resource with this sequence or a later one.
    std::optional<Tagged> tagged(Sequence from) const {
        std::optional<Tagged> first;
        const auto look = [&](const auto& objects, const char* type) {
            const auto* object = objects.next(from == 0 ? 0 : from - 1);
            if (object && (!first || object->sequence < first->sequence))
                first = Tagged{object->sequence, &object->id, type, &object->tags};
        };
        look(account_.targets(), "traffic-mirror-target");
        look(account_.filters(), "traffic-mirror-filter");
        look(account_.rules(), "traffic-mirror-filter-rule");
        look(account_.sessions(), "traffic-mirror-session");
        return first;
    }

    /// Adds the tags of one resource, those after key_at_.
    bool step() override {
        const auto found = tagged(at_);
        if (!found) return false;
        if (found->sequence != at_) key_at_.reset();
        at_ = found->sequence;
        for (auto tag = key_at_ ? found->tags->upper_bound(*key_at_) : found->tags->begin();
             tag != found->tags->end(); ++tag) {
            Json item = {{"Key", tag->first},
                         {"Value", tag->second},
                         {"ResourceId", *found->id},
                         {"ResourceType", found->type}};
            if (filters.pass({*tag}) && filters.pass_shown(item) &&
                !take(at_, tag->first, std::move(item)))
                return false;
        }
        ++at_;
        key_at_.reset();
        return true;
    }

    const Account& account_;
    Sequence at_;
    std::optional<std::string> key_at_;
};

}  // namespace

Effect describe_tags(const Context& c, const Json& p) {
    Effect effect;
    effect.listing = std::make_shared<TagPage>(c, p);
    return effect;
}

}  // namespace mirrornic
