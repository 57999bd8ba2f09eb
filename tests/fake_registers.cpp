// SPDX-License-Identifier: Apache-2.0
#include "fake_registers.hpp"

#include <algorithm>
#include <string>

namespace mirrornic {
namespace {

namespace map = registers;
using map::Access;
using map::Reason;

const map::Place* place_at(std::uint32_t address) {
    static const auto index = [] {
        std::map<std::uint32_t, const map::Place*> by_address;
        for (const auto& place : map::places) by_address[place.address] = &place;
        return by_address;
    }();
    const auto found = index.find(address);
    return found == index.end() ? nullptr : found->second;
}

/// Every field whose limits are tighter than its width.
const std::multimap<std::uint32_t, map::Field>& limits() {
    static const auto all = [] {
        std::multimap<std::uint32_t, map::Field> fields{
            {map::source_ports::address(), map::source_ports::bits},
            {map::interface_index::address(), map::interface_index::index},
            {map::session_index::address(), map::session_index::index},
            {map::session_cut::address(), map::session_cut::packet_length},
            {map::session_cut::address(), map::session_cut::mtu_cut},
            {map::service_index::address(), map::service_index::index},
            {map::filter_index::address(), map::filter_index::index},
            {map::session_counter_index::address(), map::session_counter_index::index},
        };
        for (std::uint32_t i = 0; i < map::sizes::slots; ++i) {
            fields.emplace(map::slot_tables::address(i), map::slot_tables::filter);
            fields.emplace(map::slot_tables::address(i), map::slot_tables::session);
        }
        for (std::uint32_t direction = 0; direction < 2; ++direction)
            for (std::uint32_t i = 0; i < map::sizes::rules; ++i) {
                fields.emplace(map::rule::address(direction, i), map::rule::source_prefix);
                fields.emplace(map::rule::address(direction, i), map::rule::destination_prefix);
            }
        return fields;
    }();
    return all;
}

/// Staging registers whose names start so, index registers aside.
std::vector<std::uint32_t> registers_of(std::initializer_list<std::string> prefixes) {
    std::vector<std::uint32_t> addresses;
    for (const auto& place : map::places) {
        const std::string name = place.name;
        const bool is_index = name.find("_index") != std::string::npos;
        const bool named = std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) {
            return name.compare(0, prefix.size(), prefix) == 0;
        });
        if (place.access == Access::rw && named && !is_index) addresses.push_back(place.address);
    }
    return addresses;
}

std::uint32_t half(std::uint64_t value, std::uint32_t high) {
    return std::uint32_t(high ? value >> 32 : value);
}

}  // namespace

Reason refusal(std::uint32_t address, std::uint32_t value) {
    const auto* place = place_at(address);
    if (!place) return Reason::unmapped;
    if (place->access == Access::ro) return Reason::read_only;
    if (value & ~place->writable) return Reason::reserved_bits;
    const auto [begin, end] = limits().equal_range(address);
    for (auto i = begin; i != end; ++i)
        if (i->second.of(value) < i->second.min || i->second.of(value) > i->second.max)
            return Reason::out_of_range;
    return Reason::none;
}

FakeRegisters::FakeRegisters(Sizes sizes) : sizes_(sizes) {
    interfaces_ = {map::interface_index::address(), map::commit::interface(1),
                   registers_of({"interface_resolver", "interface_flags", "slot"}),
                   std::vector<Words>(sizes.interfaces)};
    filters_ = {map::filter_index::address(), map::commit::filter(1),
                registers_of({"filter_flags", "rule"}), std::vector<Words>(sizes.filters)};
    sessions_ = {map::session_index::address(), map::commit::session(1),
                 registers_of({"session_vni", "session_cut", "session_flags", "session_target",
                               "session_source"}),
                 std::vector<Words>(sizes.sessions)};
    services_ = {map::service_index::address(), map::commit::service(1), registers_of({"service_"}),
                 std::vector<Words>(map::sizes::services)};
    static_assert(map::commit::interface(1) == map::fetch::interface(1) &&
                      map::commit::filter(1) == map::fetch::filter(1) &&
                      map::commit::session(1) == map::fetch::session(1) &&
                      map::commit::service(1) == map::fetch::service(1),
                  "one bit names a table in both");
    reset();
}

void FakeRegisters::reset() {
    staged_.clear();
    for (const auto& place : map::places)
        if (place.access == Access::rw) staged_[place.address] = place.reset;
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        for (auto& entry : table->entries)
            for (const auto address : table->registers)
                if (table == &interfaces_ || table == &services_) {
                    entry[address] = 0;
                } else {  // undefined, but nothing that could not have been written
                    std::uint32_t value = undefined_() & place_at(address)->writable;
                    if (refused(address, value) != Reason::none) value = place_at(address)->reset;
                    entry[address] = value;
                }
    source_ports_ = map::source_ports::reset;
    interrupts_ = map::interrupt_status::ready(1);
    error_address_ = error_reason_ = refusals_ = unmapped_reads_ = 0;
    sequence_ = drained_ = 0;
    freed_.clear();
    counters.fill(0);
    counter_snapshot_ = counters;
    session_counters.assign(sizes_.sessions, {});
    session_snapshot_ = session_counters;
}

Reason FakeRegisters::refused(std::uint32_t address, std::uint32_t value) const {
    const Reason reason = refusal(address, value);
    if (reason != Reason::none) return reason;
    const auto over = [&](const map::Field& field, std::uint32_t size) {
        return field.of(value) >= size;
    };
    if ((address == map::interface_index::address() &&
         over(map::interface_index::index, sizes_.interfaces)) ||
        (address == map::filter_index::address() &&
         over(map::filter_index::index, sizes_.filters)) ||
        ((address == map::session_index::address() ||
          address == map::session_counter_index::address()) &&
         over(map::session_index::index, sizes_.sessions)))
        return Reason::out_of_range;
    for (std::uint32_t i = 0; i < map::sizes::slots; ++i)
        if (address == map::slot_tables::address(i) &&
            (over(map::slot_tables::filter, sizes_.filters) ||
             over(map::slot_tables::session, sizes_.sessions)))
            return Reason::out_of_range;
    return Reason::none;
}

void FakeRegisters::refuse(std::uint32_t address, Reason reason) {
    if (error_reason_ == 0) {
        error_address_ = address;
        error_reason_ = std::uint32_t(reason);
    }
    refusals_ = std::min(refusals_ + 1, 0xffffu);
    interrupts_ |= map::interrupt_status::axi_error(1);
}

void FakeRegisters::write(std::uint32_t address, std::uint32_t value) {
    ++writes;
    if (dead || lost_writes.erase(address)) return;
    Reason reason = refused(address, value);
    if (refused_writes.erase(address)) reason = Reason::partial_strobes;
    if (reason != Reason::none) return refuse(address, reason);

    if (address == map::control::address()) {
        if (map::control::mirror_reset.of(value) && resetting_reads == 0) resetting_reads = 3;
        if (map::control::snapshot.of(value)) {
            counter_snapshot_ = counters;
            session_snapshot_ = session_counters;
        }
        if (map::control::clear_error.of(value))
            error_address_ = error_reason_ = refusals_ = unmapped_reads_ = 0;
    } else if (address == map::interrupt_status::address()) {
        interrupts_ &= ~value;
    } else if (address == map::filter_clear::address()) {
        for (const auto staged : filters_.registers) staged_[staged] = 0;
    } else if (address == map::commit::address()) {
        reason = commit(value);
        if (reason != Reason::none) return refuse(address, reason);
        if (on_commit) on_commit();
    } else if (address == map::fetch::address()) {
        reason = fetch(value);
        if (reason != Reason::none) return refuse(address, reason);
    } else {
        staged_[address] = value;
    }
}

bool FakeRegisters::staged_filter_is_consistent() const {
    namespace r = map::rule;
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (std::uint32_t i = 0; i < map::sizes::rules; ++i) {
            const auto rule = staged_.at(r::address(direction, i));
            if (!r::valid.of(rule)) continue;
            const auto source = staged_.at(map::rule_source_ports::address(direction, i));
            const auto destination = staged_.at(map::rule_destination_ports::address(direction, i));
            namespace s = map::rule_source_ports;
            namespace d = map::rule_destination_ports;
            if ((r::has_source_ports.of(rule) && s::from.of(source) > s::to.of(source)) ||
                (r::has_destination_ports.of(rule) &&
                 d::from.of(destination) > d::to.of(destination)) ||
                (!r::v6.of(rule) &&
                 (r::source_prefix.of(rule) > 32 || r::destination_prefix.of(rule) > 32)))
                return false;
        }
    return true;
}

std::set<std::uint32_t> FakeRegisters::session_entries(const Words& interface) {
    std::set<std::uint32_t> entries;
    for (std::uint32_t i = 0; i < map::sizes::slots; ++i)
        if (map::slot::valid.of(interface.at(map::slot::address(i))))
            entries.insert(
                map::slot_tables::session.of(interface.at(map::slot_tables::address(i))));
    return entries;
}

Reason FakeRegisters::commit(std::uint32_t bits) {
    if (error_reason_) return Reason::pending_error;
    if ((bits & filters_.bit) && (bits != filters_.bit || !staged_filter_is_consistent()))
        return Reason::inconsistent;
    if (bits & services_.bit) {
        const auto flags = staged_.at(map::service_flags::address());
        const auto ports = staged_.at(map::service_ports::address());
        if (map::service_flags::has_ports.of(flags) &&
            map::service_ports::from.of(ports) > map::service_ports::to.of(ports))
            return Reason::inconsistent;
    }
    const auto source_ports = staged_.at(map::source_ports::address());
    if (map::commit::source_ports.of(bits)) {
        if (map::source_ports::base.of(source_ports) +
                (1u << map::source_ports::bits.of(source_ports)) >
            0x10000)
            return Reason::inconsistent;
        source_ports_ = source_ports;
    }
    ++sequence_;
    ++commits;
    if (map::commit::clear_counters.of(bits)) {
        const auto entry = staged_.at(map::session_index::address());
        session_counters.at(entry).fill(0);
        if (!draining && freed_[entry] > drained_) ++early_reuses;
    }
    if (bits & interfaces_.bit) {
        const auto now = session_entries(staged_);
        for (const auto entry :
             session_entries(interfaces_.entries.at(staged_.at(map::interface_index::address()))))
            if (!now.count(entry)) freed_[entry] = sequence_;
    }
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        if (bits & table->bit)
            for (auto& [address, value] : table->entries.at(staged_.at(table->index_register)))
                value = staged_.at(address);
    return Reason::none;
}

Reason FakeRegisters::fetch(std::uint32_t bits) {
    if (fetches_without_gap > 0) {
        --fetches_without_gap;
        return Reason::no_slot;
    }
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        if (bits == table->bit) {
            for (const auto& [address, value] :
                 table->entries.at(staged_.at(table->index_register)))
                staged_[address] = value;
            return Reason::none;
        }
    return Reason::inconsistent;
}

std::uint32_t FakeRegisters::read(std::uint32_t address) {
    ++reads;
    if (dead) return ~0u;
    const auto* place = place_at(address);
    if (!place) {
        unmapped_reads_ = std::min(unmapped_reads_ + 1, 0xffffu);
        return 0;
    }
    if (place->access == Access::rw) return staged_.at(address);
    if (address == map::magic::address()) return magic;
    if (address == map::version::address()) return version;
    if (address == map::map_hash::address()) return hash;
    if (address == map::size::address(0)) return sizes_.interfaces;
    if (address == map::size::address(2)) return sizes_.filters;
    if (address == map::size::address(4)) return sizes_.sessions;
    if (address == map::status::address()) {
        const bool ready = not_ready_reads == 0;
        if (not_ready_reads > 0) --not_ready_reads;
        const bool resetting = resetting_reads != 0;
        if (resetting_reads > 0) --resetting_reads;
        return map::status::ready(ready) | map::status::idle(draining) |
               map::status::mirror_room(1) | map::status::resetting(resetting);
    }
    if (address == map::interrupt_status::address()) return interrupts_;
    if (address == map::error_address::address()) return error_address_;
    if (address == map::error_reason::address())
        return map::error_reason::reason(error_reason_) | map::error_reason::count(refusals_);
    if (address == map::unmapped_reads::address()) return unmapped_reads_;
    if (address == map::commit_status::address()) {
        if (reads_until_drained > 0 && --reads_until_drained == 0) draining = true;
        if (draining) drained_ = sequence_;
        return map::commit_status::sequence(std::uint32_t(sequence_ & 0xffff)) |
               map::commit_status::undrained(
                   std::uint32_t(std::min<std::uint64_t>(sequence_ - drained_, 255))) |
               map::commit_status::reason(error_reason_);
    }
    for (std::uint32_t i = 0; i < map::counter_count; ++i)
        for (std::uint32_t high = 0; high < 2; ++high)
            if (address == map::counter::address(i, high)) return half(counter_snapshot_[i], high);
    for (std::uint32_t i = 0; i < map::session_counter_count; ++i)
        for (std::uint32_t high = 0; high < 2; ++high)
            if (address == map::session_counter::address(i, high))
                return half(
                    session_snapshot_.at(staged_.at(map::session_counter_index::address()))[i],
                    high);
    return place->access == Access::wo ? 0 : place->reset;
}

FakeRegisters::Table& FakeRegisters::table_of(std::uint32_t address) {
    for (Table* table : {&interfaces_, &filters_, &sessions_})
        if (std::count(table->registers.begin(), table->registers.end(), address)) return *table;
    return services_;
}

void FakeRegisters::flip(std::uint32_t index, std::uint32_t address, std::uint32_t bits) {
    table_of(address).entries.at(index).at(address) ^= bits;
}

TableDump FakeRegisters::dump() const {
    const auto address_of = [](const Words& words, bool v6, auto place) {
        IpAddress address;
        address.v6 = v6;
        for (std::uint32_t byte = 0; byte < (v6 ? 16u : 4u); ++byte)
            address.bytes[byte] =
                std::uint8_t(words.at(place(3 - byte / 4)) >> (24 - 8 * (byte % 4)));
        return address;
    };
    const auto mac_of = [](const Words& words, auto place) {
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
        const Words& interface = interfaces_.entries[i];
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
            const Words& words = sessions_.entries.at(slot.session);
            auto& session = dump.sessions[slot.session];
            const bool v6 = words.at(map::session_flags::address()) & 1;
            session.vni = words.at(map::session_vni::address());
            session.packet_length = words.at(map::session_cut::address()) & 0x3fff;
            session.mtu_cut = words.at(map::session_cut::address()) >> 16 & 0x3fff;
            session.source_mac = mac_of(words, map::session_source_mac::address);
            session.target_mac = mac_of(words, map::session_target_mac::address);
            session.source_address = address_of(words, v6, map::session_source_address::address);
            session.target_address = address_of(words, v6, map::session_target_address::address);

            const Words& filter_words = filters_.entries.at(slot.filter);
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
