// SPDX-License-Identifier: Apache-2.0
#include "host/command/check_command.hpp"

#include "driver/mirror_device.hpp"
#include "host/base/standard_output.hpp"
#include "host/configuration/configuration.hpp"
#include "host/store/sqlite_store.hpp"

namespace mirrornic {

int check_command(const Arguments& arguments) {
    po::options_description options;
    options.add_options()("json", po::bool_switch(), "print JSON");
    options.add(configuration_options());
    const auto values = parse(arguments, options, "check --config FILE ... [--json]");
    if (!values) return 0;
    const std::vector<std::string> files = texts(*values, "config");
    if (files.empty()) throw UsageError("--config is missing");
    const Configuration configuration =
        read_configuration(files, (*values)["skip-unresolved"].as<bool>());
    for (const std::string& warning : configuration.warnings) warn(warning);
    const Json description = description_of(configuration.account, built_for_sizes());
    if ((*values)["json"].as<bool>()) {
        print(to_text(description, 2) + '\n');
    } else {
        print(description_text(description));
    }
    return 0;
}

int backup_command(const Arguments& arguments) {
    po::options_description options;
    options.add_options()("state", po::value<std::string>()->value_name("FILE"),
                          "what `mirrornic serve` keeps, or kept when it was killed")(
        "to", po::value<std::string>()->value_name("FILE"),
        "the copy, which must not be there yet")("force", po::bool_switch(),
                                                 "replace the file that is there");
    const auto values = parse(arguments, options, "backup --state FILE --to FILE [--force]");
    if (!values) return 0;
    back_up(state_location(required(*values, "state")).place, required(*values, "to"),
            (*values)["force"].as<bool>());
    return 0;
}

}  // namespace mirrornic
