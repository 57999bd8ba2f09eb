// SPDX-License-Identifier: Apache-2.0
// Capture files: what the simulation replays and what it records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/frames/output_file.hpp"

namespace mirrornic {

/// Reads a capture of Ethernet frames as a stream, in constant memory, whatever the file's size. A
/// thread of its own reads ahead: of a file by whole buffers, of a pipe no further than it has
/// frames. pcap and pcapng, either byte order, microseconds and nanoseconds, plain or compressed
/// with gzip or zstd (told by the content, not by the name). A pcapng file may have several
/// interfaces and sections, as long as libpcap can represent them as one capture (one link type,
/// one snap length, one byte order); otherwise next() throws at the first that differs. Frames of
/// up to 262144 bytes.
class CaptureReader {
public:
    struct Frame {
        const std::uint8_t* data = nullptr;  ///< valid until the next call of next()
        std::size_t size = 0;                ///< bytes captured, at least 1
        std::size_t original_size = 0;       ///< bytes on the wire, at least `size`
        std::uint64_t timestamp_ns = 0;      ///< since 1970-01-01 00:00 UTC
    };

    /// Opens `path`, or standard input if it is "-", and reads the file header.
    /// @param wait false: the header of what is no regular file, a pipe say, is read by the reading
    /// thread, so that nothing waits for who writes it; next() and poll() then throw what is wrong
    /// @throws CaptureError when it cannot be read, is empty, is no capture or not of Ethernet.
    explicit CaptureReader(const std::string& path, bool wait = true);
    /// A reader of the same regular file from its beginning, also when the file has another name
    /// now or none. The reading thread opens it. @throws CaptureError
    CaptureReader again() const;
    ~CaptureReader();
    CaptureReader(CaptureReader&&) noexcept;
    CaptureReader& operator=(CaptureReader&&) = delete;

    /// The next frame, or false at the end of the capture. A capture that is cut off ends after its
    /// last whole frame. @throws CaptureError when the file cannot be read or is damaged.
    bool next(Frame& frame);

    enum class Poll { frame, nothing_yet, end };
    /// The same without waiting. After nothing_yet `wake` is called once, from the reading thread,
    /// when there is more to know. @throws as next().
    Poll poll(Frame& frame, const std::function<void()>& wake);

    /// What waits for a pipe, and each read after it, finds the end. From any thread, and from a
    /// signal handler.
    void interrupt();

    /// Valid once the end was found: the file ended in the middle of a record, or its compressed
    /// stream in the middle.
    bool truncated() const;
    /// Frames delivered so far of which the capture holds only the first bytes.
    std::uint64_t snapped() const;
    /// Records passed over so far because they hold no byte of their frame.
    std::uint64_t skipped() const;

    /// Part of the file that was read, 0 to 1; nothing for a pipe.
    std::optional<double> progress() const;

    class Source;

private:
    struct State;
    explicit CaptureReader(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Writes a pcap file of Ethernet frames with nanosecond time stamps, this machine's byte order and
/// a snap length of 262144, as an OutputFile.
class CaptureWriter {
public:
    static constexpr std::size_t kSnapLength = 262144;
    /// The last time stamp that fits: pcap's seconds have 32 bits.
    static constexpr std::uint64_t kLastTimestamp = (std::uint64_t{1} << 32) * 1'000'000'000 - 1;

    /// Creates or truncates `path`; "-" is standard output. @throws CaptureError.
    explicit CaptureWriter(const std::string& path);
    /// Into a file that is open. @param from_start it has no file header yet
    CaptureWriter(OutputFile file, bool from_start);

    /// Appends one frame of at most kSnapLength bytes. `timestamp_ns` is since 1970 and below
    /// 2^32 seconds. @throws CaptureError when a limit is exceeded (the frame is then not part of
    /// the file) or buffered frames cannot be written.
    void write(std::uint64_t timestamp_ns, const std::uint8_t* data, std::size_t size);

    /// As of an OutputFile; between frames, a reader sees a file of whole frames.
    void end_piece(std::uint64_t piece) { file_.end_piece(piece); }
    void flush() { file_.flush(); }
    void close() { file_.close(); }
    OutputFile& file() { return file_; }

private:
    OutputFile file_;
};

}  // namespace mirrornic
