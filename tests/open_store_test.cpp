// SPDX-License-Identifier: Apache-2.0
// Stores by their URIs.
#include "host/store/open_store.hpp"

#include "catch.hpp"
#include "folder.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;

namespace {

const StoreOwner owner{"111122223333", "eu-central-1"};

std::string refused(const std::string& uri) {
    try {
        StoreLocation::parse(uri);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a store is a file's name, alone or behind its scheme") {
    for (const char* name :
         {"state", "/var/lib/state.sqlite", "./a:b", "A:b", "C:\\state", "x:y", "9p:z", ":state"}) {
        INFO(name);
        const StoreLocation location = StoreLocation::parse(name);
        REQUIRE(location.scheme == "sqlite");
        REQUIRE(location.place == name);
    }
    const StoreLocation location = StoreLocation::parse("sqlite:/var/lib/a:b");
    REQUIRE(location.scheme == "sqlite");
    REQUIRE(location.place == "/var/lib/a:b");
}

TEST_CASE("an unknown scheme is refused, with the list of those that exist") {
    for (const char* uri : {"etcd:http://127.0.0.1:2379", "sqlit:state", "sqlitee:state", "ab:"}) {
        INFO(uri);
        REQUIRE_THAT(refused(uri),
                     Contains("there is sqlite:") && Contains(std::string("./") + uri));
    }
    REQUIRE_THAT(refused("sqlite:"), Contains("names no file"));
}

TEST_CASE("S8 what was committed to a store by one name is there by another, to read only too") {
    const test::Folder folder;
    const std::string file = (folder.path / "state").string();
    TrafficMirrorFilter filter;
    filter.id = "tmf-0123456789abcdef0";
    filter.sequence = 1;
    Change change;
    change.put.push_back(Object(filter));
    {
        const auto store =
            open_store(StoreLocation::parse("sqlite:" + file), StoreAccess::read_write, owner);
        REQUIRE_FALSE(store->note("imported"));
        store->commit(change, "imported", "7");
    }
    const auto store = open_store(StoreLocation::parse(file), StoreAccess::read_only);
    REQUIRE(store->load().filters().size() == 1);
    REQUIRE(store->note("imported") == "7");
    REQUIRE_THROWS(store->commit({change}));
    REQUIRE_THROWS_AS(open_store(StoreLocation::parse(file), StoreAccess::read_write,
                                 StoreOwner{"444455556666", "eu-central-1"}),
                      StoreError);
}
