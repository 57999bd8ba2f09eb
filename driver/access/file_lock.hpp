// SPDX-License-Identifier: Apache-2.0
/// A lock on an open file, so that one process at a time uses a device or a file.
#pragma once

#include <string>

namespace mirrornic {

/// Takes an advisory lock (flock) on an open file. The lock ends when the file is closed.
/// @param file a descriptor, which stays the caller's
/// @param what names the file at the beginning of messages, such as "the registers PATH"
/// @throws std::runtime_error when it is locked; the message says by which process.
void lock_file(int file, const std::string& what);

}  // namespace mirrornic
