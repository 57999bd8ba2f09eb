// SPDX-License-Identifier: Apache-2.0
/// The TLM-2.0 extension of a frame's transaction. The payload's data are the frame's bytes; this
/// says how they go over the bus.
#pragma once

#include <cstdint>
#include <optional>
#include <tlm>
#include <vector>

namespace mirrornic {

/// Makes one beat marked bad (I2), or gives it a tkeep that breaks I1. For tests.
struct BeatMark {
    std::size_t beat;                        ///< 0-based
    bool error = false;                      ///< tuser.error
    std::optional<std::uint64_t> keep = {};  ///< in place of the right tkeep
};

struct Transfer : tlm::tlm_extension<Transfer> {
    /// Chosen by the feeder. A forwarded frame and a copy have the tag of the pass that they come
    /// from. After a reset of the mirror, tags and latencies of copies mean nothing until the
    /// offload has been idle.
    std::uint64_t tag = 0;
    // Given with a frame that goes into the offload.
    bool tap = false;  ///< the pass is at a tap (I2)
    bool egress = false;
    std::uint32_t index = 0;       ///< of the interface
    bool when_room = false;        ///< the first beat waits for mirror_room (I4)
    std::uint64_t not_before = 0;  ///< cycle of the first beat at the earliest
    std::vector<BeatMark> marks;
    // Given with a frame that comes out of the offload.
    std::uint64_t first_cycle = 0;  ///< handshake of the first beat
    std::uint64_t last_cycle = 0;   ///< handshake of the last beat
    /// In cycles. Of a copy: from the handshake of the beat with the copy's last byte, or of the
    /// beat that completes the frame's window if that comes later, to the copy's first beat; 0 when
    /// more than 8,192 beats were fed in between. Of a forwarded frame: of its first or its last
    /// beat, whichever took longer.
    std::uint64_t latency = 0;
    std::uint32_t session = 0;  ///< of a copy: its session entry (I3)
    /// A beat was marked bad. `tap`, `egress` and `index` of a forwarded frame are as it left, too.
    bool error = false;

    tlm_extension_base* clone() const override { return new Transfer(*this); }
    void copy_from(const tlm_extension_base& other) override {
        *this = static_cast<const Transfer&>(other);
    }
};

}  // namespace mirrornic
