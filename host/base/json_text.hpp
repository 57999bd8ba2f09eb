// SPDX-License-Identifier: Apache-2.0
/// JSON as this project reads it: RFC 8259, but an object that has two members of one name is an
/// error.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace mirrornic {

using Json = nlohmann::json;
/// For output that people read: members stay in the order in which they were set.
using OrderedJson = nlohmann::ordered_json;

/// The text is not valid JSON; the message says where.
struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// @throws JsonError: a syntax error with line and column, a duplicate member with its path, or
/// more than 64 levels.
Json parse_json(const std::string& text);

/// Gets the members of an object one by one while it is read. Of a member that is a list it gets
/// the elements one by one.
class JsonSink {
public:
    virtual ~JsonSink() = default;
    virtual void list(const std::string& member) = 0;  ///< a list begins
    virtual void element(const std::string& member, std::size_t index, const Json& value) = 0;
    virtual void member(const std::string& name, const Json& value) = 0;  ///< not a list
    virtual void no_object(const Json& value) = 0;  ///< the text is this value, and no object
};
/// The same for a large text: only one element at a time is in memory as a value. When an error is
/// thrown, what stands before it has been given to the sink already.
void parse_json(const std::string& text, JsonSink& sink);
/// The same for a file. The text is not in memory as a whole either, unless it is UTF-16.
/// @throws JsonError; std::runtime_error that names the file when it cannot be read.
void parse_json_file(const std::string& name, JsonSink& sink);

/// A value for a message of one line; a long one is shortened.
std::string shown(const Json& value);

/// A value as JSON text. Ill-formed UTF-8 is replaced.
std::string to_text(const Json& value, int indent = -1);

/// How many bytes the UTF-8 character at `at` has; 0: there is none that XML 1.0 allows.
std::size_t xml_character(const std::string& text, std::size_t at);

/// Reads a whole text file as UTF-8, without a byte order mark. UTF-16 with a byte order mark, as
/// PowerShell's `>` writes it, is converted. @throws std::runtime_error that names the file.
std::string read_file(const std::string& name);

}  // namespace mirrornic
