// SPDX-License-Identifier: Apache-2.0
/// The members of the actions' replies as one table: what can be shown, with its name and type on
/// the wire. Members of a configuration that have no effect but to be shown are read by the same
/// table. Source: botocore's service model of EC2 API 2016-11-15.
#pragma once

#include <string>
#include <vector>

#include "host/ec2/action_table.hpp"

namespace mirrornic {

/// A member of a reply.
struct ReplyMember {
    std::string name;  ///< as botocore's output member
    std::string wire;  ///< of the XML element
    ParameterType type;
    std::vector<ReplyMember> members = {};  ///< of a structure, or list element
};

/// The members that the action's reply can have, in the order in which they are written. Empty: the
/// reply is `<return>true</return>`.
const std::vector<ReplyMember>& reply_members(const Action& action);
/// The members of the objects that a Describe action lists.
const std::vector<ReplyMember>& listed_members(const std::string& action);

/// The member with this name, or null.
const ReplyMember* find_member(const std::vector<ReplyMember>& members, const std::string& name);
/// The member at a path such as FilterName::member. @throws std::logic_error when there is none.
const ReplyMember& member_at(const std::vector<ReplyMember>& members, const std::string& path);

}  // namespace mirrornic
