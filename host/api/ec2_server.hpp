// SPDX-License-Identifier: Apache-2.0
/// The EC2 Query API over HTTP: access control, wire form and log around the request layer
/// (Requests). Requests that wait are performed together, with one commit. Everything here runs on
/// one thread, the one that serves HTTP. Source: EC2 Query API reference; docs/behaviour.md rules
/// S5, S7, S8, S10.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/access/access.hpp"
#include "host/api/health.hpp"
#include "host/api/log.hpp"
#include "host/api/metrics.hpp"
#include "host/api/query_protocol.hpp"
#include "host/http/http_server.hpp"
#include "host/requests/request_service.hpp"

namespace mirrornic {

/// A long listing that is being sent, piece by piece.
class ListingStream {
public:
    virtual ~ListingStream() = default;
    /// Whether the piece that was made has been sent, so that the next one can be made.
    virtual bool wants() const = 0;
    /// Makes the next piece.
    virtual void go_on(const Portion& portion) = 0;
    /// Breaks the listing off.
    virtual void give_up() = 0;
};

/// Requests that wait to be performed together, and other jobs. Not thread-safe. A `Done` or job
/// may be destroyed without having been called, so what it holds must answer its request then, as
/// what Api puts here does.
class RequestQueue {
public:
    using Done = std::function<void(Reply)>;
    using Job = std::function<void(Requests&)>;

    /// Adds a request. @param done is called with its reply, once, by perform() or go_on().
    void handle(Request request, Done done);
    /// Adds a job, which perform() calls.
    void post(Job job);
    /// Whether nothing waits for perform() or go_on().
    bool empty() const;
    /// Whether a request or job waits that may change the tables.
    bool has_changes() const;
    /// Performs all requests and jobs that wait. If one throws, the others are answered first, and
    /// then this throws.
    void perform(Requests& requests);
    /// Goes on with one of the listings that perform() has begun, for a few milliseconds. A short
    /// listing becomes one reply. A longer one is given in Reply::listing, and whoever sends it
    /// calls follow().
    void go_on();
    /// From now on go_on() also goes on with this stream in its turn, as long as the stream exists.
    void follow(std::weak_ptr<ListingStream> stream) {
        streams_.push_back({std::move(stream), generation_});
    }
    /// To be called when the account got another network: all listings so far are of an older one.
    void begin_generation() { ++generation_; }
    /// Whether a listing of an older network is under way.
    bool has_older() const;
    /// Breaks off the listings of older networks, so that a slow reader does not keep an old
    /// network in memory for ever.
    void give_up_older();
    /// Answers with Unavailable all requests that wait, that will come, or that perform() had in
    /// hand when its stack was lost (a simulation that failed). Jobs are dropped.
    void end();

private:
    std::vector<std::pair<Request, Done>> requests_;
    std::vector<Done> performed_;  ///< of requests that perform() has in hand
    std::deque<Job> jobs_;         ///< the first one stays while it runs
    struct Begun {
        std::shared_ptr<Listing> listing;
        Done done;
        unsigned generation;
    };
    struct Stream {
        std::weak_ptr<ListingStream> stream;
        unsigned generation;
    };
    std::deque<Begun> begun_;  ///< listings of which nothing was sent
    std::deque<Stream> streams_;
    unsigned generation_ = 0;
    bool streams_turn_ = false;  ///< the last go_on() was for streams_
    bool ended_ = false;
};

/// Answers HTTP requests: checks who sends them, hands actions to the queue, and serves the pages
/// /health, /metrics and /stats. Not thread-safe.
class Api {
public:
    struct Options {
        std::string region;
        /// Null: only requests of this host are let in, and they are not verified.
        std::shared_ptr<const Credentials> credentials;
        /// Reads the next portion of the statistics, as of the call with `begin`. Returns nothing
        /// until the last portion was read, and then all members of a statistics file. Called by
        /// RequestQueue::perform, for one reading at a time. Throws when the device cannot be read.
        std::function<std::optional<Json>(bool begin)> statistics;
        std::function<std::size_t()> connections;  ///< that are open
        std::function<std::uint64_t()> displaced;  ///< those closed for want of descriptors
        std::string version, map_hash;             ///< what /metrics says of the build
        /// The second listener serves only the pages, without credentials. This is its address, and
        /// the names that its requests may have as Host, in lower case.
        IpAddress admin_address;
        std::vector<std::string> admin_hosts;
        const Health* health = nullptr;  ///< must not be null; not owned
        Log log;
    };

    /// @param queue not owned; must outlive this object
    Api(RequestQueue& queue, Options options);
    ~Api();  ///< ends the queue
    Api(const Api&) = delete;

    /// The Handler of an HttpServer. A request that is lost on its way, because the queue is
    /// destroyed or by an exception, is answered with Unavailable.
    void handle(HttpRequest request, const HttpPeer& peer, HttpServer::Respond respond);
    /// The OnRefusal of an HttpServer.
    void refused(const HttpPeer& peer, const std::string& why, HttpReply& reply);
    void set_credentials(std::shared_ptr<const Credentials> credentials) {
        options_.credentials = std::move(credentials);
    }

private:
    struct Call;
    /// Pages that wait for the same counters.
    struct Reading {
        std::vector<std::shared_ptr<Call>> calls;
    };
    enum class Kind { refused, read, change, page };
    void handle_action(const std::shared_ptr<Call>& call);
    void refuse_method(Call& call, bool page);
    void handle_admin(const std::shared_ptr<Call>& call);
    void handle_page(const std::shared_ptr<Call>& call);
    bool is_admin_host(const std::string& name, const std::optional<IpAddress>& address) const;
    void read_counters(const std::shared_ptr<Reading>& reading, Requests& requests);
    void finish_metrics(Call& call, const Requests* requests, const Json* statistics);
    std::string let_in(const HttpRequest& request) const;
    void check_permission(const Call& call) const;  ///< @throws RequestError
    void finish(Call& call, HttpReply reply, const std::string& code);
    void fail(Call& call, const std::string& code, int status, const std::string& message);
    void fail(Call& call, ErrorCode code, const std::string& message);

    RequestQueue& queue_;
    Options options_;
    std::map<std::pair<std::string, std::string>, std::uint64_t> served_;  ///< by action and code
    std::array<Histogram, 4> durations_;                                   ///< by Kind
    std::weak_ptr<Reading> next_reading_, reading_in_hand_;                ///< held by their jobs
};

}  // namespace mirrornic
