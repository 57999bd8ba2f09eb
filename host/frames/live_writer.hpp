// SPDX-License-Identifier: Apache-2.0
// Writes a file for a service, which must go on whatever becomes of the file.
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

/// Takes whole records and writes them in a thread of its own. Nothing here waits for the file but
/// close(), which has a limit:
/// - Records that find no room in the buffer are lost, whole, and counted.
/// - After an error (a full disk, say) what was not written is kept and tried again twice a second:
///   the file goes on as if nothing had happened.
/// - A pipe that nobody reads is waited for. Each of its readers gets the file's header, and then
///   whole records.
class LiveWriter {
public:
    struct Batch {
        std::vector<std::uint8_t> bytes;  ///< records, and room behind them
        std::vector<std::size_t> ends;    ///< of each record
        std::size_t size() const { return ends.empty() ? 0 : ends.back(); }
    };
    static constexpr std::size_t batch_bytes = 128 << 10;
    static constexpr std::size_t most_batches = 64;  ///< that wait
    static constexpr std::chrono::milliseconds retry{500};
    static constexpr std::chrono::seconds patience{1};  ///< then a silent reader is trouble
    static constexpr std::chrono::seconds closing{1};   ///< from finish() to close()'s end

    /// Opens `path`, "-" being standard output; a pipe that nobody reads is opened later, by the
    /// thread. @throws CaptureError.
    LiveWriter(const std::string& path, const std::string& name, std::size_t batches);
    /// Writes to a descriptor that is open and stays so.
    LiveWriter(int descriptor, const std::string& name, std::size_t batches);
    ~LiveWriter();
    LiveWriter(const LiveWriter&) = delete;

    /// What stands at the file's beginning. To be called before start().
    void set_header(std::vector<std::uint8_t> bytes);
    /// Begins to write; before, nothing is.
    void start();
    /// Takes the records and leaves an empty batch with room for batch_bytes.
    void take(Batch& batch);
    /// Whether there is room for much more, or waiting for it is no use. When not, `wake` is called
    /// once when that may have changed, from the writing thread.
    bool has_room(const std::function<void()>& wake);
    /// The end: what was taken is still written. Calls of take() must not follow.
    void finish(std::chrono::milliseconds within = closing);
    /// Waits until all is written, as long as finish() has said, and not at all for a file that is
    /// in trouble; what is not written then counts as lost.
    void close();

    /// What is wrong, as a sentence without the file's name; nothing while all goes well.
    std::optional<std::string> trouble() const;
    std::uint64_t lost() const;  ///< records

private:
    struct State;
    std::shared_ptr<State> state_;  ///< the thread's too, which a write that never ends may keep
    std::optional<std::chrono::steady_clock::time_point> end_;
};

}  // namespace mirrornic
