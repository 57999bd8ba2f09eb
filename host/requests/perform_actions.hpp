// SPDX-License-Identifier: Apache-2.0
/// What each action does with parameters that action_table.hpp has checked. It checks existence,
/// state and quota, in this order (S5), and makes the reply and the change. Nothing here applies
/// the change: Requests does.
#pragma once

#include <cstdio>

#include "host/requests/request_service.hpp"

namespace mirrornic {

/// What an action reads, and the generator from which it draws ids and VNIs.
struct Context {
    const Account& account;
    const Settings& settings;
    std::mt19937_64& generator;

    std::string new_id(const char* prefix) const {
        char digits[18];
        std::string id;
        do {
            std::snprintf(digits, sizeof digits, "0%016llx",
                          static_cast<unsigned long long>(generator()));
            id = std::string(prefix) + digits;
        } while (account.object(id));
        return id;
    }
    std::uint32_t new_vni() const {
        std::uint32_t vni;
        do vni = std::uint32_t(generator() & 0xffffff);
        while (account.vni_in_use(vni));
        return vni;
    }
};

/// What an action replies, and the change that it asks for.
struct Effect {
    Json reply = Json::object();
    Change change = {};
    std::shared_ptr<Listing> listing = nullptr;  ///< of a Describe, instead of `reply`
};

/// What an action does beyond the parameter table.
struct Handler {
    const char* action;
    void (*check)(const Json& parameters);  ///< looks at parameters only; null: nothing to check
    Effect (*perform)(const Context& context, const Json& parameters);
};

const Handler& handler_of(const Action& action);

/// A string member, which must be present.
inline const std::string& text(const Json& parameters, const char* name) {
    return parameters.at(name).get_ref<const std::string&>();
}

/// The object that a parameter names. @throws RequestError with `not_found`.
template <class Objects>
const auto& existing(const Objects& objects, const Json& parameters, const char* name,
                     ErrorCode not_found) {
    if (const auto* object = objects.find(text(parameters, name))) return *object;
    throw RequestError(not_found,
                       std::string(name) + ": " + shown(parameters[name]) + " does not exist");
}

/// The member that names a target's interface, load balancer or endpoint.
struct TargetMember {
    const char* name;
    ErrorCode not_found;
    const char* type;  ///< as Type shows it
};
const TargetMember& member_of(TargetType type);

/// botocore's output shape of an object.
Json reply_of(const Account& account, const TrafficMirrorTarget& target);
Json reply_of(const Account& account, const TrafficMirrorFilter& filter);
Json reply_of(const Account& account, const TrafficMirrorFilterRule& rule);
Json reply_of(const Account& account, const TrafficMirrorSession& session);
/// What was configured of it, and nothing else.
Json reply_of(const Account& account, const NetworkInterface& interface);
Json reply_of(const Account& account, const RouteTable& table);
Json reply_of(const Account& account, const Vpc& vpc);

/// The Describe actions, with filters and paging (S9).
Effect describe_filters(const Context& context, const Json& parameters);
Effect describe_interfaces(const Context& context, const Json& parameters);
Effect describe_route_tables(const Context& context, const Json& parameters);
Effect describe_rules(const Context& context, const Json& parameters);
Effect describe_sessions(const Context& context, const Json& parameters);
Effect describe_tags(const Context& context, const Json& parameters);
Effect describe_targets(const Context& context, const Json& parameters);
Effect describe_vpc_attribute(const Context& context, const Json& parameters);
Effect describe_vpcs(const Context& context, const Json& parameters);

}  // namespace mirrornic
