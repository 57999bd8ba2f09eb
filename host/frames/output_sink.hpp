// SPDX-License-Identifier: Apache-2.0
// The stages of an output file: compression, and the file itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mirrornic {

/// A stage that takes bytes and hands them on: a compressor, or the file at the end.
class OutputSink {
public:
    virtual ~OutputSink() = default;
    virtual void write(const std::uint8_t* data, std::size_t size) = 0;
    /// All that was written since the last call is this piece. In a file that is written in pieces,
    /// bytes that belong to no piece are not written.
    virtual void end_piece(std::uint64_t piece) = 0;
    /// Makes all that was written so far readable from the file.
    virtual void flush() = 0;
    /// Ends the stream and closes the file.
    virtual void close() = 0;
};

/// Puts the compressor in front of `file` that the end of the name says (.gz, .zst). Returns `file`
/// itself for any other name.
std::unique_ptr<OutputSink> compressed_as(const std::string& name,
                                          std::unique_ptr<OutputSink> file);

}  // namespace mirrornic
