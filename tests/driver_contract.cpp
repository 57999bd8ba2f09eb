// SPDX-License-Identifier: Apache-2.0
#include "driver_contract.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include "catch.hpp"
#include "register_map.hpp"
#include "sim/models/register_model.hpp"

namespace mirrornic {
namespace {

namespace map = registers;
using map::Access;
using map::Reason;

void clear_error(RegisterAccess& registers) {
    registers.write(map::control::address(), map::control::clear_error(1));
}

struct Error {
    std::uint32_t address, reason, count;
};

Error error_of(RegisterAccess& registers) {
    const auto word = registers.read(map::error_reason::address());
    return {registers.read(map::error_address::address()), map::error_reason::reason.of(word),
            map::error_reason::count.of(word)};
}

template <class Container>
std::string join(const Container& parts) {
    std::string text;
    for (const auto& part : parts) text += part + "; ";
    return text;
}

}  // namespace

void check_holds(const TableDump& dump, const MirrorDevice& device, const TableState& state) {
    const auto wanted = describe(state);
    const auto held = describe(dump);
    for (const auto& [interface, text] : wanted) {
        const auto index = device.interface_index(interface);
        INFO(interface << " at " << index);
        REQUIRE(held.count(index) == 1);
        REQUIRE(held.at(index) == text);
    }
    REQUIRE(held.size() == wanted.size());
    for (const auto& [id, interface] : state.interfaces)
        if (!wanted.count(id)) REQUIRE(device.interface_index(id) == device.sizes().interfaces);
    std::set<std::uint32_t> entries;
    for (const auto& [index, tapped] : dump.interfaces)
        for (const auto& slot : tapped.slots) {
            INFO("session entry " << slot.session);
            REQUIRE(entries.insert(slot.session).second);
        }
}

IpAddress ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    IpAddress address;
    address.bytes[0] = a;
    address.bytes[1] = b;
    address.bytes[2] = c;
    address.bytes[3] = d;
    return address;
}

IpAddress ipv6(std::uint16_t first, std::uint16_t last) {
    IpAddress address;
    address.v6 = true;
    address.bytes[0] = std::uint8_t(first >> 8);
    address.bytes[1] = std::uint8_t(first);
    address.bytes[14] = std::uint8_t(last >> 8);
    address.bytes[15] = std::uint8_t(last);
    return address;
}

Rule accept_all(bool v6) {
    Rule rule;
    rule.accept = true;
    rule.source.base.v6 = rule.destination.base.v6 = v6;
    return rule;
}

// Random states.

Rule RandomStates::rule() {
    Rule rule;
    const bool v6 = below(2);
    rule.id = "rule-" + std::to_string(below(1000));
    rule.accept = below(2);
    for (Cidr* cidr : {&rule.source, &rule.destination}) {
        cidr->base = v6 ? ipv6(std::uint16_t(random()), std::uint16_t(random()))
                        : ipv4(std::uint8_t(random()), std::uint8_t(random()),
                               std::uint8_t(random()), std::uint8_t(random()));
        cidr->prefix = std::uint8_t(below(v6 ? 129 : 33));
    }
    if (below(2)) rule.protocol = std::uint8_t(random());
    for (auto* ports : {&rule.source_ports, &rule.destination_ports})
        if (below(2)) {
            const auto a = std::uint16_t(random()), b = std::uint16_t(random());
            *ports = PortRange{std::min(a, b), std::max(a, b)};
        }
    return rule;
}

Filter RandomStates::filter() {
    Filter filter;
    filter.amazon_dns = below(2);
    for (auto* list : {&filter.ingress, &filter.egress})
        for (unsigned n = below(4) ? below(4) : below(rules + 1); n > 0; --n)
            list->push_back(rule());
    return filter;
}

Session RandomStates::session(unsigned interface, std::uint16_t number) {
    Session session;
    session.interface = "eni-" + std::to_string(interface);
    session.filter = "tmf-" + std::to_string(below(filters));
    session.number = number;
    session.vni = random() & 0xffffff;
    if (below(2)) session.packet_length = std::uint16_t(1 + below(8500));
    session.source_mac = {0x02, 0, 0, 0, std::uint8_t(interface >> 8), std::uint8_t(interface)};
    session.target_mac = {0x06, 1, 2, 3, std::uint8_t(random()), 5};
    const bool v6 = below(2);
    session.source_address =
        v6 ? ipv6(0x2001, std::uint16_t(interface))
           : ipv4(10, 0, std::uint8_t(interface >> 8), std::uint8_t(interface));
    session.target_address =
        v6 ? ipv6(0xfd00, std::uint16_t(random())) : ipv4(10, 1, std::uint8_t(random()), 7);
    session.mtu = std::uint16_t(576 + below(9216 - 576 + 1));
    return session;
}

TableState RandomStates::state() {
    TableState state;
    for (unsigned i = 0; i < filters; ++i)
        state.filters["tmf-" + std::to_string(i)] = std::make_shared<const Filter>(filter());
    for (unsigned i = 0; i < interfaces; ++i) {
        auto& interface = state.interfaces["eni-" + std::to_string(i)];
        if (below(2)) interface.resolver = ipv4(10, std::uint8_t(random()), 0, 2);
        if (below(4) == 0) continue;
        std::set<std::uint16_t> numbers;
        for (unsigned n = below(map::sizes::slots + 1); n > 0; --n)
            numbers.insert(std::uint16_t(1 + below(below(2) ? 5 : 32766)));
        for (const auto number : numbers)
            state.sessions[free_session_id(state)] = session(i, number);
    }
    return state;
}

std::string RandomStates::free_session_id(const TableState& state) {
    for (;;) {
        const std::string id = "tms-" + std::to_string(below(interfaces * 8));
        if (!state.sessions.count(id)) return id;
    }
}

std::uint16_t RandomStates::free_number(const TableState& state, const std::string& interface,
                                        const std::string& except) {
    for (;;) {
        const auto number = std::uint16_t(1 + below(10));
        const bool taken =
            std::any_of(state.sessions.begin(), state.sessions.end(), [&](const auto& entry) {
                return entry.first != except && entry.second.interface == interface &&
                       entry.second.number == number;
            });
        if (!taken) return number;
    }
}

void RandomStates::request(TableState& state) {
    const auto some_session = [&] {
        return std::next(state.sessions.begin(), below(unsigned(state.sessions.size())));
    };
    const unsigned kind = state.sessions.empty() ? 0 : below(4);
    if (kind == 0) {
        const unsigned interface = below(interfaces);
        const std::string id = "eni-" + std::to_string(interface);
        const auto held =
            std::count_if(state.sessions.begin(), state.sessions.end(),
                          [&](const auto& entry) { return entry.second.interface == id; });
        if (held < int(map::sizes::slots))
            state.sessions[free_session_id(state)] = session(interface, free_number(state, id, ""));
    } else if (kind == 1) {
        state.sessions.erase(some_session());
    } else if (kind == 2) {
        const auto chosen = some_session();
        auto& modified = chosen->second;
        const auto interface = unsigned(std::stoul(modified.interface.substr(4)));
        Session next = session(interface, free_number(state, modified.interface, chosen->first));
        if (below(2)) next.number = modified.number;
        if (below(2)) next.filter = modified.filter;
        if (below(4) == 0) {
            const std::string other = next.filter;
            next = modified;
            next.filter = other;
        }
        modified = next;
    } else {
        state.filters[some_session()->second.filter] = std::make_shared<const Filter>(filter());
    }
}

// Register access.

void CountingRegisters::write(std::uint32_t address, std::uint32_t value) {
    ++writes;
    commits += address == map::commit::address();
    registers_.write(address, value);
}

void CountingRegisters::write_line(std::uint32_t address, const RegisterLine& words,
                                   std::uint16_t changed) {
    if (!lines) return RegisterAccess::write_line(address, words, changed);
    ++writes;
    registers_.write_line(address, words, changed);
}

std::uint32_t CountingRegisters::read(std::uint32_t address) {
    ++reads;
    return registers_.read(address);
}

void check_register_access(RegisterAccess& registers) {
    std::vector<std::uint32_t> addresses;  // that take any value
    for (const auto& place : map::places)
        if (place.access == Access::rw && refusal(place.address, ~0u) == Reason::none)
            addresses.push_back(place.address);
    REQUIRE(addresses.size() > 100);
    for (const auto address : addresses) registers.write(address, ~address);
    for (auto i = addresses.rbegin(); i != addresses.rend(); ++i) {
        INFO("register " << *i);
        REQUIRE(registers.read(*i) == ~*i);
    }
    // The last of several writes stands, and a read follows every write before it.
    for (std::uint32_t value = 0; value < 64; ++value)
        registers.write(addresses[0], value * 0x01010101);
    REQUIRE(registers.read(addresses[0]) == 63 * 0x01010101);
    std::mt19937 random(1);
    std::map<std::uint32_t, std::uint32_t> expected;
    for (const auto address : addresses) expected[address] = registers.read(address);
    for (int i = 0; i < 1000; ++i) {
        const auto address = addresses[random() % addresses.size()];
        if (random() % 2) {
            expected[address] = std::uint32_t(random());
            registers.write(address, expected[address]);
        } else {
            REQUIRE(registers.read(address) == expected[address]);
        }
    }
    for (const auto address : addresses) registers.write(address, 0);
    for (const auto address : addresses) REQUIRE(registers.read(address) == 0);
}

void PartingRegisters::write_line(std::uint32_t address, const RegisterLine& words, std::uint16_t) {
    // Every register of the line, whether it changes or not: a processor's buffer holds them all.
    for (unsigned first = 0; first < words.size(); first += part_)
        if (part_ == 1)
            registers_.write(address + 4 * first, words[first]);
        else
            registers_.write_line(address, words, std::uint16_t(((1u << part_) - 1) << first));
}

void check_register_map(RegisterAccess& registers) {
    std::set<std::uint32_t> mapped;
    for (const auto& place : map::places) {
        mapped.insert(place.address);
        if (!place.has_reset) continue;
        INFO(place.name << " after reset");
        REQUIRE(registers.read(place.address) == place.reset);
    }
    REQUIRE(mapped.size() > 100);
    REQUIRE(error_of(registers).reason == 0);

    // Every legal pattern is kept, every other is refused for its reason and changes nothing.
    for (const auto& place : map::places) {
        INFO(place.name);
        if (place.access == Access::ro) {
            registers.write(place.address, ~place.reset);
            const auto error = error_of(registers);
            REQUIRE(error.address == place.address);
            REQUIRE(error.reason == std::uint32_t(Reason::read_only));
            REQUIRE(error.count == 1);
            clear_error(registers);
            if (place.has_reset) REQUIRE(registers.read(place.address) == place.reset);
        } else if (place.access == Access::wo || place.access == Access::w1c) {
            if (place.access == Access::wo) REQUIRE(registers.read(place.address) == 0);
            if (place.writable == ~0u) continue;
            const auto value = ~place.writable;
            registers.write(place.address, value);
            REQUIRE(error_of(registers).reason == std::uint32_t(refusal(place.address, value)));
            clear_error(registers);
        } else {
            std::uint32_t kept = place.reset;
            for (const std::uint32_t pattern :
                 {~0u, place.writable, 0x55555555u & place.writable, 0xaaaaaaaau & place.writable,
                  0x00010001u & place.writable, place.reset}) {
                INFO("pattern " << pattern);
                const auto reason = refusal(place.address, pattern);
                registers.write(place.address, pattern);
                if (reason == Reason::none) kept = pattern;
                const auto error = error_of(registers);
                REQUIRE(error.reason == std::uint32_t(reason));
                if (reason != Reason::none) {
                    REQUIRE(error.address == place.address);
                    clear_error(registers);
                }
                REQUIRE(registers.read(place.address) == kept);
            }
        }
    }
    // No two registers share a place.
    std::map<std::uint32_t, std::uint32_t> written;
    for (const auto& place : map::places)
        if (place.access == Access::rw)
            for (const std::uint32_t value :
                 {place.address & place.writable, 0x00010001u & place.writable})
                if (refusal(place.address, value) == Reason::none) {
                    registers.write(place.address, value);
                    written[place.address] = value;
                    break;
                }
    REQUIRE(written.size() > 50);
    for (const auto& [address, value] : written) REQUIRE(registers.read(address) == value);
    REQUIRE(error_of(registers).reason == 0);

    // Holes: in a line that has registers, 0 may be written there, as bridges do that hand a line
    // on in parts.
    std::set<std::uint32_t> lines;
    for (const auto address : mapped) lines.insert(address / 64);
    for (std::uint32_t address = 0; address < map::end_address; address += 4) {
        if (mapped.count(address)) continue;
        INFO("hole " << address);
        REQUIRE(registers.read(address) == 0);
        REQUIRE(registers.read(map::unmapped_reads::address()) == 1);
        registers.write(address, 0);
        if (lines.count(address / 64)) {
            REQUIRE(error_of(registers).count == 0);
            registers.write(address, 0x80000000);
        }
        const auto error = error_of(registers);
        REQUIRE(error.address == address);
        REQUIRE(error.reason == std::uint32_t(Reason::unmapped));
        REQUIRE(error.count == 1);
        clear_error(registers);
        REQUIRE(registers.read(map::unmapped_reads::address()) == 0);
    }

    // The first error stays, the count grows, and commits wait until it is cleared.
    const auto sequence = [&] {
        return map::commit_status::sequence.of(registers.read(map::commit_status::address()));
    };
    const auto before = sequence();
    registers.write(map::interrupt_status::address(), map::interrupt_status::axi_error(1));
    registers.write(map::session_index::address(), 0xffff);
    registers.write(map::magic::address(), 0);
    registers.write(map::commit::address(), map::commit::interface(1));
    const auto error = error_of(registers);
    REQUIRE(error.address == map::session_index::address());
    REQUIRE(error.reason == std::uint32_t(Reason::out_of_range));
    REQUIRE(error.count == 3);
    REQUIRE(sequence() == before);
    REQUIRE(map::commit_status::reason.of(registers.read(map::commit_status::address())) ==
            std::uint32_t(Reason::out_of_range));
    REQUIRE(map::interrupt_status::axi_error.of(registers.read(map::interrupt_status::address())) ==
            1);
    clear_error(registers);
    registers.write(map::interrupt_status::address(), map::interrupt_status::axi_error(1));
    REQUIRE(map::interrupt_status::axi_error.of(registers.read(map::interrupt_status::address())) ==
            0);

    // What fields contradict is refused at the commit.
    const auto refused_commit = [&](std::uint32_t bits) {
        registers.write(map::commit::address(), bits);
        const auto held = error_of(registers);
        REQUIRE(held.address == map::commit::address());
        REQUIRE(held.reason == std::uint32_t(Reason::inconsistent));
        REQUIRE(sequence() == before);
        clear_error(registers);
    };
    std::uint32_t clearing = 0;  // any value clears
    const auto clear_filter = [&] { registers.write(map::filter_clear::address(), clearing++); };
    clear_filter();
    for (const auto& place : map::places)
        if (std::string(place.name).compare(0, 4, "rule") == 0 ||
            place.address == map::filter_flags::address()) {
            INFO(place.name << " after filter_clear");
            REQUIRE(registers.read(place.address) == 0);
        }
    refused_commit(map::commit::filter(1) | map::commit::interface(1));
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (const std::uint32_t n : {0u, map::sizes::rules - 1}) {
            namespace r = map::rule;
            registers.write(r::address(direction, n), r::valid(1) | r::has_source_ports(1));
            registers.write(map::rule_source_ports::address(direction, n),
                            map::rule_source_ports::from(2) | map::rule_source_ports::to(1));
            refused_commit(map::commit::filter(1));
            registers.write(r::address(direction, n), r::valid(1) | r::has_destination_ports(1));
            registers.write(
                map::rule_destination_ports::address(direction, n),
                map::rule_destination_ports::from(2) | map::rule_destination_ports::to(1));
            refused_commit(map::commit::filter(1));
            registers.write(r::address(direction, n), r::valid(1) | r::source_prefix(33));
            refused_commit(map::commit::filter(1));
            registers.write(r::address(direction, n), r::valid(1) | r::destination_prefix(33));
            refused_commit(map::commit::filter(1));
            clear_filter();
        }
    registers.write(map::source_ports::address(),
                    map::source_ports::base(0xff81) | map::source_ports::bits(7));
    refused_commit(map::commit::source_ports(1));
    registers.write(map::source_ports::address(), map::source_ports::reset);
    namespace s = map::service_flags;
    registers.write(s::address(), s::valid(1) | s::has_ports(1));
    registers.write(map::service_ports::address(),
                    map::service_ports::from(2) | map::service_ports::to(1));
    refused_commit(map::commit::service(1));

    // Prefixes that no address has are refused when they are written.
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (const std::uint32_t n : {0u, map::sizes::rules - 1})
            for (const bool source : {false, true}) {
                namespace r = map::rule;
                INFO("direction " << direction << ", rule " << n << ", source " << source);
                const auto field = source ? r::source_prefix : r::destination_prefix;
                for (const std::uint32_t bits : {129u, 255u}) {
                    registers.write(r::address(direction, n), r::v6(1) | field(bits));
                    REQUIRE(error_of(registers).reason == std::uint32_t(Reason::out_of_range));
                    clear_error(registers);
                }
            }

    // What is just not contradictory is taken.
    std::uint32_t commits = before;
    const auto taken_commit = [&](std::uint32_t bits) {
        registers.write(map::commit::address(), bits);
        REQUIRE(error_of(registers).reason == 0);
        REQUIRE(sequence() == ++commits);
    };
    registers.write(map::filter_index::address(), 0);
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (const std::uint32_t n : {0u, map::sizes::rules - 1}) {
            namespace r = map::rule;
            registers.write(map::rule_source_ports::address(direction, n),
                            map::rule_source_ports::from(80) | map::rule_source_ports::to(80));
            registers.write(
                map::rule_destination_ports::address(direction, n),
                map::rule_destination_ports::from(65535) | map::rule_destination_ports::to(65535));
            const auto ports = r::valid(1) | r::has_source_ports(1) | r::has_destination_ports(1);
            for (const std::uint32_t rule :
                 {ports | r::source_prefix(32) | r::destination_prefix(32),
                  ports | r::v6(1) | r::source_prefix(128) | r::destination_prefix(128)}) {
                registers.write(r::address(direction, n), rule);
                taken_commit(map::commit::filter(1));
            }
        }
    clear_filter();
    taken_commit(map::commit::filter(1));
    registers.write(map::source_ports::address(),
                    map::source_ports::base(0xff80) | map::source_ports::bits(7));
    taken_commit(map::commit::source_ports(1));
    registers.write(map::source_ports::address(), map::source_ports::reset);
    taken_commit(map::commit::source_ports(1));
    registers.write(map::service_index::address(), 0);
    registers.write(s::address(), s::valid(1) | s::has_ports(1));
    registers.write(map::service_ports::address(),
                    map::service_ports::from(7) | map::service_ports::to(7));
    taken_commit(map::commit::service(1));
    registers.write(s::address(), 0);
    taken_commit(map::commit::service(1));
}

// The driver.

namespace {

/// Reads the device back by the driver and checks its meaning.
void check_holds(MirrorDevice& device, const TableState& state) {
    check_holds(device.dump(), device, state);
    const auto differences = device.verify();
    INFO(join(differences));
    REQUIRE(differences.empty());
}

void check_placement(const MirrorDevice& device, const TableState& state) {
    std::size_t sessions = 0;
    const auto placement = device.placement();
    REQUIRE(placement->interfaces.size() == device.sizes().interfaces);
    for (std::uint32_t i = 0; i < placement->interfaces.size(); ++i) {
        const auto& tapped = *placement->interfaces[i];
        if (tapped.interface.empty()) continue;
        REQUIRE(device.interface_index(tapped.interface) == i);
        std::uint16_t number = 0;
        for (const auto& slot : tapped.slots) {
            const auto& session = state.sessions.at(slot.session);
            REQUIRE(session.interface == tapped.interface);
            REQUIRE(session.filter == slot.filter_id);
            REQUIRE(slot.filter == state.filters.at(session.filter));
            REQUIRE(session.number > number);
            number = session.number;
            ++sessions;
        }
    }
    REQUIRE(sessions == state.sessions.size());
}

}  // namespace

void check_register_lines(RegisterAccess& registers) {
    std::map<std::uint32_t, std::array<const map::Place*, 16>> lines;
    for (const auto& place : map::places)
        lines[place.address / 64 * 64][place.address / 4 % 16] = &place;
    const auto refuses = [&](std::uint32_t line, const RegisterLine& words, std::uint32_t address,
                             Reason reason) {
        std::array<std::uint32_t, 16> before{};
        for (std::uint32_t i = 0; i < 16; ++i)
            if (lines[line][i]) before[i] = registers.read(line + 4 * i);
        registers.write_line(line, words, 0xffff);
        const auto error = error_of(registers);
        REQUIRE(error.address == address);
        REQUIRE(error.reason == std::uint32_t(reason));
        REQUIRE(error.count == 1);
        clear_error(registers);
        for (std::uint32_t i = 0; i < 16; ++i)
            if (lines[line][i] && lines[line][i]->access == Access::rw)
                REQUIRE(registers.read(line + 4 * i) == before[i]);
    };
    std::mt19937 random(2);
    for (std::uint32_t line = 0; line < map::end_address; line += 64) {
        INFO("line " << line);
        const auto& at = lines[line];
        const auto writable = [](const map::Place* place) {
            return place && place->access != Access::ro;
        };
        if (std::none_of(at.begin(), at.end(), writable)) {
            refuses(line, {}, line, at[0] ? Reason::read_only : Reason::unmapped);
            continue;
        }
        if (line == map::commit::address() || line == map::control::address()) continue;
        for (int round = 0; round < 3; ++round) {
            RegisterLine words{};
            for (std::uint32_t i = 0; i < 16; ++i) {
                if (!at[i] || at[i]->access != Access::rw) continue;
                words[i] = std::uint32_t(random()) & at[i]->writable;
                if (refusal(line + 4 * i, words[i]) != Reason::none) words[i] = at[i]->reset;
            }
            registers.write_line(line, words, 0xffff);
            REQUIRE(error_of(registers).reason == 0);
            for (std::uint32_t i = 0; i < 16; ++i)
                if (at[i] && at[i]->access == Access::rw)
                    REQUIRE(registers.read(line + 4 * i) == words[i]);
            for (std::uint32_t i = 0; i < 16; ++i) {
                INFO("register " << i);
                auto wrong = words;  // beside words that would change their registers
                for (std::uint32_t k = 0; k < 16; ++k)
                    if (at[k] && refusal(line + 4 * k, words[k] ^ 1) == Reason::none) wrong[k] ^= 1;
                if (!writable(at[i])) {
                    wrong[i] = 1;
                    refuses(line, wrong, line + 4 * i,
                            at[i] ? Reason::read_only : Reason::unmapped);
                } else if (at[i]->writable != ~0u) {
                    wrong[i] = ~0u;
                    refuses(line, wrong, line + 4 * i, refusal(line + 4 * i, ~0u));
                }
            }
        }
    }

    INFO("a filter's clearing comes before its flags");
    RegisterLine rule{};
    rule[0] = map::rule::valid(1);
    registers.write_line(map::rule::address(1, 3), rule, 1);
    RegisterLine filter{};
    filter[0] = 5;
    filter[1] = map::filter_flags::amazon_dns(1);
    registers.write_line(map::filter_index::address(), filter, 7);
    REQUIRE(registers.read(map::filter_index::address()) == 5);
    REQUIRE(registers.read(map::filter_flags::address()) == 1);
    REQUIRE(registers.read(map::rule::address(1, 3)) == 0);

    INFO("a commit of a line has what the line stages, and is refused whole");
    const auto line = map::commit::address();
    const auto ports = [](std::uint32_t base) {
        return map::source_ports::base(base) | map::source_ports::bits(8);
    };
    RegisterLine words{};
    const auto sequence = [&] {
        return map::commit_status::sequence.of(registers.read(map::commit_status::address()));
    };
    const auto start = sequence();
    words[0] = map::commit::source_ports(1);
    words[3] = ports(0x4000);
    registers.write_line(line, words, 0xffff);
    REQUIRE(sequence() == start + 1);
    words[3] = ports(0xff01);
    refuses(line, words, line, Reason::inconsistent);
    words[3] = ports(0x5000);
    words[2] = map::fetch::session(1);
    refuses(line, words, map::fetch::address(), Reason::inconsistent);
    words[0] = 0;
    words[2] |= map::fetch::filter(1);
    refuses(line, words, map::fetch::address(), Reason::inconsistent);
    words[2] = map::fetch::interface(1);
    registers.write_line(line, words, 0xffff);
    REQUIRE(registers.read(map::source_ports::address()) == ports(0x5000));
    words[2] = 0;
    words[3] = ports(0x6000);
    registers.write_line(line, words, 0xffff);
    REQUIRE(registers.read(map::source_ports::address()) == ports(0x6000));
    REQUIRE(sequence() == start + 1);
    REQUIRE(error_of(registers).reason == 0);

    INFO("T5 an error in a line holds back the commit");
    registers.write_line(0x0c0, {}, 0xffff);
    registers.write(line, map::commit::session(1));
    REQUIRE(sequence() == start + 1);
    REQUIRE(error_of(registers).address == 0x0c0);
    REQUIRE(error_of(registers).count == 2);
    words[0] = 0;  // neither does a line that only stages go through then
    registers.write_line(line, words, 0xffff);
    REQUIRE(error_of(registers).count == 3);
    clear_error(registers);
}

void check_mirror_device(RegisterAccess& registers) {
    CountingRegisters counting(registers);
    RandomStates random(7);
    TableState state;
    const auto commits = [&](auto change) {
        counting.clear();
        change();
        return counting.commits;
    };
    {
        INFO("P25 a device fresh from reset holds nothing");
        MirrorDevice device(counting);
        REQUIRE(device.sizes().slots == map::sizes::slots);
        REQUIRE(device.sizes().rules_per_direction == map::sizes::rules);
        REQUIRE(device.map_hash() == map::hash_value);
        REQUIRE(device.dump().interfaces.empty());
        REQUIRE(commits([&] { device.apply(state); }) == 0);
    }
    MirrorDevice device(counting);
    std::vector<std::uint16_t> versions;
    device.on_placement([&](auto placement) { versions.push_back(placement->version()); });

    INFO("T2 creating a session is one commit, after its filter was loaded by one");
    for (const auto* id : {"eni-0", "eni-1", "eni-2"}) state.interfaces[id] = {};
    state.interfaces["eni-0"].resolver = ipv4(10, 0, 0, 2);
    Filter filter;
    for (int i = 0; i < 5; ++i) {
        Rule rule = accept_all();
        rule.source = {ipv4(10, std::uint8_t(i), 0, 0), 16};
        rule.protocol = std::uint8_t(6);
        rule.source_ports = PortRange{1024, 65535};
        rule.destination_ports = PortRange{80, 443};
        filter.ingress.push_back(rule);
        filter.egress.push_back(rule);
    }
    state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
    state.filters["tmf-1"] = std::make_shared<const Filter>(Filter{true, {accept_all()}, {}});
    state.sessions["tms-0"] = random.session(0, 10);
    state.sessions["tms-0"].filter = "tmf-0";
    REQUIRE(commits([&] { device.apply(state); }) == 2);
    REQUIRE(counting.reads == 2);
    REQUIRE(versions.size() == 2);
    REQUIRE(versions[1] == std::uint16_t(versions[0] + 1));
    check_holds(device, state);
    check_placement(device, state);

    INFO("T1 an interface without a session has the index beyond the last");
    REQUIRE(device.interface_index("eni-0") < device.sizes().interfaces);
    REQUIRE(device.interface_index("eni-1") == device.sizes().interfaces);

    INFO("a second session takes at most 40 writes and one read");
    state.sessions["tms-1"] = random.session(1, 1);
    state.sessions["tms-1"].filter = "tmf-0";
    REQUIRE(commits([&] { device.apply(state); }) == 1);
    CHECK(counting.writes <= 40);
    REQUIRE(counting.reads == 1);
    check_holds(device, state);

    INFO("T2 a session that changes in all its members is one commit");
    auto& modified = state.sessions["tms-0"];
    state.sessions["tms-2"] = random.session(0, 20);
    state.sessions["tms-2"].filter = "tmf-1";
    device.apply(state);
    modified = random.session(0, 30);
    modified.filter = "tmf-1";
    REQUIRE(commits([&] { device.apply(state); }) == 1);
    CHECK(counting.writes <= 40);
    REQUIRE(counting.reads == 1);
    check_holds(device, state);
    check_placement(device, state);

    INFO("T2 a filter that changes is one commit, 10 rules at most 250 writes and one read");
    for (auto* list : {&filter.ingress, &filter.egress})
        for (auto& rule : *list) {
            rule.accept = false;
            rule.source = {ipv6(0x2001, 0), 64};
            rule.destination = {ipv6(0xfd00, 0xffff), 128};
            rule.protocol.reset();
        }
    state.filters["tmf-0"] = std::make_shared<const Filter>(filter);
    REQUIRE(commits([&] { device.apply(state); }) == 1);
    CHECK(counting.writes <= 250);
    REQUIRE(counting.reads == 1);
    check_holds(device, state);

    INFO("a state that is in force already takes no access");
    counting.clear();
    device.apply(state);
    REQUIRE(counting.writes + counting.reads == 0);

    INFO("S8 a restarted driver leaves alone what is right, and changes what is not");
    {
        MirrorDevice restarted(counting);
        REQUIRE(commits([&] { restarted.apply(state); }) == 0);
        check_placement(restarted, state);
        for (const auto* id : {"eni-0", "eni-1", "eni-2"})
            REQUIRE(restarted.interface_index(id) == device.interface_index(id));
    }
    state.sessions["tms-2"].vni ^= 1;
    {
        MirrorDevice restarted(counting);
        REQUIRE(commits([&] { restarted.apply(state); }) == 1);
        check_holds(restarted, state);
    }
    MirrorDevice second(counting);
    second.apply(state);

    INFO("T2 a deleted session is one commit");
    state.sessions.erase("tms-1");
    REQUIRE(commits([&] { second.apply(state); }) == 1);
    CHECK(counting.writes <= 40);
    REQUIRE(counting.reads == 1);
    REQUIRE(second.interface_index("eni-1") == second.sizes().interfaces);
    check_holds(second, state);

    INFO("P20 source ports are one commit, and are checked");
    REQUIRE(commits([&] { second.set_source_ports(65408, 7); }) == 1);
    REQUIRE_THROWS_AS(second.set_source_ports(65409, 7), std::invalid_argument);
    REQUIRE_THROWS_AS(second.set_source_ports(49152, 0), std::invalid_argument);
    REQUIRE_THROWS_AS(second.set_source_ports(0, 17), std::invalid_argument);
    second.set_source_ports(0, 16);
    second.set_source_ports(49152, 14);

    INFO("P23 without traffic every counter is 0");
    const auto counters = second.counters();
    REQUIRE(counters.received.frames == 0);
    REQUIRE(counters.in_flight.frames == 0);
    REQUIRE(counters.sessions.size() == state.sessions.size());
    for (const auto& [id, session] : counters.sessions) REQUIRE(session.selected.frames == 0);
    second.reset_mirror();
    check_holds(second, state);

    INFO("random states follow each other");
    for (int i = 0; i < 6; ++i) {
        state = random.state();
        second.apply(state);
        check_holds(second, state);
        check_placement(second, state);
        for (int k = 0; k < 4; ++k) {
            random.request(state);
            REQUIRE(commits([&] { second.apply(state); }) <= 2);
        }
        check_holds(second, state);
    }
    second.apply({});
    REQUIRE(second.dump().interfaces.empty());
}

}  // namespace mirrornic
