// SPDX-License-Identifier: Apache-2.0
/// Shows what the service takes for the API, to be held against botocore's model of it:
///   api_table                the actions with parameters, replies and filters, as JSON
///   api_table query          a form on standard input, as its parameters in JSON
///   api_table reply ACTION   a reply's JSON on standard input, as XML
///   api_table error CODE     a message on standard input, as XML
#include <iostream>
#include <iterator>

#include "host/api/query_protocol.hpp"

using namespace mirrornic;

namespace {

const char* to_string(ParameterType type) {
    switch (type) {
        case ParameterType::boolean:
            return "boolean";
        case ParameterType::integer:
            return "integer";
        case ParameterType::string:
            return "string";
        case ParameterType::string_list:
            return "string list";
        case ParameterType::structure:
            return "structure";
        case ParameterType::structure_list:
            return "structure list";
        case ParameterType::timestamp:
            return "timestamp";
    }
    return "";
}

Json shape(const std::vector<Parameter>& parameters) {
    Json out = Json::array();
    for (const auto& p : parameters)
        out.push_back({{"name", p.name},
                       {"wire", p.wire_name()},
                       {"type", to_string(p.type)},
                       {"required", p.required},
                       {"supported", p.supported},
                       {"minimum", p.minimum},
                       {"maximum", p.maximum},
                       {"values", p.values},
                       {"members", shape(p.members)}});
    return out;
}

Json shape(const std::vector<ReplyMember>& members) {
    Json out = Json::array();
    for (const auto& m : members)
        out.push_back({{"name", m.name},
                       {"wire", m.wire},
                       {"type", to_string(m.type)},
                       {"members", shape(m.members)}});
    return out;
}

Json table() {
    Json out = Json::array();
    for (const auto& action : actions()) {
        Json filters = Json::object();
        for (const auto& filter : action.filters) filters[filter.name] = filter.member;
        out.push_back({{"name", action.name},
                       {"parameters", shape(action.parameters)},
                       {"reply", shape(reply_members(action))},
                       {"filters", filters}});
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "", of = argc > 2 ? argv[2] : "";
    if (mode.empty()) {
        std::cout << table().dump(2) << "\n";
        return 0;
    }
    const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
    if (mode == "query") std::cout << Query(input).parameters() << "\n";
    if (mode == "reply") std::cout << reply_xml(*find_action(of), Json::parse(input), "r-1");
    if (mode == "error") std::cout << error_xml(of, input, "r-1");
}
