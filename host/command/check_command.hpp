// SPDX-License-Identifier: Apache-2.0
/// The commands that need no device: `check` and `backup`.
#pragma once

#include "host/command/command_line.hpp"

namespace mirrornic {

/// Says what a configuration means, or exactly what is wrong with it.
/// @throws UsageError, ConfigurationError.
int check_command(const Arguments& arguments);
/// Copies a state file, also while `serve` has it. @throws UsageError, StoreError.
int backup_command(const Arguments& arguments);

}  // namespace mirrornic
