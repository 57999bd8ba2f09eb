// SPDX-License-Identifier: Apache-2.0
/// The log of the service: one line for each event, on standard error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/base/json_text.hpp"

namespace mirrornic {

/// A line of the log, as members of a JSON object in order.
using LogFields = std::vector<std::pair<std::string, Json>>;
enum class LogLevel { info, warning, error };
using Log = std::function<void(LogLevel, const std::string& message, const LogFields& fields)>;

/// Writes lines in a thread of its own; no call waits. While the reader pauses or is gone, or the
/// disk is full, lines that find no room are lost. Their number is logged when lines can be written
/// again. Thread-safe.
class LogFile {
public:
    static constexpr std::size_t value_bytes = 1024;  ///< of the message, and of each field

    /// @param json true: lines are JSON objects; false: text
    /// @param descriptor not owned, and not closed
    explicit LogFile(bool json, int descriptor = 2);
    ~LogFile();
    LogFile(const LogFile&) = delete;

    /// Values that are longer than value_bytes are cut, and marked so; control characters become
    /// spaces.
    void write(LogLevel level, const std::string& message, const LogFields& fields);
    /// Writes a line as it is.
    void write_raw(const std::string& line);
    /// Logs how many lines were lost since the last call; to be called once a second or so.
    void tick();
    /// Writes what waits, for 0.3 s at most, and ends.
    void close();

    std::optional<std::string> trouble() const;
    std::uint64_t lost() const;  ///< lines

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace mirrornic
