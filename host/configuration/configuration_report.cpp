// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>

#include "host/account/desired_tables.hpp"
#include "host/configuration/configuration.hpp"

namespace mirrornic {
namespace {

constexpr int longest_copy = 9216;  // bytes of frame (P14)

std::string port_text(const std::optional<PortRange>& ports) {
    if (!ports) return "";
    const auto from = std::to_string(ports->from);
    return " port " + (ports->from == ports->to ? from : from + "-" + std::to_string(ports->to));
}

std::string rule_text(const TrafficMirrorFilterRule& rule) {
    const auto protocol = !rule.protocol         ? "any protocol"
                          : *rule.protocol == 6  ? "TCP"
                          : *rule.protocol == 17 ? "UDP"
                          : *rule.protocol == 1  ? "ICMP"
                          : *rule.protocol == 58 ? "ICMPv6"
                                                 : "protocol " + std::to_string(*rule.protocol);
    return std::to_string(rule.number) + " " + (rule.accept ? "accept " : "reject ") + protocol +
           " from " + rule.source.to_string() + port_text(rule.source_ports) + " to " +
           rule.destination.to_string() + port_text(rule.destination_ports) + " (" + rule.id + ")";
}

/// The sessions of an interface, in the order in which they are tried.
std::vector<const TrafficMirrorSession*> tried(const Account& account, const std::string& id) {
    auto sessions = account.sessions_of_interface(id);
    std::sort(sessions.begin(), sessions.end(),
              [](const auto* a, const auto* b) { return a->number < b->number; });
    return sessions;
}

Json describe(const Account& account, const TrafficMirrorSession& session) {
    Json out = {{"TrafficMirrorSessionId", session.id},
                {"SessionNumber", session.number},
                {"TrafficMirrorFilterId", session.filter_id},
                {"TrafficMirrorTargetId", session.target_id},
                {"VirtualNetworkId", session.vni}};
    const auto* source = account.interfaces().find(session.interface_id);
    const auto* target = account.targets().find(session.target_id);
    const auto way = source && target ? route(account, *source, *target) : std::nullopt;
    if (!way) return out;
    const auto length = effective_packet_length(session, *target);
    if (length) out["PacketLength"] = *length;
    const auto mtu = effective_mtu(target->type, *way->target);
    const int cut = mtu - (way->target_address.v6 ? 56 : 36);
    out["TargetInterfaceId"] = way->target->id;
    out["TargetMacAddress"] = to_string(way->target->mac);
    out["SourceAddress"] = way->source_address.to_string();
    out["TargetAddress"] = way->target_address.to_string();
    out["Mtu"] = mtu;
    out["LongestCopy"] = std::min({int(length.value_or(longest_copy)), cut, longest_copy});
    return out;
}

Json describe(const Account& account, const NetworkInterface& interface) {
    Json out = {{"NetworkInterfaceId", interface.id}, {"MacAddress", to_string(interface.mac)},
                {"Ipv6Addresses", Json::array()},     {"Mtu", interface.mtu},
                {"Sessions", Json::array()},          {"Targets", Json::array()}};
    if (interface.ipv4) out["PrivateIpAddress"] = interface.ipv4->to_string();
    for (const auto& address : interface.ipv6) out["Ipv6Addresses"].push_back(address.to_string());
    if (!interface.vpc_id.empty()) out["VpcId"] = interface.vpc_id.get();
    if (const auto address = resolver(account, interface)) out["Resolver"] = address->to_string();
    for (const auto* session : tried(account, interface.id))
        out["Sessions"].push_back(describe(account, *session));
    for (const auto& endpoint : {interface.id, interface.service()})
        if (!endpoint.empty())
            for (const auto* target : account.targets_at(endpoint))
                out["Targets"].push_back(target->id);
    return out;
}

/// The rules of a filter: both lists, in ascending rule number.
Json describe(const Account& account, const TrafficMirrorFilter& filter) {
    Json out = {{"TrafficMirrorFilterId", filter.id},
                {"NetworkServices", Json::array()},
                {"IngressFilterRules", Json::array()},
                {"EgressFilterRules", Json::array()},
                {"Sessions", account.sessions_of_filter(filter.id).size()}};
    if (filter.amazon_dns) out["NetworkServices"].push_back("amazon-dns");
    auto rules = account.rules_of_filter(filter.id);
    std::sort(rules.begin(), rules.end(),
              [](const auto* a, const auto* b) { return a->number < b->number; });
    for (const auto* rule : rules)
        out[rule->direction == Direction::ingress ? "IngressFilterRules" : "EgressFilterRules"]
            .push_back(rule_text(*rule));
    return out;
}

Json describe(const Account& account, const TrafficMirrorTarget& target) {
    Json out = {{"TrafficMirrorTargetId", target.id},
                {"Address", target.address},
                {"Interfaces", Json::array()},
                {"Sessions", account.sessions_of_target(target.id).size()}};
    for (const auto* interface : account.interfaces_of(target))
        out["Interfaces"].push_back(interface->id);
    return out;
}

/// How much of each table is used, and its size (T1, S3).
Json table_space(const Account& account, const TableSizes& sizes) {
    const auto tables = table_state(account);
    std::map<std::string, std::size_t> slots;
    std::set<std::string> filters;
    std::size_t most_slots = 0, most_rules = 0;
    for (const auto& [id, session] : tables.sessions) {
        most_slots = std::max(most_slots, ++slots[session.interface]);
        const auto& filter = *tables.filters.at(session.filter);
        most_rules = std::max({most_rules, filter.ingress.size(), filter.egress.size()});
        filters.insert(session.filter);
    }
    const auto row = [](const char* table, std::size_t used, std::size_t size) {
        return Json{{"Table", table}, {"Used", used}, {"Size", size}};
    };
    return {row("interfaces with a session", slots.size(), sizes.interfaces),
            row("sessions of one interface", most_slots, sizes.slots),
            row("filters in use", filters.size(), sizes.filters),
            row("rules of one direction of a filter", most_rules, sizes.rules_per_direction),
            row("sessions", tables.sessions.size(), sizes.sessions)};
}

std::string of(const Json& json, const char* name) { return json.value(name, ""); }

}  // namespace

Json description_of(const Account& account, const TableSizes& sizes) {
    Json out = {{"Schema", 1},
                {"Interfaces", Json::array()},
                {"Filters", Json::array()},
                {"Targets", Json::array()},
                {"Tables", table_space(account, sizes)}};
    for (const auto& object : account.interfaces())
        out["Interfaces"].push_back(describe(account, object));
    for (const auto& [_, object] : account.filters())
        out["Filters"].push_back(describe(account, object));
    for (const auto& [_, object] : account.targets())
        out["Targets"].push_back(describe(account, object));
    out["Fits"] = std::all_of(out["Tables"].begin(), out["Tables"].end(), [](const Json& row) {
        return row["Used"].get<int>() <= row["Size"].get<int>();
    });
    return out;
}

std::string description_text(const Json& description) {
    std::ostringstream out;
    std::size_t others = 0;
    out << "Interfaces\n";
    for (const auto& interface : description["Interfaces"]) {
        if (interface["Sessions"].empty() && interface["Targets"].empty()) {
            ++others;
            continue;
        }
        out << "  " << of(interface, "NetworkInterfaceId") << " " << of(interface, "MacAddress");
        if (interface.contains("PrivateIpAddress")) out << " " << of(interface, "PrivateIpAddress");
        for (const auto& address : interface["Ipv6Addresses"])
            out << " " << address.get<std::string>();
        out << ", MTU " << interface["Mtu"] << ", resolver "
            << (interface.contains("Resolver") ? of(interface, "Resolver") : "not known");
        for (const auto& target : interface["Targets"])
            out << ", target " << target.get<std::string>();
        out << "\n";
        for (const auto& session : interface["Sessions"]) {
            out << "    session " << session["SessionNumber"] << " "
                << of(session, "TrafficMirrorSessionId") << ": what "
                << of(session, "TrafficMirrorFilterId") << " accepts goes to "
                << of(session, "TrafficMirrorTargetId") << " with VNI "
                << session["VirtualNetworkId"];
            if (session.contains("TargetInterfaceId"))
                out << ", from " << of(session, "SourceAddress") << " to "
                    << of(session, "TargetAddress") << " (" << of(session, "TargetInterfaceId")
                    << " " << of(session, "TargetMacAddress") << "), at most "
                    << session["LongestCopy"] << " bytes of a frame"
                    << (session.contains("PacketLength")
                            ? ", PacketLength " + session["PacketLength"].dump()
                            : "")
                    << ", MTU " << session["Mtu"];
            out << "\n";
        }
    }
    if (others) out << "  " << others << " more, neither source nor target\n";
    const auto& interfaces = description["Interfaces"];
    if (std::all_of(interfaces.begin(), interfaces.end(),
                    [](const Json& interface) { return interface["Sessions"].empty(); }))
        out << "  no session: nothing is mirrored\n";

    out << "Filters\n";
    for (const auto& filter : description["Filters"]) {
        out << "  " << of(filter, "TrafficMirrorFilterId") << ", used by " << filter["Sessions"]
            << " sessions, Amazon DNS "
            << (filter["NetworkServices"].empty() ? "rejected" : "accepted") << "\n";
        for (const auto& [name, list] : {std::pair{"ingress", "IngressFilterRules"},
                                         std::pair{"egress", "EgressFilterRules"}}) {
            if (filter[list].empty()) out << "    " << name << " rejects everything else\n";
            for (const auto& rule : filter[list])
                out << "    " << name << " " << rule.get<std::string>() << "\n";
        }
    }

    out << "Targets\n";
    for (const auto& target : description["Targets"]) {
        out << "  " << of(target, "TrafficMirrorTargetId") << " = " << of(target, "Address")
            << ", used by " << target["Sessions"] << " sessions, interfaces";
        for (const auto& id : target["Interfaces"]) out << " " << id.get<std::string>();
        out << (target["Interfaces"].empty() ? " none that is configured\n" : "\n");
    }

    out << "Tables\n";
    for (const auto& row : description["Tables"])
        out << "  " << of(row, "Table") << ": " << row["Used"] << " of " << row["Size"]
            << (row["Used"] > row["Size"] ? ", more than the device holds\n" : "\n");
    return out.str();
}

}  // namespace mirrornic
