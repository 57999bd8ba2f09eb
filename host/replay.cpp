// SPDX-License-Identifier: Apache-2.0
#include "replay.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "configuration.hpp"
#include "device_plane.hpp"
#include "request_file.hpp"
#include "sqlite_store.hpp"

namespace mirrornic {
namespace {

volatile std::sig_atomic_t interrupted = 0;

/// SIGINT ends the run after the frame in hand, for as long as this lives.
class InterruptGuard {
public:
    InterruptGuard() : before_(std::signal(SIGINT, [](int) { interrupted = 1; })) {}
    ~InterruptGuard() { std::signal(SIGINT, before_); }

private:
    void (*before_)(int);
};

/// A bar, the rate and the simulated time, on a terminal alone.
class Progress {
public:
    explicit Progress(bool wanted) : shown_(wanted && isatty(STDERR_FILENO)) {}
    bool shown() const { return shown_; }
    void update(const Traffic& traffic) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(200)) return;
        last_ = now;
        const double seconds = std::chrono::duration<double>(now - start_).count();
        std::string bar;
        if (const std::optional<double> done = traffic.progress()) {
            const auto filled = static_cast<std::size_t>(std::clamp(*done, 0.0, 1.0) * 30);
            bar = "[" + std::string(filled, '#') + std::string(30 - filled, '.') + "] ";
        }
        std::fprintf(stderr, "\r\033[K%s%" PRIu64 " frames, %.0f frames/s, %.6f s simulated",
                     bar.c_str(), traffic.frames(), static_cast<double>(traffic.frames()) / seconds,
                     traffic.simulated_seconds());
        drawn_ = true;
    }
    /// Before anything else is written to the terminal.
    void clear() {
        if (drawn_) std::fputs("\r\033[K", stderr);
        drawn_ = false;
    }
    ~Progress() { clear(); }

private:
    bool shown_, drawn_ = false;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), last_ = start_;
};

class Replay {
public:
    explicit Replay(const ReplayOptions& options);
    int run();

private:
    void work();
    void perform_next();
    void warn(const std::string& sentence);
    void print_summary(const OrderedJson& stats) const;

    const ReplayOptions& options_;
    Configuration configuration_;
    std::optional<RequestFile> requests_file_;
    Traffic traffic_;
    LineWriter replies_, stats_;
    Progress progress_;

    MirrorDevice* device_ = nullptr;  ///< traffic_'s, once it is open
    std::unique_ptr<DevicePlane> plane_;
    std::unique_ptr<MemoryStore> store_;
    std::unique_ptr<Requests> requests_;
    OrderedJson final_;  ///< the statistics
    std::vector<std::string> warnings_;
    std::uint64_t failed_requests_ = 0;
};

/// What exists: the configuration, with a state file's objects where one is named.
Configuration configuration_of(const ReplayOptions& options) {
    Configuration configuration =
        read_configuration(options.configurations, options.skip_unresolved);
    if (!options.state) return configuration;
    if (const auto object = first_object(configuration.account))
        throw ConfigurationError(
            "the configuration has " + *object + ", and --state " + *options.state +
            " has the sessions, filters and targets; give interfaces and VPCs alone");
    Account account = SqliteStore(*options.state, SqliteStore::Access::read_only).load();
    account.take_network(configuration.account);
    configuration.account = std::move(account);
    return configuration;
}

std::vector<std::string>& checked_outputs(const ReplayOptions& options,
                                          std::vector<std::string>& names) {
    const TrafficOptions& traffic = options.traffic;
    const std::optional<std::string> outputs[] = {traffic.out,     traffic.forward,   options.stats,
                                                  options.replies, traffic.decisions, traffic.wave};
    for (const auto& output : outputs) {
        if (!output) continue;
        const bool input = *output == *traffic.in && *traffic.in != "-";
        if (input || (*output != "-" && same_file(*traffic.in, *output))) {
            throw std::invalid_argument(*output + " is the input; name another output");
        }
        std::vector<std::string> inputs = options.configurations;
        if (options.requests) inputs.push_back(*options.requests);
        if (options.state) inputs.push_back(*options.state);
        for (const std::string& name : inputs) {
            if (*output != "-" && (*output == name || same_file(name, *output))) {
                throw std::invalid_argument(*output + " is read as well; name another output");
            }
        }
        for (const std::string& name : names) {
            if (name == *output)
                throw std::invalid_argument(*output + " is named for two outputs; name two files");
        }
        names.push_back(*output);
    }
    return names;
}

Replay::Replay(const ReplayOptions& options)
    : options_(options),
      configuration_([&options] {
          std::vector<std::string> names;
          checked_outputs(options, names);
          return configuration_of(options);
      }()),
      requests_file_(options.requests
                         ? std::optional<RequestFile>(RequestFile::read(*options.requests))
                         : std::nullopt),
      traffic_(options.traffic, configuration_.account),
      replies_(options.replies),
      stats_(options.stats),
      progress_(!options.quiet) {
    for (const std::string& warning : configuration_.warnings) warn(warning);
}

void Replay::warn(const std::string& sentence) {
    progress_.clear();
    std::cerr << "mirrornic: warning: " << sentence << '\n';
    warnings_.push_back(sentence);
}

int Replay::run() {
    InterruptGuard guard;
    traffic_.board().run([this] { work(); });

    for (const std::string& sentence : traffic_.warnings()) warn(sentence);
    if (requests_file_ && requests_file_->remaining() != 0) {
        warn(std::to_string(requests_file_->remaining()) + " requests from line " +
             std::to_string(requests_file_->next_line()) + " of " + *options_.requests +
             " on were not due before the capture ended");
    }
    if (interrupted != 0) warn("interrupted after frame " + std::to_string(traffic_.frames()));
    final_["warnings"] = warnings_;
    if (stats_.open()) stats_.line(final_.dump(2));

    traffic_.close();
    replies_.close();
    stats_.close();
    if (!options_.quiet) print_summary(final_);
    const bool whole = !traffic_.cut_off() && interrupted == 0;
    return whole && failed_requests_ == 0 ? 0 : 1;
}

void Replay::work() {
    device_ = &traffic_.open();
    plane_ = std::make_unique<DevicePlane>(*device_);
    store_ = std::make_unique<MemoryStore>(configuration_.account);
    requests_ =
        std::make_unique<Requests>(configuration_.account, *store_, *plane_, options_.settings);
    if (progress_.shown())
        traffic_.board().offload().on_progress = [this](std::uint64_t) {
            progress_.update(traffic_);
        };

    while (interrupted == 0) {
        const Traffic::Frame* frame = traffic_.next();
        if (!frame) break;
        while (requests_file_ && requests_file_->due(traffic_.frames(), traffic_.seconds(*frame))) {
            // Every earlier frame meets the tables as they were.
            traffic_.board().offload().wait_until_fed();
            perform_next();
        }
        traffic_.feed(*frame);
    }
    traffic_.board().offload().wait_until_idle();
    final_ = traffic_.statistics();
}

void Replay::perform_next() {
    // A session's counters end with it.
    std::map<std::string, SessionCounters> before;
    if (requests_file_->next_action() == "DeleteTrafficMirrorSession") {
        traffic_.board().offload().wait_until_idle();
        before = device_->counters().sessions;
    }
    const RequestOutcome outcome = requests_file_->perform_next(*requests_);
    if (replies_.open()) replies_.line(to_text(outcome.record()));
    for (auto& [session, counters] : before) {
        if (!requests_->account().sessions().find(session))
            traffic_.session_ended(session, counters);
    }
    if (!outcome.good) {
        ++failed_requests_;
        progress_.clear();
        std::cerr << "mirrornic: " << outcome.complaint << '\n';
    }
}

void Replay::print_summary(const OrderedJson& stats) const {
    std::FILE* to = options_.traffic.out == "-" || options_.traffic.forward == "-" ||
                            options_.traffic.decisions == "-"
                        ? stderr
                        : stdout;
    const auto row = [to](const std::string& name, const OrderedJson& value) {
        std::fprintf(to, "  %-22s %12s\n", name.c_str(), value.dump().c_str());
    };
    const OrderedJson& frames = stats["frames"];
    std::fprintf(to, "%-24s %12" PRIu64 "\n", "frames", traffic_.frames());
    row("passes at taps or none", frames["received"]);
    row("forwarded", frames["forwarded"]);
    row("not eligible", frames["not_eligible"]);
    row("accepted by no session", frames["not_accepted"]);
    row("mirrored", frames["mirrored"]);
    row("dropped", frames["dropped"]);
    for (const OrderedJson& session : stats["sessions"]) {
        std::fprintf(to, "%-24s %12s copies, %s bytes, %s truncated, %s dropped\n",
                     session["TrafficMirrorSessionId"].get<std::string>().c_str(),
                     session["mirrored"].dump().c_str(), session["mirrored_bytes"].dump().c_str(),
                     session["truncated"].dump().c_str(), session["dropped"].dump().c_str());
    }
    std::fprintf(to, "%-24s %12s (%s active) at %g MHz\n", "cycles",
                 stats["cycles"]["total"].dump().c_str(), stats["cycles"]["active"].dump().c_str(),
                 options_.traffic.clock_mhz);
    if (stats["cycles"].contains("latency")) {
        const OrderedJson& latency = stats["cycles"]["latency"];
        std::fprintf(to, "%-24s %12s (median %s, maximum %s) cycles\n", "copy latency",
                     latency["minimum"].dump().c_str(), latency["median"].dump().c_str(),
                     latency["maximum"].dump().c_str());
    }
    const std::pair<const char*, std::optional<std::string>> files[] = {
        {"mirror copies", options_.traffic.out},
        {"forwarded frames", options_.traffic.forward},
        {"decisions", options_.traffic.decisions},
        {"statistics", options_.stats},
        {"replies", options_.replies},
        {"waves", options_.traffic.wave}};
    for (const auto& [name, file] : files) {
        if (file && *file != "-") std::fprintf(to, "%-24s %s\n", name, file->c_str());
    }
}

}  // namespace

int replay(const ReplayOptions& options) { return Replay(options).run(); }

}  // namespace mirrornic
