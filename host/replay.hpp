// SPDX-License-Identifier: Apache-2.0
/// Replays a capture through the simulated offload, with sessions from a configuration and from
/// requests that are performed while traffic flows: the `mirrornic run` command.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "requests.hpp"

namespace mirrornic {

struct ReplayOptions {
    enum class Pace { lossless, capture, line };
    struct DefaultTap {
        std::string interface;
        Direction direction = Direction::egress;
    };

    std::vector<std::string> configurations;
    std::optional<std::string> requests, replies;
    std::string in, out;
    std::optional<std::string> forward, stats, decisions, wave;
    std::optional<DefaultTap> default_tap;
    Pace pace = Pace::lossless;
    double clock_mhz = 322.265625;
    std::uint16_t source_port_base = 49152;  ///< P20
    std::uint8_t source_port_bits = 14;
    Settings settings;
    bool skip_unresolved = false;
    bool quiet = false;
};

/// @return the exit status: 0, or 1 when a request failed, the capture was cut off or the run was
/// interrupted.
/// @throws ConfigurationError, RequestFileError, CaptureError, std::invalid_argument, TableFull for
/// bad input; UnknownDevice, DeviceError, SimulationError when the device failed.
int replay(const ReplayOptions& options);

}  // namespace mirrornic
