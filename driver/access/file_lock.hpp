// SPDX-License-Identifier: Apache-2.0
/// One process at a time has a device, or a file.
#pragma once

#include <string>

namespace mirrornic {

/// Takes an advisory lock (flock) on an open file, which ends with it.
/// @param what names the file at the beginning of messages, "the registers PATH", say
/// @throws std::runtime_error when it is locked; the message says by which process.
void lock_file(int file, const std::string& what);

}  // namespace mirrornic
