// SPDX-License-Identifier: Apache-2.0
/// What travels beside a frame in a TLM-2.0 transaction: the payload's data are the frame's bytes,
/// this extension says how they meet the bus.
#pragma once

#include <cstdint>
#include <optional>
#include <tlm>
#include <vector>

namespace mirrornic {

/// One beat that is not as I1 wants it, or marked bad (I2). For tests.
struct BeatMark {
    std::size_t beat;                        ///< 0-based
    bool error = false;                      ///< tuser.error
    std::optional<std::uint64_t> keep = {};  ///< instead of the beat's tkeep
};

struct Transfer : tlm::tlm_extension<Transfer> {
    /// The feeder's own; a forwarded frame and a copy carry that of the pass they come from. (After
    /// a reset of the mirror, copies' tags and latencies mean nothing until the offload has been
    /// idle.)
    std::uint64_t tag = 0;
    // Into the offload.
    bool tap = false;  ///< the pass is at a tap (I2)
    bool egress = false;
    std::uint32_t index = 0;       ///< of the interface
    bool when_room = false;        ///< the first beat waits for mirror_room (I4)
    std::uint64_t not_before = 0;  ///< cycle of the first beat at the earliest
    std::vector<BeatMark> marks;
    // Out of the offload.
    std::uint64_t first_cycle = 0;  ///< handshake of the first beat
    std::uint64_t last_cycle = 0;   ///< handshake of the last beat
    std::uint64_t latency =
        0;  ///< of a copy, in cycles: from the handshake of the later of the beat with
            ///< its last byte and the beat that completes the window to its first beat; 0
            ///< when more than 8,192 beats were fed in between;
            ///< of a forwarded frame: of its first or last beat, whichever took longer
    std::uint32_t session = 0;  ///< of a copy: its session entry (I3)
    bool error = false;  ///< some beat was marked bad; tap, egress and index are as they left too

    tlm_extension_base* clone() const override { return new Transfer(*this); }
    void copy_from(const tlm_extension_base& other) override {
        *this = static_cast<const Transfer&>(other);
    }
};

}  // namespace mirrornic
