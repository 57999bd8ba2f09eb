// SPDX-License-Identifier: Apache-2.0
#include "host/service/statistics.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mirrornic {
namespace {

constexpr off_t room_on_disk = 256 << 10;  // bytes

}  // namespace

void Latencies::add(std::uint64_t cycles, std::uint64_t copies) {
    seen_[std::min<std::uint64_t>(cycles, seen_.size() - 1)] += copies;
    count_ += copies;
}

std::uint64_t Latencies::quantile(double part) const {
    const auto rank = static_cast<std::uint64_t>(part * static_cast<double>(count_ - 1));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < seen_.size(); ++i) {
        below += seen_[i];
        if (below > rank) return i;
    }
    return seen_.size() - 1;
}

OrderedJson Latencies::summary() const {
    return {{"minimum", quantile(0)}, {"median", quantile(0.5)}, {"maximum", quantile(1)}};
}

OrderedJson statistics_of(const SessionCounters& session) {
    return {{"selected", session.selected.frames},
            {"mirrored", session.mirrored.frames},
            {"truncated", session.truncated},
            {"dropped", session.dropped.frames},
            {"mirrored_bytes", session.mirrored_bytes}};
}

OrderedJson statistics_of(const Counters& counters, const std::vector<std::string>& order) {
    OrderedJson stats;
    stats["Schema"] = 1;
    const std::pair<const char*, const Tally*> classes[] = {
        {"received", &counters.received},
        {"forwarded", &counters.forwarded},
        {"not_eligible", &counters.not_eligible},
        {"not_accepted", &counters.not_accepted},
        {"selected", &counters.selected},
        {"mirrored", &counters.mirrored},
        {"dropped", &counters.dropped}};
    for (const auto& [name, tally] : classes) {
        stats["frames"][name] = tally->frames;
        stats["bytes"][name] = tally->bytes;
    }
    const auto& causes = counters.causes;
    stats["causes"] = {{"no_tap", causes.no_tap},
                       {"malformed", causes.malformed},
                       {"marked_bad", causes.marked_bad},
                       {"not_ip", causes.not_ip},
                       {"excluded", causes.excluded},
                       {"table_fault", causes.table_fault},
                       {"overflow", causes.overflow},
                       {"reset", causes.reset},
                       {"session_fault", causes.session_fault},
                       {"late_bad", causes.late_bad}};
    stats["table_faults"] = {{"found", counters.table_faults.found},
                             {"rewritten", counters.table_faults.rewritten}};
    stats["sessions"] = OrderedJson::array();
    for (const std::string& id : order) {
        const auto at = counters.sessions.find(id);
        if (at == counters.sessions.end()) continue;
        OrderedJson session{{"TrafficMirrorSessionId", id}};
        session.update(statistics_of(at->second));
        stats["sessions"].push_back(std::move(session));
    }
    return stats;
}

OrderedJson statistics_of(const std::vector<OutputState>& outputs) {
    OrderedJson lost = OrderedJson::object();
    for (const OutputState& state : outputs) lost[state.output]["lost"] = state.lost;
    return lost;
}

// --- StatisticsFile ------------------------------------------------------------------------------

StatisticsFile::StatisticsFile(const std::string& name) : file_(name, nullptr, true) {
    if (name == "-") return;
    const int file = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const bool full = file >= 0 && ::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, room_on_disk) != 0 &&
                      errno == ENOSPC;
    if (file >= 0) ::close(file);
    if (full) throw CaptureError(name, std::strerror(ENOSPC));
}

void StatisticsFile::write(const OrderedJson& statistics) {
    file_.line(statistics.dump(2));
    file_.close();
    const OutputFile& file = *file_.file();
    if (file.lost() != 0)
        throw CaptureError(file.name(),
                           file.trouble().value_or("it takes no more") + ": no statistics");
}

}  // namespace mirrornic
