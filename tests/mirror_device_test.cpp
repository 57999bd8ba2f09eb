// SPDX-License-Identifier: Apache-2.0
#include "driver/mirror_device.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>

#include "catch.hpp"
#include "driver/encoding.hpp"
#include "driver_contract.hpp"
#include "fake_registers.hpp"
#include "register_map.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;
namespace map = mirrornic::registers;

namespace {

/// Two interfaces with two sessions each, two filters.
TableState small_state() {
    RandomStates random(3);
    TableState state;
    state.interfaces["eni-0"].resolver = ipv4(10, 0, 0, 2);
    state.interfaces["eni-1"] = {};
    state.filters["tmf-0"] = std::make_shared<const Filter>(Filter{true, {accept_all()}, {}});
    state.filters["tmf-1"] =
        std::make_shared<const Filter>(Filter{false, {}, {accept_all(), accept_all(true)}});
    for (unsigned i = 0; i < 4; ++i) {
        auto& session = state.sessions["tms-" + std::to_string(i)];
        session = random.session(i / 2, std::uint16_t(10 + i));
        session.filter = "tmf-" + std::to_string(i % 2);
    }
    return state;
}

/// A filter whose every rule sets every word, over IPv6.
Filter full_filter(unsigned ingress, unsigned egress) {
    Rule rule = accept_all(true);
    rule.source.base.bytes.fill(0xa5);
    rule.destination.base.bytes.fill(0x5a);
    rule.source.prefix = rule.destination.prefix = 128;
    rule.protocol = std::uint8_t(6);
    rule.source_ports = rule.destination_ports = PortRange{1, 65535};
    Filter filter;
    filter.amazon_dns = true;
    filter.ingress.assign(ingress, rule);
    filter.egress.assign(egress, rule);
    return filter;
}

std::shared_ptr<const Filter> numbered_filter(unsigned n) {
    Rule rule = accept_all();
    rule.protocol = std::uint8_t(n);
    return std::make_shared<const Filter>(Filter{false, {rule}, {}});
}

std::string error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "nothing was thrown";
}

/// Random cases repeat with MIRRORNIC_SEED set to the seed that they print.
std::vector<std::uint32_t> seeds(std::uint32_t count) {
    if (const char* text = std::getenv("MIRRORNIC_SEED"))
        return {std::uint32_t(std::strtoul(text, nullptr, 10))};
    std::vector<std::uint32_t> all(count);
    std::iota(all.begin(), all.end(), 1);
    return all;
}

/// Each valid slot as text, with every filter that may stand in it while `before` becomes `after`.
std::set<std::string> allowed_slots(const TableState& before, const TableState& after) {
    std::set<std::string> slots;
    for (const auto* state : {&before, &after})
        for (const auto& [id, session] : state->sessions)
            for (const auto* filters : {&before.filters, &after.filters})
                if (const auto filter = filters->find(session.filter); filter != filters->end())
                    slots.insert(describe_slot(session.number, entry_of(session), *filter->second));
    return slots;
}

void check_slots(const TableDump& dump, const std::set<std::string>& allowed) {
    std::set<std::uint32_t> entries;
    for (const auto& [index, tapped] : dump.interfaces) {
        std::uint16_t number = 0;
        for (const auto& slot : tapped.slots) {
            const auto text = describe_slot(slot.number, dump.sessions.at(slot.session),
                                            dump.filters.at(slot.filter));
            INFO("interface " << index << ": " << text);
            REQUIRE(allowed.count(text) == 1);
            REQUIRE(entries.insert(slot.session).second);
            REQUIRE(slot.number >= number);
            number = slot.number;
        }
    }
}

/// What the data plane does, whichever the indices.
template <class Texts>
std::multiset<std::vector<std::string>> meaning(const Texts& texts) {
    std::multiset<std::vector<std::string>> all;
    for (const auto& [key, text] : texts) all.insert(text);
    return all;
}

}  // namespace

TEST_CASE("the register fake keeps the register contract") {
    FakeRegisters registers;
    check_register_access(registers);
}

TEST_CASE("T5 the register fake answers as the register map says") {
    FakeRegisters registers;
    check_register_map(registers);
}

TEST_CASE("T5 the register fake takes lines whole or not at all") {
    FakeRegisters registers;
    registers.lines = true;
    check_register_lines(registers);
}

TEST_CASE("P25 a reset empties the register fake's interface words and tells of nothing else") {
    FakeRegisters registers;
    MirrorDevice(registers).apply(small_state());
    REQUIRE(registers.dump().interfaces.size() == 2);
    registers.reset();
    MirrorDevice device(registers);
    REQUIRE(registers.dump().interfaces.empty());
    REQUIRE(device.dump().interfaces.empty());
    // Words of memories without a reset are undefined: a driver that counts on zeros is found out.
    unsigned zeros = 0;
    for (std::uint32_t i = 0; i < device.sizes().filters; ++i) {
        registers.write(map::filter_index::address(), i);
        registers.write(map::fetch::address(), map::fetch::filter(1));
        zeros += registers.read(map::rule_source::address(0, 0, 0)) == 0;
    }
    REQUIRE(zeros < device.sizes().filters / 2);
}

TEST_CASE("T2 the driver keeps its contract over the register fake") {
    FakeRegisters registers;
    SECTION("with lines") { registers.lines = true; }
    SECTION("without lines") {}
    check_mirror_device(registers);
}

TEST_CASE("a device of another kind, version or map is refused with both sides' values") {
    FakeRegisters registers;
    const auto open = [&] { MirrorDevice device(registers); };
    SECTION("magic") {
        registers.magic = 0x12345678;
        REQUIRE_THROWS_AS(open(), UnknownDevice);
        REQUIRE_THAT(error_of(open), Contains("0x12345678") && Contains("0x4d4e4943"));
    }
    SECTION("version") {
        registers.version = 0x00090000;
        REQUIRE_THROWS_AS(open(), UnknownDevice);
        REQUIRE_THAT(error_of(open), Contains("0x00090000") && Contains("0x00010000"));
    }
    SECTION("hash") {
        registers.hash = ~map::hash_value;
        REQUIRE_THROWS_AS(open(), UnknownDevice);
        char both[2][11];
        std::snprintf(both[0], 11, "0x%08x", unsigned(map::hash_value));
        std::snprintf(both[1], 11, "0x%08x", unsigned(~map::hash_value));
        REQUIRE_THAT(error_of(open), Contains(both[0]) && Contains(both[1]));
    }
    SECTION("a device that is not there") {
        registers.dead = true;
        REQUIRE_THROWS_AS(open(), DeviceGone);
        REQUIRE_THAT(error_of(open), Contains("all ones"));
    }
    SECTION("the same map") { open(); }
}

TEST_CASE("P25 the driver waits until the device is ready, within a bound") {
    FakeRegisters registers;
    SECTION("soon") {
        registers.not_ready_reads = 100;
        MirrorDevice device(registers);
        REQUIRE(registers.not_ready_reads == 0);
    }
    SECTION("never") {
        registers.not_ready_reads = -1;
        REQUIRE_THROWS_AS(MirrorDevice(registers), DeviceError);
    }
}

TEST_CASE("register writes of the changes that requests make, with lines") {
    FakeRegisters fake;
    fake.lines = true;
    CountingRegisters registers(fake);
    MirrorDevice device(registers);
    RandomStates random(1);
    TableState state = small_state();
    state.interfaces["eni-2"].resolver = ipv4(1, 2, 3, 4);
    device.apply(state);
    const auto writes = [&](MirrorDevice& driver) {
        registers.clear();
        driver.apply(state);
        CHECK(registers.commits == 1);
        CHECK(registers.reads == 1);
        return registers.writes;
    };
    auto& session = state.sessions["tms-9"];
    session = random.session(2, 7);
    session.filter = "tmf-1";
    session.source_address = ipv6(0xffff, 0xffff);
    session.target_address = ipv6(0xeeee, 0xeeee);
    {
        MirrorDevice restarted(registers);
        CHECK(writes(restarted) == 3);  // a session entry, an interface word, the commit
    }
    MirrorDevice restarted(registers);
    restarted.apply(state);
    session.vni ^= 1;
    CHECK(writes(restarted) == 2);  // index and VNI are in one line
    state.sessions.erase("tms-9");
    CHECK(writes(restarted) == 2);

    // Filters: what stands in the staging registers is kept where that is less.
    const auto put = [&](std::size_t ingress, std::size_t egress, bool amazon_dns, bool accept) {
        Filter filter = full_filter(ingress, egress);
        filter.amazon_dns = amazon_dns;
        for (auto* list : {&filter.ingress, &filter.egress})
            for (auto& rule : *list) rule.accept = accept;
        state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
    };
    for (const bool amazon_dns : {false, true}) {
        INFO("amazon_dns " << amazon_dns);
        put(10, 0, amazon_dns, true);
        MirrorDevice fresh(registers);
        // Index and clearing in one line, or with the flags three writes; 10 rules; the commit.
        CHECK(writes(fresh) == (amazon_dns ? 14 : 12));
        put(15, 15, amazon_dns, true);
        CHECK(writes(fresh) == 21);
        put(15, 15, amazon_dns, false);
        CHECK(writes(fresh) == 31);  // all 30 rules
        put(15, 15, !amazon_dns, false);
        CHECK(writes(fresh) == 2);
        put(1, 0, amazon_dns, true);
        CHECK(writes(fresh) == (amazon_dns ? 4 : 3));  // cleared, index staged still
        Filter one = full_filter(1, 0);
        one.amazon_dns = amazon_dns;
        one.ingress[0].accept = true;
        one.ingress[0].protocol = 99;
        state.filters["tmf-0"] = std::make_shared<const Filter>(one);
        CHECK(writes(fresh) == 2);
    }
    MirrorDevice last(registers);
    last.apply(state);
    check_holds(fake.dump(), last, state);
}

TEST_CASE("register writes of the changes that requests make, without lines") {
    FakeRegisters fake;
    CountingRegisters registers(fake);
    registers.lines = false;
    MirrorDevice device(registers);
    RandomStates random(1);
    TableState state = small_state();
    state.interfaces["eni-2"].resolver = ipv4(1, 2, 3, 4);
    device.apply(state);
    const auto apply = [&] {
        registers.clear();
        device.apply(state);
    };

    SECTION("a session over IPv6, nothing of it staged before: at most 40 and one read") {
        auto& session = state.sessions["tms-9"];
        session = random.session(2, 7);
        session.filter = "tmf-1";
        session.source_address = ipv6(0xffff, 0xffff);
        session.target_address = ipv6(0xeeee, 0xeeee);
        MirrorDevice restarted(registers);
        registers.clear();
        restarted.apply(state);
        CHECK(registers.commits == 1);
        CHECK(registers.writes == 26);
        CHECK(registers.reads == 1);
        state.sessions.erase("tms-9");
        registers.clear();
        restarted.apply(state);
        CHECK(registers.commits == 1);
        CHECK(registers.writes <= 10);
        CHECK(registers.reads == 1);
    }
    SECTION("a session modified in all its members") {
        auto& session = state.sessions["tms-1"];
        session = random.session(0, 1);
        session.filter = "tmf-0";
        apply();
        CHECK(registers.commits == 1);
        CHECK(registers.writes <= 26);
        CHECK(registers.reads == 1);
    }
    SECTION("a session's VNI alone: index, VNI, commit at the least") {
        state.sessions["tms-3"].vni ^= 1;
        apply();
        state.sessions["tms-3"].vni ^= 2;
        apply();
        CHECK(registers.writes == 2);  // the VNI and the commit: the index is staged still
        CHECK(registers.reads == 1);
    }
    SECTION("a filter of 10 rules: at most 250 and one read") {
        state.filters["tmf-0"] = std::make_shared<const Filter>(full_filter(5, 5));
        apply();
        CHECK(registers.commits == 1);
        CHECK(registers.writes <= 114);
        CHECK(registers.reads == 1);
        MirrorDevice restarted(registers);
        state.filters["tmf-0"] = std::make_shared<const Filter>(full_filter(10, 0));
        registers.clear();
        restarted.apply(state);
        CHECK(registers.commits == 1);
        CHECK(registers.writes == 114);  // index, clear, flags, 10 rules of 11 words, commit
        CHECK(registers.reads == 1);
    }
    SECTION("one rule among 32 alone is written") {
        Filter filter = full_filter(16, 16);
        state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
        apply();
        CHECK(registers.writes <= 356);
        filter.egress[15].accept = false;
        state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
        apply();
        CHECK(registers.writes == 2);
        CHECK(registers.commits == 1);
    }
}

TEST_CASE("T3 slots stand in ascending session number, and a number can change places") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    std::swap(state.sessions["tms-0"].number, state.sessions["tms-1"].number);
    const auto before = registers.commits;
    device.apply(state);
    REQUIRE(registers.commits == before + 1);
    check_holds(registers.dump(), device, state);
}

TEST_CASE("P14 a session entry holds the packet length and the cut of the target's MTU") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    auto& session = state.sessions["tms-0"];
    session.packet_length.reset();
    session.mtu = 1500;
    session.source_address = ipv4(10, 0, 0, 1);
    session.target_address = ipv4(10, 0, 0, 2);
    const auto entry = [&] {
        device.apply(state);
        const auto dump = registers.dump();
        const auto& slots = dump.interfaces.at(device.interface_index("eni-0")).slots;
        return dump.sessions.at(slots.at(0).session);
    };
    REQUIRE(entry().packet_length == 9216);
    REQUIRE(entry().mtu_cut == 1464);
    session.packet_length = std::uint16_t(1);
    session.source_address = session.target_address = ipv6(1, 2);
    REQUIRE(entry().packet_length == 1);
    REQUIRE(entry().mtu_cut == 1444);
    session.packet_length = std::uint16_t(8500);
    session.mtu = 9216;
    REQUIRE(entry().packet_length == 8500);
    REQUIRE(entry().mtu_cut == 9160);
}

TEST_CASE("S2 host bits of a block do not reach the device") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    Filter filter;
    for (unsigned prefix = 0; prefix <= 32; prefix += 4) {
        Rule rule = accept_all(prefix > 24);
        rule.source.base.bytes.fill(0xff);
        if (!rule.source.base.v6)
            std::fill(rule.source.base.bytes.begin() + 4, rule.source.base.bytes.end(), 0);
        rule.source.prefix = std::uint8_t(prefix);
        filter.ingress.push_back(rule);
    }
    state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
    device.apply(state);
    const auto dump = registers.dump();
    const auto slot = dump.interfaces.at(device.interface_index("eni-0")).slots.at(0);
    const auto& rules = dump.filters.at(slot.filter).ingress;
    REQUIRE(rules.at(0).source.base == ipv4(0, 0, 0, 0));
    REQUIRE(rules.at(1).source.base == ipv4(0xf0, 0, 0, 0));
    REQUIRE(rules.at(5).source.base == ipv4(0xff, 0xff, 0xf0, 0));
    IpAddress first_28_bits;
    first_28_bits.v6 = true;
    first_28_bits.bytes = {0xff, 0xff, 0xff, 0xf0};
    REQUIRE(rules.at(7).source.base == first_28_bits);
}

TEST_CASE("values that no table can hold are refused before anything changes") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    const auto writes = registers.writes;
    auto& session = state.sessions["tms-0"];
    Filter filter{false, {accept_all()}, {}};
    Rule& rule = filter.ingress[0];
    std::string names = "tms-0";
    SECTION("session number 0") { session.number = 0; }
    SECTION("session number 32767") { session.number = 32767; }
    SECTION("a number that another session of the interface has") {
        session.number = state.sessions["tms-1"].number;
    }
    SECTION("VNI of 25 bits") { session.vni = 1u << 24; }
    SECTION("packet length 0") { session.packet_length = std::uint16_t(0); }
    SECTION("MTU 575") { session.mtu = 575; }
    SECTION("MTU 9217") { session.mtu = 9217; }
    SECTION("mixed outer addresses") {
        session.source_address = ipv4(1, 2, 3, 4);
        session.target_address = ipv6(1, 2);
    }
    SECTION("unknown interface") {
        session.interface = "eni-7";
        names = "eni-7";
    }
    SECTION("unknown filter") {
        session.filter = "tmf-7";
        names = "tmf-7";
    }
    SECTION("IPv6 resolver") {
        state.interfaces["eni-0"].resolver = ipv6(1, 2);
        names = "eni-0";
    }
    SECTION("IPv4 prefix 33") {
        rule.destination.prefix = 33;
        names = "tmf-0";
    }
    SECTION("empty port range") {
        rule.source_ports = PortRange{2, 1};
        names = "tmf-0";
    }
    SECTION("a rule of two IP versions") {
        rule.source.base.v6 = true;
        names = "tmf-0";
    }
    if (names == "tmf-0") state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
    REQUIRE_THROWS_AS(device.plan(state), std::invalid_argument);
    REQUIRE_THAT(error_of([&] { device.plan(state); }), Contains(names));
    REQUIRE(registers.writes == writes);
    device.apply(small_state());
    REQUIRE(registers.writes == writes);
}

TEST_CASE("values at the ends of what a table can hold are taken") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    auto& session = state.sessions["tms-0"];
    SECTION("session number 1") { session.number = 1; }
    SECTION("session number 32766") { session.number = 32766; }
    SECTION("VNI 0") { session.vni = 0; }
    SECTION("VNI of 24 bits") { session.vni = (1u << 24) - 1; }
    SECTION("packet length 1") { session.packet_length = std::uint16_t(1); }
    SECTION("packet length 9215") { session.packet_length = std::uint16_t(9215); }
    SECTION("MTU 576") { session.mtu = 576; }
    SECTION("MTU 9216") { session.mtu = 9216; }
    device.apply(state);
    check_holds(registers.dump(), device, state);
}

TEST_CASE("S3 a full table is named before anything changes") {
    FakeRegisters registers(FakeRegisters::Sizes{2, 3, 8});
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    const auto writes = registers.writes;
    std::string table;
    RandomStates random(2);
    const auto add = [&](const std::string& id, unsigned interface, std::uint16_t number,
                         const std::string& filter) {
        state.sessions[id] = random.session(interface, number);
        state.sessions[id].filter = filter;
    };
    SECTION("interfaces") {
        state.interfaces["eni-2"] = {};
        add("tms-9", 2, 1, "tmf-0");
        table = "interface";
    }
    SECTION("sessions of an interface") {
        add("tms-8", 0, 1, "tmf-0");
        add("tms-9", 0, 2, "tmf-0");
        table = "slot";
    }
    SECTION("filters") {
        for (unsigned i = 2; i < 4; ++i) {
            state.filters["tmf-" + std::to_string(i)] = numbered_filter(i);
            add("tms-" + std::to_string(i + 6), i - 2, 1, "tmf-" + std::to_string(i));
        }
        table = "filter";
    }
    SECTION("rules of a direction") {
        state.filters["tmf-0"] = std::make_shared<const Filter>(full_filter(0, 17));
        table = "filter rule";
    }
    try {
        device.plan(state);
        FAIL("nothing was thrown");
    } catch (const TableFull& error) {
        REQUIRE(error.table == table);
    }
    REQUIRE(registers.writes == writes);
    check_holds(registers.dump(), device, small_state());
}

TEST_CASE("T1 S3 interfaces and filters that no session uses take no space") {
    FakeRegisters registers(FakeRegisters::Sizes{2, 2, 8});
    MirrorDevice device(registers);
    TableState state = small_state();
    for (unsigned i = 2; i < 100; ++i) {
        state.interfaces["eni-" + std::to_string(i)] = {};
        state.filters["tmf-" + std::to_string(i)] =
            std::make_shared<const Filter>(full_filter(17, 17));
    }
    device.apply(state);
    check_holds(registers.dump(), device, state);
}

TEST_CASE("T2 S3 with the filter table full, what can be atomic is done and the rest refused") {
    FakeRegisters registers(FakeRegisters::Sizes{2, 2, 8});
    MirrorDevice device(registers);
    TableState state = small_state();
    state.sessions.erase("tms-2");
    state.sessions.erase("tms-3");
    device.apply(state);
    state.filters["tmf-2"] = numbered_filter(2);
    auto& session = state.sessions["tms-0"];
    session.filter = "tmf-2";
    const auto before = registers.commits;
    SECTION(
        "another filter for a session that alone used its old one: over the old, in one commit") {
        device.apply(state);
        REQUIRE(registers.commits == before + 1);
        check_holds(registers.dump(), device, state);
    }
    SECTION("another filter and another VNI at once cannot be one commit") {
        session.vni ^= 1;
        REQUIRE_THROWS_AS(device.plan(state), TableFull);
        REQUIRE(registers.commits == before);
        MirrorDevice restarted(registers);  // has to get there all the same
        restarted.apply(state);
        check_holds(registers.dump(), restarted, state);
    }
    SECTION("nor another filter and another resolver") {
        state.interfaces["eni-0"].resolver = ipv4(10, 0, 0, 3);
        REQUIRE_THROWS_AS(device.plan(state), TableFull);
    }
    SECTION("nor so while another interface has sessions, which stay as they are") {
        TableState other = small_state();
        other.sessions.erase("tms-1");
        other.sessions.erase("tms-3");
        other.sessions["tms-2"].filter = "tmf-1";
        device.apply(other);
        other.filters["tmf-2"] = numbered_filter(2);
        other.sessions["tms-0"].filter = "tmf-2";
        other.sessions["tms-0"].vni ^= 1;
        REQUIRE_THROWS_AS(device.plan(other), TableFull);
    }
    SECTION("nor a filter for the first session of an interface") {
        session.filter = "tmf-0";
        state.sessions["tms-2"] = small_state().sessions["tms-2"];
        state.sessions["tms-2"].filter = "tmf-2";
        REQUIRE_THROWS_AS(device.plan(state), TableFull);
    }
    SECTION("a filter that another session uses too cannot be written over") {
        TableState shared = state;
        shared.sessions["tms-0"].filter = "tmf-0";
        shared.sessions["tms-2"] = small_state().sessions["tms-2"];
        device.apply(shared);
        const auto commits = registers.commits;
        shared.sessions["tms-0"].filter = "tmf-2";
        REQUIRE_THROWS_AS(device.plan(shared), TableFull);
        REQUIRE(registers.commits == commits);
    }
    SECTION("a deletion in the same change makes room first") {
        session.vni ^= 1;
        state.sessions.erase("tms-1");
        state.interfaces["eni-1"] = {};
        state.sessions["tms-5"] = RandomStates(5).session(1, 1);
        state.sessions["tms-5"].filter = "tmf-0";
        device.apply(state);
        check_holds(registers.dump(), device, state);
    }
}

TEST_CASE("T5 a refused staging write is reported with register, address, reason and count") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    const auto before = registers.commits;
    const auto held = describe(registers.dump());
    TableState changed = state;
    changed.filters["tmf-1"] = std::make_shared<const Filter>(full_filter(0, 5));
    registers.refused_writes.insert(map::rule::address(1, 3));
    const auto text = error_of([&] { device.apply(changed); });
    REQUIRE_THAT(text, Contains("rule[1][3]") && Contains("0x000018c0") &&
                           Contains("only a part of the word") && Contains("refused accesses: 2"));
    REQUIRE(registers.commits == before);
    REQUIRE(describe(registers.dump()) == held);
    SECTION("going back needs no commit") {
        device.apply(state);
        REQUIRE(registers.commits == before);
    }
    SECTION("trying again does it") {
        device.apply(changed);
        REQUIRE(registers.commits == before + 1);
        check_holds(registers.dump(), device, changed);
    }
}

TEST_CASE("T5 a lost commit is an error, and the next change starts from what the device holds") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    registers.lost_writes.insert(map::commit::address());
    state.sessions["tms-0"].vni ^= 1;
    const auto plan = device.plan(state);
    REQUIRE_THROWS_AS(device.commit(plan), DeviceError);
    REQUIRE_THROWS_AS(device.commit(plan), std::logic_error);
    const auto index = device.interface_index("eni-0");
    device.apply(state);
    REQUIRE(device.interface_index("eni-0") == index);
    check_holds(registers.dump(), device, state);
    REQUIRE(device.verify().empty());
}

TEST_CASE("a staging write that vanishes without a trace is found by verify and repaired") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    registers.lost_writes.insert(map::session_vni::address());
    const auto old = state.sessions["tms-0"].vni;
    state.sessions["tms-0"].vni = old ^ 0xff;
    device.apply(state);
    const auto differences = device.verify();
    REQUIRE(differences.size() == 1);
    REQUIRE_THAT(differences[0], Contains("session_vni") && Contains("session entry"));
    const auto before = registers.commits;
    device.apply(state);
    REQUIRE(registers.commits == before + 1);
    check_holds(registers.dump(), device, state);
    REQUIRE(device.verify().empty());
}

TEST_CASE("T4 verify names each table word that differs") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    const TableState state = small_state();
    device.apply(state);
    const auto index = device.interface_index("eni-1");
    const auto slot = registers.dump().interfaces.at(index).slots.at(0);
    registers.flip(index, map::slot_tables::address(0), 4u << 16);
    registers.flip(slot.filter, map::rule_source_ports::address(0, 2), 0x80);
    registers.flip(slot.session, map::session_target_mac::address(1), 1);
    const auto differences = device.verify();
    REQUIRE(differences.size() == 3);
    REQUIRE_THAT(differences[0],
                 Contains("interface word " + std::to_string(index)) && Contains("slot_tables[0]"));
    REQUIRE_THAT(differences[1], Contains("filter " + std::to_string(slot.filter)) &&
                                     Contains("rule_source_ports[0][2]"));
    REQUIRE_THAT(differences[2], Contains("session entry " + std::to_string(slot.session)) &&
                                     Contains("session_target_mac[1]"));
    device.apply(state);
    check_holds(registers.dump(), device, state);
    REQUIRE(device.verify().empty());
}

TEST_CASE(
    "T4 a table entry that the device found faulty is written again, alone, from the driver's "
    "copy") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    const TableState state = small_state();
    device.apply(state);
    const auto index = device.interface_index(state.sessions.begin()->second.interface);
    const auto slot = registers.dump().interfaces.at(index).slots.at(0);
    REQUIRE_FALSE(device.repair().has_value());

    struct Case {
        map::Fault place;
        std::uint32_t index, address;
        std::string name;
    };
    std::uint64_t rewritten = 0;
    for (const Case& each : std::initializer_list<Case>{
             {map::Fault::interface, index, map::slot_tables::address(0), "interface word "},
             {map::Fault::filter, slot.filter, map::rule_source_ports::address(0, 2), "filter "},
             {map::Fault::session, slot.session, map::session_vni::address(), "session entry "},
             {map::Fault::service, 3, map::service_address::address(3), "service entry "}}) {
        INFO(each.name);
        registers.flip(each.index, each.address, 0x10);
        registers.fault =
            map::fault::place(std::uint32_t(each.place)) | map::fault::index(each.index);
        registers.fault_count = 7;
        const auto commits = registers.commits;
        const auto version = device.placement()->version();
        const auto done = device.repair();
        REQUIRE(done.has_value());
        REQUIRE_THAT(*done, Contains(each.name + std::to_string(each.index)) && Contains("7"));
        REQUIRE(registers.commits == commits + 1);
        REQUIRE(device.placement()->version() == std::uint16_t(version + 1));
        REQUIRE(device.verify().empty());
        REQUIRE_FALSE(device.repair().has_value());
        REQUIRE(device.table_faults().rewritten == ++rewritten);
        REQUIRE(device.table_faults().found == 7 * rewritten);
        // What comes behind starts from the right tables.
        TableState without = state;
        without.sessions.erase(without.sessions.begin());
        device.apply(without);
        device.apply(state);
        check_holds(registers.dump(), device, state);
        REQUIRE(device.interface_index(state.sessions.begin()->second.interface) == index);
    }
}

TEST_CASE("T4 the service entry that is written again is the one of the opening") {
    FakeRegisters registers;
    registers.write(map::service_index::address(), 3);
    registers.write(map::service_ports::address(), 0x0bad0bac);
    registers.write(map::commit::address(), map::commit::service(1));
    MirrorDevice device(registers);
    registers.flip(3, map::service_ports::address(), 1);
    registers.fault = map::fault::place(std::uint32_t(map::Fault::service)) | map::fault::index(3);
    REQUIRE(device.repair().has_value());
    registers.write(map::service_index::address(), 3);
    registers.write(map::fetch::address(), map::fetch::service(1));
    REQUIRE(registers.read(map::service_ports::address()) == 0x0bad0bac);
}

TEST_CASE("T4 a flipped bit in a buffer was corrected: it is counted, and nothing is written") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    device.apply(small_state());
    const auto commits = registers.commits;
    registers.fault = map::fault::place(std::uint32_t(map::Fault::buffer));
    registers.fault_count = 2;
    REQUIRE_THAT(*device.repair(), Contains("corrected"));
    REQUIRE(registers.commits == commits);
    REQUIRE(device.table_faults().found == 2);
    REQUIRE(device.table_faults().rewritten == 0);
}

TEST_CASE(
    "T4 an entry that cannot be written again is an error, and the next plan starts from what the "
    "device holds") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    const TableState state = small_state();
    device.apply(state);
    const auto index = device.interface_index(state.sessions.begin()->second.interface);
    registers.flip(index, map::slot_tables::address(0), 0x10);
    registers.fault =
        map::fault::place(std::uint32_t(map::Fault::interface)) | map::fault::index(index);
    registers.refused_writes.insert(map::commit::address());
    REQUIRE_THROWS_AS(device.repair(), DeviceError);
    device.apply(state);
    check_holds(registers.dump(), device, state);
}

TEST_CASE("an error that an earlier program left does not stop the driver") {
    FakeRegisters registers;
    registers.write(map::magic::address(), 1);
    registers.write(map::session_index::address(), 0xffffffff);
    MirrorDevice device(registers);
    const TableState state = small_state();
    device.apply(state);
    check_holds(registers.dump(), device, state);
}

TEST_CASE("a fetch that found no gap is done again, within a bound") {
    FakeRegisters registers;
    const TableState state = small_state();
    {
        MirrorDevice device(registers);
        device.apply(state);
    }
    registers.fetches_without_gap = 2;
    MirrorDevice device(registers);
    const auto before = registers.commits;
    device.apply(state);
    REQUIRE(registers.commits == before);
    registers.fetches_without_gap = 100000;
    REQUIRE_THROWS_AS(device.dump(), DeviceError);
    REQUIRE_THAT(error_of([&] { device.verify(); }), Contains("no gap"));
}

TEST_CASE("a device that goes away is an error, and one that comes back empty is filled again") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    registers.dead = true;
    TableState changed = state;
    changed.sessions["tms-0"].vni ^= 1;
    REQUIRE_THROWS_AS(device.apply(changed), DeviceError);
    REQUIRE_THROWS_AS(device.plan(changed), DeviceError);
    registers.dead = false;
    registers.reset();
    device.apply(changed);
    check_holds(registers.dump(), device, changed);
    REQUIRE(device.verify().empty());
}

TEST_CASE("a plan is refused after another was committed") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    const TableState state = small_state();
    const auto plan = device.plan(state);
    device.apply({});
    REQUIRE_THROWS_AS(device.commit(plan), std::logic_error);
    REQUIRE(registers.dump().interfaces.empty());
}

TEST_CASE("a plan from before an entry was written again can be committed") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    state.sessions["tms-0"].vni ^= 1;
    const auto plan = device.plan(state);
    SECTION("after a repair") {
        registers.fault = map::fault::place(std::uint32_t(map::Fault::interface));
        REQUIRE(device.repair().has_value());
    }
    SECTION("after a probe") { device.probe(); }
    device.commit(plan);
    check_holds(registers.dump(), device, state);
    REQUIRE(device.verify().empty());
}

TEST_CASE("P23 a session entry is not used again before its copies have left") {
    FakeRegisters registers(FakeRegisters::Sizes{4, 4, 6});
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    const auto entries = [&] {
        std::set<std::uint32_t> used;
        for (const auto& [index, session] : registers.dump().sessions) used.insert(index);
        return used;
    };
    const auto first = entries();
    REQUIRE(first.size() == 4);
    RandomStates random(9);
    const auto replace = [&](const std::string& id) {
        const Session session = state.sessions.at(id);
        state.sessions.erase(id);
        device.apply(state);
        state.sessions[id] = session;
        device.apply(state);
    };
    registers.draining = false;
    replace("tms-0");
    replace("tms-1");
    REQUIRE(entries().size() == 4);
    for (const auto entry : entries())  // never used first
        REQUIRE((first.count(entry) == 0 || entry == 2 || entry == 3));
    const auto before = registers.commits;
    const TableState held = state;

    SECTION("when none is free of copies, the change fails and changes nothing") {
        state.filters["tmf-9"] = numbered_filter(9);
        state.sessions["tms-9"] = random.session(0, 99);
        state.sessions["tms-9"].filter = "tmf-9";
        const auto plan = device.plan(state);
        REQUIRE_THROWS_AS(device.commit(plan), DeviceError);
        REQUIRE(registers.commits == before);
        check_holds(registers.dump(), device, held);
        registers.draining = true;
        device.apply(state);
        check_holds(registers.dump(), device, state);
    }
    SECTION("the driver waits for the copies") {
        registers.reads_until_drained = 1000;
        state.sessions["tms-9"] = random.session(0, 99);
        state.sessions["tms-9"].filter = "tmf-0";
        device.apply(state);
        REQUIRE(registers.reads_until_drained == 0);
        REQUIRE(entries().count(0) == 1);  // the one that was freed first
        check_holds(registers.dump(), device, state);
    }
    SECTION("a restarted driver knows of no copies and waits for all") {
        MirrorDevice restarted(registers);
        restarted.apply(held);
        REQUIRE(registers.commits == before);
        state.sessions["tms-9"] = random.session(0, 99);
        state.sessions["tms-9"].filter = "tmf-0";
        REQUIRE_THROWS_AS(restarted.apply(state), DeviceError);
        registers.draining = true;
        restarted.apply(state);
        check_holds(registers.dump(), restarted, state);
    }
    SECTION("a session that changes in place does not wait") {
        state.sessions["tms-0"].vni ^= 1;
        device.apply(state);
        REQUIRE(registers.commits == before + 1);
    }
    SECTION("more commits than the device can count back do not free an entry") {
        for (int i = 0; i < 300; ++i) {
            state.sessions["tms-0"].vni ^= 1;
            device.apply(state);
        }
        const TableState many = state;
        state.sessions["tms-9"] = random.session(0, 99);
        state.sessions["tms-9"].filter = "tmf-0";
        REQUIRE_THROWS_AS(device.apply(state), DeviceError);
        check_holds(registers.dump(), device, many);
    }
    SECTION("an entry that a change frees itself is waited for in the middle of it") {
        registers.draining = true;
        device.apply({});
        device.apply(held);
        registers.draining = false;
        state = held;
        for (auto* id : {"tms-0", "tms-1", "tms-2", "tms-3"}) {
            state.sessions[std::string(id) + "-new"] = held.sessions.at(id);
            state.sessions.erase(id);
        }
        registers.reads_until_drained = 500;
        device.apply(state);
        REQUIRE(registers.reads_until_drained == 0);
        check_holds(registers.dump(), device, state);
    }
    REQUIRE(registers.early_reuses == 0);
}

TEST_CASE("P9 T2 a resolver that changes is one commit of the interface word") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    for (const std::optional<IpAddress>& resolver :
         {std::optional<IpAddress>(ipv4(10, 9, 0, 2)), std::optional<IpAddress>()}) {
        const auto before = registers.commits;
        state.interfaces["eni-0"].resolver = resolver;
        device.apply(state);
        REQUIRE(registers.commits == before + 1);
        check_holds(registers.dump(), device, state);
    }
}

TEST_CASE("P23 a new session starts counting at 0, a modified one goes on") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    const auto fill = [&] {
        for (auto& session : registers.session_counters) session.fill(5);
    };
    fill();
    device.apply(state);
    REQUIRE(device.counters().sessions.at("tms-0").mirrored.frames == 0);
    fill();
    state.sessions["tms-0"].vni ^= 1;
    state.sessions["tms-1"].number = 99;
    device.apply(state);
    REQUIRE(device.counters().sessions.at("tms-0").mirrored.frames == 5);
    REQUIRE(device.counters().sessions.at("tms-1").mirrored.frames == 5);
    MirrorDevice restarted(registers);
    restarted.apply(state);
    REQUIRE(restarted.counters().sessions.at("tms-0").mirrored.frames == 5);
    const Session session = state.sessions.at("tms-0");
    state.sessions.erase("tms-0");
    state.sessions["tms-9"] = session;
    restarted.apply(state);
    REQUIRE(restarted.counters().sessions.at("tms-9").mirrored.frames == 0);
    REQUIRE(restarted.counters().sessions.at("tms-1").mirrored.frames == 5);
}

TEST_CASE(
    "P23 the counters of an ended session are reported once, before another session gets its "
    "entry") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    std::map<std::string, std::uint64_t> told;
    device.on_session_end([&told](const std::string& session, const SessionCounters& counters) {
        CHECK(told.count(session) == 0);
        told[session] = counters.mirrored.frames;
    });
    TableState state = small_state();
    device.apply(state);
    const Session session = state.sessions.at("tms-0");
    state.sessions.erase("tms-0");
    std::map<std::string, std::uint64_t> expected;
    const auto entry_of = [&](const std::string& name) {
        for (const auto& tapped : device.placement()->interfaces)
            for (const auto& slot : tapped->slots)
                if (slot.session == name) return slot.session_index;
        return ~0u;
    };
    // More sessions than there are entries, one after another, and several at once in the end.
    const unsigned count = device.sizes().sessions + 20;
    for (unsigned i = 0; i < count; ++i) {
        const std::string name = "tms-x" + std::to_string(i);
        state.sessions[name] = session;
        device.apply(state);
        auto& counters = registers.session_counters.at(entry_of(name));
        CHECK(counters[std::size_t(map::SessionCounter::mirrored_frames)] == 0);
        counters[std::size_t(map::SessionCounter::mirrored_frames)] = 1000 + i;
        expected[name] = 1000 + i;
        state.sessions.erase(name);
        // A reading in portions meanwhile keeps to its snapshot.
        if (i % 50 == 0) {
            MirrorDevice::CounterReading reading(device);
            device.apply(state);
            CHECK(reading.advance(1000));
        } else {
            device.apply(state);
        }
        if (i == 10) CHECK(told.empty());
    }
    CHECK(told.size() >= 20);
    expected["tms-0"] = 0;
    device.take_ended();
    CHECK(told == expected);
    device.take_ended();
    CHECK(told == expected);
}

TEST_CASE("P23 the counters of an ended session are not reported when they could not be read") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    std::map<std::string, std::uint64_t> told;
    device.on_session_end([&told](const std::string& session, const SessionCounters& counters) {
        told[session] = counters.mirrored.frames;
    });
    TableState state = small_state();
    device.apply(state);
    for (auto& counters : registers.session_counters) counters.fill(5);
    state.sessions.erase("tms-2");
    device.apply(state);
    registers.refused_writes.insert(map::session_counter_index::address());
    REQUIRE_THROWS_AS(device.take_ended(), DeviceError);
    REQUIRE(told.empty());
    device.take_ended();
    REQUIRE(told == std::map<std::string, std::uint64_t>{{"tms-2", 5}});
}

TEST_CASE("P23 each counter is read from its place, 64 bits wide") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    const TableState state = small_state();
    device.apply(state);
    const auto value = [](auto which) {
        return (std::uint64_t(0x100 + std::uint32_t(which)) << 32) + std::uint32_t(which);
    };
    for (std::uint32_t i = 0; i < map::counter_count; ++i)
        registers.counters[i] = value(map::Counter(i));
    const auto slot = registers.dump().interfaces.at(device.interface_index("eni-1")).slots.at(0);
    for (std::uint32_t i = 0; i < map::session_counter_count; ++i)
        registers.session_counters.at(slot.session)[i] = value(map::SessionCounter(i));
    const auto counters = device.counters();
    using C = map::Counter;
    const auto is = [&](const Tally& tally, C frames, C bytes) {
        return tally.frames == value(frames) && tally.bytes == value(bytes);
    };
    REQUIRE(is(counters.received, C::received_frames, C::received_bytes));
    REQUIRE(is(counters.forwarded, C::forwarded_frames, C::forwarded_bytes));
    REQUIRE(is(counters.not_eligible, C::not_eligible_frames, C::not_eligible_bytes));
    REQUIRE(is(counters.not_accepted, C::not_accepted_frames, C::not_accepted_bytes));
    REQUIRE(is(counters.selected, C::selected_frames, C::selected_bytes));
    REQUIRE(is(counters.mirrored, C::mirrored_frames, C::mirrored_bytes));
    REQUIRE(is(counters.dropped, C::dropped_frames, C::dropped_bytes));
    REQUIRE(is(counters.in_flight, C::in_flight_frames, C::in_flight_bytes));
    REQUIRE(counters.causes.no_tap == value(C::no_tap));
    REQUIRE(counters.causes.malformed == value(C::malformed));
    REQUIRE(counters.causes.marked_bad == value(C::marked_bad));
    REQUIRE(counters.causes.not_ip == value(C::not_ip));
    REQUIRE(counters.causes.excluded == value(C::excluded));
    REQUIRE(counters.causes.table_fault == value(C::table_fault));
    REQUIRE(counters.causes.overflow == value(C::overflow));
    REQUIRE(counters.causes.reset == value(C::reset));
    REQUIRE(counters.causes.session_fault == value(C::session_fault));
    REQUIRE(counters.causes.late_bad == value(C::late_bad));
    using S = map::SessionCounter;
    const auto& session = counters.sessions.at("tms-2");
    REQUIRE(session.mirrored.frames == value(S::mirrored_frames));
    REQUIRE(session.mirrored.bytes == value(S::mirrored_bytes));
    REQUIRE(session.dropped.frames == value(S::overflow_frames) + value(S::reset_frames));
    REQUIRE(session.dropped.bytes == value(S::overflow_bytes) + value(S::reset_bytes));
    REQUIRE(session.selected.frames == session.mirrored.frames + session.dropped.frames);
    REQUIRE(session.selected.bytes == session.mirrored.bytes + session.dropped.bytes);
    REQUIRE(session.truncated == value(S::truncated_frames));
    REQUIRE(session.mirrored_bytes == value(S::sent_bytes));
    REQUIRE(counters.sessions.at("tms-0").selected.frames == 0);
}

TEST_CASE(
    "P23 counters that are read in portions are those of the snapshot, changes between or not") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    for (auto& session : registers.session_counters) session.fill(5);
    MirrorDevice::CounterReading reading(device);
    CHECK(reading.counters.sessions.empty());
    CHECK_FALSE(reading.advance(0));
    CHECK_FALSE(reading.advance(1));
    REQUIRE(reading.counters.sessions.size() == 1);
    const std::string read = reading.counters.sessions.begin()->first;
    // One that was read goes, one that was not goes, and others come, one of them under its name.
    const std::string gone = read == "tms-0" ? "tms-1" : "tms-0";
    const auto session = state.sessions.at(gone);
    state.sessions.erase(read);
    state.sessions.erase(gone);
    state.sessions["tms-8"] = session;
    device.apply(state);
    state.sessions.erase("tms-8");
    state.sessions[gone] = session;
    device.apply(state);
    CHECK(reading.advance(100));
    CHECK(reading.advance(100));
    std::set<std::string> names;
    for (const auto& [name, counters] : reading.counters.sessions) {
        names.insert(name);
        CHECK(counters.mirrored.frames == 5);
    }
    std::set<std::string> expected{"tms-0", "tms-1", "tms-2", "tms-3"};
    expected.erase(gone);
    CHECK(names == expected);

    MirrorDevice::CounterReading lost(device);
    registers.dead = true;
    CHECK_THROWS_AS(lost.advance(100), DeviceError);
}

TEST_CASE("a mirror reset that does not end is an error") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    device.reset_mirror();
    registers.resetting_reads = -1;
    REQUIRE_THROWS_AS(device.reset_mirror(), DeviceError);
}

TEST_CASE("a session that moves to another interface is a new one there") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    state.sessions["tms-0"].interface = "eni-1";
    device.apply(state);
    check_holds(registers.dump(), device, state);
    REQUIRE(device.verify().empty());
}

TEST_CASE("the placement names rules by their latest ids though no word changed") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    Filter renamed = *state.filters["tmf-0"];
    renamed.ingress[0].id = "tmfr-new";
    state.filters["tmf-0"] = std::make_shared<const Filter>(renamed);
    std::shared_ptr<const Placement> seen;
    device.on_placement([&](auto placement) { seen = placement; });
    const auto writes = registers.writes;
    device.apply(state);
    REQUIRE(registers.writes == writes);
    REQUIRE(seen);
    REQUIRE(seen == device.placement());
    const auto& tapped = *seen->interfaces.at(device.interface_index("eni-0"));
    REQUIRE(tapped.slots.at(0).filter->ingress.at(0).id == "tmfr-new");
}

TEST_CASE("a placement is known under its number before the commit that brings it is written") {
    const auto seed = GENERATE(from_range(seeds(5)));
    INFO("MIRRORNIC_SEED=" << seed);
    RandomStates random(seed);
    FakeRegisters registers;
    MirrorDevice device(registers);
    std::shared_ptr<const Placement> announced;
    std::uint64_t newest = device.placement()->sequence;
    device.on_placement([&](auto placement) { announced = placement; });
    unsigned commits = 0, compared = 0;
    registers.on_commit = [&] {
        ++commits;
        REQUIRE(announced);
        REQUIRE(announced->sequence == ++newest);
        // What frames meet from now on is what was announced.
        for (const auto& [index, tapped] : registers.dump().interfaces) {
            const auto& slots = announced->interfaces.at(index)->slots;
            REQUIRE(slots.size() == tapped.slots.size());
            for (std::size_t i = 0; i < slots.size(); ++i)
                REQUIRE(slots[i].session_index == tapped.slots[i].session);
            compared += unsigned(slots.size());
        }
    };
    TableState state = random.state();
    device.apply(state);
    for (int i = 0; i < 100; ++i) {
        switch (random.below(4)) {
            case 0:
                registers.fault = map::fault::place(std::uint32_t(map::Fault::interface)) |
                                  map::fault::index(random.below(8));
                REQUIRE(device.repair().has_value());
                break;
            case 1:
                device.set_source_ports(std::uint16_t(random.below(1024)), 8);
                break;
            default:
                random.request(state);
                device.apply(state);
        }
        REQUIRE(device.placement()->sequence == newest);
    }
    REQUIRE(commits > 100);
    REQUIRE(compared > 100);
}

TEST_CASE("T5 a commit that fails leaves the placement before in force, and its number free") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = small_state();
    device.apply(state);
    std::vector<std::uint64_t> announced;
    device.on_placement([&](auto placement) { announced.push_back(placement->sequence); });
    const auto before = device.placement();
    std::uint32_t vni = 0;
    const auto change = [&] {
        state.sessions["tms-0"].vni = ++vni;
        device.apply(state);
    };
    const auto write_again = [&] {
        registers.fault = map::fault::place(std::uint32_t(map::Fault::interface));
        device.repair();
    };
    for (const auto& act : std::initializer_list<std::function<void()>>{
             change, write_again, [&] { device.set_source_ports(1024, 4); }}) {
        const auto in_force = device.placement();
        registers.lost_writes.insert(map::commit::address());
        REQUIRE_THROWS_AS(act(), DeviceError);
        REQUIRE(announced.back() == in_force->sequence + 1);
        REQUIRE(device.placement() == in_force);
        act();
        REQUIRE(announced.back() == in_force->sequence + 1);
        REQUIRE(device.placement()->sequence == in_force->sequence + 1);
        registers.fault = 0;
    }
    REQUIRE(device.placement()->sequence == before->sequence + 3);
}

TEST_CASE("a record's 16 bits mean the nearest commit") {
    const std::uint64_t near = 0x123458000;
    for (const int away : {0, 1, -1, 1000, -1000, 32767, -32768})
        REQUIRE(Placement::unwrap(std::uint16_t(near + std::uint64_t(away)), near) ==
                near + std::uint64_t(away));
    REQUIRE(Placement::unwrap(5, 0x1fffd) == 0x20005);
    REQUIRE(Placement::unwrap(0xfffd, 0x20005) == 0x1fffd);
}

TEST_CASE("a fault in an entry that the table does not have is an error each time it is seen") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    device.apply(small_state());
    const auto commits = registers.commits;
    for (const auto place :
         {map::Fault::interface, map::Fault::filter, map::Fault::session, map::Fault::service}) {
        registers.fault =
            map::fault::place(std::uint32_t(place)) | map::fault::index(map::fault::index.max);
        for (int i = 0; i < 3; ++i) {
            REQUIRE_THROWS_AS(device.repair(), DeviceError);
            REQUIRE_THAT(error_of([&] { device.repair(); }), Contains("entries"));
        }
    }
    REQUIRE(registers.commits == commits);
    registers.fault = 0;
    REQUIRE_FALSE(device.repair().has_value());
}

TEST_CASE("the whole table of 256 interfaces with 3 sessions each is filled and replaced") {
    FakeRegisters registers;
    MirrorDevice device(registers);
    RandomStates random(11);
    random.interfaces = random.filters = 256;
    random.rules = 2;
    for (int round = 0; round < 2; ++round) {
        TableState state;
        for (unsigned i = 0; i < 256; ++i) {
            state.interfaces["eni-" + std::to_string(i)] = {};
            state.filters["tmf-" + std::to_string(i)] =
                std::make_shared<const Filter>(random.filter());
            for (unsigned k = 0; k < 3; ++k) {
                auto& session = state.sessions["tms-" + std::to_string(round * 1000 + 3 * i + k)];
                session = random.session(i, std::uint16_t(k + 1));
                if (k == 0) session.filter = "tmf-" + std::to_string(i);
            }
        }
        device.apply(state);
        check_holds(registers.dump(), device, state);
        MirrorDevice restarted(registers);
        const auto before = registers.commits;
        restarted.apply(state);
        REQUIRE(registers.commits == before);
    }
}

TEST_CASE("T2 every request is in force at once: no commit shows a mix of before and after") {
    const auto seed = GENERATE(from_range(seeds(12)));
    const auto restart = GENERATE(false, true);  // before each request
    INFO("MIRRORNIC_SEED=" << seed << (restart ? ", restarted" : ""));
    RandomStates random(seed);
    FakeRegisters registers;
    auto opened = std::make_unique<MirrorDevice>(registers);
    TableState state = random.state();
    opened->apply(state);
    unsigned compared = 0;
    for (int i = 0; i < 25; ++i) {
        TableState next = state;
        random.request(next);
        const auto before = meaning(describe(state)), after = meaning(describe(next));
        registers.on_commit = [&] {
            const auto now = meaning(describe(registers.dump()));
            REQUIRE((now == before || now == after));
            compared += before != after;
        };
        if (restart) opened = std::make_unique<MirrorDevice>(registers);
        const auto commits = registers.commits;
        opened->apply(next);
        REQUIRE(registers.commits - commits <= 2);  // a new filter, the change
        check_holds(registers.dump(), *opened, next);
        state = next;
    }
    REQUIRE(compared > 0);
}

TEST_CASE("T2 from any state to any other, each valid slot is always one of before or after") {
    const auto seed = GENERATE(from_range(seeds(30)));
    const auto restart = GENERATE(false, true);
    INFO("MIRRORNIC_SEED=" << seed << (restart ? ", restarted" : ""));
    RandomStates random(seed);
    random.rules = 4;
    // Every second device is so small that its tables run full.
    FakeRegisters registers(seed % 2 ? FakeRegisters::Sizes{} : FakeRegisters::Sizes{5, 5, 16});
    auto device = std::make_unique<MirrorDevice>(registers);
    TableState state;
    unsigned checked = 0;
    for (int i = 0; i < 8; ++i) {
        TableState next = random.state();
        if (random.below(3) == 0) {  // much the same
            next = state;
            for (unsigned n = random.below(4); n > 0 && !next.interfaces.empty(); --n)
                random.request(next);
        }
        if (restart) device = std::make_unique<MirrorDevice>(registers);
        const auto allowed = allowed_slots(state, next);
        registers.on_commit = [&] {
            check_slots(registers.dump(), allowed);
            checked += !registers.dump().interfaces.empty();
        };
        device->apply(next);
        check_holds(registers.dump(), *device, next);
        const auto commits = registers.commits;
        device->apply(next);
        MirrorDevice again(registers);
        again.apply(next);
        REQUIRE(registers.commits == commits);
        for (const auto& [id, interface] : next.interfaces)
            REQUIRE(again.interface_index(id) == device->interface_index(id));
        REQUIRE(device->verify().empty());
        state = next;
    }
    REQUIRE(checked > 0);
}

TEST_CASE("T2 whatever access fails in whatever change, the next change gets there") {
    const auto seed = GENERATE(from_range(seeds(10)));
    INFO("MIRRORNIC_SEED=" << seed);
    RandomStates random(seed);
    random.rules = 3;
    FakeRegisters registers;
    MirrorDevice device(registers);
    TableState state = random.state();
    device.apply(state);
    unsigned failures = 0;
    for (int i = 0; i < 40; ++i) {
        registers.lines = i % 2 != 0;
        TableState next = random.below(2) ? random.state() : state;
        random.request(next);
        const auto allowed = allowed_slots(state, next);
        registers.on_commit = [&] { check_slots(registers.dump(), allowed); };
        const std::uint32_t targets[] = {
            map::commit::address(),        map::session_vni::address(),
            map::slot::address(1),         map::slot_tables::address(0),
            map::rule::address(0, 0),      map::filter_clear::address(),
            map::session_index::address(), map::interface_index::address()};
        const auto target = targets[random.below(std::size(targets))];
        if (target == map::commit::address() && random.below(2))
            registers.lost_writes.insert(target);
        else
            registers.refused_writes.insert(target);
        try {
            device.apply(next);
        } catch (const DeviceError&) {
            ++failures;
        }
        registers.lost_writes.clear();
        registers.refused_writes.clear();
        device.apply(next);
        check_holds(registers.dump(), device, next);
        REQUIRE(device.verify().empty());
        state = next;
    }
    REQUIRE(failures > 0);
}
TEST_CASE("a restart tells interfaces of one MAC address apart by their sessions") {
    FakeRegisters registers;
    TableState state = small_state();
    state.sessions["tms-2"].source_mac = state.sessions["tms-3"].source_mac =
        state.sessions["tms-0"].source_mac = state.sessions["tms-1"].source_mac;
    MirrorDevice device(registers);
    device.apply(state);
    const auto commits = registers.commits;
    MirrorDevice restarted(registers);
    restarted.apply(state);
    CHECK(registers.commits == commits);
    for (const char* id : {"eni-0", "eni-1"})
        CHECK(restarted.interface_index(id) == device.interface_index(id));
}

TEST_CASE("a restart tells filters of one content apart by the sessions that keep theirs") {
    RandomStates random(5);
    FakeRegisters registers;
    TableState state;
    const auto add = [&](unsigned i, const std::string& filter) {
        state.interfaces["eni-" + std::to_string(i)] = {};
        auto& session = state.sessions["tms-" + std::to_string(i)];
        session = random.session(i, 1);
        session.filter = filter;
    };
    for (const char* id : {"tmf-a", "tmf-b"})
        state.filters[id] = std::make_shared<const Filter>(Filter{});
    add(0, "tmf-a");
    add(1, "tmf-a");
    add(2, "tmf-b");
    MirrorDevice(registers).apply(state);
    const auto before = registers.dump();
    state.sessions["tms-0"].filter = "tmf-b";  // which the device does not know yet

    MirrorDevice restarted(registers);
    const auto commits = registers.commits;
    restarted.apply(state);
    CHECK(registers.commits == commits + 1);
    const auto after = registers.dump();
    for (const char* id : {"eni-1", "eni-2"}) {
        const auto index = restarted.interface_index(id);
        CHECK(after.interfaces.at(index).slots.at(0).filter ==
              before.interfaces.at(index).slots.at(0).filter);
    }
    CHECK(restarted.placement()
              ->interfaces.at(restarted.interface_index("eni-0"))
              ->slots.at(0)
              .filter_id == "tmf-b");
}

TEST_CASE("a plan from what was touched writes what a plan from the whole state writes") {
    /// Keeps the writes; a commit's status is the registers' own.
    struct Recorded : RegisterAccess {
        FakeRegisters registers;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> log;
        void write(std::uint32_t address, std::uint32_t value) override {
            log.emplace_back(address, value);
            registers.write(address, value);
        }
        std::uint32_t read(std::uint32_t address) override { return registers.read(address); }
    };
    for (const std::uint32_t seed : {1u, 2u, 3u}) {
        Recorded whole, part;
        MirrorDevice whole_device(whole), part_device(part);
        RandomStates random(seed);
        random.interfaces = 20;
        random.filters = 40;
        TableState state = random.state(), before;
        unsigned compared = 0, compared_slots = 0, full = 0;
        for (int round = 0; round < 600; ++round) {
            // By comparison of the two states, not from what the request was.
            Touched touched;
            for (const auto* from : {&before, &state})
                for (const auto& [id, session] : from->sessions) {
                    const auto same = [&](const TableState& other) {
                        const auto at = other.sessions.find(id);
                        return at != other.sessions.end() &&
                               encoding::encode(at->second) == encoding::encode(session) &&
                               at->second.number == session.number &&
                               at->second.filter == session.filter &&
                               at->second.interface == session.interface;
                    };
                    if (!same(before) || !same(state)) touched.interfaces[session.interface];
                }
            for (const auto& [id, interface] : state.interfaces) {
                const auto at = before.interfaces.find(id);
                if (at == before.interfaces.end() || at->second.resolver != interface.resolver)
                    touched.interfaces[id];
            }
            for (const auto& [id, session] : state.sessions)
                if (touched.interfaces.count(session.interface) != 0)
                    touched.interfaces[session.interface].insert(id);
            for (const auto& [id, filter] : state.filters) {
                const auto at = before.filters.find(id);
                if (at == before.filters.end() || at->second != filter) touched.filters.insert(id);
            }

            whole.log.clear();
            part.log.clear();
            std::string whole_error, part_error;
            try {
                whole_device.apply(state);
            } catch (const TableFull& error) {
                whole_error = error.table;
            }
            try {
                part_device.commit(part_device.plan(state, round == 0 ? nullptr : &touched));
            } catch (const TableFull& error) {
                part_error = error.table;
            }
            CAPTURE(seed, round);
            REQUIRE(part_error == whole_error);
            REQUIRE(part.log == whole.log);
            if (!whole_error.empty()) {
                ++full;
                state = before;
            } else {
                ++compared;
                REQUIRE(part_device.placement()->version() == whole_device.placement()->version());
                for (std::size_t i = 0; i < part_device.placement()->interfaces.size(); ++i) {
                    const auto& a = *part_device.placement()->interfaces[i];
                    const auto& b = *whole_device.placement()->interfaces[i];
                    REQUIRE(a.interface == b.interface);
                    REQUIRE(a.slots.size() == b.slots.size());
                    for (std::size_t k = 0; k < a.slots.size(); ++k) {
                        REQUIRE(a.slots[k].session == b.slots[k].session);
                        REQUIRE(a.slots[k].filter_id == b.slots[k].filter_id);
                        REQUIRE(a.slots[k].filter == b.slots[k].filter);
                        REQUIRE(a.slots[k].session_index == b.slots[k].session_index);
                    }
                    compared_slots += unsigned(a.slots.size());
                }
                before = state;
            }
            for (unsigned requests = 1 + random.below(3); requests > 0; --requests)
                random.request(state);
        }
        CHECK(compared > 300);
        CHECK(compared_slots > 300);
        CHECK(part_device.verify().empty());
    }
}
