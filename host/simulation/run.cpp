// SPDX-License-Identifier: Apache-2.0
#include "host/simulation/run.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>

#include "host/account/driver_device.hpp"
#include "host/base/named_files.hpp"
#include "host/configuration/configuration.hpp"
#include "host/requests/request_script.hpp"
#include "host/simulation/shards.hpp"
#include "host/store/open_store.hpp"

namespace mirrornic {
namespace {

/// A piece of the capture, if there are shards, ends after so many frames or so many bytes.
constexpr std::size_t piece_frames = 1024, piece_bytes = 512 << 10;

volatile std::sig_atomic_t interrupted = 0, opening = 0;
Shards* volatile interrupted_shards = nullptr;
Traffic* volatile interrupted_traffic = nullptr;

[[noreturn]] void end_at_once(const char* message) {
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, message, std::strlen(message));
    ::_exit(1);
}

void interrupt(int) {
    if (interrupted != 0)
        end_at_once("mirrornic: interrupted for the second time; the outputs are not whole\n");
    if (opening != 0) end_at_once("mirrornic: interrupted before the first frame\n");
    interrupted = 1;
    if (Shards* const shards = interrupted_shards) shards->stop();
    if (Traffic* const traffic = interrupted_traffic) traffic->interrupt();
}

/// As long as this object lives, SIGINT, SIGTERM and SIGHUP end the run after the present frame, or
/// with shards after the present pieces. The second such signal ends it at once. Before read() was
/// called the first one does, since there are no outputs yet.
class InterruptGuard {
public:
    explicit InterruptGuard(Shards* shards) {
        opening = 1;
        interrupted_shards = shards;
        for (std::size_t i = 0; i < std::size(signals); ++i) {
            before_[i] = std::signal(signals[i], interrupt);
            if (signals[i] == SIGHUP && before_[i] == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
        }
    }
    ~InterruptGuard() {
        for (std::size_t i = 0; i < std::size(signals); ++i) std::signal(signals[i], before_[i]);
        interrupted_shards = nullptr;
        interrupted_traffic = nullptr;
    }
    /// To be called when the files are open. @param traffic to be interrupted; null: there is none
    static void read(Traffic* traffic) {
        interrupted_traffic = traffic;
        opening = 0;
    }
    /// To be called before that traffic is destroyed.
    static void end() { interrupted_traffic = nullptr; }

private:
    static constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};
    void (*before_[std::size(signals)])(int){};
};

/// Shows a bar, the rate and the simulated time, if standard error is a terminal.
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
    /// Removes the bar. To be called before anything else is written to the terminal.
    void clear() {
        if (drawn_) std::fputs("\r\033[K", stderr);
        drawn_ = false;
    }
    ~Progress() { clear(); }

private:
    bool shown_, drawn_ = false;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), last_ = start_;
};

/// The result of a run, or of one shard of a run.
struct Result {
    OrderedJson stats;
    std::vector<std::string> warnings;
    std::uint64_t frames = 0, failed_requests = 0;
    bool cut_off = false;  ///< the capture was cut off
    Latencies latencies;

    Json to_json() const;
    static Result from_json(const Json& json);
    /// Adds the result of another shard of the same run.
    void add(const Result& other);
};

class Replay {
public:
    /// @param shards null: this process runs the whole capture. Not owned.
    /// @param number of this shard; shard 0 gives messages for all
    Replay(const ReplayOptions& options, Configuration configuration, Shards* shards,
           unsigned number);
    Result run();
    Traffic& traffic() { return traffic_; }

private:
    void work();
    /// Whether the next frame is for this shard; nothing: no more frames are.
    std::optional<bool> begin_frame(const Traffic::Frame& frame);
    void end_piece();
    void perform_next();
    void warn(const std::string& sentence);

    const ReplayOptions& options_;
    Configuration configuration_;
    Shards* shards_;
    const bool speaks_;  ///< this shard gives the messages
    std::optional<RequestFile> requests_file_;
    Traffic traffic_;
    LineWriter replies_;
    Progress progress_;
    Result result_;

    MirrorDevice* device_ = nullptr;  ///< of traffic_; null: not open yet
    std::unique_ptr<DriverDevice> plane_;
    std::unique_ptr<MemoryStore> store_;
    std::unique_ptr<Requests> requests_;

    // The piece of the capture that is being read.
    std::uint64_t piece_ = 0;
    std::size_t frames_in_piece_ = 0, bytes_in_piece_ = 0;
    bool mine_ = false;  ///< this shard runs it
};

/// The configuration, with the objects of the state file if one is named.
Configuration configuration_of(const ReplayOptions& options) {
    Configuration configuration =
        read_configuration(options.configurations, options.skip_unresolved);
    if (!options.state) return configuration;
    if (const auto object = first_object(configuration.account))
        throw ConfigurationError(
            "the configuration has " + *object + ", and --state " + *options.state +
            " has the sessions, filters and targets; give interfaces and VPCs alone");
    Account account =
        open_store(StoreLocation::parse(*options.state), StoreAccess::read_only)->load();
    account.take_network(configuration.account.network());
    configuration.account = std::move(account);
    return configuration;
}

std::vector<NamedFile> files_of(const ReplayOptions& options) {
    using Use = NamedFile::Use;
    std::vector<NamedFile> files;
    for (const std::string& name : options.configurations)
        files.push_back({"--config", name, Use::input});
    add_file(files, "--requests", options.requests, Use::input);
    add_files(files, options.traffic);
    add_file(files, "--stats", options.stats, Use::output_stream);
    add_file(files, "--replies", options.replies, Use::output_stream);
    if (options.state)
        files.push_back({"--state", StoreLocation::parse(*options.state).place, Use::database});
    return files;
}

TrafficOptions traffic_of(const ReplayOptions& options, Shards* shards) {
    TrafficOptions traffic = options.traffic;
    traffic.pieces = shards;
    return traffic;
}

Replay::Replay(const ReplayOptions& options, Configuration configuration, Shards* shards,
               unsigned number)
    : options_(options),
      configuration_(std::move(configuration)),
      shards_(shards),
      speaks_(number == 0),
      requests_file_(options.requests
                         ? std::optional<RequestFile>(RequestFile::read(*options.requests))
                         : std::nullopt),
      traffic_(traffic_of(options, shards), configuration_.account.network()),
      replies_(speaks_ ? options.replies : std::nullopt),
      progress_(!options.quiet && speaks_) {
    for (const std::string& warning : configuration_.warnings) warn(warning);
}

void warn_of(const std::string& sentence) {
    std::cerr << "mirrornic: warning: " << sentence << '\n';
}

void Replay::warn(const std::string& sentence) {
    progress_.clear();
    if (speaks_) warn_of(sentence);
    result_.warnings.push_back(sentence);
}

Result Replay::run() {
    traffic_.board().run([this] { work(); });

    for (const std::string& sentence : traffic_.warnings()) warn(sentence);
    if (requests_file_ && requests_file_->remaining() != 0) {
        warn(std::to_string(requests_file_->remaining()) + " requests from line " +
             std::to_string(requests_file_->next_line()) + " of " + *options_.requests +
             " on were not due before the capture ended");
    }
    traffic_.close();
    replies_.close();
    result_.latencies = traffic_.latencies();
    result_.cut_off = traffic_.cut_off();
    return std::move(result_);
}

void Replay::work() {
    device_ = &traffic_.open();
    plane_ = std::make_unique<DriverDevice>(*device_);
    store_ = std::make_unique<MemoryStore>(configuration_.account);
    // A configuration says what the device must hold, so it is an error if there is no room for it
    // (S3). A state says what was asked for, so sessions without room are disabled (H2).
    if (!options_.state) plane_->stage(table_state(configuration_.account), nullptr);
    requests_ =
        std::make_unique<Requests>(configuration_.account, *store_, *plane_, options_.settings);
    for (const auto& [session, why] : requests_->disabled())
        warn("session " + session + " is disabled: " + why);
    if (progress_.shown())
        traffic_.board().offload().on_progress = [this](std::uint64_t) {
            progress_.update(traffic_);
        };

    while (interrupted == 0) {
        const Traffic::Frame* frame = traffic_.next();
        if (!frame) break;
        const std::optional<bool> mine = begin_frame(*frame);
        if (!mine) break;
        while (requests_file_ && requests_file_->due(traffic_.frames(), traffic_.seconds(*frame))) {
            // Every earlier frame must be handled by the tables before the request.
            traffic_.board().offload().wait_until_fed();
            perform_next();
        }
        if (!*mine) continue;
        traffic_.feed(*frame);
        ++result_.frames;
    }
    traffic_.board().offload().wait_until_idle();
    if (mine_) end_piece();
    result_.stats = traffic_.statistics();
}

std::optional<bool> Replay::begin_frame(const Traffic::Frame& frame) {
    if (!shards_) return true;
    const bool full = frames_in_piece_ == piece_frames || bytes_in_piece_ >= piece_bytes;
    if (full || traffic_.frames() == 1) {
        if (mine_) end_piece();
        if (full) ++piece_;
        frames_in_piece_ = bytes_in_piece_ = 0;
        const Shards::Claim claim = shards_->claim(piece_);
        if (claim == Shards::Claim::stopped) return {};
        mine_ = claim == Shards::Claim::mine;
    }
    ++frames_in_piece_;
    bytes_in_piece_ += frame.size;
    return mine_;
}

void Replay::end_piece() {
    traffic_.board().offload().wait_until_idle();
    traffic_.end_piece(piece_);
    mine_ = false;
}

void Replay::perform_next() {
    const RequestOutcome outcome = requests_file_->perform_next(*requests_);
    if (replies_.open()) replies_.line(to_text(outcome.record()));
    if (!outcome.good) {
        ++result_.failed_requests;
        progress_.clear();
        if (speaks_) std::cerr << "mirrornic: " << outcome.complaint << '\n';
    }
}

// --- Result --------------------------------------------------------------------------------------

Json Result::to_json() const {
    Json seen = Json::array();
    for (std::size_t i = 0; i < latencies.seen().size(); ++i)
        if (latencies.seen()[i] != 0) seen.push_back({i, latencies.seen()[i]});
    return {{"stats", stats.dump()}, {"warnings", warnings},
            {"frames", frames},      {"failed_requests", failed_requests},
            {"cut_off", cut_off},    {"latencies", std::move(seen)}};
}

Result Result::from_json(const Json& json) {
    Result result;
    result.stats = OrderedJson::parse(json.at("stats").get<std::string>());
    result.warnings = json.at("warnings").get<std::vector<std::string>>();
    result.frames = json.at("frames");
    result.failed_requests = json.at("failed_requests");
    result.cut_off = json.at("cut_off");
    for (const Json& pair : json.at("latencies")) result.latencies.add(pair.at(0), pair.at(1));
    return result;
}

void add_counts(OrderedJson& to, const OrderedJson& from) {
    for (auto& [name, value] : to.items())
        if (value.is_number_unsigned())
            value = value.get<std::uint64_t>() + from.at(name).get<std::uint64_t>();
}

void Result::add(const Result& other) {
    frames += other.frames;
    for (const char* part : {"frames", "bytes", "causes"})
        add_counts(stats[part], other.stats.at(part));
    for (const OrderedJson& theirs : other.stats.at("sessions")) {
        bool known = false;
        for (OrderedJson& session : stats["sessions"]) {
            if (session["TrafficMirrorSessionId"] != theirs["TrafficMirrorSessionId"]) continue;
            add_counts(session, theirs);
            known = true;
        }
        if (!known) stats["sessions"].push_back(theirs);
    }
    OrderedJson& cycles = stats["cycles"];
    for (const char* part : {"total", "active"})
        cycles[part] =
            cycles[part].get<std::uint64_t>() + other.stats["cycles"][part].get<std::uint64_t>();
    const auto& seen = other.latencies.seen();
    for (std::size_t i = 0; i < seen.size(); ++i) latencies.add(i, seen[i]);
    if (!latencies.empty()) cycles["latency"] = latencies.summary();
}

// --- the command ---------------------------------------------------------------------------------

/// Why a run has made no copy, and what to do; nothing: it has made one.
std::optional<std::string> why_no_copies(const ReplayOptions& options, const OrderedJson& stats) {
    const OrderedJson& frames = stats["frames"];
    const OrderedJson& causes = stats["causes"];
    if (frames["mirrored"] != 0) return {};
    if (frames["received"] == 0) return "the capture has no frame";
    if (frames["selected"] != 0)
        return "every frame that a session accepted was dropped: see causes in --stats";
    if (stats["sessions"].empty())
        return "no session is in force; `mirrornic check` with the same --config says what there "
               "is";
    if (causes["no_tap"] == frames["received"])
        return "no frame has the MAC address of a configured interface; --default-tap "
               "INTERFACE:DIRECTION taps such frames";
    return "no session accepts a frame; " +
           (options.traffic.decisions ? *options.traffic.decisions : "--decisions FILE") +
           " says of each one why";
}

void print_summary(const ReplayOptions& options, std::uint64_t frames_run, const OrderedJson& stats,
                   std::FILE* to) {
    const auto row = [to](const std::string& name, const OrderedJson& value) {
        std::fprintf(to, "  %-22s %12s\n", name.c_str(), value.dump().c_str());
    };
    const OrderedJson& frames = stats["frames"];
    std::fprintf(to, "%-24s %12" PRIu64 "\n", "frames", frames_run);
    row("passes at taps or none", frames["received"]);
    row("forwarded", frames["forwarded"]);
    row("not eligible", frames["not_eligible"]);
    row("accepted by no session", frames["not_accepted"]);
    row("mirrored", frames["mirrored"]);
    row("dropped", frames["dropped"]);
    if (const auto why = why_no_copies(options, stats))
        std::fprintf(to, "no copies: %s\n", why->c_str());
    for (const OrderedJson& session : stats["sessions"]) {
        std::fprintf(to, "%-24s %12s copies, %s bytes, %s truncated, %s dropped\n",
                     session["TrafficMirrorSessionId"].get<std::string>().c_str(),
                     session["mirrored"].dump().c_str(), session["mirrored_bytes"].dump().c_str(),
                     session["truncated"].dump().c_str(), session["dropped"].dump().c_str());
    }
    std::fprintf(to, "%-24s %12s (%s active) at %g MHz\n", "cycles",
                 stats["cycles"]["total"].dump().c_str(), stats["cycles"]["active"].dump().c_str(),
                 options.traffic.clock_mhz);
    if (stats["cycles"].contains("latency")) {
        const OrderedJson& latency = stats["cycles"]["latency"];
        std::fprintf(to, "%-24s %12s (median %s, maximum %s) cycles\n", "copy latency",
                     latency["minimum"].dump().c_str(), latency["median"].dump().c_str(),
                     latency["maximum"].dump().c_str());
    }
    const std::pair<const char*, std::optional<std::string>> files[] = {
        {"mirror copies", options.traffic.out},
        {"forwarded frames", options.traffic.forward},
        {"decisions", options.traffic.decisions},
        {"statistics", options.stats},
        {"replies", options.replies},
        {"waves", options.traffic.wave}};
    for (const auto& [name, file] : files) {
        if (file && *file != "-") std::fprintf(to, "%-24s %s\n", name, file->c_str());
    }
}

/// Makes the files to which the shards add, and so checks that the capture and all files can be
/// used.
void make_files(const ReplayOptions& options) {
    struct stat status {};
    const TrafficOptions& traffic = options.traffic;
    const CaptureReader can_be_read(*traffic.in);
    if (::stat(traffic.in->c_str(), &status) != 0 || !S_ISREG(status.st_mode))
        throw CaptureError(*traffic.in, "each shard reads it, which needs a regular file");
    for (const auto& file : {traffic.out, traffic.forward, traffic.decisions}) {
        if (file && *file != "-" && ::stat(file->c_str(), &status) == 0 && S_ISFIFO(status.st_mode))
            throw CaptureError(*file,
                               "is a pipe, to which shards cannot add; name a file or \"-\"");
    }
    for (const auto& file : {traffic.out, traffic.forward})
        if (file) CaptureWriter(*file).close();
    for (const auto& file : {traffic.decisions, options.replies, options.stats})
        if (file) LineWriter(file).close();
}

Result replay_in_shards(const ReplayOptions& options, const Configuration& configuration,
                        Shards& shards) {
    make_files(options);
    InterruptGuard::read(nullptr);
    const auto results = shards.run(options.shards, [&](unsigned number) {
        return Replay(options, configuration, &shards, number).run().to_json().dump();
    });
    Result whole = Result::from_json(Json::parse(results.front()));
    for (std::size_t i = 1; i < results.size(); ++i)
        whole.add(Result::from_json(Json::parse(results[i])));
    return whole;
}

}  // namespace

int replay(const ReplayOptions& options) {
    const std::vector<NamedFile> files = files_of(options);
    check_files_apart(files);
    const bool to_standard_output = !writes_standard_output(files);
    Configuration configuration = configuration_of(options);
    Shards shards;
    InterruptGuard guard(&shards);
    Result result;
    std::optional<LineWriter> stats;
    if (options.shards == 1) {
        Replay replay(options, std::move(configuration), nullptr, 0);
        stats.emplace(options.stats);
        InterruptGuard::read(&replay.traffic());
        try {
            result = replay.run();
        } catch (...) {
            InterruptGuard::end();
            throw;
        }
        InterruptGuard::end();
    } else {
        result = replay_in_shards(options, configuration, shards);
        stats.emplace(options.stats);  // it has a thread, which no fork may meet
    }
    if (interrupted != 0) {
        result.warnings.push_back("interrupted after frame " + std::to_string(result.frames));
        warn_of(result.warnings.back());
    }
    result.stats["warnings"] = result.warnings;
    if (stats->open()) stats->line(result.stats.dump(2));
    stats->close();
    if (!options.quiet)
        print_summary(options, result.frames, result.stats, to_standard_output ? stdout : stderr);
    const bool whole = !result.cut_off && interrupted == 0;
    return whole && result.failed_requests == 0 ? 0 : 1;
}

}  // namespace mirrornic
