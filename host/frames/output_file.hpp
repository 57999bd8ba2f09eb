// SPDX-License-Identifier: Apache-2.0
// Files that a run writes, each by a thread of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/frames/live_writer.hpp"

namespace mirrornic {

/// A file that cannot be opened, read or written. what() is one line that begins with the file's
/// name and says what is wrong.
class CaptureError : public std::runtime_error {
public:
    CaptureError(const std::string& file, const std::string& message)
        : std::runtime_error(file + ": " + message) {}
};

/// Whose turn it is to write, where several processes write one file in pieces, in order.
class Turns {
public:
    virtual ~Turns() = default;
    /// Whether the piece is the next one of the file.
    virtual bool is_next(std::uint64_t piece) = 0;
    virtual void wait_until_next(std::uint64_t piece) = 0;
    /// The piece is written.
    virtual void done(std::uint64_t piece) = 0;
};

/// Bytes to a file, buffered, compressed and written by a thread of its own. A name that ends in
/// .gz or .zst is compressed accordingly.
/// - As a run has it: the caller waits for the file, and an error in writing closes the file,
///   which then ends where the error was, and is reported by the next call.
/// - Live, as a service has it: nothing waits and nothing throws; what LiveWriter says.
class OutputFile {
public:
    static constexpr std::size_t kBuffer = 128 << 10;

    /// Creates or truncates `path`; "-" is standard output. With turns the file is there already,
    /// and each piece is added to it when its turn has come. @throws CaptureError.
    explicit OutputFile(const std::string& path, std::unique_ptr<Turns> turns = nullptr);
    /// The same, live. @param batches of kBuffer bytes that may wait
    static OutputFile live(const std::string& path, std::size_t batches = LiveWriter::most_batches);
    /// Live, to a descriptor that stays open. @param name in messages
    static OutputFile live(int descriptor, const std::string& name, std::size_t batches);
    /// Closes as close() does, but cannot report an error: call close() first.
    ~OutputFile();
    OutputFile(OutputFile&&) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;

    const std::string& name() const { return name_; }
    bool open() const { return writer_ || (live_ && !closed_); }

    /// What the file begins with; of a live pipe, each reader's. To be called first.
    void header(const void* data, std::size_t size);
    /// Room for a record of `size` bytes, to be filled before the next call. @throws CaptureError.
    std::uint8_t* append(std::size_t size) {
        if (used_ + size > buffer_.size()) make_room(size);
        std::uint8_t* const at = buffer_.data() + used_;
        used_ += size;
        if (live_) ends_.push_back(used_);
        return at;
    }
    /// With turns: what was appended since the piece before is this piece. Only waits when much is
    /// waiting for its turn.
    void end_piece(std::uint64_t piece);
    /// Hands all bytes so far to the operating system (of a compressed file a reader sees them too,
    /// and that the stream is not closed); of a live file without waiting until that is done.
    /// @throws CaptureError.
    void flush();
    /// Flushes, ends the compressed stream and closes the file; a second close() does nothing.
    /// @throws CaptureError, for example when the disk is full; the file is closed all the same.
    void close();

    // Of live ones; others have room, no trouble and no loss. After close() too.
    bool has_room(const std::function<void()>& wake);
    void finish(std::chrono::milliseconds within = LiveWriter::closing);
    std::optional<std::string> trouble() const;
    std::uint64_t lost() const;  ///< records

private:
    class Writer;
    OutputFile(std::string name, std::unique_ptr<LiveWriter> live);
    void make_room(std::size_t size);
    void drain();
    template <typename Action>
    void or_close(Action action);

    std::string name_;
    std::unique_ptr<Writer> writer_;    // null once closed
    std::unique_ptr<LiveWriter> live_;  // of a live one, always
    std::vector<std::size_t> ends_;     // of the records in the buffer of a live one
    std::vector<std::uint8_t> buffer_;
    std::size_t used_ = 0;
    bool closed_ = false;  // of a live one
};

/// A live output's state.
struct OutputState {
    std::string output;                  ///< "out", "forward" or "decisions"
    std::string file;                    ///< its name
    std::optional<std::string> trouble;  ///< what is wrong with it
    std::uint64_t lost = 0;              ///< records
};

}  // namespace mirrornic
