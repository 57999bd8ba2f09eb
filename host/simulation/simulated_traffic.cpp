// SPDX-License-Identifier: Apache-2.0
#include "host/simulation/simulated_traffic.hpp"

#include <algorithm>
#include <csignal>

#include "host/simulation/decision_log.hpp"
#include "host/simulation/session_history.hpp"
#include "host/simulation/tap_finder.hpp"

namespace mirrornic {
namespace {

constexpr std::size_t most_ended_sessions = 10'000;  // of a service

Board::Options board_options(const TrafficOptions& options) {
    Board::Options result;
    result.clock_mhz = options.clock_mhz;
    if (options.wave) result.wave_file = *options.wave;
    return result;
}

}  // namespace

void add_files(std::vector<NamedFile>& files, const TrafficOptions& options) {
    using Use = NamedFile::Use;
    add_file(files, "--in", options.in, Use::input_stream);
    add_file(files, "--out", options.out, Use::output_stream);
    add_file(files, "--forward", options.forward, Use::output_stream);
    add_file(files, "--decisions", options.decisions, Use::output_stream);
    add_file(files, "--wave", options.wave, Use::output);
}

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
    std::uint64_t shift = 0;                 ///< ns that earlier rounds of a loop took
    std::uint64_t latest = 0;                ///< the latest time stamp of the capture
    std::uint64_t snapped = 0, skipped = 0;  ///< of earlier rounds
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

OrderedJson Traffic::statistics() {
    Parts& parts = *parts_;
    parts.device->take_ended();
    Counters counters = parts.device->counters();
    const auto order = parts.sessions.merge(counters.sessions);
    OrderedJson stats = statistics_of(counters, order);
    if (const auto count = parts.sessions.forgotten()) {
        stats["earlier_sessions"] = {{"count", count}};
        stats["earlier_sessions"].update(statistics_of(parts.sessions.sum_of_forgotten()));
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
