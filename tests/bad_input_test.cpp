// SPDX-License-Identifier: Apache-2.0
// P24, P25, I1, I2: frames that are cut, marked or garbage, wrong indices, and resets at any
// moment.
#include "catch.hpp"
#include "register_map.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

const Rig::Tapping egress{"eni-a", Direction::egress};

std::uint64_t low_lanes(std::size_t bytes) {
    return bytes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
}

/// A mark and, behind it, a frame that must be handled right.
void send_marked(Rig& rig, const Bytes& frame, std::vector<BeatMark> marks) {
    Transfer transfer = Rig::when_room();
    transfer.marks = std::move(marks);
    rig.send(frame, egress, transfer);
    rig.send(plain_frame(60 + frame.size() % 100, std::uint32_t(frame.size())), egress,
             Rig::when_room());
}

}  // namespace

TEST_CASE("P24 frames cut at every length leave the next frame right") {
    Rig rig;
    rig.run([&] {
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6));
            for (unsigned tags = 0; tags < 4; ++tags) {
                for (std::size_t length = 1; length <= 200; ++length) {
                    FrameSpec spec;
                    spec.tags = tags;
                    spec.v6 = v6;
                    spec.length = length;
                    send_marked(rig, make_frame(spec), {});
                }
            }
        }
    });
}

TEST_CASE("P24 frames of random bytes are handled as the model says") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        TableState state = random_state(random, 2, 4);
        rig.apply(state);
        rig.offload().source_pattern = random_pattern(80);
        rig.offload().mirror_pattern = random_pattern(50);
        for (unsigned i = 0; i < 60000; ++i) {
            Bytes frame = random.bytes(random.between(1, random.chance(5) ? 3000 : 200));
            if (frame.size() > 15 && random.chance(80)) {  // far enough to be parsed
                const bool v6 = random.chance(50);
                frame[12] = v6 ? 0x86 : 0x08;
                frame[13] = v6 ? 0xdd : 0x00;
                frame[14] = std::uint8_t(v6 ? 0x60 : 0x40 + random.below(16));
            }
            rig.send(frame, random_tap(random, 3));
        }
    });
}

TEST_CASE("P24 a frame marked bad up to the end of its copy is not eligible, and later late_bad") {
    Rig rig;
    rig.run([&] {
        for (const bool v6 : {false, true}) {
            for (const unsigned length : {1, 63, 64, 65, 128, 129, 192, 400}) {
                rig.apply(simple_state(v6, std::uint16_t(length)));
                for (const std::size_t size : {60, 64, 65, 128, 129, 400, 700}) {
                    const std::size_t beats = (size + 63) / 64;
                    for (std::size_t beat = 0; beat < beats; ++beat) {
                        send_marked(rig, plain_frame(size), {{beat, true, {}}});
                        send_marked(rig, plain_frame(size),
                                    {{beat, true, {}}, {beats - 1, true, {}}});
                    }
                }
            }
        }
    });
    CHECK(rig.late_bad() > 100);
    CHECK(rig.count(DecisionRecord::Outcome::not_eligible) > 100);
}

TEST_CASE(
    "I1 P24 a frame with a wrong tkeep on any beat is forwarded as it came and is malformed") {
    Random random;
    Rig rig;
    rig.run([&] {
        for (const unsigned length : {1, 64, 65, 129, 8500}) {
            rig.offload().wait_until_fed();  // each length meets its frames
            rig.apply(simple_state(length % 2 == 0, std::uint16_t(length)));
            for (const std::size_t size : {60, 64, 65, 128, 129, 400, 700}) {
                const std::size_t beats = (size + 63) / 64;
                for (std::size_t beat = 0; beat < beats; ++beat) {
                    const bool last = beat + 1 == beats;
                    const std::size_t bytes = last ? size - 64 * beat : 64;
                    const std::uint64_t whole = low_lanes(bytes);
                    std::vector<std::uint64_t> keeps{0, whole & ~std::uint64_t{1},
                                                     whole & ~std::uint64_t{2}};
                    if (!last)
                        keeps.insert(keeps.end(),
                                     {low_lanes(63), low_lanes(14), low_lanes(40) << 10});
                    for (int i = 0; i < 4; ++i) {
                        const Bytes lanes = random.bytes(8);
                        std::uint64_t keep = 0;
                        for (const auto lane : lanes) keep = keep << 8 | lane;
                        keeps.push_back(keep & whole);
                    }
                    for (const std::uint64_t keep : keeps) {
                        const bool wrong =
                            last ? keep == 0 || (keep & (keep + 1)) != 0 : keep != whole;
                        if (!wrong) continue;
                        std::vector<BeatMark> marks{{beat, random.chance(20), keep}};
                        if (random.chance(20))
                            marks.push_back({random.below(std::uint32_t(beats)), true, {}});
                        send_marked(rig, plain_frame(size), marks);
                    }
                }
            }
        }
    });
    CHECK(rig.late_bad() > 50);
}

TEST_CASE(
    "I1 P23 P24 a frame whose last beat names no byte is malformed, by the bytes of the others") {
    Rig rig;
    rig.run([&] {
        std::uint64_t malformed = 0, no_tap = 0, bytes = 0, copies = 0;
        const auto send = [&](const Bytes& frame, const std::optional<Rig::Tapping>& tap) {
            const std::size_t beats = (frame.size() + 63) / 64;
            Transfer transfer = Rig::when_room();
            transfer.marks = {{beats - 1, false, std::uint64_t{0}}};
            std::optional<std::size_t> left;
            rig.on_forward = [&](const Received& received) {
                if (!left) left = received.size;
            };
            rig.send(frame, tap, transfer);
            rig.send(plain_frame(100, std::uint32_t(frame.size())), egress, Rig::when_room());
            rig.wait();
            CHECK(left == 64 * (beats - 1));
            bytes += 64 * (beats - 1) + 100;
            ++copies;
            (beats > 1 && tap ? malformed : no_tap) += 1;
        };
        for (const bool v6 : {false, true}) {
            // Nothing cuts these copies, so that each is complete with tlast alone.
            for (const std::optional<std::uint16_t> packet_length :
                 {std::optional<std::uint16_t>{}, {std::uint16_t{8500}}, {std::uint16_t{700}}}) {
                rig.apply(simple_state(v6, packet_length));
                for (const std::size_t size : {1, 60, 64, 65, 100, 128, 129, 192, 193, 400, 700})
                    send(plain_frame(size), egress);
                send(plain_frame(200), {});
            }
        }
        const Counters counters = rig.device().counters();
        CHECK(counters.causes.malformed == malformed);
        CHECK(counters.causes.no_tap == no_tap);
        CHECK(counters.not_eligible.frames == malformed + no_tap);
        CHECK(counters.mirrored.frames == copies);
        CHECK(counters.received.bytes == bytes);
        CHECK(counters.forwarded.bytes == bytes);
        CHECK(counters.not_eligible.bytes == bytes - 100 * copies);
        CHECK(rig.late_bad() == 0);

        // Cut before it: the copy stands.
        rig.apply(simple_state(false, std::uint16_t(128)));
        Transfer transfer = Rig::when_room();
        transfer.marks = {{2, false, std::uint64_t{0}}};
        rig.send(plain_frame(180), egress, transfer);
        rig.wait();
        CHECK(rig.late_bad() == 1);
    });
}

TEST_CASE(
    "I2 an index beyond the table is no tap, and the one that no session uses accepts nothing") {
    Rig rig;
    rig.run([&] {
        rig.apply(simple_state(false));
        for (const std::uint32_t index : {0u, 255u, 256u, 257u, 511u, 512u, 4096u, 65535u}) {
            for (const Direction direction : {Direction::ingress, Direction::egress}) {
                rig.send(plain_frame(100), Rig::Tapping{"", direction, index});
            }
        }
        rig.wait();
        const Counters counters = rig.device().counters();
        CHECK(counters.causes.no_tap == 10);
        CHECK(counters.not_accepted.frames == 4);
        CHECK(counters.mirrored.frames == 2);
    });
}

TEST_CASE(
    "P25 a reset at any moment empties tables and counters, and the next beat starts a frame") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        for (unsigned round = 0; round < 150; ++round) {
            rig.apply(simple_state(random.chance(50), {}));
            const bool stalled = random.chance(40);
            rig.offload().mirror_pattern = stalled ? never() : random_pattern(70);
            rig.offload().forward_pattern =
                random.chance(50) ? random_pattern(60) : Offload::Pattern{};
            rig.offload().source_pattern =
                random.chance(50) ? random_pattern(60) : Offload::Pattern{};
            if (stalled) {
                for (unsigned i = 0; i < 200; ++i)
                    rig.send(plain_frame(random.between(60, 600), i), egress);
                rig.offload().wait_until_fed();
            }
            const auto frames = random.between(1, 40);
            for (unsigned i = 0; i < frames; ++i)
                rig.send(plain_frame(random.between(1, 1500), i), egress);
            // The reset may meet any posted write.
            switch (round % 4) {
                case 0:
                    rig.registers().write(registers::fetch::address(), registers::fetch::filter(1));
                    break;
                case 1:
                    rig.reset_mirror();
                    break;
                case 2:
                    rig.registers().write(registers::commit::address(),
                                          registers::commit::clear_counters(1));
                    break;
                default:
                    rig.registers().write(registers::control::address(),
                                          registers::control::snapshot(1));
                    break;
            }
            rig.offload().wait_cycles(random.between(1, random.pick({8, 200})));
            rig.reset();
            const Rig::Tapping raw{"", Direction::egress, 0u};
            for (unsigned i = 0; i < 10; ++i)
                rig.send(plain_frame(random.between(60, 400), i), raw);
            rig.offload().mirror_pattern = nullptr;
            rig.open();
            CHECK(rig.device().dump().sessions.empty());
            for (unsigned i = 0; i < 10; ++i)
                rig.send(plain_frame(random.between(60, 400), i), raw);
            rig.wait();
            rig.check_counters();
            rig.apply(simple_state(false));
            const auto copies = rig.copies();
            rig.send(plain_frame(300, round), egress);
            rig.wait();
            CHECK(rig.copies() == copies + 1);
        }
    });
    CHECK(rig.swept() > 150);
}

TEST_CASE("P25 passes before ready are forwarded and not eligible") {
    Rig rig;
    rig.run([&] {
        rig.reset();
        for (unsigned i = 0; i < 400; ++i)
            rig.send(plain_frame(60 + i), Rig::Tapping{"", Direction::egress, 0u});
        rig.open();
        rig.wait();
        CHECK(rig.swept() > 10);
        CHECK(rig.swept() < 300);
        CHECK(rig.device().counters().causes.no_tap == rig.swept());
        CHECK(rig.device().counters().forwarded.frames == 400);
    });
}
