// SPDX-License-Identifier: Apache-2.0
#include "host/requests/perform_actions.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace mirrornic {
namespace {

constexpr std::size_t tags_per_resource = 50;

[[noreturn]] void fail(ErrorCode code, const std::string& message) {
    throw RequestError(code, message);
}

[[noreturn]] void fail_value(const std::string& message) {
    fail(ErrorCode::invalid_parameter_value, message);
}

// --- Parameters ----------------------------------------------------------------------------------

template <class T>
void set(T& member, const Json& parameters, const char* name) {
    if (parameters.contains(name)) member = parameters[name].get<T>();
}

template <class T>
void set(std::optional<T>& member, const Json& parameters, const char* name) {
    if (parameters.contains(name)) member = parameters[name].get<T>();
}

void set(Cidr& member, const Json& parameters, const char* name) {
    if (!parameters.contains(name)) return;
    try {
        member = Cidr::parse(text(parameters, name));
    } catch (const std::invalid_argument&) {
        fail_value(std::string(name) + ": " + shown(parameters[name]) + " is not a CIDR block");
    }
}

void set(std::optional<PortRange>& member, const Json& parameters, const char* name) {
    if (!parameters.contains(name)) return;
    const auto& range = parameters[name];
    member = PortRange{range["FromPort"], range["ToPort"]};
    if (member->from > member->to)
        fail_value(std::string(name) + ".FromPort: " + std::to_string(member->from) +
                   " is above ToPort " + std::to_string(member->to));
}

/// Sets those members of a rule that the request names.
void set_rule(TrafficMirrorFilterRule& rule, const Json& p) {
    if (p.contains("TrafficDirection"))
        rule.direction =
            p["TrafficDirection"] == "ingress" ? Direction::ingress : Direction::egress;
    if (p.contains("RuleAction")) rule.accept = p["RuleAction"] == "accept";
    set(rule.number, p, "RuleNumber");
    set(rule.protocol, p, "Protocol");
    set(rule.source_ports, p, "SourcePortRange");
    set(rule.destination_ports, p, "DestinationPortRange");
    set(rule.source, p, "SourceCidrBlock");
    set(rule.destination, p, "DestinationCidrBlock");
    set(rule.description, p, "Description");
}

bool removes(const Json& parameters, const char* field) {
    const auto at = parameters.find("RemoveFields");
    return at != parameters.end() && std::find(at->begin(), at->end(), field) != at->end();
}

using FieldNames = std::vector<std::pair<const char*, const char*>>;  // field and its member

void check_removed(const Json& parameters, const FieldNames& fields) {
    for (const auto& [field, member] : fields)
        if (removes(parameters, field) && parameters.contains(member))
            fail(ErrorCode::invalid_parameter_combination,
                 std::string(member) + ": " + shown(parameters[member]) +
                     " is set and RemoveFields removes " + field);
}

Tags tags_of(const Json& list) {
    Tags tags;
    for (const auto& tag : list) tags[text(tag, "Key")] = tag.value("Value", "");
    return tags;
}

Tags specified_tags(const Json& parameters) {
    Tags tags;
    if (parameters.contains("TagSpecifications"))
        for (const auto& specification : parameters["TagSpecifications"])
            tags.merge(tags_of(specification["Tags"]));
    return tags;
}

bool is_reserved(const std::string& tag_key) { return tag_key.compare(0, 4, "aws:") == 0; }

void check_tag_limit(const Tags& tags) {
    const auto own = std::count_if(tags.begin(), tags.end(),
                                   [](const auto& tag) { return !is_reserved(tag.first); });
    if (std::size_t(own) > tags_per_resource)
        fail(ErrorCode::tag_limit, "Tags: " + std::to_string(own) +
                                       " tags on one resource; allowed are " +
                                       std::to_string(tags_per_resource));
}

// --- Existence -----------------------------------------------------------------------------------

const TrafficMirrorTarget& target_of(const Context& c, const Json& p) {
    return existing(c.account.targets(), p, "TrafficMirrorTargetId",
                    ErrorCode::target_id_not_found);
}
const TrafficMirrorFilter& filter_of(const Context& c, const Json& p) {
    return existing(c.account.filters(), p, "TrafficMirrorFilterId",
                    ErrorCode::filter_id_not_found);
}
const TrafficMirrorFilterRule& rule_of(const Context& c, const Json& p) {
    return existing(c.account.rules(), p, "TrafficMirrorFilterRuleId",
                    ErrorCode::filter_rule_id_not_found);
}
const TrafficMirrorSession& session_of(const Context& c, const Json& p) {
    return existing(c.account.sessions(), p, "TrafficMirrorSessionId",
                    ErrorCode::session_id_not_found);
}

void check_interface_of(const Context& c, const TrafficMirrorTarget& target) {
    if (!c.account.interfaces_of(target).empty()) return;
    const auto& member = member_of(target.type);
    fail(member.not_found, std::string(member.name) + ": " + shown(target.address) +
                               " is served by no configured interface");
}

// --- Rules of state and quota (S2 to S4) ---------------------------------------------------------

/// Checks that no other session of the interface has the number (S4).
void check_number(const Context& c, const TrafficMirrorSession& session) {
    for (const auto* other : c.account.sessions_of_interface(session.interface_id))
        if (other->id != session.id && other->number == session.number)
            fail_value("SessionNumber: " + std::to_string(session.number) + " of " +
                       session.interface_id + " is taken by " + other->id);
}

/// Checks state and quotas of a session that is new or gets another target: that its source and
/// target are configured, and that copies can go from the one to the other.
/// @param old_target the target that it has now; empty: the session is new
void check_ends(const Context& c, const TrafficMirrorSession& session,
                const TrafficMirrorTarget& target, const std::string& old_target) {
    const auto* source = c.account.interfaces().find(session.interface_id);
    if (!source)
        fail(ErrorCode::network_interface_id_not_found,
             "NetworkInterfaceId: " + shown(session.interface_id) + ", the source of " +
                 session.id + ", is not configured");
    if (const auto* on = c.account.target_on(*source))
        fail_value("NetworkInterfaceId: " + shown(source->id) + " is the target " + on->id +
                   ", and a target cannot be a source");
    check_number(c, session);
    if (!route(c.account, *source, target))
        fail_value("TrafficMirrorTargetId: " + shown(target.id) + " and the source " + source->id +
                   " have addresses of no common IP version");

    const auto& quotas = c.settings.quotas;
    const bool is_new = old_target.empty();
    const auto count = c.account.sessions_of_interface(source->id).size();
    if (is_new && count >= quotas.sessions_per_interface)
        fail(ErrorCode::sessions_per_interface_limit,
             "NetworkInterfaceId: " + shown(source->id) + " has " + std::to_string(count) +
                 " sessions; allowed are " + std::to_string(quotas.sessions_per_interface));
    const auto* old = c.account.targets().find(old_target);
    const bool same_endpoint = old && old->endpoint() == target.endpoint();
    if (target.type == TargetType::network_interface && !same_endpoint) {
        std::set<std::string> sources;
        for (const auto* each : c.account.targets_at(target.endpoint()))
            for (const auto* other : c.account.sessions_of_target(each->id))
                if (other->id != session.id) sources.insert(other->interface_id);
        if (!sources.count(source->id) && sources.size() >= quotas.sources_per_target)
            fail(ErrorCode::sources_per_target_limit,
                 "TrafficMirrorTargetId: " + shown(target.id) + " has " +
                     std::to_string(sources.size()) + " sources; allowed are " +
                     std::to_string(quotas.sources_per_target));
    }
    if (is_new && c.account.sessions().size() >= quotas.sessions)
        fail(ErrorCode::session_limit,
             "the account has " + std::to_string(c.account.sessions().size()) +
                 " sessions; allowed are " + std::to_string(quotas.sessions));
}

void check_rule(const Context& c, const TrafficMirrorFilterRule& rule) {
    if (const auto fault = fault_of(rule))
        fail(fault->combination ? ErrorCode::invalid_parameter_combination
                                : ErrorCode::invalid_parameter_value,
             fault->sentence);
    for (const auto* other : c.account.rules_of_filter(rule.filter_id))
        if (other->id != rule.id && other->direction == rule.direction &&
            other->number == rule.number)
            fail(ErrorCode::filter_rule_already_exists,
                 "RuleNumber: " + std::to_string(rule.number) + " of " + rule.filter_id +
                     " is taken by " + other->id);
}

// --- Create --------------------------------------------------------------------------------------

Effect create_filter(const Context& c, const Json& p) {
    TrafficMirrorFilter filter;
    filter.tags = specified_tags(p);
    check_tag_limit(filter.tags);
    if (c.account.filters().size() >= c.settings.quotas.filters)
        fail(ErrorCode::filter_limit,
             "the account has " + std::to_string(c.account.filters().size()) +
                 " filters; allowed are " + std::to_string(c.settings.quotas.filters));
    filter.id = c.new_id("tmf-");
    set(filter.description, p, "Description");
    return {{{"TrafficMirrorFilter", reply_of(c.account, filter)}}, {{}, {filter}, {}, {}}};
}

void check_create_rule(const Json& p) {
    TrafficMirrorFilterRule rule;
    set_rule(rule, p);
    if (const auto fault = fault_of(rule))
        fail(fault->combination ? ErrorCode::invalid_parameter_combination
                                : ErrorCode::invalid_parameter_value,
             fault->sentence);
}

Effect create_rule(const Context& c, const Json& p) {
    TrafficMirrorFilterRule rule;
    rule.filter_id = filter_of(c, p).id;
    set_rule(rule, p);
    check_rule(c, rule);
    rule.tags = specified_tags(p);
    check_tag_limit(rule.tags);
    const auto count = c.account.rules_of_filter(rule.filter_id).size();
    if (count >= c.settings.quotas.rules_per_filter)
        fail(ErrorCode::filter_rule_limit,
             "TrafficMirrorFilterId: " + shown(rule.filter_id) + " has " + std::to_string(count) +
                 " rules; allowed are " + std::to_string(c.settings.quotas.rules_per_filter));
    rule.id = c.new_id("tmfr-");
    return {{{"TrafficMirrorFilterRule", reply_of(c.account, rule)}}, {{}, {rule}, {}, {}}};
}

Effect create_session(const Context& c, const Json& p) {
    TrafficMirrorSession session;
    session.interface_id = existing(c.account.interfaces(), p, "NetworkInterfaceId",
                                    ErrorCode::network_interface_id_not_found)
                               .id;
    const auto& target = target_of(c, p);
    session.target_id = target.id;
    session.filter_id = filter_of(c, p).id;
    check_interface_of(c, target);
    set(session.number, p, "SessionNumber");
    check_ends(c, session, target, "");
    session.tags = specified_tags(p);
    check_tag_limit(session.tags);
    session.id = c.new_id("tms-");
    session.owner_id = c.settings.account_id;
    session.vni =
        p.contains("VirtualNetworkId") ? p["VirtualNetworkId"].get<std::uint32_t>() : c.new_vni();
    set(session.packet_length, p, "PacketLength");
    set(session.description, p, "Description");
    return {{{"TrafficMirrorSession", reply_of(c.account, session)}}, {{}, {session}, {}, {}}};
}

constexpr TargetType target_types[] = {TargetType::network_interface,
                                       TargetType::network_load_balancer,
                                       TargetType::gateway_load_balancer_endpoint};

void check_create_target(const Json& p) {
    std::string named;
    int count = 0;
    for (const auto type : target_types)
        if (p.contains(member_of(type).name)) {
            named += (named.empty() ? "" : ", ") + std::string(member_of(type).name) + " " +
                     shown(p[member_of(type).name]);
            ++count;
        }
    if (count != 1)
        fail(ErrorCode::invalid_parameter_combination,
             "exactly one of NetworkInterfaceId, NetworkLoadBalancerArn and "
             "GatewayLoadBalancerEndpointId makes a target; the request names " +
                 (count ? named : "none"));
    if (p.contains("NetworkLoadBalancerArn") &&
        !load_balancer_of(text(p, "NetworkLoadBalancerArn")))
        fail(ErrorCode::load_balancer_arn_malformed,
             "NetworkLoadBalancerArn: " + shown(p["NetworkLoadBalancerArn"]) +
                 " is not arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/net/NAME/ID");
    if (p.contains("GatewayLoadBalancerEndpointId")) {
        const auto& id = text(p, "GatewayLoadBalancerEndpointId");
        if (id.compare(0, 5, "vpce-") != 0 || (id.size() != 13 && id.size() != 22) ||
            !std::all_of(id.begin() + 5, id.end(),
                         [](unsigned char c) { return c < 0x80 && std::isalnum(c); }))
            fail(ErrorCode::vpc_endpoint_id_malformed,
                 "GatewayLoadBalancerEndpointId: " + shown(id) +
                     " is not vpce- and 8 or 17 letters and digits");
    }
}

Effect create_target(const Context& c, const Json& p) {
    TrafficMirrorTarget target;
    for (const auto type : target_types)
        if (p.contains(member_of(type).name)) {
            target.type = type;
            target.address = text(p, member_of(type).name);
        }
    check_interface_of(c, target);
    for (const auto* interface : c.account.interfaces_of(target))
        if (const auto sessions = c.account.sessions_of_interface(interface->id); !sessions.empty())
            fail_value(std::string(member_of(target.type).name) + ": " + shown(target.address) +
                       ": " + interface->id + " is the source of " + sessions.front()->id +
                       ", and a source cannot be a target");
    target.tags = specified_tags(p);
    check_tag_limit(target.tags);
    if (c.account.targets().size() >= c.settings.quotas.targets)
        fail(ErrorCode::target_limit,
             "the account has " + std::to_string(c.account.targets().size()) +
                 " targets; allowed are " + std::to_string(c.settings.quotas.targets));
    target.id = c.new_id("tmt-");
    target.owner_id = c.settings.account_id;
    set(target.description, p, "Description");
    return {{{"TrafficMirrorTarget", reply_of(c.account, target)}}, {{}, {target}, {}, {}}};
}

// --- Modify --------------------------------------------------------------------------------------

void check_modify_network_services(const Json& p) {
    if (p.contains("AddNetworkServices") && p.contains("RemoveNetworkServices"))
        fail(ErrorCode::invalid_parameter_combination,
             "AddNetworkServices and RemoveNetworkServices both name \"amazon-dns\"");
}

Effect modify_network_services(const Context& c, const Json& p) {
    auto filter = filter_of(c, p);
    if (p.contains("AddNetworkServices")) filter.amazon_dns = true;
    if (p.contains("RemoveNetworkServices")) filter.amazon_dns = false;
    return {{{"TrafficMirrorFilter", reply_of(c.account, filter)}}, {{}, {filter}, {}, {}}};
}

void check_modify_rule(const Json& p) {
    check_removed(p, {{"destination-port-range", "DestinationPortRange"},
                      {"source-port-range", "SourcePortRange"},
                      {"protocol", "Protocol"},
                      {"description", "Description"}});
    for (const auto* range : {"SourcePortRange", "DestinationPortRange"})
        if (p.contains(range) && !p.contains("Protocol"))
            fail(ErrorCode::invalid_parameter_combination,
                 std::string(range) + ": " + shown(p[range]) +
                     " needs Protocol 6 (TCP) or 17 (UDP) in the same request");
    TrafficMirrorFilterRule rule;
    set_rule(rule, p);
}

Effect modify_rule(const Context& c, const Json& p) {
    auto rule = rule_of(c, p);
    set_rule(rule, p);
    if (removes(p, "protocol")) rule.protocol.reset();
    if (removes(p, "source-port-range")) rule.source_ports.reset();
    if (removes(p, "destination-port-range")) rule.destination_ports.reset();
    if (removes(p, "description")) rule.description.reset();
    check_rule(c, rule);
    Json shown_rule = reply_of(c.account, rule);
    if (rule.tags.empty()) shown_rule.erase("Tags");  // S10
    return {{{"TrafficMirrorFilterRule", shown_rule}}, {{}, {rule}, {}, {}}};
}

void check_modify_session(const Json& p) {
    check_removed(p, {{"packet-length", "PacketLength"},
                      {"description", "Description"},
                      {"virtual-network-id", "VirtualNetworkId"}});
}

/// A request that names no target does not change source and target. So it is carried out even if
/// these are not configured any more.
Effect modify_session(const Context& c, const Json& p) {
    auto session = session_of(c, p);
    const TrafficMirrorTarget* target =
        p.contains("TrafficMirrorTargetId") ? &target_of(c, p) : nullptr;
    if (p.contains("TrafficMirrorFilterId")) session.filter_id = filter_of(c, p).id;
    set(session.number, p, "SessionNumber");
    if (target) {
        check_interface_of(c, *target);
        const std::string old_target = std::exchange(session.target_id, target->id);
        check_ends(c, session, *target, old_target);
    } else {
        check_number(c, session);
    }
    set(session.packet_length, p, "PacketLength");
    set(session.vni, p, "VirtualNetworkId");
    set(session.description, p, "Description");
    if (removes(p, "packet-length")) session.packet_length.reset();
    if (removes(p, "description")) session.description.reset();
    if (removes(p, "virtual-network-id")) session.vni = c.new_vni();
    return {{{"TrafficMirrorSession", reply_of(c.account, session)}}, {{}, {session}, {}, {}}};
}

// --- Delete --------------------------------------------------------------------------------------

Effect delete_filter(const Context& c, const Json& p) {
    const auto& filter = filter_of(c, p);
    if (const auto sessions = c.account.sessions_of_filter(filter.id); !sessions.empty())
        fail(ErrorCode::filter_in_use,
             "TrafficMirrorFilterId: " + shown(filter.id) + " is used by " + sessions.front()->id);
    Effect effect{{{"TrafficMirrorFilterId", filter.id}}};
    for (const auto* rule : c.account.rules_of_filter(filter.id))
        effect.change.erased.push_back({Kind::rule, rule->id, rule->sequence});
    effect.change.erased.push_back({Kind::filter, filter.id, filter.sequence});
    return effect;
}

Effect delete_rule(const Context& c, const Json& p) {
    const auto& rule = rule_of(c, p);
    return {{{"TrafficMirrorFilterRuleId", rule.id}},
            {{{Kind::rule, rule.id, rule.sequence}}, {}, {}, {}}};
}

Effect delete_session(const Context& c, const Json& p) {
    const auto& session = session_of(c, p);
    return {{{"TrafficMirrorSessionId", session.id}},
            {{{Kind::session, session.id, session.sequence}}, {}, {}, {}}};
}

Effect delete_target(const Context& c, const Json& p) {
    const auto& target = target_of(c, p);
    if (const auto sessions = c.account.sessions_of_target(target.id); !sessions.empty())
        fail(ErrorCode::target_in_use,
             "TrafficMirrorTargetId: " + shown(target.id) + " is used by " + sessions.front()->id);
    return {{{"TrafficMirrorTargetId", target.id}},
            {{{Kind::target, target.id, target.sequence}}, {}, {}, {}}};
}

// --- Tags ----------------------------------------------------------------------------------------

/// The resources of the request, each once.
std::vector<Object> tagged_objects(const Context& c, const Json& p) {
    std::vector<Object> objects;
    std::set<std::string> seen;
    for (const auto& resource : p["Resources"]) {
        const auto& id = resource.get_ref<const std::string&>();
        if (!seen.insert(id).second) continue;
        if (auto object = c.account.object(id)) {
            objects.push_back(std::move(*object));
            continue;
        }
        const auto kind = id.substr(0, id.find('-') + 1);
        if (kind != "tms-" && kind != "tmt-" && kind != "tmf-" && kind != "tmfr-" &&
            kind.size() > 1)
            fail_value("Resources: " + shown(id) +
                       " is not of traffic mirroring; tags are kept of targets, filters, filter "
                       "rules and sessions alone");
        fail(ErrorCode::invalid_id, "Resources: " + shown(id) + " does not exist");
    }
    return objects;
}

Effect create_tags(const Context& c, const Json& p) {
    Effect effect;
    effect.change.put = tagged_objects(c, p);
    for (auto& object : effect.change.put)
        std::visit(
            [&](auto& each) {
                for (const auto& [key, value] : tags_of(p["Tags"])) each.tags[key] = value;
                check_tag_limit(each.tags);
            },
            object);
    return effect;
}

Effect delete_tags(const Context& c, const Json& p) {
    Effect effect;
    effect.change.put = tagged_objects(c, p);
    const auto remove = [&](Tags& tags) {
        if (!p.contains("Tags"))
            for (auto at = tags.begin(); at != tags.end();)
                at = is_reserved(at->first) ? std::next(at) : tags.erase(at);
        else
            for (const auto& tag : p["Tags"]) {
                const auto at = tags.find(text(tag, "Key"));
                if (at != tags.end() && (!tag.contains("Value") || tag["Value"] == at->second))
                    tags.erase(at);
            }
    };
    for (auto& object : effect.change.put)
        std::visit([&](auto& each) { remove(each.tags); }, object);
    return effect;
}

// --- Describe ------------------------------------------------------------------------------------

void check_describe_interfaces(const Json& p) {
    if (p.contains("NetworkInterfaceIds") && p.contains("MaxResults"))
        fail(ErrorCode::invalid_parameter_combination,
             "MaxResults: " + shown(p["MaxResults"]) +
                 " cannot stand beside NetworkInterfaceIds; without it all of them are shown");
}

// --- Actions -------------------------------------------------------------------------------------

constexpr Handler handlers[] = {
    {"CreateTags", nullptr, create_tags},
    {"CreateTrafficMirrorFilter", nullptr, create_filter},
    {"CreateTrafficMirrorFilterRule", check_create_rule, create_rule},
    {"CreateTrafficMirrorSession", nullptr, create_session},
    {"CreateTrafficMirrorTarget", check_create_target, create_target},
    {"DeleteTags", nullptr, delete_tags},
    {"DeleteTrafficMirrorFilter", nullptr, delete_filter},
    {"DeleteTrafficMirrorFilterRule", nullptr, delete_rule},
    {"DeleteTrafficMirrorSession", nullptr, delete_session},
    {"DeleteTrafficMirrorTarget", nullptr, delete_target},
    {"DescribeNetworkInterfaces", check_describe_interfaces, describe_interfaces},
    {"DescribeRouteTables", nullptr, describe_route_tables},
    {"DescribeTags", nullptr, describe_tags},
    {"DescribeTrafficMirrorFilterRules", nullptr, describe_rules},
    {"DescribeTrafficMirrorFilters", nullptr, describe_filters},
    {"DescribeTrafficMirrorSessions", nullptr, describe_sessions},
    {"DescribeTrafficMirrorTargets", nullptr, describe_targets},
    {"DescribeVpcAttribute", nullptr, describe_vpc_attribute},
    {"DescribeVpcs", nullptr, describe_vpcs},
    {"ModifyTrafficMirrorFilterNetworkServices", check_modify_network_services,
     modify_network_services},
    {"ModifyTrafficMirrorFilterRule", check_modify_rule, modify_rule},
    {"ModifyTrafficMirrorSession", check_modify_session, modify_session},
};

}  // namespace

const Handler& handler_of(const Action& action) {
    for (const auto& handler : handlers)
        if (action.name == handler.action) return handler;
    throw std::logic_error("action " + action.name + " has parameters and no handler");
}

}  // namespace mirrornic
