// SPDX-License-Identifier: Apache-2.0
/// The files that a command's options name: no output may be an input or another output.
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

/// Two options of which at least one writes must not name one file. Names are compared as files:
/// by device and inode, through symbolic and hard links and other spellings; a file that is not
/// there yet by its folder's device and inode and its own name. Character devices (/dev/null, a
/// terminal) and what is only read may be named as often as one likes. Standard error is an output
/// too, but for "-", so that both may go to one pager. To be called before any of the files is
/// opened for writing.
/// @throws std::invalid_argument that names the file and both options.
void check_files_apart(const std::vector<NamedFile>& files);

/// Adds a file that an option names, when it does.
void add_file(std::vector<NamedFile>& files, const std::string& option,
              const std::optional<std::string>& path, NamedFile::Use use);

/// Whether one of the outputs is standard output ("-", /dev/stdout, or the file that it was
/// directed to): messages then go to standard error.
bool writes_standard_output(const std::vector<NamedFile>& files);

}  // namespace mirrornic
