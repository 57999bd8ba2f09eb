// SPDX-License-Identifier: Apache-2.0
/// Moves a capture through the simulated offload: feeds frames at their taps, writes copies,
/// forwarded frames and decisions to files, and reports the counters.
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

/// The pieces of a capture that several processes share.
class Pieces {
public:
    virtual ~Pieces() = default;
    /// Orders the writes to one of the run's files. @param file its number, chosen by the caller
    virtual std::unique_ptr<Turns> turns(unsigned file) = 0;
};

struct TrafficOptions {
    enum class Pace { lossless, capture, line };
    struct DefaultTap {
        std::string interface;
        Direction direction = Direction::egress;
    };

    std::optional<std::string> in, out, forward, decisions, wave;
    bool live = false;  ///< outputs do not wait (LiveWriter) and may lose records
    bool loop = false;  ///< the capture begins again when it ends, for ever
    std::optional<DefaultTap> default_tap;
    Pace pace = Pace::lossless;
    double clock_mhz = 322.265625;
    std::uint16_t source_port_base = 49152;  ///< P20
    std::uint8_t source_port_bits = 14;
    /// Not null: several processes write the files, which exist and have their headers. Not owned.
    Pieces* pieces = nullptr;
};

/// Adds the files that these options name to `files`.
void add_files(std::vector<NamedFile>& files, const TrafficOptions& options);

/// The board with its files. Not thread-safe. All members except the constructor, board(), close()
/// and interrupt() are called from within Board::run.
class Traffic {
public:
    /// Opens the files. @throws CaptureError, std::invalid_argument.
    Traffic(const TrafficOptions& options, const std::shared_ptr<const Network>& network);
    ~Traffic();

    Board& board();
    /// Opens the device, which stays owned by this object. @throws UnknownDevice, DeviceError.
    MirrorDevice& open();
    /// Taps frames at the interfaces of this network from now on. @param network not null
    void take_network(std::shared_ptr<const Network> network);

    struct Frame : CaptureReader::Frame {
        std::uint64_t number = 0;  ///< 1-based
    };
    /// The next frame of the capture, valid until the next call; null at the end. Waits for it.
    const Frame* next();
    /// The same without waiting. It is null also when no frame has come yet, and when a live output
    /// is behind, for which it waits so for a second at most. `wake` is then called once, from
    /// another thread, when poll() may give something else.
    const Frame* poll(const std::function<void()>& wake);
    bool ended() const;  ///< the capture has no more frames, or there is none
    void end_capture();  ///< takes no more frames of it
    /// A frame's time after the first one's, in seconds.
    double seconds(const Frame& frame) const;
    /// Feeds the passes of a frame. It passes at the egress tap of the interface that has its
    /// source MAC, and at the ingress tap of the one that has its destination MAC. If there is
    /// neither, it passes once: at the default tap, or at no tap. The passes carry the indices that
    /// the device has for these interfaces now.
    void feed(const Frame& frame);
    /// To be called before the tables change, since a change may give an index to another
    /// interface. Returns when no fed frame waits with its index at the input any more. Every frame
    /// that was fed is then handled by the tables as they are, and every frame that is fed after
    /// the change by the new tables (T2, S8).
    void settle_indices();

    /// The statistics file's members, with the sessions that the device no longer has. Of live
    /// traffic the newest 10,000 of these are named, and the others are one sum. It does not wait
    /// for frames and copies inside, so it is exact only when the offload is idle.
    OrderedJson statistics();
    const Latencies& latencies() const;

    std::uint64_t frames() const;            ///< taken from the capture so far
    double simulated_seconds() const;        ///< since open()
    std::optional<double> progress() const;  ///< part of the capture that was read, if known
    /// Ends the capture here, also while next() waits. May be called from a signal handler.
    void interrupt();
    bool cut_off() const;  ///< the capture's last record is not complete
    /// What there is to say of the capture, one sentence each.
    std::vector<std::string> warnings() const;
    /// All that came out since the last call is this piece. To be called when the offload is idle.
    void end_piece(std::uint64_t piece);
    /// Hands all that was written so far to the operating system. @throws CaptureError.
    void flush();
    /// Ends the files. @throws CaptureError when something could not be written. Live outputs take
    /// a second at most, do not throw, and count what they lose.
    void close();
    /// The states of the outputs; empty if they are not live.
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
