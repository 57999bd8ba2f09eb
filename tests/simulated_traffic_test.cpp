// SPDX-License-Identifier: Apache-2.0
// Traffic as `mirrornic` drives it: decisions with the names of the tables that made them, and a
// model that fails.
#include "host/simulation/simulated_traffic.hpp"

#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <cstdlib>
#include <fstream>

#include "catch.hpp"
#include "folder.hpp"
#include "host/configuration/configuration.hpp"

using namespace mirrornic;

namespace {

/// One interface eni-a, MAC 02:00:00:00:00:0a, with a session tms-N whose filter accepts all.
TableState state(unsigned number) {
    TableState tables;
    tables.interfaces["eni-a"] = {};
    Rule rule;
    rule.id = "tmfr-" + std::to_string(number);
    rule.accept = true;
    rule.source = rule.destination = Cidr::parse("0.0.0.0/0");
    tables.filters["tmf"] = std::make_shared<const Filter>(Filter{false, {rule}, {rule}});
    Session session;
    session.interface = "eni-a";
    session.filter = "tmf";
    session.number = 1;
    session.vni = number & 0xffffff;
    session.source_mac = {2, 0, 0, 0, 0, 0xa};
    session.target_mac = {2, 0, 0, 0, 0, 0xb};
    session.source_address = IpAddress::parse("10.0.1.10");
    session.target_address = IpAddress::parse("10.0.2.20");
    session.mtu = 9001;
    tables.sessions["tms-" + std::to_string(number)] = session;
    return tables;
}

std::shared_ptr<const Network> network() {
    return parse_configuration({{"network",
                                 R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-a",
                                     "MacAddress": "02:00:00:00:00:0a"}]})"}})
        .account.network();
}

/// A UDP frame that eni-a sends.
std::vector<std::uint8_t> frame_bytes() {
    std::vector<std::uint8_t> frame(64);
    const std::uint8_t head[] = {2, 0, 0, 0, 0, 0xe, 2, 0, 0, 0, 0, 0xa, 8, 0, 0x45, 0, 0, 50};
    std::copy(std::begin(head), std::end(head), frame.begin());
    frame[22] = 64;
    frame[23] = 17;
    const std::uint8_t addresses[] = {10, 0, 1, 10, 10, 0, 3, 30, 0x9c, 0x40, 0x13, 0x88};
    std::copy(std::begin(addresses), std::end(addresses), frame.begin() + 26);
    return frame;
}

struct Feeder {
    explicit Feeder(Traffic& to) : traffic(to) {
        frame.data = bytes.data();
        frame.size = frame.original_size = bytes.size();
    }
    void feed() {
        frame.number = ++fed;
        frame.timestamp_ns = fed * 1000;
        traffic.feed(frame);
    }
    Traffic& traffic;
    const std::vector<std::uint8_t> bytes = frame_bytes();
    Traffic::Frame frame;
    std::uint64_t fed = 0;
};

std::vector<Json> lines_of(const std::string& path) {
    std::ifstream in(path);
    std::vector<Json> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
}

long resident_kilobytes() {
    std::ifstream statm("/proc/self/statm");
    long all, resident;
    statm >> all >> resident;
    return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

}  // namespace

TEST_CASE("decisions have the names of their tables after any number of commits between frames") {
    const test::Folder folder;
    TrafficOptions options;
    options.decisions = (folder.path / "decisions").string();
    options.out = "/dev/null";
    Traffic traffic(options, network());
    // Around the wraps of the 16 bits that a record has, signed and unsigned.
    const unsigned gaps[] = {1, 2, 32766, 1, 32767, 32768, 32769, 65535, 65536, 65537, 3};
    std::vector<std::string> expected;
    traffic.board().run([&] {
        MirrorDevice& device = traffic.open();
        Feeder feeder(traffic);
        unsigned number = 0;
        for (const unsigned gap : gaps) {
            const auto until = device.placement()->sequence + gap;
            // The commit that gives the session its name is the first or the last of them.
            const bool first = number % 2 == 0;
            traffic.settle_indices();
            if (first) device.apply(state(++number));
            while (device.placement()->sequence + (first ? 0 : 3) < until) device.probe();
            if (!first) device.apply(state(++number));
            for (int i = 0; i < 2; ++i) {
                feeder.feed();
                expected.push_back(std::to_string(number));
            }
        }
        traffic.board().offload().wait_until_idle();
    });
    traffic.close();
    const auto lines = lines_of(*options.decisions);
    REQUIRE(lines.size() == expected.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
        INFO("frame " << i + 1);
        CHECK(lines[i].value("TrafficMirrorSessionId", "") == "tms-" + expected[i]);
        CHECK(lines[i].value("TrafficMirrorFilterRuleId", "") == "tmfr-" + expected[i]);
    }
}

TEST_CASE("commits on an idle wire keep no memory") {
    TrafficOptions options;
    options.decisions = options.out = "/dev/null";
    Traffic traffic(options, network());
    traffic.board().run([&] {
        MirrorDevice& device = traffic.open();
        Feeder feeder(traffic);
        device.apply(state(1));
        feeder.feed();
        traffic.board().offload().wait_until_idle();
        const auto commits = [&device](unsigned count) {
            for (unsigned i = 0; i < count; ++i) device.probe();
        };
        commits(2000);
        const long before = resident_kilobytes();
        // MIRRORNIC_COMMITS is how many; 6.4 kB for each of 20,000 were 128 MB.
        const char* given = std::getenv("MIRRORNIC_COMMITS");
        commits(given ? unsigned(std::stoul(given)) : 20000);
        CHECK(resident_kilobytes() - before < 4000);
    });
}

TEST_CASE(
    "of live traffic the newest 10,000 ended sessions have their counters, the others a sum") {
    constexpr unsigned kept = 10000, more = 7, all = kept + more + 1;
    TrafficOptions options;
    options.out = "/dev/null";
    options.live = true;
    Traffic traffic(options, network());
    OrderedJson stats, earlier_in_the_end;
    long before = 0, after = 0;
    traffic.board().run([&] {
        MirrorDevice& device = traffic.open();
        Feeder feeder(traffic);
        // Each session ends when the next one takes its place.
        for (unsigned i = 1; i <= all; ++i) {
            traffic.settle_indices();
            device.apply(state(i));
            feeder.feed();
            traffic.board().offload().wait_until_idle();
        }
        stats = traffic.statistics();
        auto create = [&, number = all](unsigned count) mutable {
            for (unsigned i = 0; i < count; ++i) device.apply(state(++number));
        };
        create(kept);
        before = resident_kilobytes();
        create(3 * kept);  // 170 bytes each were 5 MB
        after = resident_kilobytes();
        earlier_in_the_end = traffic.statistics()["earlier_sessions"];
    });
    traffic.close();
    REQUIRE(stats["sessions"].size() == kept + 1);
    for (unsigned i = 0; i <= kept; ++i) {
        const auto& session = stats["sessions"][i];
        INFO("session " << i);
        REQUIRE(session["TrafficMirrorSessionId"] == "tms-" + std::to_string(more + 1 + i));
        REQUIRE(session["mirrored"] == 1);
    }
    const auto& earlier = stats["earlier_sessions"];
    CHECK(earlier.size() == 6);
    CHECK(earlier["count"] == more);
    CHECK(earlier["selected"] == more);
    CHECK(earlier["mirrored"] == more);
    CHECK(earlier["mirrored_bytes"] ==
          more * stats["sessions"][0]["mirrored_bytes"].get<std::uint64_t>());
    CHECK(earlier["truncated"] == 0);
    CHECK(earlier["dropped"] == 0);
    CHECK(earlier_in_the_end["count"] == more + 4 * kept);
    CHECK(earlier_in_the_end["mirrored"] == all);
    CHECK(after - before < 2500);
}

#ifdef __SANITIZE_ADDRESS__
namespace {
const char* below;  ///< a byte beside a local of what has thrown

[[gnu::noinline]] void throws() {
    volatile char local[64] = {};
    below = const_cast<const char*>(local) - 1;
    throw std::runtime_error("as any error after the run");
}
}  // namespace

TEST_CASE("after a run AddressSanitizer knows the stack that it is on") {
    TrafficOptions options;
    options.out = "/dev/null";
    Traffic traffic(options, network());
    traffic.board().run([&] { traffic.open(); });
    REQUIRE_THROWS(throws());
    CHECK(__asan_address_is_poisoned(below) == 0);
}
#endif

TEST_CASE("a model that fails throws what stopped it into all who wait, feed or read") {
    struct Broken : std::runtime_error {
        using std::runtime_error::runtime_error;
    };
    TrafficOptions options;
    options.out = "/dev/null";
    Traffic traffic(options, network());
    bool unwound = false;
    unsigned thrown = 0;
    const auto run = [&] {
        traffic.board().run([&] {
            struct Unwound {
                bool& flag;
                ~Unwound() { flag = true; }
            } const at_end{unwound};
            MirrorDevice& device = traffic.open();
            device.apply(state(1));
            Feeder feeder(traffic);
            auto& offload = traffic.board().offload();
            // From within the model, as a broken contract would.
            traffic.board().on_copy = [](const Received&) { throw Broken("the model is broken"); };
            feeder.feed();
            const std::function<void()> each[] = {[&] { offload.wait_until_idle(); },
                                                  [&] { offload.wait_until_fed(); },
                                                  [&] { offload.wait_cycles(10); },
                                                  [&] { feeder.feed(); },
                                                  [&] { device.counters(); },
                                                  [&] { device.apply(state(2)); },
                                                  [&] { device.probe(); }};
            for (const auto& act : each) {
                try {
                    act();
                } catch (const Broken&) {
                    ++thrown;
                }
            }
            REQUIRE(thrown == std::size(each));
            // What the work makes of it does not hide it.
        });
    };
    REQUIRE_THROWS_AS(run(), Broken);
    REQUIRE(unwound);
}
