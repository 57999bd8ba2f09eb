// SPDX-License-Identifier: Apache-2.0
/// Functional coverage of the random regression: named points, each of a rule, and how often each
/// was reached. docs/coverage.md is made from this list.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "rig.hpp"

namespace mirrornic::test {

// X(name, rule, what)
#define MIRRORNIC_COVER_POINTS(X)                                                                 \
    X(short_frame, "P2", "a frame under 14 bytes at a tap")                                       \
    X(one_byte, "P2", "a frame of one byte")                                                      \
    X(tags_0, "P3", "IP without a VLAN tag")                                                      \
    X(tags_1, "P3", "IP behind one VLAN tag")                                                     \
    X(tags_2, "P3", "IP behind two VLAN tags")                                                    \
    X(tags_3, "P3", "a third VLAN tag: not IP")                                                   \
    X(tag_cut, "P3", "a frame that ends inside a VLAN tag or before the EtherType behind it")     \
    X(other_type, "P3 P6", "another EtherType")                                                   \
    X(version_4_wrong, "P3", "EtherType IPv4 with another version")                               \
    X(version_6_wrong, "P3", "EtherType IPv6 with another version")                               \
    X(ihl_short, "P3", "an IHL under 5")                                                          \
    X(ihl_5, "P3", "IPv4 without options")                                                        \
    X(ihl_6_9, "P3", "IPv4 with an IHL of 6 to 9")                                                \
    X(ihl_10_14, "P3", "IPv4 with an IHL of 10 to 14")                                            \
    X(ihl_15, "P3", "IPv4 with an IHL of 15")                                                     \
    X(ihl_15_tags_2, "P3", "an IHL of 15 behind two VLAN tags")                                   \
    X(v4_cut, "P3", "an IPv4 header that the frame cuts in its first 20 bytes")                   \
    X(v4_cut_by_one, "P3", "an IPv4 header with options that the frame cuts by one byte")         \
    X(v4_whole_exactly, "P3", "a frame that ends with its IPv4 header")                           \
    X(options_across_64, "P3", "IPv4 options across byte 64")                                     \
    X(v6_cut, "P3", "an IPv6 header that the frame cuts")                                         \
    X(v6_cut_by_one, "P3", "an IPv6 header that the frame cuts by one byte")                      \
    X(v6_whole_exactly, "P3", "a frame that ends with its IPv6 header")                           \
    X(extensions_0, "P3", "IPv6 without extension headers")                                       \
    X(extensions_1, "P3", "one extension header")                                                 \
    X(extensions_2, "P3", "two extension headers")                                                \
    X(extensions_3, "P3", "three extension headers")                                              \
    X(extensions_4, "P3", "four extension headers and a protocol behind them")                    \
    X(extensions_5, "P3", "a fifth extension header: the protocol is unknown")                    \
    X(hop_by_hop, "P3", "the walk goes through a hop-by-hop header")                              \
    X(routing, "P3", "the walk goes through a routing header")                                    \
    X(destination_options, "P3", "the walk goes through a destination options header")            \
    X(authentication, "P3", "the walk goes through an AH, whose length counts in words")          \
    X(fragment_header, "P3", "the walk goes through a fragment header")                           \
    X(extension_twice, "P3", "the same extension header twice")                                   \
    X(extension_cut_window, "P4 P5", "an extension header behind the window")                     \
    X(extension_at_126, "P4 P5", "an extension header whose first 2 bytes end the window")        \
    X(fragment_cut_window, "P4 P5", "a fragment header that the window cuts")                     \
    X(fragment_at_118, "P4 P5", "a fragment header at byte 118, the last that the window holds")  \
    X(extension_past_window, "P4 P5", "an extension header that ends behind the window")          \
    X(extension_to_window, "P4 P5",                                                               \
      "an extension header that ends 2 bytes before the window does")                             \
    X(extension_cut_frame, "P5", "an extension header whose first 2 bytes the frame cuts")        \
    X(fragment_cut_frame, "P5", "a fragment header that the frame cuts")                          \
    X(fragment_atomic, "P5 P20", "a fragment header with no offset and no more fragments")        \
    X(fragment_first, "P5 P20", "a first IPv6 fragment, with ports")                              \
    X(fragment_later_0, "P5", "a later IPv6 fragment, its header the first")                      \
    X(fragment_later_1, "P5", "a later IPv6 fragment behind one extension header")                \
    X(fragment_later_2, "P5", "a later IPv6 fragment behind two extension headers")               \
    X(fragment_later_3, "P5", "a later IPv6 fragment behind three extension headers")             \
    X(fragment_later_extension, "P5", "a later IPv6 fragment that names an extension header")     \
    X(tcp_ports, "P5", "ports of TCP")                                                            \
    X(udp_ports, "P5", "ports of UDP")                                                            \
    X(no_port_protocol, "P5", "a protocol without ports")                                         \
    X(ports_at_122, "P4 P5", "ports at byte 122, the last that the window holds")                 \
    X(ports_cut_window, "P4 P5", "ports that the window cuts")                                    \
    X(ports_behind_window, "P4 P5", "ports behind the window")                                    \
    X(ports_across_64, "P5", "ports across byte 64")                                              \
    X(ports_end_frame, "P5", "ports that end with the frame")                                     \
    X(ports_cut_frame, "P5", "ports that the frame cuts")                                         \
    X(v4_first, "P5 P20", "a first IPv4 fragment, with ports")                                    \
    X(v4_later, "P5", "a later IPv4 fragment, without ports")                                     \
    X(v4_later_more, "P5", "an IPv4 fragment in the middle")                                      \
    X(v4_dont_fragment, "P5", "IPv4 with reserved bits or don't-fragment alone")                  \
    X(not_ip, "P6", "a frame that is not IP")                                                     \
    X(dhcp_4, "P7", "DHCP")                                                                       \
    X(dhcp_6, "P7", "DHCP over IPv6")                                                             \
    X(dhcp_near, "P7", "UDP one port beside DHCP's, mirrored")                                    \
    X(metadata_4, "P7", "instance metadata over IPv4")                                            \
    X(metadata_6, "P7", "instance metadata over IPv6")                                            \
    X(metadata_no_ports, "P7", "instance metadata without ports")                                 \
    X(time_sync, "P7", "the time service")                                                        \
    X(activation, "P7", "Windows activation")                                                     \
    X(service_near, "P7", "a service's address with another port, mirrored")                      \
    X(public_ntp, "P7", "port 123 of another host, mirrored")                                     \
    X(dns_v4, "P8", "the link-local resolver over IPv4, accepted as a service")                   \
    X(dns_v6, "P8", "the link-local resolver over IPv6, accepted as a service")                   \
    X(dns_vpc, "P8", "the resolver of the interface's VPC, accepted as a service")                \
    X(dns_vpc_other, "P8", "a VPC's resolver at an interface without one")                        \
    X(dns_rejected, "P8 P12", "Amazon DNS rejected by one session, accepted by a later one")      \
    X(dns_all_reject, "P8", "Amazon DNS that every session rejects")                              \
    X(dns_other_port, "P8", "the resolver's address with another port")                           \
    X(service_changed, "P9", "an entry of the service table was written")                         \
    X(no_rule, "P10", "no rule matches")                                                          \
    X(empty_list, "P10", "an empty list rejects")                                                 \
    X(first_rule, "P10", "the first rule of a list decides")                                      \
    X(last_rule, "P10", "the sixteenth rule of a list decides")                                   \
    X(rejecting_rule, "P10", "a rule rejects")                                                    \
    X(rule_ports, "P11", "a rule with a port range accepts")                                      \
    X(rule_protocol, "P11", "a rule with a protocol accepts")                                     \
    X(rule_cidrs, "P11", "a rule with two CIDRs longer than /0 accepts")                          \
    X(rule_v6, "P11", "a rule of IPv6 accepts")                                                   \
    X(unknown_accepted, "P11", "a frame of unknown protocol is accepted")                         \
    X(slot_0, "P12", "the first of several sessions accepts")                                     \
    X(slot_1, "P12", "the second session accepts")                                                \
    X(slot_2, "P12", "the third session accepts")                                                 \
    X(slots_reject, "P12", "three sessions reject")                                               \
    X(whole, "P14", "a copy of the whole frame")                                                  \
    X(cut_packet_length, "P14", "a copy cut by its packet length")                                \
    X(cut_mtu, "P14", "a copy cut by the target's MTU")                                           \
    X(cut_by_one, "P14", "a copy one byte shorter than its frame")                                \
    X(limit_is_length, "P14", "a packet length that is the frame's")                              \
    X(kept_1, "P14", "a copy of one byte")                                                        \
    X(kept_64k_less, "P14", "a cut one byte before the end of a beat")                            \
    X(kept_64k, "P14", "a cut at the end of a beat")                                              \
    X(kept_64k_more, "P14", "a cut one byte behind the end of a beat")                            \
    X(kept_jumbo, "P14", "a copy of 9,000 bytes or more")                                         \
    X(over_v4, "P16", "a copy over IPv4")                                                         \
    X(over_v6, "P17 P18", "a copy over IPv6")                                                     \
    X(over_v6_odd, "P18", "a copy of an odd length over IPv6")                                    \
    X(range_other, "P20", "a copy from another range of source ports")                            \
    X(ports_changed, "P20 T2", "the range of source ports was changed")                           \
    X(drop_short, "P22", "a copy of one beat is dropped")                                         \
    X(drop_long, "P22", "a copy of more than 8 beats is dropped")                                 \
    X(drop_then_copy, "P22", "the pass behind a drop is mirrored")                                \
    X(drops_follow, "P22", "two drops in a row")                                                  \
    X(snapshot_busy, "P23", "a snapshot with passes in flight")                                   \
    X(snapshot_drops, "P23", "a snapshot after drops")                                            \
    X(frame_9216, "P24", "a frame of 9,216 bytes")                                                \
    X(frame_longer, "P24", "a frame of more than 9,216 bytes, mirrored")                          \
    X(bad_first, "P24", "an error mark on the first of several beats")                            \
    X(bad_complete, "P24", "an error mark on the beat that completes a cut copy")                 \
    X(bad_next, "P24", "an error mark on the beat behind a cut copy: late_bad")                   \
    X(bad_dropped, "P24", "a frame marked late whose copy is dropped")                            \
    X(malformed_first, "I1 P24", "a wrong tkeep on the first of several beats")                   \
    X(malformed_last, "I1 P24", "a wrong tkeep on the last beat")                                 \
    X(malformed_late, "I1 P24", "a wrong tkeep behind a cut copy: late_bad")                      \
    X(malformed_and_bad, "I1 P24", "a frame with both marks")                                     \
    X(no_bytes_last, "I1 P24", "a last beat that names no byte")                                  \
    X(reset_in_frame, "P25", "a reset between the beats of a frame")                              \
    X(reset_queued, "P25", "a reset with frames waiting at the input")                            \
    X(unready, "P25", "a pass before the tables are swept")                                       \
    X(mirror_reset_in_frame, "P25", "a mirror reset between the beats of a frame")                \
    X(mirror_reset_idle, "P25", "a mirror reset with nothing at the input")                       \
    X(reset_drop, "P25", "a copy dropped by a mirror reset before its frame has ended")           \
    X(no_tap, "I2", "a frame at no tap")                                                          \
    X(index_beyond, "I2", "an interface index beyond the table")                                  \
    X(no_session, "T1", "a pass of an interface without a session")                               \
    X(egress_copy, "I2 P10", "an egress pass is mirrored")                                        \
    X(ingress_copy, "I2 P10", "an ingress pass is mirrored")                                      \
    X(change_in_flight, "T2", "a pass is judged by tables that came after it was queued")         \
    X(change_in_frame, "T2", "a change ends between the beats of a frame")                        \
    X(changes_follow, "T2", "neighbouring passes by different tables, two changes or more apart") \
    X(change_no_gap, "T2", "a change ends with frames waiting at the input")                      \
    X(filter_changed, "T2", "a filter that is in use is written again")                           \
    X(session_changed, "T2", "a session changes in place")                                        \
    X(session_gone, "T2", "a session goes")                                                       \
    X(session_new, "T2", "a session comes")                                                       \
    X(interface_fault, "T4", "a flipped bit in a table word leaves a pass out")                   \
    X(session_fault, "T4", "a flipped bit in a session's limits drops a copy")                    \
    X(flip_corrected, "T4", "a flipped bit is corrected in line")                                 \
    X(flip_rewritten, "T4", "a faulty table entry is written again")

enum class Point : unsigned {
#define X(name, rule, what) name,
    MIRRORNIC_COVER_POINTS(X)
#undef X
};

struct PointText {
    const char *name, *rule, *what;
};
inline constexpr PointText points[] = {
#define X(name, rule, what) {#name, rule, what},
    MIRRORNIC_COVER_POINTS(X)
#undef X
};
inline constexpr std::size_t point_count = std::size(points);

class Coverage {
public:
    using Counts = std::array<std::uint64_t, point_count>;

    void hit(Point point) { ++counts_[std::size_t(point)]; }
    void hit(Point point, bool reached) { counts_[std::size_t(point)] += reached; }
    const Counts& counts() const { return counts_; }
    std::uint64_t passes() const { return passes_; }

    /// A case begins.
    void begin();
    void judged(const Rig::Judged& judged);
    void applied(const TableState& state, std::size_t queued_before, std::size_t queued,
                 std::size_t beats_in);
    void snapshot(const Counters& counters);
    void mirror_reset(std::size_t beats_in, std::size_t queued);
    void reset(std::size_t beats_in, std::size_t queued);

private:
    void looked_at(const Rig::Judged& judged);
    void parsed(const Rig::Judged& judged, const reference::Parsed& frame);

    Counts counts_{};
    std::uint64_t passes_ = 0;
    bool dropped_before_ = false;
    std::optional<std::uint16_t> version_;
    TableState state_;
};

/// The table of docs/coverage.md.
std::string points_table();

}  // namespace mirrornic::test
