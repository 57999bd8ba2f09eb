// SPDX-License-Identifier: Apache-2.0
#include "host/frames/line_writer.hpp"

#include <algorithm>

namespace mirrornic {

LineWriter::LineWriter(const std::optional<std::string>& name, std::unique_ptr<Turns> turns,
                       bool live) {
    if (!name) return;
    if (live)
        file_.emplace(OutputFile::live(*name));
    else
        file_.emplace(*name, std::move(turns));
}

void LineWriter::line(const std::string& text) {
    if (!open()) throw CaptureError(file_->name(), "a line was written after the file was closed");
    std::uint8_t* const at = file_->append(text.size() + 1);
    *std::copy(text.begin(), text.end(), at) = '\n';
}

void LineWriter::end_piece(std::uint64_t piece) {
    if (file_) file_->end_piece(piece);
}

void LineWriter::flush() {
    if (file_) file_->flush();
}

void LineWriter::close() {
    if (file_) file_->close();
}

}  // namespace mirrornic
