// SPDX-License-Identifier: Apache-2.0
/// Who may do what: checks the Signature Version 4 of an HTTP request, and the policy of the key
/// that signed it. Knows no socket and no account.
/// Source: AWS, "Signature Version 4 signing process" (Create a signed AWS API request);
/// docs/behaviour.md rules S5 and S7.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "host/access/policy.hpp"
#include "host/access/signature.hpp"

namespace mirrornic {

/// Keys, their secrets and policies. Const functions are thread-safe.
class Credentials {
public:
    /// {"Credentials": [{"AccessKeyId", "SecretAccessKey", "SessionToken"?, "Policy": IAM policy
    /// document}]}. A policy may have Version and Id. A statement may have Sid, Effect, Action or
    /// NotAction, and Resource "*"; anything else in it is refused. A statement whose actions are
    /// all of services other than ec2 may have everything that IAM has, because it decides nothing
    /// here.
    /// Only its owner may have access to the file (mode 0600 or less). @throws CredentialsError.
    static Credentials read(const std::string& file);
    /// The same from a text. @param name the text's name in messages
    static Credentials parse(const std::string& name, const std::string& text);
    Credentials(Credentials&&) noexcept;
    Credentials& operator=(Credentials&&) noexcept;
    ~Credentials();

    /// Checks the request's signature for service `ec2` of this region.
    /// In a query "+" is taken as a space, as in a form; whoever reads the query must do the same.
    /// @return the access key id that signed it. @throws AccessDenied.
    std::string authenticate(const HttpRequest& request, const std::string& region,
                             std::chrono::system_clock::time_point now) const;
    /// Whether the key's policy allows "ec2:ACTION". A page's path is an action too. A Deny wins
    /// over an Allow; without either the action is denied.
    bool allows(const std::string& access_key_id, const std::string& action) const;

private:
    struct Key;
    struct SigningKeys;
    Credentials();
    const Key* find(const std::string& access_key_id) const;
    std::vector<Key> keys_;
    /// The signing keys for the day and region of the last request, so that they are not derived
    /// anew each time. Null: none yet. Read and written atomically.
    mutable std::shared_ptr<const SigningKeys> signing_keys_;
};

}  // namespace mirrornic
