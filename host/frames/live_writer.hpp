// SPDX-License-Identifier: Apache-2.0
// Writes a file or pipe for `mirrornic serve`. A service must go on whatever becomes of its
// outputs, so nothing here blocks the caller.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mirrornic {

/// Takes whole records and writes them in a thread of its own. No member waits for the file, except
/// close(), which has a time limit:
/// - Records that find no room in the buffer are lost, whole, and counted.
/// - After an error, such as a full disk, what was not written is kept and tried again twice a
///   second. Once it succeeds, the file goes on as if nothing had happened.
/// - A pipe that nobody reads is opened again until it has a reader. Each reader gets the file's
///   header and then whole records.
/// One thread may call the members; trouble() and lost() may be called by any.
class LiveWriter {
public:
    struct Batch {
        std::vector<std::uint8_t> bytes;  ///< records, and free room behind them
        std::vector<std::size_t> ends;    ///< of each record: where it ends in `bytes`
        std::size_t size() const { return ends.empty() ? 0 : ends.back(); }
    };
    static constexpr std::size_t batch_bytes = 128 << 10;
    static constexpr std::size_t most_batches = 64;  ///< that wait to be written
    static constexpr std::chrono::milliseconds retry{500};
    static constexpr std::chrono::seconds patience{1};  ///< a reader that pauses longer is trouble
    static constexpr std::chrono::seconds closing{1};   ///< from finish() to close()'s end

    /// Opens `path`; "-" is standard output. A pipe that nobody reads is opened later, by the
    /// thread.
    /// @param name of the file, for messages
    /// @param batches how many may wait to be written. @throws CaptureError.
    LiveWriter(const std::string& path, const std::string& name, std::size_t batches);
    /// Writes to an open descriptor, which stays the caller's and is not closed.
    LiveWriter(int descriptor, const std::string& name, std::size_t batches);
    ~LiveWriter();
    LiveWriter(const LiveWriter&) = delete;

    /// Sets what stands at the beginning of the file, and of what each reader of a pipe gets. Has
    /// no effect after start().
    void set_header(std::vector<std::uint8_t> bytes);
    /// Starts the thread. Before that nothing is written.
    void start();
    /// Takes the records, and starts the thread. Leaves an empty batch with room for batch_bytes.
    void take(Batch& batch);
    /// True: there is room for much more, or the file is in trouble, so that it is no use to wait.
    /// False: `wake` will be called once, from the writing thread, when that may have changed.
    bool has_room(const std::function<void()>& wake);
    /// Says that no more records come: take() must not be called again. What was taken is still
    /// written. @param within how long close() may wait, counted from now
    void finish(std::chrono::milliseconds within = closing);
    /// Waits until all is written, as long as finish() allows, and for a file in trouble at most
    /// 0.2 s. Then it waits another 0.2 s at most for the thread. What is not written counts as
    /// lost.
    void close();

    /// What is wrong, as a sentence without the file's name; nothing if nothing is.
    std::optional<std::string> trouble() const;
    std::uint64_t lost() const;  ///< records

private:
    struct State;
    /// Never null. Shared with the thread, which outlives this object if a write of it never ends.
    std::shared_ptr<State> state_;
    /// Until when close() may wait; set by finish().
    std::optional<std::chrono::steady_clock::time_point> end_;
};

}  // namespace mirrornic
