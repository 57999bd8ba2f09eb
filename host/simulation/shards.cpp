// SPDX-License-Identifier: Apache-2.0
#include "host/simulation/shards.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "driver/mirror_device.hpp"

namespace mirrornic {

namespace {

constexpr std::chrono::milliseconds turn_poll{1};  // while a piece waits for those before it

[[noreturn]] void fail_with_errno(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

/// The shared memory. It has atomic numbers only, and no lock that a killed process could leave
/// locked.
struct Shards::Memory {
    static constexpr unsigned files = 3;

    std::atomic<bool> stopped{false}, failed{false};
    std::atomic<std::uint64_t> next_piece{0};          ///< the first that nobody has claimed
    std::atomic<std::uint64_t> next_written[files]{};  ///< of each file
};
static_assert(std::atomic<bool>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

class Shards::FileTurns : public Turns {
public:
    FileTurns(Memory& memory, unsigned file) : memory_(memory), next_(memory.next_written[file]) {}
    bool is_next(std::uint64_t piece) override { return next_ == piece; }
    void wait_until_next(std::uint64_t piece) override {
        while (next_ != piece) {
            if (memory_.failed) throw std::runtime_error("another shard failed");
            std::this_thread::sleep_for(turn_poll);
        }
    }
    void done(std::uint64_t piece) override { next_ = piece + 1; }

private:
    Memory& memory_;
    std::atomic<std::uint64_t>& next_;
};

Shards::Shards()
    : memory_([]() -> Memory& {
          void* const at = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
          if (at == MAP_FAILED) fail_with_errno("memory for the shards");
          return *new (at) Memory;
      }()) {}

Shards::~Shards() { ::munmap(&memory_, sizeof(Memory)); }

Shards::Claim Shards::claim(std::uint64_t piece) {
    std::uint64_t next = memory_.next_piece;
    if (piece < next) return Claim::taken;
    if (memory_.stopped || memory_.failed) return Claim::stopped;
    return memory_.next_piece.compare_exchange_strong(next, piece + 1) ? Claim::mine : Claim::taken;
}

void Shards::stop() { memory_.stopped = true; }

void Shards::fail() { memory_.failed = true; }

std::unique_ptr<Turns> Shards::turns(unsigned file) {
    return std::make_unique<FileTurns>(memory_, file);
}

namespace {

/// Runs one process, from its fork to its exit. Its exit status is that of the command.
[[noreturn]] void work_and_exit(const std::function<std::string()>& work, int result) {
    std::string text;
    int status = 0;
    const auto failed = [&](const std::exception& error, int number) {
        text = error.what();
        status = number;
    };
    try {
        text = work();
    } catch (const UnknownDevice& error) {
        failed(error, 3);
    } catch (const DeviceError& error) {
        failed(error, 3);
    } catch (const SimulationError& error) {
        failed(error, 3);
    } catch (const std::exception& error) {
        failed(error, 1);
    }
    for (std::size_t written = 0; written < text.size();) {
        const ssize_t n = ::write(result, text.data() + written, text.size() - written);
        if (n < 0 && errno != EINTR) ::_exit(3);
        if (n > 0) written += static_cast<std::size_t>(n);
    }
    std::fflush(nullptr);
    ::_exit(status);
}

/// A file in which a shard leaves its result. It is in memory only, so no disk can be full.
class ResultFile {
public:
    ResultFile() : fd_(::memfd_create("shard", MFD_CLOEXEC)) {
        if (fd_ < 0) fail_with_errno("memory for a shard's result");
    }
    ~ResultFile() {
        if (fd_ >= 0) ::close(fd_);
    }
    ResultFile(ResultFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ResultFile& operator=(ResultFile&&) = delete;

    int descriptor() const { return fd_; }
    std::string contents() const {
        std::string text;
        char part[4096];
        ssize_t n = 0;
        while ((n = ::pread(fd_, part, sizeof part, static_cast<off_t>(text.size()))) > 0)
            text.append(part, static_cast<std::size_t>(n));
        return text;
    }

private:
    int fd_;
};

}  // namespace

std::vector<std::string> Shards::run(unsigned processes,
                                     const std::function<std::string(unsigned)>& work) {
    std::vector<ResultFile> results(processes);
    std::map<pid_t, unsigned> running;
    const auto kill_all = [&running] {
        for (const auto& [process, number] : running) ::kill(process, SIGKILL);
    };
    const pid_t parent = ::getpid();
    for (unsigned i = 0; i < processes; ++i) {
        const pid_t process = ::fork();
        if (process < 0) {
            const int error = errno;
            kill_all();
            while (::wait(nullptr) > 0 || errno == EINTR) {
            }
            errno = error;
            fail_with_errno("a process for a shard");
        }
        if (process == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent) ::_exit(3);
            // The first process says when to stop.
            for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);
            work_and_exit([&work, i] { return work(i); }, results[i].descriptor());
        }
        running[process] = i;
    }

    std::string failure;
    int failed_status = 0;
    while (!running.empty()) {
        int status = 0;
        const pid_t process = ::wait(&status);
        if (process < 0 && errno == EINTR) continue;
        if (process < 0) fail_with_errno("wait for a shard");
        const auto ended = running.find(process);
        if (ended == running.end()) continue;
        const unsigned number = ended->second;
        running.erase(ended);
        if (status == 0 || failed_status != 0) continue;
        if (WIFEXITED(status)) {
            failed_status = WEXITSTATUS(status);
            failure = results[number].contents();
            if (failure.empty())
                failure = "shard " + std::to_string(number + 1) + " of " +
                          std::to_string(processes) + " ended with status " +
                          std::to_string(failed_status) + "; the outputs are not whole";
            fail();  // the others end with what they have
        } else {
            failed_status = 3;
            failure = "shard " + std::to_string(number + 1) + " of " + std::to_string(processes) +
                      " was ended by signal " + std::to_string(WTERMSIG(status)) + " (" +
                      ::strsignal(WTERMSIG(status)) + "); the outputs are not whole";
            kill_all();
        }
    }
    if (failed_status == 3) throw SimulationError(failure);
    if (failed_status != 0) throw std::runtime_error(failure);
    std::vector<std::string> texts;
    texts.reserve(results.size());
    for (const ResultFile& result : results) texts.push_back(result.contents());
    return texts;
}

}  // namespace mirrornic
