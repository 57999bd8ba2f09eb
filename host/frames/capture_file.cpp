// SPDX-License-Identifier: Apache-2.0
#include "host/frames/capture_file.hpp"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace mirrornic {

namespace {

constexpr std::size_t kReadBuffer = 128 << 10;
constexpr std::size_t kBatches = 4;             // between the reading thread and its caller
constexpr std::size_t kBatchBytes = 128 << 10;  // of frames in one of them, about
constexpr std::size_t kBatchRecords = 1024;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

/// A file descriptor that is closed with its owner, unless it is standard input or output.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() { close(); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int get() const { return fd_; }
    bool close() {
        const int fd = std::exchange(fd_, -1);
        return fd <= STDERR_FILENO || ::close(fd) == 0;
    }

private:
    int fd_;
};

}  // namespace

// ---------------------------------------------------------------------------------------- reading

/// Gives the bytes of the capture, decompressed. C libraries call read(), so it does not throw: an
/// error is in a member.
class CaptureReader::Source {
public:
    virtual ~Source() = default;
    /// Reads up to `size` bytes. @return how many; 0: the end; -1: an error
    virtual ssize_t read(char* out, std::size_t size) = 0;
    virtual std::optional<double> progress() const = 0;
    /// Whether it is a regular file, of which a read never waits for another program.
    virtual bool regular() const = 0;
    /// A FILE for libpcap, which closes it. It calls read(), or is the file itself.
    virtual std::FILE* stream();

    bool cut = false;         ///< the compressed stream ended in the middle
    bool any = false;         ///< at least one byte was read
    std::string error;        ///< set when read() returned -1
    std::vector<char> stdio;  ///< the buffer of the FILE that libpcap reads from
};

std::FILE* CaptureReader::Source::stream() {
    cookie_io_functions_t functions{};
    functions.read = [](void* source, char* out, std::size_t size) {
        return static_cast<Source*>(source)->read(out, size);
    };
    std::FILE* stream = fopencookie(this, "r", functions);
    if (stream == nullptr) throw std::bad_alloc();
    return stream;
}

namespace {

/// The file as it is. Its first bytes are read ahead, so that its format can be found out from a
/// pipe too.
class PlainSource : public CaptureReader::Source {
public:
    /// @param fd not owned
    /// @param stop not owned; when it becomes readable, a read that waits for a pipe ends, and
    /// every later read finds the end
    PlainSource(int fd, int stop) : fd_(fd), stop_(stop) {
        while (peeked_ < sizeof magic) {
            const ssize_t n =
                from_file(reinterpret_cast<char*>(magic) + peeked_, sizeof magic - peeked_);
            if (n <= 0) break;
            peeked_ += static_cast<std::size_t>(n);
        }
    }

    bool regular() const override {
        struct stat status {};
        return ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
    }

    /// For a regular file a FILE of its own, since reading a record then takes fewer calls.
    std::FILE* stream() override {
        const auto back = -static_cast<off_t>(peeked_);
        if (given_ != 0 || ::lseek(fd_, back, SEEK_CUR) < 0) return Source::stream();
        std::FILE* stream = ::fdopen(::fcntl(fd_, F_DUPFD_CLOEXEC, 0), "r");
        if (stream == nullptr) throw std::bad_alloc();
        return stream;
    }

    ssize_t read(char* out, std::size_t size) override {
        if (given_ == peeked_) return error.empty() ? from_file(out, size) : -1;
        const std::size_t n = std::min(size, peeked_ - given_);
        std::memcpy(out, magic + given_, n);
        given_ += n;
        return static_cast<ssize_t>(n);
    }

    /// What part of the file was read; nothing: its size is not known.
    std::optional<double> progress() const override {
        struct stat status {};
        if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
            return {};
        const off_t at = ::lseek(fd_, 0, SEEK_CUR);
        if (at < 0) return {};
        return static_cast<double>(at) / static_cast<double>(status.st_size);
    }

    bool is_gzip() const { return starts_with("\x1f\x8b", 2); }
    bool is_zstd() const {  // a data frame, or a skippable one as parallel compressors write it
        return starts_with("\x28\xb5\x2f\xfd", 4) ||
               (peeked_ == 4 && (magic[0] & 0xf0) == 0x50 &&
                std::memcmp(magic + 1, "\x2a\x4d\x18", 3) == 0);
    }

private:
    bool starts_with(const char* bytes, std::size_t size) const {
        return peeked_ >= size && std::memcmp(magic, bytes, size) == 0;
    }

    ssize_t from_file(char* out, std::size_t size) {
        ssize_t n;
        do {
            pollfd waited[] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
            if (::poll(waited, 2, -1) > 0 && waited[1].revents != 0) return 0;
            n = ::read(fd_, out, size);
        } while (n < 0 && (errno == EINTR || errno == EAGAIN));
        if (n < 0) error = std::strerror(errno);
        if (n > 0) any = true;
        return n;
    }

    int fd_, stop_;
    std::uint8_t magic[4] = {};  ///< the first bytes
    std::size_t peeked_ = 0;
    std::size_t given_ = 0;
};

/// The common part of both decompressors. Input is read in chunks. An error is reported only after
/// all bytes have been given that could be decoded before it.
class CompressedSource : public CaptureReader::Source {
public:
    explicit CompressedSource(std::unique_ptr<PlainSource> file) : file_(std::move(file)) {}

    std::optional<double> progress() const final { return file_->progress(); }
    bool regular() const final { return file_->regular(); }

    ssize_t read(char* out, std::size_t size) final {
        std::size_t produced = 0;
        while (produced == 0 && error.empty()) {
            if (input_used_ == input_size_ && !output_pending_) {
                const ssize_t n = file_->read(input_.data(), input_.size());
                if (n < 0) error = file_->error;
                if (n == 0) cut = inside_;
                if (n <= 0) return n;
                input_size_ = static_cast<std::size_t>(n);
                input_used_ = 0;
            }
            produced = decode(out, size);
        }
        if (produced > 0) any = true;
        return produced > 0 ? static_cast<ssize_t>(produced) : -1;
    }

protected:
    /// Decodes from input_ to `out`, and keeps input_used_, inside_, output_pending_ and error
    /// right.
    /// @return how many bytes it gave
    virtual std::size_t decode(char* out, std::size_t size) = 0;

    std::vector<char> input_ = std::vector<char>(kReadBuffer);
    std::size_t input_used_ = 0;
    std::size_t input_size_ = 0;
    bool inside_ = false;          // a member (frame) has begun and not ended
    bool output_pending_ = false;  // more output may come without more input

private:
    std::unique_ptr<PlainSource> file_;
};

class GzipSource : public CompressedSource {
public:
    explicit GzipSource(std::unique_ptr<PlainSource> file) : CompressedSource(std::move(file)) {
        if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
    }
    ~GzipSource() override { inflateEnd(&stream_); }

private:
    std::size_t decode(char* out, std::size_t size) override {
        if (!inside_) inflateReset(&stream_);
        stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + input_used_);
        stream_.avail_in = static_cast<uInt>(input_size_ - input_used_);
        stream_.next_out = reinterpret_cast<Bytef*>(out);
        stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, UINT_MAX));
        const uInt room = stream_.avail_out;
        const int result = inflate(&stream_, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
            error = std::string("damaged gzip data: ") +
                    (stream_.msg != nullptr ? stream_.msg : zError(result));
        }
        input_used_ = input_size_ - stream_.avail_in;
        inside_ = result != Z_STREAM_END;
        output_pending_ = inside_ && stream_.avail_out == 0;
        return room - stream_.avail_out;
    }

    z_stream stream_{};
};

class ZstdSource : public CompressedSource {
public:
    explicit ZstdSource(std::unique_ptr<PlainSource> file) : CompressedSource(std::move(file)) {
        if (stream_ == nullptr) throw std::bad_alloc();
    }

private:
    struct Free {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };

    std::size_t decode(char* out, std::size_t size) override {
        ZSTD_inBuffer input{input_.data(), input_size_, input_used_};
        ZSTD_outBuffer output{out, size, 0};
        const std::size_t result = ZSTD_decompressStream(stream_.get(), &output, &input);
        if (ZSTD_isError(result)) {
            error = std::string("damaged zstd data: ") + ZSTD_getErrorName(result);
        }
        input_used_ = input.pos;
        inside_ = result != 0;
        output_pending_ = inside_ && output.pos == output.size;
        return output.pos;
    }

    std::unique_ptr<ZSTD_DStream, Free> stream_{ZSTD_createDStream()};
};

/// Opens the file. For a named pipe this does not wait for a writer; the reads do.
int open_input(const std::string& path, const std::string& name) {
    const int fd =
        path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw CaptureError(name, std::strerror(errno));
    return fd;
}

std::unique_ptr<CaptureReader::Source> open_source(int fd, int stop, const std::string& name) {
    auto file = std::make_unique<PlainSource>(fd, stop);
    if (!file->error.empty()) throw CaptureError(name, file->error);
    if (file->is_gzip()) return std::make_unique<GzipSource>(std::move(file));
    if (file->is_zstd()) return std::make_unique<ZstdSource>(std::move(file));
    return file;
}

/// Why a capture of this link type cannot be used, and what to do about it.
std::string wrong_link_type(int type) {
    const char* name = pcap_datalink_val_to_name(type);
    const char* description = pcap_datalink_val_to_description(type);
    std::string message =
        "link type " + (name != nullptr ? std::string(name) : std::to_string(type));
    if (description != nullptr) message += std::string(" (") + description + ")";
    message += ", but only Ethernet (EN10MB) can be replayed";
    if (type == DLT_LINUX_SLL || type == DLT_LINUX_SLL2) {
        message +=
            "; capture on one interface (tcpdump -i eth0 ...) in place of all of them (-i any)";
    }
    return message;
}

/// Frames that the reading thread hands over, and what comes after them.
struct Batch {
    struct Record {
        std::size_t offset, size, original_size;
        std::uint64_t timestamp_ns;
    };
    std::vector<std::uint8_t> bytes;
    std::vector<Record> records;
    std::uint64_t skipped = 0;  ///< records without a byte
    bool last = false, truncated = false;
    std::exception_ptr failure;  ///< not null: reading failed after these frames

    void clear() {
        records.clear();
        skipped = 0;
    }
};

}  // namespace

struct CaptureReader::State {
    State(const std::string& path, std::string name, bool wait);
    ~State();
    /// Reads the file header. @throws CaptureError
    void open();

    /// Makes the batch current that has the next frame, the end or the failure. False: it has not
    /// come yet.
    bool advance(bool wait, const std::function<void()>& wake);
    Poll take(Frame& frame, bool wait, const std::function<void()>& wake);
    void read_ahead();
    /// Adds the next record to a batch. False: this is the last batch.
    bool read_record(Batch& batch);
    /// Fills a batch. False: it is the last one.
    bool read_records(Batch& batch);
    void give(std::unique_ptr<Batch>& batch);
    /// Makes a read that waits for a pipe, and every later one, find the end.
    void stop_reading() const {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(stop.get(), &one, sizeof one);
    }

    struct PcapClose {
        void operator()(pcap* capture) const { pcap_close(capture); }
    };
    std::string name;
    Descriptor file, stop{::eventfd(0, EFD_CLOEXEC)};
    std::unique_ptr<Source> source;  // outlives pcap, which reads from it
    std::unique_ptr<pcap, PcapClose> capture;
    std::atomic<bool> opened{false};  // source and capture are there

    // Used by the reading thread only.
    std::uint64_t records_read = 0;

    // Used by the caller only.
    std::unique_ptr<Batch> current = std::make_unique<Batch>();
    std::size_t next_record = 0;
    std::uint64_t snapped = 0, skipped = 0;

    std::mutex mutex;  // of what follows
    std::condition_variable given, freed;
    std::deque<std::unique_ptr<Batch>> full, spare;
    bool stopping = false;
    std::function<void()> wake_caller;
    std::thread thread;
};

CaptureReader::State::State(const std::string& path, std::string shown_name, bool wait)
    : name(std::move(shown_name)), file(open_input(path, name)) {
    for (std::size_t i = 0; i < kBatches; ++i) spare.push_back(std::make_unique<Batch>());
    if (wait) open();
}

void CaptureReader::State::open() {
    source = open_source(file.get(), stop.get(), name);
    std::FILE* stream = source->stream();
    source->stdio.resize(kReadBuffer);
    std::setvbuf(stream, source->stdio.data(), _IOFBF, source->stdio.size());
    __fsetlocking(stream, FSETLOCKING_BYCALLER);
    char message[PCAP_ERRBUF_SIZE] = "";
    capture.reset(
        pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, message));
    if (!capture) {
        const bool at_end = std::feof(stream) != 0;
        std::fclose(stream);
        if (!source->error.empty()) throw CaptureError(name, source->error);
        if (!source->any && !source->cut) throw CaptureError(name, "the file is empty");
        if (at_end) throw CaptureError(name, "not a capture, or cut off within its file header");
        if (std::strcmp(message, "unknown file format") == 0) {
            throw CaptureError(name, "not a capture (neither pcap nor pcapng)");
        }
        throw CaptureError(name, message);
    }
    const int type = pcap_datalink(capture.get());
    if (type != DLT_EN10MB) throw CaptureError(name, wrong_link_type(type));
    opened = true;
}

CaptureReader::State::~State() {
    {
        const std::lock_guard lock(mutex);
        stopping = true;
        freed.notify_one();
    }
    stop_reading();
    if (thread.joinable()) thread.join();
}

bool CaptureReader::State::read_record(Batch& batch) {
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    const int result = pcap_next_ex(capture.get(), &header, &data);
    if (result != 1) {
        batch.last = true;
        batch.truncated =
            source->cut || (result == PCAP_ERROR && std::feof(pcap_file(capture.get())) != 0);
        if (result == PCAP_ERROR && !batch.truncated) {
            const std::string& error = source->error;
            batch.failure = std::make_exception_ptr(
                CaptureError(name, "after frame " + std::to_string(records_read) + ": " +
                                       (error.empty() ? pcap_geterr(capture.get()) : error)));
        }
        return false;
    }
    ++records_read;
    if (header->caplen == 0) {
        ++batch.skipped;
        return true;
    }
    // Seconds in a pcap file are 32 bits without a sign; libpcap takes them as signed.
    std::int64_t seconds = header->ts.tv_sec;
    if (seconds < 0) seconds = static_cast<std::uint32_t>(seconds);
    batch.records.push_back(
        {batch.bytes.size(), header->caplen, std::max(header->caplen, header->len),
         static_cast<std::uint64_t>(seconds) * kNanosecondsPerSecond +
             static_cast<std::uint32_t>(header->ts.tv_usec)});  // nanoseconds here
    batch.bytes.insert(batch.bytes.end(), data, data + header->caplen);
    return true;
}

bool CaptureReader::State::read_records(Batch& batch) {
    const bool pipe = !source->regular();
    batch.bytes.clear();
    bool more = true;
    while (more && batch.bytes.size() < kBatchBytes && batch.records.size() < kBatchRecords) {
        more = read_record(batch);
        if (pipe && !batch.records.empty()) break;
    }
    return more;
}

void CaptureReader::State::give(std::unique_ptr<Batch>& batch) {
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex);
        full.push_back(std::move(batch));
        wake = std::exchange(wake_caller, nullptr);
        given.notify_one();
    }
    if (wake) wake();
}

void CaptureReader::State::read_ahead() {
    pthread_setname_np(pthread_self(), "reading");
    while (true) {
        std::unique_ptr<Batch> batch;
        {
            std::unique_lock lock(mutex);
            freed.wait(lock, [this] { return !spare.empty() || stopping; });
            if (stopping) return;
            batch = std::move(spare.front());
            spare.pop_front();
        }
        batch->clear();
        bool more = false;
        try {
            if (!opened) open();
            more = read_records(*batch);
        } catch (const CaptureError&) {
            batch->last = true;
            batch->failure = std::current_exception();
        }
        give(batch);
        if (!more) return;
    }
}

bool CaptureReader::State::advance(bool wait, const std::function<void()>& wake) {
    if (!thread.joinable()) thread = std::thread([this] { read_ahead(); });
    std::unique_lock lock(mutex);
    if (full.empty() && !wait) {
        wake_caller = wake;
        return false;
    }
    given.wait(lock, [this] { return !full.empty(); });
    spare.push_back(std::move(current));
    current = std::move(full.front());
    full.pop_front();
    freed.notify_one();
    next_record = 0;
    skipped += current->skipped;
    return true;
}

CaptureReader::Poll CaptureReader::State::take(Frame& frame, bool wait,
                                               const std::function<void()>& wake) {
    while (next_record == current->records.size()) {
        if (current->last) {
            if (const auto failure = std::exchange(current->failure, nullptr))
                std::rethrow_exception(failure);
            return Poll::end;
        }
        if (!advance(wait, wake)) return Poll::nothing_yet;
    }
    const Batch::Record& record = current->records[next_record++];
    frame.data = current->bytes.data() + record.offset;
    frame.size = record.size;
    frame.original_size = record.original_size;
    frame.timestamp_ns = record.timestamp_ns;
    if (record.size < record.original_size) ++snapped;
    return Poll::frame;
}

CaptureReader::CaptureReader(const std::string& path, bool wait) {
    struct stat status {};
    const bool regular =
        path != "-" && ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
    state_ = std::make_unique<State>(path, path == "-" ? "standard input" : path, wait || regular);
}

CaptureReader::CaptureReader(std::unique_ptr<State> state) : state_(std::move(state)) {}

CaptureReader CaptureReader::again() const {
    // Opened by the descriptor, so that it is the same file even if its name was given to another.
    return CaptureReader(std::make_unique<State>(
        "/proc/self/fd/" + std::to_string(state_->file.get()), state_->name, false));
}

CaptureReader::~CaptureReader() = default;
CaptureReader::CaptureReader(CaptureReader&&) noexcept = default;

bool CaptureReader::next(Frame& frame) { return state_->take(frame, true, {}) == Poll::frame; }

CaptureReader::Poll CaptureReader::poll(Frame& frame, const std::function<void()>& wake) {
    return state_->take(frame, false, wake);
}

void CaptureReader::interrupt() { state_->stop_reading(); }

bool CaptureReader::truncated() const {
    return state_->current->last && state_->current->truncated;
}

std::uint64_t CaptureReader::snapped() const { return state_->snapped; }

std::uint64_t CaptureReader::skipped() const { return state_->skipped; }

std::optional<double> CaptureReader::progress() const {
    if (!state_->opened) return {};
    return state_->source->progress();
}

// ---------------------------------------------------------------------------------------- writing

namespace {

struct FileHeader {
    std::uint32_t magic = 0xa1b23c4d;  // pcap with nanoseconds
    std::uint16_t major = 2;
    std::uint16_t minor = 4;
    std::uint32_t reserved[2] = {0, 0};
    std::uint32_t snap_length = CaptureWriter::kSnapLength;
    std::uint32_t link_type = 1;  // Ethernet
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
    std::uint32_t seconds;
    std::uint32_t nanoseconds;
    std::uint32_t size;
    std::uint32_t original_size;
};
static_assert(sizeof(RecordHeader) == 16);

}  // namespace

CaptureWriter::CaptureWriter(const std::string& path) : CaptureWriter(OutputFile(path), true) {}

CaptureWriter::CaptureWriter(OutputFile file, bool from_start) : file_(std::move(file)) {
    const FileHeader header;
    if (from_start) file_.header(&header, sizeof header);
}

void CaptureWriter::write(std::uint64_t timestamp_ns, const std::uint8_t* data, std::size_t size) {
    if (!file_.open())
        throw CaptureError(file_.name(), "a frame was written after the capture was closed");
    if (size > kSnapLength) {
        throw CaptureError(file_.name(), "a frame of " + std::to_string(size) +
                                             " bytes is longer than pcap's " +
                                             std::to_string(kSnapLength));
    }
    const std::uint64_t seconds = timestamp_ns / kNanosecondsPerSecond;
    if (timestamp_ns > kLastTimestamp) {
        throw CaptureError(file_.name(), "the time stamp of " + std::to_string(seconds) +
                                             " s does not fit into pcap's 32 bits");
    }
    const auto bytes = static_cast<std::uint32_t>(size);
    const RecordHeader header{static_cast<std::uint32_t>(seconds),
                              static_cast<std::uint32_t>(timestamp_ns % kNanosecondsPerSecond),
                              bytes, bytes};
    std::uint8_t* const at = file_.append(sizeof header + size);
    std::memcpy(at, &header, sizeof header);
    if (size > 0) std::memcpy(at + sizeof header, data, size);
}

}  // namespace mirrornic
