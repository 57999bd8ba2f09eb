// SPDX-License-Identifier: Apache-2.0
/// Reads configuration and credentials again while the service goes on, in a thread of its own.
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

/// Not thread-safe: one thread calls the members. Networks are large, so at most two are held: the
/// one in force and the one that is being read. Before the next is read, listings that still read
/// an older one get 10 s to end, and are then broken off.
class NetworkReload {
public:
    struct Sources {
        std::vector<std::string> configurations;
        std::optional<std::string> credentials;
        bool skip_unresolved = false;
        bool import = false;  ///< the files may have sessions, filters and targets too
    };
    struct Reading {
        std::shared_ptr<const Credentials> credentials;  ///< null: requests need none
        std::shared_ptr<const Network> network;          ///< null: reading has failed
        std::string failure;                             ///< a sentence
    };

    /// @param queue not owned; its listings may read former networks
    /// @param wake is called from the reading thread when take() has something
    NetworkReload(Sources sources, RequestQueue& queue, std::function<void()> wake);

    /// Reads the configuration and waits for it. It is read in the same thread as later ones, so
    /// that these can use the memory again that former ones have freed. @throws ConfigurationError.
    Configuration read_first();
    /// Asks to read again. If that happens while it is being read, it is read once more after that.
    void ask();
    /// Gives what was read, once. The caller puts it in force and then calls taken().
    /// Nothing: nothing new was read.
    std::optional<Reading> take();
    /// Says that what take() gave was put in force or refused.
    /// @param unused the network that is not in force now: the former, or the refused one; or null
    void taken(std::shared_ptr<const Network> unused);
    /// To be called once a second.
    void tend();
    /// Makes reading end soon, with an error.
    void stop() { stop_reading_ = true; }

private:
    Reading read();
    void dispose();

    const Sources sources_;
    RequestQueue& queue_;
    const std::function<void()> wake_;
    std::vector<std::shared_ptr<const Network>> retired_;  ///< listings may still read them
    bool reading_ = false, again_ = false;  ///< it is being read; it must be read again
    std::optional<std::chrono::steady_clock::time_point>
        wait_until_;  ///< for the listings of older networks
    std::atomic<bool> stop_reading_{false};
    std::mutex mutex_;
    std::optional<Reading> read_;  ///< under the mutex
    Worker worker_;                ///< the last member: its thread uses the others
};

}  // namespace mirrornic
