// SPDX-License-Identifier: Apache-2.0
// P22, P23, P25, I4: more traffic than the mirror output takes, resets of the mirror, and counters
// that close always.
#include "catch.hpp"
#include "register_map.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

const Rig::Tapping egress{"eni-a", Direction::egress};

/// `count` sessions at as many interfaces, eni-0 and on, that mirror all.
TableState parallel_sessions(unsigned count, bool v6_target = false) {
    TableState state = simple_state(v6_target);
    const Session base = state.sessions["s"];
    state.sessions.clear();
    for (unsigned i = 0; i < count; ++i) {
        const std::string interface = "eni-" + std::to_string(i);
        state.interfaces[interface] = {};
        Session session = base;
        session.interface = interface;
        session.vni = i;
        if (i % 2 != 0) session.packet_length = std::uint16_t(15 * i);
        state.sessions["s" + std::to_string(i)] = session;
    }
    return state;
}

Rig::Tapping at(unsigned interface) {
    return {"eni-" + std::to_string(interface), Direction::egress};
}

}  // namespace

TEST_CASE("P22 a slow mirror output costs whole copies, each counted in its session") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(parallel_sessions(6, random.chance(50)));
        for (const auto& pattern :
             {Offload::Pattern{}, random_pattern(30), every(7), stalls(700), stalls(3000)}) {
            rig.offload().mirror_pattern = pattern;
            for (unsigned i = 0; i < 3000; ++i) {
                const std::size_t size = random.between(60, random.chance(10) ? 12000 : 300);
                rig.send(plain_frame(size, i), at(random.below(6)));
                if (i % 300 == 0) rig.check_snapshot();
            }
            rig.wait();
            rig.check_counters();
        }
    });
    CHECK(rig.drops() > 1000);
    CHECK(rig.copies() > 1000);
}

TEST_CASE("P22 the hold buffer fills to its last beat with copies of every short length") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        std::uint32_t fill = 0;
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6));
            for (std::size_t size :
                 {34, 57, 58, 59, 60, 61, 63, 64, 65, 78, 79, 114, 122, 128, 129, 192, 193}) {
                const auto copies = rig.copies();
                rig.offload().mirror_pattern = never();
                for (unsigned i = 0; i < 700; ++i) rig.send(plain_frame(size, ++fill), egress);
                rig.offload().wait_until_fed();
                rig.offload().wait_cycles(100);
                rig.offload().mirror_pattern = nullptr;
                rig.wait();
                CHECK(rig.copies() - copies >= 512 / ((size + 63) / 64));
            }
        }
    });
}

TEST_CASE(
    "P22 a copy of 9216 bytes that does not fit is forgotten whole, and what follows is right") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        std::uint32_t fill = 0;
        for (const bool v6 : {false, true}) {
            rig.apply(simple_state(v6, {}, 9216));
            for (unsigned held = 355; held < 380; ++held) {
                rig.offload().mirror_pattern = never();
                for (unsigned i = 0; i < held; ++i) rig.send(plain_frame(64, ++fill), egress);
                rig.send(plain_frame(9216, ++fill), egress);
                rig.send(plain_frame(20000, ++fill), egress);
                for (unsigned i = 0; i < 200; ++i) rig.send(plain_frame(64, ++fill), egress);
                rig.offload().wait_until_fed();
                rig.offload().wait_cycles(held % 7);
                rig.offload().mirror_pattern = nullptr;
                rig.send(plain_frame(9216, ++fill), egress);
                rig.wait();
            }
        }
    });
    CHECK(rig.drops() > 100);
}

TEST_CASE("I4 nothing is dropped when the first beat waits for room, under any pattern") {
    Random random;
    Rig rig;
    rig.run([&] {
        rig.apply(parallel_sessions(4, true));
        for (unsigned round = 0; round < 12; ++round) {
            rig.offload().source_pattern =
                round % 3 == 0 ? Offload::Pattern{} : random_pattern(random.between(20, 95));
            rig.offload().mirror_pattern = round % 2 == 0 ? random_pattern(random.between(10, 90))
                                                          : stalls(random.between(10, 1500));
            for (unsigned i = 0; i < 1500; ++i) {
                const std::size_t size =
                    random.between(60, random.chance(5) ? 10000 : random.pick({64, 200}));
                rig.send(plain_frame(size, i), at(random.below(4)), Rig::when_room());
            }
            rig.wait();
        }
    });
    CHECK(rig.copies() == 12 * 1500);
}

TEST_CASE("I4 room is for 9216 bytes more than all that is on its way already") {
    Rig rig;
    rig.run([&] {
        std::uint32_t fill = 0;
        rig.apply(simple_state(false, {}, 9216));
        for (const bool gaps : {false, true}) {
            rig.offload().source_pattern = gaps ? random_pattern(70) : Offload::Pattern{};
            for (unsigned short_ones = 330; short_ones < 390; ++short_ones) {
                rig.offload().mirror_pattern = never();
                for (unsigned i = 0; i < short_ones; ++i) {
                    rig.send(plain_frame(64, ++fill), egress, Rig::when_room());
                }
                rig.send(plain_frame(9216, ++fill), egress, Rig::when_room());
                rig.offload().wait_cycles(1500);
                rig.offload().mirror_pattern = nullptr;
                rig.wait();
                CHECK(rig.copies() == fill);
            }
        }
    });
    CHECK(rig.drops() == 0);
}

TEST_CASE("P23 every snapshot closes its sums while one session is hit on every cycle") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(parallel_sessions(1));
        std::uint32_t fill = 0;
        for (unsigned i = 0; i < 300; ++i) {
            while (rig.offload().queued() < 600) rig.send(plain_frame(60, ++fill), at(0));
            rig.check_snapshot();
        }
    });
}

TEST_CASE("P23 every snapshot closes its sums while two sessions take turns") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(parallel_sessions(2));
        std::uint32_t fill = 0;
        for (unsigned i = 0; i < 300; ++i) {
            while (rig.offload().queued() < 800) {
                ++fill;
                rig.send(plain_frame(fill % 13 == 0 ? 200 : 60, fill), at(fill / (1 + i % 3) % 2));
            }
            rig.check_snapshot();
        }
    });
}

TEST_CASE("P23 every snapshot closes its sums under frames of every kind") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(random_state(random, 6, 6));
        for (unsigned i = 0; i < 400; ++i) {
            if (i % 40 == 0) {
                rig.offload().source_pattern =
                    random.chance(50) ? Offload::Pattern{} : random_pattern(60);
                rig.offload().mirror_pattern =
                    random.chance(50) ? Offload::Pattern{} : random_pattern(50);
                rig.offload().forward_pattern =
                    random.chance(50) ? Offload::Pattern{} : random_pattern(80);
            }
            while (rig.offload().queued() < 300) {
                Transfer transfer;
                if (random.chance(5)) transfer.marks = {{random.below(4), true, {}}};
                rig.send(random.chance(3) ? plain_frame(15000, i) : random_frame(random),
                         random_tap(random, 7), transfer);
            }
            rig.check_snapshot();
        }
    });
}

TEST_CASE(
    "P23 session counters are those of the last snapshot, however many were taken and whatever "
    "came between") {
    Rig rig;
    rig.run([&] {
        namespace map = registers;
        rig.apply(parallel_sessions(2));
        const auto entry = [&](unsigned session) {
            return rig.device()
                .placement()
                ->interfaces[rig.device().interface_index(at(session).interface)]
                ->slots[0]
                .session_index;
        };
        const std::uint32_t entries[] = {entry(0), entry(1)};
        const auto frames = [&](unsigned session) {
            rig.registers().write(map::session_counter_index::address(), entries[session]);
            return rig.registers().read(map::session_counter::address(
                std::uint32_t(map::SessionCounter::mirrored_frames), 0));
        };
        const auto snapshot = [&] {
            rig.registers().write(map::control::address(), map::control::snapshot(1));
        };
        unsigned sent[2] = {0, 0}, shown[2] = {0, 0};
        for (unsigned i = 0; i < 200; ++i) {
            for (unsigned session : {0u, 1u}) {
                for (unsigned k = 0; k < (i >> (2 * session)) % 4; ++k, ++sent[session])
                    rig.send(plain_frame(60, i + k), at(session));
            }
            rig.wait();
            CHECK(frames(0) == shown[0]);
            CHECK(frames(1) == shown[1]);
            for (unsigned k = 0; k < i % 3; ++k) {
                snapshot();
                std::copy(sent, sent + 2, shown);
            }
        }
    });
}

TEST_CASE(
    "P23 a new session shows no counters of the entry's last one, at whatever moment they are "
    "read") {
    Rig rig;
    rig.run([&] {
        namespace map = registers;
        TableState state = parallel_sessions(2);
        rig.apply(state);
        for (unsigned i = 0; i < 50; ++i) rig.send(plain_frame(60, i), at(1));
        rig.wait();
        const auto entry = rig.device()
                               .placement()
                               ->interfaces[rig.device().interface_index("eni-1")]
                               ->slots[0]
                               .session_index;
        for (unsigned delay = 0; delay < 60; ++delay) {
            // Its counters start at 0 again as they do when the entry is given away.
            rig.registers().write(map::session_index::address(), entry);
            rig.registers().write(map::fetch::address(), map::fetch::session(1));
            rig.registers().write(map::commit::address(), map::commit::clear_counters(1));
            rig.registers().write(map::session_counter_index::address(), entry);
            rig.registers().write(map::control::address(), map::control::snapshot(1));
            rig.open();
            rig.registers().write(map::session_counter_index::address(), entry);
            rig.wait();
            Transfer transfer;
            transfer.not_before = rig.offload().cycle() + 10 + delay;
            rig.send(plain_frame(60, delay), at(1), transfer);
            for (unsigned i = 0; i < 40; ++i) {
                CHECK(rig.registers().read(map::session_counter::address(
                          std::uint32_t(map::SessionCounter::mirrored_frames), 0)) == 0);
            }
            rig.wait();
        }
        rig.apply({});  // its counters are not those that the rig has counted
    });
}

TEST_CASE(
    "P25 a mirror reset completes the copy that leaves and drops the others, and counters close") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        std::uint32_t fill = 0;
        for (unsigned round = 0; round < 150; ++round) {
            rig.apply(parallel_sessions(4, random.chance(50)));
            if (round % 10 == 0) rig.reset_mirror();  // of nothing
            const auto send = [&](unsigned count) {
                for (unsigned i = 0; i < count; ++i) {
                    rig.send(
                        plain_frame(random.between(60, random.chance(10) ? 12000 : 400), ++fill),
                        at(random.below(4)));
                }
            };
            rig.offload().mirror_pattern = random.chance(50) ? random_pattern(30) : every(40);
            rig.offload().source_pattern =
                random.chance(50) ? Offload::Pattern{} : random_pattern(50);
            send(random.between(1, 100));
            rig.offload().wait_cycles(random.between(1, 300));
            if (random.chance(50)) rig.offload().mirror_pattern = never();
            rig.reset_mirror();
            send(random.between(0, 60));
            if (random.chance(50)) rig.offload().wait_until_fed();
            if (random.chance(20)) rig.reset_mirror();
            rig.offload().mirror_pattern =
                random.chance(50) ? random_pattern(50) : Offload::Pattern{};
            rig.wait();
            rig.check_counters();
            rig.check_snapshot();
            for (unsigned i = 0; i < 20; ++i)
                rig.send(plain_frame(random.between(60, 300), ++fill), at(i % 4), Rig::when_room());
            rig.wait();
        }
    });
    CHECK(rig.reset_drops() > 1000);
    CHECK(rig.copies() > 3000);
}
