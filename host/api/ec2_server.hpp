// SPDX-License-Identifier: Apache-2.0
/// The EC2 Query API over HTTP: access, wire form and log around the request layer, which takes the
/// requests that wait together. All of it is on the thread that serves HTTP.
/// Source: EC2 Query API reference; docs/behaviour.md rules S5, S7, S8, S10.
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

/// A long listing on its way out, piece by piece.
class ListingStream {
public:
    virtual ~ListingStream() = default;
    /// Whether what was made has gone out, so that more is to be made.
    virtual bool wants() const = 0;
    virtual void go_on(const Portion& portion) = 0;
    /// Nobody will go on with it.
    virtual void give_up() = 0;
};

/// Requests that wait to be handled together, and other jobs. A `Done` or job that goes away
/// without having been called stands for a request that nobody will answer: what it holds must
/// answer then, as what Api puts here does.
class RequestQueue {
public:
    using Done = std::function<void(Reply)>;
    using Job = std::function<void(Requests&)>;

    void handle(Request request, Done done);
    void post(Job job);
    /// Whether nothing waits for perform() or go_on().
    bool empty() const;
    /// Whether something waits that may change the tables.
    bool has_changes() const;
    /// Does what waits. What a request or job throws is thrown when the others have been answered.
    void perform(Requests& requests);
    /// Goes on with one of the listings that perform() has begun, for a few milliseconds. A listing
    /// that is soon at its end is one reply; what is longer comes with Reply::listing, to be given
    /// to follow().
    void go_on();
    /// From then on it is gone on with in its turn, as long as it lives.
    void follow(std::weak_ptr<ListingStream> stream) {
        streams_.push_back({std::move(stream), generation_});
    }
    /// The account has another network: the listings so far are of an older one.
    void begin_generation() { ++generation_; }
    /// Whether a listing of an older network is under way.
    bool has_older() const;
    /// Breaks off the listings of older networks, which shall not be held for ever by who reads
    /// slowly.
    void give_up_older();
    /// Requests that wait, come or were being performed on a stack that will not run again are
    /// answered with Unavailable; jobs are dropped.
    void end();

private:
    std::vector<std::pair<Request, Done>> requests_;
    std::vector<Done> performed_;  ///< of the requests that perform() has in hand
    std::deque<Job> jobs_;         ///< the first one stays while it is done
    struct Begun {
        std::shared_ptr<Listing> listing;
        Done done;
        unsigned generation;
    };
    struct Stream {
        std::weak_ptr<ListingStream> stream;
        unsigned generation;
    };
    std::deque<Begun> begun_;  ///< nothing was sent of them yet
    std::deque<Stream> streams_;
    unsigned generation_ = 0;
    bool streams_turn_ = false;
    bool ended_ = false;
};

class Api {
public:
    struct Options {
        std::string region;
        /// Nothing: requests of this host alone, and unverified.
        std::shared_ptr<const Credentials> credentials;
        /// Reads the next portion of the statistics file's members as of the call with `begin`, and
        /// gives them after the last one. Called by RequestQueue::perform, for one reading at a
        /// time. It throws when the device cannot be read.
        std::function<std::optional<Json>(bool begin)> statistics;
        std::function<std::size_t()> connections;  ///< that are open
        std::function<std::uint64_t()> displaced;  ///< that made room for want of descriptors
        std::string version, map_hash;             ///< what /metrics says of the build
        /// Of the second listener, which serves the pages alone, without credentials: its address,
        /// and names that its requests may have as Host, in lower case.
        IpAddress admin_address;
        std::vector<std::string> admin_hosts;
        const Health* health = nullptr;  ///< never null; outlives the Api
        Log log;
    };

    /// @param queue outlives it
    Api(RequestQueue& queue, Options options);
    ~Api();  ///< ends the queue
    Api(const Api&) = delete;

    /// To be the handler of an HttpServer. A request that is dropped on its way, with the queue or
    /// by an exception, is answered with Unavailable.
    void handle(HttpRequest request, const HttpPeer& peer, HttpServer::Respond respond);
    /// To be the server's OnRefusal.
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
