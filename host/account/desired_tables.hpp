// SPDX-License-Identifier: Apache-2.0
/// Works out, from the account's state, the tables that the device must hold.
/// Source: docs/behaviour.md rules P8, P14 to P17, S1, S3, S4, S8, H2.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "driver/mirror_device.hpp"
#include "host/account/account.hpp"

namespace mirrornic {

/// How copies get from a source to a target.
struct Route {
    /// The interface that gets the copies; not null. Of several interfaces that stand for a load
    /// balancer or endpoint it is the first one in the source's zone, or else the first of all.
    const NetworkInterface* target = nullptr;
    /// IPv4 if both have IPv4, otherwise the first IPv6 address of each.
    IpAddress source_address, target_address;
};

/// Nothing: no interface stands for the target, or none has an IP version that the source has.
std::optional<Route> route(const Account& account, const NetworkInterface& source,
                           const TrafficMirrorTarget& target);

/// Bytes after the VXLAN header that a session mirrors at most; absent: the whole frame (S1).
std::optional<std::uint16_t> effective_packet_length(const TrafficMirrorSession& session,
                                                     const TrafficMirrorTarget& target);

/// How many bytes an outer IP packet may have to a target of this type, if this interface stands
/// for the target (P14).
std::uint16_t effective_mtu(TargetType type, const NetworkInterface& interface);

/// The address of the DNS resolver of an interface's VPC (P8); nothing: its VPC is not known.
std::optional<IpAddress> resolver(const Account& account, const NetworkInterface& interface);

/// The interfaces that have a session, all filters, and all sessions that have a route. A session
/// without a route stays in the account and mirrors nothing. Keys are the ids.
TableState table_state(const Account& account);

/// Those sessions of an interface that have a route.
std::vector<Session> routed_sessions(const Account& account, const std::string& interface);

/// Interfaces that wait, because the device has no room for their sessions (H2): interface id, and
/// a sentence that says which table is full and what to do.
using Waiting = std::map<std::string, std::string>;

/// How much room is left in the device's tables, counted without making a plan (T1, S3).
class Room {
public:
    Room(const TableSizes& sizes, const TableState& taken);
    /// Takes the room for one interface's sessions, for all of them or none (H2).
    /// @param tables has the sessions' filters
    /// @return a sentence: which table is full and what to do; nothing: the room was taken
    std::optional<std::string> take(const std::vector<Session>& sessions, const TableState& tables);
    /// Whether there is no room for any further interface, whatever its sessions are.
    bool full() const;

private:
    TableSizes sizes_;
    std::size_t interfaces_, sessions_;
    std::set<std::string> filters_;
};

/// Removes from `tables`, which are table_state(account), what the device has no room for. Room is
/// given to interfaces in the order of their oldest sessions, to all sessions of one or to none.
/// @return the interfaces whose sessions were removed
Waiting fit(TableState& tables, const Account& account, const TableSizes& sizes);

/// Brings `tables` up to date after `change` was applied to `account`, and adds to `touched` what
/// may have changed in them. Sessions of waiting interfaces stay out. @param inverse what apply()
/// returned
void refresh(TableState& tables, Touched& touched, const Account& account, const Waiting& waiting,
             const Change& change, const Change& inverse);
/// The same for one interface, after it was added to `waiting` or removed from it.
void refresh(TableState& tables, Touched& touched, const Account& account, const Waiting& waiting,
             const std::string& interface);

/// The ids of waiting interfaces, in the order of their oldest sessions.
std::vector<std::string> in_order(const Waiting& waiting, const Account& account);

/// Why a session has no route, and what to do; nothing when it has one.
std::optional<std::string> why_no_route(const Account& account,
                                        const TrafficMirrorSession& session);

}  // namespace mirrornic
