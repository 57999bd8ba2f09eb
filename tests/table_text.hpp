// SPDX-License-Identifier: Apache-2.0
/// Tables as text, by which two sides can be compared. The text has no ids.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"

namespace mirrornic {

std::string describe(const Filter& filter);
std::string describe(const TableDump::Session& session);
/// By interface index: the resolver, then each slot with its session entry and filter.
std::map<std::uint32_t, std::vector<std::string>> describe(const TableDump& dump);
/// By interface key, as above: what a device that holds the state must show.
std::map<std::string, std::vector<std::string>> describe(const TableState& state);
/// A slot, as it is in both texts above.
std::string describe_slot(std::uint16_t number, const TableDump::Session& session,
                          const Filter& filter);
/// The session entry that a session asks for (P14).
TableDump::Session entry_of(const Session& session);

}  // namespace mirrornic
