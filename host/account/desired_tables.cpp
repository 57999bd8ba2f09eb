// SPDX-License-Identifier: Apache-2.0
#include "host/account/desired_tables.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

namespace mirrornic {
namespace {

std::shared_ptr<const Filter> filter_tables(const Account& account,
                                            const TrafficMirrorFilter& filter) {
    auto out = std::make_shared<Filter>();
    out->amazon_dns = filter.amazon_dns;
    auto rules = account.rules_of_filter(filter.id);
    std::sort(rules.begin(), rules.end(),
              [](const auto* a, const auto* b) { return a->number < b->number; });
    for (const auto* rule : rules)
        (rule->direction == Direction::ingress ? out->ingress : out->egress)
            .push_back({rule->id, rule->accept, rule->source, rule->destination, rule->protocol,
                        rule->source_ports, rule->destination_ports});
    return out;
}

std::optional<Session> session_tables(const Account& account, const TrafficMirrorSession& session) {
    const auto* source = account.interfaces().find(session.interface_id);
    const auto* target = account.targets().find(session.target_id);
    if (!source || !target || !account.filters().find(session.filter_id)) return std::nullopt;
    const auto way = route(account, *source, *target);
    if (!way) return std::nullopt;
    Session out;
    out.interface = session.interface_id;
    out.filter = session.filter_id;
    out.number = session.number;
    out.vni = session.vni;
    out.packet_length = effective_packet_length(session, *target);
    out.source_mac = source->mac;
    out.target_mac = way->target->mac;
    out.source_address = way->source_address;
    out.target_address = way->target_address;
    out.mtu = effective_mtu(target->type, *way->target);
    return out;
}

void refresh_filter(TableState& tables, const Account& account, const std::string& id) {
    if (const auto* filter = account.filters().find(id))
        tables.filters[id] = filter_tables(account, *filter);
    else
        tables.filters.erase(id);
}

void refresh_session(TableState& tables, const Account& account, const Waiting& waiting,
                     const std::string& id) {
    const auto* session = account.sessions().find(id);
    if (session && waiting.count(session->interface_id) != 0) session = nullptr;
    if (const auto entry = session ? session_tables(account, *session) : std::nullopt)
        tables.sessions[id] = *entry;
    else
        tables.sessions.erase(id);
}

void refresh_interface(TableState& tables, const Account& account, const std::string& id) {
    const auto sessions = account.sessions_of_interface(id);
    const bool tapped = std::any_of(sessions.begin(), sessions.end(), [&](const auto* session) {
        return tables.sessions.count(session->id) != 0;
    });
    if (tapped)
        tables.interfaces[id] = {resolver(account, *account.interfaces().find(id))};
    else
        tables.interfaces.erase(id);
}

}  // namespace

std::optional<Route> route(const Account& account, const NetworkInterface& source,
                           const TrafficMirrorTarget& target) {
    std::optional<Route> best;
    for (const auto* interface : account.interfaces_of(target)) {
        Route way;
        way.target = interface;
        if (source.ipv4 && interface->ipv4) {
            way.source_address = *source.ipv4;
            way.target_address = *interface->ipv4;
        } else if (!source.ipv6.empty() && !interface->ipv6.empty()) {
            way.source_address = source.ipv6.front();
            way.target_address = interface->ipv6.front();
        } else {
            continue;
        }
        if (!source.availability_zone.empty() &&
            interface->availability_zone == source.availability_zone)
            return way;
        if (!best) best = way;
    }
    return best;
}

std::optional<std::uint16_t> effective_packet_length(const TrafficMirrorSession& session,
                                                     const TrafficMirrorTarget& target) {
    if (!session.packet_length && target.type == TargetType::network_load_balancer) return 8500;
    return session.packet_length;
}

std::uint16_t effective_mtu(TargetType type, const NetworkInterface& interface) {
    constexpr std::uint16_t endpoint_mtu = 8500;
    return type == TargetType::gateway_load_balancer_endpoint
               ? std::min(endpoint_mtu, interface.mtu)
               : interface.mtu;
}

std::optional<IpAddress> resolver(const Account& account, const NetworkInterface& interface) {
    const auto* vpc = account.vpcs().find(interface.vpc_id);
    if (!vpc || !vpc->cidr) return std::nullopt;
    IpAddress address = vpc->cidr->base;
    for (int i = 3, carry = 2; carry && i >= 0; --i) {
        carry += address.bytes[std::size_t(i)];
        address.bytes[std::size_t(i)] = std::uint8_t(carry);
        carry >>= 8;
    }
    return address;
}

std::vector<Session> routed_sessions(const Account& account, const std::string& interface) {
    std::vector<Session> out;
    for (const auto* session : account.sessions_of_interface(interface))
        if (auto routed = session_tables(account, *session)) out.push_back(std::move(*routed));
    return out;
}

TableState table_state(const Account& account) {
    TableState tables;
    for (const auto& [_, filter] : account.filters()) refresh_filter(tables, account, filter.id);
    for (const auto& [_, session] : account.sessions())
        refresh_session(tables, account, {}, session.id);
    for (const auto& [_, session] : account.sessions())
        refresh_interface(tables, account, session.interface_id);
    return tables;
}

Room::Room(const TableSizes& sizes, const TableState& taken)
    : sizes_(sizes), interfaces_(taken.interfaces.size()), sessions_(taken.sessions.size()) {
    for (const auto& [_, session] : taken.sessions) filters_.insert(session.filter);
}

bool Room::full() const { return interfaces_ >= sizes_.interfaces || sessions_ >= sizes_.sessions; }

std::optional<std::string> Room::take(const std::vector<Session>& sessions,
                                      const TableState& tables) {
    if (sessions.empty()) return std::nullopt;
    const auto lacks = [](const char* table, std::size_t wanted, const std::string& what,
                          std::uint32_t room, const std::string& advice) {
        return "the device's " + std::string(table) +
               " table has no room: " + std::to_string(wanted) + " " + what +
               " are wanted, it holds " + std::to_string(room) + "; " + advice;
    };
    const std::string others =
        "the session comes into force by itself when enough others are deleted";
    const std::string& interface = sessions.front().interface;
    if (sessions.size() > sizes_.slots)
        return lacks("slot", sessions.size(), "sessions of " + interface, sizes_.slots,
                     "delete some of them");
    if (interfaces_ + 1 > sizes_.interfaces)
        return lacks("interface", interfaces_ + 1, "interfaces with a session", sizes_.interfaces,
                     others);
    if (sessions_ + sessions.size() > sizes_.sessions)
        return lacks("session", sessions_ + sessions.size(), "sessions", sizes_.sessions, others);
    std::set<std::string> filters;
    for (const auto& session : sessions) {
        const Filter& filter = *tables.filters.at(session.filter);
        for (const auto* list : {&filter.ingress, &filter.egress})
            if (list->size() > sizes_.rules_per_direction)
                return lacks("filter rule", list->size(),
                             "rules of one direction of " + session.filter,
                             sizes_.rules_per_direction, "delete some of them");
        if (filters_.count(session.filter) == 0) filters.insert(session.filter);
    }
    if (filters_.size() + filters.size() > sizes_.filters)
        return lacks("filter", filters_.size() + filters.size(), "filters that a session uses",
                     sizes_.filters, others);
    ++interfaces_;
    sessions_ += sessions.size();
    filters_.merge(filters);
    return std::nullopt;
}

Waiting fit(TableState& tables, const Account& account, const TableSizes& sizes) {
    Waiting waiting;
    Room room(sizes, {});
    std::unordered_set<std::string> seen;
    for (const auto& [_, oldest] : account.sessions()) {
        const auto& id = oldest.interface_id;
        if (tables.interfaces.count(id) == 0 || !seen.insert(id).second) continue;
        if (auto lacking = room.take(routed_sessions(account, id), tables))
            waiting.emplace(id, std::move(*lacking));
    }
    for (const auto& [id, _] : waiting) {
        for (const auto* session : account.sessions_of_interface(id))
            tables.sessions.erase(session->id);
        tables.interfaces.erase(id);
    }
    return waiting;
}

std::vector<std::string> in_order(const Waiting& waiting, const Account& account) {
    std::vector<std::pair<Sequence, std::string>> found;
    for (const auto& [id, _] : waiting) {
        const auto sessions = account.sessions_of_interface(id);
        found.emplace_back(sessions.empty() ? 0 : sessions.front()->sequence, id);
    }
    std::sort(found.begin(), found.end());
    std::vector<std::string> out;
    out.reserve(found.size());
    for (auto& [_, id] : found) out.push_back(std::move(id));
    return out;
}

std::optional<std::string> why_no_route(const Account& account,
                                        const TrafficMirrorSession& session) {
    const auto* source = account.interfaces().find(session.interface_id);
    const auto* target = account.targets().find(session.target_id);
    if (!source)
        return "its source " + session.interface_id +
               " is not in the configuration; add it, or delete the session";
    if (!target || account.interfaces_of(*target).empty())
        return "no interface of its target " + session.target_id +
               (target ? ", " + target->address + "," : "") +
               " is in the configuration; add one, or give the session another target";
    if (!account.filters().find(session.filter_id))
        return "its filter " + session.filter_id + " does not exist; give the session another one";
    if (route(account, *source, *target)) return std::nullopt;
    return "its source " + session.interface_id + " and its target " + session.target_id +
           " have addresses of no common IP version; correct the configuration, or give the "
           "session another target";
}

void refresh(TableState& tables, Touched& touched, const Account& account, const Waiting& waiting,
             const std::string& interface) {
    auto& sessions = touched.interfaces[interface];
    sessions.clear();
    for (const auto* session : account.sessions_of_interface(interface)) {
        refresh_session(tables, account, waiting, session->id);
        sessions.insert(session->id);
    }
    refresh_interface(tables, account, interface);
}

void refresh(TableState& tables, Touched& touched, const Account& account, const Waiting& waiting,
             const Change& change, const Change& inverse) {
    std::set<std::string> interfaces, filters;
    for (const auto* objects : {&change.put, &inverse.put})
        for (const auto& object : *objects) {
            if (const auto* session = std::get_if<TrafficMirrorSession>(&object)) {
                refresh_session(tables, account, waiting, session->id);
                interfaces.insert(session->interface_id);
            } else if (const auto* filter = std::get_if<TrafficMirrorFilter>(&object)) {
                filters.insert(filter->id);
            } else if (const auto* rule = std::get_if<TrafficMirrorFilterRule>(&object)) {
                filters.insert(rule->filter_id);
            }
        }
    for (const auto& id : filters) refresh_filter(tables, account, id);
    for (const auto& id : interfaces) {
        refresh_interface(tables, account, id);
        auto& sessions = touched.interfaces[id];
        sessions.clear();
        for (const auto* session : account.sessions_of_interface(id)) sessions.insert(session->id);
    }
    touched.filters.merge(filters);
}

}  // namespace mirrornic
