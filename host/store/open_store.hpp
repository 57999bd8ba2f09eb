// SPDX-License-Identifier: Apache-2.0
/// Opens a store by its URI. There is one kind: `sqlite:FILE`; a text without a scheme is a FILE.
/// To add a kind, add an entry to the table in open_store.cpp.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "host/account/store.hpp"

namespace mirrornic {

/// Where a store is.
struct StoreLocation {
    std::string scheme;  ///< "sqlite"
    std::string place;   ///< what follows the colon; for "sqlite": the file

    /// @throws std::invalid_argument that lists the schemes that exist.
    static StoreLocation parse(const std::string& uri);
};

enum class StoreAccess { read_only, read_write };

/// Opens a store; with read_write it is made if it does not exist. Never returns null.
/// @param owner to whom the store must belong; a new store belongs to them from then on. Nothing,
/// with read_only: it may belong to anybody.
/// @throws StoreError.
std::unique_ptr<Store> open_store(const StoreLocation& location, StoreAccess access,
                                  const std::optional<StoreOwner>& owner = {});

}  // namespace mirrornic
