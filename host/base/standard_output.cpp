// SPDX-License-Identifier: Apache-2.0
#include "host/base/standard_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

namespace mirrornic {
namespace {

[[noreturn]] void fail(int error) {
    throw StandardOutputError(std::string("standard output: ") +
                              (error != 0 ? std::strerror(error) : "it could not be written"));
}

}  // namespace

void open_missing_streams() {
    for (int descriptor = 0; descriptor <= 2; ++descriptor) {
        if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
        // open() gives the lowest free number, which is this one.
        if (::open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY) != descriptor) ::_exit(1);
    }
}

void print(const std::string& text) {
    errno = 0;
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail(errno);
}

void finish_standard_output() {
    errno = 0;
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) fail(errno);
    // Some file systems report an error only when the file is closed. So a copy is closed.
    const int copy = ::dup(STDOUT_FILENO);
    if (copy >= 0 && ::close(copy) != 0) fail(errno);
}

bool write_standard_output(const std::string& line) {
    std::size_t written = 0;
    while (written < line.size()) {
        pollfd ready{STDOUT_FILENO, POLLOUT, 0};
        const int found = ::poll(&ready, 1, 0);
        if (found < 0 && errno == EINTR) continue;
        if (found == 0 && written == 0) return false;
        // A pipe that is ready takes so much without waiting.
        const std::size_t size = std::min<std::size_t>(line.size() - written, PIPE_BUF);
        const ssize_t n = ::write(STDOUT_FILENO, line.data() + written, size);
        if (n < 0 && errno == EAGAIN && written == 0) return false;
        if (n < 0 && errno != EINTR) fail(errno);
        if (n > 0) written += static_cast<std::size_t>(n);
    }
    return true;
}

}  // namespace mirrornic
