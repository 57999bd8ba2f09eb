// SPDX-License-Identifier: Apache-2.0
// A failing case made small, told and written down.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "host/frames/capture_file.hpp"
#include "regress_case.hpp"

namespace mirrornic::test {
namespace {

using Json = nlohmann::ordered_json;
using Fails = std::function<bool(const Case&)>;
constexpr unsigned most_trials = 3000;

class Shrinker {
public:
    Shrinker(Case failing, const Fails& fails) : best_(std::move(failing)), fails_(fails) {}

    Case shrink() {
        remove_events();
        simplify();
        remove_events();
        return std::move(best_);
    }

private:
    bool take(Case smaller) {
        if (trials_ == most_trials) return false;
        ++trials_;
        if (!fails_(smaller)) return false;
        best_ = std::move(smaller);
        return true;
    }

    /// By halves, then by quarters, ..., and one by one until none can go.
    void remove_events() {
        for (std::size_t size = std::max<std::size_t>(1, best_.events.size() / 2);;) {
            bool removed = false;
            // From the end: what follows the failure goes first.
            for (std::size_t end = best_.events.size(); end > 0;) {
                const std::size_t begin = end > size ? end - size : 0;
                Case smaller = best_;
                smaller.events.erase(smaller.events.begin() + std::ptrdiff_t(begin),
                                     smaller.events.begin() + std::ptrdiff_t(end));
                removed |= take(std::move(smaller));
                end = begin;
            }
            if (size > 1)
                size /= 2;
            else if (!removed)
                return;
        }
    }

    template <class Change>
    bool change_event(std::size_t at, Change change) {
        Case changed = best_;
        if (!change(changed.events[at])) return false;
        return take(std::move(changed));
    }

    void simplify() {
        Case plain = best_;
        plain.queue_beats = 256;
        plain.lossless = true;
        for (Event& event : plain.events)
            if (auto* pass = std::get_if<PassEvent>(&event)) {
                pass->when_room = true;
                pass->gap = 0;
            }
        take(std::move(plain));
        for (std::size_t i = 0; i < best_.events.size(); ++i) {
            if (std::holds_alternative<PassEvent>(best_.events[i])) simplify_pass(i);
            if (std::holds_alternative<ApplyEvent>(best_.events[i])) simplify_tables(i);
        }
    }

    void simplify_pass(std::size_t at) {
        const auto with = [&](auto change) {
            return change_event(at,
                                [&](Event& event) { return change(std::get<PassEvent>(event)); });
        };
        with([](PassEvent& pass) { return !std::exchange(pass.marks, {}).empty(); });
        with([](PassEvent& pass) { return std::exchange(pass.index, {}).has_value(); });
        with([](PassEvent& pass) { return std::exchange(pass.gap, 0) != 0; });
        const auto shorter = [&](std::size_t size) {
            return with([size](PassEvent& pass) {
                if (!pass.marks.empty() || size == 0 || pass.frame.size() <= size) return false;
                pass.frame.resize(size);
                return true;
            });
        };
        while (shorter((std::get<PassEvent>(best_.events[at]).frame.size() + 60) / 2)) {
        }
        while (shorter(std::get<PassEvent>(best_.events[at]).frame.size() - 1)) {
        }
    }

    void simplify_tables(std::size_t at) {
        const auto tables = [&]() -> const TableState& {
            return std::get<ApplyEvent>(best_.events[at]).state;
        };
        const auto with = [&](auto change) {
            return change_event(
                at, [&](Event& event) { return change(std::get<ApplyEvent>(event).state); });
        };
        std::vector<std::string> ids;
        for (const auto& [id, session] : tables().sessions) ids.push_back(id);
        for (const auto& id : ids)
            with([&](TableState& state) { return state.sessions.erase(id) != 0; });
        ids.clear();
        for (const auto& [id, filter] : tables().filters) ids.push_back(id);
        for (const auto& id : ids) {
            with([&](TableState& state) {  // not used
                for (const auto& [_, session] : state.sessions)
                    if (session.filter == id) return false;
                return state.filters.erase(id) != 0;
            });
            if (tables().filters.count(id) == 0) continue;
            for (auto list : {&Filter::ingress, &Filter::egress})
                for (std::size_t i = (tables().filters.at(id).get()->*list).size(); i-- > 0;)
                    with([&](TableState& state) {
                        auto filter = std::make_shared<Filter>(*state.filters.at(id));
                        auto& rules = filter.get()->*list;
                        rules.erase(rules.begin() + std::ptrdiff_t(i));
                        state.filters[id] = filter;
                        return true;
                    });
        }
        ids.clear();
        for (const auto& [id, interface] : tables().interfaces) ids.push_back(id);
        for (const auto& id : ids)
            with([&](TableState& state) {
                for (const auto& [_, session] : state.sessions)
                    if (session.interface == id) return false;
                return state.interfaces.erase(id) != 0;
            });
    }

    Case best_;
    const Fails& fails_;
    unsigned trials_ = 0;
};

std::string hex(const Bytes& bytes) {
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

const char* name(Direction direction) {
    return direction == Direction::egress ? "egress" : "ingress";
}

struct Describe {
    std::ostringstream& out;

    void operator()(const PassEvent& pass) const {
        out << "pass ";
        if (pass.interface.empty())
            out << "at no tap";
        else
            out << pass.interface << ' ' << name(pass.direction);
        if (pass.index) out << ", index " << *pass.index;
        if (pass.when_room) out << ", when there is room";
        if (pass.gap != 0) out << ", after " << pass.gap << " cycles";
        for (const BeatMark& mark : pass.marks) {
            out << ", beat " << mark.beat;
            if (mark.error) out << " marked bad";
            if (mark.keep) out << " with tkeep " << std::hex << *mark.keep << std::dec;
        }
        out << ", " << pass.frame.size() << " bytes: " << hex(pass.frame);
    }
    void operator()(const ApplyEvent& event) const {
        out << "tables of " << event.state.filters.size() << " filters:";
        for (const auto& [id, session] : event.state.sessions) {
            out << ' ' << id << " (" << session.interface << ", number " << session.number
                << ", filter " << session.filter << ", VNI " << session.vni << ", packet length ";
            session.packet_length ? out << *session.packet_length : out << "none";
            out << ", to " << session.target_address.to_string() << ", MTU " << session.mtu << ')';
        }
        for (const auto& [id, filter] : event.state.filters) {
            out << "\n    filter " << id << (filter->amazon_dns ? ", amazon-dns" : "");
            for (const bool egress : {false, true})
                for (const Rule& rule : egress ? filter->egress : filter->ingress) {
                    out << "\n        " << (egress ? "egress " : "ingress ")
                        << (rule.accept ? "accept " : "reject ") << rule.source.to_string()
                        << " to " << rule.destination.to_string();
                    if (rule.protocol) out << ", protocol " << int(*rule.protocol);
                    if (rule.source_ports)
                        out << ", from ports " << rule.source_ports->from << '-'
                            << rule.source_ports->to;
                    if (rule.destination_ports)
                        out << ", to ports " << rule.destination_ports->from << '-'
                            << rule.destination_ports->to;
                }
        }
    }
    void operator()(const ServiceEvent& event) const {
        out << "service entry " << event.index << (event.entry ? " written" : " cleared");
    }
    void operator()(const SourcePortsEvent& event) const {
        out << "source ports " << event.base << '/' << int(event.bits);
    }
    void operator()(const PatternEvent& event) const {
        static const char* const streams[] = {"s_axis", "m_axis_forward", "m_axis_mirror"};
        static const char* const kinds[] = {"always", "by chance, percent of cycles",
                                            "in turns of cycles", "one beat in cycles"};
        out << streams[int(event.stream)] << " moves " << kinds[int(event.kind)] << ' '
            << event.value;
    }
    void operator()(const WaitEvent& event) const {
        event.cycles == 0 ? out << "wait until idle" : out << "wait " << event.cycles << " cycles";
    }
    void operator()(const SnapshotEvent&) const { out << "snapshot"; }
    void operator()(const MirrorResetEvent&) const { out << "mirror reset"; }
    void operator()(const ResetEvent&) const { out << "reset"; }
    void operator()(const FlipEvent& event) const {
        out << "flip memory " << int(event.memory) << ", copy " << event.copy << ", word "
            << event.word << ", bit " << event.bit;
    }
    void operator()(const RepairEvent&) const { out << "repair"; }
};

/// Puts the frames at their taps as the command does, by MAC addresses. Why that cannot be, or
/// nothing.
std::optional<std::string> tap_by_mac(Case& events) {
    bool passes = false, tables = false;
    const auto of_account = [&](const std::uint8_t* mac) {
        const auto same = [mac](const Endpoint& endpoint) {
            return std::equal(mac, mac + 6, endpoint.mac.begin());
        };
        return std::any_of(events.sources.begin(), events.sources.end(),
                           [&](const auto& source) { return same(source.second); }) ||
               std::any_of(events.targets.begin(), events.targets.end(), same);
    };
    for (Event& event : events.events) {
        if (std::holds_alternative<ApplyEvent>(event)) {
            if (passes || tables) return "its tables change under traffic";
            tables = true;
        } else if (auto* pass = std::get_if<PassEvent>(&event)) {
            passes = true;
            if (!pass->marks.empty()) return "a beat is malformed or marked bad";
            if (pass->index) return "a pass has an interface index of its own";
            if (pass->gap != 0) return "there are gaps between its frames";
            if (pass->when_room != events.lossless) return "some of its frames wait for room";
            const bool tapped = events.sources.count(pass->interface) != 0;
            if (!tapped && !pass->interface.empty())
                return "a pass is at an interface that no session uses";
            if (pass->frame.size() < 12) {
                if (tapped) return "a frame is too short for MAC addresses";
                continue;
            }
            for (const unsigned at : {0, 6}) {
                const bool here = tapped && (at == 6) == (pass->direction == Direction::egress);
                if (here)
                    std::copy_n(events.sources.at(pass->interface).mac.begin(), 6,
                                pass->frame.begin() + at);
                else
                    while (of_account(&pass->frame[at])) ++pass->frame[at + 5];
            }
        } else if (std::holds_alternative<SourcePortsEvent>(event)) {
            if (passes) return "the range of source ports changes under traffic";
        } else {
            std::ostringstream text;
            std::visit(Describe{text}, event);
            return "the command has no way to say: " + text.str();
        }
    }
    if (!tables) return "it has no tables";
    return {};
}

Json interface_json(const std::string& id, const Endpoint& endpoint, bool in_vpc) {
    Json json{{"NetworkInterfaceId", id}, {"MacAddress", to_string(endpoint.mac)}};
    if (endpoint.ipv4) json["PrivateIpAddress"] = endpoint.ipv4->to_string();
    if (endpoint.ipv6) json["Ipv6Addresses"] = {{{"Ipv6Address", endpoint.ipv6->to_string()}}};
    if (in_vpc) json["VpcId"] = "vpc-00000000000000001";
    json["Mtu"] = endpoint.mtu;
    return json;
}

std::string target_id(const char* prefix, std::size_t number) {
    return prefix + std::string("-000000000000000f") + char('0' + number);
}

/// Why a rule is none of the API's (S2), or its JSON. @param id a number of its own
std::optional<std::string> rule_json(const Rule& rule, unsigned id, std::size_t number,
                                     Direction direction, Json& list) {
    const bool ports = rule.source_ports || rule.destination_ports;
    if (ports && rule.protocol != std::uint8_t{6} && rule.protocol != std::uint8_t{17})
        return "a rule has ports without a protocol that has them (S2)";
    char text[32];
    std::snprintf(text, sizeof text, "tmfr-%017x", id);
    Json json{{"TrafficMirrorFilterRuleId", text},
              {"TrafficDirection", name(direction)},
              {"RuleNumber", number},
              {"RuleAction", rule.accept ? "accept" : "reject"},
              {"SourceCidrBlock", rule.source.to_string()},
              {"DestinationCidrBlock", rule.destination.to_string()}};
    if (rule.protocol) json["Protocol"] = *rule.protocol;
    const auto range = [&json](const char* member, const std::optional<PortRange>& ports) {
        if (ports) json[member] = {{"FromPort", ports->from}, {"ToPort", ports->to}};
    };
    range("SourcePortRange", rule.source_ports);
    range("DestinationPortRange", rule.destination_ports);
    list.push_back(json);
    return {};
}

std::optional<std::string> configuration_json(const Case& events, Json& json) {
    const auto tables =
        std::find_if(events.events.begin(), events.events.end(),
                     [](const Event& event) { return std::holds_alternative<ApplyEvent>(event); });
    const TableState& state = std::get<ApplyEvent>(*tables).state;
    Json interfaces = Json::array(), targets = Json::array(), filters = Json::array(),
         sessions = Json::array();
    for (const auto& [id, source] : events.sources) {
        const auto found = state.interfaces.find(id);
        interfaces.push_back(
            interface_json(id, source, found != state.interfaces.end() && found->second.resolver));
    }
    for (std::size_t i = 0; i < events.targets.size(); ++i) {
        const std::string interface = target_id("eni", i);
        interfaces.push_back(interface_json(interface, events.targets[i], false));
        targets.push_back({{"TrafficMirrorTargetId", target_id("tmt", i)},
                           {"NetworkInterfaceId", interface},
                           {"Type", "network-interface"}});
    }
    unsigned rules = 0;
    for (const auto& [id, filter] : state.filters) {
        Json lists[2] = {Json::array(), Json::array()};
        for (const auto direction : {Direction::ingress, Direction::egress}) {
            std::size_t number = 0;
            for (const Rule& rule :
                 direction == Direction::egress ? filter->egress : filter->ingress)
                if (const auto why =
                        rule_json(rule, ++rules, ++number, direction, lists[int(direction)]))
                    return why;
        }
        Json services = Json::array();
        if (filter->amazon_dns) services.push_back("amazon-dns");
        filters.push_back({{"TrafficMirrorFilterId", id},
                           {"IngressFilterRules", lists[0]},
                           {"EgressFilterRules", lists[1]},
                           {"NetworkServices", services}});
    }
    for (const auto& [id, session] : state.sessions) {
        std::size_t target = 0;
        while (events.targets[target].mac != session.target_mac) ++target;
        Json entry{{"TrafficMirrorSessionId", id},
                   {"TrafficMirrorTargetId", target_id("tmt", target)},
                   {"TrafficMirrorFilterId", session.filter},
                   {"NetworkInterfaceId", session.interface},
                   {"SessionNumber", session.number},
                   {"VirtualNetworkId", session.vni}};
        if (session.packet_length) entry["PacketLength"] = *session.packet_length;
        sessions.push_back(entry);
    }
    json = {{"NetworkInterfaces", interfaces},
            {"Vpcs", {{{"VpcId", "vpc-00000000000000001"}, {"CidrBlock", "10.0.0.0/16"}}}},
            {"TrafficMirrorTargets", targets},
            {"TrafficMirrorFilters", filters},
            {"TrafficMirrorSessions", sessions}};
    return {};
}

}  // namespace

Case shrink(Case failing, const Fails& fails) {
    return Shrinker(std::move(failing), fails).shrink();
}

std::string describe(const Case& events) {
    std::ostringstream out;
    out << "queue of " << events.queue_beats << " beats, "
        << (events.lossless ? "no drops\n" : "drops allowed\n");
    for (const Event& event : events.events) {
        std::visit(Describe{out}, event);
        out << '\n';
    }
    return out.str();
}

std::optional<std::string> write_replay(Case events, const std::string& folder,
                                        const Fails& fails) {
    if (const auto why = tap_by_mac(events)) return why;
    Json json;
    if (const auto why = configuration_json(events, json)) return why;
    if (!fails(events))
        return "it does not fail with the MAC addresses that the command finds taps by";
    std::ofstream(folder + "/config.json") << json.dump(4) << '\n';
    CaptureWriter capture(folder + "/capture.pcap");
    std::uint64_t time = 1'000'000'000;
    std::string ports = "rfc7348";
    for (const Event& event : events.events) {
        if (const auto* pass = std::get_if<PassEvent>(&event))
            capture.write(time += 1000, pass->frame.data(), pass->frame.size());
        if (const auto* range = std::get_if<SourcePortsEvent>(&event))
            ports = std::to_string(range->base) + "/" + std::to_string(range->bits);
    }
    capture.close();
    std::ofstream(folder + "/command.txt")
        << "mirrornic run --config config.json --in capture.pcap --pace "
        << (events.lossless ? "lossless" : "line") << " --source-ports " << ports
        << " --out mirror.pcap --decisions decisions.jsonl\n";
    return {};
}

}  // namespace mirrornic::test
