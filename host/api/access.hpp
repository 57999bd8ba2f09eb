// SPDX-License-Identifier: Apache-2.0
/// Who may do what: Signature Version 4 of an HTTP request, and the policies of its key. Knows no
/// socket and no account.
/// Source: AWS, "Signature Version 4 signing process" (Create a signed AWS API request);
/// docs/behaviour.md rules S5 and S7.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/http/http_request.hpp"

namespace mirrornic {

/// Paths that are served beside the actions at "/". A policy names them as "ec2:/health".
constexpr std::array<std::string_view, 3> pages{"/health", "/metrics", "/stats"};

/// The request is not let in. what() is the reason, for the log alone: one line, no secret in it.
struct AccessDenied : std::runtime_error {
    enum class Code { auth_failure, request_expired };
    Code code;
    AccessDenied(Code why, const std::string& reason) : std::runtime_error(reason), code(why) {}
};

/// A credentials file cannot be used; the message names file, path and what to do.
struct CredentialsError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Keys, secrets and policies. Its const functions may be called from several threads at once.
class Credentials {
public:
    /// Bytes of a request's method, path, query and headers together, at most.
    static constexpr std::size_t head_limit = 65536;

    /// {"Credentials": [{"AccessKeyId", "SecretAccessKey", "SessionToken"?, "Policy": IAM policy
    /// document}]}. A policy may have Version and Id. Of a statement Sid, Effect, Action or
    /// NotAction, and Resource "*" are understood, and whatever else it has is refused; but a
    /// statement whose actions are all of other services than ec2 may have all that IAM has, as
    /// it decides nothing here.
    /// The file must be its owner's alone (mode 0600 or less). @throws CredentialsError.
    static Credentials read(const std::string& file);
    /// @param name what messages call the text
    static Credentials parse(const std::string& name, const std::string& text);
    Credentials(Credentials&&) noexcept;
    Credentials& operator=(Credentials&&) noexcept;
    ~Credentials();

    /// Checks the request's signature for service `ec2` of this region.
    /// In a query "+" is a space, as in a form; who reads the query's parameters must agree.
    /// @return the access key id that signed it. @throws AccessDenied.
    std::string authenticate(const HttpRequest& request, const std::string& region,
                             std::chrono::system_clock::time_point now) const;
    /// Whether the key's policy allows "ec2:ACTION", of which a page's path is one: Deny wins,
    /// default deny.
    bool allows(const std::string& access_key_id, const std::string& action) const;

private:
    struct Key;
    struct SigningKeys;
    Credentials();
    const Key* find(const std::string& access_key_id) const;
    std::vector<Key> keys_;
    /// Of the day and region of the last request; read and written atomically.
    mutable std::shared_ptr<const SigningKeys> signing_keys_;
};

}  // namespace mirrornic
