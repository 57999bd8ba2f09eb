// SPDX-License-Identifier: Apache-2.0
/// Checks that no file that a command's options name as output is an input or another output.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mirrornic {

struct NamedFile {
    enum class Use {
        input,          ///< "-" is a file of that name
        input_stream,   ///< "-" is standard input
        output,         ///< "-" is a file of that name
        output_stream,  ///< "-" is standard output
        database        ///< written by SQLite, with its -wal, -shm and -journal files beside it
    };

    std::string option;  ///< "--out"
    std::string path;
    Use use = Use::input;
};

/// Checks that no two options name one file, if at least one of them writes. To be called before
/// any of the files is opened for writing.
/// - Files are compared, not names: by device and inode, so that links and other spellings are
///   found. A file that does not exist yet is compared by its folder's device and inode and its own
///   name.
/// - Character devices, such as /dev/null or a terminal, may be named any number of times. So may
///   files that are only read.
/// - Standard error counts as an output too, except beside "-", so that standard output and
///   standard error may go to one pager.
/// @throws std::invalid_argument that names the file and both options.
void check_files_apart(const std::vector<NamedFile>& files);

/// Adds the file that an option names, if the option was given.
void add_file(std::vector<NamedFile>& files, const std::string& option,
              const std::optional<std::string>& path, NamedFile::Use use);

/// Whether one of the outputs is standard output: "-", /dev/stdout, or the file to which it was
/// redirected. Messages must then go to standard error.
bool writes_standard_output(const std::vector<NamedFile>& files);

}  // namespace mirrornic
