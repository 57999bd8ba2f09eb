// SPDX-License-Identifier: Apache-2.0
/// The service: the EC2 Traffic Mirroring API for one device. Both `mirrornic serve` and
/// `mirrornicd` run it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/api/log.hpp"
#include "host/base/named_files.hpp"
#include "host/http/http_server.hpp"
#include "host/requests/request_service.hpp"
#include "host/service/served_device.hpp"

namespace mirrornic {

struct ServeOptions {
    HttpOptions http;                      ///< a further listener is the admin address
    std::vector<std::string> admin_hosts;  ///< names of the admin address, in lower case
    std::vector<std::string> configurations;
    /// The URI of a store (StoreLocation); absent: mirrornic/state.sqlite in the XDG state
    /// directory.
    std::optional<std::string> state;
    std::optional<std::string> credentials, stats;
    std::optional<std::string> options_file;  ///< the file of --options
    std::string device;                       ///< its name, for the ready line
    std::vector<NamedFile> device_files;      ///< files of the device, to be kept apart
    /// Makes the device and opens its files; the device itself is opened later. Returns no null.
    /// @throws CaptureError, std::invalid_argument.
    std::function<std::unique_ptr<ServedDevice>(const std::shared_ptr<const Network>&, const Log&)>
        make_device;
    std::string region = "us-east-1";
    Settings settings;
    bool import = false;      ///< store the configuration's sessions, filters and targets, once
    bool plain_http = false;  ///< allow listening beyond this host without TLS
    bool skip_unresolved = false;
    bool log_json = false;
};

/// Serves until SIGTERM or SIGINT; SIGHUP reads configuration and credentials again.
/// @return the exit status, 0. @throws ConfigurationError, StoreError, CredentialsError,
/// CaptureError, std::invalid_argument for options that exclude each other, std::runtime_error for
/// an address; UnknownDevice, DeviceError, SimulationError when the device failed.
int serve(const ServeOptions& options);

}  // namespace mirrornic
