// SPDX-License-Identifier: Apache-2.0
/// The EC2 Traffic Mirroring API in front of a device: the `mirrornic serve` command.
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
    HttpOptions http;                      ///< its further listener, if any, is the admin address
    std::vector<std::string> admin_hosts;  ///< names for it, in lower case
    std::vector<std::string> configurations;
    std::optional<std::string>
        state;  ///< a StoreLocation; absent: mirrornic/state.sqlite in the XDG state directory
    std::optional<std::string> credentials, stats;
    std::optional<std::string> options_file;  ///< that some of these were read from
    std::string device;                       ///< as it was named, for the ready line
    std::vector<NamedFile> device_files;      ///< that the device reads and writes
    /// Makes the device, which is opened later, and opens its files. @throws CaptureError,
    /// std::invalid_argument.
    std::function<std::unique_ptr<ServedDevice>(const std::shared_ptr<const Network>&, const Log&)>
        make_device;
    std::string region = "us-east-1";
    Settings settings;
    bool import = false;      ///< take the configuration's sessions, filters and targets over, once
    bool plain_http = false;  ///< beyond this host without TLS
    bool skip_unresolved = false;
    bool log_json = false;
};

/// Serves until SIGTERM or SIGINT; SIGHUP reads configuration and credentials again.
/// @return the exit status, 0. @throws ConfigurationError, StoreError, CredentialsError,
/// CaptureError, std::invalid_argument for options that exclude each other, std::runtime_error for
/// an address; UnknownDevice, DeviceError, SimulationError when the device failed.
int serve(const ServeOptions& options);

}  // namespace mirrornic
