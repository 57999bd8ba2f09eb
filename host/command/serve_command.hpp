// SPDX-License-Identifier: Apache-2.0
/// The command `serve`: its options, and the kinds of devices that it can serve.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/command/command_line.hpp"
#include "host/service/serve.hpp"

namespace mirrornic {

/// A kind of device, as `--device` names it.
struct DeviceKind {
    std::string scheme;  ///< "pci:", with which the text begins; without a colon: the whole text
    std::string form;    ///< "pci:ADDRESS[,bar=N][,offset=BYTES]", in messages
    std::string help;    ///< what it is, for --help
    std::string called;  ///< "the simulated device", in messages
    /// Options that this kind alone has.
    std::function<po::options_description()> options;
    /// Sets make_device and device_files of the options. @param place the text after the scheme
    /// @throws UsageError when the place or an option of this kind is wrong
    std::function<void(const std::string& place, const po::variables_map&, ServeOptions&)> prepare;
};

/// `pci:`, a card.
DeviceKind card_device();
/// `file:`, a register file, or any other file that can be mapped as a card's registers.
DeviceKind file_device();

/// @param kinds all kinds of devices that this program has
/// @param otherwise the device if --device is not given; empty: the option is required
/// @param elsewhere a sentence about kinds that another program has, or empty
/// @return the exit status of serve(). @throws UsageError, and what serve() throws.
int serve_command(const Arguments& arguments, const std::vector<DeviceKind>& kinds,
                  const std::string& otherwise, const std::string& elsewhere = {});

}  // namespace mirrornic
