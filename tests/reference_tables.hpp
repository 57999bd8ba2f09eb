// SPDX-License-Identifier: Apache-2.0
/// Translates what the device is asked to hold to the reference model's types.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "driver/tables.hpp"
#include "sim/models/reference_model.hpp"

namespace mirrornic::test {

struct ReferenceTables {
    reference::Tables tables;
    std::map<std::string, std::size_t> interfaces;   ///< into tables.interfaces, by id
    std::vector<std::vector<std::string>> sessions;  ///< ids, by interface, in ascending number
};

reference::Address reference_address(const IpAddress& address);
/// Services and the range of source ports are the model's defaults.
ReferenceTables reference_tables(const TableState& state);

}  // namespace mirrornic::test
