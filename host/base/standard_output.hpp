// SPDX-License-Identifier: Apache-2.0
/// Standard output as part of what a command was asked for: losing it is a failure.
#pragma once

#include <stdexcept>
#include <string>

namespace mirrornic {

struct StandardOutputError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Of descriptors 0, 1 and 2 those that are closed are opened so that using them fails, and no
/// other file gets their number. To be called before any file is opened.
void open_missing_streams();
/// Prints it, now or by finish_standard_output(), through the C library's buffer; its failure is
/// told with the reason at that moment. @throws StandardOutputError
void print(const std::string& text);
/// What was printed so far is written. @throws StandardOutputError when some of it is lost.
void finish_standard_output();
/// Writes a line now if that can be done without waiting. @return whether it was
/// @throws StandardOutputError when it cannot be written.
bool write_standard_output(const std::string& line);

}  // namespace mirrornic
