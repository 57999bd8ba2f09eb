// SPDX-License-Identifier: Apache-2.0
#include "host/api/metrics.hpp"

#include <sys/resource.h>

#include <cmath>
#include <ctime>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "catch.hpp"

using namespace mirrornic;

namespace {

/// The samples of a text, by name with labels.
std::map<std::string, std::string> samples(const std::string& text) {
    std::map<std::string, std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line[0] == '#') continue;
        const auto at = line.rfind(' ');
        CHECK(found.emplace(line.substr(0, at), line.substr(at + 1)).second);
    }
    return found;
}

}  // namespace

TEST_CASE("metrics have a type, a help text and escaped labels") {
    Metrics metrics;
    metrics.gauge("a_bytes", "One line\nwith a \\ and a \".");
    metrics.sample({}, std::uint64_t{7});
    metrics.counter("b_total", "Text.");
    metrics.sample({{"x", "a\\b\"c\nd"}, {"y", ""}}, std::numeric_limits<std::uint64_t>::max());
    CHECK(metrics.text() ==
          "# HELP a_bytes One line\\nwith a \\\\ and a \".\n"
          "# TYPE a_bytes gauge\n"
          "a_bytes 7\n"
          "# HELP b_total Text.\n"
          "# TYPE b_total counter\n"
          "b_total{x=\"a\\\\b\\\"c\\nd\",y=\"\"} 18446744073709551615\n");
}

TEST_CASE("a metric's number reads back as it was") {
    const std::pair<double, const char*> numbers[] = {
        {0.0, "0"},
        {1.0, "1"},
        {0.1, "0.1"},
        {1e-9, "1e-09"},
        {123.5, "123.5"},
        {1796085000.25, "1796085000.25"},
        {0.1 + 0.2, "0.30000000000000004"},
        {123456, "123456"},
        {1234567, "1234567"},
        {-HUGE_VAL, "-Inf"},
        {HUGE_VAL, "+Inf"},
        {-1.0, "-1"},
        {std::numeric_limits<double>::quiet_NaN(), "NaN"}};
    for (const auto& [value, text] : numbers) {
        Metrics metrics;
        metrics.gauge("a", "b");
        metrics.sample({}, value);
        CHECK(samples(metrics.text()).at("a") == text);
    }
}

TEST_CASE("a histogram counts each time up to the bounds that it does not exceed") {
    Histogram histogram;
    CHECK(histogram.count(Histogram::bounds.size()) == 0);
    for (const double seconds : {0.0, 0.0005, 0.0006, 0.05, 3.0, 60.0}) histogram.add(seconds);
    Metrics metrics;
    metrics.histogram("t_seconds", "Times.");
    metrics.sample({{"class", "read"}}, histogram);
    const auto found = samples(metrics.text());
    CHECK(found.size() == Histogram::bounds.size() + 3);
    const auto bucket = [&](const std::string& bound) {
        return found.at("t_seconds_bucket{class=\"read\",le=\"" + bound + "\"}");
    };
    CHECK(bucket("0.0005") == "2");
    CHECK(bucket("0.001") == "3");
    CHECK(bucket("0.025") == "3");
    CHECK(bucket("0.05") == "4");
    CHECK(bucket("2.5") == "4");
    CHECK(bucket("10") == "5");
    CHECK(bucket("+Inf") == "6");
    CHECK(found.at("t_seconds_count{class=\"read\"}") == "6");
    CHECK(std::stod(found.at("t_seconds_sum{class=\"read\"}")) == Approx(63.0511));
}

TEST_CASE("the process metrics tell of this process") {
    // Some of its time is the system's.
    const auto seconds = [](const timeval& time) {
        return double(time.tv_sec) + 1e-6 * double(time.tv_usec);
    };
    rusage used{};
    while (seconds(used.ru_stime) < 0.1) {
        std::ifstream("/proc/self/maps").get();
        ::getrusage(RUSAGE_SELF, &used);
    }
    Metrics metrics;
    add_process(metrics);
    const auto found = samples(metrics.text());
    const auto value = [&](const std::string& name) { return std::stod(found.at(name)); };
    CHECK(found.size() == 6);
    CHECK(value("process_cpu_seconds_total") >
          seconds(used.ru_utime) + seconds(used.ru_stime) - 0.05);
    CHECK(value("process_cpu_seconds_total") < seconds(used.ru_utime) + seconds(used.ru_stime) + 1);
    CHECK(value("process_resident_memory_bytes") > 1e5);
    CHECK(value("process_resident_memory_bytes") < value("process_virtual_memory_bytes"));
    CHECK(value("process_open_fds") >= 3);
    CHECK(value("process_open_fds") < value("process_max_fds"));
    CHECK(std::abs(value("process_start_time_seconds") - double(std::time(nullptr))) < 60);
}

TEST_CASE("P23 the metrics of passes can be added up over their outcomes") {
    const Json statistics = parse_json(R"({
        "frames": {"received": 10, "forwarded": 10, "not_eligible": 1, "not_accepted": 2, "selected": 7,
                   "mirrored": 4, "dropped": 3},
        "bytes": {"received": 1000, "forwarded": 1000, "not_eligible": 100, "not_accepted": 200, "selected": 700,
                  "mirrored": 400, "dropped": 300},
        "causes": {"no_tap": 1, "overflow": 3}, "table_faults": {"found": 5, "rewritten": 4},
        "outputs": {"out": {"lost": 2}},
        "sessions": [{"TrafficMirrorSessionId": "tms-1", "selected": 7, "mirrored": 4, "truncated": 2, "dropped": 3,
                      "mirrored_bytes": 600}]})");
    Metrics metrics;
    add_statistics(metrics, statistics);
    const auto found = samples(metrics.text());
    for (const auto& [unit, factor] : {std::pair{"passes", 1}, {"bytes", 100}}) {
        const std::string start = "mirrornic_", end = std::string("_") + unit + "_total";
        const auto outcome = [&](const std::string& name) {
            return std::stoi(found.at("mirrornic" + end + "{outcome=\"" + name + "\"}"));
        };
        CHECK(std::stoi(found.at(start + "received" + end)) == 10 * factor);
        CHECK(std::stoi(found.at(start + "forwarded" + end)) == 10 * factor);
        CHECK(std::stoi(found.at(start + "selected" + end)) ==
              outcome("mirrored") + outcome("dropped"));
        CHECK(outcome("not_eligible") + outcome("not_accepted") + outcome("mirrored") +
                  outcome("dropped") ==
              10 * factor);
    }
    CHECK(found.at("mirrornic_causes_total{cause=\"overflow\"}") == "3");
    CHECK(found.at("mirrornic_table_faults_total") == "5");
    CHECK(found.at("mirrornic_output_lost_total{output=\"out\"}") == "2");
    CHECK(found.at("mirrornic_table_entries_rewritten_total") == "4");
    CHECK(found.at("mirrornic_session_mirrored_bytes_total{session=\"tms-1\"}") == "600");
    CHECK(found.at("mirrornic_session_truncated_passes_total{session=\"tms-1\"}") == "2");
}
