// SPDX-License-Identifier: Apache-2.0
/// The EC2 Query API over HTTP: access, wire form and log around the request layer, which works in
/// a thread of its own and takes the requests that wait there together. Source: EC2 Query API
/// reference; docs/behaviour.md rules S5, S7, S8, S10.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "access.hpp"
#include "http_server.hpp"
#include "query.hpp"
#include "requests.hpp"

namespace mirrornic {

/// Runs requests and jobs one after the other, in a thread of its own.
class ControlThread {
public:
    ControlThread() : thread_([this] { run(); }) {}
    ~ControlThread() { stop(); }

    /// What requests are handled by; until then they wait.
    void open(Requests& requests);
    using Done = std::function<void(Reply)>;  ///< called on the control thread
    void handle(Request request, Done done);
    /// Does a job between requests.
    void post(std::function<void(Requests&)> job);
    /// Ends when what waits is done. Nothing may come after.
    void stop();

private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    Requests* requests_ = nullptr;
    std::vector<std::pair<Request, Done>> waiting_;
    std::vector<std::function<void(Requests&)>> jobs_;
    bool stopping_ = false;
    std::thread thread_;  // last: it uses the others
};

enum class Health { starting, ready, degraded };

/// A line of the log, as members of a JSON object in order.
using LogFields = std::vector<std::pair<std::string, Json>>;
enum class LogLevel { info, warning, error };
using Log = std::function<void(LogLevel, const std::string& message, const LogFields& fields)>;

class Api {
public:
    struct Options {
        std::string region;
        /// Nothing: requests of this host alone, and unverified.
        std::shared_ptr<const Credentials> credentials;
        /// The statistics file's members as they are now; called on the control thread.
        std::function<Json()> statistics;
        Log log;
    };

    Api(ControlThread& control, Options options);

    /// To be called on one thread, as is set_credentials().
    void handle(HttpRequest request, const std::string& peer, HttpServer::Respond respond);
    void set_credentials(std::shared_ptr<const Credentials> credentials) {
        options_.credentials = std::move(credentials);
    }
    void set_health(Health health) { health_ = health; }

private:
    struct Call;
    void handle_action(const std::shared_ptr<Call>& call);
    void handle_page(const std::shared_ptr<Call>& call);
    std::string let_in(const HttpRequest& request) const;
    bool permits(const std::string& key, const std::string& action) const;
    void finish(const std::shared_ptr<Call>& call, HttpReply reply, const std::string& code);
    void fail(const std::shared_ptr<Call>& call, const std::string& code, int status,
              const std::string& message);
    std::string metrics(const Json& statistics);

    ControlThread& control_;
    Options options_;
    std::atomic<Health> health_{Health::starting};
    std::mutex mutex_;                                                     ///< of what follows
    std::map<std::pair<std::string, std::string>, std::uint64_t> served_;  ///< by action and code
};

/// The Prometheus text of a statistics file's members.
std::string metrics_text(const Json& statistics);

}  // namespace mirrornic
