// SPDX-License-Identifier: Apache-2.0
#include "host/ec2/action_table.hpp"

#include <algorithm>
#include <set>

#include "host/ec2/request_error.hpp"

namespace mirrornic {
namespace {

using Type = ParameterType;

Parameter boolean(const char* name) { return {name, Type::boolean}; }

Parameter integer(const char* name, std::int64_t minimum, std::int64_t maximum) {
    return {name, Type::integer, false, true, minimum, maximum};
}

Parameter text(const char* name, std::int64_t minimum = 0,
               std::int64_t maximum = std::numeric_limits<std::int64_t>::max()) {
    return {name, Type::string, false, true, minimum, maximum};
}

Parameter choice(const char* name, std::vector<std::string> values) {
    Parameter p = text(name);
    p.values = std::move(values);
    return p;
}

/// @param wire the name in a query, which is followed by a number for each element
Parameter list(const char* wire, Parameter element) {
    element.type = element.type == Type::structure ? Type::structure_list : Type::string_list;
    element.wire = wire;
    return element;
}

Parameter structure(const char* name, std::vector<Parameter> members) {
    Parameter p{name, Type::structure};
    p.members = std::move(members);
    return p;
}

Parameter at_most(std::int64_t elements, Parameter p) {
    p.maximum = elements;
    return p;
}

Parameter required(Parameter p) {
    p.required = true;
    return p;
}

Parameter unsupported(Parameter p) {
    p.supported = false;
    return p;
}

Parameter dry_run() { return boolean("DryRun"); }
Parameter client_token() { return text("ClientToken", 1, 64); }
Parameter description() { return text("Description", 0, 255); }

Parameter tags() {
    return at_most(1000,
                   list("Tag", structure("Tags", {required(text("Key")), text("Value", 0, 256)})));
}

Parameter resources() { return at_most(1000, list("ResourceId", text("Resources"))); }

Parameter tag_specifications() {
    return list("TagSpecification",
                structure("TagSpecifications", {required(text("ResourceType")), required(tags())}));
}

Parameter port_range(const char* name) {
    return structure(
        name, {required(integer("FromPort", 0, 65535)), required(integer("ToPort", 0, 65535))});
}

Parameter network_services(const char* wire, const char* name) {
    return list(wire, choice(name, {"amazon-dns"}));
}

/// The parameters that every Describe of a list has besides its ids.
std::vector<Parameter> describe(std::vector<Parameter> own, std::int64_t page = 1000) {
    for (auto& p : {dry_run(),
                    list("Filter", structure("Filters", {required(text("Name")),
                                                         required(list("Value", text("Values")))})),
                    integer("MaxResults", 5, page), text("NextToken")})
        own.push_back(p);
    return own;
}

FilterName configured(const char* name, const char* member) { return {name, member, true}; }

const auto session_id = [] { return text("TrafficMirrorSessionId"); };
const auto target_id = [] { return text("TrafficMirrorTargetId"); };
const auto filter_id = [] { return text("TrafficMirrorFilterId"); };
const auto rule_id = [] { return text("TrafficMirrorFilterRuleId"); };
const auto interface_id = [] { return text("NetworkInterfaceId"); };
const auto packet_length = [] { return integer("PacketLength", 1, 8500); };
const auto session_number = [] { return integer("SessionNumber", 1, 32766); };
const auto vni = [] { return integer("VirtualNetworkId", 0, 16777215); };
const auto direction = [] { return choice("TrafficDirection", {"ingress", "egress"}); };
const auto rule_number = [] { return integer("RuleNumber", 1, 32766); };
const auto rule_action = [] { return choice("RuleAction", {"accept", "reject"}); };
const auto protocol = [] { return integer("Protocol", 0, 255); };

std::vector<Action> make_actions() {
    return {
        {"CreateTags", {dry_run(), required(resources()), required(tags())}},
        {"CreateTrafficMirrorFilter",
         {description(), tag_specifications(), dry_run(), client_token()},
         "traffic-mirror-filter"},
        {"CreateTrafficMirrorFilterRule",
         {required(filter_id()), required(direction()), required(rule_number()),
          required(rule_action()), port_range("DestinationPortRange"),
          port_range("SourcePortRange"), protocol(), required(text("DestinationCidrBlock")),
          required(text("SourceCidrBlock")), description(), dry_run(), client_token(),
          tag_specifications()},
         "traffic-mirror-filter-rule"},
        {"CreateTrafficMirrorSession",
         {required(interface_id()), required(target_id()), required(filter_id()), packet_length(),
          required(session_number()), vni(), description(), tag_specifications(), dry_run(),
          client_token()},
         "traffic-mirror-session"},
        {"CreateTrafficMirrorTarget",
         {interface_id(), text("NetworkLoadBalancerArn"), description(), tag_specifications(),
          dry_run(), client_token(), text("GatewayLoadBalancerEndpointId")},
         "traffic-mirror-target"},
        {"DeleteTags", {dry_run(), required(resources()), tags()}},
        {"DeleteTrafficMirrorFilter", {required(filter_id()), dry_run()}},
        {"DeleteTrafficMirrorFilterRule", {required(rule_id()), dry_run()}},
        {"DeleteTrafficMirrorSession", {required(session_id()), dry_run()}},
        {"DeleteTrafficMirrorTarget", {required(target_id()), dry_run()}},
        {"DescribeNetworkInterfaces",
         describe({list("NetworkInterfaceId", text("NetworkInterfaceIds")),
                   unsupported(boolean("IncludeManagedResources"))}),
         "",
         {{"addresses.private-ip-address", "PrivateIpAddresses.PrivateIpAddress"},
          {"addresses.primary", "PrivateIpAddresses.Primary"},
          {"availability-zone", "AvailabilityZone"},
          {"description", "Description"},
          {"interface-type", "InterfaceType"},
          {"ipv6-addresses.ipv6-address", "Ipv6Addresses.Ipv6Address"},
          {"mac-address", "MacAddress"},
          {"network-interface-id", "NetworkInterfaceId"},
          {"owner-id", "OwnerId"},
          {"private-ip-address", "PrivateIpAddresses.PrivateIpAddress"},
          {"subnet-id", "SubnetId"},
          {"tag-key", "TagSet"},
          {"vpc-id", "VpcId"},
          configured("addresses.association.owner-id", "PrivateIpAddresses.Association.IpOwnerId"),
          configured("addresses.association.public-ip", "PrivateIpAddresses.Association.PublicIp"),
          configured("association.allocation-id", "Association.AllocationId"),
          configured("association.association-id", "Association.AssociationId"),
          configured("association.ip-owner-id", "Association.IpOwnerId"),
          configured("association.public-dns-name", "Association.PublicDnsName"),
          configured("association.public-ip", "Association.PublicIp"),
          configured("attachment.attach-time", "Attachment.AttachTime"),
          configured("attachment.attachment-id", "Attachment.AttachmentId"),
          configured("attachment.delete-on-termination", "Attachment.DeleteOnTermination"),
          configured("attachment.device-index", "Attachment.DeviceIndex"),
          configured("attachment.instance-id", "Attachment.InstanceId"),
          configured("attachment.instance-owner-id", "Attachment.InstanceOwnerId"),
          configured("attachment.status", "Attachment.Status"),
          configured("availability-zone-id", "AvailabilityZoneId"),
          configured("group-id", "Groups.GroupId"),
          configured("operator.managed", "Operator.Managed"),
          configured("operator.principal", "Operator.Principal"),
          configured("private-dns-name", "PrivateDnsName"),
          configured("requester-id", "RequesterId"),
          configured("requester-managed", "RequesterManaged"),
          configured("source-dest-check", "SourceDestCheck"),
          configured("status", "Status")}},
        {"DescribeRouteTables",
         describe({list("RouteTableId", text("RouteTableIds"))}, 100),
         "",
         {{"association.gateway-id", "Associations.GatewayId"},
          {"association.main", "Associations.Main"},
          {"association.route-table-association-id", "Associations.RouteTableAssociationId"},
          {"association.route-table-id", "Associations.RouteTableId"},
          {"association.subnet-id", "Associations.SubnetId"},
          {"owner-id", "OwnerId"},
          {"route-table-id", "RouteTableId"},
          {"route.destination-cidr-block", "Routes.DestinationCidrBlock"},
          {"route.destination-ipv6-cidr-block", "Routes.DestinationIpv6CidrBlock"},
          {"route.destination-prefix-list-id", "Routes.DestinationPrefixListId"},
          {"route.egress-only-internet-gateway-id", "Routes.EgressOnlyInternetGatewayId"},
          {"route.gateway-id", "Routes.GatewayId"},
          {"route.instance-id", "Routes.InstanceId"},
          {"route.nat-gateway-id", "Routes.NatGatewayId"},
          {"route.origin", "Routes.Origin"},
          {"route.state", "Routes.State"},
          {"route.transit-gateway-id", "Routes.TransitGatewayId"},
          {"route.vpc-peering-connection-id", "Routes.VpcPeeringConnectionId"},
          {"tag-key", "Tags"},
          {"vpc-id", "VpcId"}}},
        {"DescribeTags",
         describe({}),
         "",
         {{"key", "Key"},
          {"resource-id", "ResourceId"},
          {"resource-type", "ResourceType"},
          {"value", "Value"}}},
        {"DescribeTrafficMirrorFilterRules",
         describe(
             {list("TrafficMirrorFilterRuleId", text("TrafficMirrorFilterRuleIds")), filter_id()}),
         "",
         {{"traffic-mirror-filter-rule-id", "TrafficMirrorFilterRuleId"},
          {"traffic-mirror-filter-id", "TrafficMirrorFilterId"},
          {"rule-number", "RuleNumber"},
          {"rule-action", "RuleAction"},
          {"traffic-direction", "TrafficDirection"},
          {"protocol", "Protocol"},
          {"source-cidr-block", "SourceCidrBlock"},
          {"destination-cidr-block", "DestinationCidrBlock"},
          {"description", "Description"},
          {"tag-key", "Tags"}}},
        {"DescribeTrafficMirrorFilters",
         describe({list("TrafficMirrorFilterId", text("TrafficMirrorFilterIds"))}),
         "",
         {{"description", "Description"},
          {"traffic-mirror-filter-id", "TrafficMirrorFilterId"},
          {"tag-key", "Tags"}}},
        {"DescribeTrafficMirrorSessions",
         describe({list("TrafficMirrorSessionId", text("TrafficMirrorSessionIds"))}),
         "",
         {{"description", "Description"},
          {"network-interface-id", "NetworkInterfaceId"},
          {"owner-id", "OwnerId"},
          {"packet-length", "PacketLength"},
          {"session-number", "SessionNumber"},
          {"traffic-mirror-filter-id", "TrafficMirrorFilterId"},
          {"traffic-mirror-session-id", "TrafficMirrorSessionId"},
          {"traffic-mirror-target-id", "TrafficMirrorTargetId"},
          {"virtual-network-id", "VirtualNetworkId"},
          {"tag-key", "Tags"}}},
        {"DescribeTrafficMirrorTargets",
         describe({list("TrafficMirrorTargetId", text("TrafficMirrorTargetIds"))}),
         "",
         {{"description", "Description"},
          {"network-interface-id", "NetworkInterfaceId"},
          {"network-load-balancer-arn", "NetworkLoadBalancerArn"},
          {"owner-id", "OwnerId"},
          {"traffic-mirror-target-id", "TrafficMirrorTargetId"},
          {"tag-key", "Tags"}}},
        {"DescribeVpcAttribute",
         {required(choice("Attribute", {"enableDnsSupport", "enableDnsHostnames",
                                        "enableNetworkAddressUsageMetrics"})),
          required(text("VpcId")), dry_run()}},
        {"DescribeVpcs",
         describe({list("VpcId", text("VpcIds"))}),
         "",
         {{"cidr", "CidrBlock"},
          {"cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock"},
          {"owner-id", "OwnerId"},
          {"tag-key", "Tags"},
          {"vpc-id", "VpcId"},
          configured("cidr-block-association.association-id",
                     "CidrBlockAssociationSet.AssociationId"),
          configured("cidr-block-association.state",
                     "CidrBlockAssociationSet.CidrBlockState.State"),
          configured("dhcp-options-id", "DhcpOptionsId"),
          configured("ipv6-cidr-block-association.association-id",
                     "Ipv6CidrBlockAssociationSet.AssociationId"),
          configured("ipv6-cidr-block-association.ipv6-cidr-block",
                     "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock"),
          configured("ipv6-cidr-block-association.ipv6-pool",
                     "Ipv6CidrBlockAssociationSet.Ipv6Pool"),
          configured("ipv6-cidr-block-association.state",
                     "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State"),
          configured("is-default", "IsDefault"),
          configured("state", "State")}},
        {"ModifyTrafficMirrorFilterNetworkServices",
         {required(filter_id()), network_services("AddNetworkService", "AddNetworkServices"),
          network_services("RemoveNetworkService", "RemoveNetworkServices"), dry_run()}},
        {"ModifyTrafficMirrorFilterRule",
         {required(rule_id()), direction(), rule_number(), rule_action(),
          port_range("DestinationPortRange"), port_range("SourcePortRange"), protocol(),
          text("DestinationCidrBlock"), text("SourceCidrBlock"), description(),
          list("RemoveField", choice("RemoveFields", {"destination-port-range", "source-port-range",
                                                      "protocol", "description"})),
          dry_run()}},
        {"ModifyTrafficMirrorSession",
         {required(session_id()), target_id(), filter_id(), packet_length(), session_number(),
          vni(), description(),
          list("RemoveField",
               choice("RemoveFields", {"packet-length", "description", "virtual-network-id"})),
          dry_run()}},
    };
}

[[noreturn]] void fail(ErrorCode code, const std::string& message) {
    throw RequestError(code, message);
}

/// How many characters a string has; -1: it is not UTF-8, or has a character that XML 1.0 does not
/// allow.
std::int64_t characters(const std::string& text) {
    std::int64_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++count) {
        const auto length = xml_character(text, i);
        if (length == 0) return -1;
        i += length;
    }
    return count;
}

void check_string(const Parameter& p, const Json& value, const std::string& path) {
    if (!value.is_string())
        fail(ErrorCode::invalid_parameter_value, path + ": " + shown(value) + " is not a string");
    const auto count = characters(value.get_ref<const std::string&>());
    if (count < 0)
        fail(ErrorCode::invalid_parameter_value,
             path + ": " + shown(value) + " holds what is not UTF-8 or no XML 1.0 character");
    if (!p.values.empty() && std::find(p.values.begin(), p.values.end(),
                                       value.get_ref<const std::string&>()) == p.values.end()) {
        std::string all;
        for (const auto& one : p.values) all += (all.empty() ? "" : ", ") + one;
        fail(ErrorCode::invalid_parameter_value, path + ": " + shown(value) + " is none of " + all);
    }
    if (p.type == Type::string && (count < p.minimum || count > p.maximum))
        fail(ErrorCode::invalid_parameter_value,
             path + ": " + shown(value) + " has " + std::to_string(count) +
                 " characters; allowed are " + std::to_string(p.minimum) + " to " +
                 std::to_string(p.maximum));
}

void check_integer(const Parameter& p, const Json& value, const std::string& path) {
    const auto range = std::to_string(p.minimum) + " to " + std::to_string(p.maximum);
    if (!value.is_number_integer())
        fail(ErrorCode::invalid_parameter_value,
             path + ": " + shown(value) + " is not a whole number from " + range);
    const bool huge =
        value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t(p.maximum);
    if (huge || value.get<std::int64_t>() < p.minimum || value.get<std::int64_t>() > p.maximum)
        fail(ErrorCode::invalid_parameter_value,
             path + ": " + shown(value) + " is not in " + range);
}

Json check_structure(const std::vector<Parameter>& members, const Json& value,
                     const std::string& path);

/// Checks a value. @return the value as it must be taken; null: it is empty, and could not be sent
Json check_value(const Parameter& p, const Json& value, const std::string& path) {
    switch (p.type) {
        case Type::boolean:
            if (!value.is_boolean())
                fail(ErrorCode::invalid_parameter_value,
                     path + ": " + shown(value) + " is neither true nor false");
            return value;
        case Type::integer:
            check_integer(p, value, path);
            return value;
        case Type::string:
        case Type::timestamp:
            check_string(p, value, path);
            return value;
        case Type::structure:
            if (value.is_object() && value.empty()) return nullptr;
            return check_structure(p.members, value, path);
        case Type::string_list:
        case Type::structure_list:
            break;
    }
    if (!value.is_array())
        fail(ErrorCode::invalid_parameter_value, path + ": " + shown(value) + " is not a list");
    if (std::int64_t(value.size()) > p.maximum)
        fail(ErrorCode::invalid_parameter_value, path + ": " + std::to_string(value.size()) +
                                                     " elements; allowed are " +
                                                     std::to_string(p.maximum));
    Json out = Json::array();
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto at = path + "[" + std::to_string(i) + "]";
        if (p.type == Type::structure_list) {
            out.push_back(check_structure(p.members, value[i], at));
        } else {
            check_string(p, value[i], at);
            out.push_back(value[i]);
        }
    }
    return out.empty() ? Json() : out;
}

void check_names(const std::vector<Parameter>& members, const Json& value,
                 const std::string& path) {
    if (!value.is_object())
        fail(ErrorCode::invalid_parameter_value, (path.empty() ? "the parameters: " : path + ": ") +
                                                     shown(value) + " is not a structure");
    for (const auto& [name, member] : value.items()) {
        const auto at = (path.empty() ? "" : path + ".") + name;
        const auto known = std::find_if(members.begin(), members.end(),
                                        [&n = name](const auto& p) { return p.name == n; });
        if (known == members.end())
            fail(ErrorCode::unknown_parameter, shown(at) + " is no parameter of this action");
        if (!known->supported) fail(ErrorCode::unsupported_operation, at + " is not supported");
        if (known->type == Type::structure && member.is_object())
            check_names(known->members, member, at);
        if (known->type == Type::structure_list && member.is_array())
            for (std::size_t i = 0; i < member.size(); ++i)
                check_names(known->members, member[i], at + "[" + std::to_string(i) + "]");
    }
}

Json check_structure(const std::vector<Parameter>& members, const Json& value,
                     const std::string& path) {
    if (!value.is_object())
        fail(ErrorCode::invalid_parameter_value,
             path + ": " + shown(value) + " is not a structure");
    Json out = Json::object();
    for (const auto& p : members) {
        const auto at = (path.empty() ? "" : path + ".") + p.name;
        const auto member = value.find(p.name);
        Json checked = member == value.end() ? Json() : check_value(p, *member, at);
        if (!checked.is_null())
            out[p.name] = std::move(checked);
        else if (p.required)
            fail(ErrorCode::missing_parameter, at + " is required");
    }
    return out;
}

void check_tags(const Json& tags, const std::string& path, bool distinct) {
    std::set<std::string> keys;
    for (std::size_t i = 0; i < tags.size(); ++i) {
        const auto at = path + "[" + std::to_string(i) + "].Key: ";
        const auto& key = tags[i]["Key"].get_ref<const std::string&>();
        const auto count = characters(key);
        std::string start = key.substr(0, 4);
        for (char& c : start) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
        if (count < 1 || count > 127)
            fail(ErrorCode::tag_key_malformed, at + shown(key) + " has " + std::to_string(count) +
                                                   " characters; allowed are 1 to 127");
        if (start == "aws:")
            fail(ErrorCode::tag_key_malformed, at + shown(key) + ": aws: is reserved");
        if (!keys.insert(key).second && distinct)
            fail(ErrorCode::invalid_parameter_value, at + shown(key) + " appears twice");
    }
}

void check_filters(const Action& action, const Json& filters) {
    constexpr std::size_t filter_limit = 50, value_limit = 200;
    if (filters.size() > filter_limit)
        fail(ErrorCode::describe_filter_limit, "Filters: there are " +
                                                   std::to_string(filters.size()) +
                                                   "; allowed are " + std::to_string(filter_limit));
    for (const auto& filter : filters) {
        if (filter["Values"].size() > value_limit)
            fail(ErrorCode::describe_filter_limit, "Filters: " + shown(filter["Name"]) + " has " +
                                                       std::to_string(filter["Values"].size()) +
                                                       " values; allowed are " +
                                                       std::to_string(value_limit));
        const auto& name = filter["Name"].get_ref<const std::string&>();
        if (name.compare(0, 4, "tag:") == 0 && name.size() > 4) continue;
        const auto known = std::find_if(action.filters.begin(), action.filters.end(),
                                        [&](const auto& f) { return f.name == name; });
        if (known == action.filters.end())
            fail(ErrorCode::invalid_parameter_value,
                 "Filters: " + shown(name) + " is no filter of " + action.name);
    }
}

}  // namespace

const std::vector<Action>& actions() {
    static const std::vector<Action> table = make_actions();
    return table;
}

const Action* find_action(const std::string& name) {
    const auto at = std::find_if(actions().begin(), actions().end(),
                                 [&](const Action& action) { return action.name == name; });
    return at == actions().end() ? nullptr : &*at;
}

Json checked_parameters(const Action& action, const Json& parameters) {
    check_names(action.parameters, parameters, "");
    Json out = check_structure(action.parameters, parameters, "");

    if (const auto token = out.find("ClientToken"); token != out.end())
        for (const char c : token->get_ref<const std::string&>())
            if (static_cast<unsigned char>(c) > 0x7e)
                fail(ErrorCode::invalid_parameter_value,
                     "ClientToken: " + shown(*token) + " holds what is not ASCII");
    if (out.contains("Tags")) check_tags(out["Tags"], "Tags", action.name != "DeleteTags");
    if (out.contains("Filters")) check_filters(action, out["Filters"]);
    if (const auto specifications = out.find("TagSpecifications"); specifications != out.end()) {
        Json all = Json::array();
        for (std::size_t i = 0; i < specifications->size(); ++i) {
            const auto& one = (*specifications)[i];
            if (one["ResourceType"] != action.tagged)
                fail(ErrorCode::invalid_parameter_value,
                     "TagSpecifications[" + std::to_string(i) + "].ResourceType: " +
                         shown(one["ResourceType"]) + " is not " + action.tagged);
            for (const auto& tag : one["Tags"]) all.push_back(tag);
        }
        check_tags(all, "TagSpecifications.Tags", true);
    }
    return out;
}

}  // namespace mirrornic
