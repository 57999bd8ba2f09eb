// SPDX-License-Identifier: Apache-2.0
#include "sim/models/register_model.hpp"

#include <algorithm>
#include <string>

namespace mirrornic {
namespace {

namespace map = registers;
using map::Access;
using map::Reason;

constexpr std::size_t word_count = map::end_address / 4;

const map::Place* place_at(std::uint32_t address) {
    static const auto index = [] {
        std::array<const map::Place*, word_count> by_address{};
        for (const auto& place : map::places) by_address[place.address / 4] = &place;
        return by_address;
    }();
    return address % 4 == 0 && address < map::end_address ? index[address / 4] : nullptr;
}

/// Whether an address is a hole (T5): it has no register, but its line of 64 bytes has some.
bool is_hole(std::uint32_t address) {
    if (address % 4 != 0 || address >= map::end_address || place_at(address)) return false;
    const std::uint32_t line = address / 64 * 64;
    for (std::uint32_t i = 0; i < 16; ++i)
        if (place_at(line + 4 * i)) return true;
    return false;
}

/// Every field whose limits are tighter than its width, by register.
const std::vector<map::Field>& limits(std::uint32_t address) {
    static const auto all = [] {
        std::array<std::vector<map::Field>, word_count> fields;
        const auto add = [&](std::uint32_t at, const map::Field& field) {
            fields[at / 4].push_back(field);
        };
        add(map::source_ports::address(), map::source_ports::bits);
        add(map::interface_index::address(), map::interface_index::index);
        add(map::session_index::address(), map::session_index::index);
        add(map::session_cut::address(), map::session_cut::packet_length);
        add(map::session_cut::address(), map::session_cut::mtu_cut);
        add(map::service_index::address(), map::service_index::index);
        add(map::filter_index::address(), map::filter_index::index);
        add(map::session_counter_index::address(), map::session_counter_index::index);
        for (std::uint32_t i = 0; i < map::sizes::slots; ++i) {
            add(map::slot_tables::address(i), map::slot_tables::filter);
            add(map::slot_tables::address(i), map::slot_tables::session);
        }
        for (std::uint32_t direction = 0; direction < 2; ++direction)
            for (std::uint32_t i = 0; i < map::sizes::rules; ++i) {
                add(map::rule::address(direction, i), map::rule::source_prefix);
                add(map::rule::address(direction, i), map::rule::destination_prefix);
            }
        return fields;
    }();
    return all[address / 4];
}

/// The staging registers whose names start so, without index registers.
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
    std::sort(addresses.begin(), addresses.end());
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
    for (const auto& field : limits(address))
        if (field.of(value) < field.min || field.of(value) > field.max) return Reason::out_of_range;
    return Reason::none;
}

RegisterModel::RegisterModel(Sizes sizes) : sizes_(sizes) {
    const auto table = [](std::uint32_t index_register, std::uint32_t bit,
                          std::vector<std::uint32_t> registers, std::uint32_t size) {
        const std::vector<std::uint32_t> entry(registers.size());
        return Table{index_register, bit, std::move(registers), {size, entry}};
    };
    interfaces_ =
        table(map::interface_index::address(), map::commit::interface(1),
              registers_of({"interface_resolver", "interface_flags", "slot"}), sizes.interfaces);
    filters_ = table(map::filter_index::address(), map::commit::filter(1),
                     registers_of({"filter_flags", "rule"}), sizes.filters);
    sessions_ = table(map::session_index::address(), map::commit::session(1),
                      registers_of({"session_vni", "session_cut", "session_flags", "session_target",
                                    "session_source"}),
                      sizes.sessions);
    services_ = table(map::service_index::address(), map::commit::service(1),
                      registers_of({"service_"}), map::sizes::services);
    static_assert(map::commit::interface(1) == map::fetch::interface(1) &&
                      map::commit::filter(1) == map::fetch::filter(1) &&
                      map::commit::session(1) == map::fetch::session(1) &&
                      map::commit::service(1) == map::fetch::service(1),
                  "one bit names a table in both");
    reset();
}

void RegisterModel::reset() {
    staged_.fill(0);
    for (const auto& place : map::places)
        if (place.access == Access::rw) staged_[place.address / 4] = place.reset;
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        for (auto& entry : table->entries)
            for (std::size_t i = 0; i < entry.size(); ++i)
                if (table == &interfaces_ || table == &services_) {
                    entry[i] = 0;
                } else {  // undefined, but nothing that could not have been written
                    const auto address = table->registers[i];
                    const auto* place = place_at(address);
                    entry[i] = undefined_() & place->writable;
                    if (refused(address, entry[i]) != Reason::none) entry[i] = place->reset;
                }
    source_ports_ = map::source_ports::reset;
    interrupts_ = map::interrupt_status::ready(1);
    error_address_ = error_reason_ = refusals_ = unmapped_reads_ = 0;
    sequence_ = 0;
    counters.fill(0);
    counter_snapshot_ = counters;
    session_counters.assign(sizes_.sessions, {});
    session_snapshot_ = session_counters;
}

Reason RegisterModel::refused(std::uint32_t address, std::uint32_t value) const {
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

void RegisterModel::refuse(std::uint32_t address, Reason reason) {
    if (error_reason_ == 0) {
        error_address_ = address;
        error_reason_ = std::uint32_t(reason);
    }
    refusals_ = std::min(refusals_ + 1, 0xffffu);
    interrupts_ |= map::interrupt_status::axi_error(1);
}

void RegisterModel::write(std::uint32_t address, std::uint32_t value) {
    if (value == 0 && is_hole(address)) return;
    const Reason reason = take(address, value);
    if (reason != Reason::none) refuse(address, reason);
}

Reason RegisterModel::take(std::uint32_t address, std::uint32_t value) {
    const Reason reason = refused(address, value);
    if (reason != Reason::none) return reason;

    if (address == map::control::address()) {
        if (map::control::snapshot.of(value)) {
            counter_snapshot_ = counters;
            session_snapshot_ = session_counters;
        }
        if (map::control::clear_error.of(value))
            error_address_ = error_reason_ = refusals_ = unmapped_reads_ = 0;
    } else if (address == map::interrupt_status::address()) {
        interrupts_ &= ~value;
    } else if (address == map::filter_clear::address()) {
        for (const auto each : filters_.registers) staged_[each / 4] = 0;
    } else if (address == map::commit::address()) {
        return commit(value);
    } else if (address == map::fetch::address()) {
        return fetch(value);
    } else {
        staged_[address / 4] = value;
    }
    return Reason::none;
}

void RegisterModel::write_line(std::uint32_t address, const RegisterLine& words,
                               std::uint16_t changed) {
    const auto place = [&](std::uint32_t i) { return place_at(address + 4 * i); };
    bool padded = false;
    for (std::uint32_t i = 0; i < words.size(); ++i)
        padded |= place(i) && place(i)->access != Access::ro;
    std::vector<std::uint32_t> written;
    for (std::uint32_t i = 0; i < words.size(); ++i) {
        if (!(changed >> i & 1)) continue;
        const auto reason = refused(address + 4 * i, words[i]);
        const bool writable = place(i) && place(i)->access != Access::ro;
        if (words[i] == 0 && ((!writable && padded) || is_hole(address + 4 * i))) continue;
        if (reason != Reason::none) return refuse(address + 4 * i, reason);
        written.push_back(i);
    }
    // What the rest of the line is needed for comes last; a filter is cleared first.
    const auto rank = [&](std::uint32_t i) {
        const auto at = address + 4 * i;
        return at == map::commit::address() || at == map::fetch::address()
                   ? 2
                   : at != map::filter_clear::address();
    };
    std::stable_sort(written.begin(), written.end(),
                     [&](auto a, auto b) { return rank(a) < rank(b); });
    const auto before = staged_;
    const auto written_to = [&](std::uint32_t at) {
        return changed >> at / 4 % words.size() & 1 ? words[at / 4 % words.size()] : 0;
    };
    const std::uint32_t commits = written_to(map::commit::address()),
                        fetches = written_to(map::fetch::address());
    for (const auto i : written) {
        const auto at = address + 4 * i;
        if (at == map::commit::address() && commits != 0 && fetches != 0) {
            staged_ = before;
            return refuse(map::fetch::address(), Reason::inconsistent);
        }
        if ((at == map::commit::address() && error_reason_ == 0 && commits == 0) ||
            (at == map::fetch::address() && fetches == 0))
            continue;
        const auto reason = take(at, words[i]);
        if (reason == Reason::none) continue;
        staged_ = before;
        return refuse(at, reason);
    }
}

bool RegisterModel::staged_filter_is_consistent() const {
    namespace r = map::rule;
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (std::uint32_t i = 0; i < map::sizes::rules; ++i) {
            const auto rule = staged(r::address(direction, i));
            if (!r::valid.of(rule)) continue;
            const auto source = staged(map::rule_source_ports::address(direction, i));
            const auto destination = staged(map::rule_destination_ports::address(direction, i));
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

Reason RegisterModel::commit(std::uint32_t bits) {
    if (error_reason_) return Reason::pending_error;
    if ((bits & filters_.bit) && (bits != filters_.bit || !staged_filter_is_consistent()))
        return Reason::inconsistent;
    if (bits & services_.bit) {
        const auto flags = staged(map::service_flags::address());
        const auto ports = staged(map::service_ports::address());
        if (map::service_flags::has_ports.of(flags) &&
            map::service_ports::from.of(ports) > map::service_ports::to.of(ports))
            return Reason::inconsistent;
    }
    const auto source_ports = staged(map::source_ports::address());
    if (map::commit::source_ports.of(bits) &&
        map::source_ports::base.of(source_ports) +
                (1u << map::source_ports::bits.of(source_ports)) >
            0x10000)
        return Reason::inconsistent;
    before_commit(bits);
    ++sequence_;
    if (map::commit::source_ports.of(bits)) source_ports_ = source_ports;
    if (map::commit::clear_counters.of(bits))
        session_counters.at(staged(map::session_index::address())).fill(0);
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        if (bits & table->bit) {
            auto& entry = table->entries.at(staged(table->index_register));
            for (std::size_t i = 0; i < entry.size(); ++i) entry[i] = staged(table->registers[i]);
        }
    return Reason::none;
}

Reason RegisterModel::fetch(std::uint32_t bits) {
    for (Table* table : {&interfaces_, &filters_, &sessions_, &services_})
        if (bits == table->bit) {
            const auto& entry = table->entries.at(staged(table->index_register));
            for (std::size_t i = 0; i < entry.size(); ++i)
                staged_[table->registers[i] / 4] = entry[i];
            return Reason::none;
        }
    return Reason::inconsistent;
}

std::uint32_t RegisterModel::read(std::uint32_t address) {
    const auto* place = place_at(address);
    if (!place) {
        unmapped_reads_ = std::min(unmapped_reads_ + 1, 0xffffu);
        return 0;
    }
    if (place->access == Access::rw) return staged(address);
    if (address == map::size::address(0)) return sizes_.interfaces;
    if (address == map::size::address(2)) return sizes_.filters;
    if (address == map::size::address(4)) return sizes_.sessions;
    if (address == map::status::address())
        return map::status::ready(1) | map::status::idle(1) | map::status::mirror_room(1);
    if (address == map::interrupt_status::address()) return interrupts_;
    if (address == map::error_address::address()) return error_address_;
    if (address == map::error_reason::address())
        return map::error_reason::reason(error_reason_) | map::error_reason::count(refusals_);
    if (address == map::unmapped_reads::address()) return unmapped_reads_;
    if (address == map::commit_status::address())
        return map::commit_status::sequence(std::uint32_t(sequence_ & 0xffff)) |
               map::commit_status::reason(error_reason_);
    for (std::uint32_t i = 0; i < map::counter_count; ++i)
        for (std::uint32_t high = 0; high < 2; ++high)
            if (address == map::counter::address(i, high)) return half(counter_snapshot_[i], high);
    for (std::uint32_t i = 0; i < map::session_counter_count; ++i)
        for (std::uint32_t high = 0; high < 2; ++high)
            if (address == map::session_counter::address(i, high))
                return half(session_snapshot_.at(staged(map::session_counter_index::address()))[i],
                            high);
    return place->access == Access::wo ? 0 : place->reset;
}

}  // namespace mirrornic
