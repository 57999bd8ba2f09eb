// SPDX-License-Identifier: Apache-2.0
/// The EC2 Query protocol: reads forms and writes XML. Knows no socket. Names and shapes on the
/// wire are those of botocore's `ec2` service model (protocol "ec2", API version 2016-11-15).
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
    /// More than the 50 filters of 200 values that EC2 allows, and that fit into a body of 1 MiB.
    static constexpr std::size_t parameter_limit = 20000;

    /// Splits and decodes a form. `X-Amz-*` parameters, which sign a GET, are dropped.
    /// @throws RequestError: MalformedQueryString, also for a repeated parameter and for more than
    /// parameter_limit of them.
    explicit Query(const std::string& form);

    /// The action that the form names. @throws RequestError: MissingAction, NoSuchVersion,
    /// InvalidAction.
    const Action& action() const;
    /// The action's parameters with botocore's member names and JSON types. They are not checked:
    /// checked_parameters() does that, and a value that should be a number or boolean but does not
    /// read as one stays a string, which it refuses. The elements of a list come in the order of
    /// their indices; a large index costs no memory.
    /// @throws RequestError: what action() does; UnknownParameter, UnsupportedOperation.
    Json parameters() const;

private:
    std::map<std::string, std::string> values_;  ///< by name on the wire
};

/// The body of a successful reply. @param request_id as in the header x-amzn-RequestId
std::string reply_xml(const Action& action, const Json& body, const std::string& request_id);
/// The body of a successful Describe in pieces: begin(), items() any number of times, end().
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
/// The body of a reply that says an error.
std::string error_xml(const std::string& code, const std::string& message,
                      const std::string& request_id);

}  // namespace mirrornic
