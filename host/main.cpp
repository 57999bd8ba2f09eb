// SPDX-License-Identifier: Apache-2.0
// The command `mirrornic`: options in, exit status out. 0 done, 1 bad input, configuration or
// request, 2 usage, 3 the device or the simulation failed.
#include <boost/program_options.hpp>
#include <cstdlib>
#include <iostream>

#include "board.hpp"
#include "capture_file.hpp"
#include "configuration.hpp"
#include "replay.hpp"
#include "request_file.hpp"

namespace mirrornic {
namespace {

namespace po = boost::program_options;

// SystemC's banner would stand on every command's output; it is switched off before its main
// starts.
const int no_banner = setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr const char* usage =
    "usage: mirrornic COMMAND [OPTION ...]\n"
    "\n"
    "  run      replay a capture through the simulated offload and write the mirror copies\n"
    "  check    say what a configuration means, or exactly what is wrong with it\n"
    "\n"
    "mirrornic COMMAND --help lists a command's options; mirrornic --version names the build.\n";

po::options_description configuration_options() {
    po::options_description options("Configuration");
    options.add_options()("config", po::value<std::vector<std::string>>()->value_name("FILE"),
                          "JSON as `aws ec2 describe-network-interfaces`, -vpcs, "
                          "-traffic-mirror-targets, -filters and -sessions "
                          "print it; may be repeated: lists are joined, and of two objects with "
                          "one id the later file's members win")(
        "skip-unresolved", po::bool_switch(),
        "leave out sessions whose target, filter or interface is in no file");
    return options;
}

po::options_description run_options() {
    po::options_description options("Input and output (\"-\" is standard input or output)");
    options.add_options()("in", po::value<std::string>()->value_name("CAPTURE"),
                          "pcap or pcapng of Ethernet frames, plain, gzip or zstd")(
        "out", po::value<std::string>()->value_name("MIRROR"),
        "the mirror copies, nanosecond pcap")("forward",
                                              po::value<std::string>()->value_name("FILE"),
                                              "the forwarded frames, one record a pass")(
        "decisions", po::value<std::string>()->value_name("FILE"),
        "what became of each pass and why, JSON Lines")(
        "stats", po::value<std::string>()->value_name("FILE"), "the hardware's counters, JSON")(
        "wave", po::value<std::string>()->value_name("FILE"),
        "all signals, FST; needs a build with waves (./dev wave)");
    po::options_description requests("Session requests");
    requests.add_options()(
        "state", po::value<std::string>()->value_name("FILE"),
        "start from the sessions that `mirrornic serve` keeps in this file, which is only read")(
        "requests", po::value<std::string>()->value_name("FILE"),
        "API requests, JSON Lines; \"AtFrame\" and \"AtTime\" place them in the traffic")(
        "replies", po::value<std::string>()->value_name("FILE"), "their replies, JSON Lines")(
        "seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of ids and VNIs")(
        "quota", po::value<std::vector<std::string>>()->value_name("NAME=N"),
        "sessions-per-interface, sources-per-target, rules-per-filter, sessions, targets or "
        "filters");
    po::options_description traffic("Traffic");
    traffic.add_options()("default-tap", po::value<std::string>()->value_name("ENI:DIRECTION"),
                          "tap (ingress or egress) of frames whose MAC addresses are no "
                          "interface's; else they are at none")(
        "pace", po::value<std::string>()->default_value("lossless")->value_name("HOW"),
        "lossless: a frame waits until its copy surely fits; line: back to back; capture: as the "
        "time stamps say")("clock-mhz",
                           po::value<double>()->default_value(322.265625)->value_name("MHZ"),
                           "the offload's clock")(
        "source-ports", po::value<std::string>()->default_value("rfc7348")->value_name("RANGE"),
        "outer UDP source ports: rfc7348 (49152/14), aws (65408/7) or BASE/BITS")(
        "quiet", po::bool_switch(), "no progress, no summary");
    options.add(configuration_options()).add(requests).add(traffic);
    return options;
}

/// The options of one command; prints its help and gives nothing where that is asked for.
std::optional<po::variables_map> parse(const std::vector<std::string>& arguments,
                                       po::options_description options,
                                       const std::string& synopsis) {
    options.add_options()("help", "print this");
    po::variables_map values;
    try {
        po::store(po::command_line_parser(arguments).options(options).positional({}).run(), values);
        po::notify(values);
    } catch (const po::error& error) {
        throw UsageError(error.what());
    }
    if (values.count("help") != 0) {
        std::cout << "usage: mirrornic " << synopsis << "\n\n" << options;
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

void set_source_ports(ReplayOptions& options, const std::string& text) {
    if (text == "rfc7348") return;
    if (text == "aws") {
        options.traffic.source_port_base = 65408;
        options.traffic.source_port_bits = 7;
        return;
    }
    unsigned base = 0, bits = 0;
    char rest = 0;
    if (std::sscanf(text.c_str(), "%u/%u%c", &base, &bits, &rest) != 2 || base > 65535 ||
        bits < 1 || bits > 16 || base + (1u << bits) > 65536) {
        throw UsageError(
            "--source-ports " + text +
            ": give rfc7348, aws or BASE/BITS with 1 to 16 bits and BASE + 2^BITS at most 65536");
    }
    options.traffic.source_port_base = static_cast<std::uint16_t>(base);
    options.traffic.source_port_bits = static_cast<std::uint8_t>(bits);
}

int run(const std::vector<std::string>& arguments) {
    const auto values = parse(arguments, run_options(),
                              "run --config FILE ... --in CAPTURE --out MIRROR [OPTION ...]");
    if (!values) return 0;
    ReplayOptions options;
    options.configurations = texts(*values, "config");
    if (options.configurations.empty()) throw UsageError("--config is missing");
    options.traffic.in = required(*values, "in");
    options.traffic.out = required(*values, "out");
    options.state = optional_text(*values, "state");
    options.requests = optional_text(*values, "requests");
    options.replies = optional_text(*values, "replies");
    options.traffic.forward = optional_text(*values, "forward");
    options.traffic.decisions = optional_text(*values, "decisions");
    options.stats = optional_text(*values, "stats");
    options.traffic.wave = optional_text(*values, "wave");
    options.settings.seed = (*values)["seed"].as<std::uint64_t>();
    for (const std::string& quota : texts(*values, "quota")) {
        try {
            options.settings.quotas.set(quota);
        } catch (const std::invalid_argument& error) {
            throw UsageError("--quota " + quota + ": " + error.what());
        }
    }
    if (const auto tap = optional_text(*values, "default-tap")) {
        const std::size_t colon = tap->rfind(':');
        const std::string direction = colon == std::string::npos ? "" : tap->substr(colon + 1);
        if (direction != "ingress" && direction != "egress") {
            throw UsageError("--default-tap " + *tap +
                             ": give INTERFACE:ingress or INTERFACE:egress");
        }
        options.traffic.default_tap = {tap->substr(0, colon),
                               direction == "egress" ? Direction::egress : Direction::ingress};
    }
    const std::string pace = (*values)["pace"].as<std::string>();
    if (pace == "line") {
        options.traffic.pace = TrafficOptions::Pace::line;
    } else if (pace == "capture") {
        options.traffic.pace = TrafficOptions::Pace::capture;
    } else if (pace != "lossless") {
        throw UsageError("--pace " + pace + ": give lossless, capture or line");
    }
    options.traffic.clock_mhz = (*values)["clock-mhz"].as<double>();
    if (!(options.traffic.clock_mhz >= 1 && options.traffic.clock_mhz <= 10000)) {
        throw UsageError("--clock-mhz: give 1 to 10000");
    }
    set_source_ports(options, (*values)["source-ports"].as<std::string>());
    options.skip_unresolved = (*values)["skip-unresolved"].as<bool>();
    options.quiet = (*values)["quiet"].as<bool>();
    return replay(options);
}

int check(const std::vector<std::string>& arguments) {
    po::options_description options;
    options.add_options()("json", po::bool_switch(), "print JSON");
    options.add(configuration_options());
    const auto values = parse(arguments, options, "check --config FILE ... [--json]");
    if (!values) return 0;
    const std::vector<std::string> files = texts(*values, "config");
    if (files.empty()) throw UsageError("--config is missing");
    const Configuration configuration =
        read_configuration(files, (*values)["skip-unresolved"].as<bool>());
    for (const std::string& warning : configuration.warnings)
        std::cerr << "mirrornic: warning: " << warning << '\n';
    const Json description = description_of(configuration.account, built_for_sizes());
    if ((*values)["json"].as<bool>()) {
        std::cout << to_text(description, 2) << '\n';
    } else {
        std::cout << description_text(description);
    }
    return 0;
}

void print_version() {
    const TableSizes sizes = built_for_sizes();
    char hash[9];
    std::snprintf(hash, sizeof hash, "%08x", built_for_map_hash());
    std::cout << "mirrornic " MIRRORNIC_VERSION "\n"
              << "tables: " << sizes.interfaces << " interfaces of " << sizes.slots << " sessions, "
              << sizes.filters << " filters of " << sizes.rules_per_direction << " ingress and "
              << sizes.rules_per_direction << " egress rules, " << sizes.sessions
              << " session entries, " << sizes.services << " service entries\n"
              << "register map " << hash << '\n';
}

int command(const std::vector<std::string>& arguments) {
    if (arguments.empty()) throw UsageError("a command is missing");
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    if (arguments[0] == "run") return run(rest);
    if (arguments[0] == "check") return check(rest);
    if (arguments[0] == "--version") {
        print_version();
        return 0;
    }
    if (arguments[0] == "--help" || arguments[0] == "help") {
        std::cout << usage;
        return 0;
    }
    throw UsageError("there is no command " + arguments[0]);
}

}  // namespace
}  // namespace mirrornic

extern "C" int sc_main(int argc, char* argv[]) {
    using namespace mirrornic;
    const auto fail = [](const std::exception& error, int status) {
        std::cerr << "mirrornic: " << error.what() << '\n';
        return status;
    };
    try {
        return command({argv + 1, argv + argc});
    } catch (const UsageError& error) {
        fail(error, 2);
        std::cerr << "mirrornic --help lists what there is\n";
        return 2;
    } catch (const UnknownDevice& error) {
        return fail(error, 3);
    } catch (const DeviceError& error) {
        return fail(error, 3);
    } catch (const SimulationError& error) {
        return fail(error, 3);
    } catch (const std::exception& error) {
        return fail(error, 1);
    }
}
