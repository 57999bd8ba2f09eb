// SPDX-License-Identifier: Apache-2.0
/// The commands that need the simulation: `run`, and the simulated device of `serve`.
#pragma once

#include "host/command/serve_command.hpp"

namespace mirrornic {

/// @return the exit status of replay(). @throws UsageError, and what replay() throws.
int run_command(const Arguments& arguments);

/// The device `sim`: the simulated offload, with a capture's traffic.
DeviceKind simulated_device();

}  // namespace mirrornic
