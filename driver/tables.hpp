// SPDX-License-Identifier: Apache-2.0
/// What the device is asked to do, as values: interfaces, filters, rules and sessions.
/// Source: EC2 API 2016-11-15 (TrafficMirrorSession, TrafficMirrorFilter, TrafficMirrorFilterRule),
/// docs/behaviour.md rules P8 to P20. Nothing here knows how a table word is encoded.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace mirrornic {

using MacAddress = std::array<std::uint8_t, 6>;  ///< in wire order

/// An IPv4 or IPv6 address in network byte order. IPv4 stands in the first 4 bytes, the rest is 0.
struct IpAddress {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{};

    /// @throws std::invalid_argument with a sentence that holds the text.
    static IpAddress parse(const std::string& text);
    std::string to_string() const;  ///< RFC 5952 for IPv6
    bool operator==(const IpAddress& other) const { return v6 == other.v6 && bytes == other.bytes; }
    bool operator!=(const IpAddress& other) const { return !(*this == other); }
};

/// An address block with its host bits cleared.
struct Cidr {
    IpAddress base;
    std::uint8_t prefix = 0;  ///< bits, 0..32 or 0..128

    /// Clears host bits. @throws std::invalid_argument when the text is no CIDR block.
    static Cidr parse(const std::string& text);
    std::string to_string() const;
    bool operator==(const Cidr& other) const {
        return base == other.base && prefix == other.prefix;
    }
};

/// @throws std::invalid_argument unless the text is six hex pairs joined by ':' and a unicast
/// address.
MacAddress parse_mac(const std::string& text);
std::string to_string(const MacAddress& mac);

enum class Direction : std::uint8_t { ingress, egress };

struct PortRange {
    std::uint16_t from = 0;  ///< inclusive
    std::uint16_t to = 0;    ///< inclusive, not under `from`
    bool operator==(const PortRange& other) const { return from == other.from && to == other.to; }
};

/// One rule of a filter (P11). Both CIDRs are of one IP version.
struct Rule {
    std::string id;  ///< a label for reports; the device does not see it
    bool accept = false;
    Cidr source;
    Cidr destination;
    std::optional<std::uint8_t> protocol;  ///< absent: any, unknown included
    std::optional<PortRange> source_ports;
    std::optional<PortRange> destination_ports;
};

/// A filter: two rule lists in ascending rule number, and its network services (P8, P10).
struct Filter {
    bool amazon_dns = false;
    std::vector<Rule> ingress;
    std::vector<Rule> egress;
};

/// One traffic-mirroring session as the data plane knows it (P12, P14 to P19).
struct Session {
    std::string interface;     ///< key of the source in TableState::interfaces
    std::string filter;        ///< key in TableState::filters
    std::uint16_t number = 1;  ///< 1..32766, the lowest that accepts mirrors the frame
    std::uint32_t vni = 0;     ///< 24 bits
    std::optional<std::uint16_t>
        packet_length;  ///< bytes after the VXLAN header, 1..8500; absent: whole
    MacAddress source_mac{};
    MacAddress target_mac{};
    IpAddress source_address;  ///< of the same IP version as target_address
    IpAddress target_address;
    std::uint16_t mtu = 9001;  ///< the target's, 576..9216
};

/// One source interface.
struct Interface {
    std::optional<IpAddress>
        resolver;  ///< IPv4 address of its VPC's DNS resolver (P8), if its VPC is known
};

/// All that the data plane is to hold. Keys are the caller's ids. Filters and interfaces that no
/// session uses may be present; they take no table space (T1, S3).
struct TableState {
    std::map<std::string, Interface> interfaces;
    std::map<std::string, std::shared_ptr<const Filter>> filters;
    std::map<std::string, Session> sessions;
};

/// Which parts of a TableState may differ from the TableState that was committed last. A plan need
/// not look at the rest.
struct Touched {
    std::map<std::string, std::set<std::string>> interfaces;  ///< with its sessions now
    std::set<std::string> filters;
};

}  // namespace mirrornic
