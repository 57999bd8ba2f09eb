// SPDX-License-Identifier: Apache-2.0
/// JSON as this project reads it: RFC 8259, with one object never naming a member twice.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace mirrornic {

using Json = nlohmann::json;
/// What people read: members in the order in which they are set.
using OrderedJson = nlohmann::ordered_json;

/// The text is not the JSON that is wanted; the message says where.
struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// @throws JsonError: a syntax error with line and column, a duplicate member with its path, or
/// more than 64 levels.
Json parse_json(const std::string& text);

/// Takes what an object holds, one member at a time, and of members that are lists one element.
class JsonSink {
public:
    virtual ~JsonSink() = default;
    virtual void list(const std::string& member) = 0;  ///< begins
    virtual void element(const std::string& member, std::size_t index, const Json& value) = 0;
    virtual void member(const std::string& name, const Json& value) = 0;  ///< that is no list
    virtual void no_object(const Json& value) = 0;  ///< the text is another value, as a whole
};
/// The same without a value of the whole text: memory is taken for one element at a time. What
/// stands before an error has been handed on when it is thrown.
void parse_json(const std::string& text, JsonSink& sink);
/// Of a file, of which only UTF-16 is held as a whole. @throws also std::runtime_error that names
/// it when it cannot be read.
void parse_json_file(const std::string& name, JsonSink& sink);

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
