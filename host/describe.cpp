// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "handlers.hpp"
#include "replies.hpp"

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

/// Of a configured object: what the configuration does not say is empty.
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

/// Whether the text matches a pattern of `*` (any characters), `?` (any one) and `\` (the next one
/// as it is).
bool matches(const std::string& pattern, const std::string& value) {
    std::size_t p = 0, v = 0, star = std::string::npos, star_v = 0;
    while (v < value.size()) {
        const bool escape = p + 1 < pattern.size() && pattern[p] == '\\';
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_v = v;
        } else if (p < pattern.size() && (escape ? pattern[p + 1] == value[v]
                                                 : pattern[p] == '?' || pattern[p] == value[v])) {
            // `?` is one character, not one byte of UTF-8.
            const bool any = !escape && pattern[p] == '?';
            p += escape ? 2 : 1;
            ++v;
            while (any && v < value.size() && (static_cast<unsigned char>(value[v]) & 0xc0) == 0x80)
                ++v;
        } else if (star != std::string::npos) {
            p = star + 1;
            do v = ++star_v;
            while (v < value.size() && (static_cast<unsigned char>(value[v]) & 0xc0) == 0x80);
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

bool matches_any(const Json& patterns, const std::string& value) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const Json& pattern) {
        return matches(pattern.get_ref<const std::string&>(), value);
    });
}

/// Whether the member of a structure at a path, "List.Member" for that of any element, matches.
bool member_matches(const Json& patterns, const Json& structure, const std::string& path) {
    const auto dot = path.find('.');
    const auto at = structure.find(path.substr(0, dot));
    if (at == structure.end()) return false;
    if (dot == std::string::npos)
        return matches_any(patterns, at->is_string() ? at->get<std::string>() : at->dump());
    const auto rest = path.substr(dot + 1);
    if (!at->is_array()) return member_matches(patterns, *at, rest);
    return std::any_of(at->begin(), at->end(), [&](const Json& element) {
        return member_matches(patterns, element, rest);
    });
}

const FilterName& filter_named(const Action& action, const std::string& name) {
    return *std::find_if(action.filters.begin(), action.filters.end(),
                         [&](const auto& filter) { return filter.name == name; });
}

/// @throws RequestError for a filter by what the configuration gives of no object.
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

/// Whether what is shown passes all filters of the request.
bool passes(const Action& action, const Json& p, const Json& item, const Tags& tags) {
    if (!p.contains("Filters")) return true;
    const auto passes_one = [&](const Json& filter) {
        const auto& name = text(filter, "Name");
        const auto& values = filter["Values"];
        if (name.compare(0, 4, "tag:") == 0) {
            const auto tag = tags.find(name.substr(4));
            return tag != tags.end() && matches_any(values, tag->second);
        }
        if (name == "tag-key")
            return std::any_of(tags.begin(), tags.end(),
                               [&](const auto& tag) { return matches_any(values, tag.first); });
        return member_matches(values, item, filter_named(action, name).member);
    };
    return std::all_of(p["Filters"].begin(), p["Filters"].end(), passes_one);
}

/// One page of a listing, and the token that continues it: a position, and a check value that
/// binds it to the action and to all parameters but the page's size (S9).
class Page {
public:
    Page(const Action& action, const Json& p) : action_(action), p_(p) {
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

    /// The last position of the page before; 0 when there is none.
    Sequence sequence() const { return sequence_; }
    const std::string& key() const { return key_; }

    /// Takes what is shown if it passes the filters. False: the page is full, stop.
    bool take(Sequence sequence, const std::string& key, Json item, const Tags& tags) {
        if (!passes(action_, p_, item, tags)) return true;
        if (p_.contains("MaxResults") && items_.size() == p_["MaxResults"].get<std::size_t>()) {
            next_ = token();
            return false;
        }
        position_ = std::to_string(sequence) + " " + key;
        items_.push_back(std::move(item));
        return true;
    }

    Json reply(const char* list) {
        Json out = Json::object();
        out[list] = std::move(items_);  // an initializer list would copy
        if (!next_.empty()) out["NextToken"] = next_;
        return out;
    }

private:
    /// Of the position: FNV-1a 64 over what it is bound to and itself, then itself, in hex.
    std::string token() const {
        std::uint64_t hash = 0xcbf29ce484222325;
        for (const unsigned char c : bound_ + position_) hash = (hash ^ c) * 0x100000001b3;
        std::string out;
        for (int shift = 60; shift >= 0; shift -= 4) out += digits[hash >> shift & 15];
        for (const unsigned char c : position_) (out += digits[c >> 4]) += digits[c & 15];
        return out;
    }

    static inline const std::string digits = "0123456789abcdef";
    const Action& action_;
    const Json& p_;
    std::string bound_, position_, key_, next_;
    Sequence sequence_ = 0;
    Json items_ = Json::array();
};

template <class Objects>
Effect describe(const Context& c, const Json& p, const char* action, const char* list,
                const char* ids, ErrorCode not_found, const Objects& objects) {
    Page page(*find_action(action), p);
    check_configured(c, *find_action(action), p);
    std::set<Sequence> named;
    if (p.contains(ids))
        for (const auto& id : p[ids]) {
            const auto* object = objects.find(id.get_ref<const std::string&>());
            if (!object)
                throw RequestError(not_found,
                                   std::string(ids) + ": " + shown(id) + " does not exist");
            named.insert(object->sequence);
        }
    const auto take = [&](const auto& object) {
        return page.take(object.sequence, "", reply_of(c.account, object), object.tags);
    };
    if (p.contains(ids)) {
        for (auto at = named.upper_bound(page.sequence()); at != named.end(); ++at)
            if (!take(objects.at(*at))) break;
    } else {
        for (const auto* at = objects.next(page.sequence()); at; at = objects.next(at->sequence))
            if (!take(*at)) break;
    }
    return {page.reply(list)};
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
    // The primary block is associated too.
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
    Ordered<TrafficMirrorFilterRule> rules;
    const auto& filter =
        existing(c.account.filters(), p, "TrafficMirrorFilterId", ErrorCode::filter_id_not_found);
    for (const auto* rule : c.account.rules_of_filter(filter.id)) rules.put(*rule);
    return describe(c, p, "DescribeTrafficMirrorFilterRules", "TrafficMirrorFilterRules",
                    "TrafficMirrorFilterRuleIds", ErrorCode::filter_rule_id_not_found, rules);
}

/// By creation order of the resource, then by key.
Effect describe_tags(const Context& c, const Json& p) {
    struct Tagged {
        Sequence sequence;
        const std::string* id;
        const char* type;
        const Tags* tags;
    };
    Page page(*find_action("DescribeTags"), p);
    std::vector<Tagged> all;
    const auto collect = [&](const auto& objects, const char* type) {
        for (auto at = objects.after(page.sequence() ? page.sequence() - 1 : 0);
             at != objects.end(); ++at)
            if (!at->second.tags.empty())
                all.push_back({at->first, &at->second.id, type, &at->second.tags});
    };
    collect(c.account.targets(), "traffic-mirror-target");
    collect(c.account.filters(), "traffic-mirror-filter");
    collect(c.account.rules(), "traffic-mirror-filter-rule");
    collect(c.account.sessions(), "traffic-mirror-session");
    std::sort(all.begin(), all.end(),
              [](const Tagged& a, const Tagged& b) { return a.sequence < b.sequence; });
    for (const auto& tagged : all)
        for (auto tag = tagged.sequence == page.sequence() ? tagged.tags->upper_bound(page.key())
                                                           : tagged.tags->begin();
             tag != tagged.tags->end(); ++tag) {
            const Json item = {{"Key", tag->first},
                               {"Value", tag->second},
                               {"ResourceId", *tagged.id},
                               {"ResourceType", tagged.type}};
            if (!page.take(tagged.sequence, tag->first, item, {*tag})) return {page.reply("Tags")};
        }
    return {page.reply("Tags")};
}

}  // namespace mirrornic
