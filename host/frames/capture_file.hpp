// SPDX-License-Identifier: Apache-2.0
// Reads and writes capture files (pcap, pcapng): what the simulation replays and what it records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/frames/output_file.hpp"

namespace mirrornic {

/// Reads a capture of Ethernet frames as a stream. Memory does not depend on the file's size. A
/// thread of its own reads ahead: of a file whole buffers, of a pipe no more than has been written
/// to it.
/// - Formats: pcap and pcapng, in either byte order, with microseconds or nanoseconds. A frame may
///   have up to 262144 bytes. The file may be compressed with gzip or zstd, which is found out from
///   its content, not its name.
/// - A pcapng file may have several interfaces and sections, as long as libpcap can represent them
///   as one capture: with one link type, one snap length and one byte order. Otherwise next()
///   throws at the first one that differs.
/// One thread calls the members; interrupt() may be called from any.
class CaptureReader {
public:
    struct Frame {
        const std::uint8_t* data = nullptr;  ///< valid until the next call of next()
        std::size_t size = 0;                ///< bytes captured, at least 1
        std::size_t original_size = 0;       ///< bytes on the wire, at least `size`
        std::uint64_t timestamp_ns = 0;      ///< since 1970-01-01 00:00 UTC
    };

    /// Opens `path`, or standard input if it is "-", and reads the file header.
    /// @param wait false: if it is no regular file but, for example, a pipe, the reading thread
    /// reads the header, so that this does not wait for the pipe's writer. next() and poll() then
    /// throw what is wrong with the header.
    /// @throws CaptureError when it cannot be read, is empty, is no capture or not of Ethernet.
    explicit CaptureReader(const std::string& path, bool wait = true);
    /// Another reader of the same regular file, from its beginning. It is the same file even if it
    /// was renamed or deleted meanwhile. @throws CaptureError
    CaptureReader again() const;
    ~CaptureReader();
    CaptureReader(CaptureReader&&) noexcept;
    CaptureReader& operator=(CaptureReader&&) = delete;

    /// Reads the next frame; waits for it. @return false: the capture has ended. A capture that is
    /// cut off ends after its last whole frame. @throws CaptureError when the file cannot be read
    /// or is damaged.
    bool next(Frame& frame);

    enum class Poll { frame, nothing_yet, end };
    /// The same without waiting. After nothing_yet, `wake` is called once, from the reading thread,
    /// when poll() may give something else. @throws what next() throws.
    Poll poll(Frame& frame, const std::function<void()>& wake);

    /// Ends the capture here: a call that waits for a pipe, and every later one, finds the end. May
    /// be called from any thread, and from a signal handler.
    void interrupt();

    /// Whether the file was cut off: it ended in the middle of a record or of its compressed
    /// stream. Valid once the end was found.
    bool truncated() const;
    /// How many frames were delivered so far of which the capture holds only the first bytes.
    std::uint64_t snapped() const;
    /// How many records were skipped so far because they hold no byte of their frame.
    std::uint64_t skipped() const;

    /// What part of the file was read, 0 to 1; nothing: it is a pipe.
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
    /// The greatest time stamp that can be written: pcap's seconds have 32 bits.
    static constexpr std::uint64_t kLastTimestamp = (std::uint64_t{1} << 32) * 1'000'000'000 - 1;

    /// Creates or truncates `path`; "-" is standard output. @throws CaptureError.
    explicit CaptureWriter(const std::string& path);
    /// Writes to an open file. @param from_start true: the pcap header must be written first
    CaptureWriter(OutputFile file, bool from_start);

    /// Appends one frame of at most kSnapLength bytes. `timestamp_ns` is since 1970 and below
    /// 2^32 seconds. @throws CaptureError when a limit is exceeded (the frame is then not part of
    /// the file) or buffered frames cannot be written.
    void write(std::uint64_t timestamp_ns, const std::uint8_t* data, std::size_t size);

    // These do what they do for OutputFile. After flush() a reader sees a file of whole frames.
    void end_piece(std::uint64_t piece) { file_.end_piece(piece); }
    void flush() { file_.flush(); }
    void close() { file_.close(); }
    OutputFile& file() { return file_; }

private:
    OutputFile file_;
};

}  // namespace mirrornic
