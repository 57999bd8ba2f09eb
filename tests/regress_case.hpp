// SPDX-License-Identifier: Apache-2.0
/// One case of the random regression: a list of events that a seed makes and that the rig carries
/// out and judges. A case is a value, so that a failing one can be made smaller.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "regress_cover.hpp"
#include "rig.hpp"

namespace mirrornic::test {

/// A frame at a tap, or at none.
struct PassEvent {
    Bytes frame;
    std::string interface;  ///< empty: no tap
    Direction direction = Direction::egress;
    std::optional<std::uint32_t> index = {};  ///< instead of the interface's (I2)
    bool when_room = false;                   ///< I4
    std::uint32_t gap = 0;                    ///< at least so many cycles after it was queued
    std::vector<BeatMark> marks = {};
};
struct ApplyEvent {
    TableState state;
};
struct ServiceEvent {
    std::size_t index;
    std::optional<reference::ServiceEntry> entry;
};
struct SourcePortsEvent {
    std::uint16_t base;
    std::uint8_t bits;
};
/// How a stream moves from here on.
struct PatternEvent {
    enum class Stream { source, forward, mirror } stream;
    enum class Kind { always, random, stalls, every } kind;
    std::uint32_t value;  ///< percent of cycles, cycles of each turn, or cycles a beat
};
struct WaitEvent {
    std::uint32_t cycles;  ///< 0: until idle
};
struct SnapshotEvent {};
struct MirrorResetEvent {};
/// Passes that follow are queued before the device is opened again; tables are empty.
struct ResetEvent {};
struct FlipEvent {
    Offload::Memory memory;
    unsigned copy, word, bit;
};
struct RepairEvent {};
using Event =
    std::variant<PassEvent, ApplyEvent, ServiceEvent, SourcePortsEvent, PatternEvent, WaitEvent,
                 SnapshotEvent, MirrorResetEvent, ResetEvent, FlipEvent, RepairEvent>;

/// The interfaces of the account: the case's sources and targets.
struct Endpoint {
    MacAddress mac{};
    std::optional<IpAddress> ipv4, ipv6;
    std::uint16_t mtu = 9001;
};

struct Case {
    std::uint64_t seed = 0;
    bool lossless = false;  ///< no pass may be dropped because of an overflow
    std::size_t queue_beats = 256;
    std::map<std::string, Endpoint> sources;
    std::vector<Endpoint> targets;
    std::vector<Event> events;

    std::size_t passes() const;
};

Case make_case(std::uint64_t seed, std::size_t frames);

/// Carries a case out, from a reset of everything on. @throws Mismatch and what the rig throws.
/// @return a hash of all that came out: frames, copies, decisions, cycles and counters.
std::uint64_t execute(Rig& rig, const Case& events, Coverage& coverage);

/// Makes a failing case smaller: the smallest one that was found and fails too.
/// @param fails whether a case fails, in a fresh process
Case shrink(Case failing, const std::function<bool(const Case&)>& fails);

/// The case as text, one line for each event.
std::string describe(const Case& events);

/// Writes capture.pcap, config.json and command.txt, which `mirrornic run` takes, to a folder.
/// @return why the case cannot be written so; nothing: it was written.
std::optional<std::string> write_replay(Case events, const std::string& folder,
                                        const std::function<bool(const Case&)>& fails);

}  // namespace mirrornic::test
