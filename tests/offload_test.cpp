// SPDX-License-Identifier: Apache-2.0
// The whole offload against the reference model: sizes x gaps x back-pressure x address family x
// PacketLength, frames and rules of every kind, and production's timing.
#include "catch.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

const Rig::Tapping egress{"eni-a", Direction::egress};
const Rig::Tapping ingress{"eni-a", Direction::ingress};

std::vector<std::size_t> sizes(std::size_t from, std::size_t to) {
    std::vector<std::size_t> all{512, 1514, 9014, 9215, 9216, 9217, 20000};
    for (std::size_t size = from; size <= to; ++size) all.push_back(size);
    return all;
}

/// Every length limit meets every size, each time under other gaps and back-pressure.
void sweep_sizes(bool v6_target) {
    const Offload::Pattern always, gaps[] = {always, random_pattern(60), every(7)};
    const Offload::Pattern pressures[] = {always, random_pattern(50), stalls(700)};
    std::vector<std::optional<std::uint16_t>> lengths{{}};
    for (std::uint16_t length : {1, 14, 15, 63, 64, 65, 127, 128, 129, 8500})
        lengths.push_back(length);
    Rig rig;
    rig.run([&] {
        unsigned round = 0;
        for (const std::uint16_t mtu : {576, 1500, 9001, 9216}) {
            for (const auto& length : lengths) {
                rig.apply(simple_state(v6_target, length, mtu));
                rig.offload().source_pattern = gaps[round % 3];
                rig.offload().forward_pattern = pressures[round / 3 % 3];
                rig.offload().mirror_pattern = pressures[(round / 2 + mtu) % 3];
                for (const std::size_t size : sizes(14, 260)) {
                    FrameSpec spec;
                    spec.length = size;
                    spec.fill = std::uint32_t(size + 1000 * round);
                    spec.v6 = size % 3 == 0;
                    spec.tags = unsigned(size / 3 % 3);
                    rig.send(make_frame(spec), size % 2 != 0 ? egress : ingress, Rig::when_room());
                }
                rig.wait();
                ++round;
            }
        }
    });
    CHECK(rig.copies() > 40 * 200);
}

}  // namespace

TEST_CASE(
    "P14 P15 P16 P18 P19 every size is mirrored byte for byte over IPv4, at every PacketLength and "
    "MTU") {
    sweep_sizes(false);
}

TEST_CASE(
    "P14 P15 P17 P18 P19 every size is mirrored byte for byte over IPv6, at every PacketLength and "
    "MTU") {
    sweep_sizes(true);
}

TEST_CASE(
    "P14 P21 I4 every gap meets every back-pressure, and nothing is dropped when room is waited "
    "for") {
    const Offload::Pattern patterns[] = {{}, random_pattern(50), every(7), stalls(700)};
    Rig rig;
    rig.run([&] {
        std::uint32_t fill = 0;
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6, {}, 9216));
            for (unsigned i = 0; i < 64; ++i) {
                rig.offload().source_pattern = patterns[i % 4];
                rig.offload().forward_pattern = patterns[i / 4 % 4];
                rig.offload().mirror_pattern = patterns[i / 16];
                for (const std::size_t size :
                     {60, 64, 65, 128, 129, 1514, 9216, 60, 61, 9217, 20000, 178, 186}) {
                    rig.send(plain_frame(size, ++fill), egress, Rig::when_room());
                }
                rig.wait();
            }
        }
    });
    CHECK(rig.copies() == 2 * 64 * 13);
}

TEST_CASE(
    "P3 to P12 P20 I5 frames, rules, filters and sessions of every kind are decided as the model "
    "says") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        for (unsigned round = 0; round < 120; ++round) {
            rig.apply(random_state(random, 8, 12));
            if (round % 4 == 0) {
                const auto bits =
                    std::uint8_t(random.pick({1, 7, 14, 16, int(random.between(1, 16))}));
                rig.source_ports(std::uint16_t(random.below(65537 - (1u << bits))), bits);
            }
            rig.offload().source_pattern =
                random.chance(70) ? Offload::Pattern{} : random_pattern(70);
            for (unsigned i = 0; i < 3000; ++i) {
                const auto tap =
                    random.chance(97) ? std::optional(random_tap(random, 9)) : std::nullopt;
                rig.send(random_frame(random), tap);
            }
            rig.wait();
        }
    });
    using Outcome = DecisionRecord::Outcome;
    for (const Outcome outcome :
         {Outcome::not_eligible, Outcome::not_accepted, Outcome::mirrored}) {
        CHECK(rig.count(outcome) > 10000);
    }
}

TEST_CASE("P7 P8 services and Amazon DNS are distinguished from their neighbours on both sides") {
    const std::vector<std::string> hosts4{"169.254.169.254", "169.254.169.255", "169.254.169.123",
                                          "169.254.169.122", "169.254.169.250", "169.254.169.251",
                                          "169.254.169.252", "169.254.169.253", "169.254.169.249",
                                          "10.0.0.2",        "10.0.0.3",        "169.255.169.254"};
    const std::vector<std::string> hosts6{"fd00:ec2::254", "fd00:ec2::123", "fd00:ec2::253",
                                          "fd00:ec2::250", "fd00:ec2::252", "fd00:ec2:1::254",
                                          "fd01:ec2::253"};
    TableState state = simple_state(false);
    state.interfaces["eni-dns"].resolver = IpAddress::parse("10.0.0.2");
    auto dns = std::make_shared<Filter>(*state.filters["f"]);
    dns->amazon_dns = true;
    dns->egress.clear();
    dns->ingress = {any_rule(false, false, "none")};
    state.filters["dns"] = dns;
    for (const std::uint16_t number :
         {1, 2}) {  // one that wants DNS alone, then one that wants all else
        Session session = state.sessions["s"];
        session.interface = "eni-dns";
        session.number = number;
        session.filter = number == 1 ? "dns" : "f";
        session.vni = number;
        state.sessions["dns" + std::to_string(number)] = session;
    }
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(state);
        for (const bool v6 : {false, true}) {
            for (const std::string& host : v6 ? hosts6 : hosts4) {
                for (const bool sends : {false, true}) {
                    for (const std::uint8_t protocol : {6, 17, 1, 132}) {
                        for (const std::uint16_t port :
                             {52, 53, 54, 66, 67, 68, 69, 122, 123, 124, 545, 546, 547, 548, 1687,
                              1688, 1689, 4789}) {
                            for (const bool its_side : {false, true}) {
                                FrameSpec spec;
                                spec.v6 = v6;
                                spec.protocol = protocol;
                                const std::string other = v6 ? "2001:db8::7" : "10.9.9.9";
                                spec.source = sends ? host : other;
                                spec.destination = sends ? other : host;
                                (sends == its_side ? spec.source_port : spec.destination_port) =
                                    port;
                                const Bytes frame = make_frame(spec);
                                rig.send(frame, egress);
                                rig.send(frame, Rig::Tapping{"eni-dns", Direction::ingress});
                            }
                        }
                    }
                }
            }
        }
    });
    CHECK(rig.count(DecisionRecord::Outcome::not_eligible) > 1000);
}

TEST_CASE("P3 P4 P5 ports, headers and the frame's end are known exactly up to the window's edge") {
    Random random;
    TableState state = simple_state(false, 200);
    auto filter = std::make_shared<Filter>();
    for (const bool v6 : {false, true}) {  // the rule that decides tells what was parsed
        Rule ports = any_rule(v6, true, "ports");
        ports.source_ports = PortRange{40000, 40000};
        ports.destination_ports = PortRange{5000, 5000};
        filter->egress.push_back(ports);
        for (const std::uint8_t protocol : {17, 6, 0, 43, 44, 51, 60}) {
            Rule rule = any_rule(v6, protocol % 2 == 0, "protocol");
            rule.protocol = protocol;
            if (filter->egress.size() < 15) filter->egress.push_back(rule);
        }
    }
    filter->egress.push_back(any_rule(true, true, "unknown"));
    state.filters["f"] = filter;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(state);
        for (unsigned i = 0; i < 60000; ++i) {
            Bytes frame = random.bytes(12);
            const auto put = [&frame](std::initializer_list<unsigned> bytes) {
                for (const unsigned byte : bytes) frame.push_back(std::uint8_t(byte));
            };
            for (unsigned tag = i % 4; tag > 0; --tag) put({0x81, 0, 0, tag});
            std::size_t end = frame.size() + 2;
            if (random.chance(25)) {
                const unsigned words = random.between(5, 15);
                put({8, 0,  0x40 + words,
                     0, 0,  0,
                     0, 0,  random.chance(20) ? 0x20u : 0,
                     0, 64, 17,
                     0, 0,  1,
                     2, 3,  4,
                     5, 6,  7,
                     8});
                frame.resize(end + 4 * words);
            } else {
                const unsigned count = random.between(0, 5);
                std::vector<unsigned> chain;
                for (unsigned k = 0; k < count; ++k)
                    chain.push_back(random.pick({0, 43, 44, 51, 60}));
                chain.push_back(random.chance(80) ? 17 : 6);
                put({0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, chain[0], 64});
                frame.resize(end + 40, 0x20);
                for (unsigned k = 0; k < count; ++k) {
                    const unsigned length = chain[k] == 44  ? 0
                                            : k + 1 < count ? random.below(3)
                                                            : random.below(12);
                    const std::size_t start = frame.size();
                    put({chain[k + 1], length, 0, chain[k] == 44 ? random.below(10) : 0});
                    frame.resize(start + (chain[k] == 51 ? 4 * length + 8 : 8 * length + 8));
                }
            }
            end = frame.size();
            put({40000 >> 8, 40000 & 0xff, 5000 >> 8, 5000 & 0xff});
            frame.resize(random.chance(50)   ? random.between(1, 5) + end
                         : random.chance(50) ? random.between(118, 136)
                                             : 200);
            rig.send(frame, egress);
        }
    });
}

TEST_CASE("P9 entries of the service table decide, and can be changed") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        for (unsigned round = 0; round < 12; ++round) {
            for (unsigned i = 0; i < 6; ++i) {
                rig.put_service(random.below(16), random_service(random));
            }
            rig.apply(random_state(random, 4, 6));
            for (unsigned i = 0; i < 2000; ++i)
                rig.send(random_frame(random), random_tap(random, 5));
            rig.wait();
        }
    });
}

TEST_CASE(
    "P12 P13 the lowest session number that accepts mirrors a pass, and both ends of a frame may "
    "mirror it") {
    TableState state = simple_state(false);
    state.interfaces["eni-b"] = {};
    const Session base = state.sessions["s"];
    state.sessions.clear();
    const auto only = [](std::uint8_t protocol) {
        auto filter = std::make_shared<Filter>();
        Rule rule = any_rule(false, true, "r");
        rule.protocol = protocol;
        filter->egress = filter->ingress = {rule};
        return filter;
    };
    state.filters = {
        {"tcp", only(6)}, {"udp", only(17)}, {"icmp", only(1)}, {"all", state.filters["f"]}};
    std::uint32_t vni = 0;
    for (const char* interface : {"eni-a", "eni-b"}) {
        std::uint16_t number = 32766;  // created from the highest number to the lowest
        for (const char* filter : {"all", "udp", "tcp"}) {
            Session session = base;
            session.interface = interface;
            session.filter = filter;
            session.number = number;
            session.vni = ++vni;
            state.sessions[interface + std::string(filter)] = session;
            number /= 2;
        }
    }
    Rig rig;
    std::map<std::pair<int, int>, unsigned> slots;
    std::vector<std::uint8_t> protocols;
    rig.run([&] {
        rig.apply(state);
        rig.on_decision = [&](const DecisionRecord& record) {
            ++slots[{protocols[std::size_t(record.tag - 1) / 2 % protocols.size()], record.slot}];
        };
        for (unsigned i = 0; i < 300; ++i)
            protocols.push_back(i % 3 == 0 ? 6 : i % 3 == 1 ? 17 : 1);
        for (unsigned i = 0; i < 300; ++i) {
            FrameSpec spec;
            spec.protocol = protocols[i];
            spec.fill = i;
            const Bytes frame = make_frame(spec);
            const bool same = i % 5 == 0;  // both MACs are one interface's
            rig.send(frame, egress, Rig::when_room());
            rig.send(frame, Rig::Tapping{same ? "eni-a" : "eni-b", Direction::ingress},
                     Rig::when_room());
        }
    });
    CHECK(rig.copies() == 600);
    CHECK(slots ==
          std::map<std::pair<int, int>, unsigned>{{{6, 0}, 200}, {{17, 1}, 200}, {{1, 2}, 200}});
}

TEST_CASE("P20 both directions of a flow get one source port from the configured range") {
    Random random;
    Rig rig;
    rig.run([&] {
        rig.apply(simple_state(true));
        for (const auto& [base, bits] : {std::pair<std::uint16_t, std::uint8_t>{65408, 7},
                                         {0, 16},
                                         {65534, 1},
                                         {1, 1},
                                         {49152, 14},
                                         {32768, 15},
                                         {1000, 9}}) {
            rig.source_ports(base, bits);
            for (unsigned i = 0; i < 100; ++i) {
                FrameSpec spec;
                spec.source = "10.1.2." + std::to_string(random.below(256));
                spec.source_port = std::uint16_t(random.below(65536));
                spec.protocol = random.chance(70) ? 17 : 1;
                unsigned first = 0;
                for (const bool back : {false, true}) {
                    if (back) {
                        std::swap(spec.source, spec.destination);
                        std::swap(spec.source_port, spec.destination_port);
                    }
                    rig.send(make_frame(spec), back ? ingress : egress);
                    rig.wait();
                    const unsigned port = unsigned(rig.last_copy()[54] << 8 | rig.last_copy()[55]);
                    CHECK(port >= base);
                    CHECK(port - base < 1u << bits);
                    if (back) CHECK(port == first);
                    first = port;
                }
            }
        }
    });
}

TEST_CASE(
    "P1 P2 production takes one cycle and moves a beat a cycle, whatever the mirror and the host "
    "do") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        const TableState one = simple_state(false), other = simple_state(true, 15);
        for (const bool stalled : {false, true}) {
            rig.apply(one);
            rig.offload().mirror_pattern = stalled ? never() : Offload::Pattern{};
            std::uint64_t next = 0, beats = 0;
            rig.on_forward = [&](const Received& received) {
                const Transfer& transfer = received.transfer;
                if (transfer.latency != 1)
                    FAIL("latency " << transfer.latency << " at " << received.size << " bytes");
                if (next != 0 && transfer.first_cycle != next)
                    FAIL("a bubble before " << received.size << " bytes");
                if (transfer.last_cycle - transfer.first_cycle != (received.size - 1) / 64)
                    FAIL("a bubble inside");
                next = transfer.last_cycle + 1;
                beats += (received.size + 63) / 64;
            };
            for (unsigned round = 0; round < 20; ++round) {
                std::vector<std::size_t> all{1500, 1514, 9216, 9217, 20000};
                for (std::size_t size = 1; size <= 300; ++size) all.push_back(size);
                for (const std::size_t size : all) rig.send(plain_frame(size, round), egress);
                rig.apply(round % 2 == 0 ? other : one);
            }
            rig.offload().wait_until_fed();
            rig.offload().wait_cycles(20);
            rig.on_forward = nullptr;
            rig.offload().mirror_pattern = nullptr;
            rig.wait();
            CHECK(beats > 20 * 1000);
        }
    });
    CHECK(rig.drops() > 100);
}

TEST_CASE("P1 production's timing is the same without sessions and with a stalled mirror") {
    Rig rig;
    rig.allow_drops();
    std::vector<std::uint64_t> timing[2];
    rig.run([&] {
        for (const bool mirrors : {false, true}) {
            rig.apply(mirrors ? simple_state(false) : TableState{});
            rig.wait();
            const std::uint64_t start = rig.offload().cycle() + 1000;
            rig.on_forward = [&, start](const Received& received) {
                timing[mirrors].push_back(received.transfer.first_cycle - start);
                timing[mirrors].push_back(received.transfer.last_cycle - start);
            };
            const auto from_start = [start](Offload::Pattern pattern) -> Offload::Pattern {
                return [start, pattern](std::uint64_t cycle) {
                    return cycle >= start && pattern(cycle);
                };
            };
            rig.offload().source_pattern = from_start(random_pattern(80));
            rig.offload().forward_pattern = from_start(random_pattern(70));
            rig.offload().mirror_pattern = mirrors ? never() : Offload::Pattern{};
            for (std::size_t size = 1; size < 500; ++size) rig.send(plain_frame(size), egress);
            if (mirrors) rig.apply(simple_state(true, 15));
            rig.offload().wait_until_fed();
            rig.offload().wait_cycles(50);
            rig.offload().source_pattern = rig.offload().forward_pattern =
                rig.offload().mirror_pattern = nullptr;
            rig.wait();
            rig.on_forward = nullptr;
        }
    });
    CHECK(timing[0].size() == 2 * 499);
    CHECK(timing[0] == timing[1]);
}

TEST_CASE("P1 P2 production goes on unchanged for ever while the mirror output never moves") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(simple_state(false));
        rig.offload().mirror_pattern = never();
        rig.offload().forward_pattern = random_pattern(50);
        rig.offload().source_pattern = random_pattern(90);
        for (unsigned i = 0; i < 4000; ++i)
            rig.send(plain_frame(random.between(1, i % 20 == 0 ? 10000 : 400), i), egress);
        rig.offload().wait_until_fed();
        rig.offload().wait_cycles(100);
        CHECK(rig.device().counters().forwarded.frames == 4000);
        CHECK(rig.copies() == 0);
        rig.offload().mirror_pattern = nullptr;
    });
    CHECK(rig.drops() > 3000);
}

TEST_CASE("P2 a frame of 1 to 13 bytes is forwarded and is at no tap") {
    Rig rig;
    rig.expect_no_copy();
    rig.run([&] {
        rig.apply(simple_state(false));
        for (std::size_t size = 1; size < 20; ++size) rig.send(plain_frame(size), egress);
        for (std::size_t size = 1; size < 14; ++size) rig.send(plain_frame(size), {});
        rig.wait();
        CHECK(rig.device().counters().causes.no_tap == 26);
    });
}

TEST_CASE(
    "P2 P14 P23 a frame of 20,001 bytes up to five million is forwarded whole, cut and counted") {
    Rig rig;
    rig.run([&] {
        rig.apply(simple_state(false, {}, 9216));
        for (const std::size_t size : {20001, 65535, 65536, 65537, 131072, 1048576, 5000000}) {
            rig.send(plain_frame(size), egress, Rig::when_room());
            rig.send(plain_frame(60), egress, Rig::when_room());
        }
        rig.wait();
        rig.check_counters();
    });
    CHECK(rig.copies() == 14);
}
