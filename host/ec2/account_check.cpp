// SPDX-License-Identifier: Apache-2.0
#include "host/ec2/account_check.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <tuple>

#include "host/ec2/action_table.hpp"
#include "host/ec2/request_error.hpp"

namespace mirrornic {
namespace {

[[noreturn]] void fail(const std::string& object, const std::string& why) {
    throw std::invalid_argument(object + ": " + why);
}

template <class T>
void add(Json& parameters, const char* name, const std::optional<T>& value) {
    if (value) parameters[name] = *value;
}

void add(Json& parameters, const char* name, const std::optional<PortRange>& range) {
    if (range) parameters[name] = {{"FromPort", range->from}, {"ToPort", range->to}};
}

/// Checks an object as the parameters of the request that would make it.
template <class T>
void check_parameters(const char* action, const T& object, Json parameters) {
    const Action& made_by = *find_action(action);
    add(parameters, "Description", object.description);
    if (!object.tags.empty()) {
        // A tag that begins with "aws:" may come from a configuration, though no request may make
        // it.
        Json tags = Json::array();
        for (const auto& [key, value] : object.tags)
            tags.push_back({{"Key", key.compare(0, 4, "aws:") == 0 ? "_" + key.substr(4) : key},
                            {"Value", value}});
        parameters["TagSpecifications"] =
            Json::array({{{"ResourceType", made_by.tagged}, {"Tags", tags}}});
    }
    try {
        checked_parameters(made_by, parameters);
    } catch (const RequestError& error) {
        fail(object.id, error.what());
    }
}

void check_id(const std::string& object, const char* member, const std::string& id,
              const char* prefix) {
    if (!is_id(id, prefix))
        fail(object,
             std::string(member) + ": " + shown(id) + " is not an id that starts with " + prefix);
}

/// Checks the account that an object belongs to, if it is given: a configuration need not say it.
void check_owner(const std::string& object, const std::string& owner) {
    if (!owner.empty() &&
        (owner.size() != 12 || owner.find_first_not_of("0123456789") != std::string::npos))
        fail(object, "OwnerId: " + shown(owner) + " is not 12 digits");
}

template <class T>
void check_reference(const std::string& object, const char* member, const std::string& id,
                     const Ordered<T>& objects) {
    if (!objects.find(id)) fail(object, std::string(member) + ": " + shown(id) + " does not exist");
}

void check(const Account&, const TrafficMirrorTarget& target) {
    check_id(target.id, "TrafficMirrorTargetId", target.id, "tmt-");
    check_owner(target.id, target.owner_id);
    Json parameters = Json::object();
    switch (target.type) {
        case TargetType::network_interface:
            check_id(target.id, "NetworkInterfaceId", target.address, "eni-");
            parameters["NetworkInterfaceId"] = target.address;
            break;
        case TargetType::network_load_balancer:
            if (!load_balancer_of(target.address))
                fail(target.id, "NetworkLoadBalancerArn: " + shown(target.address) +
                                    " is no ARN of a network load balancer");
            parameters["NetworkLoadBalancerArn"] = target.address;
            break;
        case TargetType::gateway_load_balancer_endpoint:
            check_id(target.id, "GatewayLoadBalancerEndpointId", target.address, "vpce-");
            parameters["GatewayLoadBalancerEndpointId"] = target.address;
            break;
    }
    check_parameters("CreateTrafficMirrorTarget", target, std::move(parameters));
}

void check(const Account&, const TrafficMirrorFilter& filter) {
    check_id(filter.id, "TrafficMirrorFilterId", filter.id, "tmf-");
    check_parameters("CreateTrafficMirrorFilter", filter, Json::object());
}

void check(const Account& account, const TrafficMirrorFilterRule& rule) {
    check_id(rule.id, "TrafficMirrorFilterRuleId", rule.id, "tmfr-");
    check_reference(rule.id, "TrafficMirrorFilterId", rule.filter_id, account.filters());
    Json parameters = {
        {"TrafficMirrorFilterId", rule.filter_id},
        {"TrafficDirection", rule.direction == Direction::ingress ? "ingress" : "egress"},
        {"RuleNumber", rule.number},
        {"RuleAction", rule.accept ? "accept" : "reject"},
        {"SourceCidrBlock", rule.source.to_string()},
        {"DestinationCidrBlock", rule.destination.to_string()}};
    add(parameters, "Protocol", rule.protocol);
    add(parameters, "SourcePortRange", rule.source_ports);
    add(parameters, "DestinationPortRange", rule.destination_ports);
    check_parameters("CreateTrafficMirrorFilterRule", rule, std::move(parameters));
    if (const auto fault = fault_of(rule)) fail(rule.id, fault->sentence);
}

void check(const Account& account, const TrafficMirrorSession& session) {
    check_id(session.id, "TrafficMirrorSessionId", session.id, "tms-");
    check_id(session.id, "NetworkInterfaceId", session.interface_id, "eni-");
    check_reference(session.id, "TrafficMirrorTargetId", session.target_id, account.targets());
    check_reference(session.id, "TrafficMirrorFilterId", session.filter_id, account.filters());
    check_owner(session.id, session.owner_id);
    Json parameters = {{"NetworkInterfaceId", session.interface_id},
                       {"TrafficMirrorTargetId", session.target_id},
                       {"TrafficMirrorFilterId", session.filter_id},
                       {"SessionNumber", session.number},
                       {"VirtualNetworkId", session.vni}};
    add(parameters, "PacketLength", session.packet_length);
    check_parameters("CreateTrafficMirrorSession", session, std::move(parameters));
}

}  // namespace

void check_account(const Account& account) {
    for (const auto& [_, target] : account.targets()) check(account, target);
    for (const auto& [_, filter] : account.filters()) check(account, filter);
    std::map<std::tuple<std::string, Direction, std::uint16_t>, const std::string*> rules;
    for (const auto& [_, rule] : account.rules()) {
        check(account, rule);
        const auto [other, free] =
            rules.emplace(std::tuple(rule.filter_id, rule.direction, rule.number), &rule.id);
        if (!free)
            fail(rule.id, "RuleNumber: " + std::to_string(rule.number) + " of " + rule.filter_id +
                              " is taken by " + *other->second);
    }
    std::map<std::pair<std::string, std::uint16_t>, const std::string*> sessions;
    for (const auto& [_, session] : account.sessions()) {
        check(account, session);
        const auto [other, free] =
            sessions.emplace(std::pair(session.interface_id, session.number), &session.id);
        if (!free)
            fail(session.id, "SessionNumber: " + std::to_string(session.number) + " of " +
                                 session.interface_id + " is taken by " + *other->second);
    }
}

void check_token(const TokenRecord& record) {
    const std::string object =
        "client token " + shown(record.token) + " of " + shown(record.action);
    const Action* action = find_action(record.action);
    const bool takes_tokens =
        action && std::any_of(action->parameters.begin(), action->parameters.end(),
                              [](const Parameter& p) { return p.name == "ClientToken"; });
    if (!takes_tokens) fail(object, "the action takes no client tokens");
    if (record.token.empty() || record.token.size() > 64 ||
        std::any_of(record.token.begin(), record.token.end(),
                    [](char c) { return static_cast<unsigned char>(c) > 0x7e; }))
        fail(object, "the token is not 1 to 64 ASCII characters");
    if (!Json::accept(record.parameters)) fail(object, "its parameters are not JSON");
    if (!Json::accept(record.reply) || record.reply.front() != '{')
        fail(object, "its reply is not a JSON object");
}

}  // namespace mirrornic
