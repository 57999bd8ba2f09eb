// SPDX-License-Identifier: Apache-2.0
// T4 on the whole offload: every bit of every kind of table word, and of what waits in buffers, is
// flipped under traffic. The scoreboard judges each pass: no copy may differ from the model's in a
// byte, no frame of production may be touched, and a pass may go without a copy only where the test
// has flipped a bit that it meets.
#include "catch.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

using Memory = Offload::Memory;

/// Interface eni-a has three sessions, of which the last accepts, over IPv6; eni-b has one over
/// IPv4, with the filter that eni-a's last session has.
TableState two_interfaces() {
    TableState state = simple_state(true);
    auto rejecting = std::make_shared<Filter>();
    rejecting->egress = rejecting->ingress = {any_rule(false, false, "no")};
    state.filters["rejecting"] = rejecting;
    const Session last = state.sessions.at("s");
    state.sessions.clear();
    for (unsigned i = 0; i < 3; ++i) {
        Session session = last;
        session.number = std::uint16_t(10 + i);
        if (i < 2) session.filter = "rejecting";
        session.vni = 0x100 + i;
        state.sessions["a" + std::to_string(i)] = session;
    }
    Session other = simple_state(false, 100).sessions.at("s");
    state.interfaces["eni-b"] = {};
    other.interface = "eni-b";
    other.vni = 0x777;
    state.sessions["b"] = other;
    return state;
}

/// Where the tables of two_interfaces stand in the device.
struct Places {
    std::uint32_t a, b, accepting, rejecting;
    std::vector<std::uint32_t> a_sessions;
    std::uint32_t b_session;

    explicit Places(Rig& rig)
        : a(rig.device().interface_index("eni-a")), b(rig.device().interface_index("eni-b")) {
        const TableDump dump = rig.device().dump();
        const auto& slots = dump.interfaces.at(a).slots;
        rejecting = slots.at(0).filter;
        accepting = slots.at(2).filter;
        for (const auto& slot : slots) a_sessions.push_back(slot.session);
        b_session = dump.interfaces.at(b).slots.at(0).session;
    }
};

class Bench {
public:
    explicit Bench(Rig& rig) : rig_(rig) {
        rig.apply(two_interfaces());
        places.emplace(rig);
    }

    /// A pass at each interface, both of which accept it.
    void traffic() {
        rig_.send(plain_frame(60, ++fill_), Rig::Tapping{"eni-a", Direction::egress});
        rig_.send(plain_frame(150, ++fill_), Rig::Tapping{"eni-b", Direction::ingress});
        rig_.wait();
    }

    /// Flips a bit of a table, then says how many of a pass at each interface lost their copy, and
    /// sees that the driver repairs it (or that nobody met it, where `met` is false).
    std::uint64_t lost_by(Memory memory, unsigned copy, unsigned word, unsigned bit,
                          bool met = true) {
        INFO("memory " << int(memory) << ", copy " << copy << ", word " << word << ", bit " << bit);
        rig_.offload().flip(memory, copy, word, bit);
        rig_.allow_faults(true);
        const std::uint64_t before = rig_.faulty_passes();
        traffic();
        const std::uint64_t lost = rig_.faulty_passes() - before;
        rig_.allow_faults(false);
        const auto done = rig_.repair();
        if (done.has_value() != met) FAIL("found: " << done.value_or("nothing"));
        if (met) {
            traffic();
            if (rig_.repair()) FAIL("the entry is still faulty after: " << *done);
        } else {
            rig_.offload().flip(memory, copy, word, bit);
        }
        return lost;
    }

    void all_bits(Memory memory, unsigned copy, unsigned word, std::uint64_t lost, bool met = true,
                  unsigned step = 1) {
        for (unsigned bit = 0; bit < Offload::size(memory).bits; bit += step)
            if (lost_by(memory, copy, word, bit, met) != lost)
                FAIL("memory " << int(memory) << ", copy " << copy << ", word " << word << ", bit "
                               << bit);
    }

    std::optional<Places> places;

private:
    Rig& rig_;
    std::uint32_t fill_ = 0;
};

}  // namespace

TEST_CASE(
    "T4 P23 any flipped bit of an interface word leaves its passes out, and the driver repairs "
    "it") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        bench.all_bits(Memory::interfaces, 0, bench.places->a, 1);
        bench.all_bits(Memory::interfaces, 0, bench.places->b, 1);
        const unsigned unused = bench.places->a == 200 || bench.places->b == 200 ? 201 : 200;
        bench.all_bits(Memory::interfaces, 0, unused, 0, false);
        CHECK(rig.device().table_faults().rewritten == 2 * Offload::size(Memory::interfaces).bits);
    });
}

TEST_CASE(
    "T4 P23 any flipped bit of a filter word in a valid slot leaves its passes out, and the driver "
    "repairs it") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        // eni-a's last slot and eni-b's first have the accepting filter; eni-a is met in egress,
        // eni-b in ingress.
        bench.all_bits(Memory::filters, 2, 2 * bench.places->accepting + 1, 1);
        bench.all_bits(Memory::filters, 0, 2 * bench.places->accepting, 1, true, 7);
        bench.all_bits(Memory::filters, 1, 2 * bench.places->rejecting + 1, 1, true, 11);
    });
}

TEST_CASE("T4 a flipped bit of a filter word that no pass reads has no effect") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        bench.all_bits(Memory::filters, 1, 2 * bench.places->accepting + 1, 0, false, 13);
        bench.all_bits(Memory::filters, 2, 2 * bench.places->accepting, 0, false, 13);
    });
}

TEST_CASE(
    "T4 P23 any flipped bit of the limits that apply drops the copy, and the driver repairs it") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        bench.all_bits(Memory::session_limits, 2, bench.places->a_sessions.at(2), 1);
        bench.all_bits(Memory::session_limits, 0, bench.places->b_session, 1);
        // Of a session that does not accept: found and repaired, and no copy is lost.
        bench.all_bits(Memory::session_limits, 0, bench.places->a_sessions.at(0), 0);
        // In the copy of a slot where the session is not.
        bench.all_bits(Memory::session_limits, 1, bench.places->b_session, 0, false);
        CHECK(rig.count(DecisionRecord::Outcome::dropped) ==
              2 * Offload::size(Memory::session_limits).bits);
    });
}

TEST_CASE(
    "T4 any flipped bit of a session's header fields is corrected in line, and the driver repairs "
    "it") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        bench.all_bits(Memory::session_headers, 0, bench.places->a_sessions.at(2), 0);
        bench.all_bits(Memory::session_headers, 0, bench.places->b_session, 0);
    });
}

TEST_CASE(
    "T4 P23 any flipped bit of a service entry, valid or not, leaves all passes out, and the "
    "driver repairs it") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        for (unsigned entry = 0; entry < Offload::size(Memory::services).words; ++entry)
            bench.all_bits(Memory::services, 0, entry, 2, true, entry == 0 || entry == 15 ? 1 : 5);
    });
}

TEST_CASE("T4 P6 a pass that is not IP is left out for that, whatever is faulty") {
    Rig rig;
    rig.expect_no_copy();
    rig.run([&] {
        Bench bench(rig);
        rig.offload().flip(Memory::interfaces, 0, bench.places->a, 3);
        rig.allow_faults(true);
        Bytes arp = plain_frame(60);
        arp[12] = 0x08;
        arp[13] = 0x06;
        rig.send(arp, Rig::Tapping{"eni-a", Direction::egress});
        rig.wait();
        CHECK(rig.faulty_passes() == 0);
        CHECK(rig.repair().has_value());
    });
}

TEST_CASE(
    "T4 a flipped bit of a beat that waits for the output, or of what is to become of it, is "
    "corrected") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        std::uint32_t fill = 0;
        for (const auto memory : {Memory::hold, Memory::copies, Memory::endings})
            for (unsigned bit = 0; bit < Offload::size(memory).bits; ++bit) {
                rig.offload().mirror_pattern = never();
                for (const std::size_t length : {60, 200, 64, 129, 61}) {
                    rig.send(plain_frame(length, ++fill), Rig::Tapping{"eni-a", Direction::egress});
                    rig.send(plain_frame(length, ++fill),
                             Rig::Tapping{"eni-b", Direction::ingress});
                }
                rig.offload().wait_until_fed();
                rig.offload().wait_cycles(40);
                for (unsigned word = 0; word < Offload::size(memory).words; ++word)
                    rig.offload().flip(memory, 0, word, bit);
                rig.offload().mirror_pattern = {};
                rig.wait();
                const auto done = rig.repair();
                REQUIRE(done.has_value());
                REQUIRE(done->find("corrected") != std::string::npos);
            }
        CHECK(rig.device().table_faults().rewritten == 0);
        rig.check_counters();
    });
}

TEST_CASE("T4 a flipped bit of a beat beside the lookup is corrected in whichever cycle it flips") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        const auto size = Offload::size(Memory::delay);
        std::uint32_t fill = 0;
        unsigned found = 0;
        for (unsigned bit = 0; bit < size.bits; ++bit) {
            // The first beat enters about 3 cycles after it is fed; 7 cycles later all are out.
            for (unsigned late = 0; late < 14; ++late) {
                const std::uint64_t at = rig.offload().cycle() + late;
                rig.offload().mirror_pattern = [&rig, at, bit, size](std::uint64_t cycle) {
                    if (cycle == at)
                        for (unsigned word = 0; word < size.words; ++word)
                            rig.offload().flip(Memory::delay, 0, word, bit);
                    return true;
                };
                rig.send(plain_frame(60 + 70 * (bit % 3), ++fill),
                         Rig::Tapping{"eni-a", Direction::egress});
                rig.send(plain_frame(60, ++fill), Rig::Tapping{"eni-b", Direction::ingress});
                rig.wait();
                found += rig.repair().has_value();
            }
        }
        CHECK(found >= 5 * size.bits);
        CHECK(rig.device().table_faults().rewritten == 0);
    });
}

TEST_CASE("T4 P23 a flipped bit of a copy's fate is corrected while it waits for its frame's end") {
    Rig rig;
    rig.run([&] {
        Bench bench(rig);
        const auto size = Offload::size(Memory::fates);
        unsigned found = 0;
        for (unsigned bit = 0; bit < size.bits; ++bit) {
            for (unsigned late = 0; late < 60; ++late) {
                const std::uint64_t at = rig.offload().cycle() + late;
                rig.offload().mirror_pattern = [&rig, at, bit, size](std::uint64_t cycle) {
                    if (cycle == at)
                        for (unsigned word = 0; word < size.words; ++word)
                            rig.offload().flip(Memory::fates, 0, word, bit);
                    return true;
                };
                rig.send(plain_frame(60 + late), Rig::Tapping{"eni-a", Direction::egress});
                rig.wait();
                found += rig.repair().has_value();
            }
        }
        CHECK(found >= size.bits);
        rig.check_counters();
    });
}

TEST_CASE(
    "T4 a fault is told and repaired in every slot, wherever in the tables its entry stands") {
    Rig rig;
    rig.run([&] {
        TableState state;
        const TableState simple = simple_state(false, 100);
        for (unsigned i = 0; i < 80; ++i) {
            const std::string interface = "eni-" + std::to_string(i);
            state.interfaces[interface] = {};
            for (unsigned slot = 0; slot < 3; ++slot) {
                const std::string id = interface + "-" + std::to_string(slot);
                auto filter = std::make_shared<Filter>();
                Rule rule = any_rule(false, slot == 2, id);
                rule.protocol = std::uint8_t(i);  // no two filters are one
                filter->ingress = {rule, any_rule(false, slot == 2, "any")};
                state.filters[id] = filter;
                Session session = simple.sessions.at("s");
                session.interface = interface;
                session.filter = id;
                session.number = std::uint16_t(1 + slot);
                state.sessions[id] = session;
            }
        }
        rig.apply(state);
        const TableDump dump = rig.device().dump();
        std::uint32_t fill = 0, filters = 0, sessions = 0;
        const auto pass = [&](const std::string& interface) {
            rig.send(plain_frame(150, ++fill), Rig::Tapping{interface, Direction::ingress});
            rig.wait();
        };
        const auto flip = [&](const std::string& interface, Memory memory, unsigned copy,
                              unsigned word) {
            INFO(interface << ", memory " << int(memory) << ", copy " << copy << ", word " << word);
            rig.offload().flip(memory, copy, word, fill % Offload::size(memory).bits);
            rig.allow_faults(true);
            pass(interface);
            rig.allow_faults(false);
            if (!rig.repair()) FAIL("nothing is found");
            pass(interface);
            if (rig.repair()) FAIL("still faulty");
        };
        for (const auto& [id, unused] : state.interfaces) {
            const std::uint32_t index = rig.device().interface_index(id);
            flip(id, Memory::interfaces, 0, index);
            const auto& slots = dump.interfaces.at(index).slots;
            for (unsigned i = 0; i < slots.size(); ++i) {
                flip(id, Memory::filters, i, 2 * slots.at(i).filter);
                flip(id, Memory::session_limits, i, slots.at(i).session);
                filters |= slots.at(i).filter;
                sessions |= slots.at(i).session;
            }
            flip(id, Memory::session_headers, 0, slots.at(2).session);
        }
        CHECK(filters == 255);
        CHECK(sessions >= 255);
    });
}
