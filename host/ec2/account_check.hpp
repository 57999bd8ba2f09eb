// SPDX-License-Identifier: Apache-2.0
/// An account's objects, checked as the requests that make them are: for a state file, which
/// anybody may have written, and for what is to be stored in one.
/// Source: docs/behaviour.md rules S1, S2, S4; not S3's quotas, nor what is configured.
#pragma once

#include "host/account/account.hpp"

namespace mirrornic {

/// @throws std::invalid_argument that names the object, the member and the value.
void check_account(const Account& account);

/// @throws std::invalid_argument that names the token and what is wrong with it.
void check_token(const TokenRecord& record);

}  // namespace mirrornic
