// SPDX-License-Identifier: Apache-2.0
// Capture files: what the simulation replays and what it records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace mirrornic {

/// A capture file that cannot be opened, read or written. what() is one line that begins with the
/// file's name and says what is wrong.
class CaptureError : public std::runtime_error {
public:
    CaptureError(const std::string& file, const std::string& message)
        : std::runtime_error(file + ": " + message) {}
};

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
    /// @throws CaptureError when it cannot be read, is empty, is no capture or not of Ethernet.
    explicit CaptureReader(const std::string& path);
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
    std::unique_ptr<State> state_;
};

/// Writes a pcap file of Ethernet frames with nanosecond time stamps, this machine's byte order and
/// a snap length of 262144. A name that ends in .gz or .zst is compressed accordingly.
/// Buffered, compressed and written by a thread of its own. An error in writing closes the file,
/// which then ends where the error was, and is reported by the next call.
class CaptureWriter {
public:
    static constexpr std::size_t kSnapLength = 262144;

    /// Creates or truncates `path`; "-" is standard output. @throws CaptureError.
    explicit CaptureWriter(const std::string& path);
    /// Closes as close() does, but cannot report an error: call close() first.
    ~CaptureWriter();
    CaptureWriter(CaptureWriter&&) noexcept;
    CaptureWriter& operator=(CaptureWriter&&) = delete;

    /// Appends one frame of at most kSnapLength bytes. `timestamp_ns` is since 1970 and below
    /// 2^32 seconds. @throws CaptureError when a limit is exceeded (the frame is then not part of
    /// the file) or buffered frames cannot be written.
    void write(std::uint64_t timestamp_ns, const std::uint8_t* data, std::size_t size);

    /// Hands all frames so far to the operating system: a reader sees a file of whole frames (of a
    /// compressed file it sees them too, and that the stream is not closed). @throws CaptureError.
    void flush();

    /// Flushes, ends the compressed stream and closes the file; nothing may be written afterwards,
    /// a second close() does nothing. @throws CaptureError, for example when the disk is full; the
    /// file is closed all the same.
    void close();

    class Sink;

private:
    class Writer;
    void drain();
    template <typename Action>
    void or_close(Action action);

    std::string name_;
    std::unique_ptr<Writer> writer_;  // null once closed
    std::vector<std::uint8_t> buffer_;
};

/// Whether writing `output` would destroy `input`: both name one regular file, also by way of
/// symbolic or hard links. "-" is standard input and standard output. False when either cannot be
/// found.
bool same_file(const std::string& input, const std::string& output);

}  // namespace mirrornic
