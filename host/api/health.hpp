// SPDX-License-Identifier: Apache-2.0
/// The state of the service as /health shows it. Source: docs/behaviour.md rule H1.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace mirrornic {

/// "starting" until the device is open; then "ready", or "degraded" for one or more causes. Each
/// cause is set and cleared only by the part that watches it. So a request that succeeds during a
/// trouble does not hide the trouble. Not thread-safe.
class Health {
public:
    enum class Cause {
        device,  ///< it does not answer, refuses, or does not hold what the account says
        store,   ///< it cannot take a change
        output,  ///< a file of copies, frames or decisions, or the capture, is in trouble
        port,    ///< a live port is down
        log      ///< lines of the log are lost
    };
    static constexpr std::size_t causes = 5;

    /// To be called when the device is open.
    void open() { starting_ = false; }
    bool starting() const { return starting_; }
    bool ready() const { return !starting_ && !degraded(); }

    /// @param trouble one sentence; nothing: there is none
    /// @return whether the trouble began, ended or changed with this call
    bool tell(Cause cause, std::optional<std::string> trouble) {
        auto& told = troubles_[std::size_t(cause)];
        if (told == trouble) return false;
        told = std::move(trouble);
        return true;
    }
    const std::optional<std::string>& trouble(Cause cause) const {
        return troubles_[std::size_t(cause)];
    }
    /// "device", "store", ...
    static const char* name(Cause cause) {
        static constexpr const char* names[causes] = {"device", "store", "output", "port", "log"};
        return names[std::size_t(cause)];
    }

    /// "starting", "ready" or "degraded".
    const char* status() const {
        return starting_ ? "starting" : degraded() ? "degraded" : "ready";
    }
    /// The names of the causes that hold, in the order of Cause.
    std::vector<std::string> held() const {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < causes; ++i)
            if (troubles_[i]) names.emplace_back(name(Cause(i)));
        return names;
    }
    /// The status of the reply: 503 while changes cannot be made, else 200.
    unsigned http_status() const {
        return starting_ || trouble(Cause::device) || trouble(Cause::store) ? 503 : 200;
    }

private:
    bool degraded() const {
        for (const auto& trouble : troubles_)
            if (trouble) return true;
        return false;
    }
    bool starting_ = true;
    std::array<std::optional<std::string>, causes> troubles_;
};

}  // namespace mirrornic
