// SPDX-License-Identifier: Apache-2.0
/// The commands that need no device: `check` and `backup`.
#pragma once

#include "host/command/command_line.hpp"

namespace mirrornic {

/// `check`: says what a configuration means to the data plane, or what exactly is wrong with it.
/// @throws UsageError, ConfigurationError.
int check_command(const Arguments& arguments);
/// `backup`: copies a state file, also while `serve` has it open. @throws UsageError, StoreError.
int backup_command(const Arguments& arguments);

}  // namespace mirrornic
