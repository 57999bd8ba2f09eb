// SPDX-License-Identifier: Apache-2.0
/// What /metrics says, in Prometheus's text format 0.0.4. Names end with their unit, counters with
/// `_total`, and the samples of a metric can be added up over its labels.
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

/// Times in seconds, counted by the bound that they do not exceed.
class Histogram {
public:
    static constexpr std::array<double, 13> bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1,    0.25,  0.5,    1,     2.5,  10};
    void add(double seconds);
    /// So many did not exceed bounds[i]; all of them at bounds.size().
    std::uint64_t count(std::size_t i) const;
    double sum() const { return sum_; }

private:
    std::array<std::uint64_t, bounds.size() + 1> counts_{};  ///< those above the bound before
    double sum_ = 0;
};

class Metrics {
public:
    using Labels = std::vector<std::pair<std::string, std::string>>;

    /// Begins a metric; its samples follow.
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

/// CPU time, memory, descriptors and start of this process. What cannot be read is left out.
void add_process(Metrics& metrics);
/// The members of a statistics file (docs/command.md).
void add_statistics(Metrics& metrics, const Json& statistics);

}  // namespace mirrornic
