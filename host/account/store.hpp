// SPDX-License-Identifier: Apache-2.0
/// Where the account's traffic-mirroring objects and client tokens are kept.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "host/account/account.hpp"

namespace mirrornic {

/// The store cannot take a change now, and may later: disk full, overloaded.
struct StoreUnavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The store cannot be used; the message names it and says what to do.
struct StoreError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Whom a store belongs to, once it is made.
struct StoreOwner {
    std::string account_id, region;
};

class Store {
public:
    virtual ~Store() = default;
    /// What is stored.
    virtual Account load() = 0;
    /// Keeps all of the changes, one after the other, or nothing; they are kept when the call
    /// returns. @throws StoreUnavailable, or another std::exception when the store failed.
    virtual void commit(const std::vector<Change>& changes) = 0;
    /// Returns when the store could take a change now. Writes nothing that load() would show.
    /// @throws what commit() throws.
    virtual void probe() { commit({}); }
    /// Returns when what is stored is still this account, as far as that can be told without much
    /// work. @throws StoreUnavailable: something else has changed or damaged it.
    virtual void look(const Account&) {}
    /// A note that stays with the store, such as when it was imported into.
    virtual std::optional<std::string> note(const std::string& key) = 0;
    /// Keeps the change and the note, or nothing.
    virtual void commit(const Change& change, const std::string& key, const std::string& value) = 0;
};

/// Keeps an account as long as the process lives.
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
