// SPDX-License-Identifier: Apache-2.0
#include "table_text.hpp"

#include <sstream>

namespace mirrornic {
namespace {

std::string describe(const IpAddress& address) {
    std::ostringstream text;
    text << (address.v6 ? "v6 " : "v4 ") << std::hex;
    for (int i = 0; i < (address.v6 ? 16 : 4); ++i) text << int(address.bytes[i]) << '.';
    return text.str();
}

std::string describe(const MacAddress& mac) {
    std::ostringstream text;
    text << std::hex;
    for (const auto byte : mac) text << int(byte) << ':';
    return text.str();
}

std::string describe(const std::optional<PortRange>& ports) {
    return ports ? std::to_string(ports->from) + "-" + std::to_string(ports->to) : "any";
}

/// With host bits cleared, as the block means.
std::string describe(const Cidr& cidr) {
    IpAddress base = cidr.base;
    for (unsigned bit = cidr.prefix; bit < 128; ++bit)
        base.bytes[bit / 8] &= std::uint8_t(~(0x80 >> bit % 8));
    return describe(base) + "/" + std::to_string(cidr.prefix);
}

std::string describe(const Rule& rule) {
    return std::string(rule.accept ? "accept " : "reject ") + describe(rule.source) + " > " +
           describe(rule.destination) + " protocol " +
           (rule.protocol ? std::to_string(*rule.protocol) : "any") + " ports " +
           describe(rule.source_ports) + " > " + describe(rule.destination_ports);
}

std::string describe_resolver(const std::optional<IpAddress>& resolver) {
    return "resolver " + (resolver ? describe(*resolver) : "none");
}

}  // namespace

std::string describe(const Filter& filter) {
    std::string text = filter.amazon_dns ? "{dns" : "{";
    for (const auto& rule : filter.ingress) text += " in: " + describe(rule);
    for (const auto& rule : filter.egress) text += " out: " + describe(rule);
    return text + "}";
}

std::string describe(const TableDump::Session& session) {
    return "VNI " + std::to_string(session.vni) + " length " +
           std::to_string(session.packet_length) + " cut " + std::to_string(session.mtu_cut) +
           " from " + describe(session.source_mac) + " " + describe(session.source_address) +
           " to " + describe(session.target_mac) + " " + describe(session.target_address);
}

std::string describe_slot(std::uint16_t number, const TableDump::Session& session,
                          const Filter& filter) {
    return std::to_string(number) + ": " + describe(session) + " by " + describe(filter);
}

TableDump::Session entry_of(const Session& session) {
    TableDump::Session entry;
    entry.vni = session.vni;
    entry.packet_length = session.packet_length.value_or(9216);
    entry.mtu_cut = session.mtu - (session.target_address.v6 ? 56 : 36);
    entry.source_mac = session.source_mac;
    entry.target_mac = session.target_mac;
    entry.source_address = session.source_address;
    entry.target_address = session.target_address;
    return entry;
}

std::map<std::uint32_t, std::vector<std::string>> describe(const TableDump& dump) {
    std::map<std::uint32_t, std::vector<std::string>> texts;
    for (const auto& [index, tapped] : dump.interfaces) {
        auto& text = texts[index];
        text.push_back(describe_resolver(tapped.resolver));
        for (const auto& slot : tapped.slots)
            text.push_back(describe_slot(slot.number, dump.sessions.at(slot.session),
                                         dump.filters.at(slot.filter)));
    }
    return texts;
}

std::map<std::string, std::vector<std::string>> describe(const TableState& state) {
    std::map<std::string, std::map<std::uint16_t, std::string>> slots;
    for (const auto& [id, session] : state.sessions)
        slots[session.interface][session.number] =
            describe_slot(session.number, entry_of(session), *state.filters.at(session.filter));
    std::map<std::string, std::vector<std::string>> texts;
    for (const auto& [interface, by_number] : slots) {
        auto& text = texts[interface];
        text.push_back(describe_resolver(state.interfaces.at(interface).resolver));
        for (const auto& [number, slot] : by_number) text.push_back(slot);
    }
    return texts;
}

}  // namespace mirrornic
