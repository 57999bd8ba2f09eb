// SPDX-License-Identifier: Apache-2.0
#include "replay.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <set>
#include <unordered_map>

#include "board.hpp"
#include "capture_file.hpp"
#include "configuration.hpp"
#include "mirror_device.hpp"
#include "request_file.hpp"

namespace mirrornic {
namespace {

/// What people read: members in the order in which they are set.
using OrderedJson = nlohmann::ordered_json;

volatile std::sig_atomic_t interrupted = 0;

/// SIGINT ends the run after the frame in hand, for as long as this lives.
class InterruptGuard {
public:
    InterruptGuard() : before_(std::signal(SIGINT, [](int) { interrupted = 1; })) {}
    ~InterruptGuard() { std::signal(SIGINT, before_); }

private:
    void (*before_)(int);
};

class DevicePlane : public DataPlane {
public:
    explicit DevicePlane(MirrorDevice& device) : device_(device) {}
    Staged stage(const TableState& desired) override { return device_.plan(desired); }
    void commit(const Staged& staged) override {
        device_.commit(std::static_pointer_cast<const MirrorDevice::Plan>(staged));
    }

private:
    MirrorDevice& device_;
};

/// A text file that is written line by line; a write that fails is an error of that file.
class LineWriter {
public:
    explicit LineWriter(const std::optional<std::string>& name) {
        if (!name) return;
        name_ = *name;
        if (name_ != "-") file_.open(name_, std::ios::binary);
        if (name_ != "-" && !file_) throw CaptureError(name_, std::strerror(errno));
        open_ = true;
    }
    bool open() const { return open_; }
    void line(const std::string& text) { stream() << text << '\n'; }
    void close() {
        if (!open_) return;
        open_ = false;
        stream().flush();
        if (!stream()) throw CaptureError(name_, "cannot be written: is the disk full?");
    }

private:
    std::ostream& stream() { return name_ == "-" ? std::cout : file_; }
    std::string name_;
    std::ofstream file_;
    bool open_ = false;
};

std::uint64_t mac_key(const std::uint8_t* bytes) {
    std::uint64_t key = 0;
    for (int i = 0; i < 6; ++i) key = key << 8 | bytes[i];
    return key;
}

/// Where a frame is tapped: by its MAC addresses, with the index that the device has for the
/// interface now.
class TapFinder {
public:
    struct Tap {
        const std::string* interface;
        std::uint32_t index;
    };

    /// Of two interfaces with one MAC address the first one counts; the configuration has warned of it.
    explicit TapFinder(const Account& account) {
        for (const auto& [sequence, interface] : account.interfaces()) {
            (void)sequence;
            taps_.emplace(mac_key(interface.mac.data()), Entry{interface.id, 0, 0});
        }
    }
    void tables_changed() { ++generation_; }
    /// The interface with this MAC, or nothing.
    std::optional<Tap> find(const std::uint8_t* mac, const MirrorDevice& device) {
        const auto at = taps_.find(mac_key(mac));
        if (at == taps_.end()) return {};
        return Tap{&at->second.interface, index(at->second, device)};
    }
    /// The tap of frames whose MAC addresses are no interface's.
    void set_default(const std::string& interface) { default_ = Entry{interface, 0, 0}; }
    Tap default_tap(const MirrorDevice& device) {
        return Tap{&default_.interface, index(default_, device)};
    }

private:
    struct Entry {
        std::string interface;
        std::uint64_t generation;
        std::uint32_t index;
    };
    std::uint32_t index(Entry& entry, const MirrorDevice& device) {
        if (entry.generation != generation_) {
            entry.index = device.interface_index(entry.interface);
            entry.generation = generation_;
        }
        return entry.index;
    }
    std::unordered_map<std::uint64_t, Entry> taps_;
    Entry default_{};
    std::uint64_t generation_ = 1;
};

const char* to_string(DecisionRecord::Outcome outcome) {
    static const char* const names[] = {"not eligible", "not accepted", "mirrored", "dropped"};
    return names[static_cast<int>(outcome)];
}

const char* to_string(DecisionRecord::Cause cause) {
    using Cause = DecisionRecord::Cause;
    switch (cause) {
        case Cause::no_tap:
            return "no tap";
        case Cause::malformed:
            return "malformed";
        case Cause::marked_bad:
            return "marked bad";
        case Cause::not_ip:
            return "not IP";
        case Cause::excluded:
            return "excluded service";
        case Cause::table_fault:
            return "table fault";
        case Cause::overflow:
            return "mirror output too slow";
        case Cause::reset:
            return "mirror reset";
        case Cause::session_fault:
            return "session entry fault";
        case Cause::none:
            break;
    }
    return "";
}

/// Says what became of each pass, in the words of the configuration.
class DecisionLog {
public:
    explicit DecisionLog(const std::optional<std::string>& name) : out_(name) {}
    bool open() const { return out_.open(); }
    void placed(std::shared_ptr<const Placement> placement) {
        placements_.push_back(std::move(placement));
    }
    void fed(std::uint64_t frame, const std::string* interface, Direction direction,
             std::size_t size) {
        passes_.push_back({frame, interface ? *interface : std::string(), direction, size});
    }
    void decided(const DecisionRecord& record);
    void close() { out_.close(); }

private:
    struct Pass {
        std::uint64_t frame;
        std::string interface;
        Direction direction;
        std::size_t size;
    };
    static void name_rule(OrderedJson& json, const Placement::Slot& slot, Direction direction,
                          std::size_t rule) {
        const auto& rules =
            direction == Direction::egress ? slot.filter->egress : slot.filter->ingress;
        json["TrafficMirrorFilterRuleId"] = rules.at(rule).id;
    }

    LineWriter out_;
    std::deque<Pass> passes_;
    std::deque<std::shared_ptr<const Placement>> placements_;
};

void DecisionLog::decided(const DecisionRecord& record) {
    using Outcome = DecisionRecord::Outcome;
    const Pass pass = std::move(passes_.front());
    passes_.pop_front();
    OrderedJson json;
    json["Frame"] = pass.frame;
    json["Length"] = pass.size;
    if (!pass.interface.empty()) {
        json["NetworkInterfaceId"] = pass.interface;
        json["Direction"] = pass.direction == Direction::egress ? "egress" : "ingress";
    }
    json["Outcome"] = to_string(record.outcome);
    if (record.cause != DecisionRecord::Cause::none) json["Cause"] = to_string(record.cause);

    if (record.outcome != Outcome::not_eligible) {
        // The placement of the version that decided: the newest one that is not younger.
        while (placements_.size() > 1 &&
               static_cast<std::int16_t>(record.version - placements_[1]->version) >= 0) {
            placements_.pop_front();
        }
        const Placement::Tapped* tapped = nullptr;
        for (const auto& candidate : placements_.front()->interfaces) {
            if (candidate.interface == pass.interface) tapped = &candidate;
        }
        const std::size_t slots = tapped ? tapped->slots.size() : 0;
        const bool accepted = record.outcome != Outcome::not_accepted;
        OrderedJson rejected = OrderedJson::array();
        for (std::size_t i = 0; i < slots && i < (accepted ? record.slot : slots); ++i) {
            const auto& slot = tapped->slots[i];
            if (slot.session.empty()) continue;
            OrderedJson reason{{"TrafficMirrorSessionId", slot.session}};
            switch (record.why[i]) {
                case DecisionRecord::Why::empty:
                    continue;
                case DecisionRecord::Why::no_rule:
                    reason["Why"] = "no rule";
                    break;
                case DecisionRecord::Why::rejected:
                    reason["Why"] = "rejected by rule";
                    name_rule(reason, slot, pass.direction, record.why_rule[i]);
                    break;
                case DecisionRecord::Why::rejected_dns:
                    reason["Why"] = "amazon-dns is off";
                    break;
            }
            rejected.push_back(std::move(reason));
        }
        if (!accepted && rejected.empty()) json["Cause"] = "no session";
        if (accepted && tapped) {
            const auto& slot = tapped->slots.at(record.slot);
            json["TrafficMirrorSessionId"] = slot.session;
            if (record.by_service) {
                json["NetworkService"] = "amazon-dns";
            } else {
                name_rule(json, slot, pass.direction, record.rule_index);
            }
            json["Kept"] = record.kept;
            if (record.late_bad) json["LateBad"] = true;
        }
        if (!rejected.empty()) json["Rejected"] = std::move(rejected);
    }
    out_.line(json.dump());
}

/// A bar, the rate and the simulated time, on a terminal alone.
class Progress {
public:
    explicit Progress(bool wanted) : shown_(wanted && isatty(STDERR_FILENO)) {}
    bool shown() const { return shown_; }
    void update(std::uint64_t frames, const CaptureReader& reader, double simulated_seconds) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(200)) return;
        last_ = now;
        const double seconds = std::chrono::duration<double>(now - start_).count();
        std::string bar;
        if (const std::optional<double> done = reader.progress()) {
            const auto filled = static_cast<std::size_t>(std::clamp(*done, 0.0, 1.0) * 30);
            bar = "[" + std::string(filled, '#') + std::string(30 - filled, '.') + "] ";
        }
        std::fprintf(stderr, "\r\033[K%s%" PRIu64 " frames, %.0f frames/s, %.6f s simulated",
                     bar.c_str(), frames, static_cast<double>(frames) / seconds, simulated_seconds);
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

/// Latencies of copies: how often each number of cycles was seen.
class Latencies {
public:
    void add(std::uint64_t cycles) {
        ++seen_[std::min<std::uint64_t>(cycles, seen_.size() - 1)];
        ++count_;
    }
    bool empty() const { return count_ == 0; }
    std::uint64_t quantile(double part) const {
        const auto rank = static_cast<std::uint64_t>(part * static_cast<double>(count_ - 1));
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < seen_.size(); ++i) {
            below += seen_[i];
            if (below > rank) return i;
        }
        return seen_.size() - 1;
    }

private:
    std::vector<std::uint64_t> seen_ = std::vector<std::uint64_t>(1 << 16);
    std::uint64_t count_ = 0;
};

class Replay {
public:
    explicit Replay(const ReplayOptions& options);
    int run();

private:
    void work();
    void perform_requests(std::uint64_t frame, double seconds);
    void perform_next();
    void feed(const CaptureReader::Frame& frame);
    void feed_pass(const CaptureReader::Frame& frame, const std::optional<TapFinder::Tap>& tap,
                   Direction direction);
    void warn(const std::string& sentence);
    OrderedJson statistics();
    void print_summary(const OrderedJson& stats) const;

    const ReplayOptions& options_;
    Configuration configuration_;
    std::optional<RequestFile> requests_file_;
    CaptureReader reader_;
    Board board_;
    CaptureWriter out_;
    std::optional<CaptureWriter> forward_;
    LineWriter replies_, stats_;
    DecisionLog decisions_;
    Progress progress_;
    TapFinder taps_;

    std::unique_ptr<MirrorDevice> device_;
    std::unique_ptr<DevicePlane> plane_;
    std::unique_ptr<MemoryStore> store_;
    std::unique_ptr<Requests> requests_;
    std::map<std::string, SessionCounters> ended_sessions_;  ///< of sessions that were deleted
    std::vector<std::string> session_order_;                 ///< as they came
    std::set<std::string> known_sessions_;
    OrderedJson final_;  ///< the statistics
    Latencies latencies_;
    std::vector<std::string> warnings_;
    std::uint64_t frames_ = 0, start_cycle_ = 0, start_skipped_ = 0, first_timestamp_ = 0;
    std::uint64_t failed_requests_ = 0;
};

std::vector<std::string>& checked_outputs(const ReplayOptions& options,
                                          std::vector<std::string>& names) {
    const std::optional<std::string> outputs[] = {options.out,     options.forward,   options.stats,
                                                  options.replies, options.decisions, options.wave};
    for (const auto& output : outputs) {
        if (!output) continue;
        const bool input = *output == options.in && options.in != "-";
        if (input || (*output != "-" && same_file(options.in, *output))) {
            throw std::invalid_argument(*output + " is the input; name another output");
        }
        std::vector<std::string> inputs = options.configurations;
        if (options.requests) inputs.push_back(*options.requests);
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

Board::Options board_options(const ReplayOptions& options) {
    Board::Options result;
    result.clock_mhz = options.clock_mhz;
    if (options.wave) result.wave_file = *options.wave;
    return result;
}

Replay::Replay(const ReplayOptions& options)
    : options_(options),
      configuration_([&options] {
          std::vector<std::string> names;
          checked_outputs(options, names);
          return read_configuration(options.configurations, options.skip_unresolved);
      }()),
      requests_file_(options.requests
                         ? std::optional<RequestFile>(RequestFile::read(*options.requests))
                         : std::nullopt),
      reader_(options.in),
      board_(board_options(options)),
      out_(options.out),
      replies_(options.replies),
      stats_(options.stats),
      decisions_(options.decisions),
      progress_(!options.quiet),
      taps_(configuration_.account) {
    if (options.forward) forward_.emplace(*options.forward);
    if (options.default_tap &&
        !configuration_.account.interfaces().find(options.default_tap->interface)) {
        throw std::invalid_argument("--default-tap: no configuration names interface " +
                                    options.default_tap->interface);
    }
    if (options.default_tap) taps_.set_default(options.default_tap->interface);
    for (const std::string& warning : configuration_.warnings) warn(warning);
}

void Replay::warn(const std::string& sentence) {
    progress_.clear();
    std::cerr << "mirrornic: warning: " << sentence << '\n';
    warnings_.push_back(sentence);
}

int Replay::run() {
    InterruptGuard guard;
    board_.on_copy = [this](const Received& copy) {
        out_.write(copy.transfer.tag, copy.data, copy.size);
        latencies_.add(copy.transfer.latency);
    };
    if (forward_) {
        board_.on_forward = [this](const Received& frame) {
            forward_->write(frame.transfer.tag, frame.data, frame.size);
        };
    }
    if (decisions_.open()) {
        board_.offload().on_decision = [this](const DecisionRecord& record) {
            decisions_.decided(record);
        };
    }
    board_.run([this] { work(); });

    const bool whole = !reader_.truncated() && interrupted == 0;
    if (reader_.truncated())
        warn(options_.in + " is cut off: its last record is not whole; all whole frames were run");
    if (reader_.snapped() != 0) {
        warn(std::to_string(reader_.snapped()) + " frames of " + options_.in +
             " hold only their first bytes (snap length); they were run as captured");
    }
    if (reader_.skipped() != 0) {
        warn(std::to_string(reader_.skipped()) + " records of " + options_.in +
             " hold no byte and were passed over");
    }
    if (requests_file_ && requests_file_->remaining() != 0) {
        warn(std::to_string(requests_file_->remaining()) + " requests from line " +
             std::to_string(requests_file_->next_line()) + " of " + *options_.requests +
             " on were not due before the capture ended");
    }
    if (interrupted != 0) warn("interrupted after frame " + std::to_string(frames_));
    final_["warnings"] = warnings_;
    if (stats_.open()) stats_.line(final_.dump(2));

    out_.close();
    if (forward_) forward_->close();
    replies_.close();
    stats_.close();
    decisions_.close();
    if (!options_.quiet) print_summary(final_);
    return whole && failed_requests_ == 0 ? 0 : 1;
}

void Replay::work() {
    device_ = std::make_unique<MirrorDevice>(board_.registers());
    device_->on_placement([this](const std::shared_ptr<const Placement>& placement) {
        taps_.tables_changed();
        if (decisions_.open()) decisions_.placed(placement);
        for (const auto& tapped : placement->interfaces) {
            for (const auto& slot : tapped.slots) {
                if (!slot.session.empty() && known_sessions_.insert(slot.session).second) {
                    session_order_.push_back(slot.session);
                }
            }
        }
    });
    if (decisions_.open()) decisions_.placed(device_->placement());
    if (options_.source_port_base != 49152 || options_.source_port_bits != 14) {
        device_->set_source_ports(options_.source_port_base, options_.source_port_bits);
    }
    plane_ = std::make_unique<DevicePlane>(*device_);
    store_ = std::make_unique<MemoryStore>(configuration_.account);
    requests_ =
        std::make_unique<Requests>(configuration_.account, *store_, *plane_, options_.settings);
    board_.offload().wait_until_idle();
    start_cycle_ = board_.offload().cycle();
    start_skipped_ = board_.offload().skipped_cycles();

    if (progress_.shown()) {
        board_.offload().on_progress = [this](std::uint64_t cycle) {
            progress_.update(frames_, reader_,
                             static_cast<double>(cycle - start_cycle_) / (options_.clock_mhz * 1e6));
        };
    }

    CaptureReader::Frame frame;
    while (interrupted == 0 && reader_.next(frame)) {
        if (frames_++ == 0) first_timestamp_ = frame.timestamp_ns;
        const double seconds =
            static_cast<double>(static_cast<std::int64_t>(frame.timestamp_ns - first_timestamp_)) *
            1e-9;
        perform_requests(frames_, seconds);
        feed(frame);
    }
    board_.offload().wait_until_idle();
    final_ = statistics();
}

void Replay::perform_requests(std::uint64_t frame, double seconds) {
    while (requests_file_ && requests_file_->due(frame, seconds)) {
        // Every earlier frame meets the tables as they were.
        board_.offload().wait_until_fed();
        perform_next();
    }
}

void Replay::perform_next() {
    // A session's counters end with it.
    std::map<std::string, SessionCounters> before;
    if (requests_file_->next_action() == "DeleteTrafficMirrorSession") {
        board_.offload().wait_until_idle();
        before = device_->counters().sessions;
    }
    const RequestOutcome outcome = requests_file_->perform_next(*requests_);
    if (replies_.open()) replies_.line(to_text(outcome.record()));
    for (auto& [session, counters] : before) {
        if (!requests_->account().sessions().find(session)) ended_sessions_[session] = counters;
    }
    if (!outcome.good) {
        ++failed_requests_;
        progress_.clear();
        std::cerr << "mirrornic: " << outcome.complaint << '\n';
    }
}

void Replay::feed(const CaptureReader::Frame& frame) {
    std::optional<TapFinder::Tap> source, destination;
    if (frame.size >= 14) {
        source = taps_.find(frame.data + 6, *device_);
        destination = taps_.find(frame.data, *device_);
    }
    if (source) feed_pass(frame, source, Direction::egress);
    if (destination) feed_pass(frame, destination, Direction::ingress);
    if (source || destination) return;
    if (options_.default_tap) {
        feed_pass(frame, taps_.default_tap(*device_),
                  options_.default_tap->direction);
    } else {
        feed_pass(frame, {}, Direction::egress);
    }
}

void Replay::feed_pass(const CaptureReader::Frame& frame, const std::optional<TapFinder::Tap>& tap,
                       Direction direction) {
    Transfer transfer;
    transfer.tag = frame.timestamp_ns;
    if (tap) {
        transfer.tap = true;
        transfer.egress = direction == Direction::egress;
        transfer.index = tap->index;
    }
    transfer.when_room = options_.pace == ReplayOptions::Pace::lossless;
    if (options_.pace == ReplayOptions::Pace::capture && frame.timestamp_ns > first_timestamp_) {
        transfer.not_before =
            start_cycle_ +
            static_cast<std::uint64_t>(static_cast<double>(frame.timestamp_ns - first_timestamp_) *
                                       options_.clock_mhz / 1000.0);
    }
    if (decisions_.open())
        decisions_.fed(frames_, tap ? tap->interface : nullptr, direction, frame.size);
    board_.feed(frame.data, frame.size, transfer);
}

OrderedJson Replay::statistics() {
    const Counters counters = device_->counters();
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
    stats["sessions"] = OrderedJson::array();
    for (const std::string& id : session_order_) {
        const auto live = counters.sessions.find(id);
        const SessionCounters& session =
            live != counters.sessions.end() ? live->second : ended_sessions_[id];
        stats["sessions"].push_back({{"TrafficMirrorSessionId", id},
                                     {"selected", session.selected.frames},
                                     {"mirrored", session.mirrored.frames},
                                     {"truncated", session.truncated},
                                     {"dropped", session.dropped.frames},
                                     {"mirrored_bytes", session.mirrored_bytes}});
    }
    const std::uint64_t total = board_.offload().cycle() - start_cycle_;
    const std::uint64_t skipped = board_.offload().skipped_cycles() - start_skipped_;
    stats["cycles"] = {
        {"total", total}, {"active", total - skipped}, {"clock_mhz", options_.clock_mhz}};
    if (!latencies_.empty()) {
        stats["cycles"]["latency"] = {{"minimum", latencies_.quantile(0)},
                                      {"median", latencies_.quantile(0.5)},
                                      {"maximum", latencies_.quantile(1)}};
    }
    return stats;
}

void Replay::print_summary(const OrderedJson& stats) const {
    std::FILE* to = options_.out == "-" || options_.forward == "-" || options_.decisions == "-"
                        ? stderr
                        : stdout;
    const auto row = [to](const std::string& name, const OrderedJson& value) {
        std::fprintf(to, "  %-22s %12s\n", name.c_str(), value.dump().c_str());
    };
    const OrderedJson& frames = stats["frames"];
    std::fprintf(to, "%-24s %12" PRIu64 "\n", "frames", frames_);
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
                 options_.clock_mhz);
    if (stats["cycles"].contains("latency")) {
        const OrderedJson& latency = stats["cycles"]["latency"];
        std::fprintf(to, "%-24s %12s (median %s, maximum %s) cycles\n", "copy latency",
                     latency["minimum"].dump().c_str(), latency["median"].dump().c_str(),
                     latency["maximum"].dump().c_str());
    }
    const std::pair<const char*, std::optional<std::string>> files[] = {
        {"mirror copies", options_.out},   {"forwarded frames", options_.forward},
        {"decisions", options_.decisions}, {"statistics", options_.stats},
        {"replies", options_.replies},     {"waves", options_.wave}};
    for (const auto& [name, file] : files) {
        if (file && *file != "-") std::fprintf(to, "%-24s %s\n", name, file->c_str());
    }
}

}  // namespace

int replay(const ReplayOptions& options) { return Replay(options).run(); }

}  // namespace mirrornic
