// SPDX-License-Identifier: Apache-2.0
#include "driver/access/file_lock.hpp"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace mirrornic {
namespace {

/// Finds out which process holds the lock on a file, from the kernel's list of locks.
/// Source: proc(5), /proc/locks: "1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF".
std::string lock_holder(int file) {
    struct stat status {};
    ::fstat(file, &status);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        long pid;
        unsigned major_number, minor_number;
        unsigned long long inode;
        if (std::sscanf(line.c_str(), "%*d: FLOCK %*s %*s %ld %x:%x:%llu", &pid, &major_number,
                        &minor_number, &inode) == 4 &&
            pid > 0 && inode == status.st_ino && major_number == major(status.st_dev) &&
            minor_number == minor(status.st_dev))
            return "process " + std::to_string(pid);
    }
    return "another process";
}

}  // namespace

void lock_file(int file, const std::string& what) {
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return;
    if (errno == EWOULDBLOCK)
        throw std::runtime_error(what + " are in use by " + lock_holder(file));
    throw std::runtime_error(what + " cannot be locked: " + std::strerror(errno));
}

}  // namespace mirrornic
