// SPDX-License-Identifier: Apache-2.0
/// Any bytes as a configuration: an account that can be described and whose sessions the tables
/// can hold, or ConfigurationError. A libFuzzer entry (./dev fuzz configuration).
#include <cstdint>
#include <cstdlib>

#include "host/account/desired_tables.hpp"
#include "host/configuration/configuration.hpp"

using namespace mirrornic;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    bool strict = false;
    for (const bool skip_unresolved : {false, true}) {
        try {
            const auto configuration = parse_configuration({{"a.json", text}}, skip_unresolved);
            // What is good as it stands is good when sessions may be left out.
            if (!skip_unresolved) strict = true;
            const Account& account = configuration.account;
            const TableState state = table_state(account);
            for (const auto& [id, session] : state.sessions) {
                require(state.filters.count(session.filter) == 1);
                require(state.interfaces.count(session.interface) == 1);
                require(session.source_address.v6 == session.target_address.v6);
                require(session.mtu >= 576 && session.mtu <= 9216);
                require(session.number >= 1 && session.number <= 32766);
            }
            require(!description_text(description_of(account, TableSizes{})).empty());
            // A file twice is the file: objects merge by their ids.
            const auto twice =
                parse_configuration({{"a.json", text}, {"b.json", text}}, skip_unresolved);
            require(description_of(twice.account, TableSizes{}) ==
                    description_of(account, TableSizes{}));
        } catch (const ConfigurationError& error) {
            require(!std::string(error.what()).empty());
            require(!strict);
        }
    }
    return 0;
}
