// SPDX-License-Identifier: Apache-2.0
/// What exists in an account, read from files that have the shape of the AWS CLI's output:
/// describe-network-interfaces, describe-instances, describe-vpcs, describe-vpc-attribute,
/// describe-route-tables, describe-traffic-mirror-targets, -filters, -filter-rules and -sessions.
/// One member is ours: `Mtu` of a NetworkInterface, 576..9216 bytes of IP packet, 9001 unless
/// given. Source: EC2 API 2016-11-15; docs/behaviour.md rules S1 to S4.
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

/// Joins the lists of all files. Objects with one id are one object, the later file's or list's
/// members in the place of the earlier one's; that holds for rules too, wherever they stand. One
/// list must not have an id twice. Members that are not used are ignored, and so is a member that
/// is null; an element of a list must not be null.
/// @param skip_unresolved leaves out, with a warning, sessions whose target, filter or interface
/// is not there; else they are an error
/// @throws ConfigurationError.
/// @param stop when it becomes true, reading ends with an error
Configuration read_configuration(const std::vector<std::string>& files,
                                 bool skip_unresolved = false,
                                 const std::atomic<bool>* stop = nullptr);
Configuration parse_configuration(const std::vector<ConfigurationText>& files,
                                  bool skip_unresolved = false);

/// The first session, filter or target of an account, as a message names it.
std::optional<std::string> first_object(const Account& account);

/// What an account means to the data plane: interfaces with their resolver and sessions in the
/// order in which they are tried, filters with rules, targets, MTU cuts, table space.
Json description_of(const Account& account, const TableSizes& sizes);
/// The same for people. Interfaces that are neither source nor target are counted alone.
std::string description_text(const Json& description);

}  // namespace mirrornic
