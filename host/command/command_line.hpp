// SPDX-License-Identifier: Apache-2.0
/// What the commands of `mirrornic` and `mirrornicd` share: how options are read, and how an error
/// becomes a message and an exit status. Exit status 0: done. 1: bad input, configuration or
/// request. 2: wrong usage. 3: the device or the simulation failed.
#pragma once

#include <boost/program_options.hpp>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/requests/request_service.hpp"
#include "host/store/open_store.hpp"

namespace mirrornic {

namespace po = boost::program_options;

using Arguments = std::vector<std::string>;

/// The command line is wrong: exit status 2.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// An error of a part that only one of the programs has, with its exit status.
struct CommandFailed : std::runtime_error {
    int status;
    CommandFailed(int a_status, const std::string& what)
        : std::runtime_error(what), status(a_status) {}
};

/// A command: `mirrornic NAME ...`.
struct Command {
    std::string name;
    std::string summary;                                ///< for the list of commands
    std::function<int(const Arguments& rest)> perform;  ///< @return the exit status
};

/// Runs the command that the arguments name, or --help or --version. An error becomes a message.
/// @param program the program's name in messages
/// @return the exit status
int perform(const std::string& program, const std::vector<Command>& commands,
            const Arguments& arguments);

/// The message for a lack of memory; it says what to do.
extern const char* const no_memory;

/// Blocks SIGHUP, before anything else is done: it asks for a reload, and would end the process if
/// it came before the service has set its handler. Commands that have no reload unblock it again.
bool make_hangup_wait();
void let_hangup_through();

/// Reads the options of one command. Nothing: --help was given and the help was printed.
/// @param synopsis for the help, "run --config FILE ...". @throws UsageError.
std::optional<po::variables_map> parse(const Arguments& arguments, po::options_description options,
                                       const std::string& synopsis);
std::optional<std::string> optional_text(const po::variables_map& values, const char* name);
std::vector<std::string> texts(const po::variables_map& values, const char* name);
/// @throws UsageError when it is missing.
std::string required(const po::variables_map& values, const char* name);

/// Reads the value of `--state`. @throws UsageError that lists the kinds of stores.
StoreLocation state_location(const std::string& uri);
/// Prints a sentence to standard error.
void warn(const std::string& sentence);

/// --config and --skip-unresolved.
po::options_description configuration_options();
/// --quota, and the settings that it makes.
po::options_description quota_options();
void set_quotas(Settings& settings, const po::variables_map& values);

}  // namespace mirrornic
