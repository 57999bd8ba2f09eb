// SPDX-License-Identifier: Apache-2.0
#include "regress_cover.hpp"

#include <algorithm>
#include <iterator>

#include "register_map.hpp"

namespace mirrornic::test {
namespace {

using reference::Outcome;
using reference::Parsed;
constexpr std::size_t window = 128;

std::uint16_t word(const Bytes& frame, std::size_t at) {
    return std::uint16_t(frame[at] << 8 | frame[at + 1]);
}

bool is(const reference::Address& address, const IpAddress& other) {
    return (address.version == 6) == other.v6 && address.bytes == other.bytes;
}

}  // namespace

void Coverage::begin() {
    dropped_before_ = false;
    version_.reset();
    state_ = {};
}

void Coverage::judged(const Rig::Judged& judged) {
    using Cause = DecisionRecord::Cause;
    ++passes_;
    const auto& record = judged.record;
    const auto& pass = judged.pass;
    const auto& expected = judged.expected;
    hit(Point::unready, judged.unready);
    hit(Point::no_tap, !pass.tap && !judged.unready);
    hit(Point::one_byte, judged.frame.size() == 1);
    hit(Point::frame_9216, judged.frame.size() == 9216);
    hit(Point::change_in_flight, judged.changes > 0);
    hit(Point::changes_follow, version_ && std::int16_t(record.version - *version_) > 1);
    version_ = record.version;
    if (!pass.tap) {
        hit(Point::index_beyond, judged.index > registers::sizes::interfaces);
        dropped_before_ = false;
        return;
    }
    hit(Point::short_frame, judged.frame.size() < 14);
    hit(Point::no_session, pass.tap->interface == reference::NoSessions);
    hit(Point::not_ip, expected.cause == reference::Cause::not_ip);
    hit(Point::interface_fault, record.cause == Cause::table_fault);
    hit(Point::session_fault, record.cause == Cause::session_fault);
    const std::size_t beats = (judged.frame.size() + 63) / 64;
    const bool selected = expected.outcome == Outcome::selected;
    const bool dropped = record.outcome == DecisionRecord::Outcome::dropped;
    const bool mirrored = record.outcome == DecisionRecord::Outcome::mirrored;
    if (pass.first_bad_beat || pass.first_malformed_beat) {
        const bool several = beats > 1;
        hit(Point::bad_first, several && pass.first_bad_beat == std::size_t{0});
        hit(Point::malformed_first, several && pass.first_malformed_beat == std::size_t{0});
        hit(Point::malformed_last, pass.first_malformed_beat == beats - 1);
        hit(Point::no_bytes_last,
            pass.first_malformed_beat == beats - 1 && pass.size == 64 * (beats - 1));
        hit(Point::malformed_and_bad, pass.first_bad_beat && pass.first_malformed_beat);
        if (selected) {
            const std::size_t complete = (expected.kept - 1) / 64;
            hit(Point::bad_next, mirrored && pass.first_bad_beat == complete + 1);
            hit(Point::malformed_late, mirrored && pass.first_malformed_beat.has_value());
            hit(Point::bad_dropped, dropped);
        } else if (expected.cause == reference::Cause::marked_bad && beats > 1 &&
                   pass.tap->interface != reference::NoSessions) {
            // A session whose copy this beat would have completed.
            for (const auto& session : judged.tables.interfaces[pass.tap->interface].sessions)
                hit(Point::bad_complete,
                    session.packet_length && *session.packet_length < judged.frame.size() &&
                        (*session.packet_length - 1u) / 64 == *pass.first_bad_beat);
        }
    }
    hit(Point::drop_then_copy, dropped_before_ && mirrored);
    const bool overflow = record.cause == Cause::overflow;
    hit(Point::drops_follow, dropped_before_ && overflow);
    if (dropped) {
        const std::size_t kept = (expected.kept + 63) / 64;
        hit(Point::drop_short, overflow && kept == 1);
        hit(Point::drop_long, overflow && kept > 8);
        hit(Point::reset_drop, record.cause == Cause::reset);
    }
    dropped_before_ = overflow;
    if (judged.frame.size() >= 14) looked_at(judged);
}

/// P3 to P5 once more, for where things stand and end.
void Coverage::looked_at(const Rig::Judged& judged) {
    const Bytes& frame = judged.frame;
    const std::size_t size = judged.pass.size;
    if (size != frame.size()) return;  // malformed
    const std::size_t seen = std::min(size, window);
    std::size_t at = 12;
    unsigned tags = 0;
    while (at + 2 <= size && tags < 3 && (word(frame, at) == 0x8100 || word(frame, at) == 0x88a8)) {
        at += 4;
        ++tags;
    }
    if (tags == 3) return hit(Point::tags_3);
    if (at + 2 > size) return hit(Point::tag_cut);
    const std::uint16_t type = word(frame, at);
    at += 2;
    if (type != 0x0800 && type != 0x86dd) return hit(Point::other_type);
    const unsigned version = at < size ? frame[at] >> 4 : 0;
    std::optional<std::size_t> ports;
    std::uint8_t protocol = 0;
    if (type == 0x0800) {
        if (at + 20 > size) return hit(Point::v4_cut);
        if (version != 4) return hit(Point::version_4_wrong);
        const unsigned ihl = frame[at] & 15;
        const std::size_t end = at + 4 * ihl;
        if (ihl < 5) return hit(Point::ihl_short);
        hit(Point::v4_cut_by_one, ihl > 5 && end == size + 1);
        if (end > size) return;
        hit(Point::v4_whole_exactly, end == size);
        hit(ihl == 5    ? Point::ihl_5
            : ihl < 10  ? Point::ihl_6_9
            : ihl == 15 ? Point::ihl_15
                        : Point::ihl_10_14);
        hit(Point::ihl_15_tags_2, ihl == 15 && tags == 2);
        hit(Point::options_across_64, at + 20 < 64 && end > 64);
        const std::uint16_t fragment = word(frame, at + 6);
        const bool later = (fragment & 0x1fff) != 0, more = (fragment & 0x2000) != 0;
        hit(Point::v4_later, later);
        hit(Point::v4_later_more, later && more);
        hit(Point::v4_dont_fragment, !later && !more && (fragment & 0xc000) != 0);
        protocol = frame[at + 9];
        if (!later) ports = end;
        hit(Point::v4_first,
            more && !later && end + 4 <= seen && (protocol == 6 || protocol == 17));
    } else {
        hit(Point::v6_cut_by_one, at + 40 == size + 1);
        if (at + 40 > size) return hit(Point::v6_cut);
        if (version != 6) return hit(Point::version_6_wrong);
        hit(Point::v6_whole_exactly, at + 40 == size);
        std::uint8_t next = frame[at + 6];
        at += 40;
        unsigned count = 0;
        std::uint32_t met = 0;
        const auto extension = [](std::uint8_t header) {
            return header == 0 || header == 43 || header == 44 || header == 51 || header == 60;
        };
        bool known = true, later = false, first = false;
        while (extension(next) && !later) {
            if (count == 4) {
                hit(Point::extensions_5);
                known = false;
                break;
            }
            const std::size_t needed = next == 44 ? 8 : 2;
            if (at + needed > seen) {
                hit(Point::fragment_cut_window, next == 44 && at < window && size >= at + 8);
                hit(Point::extension_cut_window, next != 44 && at >= window && size > window);
                hit(Point::fragment_cut_frame, next == 44 && size <= window);
                hit(Point::extension_cut_frame, next != 44 && size <= window);
                known = false;
                break;
            }
            hit(next == 0    ? Point::hop_by_hop
                : next == 43 ? Point::routing
                : next == 44 ? Point::fragment_header
                : next == 51 ? Point::authentication
                             : Point::destination_options);
            const std::uint32_t bit = std::uint32_t{1} << next % 32;
            hit(Point::extension_twice, (met & bit) != 0);
            met |= bit;
            hit(Point::extension_at_126, next != 44 && at == window - 2);
            hit(Point::fragment_at_118, next == 44 && at == window - 10);
            std::size_t end = at + 8;
            if (next == 44) {
                const std::uint16_t fragment = word(frame, at + 2);
                later = fragment >> 3 != 0;
                first |= !later && (fragment & 1) != 0;
                hit(Point::fragment_atomic, fragment >> 3 == 0 && (fragment & 1) == 0);
                if (later)
                    hit(count == 0   ? Point::fragment_later_0
                        : count == 1 ? Point::fragment_later_1
                        : count == 2 ? Point::fragment_later_2
                                     : Point::fragment_later_3);
            } else {
                end = at + (next == 51 ? (frame[at + 1] + 2u) * 4 : (frame[at + 1] + 1u) * 8);
            }
            hit(Point::extension_past_window, end > window && size > window);
            hit(Point::extension_to_window, end == window - 2);
            next = frame[at];
            at = end;
            ++count;
        }
        hit(Point::fragment_later_extension, later && extension(next));
        if (known)
            hit(count == 0   ? Point::extensions_0
                : count == 1 ? Point::extensions_1
                : count == 2 ? Point::extensions_2
                : count == 3 ? Point::extensions_3
                             : Point::extensions_4);
        protocol = next;
        if (known && !later) ports = at;
        hit(Point::fragment_first,
            first && ports && at + 4 <= seen && (protocol == 6 || protocol == 17));
    }
    hit(tags == 0 ? Point::tags_0 : tags == 1 ? Point::tags_1 : Point::tags_2);
    if (ports) {
        if (protocol == 6 || protocol == 17) {
            if (*ports + 4 <= seen) hit(protocol == 6 ? Point::tcp_ports : Point::udp_ports);
            hit(Point::ports_at_122, *ports + 6 == window && size >= window);
            hit(Point::ports_cut_window, *ports<window&& * ports + 4> window && size >= *ports + 4);
            hit(Point::ports_behind_window, *ports >= window && size >= *ports + 4);
            hit(Point::ports_across_64, *ports < 64 && *ports + 4 > 64 && *ports + 4 <= size);
            hit(Point::ports_end_frame, *ports + 4 == size && size <= window);
            hit(Point::ports_cut_frame, *ports + 4 > size && size <= window);
        } else {
            hit(Point::no_port_protocol);
        }
    }
    parsed(judged, reference::parse(frame.data(), size));
}

void Coverage::parsed(const Rig::Judged& judged, const Parsed& frame) {
    static const IpAddress metadata4 = IpAddress::parse("169.254.169.254"),
                           metadata6 = IpAddress::parse("fd00:ec2::254"),
                           time4 = IpAddress::parse("169.254.169.123"),
                           time6 = IpAddress::parse("fd00:ec2::123"),
                           activation_a = IpAddress::parse("169.254.169.250"),
                           activation_b = IpAddress::parse("169.254.169.251"),
                           dns4 = IpAddress::parse("169.254.169.253"),
                           dns6 = IpAddress::parse("fd00:ec2::253"),
                           vpc = IpAddress::parse("10.0.0.2");
    const auto& expected = judged.expected;
    const auto& pass = judged.pass;
    if (!frame.ip || expected.cause == reference::Cause::table) return;
    const bool mirrored = expected.outcome == Outcome::selected;
    const bool excluded = expected.cause == reference::Cause::excluded;
    const auto of = [&frame](const IpAddress& address) {
        return is(frame.source, address) || is(frame.destination, address);
    };
    const auto port = [&frame](std::uint16_t from, std::uint16_t to) {
        return frame.ports &&
               ((frame.ports->source >= from && frame.ports->source <= to) ||
                (frame.ports->destination >= from && frame.ports->destination <= to));
    };
    const bool udp = frame.protocol == std::uint8_t{17}, tcp = frame.protocol == std::uint8_t{6};
    const bool v4 = frame.version == 4;
    if (excluded) {
        hit(Point::dhcp_4, v4 && udp && port(67, 68));
        hit(Point::dhcp_6, !v4 && udp && port(546, 547));
        hit(Point::metadata_4, of(metadata4));
        hit(Point::metadata_6, of(metadata6));
        hit(Point::metadata_no_ports, !frame.ports && (of(metadata4) || of(metadata6)));
        hit(Point::time_sync, udp && port(123, 123) && (of(time4) || of(time6)));
        hit(Point::activation, tcp && port(1688, 1688) && (of(activation_a) || of(activation_b)));
    } else if (mirrored) {
        hit(Point::dhcp_near,
            udp && (v4 ? port(66, 66) || port(69, 69) : port(545, 545) || port(548, 548)));
        hit(Point::service_near, of(time4) || of(time6) || of(activation_a) || of(activation_b));
        hit(Point::public_ntp, udp && port(123, 123) && !of(time4) && !of(time6));
    }
    if (pass.tap->interface != reference::NoSessions) {
        const auto& interface = judged.tables.interfaces[pass.tap->interface];
        const bool resolver = interface.resolver.has_value();
        const bool dns = (udp || tcp) && port(53, 53);
        if (mirrored && expected.by_service) {
            hit(Point::dns_v4, of(dns4));
            hit(Point::dns_v6, of(dns6));
            hit(Point::dns_vpc, of(vpc) && !of(dns4));
        }
        hit(Point::dns_vpc_other, dns && of(vpc) && !resolver && mirrored && !expected.by_service);
        hit(Point::dns_other_port, !dns && (of(dns4) || of(dns6) || (resolver && of(vpc))) &&
                                       mirrored && !expected.by_service);
        using Reason = reference::Verdict::Reason;
        for (const auto& tried : expected.tried) {
            hit(Point::no_rule, tried.reason == Reason::no_rule);
            if (tried.reason == Reason::rule) {
                hit(Point::rejecting_rule, !tried.accept);
                hit(Point::first_rule, tried.rule == 0);
                hit(Point::last_rule, tried.rule == 15);
            }
            if (tried.reason == Reason::no_rule) {
                for (const auto& session : interface.sessions)
                    if (session.number == tried.session_number)
                        hit(Point::empty_list, (pass.tap->direction == reference::Direction::egress
                                                    ? session.filter->egress
                                                    : session.filter->ingress)
                                                   .empty());
            }
        }
        const bool by_dns =
            !expected.tried.empty() && expected.tried[0].reason == Reason::amazon_dns;
        if (expected.outcome == Outcome::not_accepted) {
            hit(Point::slots_reject, expected.tried.size() == 3);
            hit(Point::dns_all_reject, by_dns);
        }
        if (mirrored) {
            hit(Point::slot_0, expected.session == 0 && interface.sessions.size() > 1);
            hit(Point::slot_1, expected.session == 1);
            hit(Point::slot_2, expected.session == 2);
            hit(Point::dns_rejected, expected.by_service && expected.session > 0);
            hit(Point::unknown_accepted, !frame.protocol);
            hit(pass.tap->direction == reference::Direction::egress ? Point::egress_copy
                                                                    : Point::ingress_copy);
            const auto number = expected.session_number;
            const auto& session =
                *std::find_if(interface.sessions.begin(), interface.sessions.end(),
                              [number](const auto& other) { return other.number == number; });
            if (expected.rule) {
                const auto& rule = (pass.tap->direction == reference::Direction::egress
                                        ? session.filter->egress
                                        : session.filter->ingress)[*expected.rule];
                hit(Point::rule_ports, rule.source_ports || rule.destination_ports);
                hit(Point::rule_protocol, rule.protocol.has_value());
                hit(Point::rule_cidrs, rule.source.prefix > 0 && rule.destination.prefix > 0);
                hit(Point::rule_v6, !v4);
            }
            const std::size_t kept = expected.kept, size = pass.size;
            const bool v6_target = session.target_address.version == 6;
            const std::size_t mtu_cut = session.mtu - (v6_target ? 56u : 36u);
            hit(Point::whole, kept == size);
            hit(Point::cut_packet_length,
                kept < size && session.packet_length && kept == *session.packet_length);
            hit(Point::cut_mtu, kept < size && kept == mtu_cut);
            hit(Point::cut_by_one, kept + 1 == size);
            hit(Point::limit_is_length, session.packet_length && *session.packet_length == size);
            hit(Point::kept_1, kept == 1);
            if (kept < size) {
                hit(Point::kept_64k_less, kept % 64 == 63);
                hit(Point::kept_64k, kept % 64 == 0);
                hit(Point::kept_64k_more, kept % 64 == 1);
            }
            hit(Point::kept_jumbo, kept >= 9000);
            hit(Point::frame_longer, size > 9216);
            hit(v6_target ? Point::over_v6 : Point::over_v4);
            hit(Point::over_v6_odd, v6_target && kept % 2 == 1);
            hit(Point::range_other, judged.tables.source_port_base != 49152);
        }
    }
}

void Coverage::applied(const TableState& state, std::size_t queued_before, std::size_t queued,
                       std::size_t beats_in) {
    hit(Point::change_no_gap, queued > 0 && queued_before > 0);
    hit(Point::change_in_frame, beats_in > 0);
    for (const auto& [id, filter] : state.filters) {
        const auto found = state_.filters.find(id);
        if (found == state_.filters.end() || found->second == filter) continue;
        const bool used =
            std::any_of(state.sessions.begin(), state.sessions.end(),
                        [&id = id](const auto& session) { return session.second.filter == id; });
        hit(Point::filter_changed, used);
    }
    for (const auto& [id, session] : state.sessions) {
        const auto found = state_.sessions.find(id);
        if (found == state_.sessions.end()) {
            hit(Point::session_new, !state_.sessions.empty());
        } else if (found->second.vni != session.vni || found->second.number != session.number) {
            hit(Point::session_changed);
        }
    }
    for (const auto& [id, session] : state_.sessions)
        hit(Point::session_gone, state.sessions.count(id) == 0);
    state_ = state;
}

void Coverage::snapshot(const Counters& counters) {
    hit(Point::snapshot_busy, counters.in_flight.frames > 0);
    hit(Point::snapshot_drops, counters.dropped.frames > 0);
}

void Coverage::mirror_reset(std::size_t beats_in, std::size_t queued) {
    hit(Point::mirror_reset_in_frame, beats_in > 0);
    hit(Point::mirror_reset_idle, queued == 0);
}

void Coverage::reset(std::size_t beats_in, std::size_t queued) {
    hit(Point::reset_in_frame, beats_in > 0);
    hit(Point::reset_queued, queued > 0);
    state_ = {};
}

std::string points_table() {
    std::string text = "| point | rule | what is seen |\n|---|---|---|\n";
    for (const PointText& point : points)
        text += std::string("| `") + point.name + "` | " + point.rule + " | " + point.what + " |\n";
    return text;
}

}  // namespace mirrornic::test
