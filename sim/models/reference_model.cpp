// SPDX-License-Identifier: Apache-2.0
#include "sim/models/reference_model.hpp"

#include <algorithm>
#include <stdexcept>

namespace mirrornic::reference {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t EthernetBytes = 14;
constexpr std::size_t Ipv4Bytes = 20;
constexpr std::size_t Ipv6Bytes = 40;
constexpr std::size_t UdpBytes = 8;
constexpr std::size_t VxlanBytes = 8;
constexpr std::uint8_t Tcp = 6;
constexpr std::uint8_t Udp = 17;
constexpr std::uint16_t VxlanPort = 4789;

std::size_t address_bytes(int version) { return version == 4 ? 4 : 16; }

// ---- Parsing: P3 to P5 ----

/// The bytes of the window, which are all that the parser may look at.
struct Window {
    const std::uint8_t* data;
    std::size_t size;

    bool has(std::size_t offset, std::size_t count) const { return offset + count <= size; }
    std::uint8_t byte(std::size_t offset) const { return data[offset]; }
    std::uint16_t word(std::size_t offset) const {
        return static_cast<std::uint16_t>(data[offset] << 8 | data[offset + 1]);
    }
    Address address(int version, std::size_t offset) const {
        Address result;
        result.version = version;
        std::copy_n(data + offset, address_bytes(version), result.bytes.begin());
        return result;
    }
};

bool is_vlan(std::uint16_t ethertype) { return ethertype == 0x8100 || ethertype == 0x88a8; }

bool is_extension_header(std::uint8_t next_header) {
    switch (next_header) {
        case 0:   // hop-by-hop options
        case 43:  // routing
        case 44:  // fragment
        case 51:  // authentication
        case 60:  // destination options
            return true;
        default:
            return false;
    }
}

std::optional<Ports> ports_at(const Window& window, std::uint8_t protocol, std::size_t offset) {
    if ((protocol != Tcp && protocol != Udp) || !window.has(offset, 4)) return std::nullopt;
    return Ports{window.word(offset), window.word(offset + 2)};
}

/// RFC 791 section 3.1.
Parsed parse_ipv4(const Window& window, std::size_t start) {
    if (!window.has(start, Ipv4Bytes) || window.byte(start) >> 4 != 4) return {};
    const std::size_t header = std::size_t{4} * (window.byte(start) & 0x0f);
    if (header < Ipv4Bytes || !window.has(start, header)) return {};

    Parsed frame;
    frame.ip = true;
    frame.version = 4;
    frame.source = window.address(4, start + 12);
    frame.destination = window.address(4, start + 16);
    frame.protocol = window.byte(start + 9);
    const std::uint16_t fragment = window.word(start + 6);
    const bool later_fragment = (fragment & 0x1fff) != 0;
    const bool more_fragments = (fragment & 0x2000) != 0;
    frame.fragment = later_fragment || more_fragments;
    if (!later_fragment) frame.ports = ports_at(window, *frame.protocol, start + header);
    return frame;
}

/// RFC 8200 sections 3 and 4; RFC 4302 section 2.2 for the authentication header's length.
Parsed parse_ipv6(const Window& window, std::size_t start) {
    if (!window.has(start, Ipv6Bytes) || window.byte(start) >> 4 != 6) return {};

    Parsed frame;
    frame.ip = true;
    frame.version = 6;
    frame.source = window.address(6, start + 8);
    frame.destination = window.address(6, start + 24);
    std::uint8_t next_header = window.byte(start + 6);
    std::size_t offset = start + Ipv6Bytes;
    for (int extensions = 0; is_extension_header(next_header); ++extensions) {
        const bool is_fragment_header = next_header == 44;
        if (extensions == 4 || !window.has(offset, is_fragment_header ? 8 : 2)) return frame;
        const bool is_authentication = next_header == 51;
        const std::size_t length = window.byte(offset + 1);
        next_header = window.byte(offset);
        if (is_fragment_header) {
            const std::uint16_t fragment = window.word(offset + 2);
            const bool later_fragment = (fragment & 0xfff8) != 0;
            const bool more_fragments = (fragment & 0x0001) != 0;
            frame.fragment = frame.fragment || later_fragment || more_fragments;
            if (later_fragment) {
                frame.protocol = next_header;
                return frame;
            }
            offset += 8;
        } else {
            offset += is_authentication ? (length + 2) * 4 : (length + 1) * 8;
        }
    }
    frame.protocol = next_header;
    frame.ports = ports_at(window, next_header, offset);
    return frame;
}

// ---- Services, rules, filters: P7 to P11 ----

bool within(const PortRange& range, std::uint16_t port) {
    return range.from <= port && port <= range.to;
}

bool within(const Network& network, const Address& address) {
    if (network.base.version != address.version) return false;
    for (int bit = 0; bit < network.prefix; ++bit) {
        const int difference = network.base.bytes.at(bit / 8) ^ address.bytes.at(bit / 8);
        if (difference >> (7 - bit % 8) & 1) return false;
    }
    return true;
}

bool matches(ServiceEntry::Protocol wanted, std::optional<std::uint8_t> protocol) {
    switch (wanted) {
        case ServiceEntry::Protocol::tcp:
            return protocol == Tcp;
        case ServiceEntry::Protocol::udp:
            return protocol == Udp;
        case ServiceEntry::Protocol::tcp_or_udp:
            return protocol == Tcp || protocol == Udp;
        case ServiceEntry::Protocol::any:
            return true;
    }
    return false;
}

bool matches(const ServiceEntry& entry, const Parsed& frame) {
    if (entry.version != frame.version || !matches(entry.protocol, frame.protocol)) return false;
    const bool at_source = !entry.address || *entry.address == frame.source;
    const bool at_destination = !entry.address || *entry.address == frame.destination;
    if (!at_source && !at_destination) return false;
    if (!entry.ports) return true;
    if (!frame.ports) return false;
    const bool either = entry.side == ServiceEntry::PortSide::either;
    return ((at_source || either) && within(*entry.ports, frame.ports->source)) ||
           ((at_destination || either) && within(*entry.ports, frame.ports->destination));
}

ServiceEntry resolver_entry(const Address& resolver) {
    return {resolver.version,
            resolver,
            ServiceEntry::Protocol::tcp_or_udp,
            PortRange{53, 53},
            ServiceEntry::PortSide::address,
            ServiceEntry::Action::dns};
}

bool any_matches(const std::vector<ServiceEntry>& services, ServiceEntry::Action action,
                 const Parsed& frame) {
    return std::any_of(services.begin(), services.end(), [&](const ServiceEntry& entry) {
        return entry.action == action && matches(entry, frame);
    });
}

bool is_amazon_dns(const Tables& tables, const Interface& interface, const Parsed& frame) {
    if (any_matches(tables.services, ServiceEntry::Action::dns, frame)) return true;
    return interface.resolver && matches(resolver_entry(*interface.resolver), frame);
}

bool matches(const Rule& rule, const Parsed& frame) {
    if (!within(rule.source, frame.source) || !within(rule.destination, frame.destination))
        return false;
    if (rule.protocol && rule.protocol != frame.protocol) return false;
    if (rule.source_ports && !(frame.ports && within(*rule.source_ports, frame.ports->source)))
        return false;
    if (rule.destination_ports &&
        !(frame.ports && within(*rule.destination_ports, frame.ports->destination)))
        return false;
    return true;
}

Verdict judge(const Session& session, Direction direction, const Parsed& frame, bool amazon_dns) {
    Verdict verdict;
    verdict.session_number = session.number;
    if (amazon_dns) {
        verdict.reason = Verdict::Reason::amazon_dns;
        verdict.accept = session.filter->amazon_dns;
        return verdict;
    }
    const auto& rules =
        direction == Direction::ingress ? session.filter->ingress : session.filter->egress;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (!matches(rules[i], frame)) continue;
        verdict.reason = Verdict::Reason::rule;
        verdict.rule = i;
        verdict.accept = rules[i].accept;
        break;
    }
    return verdict;
}

// ---- The mirror copy: P14 to P20 ----

void check(const Session& session) {
    if (session.source_address.version != session.target_address.version)
        throw std::invalid_argument("a session's source and target address differ in IP version");
    if (session.mtu < 576 || session.mtu > 9216)
        throw std::invalid_argument("a target's MTU is 576 to 9216");
    if (session.vni > 0xffffff) throw std::invalid_argument("a VNI has 24 bits");
    if (session.packet_length == 0) throw std::invalid_argument("a packet length is 1 or more");
}

std::size_t kept_length(const Session& session, std::size_t frame_length) {
    const std::size_t ip_header = session.target_address.version == 4 ? Ipv4Bytes : Ipv6Bytes;
    const std::size_t mtu_cut = session.mtu - ip_header - UdpBytes - VxlanBytes;
    const std::size_t packet_length = session.packet_length.value_or(LongestCopy);
    return std::min({frame_length, packet_length, mtu_cut, LongestCopy});
}

void put8(Bytes& out, unsigned value) { out.push_back(static_cast<std::uint8_t>(value)); }

void put16(Bytes& out, unsigned value) {
    put8(out, value >> 8);
    put8(out, value);
}

void put32(Bytes& out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value);
}

template <typename Range>
void put(Bytes& out, const Range& bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void put(Bytes& out, const Address& address) {
    out.insert(out.end(), address.bytes.begin(),
               address.bytes.begin() + address_bytes(address.version));
}

/// RFC 1071: the complement of the ones' complement sum; an odd last byte is padded with zero.
std::uint16_t internet_checksum(const Bytes& bytes) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 ? bytes[i] : bytes[i] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

/// RFC 7348 section 5.
Bytes vxlan_packet(std::uint32_t vni, const std::uint8_t* inner, std::size_t kept) {
    Bytes packet;
    put32(packet, 0x08000000);
    put32(packet, vni << 8);
    packet.insert(packet.end(), inner, inner + kept);
    return packet;
}

/// RFC 768; RFC 8200 section 8.1 over IPv6.
Bytes udp_datagram(const Session& session, std::uint16_t source_port, const Bytes& payload) {
    const std::size_t length = UdpBytes + payload.size();
    std::uint16_t checksum = 0;
    const auto datagram = [&] {
        Bytes bytes;
        put16(bytes, source_port);
        put16(bytes, VxlanPort);
        put16(bytes, length);
        put16(bytes, checksum);
        put(bytes, payload);
        return bytes;
    };
    if (session.target_address.version == 6) {
        Bytes summed;
        put(summed, session.source_address);
        put(summed, session.target_address);
        put32(summed, static_cast<std::uint32_t>(length));
        put32(summed, Udp);
        put(summed, datagram());
        checksum = internet_checksum(summed);
        if (checksum == 0) checksum = 0xffff;
    }
    return datagram();
}

/// RFC 791 section 3.1.
Bytes ipv4_packet(const Session& session, const Bytes& payload) {
    std::uint16_t checksum = 0;
    const auto header = [&] {
        Bytes bytes;
        put8(bytes, 0x45);
        put8(bytes, 0);                            // DSCP, ECN
        put16(bytes, Ipv4Bytes + payload.size());  // total length
        put16(bytes, 0);                           // identification
        put16(bytes, 0);                           // flags, fragment offset
        put8(bytes, 255);                          // time to live
        put8(bytes, Udp);
        put16(bytes, checksum);
        put(bytes, session.source_address);
        put(bytes, session.target_address);
        return bytes;
    };
    checksum = internet_checksum(header());
    Bytes packet = header();
    put(packet, payload);
    return packet;
}

/// RFC 8200 section 3.
Bytes ipv6_packet(const Session& session, const Bytes& payload) {
    Bytes packet;
    put32(packet, 0x60000000);  // version, traffic class, flow label
    put16(packet, payload.size());
    put8(packet, Udp);
    put8(packet, 255);  // hop limit
    put(packet, session.source_address);
    put(packet, session.target_address);
    put(packet, payload);
    return packet;
}

Bytes encapsulate(const Session& session, std::uint16_t source_port, const std::uint8_t* inner,
                  std::size_t kept) {
    const Bytes datagram =
        udp_datagram(session, source_port, vxlan_packet(session.vni, inner, kept));
    const bool over_ipv4 = session.target_address.version == 4;
    Bytes frame;
    put(frame, session.target_mac);
    put(frame, session.source_mac);
    put16(frame, over_ipv4 ? 0x0800 : 0x86dd);
    put(frame, over_ipv4 ? ipv4_packet(session, datagram) : ipv6_packet(session, datagram));
    return frame;
}

Decision not_eligible(Cause cause) {
    Decision decision;
    decision.outcome = Outcome::not_eligible;
    decision.cause = cause;
    return decision;
}

std::vector<const Session*> in_ascending_number(const std::vector<Session>& sessions) {
    std::vector<const Session*> sorted;
    sorted.reserve(sessions.size());
    for (const Session& session : sessions) sorted.push_back(&session);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Session* a, const Session* b) { return a->number < b->number; });
    return sorted;
}

void add(Count& count, std::size_t bytes) {
    ++count.passes;
    count.bytes += bytes;
}

}  // namespace

bool operator==(const Address& a, const Address& b) {
    return a.version == b.version &&
           std::equal(a.bytes.begin(), a.bytes.begin() + address_bytes(a.version), b.bytes.begin());
}

bool operator!=(const Address& a, const Address& b) { return !(a == b); }

Address ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return {4, {a, b, c, d}};
}

Address ipv6(const std::array<std::uint16_t, 8>& groups) {
    Address address;
    address.version = 6;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        address.bytes[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8);
        address.bytes[2 * i + 1] = static_cast<std::uint8_t>(groups[i]);
    }
    return address;
}

std::vector<ServiceEntry> default_services() {
    using Protocol = ServiceEntry::Protocol;
    using Side = ServiceEntry::PortSide;
    using Action = ServiceEntry::Action;
    const auto link_local = [](std::uint8_t host) { return ipv4(169, 254, 169, host); };
    const auto ec2 = [](std::uint16_t host) { return ipv6({0xfd00, 0xec2, 0, 0, 0, 0, 0, host}); };
    const auto none = std::nullopt;
    return {
        {4, none, Protocol::udp, PortRange{67, 68}, Side::either, Action::exclude},
        {6, none, Protocol::udp, PortRange{546, 547}, Side::either, Action::exclude},
        {4, link_local(254), Protocol::any, none, Side::either, Action::exclude},
        {6, ec2(0x254), Protocol::any, none, Side::either, Action::exclude},
        {4, link_local(123), Protocol::udp, PortRange{123, 123}, Side::either, Action::exclude},
        {6, ec2(0x123), Protocol::udp, PortRange{123, 123}, Side::either, Action::exclude},
        {4, link_local(250), Protocol::tcp, PortRange{1688, 1688}, Side::either, Action::exclude},
        {4, link_local(251), Protocol::tcp, PortRange{1688, 1688}, Side::either, Action::exclude},
        resolver_entry(link_local(253)),
        resolver_entry(ec2(0x253)),
    };
}

Parsed parse(const std::uint8_t* data, std::size_t size) {
    const Window window{data, std::min(size, WindowBytes)};
    std::size_t type = 12;
    for (int tags = 0; tags < 2 && window.has(type, 2) && is_vlan(window.word(type)); ++tags)
        type += 4;
    if (!window.has(type, 2)) return {};
    switch (window.word(type)) {
        case 0x0800:
            return parse_ipv4(window, type + 2);
        case 0x86dd:
            return parse_ipv6(window, type + 2);
        default:
            return {};
    }
}

std::uint16_t endpoint_hash(const Address& address, std::uint16_t port) {
    std::array<std::uint8_t, 18> bytes{};
    const std::size_t length = address_bytes(address.version);
    std::copy_n(address.bytes.begin(), length, bytes.begin() + 16 - length);
    bytes[16] = static_cast<std::uint8_t>(port >> 8);
    bytes[17] = static_cast<std::uint8_t>(port);
    unsigned crc = 0xffff;
    for (const std::uint8_t byte : bytes) {
        crc ^= byte << 8;
        for (int bit = 0; bit < 8; ++bit) crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
    return static_cast<std::uint16_t>(crc);
}

std::uint16_t flow_hash(const Parsed& frame) {
    const Ports ports = frame.ports && !frame.fragment ? *frame.ports : Ports{};
    return static_cast<std::uint16_t>(endpoint_hash(frame.source, ports.source) +
                                      endpoint_hash(frame.destination, ports.destination) +
                                      0x9E37u * frame.protocol.value_or(0));
}

std::uint16_t source_port(const Tables& tables, const Parsed& frame) {
    const int bits = tables.source_port_bits;
    if (bits < 1 || bits > 16 || tables.source_port_base + (1u << bits) > 65536)
        throw std::invalid_argument("source ports need 1 to 16 bits and base + 2^bits <= 65536");
    return static_cast<std::uint16_t>(tables.source_port_base + flow_hash(frame) % (1u << bits));
}

Decision decide(const Tables& tables, const Pass& pass) {
    if (pass.rest) return not_eligible(Cause::malformed);
    const std::size_t known = std::min(pass.size, pass.window_bytes);
    if (known < EthernetBytes || !pass.tap) return not_eligible(Cause::no_tap);
    const bool without_sessions = pass.tap->interface == NoSessions;
    if (!without_sessions && pass.tap->interface >= tables.interfaces.size())
        return not_eligible(Cause::no_tap);
    const Interface empty;
    const Interface& interface = without_sessions ? empty : tables.interfaces[pass.tap->interface];

    // First the decision as it would be if no beat were marked.
    const Parsed frame = parse(pass.data, known);
    Decision decision;
    const Session* selected = nullptr;
    if (!frame.ip) {
        decision = not_eligible(Cause::not_ip);
    } else if (any_matches(tables.services, ServiceEntry::Action::exclude, frame)) {
        decision = not_eligible(Cause::excluded);
    } else {
        decision.outcome = Outcome::not_accepted;
        const bool amazon_dns = is_amazon_dns(tables, interface, frame);
        for (const Session* session : in_ascending_number(interface.sessions)) {
            decision.tried.push_back(judge(*session, pass.tap->direction, frame, amazon_dns));
            if (!decision.tried.back().accept) continue;
            check(*session);
            selected = session;
            decision.outcome = Outcome::selected;
            decision.kept = kept_length(*session, pass.size);
            break;
        }
    }

    // A mark counts unless the copy was complete before it. A copy that nothing cuts is complete
    // with the last beat.
    const bool cut = selected && kept_length(*selected, pass.size + 1) == decision.kept;
    const auto counts = [&](const std::optional<std::size_t>& marked_beat) {
        return marked_beat && (!cut || *marked_beat <= (decision.kept - 1) / BeatBytes);
    };
    if (counts(pass.first_malformed_beat)) return not_eligible(Cause::malformed);
    if (counts(pass.first_bad_beat)) return not_eligible(Cause::marked_bad);
    if (!selected) return decision;

    const Verdict& verdict = decision.tried.back();
    decision.session = decision.tried.size() - 1;
    decision.session_number = selected->number;
    decision.by_service = verdict.reason == Verdict::Reason::amazon_dns;
    if (!decision.by_service) decision.rule = verdict.rule;
    decision.truncated = decision.kept < pass.size;
    decision.late_bad = pass.first_malformed_beat || pass.first_bad_beat;
    decision.copy = encapsulate(*selected, source_port(tables, frame), pass.data, decision.kept);
    decision.copy_bytes = decision.copy.size();
    decision.copy.resize(std::max(decision.copy_bytes, ShortestFrame), 0);
    return decision;
}

bool operator==(const Count& a, const Count& b) {
    return a.passes == b.passes && a.bytes == b.bytes;
}

bool operator!=(const Count& a, const Count& b) { return !(a == b); }

void Ledger::record(const Pass& pass, const Decision& decision, std::optional<Drop> drop) {
    if (drop && decision.outcome != Outcome::selected)
        throw std::invalid_argument("only a selected pass can be dropped");
    add(totals_.received, pass.size);
    add(totals_.forwarded, pass.size);
    switch (decision.outcome) {
        case Outcome::not_eligible:
            add(totals_.not_eligible, pass.size);
            add(totals_.not_eligible_by_cause[decision.cause], pass.size);
            return;
        case Outcome::not_accepted:
            add(totals_.not_accepted, pass.size);
            return;
        case Outcome::selected:
            break;
    }
    SessionTotals& session = sessions_[{pass.tap->interface, decision.session_number}];
    add(totals_.selected, pass.size);
    add(session.selected, pass.size);
    if (drop) {
        add(totals_.dropped, pass.size);
        add(totals_.dropped_by_cause[*drop], pass.size);
        add(session.dropped, pass.size);
    } else {
        add(totals_.mirrored, pass.size);
        add(session.mirrored, pass.size);
        totals_.sent_bytes += decision.copy_bytes;
        session.sent_bytes += decision.copy_bytes;
        if (decision.late_bad) add(totals_.late_bad, pass.size);
    }
}

SessionTotals Ledger::session(std::size_t interface, std::uint16_t number) const {
    const auto found = sessions_.find({interface, number});
    return found == sessions_.end() ? SessionTotals{} : found->second;
}

}  // namespace mirrornic::reference
