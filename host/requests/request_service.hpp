// SPDX-License-Identifier: Apache-2.0
/// The request layer: performs the requests of the EC2 Traffic Mirroring API, whatever form they
/// come in. Requests and replies are JSON with the member names of botocore's `ec2` service model,
/// as the AWS CLI takes them with --cli-input-json and prints them. Source: EC2 API 2016-11-15;
/// docs/behaviour.md rules S1 to S10.
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

/// How many objects there may be (S3).
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
    /// What becomes of a session whose source is missing in a network that replaces another. True:
    /// the session is deleted, as AWS does it. False: it is disabled (H2).
    bool delete_orphans = false;
};

struct Request {
    std::string action;
    Json parameters = Json::object();  ///< botocore's input members
};

/// How much of a listing is made before other requests have their turn.
struct Portion {
    using Clock = std::chrono::steady_clock;
    std::size_t items = std::numeric_limits<std::size_t>::max();
    Clock::time_point until = Clock::time_point::max();
    std::size_t at_least = 0;  ///< so many objects are looked at, whatever the time
};

/// The reply of a Describe, made in portions, in creation order. An object that exists from the
/// first portion to the last comes exactly once. Interfaces and VPCs are shown as they were when
/// the listing began, other objects as they are when their turn comes. It reads the account of the
/// Requests that made it, so it must be used by the same thread and destroyed before that Requests
/// is.
class Listing {
public:
    virtual ~Listing() = default;
    /// The reply's member that holds the list.
    const std::string& member() const { return member_; }
    /// Takes further objects, until the portion is full. False: the listing is at its end.
    bool go_on(const Portion& portion);
    /// Gives away the objects that were taken since the last call.
    Json items() { return std::exchange(items_, Json::array()); }
    std::size_t waiting() const { return items_.size(); }
    /// When the listing is at its end: the token of the next page; empty: there is none.
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
    /// Not null: the reply is not complete. `body` is empty, and the caller goes on with the
    /// listing.
    std::shared_ptr<Listing> listing = nullptr;

    bool ok() const { return code.empty(); }
};

/// A session that is stored and not in force (H2).
struct DisabledSession {
    std::string id;
    std::string why;  ///< and what can be done; a sentence without its full stop
};

/// The reply of a listing that is at its end, with what items() has not given yet.
Reply reply_of(Listing& listing);

/// Performs requests for one account. Not thread-safe: callers on several threads must take turns.
/// It can be neither copied nor moved, because listings read its account until their end.
class Requests {
public:
    /// Brings the data plane to the account's state, as far as it has room (H2).
    /// @param account what the store holds, with the configured interfaces and VPCs
    /// @param store, device not owned; must outlive this object
    /// @throws the device's error
    Requests(Account account, Store& store, Device& device, Settings settings = {});
    ~Requests();
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;

    /// Never throws for what a request asks. A change that is answered with success is stored and
    /// in force for every frame that enters after the call; a request that fails changes nothing.
    Reply handle(const Request& request) { return handle(std::vector{request}).front(); }
    /// The same for requests that came together. Their changes are stored with one commit, and
    /// Describe requests are answered from the state after it.
    /// @param portion how much time and how many objects the Describe requests may take; a listing
    /// that needs more is given back in its reply
    std::vector<Reply> handle(const std::vector<Request>& requests, const Portion& portion = {});

    /// Replaces the interfaces and VPCs. Sessions for which there is no room or no way are
    /// disabled, as at a start (H2). @throws what handle() would answer; then nothing has changed.
    /// @param network not null
    /// @return the ids of sessions that were deleted (Settings::delete_orphans)
    std::vector<std::string> replace_network(std::shared_ptr<const Network> network);

    /// What keeps changes from being made, as a sentence; for /health (H1). It is set by a failure,
    /// and reset when a later attempt has succeeded.
    const std::optional<std::string>& device_trouble() const { return device_trouble_; }
    const std::optional<std::string>& store_trouble() const { return store_trouble_; }
    /// To be called about once a second. After a failure of the device it tries to bring the device
    /// to the account's state; after one of the store it tries to store what is owed (owed_). It
    /// also looks whether the store still holds this account.
    void tend();
    /// To be called when the device was opened again, or is another one: it may hold anything, so
    /// it is brought to the account's state.
    void device_is_new();

    const Account& account() const { return account_; }
    /// What the data plane must hold: all sessions but the disabled ones.
    const TableState& tables() const { return tables_; }
    /// Stored sessions that are not in force, in creation order.
    std::vector<DisabledSession> disabled() const;
    std::size_t disabled_count() const {
        return account_.sessions().size() - tables_.sessions.size();
    }

private:
    // A change is in three places: in memory (account_, tables_, waiting_), in the store and in the
    // device. It is made in this order: memory, a plan for the device, the store, the device (S8).
    // When one refuses it, the places that have it already are set right again:
    // - take_back() undoes it in memory: after any failure, and after a DryRun;
    // - put_back() undoes it in the store: when the device has failed after the store took it;
    // - owed_ is the part of that which the store did not take either, and takes later;
    // - bring_back() brings the device to what memory says, since it may hold a part of the change.

    /// Changes that are made in memory and not stored yet. inverses[i] undoes changes[i].
    struct Batch {
        std::vector<Change> changes, inverses;
        Waiting waiting;  ///< waiting_ as it was before the first change
    };
    /// Performs one request, but for the store and the device: adds its change to the batch.
    Reply perform(const Request& request, Batch& batch, const Portion& portion);
    /// Makes the change in memory and adds it to the batch.
    void make(Change& change, Batch& batch);
    /// Undoes the batch's changes in memory, the newest first, and empties the batch.
    void take_back(Batch& batch);
    /// Stores the batch and puts it in force. If the device fails, all three places are as before
    /// when this throws, or are brought there later (owed_, bring_back()).
    void commit(Batch& batch, const Device::Staged& staged);
    /// Stores owed_ and then the changes, with one commit.
    void keep(const std::vector<Change>& changes);
    /// Undoes in the store what was stored last. What cannot be stored now becomes owed_.
    void put_back(const std::vector<Change>& inverses);
    /// Notes that the device has failed, and that what it holds is unknown.
    void device_failed(const std::exception& error);
    /// Brings the device to tables_, whatever it holds. If that fails, tend() tries again.
    void bring_back();
    /// Replaces waiting_, and brings tables_ up to date with it.
    void wait(const Waiting& waiting);
    /// Puts waiting sessions in force, as far as the device has room for them now (H2).
    void admit();
    /// Prepares tables_ in the device, which changes nothing there.
    Device::Staged stage();

    Account account_;
    /// What the data plane must hold: account_'s sessions without those that have no route and
    /// those of waiting interfaces.
    TableState tables_;
    Waiting waiting_;  ///< interfaces for whose sessions the device has no room (H2)
    /// True: the device holds tables_, except for what touched_ names. False: it may hold anything.
    bool settled_ = true;
    Touched touched_;
    Store& store_;  ///< not owned
    /// What undoes a change that was stored and then failed, as long as the store has not taken it.
    /// It is stored before the next change, by tend() or by the destructor, whichever comes first.
    std::vector<Change> owed_;
    Device& device_;  ///< not owned
    std::optional<std::string> device_trouble_, store_trouble_;
    Settings settings_;
    std::mt19937_64 generator_;  ///< draws ids and VNIs
};

}  // namespace mirrornic
