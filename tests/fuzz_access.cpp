// SPDX-License-Identifier: Apache-2.0
/// Any bytes as a request: it is let in with a known key or kept out with AccessDenied; whatever
/// else is thrown ends the run. A libFuzzer entry:
///   clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz_access.cpp
///       host/access.cpp host/json_text.cpp -lcrypto -o fuzz_access && ./fuzz_access
/// The input's lines are method, path, query and headers ("Name: value") up to an empty line; what
/// follows is the body.
#include <cstdint>
#include <cstdlib>

#include "host/access/access.hpp"

using namespace mirrornic;

namespace {

std::string take_line(std::string& text) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.erase(0, end == std::string::npos ? end : end + 1);
    return line;
}

HttpRequest request_of(std::string text) {
    HttpRequest request;
    request.method = take_line(text);
    request.path = take_line(text);
    request.query = take_line(text);
    for (std::string line; !(line = take_line(text)).empty();) {
        const auto colon = line.find(':');
        if (colon == std::string::npos)
            request.headers.emplace_back(line, "");
        else
            request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    }
    request.body = text;
    return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto credentials = Credentials::parse("keys.json", R"({"Credentials": [
        {"AccessKeyId": "AKIDEXAMPLE",
         "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
         "Policy": {"Statement": []}},
        {"AccessKeyId": "TEMPORARY",
         "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
         "SessionToken": "AQoDYXdzEPT//////////wEXAMPLE+token==",
         "Policy": {"Statement": []}}]})");
    const std::chrono::system_clock::time_point now{std::chrono::seconds(1440938160)};
    try {
        const auto key = credentials.authenticate(
            request_of({reinterpret_cast<const char*>(data), size}), "us-east-1", now);
        if (key != "AKIDEXAMPLE" && key != "TEMPORARY") std::abort();
    } catch (const AccessDenied&) {
    }
    return 0;
}
