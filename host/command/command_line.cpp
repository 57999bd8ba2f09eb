// SPDX-License-Identifier: Apache-2.0
#include "host/command/command_line.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "driver/mirror_device.hpp"
#include "host/base/standard_output.hpp"

namespace mirrornic {
namespace {

std::string program_name;  // as it was given to perform()

void mask_hangup(int how) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(how, &signals, nullptr);
}

/// Checks that no option has an empty value. Such a value comes from a shell variable that is not
/// set, and each option would take it in another way.
void check_values(const po::variables_map& values) {
    for (const auto& [name, value] : values) {
        std::vector<std::string> given;
        if (const auto* text = boost::any_cast<std::string>(&value.value()))
            given = {*text};
        else if (const auto* list = boost::any_cast<std::vector<std::string>>(&value.value()))
            given = *list;
        if (std::find(given.begin(), given.end(), "") != given.end())
            throw UsageError("--" + name + " has an empty value; give it one, or leave it out");
    }
}

void print_version(const std::string& program) {
    const TableSizes sizes = built_for_sizes();
    char hash[9];
    std::snprintf(hash, sizeof hash, "%08x", built_for_map_hash());
    std::ostringstream text;
    text << program << " " MIRRORNIC_VERSION "\n"
         << "tables: " << sizes.interfaces << " interfaces of " << sizes.slots << " sessions, "
         << sizes.filters << " filters of " << sizes.rules_per_direction << " ingress and "
         << sizes.rules_per_direction << " egress rules, " << sizes.sessions << " session entries, "
         << sizes.services << " service entries\n"
         << "register map " << hash << '\n';
    print(text.str());
}

/// Says what to do about a lack of descriptors or the like, which a library only names. Nothing:
/// the error is another one.
std::optional<std::string> shortage(const std::error_code& code) {
    rlimit limit{};
    if (code == std::errc::too_many_files_open && ::getrlimit(RLIMIT_NOFILE, &limit) == 0)
        return "descriptors run out: `ulimit -n` allows " + std::to_string(limit.rlim_cur) +
               "; allow more";
    if (code == std::errc::too_many_files_open_in_system)
        return "the system's descriptors run out (fs.file-max)";
    if (code == std::errc::resource_unavailable_try_again || code == std::errc::not_enough_memory)
        return "no memory or no thread is left; allow more (`ulimit -v`, `ulimit -u`, or the "
               "container's limits)";
    return {};
}

int dispatch(const std::vector<Command>& commands, const Arguments& arguments) {
    if (arguments.empty()) throw UsageError("a command is missing");
    const std::string& name = arguments.front();
    for (const Command& command : commands)
        if (command.name == name) return command.perform({arguments.begin() + 1, arguments.end()});
    if (name == "--version") {
        print_version(program_name);
        return 0;
    }
    if (name == "--help" || name == "help") {
        std::ostringstream text;
        text << "usage: " << program_name << " COMMAND [OPTION ...]\n\n";
        for (const Command& command : commands)
            text << "  " << std::left << std::setw(9) << command.name << command.summary << '\n';
        text << '\n'
             << program_name << " COMMAND --help lists a command's options; " << program_name
             << " --version names the build.\n";
        print(text.str());
        return 0;
    }
    throw UsageError("there is no command " + name);
}

}  // namespace

const char* const no_memory = "memory ran out; allow more (`ulimit -v`, or the container's limit)";

bool make_hangup_wait() {
    mask_hangup(SIG_BLOCK);
    return true;
}

void let_hangup_through() { mask_hangup(SIG_UNBLOCK); }

int perform(const std::string& program, const std::vector<Command>& commands,
            const Arguments& arguments) {
    program_name = program;
    const auto fail = [&program](const std::string& what, int status) {
        std::cerr << program << ": " << what << '\n';
        return status;
    };
    open_missing_streams();
    // When a reader goes away or a file may not grow, the signal would end the process. Without it
    // the write fails, and the command says so.
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        if (arguments.empty() || arguments.front() != "serve") let_hangup_through();
        const int status = dispatch(commands, arguments);
        finish_standard_output();
        return status;
    } catch (const UsageError& error) {
        fail(error.what(), 2);
        std::cerr << program << " --help lists what there is\n";
        return 2;
    } catch (const CommandFailed& error) {
        return fail(error.what(), error.status);
    } catch (const UnknownDevice& error) {
        return fail(error.what(), 3);
    } catch (const DeviceError& error) {
        return fail(error.what(), 3);
    } catch (const std::bad_alloc&) {
        return fail(no_memory, 1);
    } catch (const boost::system::system_error& error) {
        return fail(shortage(error.code()).value_or(error.what()), 1);
    } catch (const std::system_error& error) {
        return fail(shortage(error.code()).value_or(error.what()), 1);
    } catch (const std::exception& error) {
        return fail(error.what(), 1);
    }
}

std::optional<po::variables_map> parse(const Arguments& arguments, po::options_description options,
                                       const std::string& synopsis) {
    options.add_options()("help", po::bool_switch(), "print this");
    po::variables_map values;
    try {
        po::store(po::command_line_parser(arguments).options(options).positional({}).run(), values);
        check_values(values);
        if (values.count("options") != 0) {
            const auto file = values["options"].as<std::string>();
            std::ifstream in(file);
            in.peek();  // a folder opens, and cannot be read
            if (!in.is_open() || in.bad())
                throw UsageError("--options " + file + ": " + std::strerror(errno));
            in.clear();
            po::store(po::parse_config_file(in, options), values);
        }
        check_values(values);
        po::notify(values);
    } catch (const po::error& error) {
        throw UsageError(error.what());
    }
    if (values["help"].as<bool>()) {
        std::ostringstream text;
        text << "usage: " << program_name << ' ' << synopsis << "\n\n" << options;
        print(text.str());
        return {};
    }
    return values;
}

std::optional<std::string> optional_text(const po::variables_map& values, const char* name) {
    if (values.count(name) == 0) return {};
    return values[name].as<std::string>();
}

std::vector<std::string> texts(const po::variables_map& values, const char* name) {
    if (values.count(name) == 0) return {};
    return values[name].as<std::vector<std::string>>();
}

std::string required(const po::variables_map& values, const char* name) {
    if (values.count(name) == 0) throw UsageError(std::string("--") + name + " is missing");
    return values[name].as<std::string>();
}

po::options_description configuration_options() {
    po::options_description options("Configuration");
    options.add_options()(
        "config", po::value<std::vector<std::string>>()->value_name("FILE"),
        "JSON as `aws ec2 describe-...` prints it: network-interfaces, instances, "
        "vpcs, vpc-attribute, route-tables, traffic-mirror-targets, "
        "traffic-mirror-filters, traffic-mirror-filter-rules, "
        "traffic-mirror-sessions; may be repeated: lists are joined, and of two "
        "objects with one id the later file's members win")(
        "skip-unresolved", po::bool_switch(),
        "leave out sessions whose target, filter or interface is in no file");
    return options;
}

po::options_description quota_options() {
    po::options_description options("Requests");
    options.add_options()("quota", po::value<std::vector<std::string>>()->value_name("NAME=N"),
                          "sessions-per-interface, sources-per-target, rules-per-filter, sessions, "
                          "targets or filters");
    return options;
}

void set_quotas(Settings& settings, const po::variables_map& values) {
    for (const std::string& quota : texts(values, "quota")) {
        try {
            settings.quotas.set(quota);
        } catch (const std::invalid_argument& error) {
            throw UsageError("--quota " + quota + ": " + error.what());
        }
    }
}

StoreLocation state_location(const std::string& uri) {
    try {
        return StoreLocation::parse(uri);
    } catch (const std::invalid_argument& wrong) {
        throw UsageError(std::string("--state: ") + wrong.what());
    }
}

void warn(const std::string& sentence) {
    std::cerr << program_name << ": warning: " << sentence << '\n';
}

}  // namespace mirrornic
