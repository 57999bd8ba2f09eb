// SPDX-License-Identifier: Apache-2.0
// The command `mirrornic`: options in, exit status out. 0 done, 1 bad input, configuration or
// request, 2 usage, 3 the device or the simulation failed.
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <boost/system/system_error.hpp>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <systemc>

#include "driver/access/mapped_registers.hpp"
#include "host/base/standard_output.hpp"
#include "host/command/run.hpp"
#include "host/command/serve.hpp"
#include "host/configuration/configuration.hpp"
#include "host/frames/capture_file.hpp"
#include "host/requests/request_script.hpp"
#include "host/store/sqlite_store.hpp"
#include "sim/board.hpp"

namespace mirrornic {
namespace {

namespace po = boost::program_options;

// SystemC's banner would stand on every command's output; it is switched off before its main
// starts.
const int no_banner = setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);

void mask_hangup(int how) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(how, &signals, nullptr);
}

// A reload that is asked for before there is anything to reload waits until there is. Before main,
// for SystemC's takes a while.
const bool hangup_waits = (mask_hangup(SIG_BLOCK), true);

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr const char* usage =
    "usage: mirrornic COMMAND [OPTION ...]\n"
    "\n"
    "  run      replay a capture through the simulated offload and write the mirror copies\n"
    "  serve    take session requests from AWS clients over HTTP, in front of a device\n"
    "  check    say what a configuration means, or exactly what is wrong with it\n"
    "  backup   copy a state file, also while `serve` has it\n"
    "\n"
    "mirrornic COMMAND --help lists a command's options; mirrornic --version names the build.\n";

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

po::options_description serve_options() {
    po::options_description options("API");
    options.add_options()(
        "listen",
        po::value<std::string>()->default_value("127.0.0.1:4580")->value_name("ADDRESS:PORT"),
        "port 0: any free one; the ready line on standard output names it")(
        "admin", po::value<std::string>()->value_name("ADDRESS:PORT"),
        "serve /health, /metrics and /stats here too, without credentials, to read only")(
        "admin-host", po::value<std::vector<std::string>>()->value_name("NAME"),
        "a name that requests there may give as their Host; may be repeated")(
        "state", po::value<std::string>()->value_name("FILE"),
        "SQLite; else mirrornic/state.sqlite in the XDG state directory")(
        "credentials", po::value<std::string>()->value_name("FILE"),
        "keys and policies, JSON; without it requests of this host alone are taken, unverified")(
        "tls-cert", po::value<std::string>()->value_name("FILE"), "PEM, with the chain")(
        "tls-key", po::value<std::string>()->value_name("FILE"), "PEM")(
        "plain-http", po::bool_switch(), "allow other hosts without TLS")(
        "region", po::value<std::string>()->default_value("us-east-1")->value_name("NAME"),
        "that clients sign for")(
        "account", po::value<std::string>()->default_value("000000000000")->value_name("ID"),
        "owner of what is created")(
        "import", po::bool_switch(),
        "load the configuration's sessions, filters and targets into an empty state, once")(
        "delete-orphans", po::bool_switch(),
        "at a reload, delete sessions whose source is gone, as AWS does; else they are disabled")(
        "log-format", po::value<std::string>()->default_value("text")->value_name("FORMAT"),
        "text or json, to standard error")("options", po::value<std::string>()->value_name("FILE"),
                                           "further options, NAME=VALUE a line");
    po::options_description device("Device");
    device.add_options()(
        "device", po::value<std::string>()->default_value("sim")->value_name("WHICH"),
        "sim: the offload in simulation; pci:ADDRESS[,bar=N][,offset=BYTES]: a card, "
        "its registers in BAR 0 from 0 on unless given; file:PATH: a device "
        "without traffic whose tables the file keeps and which is made if it is "
        "not there, or any other file that can be mapped as a card's registers")(
        "in", po::value<std::string>()->value_name("CAPTURE"),
        "frames for the simulated device; pcap or pcapng, \"-\" is standard input")(
        "loop", po::bool_switch(), "begin again at the capture's end")(
        "out", po::value<std::string>()->value_name("MIRROR"), "the mirror copies")(
        "forward", po::value<std::string>()->value_name("FILE"), "the forwarded frames")(
        "decisions", po::value<std::string>()->value_name("FILE"),
        "what became of each pass and why, JSON Lines")(
        "stats", po::value<std::string>()->value_name("FILE"),
        "the hardware's counters when serve stops, JSON");
    options.add(configuration_options()).add(device).add(quota_options());
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
        "seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of ids and VNIs");
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
        "shards", po::value<unsigned>()->default_value(1)->value_name("N"),
        "simulate in N processes, 1 to 64: pieces of the capture side by side, the same copies, "
        "forwarded frames, decisions and counters in the same order; cycles and latencies are "
        "those "
        "of the pieces. The capture is a file, the pace lossless")("quiet", po::bool_switch(),
                                                                   "no progress, no summary");
    options.add(configuration_options()).add(requests).add(quota_options()).add(traffic);
    return options;
}

/// No option's value may be empty: it comes of a shell's variable that is not set, and each option
/// would take it for something else.
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

/// The options of one command; prints its help and gives nothing where that is asked for.
std::optional<po::variables_map> parse(const std::vector<std::string>& arguments,
                                       po::options_description options,
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
        text << "usage: mirrornic " << synopsis << "\n\n" << options;
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

void set_quotas(Settings& settings, const po::variables_map& values) {
    for (const std::string& quota : texts(values, "quota")) {
        try {
            settings.quotas.set(quota);
        } catch (const std::invalid_argument& error) {
            throw UsageError("--quota " + quota + ": " + error.what());
        }
    }
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
    set_quotas(options.settings, *values);
    if (const auto tap = optional_text(*values, "default-tap")) {
        const std::size_t colon = tap->rfind(':');
        const std::string direction = colon == std::string::npos ? "" : tap->substr(colon + 1);
        if (direction != "ingress" && direction != "egress") {
            throw UsageError("--default-tap " + *tap +
                             ": give INTERFACE:ingress or INTERFACE:egress");
        }
        options.traffic.default_tap = {
            tap->substr(0, colon), direction == "egress" ? Direction::egress : Direction::ingress};
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
    options.shards = (*values)["shards"].as<unsigned>();
    if (options.shards < 1 || options.shards > 64) throw UsageError("--shards: give 1 to 64");
    if (options.shards > 1) {
        if (options.traffic.pace != TrafficOptions::Pace::lossless)
            throw UsageError(
                "--shards needs --pace lossless: at another pace what is dropped "
                "hangs on all frames before");
        if (options.traffic.wave) throw UsageError("--shards and --wave exclude each other");
        if (*options.traffic.in == "-")
            throw UsageError("--shards needs a file as --in: each shard reads it");
    }
    return replay(options);
}

/// "127.0.0.1:4580" or "[::1]:4580", given to this option.
void set_listener(HttpListener& listener, const std::string& option, const std::string& text) {
    const auto colon = text.rfind(':');
    const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (port.empty() || port.size() > 5 ||
        port.find_first_not_of("0123456789") != std::string::npos || std::stoul(port) > 65535)
        throw UsageError(option + " " + text + ": give ADDRESS:PORT");
    std::string& address = listener.address;
    address = text.substr(0, colon);
    if (address.size() > 2 && address.front() == '[' && address.back() == ']')
        address = address.substr(1, address.size() - 2);
    if (address == "localhost") address = "127.0.0.1";
    listener.port = static_cast<std::uint16_t>(std::stoul(port));
    try {
        IpAddress::parse(address);
    } catch (const std::invalid_argument&) {
        throw UsageError(option + " " + text + ": give an IPv4 or IPv6 address, and a port");
    }
}

bool is_loopback(const HttpListener& listener) {
    const IpAddress address = IpAddress::parse(listener.address);
    return address.v6 ? address == IpAddress::parse("::1") : address.bytes[0] == 127;
}

void check_encryption(const std::string& option, const HttpListener& listener, bool plain_http) {
    if (is_loopback(listener) || listener.certificate) return;
    if (!plain_http)
        throw UsageError(option + " " + listener.address +
                         " can be reached from other hosts: give --tls-cert and --tls-key, or "
                         "--plain-http to do without");
    std::cerr << "mirrornic: warning: " << option
              << ": requests and replies cross the network in the clear\n";
}

/// A DNS name in lower case.
std::string host_name(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (text.empty() ||
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-_") != std::string::npos)
        throw UsageError("--admin-host " + text + ": give a name, without a port");
    return text;
}

/// The address that /health, /stats and /metrics have for themselves. Behind a loopback address
/// nobody could hold the certificate against a name.
void set_admin(ServeOptions& options, const po::variables_map& values) {
    for (const std::string& name : texts(values, "admin-host"))
        options.admin_hosts.push_back(host_name(name));
    const auto text = optional_text(values, "admin");
    if (!text) {
        if (!options.admin_hosts.empty()) throw UsageError("--admin-host needs --admin");
        return;
    }
    HttpListener admin;
    set_listener(admin, "--admin", *text);
    if (!is_loopback(admin)) {
        admin.certificate = options.http.certificate;
        admin.key = options.http.key;
    }
    options.http.further.push_back(admin);
}

int serve(const std::vector<std::string>& arguments) {
    const auto values = parse(arguments, serve_options(), "serve --config FILE ... [OPTION ...]");
    if (!values) return 0;
    ServeOptions options;
    options.configurations = texts(*values, "config");
    if (options.configurations.empty()) throw UsageError("--config is missing");
    options.skip_unresolved = (*values)["skip-unresolved"].as<bool>();
    set_listener(options.http, "--listen", (*values)["listen"].as<std::string>());
    options.http.certificate = optional_text(*values, "tls-cert");
    options.http.key = optional_text(*values, "tls-key");
    options.plain_http = (*values)["plain-http"].as<bool>();
    set_admin(options, *values);
    options.options_file = optional_text(*values, "options");
    options.state = optional_text(*values, "state");
    options.credentials = optional_text(*values, "credentials");
    options.region = (*values)["region"].as<std::string>();
    options.settings.account_id = (*values)["account"].as<std::string>();
    options.import = (*values)["import"].as<bool>();
    options.settings.delete_orphans = (*values)["delete-orphans"].as<bool>();
    options.device = (*values)["device"].as<std::string>();
    options.traffic.in = optional_text(*values, "in");
    options.traffic.loop = (*values)["loop"].as<bool>();
    options.traffic.live = true;
    options.traffic.out = optional_text(*values, "out");
    options.traffic.forward = optional_text(*values, "forward");
    options.traffic.decisions = optional_text(*values, "decisions");
    options.stats = optional_text(*values, "stats");
    set_quotas(options.settings, *values);
    const std::string format = (*values)["log-format"].as<std::string>();
    if (format != "text" && format != "json")
        throw UsageError("--log-format " + format + ": give text or json");
    options.log_json = format == "json";

    const std::string& account = options.settings.account_id;
    if (account.size() != 12 || account.find_first_not_of("0123456789") != std::string::npos)
        throw UsageError("--account " + account + ": give 12 digits");
    if (options.region.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") !=
        std::string::npos)
        throw UsageError("--region " + options.region +
                         ": give a name of lower case letters, digits and -");
    if (options.device == "pci:" || options.device == "file:")
        throw UsageError("--device " + options.device + ": its " +
                         (options.device == "pci:" ? "address" : "path") + " is missing");
    const bool sim = options.device == "sim", pci = options.device.compare(0, 4, "pci:") == 0;
    if (!sim && !pci && options.device.compare(0, 5, "file:") != 0)
        throw UsageError("--device " + options.device +
                         ": give sim, pci:ADDRESS[,bar=N][,offset=BYTES] or file:PATH");
    if (!sim)
        for (const char* name : {"in", "out", "forward", "decisions", "stats"})
            if (values->count(name) != 0)
                throw UsageError(std::string("--") + name + " is of the simulated device alone");
    if (options.traffic.in && !options.traffic.out) throw UsageError("--out is missing");
    if (!options.traffic.in)
        for (const char* name : {"out", "forward", "decisions"})
            if (values->count(name) != 0)
                throw UsageError(std::string("--") + name + " needs --in");
    if (options.traffic.loop && options.traffic.in.value_or("-") == "-")
        throw UsageError("--loop needs a capture file as --in");
    struct stat in {};
    if (options.traffic.loop && ::stat(options.traffic.in->c_str(), &in) == 0 &&
        !S_ISREG(in.st_mode))
        throw UsageError("--loop: " + *options.traffic.in +
                         " is no regular file, and cannot be read again from its beginning");
    if (options.http.certificate.has_value() != options.http.key.has_value())
        throw UsageError("--tls-cert and --tls-key go together");
    if (!is_loopback(options.http) && !options.credentials)
        throw UsageError("--listen " + options.http.address +
                         " can be reached from other hosts and needs --credentials");
    check_encryption("--listen", options.http, options.plain_http);
    for (const HttpListener& admin : options.http.further)
        check_encryption("--admin", admin, options.plain_http);
    if (pci && !options.credentials) throw UsageError("--device pci: needs --credentials");
    if (pci) try {
            PciLocation::parse(options.device.substr(4));
        } catch (const std::invalid_argument& wrong) {
            throw UsageError(std::string("--device pci: ") + wrong.what());
        }
    return serve(options);
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
        print(to_text(description, 2) + '\n');
    } else {
        print(description_text(description));
    }
    return 0;
}

int backup(const std::vector<std::string>& arguments) {
    po::options_description options;
    options.add_options()("state", po::value<std::string>()->value_name("FILE"),
                          "what `mirrornic serve` keeps, or kept when it was killed")(
        "to", po::value<std::string>()->value_name("FILE"),
        "the copy, which must not be there yet")("force", po::bool_switch(),
                                                 "replace the file that is there");
    const auto values = parse(arguments, options, "backup --state FILE --to FILE [--force]");
    if (!values) return 0;
    back_up(required(*values, "state"), required(*values, "to"), (*values)["force"].as<bool>());
    return 0;
}

void print_version() {
    const TableSizes sizes = built_for_sizes();
    char hash[9];
    std::snprintf(hash, sizeof hash, "%08x", built_for_map_hash());
    std::ostringstream text;
    text << "mirrornic " MIRRORNIC_VERSION "\n"
         << "tables: " << sizes.interfaces << " interfaces of " << sizes.slots << " sessions, "
         << sizes.filters << " filters of " << sizes.rules_per_direction << " ingress and "
         << sizes.rules_per_direction << " egress rules, " << sizes.sessions << " session entries, "
         << sizes.services << " service entries\n"
         << "register map " << hash << '\n';
    print(text.str());
}

int command(const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0] != "serve")  // which does it when it can reload
        mask_hangup(SIG_UNBLOCK);
    if (arguments.empty()) throw UsageError("a command is missing");
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    if (arguments[0] == "run") return run(rest);
    if (arguments[0] == "serve") return serve(rest);
    if (arguments[0] == "check") return check(rest);
    if (arguments[0] == "backup") return backup(rest);
    if (arguments[0] == "--version") {
        print_version();
        return 0;
    }
    if (arguments[0] == "--help" || arguments[0] == "help") {
        print(usage);
        return 0;
    }
    throw UsageError("there is no command " + arguments[0]);
}

/// @param code of an error that a library names without a word of what to do
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

constexpr const char* no_memory =
    "memory ran out; allow more (`ulimit -v`, or the container's limit)";

}  // namespace
}  // namespace mirrornic

extern "C" int sc_main(int argc, char* argv[]) {
    using namespace mirrornic;
    const auto fail = [](const std::exception& error, int status) {
        std::cerr << "mirrornic: " << error.what() << '\n';
        return status;
    };
    open_missing_streams();
    // A reader that goes away and a file that may not grow are errors of a write, said as such.
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        const int status = command({argv + 1, argv + argc});
        finish_standard_output();
        return status;
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
    } catch (const sc_core::sc_report& report) {
        return fail(std::runtime_error(
                        report.get_msg_type() == std::string(sc_core::SC_ID_STACK_SETUP_FAILED_)
                            ? no_memory
                            : std::string("the simulation failed: ") + report.get_msg()),
                    3);
    } catch (const std::bad_alloc&) {
        return fail(std::runtime_error(no_memory), 1);
    } catch (const boost::system::system_error& error) {
        return fail(std::runtime_error(shortage(error.code()).value_or(error.what())), 1);
    } catch (const std::system_error& error) {
        return fail(std::runtime_error(shortage(error.code()).value_or(error.what())), 1);
    } catch (const std::exception& error) {
        return fail(error, 1);
    }
}
