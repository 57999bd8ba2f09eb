// SPDX-License-Identifier: Apache-2.0
// T5, I6: a walk over every register, errors, commits and fetches, and the interrupt.
#include <map>

#include "catch.hpp"
#include "register_map.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;
using namespace mirrornic::registers;

namespace {

/// A ready device and its registers alone.
class Bare {
public:
    void run(const std::function<void()>& body) {
        board_.run([&] {
            while (!status::ready.of(read(status::address()))) {
            }
            body();
        });
    }
    void write(std::uint32_t address, std::uint32_t value) {
        board_.registers().write(address, value);
    }
    std::uint32_t read(std::uint32_t address) { return board_.registers().read(address); }
    /// Writes, and gives back the reason of a refusal, of which nothing stays.
    Reason attempt(std::uint32_t address, std::uint32_t value) {
        write(address, value);
        const auto reason = error_reason::reason.of(read(error_reason::address()));
        if (reason != 0) CHECK(read(error_address::address()) == address);
        write(control::address(), control::clear_error(1));
        return Reason(reason);
    }
    std::uint32_t sequence() { return commit_status::sequence.of(read(commit_status::address())); }

private:
    Board board_{Board::Options{}};
};

/// Every staged word of a table but its index.
std::vector<Place> staged(const std::string& table) {
    std::vector<Place> result;
    for (const Place& place : places) {
        const std::string name = place.name;
        const auto begins = [&name](const std::string& with) { return name.rfind(with, 0) == 0; };
        const bool part = begins(table + "_") || (table == "interface" && begins("slot")) ||
                          (table == "filter" && begins("rule"));
        if (place.access == Access::rw && part && !begins("session_counter") &&
            name != table + "_index") {
            result.push_back(place);
        }
    }
    return result;
}

/// A value that contradicts no other word; it may be out of range.
std::uint32_t random_word(Random& random, const Place& place) {
    const std::string name = place.name;
    if (name.rfind("slot_tables", 0) == 0) {
        return slot_tables::filter(random.below(sizes::filters)) |
               slot_tables::session(random.below(sizes::sessions));
    }
    std::uint32_t value = 0;
    for (const auto byte : random.bytes(4)) value = value << 8 | byte;
    value &= place.writable;
    if (name.find("_ports") != std::string::npos && value >> 16 < (value & 0xffff))
        value = value << 16 | value >> 16;
    if (name.rfind("rule[", 0) == 0 && rule::v6.of(value) == 0) {
        value &= ~(rule::source_prefix(0xe0) | rule::destination_prefix(0xe0));
    }
    return value;
}

}  // namespace

TEST_CASE("T5 every register has its reset value, keeps what it should and refuses the rest") {
    Bare bare;
    bare.run([&] {
        std::map<std::uint32_t, const Place*> mapped;
        for (const Place& place : places) mapped[place.address] = &place;
        REQUIRE(mapped.size() > 100);
        for (const auto& [address, place] : mapped) {
            INFO(place->name);
            if (place->has_reset)
                CHECK(bare.read(address) == (place->access == Access::wo ? 0 : place->reset));
        }
        for (const auto& [address, place] : mapped) {
            INFO(place->name);
            const std::uint32_t before = bare.read(address);
            for (unsigned bit = 0; bit < 32; ++bit) {
                INFO("bit " << bit);
                const std::uint32_t value = 1u << bit;
                const bool reserved = (value & place->writable) == 0;
                if (place->access == Access::ro) {
                    CHECK(bare.attempt(address, value) == Reason::read_only);
                    if (place->has_reset) CHECK(bare.read(address) == before);
                } else if (reserved) {
                    CHECK(bare.attempt(address, value) == Reason::reserved_bits);
                    CHECK(bare.read(address) == before);
                } else if (place->access == Access::rw) {
                    const Reason reason = bare.attempt(address, value);
                    CHECK((reason == Reason::none || reason == Reason::out_of_range));
                    CHECK(bare.read(address) == (reason == Reason::none ? value : before));
                    bare.write(address, before);
                }
            }
            if (place->access == Access::rw) CHECK(bare.read(address) == before);
        }
        std::set<std::uint32_t> lines;
        for (const auto& [address, place] : mapped) lines.insert(address / 64);
        for (std::uint32_t address = 0; address < end_address; address += 4) {
            if (mapped.count(address) != 0) continue;
            INFO("address " << address);
            CHECK(bare.read(address) == 0);
            CHECK(unmapped_reads::count.of(bare.read(unmapped_reads::address())) == 1);
            const bool hole = lines.count(address / 64) != 0;  // a bridge may write its 0
            CHECK(bare.attempt(address, 0) == (hole ? Reason::none : Reason::unmapped));
            CHECK(bare.attempt(address, 1) == Reason::unmapped);
        }
    });
}

TEST_CASE("T5 a field's largest and smallest values are taken and those beyond are refused") {
    Bare bare;
    bare.run([&] {
        const auto check = [&](std::uint32_t address, const Field& field, std::uint32_t rest = 0) {
            INFO("address " << address << ", field at bit " << field.low);
            const std::uint32_t before = bare.read(address);
            if (field.max != (1u << field.width) - 1) {
                CHECK(bare.attempt(address, field(field.max + 1) | rest) == Reason::out_of_range);
                CHECK(bare.attempt(address, field((1u << field.width) - 1) | rest) ==
                      Reason::out_of_range);
            }
            if (field.min > 0)
                CHECK(bare.attempt(address, field(field.min - 1) | rest) == Reason::out_of_range);
            CHECK(bare.read(address) == before);
            for (const std::uint32_t value : {field.max, field.min}) {
                CHECK(bare.attempt(address, field(value) | rest) == Reason::none);
                CHECK(bare.read(address) == (field(value) | rest));
            }
        };
        check(source_ports::address(), source_ports::bits);
        check(interface_index::address(), interface_index::index);
        check(session_index::address(), session_index::index);
        check(service_index::address(), service_index::index);
        check(filter_index::address(), filter_index::index);
        check(session_counter_index::address(), session_counter_index::index);
        check(session_cut::address(), session_cut::packet_length, session_cut::mtu_cut(9216));
        check(session_cut::address(), session_cut::mtu_cut, session_cut::packet_length(1));
        for (std::uint32_t i = 0; i < sizes::slots; ++i) {
            check(slot_tables::address(i), slot_tables::filter);
            check(slot_tables::address(i), slot_tables::session);
        }
        for (std::uint32_t i = 0; i < sizes::rules; ++i) {
            for (std::uint32_t direction : {0u, 1u}) {
                check(rule::address(direction, i), rule::source_prefix);
                check(rule::address(direction, i), rule::destination_prefix);
            }
        }
    });
}

TEST_CASE("T5 the first error stays, later ones are counted, and counts saturate") {
    Bare bare;
    bare.run([&] {
        bare.write(magic::address(), 0);
        bare.write(0x1ffc, 0);
        bare.write(interface_index::address(), 0xffff);
        CHECK(bare.read(error_address::address()) == magic::address());
        CHECK(bare.read(error_reason::address()) ==
              (error_reason::reason(std::uint32_t(Reason::read_only)) | error_reason::count(3)));
        CHECK(commit_status::reason.of(bare.read(commit_status::address())) ==
              std::uint32_t(Reason::read_only));
        for (unsigned i = 0; i < 65600; ++i) bare.write(0x1ffc, i);
        CHECK(error_reason::count.of(bare.read(error_reason::address())) == 0xffff);
        for (unsigned i = 0; i < 65600; ++i) bare.read(0x1ffc);
        CHECK(bare.read(unmapped_reads::address()) == 0xffff);
        CHECK(bare.read(error_address::address()) == magic::address());
        bare.write(control::address(), control::clear_error(1));
        for (const auto address :
             {error_address::address(), error_reason::address(), unmapped_reads::address()}) {
            CHECK(bare.read(address) == 0);
        }
    });
}

TEST_CASE(
    "T5 a commit is refused, and changes nothing, while an error is pending or when fields "
    "contradict") {
    Bare bare;
    bare.run([&] {
        const auto refused = [&](std::uint32_t bits, Reason reason) {
            const auto before = bare.sequence();
            CHECK(bare.attempt(commit::address(), bits) == reason);
            CHECK(bare.sequence() == before + (reason == Reason::none ? 1 : 0));
        };
        bare.write(magic::address(), 0);
        const auto before = bare.sequence();
        bare.write(commit::address(), commit::session(1));
        CHECK(bare.sequence() == before);
        CHECK(error_reason::count.of(bare.read(error_reason::address())) == 2);
        CHECK(error_reason::reason.of(bare.read(error_reason::address())) ==
              std::uint32_t(Reason::read_only));
        bare.write(control::address(), control::clear_error(1));
        refused(commit::session(1), Reason::none);
        CHECK(bare.attempt(commit::address(), 0) == Reason::none);  // of nothing: no commit
        CHECK(bare.sequence() == 1);

        refused(commit::filter(1) | commit::session(1), Reason::inconsistent);
        refused(commit::filter(1), Reason::none);
        for (std::uint32_t direction : {0u, 1u}) {
            const std::uint32_t last = sizes::rules - 1;
            const auto good =
                rule::valid(1) | rule::source_prefix(32) | rule::destination_prefix(32);
            for (const auto bad : {rule::source_prefix(33), rule::destination_prefix(128)}) {
                bare.write(rule::address(direction, last), rule::valid(1) | bad);
                refused(commit::filter(1), Reason::inconsistent);
                bare.write(rule::address(direction, last), rule::valid(1) | rule::v6(1) | bad);
                refused(commit::filter(1), Reason::none);
                bare.write(rule::address(direction, last), bad);  // not valid: not looked at
                refused(commit::filter(1), Reason::none);
            }
            for (const bool source : {false, true}) {
                const auto ports = source ? rule_source_ports::address(direction, last)
                                          : rule_destination_ports::address(direction, last);
                bare.write(ports, rule_source_ports::from(81) | rule_source_ports::to(80));
                bare.write(rule::address(direction, last), good);
                refused(commit::filter(1), Reason::none);
                bare.write(
                    rule::address(direction, last),
                    good | (source ? rule::has_source_ports(1) : rule::has_destination_ports(1)));
                refused(commit::filter(1), Reason::inconsistent);
                bare.write(ports, rule_source_ports::from(80) | rule_source_ports::to(80));
                refused(commit::filter(1), Reason::none);
            }
        }
        bare.write(service_flags::address(), service_flags::has_ports(1));
        bare.write(service_ports::address(), service_ports::from(2) | service_ports::to(1));
        refused(commit::service(1), Reason::inconsistent);
        bare.write(source_ports::address(), source_ports::base(1) | source_ports::bits(16));
        refused(commit::source_ports(1), Reason::inconsistent);
        bare.write(source_ports::address(), source_ports::base(65535) | source_ports::bits(1));
        refused(commit::source_ports(1), Reason::inconsistent);
        bare.write(source_ports::address(), source_ports::bits(16));
        refused(commit::source_ports(1), Reason::none);
        CHECK(bare.attempt(fetch::address(), fetch::session(1) | fetch::interface(1)) ==
              Reason::inconsistent);
    });
}

TEST_CASE("a fetch gives back exactly what was committed, in every table and at every index") {
    Random random;
    Bare bare;
    bare.run([&] {
        const struct {
            std::string name;
            std::uint32_t index_address, bit, entries;
            unsigned samples;
        } tables[] = {
            {"interface", interface_index::address(), fetch::interface(1), sizes::interfaces, 256},
            {"session", session_index::address(), fetch::session(1), sizes::sessions, 300},
            {"service", service_index::address(), fetch::service(1), sizes::services, 16},
            {"filter", filter_index::address(), fetch::filter(1), sizes::filters, 40}};
        for (const auto& table : tables) {
            INFO(table.name);
            const auto words = staged(table.name);
            const auto stage_random = [&] {
                for (const Place& word : words) {
                    while (bare.attempt(word.address, random_word(random, word)) != Reason::none) {
                    }
                }
            };
            const auto read_staged = [&] {
                std::vector<std::uint32_t> values;
                for (const Place& word : words) values.push_back(bare.read(word.address));
                return values;
            };
            // The table does not keep address bits that a rule's prefix does not cover.
            const auto clear_host_bits = [&] {
                for (std::uint32_t i = 0; i < 2 * sizes::rules; ++i) {
                    const std::uint32_t direction = i / sizes::rules, number = i % sizes::rules;
                    const std::uint32_t flags = bare.read(rule::address(direction, number));
                    for (std::uint32_t word = 0; word < 4; ++word) {  // word 3 on top
                        const auto clear = [&](std::uint32_t address, std::uint32_t prefix) {
                            const std::uint32_t before = 32 * (3 - word);
                            const std::uint32_t covered = prefix < before ? 0 : prefix - before;
                            if (covered >= 32) return;
                            bare.write(address, bare.read(address) & ~(~0u >> covered));
                        };
                        clear(rule_source::address(direction, number, word),
                              rule::source_prefix.of(flags));
                        clear(rule_destination::address(direction, number, word),
                              rule::destination_prefix.of(flags));
                    }
                }
            };
            std::map<std::uint32_t, std::vector<std::uint32_t>> written;
            for (unsigned i = 0; i < table.samples; ++i) {
                const std::uint32_t index = i == 0   ? 0
                                            : i == 1 ? table.entries - 1
                                                     : random.below(table.entries);
                bare.write(table.index_address, index);
                stage_random();
                if (table.name == "filter") clear_host_bits();
                CHECK(bare.attempt(commit::address(), table.bit) == Reason::none);
                written[index] = read_staged();
            }
            stage_random();
            for (const auto& [index, values] : written) {
                bare.write(table.index_address, index);
                CHECK(bare.attempt(fetch::address(), table.bit) == Reason::none);
                CHECK(read_staged() == values);
            }
        }
    });
}

TEST_CASE(
    "T5 a fetch under one-beat frames on every cycle ends with no_slot, and works when there is a "
    "gap") {
    Rig rig;
    rig.run([&] {
        TableState state = simple_state(false);
        rig.apply(state);
        auto& registers = rig.registers();
        const auto storm = [&](unsigned frames) {
            for (unsigned i = 0; i < frames; ++i)
                rig.send(plain_frame(60), Rig::Tapping{"", Direction::egress, 200u});
        };
        for (const std::uint32_t bit :
             {fetch::interface(1), fetch::filter(1), fetch::session(1), fetch::service(1)}) {
            storm(4000);
            rig.offload().wait_cycles(50);
            registers.write(fetch::address(), bit);
            storm(70000);
            CHECK(error_reason::reason.of(registers.read(error_reason::address())) ==
                  std::uint32_t(Reason::no_slot));
            CHECK(registers.read(error_address::address()) == fetch::address());
            registers.write(control::address(), control::clear_error(1));
            storm(1000);
            registers.write(session_counter_index::address(), 1);  // other accesses go on
            CHECK(registers.read(session_counter_index::address()) == 1);
            rig.wait();
            registers.write(fetch::address(), bit);
            CHECK(registers.read(error_reason::address()) == 0);
        }
        storm(500);
        rig.open();
        rig.send(plain_frame(100), Rig::Tapping{"eni-a", Direction::egress});
    });
    CHECK(rig.copies() == 1);
}

TEST_CASE(
    "I6 the interrupt shows drops, refused accesses and readiness, through its mask, until it is "
    "cleared") {
    Rig rig;
    rig.allow_drops();
    rig.run([&] {
        auto& registers = rig.registers();
        const auto shows = [&](std::uint32_t bits) {
            CHECK(registers.read(interrupt_status::address()) == bits);
            for (std::uint32_t bit = 1; bit < 16; bit <<= 1) {
                registers.write(interrupt_mask::address(), bit);
                registers.read(interrupt_mask::address());
                CHECK(rig.offload().interrupt() == ((bits & bit) != 0));
            }
            registers.write(interrupt_mask::address(), 0);
            registers.read(interrupt_mask::address());
            CHECK(!rig.offload().interrupt());
            registers.write(interrupt_status::address(),
                            ~bits & 0xf);  // another bit's 1 clears nothing
            CHECK(registers.read(interrupt_status::address()) == bits);
            registers.write(interrupt_status::address(), bits);
            CHECK(registers.read(interrupt_status::address()) == 0);
        };
        shows(interrupt_status::ready(1));
        registers.write(magic::address(), 1);
        shows(interrupt_status::axi_error(1));
        registers.write(control::address(), control::clear_error(1));

        rig.apply(simple_state(false));
        const auto overload = [&] {
            rig.offload().mirror_pattern = never();
            for (unsigned i = 0; i < 700; ++i)
                rig.send(plain_frame(60, i), Rig::Tapping{"eni-a", Direction::egress});
            rig.offload().wait_until_fed();
            rig.offload().wait_cycles(50);
        };
        for (unsigned i = 0; i < 2; ++i) {  // the first since it was cleared, and another
            overload();
            shows(interrupt_status::drop(1));
            rig.offload().mirror_pattern = nullptr;
            rig.wait();
        }
        for (unsigned i = 0; i < 10; ++i)
            rig.send(plain_frame(60, i), Rig::Tapping{"eni-a", Direction::egress});
        rig.wait();
        shows(0);
        rig.offload().mirror_pattern = never();
        for (unsigned i = 0; i < 10; ++i)
            rig.send(plain_frame(60, i), Rig::Tapping{"eni-a", Direction::egress});
        rig.offload().wait_cycles(100);
        rig.reset_mirror();
        rig.offload().mirror_pattern = nullptr;
        rig.wait();
        shows(interrupt_status::drop(1));  // by the reset
        rig.reset();
        rig.open();
        shows(interrupt_status::ready(1));
    });
}

TEST_CASE("P25 a commit that comes before ready waits, and is done") {
    Rig rig;
    rig.expect_no_copy();
    rig.run([&] {
        rig.reset();
        auto& registers = rig.registers();
        registers.write(session_index::address(), 1000);
        registers.write(session_vni::address(), 0xabcdef);
        CHECK(status::ready.of(registers.read(status::address())) == 0);
        registers.write(commit::address(), commit::session(1));
        CHECK(commit_status::sequence.of(registers.read(commit_status::address())) == 1);
        CHECK(status::ready.of(registers.read(status::address())) == 1);
        registers.write(session_vni::address(), 0);
        registers.write(fetch::address(), fetch::session(1));
        CHECK(registers.read(session_vni::address()) == 0xabcdef);
        rig.open();
    });
}

TEST_CASE("T2 what is staged right behind a commit is not in it") {
    Bare bare;
    bare.run([&] {
        const struct {
            std::uint32_t word, commit, fetch;
        } tables[] = {{interface_resolver::address(), commit::interface(1), fetch::interface(1)},
                      {rule_source::address(1, 15, 3), commit::filter(1), fetch::filter(1)},
                      {session_vni::address(), commit::session(1), fetch::session(1)},
                      {session_cut::address(), commit::session(1), fetch::session(1)},
                      {service_address::address(3), commit::service(1), fetch::service(1)}};
        bare.write(rule::address(1, 15), rule::v6(1) | rule::source_prefix(128));
        for (const auto& table : tables) {
            INFO("word " << table.word);
            bare.write(table.word, 0x010a0b);
            bare.write(commit::address(), table.commit);
            bare.write(table.word, 0x020c0d);
            bare.write(fetch::address(), table.fetch);
            CHECK(bare.read(table.word) == 0x010a0b);
            CHECK(bare.read(error_reason::address()) == 0);
        }
    });
}
