// SPDX-License-Identifier: Apache-2.0
#include "host/api/query_protocol.hpp"

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

#include "host/base/ascii.hpp"

namespace mirrornic {
namespace {

using Type = ParameterType;

constexpr const char* api_version = "2016-11-15";

[[noreturn]] void fail(ErrorCode code, const std::string& message) {
    throw RequestError(code, message);
}

// --- Forms in ------------------------------------------------------------------------------------

/// Decodes text of a form, in which "+" is a space.
std::string decoded(std::string text) {
    const std::string sent = text;
    std::replace(text.begin(), text.end(), '+', ' ');
    auto out = percent_decoded(text);
    if (!out)
        fail(ErrorCode::malformed_query_string,
             shown(sent) + ": % is not followed by two hex digits");
    return std::move(*out);
}

/// A parameter of the query, whose name is followed down the action's members, part by part.
struct Field {
    const std::string* name;   ///< the whole name; not owned
    const std::string* value;  ///< as it was sent; not owned
    std::size_t at;            ///< where the rest of the name begins; past its end: there is none

    bool ends() const { return at > name->size(); }
    /// The part of the name up to the next dot, and the field with the rest.
    std::pair<std::string, Field> next() const {
        if (ends()) return {"", *this};
        const auto dot = std::min(name->find('.', at), name->size());
        return {name->substr(at, dot - at), {name, value, dot + 1}};
    }
};
using Fields = std::vector<Field>;

[[noreturn]] void fail_unknown(const Field& field) {
    fail(ErrorCode::unknown_parameter, shown(*field.name) + " is no parameter of this action");
}

/// The index of a list's element, as its number of digits and its digits. So indices of any size
/// are sorted by their value.
using Index = std::pair<std::size_t, std::string>;

Index index_of(const std::string& text, const Field& field) {
    if (text.empty() || text[0] == '0' || text.find_first_not_of("0123456789") != std::string::npos)
        fail_unknown(field);
    return {text.size(), text};
}

/// A boolean or number, if the text reads as one; otherwise the text.
Json read_value(Type type, const std::string& text) {
    if (type == Type::boolean) {
        std::string lower = text;
        for (char& c : lower) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
        if (lower == "true") return true;
        if (lower == "false") return false;
    }
    if (type == Type::integer) {
        std::int64_t number;
        const char* end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, number);
        if (read.ec == std::errc() && read.ptr == end) return number;
    }
    return text;
}

Json read_structure(const std::vector<Parameter>& members, const Fields& fields);

Json read_member(const Parameter& p, const Fields& fields) {
    const auto single = [](Type type, const Fields& of) -> Json {
        // All names are different. So if there are several fields, one of them has a rest.
        for (const auto& field : of)
            if (!field.ends()) fail_unknown(field);
        return read_value(type, *of.front().value);
    };
    switch (p.type) {
        case Type::boolean:
        case Type::integer:
        case Type::string:
        case Type::timestamp:
            return single(p.type, fields);
        case Type::structure:
            return read_structure(p.members, fields);
        case Type::string_list:
        case Type::structure_list:
            break;
    }
    std::map<Index, Fields> elements;
    for (const auto& field : fields) {
        const auto [part, rest] = field.next();
        elements[index_of(part, field)].push_back(rest);
    }
    Json out = Json::array();
    for (const auto& [index, element] : elements)
        out.push_back(p.type == Type::structure_list ? read_structure(p.members, element)
                                                     : single(Type::string, element));
    return out;
}

Json read_structure(const std::vector<Parameter>& members, const Fields& fields) {
    std::map<const Parameter*, Fields> by_member;
    for (const auto& field : fields) {
        const auto [part, rest] = field.next();
        const auto known = std::find_if(members.begin(), members.end(),
                                        [&n = part](const auto& p) { return p.wire_name() == n; });
        if (known == members.end()) fail_unknown(field);
        if (!known->supported)
            fail(ErrorCode::unsupported_operation, *field.name + " is not supported");
        by_member[&*known].push_back(rest);
    }
    Json out = Json::object();
    for (const auto& [member, rests] : by_member) out[member->name] = read_member(*member, rests);
    return out;
}

// --- XML out -------------------------------------------------------------------------------------

using Members = std::vector<ReplyMember>;

/// The text, with U+FFFD in place of what XML cannot hold.
std::string xml_text(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto length = xml_character(text, i);
        if (length)
            out.append(text, i, length);
        else
            out += "\xef\xbf\xbd";
        i += std::max<std::size_t>(length, 1);
    }
    return out;
}

void write_text(pugi::xml_node parent, const std::string& element, const std::string& text) {
    const bool plain =
        std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
    auto written = parent.append_child(element.c_str()).text();
    plain ? written.set(text.c_str()) : written.set(xml_text(text).c_str());
}

void write_structure(pugi::xml_node parent, const Members& members, const Json& value);

void write_member(pugi::xml_node parent, const ReplyMember& member, const Json& value) {
    switch (member.type) {
        case Type::boolean:
        case Type::integer:
            return write_text(parent, member.wire, value.dump());
        case Type::string:
        case Type::timestamp:
            return write_text(parent, member.wire, value.get_ref<const std::string&>());
        case Type::structure:
            return write_structure(parent.append_child(member.wire.c_str()), member.members, value);
        case Type::string_list:
        case Type::structure_list:
            break;
    }
    auto set = parent.append_child(member.wire.c_str());
    for (const auto& element : value)
        if (member.type == Type::string_list)
            write_text(set, "item", element.get_ref<const std::string&>());
        else
            write_structure(set.append_child("item"), member.members, element);
}

void write_structure(pugi::xml_node parent, const Members& members, const Json& value) {
    std::size_t written = 0;
    for (const auto& member : members)
        if (const auto at = value.find(member.name); at != value.end()) {
            write_member(parent, member, *at);
            ++written;
        }
    if (written != value.size())
        throw std::logic_error(std::string(parent.name()) + ": " + shown(value) +
                               " has a member that replies do not");
}

/// Takes what pugixml writes. Tabs and line ends become character references, because a parser
/// would normalize them otherwise. pugixml itself writes none of them between elements here.
struct TextWriter : pugi::xml_writer {
    std::string text;
    void write(const void* data, std::size_t size) override {
        const auto* at = static_cast<const char*>(data);
        const auto* const end = at + size;
        while (at != end) {
            const auto* const space =
                std::find_if(at, end, [](char c) { return c == '\t' || c == '\n' || c == '\r'; });
            text.append(at, space);
            if (space == end) return;
            text += "&#" + std::to_string(int(*space)) + ";";
            at = space + 1;
        }
    }
};

std::string text_of(const pugi::xml_document& document, unsigned more_flags = 0) {
    TextWriter out;
    document.save(out, "", pugi::format_raw | more_flags, pugi::encoding_utf8);
    return std::move(out.text);
}

pugi::xml_node declare(pugi::xml_document& document) {
    auto declaration = document.append_child(pugi::node_declaration);
    declaration.append_attribute("version") = "1.0";
    declaration.append_attribute("encoding") = "UTF-8";
    return document;
}

}  // namespace

Query::Query(const std::string& form) {
    std::size_t count = 0;
    for (std::size_t at = 0; !form.empty() && at <= form.size(); ++count) {
        if (count == parameter_limit)
            fail(ErrorCode::malformed_query_string,
                 "the query has more than " + std::to_string(parameter_limit) + " parameters");
        const auto end = std::min(form.find('&', at), form.size());
        const auto part = form.substr(at, end - at);
        at = end + 1;
        const auto equals = part.find('=');
        if (equals == std::string::npos || equals == 0)
            fail(ErrorCode::malformed_query_string, shown(part) + " does not read NAME=VALUE");
        const auto name = decoded(part.substr(0, equals));
        if (!values_.emplace(name, decoded(part.substr(equals + 1))).second)
            fail(ErrorCode::malformed_query_string, shown(name) + " appears twice");
    }
    const std::string signing = "X-Amz-";
    for (auto at = values_.lower_bound(signing);
         at != values_.end() && at->first.compare(0, signing.size(), signing) == 0;)
        at = values_.erase(at);
}

const Action& Query::action() const {
    const auto value = [&](const char* name) {
        const auto at = values_.find(name);
        return at == values_.end() ? "" : at->second;
    };
    const auto name = value("Action"), version = value("Version");
    if (name.empty()) fail(ErrorCode::missing_action, "the request names no Action");
    if (version != api_version)
        fail(ErrorCode::no_such_version,
             "Version: " + shown(version) + " is not served; " + api_version + " is");
    const auto* action = find_action(name);
    if (!action) fail(ErrorCode::invalid_action, "Action: " + shown(name) + " is not known");
    return *action;
}

Json Query::parameters() const {
    const auto& action = this->action();
    Fields fields;
    for (const auto& [name, value] : values_)
        if (name != "Action" && name != "Version") fields.push_back({&name, &value, 0});
    return read_structure(action.parameters, fields);
}

std::string reply_xml(const Action& action, const Json& body, const std::string& request_id) {
    pugi::xml_document document;
    auto root = declare(document).append_child((action.name + "Response").c_str());
    root.append_attribute("xmlns") =
        (std::string("http://ec2.amazonaws.com/doc/") + api_version + "/").c_str();
    write_text(root, "requestId", request_id);
    const auto& members = reply_members(action);
    if (members.empty()) write_text(root, "return", "true");
    write_structure(root, members, body);
    return text_of(document);
}

ListXml::ListXml(const Action& action, std::string request_id)
    : action_(action), list_(reply_members(action).front()), request_id_(std::move(request_id)) {}

/// The text before the elements, and the text after them.
std::pair<std::string, std::string> ListXml::around(const std::string& next_token) const {
    Json body = Json::object();
    body[list_.name] = Json::array();
    if (!next_token.empty()) body["NextToken"] = next_token;
    const std::string whole = reply_xml(action_, body, request_id_);
    const auto at = whole.find('<' + list_.wire), end = whole.find('>', at) + 1;
    return {whole.substr(0, at) + '<' + list_.wire + '>',
            "</" + list_.wire + '>' + whole.substr(end)};
}

std::string ListXml::items(const Json& items) const {
    pugi::xml_document document;
    for (const auto& item : items)
        write_structure(document.append_child("item"), list_.members, item);
    return text_of(document, pugi::format_no_declaration);
}

std::string error_xml(const std::string& code, const std::string& message,
                      const std::string& request_id) {
    pugi::xml_document document;
    auto response = declare(document).append_child("Response");
    auto error = response.append_child("Errors").append_child("Error");
    write_text(error, "Code", code);
    write_text(error, "Message", message);
    write_text(response, "RequestID", request_id);
    return text_of(document);
}

}  // namespace mirrornic
