// SPDX-License-Identifier: Apache-2.0
// Failures that similar projects have published, each as a case on the whole offload, named after
// what went wrong. The scoreboard compares every byte, every decision and every counter with the
// reference model. Sources are the projects' own issue trackers, by project and number.
#include "catch.hpp"
#include "register_map.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace map = mirrornic::registers;

namespace {

const Rig::Tapping egress{"eni-a", Direction::egress};

}  // namespace

TEST_CASE(
    "P22 P24 a drop decided exactly on the last beat drops all of the frame (open-nic-shell 81)") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(simple_state(false));
        std::uint32_t fill = 0;
        // The error mark on the last beat, alone in its cycle and with a frame right behind.
        for (std::size_t length : {60, 64, 65, 128, 129, 192, 1514}) {
            for (unsigned i = 0; i < 20; ++i) {
                Transfer transfer;
                transfer.marks.push_back({(length + 63) / 64 - 1, true, {}});
                rig.send(plain_frame(length, ++fill), egress, transfer);
                rig.send(plain_frame(length, ++fill), egress);
            }
        }
        rig.wait();
        // The buffer runs full in each beat of a frame of ten, its last one too: the free places go
        // down by one.
        for (unsigned short_frames = 480; short_frames < 520; ++short_frames) {
            rig.offload().mirror_pattern = never();
            for (unsigned i = 0; i < short_frames; ++i) rig.send(plain_frame(60, ++fill), egress);
            rig.send(plain_frame(640, ++fill), egress);
            rig.send(plain_frame(64, ++fill), egress);
            rig.offload().wait_until_fed();
            rig.offload().wait_cycles(60);
            rig.offload().mirror_pattern = {};
            rig.wait();
        }
    });
    CHECK(rig.drops() > 0);
}

TEST_CASE(
    "P14 P21 descriptions and payloads stay in step when either store is full (verilog-ethernet "
    "83, 186, 206)") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        std::uint32_t fill = 0;
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6));
            // One-beat copies fill the descriptions, long ones the beats, mixed ones both, at every
            // fill.
            for (const std::size_t length : {60, 600, 9000}) {
                for (unsigned round = 0; round < 4; ++round) {
                    rig.offload().mirror_pattern = stalls(900 + 7 * round);
                    for (unsigned i = 0; i < 1200; ++i)
                        rig.send(plain_frame(i % 3 == 0 ? length : 60, ++fill), egress);
                    rig.offload().wait_until_fed();
                    rig.offload().mirror_pattern = {};
                    rig.wait();
                }
            }
        }
    });
    CHECK(rig.drops() > 0);
    CHECK(rig.copies() > 1000);
}

TEST_CASE("P14 P18 lengths of back-to-back one-beat frames do not add up (verilog-axis 16)") {
    Rig rig;
    rig.run([&] {
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6));
            for (std::uint32_t i = 0; i < 4000; ++i)
                rig.send(plain_frame(34 + i % 31, i), egress, Rig::when_room());
            rig.wait();
        }
    });
    CHECK(rig.copies() == 8000);
}

TEST_CASE(
    "P14 a cut copy's length is right while descriptions wait at every fill (verilog-axis 30)") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(simple_state(false, 15));
        std::uint32_t fill = 0;
        for (unsigned waiting = 500; waiting < 530; ++waiting) {
            rig.offload().mirror_pattern = never();
            for (unsigned i = 0; i < waiting; ++i) rig.send(plain_frame(64 + i, ++fill), egress);
            rig.offload().wait_until_fed();
            rig.offload().mirror_pattern = every(3);
            for (unsigned i = 0; i < 200; ++i) rig.send(plain_frame(60 + i % 200, ++fill), egress);
            rig.wait();
        }
    });
    CHECK(rig.drops() > 0);
}

TEST_CASE("I1 P14 tlast comes with the last byte at every boundary of tkeep (protocols 166)") {
    Rig rig;
    rig.run([&] {
        std::uint32_t fill = 0;
        for (const bool v6 : {false, true}) {
            for (const std::optional<std::uint16_t> packet_length :
                 {std::optional<std::uint16_t>{}, std::optional<std::uint16_t>{65}}) {
                rig.apply(simple_state(v6, packet_length));
                for (std::size_t length = 34; length <= 330; ++length)
                    for (unsigned i = 0; i < 3; ++i)
                        rig.send(plain_frame(length, ++fill), egress, Rig::when_room());
                rig.wait();
            }
        }
    });
}

TEST_CASE("P1 no dead cycle follows a frame (verilog-axis 19)") {
    Rig rig;
    rig.run([&] {
        rig.apply(simple_state(false));
        std::uint64_t last = 0;
        std::uint64_t gaps = 0, frames = 0;
        rig.on_forward = [&](const Received& received) {
            if (frames++ != 0 && received.transfer.first_cycle != last + 1) ++gaps;
            last = received.transfer.last_cycle;
        };
        for (const std::size_t length : {60, 64, 65, 128, 129}) {
            frames = 0;
            const std::uint64_t before = gaps;
            // Less than a quantum, so that the feeder is never behind.
            for (std::uint32_t i = 0; i < 100; ++i) rig.send(plain_frame(length, i), egress);
            rig.wait();
            INFO("length " << length);
            CHECK(gaps == before);
        }
    });
    CHECK(rig.copies() == 500);
}

TEST_CASE(
    "P16 P18 checksums are right when the sum carries at the very end, 0xfeff and 0xffff too "
    "(ipbus 10)") {
    Rig rig;
    rig.run([&] {
        // The IPv4 header's sum walks through all ends of the carry by the length and the last
        // address byte.
        for (unsigned i = 0; i < 64; ++i) {
            TableState state = simple_state(false);
            Session& session = state.sessions.at("s");
            session.source_address =
                IpAddress::parse("255.255." + std::to_string(255 - i) + ".255");
            session.target_address = IpAddress::parse("255.254.0." + std::to_string(4 * i % 256));
            rig.apply(state);
            for (std::size_t length = 60; length < 60 + 64; ++length)
                rig.send(plain_frame(length), egress);
            rig.wait();
        }
        // Over IPv6 the kept bytes take part: two of them take every value.
        rig.apply(simple_state(true));
        Bytes frame = plain_frame(60);
        for (unsigned value = 0; value < 0x10000;
             value += value % 64 < 2 || value > 0xff00 ? 1 : 7) {
            frame[58] = std::uint8_t(value >> 8);
            frame[59] = std::uint8_t(value);
            rig.send(frame, egress, Rig::when_room());
        }
        rig.wait();
    });
}

TEST_CASE("P2 P14 P24 a frame larger than the buffer does not lock up (surf 1149)") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        for (const bool stalled : {false, true}) {
            rig.apply(simple_state(stalled));
            rig.offload().mirror_pattern = stalled ? stalls(2000) : Offload::Pattern{};
            for (const std::size_t beats : {511, 512, 513, 1024, 3000}) {
                rig.send(plain_frame(64 * beats), egress);
                rig.send(plain_frame(60), egress);
            }
            rig.offload().wait_until_fed();
            rig.offload().mirror_pattern = {};
            rig.wait();
        }
    });
    CHECK(rig.copies() >= 10);
}

TEST_CASE(
    "P1 P10 T1 nothing waits for what is switched off: no session, no rule, no tap (corundum "
    "106)") {
    Rig rig;
    rig.expect_no_copy();
    rig.run([&] {
        std::uint32_t fill = 0;
        const auto traffic = [&] {
            for (std::size_t length = 1; length < 200; ++length) {
                rig.send(plain_frame(length, ++fill), egress);
                rig.send(plain_frame(length, ++fill), {});
            }
            rig.wait();
        };
        traffic();  // no table is written
        TableState state = simple_state(false);
        auto empty = std::make_shared<Filter>();
        state.filters["f"] = empty;
        rig.apply(state);  // a filter without rules
        traffic();
        rig.apply({});  // everything gone again
        traffic();
    });
}

TEST_CASE(
    "no response is lost under back-to-back writes and reads under traffic (AXI4-Lite "
    "templates)") {
    Rig rig;
    rig.run([&] {
        rig.apply(simple_state(false));
        for (std::uint32_t i = 0; i < 3000; ++i) {
            rig.send(plain_frame(60, i), egress, Rig::when_room());
            rig.registers().write(map::interface_resolver::address(), i);
            rig.registers().write(map::session_vni::address(), i & 0xffffff);
            rig.registers().write(map::interface_resolver::address(), ~i);
            REQUIRE(rig.registers().read(map::interface_resolver::address()) == ~i);
            REQUIRE(rig.registers().read(map::session_vni::address()) == (i & 0xffffff));
        }
        rig.wait();
    });
}

TEST_CASE("P14 P18 outer lengths count each header once (ovs-issues 321, opte 337)") {
    Rig rig;
    rig.run([&] {
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6));
            for (std::size_t length = 60; length < 1600; length += 11) {
                rig.send(plain_frame(length), egress);
                rig.wait();
                // From the bytes themselves, beside the model's comparison.
                const Bytes& copy = rig.last_copy();
                const auto field = [&](std::size_t at) {
                    return std::size_t{copy[at]} << 8 | copy[at + 1];
                };
                REQUIRE(copy.size() == length + (v6 ? 70 : 50));
                REQUIRE(field(v6 ? 18 : 16) == length + (v6 ? 16 : 36));
                REQUIRE(field(v6 ? 58 : 38) == length + 16);
            }
        }
    });
}

TEST_CASE(
    "I3 P14 foreign VXLAN is ordinary traffic, and a copy that comes back is one frame, not a "
    "loop") {
    Rig rig;
    rig.run([&] {
        rig.apply(simple_state(false));
        rig.send(plain_frame(100), egress);
        rig.wait();
        // A mirror of a mirror, as a target that forwards it would send it: once around adds one
        // header.
        for (unsigned around = 1; around <= 5; ++around) {
            const Bytes copy = rig.last_copy();
            REQUIRE(copy.size() == 100 + 50 * around);
            rig.send(copy, egress);
            rig.wait();
            REQUIRE(rig.copies() ==
                    around + 1);  // each pass gives one copy; none comes back by itself
        }
    });
}
