// SPDX-License-Identifier: Apache-2.0
// T2: tables change while frames come without a gap; each pass is handled by the old or by the new
// ones, and each that was sent after a change by the new ones.
#include "catch.hpp"
#include "register_map.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;
using namespace mirrornic::registers;

namespace {

constexpr unsigned interfaces = 4;

/// Keeps frames waiting at the input, so that a change never meets a gap.
void feed(Rig& rig, Random& random, std::size_t queued) {
    while (rig.offload().queued() < queued) {
        rig.send(random.chance(50) ? random_frame(random)
                                   : plain_frame(random.between(60, 130), random.below(1000)),
                 random_tap(random, interfaces + 1));
    }
}

std::string any_session(const TableState& state, Random& random) {
    return std::next(state.sessions.begin(), random.below(std::uint32_t(state.sessions.size())))
        ->first;
}

std::string any_filter(const TableState& state, Random& random) {
    return std::next(state.filters.begin(), random.below(std::uint32_t(state.filters.size())))
        ->first;
}

std::uint16_t free_number(const TableState& state, const std::string& interface, Random& random) {
    while (true) {
        const auto number = std::uint16_t(random.between(1, 32766));
        bool taken = false;
        for (const auto& [id, session] : state.sessions) {
            taken |= session.interface == interface && session.number == number;
        }
        if (!taken) return number;
    }
}

/// Filter, number, VNI, length and target, all at once.
void modify_session(TableState& state, Random& random) {
    Session& session = state.sessions[any_session(state, random)];
    const std::string interface = session.interface;
    session = random_session(random, interface, any_filter(state, random));
    session.number = free_number(state, interface, random);
}

/// Both directions: what one of them was the other now is, or all is new.
void rewrite_filter(TableState& state, Random& random, const std::string& id) {
    auto filter =
        std::make_shared<Filter>(random.chance(50) ? random_filter(random) : *state.filters[id]);
    if (random.chance(50)) std::swap(filter->ingress, filter->egress);
    if (random.chance(20)) filter->amazon_dns = !filter->amazon_dns;
    state.filters[id] = filter;
}

/// Random tables, but one filter accepts everything, and is at first every session's: so there are
/// copies.
TableState state_with_copies(Random& random) {
    TableState state = random_state(random, interfaces, 5);
    state.filters.begin()->second = simple_state(false, 64).filters.at("f");
    for (auto& [id, session] : state.sessions) session.filter = state.filters.begin()->first;
    return state;
}

}  // namespace

TEST_CASE("T2 10,000 modified sessions and rewritten filters meet traffic without a gap") {
    Random random;
    Rig rig;
    rig.allow_drops();
    unsigned gaps = 0;
    rig.run([&] {
        rig.apply(state_with_copies(random));
        for (unsigned change = 0; change < 10000; ++change) {
            TableState next = rig.state();
            if (random.chance(75)) {
                modify_session(next, random);
            } else {
                rewrite_filter(next, random, any_filter(next, random));
            }
            feed(rig, random, 200);
            rig.apply(next);
            gaps += rig.offload().queued() == 0;
            if (change % 100 == 0) rig.check_snapshot();
        }
    });
    CHECK(rig.copies() > 10000);
    CHECK(gaps < 2000);  // changes that ended after the last frame was in
}

TEST_CASE("T2 services and the range of source ports change under traffic without a gap") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(state_with_copies(random));
        for (unsigned change = 0; change < 1000; ++change) {
            feed(rig, random, 100);
            const auto bits = std::uint8_t(random.between(1, 16));
            rig.source_ports(std::uint16_t(random.below(65537 - (1u << bits))), bits);
        }
        for (unsigned change = 0; change < 1000; ++change) {
            feed(rig, random, 100);
            rig.put_service(random.below(sizes::services), random_service(random));
        }
    });
    CHECK(rig.copies() > 1000);
}

TEST_CASE("T2 a session leaves a filter that is rewritten at once") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        TableState state = simple_state(false, 64);
        state.interfaces = {{"eni-0", {}}};
        state.sessions["s"].interface = "eni-0";
        auto all = state.filters["f"];
        auto none = std::make_shared<Filter>();
        state.filters = {{"a", all}, {"b", none}};
        state.sessions["s"].filter = "a";
        rig.apply(state);
        for (unsigned round = 0; round < 500; ++round) {
            const bool from_a = round % 2 == 0;
            for (unsigned i = 0; i < 300; ++i)
                rig.send(plain_frame(60, i), Rig::Tapping{"eni-0", Direction(i % 2)});
            state.sessions["s"].filter = from_a ? "b" : "a";  // from the one that accepts all
            rig.apply(state);
            state.filters[from_a ? "a" : "b"] = none;  // which now accepts nothing
            state.filters[from_a ? "b" : "a"] = all;   // and the other all
            rig.apply(state);
        }
    });
    CHECK(rig.copies() > 10000);
}

TEST_CASE("T2 P23 sessions come and go under traffic without a gap, and counters start at zero") {
    Random random;
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        rig.apply(state_with_copies(random));
        unsigned created = 0;
        for (unsigned change = 0; change < 3000; ++change) {
            TableState next = rig.state();
            std::map<std::string, unsigned> used;
            for (const auto& [id, session] : next.sessions) ++used[session.interface];
            const std::string interface = "eni-" + std::to_string(random.below(interfaces));
            if (used[interface] < 3 && random.chance(60)) {
                Session session = random_session(random, interface, any_filter(next, random));
                session.number = free_number(next, interface, random);
                next.sessions["new" + std::to_string(created++)] = session;
            } else if (next.sessions.size() > 1) {
                next.sessions.erase(any_session(next, random));
            }
            feed(rig, random, 200);
            rig.offload().wait_cycles(1 + random.below(60));  // a change takes about 20
            rig.apply(next);
            if (change % 50 == 0) rig.check_snapshot();
        }
    });
    CHECK(rig.copies() > 1000);
}

TEST_CASE("T2 P23 what was decided before a change drains while frames come on every cycle") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        std::uint32_t fill = 0;
        bool v6 = false;
        for (const std::size_t size : {60, 65, 128, 129, 300}) {
            const auto feed = [&] {
                while (rig.offload().queued() < 200000 / size) {
                    rig.send(plain_frame(size, ++fill), Rig::Tapping{"eni-a", Direction::egress});
                }
            };
            for (unsigned change = 0; change < 20; ++change) {
                feed();
                rig.apply(simple_state(v6 = !v6));
                const auto undrained = [&rig] {
                    return commit_status::undrained.of(
                        rig.registers().read(commit_status::address()));
                };
                const std::uint64_t start = rig.offload().cycle();
                feed();
                rig.offload().mirror_pattern =
                    change % 2 == 0 ? Offload::Pattern{} : random_pattern(40);
                while (undrained() != 0) {
                    feed();
                    if (rig.offload().cycle() - start > 50000)
                        FAIL("it does not drain at " << size << " bytes");
                }
                CHECK(rig.older_copies() <=
                      2);  // that many beats are past all counting, in the output register
            }
        }
    });
}

TEST_CASE("T1 T3 every interface, slot, filter and session entry is one of its own") {
    const unsigned count = sizes::interfaces;
    const auto interface = [](unsigned i) { return "eni-" + std::to_string(i); };
    Rig rig;
    rig.run([&] {
        TableState state = simple_state(false);
        const Session base = state.sessions["s"];
        state = {};
        for (unsigned i = 0; i < count; ++i) {
            state.interfaces[interface(i)] = {};
            auto filter =
                std::make_shared<Filter>();  // its own port, another one for each direction
            for (auto* rules : {&filter->ingress, &filter->egress}) {
                const auto port = std::uint16_t(5000 + i + (rules == &filter->egress ? 300 : 0));
                rules->push_back(any_rule(false, true, "r"));
                rules->back().destination_ports = PortRange{port, port};
            }
            state.filters["f" + std::to_string(i)] = filter;
            for (unsigned slot = 0; slot < sizes::slots; ++slot) {
                Session session = base;
                session.interface = interface(i);
                session.filter = "f" + std::to_string((i * 7 + slot * 85) % sizes::filters);
                session.number = std::uint16_t(slot + 1);
                session.vni = i * sizes::slots + slot;
                session.packet_length = std::uint16_t(42 + session.vni % 100);
                session.target_mac[5] = std::uint8_t(i);
                state.sessions["s" + std::to_string(session.vni)] = session;
            }
        }
        const auto send_all = [&] {
            for (unsigned i = 0; i < count; ++i) {
                for (unsigned slot = 0; slot <= sizes::slots; ++slot) {  // the last one is nobody's
                    for (const Direction direction : {Direction::ingress, Direction::egress}) {
                        FrameSpec spec;
                        spec.length = 150;
                        spec.destination_port = std::uint16_t(
                            (slot == sizes::slots ? 4000
                                                  : 5000 + (i * 7 + slot * 85) % sizes::filters) +
                            (direction == Direction::egress ? 300 : 0));
                        rig.send(make_frame(spec), Rig::Tapping{interface(i), direction},
                                 Rig::when_room());
                    }
                }
            }
            rig.wait();
        };
        rig.apply(state);
        send_all();
        CHECK(rig.copies() == 2 * count * sizes::slots);
        for (unsigned i = 0; i < count; ++i) {  // new ones take the entries that were left free
            const std::string id = "s" + std::to_string(i * sizes::slots + i % sizes::slots);
            Session session = state.sessions[id];
            state.sessions.erase(id);
            if (i % 16 == 0) rig.apply(state);
            session.vni += 1000;
            state.sessions["t" + std::to_string(i)] = session;
        }
        rig.apply(state);
        send_all();
        CHECK(rig.device().verify().empty());
    });
    CHECK(rig.copies() == 4 * count * sizes::slots);
}
