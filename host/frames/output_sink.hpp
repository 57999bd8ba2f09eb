// SPDX-License-Identifier: Apache-2.0
// What the bytes of an output file go through on their way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mirrornic {

/// Where the bytes go, after compression.
class OutputSink {
public:
    virtual ~OutputSink() = default;
    virtual void write(const std::uint8_t* data, std::size_t size) = 0;
    /// What was written since the piece before is this piece. Of a file in pieces, what no piece
    /// ends with is not written.
    virtual void end_piece(std::uint64_t piece) = 0;
    /// All that was written so far can be read from the file.
    virtual void flush() = 0;
    /// Ends the stream and closes the file.
    virtual void close() = 0;
};

/// A sink that compresses as the name's end says (.gz, .zst) and hands on to `file`; `file` itself
/// when the name ends otherwise.
std::unique_ptr<OutputSink> compressed_as(const std::string& name,
                                          std::unique_ptr<OutputSink> file);

}  // namespace mirrornic
