// SPDX-License-Identifier: Apache-2.0
/// The command `mirrornic run`: replays a capture through the simulated offload. Sessions come from
/// a configuration, and from requests that are performed while traffic flows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/requests/request_service.hpp"
#include "host/simulation/simulated_traffic.hpp"

namespace mirrornic {

struct ReplayOptions {
    TrafficOptions traffic;  ///< `in` and `out` must be set
    std::vector<std::string> configurations;
    std::optional<std::string> state, requests, replies, stats;
    Settings settings;
    bool skip_unresolved = false;
    bool quiet = false;
    unsigned shards = 1;  ///< processes; above 1: `in` is a regular file, lossless, no waves
};

/// @return the exit status: 0, or 1 when a request failed, the capture was cut off or the run was
/// interrupted.
/// @throws ConfigurationError, RequestFileError, CaptureError, std::invalid_argument, TableFull for
/// bad input; UnknownDevice, DeviceError, SimulationError when the device failed.
int replay(const ReplayOptions& options);

}  // namespace mirrornic
