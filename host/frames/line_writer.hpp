// SPDX-License-Identifier: Apache-2.0
/// Writes text files line by line.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "host/frames/output_file.hpp"

namespace mirrornic {

/// A text file that is written line by line. Its members do what those of OutputFile do.
class LineWriter {
public:
    /// @param name of the file; nothing: there is none, and nothing is written
    explicit LineWriter(const std::optional<std::string>& name,
                        std::unique_ptr<Turns> turns = nullptr, bool live = false);
    bool open() const { return file_ && file_->open(); }
    void line(const std::string& text);
    void end_piece(std::uint64_t piece);
    void flush();
    void close();
    /// Null: there is no file.
    OutputFile* file() { return file_ ? &*file_ : nullptr; }

private:
    std::optional<OutputFile> file_;
};

}  // namespace mirrornic
