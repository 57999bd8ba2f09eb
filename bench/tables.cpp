// SPDX-License-Identifier: Apache-2.0
// Table updates in clock cycles of the verilated offload, exact: rules and sessions on the table
// port, a filter's replacement, and from a commit to its effect; beside traffic that starts a frame
// on every cycle, of which each must be looked up, mirrored, and decided by the rule that its
// tables say. Prints JSON.
#include <algorithm>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bare_offload.hpp"
#include "driver/mirror_device.hpp"
#include "register_map.hpp"

using namespace mirrornic;
using mirrornic::bench::BareOffload;
using Json = nlohmann::ordered_json;
namespace map = mirrornic::registers;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// A UDP frame over IPv4, 10.0.1.10 to 10.0.2.20, port 5000.
Bytes frame_of(std::size_t size) {
    Bytes frame{2, 0,  0,  0, 0, 0xb, 2, 0, 0,  0,  0, 0xa, 8,  0,    0x45, 0,    0,    0, 0, 0, 0,
                0, 64, 17, 0, 0, 10,  0, 1, 10, 10, 0, 2,   20, 0x9c, 0x40, 0x13, 0x88, 0, 0, 0, 0};
    while (frame.size() < size) frame.push_back(static_cast<std::uint8_t>(frame.size() * 7));
    return frame;
}

/// The offload with frames back to back on one interface, egress and ingress in turn, while its
/// registers are used.
class Loaded : public BareOffload {
public:
    struct Decided {
        std::uint64_t start;  ///< cycle of the frame's first beat
        std::uint16_t version;
        unsigned rule;
    };

    void start(std::uint32_t interface, std::size_t size) {
        interface_ = interface;
        frame_ = frame_of(size);
        offset_ = 0;
        running = true;
    }
    /// Ends the frame in hand and lets all of it leave.
    void stop() {
        running = false;
        for (int i = 0; i < 100000 && (offset_ != 0 || top.s_axis_tvalid || !top.idle); ++i) step();
        if (!top.idle) throw std::runtime_error("the offload does not become idle");
        top.m_axis_mirror_tready = 1;
    }
    void step() override {
        if ((running || offset_ != 0) && !top.s_axis_tvalid)
            present(frame_.data(), frame_.size(), offset_, user(interface_, started % 2 == 0));
        if (top.m_axis_mirror_tvalid && top.m_axis_mirror_tready && top.m_axis_mirror_tlast)
            ++copies;
        if (top.m_decision_valid) decide();
        const bool taken_beat = top.s_axis_tvalid && top.s_axis_tready;
        if (running && !taken_beat) ++gaps;
        if (taken_beat && offset_ == 0) {
            starts_.push_back(cycle);
            ++started;
        }
        edge();
        if (taken_beat) {
            offset_ = top.s_axis_tlast ? 0 : offset_ + 64;
            top.s_axis_tvalid = 0;
        }
    }
    /// Writes come no closer than `spacing` cycles, the first that long behind `pace`.
    void pace(std::uint64_t spacing) {
        spacing_ = spacing;
        next_ = cycle + spacing;
    }
    void write(std::uint32_t address, std::uint32_t value) override {
        wait_turn();
        BareOffload::write(address, value);
    }
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override {
        if (lines) wait_turn();
        BareOffload::write_line(address, words, changed);
    }

    bool running = false;
    std::uint64_t started = 0, decided = 0, mirrored = 0, copies = 0, gaps = 0;
    std::map<std::uint16_t, std::map<unsigned, std::uint64_t>>
        by_version;              ///< mirrored, by the rule that accepted
    std::deque<Decided> recent;  ///< decisions, newest last

private:
    void wait_turn() {
        while (cycle < next_) step();
        if (spacing_ != 0) next_ = cycle + spacing_;
    }
    void decide() {
        const std::uint64_t bits = top.m_decision;
        const auto version = static_cast<std::uint16_t>(bits >> 46);
        const auto rule = static_cast<unsigned>(bits >> 8 & 15);
        ++decided;
        if ((bits & 3) == 2) {
            ++mirrored;
            ++by_version[version][rule];
        }
        recent.push_back({starts_.front(), version, rule});
        starts_.pop_front();
        if (recent.size() > 4096) recent.pop_front();
    }

    std::uint32_t interface_ = 0;
    Bytes frame_;
    std::size_t offset_ = 0;
    std::deque<std::uint64_t> starts_;
    std::uint64_t spacing_ = 0, next_ = 0;
};

/// `count` rules in each direction; the one at `accepts` takes the frames above, the others match
/// nothing of them.
std::shared_ptr<const Filter> filter_of(unsigned count, unsigned accepts, std::uint8_t salt) {
    auto filter = std::make_shared<Filter>();
    for (unsigned i = 0; i < count; ++i) {
        Rule rule;
        rule.id = "r" + std::to_string(i);
        rule.accept = true;
        const std::string host = std::to_string(salt) + "." + std::to_string(i);
        rule.source = Cidr::parse(i == accepts ? "10.0.1.10/32" : "192.0." + host + "/32");
        rule.destination = Cidr::parse(i == accepts ? "10.0.2.20/32" : "198.18." + host + "/32");
        rule.protocol = 17;
        rule.source_ports =
            PortRange{static_cast<std::uint16_t>(i == accepts ? salt : i + salt), 60000};
        rule.destination_ports = PortRange{static_cast<std::uint16_t>(salt), 50000};
        filter->ingress.push_back(rule);
        rule.destination_ports->to = 50001;
        filter->egress.push_back(rule);
    }
    return filter;
}

/// One interface with one session, whose copies are one beat as the frames are.
TableState base_state() {
    TableState state;
    state.interfaces["eni"] = {};
    state.filters["f"] = filter_of(15, 14, 1);
    Session session;
    session.interface = "eni";
    session.filter = "f";
    session.number = 1;
    session.vni = 1000;
    session.packet_length = std::uint16_t{14};
    session.source_mac = {2, 0, 0, 0, 0, 0xa};
    session.target_mac = {2, 0, 0, 0, 0, 0xc};
    session.source_address = IpAddress::parse("10.0.1.10");
    session.target_address = IpAddress::parse("10.0.1.30");
    session.mtu = 9216;
    state.sessions["s"] = session;
    return state;
}

/// Rules alone: every register of `count` rules, without the driver.
Json rules(bool lines) {
    constexpr unsigned count = 3200;
    Loaded offload;
    MirrorDevice device(offload);
    device.apply(base_state());
    offload.lines = lines;
    offload.start(device.interface_index("eni"), 60);
    const std::uint64_t before = offload.cycle;
    for (unsigned i = 0; i < count; ++i) {
        RegisterLine rule{};
        for (unsigned word = 1; word < 11; ++word) rule[word] = i * 16 + word;
        rule[0] = map::rule::valid(1) | map::rule::protocol(i % 256);
        offload.write_line(map::rule::address(i / 16 % 2, i % 16), rule, 0x7ff);
    }
    const std::uint64_t cycles = offload.cycle - before;
    if (map::error_reason::reason.of(offload.read(map::error_reason::address())) != 0)
        throw std::runtime_error("a rule was refused");
    offload.stop();
    return {{"port", lines ? "64-byte lines" : "32-bit"},
            {"rules", count},
            {"cycles", cycles},
            {"cycles_per_rule", static_cast<double>(cycles) / count}};
}

/// Changes through the driver, its one read included, on the port without a bus in front of it.
Json changes(bool lines) {
    Loaded offload;
    offload.lines = lines;
    MirrorDevice device(offload);
    TableState state = base_state();
    state.filters["g"] = filter_of(15, 13, 2);
    device.apply(state);
    offload.start(device.interface_index("eni"), 60);
    Json rows = Json::array();
    struct Row {
        std::uint64_t least = ~0ull, most = 0, sum = 0, writes = 0;
    };
    std::map<std::string, Row> seen;
    constexpr unsigned rounds = 200;
    const auto measure = [&](const char* what) {
        offload.writes = offload.reads = 0;
        const std::uint64_t before = offload.cycle;
        device.apply(state);
        const std::uint64_t cycles = offload.cycle - before;
        Row& row = seen[what];
        row.least = std::min(row.least, cycles);
        row.most = std::max(row.most, cycles);
        row.sum += cycles;
        row.writes = std::max(row.writes, offload.writes);
        if (offload.reads != 1) throw std::runtime_error("a change took more than one read");
    };
    for (unsigned i = 0; i < rounds; ++i) {
        Session& added = state.sessions["t"] = state.sessions["s"];
        added.number = static_cast<std::uint16_t>(2 + i);
        added.vni = 5000 + i;
        added.target_address = IpAddress::parse("2001:db8::" + std::to_string(i + 1));
        added.source_address = IpAddress::parse("2001:db8:1::" + std::to_string(i + 1));
        added.target_mac[5] = static_cast<std::uint8_t>(i);
        measure("create a session over IPv6");
        added.number = static_cast<std::uint16_t>(1000 + i);
        added.vni = 9000 + i;
        added.packet_length = static_cast<std::uint16_t>(100 + i);
        added.target_address = IpAddress::parse("2001:db8:2::" + std::to_string(i + 1));
        added.target_mac[4] = static_cast<std::uint8_t>(i);
        measure("modify a session");
        state.sessions.erase("t");
        measure("delete a session");
        for (int k = 0; k < 200; ++k)
            offload.step();  // copies of the entry's last owner leave (P23)
    }
    offload.stop();
    if (offload.gaps != 0) throw std::runtime_error("traffic has a gap");
    const std::uint64_t lost = offload.started - std::min(offload.mirrored, offload.copies);
    for (const auto& [what, row] : seen)
        rows.push_back({{"change", what},
                        {"frames_started", offload.started},
                        {"lost", lost},
                        {"port", lines ? "64-byte lines" : "32-bit"},
                        {"writes", row.writes},
                        {"cycles_least", row.least},
                        {"cycles_most", row.most},
                        {"cycles_mean", static_cast<double>(row.sum) / rounds}});
    return rows;
}

/// 30 rules replaced by 30 others under traffic on every cycle. `spacing`: cycles of a write on the
/// bus in front of the port; 0: none. `fresh`: nothing of the filter is in the staging registers
/// before.
Json replacement(bool lines, bool fresh, std::uint64_t spacing) {
    Loaded offload;
    TableState state = base_state();
    auto device = std::make_unique<MirrorDevice>(offload);
    device->apply(state);
    std::uint64_t most = 0, writes = 0, lost = 0, starts = 0, most_bus = 0;
    constexpr unsigned rounds = 20;
    for (unsigned round = 0; round < rounds; ++round) {
        if (fresh) {  // a driver that has just opened the device
            device = std::make_unique<MirrorDevice>(offload);
            device->apply(state);
        }
        offload.lines = lines;
        offload.by_version.clear();
        const std::uint64_t started = offload.started, mirrored = offload.mirrored,
                            copies = offload.copies;
        const unsigned before = 14 - round % 2, after = 13 + round % 2;
        offload.start(device->interface_index("eni"), 60);
        for (unsigned i = 0; i < 37 + round * 13; ++i) offload.step();
        state.filters["f"] = filter_of(15, after, static_cast<std::uint8_t>(2 + round));
        offload.writes = 0;
        const std::uint64_t from = offload.cycle;
        if (spacing != 0) offload.pace(spacing);
        device->apply(state);
        const std::uint64_t bus = offload.cycle - from;
        offload.pace(0);
        writes = std::max(writes, offload.writes);
        for (int i = 0; i < 200; ++i) offload.step();
        const std::uint16_t version = offload.recent.back().version;
        const auto first =
            std::find_if(offload.recent.rbegin(), offload.recent.rend(),
                         [&](const auto& decided) { return decided.version != version; });
        if (first == offload.recent.rend())
            throw std::runtime_error("no frame met the tables before the change");
        most = std::max(most, first->start + 1 - from);
        most_bus = std::max(most_bus, bus);
        offload.stop();
        starts += offload.started - started;
        lost += offload.started - started -
                std::min(offload.mirrored - mirrored, offload.copies - copies);
        if (offload.gaps != 0) throw std::runtime_error("traffic has a gap");
        // Each version has its one rule.
        for (const auto& [held, rules] : offload.by_version)
            for (const auto& [rule, frames] : rules)
                if (rule != (held == version ? after : before)) lost += frames;
    }
    return {{"port", lines ? "64-byte lines" : "32-bit"},
            {"staged_before", fresh ? "nothing" : "another filter"},
            {"cycles_per_bus_write", spacing},
            {"writes", writes},
            {"cycles_to_effect", most},
            {"cycles_with_status_read", most_bus},
            {"frames_started", starts},
            {"lost", lost}};
}

/// Cycles from a commit's handshake to the first frame start that is handled by it, over all
/// positions in traffic of one frame length: the least that is seen, and the most (of back-to-back
/// frames, the last that met the old tables).
Json latency(std::size_t size, bool filter) {
    Loaded offload;
    MirrorDevice device(offload);
    TableState state = base_state();
    device.apply(state);
    const unsigned beats = static_cast<unsigned>((size + 63) / 64);
    std::int64_t last_old = INT64_MIN, first_new = INT64_MAX, most_new = INT64_MIN;
    for (unsigned phase = 0; phase < 4 * beats; ++phase) {
        offload.start(device.interface_index("eni"), size);
        for (unsigned i = 0; i < 200 + phase; ++i) offload.step();
        if (filter)
            state.filters["f"] =
                filter_of(15, 13 + phase % 2, static_cast<std::uint8_t>(1 + phase % 200));
        else
            state.sessions["s"].vni = 2000 + phase;
        device.apply(state);  // its last write is the commit
        const auto commit = static_cast<std::int64_t>(offload.taken);
        for (int i = 0; i < 300; ++i) offload.step();
        const std::uint16_t version = offload.recent.back().version;
        std::int64_t oldest_new = INT64_MAX, newest_old = INT64_MIN;
        for (const auto& decided : offload.recent) {
            const auto at = static_cast<std::int64_t>(decided.start) - commit;
            if (decided.version == version)
                oldest_new = std::min(oldest_new, at);
            else if (decided.version == static_cast<std::uint16_t>(version - 1))
                newest_old = std::max(newest_old, at);
        }
        if (oldest_new < newest_old && !filter)
            throw std::runtime_error("a frame met older tables than one before it");
        last_old = std::max(last_old, newest_old);
        first_new = std::min(first_new, oldest_new);
        most_new = std::max(most_new, oldest_new);
        offload.stop();
        offload.recent.clear();
    }
    return {{"change", filter ? "filter" : "session"},
            {"frame", size},
            {"positions", 4 * beats},
            {"first_new_least", first_new},
            {"first_new_most", most_new},
            {"last_old_most", last_old}};
}

}  // namespace

int main() {
    try {
        Json figures;
        for (const bool lines : {false, true}) figures["rules"].push_back(rules(lines));
        for (const bool lines : {false, true})
            for (const auto& row : changes(lines)) figures["changes"].push_back(row);
        for (const std::uint64_t spacing : {0, 75})
            for (const bool lines : {false, true})
                for (const bool fresh : {false, true})
                    if (lines || spacing == 0)
                        figures["replacement"].push_back(replacement(lines, fresh, spacing));
        for (const bool filter : {false, true})
            for (const std::size_t size : {60, 64, 65, 128, 200, 1514})
                figures["latency"].push_back(latency(size, filter));
        std::cout << figures.dump(2) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "bench_tables: " << error.what() << '\n';
        return 1;
    }
}
