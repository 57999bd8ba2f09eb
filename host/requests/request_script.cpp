// SPDX-License-Identifier: Apache-2.0
#include "host/requests/request_script.hpp"

#include <cmath>
#include <set>
#include <sstream>

#include "host/ec2/request_error.hpp"

namespace mirrornic {
namespace {

/// One `${...}` that names nothing.
struct Unresolved : std::runtime_error {
    using std::runtime_error::runtime_error;
};

bool is_name(const std::string& text) {
    return !text.empty() && (text[0] < '0' || text[0] > '9') &&
           text.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               std::string::npos;
}

/// Splits a string at its references. Calls `literal(text)` and `reference(text)` in order, the
/// latter with what stands between the braces. @throws Unresolved when a brace is not closed.
template <class Literal, class Reference>
void split(const std::string& text, Literal literal, Reference reference) {
    std::string plain;
    for (std::size_t i = 0; i < text.size();) {
        if (text.compare(i, 3, "$${") == 0) {
            plain += "${";
            i += 3;
        } else if (text.compare(i, 2, "${") == 0) {
            const auto end = text.find('}', i);
            if (end == std::string::npos) throw Unresolved(shown(text) + " has a ${ without }");
            if (!plain.empty()) literal(plain);
            plain.clear();
            reference(text.substr(i + 2, end - i - 2));
            i = end + 1;
        } else {
            plain += text[i++];
        }
    }
    if (!plain.empty()) literal(plain);
}

/// Calls `visit` for every string in the value, keys aside.
template <class Value, class Visit>
void each_string(Value& value, const Visit& visit) {
    if (value.is_string())
        visit(value);
    else if (value.is_structured())
        for (auto& element : value) each_string(element, visit);
}

std::string first_part(const std::string& reference) {
    return reference.substr(0, reference.find_first_of(".["));
}

/// Follows "name.Member.List[0]" from the reply's root.
const Json& follow(const Json& root, const std::string& reference) {
    const Json* at = &root;
    std::size_t i = first_part(reference).size();
    const auto fail = [&] {
        throw Unresolved("${" + reference + "} names nothing in the reply " + shown(root));
    };
    while (i < reference.size()) {
        const bool index = reference[i] == '[';
        const auto end = index ? reference.find(']', i) : reference.find_first_of(".[", i + 1);
        const auto step = reference.substr(i + 1, end == std::string::npos ? end : end - i - 1);
        if (index) {
            const bool number = !step.empty() && step.size() <= 6 && end != std::string::npos &&
                                step.find_first_not_of("0123456789") == std::string::npos;
            if (!number || !at->is_array() || std::stoul(step) >= at->size()) fail();
            at = &(*at)[std::stoul(step)];
        } else {
            if (!at->is_object() || !at->contains(step)) fail();
            at = &(*at)[step];
        }
        i = end == std::string::npos ? reference.size() : end + (index ? 1 : 0);
        if (i < reference.size() && reference[i] != '.' && reference[i] != '[') fail();
    }
    return *at;
}

}  // namespace

Json RequestOutcome::record() const {
    Json out = {{"Line", line}, {"Action", action}};
    if (reply.ok())
        out["Reply"] = reply.body;
    else
        out["Error"] = {{"Code", reply.code}, {"Message", reply.message}};
    if (!expected_error.empty()) out["ExpectError"] = expected_error;
    return out;
}

RequestFile RequestFile::read(const std::string& file) {
    try {
        return parse(file, read_file(file));
    } catch (const RequestFileError&) {
        throw;
    } catch (const std::runtime_error& error) {
        throw RequestFileError(error.what());
    }
}

RequestFile RequestFile::parse(const std::string& name, const std::string& text) {
    RequestFile file;
    file.name_ = name;
    std::istringstream in(text);
    std::set<std::string> names;
    std::uint64_t last_frame = 0;
    double last_seconds = -std::numeric_limits<double>::infinity();
    std::size_t number = 0;
    for (std::string raw; std::getline(in, raw);) {
        ++number;
        if (raw.find_first_not_of(" \t\r") == std::string::npos) continue;
        const auto fail = [&](const std::string& why) {
            throw RequestFileError(name + ":" + std::to_string(number) + ": " + why);
        };
        Json json;
        try {
            json = parse_json(raw);
        } catch (const JsonError& error) {
            // The column counts; the line is always the first of its own text.
            const std::string what = error.what(), first = "line 1, ";
            fail(what.compare(0, first.size(), first) == 0 ? what.substr(first.size()) : what);
        }
        if (!json.is_object()) fail(shown(json) + " is not an object with an Action");

        Line line;
        line.number = number;
        const auto take = [&](const char* member) {
            Json value;
            if (const auto at = json.find(member); at != json.end()) {
                value = *at;
                if (value.is_null()) fail(std::string(member) + ": null has no meaning");
                json.erase(at);
            }
            return value;
        };
        const Json action = take("Action"), frame = take("AtFrame"), seconds = take("AtTime"),
                   as = take("As"), expected = take("ExpectError");
        if (!action.is_string()) fail("Action: a request needs one, as a string");
        line.request.action = action;
        if (!frame.is_null() && !seconds.is_null()) fail("AtFrame and AtTime exclude each other");
        if (!frame.is_null()) {
            if (!frame.is_number_unsigned() || frame == 0)
                fail("AtFrame: " + shown(frame) + " is not a whole number from 1");
            line.frame = frame;
            if (line.frame < last_frame)
                fail("AtFrame: " + shown(frame) + " is before the " + std::to_string(last_frame) +
                     " of an earlier line; requests are performed in file order");
            last_frame = line.frame;
        }
        if (!seconds.is_null()) {
            if (!seconds.is_number() || seconds.get<double>() < 0 ||
                !std::isfinite(seconds.get<double>()))
                fail("AtTime: " + shown(seconds) + " is not a number of seconds from 0");
            line.seconds = seconds;
            if (line.seconds < last_seconds)
                fail("AtTime: " + shown(seconds) + " is before the " + shown(last_seconds) +
                     " of an earlier line; requests are performed in file order");
            last_seconds = line.seconds;
        }
        if (!expected.is_null()) {
            if (!expected.is_string() || !is_error_code(expected))
                fail("ExpectError: " + shown(expected) + " is no error code of this API");
            line.expected_error = expected;
        }
        try {
            each_string(json, [&](const Json& value) {
                split(
                    value, [](const std::string&) {},
                    [&](const std::string& reference) {
                        if (!names.count(first_part(reference)))
                            throw Unresolved("${" + reference + "}: no earlier line has \"As\": " +
                                             shown(first_part(reference)));
                    });
            });
        } catch (const Unresolved& error) {
            fail(error.what());
        }
        if (!as.is_null()) {
            if (!as.is_string() || !is_name(as))
                fail("As: " + shown(as) + " is not a name of letters, digits, _ and -");
            line.as = as;
            if (!names.insert(line.as).second)
                fail("As: " + shown(as) + " is already the name of an earlier line's reply");
        }
        line.request.parameters = std::move(json);
        file.lines_.push_back(std::move(line));
    }
    return file;
}

RequestOutcome RequestFile::perform_next(Requests& requests) {
    const Line& line = lines_.at(next_++);
    RequestOutcome out;
    out.line = line.number;
    out.action = line.request.action;
    out.expected_error = line.expected_error;
    Request request = line.request;
    try {
        each_string(request.parameters, [&](Json& value) {
            std::string text;
            Json whole;  // the value, while the string was one reference alone
            std::size_t parts = 0;
            split(
                value.get<std::string>(),
                [&](const std::string& literal) {
                    text += literal;
                    ++parts;
                },
                [&](const std::string& reference) {
                    const auto& reply = replies_.at(first_part(reference));
                    if (!reply)
                        throw Unresolved("${" + reference + "}: the request of this name failed");
                    whole = follow(*reply, reference);
                    text += whole.is_string() ? whole.get<std::string>() : to_text(whole);
                    if (++parts > 1) whole = nullptr;
                });
            value = parts == 1 && !whole.is_null() ? whole : Json(text);
        });
        out.reply = requests.handle(request);
    } catch (const Unresolved& error) {
        out.reply = {Json::object(), 0, "UnresolvedReference", error.what()};
    }
    if (!line.as.empty())
        replies_[line.as] = out.reply.ok() ? std::optional<Json>(out.reply.body) : std::nullopt;
    out.good = out.reply.code == line.expected_error;
    if (out.good) return out;
    const auto got = out.reply.ok() ? "it succeeded" : out.reply.code + ": " + out.reply.message;
    out.complaint =
        name_ + ":" + std::to_string(line.number) + ": " + out.action + ": " +
        (line.expected_error.empty() ? got : "expected " + line.expected_error + ", but " + got);
    return out;
}

}  // namespace mirrornic
