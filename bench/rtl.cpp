// SPDX-License-Identifier: Apache-2.0
// Figures of the hardware, counted in clock cycles of the verilated offload: exact, and the same on
// every machine. `bench_rtl` prints them as JSON. `bench_rtl capture FILE LENGTH COUNT` writes
// frames of one length, `bench_rtl mix FILE COUNT CAPTURE ...` those of real captures in turn,
// again and again. `bench_rtl loop CONFIG FILE [lossless]` runs them through the bare loop, at the
// taps where `mirrornic run --default-tap FIRST-INTERFACE:egress` has them, and prints the seconds
// that it took, and the CPU's.
#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>
#include <vector>

#include "bare_offload.hpp"
#include "driver/mirror_device.hpp"
#include "host/account/desired_tables.hpp"
#include "host/configuration/configuration.hpp"
#include "host/frames/capture_file.hpp"
#include "workload.hpp"

using namespace mirrornic;
using namespace mirrornic::bench;

namespace {

/// Feeds frames back to back and counts what happens until `cycles` have passed.
struct Run {
    std::uint64_t production_gaps = 0, late_forwards = 0, starts = 0;
    std::uint64_t mirror_beats = 0, mirror_cycles = 0, copies = 0;  // from the first copy on
};

Run feed(BareOffload& offload, const Bytes& frame, std::uint32_t user, std::uint64_t cycles,
         const std::function<bool(std::uint64_t)>& mirror_ready = {}) {
    Run run;
    auto& top = offload.top;
    std::size_t offset = 0;
    bool taken_before = false;
    for (std::uint64_t i = 0; i < cycles; ++i) {
        if (!top.s_axis_tvalid) offload.present(frame.data(), frame.size(), offset, user);
        top.m_axis_mirror_tready = !mirror_ready || mirror_ready(i);
        // P1: what was taken in the cycle before is on the output now.
        if (taken_before != (top.m_axis_forward_tvalid != 0)) ++run.late_forwards;
        if (top.m_axis_mirror_tvalid && top.m_axis_mirror_tready) {
            ++run.mirror_beats;
            if (top.m_axis_mirror_tlast) ++run.copies;
        }
        if (run.mirror_beats != 0) ++run.mirror_cycles;
        const bool taken = top.s_axis_tready;
        if (!taken) ++run.production_gaps;
        offload.edge();
        taken_before = taken;
        if (taken) {
            if (offset == 0) ++run.starts;
            offset = top.s_axis_tlast ? 0 : offset + 64;
            top.s_axis_tvalid = 0;
        }
    }
    // The frame in hand ends, so that the next run starts with one; and all of it leaves.
    top.m_axis_mirror_tready = 1;
    while (offset != 0 || top.s_axis_tvalid) {
        if (!top.s_axis_tvalid) offload.present(frame.data(), frame.size(), offset, user);
        const bool taken = top.s_axis_tready;
        offload.edge();
        if (taken) {
            offset = top.s_axis_tlast ? 0 : offset + 64;
            top.s_axis_tvalid = 0;
        }
    }
    for (int i = 0; i < 100000 && !top.idle; ++i) offload.edge();
    return run;
}

Json production() {
    BareOffload offload;
    MirrorDevice device(offload);
    device.apply(full_tables(false, {}));
    const std::uint32_t user = BareOffload::user(device.interface_index("eni"), true);
    std::uint64_t gaps = 0, late = 0, lengths = 0;
    const std::function<bool(std::uint64_t)> loads[] = {
        {},
        [](std::uint64_t) { return false; },
        [](std::uint64_t cycle) { return cycle % 3 == 0; }};
    for (std::size_t size = 1; size <= 9216; ++size) {
        const Bytes frame = frame_of(size);
        const std::uint64_t cycles = 3 * ((size + 63) / 64) + 2;
        const Run run = feed(offload, frame, user, cycles, loads[size % 3]);
        gaps += run.production_gaps;
        late += run.late_forwards;
        ++lengths;
    }
    return {{"lengths", lengths}, {"bubbles", gaps}, {"latency_not_1", late}};
}

Json starts() {
    BareOffload offload;
    MirrorDevice device(offload);
    device.apply(full_tables(false, std::uint16_t{14}));  // 64 bytes of copy: one output beat each
    const std::uint32_t user = BareOffload::user(device.interface_index("eni"), true);
    const Run run = feed(offload, frame_of(60), user, 100000);
    const Counters counters = device.counters();
    return {{"cycles", 100000},
            {"frames_started", run.starts},
            {"selected", counters.selected.frames},
            {"mirrored", counters.mirrored.frames},
            {"dropped", counters.dropped.frames}};
}

Json saturation() {
    Json rows = Json::array();
    for (const bool v6 : {false, true}) {
        for (const std::size_t size : {60, 64, 65, 128, 256, 512, 1514, 0}) {
            const bool short_copy = size == 0;
            const std::size_t length = short_copy ? 60 : size;
            BareOffload offload;
            MirrorDevice device(offload);
            device.apply(
                full_tables(v6, short_copy ? std::optional<std::uint16_t>(15) : std::nullopt));
            const std::uint32_t user = BareOffload::user(device.interface_index("eni"), true);
            const Run run = feed(offload, frame_of(length), user, 20000);
            const std::size_t kept = short_copy ? 15 : length;
            const double offered = static_cast<double>((kept + (v6 ? 70 : 50) + 63) / 64) /
                                   static_cast<double>((length + 63) / 64);
            const double limit = std::min(1.0, offered);
            const double used =
                static_cast<double>(run.mirror_beats) / static_cast<double>(run.mirror_cycles);
            rows.push_back({{"outer", v6 ? "IPv6" : "IPv4"},
                            {"length", length},
                            {"packet_length", short_copy ? Json(15) : Json(nullptr)},
                            {"copies", run.copies},
                            {"cycles", run.mirror_cycles},
                            {"beats_per_cycle", used},
                            {"limit", limit},
                            {"of_limit", used / limit}});
        }
    }
    return rows;
}

Json changes() {
    BareOffload offload;
    MirrorDevice device(offload);
    Json rows = Json::array();
    const auto measure = [&](const char* what, const TableState& state) {
        offload.writes = offload.reads = 0;
        const std::uint64_t before = offload.cycle;
        device.apply(state);
        rows.push_back({{"change", what},
                        {"writes", offload.writes},
                        {"reads", offload.reads},
                        {"cycles", offload.cycle - before}});
    };
    TableState state = full_tables(true, {});
    auto ten = std::make_shared<Filter>();
    for (int i = 0; i < 10; ++i) {
        Rule rule;
        rule.accept = true;
        rule.source = Cidr::parse("2001:db8:1:2:3:4:5:" + std::to_string(i) + "/128");
        rule.destination = Cidr::parse("2001:db8:5:4:3:2:1:" + std::to_string(i) + "/128");
        rule.protocol = 6;
        rule.source_ports = PortRange{1, static_cast<std::uint16_t>(1000 + i)};
        rule.destination_ports = PortRange{2, static_cast<std::uint16_t>(2000 + i)};
        (i % 2 ? ten->egress : ten->ingress).push_back(rule);
    }
    const Session third = state.sessions["s2"];
    state.sessions.erase("s2");
    measure("two sessions with full filters", state);
    state.sessions["s2"] = third;
    state.sessions["s2"].filter = "f0";
    measure("create a session over IPv6, filter in use", state);
    state.sessions["s2"].vni = 77;
    state.sessions["s2"].packet_length = 100;
    state.sessions["s2"].target_address = IpAddress::parse("2001:db8:9:8:7:6:5:4");
    state.sessions["s2"].target_mac = {2, 9, 8, 7, 6, 5};
    state.sessions["s2"].filter = "f1";
    state.sessions["s2"].number = 9;
    measure("modify all of a session", state);
    state.filters["f1"] = ten;
    measure("replace a filter by 10 IPv6 rules", state);
    state.sessions.erase("s2");
    measure("delete a session", state);
    return rows;
}

int loop(const std::string& config, const std::string& capture, bool lossless) {
    struct Pass {
        std::size_t begin, end;
        std::uint32_t user;
    };
    const Configuration configuration = read_configuration({config});
    BareOffload offload;
    MirrorDevice device(offload);
    device.apply(table_state(configuration.account));
    std::map<Bytes, std::uint32_t> taps;
    const auto& interfaces = configuration.account.interfaces();
    for (const auto& interface : interfaces) {
        taps.emplace(Bytes(interface.mac.begin(), interface.mac.end()),
                     device.interface_index(interface.id));
    }
    const std::uint32_t otherwise =
        BareOffload::user(device.interface_index(interfaces.begin()->id), true);
    Bytes all;
    std::vector<Pass> passes;
    std::size_t frames = 0;
    CaptureReader reader(capture);
    for (CaptureReader::Frame frame; reader.next(frame); ++frames) {
        const std::size_t begin = all.size(), before = passes.size();
        all.insert(all.end(), frame.data, frame.data + frame.size);
        if (frame.size >= 14) {
            const auto source = taps.find({frame.data + 6, frame.data + 12}),
                       target = taps.find({frame.data, frame.data + 6});
            if (source != taps.end())
                passes.push_back({begin, all.size(), BareOffload::user(source->second, true)});
            if (target != taps.end())
                passes.push_back({begin, all.size(), BareOffload::user(target->second, false)});
        }
        if (passes.size() == before) passes.push_back({begin, all.size(), otherwise});
    }
    auto& top = offload.top;
    std::uint64_t copies = 0, sum = 0;
    const auto edge = [&] {
        if (top.m_axis_mirror_tvalid) {
            sum += top.m_axis_mirror_tdata[15];
            copies += top.m_axis_mirror_tlast;
        }
        offload.edge();
    };
    const std::uint64_t before = offload.cycle;
    const std::clock_t start = std::clock();
    const auto started = std::chrono::steady_clock::now();
    for (const auto& [begin, end, user] : passes) {
        while (lossless && !top.mirror_room) edge();
        for (std::size_t offset = begin; offset < end; offset += 64) {
            offload.present(all.data() + begin, end - begin, offset - begin, user);
            bool taken;
            do {
                taken = top.s_axis_tready;
                edge();
            } while (!taken);
        }
        top.s_axis_tvalid = 0;
    }
    while (!top.idle) edge();
    const double cpu = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    std::cout << Json{{"cpu_seconds", cpu},
                      {"elapsed_seconds", elapsed.count()},
                      {"frames", frames},
                      {"passes", passes.size()},
                      {"cycles", offload.cycle - before},
                      {"copies", copies},
                      {"sum", sum}}
              << '\n';
    return 0;
}

/// The frames of the captures, each round as long as the captures are after one another.
int mix(const std::string& file, std::size_t count, const std::vector<std::string>& captures) {
    struct Recorded {
        std::uint64_t time;
        Bytes bytes;
    };
    std::vector<Recorded> frames;
    std::uint64_t end = 0;
    for (const std::string& name : captures) {
        CaptureReader reader(name);
        std::optional<std::uint64_t> first;
        const std::uint64_t begin = end;
        for (CaptureReader::Frame frame; reader.next(frame);) {
            if (!first) first = frame.timestamp_ns;
            const std::uint64_t since =
                frame.timestamp_ns < *first ? 0 : frame.timestamp_ns - *first;
            end = std::max(end, begin + since + 1000);
            frames.push_back({begin + since, Bytes(frame.data, frame.data + frame.size)});
        }
    }
    if (frames.empty()) throw std::runtime_error("the captures have no frame");
    CaptureWriter writer(file);
    for (std::size_t i = 0; i < count; ++i) {
        const Recorded& frame = frames[i % frames.size()];
        writer.write(1'000'000'000 + i / frames.size() * end + frame.time, frame.bytes.data(),
                     frame.bytes.size());
    }
    writer.close();
    return 0;
}

int capture(const std::string& file, std::size_t length, std::size_t count) {
    CaptureWriter writer(file);
    const Bytes frame = frame_of(length);
    for (std::size_t i = 0; i < count; ++i)
        writer.write(1'000'000'000 + i * 1000, frame.data(), frame.size());
    writer.close();
    return 0;
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc == 5 && std::string(argv[1]) == "capture")
        return capture(argv[2], std::stoul(argv[3]), std::stoul(argv[4]));
    if (argc >= 5 && std::string(argv[1]) == "mix")
        return mix(argv[2], std::stoul(argv[3]), {argv + 4, argv + argc});
    if ((argc == 4 || argc == 5) && std::string(argv[1]) == "loop")
        return loop(argv[2], argv[3], argc == 5 && std::string(argv[4]) == "lossless");
    if (argc != 1) {
        std::cerr << "usage: bench_rtl [loop CONFIG FILE [lossless] | capture FILE LENGTH COUNT | "
                     "mix FILE COUNT CAPTURE ...]\n";
        return 2;
    }
    const Json figures{{"production", production()},
                       {"starts", starts()},
                       {"saturation", saturation()},
                       {"changes", changes()}};
    std::cout << figures.dump(2) << '\n';
}
