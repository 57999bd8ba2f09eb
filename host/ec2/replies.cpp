// SPDX-License-Identifier: Apache-2.0
#include "host/ec2/replies.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace mirrornic {
namespace {

using Type = ParameterType;

using Members = std::vector<ReplyMember>;

std::string lower_camel(std::string name) {
    name[0] = char(name[0] - 'A' + 'a');
    return name;
}

ReplyMember text(const char* name) { return {name, lower_camel(name), Type::string}; }
ReplyMember integer(const char* name) { return {name, lower_camel(name), Type::integer}; }
ReplyMember boolean(const char* name) { return {name, lower_camel(name), Type::boolean}; }
ReplyMember timestamp(const char* name) { return {name, lower_camel(name), Type::timestamp}; }
ReplyMember structure(const char* name, const Members& members) {
    return {name, lower_camel(name), Type::structure, members};
}
ReplyMember list(const char* name, const char* wire, const Members& members = {}) {
    return {name, wire, members.empty() ? Type::string_list : Type::structure_list, members};
}

ReplyMember tags(const char* name = "Tags") {
    return list(name, "tagSet", {text("Key"), text("Value")});
}

Members target() {
    return {text("TrafficMirrorTargetId"),
            text("NetworkInterfaceId"),
            text("NetworkLoadBalancerArn"),
            text("Type"),
            text("Description"),
            text("OwnerId"),
            tags(),
            text("GatewayLoadBalancerEndpointId")};
}

Members rule() {
    const auto range = [](const char* name) {
        return structure(name, {integer("FromPort"), integer("ToPort")});
    };
    return {text("TrafficMirrorFilterRuleId"),
            text("TrafficMirrorFilterId"),
            text("TrafficDirection"),
            integer("RuleNumber"),
            text("RuleAction"),
            integer("Protocol"),
            range("DestinationPortRange"),
            range("SourcePortRange"),
            text("DestinationCidrBlock"),
            text("SourceCidrBlock"),
            text("Description"),
            tags()};
}

Members filter() {
    return {text("TrafficMirrorFilterId"),
            list("IngressFilterRules", "ingressFilterRuleSet", rule()),
            list("EgressFilterRules", "egressFilterRuleSet", rule()),
            list("NetworkServices", "networkServiceSet"),
            text("Description"),
            tags()};
}

Members session() {
    return {text("TrafficMirrorSessionId"),
            text("TrafficMirrorTargetId"),
            text("TrafficMirrorFilterId"),
            text("NetworkInterfaceId"),
            text("OwnerId"),
            integer("PacketLength"),
            integer("SessionNumber"),
            integer("VirtualNetworkId"),
            text("Description"),
            tags()};
}

Members association() {
    return {text("AllocationId"), text("AssociationId"),   text("IpOwnerId"), text("PublicDnsName"),
            text("PublicIp"),     text("CustomerOwnedIp"), text("CarrierIp")};
}

Members attachment() {
    return {timestamp("AttachTime"),
            text("AttachmentId"),
            boolean("DeleteOnTermination"),
            integer("DeviceIndex"),
            integer("NetworkCardIndex"),
            text("InstanceId"),
            text("InstanceOwnerId"),
            text("Status"),
            structure("EnaSrdSpecification",
                      {boolean("EnaSrdEnabled"),
                       structure("EnaSrdUdpSpecification", {boolean("EnaSrdUdpEnabled")})}),
            integer("EnaQueueCount")};
}

Members interface() {
    return {
        structure("Association", association()),
        structure("Attachment", attachment()),
        text("AvailabilityZone"),
        structure(
            "ConnectionTrackingConfiguration",
            {integer("TcpEstablishedTimeout"), integer("UdpStreamTimeout"), integer("UdpTimeout")}),
        text("Description"),
        list("Groups", "groupSet", {text("GroupId"), text("GroupName")}),
        text("InterfaceType"),
        list("Ipv6Addresses", "ipv6AddressesSet",
             {text("Ipv6Address"), text("PublicIpv6DnsName"), boolean("IsPrimaryIpv6")}),
        text("MacAddress"),
        text("NetworkInterfaceId"),
        text("OutpostArn"),
        text("OwnerId"),
        text("PrivateDnsName"),
        text("PublicDnsName"),
        structure("PublicIpDnsNameOptions",
                  {text("DnsHostnameType"), text("PublicIpv4DnsName"), text("PublicIpv6DnsName"),
                   text("PublicDualStackDnsName")}),
        text("PrivateIpAddress"),
        list("PrivateIpAddresses", "privateIpAddressesSet",
             {structure("Association", association()), boolean("Primary"), text("PrivateDnsName"),
              text("PrivateIpAddress")}),
        list("Ipv4Prefixes", "ipv4PrefixSet", {text("Ipv4Prefix")}),
        list("Ipv6Prefixes", "ipv6PrefixSet", {text("Ipv6Prefix")}),
        text("RequesterId"),
        boolean("RequesterManaged"),
        boolean("SourceDestCheck"),
        text("Status"),
        text("SubnetId"),
        tags("TagSet"),
        text("VpcId"),
        boolean("DenyAllIgwTraffic"),
        boolean("Ipv6Native"),
        text("Ipv6Address"),
        structure("Operator", {boolean("Managed"), text("Principal"), boolean("HiddenByDefault")}),
        list("AssociatedSubnets", "associatedSubnetSet"),
        text("AvailabilityZoneId")};
}

Members state() { return {text("State"), text("StatusMessage")}; }

Members vpc() {
    const auto exclusion = [](const char* name) {
        return structure(name, {text("State"), text("StateMessage")});
    };
    return {
        text("OwnerId"),
        text("InstanceTenancy"),
        list("Ipv6CidrBlockAssociationSet", "ipv6CidrBlockAssociationSet",
             {text("AssociationId"), text("Ipv6CidrBlock"),
              structure("Ipv6CidrBlockState", state()), text("NetworkBorderGroup"),
              text("Ipv6Pool"), text("Ipv6AddressAttribute"), text("IpSource")}),
        list("CidrBlockAssociationSet", "cidrBlockAssociationSet",
             {text("AssociationId"), text("CidrBlock"), structure("CidrBlockState", state())}),
        boolean("IsDefault"),
        structure("EncryptionControl",
                  {text("VpcId"), text("VpcEncryptionControlId"), text("Mode"), text("State"),
                   text("StateMessage"),
                   structure("ResourceExclusions",
                             {exclusion("InternetGateway"), exclusion("EgressOnlyInternetGateway"),
                              exclusion("NatGateway"), exclusion("VirtualPrivateGateway"),
                              exclusion("VpcPeering"), exclusion("Lambda"), exclusion("VpcLattice"),
                              exclusion("ElasticFileSystem"), exclusion("GlobalAccelerator"),
                              exclusion("ApiGatewayV2")}),
                   tags()}),
        tags(),
        structure("BlockPublicAccessStates", {text("InternetGatewayBlockMode")}),
        text("VpcId"),
        text("State"),
        text("CidrBlock"),
        text("DhcpOptionsId")};
}

Members route_table() {
    return {list("Associations", "associationSet",
                 {boolean("Main"), text("RouteTableAssociationId"), text("RouteTableId"),
                  text("SubnetId"), text("GatewayId"), text("PublicIpv4Pool"),
                  structure("AssociationState", state())}),
            list("PropagatingVgws", "propagatingVgwSet", {text("GatewayId")}),
            text("RouteTableId"),
            list("Routes", "routeSet",
                 {text("DestinationCidrBlock"), text("DestinationIpv6CidrBlock"),
                  text("DestinationPrefixListId"), text("EgressOnlyInternetGatewayId"),
                  text("GatewayId"), text("InstanceId"), text("InstanceOwnerId"),
                  text("NatGatewayId"), text("TransitGatewayId"), text("LocalGatewayId"),
                  text("CarrierGatewayId"), text("NetworkInterfaceId"), text("Origin"),
                  text("State"), text("VpcPeeringConnectionId"), text("CoreNetworkArn"),
                  text("OdbNetworkArn"), text("IpAddress")}),
            tags(),
            text("VpcId"),
            text("OwnerId")};
}

Members vpc_attributes() {
    const auto value = [](const char* name) { return structure(name, {boolean("Value")}); };
    return {value("EnableDnsHostnames"), value("EnableDnsSupport"),
            value("EnableNetworkAddressUsageMetrics"), text("VpcId")};
}

Members created(const char* name, const Members& members) {
    return {structure(name, members), text("ClientToken")};
}

Members described(const char* name, const char* wire, const Members& members) {
    return {list(name, wire, members), text("NextToken")};
}

std::map<std::string, Members> make_replies() {
    return {
        {"CreateTags", {}},
        {"CreateTrafficMirrorFilter", created("TrafficMirrorFilter", filter())},
        {"CreateTrafficMirrorFilterRule", created("TrafficMirrorFilterRule", rule())},
        {"CreateTrafficMirrorSession", created("TrafficMirrorSession", session())},
        {"CreateTrafficMirrorTarget", created("TrafficMirrorTarget", target())},
        {"DeleteTags", {}},
        {"DeleteTrafficMirrorFilter", {text("TrafficMirrorFilterId")}},
        {"DeleteTrafficMirrorFilterRule", {text("TrafficMirrorFilterRuleId")}},
        {"DeleteTrafficMirrorSession", {text("TrafficMirrorSessionId")}},
        {"DeleteTrafficMirrorTarget", {text("TrafficMirrorTargetId")}},
        {"DescribeNetworkInterfaces",
         described("NetworkInterfaces", "networkInterfaceSet", interface())},
        {"DescribeRouteTables", described("RouteTables", "routeTableSet", route_table())},
        {"DescribeTags",
         described("Tags", "tagSet",
                   {text("Key"), text("ResourceId"), text("ResourceType"), text("Value")})},
        {"DescribeTrafficMirrorFilterRules",
         described("TrafficMirrorFilterRules", "trafficMirrorFilterRuleSet", rule())},
        {"DescribeTrafficMirrorFilters",
         described("TrafficMirrorFilters", "trafficMirrorFilterSet", filter())},
        {"DescribeTrafficMirrorSessions",
         described("TrafficMirrorSessions", "trafficMirrorSessionSet", session())},
        {"DescribeTrafficMirrorTargets",
         described("TrafficMirrorTargets", "trafficMirrorTargetSet", target())},
        {"DescribeVpcAttribute", vpc_attributes()},
        {"DescribeVpcs", described("Vpcs", "vpcSet", vpc())},
        {"ModifyTrafficMirrorFilterNetworkServices", {structure("TrafficMirrorFilter", filter())}},
        {"ModifyTrafficMirrorFilterRule", {structure("TrafficMirrorFilterRule", rule())}},
        {"ModifyTrafficMirrorSession", {structure("TrafficMirrorSession", session())}},
    };
}

}  // namespace

const std::vector<ReplyMember>& reply_members(const Action& action) {
    static const std::map<std::string, Members> replies = make_replies();
    return replies.at(action.name);
}

const std::vector<ReplyMember>& listed_members(const std::string& action) {
    return reply_members(*find_action(action)).front().members;
}

const ReplyMember* find_member(const std::vector<ReplyMember>& members, const std::string& name) {
    const auto at = std::find_if(members.begin(), members.end(),
                                 [&](const ReplyMember& member) { return member.name == name; });
    return at == members.end() ? nullptr : &*at;
}

const ReplyMember& member_at(const std::vector<ReplyMember>& members, const std::string& path) {
    const auto dot = path.find('.');
    const auto* member = find_member(members, path.substr(0, dot));
    if (!member) throw std::logic_error(path + " is in no reply");
    return dot == std::string::npos ? *member : member_at(member->members, path.substr(dot + 1));
}

}  // namespace mirrornic
