// SPDX-License-Identifier: Apache-2.0
/// From the account's state to the tables that the device is to hold.
/// Source: docs/behaviour.md rules P8, P14 to P17, S1, S3, S4, S8, H2.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "driver/mirror_device.hpp"
#include "host/account/account.hpp"

namespace mirrornic {

/// The packets' way from a source to a target.
struct Route {
    const NetworkInterface* target = nullptr;  ///< of a load balancer or endpoint: the one in the
                                               ///< source's zone, if there is one, else the first
    IpAddress source_address,
        target_address;  ///< IPv4 if both have it, else the first IPv6 of each
};

/// Nothing when the target stands for no interface, or none shares an IP version with the source.
std::optional<Route> route(const Account& account, const NetworkInterface& source,
                           const TrafficMirrorTarget& target);

/// Bytes after the VXLAN header that a session mirrors at most; absent: the whole frame (S1).
std::optional<std::uint16_t> effective_packet_length(const TrafficMirrorSession& session,
                                                     const TrafficMirrorTarget& target);

/// Bytes of an outer IP packet to a target of this type that this interface stands for (P14).
std::uint16_t effective_mtu(TargetType type, const NetworkInterface& interface);

/// The IPv4 resolver of an interface whose VPC is known (P8).
std::optional<IpAddress> resolver(const Account& account, const NetworkInterface& interface);

/// The interfaces that have a session, all filters, and all sessions that have a route; a session
/// without one stays in the account and mirrors nothing. Keys are the ids.
TableState table_state(const Account& account);

/// Those sessions of an interface that have a route.
std::vector<Session> routed_sessions(const Account& account, const std::string& interface);

/// Interfaces whose sessions find no room in the device (H2), each with a sentence: which table
/// lacks room and what to do.
using Waiting = std::map<std::string, std::string>;

/// What is taken of the device's tables and what is left, counted without a plan (T1, S3).
class Room {
public:
    Room(const TableSizes& sizes, const TableState& taken);
    /// Takes the room of one interface's sessions, all or none (H2).
    /// @param tables with the sessions' filters
    /// @return which table lacks room and what to do; nothing: it was taken
    std::optional<std::string> take(const std::vector<Session>& sessions, const TableState& tables);
    /// Whether no further interface fits, whatever its sessions are.
    bool full() const;

private:
    TableSizes sizes_;
    std::size_t interfaces_, sessions_;
    std::set<std::string> filters_;
};

/// Leaves in `tables`, which are table_state(account), what the device has room for: interfaces in
/// the order of their oldest sessions, each with all of its sessions or none.
Waiting fit(TableState& tables, const Account& account, const TableSizes& sizes);

/// Brings `tables` up to date after `change`, which `inverse` takes back, was applied to `account`,
/// and adds to `touched` what it looked at. Sessions of waiting interfaces stay out.
void refresh(TableState& tables, Touched& touched, const Account& account, const Waiting& waiting,
             const Change& change, const Change& inverse);
/// The same of one interface, after it began or ceased to wait.
void refresh(TableState& tables, Touched& touched, const Account& account, const Waiting& waiting,
             const std::string& interface);

/// Interfaces whose sessions wait, in the order of their oldest sessions.
std::vector<std::string> in_order(const Waiting& waiting, const Account& account);

/// Why a session has no route, and what to do; nothing when it has one.
std::optional<std::string> why_no_route(const Account& account,
                                        const TrafficMirrorSession& session);

}  // namespace mirrornic
