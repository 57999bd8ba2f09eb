// SPDX-License-Identifier: Apache-2.0
/// Where the account's traffic-mirroring objects and client tokens are kept.
#pragma once

#include <stdexcept>

#include "host/account/account.hpp"

namespace mirrornic {

/// The store cannot take a change now, and may later: disk full, overloaded.
struct StoreUnavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
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
};

/// Keeps an account as long as the process lives.
class MemoryStore : public Store {
public:
    explicit MemoryStore(Account account = {}) : account_(std::move(account)) {}
    Account load() override { return account_; }
    void commit(const std::vector<Change>& changes) override {
        for (Change change : changes) account_.apply(change);
    }

private:
    Account account_;
};

}  // namespace mirrornic
