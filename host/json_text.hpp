// SPDX-License-Identifier: Apache-2.0
/// JSON as this project reads it: RFC 8259, with one object never naming a member twice.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace mirrornic {

using Json = nlohmann::json;

/// The text is not the JSON that is wanted; the message says where.
struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// @throws JsonError: a syntax error with line and column, a duplicate member with its path, or
/// more than 64 levels.
Json parse_json(const std::string& text);

/// A value as it can stand in a one-line message, cut when long.
std::string shown(const Json& value);

/// One value as JSON text, with ill-formed UTF-8 replaced.
std::string to_text(const Json& value, int indent = -1);

/// Bytes of the character at `at`, of those that XML 1.0 has, in UTF-8; 0: there is none.
std::size_t xml_character(const std::string& text, std::size_t at);

/// The whole text file in UTF-8, without its byte order mark. UTF-16 with one, which PowerShell's
/// `>` writes, is converted. @throws std::runtime_error that names the file.
std::string read_file(const std::string& name);

}  // namespace mirrornic
