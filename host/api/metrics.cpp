// SPDX-License-Identifier: Apache-2.0
#include "host/api/metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <sstream>

namespace mirrornic {
namespace {

std::string escaped(const std::string& text, bool quotes) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        if (c == '\\' || (quotes && c == '"')) out += '\\';
        out += c;
    }
    return out;
}

/// The shortest text of a number that is read as the same number.
std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
    char text[32];
    for (int digits = 6; digits <= 17; ++digits) {
        std::snprintf(text, sizeof text, "%.*g", digits, value);
        if (std::stod(text) == value) break;
    }
    return text;
}

/// The fields of /proc/self/stat after the process's name. The name may hold any character, so it
/// is skipped. The first of these fields is number 3 in proc(5).
std::vector<std::string> process_fields() {
    std::ifstream file("/proc/self/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto end = text.rfind(')');
    if (end == std::string::npos) return {};
    std::istringstream rest(text.substr(end + 1));
    return {std::istream_iterator<std::string>(rest), {}};
}

/// When the system was started, in seconds since the epoch.
std::optional<double> boot_time() {
    std::ifstream file("/proc/stat");
    for (std::string word; file >> word;) {
        double seconds = 0;
        if (word == "btime" && file >> seconds) return seconds;
    }
    return {};
}

std::optional<std::uint64_t> open_descriptors() {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/proc/self/fd"), closedir);
    if (!directory) return {};
    std::uint64_t count = 0;
    while (const dirent* entry = readdir(directory.get()))
        if (entry->d_name[0] != '.') ++count;
    return count - 1;  // without the directory's own
}

}  // namespace

// --- Histogram -----------------------------------------------------------------------------------

void Histogram::add(double seconds) {
    const auto at = std::lower_bound(bounds.begin(), bounds.end(), seconds);
    ++counts_[std::size_t(at - bounds.begin())];
    sum_ += seconds;
}

std::uint64_t Histogram::count(std::size_t i) const {
    return std::accumulate(counts_.begin(), counts_.begin() + std::ptrdiff_t(i) + 1,
                           std::uint64_t{0});
}

// --- Metrics -------------------------------------------------------------------------------------

void Metrics::begin(const std::string& name, const std::string& help, const char* kind) {
    name_ = name;
    text_ += "# HELP " + name + " " + escaped(help, false) + "\n# TYPE " + name + " " + kind + "\n";
}

void Metrics::counter(const std::string& name, const std::string& help) {
    begin(name, help, "counter");
}

void Metrics::gauge(const std::string& name, const std::string& help) {
    begin(name, help, "gauge");
}

void Metrics::histogram(const std::string& name, const std::string& help) {
    begin(name, help, "histogram");
}

void Metrics::line(const std::string& suffix, const Labels& labels, const std::string& value) {
    text_ += name_ + suffix;
    const char* separator = "{";
    for (const auto& [label, its_value] : labels) {
        text_ += separator + label + "=\"" + escaped(its_value, true) + "\"";
        separator = ",";
    }
    text_ += (labels.empty() ? " " : "} ") + value + "\n";
}

void Metrics::sample(const Labels& labels, std::uint64_t value) {
    line("", labels, std::to_string(value));
}

void Metrics::sample(const Labels& labels, double value) { line("", labels, number(value)); }

void Metrics::sample(const Labels& labels, const Histogram& value) {
    const auto bucket = [&](const std::string& bound, std::size_t i) {
        Labels with = labels;
        with.emplace_back("le", bound);
        line("_bucket", with, std::to_string(value.count(i)));
    };
    constexpr auto count = Histogram::bounds.size();
    for (std::size_t i = 0; i < count; ++i) bucket(number(Histogram::bounds[i]), i);
    bucket("+Inf", count);
    line("_sum", labels, number(value.sum()));
    line("_count", labels, std::to_string(value.count(count)));
}

// --- What there is -------------------------------------------------------------------------------

void add_process(Metrics& metrics) {
    const auto fields = process_fields();
    if (!fields.empty()) {
        const auto field = [&](std::size_t of_proc_5) {
            return std::strtod(fields.at(of_proc_5 - 3).c_str(), nullptr);
        };
        const double ticks = double(sysconf(_SC_CLK_TCK));
        metrics.counter("process_cpu_seconds_total",
                        "Total user and system CPU time spent in seconds.");
        metrics.sample({}, (field(14) + field(15)) / ticks);
        metrics.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
        metrics.sample({}, field(23));
        metrics.gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
        metrics.sample({}, field(24) * double(sysconf(_SC_PAGESIZE)));
        if (const auto boot = boot_time()) {
            metrics.gauge("process_start_time_seconds",
                          "Start time of the process since unix epoch in seconds.");
            metrics.sample({}, *boot + field(22) / ticks);
        }
    }
    if (const auto open = open_descriptors()) {
        metrics.gauge("process_open_fds", "Number of open file descriptors.");
        metrics.sample({}, *open);
    }
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metrics.gauge("process_max_fds", "Maximum number of open file descriptors.");
        metrics.sample({}, limit.rlim_cur == RLIM_INFINITY ? HUGE_VAL : double(limit.rlim_cur));
    }
}

void add_statistics(Metrics& metrics, const Json& statistics) {
    const auto count = [](const Json& value) { return value.get<std::uint64_t>(); };
    for (const auto& [member, unit, of] : {std::tuple{"frames", "passes", "Passes"},
                                           {"bytes", "bytes", "Bytes of passes' frames"}}) {
        const Json& classes = statistics[member];
        const std::string end = std::string("_") + unit + "_total", what = of;
        for (const auto& [name, text] :
             {std::pair{"received", " that came in."},
              {"forwarded", " that went on."},
              {"selected", " that a session accepted: each is mirrored or dropped."}}) {
            metrics.counter("mirrornic_" + std::string(name) + end, what + text);
            metrics.sample({}, count(classes[name]));
        }
        metrics.counter("mirrornic" + end, what + " by what became of the copy.");
        for (const char* outcome : {"not_eligible", "not_accepted", "mirrored", "dropped"})
            metrics.sample({{"outcome", outcome}}, count(classes[outcome]));
    }
    metrics.counter(
        "mirrornic_causes_total",
        "Passes that were not eligible, were dropped, or were found bad after their copy, by "
        "the cause.");
    for (const auto& [cause, value] : statistics["causes"].items())
        metrics.sample({{"cause", cause}}, count(value));
    metrics.counter("mirrornic_table_faults_total", "Flipped bits found in the device's memories.");
    metrics.sample({}, count(statistics["table_faults"]["found"]));
    metrics.counter("mirrornic_table_entries_rewritten_total",
                    "Table entries that the driver has written again after a flipped bit.");
    metrics.sample({}, count(statistics["table_faults"]["rewritten"]));
    if (statistics.contains("outputs")) {
        metrics.counter("mirrornic_output_lost_total",
                        "Records that an output file had no room for.");
        for (const auto& [output, value] : statistics["outputs"].items())
            metrics.sample({{"output", output}}, count(value["lost"]));
    }
    const std::tuple<const char*, const char*, const char*> of_sessions[] = {
        {"selected", "selected_passes", "Passes that the session accepted."},
        {"mirrored", "mirrored_passes", "Copies of the session that left."},
        {"truncated", "truncated_passes",
         "Copies of the session that were shorter than the frame."},
        {"dropped", "dropped_passes", "Copies of the session that were dropped."},
        {"mirrored_bytes", "mirrored_bytes", "Bytes of the session's copies as sent."}};
    for (const auto& [member, name, help] : of_sessions) {
        metrics.counter("mirrornic_session_" + std::string(name) + "_total", help);
        for (const auto& session : statistics["sessions"])
            metrics.sample({{"session", session["TrafficMirrorSessionId"]}},
                           count(session[member]));
    }
}

}  // namespace mirrornic
