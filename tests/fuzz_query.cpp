// SPDX-License-Identifier: Apache-2.0
/// Any bytes as a query: its parameters, or RequestError with a message that XML can carry;
/// whatever else is thrown ends the run. A libFuzzer entry:
///   clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz_query.cpp
///       host/query.cpp host/actions.cpp host/json_text.cpp host/request_error.cpp -lpugixml
///       -o fuzz_query && ./fuzz_query
#include <cstdint>
#include <cstdlib>
#include <pugixml.hpp>

#include "host/api/query_protocol.hpp"

using namespace mirrornic;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

/// The text of the element at the end of the path, as a client reads it.
std::string read_back(const std::string& xml, const char* path) {
    pugi::xml_document document;
    require(
        document.load_buffer(xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata));
    return document.select_node(path).node().text().get();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string form(reinterpret_cast<const char*>(data), size);
    try {
        const Query query(form);
        const auto& action = query.action();
        const auto parameters = checked_parameters(action, query.parameters());
        require(parameters.dump().size() <= 20 * size + 100);
        require(checked_parameters(action, parameters) == parameters);
        if (parameters.contains("Description")) {
            const std::string description = parameters["Description"];
            const auto xml =
                reply_xml(*find_action("CreateTrafficMirrorFilter"),
                          {{"TrafficMirrorFilter", {{"Description", description}}}}, "r");
            require(read_back(xml, "//description") == description);
        }
    } catch (const RequestError& error) {
        const auto xml = error_xml(to_string(error.code), error.what(), "r");
        require(read_back(xml, "//Code") == to_string(error.code));
        require(!read_back(xml, "//Message").empty());
    }
    return 0;
}
