// SPDX-License-Identifier: Apache-2.0
/// The statistics that `run` and `serve` write: a device's counters as JSON.
/// Source: docs/command.md, statistics; docs/behaviour.md rule P23.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"
#include "host/base/json_text.hpp"
#include "host/frames/line_writer.hpp"

namespace mirrornic {

/// Latencies of copies: how often each number of cycles was seen.
class Latencies {
public:
    void add(std::uint64_t cycles, std::uint64_t copies = 1);
    bool empty() const { return count_ == 0; }
    /// The number of cycles that this part of the copies, 0 to 1, does not exceed.
    std::uint64_t quantile(double part) const;
    OrderedJson summary() const;  ///< minimum, median, maximum
    /// Element n: how many copies took n cycles; the last element has those that took more, too.
    const std::vector<std::uint64_t>& seen() const { return seen_; }

private:
    std::vector<std::uint64_t> seen_ = std::vector<std::uint64_t>(1 << 16);
    std::uint64_t count_ = 0;
};

/// The members of a statistics file that come from a device's counters, "Schema" first.
/// @param order of the sessions, by id; those that have no counters are left out
OrderedJson statistics_of(const Counters& counters, const std::vector<std::string>& order);
/// The counters of one session.
OrderedJson statistics_of(const SessionCounters& session);
/// The member of a statistics file that says how many records each output has lost.
OrderedJson statistics_of(const std::vector<OutputState>& outputs);

/// The file of `serve --stats`: opened at the start, written when the service stops.
class StatisticsFile {
public:
    /// Reserves room on the disk, so that the file can be written even if the disk is full by then.
    /// @throws CaptureError.
    explicit StatisticsFile(const std::string& name);
    /// @throws CaptureError when it cannot be written.
    void write(const OrderedJson& statistics);

private:
    LineWriter file_;
};

}  // namespace mirrornic
