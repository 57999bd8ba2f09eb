// SPDX-License-Identifier: Apache-2.0
/// Replays a capture through the simulated offload, with sessions from a configuration and from
/// requests that are performed while traffic flows: the `mirrornic run` command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/requests/request_service.hpp"
#include "host/simulation/simulated_traffic.hpp"

namespace mirrornic {

struct ReplayOptions {
    TrafficOptions traffic;  ///< with `in` and `out`
    std::vector<std::string> configurations;
    std::optional<std::string> state, requests, replies, stats;
    Settings settings;
    bool skip_unresolved = false;
    bool quiet = false;
    unsigned shards = 1;  ///< processes; more than one: a regular file, lossless, without waves
};

/// @return the exit status: 0, or 1 when a request failed, the capture was cut off or the run was
/// interrupted.
/// @throws ConfigurationError, RequestFileError, CaptureError, std::invalid_argument, TableFull for
/// bad input; UnknownDevice, DeviceError, SimulationError when the device failed.
int replay(const ReplayOptions& options);

}  // namespace mirrornic
