// SPDX-License-Identifier: Apache-2.0
#include "host/frames/output_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "host/frames/output_sink.hpp"

namespace mirrornic {

namespace {

constexpr std::size_t kBatches = 4;             // between the caller and the writing thread
constexpr std::size_t kWaitingBytes = 8 << 20;  // of pieces that wait for their turn

class PlainSink : public OutputSink {
public:
    PlainSink(int fd, std::string name, std::unique_ptr<Turns> turns)
        : fd_(fd), name_(std::move(name)), turns_(std::move(turns)) {}
    ~PlainSink() override { close_file(); }

    void write(const std::uint8_t* data, std::size_t size) override {
        if (!turns_) return to_file(data, size);
        std::vector<std::uint8_t>& piece = pieces_.back().bytes;
        piece.insert(piece.end(), data, data + size);
        waiting_ += size;
    }
    void end_piece(std::uint64_t number) override {
        pieces_.back().number = number;
        pieces_.push_back({0, std::move(spare_)});
        spare_.clear();
        while (pieces_.size() > 1 &&
               (waiting_ > kWaitingBytes || turns_->is_next(pieces_.front().number)))
            write_piece();
    }
    void flush() override {
        while (pieces_.size() > 1) write_piece();
    }
    void close() override {
        flush();
        if (!close_file()) throw CaptureError(name_, std::strerror(errno));
    }

private:
    struct Piece {
        std::uint64_t number = 0;
        std::vector<std::uint8_t> bytes;
    };

    void write_piece() {
        const Piece& piece = pieces_.front();
        turns_->wait_until_next(piece.number);
        to_file(piece.bytes.data(), piece.bytes.size());
        turns_->done(piece.number);
        waiting_ -= piece.bytes.size();
        spare_ = std::move(pieces_.front().bytes);
        spare_.clear();
        pieces_.pop_front();
    }
    void to_file(const std::uint8_t* data, std::size_t size) {
        while (size > 0) {
            const ssize_t n = ::write(fd_, data, size);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) {  // a pipe that somebody else made so
                pollfd ready{fd_, POLLOUT, 0};
                ::poll(&ready, 1, -1);
                continue;
            }
            if (n < 0) throw CaptureError(name_, std::strerror(errno));
            data += n;
            size -= static_cast<std::size_t>(n);
        }
    }
    bool close_file() {
        const int fd = std::exchange(fd_, -1);
        return fd <= STDERR_FILENO || ::close(fd) == 0;
    }

    int fd_;
    std::string name_;
    std::unique_ptr<Turns> turns_;
    std::deque<Piece> pieces_ = std::deque<Piece>(1);  ///< the last one is not complete
    std::size_t waiting_ = 0;                          ///< bytes in them
    std::vector<std::uint8_t> spare_;                  ///< room of a piece that was written
};

std::unique_ptr<OutputSink> open_sink(const std::string& path, const std::string& name,
                                      std::unique_ptr<Turns> turns) {
    const int how = turns ? O_APPEND : O_CREAT | O_TRUNC;
    const int fd =
        path == "-" ? STDOUT_FILENO : ::open(path.c_str(), O_WRONLY | O_CLOEXEC | how, 0666);
    if (fd < 0) throw CaptureError(name, std::strerror(errno));
    return compressed_as(path, std::make_unique<PlainSink>(fd, name, std::move(turns)));
}

}  // namespace

/// Runs the sink in a thread of its own. After an error nothing more is written, and each call
/// throws the error.
class OutputFile::Writer {
public:
    explicit Writer(std::unique_ptr<OutputSink> sink)
        : sink_(std::move(sink)), thread_([this] { work(); }) {}
    ~Writer() { end(); }

    /// Takes the first `size` bytes of the buffer, and leaves another buffer to the caller.
    /// @param piece the piece that ends with these bytes; nothing: none does
    void take(std::vector<std::uint8_t>& buffer, std::size_t size,
              std::optional<std::uint64_t> piece = {}) {
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return waiting_.size() < kBatches; });
        check();
        waiting_.push_back({std::move(buffer), size, piece});
        given_.notify_one();
        buffer = {};
        if (!spare_.empty()) {
            buffer = std::move(spare_.back());
            spare_.pop_back();
        }
        if (buffer.size() != kBuffer) buffer.resize(kBuffer);
    }
    void flush() {
        settle();
        sink_->flush();
    }
    void close() {
        settle();
        end();
        sink_->close();
    }

private:
    struct Batch {
        std::vector<std::uint8_t> bytes;
        std::size_t size;
        std::optional<std::uint64_t> piece;
    };

    void settle() {
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return waiting_.empty(); });
        check();
    }
    void check() const {
        if (failure_) std::rethrow_exception(failure_);
    }
    void end() {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
            given_.notify_one();
        }
        if (thread_.joinable()) thread_.join();
    }
    void work() {
        pthread_setname_np(pthread_self(), "writing");
        std::unique_lock lock(mutex_);
        while (true) {
            given_.wait(lock, [this] { return !waiting_.empty() || ending_; });
            if (waiting_.empty()) return;
            const Batch& batch = waiting_.front();  // a deque's elements stay where they are
            lock.unlock();
            std::exception_ptr failure;
            try {
                if (!failure_) {
                    sink_->write(batch.bytes.data(), batch.size);
                    if (batch.piece) sink_->end_piece(*batch.piece);
                }
            } catch (...) {
                failure = std::current_exception();
            }
            lock.lock();
            if (failure) failure_ = failure;
            spare_.push_back(std::move(waiting_.front().bytes));
            waiting_.pop_front();
            done_.notify_all();
        }
    }

    std::unique_ptr<OutputSink> sink_;
    std::mutex mutex_;
    std::condition_variable given_, done_;
    std::deque<Batch> waiting_;
    std::vector<std::vector<std::uint8_t>> spare_;
    std::exception_ptr failure_;
    bool ending_ = false;
    std::thread thread_;  // last: it uses the others
};

OutputFile::OutputFile(const std::string& path, std::unique_ptr<Turns> turns)
    : name_(path == "-" ? "standard output" : path),
      writer_(std::make_unique<Writer>(open_sink(path, name_, std::move(turns)))),
      buffer_(kBuffer) {}

OutputFile::OutputFile(std::string name, std::unique_ptr<LiveWriter> live)
    : name_(std::move(name)), live_(std::move(live)), buffer_(LiveWriter::batch_bytes) {}

OutputFile OutputFile::live(const std::string& path, std::size_t batches) {
    std::string name = path == "-" ? "standard output" : path;
    auto writer = std::make_unique<LiveWriter>(path, name, batches);
    return {std::move(name), std::move(writer)};
}

OutputFile OutputFile::live(int descriptor, const std::string& name, std::size_t batches) {
    return {name, std::make_unique<LiveWriter>(descriptor, name, batches)};
}

OutputFile::OutputFile(OutputFile&&) noexcept = default;

OutputFile::~OutputFile() {
    try {
        close();
    } catch (const std::exception&) {  // close() reports it to whoever asks
    }
}

void OutputFile::header(const void* data, std::size_t size) {
    const auto* const bytes = static_cast<const std::uint8_t*>(data);
    if (live_)
        live_->set_header({bytes, bytes + size});
    else
        std::memcpy(append(size), data, size);
}

bool OutputFile::has_room(const std::function<void()>& wake) {
    return !live_ || live_->has_room(wake);
}

void OutputFile::finish(std::chrono::milliseconds within) {
    if (!live_ || closed_) return;
    drain();
    live_->finish(within);
}

std::optional<std::string> OutputFile::trouble() const {
    return live_ ? live_->trouble() : std::nullopt;
}

std::uint64_t OutputFile::lost() const { return live_ ? live_->lost() : 0; }

void OutputFile::make_room(std::size_t size) {
    drain();
    if (size > buffer_.size()) buffer_.resize(size);
}

void OutputFile::end_piece(std::uint64_t piece) {
    if (!writer_) return;
    or_close([&] { writer_->take(buffer_, std::exchange(used_, 0), piece); });
}

void OutputFile::flush() {
    if (live_ && !closed_) {
        drain();
        live_->start();
    }
    if (!writer_) return;
    drain();
    or_close([&] { writer_->flush(); });
}

void OutputFile::close() {
    if (live_ && !closed_) {
        finish();
        closed_ = true;
        live_->close();
    }
    if (!writer_) return;
    drain();
    or_close([&] { writer_->close(); });
    writer_.reset();
}

void OutputFile::drain() {
    if (used_ == 0) return;
    if (live_) {
        LiveWriter::Batch batch{std::move(buffer_), std::move(ends_)};
        live_->take(batch);
        buffer_ = std::move(batch.bytes);
        ends_ = std::move(batch.ends);
        used_ = 0;
        return;
    }
    or_close([&] { writer_->take(buffer_, std::exchange(used_, 0)); });
}

template <typename Action>
void OutputFile::or_close(Action action) {
    try {
        action();
    } catch (...) {
        writer_.reset();
        throw;
    }
}

}  // namespace mirrornic
