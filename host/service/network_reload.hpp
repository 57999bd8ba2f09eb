// SPDX-License-Identifier: Apache-2.0
/// Reads configuration and credentials again, in a thread of its own, beside what is going on.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host/access/access.hpp"
#include "host/account/network.hpp"
#include "host/api/ec2_server.hpp"
#include "host/base/worker.hpp"
#include "host/configuration/configuration.hpp"

namespace mirrornic {

/// Not thread-safe: one thread uses it. At most two networks are held, the present one and the one
/// that is read; listings that read an older one come to their end first, for 10 s at most.
class NetworkReload {
public:
    struct Sources {
        std::vector<std::string> configurations;
        std::optional<std::string> credentials;
        bool skip_unresolved = false;
        bool import = false;  ///< a configuration may have sessions, filters and targets
    };
    struct Reading {
        std::shared_ptr<const Credentials> credentials;  ///< null: none are asked for
        std::shared_ptr<const Network> network;          ///< null: reading has failed
        std::string failure;                             ///< a sentence
    };

    /// @param queue whose listings may read former networks
    /// @param wake is called from the reading thread when take() has something
    NetworkReload(Sources sources, RequestQueue& queue, std::function<void()> wake);

    /// Reads the configuration, in the thread that reads the later ones: they then find the room in
    /// memory that former ones have left. Waits for it. @throws ConfigurationError.
    Configuration read_first();
    /// Reads again. Who asks while it is being read is remembered.
    void ask();
    /// What was read, once. The caller puts it in force, and then calls taken().
    std::optional<Reading> take();
    /// @param unused the network that is no longer in force, or was not taken; or null
    void taken(std::shared_ptr<const Network> unused);
    /// To be called once a second.
    void tend();
    /// What is being read ends soon, with an error.
    void stop() { stop_reading_ = true; }

private:
    Reading read();
    void dispose();

    const Sources sources_;
    RequestQueue& queue_;
    const std::function<void()> wake_;
    std::vector<std::shared_ptr<const Network>> retired_;  ///< that listings may still read
    bool reading_ = false, again_ = false;                 ///< it is being read; it is to be read
    std::optional<std::chrono::steady_clock::time_point> wait_until_;  ///< for older listings
    std::atomic<bool> stop_reading_{false};
    std::mutex mutex_;
    std::optional<Reading> read_;  ///< under the mutex
    Worker worker_;                ///< ends first: what it does uses the others
};

}  // namespace mirrornic
