// SPDX-License-Identifier: Apache-2.0
// Mirror copies of every frame length, and bursts into the hold buffer, counted in clock cycles of
// the verilated offload. `bench_curves_BEATS throughput PART PARTS` and `bench_curves_BEATS bursts
// PART PARTS` print JSON for one part of the lengths: exact counts, which curves.py compares with
// what it predicts. BEATS is the depth of the hold buffer.
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bare_offload.hpp"
#include "driver/mirror_device.hpp"
#include "register_map.hpp"
#include "workload.hpp"

using namespace mirrornic;
using namespace mirrornic::bench;
using Json = nlohmann::json;
using PacketLength = std::optional<std::uint16_t>;

namespace {

constexpr std::size_t shortest = 60, longest = 9216, longest_packet = 8500;
constexpr std::uint64_t dropped_outcome = 3;  ///< m_decision's lowest two bits (I5)

std::size_t beats_of(std::size_t bytes) { return (bytes + 63) / 64; }

/// An offload with full tables, and frames of one length at its tap, back to back; it watches all
/// outputs.
class Line {
public:
    explicit Line(bool v6) : v6_(v6), state_(full_tables(v6, {})), device_(offload_) {
        device_.apply(state_);
        user_ = BareOffload::user(device_.interface_index("eni"), true);
        settle();
    }

    void use(std::size_t length, PacketLength packet_length) {
        frame_ = frame_of(length);
        if (packet_length != packet_length_) {
            for (auto& [name, session] : state_.sessions) session.packet_length = packet_length;
            device_.apply(state_);
            packet_length_ = packet_length;
            settle();
        }
        now = frames = decisions = copies = gaps = mirror_beats = 0;
        dropped.clear();
        copy_starts.clear();
        first_valid.reset();
        last_taken.clear();
        last_decision.reset();
    }

    /// One cycle. @param feed whether a new frame may start @param ready of m_axis_mirror
    void cycle(bool feed, bool ready) {
        if (!top.s_axis_tvalid && (feed || offset_ != 0))
            offload_.present(frame_.data(), frame_.size(), offset_, user_);
        top.m_axis_mirror_tready = ready;
        if (top.m_axis_mirror_tvalid && !first_valid) first_valid = now;
        if (top.m_axis_mirror_tvalid && ready) {
            if (copy_begins_) copy_starts.push_back({now, mirror_beats});
            ++mirror_beats;
            copy_begins_ = top.m_axis_mirror_tlast;
            copies += top.m_axis_mirror_tlast;
        }
        if (top.m_decision_valid) {
            if ((top.m_decision & 3) == dropped_outcome) dropped.push_back(decisions);
            ++decisions;
            last_decision = now;
        }
        const bool taken = top.s_axis_tvalid && top.s_axis_tready;
        if (top.s_axis_tvalid && !taken) ++gaps;  // m_axis_forward is always ready
        offload_.edge();
        if (taken) {
            if (keep_times) last_taken.push_back(now);
            if (top.s_axis_tlast) ++frames;
            offset_ = top.s_axis_tlast ? 0 : offset_ + 64;
            top.s_axis_tvalid = 0;
        }
        ++now;
    }

    /// Ends the frame in hand and lets everything leave.
    void settle() {
        for (int i = 0; i < 200000; ++i) {
            if (top.idle && offset_ == 0 && !top.s_axis_tvalid) return;
            cycle(false, true);
        }
        throw std::runtime_error("the offload does not become idle");
    }

    /// Output beats and cycles of two copies in steady state. @param full into a hold buffer that
    /// was filled to overflowing before; otherwise into an empty one, the first two copies left out
    std::pair<std::uint64_t, std::uint64_t> steady(std::size_t length, PacketLength packet_length,
                                                   bool full) {
        use(length, packet_length);
        std::uint64_t first = 2;
        if (full) {
            while (dropped.size() < 2) cycle(true, false);
            first = decisions - dropped.size() + 1;  // what waits now has left
        }
        while (copy_starts.size() < first + 5) cycle(true, true);
        const auto window = [&](std::size_t from) {
            return std::pair{copy_starts[from + 2].beats - copy_starts[from].beats,
                             copy_starts[from + 2].cycle - copy_starts[from].cycle};
        };
        if (window(first) != window(first + 2)) {
            throw std::runtime_error("no steady state with frames of " + std::to_string(length) +
                                     " bytes");
        }
        settle();
        all_gaps += gaps;
        return window(first);
    }

    /// From the handshake that completes window and copy to the copy of a frame that comes alone.
    std::uint64_t latency(std::size_t length, PacketLength packet_length) {
        use(length, packet_length);
        keep_times = true;
        cycle(true, true);
        settle();
        keep_times = false;
        all_gaps += gaps;
        const std::size_t kept = kept_of(length, packet_length);
        return first_valid.value() -
               last_taken.at(
                   std::max((kept - 1) / 64, std::min<std::size_t>(1, last_taken.size() - 1)));
    }

    /// Cycles from a beat's handshake to its admission: the decision is out a cycle after the last
    /// beat's.
    std::uint64_t admission() {
        use(longest, {});
        keep_times = true;
        cycle(true, true);
        settle();
        keep_times = false;
        return last_decision.value() - last_taken.back() - 1;
    }

    /// Frames back to back, the mirror output ready in one cycle of `out_of` (never: 0), until so
    /// many are dropped or so many cycles are over.
    Json burst(std::size_t length, PacketLength packet_length, unsigned out_of, std::size_t drops,
               std::uint64_t cycles) {
        use(length, packet_length);
        const auto ready = [&] { return out_of != 0 && now % out_of == 0; };
        while (dropped.size() < drops && now < cycles) cycle(true, ready());
        while (offset_ != 0 || top.s_axis_tvalid || decisions != frames) cycle(false, ready());
        settle();
        all_gaps += gaps;
        if (copies + dropped.size() != frames)
            throw std::runtime_error("copies and drops are not the frames");
        return {v6_,    length, packet_length ? Json(*packet_length) : Json(nullptr),
                out_of, frames, dropped};
    }

    /// P14; the targets' MTU is 9216.
    std::size_t kept_of(std::size_t length, PacketLength packet_length) const {
        return std::min<std::size_t>(
            {length, packet_length.value_or(longest), longest + 14 - header_});
    }
    bool overloads(std::size_t length, PacketLength packet_length) const {
        return beats_of(kept_of(length, packet_length) + header_) > beats_of(length);
    }

    std::uint64_t all_gaps = 0;

private:
    struct Start {
        std::uint64_t cycle, beats;
    };
    bool v6_, copy_begins_ = true, keep_times = false;
    std::size_t header_ = v6_ ? 70 : 50;
    TableState state_;
    BareOffload offload_;
    Vmirror_offload& top = offload_.top;
    MirrorDevice device_;
    PacketLength packet_length_;
    std::uint32_t user_ = 0;
    Bytes frame_;
    std::size_t offset_ = 0;
    std::uint64_t now = 0, frames = 0, decisions = 0, copies = 0, gaps = 0, mirror_beats = 0;
    std::vector<std::uint64_t> dropped, last_taken;
    std::vector<Start> copy_starts;
    std::optional<std::uint64_t> first_valid, last_decision;
};

/// A point: length, PacketLength, output beats and cycles of two copies from an empty buffer, the
/// same in overflow where more is offered than the output carries, latency.
Json throughput(std::size_t part, std::size_t parts) {
    Json result{{"points", Json::array()}, {"bubbles", 0}};
    for (const bool v6 : {false, true}) {
        Line line(v6);
        Json points = Json::array();
        const auto point = [&](std::size_t length, PacketLength packet_length) {
            const auto [beats, cycles] = line.steady(length, packet_length, false);
            Json row{length, packet_length ? Json(*packet_length) : Json(nullptr), beats, cycles};
            // A PacketLength over the frame's length is the same load again.
            if (line.overloads(length, packet_length) &&
                (!packet_length || *packet_length <= length)) {
                const auto [full_beats, full_cycles] = line.steady(length, packet_length, true);
                row.push_back(full_beats);
                row.push_back(full_cycles);
            } else {
                row.push_back(nullptr);
                row.push_back(nullptr);
            }
            row.push_back(line.latency(length, packet_length));
            points.push_back(row);
        };
        for (std::size_t length = shortest + part; length <= longest; length += parts)
            point(length, {});
        for (std::size_t length = shortest + part; length <= longest; length += parts)
            point(length, std::uint16_t{15});
        for (const std::size_t length : {std::size_t{65}, std::size_t{129}, longest}) {
            for (std::size_t packet = 1 + part; packet <= longest_packet; packet += parts) {
                point(length, static_cast<std::uint16_t>(packet));
            }
        }
        result["points"].push_back(points);
        result["bubbles"] = result["bubbles"].get<std::uint64_t>() + line.all_gaps;
    }
    return result;
}

/// Bursts: of every length (with other depths than the default of one in 97) with a stalled output
/// until three frames are dropped, and of chosen ones with a slow output until 40 are. A burst:
/// version, length, PacketLength, the output is ready in one cycle of how many, frames, numbers of
/// the frames that were dropped.
Json bursts(std::size_t part, std::size_t parts) {
    constexpr bool all = registers::sizes::hold_beats == 512;
    Json result{{"hold_beats", registers::sizes::hold_beats},
                {"admission", Json::array()},
                {"latency", Json::array()},
                {"bursts", Json::array()}};
    const std::vector<std::size_t> lengths{60,   64,   65,   78,   79,   100,  122,  123,  128,
                                           129,  142,  192,  193,  256,  257,  320,  400,  512,
                                           600,  700,  850,  1024, 1200, 1300, 1514, 1518, 2048,
                                           3000, 4096, 5500, 7000, 9000, 9014, 9216};
    std::uint64_t bubbles = 0;
    for (const bool v6 : {false, true}) {
        Line line(v6);
        result["admission"].push_back(line.admission());
        result["latency"].push_back(line.latency(longest, {}));
        const auto add = [&](const Json& burst) { result["bursts"].push_back(burst); };
        for (std::size_t length = shortest + part; length <= longest;
             length += all ? parts : parts * 97) {
            add(line.burst(length, {}, 0, 3, 1'000'000));
        }
        for (std::size_t i = part; i < lengths.size(); i += parts) {
            for (const PacketLength packet_length :
                 {PacketLength{}, PacketLength{1}, PacketLength{15}, PacketLength{100},
                  PacketLength{500}}) {
                if (packet_length || !all)
                    add(line.burst(lengths[i], packet_length, 0, 3, 1'000'000));
                const std::uint64_t cycles = packet_length ? 10'000 : 40'000;
                for (const unsigned out_of : {1u, 2u, 3u})
                    add(line.burst(lengths[i], packet_length, out_of, 40, cycles));
            }
        }
        bubbles += line.all_gaps;
    }
    result["bubbles"] = bubbles;
    return result;
}

}  // namespace

int main(int argc, char* argv[]) {
    const std::string what = argc == 4 ? argv[1] : "";
    if (what != "throughput" && what != "bursts") {
        std::cerr << "usage: bench_curves_BEATS throughput|bursts PART PARTS\n";
        return 2;
    }
    try {
        const std::size_t part = std::stoul(argv[2]), parts = std::stoul(argv[3]);
        std::cout << (what == "throughput" ? throughput(part, parts) : bursts(part, parts)) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "bench_curves: " << error.what() << '\n';
        return 1;
    }
}
