// SPDX-License-Identifier: Apache-2.0
/// What the simulations of `./dev bench sim` have in common: tables, frames, the hash of the
/// copies, and the commands that they take from standard input, so that each does the same work and
/// is timed in the same way.
#pragma once

#include <cstdint>
#include <cstring>

#include "driver/register_access.hpp"
#include "workload.hpp"

namespace mirrornic::bench {

/// Counts copies and hashes all their bytes and boundaries; fast enough to weigh little beside the
/// simulation.
class CopyHash {
public:
    /// Takes a beat of 64 bytes, or fewer when it is a copy's last.
    void beat(const void* data, std::size_t size, bool last) {
        if (size == 64) {
            std::uint64_t words[8];
            std::memcpy(words, data, 64);
            for (const std::uint64_t word : words) mix(word);
        } else {
            std::uint64_t words[8] = {};
            std::memcpy(words, data, size);
            for (std::size_t i = 0; 8 * i < size; ++i) mix(words[i]);
        }
        copy_bytes_ += size;
        if (last) end();
    }
    void copy(const std::uint8_t* data, std::size_t size) {
        std::size_t offset = 0;
        for (; size - offset > 64; offset += 64) beat(data + offset, 64, false);
        beat(data + offset, size - offset, true);
    }

    std::uint64_t copies = 0, bytes = 0, hash = 0;

private:
    void mix(std::uint64_t word) {
        const std::uint64_t product = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash = product << 29 | product >> 35;
    }
    void end() {
        mix(copy_bytes_);
        bytes += copy_bytes_;
        copy_bytes_ = 0;
        ++copies;
    }
    std::uint64_t copy_bytes_ = 0;
};

class Simulator {
public:
    virtual ~Simulator() = default;
    virtual RegisterAccess& registers() = 0;
    /// Feeds `count` frames, from the first on and round again, back to back as far as
    /// `mirror_room` lets (I4), so that no copy is dropped; gives their copies to `copies`, and
    /// returns when the offload is idle.
    /// @param index of the interface whose egress tap all frames are at
    virtual void run(const std::vector<Bytes>& frames, std::uint64_t count, std::uint32_t index,
                     CopyHash& copies) = 0;
    virtual std::uint64_t cycle() = 0;  ///< simulated so far
};

/// Programs the tables of an offload that is idle after its reset, and then obeys standard input, a
/// JSON line for each:
///   operations              the register accesses that programmed the tables, and the indices of
///   the interfaces run FILE COUNT INDEX    the time from the first frame to the last copy, and
///   what the copies were counters                reads all counters; the register accesses
void serve(Simulator& simulator);

}  // namespace mirrornic::bench
