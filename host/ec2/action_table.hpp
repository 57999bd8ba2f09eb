// SPDX-License-Identifier: Apache-2.0
/// The actions of the request layer and their parameters, as one table. All checks of a request
/// that do not need the account's state are made by this table. Source: botocore's service model of
/// EC2 API 2016-11-15 for names and types; docs/behaviour.md rules S1, S2, S5 to S7 for limits.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "host/base/json_text.hpp"

namespace mirrornic {

enum class ParameterType {
    boolean,
    integer,
    string,
    string_list,
    structure,
    structure_list,
    timestamp,  ///< in replies only
};

struct Parameter {
    std::string name;  ///< as botocore's input member
    ParameterType type;
    bool required = false;     ///< by botocore's model, or because the service refuses without
    bool supported = true;     ///< false: botocore has it; answered UnsupportedOperation
    std::int64_t minimum = 0;  ///< integer: value; string: characters; list: elements
    std::int64_t maximum = std::numeric_limits<std::int64_t>::max();
    /// The values that a string, or an element of a list, may have; empty: any.
    std::vector<std::string> values = {};
    std::vector<Parameter> members = {};  ///< of a structure, or list element
    std::string wire = {};                ///< its name in a query; empty: `name`

    const std::string& wire_name() const { return wire.empty() ? name : wire; }
};

/// A filter of a Describe action.
struct FilterName {
    std::string name;  ///< in the request
    /// The member of the reply that it compares: "Structure.Member", or "List.Member", which
    /// compares the member of any element.
    std::string member;
    /// Only the configuration can give the member. The filter is not supported while no object has
    /// it.
    bool configured = false;
};

struct Action {
    std::string name;
    std::vector<Parameter> parameters;
    std::string tagged = "";               ///< resource type of its TagSpecifications
    std::vector<FilterName> filters = {};  ///< of a Describe; tag:KEY is always one
};

/// Whether an action only reads.
inline bool is_read(const std::string& action) { return action.compare(0, 8, "Describe") == 0; }

const std::vector<Action>& actions();
/// Null: there is no such action.
const Action* find_action(const std::string& name);

/// Checks names, types, presence and limits. Returns the parameters without empty lists and
/// structures, because no client can send these on the wire. @throws RequestError.
Json checked_parameters(const Action& action, const Json& parameters);

}  // namespace mirrornic
