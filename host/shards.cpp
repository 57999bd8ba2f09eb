// SPDX-License-Identifier: Apache-2.0
#include "shards.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <system_error>

#include "mirror_device.hpp"

namespace mirrornic {

namespace {

[[noreturn]] void fail_with_errno(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

struct Shards::Memory {
    static constexpr unsigned files = 3;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    std::atomic<bool> stopped{false}, failed{false};
    std::uint64_t next_piece = 0;         ///< that nobody has claimed
    std::uint64_t next_written[files]{};  ///< of each file

    Memory() {
        pthread_mutexattr_t mutex_kind;
        pthread_mutexattr_init(&mutex_kind);
        pthread_mutexattr_setpshared(&mutex_kind, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&mutex, &mutex_kind);
        pthread_mutexattr_destroy(&mutex_kind);
        pthread_condattr_t condition_kind;
        pthread_condattr_init(&condition_kind);
        pthread_condattr_setpshared(&condition_kind, PTHREAD_PROCESS_SHARED);
        pthread_cond_init(&changed, &condition_kind);
        pthread_condattr_destroy(&condition_kind);
    }
    class Lock {
    public:
        explicit Lock(Memory& memory) : memory_(memory) { pthread_mutex_lock(&memory.mutex); }
        ~Lock() { pthread_mutex_unlock(&memory_.mutex); }
        void wait() { pthread_cond_wait(&memory_.changed, &memory_.mutex); }

    private:
        Memory& memory_;
    };
};
static_assert(std::atomic<bool>::is_always_lock_free);

class Shards::FileTurns : public Turns {
public:
    FileTurns(Memory& memory, unsigned file) : memory_(memory), next_(memory.next_written[file]) {}
    bool is_next(std::uint64_t piece) override {
        const Memory::Lock lock(memory_);
        return next_ == piece;
    }
    void wait_until_next(std::uint64_t piece) override {
        Memory::Lock lock(memory_);
        while (next_ != piece) {
            if (memory_.failed) throw std::runtime_error("another shard failed");
            lock.wait();
        }
    }
    void done(std::uint64_t piece) override {
        const Memory::Lock lock(memory_);
        next_ = piece + 1;
        pthread_cond_broadcast(&memory_.changed);
    }

private:
    Memory& memory_;
    std::uint64_t& next_;
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
    const Memory::Lock lock(memory_);
    if (piece < memory_.next_piece) return Claim::taken;
    if (memory_.stopped || memory_.failed) return Claim::stopped;
    memory_.next_piece = piece + 1;
    return Claim::mine;
}

void Shards::stop() { memory_.stopped = true; }

void Shards::fail() {
    const Memory::Lock lock(memory_);
    memory_.failed = true;
    pthread_cond_broadcast(&memory_.changed);
}

std::unique_ptr<Turns> Shards::turns(unsigned file) {
    return std::make_unique<FileTurns>(memory_, file);
}

namespace {

/// A process's way from fork to exit; its status is that of the command.
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

std::string contents(std::FILE* file) {
    std::string text;
    char part[4096];
    std::rewind(file);
    while (const std::size_t n = std::fread(part, 1, sizeof part, file)) text.append(part, n);
    return text;
}

}  // namespace

std::vector<std::string> Shards::run(unsigned processes,
                                     const std::function<std::string(unsigned)>& work) {
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::vector<std::unique_ptr<std::FILE, Close>> results;
    std::map<pid_t, unsigned> running;
    const auto kill_all = [&running] {
        for (const auto& [process, number] : running) ::kill(process, SIGKILL);
    };
    for (unsigned i = 0; i < processes; ++i) results.emplace_back(std::tmpfile());
    const pid_t parent = ::getpid();
    for (unsigned i = 0; i < processes; ++i) {
        const pid_t process = results[i] ? ::fork() : -1;
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
            std::signal(SIGINT, SIG_IGN);  // the first process says when to stop
            work_and_exit([&work, i] { return work(i); }, ::fileno(results[i].get()));
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
            failure = contents(results[number].get());
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
    for (const auto& result : results) texts.push_back(contents(result.get()));
    return texts;
}

}  // namespace mirrornic
