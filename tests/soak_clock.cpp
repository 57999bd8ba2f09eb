// SPDX-License-Identifier: Apache-2.0
// Gives the command that it is linked into a time of day that jumps: the file that SOAK_CLOCK names
// holds seconds (64 bits, this host's order) that are added to it. The monotonic clocks are as they
// are.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

/// Null without SOAK_CLOCK.
const volatile std::int64_t* offset() {
    static const volatile std::int64_t* const mapped = []() -> const volatile std::int64_t* {
        const char* name = std::getenv("SOAK_CLOCK");
        const int file = name ? ::open(name, O_RDONLY | O_CLOEXEC) : -1;
        if (file < 0) return nullptr;
        void* at = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
        ::close(file);
        return at == MAP_FAILED ? nullptr : static_cast<const volatile std::int64_t*>(at);
    }
    ();
    return mapped;
}

}  // namespace

// In the place of the C library's, for the shared libraries too.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    const long result = ::syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME)
        if (const auto* seconds = offset()) time->tv_sec += *seconds;
    return int(result);
}

extern "C" std::time_t time(std::time_t* out) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
