// SPDX-License-Identifier: Apache-2.0
/// What the commands of `mirrornic` and `mirrornicd` share: how options are read, and how an error
/// becomes a message and an exit status. 0 done, 1 bad input, configuration or request, 2 usage, 3
/// the device or the simulation failed.
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

/// An error of a part that only one of the programs has, with the status it ends with.
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

/// Runs the command that the arguments name, or --help or --version, and says what went wrong.
/// @param program its name, in messages
/// @return the exit status
int perform(const std::string& program, const std::vector<Command>& commands,
            const Arguments& arguments);

/// No more memory, in words that say what to do.
extern const char* const no_memory;

/// Keeps SIGHUP waiting, before anything else: a reload that is asked for before there is anything
/// to reload. Commands that know none let it through again.
bool make_hangup_wait();
void let_hangup_through();

/// The options of one command; prints its help and gives nothing where that is asked for.
/// @param synopsis "run --config FILE ...", behind the program's name. @throws UsageError.
std::optional<po::variables_map> parse(const Arguments& arguments, po::options_description options,
                                       const std::string& synopsis);
std::optional<std::string> optional_text(const po::variables_map& values, const char* name);
std::vector<std::string> texts(const po::variables_map& values, const char* name);
/// @throws UsageError when it is missing.
std::string required(const po::variables_map& values, const char* name);

/// Where `--state` says that the account is. @throws UsageError that lists the stores there are.
StoreLocation state_location(const std::string& uri);
/// A sentence on standard error.
void warn(const std::string& sentence);

/// --config and --skip-unresolved.
po::options_description configuration_options();
/// --quota, and what it sets.
po::options_description quota_options();
void set_quotas(Settings& settings, const po::variables_map& values);

}  // namespace mirrornic
