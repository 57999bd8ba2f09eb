// SPDX-License-Identifier: Apache-2.0
#include "host/store/open_store.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "host/store/sqlite_store.hpp"

namespace mirrornic {
namespace {

struct StoreKind {
    const char* scheme;
    std::unique_ptr<Store> (*open)(const std::string& place, StoreAccess access,
                                   const std::optional<StoreOwner>& owner);
};

std::unique_ptr<Store> open_sqlite(const std::string& place, StoreAccess access,
                                   const std::optional<StoreOwner>& owner) {
    return std::make_unique<SqliteStore>(place,
                                         access == StoreAccess::read_write
                                             ? SqliteStore::Access::read_write
                                             : SqliteStore::Access::read_only,
                                         owner);
}

constexpr StoreKind kinds[] = {{"sqlite", open_sqlite}};

const StoreKind* find(const std::string& scheme) {
    for (const StoreKind& kind : kinds)
        if (scheme == kind.scheme) return &kind;
    return nullptr;
}

/// The scheme of a URI: "sqlite" for "sqlite:state". Nothing for "./a:b" and "C:b": a text with
/// other characters, or with one letter before the colon, is a file's name.
std::optional<std::string> scheme_of(const std::string& uri) {
    const std::size_t colon = uri.find(':');
    if (colon == std::string::npos || colon < 2) return {};
    const std::string scheme = uri.substr(0, colon);
    if (!std::all_of(scheme.begin(), scheme.end(), [](unsigned char c) { return std::islower(c); }))
        return {};
    return scheme;
}

}  // namespace

StoreLocation StoreLocation::parse(const std::string& uri) {
    const auto scheme = scheme_of(uri);
    if (!scheme) return {"sqlite", uri};
    if (!find(*scheme)) {
        std::string known;
        for (const StoreKind& kind : kinds)
            known += (known.empty() ? "" : ", ") + std::string(kind.scheme) + ":";
        throw std::invalid_argument("there is no store " + *scheme + ":; there is " + known +
                                    " (a file whose name begins so is ./" + uri + ")");
    }
    const std::string place = uri.substr(scheme->size() + 1);
    if (place.empty()) throw std::invalid_argument(uri + " names no file");
    return {*scheme, place};
}

std::unique_ptr<Store> open_store(const StoreLocation& location, StoreAccess access,
                                  const std::optional<StoreOwner>& owner) {
    return find(location.scheme)->open(location.place, access, owner);
}

}  // namespace mirrornic
