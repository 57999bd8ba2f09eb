// SPDX-License-Identifier: Apache-2.0
// Output files: buffered, compressed, and written by a thread each.
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

/// Orders the writes where several processes write one file in pieces: a process may add piece n
/// when all pieces before n were added (it is the piece's turn).
class Turns {
public:
    virtual ~Turns() = default;
    /// Whether it is this piece's turn.
    virtual bool is_next(std::uint64_t piece) = 0;
    virtual void wait_until_next(std::uint64_t piece) = 0;
    /// Says that the piece was added, so that the next one's turn comes.
    virtual void done(std::uint64_t piece) = 0;
};

/// An output file. Its bytes are buffered, compressed and written by a thread of its own; a name
/// that ends in .gz or .zst is compressed so. One thread calls the members. There are two modes:
/// - The mode of `mirrornic run`: the caller waits for the file when the buffer is full. An error
///   in writing closes the file, which then ends where the error was; the next call throws it.
/// - Live, the mode of the service: no call waits or throws; LiveWriter says what happens instead.
class OutputFile {
public:
    static constexpr std::size_t kBuffer = 128 << 10;

    /// Creates or truncates `path`; "-" is standard output. @throws CaptureError.
    /// @param turns not null: the file exists, other processes write it too, and each piece is
    /// added to it in its turn
    explicit OutputFile(const std::string& path, std::unique_ptr<Turns> turns = nullptr);
    /// The same, live. @param batches how many buffers of kBuffer bytes may wait to be written
    static OutputFile live(const std::string& path, std::size_t batches = LiveWriter::most_batches);
    /// Live, to an open descriptor, which is not closed. @param name of the file in messages
    static OutputFile live(int descriptor, const std::string& name, std::size_t batches);
    /// Does what close() does, but cannot report an error: call close() before.
    ~OutputFile();
    OutputFile(OutputFile&&) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;

    const std::string& name() const { return name_; }
    bool open() const { return writer_ || (live_ && !closed_); }

    /// Writes what the file begins with. Every reader of a live pipe gets it first. To be called
    /// before all else.
    void header(const void* data, std::size_t size);
    /// Appends a record of `size` bytes. @return where the caller must put them, before the next
    /// call of any member. @throws CaptureError.
    std::uint8_t* append(std::size_t size) {
        if (used_ + size > buffer_.size()) make_room(size);
        std::uint8_t* const at = buffer_.data() + used_;
        used_ += size;
        if (live_) ends_.push_back(used_);
        return at;
    }
    /// With turns: all that was appended since the last call is this piece. It waits only when much
    /// is waiting for its turn already.
    void end_piece(std::uint64_t piece);
    /// Hands all bytes so far to the operating system. A reader of a compressed file sees them too,
    /// and that the stream is not closed. A live file does not wait until that is done.
    /// @throws CaptureError.
    void flush();
    /// Flushes, ends the compressed stream and closes the file; a second close() does nothing.
    /// @throws CaptureError, for example when the disk is full; the file is closed all the same.
    void close();

    // For live files, what LiveWriter's functions of these names do, also after close(). Other
    // files always have room, no trouble and no loss.
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
    std::unique_ptr<Writer> writer_;    // null: live, or closed
    std::unique_ptr<LiveWriter> live_;  // null: not live
    std::vector<std::size_t> ends_;     // live: where each record in buffer_ ends
    std::vector<std::uint8_t> buffer_;
    std::size_t used_ = 0;
    bool closed_ = false;  // live: close() was called
};

/// The state of a live output.
struct OutputState {
    std::string output;                  ///< "out", "forward" or "decisions"
    std::string file;                    ///< its name
    std::optional<std::string> trouble;  ///< what is wrong with it
    std::uint64_t lost = 0;              ///< records
};

}  // namespace mirrornic
