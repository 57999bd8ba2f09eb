// SPDX-License-Identifier: Apache-2.0
#include "reference_tables.hpp"

#include <algorithm>

namespace mirrornic::test {
namespace {

reference::Network translate(const Cidr& cidr) {
    return {reference_address(cidr.base), cidr.prefix};
}

std::optional<reference::PortRange> translate(const std::optional<PortRange>& ports) {
    if (!ports) return {};
    return reference::PortRange{ports->from, ports->to};
}

std::vector<reference::Rule> translate(const std::vector<Rule>& rules) {
    std::vector<reference::Rule> result;
    for (const Rule& rule : rules) {
        result.push_back({rule.accept, translate(rule.source), translate(rule.destination),
                          rule.protocol, translate(rule.source_ports),
                          translate(rule.destination_ports)});
    }
    return result;
}

}  // namespace

reference::Address reference_address(const IpAddress& address) {
    return {address.v6 ? 6 : 4, address.bytes};
}

ReferenceTables reference_tables(const TableState& state) {
    ReferenceTables result;
    std::map<std::string, std::shared_ptr<const reference::Filter>> filters;
    for (const auto& [id, filter] : state.filters) {
        filters[id] = std::make_shared<reference::Filter>(reference::Filter{
            filter->amazon_dns, translate(filter->ingress), translate(filter->egress)});
    }
    std::map<std::string, std::vector<std::pair<std::uint16_t, std::string>>> orders;
    for (const auto& [id, session] : state.sessions)
        orders[session.interface].emplace_back(session.number, id);
    for (const auto& [id, interface] : state.interfaces) {
        result.interfaces[id] = result.tables.interfaces.size();
        reference::Interface translated;
        if (interface.resolver) translated.resolver = reference_address(*interface.resolver);
        auto& order = orders[id];
        std::sort(order.begin(), order.end());
        result.sessions.emplace_back();
        for (const auto& [number, session_id] : order) {
            const Session& session = state.sessions.at(session_id);
            result.sessions.back().push_back(session_id);
            translated.sessions.push_back(
                {session.number, filters.at(session.filter), session.vni, session.packet_length,
                 session.source_mac, session.target_mac, reference_address(session.source_address),
                 reference_address(session.target_address), session.mtu});
        }
        result.tables.interfaces.push_back(std::move(translated));
    }
    return result;
}

}  // namespace mirrornic::test
