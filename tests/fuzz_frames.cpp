// SPDX-License-Identifier: Apache-2.0
/// Any bytes as frames through the simulated offload, against the reference model (P24): lengths,
/// content, tkeep, error marks, gaps and resets. The first byte chooses a case of the random
/// regression, whose tables, changes and patterns of the streams stay; the rest changes its passes,
/// one after the other, and where the bytes end, the case ends. What guides libFuzzer is the
/// reference model's code and the regression's cover points. A libFuzzer entry (./dev fuzz frames).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>

#include "regress_case.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

extern "C" int LLVMFuzzerRunDriver(int* argc, char*** argv,
                                   int (*callback)(const std::uint8_t*, std::size_t));

namespace {

__attribute__((section("__libfuzzer_extra_counters"))) std::uint8_t reached[point_count];

Rig* the_rig;

/// The input's bytes in order; zeros behind its end.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}
    bool ended() const { return left_ == 0; }
    std::uint64_t number(unsigned bytes) {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < bytes; ++i) value = value << 8 | next();
        return value;
    }
    std::uint8_t next() {
        if (left_ == 0) return 0;
        --left_;
        return *at_++;
    }

private:
    const std::uint8_t* at_;
    std::size_t left_;
};

constexpr std::size_t passes = 40;
constexpr std::size_t longest = 9600;

/// Changes that follow each other up to `end`, each its kind and its operands.
enum class Change : std::uint8_t { end, bytes, length, mark, gap, tap, raw, count };

void change(PassEvent& pass, Input& input) {
    while (!input.ended()) {
        switch (Change(input.next() % std::uint8_t(Change::count))) {
            case Change::end:
                return;
            case Change::bytes: {  // at an offset
                std::size_t at = input.number(2) % pass.frame.size();
                for (auto left = input.next() % 16 + 1; left > 0 && at < pass.frame.size(); --left)
                    pass.frame[at++] = input.next();
                break;
            }
            case Change::length:
                pass.frame.resize(input.number(2) % longest + 1);
                break;
            case Change::mark: {
                BeatMark mark{std::size_t(input.number(1))};
                const auto what = input.next();
                mark.error = what & 1;
                if (what & 2) mark.keep = input.number(8);
                pass.marks.push_back(mark);
                break;
            }
            case Change::gap:
                pass.gap = std::uint32_t(input.number(1));
                break;
            case Change::tap: {
                const auto what = input.next();
                pass.direction = what & 1 ? Direction::ingress : Direction::egress;
                if (what & 2) pass.index = std::uint32_t(input.number(2));
                break;
            }
            default: {
                Bytes frame(input.number(1) + 1);
                for (auto& byte : frame) byte = input.next();
                pass.frame = frame;
            }
        }
    }
}

/// A mark lies on a beat of the frame, one on each; its tkeep names no lane behind the frame's end,
/// and is none that a beat may have there.
void fit_marks(PassEvent& pass) {
    const std::size_t beats = (pass.frame.size() + 63) / 64, rest = pass.frame.size() % 64;
    std::map<std::size_t, BeatMark> marks;
    for (BeatMark& mark : pass.marks) {
        mark.beat %= beats;
        const bool last = mark.beat + 1 == beats;
        if (mark.keep && last && rest != 0) *mark.keep &= (std::uint64_t{1} << rest) - 1;
        const auto keep = mark.keep.value_or(0);
        const bool first_lanes = keep != 0 && (keep & (keep + 1)) == 0;
        if (last ? first_lanes : keep + 1 == 0) mark.keep.reset();
        marks.insert({mark.beat, mark});
    }
    pass.marks.clear();
    for (const auto& [beat, mark] : marks) pass.marks.push_back(mark);
}

Case made(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    Case result = make_case(input.next(), passes);
    result.lossless = false;
    std::vector<Event> events;
    for (Event& event : result.events) {
        if (auto* pass = std::get_if<PassEvent>(&event)) {
            if (input.ended()) break;
            pass->when_room = false;
            change(*pass, input);
            fit_marks(*pass);
        }
        events.push_back(std::move(event));
    }
    result.events = std::move(events);
    return result;
}

int run(const std::uint8_t* data, std::size_t size) {
    static Coverage coverage;
    const auto before = coverage.counts();
    const Case events = made(data, size);
    try {
        execute(*the_rig, events, coverage);
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n' << describe(events);
        std::abort();
    }
    for (std::size_t i = 0; i < point_count; ++i)
        reached[i] = std::uint8_t(std::min<std::uint64_t>(255, coverage.counts()[i] - before[i]));
    return 0;
}

}  // namespace

/// Within the simulation, which is elaborated once a process.
extern "C" int sc_main(int argc, char* argv[]) {
    Rig rig;
    the_rig = &rig;
    int status = 1;
    rig.run([&] { status = LLVMFuzzerRunDriver(&argc, &argv, run); });
    return status;
}
