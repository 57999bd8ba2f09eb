// SPDX-License-Identifier: Apache-2.0
/// The interface of a store: it keeps the account's traffic-mirroring objects and client tokens.
/// Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "host/account/account.hpp"

namespace mirrornic {

/// The store cannot take a change now, but perhaps later: the disk is full, or it is overloaded.
struct StoreUnavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The store cannot be used; the message names it and says what to do.
struct StoreError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The account and region to which a store belongs.
struct StoreOwner {
    std::string account_id, region;
};

class Store {
public:
    virtual ~Store() = default;
    /// The account that is stored, without a network.
    virtual Account load() = 0;
    /// Stores all of the changes, in this order, or none of them. They are durable when the call
    /// returns. @throws StoreUnavailable, or another std::exception when the store failed; then
    /// nothing was stored.
    virtual void commit(const std::vector<Change>& changes) = 0;
    /// Looks whether the store could take a change now. Writes nothing that load() would show.
    /// @throws what commit() throws, when it could not.
    virtual void probe() { commit({}); }
    /// Looks whether the store still holds this account, as far as that can be told quickly.
    /// @throws StoreUnavailable when something else has changed or damaged it.
    virtual void look(const Account&) {}
    /// A note that is stored with the account, such as when it was imported; nothing: there is
    /// none.
    virtual std::optional<std::string> note(const std::string& key) = 0;
    /// Stores the change and the note, or neither.
    virtual void commit(const Change& change, const std::string& key, const std::string& value) = 0;
};

/// A store that lasts as long as this object.
class MemoryStore : public Store {
public:
    explicit MemoryStore(Account account = {}) : account_(std::move(account)) {}
    Account load() override { return account_; }
    void commit(const std::vector<Change>& changes) override {
        for (Change change : changes) account_.apply(change);
    }
    std::optional<std::string> note(const std::string& key) override {
        const auto at = notes_.find(key);
        return at == notes_.end() ? std::nullopt : std::optional(at->second);
    }
    void commit(const Change& change, const std::string& key, const std::string& value) override {
        commit({change});
        notes_[key] = value;
    }

private:
    Account account_;
    std::map<std::string, std::string> notes_;
};

}  // namespace mirrornic
