// SPDX-License-Identifier: Apache-2.0
/// The policy of a key: which actions it allows.
/// Source: IAM, "Grammar of the IAM JSON policy language"; docs/behaviour.md rule S5.
#pragma once

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/ascii.hpp"
#include "host/base/json_text.hpp"

namespace mirrornic {

/// The paths that are served besides "/", where the actions are. A policy names them as
/// "ec2:/health" and so on.
constexpr std::array<std::string_view, 3> pages{"/health", "/metrics", "/stats"};

/// A credentials file cannot be used; the message names file, path and what to do.
struct CredentialsError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A value in a credentials file, with its path for messages. Messages never show the value,
/// because it may be a secret in the wrong place. The JSON is not owned, and must outlive this
/// object.
class CredentialsValue {
public:
    CredentialsValue(const std::string& file, const Json& json)
        : CredentialsValue(file, "", json) {}

    [[noreturn]] void fail(const std::string& why) const {
        throw CredentialsError(file_ + ": " + path_ + (path_.empty() ? "" : " ") + why);
    }
    bool has(const std::string& name) const { return json_.contains(name); }
    CredentialsValue member(const std::string& name) const {
        return {file_, path_ + (path_.empty() ? "" : ".") + name, json_.at(name)};
    }
    /// Fails unless the value is an object that has all members of `needed`, and no member that is
    /// in neither list.
    void has_only(const std::vector<std::string>& needed,
                  const std::vector<std::string>& optional) const {
        if (!json_.is_object()) fail("is not an object");
        auto known = needed;
        known.insert(known.end(), optional.begin(), optional.end());
        for (const auto& [name, value] : json_.items())
            if (std::find(known.begin(), known.end(), name) == known.end())
                member(name).fail("is not supported; what is: " + join(known, ", "));
        for (const auto& name : needed)
            if (!has(name)) fail("has no " + name);
    }
    std::vector<CredentialsValue> elements() const {
        if (!json_.is_array()) fail("is not a list");
        std::vector<CredentialsValue> out;
        for (std::size_t i = 0; i < json_.size(); ++i)
            out.push_back({file_, path_ + "[" + std::to_string(i) + "]", json_[i]});
        return out;
    }
    /// The elements of a list. As in IAM, a list of one element may be written without brackets.
    std::vector<CredentialsValue> one_or_elements() const {
        return json_.is_array() ? elements() : std::vector<CredentialsValue>{*this};
    }
    const std::string& text() const {
        if (!json_.is_string()) fail("is not a string");
        return json_.get_ref<const std::string&>();
    }
    /// A secret. It may have only characters that an HTTP header can carry, so that a stray blank
    /// is found here and not when a client is refused.
    const std::string& secret() const {
        if (text().empty()) fail("is empty");
        if (!all(text(), [](char c) { return c > 0x20 && c < 0x7f; }))
            fail("has a blank or a character that is not ASCII");
        return text();
    }

private:
    CredentialsValue(const std::string& file, const std::string& path, const Json& json)
        : file_(file), path_(path), json_(json) {}

    std::string file_, path_;
    const Json& json_;
};

/// A statement of a policy.
struct Statement {
    bool allow = false;
    bool but_actions = false;          ///< NotAction: it is about all other actions
    std::vector<std::string> actions;  ///< patterns in lower case
};

/// The statements of a policy document. @throws CredentialsError.
std::vector<Statement> read_policy(const CredentialsValue& value);

/// Whether statements allow an action, "ec2:NAME". A Deny wins over an Allow; without either the
/// action is denied. Case does not matter.
bool allow(const std::vector<Statement>& statements, const std::string& action);

}  // namespace mirrornic
