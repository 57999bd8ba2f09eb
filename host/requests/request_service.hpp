// SPDX-License-Identifier: Apache-2.0
/// Session requests: the EC2 Traffic Mirroring API without its wire form. Requests and replies
/// are JSON with the member names of botocore's `ec2` service model, as the AWS CLI takes them
/// with --cli-input-json and prints them.
/// Source: EC2 API 2016-11-15; docs/behaviour.md rules S1 to S10.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "host/account/account.hpp"
#include "host/account/desired_tables.hpp"
#include "host/account/device.hpp"
#include "host/account/store.hpp"
#include "host/ec2/action_table.hpp"
#include "host/ec2/request_error.hpp"

namespace mirrornic {

/// How much a request may bring about (S3).
struct Quotas {
    std::size_t sessions_per_interface = 3;
    std::size_t sources_per_target = 10;  ///< distinct sources of a target that is an interface
    std::size_t rules_per_filter = 10;    ///< both directions together
    std::size_t sessions = 10000;
    std::size_t targets = 10000;
    std::size_t filters = 10000;

    /// Sets one from "NAME=N": sessions-per-interface, sources-per-target, rules-per-filter,
    /// sessions, targets, filters. @throws std::invalid_argument that lists the names.
    void set(const std::string& assignment);
};

struct Settings {
    std::string account_id = "000000000000";  ///< OwnerId of what is created
    std::uint64_t seed = 1;                   ///< of ids and VNIs: equal seeds, equal results
    Quotas quotas;
    std::chrono::seconds token_life = std::chrono::hours(24);  ///< of client tokens (S6)
    std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
    /// Other interfaces take the sessions of a source that is gone with them, as AWS does; else
    /// those are disabled (H2).
    bool delete_orphans = false;
};

struct Request {
    std::string action;
    Json parameters = Json::object();  ///< botocore's input members
};

/// How much of a listing is made before others have their turn.
struct Portion {
    using Clock = std::chrono::steady_clock;
    std::size_t items = std::numeric_limits<std::size_t>::max();
    Clock::time_point until = Clock::time_point::max();
    std::size_t at_least = 0;  ///< objects are looked at whatever the time
};

/// What a Describe shows, made in portions: objects in creation order, of which each that exists
/// throughout comes once. Interfaces and VPCs are those of its begin; of other objects it shows
/// what they are when their turn comes.
class Listing {
public:
    virtual ~Listing() = default;
    /// The reply's member that holds the list.
    const std::string& member() const { return member_; }
    /// Takes what comes next, until the portion is full. False: that was the end.
    bool go_on(const Portion& portion);
    /// What was taken since the last call.
    Json items() { return std::exchange(items_, Json::array()); }
    std::size_t waiting() const { return items_.size(); }
    /// At the end: of the next page; empty: there is none.
    const std::string& next_token() const { return next_; }

protected:
    explicit Listing(std::string member) : member_(std::move(member)) {}
    /// Looks at the next object. False: there is none, or the page is full.
    virtual bool step() = 0;

    Json items_ = Json::array();
    std::string next_;

private:
    std::string member_;
};

struct Reply {
    Json body = Json::object();  ///< botocore's output members
    int status = 200;            ///< of HTTP
    std::string code = {};       ///< empty: success
    std::string message = {};
    std::shared_ptr<Listing> listing = nullptr;  ///< is to go on: `body` is empty as yet

    bool ok() const { return code.empty(); }
};

/// A session that is stored and not in force (H2).
struct DisabledSession {
    std::string id;
    std::string why;  ///< and what to do; a sentence without its full stop
};

/// The reply of a listing that is at its end, with what items() has not given yet.
Reply reply_of(Listing& listing);

/// Takes requests for one account, one at a time; callers on several threads must take turns.
/// The account stays where it is: listings read it until their end.
class Requests {
public:
    /// @param account what the store holds, and the configured interfaces and VPCs
    /// Brings the data plane to the account's state, as far as it has room (H2). @throws the
    /// device's error.
    Requests(Account account, Store& store, Device& device, Settings settings = {});
    ~Requests();
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;

    /// Never throws for what a request asks. A change that is answered with success is stored and
    /// in force for every frame that enters after the call; a request that fails changes nothing.
    Reply handle(const Request& request) { return handle(std::vector{request}).front(); }
    /// The same for requests that came together: their changes are stored with one commit. Describe
    /// requests are answered from the state after it.
    /// @param portion of time and items for all of them together; a listing that needs more is
    /// given back in its reply
    std::vector<Reply> handle(const std::vector<Request>& requests, const Portion& portion = {});

    /// Takes other interfaces and VPCs, and disables sessions as a start does (H2). Throws as
    /// handle() answers; then all is as it was.
    /// @return the ids of sessions that were deleted (Settings::delete_orphans)
    std::vector<std::string> replace_network(std::shared_ptr<const Network> network);

    /// What keeps changes from being made: a sentence each from the failure on until a later try
    /// succeeded. To be asked by /health (H1).
    const std::optional<std::string>& device_trouble() const { return device_trouble_; }
    const std::optional<std::string>& store_trouble() const { return store_trouble_; }
    /// To be called now and then. After a failure it tries to bring the device to the account's
    /// state, and to write what the store owes; nothing is done while there is no trouble.
    void tend();
    /// The data plane is another device from now on, which may hold anything.
    void device_is_new();

    const Account& account() const { return account_; }
    /// What is in force.
    const TableState& tables() const { return tables_; }
    /// Stored sessions that are not in force, in creation order.
    std::vector<DisabledSession> disabled() const;
    std::size_t disabled_count() const {
        return account_.sessions().size() - tables_.sessions.size();
    }

private:
    /// Changes that are made in memory and not stored yet, and what takes each back.
    struct Batch {
        std::vector<Change> changes, inverses;
        Waiting waiting;  ///< before the first of them
    };
    Reply perform(const Request& request, Batch& batch, const Portion& portion);
    void make(Change& change, Batch& batch);
    void take_back(Batch& batch);
    void commit(Batch& batch, const Device::Staged& staged);
    void keep(const std::vector<Change>& changes);
    void put_back(const std::vector<Change>& inverses);
    void device_failed(const std::exception& error);
    void bring_back();
    void wait(const Waiting& waiting);
    void admit();
    Device::Staged stage();

    Account account_;
    TableState tables_;  ///< of account_, without the sessions of waiting interfaces
    Waiting waiting_;
    bool settled_ = true;  ///< the data plane holds tables_ but for what was touched
    Touched touched_;
    Store& store_;
    std::vector<Change> owed_;  ///< what takes back a change that failed, and is not stored yet
    Device& device_;
    std::optional<std::string> device_trouble_, store_trouble_;
    Settings settings_;
    std::mt19937_64 generator_;  ///< draws ids and VNIs
};

}  // namespace mirrornic
