// SPDX-License-Identifier: Apache-2.0
#include "host/frames/live_writer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "host/frames/output_file.hpp"
#include "host/frames/output_sink.hpp"

namespace mirrornic {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* no_reader = "nobody reads it";

/// Records that come within this time are written together. A caller of take() that brings many
/// small ones then need not wake the thread for each.
constexpr std::chrono::milliseconds gathering{2};

/// The end of a chain of sinks: bytes that wait to be written.
class PendingSink : public OutputSink {
public:
    explicit PendingSink(std::vector<std::uint8_t>& pending) : pending_(pending) {}
    void write(const std::uint8_t* data, std::size_t size) override {
        pending_.insert(pending_.end(), data, data + size);
    }
    void end_piece(std::uint64_t) override {}
    void flush() override {}
    void close() override {}

private:
    std::vector<std::uint8_t>& pending_;
};

bool is_pipe(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

bool is_regular(int descriptor) {
    struct stat status {};
    return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

/// What the callers and the writing thread share. Each group of members says who may use it.
struct LiveWriter::State {
    State(std::string path, std::string name, std::size_t batches);
    ~State();

    // Called by the writing thread, but for signal() and, from the constructor, open().
    void work();  ///< the thread's function
    int open(int how);
    void begin_stream();  ///< a new file, or a new reader: the header comes first
    std::size_t written() const;
    bool fill();
    void write_some();
    void failed(int error);
    void settled();
    void reader_gone();
    enum class Awaited { work, writable, no_reader, time };
    Awaited wait(short events, std::chrono::milliseconds time);
    void signal() const;
    void set_trouble(const std::string& sentence);
    void call_wake(std::unique_lock<std::mutex>& lock);
    bool abandoned();
    bool fall_asleep();

    // Set before the thread starts; `fd` and `regular` are the thread's from then on, since it
    // opens a pipe again for each reader.
    const std::string path, name;
    const std::size_t limit;  ///< how many batches may wait
    std::vector<std::uint8_t> header;
    int fd = -1;
    bool regular = false, owned = true;  ///< owned: opened here, so closed here
    const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);  ///< wakes the thread; see signal()

    // Used by the writing thread only.
    std::unique_ptr<OutputSink> sink;
    std::vector<std::uint8_t> pending;  ///< what came out of the sink and is to be written
    std::size_t sent = 0;               ///< so many bytes of `pending` are written
    Batch current;                      ///< the records from which `pending` was made
    std::optional<Clock::time_point> stalled_since;  ///< the pipe has taken nothing since then
    /// plain: no compressor stands between records and file. unflushed: the sink may hold bytes
    /// back. ended: the end of the stream has gone through the sink.
    bool plain = true, unflushed = false, ended = false;

    // Used by both, under the mutex.
    mutable std::mutex mutex;
    std::condition_variable finished_changed;  ///< `finished` has become true
    std::deque<Batch> waiting;                 ///< taken, and not yet in `current`
    std::vector<Batch> spare;                  ///< empty ones with their memory, to be used again
    std::uint64_t lost = 0, in_hand = 0;       ///< records: lost; in `current`
    std::optional<std::string> trouble;
    /// writing_since: the call of write() began that has not returned. behind_since: has_room() has
    /// found too many batches waiting from then on.
    std::optional<Clock::time_point> writing_since, behind_since;
    std::function<void()> wake;  ///< whom has_room() has promised a call; empty: nobody
    /// finishing: no more records come. abandon: the thread must end even if not all is written.
    /// finished: the thread touches nothing any more.
    bool finishing = false, abandon = false, finished = false;
    bool asleep = false;  ///< the thread sleeps until signal() is called
    std::thread thread;
};

LiveWriter::State::State(std::string its_path, std::string its_name, std::size_t batches)
    : path(std::move(its_path)), name(std::move(its_name)), limit(batches) {}

LiveWriter::State::~State() {
    if (owned && fd >= 0) ::close(fd);
    ::close(event);
}

void LiveWriter::State::signal() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event, &one, sizeof one);
}

/// @return 0 or the error number; ENXIO means a pipe without a reader.
int LiveWriter::State::open(int how) {
    fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | how, 0666);
    if (fd < 0) return errno;
    regular = is_regular(fd);
    if ((how & O_CREAT) != 0 || !regular) return 0;
    ::close(std::exchange(fd, -1));  // another file has the pipe's name now
    return ENXIO;
}

void LiveWriter::State::begin_stream() {
    pending.clear();
    sent = 0;
    sink = compressed_as(path, std::make_unique<PendingSink>(pending));
    if (!header.empty()) {
        sink->write(header.data(), header.size());
        unflushed = true;
    }
}

LiveWriter::State::Awaited LiveWriter::State::wait(short events, std::chrono::milliseconds time) {
    pollfd waited[] = {{event, POLLIN, 0}, {fd, events, 0}};
    const int found = ::poll(waited, fd < 0 || regular ? 1 : 2, static_cast<int>(time.count()));
    if (found <= 0) return Awaited::time;
    if (waited[0].revents != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t size = ::read(event, &count, sizeof count);
    }
    if ((waited[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return Awaited::no_reader;
    return (waited[1].revents & POLLOUT) != 0 ? Awaited::writable : Awaited::work;
}

bool LiveWriter::State::abandoned() {
    const std::lock_guard lock(mutex);
    return abandon;
}

/// Whether the thread may sleep until signal(). False: there is something to do.
bool LiveWriter::State::fall_asleep() {
    const std::lock_guard lock(mutex);
    asleep = waiting.empty() && !finishing && !abandon;
    return asleep;
}

/// Calls the one who waits for room. The mutex is released during the call.
void LiveWriter::State::call_wake(std::unique_lock<std::mutex>& lock) {
    const auto function = std::exchange(wake, nullptr);
    if (!function) return;
    lock.unlock();
    function();
    lock.lock();
}

void LiveWriter::State::set_trouble(const std::string& sentence) {
    std::unique_lock lock(mutex);
    trouble = sentence;
    call_wake(lock);
}

/// Bytes were written, or none are left to write: if few batches wait, the trouble is over.
void LiveWriter::State::settled() {
    std::unique_lock lock(mutex);
    if (waiting.size() * 2 > limit) return;
    trouble.reset();
    behind_since.reset();
    call_wake(lock);
}

/// How many of the current batch's records are written. If they went through a compressor, it
/// counts all or none, since a record has no end of its own in the compressed bytes.
std::size_t LiveWriter::State::written() const {
    if (sent == pending.size()) return current.ends.size();
    if (!plain) return 0;
    return static_cast<std::size_t>(
        std::upper_bound(current.ends.begin(), current.ends.end(), sent) - current.ends.begin());
}

/// Puts more into `pending`, all of which must have been written. False: there is nothing more.
bool LiveWriter::State::fill() {
    pending.clear();
    sent = 0;
    bool last = false, ends = false;
    {
        const std::lock_guard lock(mutex);
        if (!current.ends.empty()) {
            current.ends.clear();
            spare.push_back(std::move(current));
            current = {};
        }
        if (!waiting.empty()) {
            current = std::move(waiting.front());
            waiting.pop_front();
        }
        in_hand = current.ends.size();
        last = waiting.empty();
        ends = finishing && last && !ended;
    }
    const bool any = !current.ends.empty();
    if (any) {
        sink->write(current.bytes.data(), current.size());
        unflushed = true;
    }
    if (ends) {
        sink->close();
        ended = true;
    } else if (last && unflushed) {
        sink->flush();
        unflushed = false;
        return true;
    }
    return any || ends;
}

/// The pipe's reader is gone. Records that it had not wholly read from `pending` are kept for the
/// next reader, unless they went through a compressor: then they are lost.
void LiveWriter::State::reader_gone() {
    std::unique_lock lock(mutex);
    const std::size_t first = written();
    if (!plain) {
        lost += current.ends.size();  // none of them is wholly written: else `current` is empty
    } else if (first < current.ends.size()) {
        const std::size_t begin = first == 0 ? 0 : current.ends[first - 1];
        const std::uint8_t* const bytes = current.bytes.data();
        Batch rest;
        rest.bytes.assign(bytes + begin, bytes + current.size());
        for (std::size_t i = first; i < current.ends.size(); ++i)
            rest.ends.push_back(current.ends[i] - begin);
        waiting.push_front(std::move(rest));
    }
    current = {};
    in_hand = 0;
    trouble = no_reader;
    call_wake(lock);
    lock.unlock();
    if (owned && fd >= 0) ::close(std::exchange(fd, -1));  // what the reader left in it goes
    stalled_since.reset();
    begin_stream();
}

/// A write or an open has failed: notes the trouble, and waits until it is time to try again.
void LiveWriter::State::failed(int error) {
    if (error == EPIPE) {
        reader_gone();
    } else {
        set_trouble(std::string(std::strerror(error)) + "; it is tried again");
    }
    {
        const std::lock_guard lock(mutex);
        if (finishing) abandon = true;
    }
    const auto until = Clock::now() + retry;
    while (!abandoned()) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
        if (left.count() <= 0) return;
        pollfd waited{event, POLLIN, 0};
        if (::poll(&waited, 1, static_cast<int>(left.count())) <= 0) return;
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t size = ::read(event, &count, sizeof count);
        const std::lock_guard lock(mutex);
        if (finishing) return;  // one last try
    }
}

void LiveWriter::State::write_some() {
    std::size_t size = pending.size() - sent;
    if (!regular) {
        // A pipe that is ready has room for so much: the write does not wait.
        if (!stalled_since) stalled_since = Clock::now();
        const Awaited found = wait(POLLOUT, patience);
        if (found == Awaited::no_reader) return failed(EPIPE);
        if (Clock::now() - *stalled_since >= patience) set_trouble("its reader takes no more");
        if (found != Awaited::writable) return;
        size = std::min<std::size_t>(size, PIPE_BUF);
    }
    {
        const std::lock_guard lock(mutex);
        writing_since = Clock::now();
    }
    const ssize_t n = ::write(fd, pending.data() + sent, size);
    const int error = errno;
    {
        const std::lock_guard lock(mutex);
        writing_since.reset();
    }
    if (n > 0) {
        sent += static_cast<std::size_t>(n);
        stalled_since.reset();
        settled();
    } else if (n == 0 || (error != EINTR && (error != EAGAIN || regular))) {
        failed(n == 0 ? EIO : error);
    }
}

void LiveWriter::State::work() {
    pthread_setname_np(pthread_self(), "writing");
    begin_stream();
    while (!abandoned()) {
        if (fd < 0) {
            const int error = open(0);
            if (error != 0) {
                failed(error == ENXIO ? EPIPE : error);
                continue;
            }
        }
        if (sent < pending.size()) {
            write_some();
            continue;
        }
        if (fill()) continue;
        if (ended) break;
        Awaited now = wait(0, gathering);
        if (now == Awaited::time) {
            settled();
            if (fall_asleep()) now = wait(0, std::chrono::hours(1));
        }
        if (now == Awaited::no_reader) failed(EPIPE);
    }
    if (owned && fd >= 0 && ::close(std::exchange(fd, -1)) != 0) set_trouble(std::strerror(errno));
    const std::lock_guard lock(mutex);
    lost += current.ends.size() - written();
    for (const Batch& batch : waiting) lost += batch.ends.size();
    waiting.clear();
    finished = true;
    finished_changed.notify_all();
}

LiveWriter::LiveWriter(const std::string& path, const std::string& name, std::size_t batches)
    : state_(std::make_shared<State>(path, name, batches)) {
    State& state = *state_;
    const auto ends_with = [&path](const std::string& end) {
        return path.size() >= end.size() &&
               path.compare(path.size() - end.size(), end.size(), end) == 0;
    };
    state.plain = !ends_with(".gz") && !ends_with(".zst");
    if (path == "-") {
        state.fd = STDOUT_FILENO;
        state.owned = false;
        state.regular = is_regular(state.fd);
    } else if (const int error = state.open(O_CREAT | O_TRUNC)) {
        if (error != ENXIO || !is_pipe(path)) throw CaptureError(name, std::strerror(error));
        state.trouble = no_reader;
    }
}

LiveWriter::LiveWriter(int descriptor, const std::string& name, std::size_t batches)
    : state_(std::make_shared<State>(name, name, batches)) {
    state_->fd = descriptor;
    state_->owned = false;
    state_->regular = is_regular(descriptor);
}

LiveWriter::~LiveWriter() { close(); }

void LiveWriter::set_header(std::vector<std::uint8_t> bytes) {
    if (!state_->thread.joinable()) state_->header = std::move(bytes);
}

void LiveWriter::start() {
    if (state_->thread.joinable() || end_) return;
    state_->thread = std::thread([held = state_] { held->work(); });
}

void LiveWriter::take(Batch& batch) {
    if (batch.bytes.size() < batch_bytes) batch.bytes.resize(batch_bytes);
    if (batch.ends.empty()) return;
    start();
    State& state = *state_;
    bool asleep = false;
    {
        const std::lock_guard lock(state.mutex);
        asleep = std::exchange(state.asleep, false);
        Batch* const last = state.waiting.empty() ? nullptr : &state.waiting.back();
        const std::size_t begin = last ? last->size() : 0;
        if (last && begin + batch.size() <= last->bytes.size()) {
            std::memcpy(last->bytes.data() + begin, batch.bytes.data(), batch.size());
            for (const std::size_t end : batch.ends) last->ends.push_back(begin + end);
        } else if (state.waiting.size() >= state.limit) {
            state.lost += batch.ends.size();
            if (!state.trouble) state.trouble = "it is written more slowly than records come";
        } else {
            state.waiting.push_back(std::move(batch));
            batch = {};
            if (!state.spare.empty()) {
                batch = std::move(state.spare.back());
                state.spare.pop_back();
            }
        }
    }
    if (asleep) state.signal();
    batch.ends.clear();
    if (batch.bytes.size() != batch_bytes) batch.bytes.resize(batch_bytes);
}

bool LiveWriter::has_room(const std::function<void()>& wake) {
    State& state = *state_;
    const std::lock_guard lock(state.mutex);
    if (state.trouble || state.waiting.size() * 2 <= state.limit) return true;
    const auto now = Clock::now();
    if (!state.behind_since) state.behind_since = now;
    const bool stuck = state.writing_since && now - *state.writing_since > patience;
    if (stuck || (!state.regular && now - *state.behind_since > patience)) {
        state.trouble = "it is written more slowly than records come";
        return true;
    }
    state.wake = wake;
    return false;
}

void LiveWriter::finish(std::chrono::milliseconds within) {
    if (end_) return;
    State& state = *state_;
    try {
        start();  // the header and a compressed stream's end are written also when nothing came
    } catch (const std::exception& error) {  // no memory or no thread is left
        const std::lock_guard lock(state.mutex);
        state.trouble = error.what();
        for (const Batch& batch : state.waiting) state.lost += batch.ends.size();
        state.waiting.clear();
        state.finished = true;
    }
    end_ = Clock::now() + within;
    const std::lock_guard lock(state.mutex);
    if (state.trouble) end_ = std::min(*end_, Clock::now() + std::chrono::milliseconds(200));
    state.finishing = true;
    state.signal();
}

void LiveWriter::close() {
    finish();
    State& state = *state_;
    std::unique_lock lock(state.mutex);
    if (!state.thread.joinable()) return;
    const auto done = [&state] { return state.finished; };
    if (!state.finished_changed.wait_until(lock, *end_, done)) {
        state.abandon = true;
        state.signal();
        state.finished_changed.wait_for(lock, std::chrono::milliseconds(200), done);
    }
    const bool finished = state.finished;
    if (!finished) {
        state.lost += state.in_hand;
        for (const Batch& batch : state.waiting) state.lost += batch.ends.size();
        state.waiting.clear();
    }
    state.wake = nullptr;
    std::thread thread = std::move(state.thread);
    lock.unlock();
    if (finished)
        thread.join();
    else
        thread.detach();  // in a write that does not end; it ends with the process
}

std::optional<std::string> LiveWriter::trouble() const {
    const State& state = *state_;
    const std::lock_guard lock(state.mutex);
    if (!state.trouble && state.writing_since && Clock::now() - *state.writing_since > patience)
        return "a write to it does not end";
    return state.trouble;
}

std::uint64_t LiveWriter::lost() const {
    const std::lock_guard lock(state_->mutex);
    return state_->lost;
}

}  // namespace mirrornic
