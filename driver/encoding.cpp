// SPDX-License-Identifier: Apache-2.0
#include "driver/encoding.hpp"

#include <algorithm>

namespace mirrornic::encoding {
namespace {

namespace map = registers;

constexpr std::uint32_t no_cut = 9216;  // P14: nothing is longer

// Places in SessionWords.
enum : std::size_t { vni, cut, flags, target_mac, source_mac_ = 5, target = 7, source = 11 };
// Places in a rule's part of FilterWords.
enum : std::size_t { head, source_ports, destination_ports, source_cidr, destination_cidr = 7 };

std::size_t rule_place(std::size_t direction, std::size_t rule) {
    return 1 + (direction * rules + rule) * 11;
}

std::uint32_t big_endian(const std::uint8_t* bytes) {
    return std::uint32_t(bytes[0]) << 24 | std::uint32_t(bytes[1]) << 16 |
           std::uint32_t(bytes[2]) << 8 | bytes[3];
}

void put_big_endian(std::uint32_t word, std::uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) bytes[i] = std::uint8_t(word >> (24 - 8 * i));
}

void put_mac(const MacAddress& mac, std::uint32_t* words) {
    words[0] = big_endian(&mac[2]);
    words[1] = std::uint32_t(mac[0]) << 8 | mac[1];
}

MacAddress mac_of(const std::uint32_t* words) {
    MacAddress mac{};
    mac[0] = std::uint8_t(words[1] >> 8);
    mac[1] = std::uint8_t(words[1]);
    put_big_endian(words[0], &mac[2]);
    return mac;
}

void put_address(const IpAddress& address, std::uint32_t* words) {
    for (std::size_t i = 0; i < 4; ++i)
        words[3 - i] = address.v6 || i == 0 ? big_endian(&address.bytes[4 * i]) : 0;
}

IpAddress address_of(bool v6, const std::uint32_t* words) {
    IpAddress address;
    address.v6 = v6;
    for (std::size_t i = 0; i < (v6 ? 4 : 1); ++i)
        put_big_endian(words[3 - i], &address.bytes[4 * i]);
    return address;
}

/// Bits behind the prefix are cleared, so that equal blocks have equal words.
IpAddress network(const Cidr& cidr) {
    IpAddress base = cidr.base;
    for (std::size_t i = 0; i < base.bytes.size(); ++i) {
        const int kept = std::clamp(int(cidr.prefix) - int(8 * i), 0, 8);
        base.bytes[i] &= std::uint8_t(0xff << (8 - kept));
    }
    return base;
}

static_assert(map::rule_destination_ports::from.low == map::rule_source_ports::from.low &&
                  map::rule_destination_ports::to.low == map::rule_source_ports::to.low,
              "one encoding of a port range serves both sides");

std::uint32_t ports(const std::optional<PortRange>& range) {
    namespace p = map::rule_source_ports;
    return range ? p::from(range->from) | p::to(range->to) : 0;
}

PortRange ports_of(std::uint32_t word) {
    namespace p = map::rule_source_ports;
    return {std::uint16_t(p::from.of(word)), std::uint16_t(p::to.of(word))};
}

void put_rule(const Rule& rule, std::uint32_t* words) {
    namespace r = map::rule;
    words[head] = r::valid(1) | r::accept(rule.accept) | r::v6(rule.source.base.v6) |
                  r::has_protocol(rule.protocol.has_value()) |
                  r::has_source_ports(rule.source_ports.has_value()) |
                  r::has_destination_ports(rule.destination_ports.has_value()) |
                  r::protocol(rule.protocol.value_or(0)) | r::source_prefix(rule.source.prefix) |
                  r::destination_prefix(rule.destination.prefix);
    words[source_ports] = ports(rule.source_ports);
    words[destination_ports] = ports(rule.destination_ports);
    put_address(network(rule.source), words + source_cidr);
    put_address(network(rule.destination), words + destination_cidr);
}

Rule rule_of(const std::uint32_t* words) {
    namespace r = map::rule;
    Rule rule;
    const bool v6 = r::v6.of(words[head]);
    rule.accept = r::accept.of(words[head]);
    rule.source = {address_of(v6, words + source_cidr),
                   std::uint8_t(r::source_prefix.of(words[head]))};
    rule.destination = {address_of(v6, words + destination_cidr),
                        std::uint8_t(r::destination_prefix.of(words[head]))};
    if (r::has_protocol.of(words[head])) rule.protocol = std::uint8_t(r::protocol.of(words[head]));
    if (r::has_source_ports.of(words[head])) rule.source_ports = ports_of(words[source_ports]);
    if (r::has_destination_ports.of(words[head]))
        rule.destination_ports = ports_of(words[destination_ports]);
    return rule;
}

}  // namespace

const InterfaceWords& interface_addresses() {
    static const InterfaceWords addresses = [] {
        InterfaceWords a{map::interface_resolver::address(), map::interface_flags::address()};
        for (std::uint32_t i = 0; i < slots; ++i) {
            a[2 + 2 * i] = map::slot::address(i);
            a[3 + 2 * i] = map::slot_tables::address(i);
        }
        return a;
    }();
    return addresses;
}

const SessionWords& session_addresses() {
    static const SessionWords addresses = [] {
        SessionWords a{map::session_vni::address(), map::session_cut::address(),
                       map::session_flags::address()};
        for (std::uint32_t i = 0; i < 2; ++i) {
            a[target_mac + i] = map::session_target_mac::address(i);
            a[source_mac_ + i] = map::session_source_mac::address(i);
        }
        for (std::uint32_t i = 0; i < 4; ++i) {
            a[target + i] = map::session_target_address::address(i);
            a[source + i] = map::session_source_address::address(i);
        }
        return a;
    }();
    return addresses;
}

const ServiceWords& service_addresses() {
    static const ServiceWords addresses = [] {
        ServiceWords a{map::service_flags::address(), map::service_ports::address()};
        for (std::uint32_t i = 0; i < 4; ++i) a[2 + i] = map::service_address::address(i);
        return a;
    }();
    return addresses;
}

const FilterWords& filter_addresses() {
    static const FilterWords addresses = [] {
        FilterWords a{map::filter_flags::address()};
        for (std::uint32_t direction = 0; direction < 2; ++direction)
            for (std::uint32_t rule = 0; rule < rules; ++rule) {
                std::uint32_t* part = &a[rule_place(direction, rule)];
                part[head] = map::rule::address(direction, rule);
                part[source_ports] = map::rule_source_ports::address(direction, rule);
                part[destination_ports] = map::rule_destination_ports::address(direction, rule);
                for (std::uint32_t i = 0; i < 4; ++i) {
                    part[source_cidr + i] = map::rule_source::address(direction, rule, i);
                    part[destination_cidr + i] = map::rule_destination::address(direction, rule, i);
                }
            }
        return a;
    }();
    return addresses;
}

InterfaceWords encode(const InterfaceWord& word) {
    InterfaceWords words{};
    if (word.slots.empty()) return words;
    words[0] = word.resolver.value_or(0);
    words[1] = map::interface_flags::has_resolver(word.resolver.has_value());
    for (std::size_t i = 0; i < word.slots.size(); ++i) {
        const Slot& slot = word.slots[i];
        words[2 + 2 * i] = map::slot::valid(1) | map::slot::number(slot.number);
        words[3 + 2 * i] =
            map::slot_tables::filter(slot.filter) | map::slot_tables::session(slot.session);
    }
    return words;
}

SessionWords encode(const Session& session) {
    SessionWords words{};
    const bool v6 = session.target_address.v6;
    const std::uint32_t outer = v6 ? 56 : 36;  // P14: IP, UDP and VXLAN headers
    words[vni] = map::session_vni::vni(session.vni);
    words[cut] = map::session_cut::packet_length(
                     std::min<std::uint32_t>(session.packet_length.value_or(no_cut), no_cut)) |
                 map::session_cut::mtu_cut(std::min<std::uint32_t>(no_cut, session.mtu - outer));
    words[flags] = map::session_flags::v6(v6);
    put_mac(session.target_mac, &words[target_mac]);
    put_mac(session.source_mac, &words[source_mac_]);
    put_address(session.target_address, &words[target]);
    put_address(session.source_address, &words[source]);
    return words;
}

FilterWords encode(const Filter& filter) {
    FilterWords words{};
    words[0] = map::filter_flags::amazon_dns(filter.amazon_dns);
    for (std::size_t i = 0; i < filter.ingress.size(); ++i)
        put_rule(filter.ingress[i], &words[rule_place(0, i)]);
    for (std::size_t i = 0; i < filter.egress.size(); ++i)
        put_rule(filter.egress[i], &words[rule_place(1, i)]);
    return words;
}

InterfaceWord decode_interface(const InterfaceWords& words) {
    InterfaceWord word;
    for (std::size_t i = 0; i < slots; ++i) {
        if (!map::slot::valid.of(words[2 + 2 * i])) continue;
        const std::uint32_t tables = words[3 + 2 * i];
        word.slots.push_back({std::uint16_t(map::slot::number.of(words[2 + 2 * i])),
                              std::uint16_t(map::slot_tables::filter.of(tables)),
                              std::uint16_t(map::slot_tables::session.of(tables))});
    }
    if (!word.slots.empty() && map::interface_flags::has_resolver.of(words[1]))
        word.resolver = words[0];
    return word;
}

TableDump::Session decode_session(const SessionWords& words) {
    TableDump::Session session;
    const bool v6 = map::session_flags::v6.of(words[flags]);
    session.vni = map::session_vni::vni.of(words[vni]);
    session.packet_length = std::uint16_t(map::session_cut::packet_length.of(words[cut]));
    session.mtu_cut = std::uint16_t(map::session_cut::mtu_cut.of(words[cut]));
    session.target_mac = mac_of(&words[target_mac]);
    session.source_mac = mac_of(&words[source_mac_]);
    session.target_address = address_of(v6, &words[target]);
    session.source_address = address_of(v6, &words[source]);
    return session;
}

Filter decode_filter(const FilterWords& words) {
    Filter filter;
    filter.amazon_dns = map::filter_flags::amazon_dns.of(words[0]);
    for (std::size_t direction = 0; direction < 2; ++direction)
        for (std::size_t i = 0; i < rules; ++i) {
            const std::uint32_t* part = &words[rule_place(direction, i)];
            if (map::rule::valid.of(part[head]))
                (direction == 0 ? filter.ingress : filter.egress).push_back(rule_of(part));
        }
    return filter;
}

std::uint32_t address_word(const IpAddress& v4) { return big_endian(v4.bytes.data()); }

IpAddress address_of(std::uint32_t v4) {
    IpAddress address;
    put_big_endian(v4, address.bytes.data());
    return address;
}

std::uint64_t source_mac(const SessionWords& words) {
    return std::uint64_t(words[source_mac_ + 1]) << 32 | words[source_mac_];
}

}  // namespace mirrornic::encoding
