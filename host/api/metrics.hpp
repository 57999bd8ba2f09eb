// SPDX-License-Identifier: Apache-2.0
/// Writes /metrics in Prometheus's text format 0.0.4. A name ends with its unit, and a counter's
/// with `_total`. The samples of a metric can be added up over its labels.
/// Source: Prometheus, "Exposition formats", "Metric and label naming", "Writing client libraries"
/// (the process metrics).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/base/json_text.hpp"

namespace mirrornic {

/// Counts times, in seconds, by the smallest bound that each does not exceed.
class Histogram {
public:
    static constexpr std::array<double, 13> bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1,    0.25,  0.5,    1,     2.5,  10};
    void add(double seconds);
    /// How many did not exceed bounds[i]; with bounds.size(): all of them.
    std::uint64_t count(std::size_t i) const;
    double sum() const { return sum_; }

private:
    std::array<std::uint64_t, bounds.size() + 1> counts_{};  ///< [i]: those above bounds[i-1]
    double sum_ = 0;
};

class Metrics {
public:
    using Labels = std::vector<std::pair<std::string, std::string>>;

    // Each of these begins a metric; the next calls of sample() are its samples.
    void counter(const std::string& name, const std::string& help);
    void gauge(const std::string& name, const std::string& help);
    void histogram(const std::string& name, const std::string& help);
    void sample(const Labels& labels, std::uint64_t value);
    void sample(const Labels& labels, double value);
    void sample(const Labels& labels, const Histogram& value);

    const std::string& text() const { return text_; }

private:
    void begin(const std::string& name, const std::string& help, const char* kind);
    void line(const std::string& suffix, const Labels& labels, const std::string& value);
    std::string name_, text_;
};

/// Adds CPU time, memory, descriptors and start time of this process, as far as they can be read.
void add_process(Metrics& metrics);
/// Adds the members of a statistics file (docs/command.md).
void add_statistics(Metrics& metrics, const Json& statistics);

}  // namespace mirrornic
