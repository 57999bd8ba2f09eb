// SPDX-License-Identifier: Apache-2.0
// Reference model: what the offload must do with one pass, computed from the whole frame at once.
//
// It takes the tables and a pass, and gives the decision and, for a selected pass, every byte of
// the mirror copy. It knows no time, and so no overflow, no faults and no order: a scoreboard adds
// those through Ledger. It is written only from the rules of docs/behaviour.md (P, I, T; cited
// below) and the RFCs (791, 768, 1071, 4302, 7348, 8200), plainly rather than fast. It shares no
// code with what it checks, so that no bug can be in both.
//
// Where the rules leave a choice, the model takes these:
// - A pass gets the first of these causes that holds: no_tap, malformed, marked_bad, not_ip,
//   excluded. A frame under 14 bytes is no_tap even when it is malformed or marked bad.
// - A mark is the error bit or a malformed tkeep. What it does depends on whether the pass would be
//   selected without it. A pass that would not be selected has no copy: a mark on any beat makes it
//   not eligible. A pass that would be selected is not eligible if the mark is on a beat up to the
//   one that completes the copy. With a mark on a later beat the copy stands and is late_bad. The
//   beat that completes the copy has the last byte that the session and the MTU allow; where the
//   frame is shorter, it is the frame's last beat, even if that names no byte.
// - Of a malformed second beat the parser knows as many bytes as its tkeep names, from the first
//   lane on. The bytes of the third beat do not move up into the window. A frame whose first two
//   beats name under 14 bytes is at no tap (P2).
// - late_bad counts copies that were sent. A copy that was dropped is counted as dropped only.
// - A third VLAN tag, or a tag after which the frame has no whole EtherType, is not IP.
// - A fifth extension header is not looked into: it makes the protocol unknown and says nothing
//   about fragmentation.
// - A first fragment has ports for rules and services; the hash of P20 ignores them.
// - A service entry that names an address matches a frame with that address as source or
//   destination. "The address's side" is the side that has it; when both sides have it, it is both.
//   An entry for any address takes its port on either side.
// - flow_hash is the hash of P20, published so that a receiver can predict the source port.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace mirrornic::reference {

constexpr std::size_t BeatBytes = 64;      ///< I1: one beat of the 512-bit stream
constexpr std::size_t WindowBytes = 128;   ///< P4
constexpr std::size_t LongestCopy = 9216;  ///< P14, in bytes of the frame
constexpr std::size_t ShortestFrame = 60;  ///< I3, in bytes of a copy on the wire, without FCS

using Mac = std::array<std::uint8_t, 6>;

/// An IP address in network order; IPv4 takes the first 4 bytes.
struct Address {
    int version = 4;  ///< 4 or 6
    std::array<std::uint8_t, 16> bytes{};
};

bool operator==(const Address& a, const Address& b);
bool operator!=(const Address& a, const Address& b);

Address ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
/// The eight groups of the text form, first to last.
Address ipv6(const std::array<std::uint16_t, 8>& groups);

/// A CIDR block; host bits of the base are ignored.
struct Network {
    Address base;
    int prefix = 0;  ///< 0..32 or 0..128
};

/// Inclusive at both ends.
struct PortRange {
    std::uint16_t from = 0;
    std::uint16_t to = 65535;
};

/// P11. What is absent matches everything.
struct Rule {
    bool accept = true;
    Network source;
    Network destination;
    std::optional<std::uint8_t> protocol;
    std::optional<PortRange> source_ports;
    std::optional<PortRange> destination_ports;
};

/// P10. The lists are in ascending rule number.
struct Filter {
    bool amazon_dns = false;
    std::vector<Rule> ingress;
    std::vector<Rule> egress;
};

/// A session with all that its target and its source interface add to the copy.
struct Session {
    std::uint16_t number = 0;
    std::shared_ptr<const Filter> filter;  ///< never null
    std::uint32_t vni = 0;                 ///< 24 bits
    std::optional<std::uint16_t> packet_length;
    Mac source_mac{};        ///< the interface's
    Mac target_mac{};        ///< the target's
    Address source_address;  ///< of the target address's version
    Address target_address;
    std::uint16_t mtu = 1500;  ///< of the outer IP packet, 576..9216
};

struct Interface {
    std::optional<Address> resolver;  ///< P8: IPv4, the VPC's base address plus two
    std::vector<Session> sessions;    ///< in any order; tried in ascending number
};

/// One entry of the service table (P9).
struct ServiceEntry {
    enum class Protocol { tcp, udp, tcp_or_udp, any };
    enum class PortSide { address, either };
    enum class Action { exclude, dns };

    int version = 4;
    std::optional<Address> address;  ///< of that version; absent: any
    Protocol protocol = Protocol::any;
    std::optional<PortRange> ports;  ///< absent: any, and frames without ports too
    PortSide side = PortSide::either;
    Action action = Action::exclude;
};

/// The entries of P7 and P8, without the interfaces' own resolvers.
std::vector<ServiceEntry> default_services();

struct Tables {
    std::vector<Interface> interfaces;
    std::vector<ServiceEntry> services = default_services();
    std::uint16_t source_port_base = 49152;  ///< P20: base + 2^bits <= 65536
    int source_port_bits = 14;               ///< P20: 1..16
};

enum class Direction { ingress, egress };

/// The index of a known interface that has no session (T1). Its passes are judged like any other;
/// those that are eligible are not accepted.
constexpr std::size_t NoSessions = std::numeric_limits<std::size_t>::max();

struct Tap {
    Direction direction = Direction::egress;
    std::size_t interface =
        0;  ///< into Tables::interfaces, or NoSessions; any other value is no tap
};

/// One frame at one tap, or at none. Beats are counted from 0 and hold BeatBytes each.
struct Pass {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
    std::optional<Tap> tap;
    std::optional<std::size_t> first_bad_beat;        ///< I2: the first with the error bit
    std::optional<std::size_t> first_malformed_beat;  ///< I1: the first with a wrong tkeep
    /// How many bytes of the window are known: the first ones, as they lie in `data`. Less than
    /// WindowBytes where tkeep is wrong in the first two beats (I1): then as many as it names
    /// there.
    std::size_t window_bytes = WindowBytes;
    /// P25: it is the first pass after a reset of the offload alone, and so may be the rest of a
    /// frame.
    bool rest = false;
};

struct Ports {
    std::uint16_t source = 0;
    std::uint16_t destination = 0;
};

/// What P3 to P5 know of a frame.
struct Parsed {
    bool ip = false;  ///< false: nothing else holds
    int version = 4;
    Address source;
    Address destination;
    std::optional<std::uint8_t> protocol;
    std::optional<Ports> ports;
    bool fragment = false;  ///< P20: offset > 0 or more fragments
};

Parsed parse(const std::uint8_t* data, std::size_t size);

/// CRC-16 (polynomial 0x1021, initial 0xFFFF, neither reflected nor inverted) over 16 bytes of
/// address (IPv4: 12 zero bytes, then its 4) and the port, high byte first.
std::uint16_t endpoint_hash(const Address& address, std::uint16_t port);

/// P20: endpoint_hash(source) + endpoint_hash(destination) + 0x9E37 * protocol, modulo 2^16.
/// Unknown ports, and those of a fragment, are 0, and so is an unknown protocol.
std::uint16_t flow_hash(const Parsed& frame);

/// P20: base + flow_hash modulo 2^bits. @throws std::invalid_argument when base and bits are out of
/// P20's range.
std::uint16_t source_port(const Tables& tables, const Parsed& frame);

enum class Outcome { not_eligible, not_accepted, selected };

/// Why a pass is not eligible. `table` is the RTL's cause table_fault (T4): the model never finds
/// it, since it knows no faults; a scoreboard that injects them sets it.
enum class Cause { none, no_tap, malformed, marked_bad, not_ip, excluded, table };

/// What the filter of one session says of a pass.
struct Verdict {
    enum class Reason { no_rule, rule, amazon_dns };
    std::uint16_t session_number = 0;
    bool accept = false;
    Reason reason = Reason::no_rule;
    std::size_t rule = 0;  ///< its place in the direction's list, if `reason` is rule
};

struct Decision {
    Outcome outcome = Outcome::not_eligible;
    Cause cause = Cause::none;  ///< none unless not eligible
    /// The sessions that were tried, in ascending number. All of them reject; of a selected pass,
    /// the last one accepts.
    std::vector<Verdict> tried;
    // What follows is of a selected pass.
    std::size_t session = 0;  ///< among the interface's sessions in ascending number
    std::uint16_t session_number = 0;
    std::optional<std::size_t> rule;  ///< into the direction's list, unless by_service
    bool by_service = false;          ///< amazon-dns accepted
    std::size_t kept = 0;             ///< P14's n
    bool truncated = false;           ///< n < frame length
    bool late_bad = false;
    std::vector<std::uint8_t> copy;  ///< as on the wire: headers included, padded to 60 bytes (I3)
    std::size_t copy_bytes = 0;      ///< of it, without padding
};

/// @throws std::invalid_argument when the session that accepts has a value out of its range: no
/// frame could be right.
Decision decide(const Tables& tables, const Pass& pass);

/// Why a selected pass has no copy (P22, P25, T4). In the RTL and the statistics `overload` is
/// called overflow, and `table` session_fault.
enum class Drop { overload, reset, table };

struct Count {
    std::uint64_t passes = 0;
    std::uint64_t bytes = 0;  ///< of the frames
};

bool operator==(const Count& a, const Count& b);
bool operator!=(const Count& a, const Count& b);

struct SessionTotals {
    Count selected;
    Count mirrored;
    Count dropped;
    std::uint64_t sent_bytes = 0;  ///< of the copies, with headers and without padding
};

/// P23. A class that has not occurred is zero or not in its map.
struct Totals {
    Count received;
    Count forwarded;
    Count not_eligible;
    Count not_accepted;
    Count selected;
    Count mirrored;
    Count dropped;
    std::map<Cause, Count> not_eligible_by_cause;
    std::map<Drop, Count> dropped_by_cause;
    Count late_bad;                ///< a part of `mirrored`
    std::uint64_t sent_bytes = 0;  ///< of the copies, with headers and without padding
};

/// The counters that an idle device must show after the passes recorded so far.
class Ledger {
public:
    /// Books one pass; a selected one was mirrored unless a drop is given.
    /// @throws std::invalid_argument for a drop of a pass that was not selected.
    void record(const Pass& pass, const Decision& decision, std::optional<Drop> drop = {});

    const Totals& totals() const { return totals_; }
    /// All zero for a session that never selected a pass.
    SessionTotals session(std::size_t interface, std::uint16_t number) const;

private:
    Totals totals_;
    std::map<std::pair<std::size_t, std::uint16_t>, SessionTotals> sessions_;
};

}  // namespace mirrornic::reference
