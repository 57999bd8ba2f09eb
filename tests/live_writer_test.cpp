// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "catch.hpp"
#include "folder.hpp"
#include "host/frames/capture_file.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;
using test::Folder;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

bool soon(const std::function<bool()>& done, std::chrono::milliseconds limit = 10s) {
    const auto end = Clock::now() + limit;
    while (!done()) {
        if (Clock::now() > end) return false;
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

/// Records of one byte that repeats, of different lengths.
std::string record(unsigned number) {
    return std::string(1 + number % 700, static_cast<char>('a' + number % 26));
}

void append(OutputFile& file, const std::string& bytes) {
    std::memcpy(file.append(bytes.size()), bytes.data(), bytes.size());
}

std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A capture's frames, whole, and nothing behind them.
std::vector<std::uint64_t> stamps_of(const std::string& path) {
    std::vector<std::uint64_t> stamps;
    CaptureReader reader(path);
    CaptureReader::Frame frame;
    while (reader.next(frame)) {
        CHECK(frame.size == 100 + frame.timestamp_ns % 1000);
        stamps.push_back(frame.timestamp_ns);
    }
    CHECK_FALSE(reader.truncated());
    return stamps;
}

void write_frame(CaptureWriter& writer, std::uint64_t number) {
    const std::vector<std::uint8_t> frame(100 + number % 1000, 7);
    writer.write(number, frame.data(), frame.size());
}

/// The file may not grow beyond it, as on a disk that is full.
class FileLimit {
public:
    explicit FileLimit(rlim_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        set(bytes);
    }
    ~FileLimit() { set(before_.rlim_cur); }
    void set(rlim_t bytes) {
        const rlimit limit{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }

private:
    rlimit before_{};
};

std::string read_some(int fd, std::size_t most) {
    std::string bytes(most, 0);
    const ssize_t n = ::read(fd, bytes.data(), most);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
}

std::string read_to_end(int fd) {
    std::string all;
    for (std::string part; !(part = read_some(fd, 1 << 16)).empty();) all += part;
    return all;
}

}  // namespace

TEST_CASE("a live file holds what was written, plain and compressed") {
    const Folder folder;
    for (const char* name : {"a.pcap", "a.pcap.gz", "a.pcap.zst"}) {
        INFO(name);
        std::vector<std::uint64_t> expected;
        {
            CaptureWriter writer(OutputFile::live(folder / name), true);
            for (std::uint64_t i = 0; i < 5000; ++i) {
                while (!writer.file().has_room({})) std::this_thread::sleep_for(1ms);
                write_frame(writer, i);
                expected.push_back(i);
                if (i % 997 == 0) writer.flush();
            }
            writer.close();
            writer.close();
            CHECK(writer.file().lost() == 0);
            CHECK_FALSE(writer.file().trouble());
        }
        CHECK(stamps_of(folder / name) == expected);
    }
}

TEST_CASE("a live file without records has its header, after a flush too") {
    const Folder folder;
    CaptureWriter writer(OutputFile::live(folder / "a"), true);
    writer.flush();
    CHECK(soon([&] { return contents(folder / "a").size() == 24; }));
    CaptureWriter(OutputFile::live(folder / "b.gz"), true).close();
    CHECK(stamps_of(folder / "b.gz").empty());
}

TEST_CASE("a live file on a full disk goes on whole when there is room again") {
    const Folder folder;
    for (const char* name : {"a.pcap", "a.pcap.gz", "a.pcap.zst"}) {
        INFO(name);
        std::vector<std::uint64_t> expected;
        CaptureWriter writer(OutputFile::live(folder / name), true);
        {
            FileLimit limit(1000);
            for (std::uint64_t i = 0; i < 3000; ++i) {
                write_frame(writer, i * 7919);
                expected.push_back(i * 7919);
            }
            writer.flush();
            REQUIRE(soon([&] { return writer.file().trouble().has_value(); }));
            CHECK_THAT(*writer.file().trouble(), Contains(std::strerror(EFBIG)));
        }
        REQUIRE(soon([&] { return !writer.file().trouble(); }));
        writer.close();
        CHECK(writer.file().lost() == 0);
        CHECK(stamps_of(folder / name) == expected);
    }
}

TEST_CASE("what a live file cannot keep is lost in whole records, counted, and never waited for") {
    const Folder folder;
    CaptureWriter writer(OutputFile::live((folder / "a").string(), 4), true);
    std::uint64_t written = 0;
    {
        FileLimit limit(1000);
        const auto begin = Clock::now();
        for (; written < 5000; ++written) write_frame(writer, written);
        CHECK(Clock::now() - begin < 1s);
        REQUIRE(soon([&] { return writer.file().trouble().has_value(); }));
        CHECK(writer.file().lost() > 0);
        CHECK(writer.file().has_room({}));  // there is nothing to wait for
    }
    REQUIRE(soon([&] { return !writer.file().trouble(); }));
    write_frame(writer, written++);
    writer.close();
    const auto stamps = stamps_of(folder / "a");
    CHECK(stamps.size() + writer.file().lost() == written);
    CHECK(stamps.back() == written - 1);
}

TEST_CASE("a live file that stays full is closed within the limit, and the rest is counted") {
    const Folder folder;
    for (const char* name : {"a", "a.gz", "a.zst"}) {
        INFO(name);
        FileLimit limit(300);
        CaptureWriter writer(OutputFile::live(folder / name), true);
        for (std::uint64_t i = 0; i < 10; ++i) write_frame(writer, i);
        writer.flush();
        CHECK(soon([&] { return writer.file().trouble().has_value() || name[1] == '.'; }));
        const auto begin = Clock::now();
        writer.close();
        CHECK(Clock::now() - begin < 1500ms);
        if (name[1] == 0) CHECK(writer.file().lost() == 8);  // two are in 300 bytes
    }
}

TEST_CASE("a pipe without a reader stops nobody, and its reader finds the header and all records") {
    const Folder folder;
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    OutputFile file = OutputFile::live(pipe);
    file.header("HEAD", 4);
    CHECK_THAT(*file.trouble(), Contains("nobody reads it"));
    std::string expected = "HEAD";
    for (unsigned i = 0; i < 100; ++i) {
        append(file, record(i));
        expected += record(i);
    }
    file.flush();
    std::this_thread::sleep_for(50ms);
    CHECK(file.trouble());
    const int reader = ::open(pipe.c_str(), O_RDONLY);
    std::string found;
    while (found.size() < expected.size()) found += read_some(reader, 1 << 16);
    CHECK(found == expected);
    CHECK(soon([&] { return !file.trouble(); }));
    ::close(reader);
    CHECK(soon([&] { return file.trouble().has_value(); }));  // also with nothing to write
    const auto begin = Clock::now();
    file.close();
    CHECK(Clock::now() - begin < 1s);
    CHECK(file.lost() == 0);
}

TEST_CASE("each reader of a pipe gets a file of its own from the header on") {
    const Folder folder;
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    for (const char* end : {"", ".gz"}) {
        INFO(end);
        if (*end) REQUIRE(rename(pipe.c_str(), (pipe + end).c_str()) == 0);
        CaptureWriter writer(OutputFile::live(pipe + end), true);
        std::uint64_t written = 0;
        for (int round = 0; round < 3; ++round) {
            const int reader = ::open((pipe + end).c_str(), O_RDONLY | O_NONBLOCK);
            ::fcntl(reader, F_SETFL, 0);
            for (int i = 0; i < 2000; ++i) write_frame(writer, written++);
            writer.flush();
            std::string found;
            while (found.size() < 20000) found += read_some(reader, 20000 - found.size());
            ::close(reader);  // in the middle of a record
            if (*end == 0) {
                CHECK(found.substr(0, 4) == std::string("\x4d\x3c\xb2\xa1", 4));
                std::uint32_t size = 0;
                std::memcpy(&size, found.data() + 24 + 8, 4);
                CHECK(size >= 100);
                CHECK(size < 1100);
            } else {
                CHECK(found.substr(0, 2) == "\x1f\x8b");
            }
            REQUIRE(soon([&] { return writer.file().trouble().has_value(); }));
        }
        writer.close();
    }
}

TEST_CASE(
    "a reader that pauses stops nobody: what it takes are whole records, the others are counted") {
    const Folder folder;
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
    ::fcntl(reader, F_SETFL, 0);
    CaptureWriter writer(OutputFile::live(pipe, 4), true);
    std::uint64_t written = 0;
    const auto begin = Clock::now();
    for (; written < 20000; ++written) {
        write_frame(writer, written);
        if (written % 100 == 0) writer.flush();
    }
    CHECK(Clock::now() - begin < 1s);
    CHECK(soon([&] { return writer.file().trouble().has_value(); }));
    std::string found;
    std::thread reading([&] { found = read_to_end(reader); });
    CHECK(soon([&] { return !writer.file().trouble(); }));
    for (int i = 0; i < 10; ++i) write_frame(writer, written++);
    writer.close();
    reading.join();
    ::close(reader);
    std::ofstream(folder / "found", std::ios::binary) << found;
    const auto stamps = stamps_of(folder / "found");
    CHECK(stamps.size() + writer.file().lost() == written);
    CHECK(stamps.back() == written - 1);
    CHECK(writer.file().lost() > 0);
}

TEST_CASE("a reader that pauses for ever does not hold the end up, nor several together") {
    const Folder folder;
    int readers[3];
    std::vector<OutputFile> files;
    for (int i = 0; i < 3; ++i) {
        const std::string pipe = folder / ("pipe" + std::to_string(i));
        REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
        readers[i] = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
        files.push_back(OutputFile::live(pipe));
        for (unsigned n = 0; n < 1000; ++n) append(files.back(), record(n));
    }
    const auto begin = Clock::now();
    for (OutputFile& file : files) file.finish();
    for (OutputFile& file : files) file.close();
    CHECK(Clock::now() - begin < 1500ms);
    for (const OutputFile& file : files) CHECK(file.lost() > 500);
    for (const int reader : readers) ::close(reader);
}

TEST_CASE("a live file says when there is room, and when waiting for it is no use") {
    const Folder folder;
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
    OutputFile file = OutputFile::live(pipe, 4);
    std::atomic<int> woken{0};
    const auto wake = [&woken] { ++woken; };
    unsigned n = 0;
    while (file.has_room(wake) && n < 100000) append(file, record(n++));
    REQUIRE(n < 100000);
    CHECK(file.lost() == 0);
    std::string found;
    while (woken == 0) found += read_some(reader, 1 << 16);
    CHECK(file.has_room(wake));
    while (file.has_room(wake)) append(file, record(n++));
    CHECK(soon([&] { return woken == 2; }, 3s));  // its reader pauses: nobody waits
    CHECK(file.has_room(wake));
    CHECK(file.trouble());
    ::close(reader);
}

TEST_CASE("a live file that cannot be opened is an error at once") {
    const Folder folder;
    CHECK_THROWS_AS(OutputFile::live(folder / "none/a"), CaptureError);
    CHECK_THROWS_AS(OutputFile::live(folder.path.string()), CaptureError);
    OutputFile full = OutputFile::live("/dev/full");
    append(full, "x");
    full.flush();
    CHECK(soon([&] { return full.trouble().has_value(); }));
    full.close();
    CHECK(full.lost() == 1);
}

TEST_CASE("a record that comes when a live file is about to rest is written without another one") {
    const Folder folder;
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
    OutputFile file = OutputFile::live(pipe);
    const auto arrives = [&](char expected) {
        pollfd waited{reader, POLLIN, 0};
        return ::poll(&waited, 1, 5000) == 1 && read_some(reader, 2) == std::string(1, expected);
    };
    for (int i = 0; i < 200; ++i) {
        append(file, "a");
        file.flush();
        REQUIRE(arrives('a'));
        append(file, "b");
        file.flush();
        REQUIRE(arrives('b'));
    }
    ::close(reader);
}

TEST_CASE("a pipe without a header is no trouble as soon as somebody reads it") {
    const Folder folder;
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    OutputFile file = OutputFile::live(pipe);
    append(file, "first");
    file.flush();
    int reader = ::open(pipe.c_str(), O_RDONLY);
    CHECK(read_some(reader, 10) == "first");
    for (int i = 0; i < 2; ++i) {
        CHECK(soon([&] { return !file.trouble(); }));
        ::close(reader);
        CHECK(soon([&] { return file.trouble().has_value(); }));
        reader = ::open(pipe.c_str(), O_RDONLY);  // to which nothing is written
    }
    ::close(reader);
}

TEST_CASE(
    "what the reader of a compressed pipe had before it went is not lost, and what it had not is") {
    const Folder folder;
    const std::string pipe = folder / "pipe.gz";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    OutputFile file = OutputFile::live(pipe);
    append(file, "first");
    file.flush();
    int reader = ::open(pipe.c_str(), O_RDONLY);
    CHECK(read_some(reader, 1 << 16).size() > 10);
    CHECK(soon([&] { return !file.trouble(); }));
    ::close(reader);
    CHECK(soon([&] { return file.trouble().has_value(); }));
    CHECK(file.lost() == 0);
    reader = ::open(pipe.c_str(), O_RDONLY);
    std::mt19937 random(1);
    std::string noise(100000, 0);  // more than the pipe takes, compressed too
    for (char& c : noise) c = static_cast<char>(random());
    for (int i = 0; i < 3; ++i) append(file, noise);
    file.flush();
    CHECK_FALSE(read_some(reader, 100).empty());
    ::close(reader);
    CHECK(soon([&] { return file.trouble().has_value() && file.lost() != 0; }));
    CHECK(file.lost() <= 3);
}

TEST_CASE("a descriptor that a live file is given stays open, and so does standard output") {
    const Folder folder;
    const std::string path = folder / "a";
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    {
        OutputFile file = OutputFile::live(descriptor, "a name", 4);
        append(file, "one");
    }
    CHECK(contents(path) == "one");
    const int output = ::dup(STDOUT_FILENO);
    REQUIRE(::dup2(descriptor, STDOUT_FILENO) == STDOUT_FILENO);
    {
        OutputFile file = OutputFile::live("-");
        append(file, "two");
    }
    const auto behind = ::write(STDOUT_FILENO, "three", 5);
    REQUIRE(::dup2(output, STDOUT_FILENO) == STDOUT_FILENO);
    ::close(output);
    CHECK(behind == 5);
    CHECK(::write(descriptor, "four", 4) == 4);
    ::close(descriptor);
    CHECK(contents(path) == "onetwothreefour");
}

TEST_CASE("a write that does not end is trouble, and what it has in hand is lost at the end") {
    // A terminal that nobody reads takes a part of what a write has, and the write waits. Where it
    // is full just behind a write, no other begins: then it is done again.
    bool waits = false;
    for (int attempt = 0; attempt < 10 && !waits; ++attempt) {
        const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
        REQUIRE(master >= 0);
        REQUIRE((::grantpt(master) == 0 && ::unlockpt(master) == 0));
        const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
        REQUIRE(terminal >= 0);
        termios raw{};
        ::cfmakeraw(&raw);
        ::tcsetattr(terminal, TCSANOW, &raw);
        {
            OutputFile file = OutputFile::live(terminal, "a terminal", 4);
            for (int i = 0; i < 100; ++i) append(file, std::string(1000, 'x'));
            file.flush();
            REQUIRE(soon([&] { return file.trouble().has_value(); }));
            waits = *file.trouble() == "a write to it does not end";
            const auto begin = Clock::now();
            file.close();
            CHECK(Clock::now() - begin < 1500ms);
            if (waits) CHECK(file.lost() == 100);
        }
        ::close(master);  // now it ends
        std::this_thread::sleep_for(50ms);
        ::close(terminal);
    }
    CHECK(waits);
}
