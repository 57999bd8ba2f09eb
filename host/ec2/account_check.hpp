// SPDX-License-Identifier: Apache-2.0
/// Checks an account's objects as the requests that make them are checked. It is for objects that
/// came from a state file, which anybody may have written, and for those that are imported into
/// one. Source: docs/behaviour.md rules S1, S2, S4. The quotas of S3 and the network are not
/// checked.
#pragma once

#include "host/account/account.hpp"

namespace mirrornic {

/// @throws std::invalid_argument that names the object, the member and the value.
void check_account(const Account& account);

/// @throws std::invalid_argument that names the token and what is wrong with it.
void check_token(const TokenRecord& record);

}  // namespace mirrornic
