// SPDX-License-Identifier: Apache-2.0
#include "host/command/simulation_commands.hpp"

#include <sys/stat.h>

#include <cstdio>

#include "host/simulation/run.hpp"
#include "host/simulation/simulated_device.hpp"

namespace mirrornic {
namespace {

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

po::options_description traffic_options() {
    po::options_description options;
    options.add_options()(
        "in", po::value<std::string>()->value_name("CAPTURE"),
        "frames for the simulated device; pcap or pcapng, \"-\" is standard input")(
        "loop", po::bool_switch(), "begin again at the capture's end")(
        "out", po::value<std::string>()->value_name("MIRROR"), "the mirror copies")(
        "forward", po::value<std::string>()->value_name("FILE"), "the forwarded frames")(
        "decisions", po::value<std::string>()->value_name("FILE"),
        "what became of each pass and why, JSON Lines")(
        "stats", po::value<std::string>()->value_name("FILE"),
        "the hardware's counters when serve stops, JSON");
    return options;
}

void prepare(const std::string&, const po::variables_map& values, ServeOptions& options) {
    TrafficOptions traffic;
    traffic.in = optional_text(values, "in");
    traffic.loop = values["loop"].as<bool>();
    traffic.live = true;
    traffic.out = optional_text(values, "out");
    traffic.forward = optional_text(values, "forward");
    traffic.decisions = optional_text(values, "decisions");
    options.stats = optional_text(values, "stats");
    if (traffic.in && !traffic.out) throw UsageError("--out is missing");
    if (!traffic.in)
        for (const char* name : {"out", "forward", "decisions"})
            if (values.count(name) != 0) throw UsageError(std::string("--") + name + " needs --in");
    if (traffic.loop && traffic.in.value_or("-") == "-")
        throw UsageError("--loop needs a capture file as --in");
    struct stat in {};
    if (traffic.loop && ::stat(traffic.in->c_str(), &in) == 0 && !S_ISREG(in.st_mode))
        throw UsageError("--loop: " + *traffic.in +
                         " is no regular file, and cannot be read again from its beginning");
    add_files(options.device_files, traffic);
    options.make_device = [traffic](const std::shared_ptr<const Network>& network, const Log& log) {
        return std::make_unique<SimulatedDevice>(traffic, network, log);
    };
}

}  // namespace

DeviceKind simulated_device() {
    return {"sim",           "sim",  "sim: the offload in simulation", "the simulated device",
            traffic_options, prepare};
}

int run_command(const Arguments& arguments) {
    const auto values = parse(arguments, run_options(),
                              "run --config FILE ... --in CAPTURE --out MIRROR [OPTION ...]");
    if (!values) return 0;
    ReplayOptions options;
    options.configurations = texts(*values, "config");
    if (options.configurations.empty()) throw UsageError("--config is missing");
    options.traffic.in = required(*values, "in");
    options.traffic.out = required(*values, "out");
    options.state = optional_text(*values, "state");
    if (options.state) state_location(*options.state);
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

}  // namespace mirrornic
