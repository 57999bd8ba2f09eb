// SPDX-License-Identifier: Apache-2.0
/// The actions of the request layer and their parameters, as one table; everything that can be
/// said of a request without looking at the account's state is checked from it.
/// Source: botocore's service model of EC2 API 2016-11-15 for names and types; docs/behaviour.md
/// rules S1, S2, S5 to S7 for limits.
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
    timestamp,  ///< in replies alone
};

struct Parameter {
    std::string name;  ///< as botocore's input member
    ParameterType type;
    bool required = false;     ///< in its structure; the model's, and what the service insists on
    bool supported = true;     ///< false: the model has it and it is answered UnsupportedOperation
    std::int64_t minimum = 0;  ///< integer: value; string: characters; list: elements
    std::int64_t maximum = std::numeric_limits<std::int64_t>::max();
    std::vector<std::string> values =
        {};  ///< a string's, or list element's, when it is one of a set
    std::vector<Parameter> members = {};  ///< of a structure, or list element
    std::string wire = {};                ///< its name in a query; empty: the same

    const std::string& wire_name() const { return wire.empty() ? name : wire; }
};

/// A filter of a Describe action.
struct FilterName {
    std::string name;    ///< in the request
    std::string member;  ///< of the reply, that it compares: "Structure.Member", and "List.Member"
                         ///< for that of any element
    bool configured = false;  ///< the filter is not supported while no object has the member, which
                              ///< nothing but the configuration can give
};

struct Action {
    std::string name;
    std::vector<Parameter> parameters;
    std::string tagged = "";  ///< the resource type that its TagSpecifications may name
    std::vector<FilterName> filters = {};  ///< of a Describe; tag:KEY is always one
};

/// Whether an action only reads.
inline bool is_read(const std::string& action) { return action.compare(0, 8, "Describe") == 0; }

const std::vector<Action>& actions();
/// nullptr when there is no such action.
const Action* find_action(const std::string& name);

/// Checks names, types, presence and limits, and returns the parameters without empty lists and
/// structures, which no client can send on the wire. @throws RequestError.
Json checked_parameters(const Action& action, const Json& parameters);

}  // namespace mirrornic
