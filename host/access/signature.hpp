// SPDX-License-Identifier: Apache-2.0
/// Reads and checks the Signature Version 4 of an HTTP request. Holds no key and reads no clock.
/// Source: AWS, "Signature Version 4 signing process" (Create a signed AWS API request);
/// docs/behaviour.md rules S5 and S7.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/http/http_request.hpp"

namespace mirrornic {

/// The request is not let in. what() is the reason, for the log only: one line without secrets.
struct AccessDenied : std::runtime_error {
    enum class Code { auth_failure, request_expired };
    Code code;
    AccessDenied(Code why, const std::string& reason) : std::runtime_error(reason), code(why) {}
};

using Digest = std::array<unsigned char, 32>;

/// The key with which a secret signs on one day ("20150830"), in one region, for the service ec2.
Digest signing_key(const std::string& secret, const std::string& date, const std::string& region);
/// Whether the secrets are equal. The time that it takes depends on their lengths only, so that it
/// tells nothing of where they differ.
bool same_secret(const std::string& a, const std::string& b);
/// The day in UTC, "20150830".
std::string day_of(std::chrono::system_clock::time_point now);

/// Headers: values with their blanks collapsed, by name in lower case.
using Headers = std::multimap<std::string, std::string>;

/// The Authorization header's parts.
struct Authorization {
    std::string key_id, date, region, service, terminator;
    std::vector<std::string> signed_headers;
    std::string signature;  ///< 64 hexadecimal digits
};

/// The time that a request names, in the two forms that signing needs.
struct Moment {
    std::chrono::seconds since_epoch;
    std::string iso;  ///< "20150830T123600Z"
};

/// A request, with what it says of its own signature.
class SignedRequest {
public:
    /// How many bytes a request's method, path, query and headers may have together.
    static constexpr std::size_t head_limit = 65536;

    /// Reads the signature, and checks all that can be checked without the secret. In a query "+"
    /// is taken as a space, as in a form; whoever reads the query must do the same. @throws
    /// AccessDenied.
    SignedRequest(const HttpRequest& request, const std::string& region);

    const std::string& key_id() const { return authorization_.key_id; }
    const std::string& day() const { return authorization_.date; }
    /// Null: there is none. @throws AccessDenied when there are two.
    const std::string* session_token() const;
    std::chrono::seconds since_epoch() const { return moment_.since_epoch; }
    const std::string& time() const { return moment_.iso; }
    bool is_signed_with(const Digest& key) const;

private:
    Headers headers_;
    Authorization authorization_;
    Moment moment_;
    std::string canonical_;  ///< the canonical request
};

}  // namespace mirrornic
