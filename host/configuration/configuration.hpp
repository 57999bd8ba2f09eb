// SPDX-License-Identifier: Apache-2.0
/// Reads a configuration, which is what exists in an account, from files in the form of the AWS
/// CLI's output: describe-network-interfaces, describe-instances, describe-vpcs,
/// describe-vpc-attribute, describe-route-tables, describe-traffic-mirror-targets, -filters,
/// -filter-rules and -sessions. One member is not of AWS: `Mtu` of a NetworkInterface, 576..9216
/// bytes of IP packet; 9001 if it is not given. Source: EC2 API 2016-11-15; docs/behaviour.md rules
/// S1 to S4.
#pragma once

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"
#include "host/account/account.hpp"
#include "host/base/json_text.hpp"

namespace mirrornic {

/// The configuration cannot be used; the message names file, path and value, or lists what is
/// missing, and says what to do.
struct ConfigurationError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Configuration {
    Account account;
    std::vector<std::string> warnings;  ///< one sentence each
};

/// A file's name, for messages, and its text.
struct ConfigurationText {
    std::string name, text;
};

/// Reads all files and joins their lists. An object whose id comes in several files or lists is one
/// object, and the members of the later ones replace those of the earlier ones; this holds for
/// rules too, in a filter or by themselves. An id must not come twice in one list. Members that are
/// not used are ignored, and so are members that are null; an element of a list must not be null.
/// @param skip_unresolved true: a session whose target, filter or interface does not exist is left
/// out, with a warning; false: it is an error
/// @param stop not null: when it becomes true, reading ends with an error
/// @throws ConfigurationError.
Configuration read_configuration(const std::vector<std::string>& files,
                                 bool skip_unresolved = false,
                                 const std::atomic<bool>* stop = nullptr);
Configuration parse_configuration(const std::vector<ConfigurationText>& files,
                                  bool skip_unresolved = false);

/// The first session, filter or target of an account, in words for a message; nothing: it has none.
std::optional<std::string> first_object(const Account& account);

/// What an account means to the data plane, for `check`: interfaces with their resolver and with
/// their sessions in the order in which they are tried, filters with rules, targets, MTU cuts,
/// table space.
Json description_of(const Account& account, const TableSizes& sizes);
/// The same as a text for people. Of interfaces that are neither source nor target only the number
/// is given.
std::string description_text(const Json& description);

}  // namespace mirrornic
