// SPDX-License-Identifier: Apache-2.0
/// Standard output as a result of a command: if it cannot be written, the command fails.
#pragma once

#include <stdexcept>
#include <string>

namespace mirrornic {

struct StandardOutputError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Opens those of the descriptors 0, 1 and 2 that are closed, in a way that using them fails.
/// Otherwise the next file to be opened would get their number, and messages would be written to
/// it. To be called before any file is opened.
void open_missing_streams();
/// Prints a text through the C library's buffer, so it may be written only by
/// finish_standard_output(). @throws StandardOutputError with the reason, when writing fails.
void print(const std::string& text);
/// Writes all that was printed so far. @throws StandardOutputError when some of it is lost.
void finish_standard_output();
/// Writes a line now if that can be done without waiting. @return whether it was
/// @throws StandardOutputError when it cannot be written.
bool write_standard_output(const std::string& line);

}  // namespace mirrornic
