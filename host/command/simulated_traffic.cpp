// SPDX-License-Identifier: Apache-2.0
#include "host/command/simulated_traffic.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "sim/ring.hpp"

namespace mirrornic {
namespace {

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

    /// Of two interfaces with one MAC address the first one counts; the configuration has warned of
    /// it.
    explicit TapFinder(std::shared_ptr<const Network> network) : network_(std::move(network)) {}
    void take(std::shared_ptr<const Network> network) {
        network_ = std::move(network);
        taps_.clear();
    }
    /// The indices that were given so far may belong to others now.
    void tables_changed() { ++generation_; }
    /// The interface with this MAC, or nothing.
    std::optional<Tap> find(const std::uint8_t* mac, const MirrorDevice& device) {
        auto at = taps_.find(mac_key(mac));
        if (at == taps_.end()) {
            MacAddress address;
            std::copy_n(mac, address.size(), address.begin());
            const NetworkInterface* interface = network_->with_mac(address);
            if (!interface) return {};
            at = taps_.emplace(mac_key(mac), Entry{&kept(interface->id), 0, 0}).first;
        }
        return Tap{at->second.interface, index(at->second, device)};
    }
    /// The tap of frames whose MAC addresses are no interface's.
    void set_default(const std::string& interface) { default_ = Entry{&kept(interface), 0, 0}; }
    Tap default_tap(const MirrorDevice& device) {
        return Tap{default_.interface, index(default_, device)};
    }

private:
    struct Entry {
        const std::string* interface;
        std::uint64_t generation;
        std::uint32_t index;
    };
    std::uint32_t index(Entry& entry, const MirrorDevice& device) {
        if (entry.generation != generation_) {
            entry.index = device.interface_index(*entry.interface);
            entry.generation = generation_;
        }
        return entry.index;
    }
    /// The name, in a place where it stays: passes refer to it until they are decided.
    const std::string& kept(const std::string& name) { return *names_.insert(name).first; }
    std::set<std::string> names_;
    std::shared_ptr<const Network> network_;
    std::unordered_map<std::uint64_t, Entry> taps_;  ///< of the interfaces that frames were at
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

/// Says what became of each pass, in the words of the configuration. Passes are alike, and what is
/// said of one is kept for the next of its kind.
class DecisionLog {
public:
    DecisionLog(const std::optional<std::string>& name, std::unique_ptr<Turns> turns, bool live)
        : out_(name, std::move(turns), live) {}
    OutputFile* file() { return out_.file(); }
    bool open() const { return out_.open(); }
    /// A placement that frames may be decided by from now on, in the place of one with its sequence
    /// number or a later one.
    void placed(const std::shared_ptr<const Placement>& placement);
    /// @param sequence of the placement in force when the pass was fed
    void fed(std::uint64_t frame, const std::string* interface, Direction direction,
             std::size_t size, std::uint64_t sequence) {
        passes_.push({frame, interface, direction, size, sequence});
    }
    void decided(const DecisionRecord& record);
    void end_piece(std::uint64_t piece) { out_.end_piece(piece); }
    void flush() { out_.flush(); }
    void close() { out_.close(); }

private:
    struct Pass {
        std::uint64_t frame;
        const std::string* interface;  ///< null: none
        Direction direction;
        std::size_t size;
        std::uint64_t sequence;  ///< of the placement in force when it was fed
    };
    /// All that a line hangs on, but for its numbers.
    struct Kind {
        const std::string* interface;
        std::uint64_t fields;
        bool operator==(const Kind& other) const {
            return interface == other.interface && fields == other.fields;
        }
    };
    struct Hash {
        std::size_t operator()(const Kind& kind) const {
            return std::hash<const void*>()(kind.interface) ^ kind.fields * 0x9e3779b97f4a7c15;
        }
    };
    /// A line from its "Length" on: before and after the number of bytes kept.
    struct Text {
        std::string begin, end;
        bool kept = false;
    };
    static constexpr std::size_t texts_limit = 4096;

    static Kind kind_of(const Pass& pass, const DecisionRecord& record);
    Text text_of(const Pass& pass, const DecisionRecord& record) const;
    /// Names a rule by its place in the hardware; one that the filter does not have has no name.
    static void name_rule(OrderedJson& json, const Placement::Slot& slot, Direction direction,
                          std::size_t rule) {
        if (!slot.filter) return;
        const auto& rules =
            direction == Direction::egress ? slot.filter->egress : slot.filter->ingress;
        if (rule < rules.size()) json["TrafficMirrorFilterRuleId"] = rules[rule].id;
    }
    void forget_before(std::uint64_t sequence);

    LineWriter out_;
    Ring<Pass> passes_;
    /// In ascending sequence: what the next undecided pass can mean, and what follows it.
    std::deque<std::shared_ptr<const Placement>> placements_;
    std::unordered_map<Kind, Text, Hash> texts_;  ///< under the oldest placement
    std::string line_;
};

DecisionLog::Kind DecisionLog::kind_of(const Pass& pass, const DecisionRecord& record) {
    std::uint64_t fields = 0;
    const auto add = [&fields](unsigned value, unsigned bits) { fields = fields << bits | value; };
    add(pass.direction == Direction::egress, 1);
    add(static_cast<unsigned>(record.outcome), 2);
    add(static_cast<unsigned>(record.cause), 4);
    add(record.by_service, 1);
    add(record.late_bad, 1);
    add(record.slot, 2);
    add(record.rule_index, 4);
    for (unsigned i = 0; i < DecisionRecord::slots; ++i) {
        add(static_cast<unsigned>(record.why[i]), 2);
        add(record.why_rule[i], 4);
    }
    return {pass.interface, fields};
}

void DecisionLog::placed(const std::shared_ptr<const Placement>& placement) {
    while (!placements_.empty() && placements_.back()->sequence >= placement->sequence) {
        placements_.pop_back();
        if (placements_.empty()) texts_.clear();
    }
    placements_.push_back(placement);
    // With nothing undecided the next pass is fed under this placement, or, when its commit fails,
    // under the one before.
    forget_before(passes_.empty() ? placement->sequence - 1 : passes_.front().sequence);
}

/// Forgets what no pass can mean that is decided by this placement or a later one.
void DecisionLog::forget_before(std::uint64_t sequence) {
    while (placements_.size() > 1 && placements_[1]->sequence <= sequence) {
        placements_.pop_front();
        texts_.clear();
    }
}

void DecisionLog::decided(const DecisionRecord& record) {
    if (passes_.empty()) return;
    const Pass pass = passes_.front();
    passes_.pop();
    // A pass is decided by the tables that were in force when it was fed, or by later ones.
    forget_before(record.outcome == DecisionRecord::Outcome::not_eligible
                      ? pass.sequence
                      : Placement::unwrap(record.version, pass.sequence));
    if (texts_.size() == texts_limit) texts_.clear();
    auto [at, fresh] = texts_.try_emplace(kind_of(pass, record));
    if (fresh) at->second = text_of(pass, record);
    const Text& text = at->second;
    const auto number = [this](std::uint64_t value) {
        char digits[20];
        line_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    };
    line_ = "{\"Frame\":";
    number(pass.frame);
    line_ += ",\"Length\":";
    number(pass.size);
    line_ += text.begin;
    if (text.kept) number(record.kept);
    line_ += text.end;
    out_.line(line_);
}

DecisionLog::Text DecisionLog::text_of(const Pass& pass, const DecisionRecord& record) const {
    using Outcome = DecisionRecord::Outcome;
    OrderedJson json, rest;  // before and after the number of bytes kept
    if (pass.interface) {
        json["NetworkInterfaceId"] = *pass.interface;
        json["Direction"] = pass.direction == Direction::egress ? "egress" : "ingress";
    }
    json["Outcome"] = to_string(record.outcome);
    if (record.cause != DecisionRecord::Cause::none) json["Cause"] = to_string(record.cause);

    Text text;
    if (record.outcome != Outcome::not_eligible) {
        const Placement::Tapped* tapped = nullptr;
        for (const auto& candidate : placements_.front()->interfaces) {
            if (pass.interface && candidate->interface == *pass.interface) tapped = candidate.get();
        }
        const std::size_t slots =
            tapped ? std::min<std::size_t>(tapped->slots.size(), DecisionRecord::slots) : 0;
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
        if (accepted && record.slot < slots) {
            const auto& slot = tapped->slots[record.slot];
            json["TrafficMirrorSessionId"] = slot.session;
            if (record.by_service) {
                json["NetworkService"] = "amazon-dns";
            } else {
                name_rule(json, slot, pass.direction, record.rule_index);
            }
            text.kept = true;
            if (record.late_bad) rest["LateBad"] = true;
        }
        if (!rejected.empty()) rest["Rejected"] = std::move(rejected);
    }
    const auto members = [](const OrderedJson& object) {  // without the braces
        const std::string all = object.dump();
        return all.substr(1, all.size() - 2);
    };
    text.begin = "," + members(json) + (text.kept ? ",\"Kept\":" : "");
    if (!rest.empty()) text.end = "," + members(rest);
    text.end += "}";
    return text;
}

void add(Tally& sum, const Tally& other) {
    sum.frames += other.frames;
    sum.bytes += other.bytes;
}

void add(SessionCounters& sum, const SessionCounters& other) {
    add(sum.selected, other.selected);
    add(sum.mirrored, other.mirrored);
    add(sum.dropped, other.dropped);
    sum.truncated += other.truncated;
    sum.mirrored_bytes += other.mirrored_bytes;
}

/// The sessions that the device has or had: their order, and counters of former times in it.
class SessionHistory {
public:
    /// @param most sessions that are remembered by their ids after they have ended
    explicit SessionHistory(std::size_t most) : most_(most) {}

    void placed(const std::string& id) { known(id).entries++; }
    void removed(const std::string& id) {
        const auto at = known_.find(id);
        if (at != known_.end() && at->second.entries != 0) --at->second.entries;
    }
    void ended(const std::string& id, const SessionCounters& counters) {
        Known& session = known(id);
        add(session.counters, counters);
        session.queued = ++queued_;
        queue_.emplace_back(queued_, id);
        while (queue_.size() > most_) forget();
    }
    /// The counters of all, with those that are the device's now; and the ids in order.
    std::vector<std::string> merge(std::map<std::string, SessionCounters>& sessions) const {
        std::map<std::uint64_t, std::string> order;
        for (const auto& [id, session] : known_) {
            order.emplace(session.number, id);
            if (session.queued != 0) add(sessions[id], session.counters);
        }
        std::vector<std::string> ids;
        ids.reserve(order.size());
        for (auto& [number, id] : order) ids.push_back(std::move(id));
        return ids;
    }
    std::uint64_t forgotten() const { return forgotten_; }
    const SessionCounters& sum_of_forgotten() const { return sum_; }

private:
    struct Known {
        std::uint64_t number = 0;    ///< in the order in which they came
        std::uint64_t queued = 0;    ///< when it ended last, and is in the queue; 0: it has not
        std::uint32_t entries = 0;   ///< of the device that are its own now
        SessionCounters counters{};  ///< of the times before
    };

    Known& known(const std::string& id) {
        const auto [at, fresh] = known_.try_emplace(id);
        if (fresh) at->second.number = ++numbers_;
        return at->second;
    }
    void forget() {
        const auto [queued, id] = std::move(queue_.front());
        queue_.pop_front();
        const auto at = known_.find(id);
        if (at == known_.end() || at->second.queued != queued) return;
        if (at->second.entries != 0) {  // it has come back
            at->second.queued = ++queued_;
            queue_.emplace_back(queued_, id);
            return;
        }
        add(sum_, at->second.counters);
        ++forgotten_;
        known_.erase(at);
    }

    const std::size_t most_;
    std::unordered_map<std::string, Known> known_;
    std::deque<std::pair<std::uint64_t, std::string>> queue_;  ///< of those that ended
    std::uint64_t numbers_ = 0, queued_ = 0, forgotten_ = 0;
    SessionCounters sum_{};
};

OrderedJson members_of(const SessionCounters& session) {
    return {{"selected", session.selected.frames},
            {"mirrored", session.mirrored.frames},
            {"truncated", session.truncated},
            {"dropped", session.dropped.frames},
            {"mirrored_bytes", session.mirrored_bytes}};
}

constexpr std::size_t most_ended_sessions = 10'000;  // of a service

Board::Options board_options(const TrafficOptions& options) {
    Board::Options result;
    result.clock_mhz = options.clock_mhz;
    if (options.wave) result.wave_file = *options.wave;
    return result;
}

}  // namespace

// --- Latencies ----------------------------------------------------------------------------------

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

// --- LineWriter ----------------------------------------------------------------------------------

void add_files(std::vector<NamedFile>& files, const TrafficOptions& options) {
    using Use = NamedFile::Use;
    add_file(files, "--in", options.in, Use::input_stream);
    add_file(files, "--out", options.out, Use::output_stream);
    add_file(files, "--forward", options.forward, Use::output_stream);
    add_file(files, "--decisions", options.decisions, Use::output_stream);
    add_file(files, "--wave", options.wave, Use::output);
}

LineWriter::LineWriter(const std::optional<std::string>& name, std::unique_ptr<Turns> turns,
                       bool live) {
    if (!name) return;
    if (live)
        file_.emplace(OutputFile::live(*name));
    else
        file_.emplace(*name, std::move(turns));
}

void LineWriter::line(const std::string& text) {
    if (!open()) throw CaptureError(file_->name(), "a line was written after the file was closed");
    std::uint8_t* const at = file_->append(text.size() + 1);
    *std::copy(text.begin(), text.end(), at) = '\n';
}

void LineWriter::end_piece(std::uint64_t piece) {
    if (file_) file_->end_piece(piece);
}

void LineWriter::flush() {
    if (file_) file_->flush();
}

void LineWriter::close() {
    if (file_) file_->close();
}

// --- Traffic -------------------------------------------------------------------------------------

struct Traffic::Parts {
    Parts(const TrafficOptions& traffic, std::shared_ptr<const Network> network)
        : options(traffic),
          board(board_options(traffic)),
          decisions(traffic.decisions, turns(2), traffic.live),
          taps(std::move(network)) {
        if (options.in) reader.emplace(*options.in, !options.live);
        if (options.out) out.emplace(output_file(*options.out, 0), writes_headers());
        if (options.forward) forward.emplace(output_file(*options.forward, 1), writes_headers());
    }
    OutputFile output_file(const std::string& name, unsigned file) const {
        return options.live ? OutputFile::live(name) : OutputFile(name, turns(file));
    }
    std::unique_ptr<Turns> turns(unsigned file) const {
        return options.pieces ? options.pieces->turns(file) : nullptr;
    }
    bool writes_headers() const { return !options.pieces; }
    /// The last time stamp that the outputs can hold, in nanoseconds.
    std::uint64_t last_stamp() const {
        return out || forward ? CaptureWriter::kLastTimestamp : UINT64_MAX;
    }

    const TrafficOptions options;
    std::optional<CaptureReader> reader;
    Board board;
    std::optional<CaptureWriter> out, forward;
    DecisionLog decisions;
    TapFinder taps;
    std::unique_ptr<MirrorDevice> device;
    std::shared_ptr<const Placement> placement;
    SessionHistory sessions{options.live ? most_ended_sessions : ~std::size_t{0}};
    Latencies latencies;
    Frame frame;
    bool ended = !options.in;
    volatile std::sig_atomic_t interrupted = 0;
    std::uint64_t frames = 0, start_cycle = 0, start_skipped = 0;
    std::uint64_t first_timestamp = 0, last_timestamp = 0;
    std::uint64_t shift = 0;                 ///< nanoseconds that earlier rounds of a loop took
    std::uint64_t latest = 0;                ///< of the capture's own time stamps
    std::uint64_t snapped = 0, skipped = 0;  ///< in earlier rounds
};

Traffic::Traffic(const TrafficOptions& options, const std::shared_ptr<const Network>& network)
    : parts_(std::make_unique<Parts>(options, network)) {
    const auto& tap = options.default_tap;
    if (tap && !network->interfaces().find(tap->interface))
        throw std::invalid_argument("--default-tap: no configuration names interface " +
                                    tap->interface);
    if (tap) parts_->taps.set_default(tap->interface);
    if (parts_->out)
        parts_->board.on_copy = [this](const Received& copy) {
            parts_->out->write(copy.transfer.tag, copy.data, copy.size);
            parts_->latencies.add(copy.transfer.latency);
        };
    if (parts_->forward)
        parts_->board.on_forward = [this](const Received& frame) {
            parts_->forward->write(frame.transfer.tag, frame.data, frame.size);
        };
    if (parts_->decisions.open())
        parts_->board.offload().on_decision = [this](const DecisionRecord& record) {
            parts_->decisions.decided(record);
        };
}

Traffic::~Traffic() {
    for (const auto& [output, file] : files()) file->finish();  // all together
}

std::vector<std::pair<const char*, OutputFile*>> Traffic::files() const {
    Parts& parts = *parts_;
    std::vector<std::pair<const char*, OutputFile*>> files;
    if (!parts.options.live) return files;
    if (parts.out) files.emplace_back("out", &parts.out->file());
    if (parts.forward) files.emplace_back("forward", &parts.forward->file());
    if (parts.decisions.file()) files.emplace_back("decisions", parts.decisions.file());
    return files;
}

std::vector<OutputState> Traffic::outputs() const {
    std::vector<OutputState> states;
    for (const auto& [output, file] : files())
        states.push_back({output, file->name(), file->trouble(), file->lost()});
    return states;
}

Board& Traffic::board() { return parts_->board; }

MirrorDevice& Traffic::open() {
    Parts& parts = *parts_;
    parts.device = std::make_unique<MirrorDevice>(parts.board.registers());
    parts.device->on_placement([this](const auto& placement) { placed(placement); });
    parts.device->on_session_end([&parts](const std::string& id, const SessionCounters& counters) {
        parts.sessions.ended(id, counters);
    });
    if (parts.decisions.open()) parts.decisions.placed(parts.device->placement());
    const TrafficOptions defaults;
    if (parts.options.source_port_base != defaults.source_port_base ||
        parts.options.source_port_bits != defaults.source_port_bits)
        parts.device->set_source_ports(parts.options.source_port_base,
                                       parts.options.source_port_bits);
    parts.board.offload().wait_until_idle();
    parts.start_cycle = parts.board.offload().cycle();
    parts.start_skipped = parts.board.offload().skipped_cycles();
    return *parts.device;
}

void Traffic::placed(const std::shared_ptr<const Placement>& placement) {
    Parts& parts = *parts_;
    parts.taps.tables_changed();
    if (parts.decisions.open()) parts.decisions.placed(placement);
    for (std::size_t i = 0; i < placement->interfaces.size(); ++i) {
        const auto& tapped = placement->interfaces[i];
        if (parts.placement && parts.placement->interfaces[i] == tapped) continue;
        for (const auto& slot : tapped->slots)
            if (!slot.session.empty()) parts.sessions.placed(slot.session);
        if (!parts.placement) continue;
        for (const auto& slot : parts.placement->interfaces[i]->slots)
            if (!slot.session.empty()) parts.sessions.removed(slot.session);
    }
    parts.placement = placement;
}

void Traffic::take_network(std::shared_ptr<const Network> network) {
    parts_->taps.take(std::move(network));
}

const Traffic::Frame* Traffic::next() { return take(true, {}); }

const Traffic::Frame* Traffic::poll(const std::function<void()>& wake) {
    for (const auto& [output, file] : files())
        if (!file->has_room(wake)) return nullptr;
    return take(false, wake);
}

bool Traffic::ended() const { return parts_->ended; }

void Traffic::end_capture() { parts_->ended = true; }

const Traffic::Frame* Traffic::take(bool wait, const std::function<void()>& wake) {
    using Poll = CaptureReader::Poll;
    Parts& parts = *parts_;
    if (parts.ended) return nullptr;
    while (true) {
        const Poll found = wait ? parts.reader->next(parts.frame) ? Poll::frame : Poll::end
                                : parts.reader->poll(parts.frame, wake);
        if (found == Poll::frame) break;
        if (found == Poll::nothing_yet) return nullptr;
        if (!parts.options.loop || parts.frames == 0) {
            parts.ended = true;
            return nullptr;
        }
        parts.snapped += parts.reader->snapped();
        parts.skipped += parts.reader->skipped();
        // The stamps of a round follow those of the last one, and begin anew at the capture's
        // own when they would not fit.
        parts.shift = parts.last_timestamp - parts.first_timestamp;
        if (parts.latest > parts.last_stamp() || parts.shift > parts.last_stamp() - parts.latest) {
            parts.shift = 0;
            parts.last_timestamp = 0;
        }
        CaptureReader again = parts.reader->again();
        parts.reader.emplace(std::move(again));
    }
    parts.frame.number = ++parts.frames;
    if (parts.frames == 1) parts.first_timestamp = parts.frame.timestamp_ns;
    if (parts.options.live && parts.frame.timestamp_ns > parts.last_stamp())
        throw CaptureError(*parts.options.in,
                           "frame " + std::to_string(parts.frames) + " has the time stamp " +
                               std::to_string(parts.frame.timestamp_ns / 1'000'000'000) +
                               " s, which does not fit into the 32 bits of a pcap file");
    parts.latest = std::max(parts.latest, parts.frame.timestamp_ns);
    parts.frame.timestamp_ns += parts.shift;
    parts.last_timestamp = std::max(parts.last_timestamp, parts.frame.timestamp_ns);
    return &parts.frame;
}

double Traffic::seconds(const Frame& frame) const {
    return static_cast<double>(
               static_cast<std::int64_t>(frame.timestamp_ns - parts_->first_timestamp)) *
           1e-9;
}

void Traffic::feed(const Frame& frame) {
    Parts& parts = *parts_;
    std::optional<TapFinder::Tap> source, destination;
    if (frame.size >= 14) {
        source = parts.taps.find(frame.data + 6, *parts.device);
        destination = parts.taps.find(frame.data, *parts.device);
    }
    if (source) feed_pass(frame, source->interface, source->index, Direction::egress);
    if (destination)
        feed_pass(frame, destination->interface, destination->index, Direction::ingress);
    if (source || destination) return;
    if (const auto& tap = parts.options.default_tap) {
        const auto at = parts.taps.default_tap(*parts.device);
        feed_pass(frame, at.interface, at.index, tap->direction);
    } else {
        feed_pass(frame, nullptr, 0, Direction::egress);
    }
}

void Traffic::feed_pass(const Frame& frame, const std::string* interface, std::uint32_t index,
                        Direction direction) {
    Parts& parts = *parts_;
    Transfer transfer;
    transfer.tag = frame.timestamp_ns;
    if (interface) {
        transfer.tap = true;
        transfer.egress = direction == Direction::egress;
        transfer.index = index;
    }
    transfer.when_room = parts.options.pace == TrafficOptions::Pace::lossless;
    if (parts.options.pace == TrafficOptions::Pace::capture &&
        frame.timestamp_ns > parts.first_timestamp) {
        transfer.not_before = parts.start_cycle +
                              static_cast<std::uint64_t>(
                                  static_cast<double>(frame.timestamp_ns - parts.first_timestamp) *
                                  parts.options.clock_mhz / 1000.0);
    }
    if (parts.decisions.open())
        parts.decisions.fed(frame.number, interface, direction, frame.size,
                            parts.device->placement()->sequence);
    parts.board.feed(frame.data, frame.size, transfer);
}

void Traffic::settle_indices() { parts_->board.offload().wait_until_fed(); }

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
        session.update(members_of(at->second));
        stats["sessions"].push_back(std::move(session));
    }
    return stats;
}

OrderedJson statistics_of(const std::vector<OutputState>& outputs) {
    OrderedJson lost = OrderedJson::object();
    for (const OutputState& state : outputs) lost[state.output]["lost"] = state.lost;
    return lost;
}

OrderedJson Traffic::statistics() {
    Parts& parts = *parts_;
    parts.device->take_ended();
    Counters counters = parts.device->counters();
    const auto order = parts.sessions.merge(counters.sessions);
    OrderedJson stats = statistics_of(counters, order);
    if (const auto count = parts.sessions.forgotten()) {
        stats["earlier_sessions"] = {{"count", count}};
        stats["earlier_sessions"].update(members_of(parts.sessions.sum_of_forgotten()));
    }
    const std::uint64_t total = parts.board.offload().cycle() - parts.start_cycle;
    const std::uint64_t skipped = parts.board.offload().skipped_cycles() - parts.start_skipped;
    stats["cycles"] = {
        {"total", total}, {"active", total - skipped}, {"clock_mhz", parts.options.clock_mhz}};
    if (!parts.latencies.empty()) stats["cycles"]["latency"] = parts.latencies.summary();
    if (parts.options.live) stats["outputs"] = statistics_of(outputs());
    return stats;
}

const Latencies& Traffic::latencies() const { return parts_->latencies; }

std::uint64_t Traffic::frames() const { return parts_->frames; }

double Traffic::simulated_seconds() const {
    return static_cast<double>(parts_->board.offload().cycle() - parts_->start_cycle) /
           (parts_->options.clock_mhz * 1e6);
}

std::optional<double> Traffic::progress() const {
    return parts_->reader ? parts_->reader->progress() : std::nullopt;
}

void Traffic::interrupt() {
    parts_->interrupted = 1;
    if (parts_->reader) parts_->reader->interrupt();
}

bool Traffic::cut_off() const {
    return parts_->reader && parts_->interrupted == 0 && parts_->reader->truncated();
}

std::vector<std::string> Traffic::warnings() const {
    std::vector<std::string> sentences;
    if (!parts_->reader) return sentences;
    const std::string& in = *parts_->options.in;
    if (cut_off())
        sentences.push_back(in +
                            " is cut off: its last record is not whole; all whole frames were run");
    if (const auto snapped = parts_->snapped + parts_->reader->snapped())
        sentences.push_back(
            std::to_string(snapped) + " frames of " + in +
            " hold only their first bytes (snap length); they were run as captured");
    if (const auto skipped = parts_->skipped + parts_->reader->skipped())
        sentences.push_back(std::to_string(skipped) + " records of " + in +
                            " hold no byte and were passed over");
    return sentences;
}

void Traffic::flush() {
    if (parts_->out) parts_->out->flush();
    if (parts_->forward) parts_->forward->flush();
    parts_->decisions.flush();
}

void Traffic::end_piece(std::uint64_t piece) {
    Parts& parts = *parts_;
    if (parts.out) parts.out->end_piece(piece);
    if (parts.forward) parts.forward->end_piece(piece);
    parts.decisions.end_piece(piece);
}

void Traffic::close() {
    for (const auto& [output, file] : files()) file->finish();  // they end together
    if (parts_->out) parts_->out->close();
    if (parts_->forward) parts_->forward->close();
    parts_->decisions.close();
}

}  // namespace mirrornic
