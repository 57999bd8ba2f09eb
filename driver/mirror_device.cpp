// SPDX-License-Identifier: Apache-2.0
#include "driver/mirror_device.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "driver/encoding.hpp"
#include "driver/plan.hpp"
#include "register_map.hpp"

namespace mirrornic {
namespace {

namespace map = registers;
using encoding::FilterWords;
using encoding::InterfaceWords;
using encoding::ServiceWords;
using encoding::SessionWords;
using map::Reason;

/// Reads of a status register before the driver gives up. On PCIe a read takes about 1 us.
constexpr int poll_limit = 100'000;

std::string hex(std::uint32_t value) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", unsigned(value));
    return text;
}

std::string register_name(std::uint32_t address) {
    for (const auto& place : map::places)
        if (place.address == address) return place.name;
    return "no register";
}

std::string reason_text(std::uint32_t reason) {
    switch (Reason(reason)) {
        case Reason::none:
            return "no reason given";
        case Reason::unmapped:
            return "no such address";
        case Reason::read_only:
            return "the register is read only";
        case Reason::partial_strobes:
            return "only a part of the word was written";
        case Reason::reserved_bits:
            return "reserved bits were set";
        case Reason::out_of_range:
            return "a field was out of range";
        case Reason::inconsistent:
            return "fields contradict each other";
        case Reason::pending_error:
            return "an earlier error was pending";
        case Reason::no_slot:
            return "the traffic left no gap for a fetch";
    }
    return "reason " + std::to_string(reason);
}

struct RefusedAccess {
    std::uint32_t reason = 0;
    std::string text;
};

/// Commit bits, for the writes that carry one.
constexpr std::uint32_t interface_bit = map::commit::interface(1);
constexpr std::uint32_t filter_bit = map::commit::filter(1);
constexpr std::uint32_t session_bit = map::commit::session(1);
constexpr std::uint32_t service_bit = map::commit::service(1);

template <class Words>
void compare(const std::string& what, const Words& addresses, const Words& held,
             const Words& expected, std::vector<std::string>& differences) {
    for (std::size_t i = 0; i < held.size(); ++i)
        if (held[i] != expected[i])
            differences.push_back(what + ": " + register_name(addresses[i]) + " is " +
                                  hex(held[i]) + " and should be " + hex(expected[i]));
}

}  // namespace

class MirrorDevice::Plan {
public:
    std::uint64_t generation;
    Changes changes;
};

struct MirrorDevice::State {
    explicit State(RegisterAccess& access) : registers(access) {}

    RegisterAccess& registers;
    TableSizes sizes{};
    Tables tables;
    std::vector<ServiceWords> services;  ///< as the device had them when it was opened
    TableFaults faults;
    /// Counts the changes of `tables`. A plan notes it, and is refused when it has changed since.
    std::uint64_t generation = 0;
    /// How many commits were done; the device has the low 16 bits. It starts above 0, so that
    /// sequence - undrained is not negative after the opening.
    std::uint64_t sequence = 0x10000;
    /// No copy inside the device is from tables older than this commit. An index that was freed by
    /// commit f may be taken again when drained >= f.
    std::uint64_t drained = 0;
    /// The tables must be read again: a commit has failed, or verify() has found a difference.
    bool stale = true;
    bool settled = false;  ///< the tables are as the last plan wanted them
    /// While stale: what the tables are if the commit that failed was done all the same.
    std::optional<Tables> attempted;
    /// By address / 4: the value of each staging register; nothing: it is not known.
    std::array<std::optional<std::uint32_t>, map::end_address / 4> staged;
    std::shared_ptr<const Placement> placement = std::make_shared<Placement>();    ///< never null
    std::function<void(std::shared_ptr<const Placement>)> callback;                ///< may be empty
    std::function<void(const std::string&, const SessionCounters&)> end_callback;  ///< may be empty
    /// Free session entries that still have the counters of their last session, with its id. The
    /// counters are given to end_callback before another session gets the entry.
    std::map<std::uint32_t, std::string> ended;
    CounterReading* reading_counters = nullptr;  ///< the newest one; null: there is none. Not owned

    // Opening.

    [[noreturn]] static void fail_gone() {
        throw DeviceGone("the device does not answer: it reads as all ones");
    }

    void identify() {
        const auto magic = registers.read(map::magic::address());
        if (magic == ~0u) fail_gone();
        if (magic != map::magic_value)
            throw UnknownDevice("this is not a mirrornic: its identity register holds " +
                                hex(magic) + ", a mirrornic's " + hex(map::magic_value));
        const auto version = registers.read(map::version::address());
        if (version != map::version_value)
            throw UnknownDevice("the device has register map version " + hex(version) +
                                ", this driver was built for " + hex(map::version_value));
        const auto hash = registers.read(map::map_hash::address());
        if (hash != map::hash_value)
            throw UnknownDevice("the device has register map hash " + hex(hash) +
                                ", this driver was built for " + hex(map::hash_value));
        std::uint32_t* const wanted[] = {&sizes.interfaces, &sizes.slots,
                                         &sizes.filters,    &sizes.rules_per_direction,
                                         &sizes.sessions,   &sizes.services};
        const std::uint32_t most[] = {map::sizes::interfaces, map::sizes::slots,
                                      map::sizes::filters,    map::sizes::rules,
                                      map::sizes::sessions,   map::sizes::services};
        for (std::uint32_t i = 0; i < std::size(wanted); ++i) {
            *wanted[i] = registers.read(map::size::address(i));
            if (*wanted[i] < 1 || *wanted[i] > most[i])
                throw UnknownDevice("the device says " + std::to_string(*wanted[i]) + " in " +
                                    register_name(map::size::address(i)) +
                                    ", this driver was built for 1 to " + std::to_string(most[i]));
        }
    }

    void wait_until_ready() {
        for (int i = 0; i < poll_limit; ++i)
            if (const auto status = registers.read(map::status::address()); status == ~0u)
                fail_gone();
            else if (map::status::ready.of(status))
                return;
        throw DeviceError("the device does not become ready: its status register stays at " +
                          hex(registers.read(map::status::address())));
    }

    // Staging, commit, errors.

    void stage(std::uint32_t address, std::uint32_t value) {
        auto& known = staged[address / 4];
        if (known == value) return;
        registers.write(address, value);
        known = value;
    }

    /// The new values of the registers of one line.
    struct Line {
        std::uint32_t address;
        RegisterLine words{};
        std::uint16_t used = 0;  ///< bit i: words[i] has a register

        explicit Line(std::uint32_t at) : address(at / 64 * 64) {}
        void put(std::uint32_t at, std::uint32_t word) {
            words[at / 4 % 16] = word;
            used = std::uint16_t(used | 1u << at / 4 % 16);
        }
    };

    std::uint16_t changed_in(const Line& line) const {
        unsigned changed = 0;
        for (unsigned i = 0; i < 16; ++i)
            if (line.used >> i & 1)
                changed |= unsigned(staged[line.address / 4 + i] != line.words[i]) << i;
        return std::uint16_t(changed);
    }

    /// Writes those registers of a line that change, in one line write if there are several. While
    /// the write is made their values count as unknown, in case it throws.
    void stage(const Line& line) {
        const auto changed = changed_in(line);
        const auto each = [&](const auto& what) {
            for (unsigned i = 0; i < 16; ++i)
                if (changed >> i & 1) what(line.address + 4 * i, line.words[i]);
        };
        each([&](auto address, auto) { staged[address / 4] = std::nullopt; });
        if ((changed & (changed - 1)) != 0)
            registers.write_line(line.address, line.words, changed);
        else
            each([&](auto address, auto word) { registers.write(address, word); });
        each([&](auto address, auto word) { staged[address / 4] = word; });
    }

    /// Stages an index and the table word for it, which are registers of one line.
    template <class Words>
    void stage(std::uint32_t index_address, std::uint32_t index, const Words& addresses,
               const Words& words) {
        Line line(index_address);
        line.put(index_address, index);
        for (std::size_t i = 0; i < words.size(); ++i) line.put(addresses[i], words[i]);
        stage(line);
    }

    /// Stages a filter: over the rules that are staged, or after clearing them, whichever takes
    /// fewer line writes, or at equal ones fewer 32-bit writes.
    void stage_filter(std::uint32_t index, const FilterWords& words) {
        const auto& addresses = encoding::filter_addresses();
        std::vector<Line> rules;
        for (std::size_t i = 1; i < words.size(); ++i) {
            if (rules.empty() || rules.back().address != addresses[i] / 64 * 64)
                rules.emplace_back(addresses[i]);
            rules.back().put(addresses[i], words[i]);
        }
        const auto flags = words[0];
        // Lines, and 32-bit writes for a back end that has no lines.
        std::pair<std::size_t, std::size_t> kept{}, cleared{flags ? 2 : 1, flags ? 2 : 1};
        kept.first = kept.second = staged[map::filter_flags::address() / 4] != flags;
        for (const auto& line : rules) {
            const auto changed = changed_in(line);
            kept.first += changed != 0;
            for (unsigned i = 0; i < 16; ++i) {
                kept.second += changed >> i & 1;
                cleared.second += line.words[i] != 0;
            }
            cleared.first += line.words != RegisterLine{};
        }
        if (cleared < kept) {
            // The flags are not written in one line with FILTER_CLEAR: a line may arrive in parts
            // and in any order, and then the clearing would take the flags away.
            Line line(map::filter_index::address());
            line.put(map::filter_index::address(), index);
            line.put(map::filter_clear::address(), 0);
            staged[map::filter_clear::address() / 4] = std::nullopt;
            if (flags == 0) {
                stage(line);
            } else {
                stage(map::filter_index::address(), index);
                registers.write(map::filter_clear::address(), 0);
            }
            for (const auto address : addresses) staged[address / 4] = 0;
        }
        stage(map::filter_index::address(), index);
        stage(map::filter_flags::address(), flags);
        for (const auto& line : rules) stage(line);
    }

    void forget_staged() { staged.fill(std::nullopt); }

    /// Reads and clears what the device says about the first access that it refused. `reason` is 0
    /// if it has refused none.
    RefusedAccess take_error() {
        const auto error = registers.read(map::error_reason::address());
        if (error == ~0u) fail_gone();
        RefusedAccess refused{map::error_reason::reason.of(error), {}};
        if (refused.reason == 0) return refused;
        const auto address = registers.read(map::error_address::address());
        refused.text = "the device refused an access to " + register_name(address) + " (" +
                       hex(address) + "): " + reason_text(refused.reason) +
                       "; refused accesses: " + std::to_string(map::error_reason::count.of(error));
        registers.write(map::control::address(), map::control::clear_error(1));
        return refused;
    }

    /// Brings `drained` up to date. A saturated `undrained` says nothing.
    void note_drain(std::uint32_t commit_status) {
        if (commit_status == ~0u) fail_gone();
        const auto undrained = map::commit_status::undrained.of(commit_status);
        if (undrained < map::commit_status::undrained.max)
            drained = std::max(drained, sequence - undrained);
    }

    /// Commits what is staged, by one write and one read. @throws DeviceError; `sequence` is then
    /// as before.
    void commit(std::uint32_t bits) {
        registers.write(map::commit::address(), bits);
        const auto status = registers.read(map::commit_status::address());
        const auto held = map::commit_status::sequence.of(status);
        const auto expected = std::uint16_t(sequence + 1);
        if (status == ~0u) fail_gone();
        if (held == expected && map::commit_status::reason.of(status) == 0) {
            ++sequence;
            note_drain(status);
            return;
        }
        const auto refused = take_error();
        throw DeviceError(refused.reason ? refused.text
                                         : "the device lost a commit: its sequence is " +
                                               std::to_string(held) + " and should be " +
                                               std::to_string(expected));
    }

    /// Stages one step of a plan, and commits it.
    void execute(const Step& step) {
        std::uint32_t bits = 0;
        if (step.filter) {
            stage_filter(step.filter->first, *step.filter->second.words);
            bits = filter_bit;
        }
        if (step.interface) {
            stage(map::interface_index::address(), step.interface->first,
                  encoding::interface_addresses(), encoding::encode(step.interface->second.word()));
            bits |= interface_bit;
        }
        if (step.session) {
            stage(map::session_index::address(), step.session->first, encoding::session_addresses(),
                  step.session->second);
            bits |= session_bit | map::commit::clear_counters(step.new_session);
        }
        commit(bits);
    }

    /// Notes the sessions that have lost their entry by a change of an interface.
    void note_ended(const Tables::Interface& before, const Tables::Interface& after) {
        if (!end_callback) return;
        for (const auto& slot : before.slots)
            if (!slot.session.empty() &&
                std::none_of(after.slots.begin(), after.slots.end(), [&](const auto& other) {
                    return other.word.session == slot.word.session;
                }))
                ended[slot.word.session] = slot.session;
    }

    void snapshot() {
        // A reading that is not complete reads the rest before its snapshot is replaced.
        if (reading_counters) reading_counters->read(sizes.sessions);
        registers.write(map::control::address(), map::control::snapshot(1));
    }

    /// Gives the final counters of these free entries to end_callback. No copy of theirs may be
    /// left in the device.
    void tell_ended(const std::vector<std::uint32_t>& entries) {
        if (entries.empty()) return;
        snapshot();
        std::vector<std::pair<std::string, SessionCounters>> all;
        all.reserve(entries.size());
        for (const std::uint32_t entry : entries)
            all.emplace_back(ended.at(entry), session_counters(entry));
        throw_if_refused();
        for (const std::uint32_t entry : entries) ended.erase(entry);
        for (const auto& [session, counters] : all) end_callback(session, counters);
    }

    auto find_free(std::uint32_t session_index) const {
        return std::find_if(tables.free_sessions.begin(), tables.free_sessions.end(),
                            [&](const auto& entry) { return entry.index == session_index; });
    }

    /// To be called before a free session entry is given to a session (P23). Waits until the copies
    /// of the entry's last session have left, and gives their counters to end_callback.
    void wait_until_drained(std::uint32_t session_index) {
        const auto free = find_free(session_index);
        for (int i = 0; drained < free->since; ++i) {
            if (i == poll_limit)
                throw DeviceError(
                    "each free session entry still has copies in the device; its mirror output "
                    "does not drain");
            note_drain(registers.read(map::commit_status::address()));
        }
        if (ended.count(session_index) != 0) tell_ended({session_index});
    }

    // Reading back.

    template <class Words>
    Words read_words(const Words& addresses) {
        Words words;
        std::transform(addresses.begin(), addresses.end(), words.begin(),
                       [&](std::uint32_t address) { return registers.read(address); });
        return words;
    }

    void fetch(std::uint32_t index_address, std::uint32_t index, std::uint32_t bit) {
        registers.write(index_address, index);
        registers.write(map::fetch::address(), bit);
    }

    encoding::InterfaceWord fetch_interface(std::uint32_t index) {
        fetch(map::interface_index::address(), index, map::fetch::interface(1));
        // Most words are empty. The slots alone show that, so nothing else is read of them.
        bool used = false;
        for (std::uint32_t slot = 0; slot < sizes.slots; ++slot)
            used |= map::slot::valid.of(registers.read(map::slot::address(slot)));
        if (!used) return {};
        auto word = encoding::decode_interface(read_words(encoding::interface_addresses()));
        for (const auto& slot : word.slots)
            if (slot.filter >= sizes.filters || slot.session >= sizes.sessions)
                throw DeviceError("interface word " + std::to_string(index) + " points to filter " +
                                  std::to_string(slot.filter) + " and session entry " +
                                  std::to_string(slot.session) + ", which do not both exist");
        return word;
    }

    FilterWords fetch_filter(std::uint32_t index) {
        fetch(map::filter_index::address(), index, map::fetch::filter(1));
        return read_words(encoding::filter_addresses());
    }

    SessionWords fetch_session(std::uint32_t index) {
        fetch(map::session_index::address(), index, map::fetch::session(1));
        return read_words(encoding::session_addresses());
    }

    ServiceWords fetch_service(std::uint32_t index) {
        fetch(map::service_index::address(), index, map::fetch::service(1));
        return read_words(encoding::service_addresses());
    }

    /// Returns what `read` reads by fetches. Runs it up to three times, because the traffic may
    /// leave no gap for a fetch. @throws DeviceError
    template <class Read>
    auto reading(Read read) {
        take_error();
        for (int attempt = 1;; ++attempt) {
            forget_staged();
            auto result = read();
            const auto refused = take_error();
            if (refused.reason == 0) return result;
            if (Reason(refused.reason) != Reason::no_slot || attempt == 3)
                throw DeviceError("the tables could not be read back: " + refused.text);
        }
    }

    /// Reads every valid slot and what it points to. Names are left empty, free lists not set.
    Tables read_tables() {
        return reading([&] {
            Tables read;
            read.interfaces.resize(sizes.interfaces);
            read.filters.resize(sizes.filters);
            read.sessions.resize(sizes.sessions);
            std::vector<bool> have_session(sizes.sessions);
            for (std::uint32_t i = 0; i < sizes.interfaces; ++i) {
                const auto word = fetch_interface(i);
                read.interfaces[i].resolver = word.resolver;
                for (const auto& slot : word.slots) read.interfaces[i].slots.push_back({"", slot});
            }
            for (const auto& interface : read.interfaces)
                for (const auto& [name, slot] : interface.slots) {
                    auto& filter = read.filters[slot.filter];
                    if (!filter.words) {
                        filter.words =
                            std::make_shared<const FilterWords>(fetch_filter(slot.filter));
                        filter.filter =
                            std::make_shared<const Filter>(encoding::decode_filter(*filter.words));
                    }
                    if (!have_session[slot.session])
                        read.sessions[slot.session] = fetch_session(slot.session);
                    have_session[slot.session] = true;
                }
            return read;
        });
    }

    /// The free list of a table that was read back: indices that were free before keep their order,
    /// and the other free ones follow. @param sequence when the latter were freed
    static std::deque<Tables::Free> free_indices(const std::deque<Tables::Free>& before,
                                                 const std::vector<bool>& used,
                                                 std::uint64_t sequence) {
        std::deque<Tables::Free> free;
        std::vector<bool> placed = used;
        for (const auto& entry : before)
            if (!placed[entry.index]) {
                free.push_back(entry);
                placed[entry.index] = true;
            }
        for (std::uint32_t i = 0; i < placed.size(); ++i)
            if (!placed[i]) free.push_back({i, sequence});
        return free;
    }

    /// Makes what the device holds the driver's tables: at the opening, and when they are stale.
    /// Names are kept if no commit but ours was done. Then the tables are `tables` if the commit
    /// that failed was not done (ahead is 0), and `attempted` if it was done (ahead is 1).
    void read_back() {
        Tables read = read_tables();
        const auto status = registers.read(map::commit_status::address());
        const auto ahead =
            std::uint16_t(map::commit_status::sequence.of(status) - std::uint16_t(sequence));
        sequence += ahead;
        note_drain(status);
        // Our commits and nothing else were done: then indices still belong to whom we gave them.
        const Tables* known = ahead == 0                ? &tables
                              : ahead == 1 && attempted ? &*attempted
                                                        : nullptr;
        const Tables none;
        if (!known || known->interfaces.empty()) known = &none;

        std::vector<bool> interfaces(sizes.interfaces), filters(sizes.filters),
            sessions(sizes.sessions);
        for (std::uint32_t i = 0; i < sizes.interfaces; ++i) {
            auto& interface = read.interfaces[i];
            interfaces[i] = !interface.slots.empty();
            if (known != &none && interfaces[i]) interface.name = known->interfaces[i].name;
            for (auto& slot : interface.slots) {
                filters[slot.word.filter] = sessions[slot.word.session] = true;
                if (interface.name.empty()) continue;
                for (const auto& owner : known->interfaces[i].slots)
                    if (owner.word.session == slot.word.session) slot.session = owner.session;
            }
        }
        for (std::uint32_t i = 0; i < sizes.filters && known != &none; ++i) {
            const auto& owner = known->filters[i];
            if (!filters[i] || !owner.words) continue;
            read.filters[i].name = owner.name;
            if (*owner.words == *read.filters[i].words) read.filters[i].filter = owner.filter;
        }
        for (const auto& interface : known->interfaces)
            for (const auto& slot : interface.slots)
                if (end_callback && !slot.session.empty() && !sessions[slot.word.session])
                    ended[slot.word.session] = slot.session;
        read.free_interfaces = free_indices(known->free_interfaces, interfaces, sequence);
        read.free_filters = free_indices(known->free_filters, filters, sequence);
        read.free_sessions = free_indices(known->free_sessions, sessions, sequence);
        tables = std::move(read);
        tables.index();
        settled = false;
        attempted.reset();
        stale = false;
        ++generation;
        publish(sequence);
    }

    void ensure_current() {
        if (stale) read_back();
    }

    /// What an interface index holds, for a placement. Never null.
    std::shared_ptr<const Placement::Tapped> tapped(std::uint32_t index) const {
        const auto& interface = tables.interfaces[index];
        auto tapped = std::make_shared<Placement::Tapped>();
        tapped->interface = interface.name;
        for (const auto& slot : interface.slots) {
            const auto& filter = tables.filters[slot.word.filter];
            tapped->slots.push_back({slot.session, filter.name, filter.filter, slot.word.session});
        }
        return tapped;
    }

    /// Announces a placement that is made of `tables` as a whole.
    void publish(std::uint64_t of_sequence) {
        auto next = std::make_shared<Placement>();
        for (std::uint32_t i = 0; i < tables.interfaces.size(); ++i)
            next->interfaces.push_back(tapped(i));
        publish(std::move(next), of_sequence);
    }

    /// Announces a placement that differs from the last one in an interface, and in all interfaces
    /// that use one of the filters.
    void publish(const std::optional<std::uint32_t>& interface,
                 const std::set<std::uint32_t>& filters, std::uint64_t of_sequence) {
        auto next = std::make_shared<Placement>(*placement);
        if (interface) next->interfaces[*interface] = tapped(*interface);
        for (std::uint32_t i = 0; !filters.empty() && i < tables.interfaces.size(); ++i)
            for (const auto& slot : tables.interfaces[i].slots)
                if (filters.count(slot.word.filter) != 0) next->interfaces[i] = tapped(i);
        publish(std::move(next), of_sequence);
    }

    void publish(std::shared_ptr<Placement> next, std::uint64_t of_sequence) {
        next->sequence = of_sequence;
        placement = std::move(next);
        if (callback) callback(placement);
    }

    /// Runs `write`, which makes one commit that changes no placement but its number.
    /// @throws what `write` throws; the tables are then stale
    template <class Write>
    auto commit_same(Write write) {
        const auto before = placement;
        publish(sequence + 1);
        try {
            return write();
        } catch (...) {
            placement = before;
            stale = true;
            attempted = tables;
            throw;
        }
    }

    std::uint64_t read_counter(std::uint32_t low, std::uint32_t high) {
        const std::uint64_t value = registers.read(low);
        return value | std::uint64_t(registers.read(high)) << 32;
    }

    std::uint64_t counter(map::Counter which) {
        const auto i = std::uint32_t(which);
        return read_counter(map::counter::address(i, 0), map::counter::address(i, 1));
    }

    std::uint64_t counter(map::SessionCounter which) {
        const auto i = std::uint32_t(which);
        return read_counter(map::session_counter::address(i, 0),
                            map::session_counter::address(i, 1));
    }

    SessionCounters session_counters(std::uint32_t index) {
        using C = map::SessionCounter;
        registers.write(map::session_counter_index::address(), index);
        SessionCounters counters;
        counters.mirrored = {counter(C::mirrored_frames), counter(C::mirrored_bytes)};
        counters.dropped = {counter(C::overflow_frames) + counter(C::reset_frames),
                            counter(C::overflow_bytes) + counter(C::reset_bytes)};
        counters.selected = {counters.mirrored.frames + counters.dropped.frames,
                             counters.mirrored.bytes + counters.dropped.bytes};
        counters.truncated = counter(C::truncated_frames);
        counters.mirrored_bytes = counter(C::sent_bytes);
        return counters;
    }

    /// @throws DeviceError when the device reports a fault in an entry that its table does not have
    void check_fault(map::Fault place, std::uint32_t index) const {
        const auto size = place == map::Fault::interface ? sizes.interfaces
                          : place == map::Fault::filter  ? sizes.filters
                          : place == map::Fault::session ? sizes.sessions
                                                         : std::uint32_t(services.size());
        if (index >= size)
            throw DeviceError("the device reports a flipped bit in entry " + std::to_string(index) +
                              " of a table of " + std::to_string(size) + " entries");
    }

    /// Writes an entry again from `tables`, and an entry that is not used as empty.
    /// @return what was written, for a message
    std::string rewrite(map::Fault place, std::uint32_t index) {
        switch (place) {
            case map::Fault::interface:
                stage(map::interface_index::address(), index, encoding::interface_addresses(),
                      encoding::encode(tables.interfaces.at(index).word()));
                commit(interface_bit);
                return "interface word " + std::to_string(index);
            case map::Fault::filter: {
                const auto& words = tables.filters.at(index).words;
                stage_filter(index, words ? *words : FilterWords{});
                commit(filter_bit);
                return "filter " + std::to_string(index);
            }
            case map::Fault::session: {
                stage(map::session_index::address(), index, encoding::session_addresses(),
                      tables.sessions.at(index));
                commit(session_bit);
                return "session entry " + std::to_string(index);
            }
            default:
                stage(map::service_index::address(), index, encoding::service_addresses(),
                      services.at(index));
                commit(service_bit);
                return "service entry " + std::to_string(index);
        }
    }

    void throw_if_refused() {
        const auto refused = take_error();
        if (refused.reason) throw DeviceError(refused.text);
    }
};

MirrorDevice::MirrorDevice(RegisterAccess& registers) : state_(std::make_unique<State>(registers)) {
    state_->identify();
    state_->wait_until_ready();
    state_->read_back();
    state_->services = state_->reading([&] {
        std::vector<ServiceWords> services(state_->sizes.services);
        for (std::uint32_t i = 0; i < services.size(); ++i) services[i] = state_->fetch_service(i);
        return services;
    });
}

MirrorDevice::~MirrorDevice() = default;

std::uint32_t built_for_map_hash() { return map::hash_value; }

TableSizes built_for_sizes() {
    return {map::sizes::interfaces, map::sizes::slots,    map::sizes::filters,
            map::sizes::rules,      map::sizes::sessions, map::sizes::services};
}

const TableSizes& MirrorDevice::sizes() const { return state_->sizes; }

std::uint32_t MirrorDevice::map_hash() const { return map::hash_value; }

std::shared_ptr<const MirrorDevice::Plan> MirrorDevice::plan(const TableState& desired,
                                                             const Touched* touched) const {
    State& state = *state_;
    state.ensure_current();
    return std::make_shared<const Plan>(
        Plan{state.generation, touched && state.settled
                                   ? plan_changes(state.tables, desired, *touched, state.sizes)
                                   : plan_changes(state.tables, desired, state.sizes)});
}

void MirrorDevice::commit(const std::shared_ptr<const Plan>& plan) {
    State& state = *state_;
    const Changes& changes = plan->changes;
    if (state.stale || plan->generation != state.generation)
        throw std::logic_error("the tables have changed since this plan was made");
    // Entries that were freed earlier may have copies left. They are waited for before the first
    // step, so that nothing has changed if that fails. Entries that the plan itself frees are
    // waited for at the step that uses them.
    for (const auto& step : changes.steps)
        if (step.new_session) {
            const auto& free = state.tables.free_sessions;
            if (std::any_of(free.begin(), free.end(),
                            [&](const auto& entry) { return entry.index == step.session->first; }))
                state.wait_until_drained(step.session->first);
        }
    ++state.generation;
    state.settled = false;
    if (changes.base) state.tables = *changes.base;
    std::set<std::uint32_t> renamed;
    for (const auto& [index, filter] : changes.renamed) {
        state.tables.filters[index].filter = filter;
        renamed.insert(index);
    }
    const auto publish = [&](const std::optional<std::uint32_t>& interface,
                             std::set<std::uint32_t> filters, std::uint64_t sequence) {
        filters.merge(renamed);
        changes.base ? state.publish(sequence) : state.publish(interface, filters, sequence);
    };
    if (changes.steps.empty()) publish(std::nullopt, {}, state.sequence);
    for (const auto& step : changes.steps) {
        const auto before = state.placement;
        std::optional<Tables::Undo> applied;
        try {
            if (step.new_session) state.wait_until_drained(step.session->first);
            // Who watches decisions learns what the commit brings before it is written: it may be
            // in force, and decide frames, before its success is read.
            applied = state.tables.apply(step, state.sequence + 1);
            publish(step.interface ? std::optional(step.interface->first) : std::nullopt,
                    step.filter ? std::set{step.filter->first} : std::set<std::uint32_t>{},
                    state.sequence + 1);
            state.execute(step);
            if (applied->interface)
                state.note_ended(applied->interface->second, step.interface->second);
        } catch (...) {
            state.stale = true;
            state.placement = before;
            if (!applied) applied = state.tables.apply(step, state.sequence + 1);
            state.attempted = state.tables;
            state.tables.take_back(*applied);
            throw;
        }
    }
    state.settled = true;
}

void MirrorDevice::on_placement(std::function<void(std::shared_ptr<const Placement>)> callback) {
    state_->callback = std::move(callback);
}

std::shared_ptr<const Placement> MirrorDevice::placement() const { return state_->placement; }

std::uint32_t MirrorDevice::interface_index(const std::string& interface) const {
    const auto& indices = state_->tables.interface_of;
    const auto at = indices.find(interface);
    return at == indices.end() ? state_->sizes.interfaces : at->second;
}

void MirrorDevice::set_source_ports(std::uint16_t base, std::uint8_t bits) {
    if (bits < 1 || bits > 16 || base + (1u << bits) > 0x10000)
        throw std::invalid_argument("source ports " + std::to_string(base) + "/" +
                                    std::to_string(bits) +
                                    ": bits is 1 to 16, and base + 2^bits at most 65536");
    State& state = *state_;
    state.ensure_current();
    state.commit_same([&] {
        state.stage(map::source_ports::address(),
                    map::source_ports::base(base) | map::source_ports::bits(bits));
        state.commit(map::commit::source_ports(1));
    });
}

/// A session whose counters are still to be read.
struct MirrorDevice::CounterReading::Left {
    std::string session;
    std::uint32_t interface, entry;
};

MirrorDevice::CounterReading::CounterReading(MirrorDevice& device) : state_(*device.state_) {
    using C = map::Counter;
    State& state = state_;
    state.ensure_current();
    state.snapshot();
    const auto tally = [&](C frames, C bytes) {
        return Tally{state.counter(frames), state.counter(bytes)};
    };
    counters.received = tally(C::received_frames, C::received_bytes);
    counters.forwarded = tally(C::forwarded_frames, C::forwarded_bytes);
    counters.not_eligible = tally(C::not_eligible_frames, C::not_eligible_bytes);
    counters.not_accepted = tally(C::not_accepted_frames, C::not_accepted_bytes);
    counters.selected = tally(C::selected_frames, C::selected_bytes);
    counters.mirrored = tally(C::mirrored_frames, C::mirrored_bytes);
    counters.dropped = tally(C::dropped_frames, C::dropped_bytes);
    counters.in_flight = tally(C::in_flight_frames, C::in_flight_bytes);
    auto& causes = counters.causes;
    causes.no_tap = state.counter(C::no_tap);
    causes.malformed = state.counter(C::malformed);
    causes.marked_bad = state.counter(C::marked_bad);
    causes.not_ip = state.counter(C::not_ip);
    causes.excluded = state.counter(C::excluded);
    causes.table_fault = state.counter(C::table_fault);
    causes.overflow = state.counter(C::overflow);
    causes.reset = state.counter(C::reset);
    causes.session_fault = state.counter(C::session_fault);
    causes.late_bad = state.counter(C::late_bad);
    counters.table_faults = state.faults;
    for (std::uint32_t i = 0; i < state.tables.interfaces.size(); ++i)
        for (const auto& slot : state.tables.interfaces[i].slots)
            if (!slot.session.empty()) left_.push_back({slot.session, i, slot.word.session});
    state.throw_if_refused();
    state.reading_counters = this;
}

MirrorDevice::CounterReading::~CounterReading() {
    if (state_.reading_counters == this) state_.reading_counters = nullptr;
}

void MirrorDevice::CounterReading::read(std::size_t sessions) {
    for (; sessions != 0 && !left_.empty(); --sessions) {
        const Left next = std::move(left_.back());
        left_.pop_back();
        const auto& slots = state_.tables.interfaces[next.interface].slots;
        const bool there = std::any_of(slots.begin(), slots.end(), [&](const auto& slot) {
            return slot.session == next.session && slot.word.session == next.entry;
        });
        if (there) counters.sessions[next.session] = state_.session_counters(next.entry);
    }
}

bool MirrorDevice::CounterReading::advance(std::size_t sessions) {
    read(sessions);
    if (!left_.empty()) return false;
    state_.throw_if_refused();
    return true;
}

void MirrorDevice::on_session_end(
    std::function<void(const std::string&, const SessionCounters&)> callback) {
    state_->end_callback = std::move(callback);
}

void MirrorDevice::take_ended() {
    State& state = *state_;
    state.ensure_current();
    if (state.ended.empty()) return;
    state.note_drain(state.registers.read(map::commit_status::address()));
    std::vector<std::uint32_t> entries;
    for (const auto& [entry, session] : state.ended) {
        const auto free = state.find_free(entry);
        if (free != state.tables.free_sessions.end() && free->since <= state.drained)
            entries.push_back(entry);
    }
    state.tell_ended(entries);
}

Counters MirrorDevice::counters() {
    CounterReading reading(*this);
    while (!reading.advance(sizes().sessions)) continue;
    return std::move(reading.counters);
}

std::optional<std::string> MirrorDevice::repair() {
    State& state = *state_;
    const auto fault = state.registers.read(map::fault::address());
    const auto place = map::Fault(map::fault::place.of(fault));
    if (fault == ~0u) State::fail_gone();
    if (place == map::Fault::none) return std::nullopt;
    state.ensure_current();
    const auto count =
        map::fault_count::count.of(state.registers.read(map::fault_count::address()));
    std::string done = "a flipped bit in a buffer was corrected";
    if (place != map::Fault::buffer) {
        state.check_fault(place, map::fault::index.of(fault));
        done = state.commit_same([&] {
            return state.rewrite(place, map::fault::index.of(fault)) +
                   " had a flipped bit and was written again";
        });
        ++state.faults.rewritten;
    }
    // Behind the entry: what is found from here on is another one.
    state.registers.write(map::control::address(), map::control::clear_fault(1));
    state.faults.found += count;
    return done + "; faulty words met: " + std::to_string(count);
}

void MirrorDevice::probe() {
    State& state = *state_;
    state.ensure_current();
    state.commit_same([&] { state.rewrite(map::Fault::interface, 0); });
}

TableFaults MirrorDevice::table_faults() const { return state_->faults; }

void MirrorDevice::reset_mirror() {
    State& state = *state_;
    state.registers.write(map::control::address(), map::control::mirror_reset(1));
    for (int i = 0;; ++i) {
        const auto status = state.registers.read(map::status::address());
        if (status == ~0u) State::fail_gone();
        if (!map::status::resetting.of(status)) break;
        if (i == poll_limit)
            throw DeviceError("the mirror reset does not end: the copy that was leaving is stuck");
    }
    state.throw_if_refused();
}

TableDump MirrorDevice::dump() const {
    const Tables read = state_->read_tables();
    TableDump dump;
    for (std::uint32_t i = 0; i < read.interfaces.size(); ++i) {
        const auto& interface = read.interfaces[i];
        if (interface.slots.empty()) continue;
        auto& tapped = dump.interfaces[i];
        if (interface.resolver) tapped.resolver = encoding::address_of(*interface.resolver);
        for (const auto& slot : interface.slots) {
            const auto& word = slot.word;
            tapped.slots.push_back({word.number, word.filter, word.session});
            dump.filters[word.filter] = *read.filters[word.filter].filter;
            dump.sessions[word.session] = encoding::decode_session(read.sessions[word.session]);
        }
    }
    return dump;
}

std::vector<std::string> MirrorDevice::verify() {
    State& state = *state_;
    const Tables& image = state.tables;
    auto differences = state.reading([&] {
        std::vector<std::string> found;
        std::set<std::uint32_t> filters, sessions;
        for (std::uint32_t i = 0; i < image.interfaces.size(); ++i) {
            const auto& interface = image.interfaces[i];
            compare("interface word " + std::to_string(i), encoding::interface_addresses(),
                    encoding::encode(state.fetch_interface(i)), encoding::encode(interface.word()),
                    found);
            for (const auto& [name, slot] : interface.slots) {
                filters.insert(slot.filter);
                sessions.insert(slot.session);
            }
        }
        for (const auto i : filters)
            compare("filter " + std::to_string(i), encoding::filter_addresses(),
                    state.fetch_filter(i), *image.filters[i].words, found);
        for (const auto i : sessions)
            compare("session entry " + std::to_string(i), encoding::session_addresses(),
                    state.fetch_session(i), image.sessions[i], found);
        return found;
    });
    if (!differences.empty()) state.stale = true;
    return differences;
}

}  // namespace mirrornic
