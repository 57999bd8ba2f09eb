// SPDX-License-Identifier: Apache-2.0
/// What the device is asked to hold, in the reference model's words.
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
/// With the model's own services and range of source ports.
ReferenceTables reference_tables(const TableState& state);

}  // namespace mirrornic::test
