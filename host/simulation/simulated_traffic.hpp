// SPDX-License-Identifier: Apache-2.0
/// A capture's way through the simulated offload: frames to their taps; copies, forwarded frames
/// and decisions to files; counters to a report.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"
#include "host/account/account.hpp"
#include "host/base/json_text.hpp"
#include "host/base/named_files.hpp"
#include "host/frames/capture_file.hpp"
#include "host/service/statistics.hpp"
#include "sim/board.hpp"

namespace mirrornic {

/// The pieces of a capture that several processes share: who writes what is known by its number.
class Pieces {
public:
    virtual ~Pieces() = default;
    /// The order in which pieces of one of the run's files are written; @param file any number.
    virtual std::unique_ptr<Turns> turns(unsigned file) = 0;
};

struct TrafficOptions {
    enum class Pace { lossless, capture, line };
    struct DefaultTap {
        std::string interface;
        Direction direction = Direction::egress;
    };

    std::optional<std::string> in, out, forward, decisions, wave;
    bool live = false;  ///< outputs wait for nobody (LiveWriter), and count what they lose
    bool loop = false;  ///< the capture begins again when it ends, for ever
    std::optional<DefaultTap> default_tap;
    Pace pace = Pace::lossless;
    double clock_mhz = 322.265625;
    std::uint16_t source_port_base = 49152;  ///< P20
    std::uint8_t source_port_bits = 14;
    Pieces* pieces =
        nullptr;  ///< the files are there, with their headers, and are added to in turn
};

/// Adds the files that these options name.
void add_files(std::vector<NamedFile>& files, const TrafficOptions& options);

/// The board with its files. All but the constructor and close() is called from within Board::run.
class Traffic {
public:
    /// Opens the files. @throws CaptureError, std::invalid_argument.
    Traffic(const TrafficOptions& options, const std::shared_ptr<const Network>& network);
    ~Traffic();

    Board& board();
    /// Opens the device. @throws UnknownDevice, DeviceError.
    MirrorDevice& open();
    /// Taps frames at other interfaces from now on.
    void take_network(std::shared_ptr<const Network> network);

    struct Frame : CaptureReader::Frame {
        std::uint64_t number = 0;  ///< 1-based
    };
    /// The next frame of the capture, valid until the one after it; nullptr at its end.
    const Frame* next();
    /// The same without waiting: nullptr also when no frame is there yet, or when a live output is
    /// behind and is worth waiting for, which it is for a second at most. `wake` is then called
    /// once, from another thread, when there is more to know.
    const Frame* poll(const std::function<void()>& wake);
    bool ended() const;  ///< the capture has no more frames, or there is none
    void end_capture();  ///< takes no more frames of it
    /// A frame's time after the first one's, in seconds.
    double seconds(const Frame& frame) const;
    /// Its passes: at the taps of its source and its destination, or at the default tap, or at
    /// none. They carry the indices that the device has for these interfaces now.
    void feed(const Frame& frame);
    /// To be called before the tables change: returns when no frame waits with an index that the
    /// change may give to another interface. Every frame that was fed is then handled by the tables
    /// as they are, every one that is fed after the change by the tables as they will be (T2, S8).
    void settle_indices();

    /// With the sessions that the device no longer has; of live traffic the newest 10,000 of them
    /// by their ids, and the others as one sum. Waits for nothing: exact when the offload is idle.
    OrderedJson statistics();
    const Latencies& latencies() const;

    std::uint64_t frames() const;            ///< taken from the capture so far
    double simulated_seconds() const;        ///< since open()
    std::optional<double> progress() const;  ///< part of the capture that was read, if known
    /// The capture ends here, also while a frame is awaited. From a signal handler.
    void interrupt();
    bool cut_off() const;  ///< the capture's last record is not whole
    std::vector<std::string> warnings()
        const;  ///< what is to be said of the capture, a sentence each
    /// What came out since the piece before is this piece, and the offload is idle.
    void end_piece(std::uint64_t piece);
    /// Hands what was written so far to the operating system. @throws CaptureError.
    void flush();
    /// @throws CaptureError when something could not be written; live outputs take a second at most
    /// and count what they lose.
    void close();
    /// The outputs, when they are live.
    std::vector<OutputState> outputs() const;

private:
    struct Parts;
    std::vector<std::pair<const char*, OutputFile*>> files() const;
    const Frame* take(bool wait, const std::function<void()>& wake);
    void feed_pass(const Frame& frame, const std::string* interface, std::uint32_t index,
                   Direction direction);
    void placed(const std::shared_ptr<const Placement>& placement);

    std::unique_ptr<Parts> parts_;
};

}  // namespace mirrornic
