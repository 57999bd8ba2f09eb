// SPDX-License-Identifier: Apache-2.0
/// Who may do what: Signature Version 4 of an HTTP request, and the policies of its key. Knows no
/// socket and no account.
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

/// Keys, secrets and policies. Its const functions may be called from several threads at once.
class Credentials {
public:
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
