// SPDX-License-Identifier: Apache-2.0
/// The EC2 Query protocol without sockets: forms in, XML out. Wire names and shapes are those of
/// botocore's `ec2` service model (protocol "ec2", API version 2016-11-15).
/// Source: EC2 Query API reference; docs/behaviour.md rules S1, S7, S10.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "host/ec2/action_table.hpp"
#include "host/ec2/replies.hpp"
#include "host/requests/request_service.hpp"

namespace mirrornic {

/// A form (`application/x-www-form-urlencoded`): a POST's body or a GET's query.
class Query {
public:
    /// More than 50 filters of 200 values, which EC2 allows, and the body's 1 MiB can hold.
    static constexpr std::size_t parameter_limit = 20000;

    /// Splits and decodes. Of `X-Amz-*` parameters, which sign a GET, nothing is kept.
    /// @throws RequestError: MalformedQueryString, also for a repeated parameter and for more than
    /// parameter_limit of them.
    explicit Query(const std::string& form);

    /// The action that is named. @throws RequestError: MissingAction, NoSuchVersion, InvalidAction.
    const Action& action() const;
    /// The action's parameters with botocore's member names and JSON types, to be checked by
    /// checked_parameters; what reads as no number or boolean stays a string, for it to refuse.
    /// Elements of a list come in the order of their indices. What costs memory is what was sent,
    /// never a list's index.
    /// @throws RequestError: what action() does; UnknownParameter, UnsupportedOperation.
    Json parameters() const;

private:
    std::map<std::string, std::string> values_;  ///< by wire name
};

/// The body of a successful reply. @param request_id as in the header x-amzn-RequestId
std::string reply_xml(const Action& action, const Json& body, const std::string& request_id);
/// The same in pieces, of a Describe: begin(), items() any number of times, end().
class ListXml {
public:
    ListXml(const Action& action, std::string request_id);
    std::string begin() const { return around("").first; }
    std::string items(const Json& items) const;
    /// @param next_token empty: there is none
    std::string end(const std::string& next_token) const { return around(next_token).second; }

private:
    std::pair<std::string, std::string> around(const std::string& next_token) const;

    const Action& action_;
    const ReplyMember& list_;
    std::string request_id_;
};
/// The body of a failed one.
std::string error_xml(const std::string& code, const std::string& message,
                      const std::string& request_id);

}  // namespace mirrornic
