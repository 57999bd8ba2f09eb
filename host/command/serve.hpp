// SPDX-License-Identifier: Apache-2.0
/// The EC2 Traffic Mirroring API in front of a device: the `mirrornic serve` command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/command/simulated_traffic.hpp"
#include "host/http/http_server.hpp"
#include "host/requests/request_service.hpp"

namespace mirrornic {

struct ServeOptions {
    TrafficOptions traffic;                ///< of the simulated device
    HttpOptions http;                      ///< its further listener, if any, is the admin address
    std::vector<std::string> admin_hosts;  ///< names for it, in lower case
    std::vector<std::string> configurations;
    std::optional<std::string>
        state;  ///< absent: mirrornic/state.sqlite in the XDG state directory
    std::optional<std::string> credentials, stats;
    std::optional<std::string> options_file;  ///< that some of these were read from
    std::string device = "sim";               ///< or "pci:" and a PciLocation, or "file:PATH"
    std::string region = "us-east-1";
    Settings settings;
    bool import = false;      ///< take the configuration's sessions, filters and targets over, once
    bool plain_http = false;  ///< beyond this host without TLS
    bool skip_unresolved = false;
    bool log_json = false;
};

/// Serves until SIGTERM or SIGINT; SIGHUP reads configuration and credentials again.
/// @return the exit status, 0. @throws what replay() throws, StoreError, CredentialsError,
/// std::invalid_argument for options that exclude each other, std::runtime_error for an address.
int serve(const ServeOptions& options);

}  // namespace mirrornic
