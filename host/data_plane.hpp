// SPDX-License-Identifier: Apache-2.0
/// From the account's state to what the data plane is to hold, and the data plane as the request
/// layer sees it. Source: docs/behaviour.md rules P8, P14 to P17, S1, S4, S8.
#pragma once

#include <memory>
#include <optional>

#include "../driver/tables.hpp"
#include "model.hpp"

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

/// Brings `tables` up to date after `change`, which `inverse` takes back, was applied to `account`,
/// and adds to `touched` what it looked at.
void refresh(TableState& tables, Touched& touched, const Account& account, const Change& change,
             const Change& inverse);

/// What takes the tables: a MirrorDevice, or a stand-in for it.
class DataPlane {
public:
    using Staged = std::shared_ptr<const void>;

    virtual ~DataPlane() = default;
    /// Checks that `desired` can be held and prepares it. Changes nothing.
    /// @param touched what may differ from what was committed last; null: anything
    /// @throws TableFull.
    virtual Staged stage(const TableState& desired, const Touched* touched) = 0;
    /// In force for every frame that enters after the call returns.
    /// @throws std::exception when the device failed.
    virtual void commit(const Staged& staged) = 0;
};

}  // namespace mirrornic
