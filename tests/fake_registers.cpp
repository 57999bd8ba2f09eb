// SPDX-License-Identifier: Apache-2.0
#include "fake_registers.hpp"

#include <algorithm>

namespace mirrornic {

namespace map = registers;
using map::Reason;

/// A table's entry, by the staging registers that would fetch it.
struct FakeRegisters::Entry {
    const Table& table;
    std::uint32_t index;
    std::uint32_t at(std::uint32_t address) const {
        return table.entries.at(index).at(position(table, address));
    }
    static std::size_t position(const Table& table, std::uint32_t address) {
        const auto& all = table.registers;
        return std::size_t(std::lower_bound(all.begin(), all.end(), address) - all.begin());
    }
};

void FakeRegisters::reset() {
    RegisterModel::reset();
    drained_ = 0;
    freed_.clear();
}

void FakeRegisters::write(std::uint32_t address, std::uint32_t value) {
    ++writes;
    if (dead || lost_writes.erase(address)) return;
    if (refused_writes.erase(address)) return refuse(address, Reason::partial_strobes);
    if (refused(address, value) == Reason::none) {
        if (address == map::fetch::address() && fetches_without_gap > 0) {
            --fetches_without_gap;
            return refuse(address, Reason::no_slot);
        }
        if (address == map::control::address() && map::control::mirror_reset.of(value) &&
            resetting_reads == 0)
            resetting_reads = 3;
        if (address == map::control::address() && map::control::clear_fault.of(value))
            fault = fault_count = 0;
    }
    const auto before = sequence();
    RegisterModel::write(address, value);
    if (sequence() == before) return;
    ++commits;
    if (on_commit) on_commit();
}

void FakeRegisters::write_line(std::uint32_t address, const RegisterLine& words,
                               std::uint16_t changed) {
    if (!lines) return RegisterAccess::write_line(address, words, changed);
    ++writes;
    if (dead) return;
    for (std::uint32_t i = 0; i < words.size(); ++i) {
        if (lost_writes.erase(address + 4 * i)) return;
        if (refused_writes.erase(address + 4 * i))
            return refuse(address + 4 * i, Reason::partial_strobes);
    }
    RegisterModel::write_line(address, words, changed);
}

std::set<std::uint32_t> FakeRegisters::session_entries(
    const std::function<std::uint32_t(std::uint32_t)>& word) {
    std::set<std::uint32_t> entries;
    for (std::uint32_t i = 0; i < map::sizes::slots; ++i)
        if (map::slot::valid.of(word(map::slot::address(i))))
            entries.insert(map::slot_tables::session.of(word(map::slot_tables::address(i))));
    return entries;
}

void FakeRegisters::before_commit(std::uint32_t bits) {
    const auto entry = staged(map::session_index::address());
    if (map::commit::clear_counters.of(bits) && !draining && freed_[entry] > drained_)
        ++early_reuses;
    if (!(bits & interfaces_.bit)) return;
    const auto now = session_entries([&](std::uint32_t address) { return staged(address); });
    const Entry before{interfaces_, staged(map::interface_index::address())};
    for (const auto held :
         session_entries([&](std::uint32_t address) { return before.at(address); }))
        if (!now.count(held)) freed_[held] = sequence() + 1;
}

std::uint32_t FakeRegisters::read(std::uint32_t address) {
    ++reads;
    if (dead) return ~0u;
    if (address == map::magic::address()) return magic;
    if (address == map::version::address()) return version;
    if (address == map::map_hash::address()) return hash;
    if (address == map::fault::address()) return fault;
    if (address == map::fault_count::address()) return fault_count;
    const auto value = RegisterModel::read(address);
    if (address == map::status::address()) {
        const bool ready = not_ready_reads == 0;
        if (not_ready_reads > 0) --not_ready_reads;
        const bool resetting = resetting_reads != 0;
        if (resetting_reads > 0) --resetting_reads;
        return (value & map::status::mirror_room(1)) | map::status::ready(ready) |
               map::status::idle(draining) | map::status::resetting(resetting);
    }
    if (address == map::commit_status::address()) {
        if (reads_until_drained > 0 && --reads_until_drained == 0) draining = true;
        if (draining) drained_ = sequence();
        return value | map::commit_status::undrained(
                           std::uint32_t(std::min<std::uint64_t>(sequence() - drained_, 255)));
    }
    return value;
}

void FakeRegisters::flip(std::uint32_t index, std::uint32_t address, std::uint32_t bits) {
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        if (std::binary_search(table->registers.begin(), table->registers.end(), address))
            table->entries.at(index).at(Entry::position(*table, address)) ^= bits;
}

TableDump FakeRegisters::dump() const {
    const auto address_of = [](const Entry& words, bool v6, auto place) {
        IpAddress address;
        address.v6 = v6;
        for (std::uint32_t byte = 0; byte < (v6 ? 16u : 4u); ++byte)
            address.bytes[byte] =
                std::uint8_t(words.at(place(3 - byte / 4)) >> (24 - 8 * (byte % 4)));
        return address;
    };
    const auto mac_of = [](const Entry& words, auto place) {
        const std::uint64_t mac =
            std::uint64_t(words.at(place(1)) & 0xffff) << 32 | words.at(place(0));
        MacAddress bytes{};
        for (int i = 0; i < 6; ++i) bytes[i] = std::uint8_t(mac >> (40 - 8 * i));
        return bytes;
    };
    const auto ports_of = [](std::uint32_t word) {
        return PortRange{std::uint16_t(word), std::uint16_t(word >> 16)};
    };
    TableDump dump;
    for (std::uint32_t i = 0; i < interfaces_.entries.size(); ++i) {
        const Entry interface { interfaces_, i };
        TableDump::Tapped tapped;
        for (std::uint32_t slot = 0; slot < map::sizes::slots; ++slot) {
            const auto word = interface.at(map::slot::address(slot));
            const auto tables = interface.at(map::slot_tables::address(slot));
            if (word >> 31)
                tapped.slots.push_back(
                    {std::uint16_t(word & 0x7fff), tables & 0xffff, tables >> 16});
        }
        if (tapped.slots.empty()) continue;
        if (interface.at(map::interface_flags::address()) & 1)
            tapped.resolver = address_of(
                interface, false, [](std::uint32_t) { return map::interface_resolver::address(); });
        for (const auto& slot : tapped.slots) {
            const Entry words{sessions_, slot.session};
            auto& session = dump.sessions[slot.session];
            const bool v6 = words.at(map::session_flags::address()) & 1;
            session.vni = words.at(map::session_vni::address());
            session.packet_length = words.at(map::session_cut::address()) & 0x3fff;
            session.mtu_cut = words.at(map::session_cut::address()) >> 16 & 0x3fff;
            session.source_mac = mac_of(words, map::session_source_mac::address);
            session.target_mac = mac_of(words, map::session_target_mac::address);
            session.source_address = address_of(words, v6, map::session_source_address::address);
            session.target_address = address_of(words, v6, map::session_target_address::address);

            const Entry filter_words{filters_, slot.filter};
            auto& filter = dump.filters[slot.filter] = {};
            filter.amazon_dns = filter_words.at(map::filter_flags::address()) & 1;
            for (std::uint32_t direction = 0; direction < 2; ++direction)
                for (std::uint32_t n = 0; n < map::sizes::rules; ++n) {
                    const auto word = filter_words.at(map::rule::address(direction, n));
                    if (!map::rule::valid.of(word)) continue;
                    Rule rule;
                    const bool rule_v6 = map::rule::v6.of(word);
                    rule.accept = map::rule::accept.of(word);
                    rule.source = {address_of(filter_words, rule_v6,
                                              [&](std::uint32_t k) {
                                                  return map::rule_source::address(direction, n, k);
                                              }),
                                   std::uint8_t(map::rule::source_prefix.of(word))};
                    rule.destination = {address_of(filter_words, rule_v6,
                                                   [&](std::uint32_t k) {
                                                       return map::rule_destination::address(
                                                           direction, n, k);
                                                   }),
                                        std::uint8_t(map::rule::destination_prefix.of(word))};
                    if (map::rule::has_protocol.of(word))
                        rule.protocol = std::uint8_t(map::rule::protocol.of(word));
                    if (map::rule::has_source_ports.of(word))
                        rule.source_ports = ports_of(
                            filter_words.at(map::rule_source_ports::address(direction, n)));
                    if (map::rule::has_destination_ports.of(word))
                        rule.destination_ports = ports_of(
                            filter_words.at(map::rule_destination_ports::address(direction, n)));
                    (direction == 0 ? filter.ingress : filter.egress).push_back(rule);
                }
        }
        dump.interfaces[i] = std::move(tapped);
    }
    return dump;
}

}  // namespace mirrornic
