// SPDX-License-Identifier: Apache-2.0
/// The log of `mirrornic serve`, a line an event, on standard error.
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

/// Writes lines in a thread of its own and waits for nobody. Lines that find no room while their
/// reader pauses or is gone, or while the disk is full, are lost; how many is said when the reader
/// is back. May be called from any thread.
class LogFile {
public:
    static constexpr std::size_t value_bytes = 1024;  ///< of the message, and of each field

    /// @param json lines are JSON objects, else text @param descriptor stays open
    explicit LogFile(bool json, int descriptor = 2);
    ~LogFile();
    LogFile(const LogFile&) = delete;

    /// Longer values are cut, with a mark; control characters are spaces.
    void write(LogLevel level, const std::string& message, const LogFields& fields);
    /// A line as it is.
    void write_raw(const std::string& line);
    /// Says lines that were lost meanwhile; to be called now and then.
    void tick();
    /// Ends it, within 0.3 s.
    void close();

    std::optional<std::string> trouble() const;
    std::uint64_t lost() const;  ///< lines

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace mirrornic
