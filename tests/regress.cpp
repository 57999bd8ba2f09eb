// SPDX-License-Identifier: Apache-2.0
// The random regression: cases by their seeds, many in one process, each from a reset on. A case
// that fails is made small and written down. ./dev regress runs several of these side by side.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "regress_case.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

constexpr unsigned trial_seconds = 300;

struct Options {
    std::uint64_t first = 1, seeds = 1;
    std::size_t frames = 2000;
    unsigned most_failures = 10;
    std::string out;
    bool seeded_bug = false, hashes = false;
};

/// What the process that simulates tells the one that started it; in memory that they share.
struct Report {
    std::uint64_t seed;  ///< in hand
    std::uint64_t done;  ///< cases
    std::uint64_t passes;
    std::uint64_t cycles;  ///< evaluated
    std::uint64_t counts[point_count];
    char failure[4096];
};

Report& shared_report() {
    void* memory =
        mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("there is no memory to share");
    return *new (memory) Report{};
}

/// Runs cases in a process of its own, for SystemC elaborates once a process, and a case may fail.
class Worker {
public:
    Worker(Report& report, const Options& options) : report_(report), options_(options) {}

    /// Every case of `cases`, until one fails. @param cases gives the next one's seed and itself
    void start(const std::function<bool(std::uint64_t&, Case&)>& cases, unsigned patience) {
        report_.failure[0] = 0;
        std::fflush(stdout);
        child_ = fork();
        if (child_ < 0) throw std::runtime_error("a process cannot be started");
        if (child_ != 0) return;
        alarm(patience);
        try {
            work(cases);
            std::fflush(stdout);
            _exit(0);
        } catch (const std::exception& error) {
            std::snprintf(report_.failure, sizeof report_.failure, "%s", error.what());
        }
        std::fflush(stdout);
        _exit(1);
    }

    /// Whether it has ended; what failed is in the report.
    bool ended(bool wait) {
        int status = 0;
        const pid_t found = waitpid(child_, &status, wait ? 0 : WNOHANG);
        if (found == 0) return false;
        child_ = 0;
        if (WIFSIGNALED(status))
            std::snprintf(report_.failure, sizeof report_.failure, "ended by signal %d",
                          WTERMSIG(status));
        return true;
    }
    bool failed() const { return report_.failure[0] != 0; }
    void stop() const {
        if (child_ > 0) kill(child_, SIGKILL);
    }

private:
    void work(const std::function<bool(std::uint64_t&, Case&)>& cases) {
        Rig rig;
        bool odd = false;
        if (options_.seeded_bug)  // an odd copy behind an even one has a wrong last byte
            rig.disturb_copy = [&odd](Bytes& copy) {
                const bool was_odd = std::exchange(odd, copy.size() % 2 != 0);
                if (odd && !was_odd) copy.back() ^= 0x10;
            };
        Coverage coverage;
        std::uint64_t seed = 0;
        Case next;
        const std::uint64_t before = report_.passes, cycles_before = report_.cycles;
        std::uint64_t counts[point_count];
        std::copy_n(report_.counts, point_count, counts);
        rig.run([&] {
            while (cases(seed, next)) {
                report_.seed = seed;
                odd = true;
                const std::uint64_t hash = execute(rig, next, coverage);
                if (options_.hashes)
                    std::printf("%llu %016llx\n", static_cast<unsigned long long>(seed),
                                static_cast<unsigned long long>(hash));
                ++report_.done;
                report_.passes = before + coverage.passes();
                report_.cycles =
                    cycles_before + rig.offload().cycle() - rig.offload().skipped_cycles();
                for (std::size_t i = 0; i < point_count; ++i)
                    report_.counts[i] = counts[i] + coverage.counts()[i];
            }
        });
    }

    Report& report_;
    const Options& options_;
    pid_t child_ = 0;
};

/// How a case fails alone, without its numbers but for a cause, so that a smaller case fails in the
/// same way; empty: it does not.
std::string failure_of(const Case& events, const Options& options) {
    static Report& report = shared_report();
    Options quiet = options;
    quiet.hashes = false;
    Worker worker(report, quiet);
    bool given = false;
    worker.start(
        [&](std::uint64_t& seed, Case& next) {
            if (given) return false;
            given = true;
            seed = events.seed;
            next = events;
            return true;
        },
        trial_seconds);
    worker.ended(true);
    std::string kind;
    for (const char* c = report.failure; *c != 0; ++c) {
        const bool digit = *c >= '0' && *c <= '9';
        const bool cause = kind.size() > 6 && kind.compare(kind.size() - 6, 6, "cause ") == 0;
        if (!digit || cause) kind += *c;
    }
    return kind;
}

void report_failure(std::uint64_t seed, const std::string& failure, const Options& options) {
    std::printf("FAILED seed %llu: %s\n    again: build/tests/regress --seed %llu --frames %zu\n",
                static_cast<unsigned long long>(seed), failure.c_str(),
                static_cast<unsigned long long>(seed), options.frames);
    std::fflush(stdout);
    const Case failing = make_case(seed, options.frames);
    const std::string folder = options.out + "/seed-" + std::to_string(seed);
    std::filesystem::create_directories(folder);
    std::ofstream told(folder + "/case.txt");
    told << "seed " << seed << ", " << options.frames << " frames: " << failure << "\n\n";
    const std::string kind = failure_of(failing, options);
    const auto still = [&](const Case& events) { return failure_of(events, options) == kind; };
    if (kind.empty()) {
        told << "Alone it does not fail: what comes before it matters.\n";
        std::printf("    alone it does not fail\n");
        return;
    }
    const Case small = shrink(failing, still);
    const auto why = write_replay(small, folder, still);
    if (why)
        told << "`mirrornic run` cannot replay it: " << *why << ".\n\n";
    else
        told << "command.txt replays it with `mirrornic run`.\n\n";
    told << describe(small);
    std::printf(
        "    shrunk to %zu passes and %zu other events in %s; %s\n", small.passes(),
        small.events.size() - small.passes(), folder.c_str(),
        why ? ("`mirrornic run` cannot replay it: " + *why).c_str() : "command.txt replays it");
    std::fflush(stdout);
}

/// One line of JSON: all so far.
void print_progress(const Report& report, std::uint64_t failures, double seconds) {
    std::printf(
        "{\"seeds\": %llu, \"passes\": %llu, \"cycles\": %llu, \"failures\": %llu, \"seconds\": "
        "%.3f, \"cover\": {",
        static_cast<unsigned long long>(report.done),
        static_cast<unsigned long long>(report.passes),
        static_cast<unsigned long long>(report.cycles), static_cast<unsigned long long>(failures),
        seconds);
    for (std::size_t i = 0; i < point_count; ++i)
        std::printf("%s\"%s\": %llu", i == 0 ? "" : ", ", points[i].name,
                    static_cast<unsigned long long>(report.counts[i]));
    std::printf("}}\n");
    std::fflush(stdout);
}

volatile std::sig_atomic_t interrupted = 0;

int run(const Options& options) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const auto seconds = [&] {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    Report& report = shared_report();
    std::signal(SIGTERM, [](int) { interrupted = 1; });
    std::signal(SIGINT, [](int) { interrupted = 1; });
    std::uint64_t next_seed = options.first, failures = 0;
    const std::uint64_t end = options.first + options.seeds;
    double printed = 0;
    while (next_seed < end && failures < options.most_failures && !interrupted) {
        Worker worker(report, options);
        worker.start(
            [&](std::uint64_t& seed, Case& next) {
                if (next_seed == end) return false;
                report.seed = seed = next_seed++;
                next = make_case(seed, options.frames);
                return true;
            },
            0);
        while (!worker.ended(false)) {
            usleep(20'000);
            if (interrupted) {
                worker.stop();
                worker.ended(true);
                report.failure[0] = 0;
                break;
            }
            if (seconds() - printed > 10) {
                printed = seconds();
                print_progress(report, failures, printed);
            }
        }
        if (!worker.failed()) break;
        ++failures;
        next_seed = report.seed + 1;
        report_failure(report.seed, report.failure, options);
    }
    print_progress(report, failures, seconds());
    return failures != 0 ? 1 : 0;
}

}  // namespace

extern "C" int sc_main(int argc, char* argv[]) {
    namespace po = boost::program_options;
    Options options;
    po::options_description names("regress");
    names.add_options()("help", "print this")("seed", po::value<std::uint64_t>(),
                                              "this case alone")(
        "first", po::value(&options.first)->default_value(1), "seed of the first case")(
        "seeds", po::value(&options.seeds)->default_value(1),
        "cases, with seeds one after the other")("frames",
                                                 po::value(&options.frames)->default_value(2000),
                                                 "of a case, about; part of what its seed means")(
        "failures", po::value(&options.most_failures)->default_value(10), "ends after so many")(
        "out", po::value(&options.out)->default_value("out/regress"), "folder of what fails")(
        "hashes", po::bool_switch(&options.hashes), "prints a hash of all that each case put out")(
        "show", po::bool_switch(), "prints the case of --seed instead of running it")(
        "seeded-bug", po::bool_switch(&options.seeded_bug),
        "spoils some copies, to see that it is found")("points", po::bool_switch(),
                                                       "prints the table of cover points");
    try {
        po::variables_map values;
        po::store(po::parse_command_line(argc, argv, names), values);
        po::notify(values);
        if (values.count("help") != 0) return std::cout << names, 0;
        if (values["points"].as<bool>()) return std::cout << points_table(), 0;
        if (values.count("seed") != 0) {
            options.first = values["seed"].as<std::uint64_t>();
            options.seeds = 1;
        }
        if (values["show"].as<bool>())
            return std::cout << describe(make_case(options.first, options.frames)), 0;
        return run(options);
    } catch (const po::error& error) {
        std::cerr << "regress: " << error.what() << "; --help lists the options\n";
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "regress: " << error.what() << '\n';
        return 3;
    }
}
