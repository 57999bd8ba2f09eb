// SPDX-License-Identifier: Apache-2.0
/// Text in lines, written as an OutputFile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "host/frames/output_file.hpp"

namespace mirrornic {

/// A text file that is written line by line, as an OutputFile.
class LineWriter {
public:
    explicit LineWriter(const std::optional<std::string>& name,
                        std::unique_ptr<Turns> turns = nullptr, bool live = false);
    bool open() const { return file_ && file_->open(); }
    void line(const std::string& text);
    void end_piece(std::uint64_t piece);
    void flush();
    void close();
    OutputFile* file() { return file_ ? &*file_ : nullptr; }

private:
    std::optional<OutputFile> file_;
};

}  // namespace mirrornic
