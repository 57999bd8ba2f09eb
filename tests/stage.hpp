// SPDX-License-Identifier: Apache-2.0
// For the tests of a single RTL stage: the stage as a top-level module, and the packed structs of
// rtl/offload.sv, which its ports show as plain bit vectors.
#pragma once

#include <verilated.h>
#if VM_COVERAGE
#include <unistd.h>
#include <verilated_cov.h>
#endif
#if VM_TRACE_FST
#include <verilated_fst_c.h>
#endif
#include <verilated_sym_props.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "register_map.hpp"

namespace mirrornic::test {

namespace sizes = registers::sizes;

inline void check(bool holds, const char* message) {
    if (!holds) throw std::logic_error(message);
}

/// A verilated module. A test sets its inputs, calls `eval` to see its outputs in this cycle, and
/// calls `tick` to end the cycle.
template <class Model>
class Stage {
public:
    Stage() {
        // Registers that neither a reset nor the test has set have random values, which differ from
        // module to module.
        static int seed = 0;
        context_.randReset(2);
        context_.randSeed(++seed);
        model_ = std::make_unique<Model>(&context_);
        start_clock(*model_, 0);
#if VM_TRACE_FST
        // ./dev test NAME --wave: FOLDER/TEST, and a number for each module of the process.
        static unsigned number = 0;
        if (const char* name = std::getenv("MIRRORNIC_WAVE")) {
            context_.traceEverOn(true);
            model_->trace(&wave_, 99);
            wave_.open((std::string(name) + "-" + std::to_string(number++) + ".fst").c_str());
        }
#endif
    }

#if VM_COVERAGE
    ~Stage() {
        static unsigned number = 0;
        if (const char* folder = std::getenv("MIRRORNIC_COVERAGE"))
            context_.coveragep()->write((std::string(folder) + "/stage-" +
                                         std::to_string(getpid()) + "-" + std::to_string(number++) +
                                         ".dat")
                                            .c_str());
    }
#endif

    Model* operator->() { return model_.get(); }

    void eval() { model_->eval(); }

    void tick() {
        if (idle() && !in_reset(*model_, 0)) return model_->eval();
        model_->eval();
        record();
        model_->clk = 1;
        model_->eval();
        record();
        model_->clk = 0;
        model_->eval();
    }

    void reset() {
        model_->rst = 1;
        for (int i = 0; i < 2; ++i) tick();
        model_->rst = 0;
    }

    /// Flips a bit of a word in a memory (T4). `place` is the path of instances to the memory, such
    /// as "settle.endings"; tests/flip.vlt says which memories can be reached. A vector is one
    /// word.
    void flip(const std::string& place, const char* memory, unsigned word, unsigned bit) {
        const VerilatedVar& found = find(place, memory);
        check(bit < unsigned(found.elements(0)) && word < words(place, memory),
              "a memory is smaller than the place of a flip");
        // Words are little-endian, and each begins at a byte.
        auto* bytes = static_cast<std::uint8_t*>(found.datap());
        if (found.udims() == 1) bytes += word * (found.totalSize() / found.elements(1));
        bytes[bit / 8] = std::uint8_t(bytes[bit / 8] ^ 1u << bit % 8);
    }
    unsigned width(const std::string& place, const char* memory) {
        return unsigned(find(place, memory).elements(0));
    }
    unsigned words(const std::string& place, const char* memory) {
        const VerilatedVar& found = find(place, memory);
        return found.udims() == 1 ? unsigned(found.elements(1)) : 1;
    }

private:
    /// The waves of half a cycle.
    void record() {
#if VM_TRACE_FST
        if (wave_.isOpen()) wave_.dump(time_++);
#endif
    }

    /// With MIRRORNIC_IDLE_STAGES set, the clock of every stage stops after its reset, so that the
    /// stage does nothing. Each test must then fail (tests/idle_stages_test.py).
    static bool idle() {
        static const bool set = std::getenv("MIRRORNIC_IDLE_STAGES") != nullptr;
        return set;
    }
    template <class Module>
    static auto in_reset(const Module& module, int) -> decltype(module.rst, bool()) {
        return module.rst;
    }
    template <class Module>
    static bool in_reset(const Module&, long) {
        return false;
    }

    /// A combinational module has no clock.
    template <class Module>
    static auto start_clock(Module& module, int) -> decltype(module.clk, void()) {
        module.clk = 0;
    }
    template <class Module>
    static void start_clock(Module&, long) {}

    const VerilatedVar& find(const std::string& place, const char* memory) {
        const VerilatedScope* scope = context_.scopeFind(("TOP." + place).c_str());
        const VerilatedVar* found = scope ? scope->varFind(memory) : nullptr;
        if (const auto dot = place.rfind('.'); !found && dot != std::string::npos) {
            // In a model made by Yosys (./dev mutate), the names of blocks are part of the memory's
            // name.
            scope = context_.scopeFind(("TOP." + place.substr(0, dot)).c_str());
            found =
                scope ? scope->varFind((place.substr(dot + 1) + "." + memory).c_str()) : nullptr;
        }
        if (!found) throw std::logic_error("no memory " + place + "." + memory + " can be reached");
        return *found;
    }

    VerilatedContext context_;
    std::unique_ptr<Model> model_;
#if VM_TRACE_FST
    VerilatedFstC wave_;  ///< ends before the model
    std::uint64_t time_ = 0;
#endif
};

// ---- Ports as bits ----

/// Bit 0 is the lowest, as in a packed vector.
class Bits {
public:
    explicit Bits(int width) : width_(width), words_((width + 31) / 32) {}

    int width() const { return width_; }
    std::uint32_t word(int index) const { return words_.at(index); }
    void word(int index, std::uint32_t value) { words_.at(index) = value; }

    std::uint64_t get(int lowest, int width) const {
        std::uint64_t value = 0;
        for (int i = 0; i < width; ++i) {
            const int bit = lowest + i;
            value |= std::uint64_t{words_.at(bit / 32) >> bit % 32 & 1} << i;
        }
        return value;
    }

    void put(int lowest, int width, std::uint64_t value) {
        check(width == 64 || value >> width == 0, "a value is wider than its field");
        for (int i = 0; i < width; ++i) {
            const int bit = lowest + i;
            words_.at(bit / 32) &= ~(std::uint32_t{1} << bit % 32);
            words_.at(bit / 32) |= std::uint32_t(value >> i & 1) << bit % 32;
        }
    }

    void put(int lowest, const Bits& bits) {
        for (int i = 0; i < bits.width(); ++i) put(lowest + i, 1, bits.get(i, 1));
    }

    friend bool operator==(const Bits& a, const Bits& b) { return a.words_ == b.words_; }

private:
    int width_;
    std::vector<std::uint32_t> words_;
};

template <class Port>
void drive(Port& port, const Bits& bits) {
    check(std::size_t(bits.width()) <= 8 * sizeof(Port), "a port is narrower than its struct");
    if constexpr (std::is_integral_v<Port>) {
        port = Port(bits.get(0, bits.width()));
    } else {
        for (int i = 0; i < (bits.width() + 31) / 32; ++i) port[i] = bits.word(i);
    }
}

template <class Port>
Bits sample(const Port& port, int width) {
    Bits bits(width);
    check(std::size_t(width) <= 8 * sizeof(Port), "a port is narrower than its struct");
    if constexpr (std::is_integral_v<Port>) {
        bits.put(0, width, port);
    } else {
        for (int i = 0; i < (width + 31) / 32; ++i) bits.word(i, port[i]);
    }
    return bits;
}

// ---- Packed structs ----

using Address = std::array<std::uint8_t, 16>;  ///< the first byte on top; IPv4 over zeros
using Lanes = std::array<std::uint8_t, 64>;    ///< the first byte lowest

inline void flip(Address& address, unsigned bit) {
    address[bit / 8] ^= std::uint8_t(0x80 >> bit % 8);
}

/// A word that is made of a number. All its bits change from number to number.
inline std::uint32_t scrambled(std::uint32_t number) {
    number *= 0x9e3779b1u;
    number = (number ^ number >> 15) * 0x85ebca77u;
    return number ^ number >> 13;
}

/// Packs members as SystemVerilog does: the first one declared is on top.
class Packer {
public:
    explicit Packer(int width) : bits_(width), place_(width) {}

    void operator()(std::uint64_t value, int width) { bits_.put(place_ -= width, width, value); }
    void operator()(const Address& address) {
        for (const auto byte : address) (*this)(byte, 8);
    }
    void operator()(const Lanes& lanes) {
        for (auto byte = lanes.rbegin(); byte != lanes.rend(); ++byte) (*this)(*byte, 8);
    }
    template <class Struct>
    void nested(Struct& value) {
        value.members(*this);
    }

    Bits bits() const {
        check(place_ == 0, "the members are not the whole struct");
        return bits_;
    }

private:
    Bits bits_;
    int place_;
};

class Unpacker {
public:
    explicit Unpacker(Bits bits) : bits_(std::move(bits)), place_(bits_.width()) {}

    void operator()(std::uint64_t& value, int width) { value = bits_.get(place_ -= width, width); }
    void operator()(Address& address) {
        for (auto& byte : address) byte = std::uint8_t(bits_.get(place_ -= 8, 8));
    }
    void operator()(Lanes& lanes) {
        for (auto byte = lanes.rbegin(); byte != lanes.rend(); ++byte)
            *byte = std::uint8_t(bits_.get(place_ -= 8, 8));
    }
    template <class Struct>
    void nested(Struct& value) {
        value.members(*this);
    }

private:
    Bits bits_;
    int place_;
};

template <class Struct>
Bits pack(Struct value) {
    Packer packer(Struct::width);
    value.members(packer);
    return packer.bits();
}

template <class Struct>
Struct unpack(const Bits& bits) {
    Unpacker unpacker(bits);
    Struct value;
    value.members(unpacker);
    return value;
}

template <class Struct, class Port>
void drive(Port& port, const Struct& value) {
    drive(port, pack(value));
}

template <class Struct, class Port>
Struct sample(const Port& port) {
    return unpack<Struct>(sample(port, Struct::width));
}

// ---- The structs of package offload, member by member ----

using Number = std::uint64_t;

struct Key {
    static constexpr int width = 301;
    Number ip = 0, v6 = 0;
    Address source{}, destination{};
    Number protocol_known = 0, protocol = 0, has_ports = 0, source_port = 0, destination_port = 0,
           fragment = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(ip, 1);
        visit(v6, 1);
        visit(source);
        visit(destination);
        visit(protocol_known, 1);
        visit(protocol, 8);
        visit(has_ports, 1);
        visit(source_port, 16);
        visit(destination_port, 16);
        visit(fragment, 1);
    }
};

struct RuleWord {
    static constexpr int width = 352;
    Address destination{}, source{};
    Number destination_port_to = 0, destination_port_from = 0, source_port_to = 0,
           source_port_from = 0, destination_prefix = 0, source_prefix = 0, protocol = 0,
           reserved = 0, has_destination_ports = 0, has_source_ports = 0, has_protocol = 0, v6 = 0,
           accept = 0, valid = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(destination);
        visit(source);
        visit(destination_port_to, 16);
        visit(destination_port_from, 16);
        visit(source_port_to, 16);
        visit(source_port_from, 16);
        visit(destination_prefix, 8);
        visit(source_prefix, 8);
        visit(protocol, 8);
        visit(reserved, 2);
        visit(has_destination_ports, 1);
        visit(has_source_ports, 1);
        visit(has_protocol, 1);
        visit(v6, 1);
        visit(accept, 1);
        visit(valid, 1);
    }
};

struct ServiceWord {
    static constexpr int width = 168;
    Address address{};
    Number port_to = 0, port_from = 0, either_side = 0, has_ports = 0, udp = 0, tcp = 0,
           any_address = 0, v6 = 0, dns = 0, valid = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(address);
        visit(port_to, 16);
        visit(port_from, 16);
        visit(either_side, 1);
        visit(has_ports, 1);
        visit(udp, 1);
        visit(tcp, 1);
        visit(any_address, 1);
        visit(v6, 1);
        visit(dns, 1);
        visit(valid, 1);
    }
};

struct UserWord {
    static constexpr int width = 19;
    Number tap = 0, egress = 0, index = 0, error = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(tap, 1);
        visit(egress, 1);
        visit(index, 16);
        visit(error, 1);
    }
};

struct CutWord {
    static constexpr int width = 29;
    Number v6 = 0, mtu_cut = 0, packet_length = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(v6, 1);
        visit(mtu_cut, 14);
        visit(packet_length, 14);
    }
};

struct OuterWord {
    static constexpr int width = 377;
    Number v6 = 0, vni = 0, target_mac = 0, source_mac = 0;
    Address target_address{}, source_address{};

    template <class Visitor>
    void members(Visitor& visit) {
        visit(v6, 1);
        visit(vni, 24);
        visit(target_mac, 48);
        visit(source_mac, 48);
        visit(target_address);
        visit(source_address);
    }
};

struct SourcePorts {
    static constexpr int width = 21;
    Number bits = 0, base = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(bits, 5);
        visit(base, 16);
    }
};

constexpr int bits_for(std::uint32_t indices) {
    int bits = 0;
    while ((std::uint32_t{1} << bits) < indices) ++bits;
    return bits;
}
constexpr int SlotBits = 2, RuleBits = 4, SessionBits = bits_for(sizes::sessions),
              FilterBits = bits_for(sizes::filters);
/// A filter word: the fields of four rules, their marks, then the next four rules; on top
/// amazon-dns, twice.
constexpr int FieldsWidth = 384, MarksWidth = 16, ListWidth = 16 * (FieldsWidth + MarksWidth),
              FilterWidth = ListWidth + 2;
constexpr int fields_at(int rule) {
    return rule / 4 * 4 * (FieldsWidth + MarksWidth) + rule % 4 * FieldsWidth;
}
constexpr int marks_at(int rule) {
    return rule / 4 * 4 * (FieldsWidth + MarksWidth) + 4 * FieldsWidth + rule % 4 * MarksWidth;
}

struct InterfaceWord {
    static constexpr int width = 3 * (SessionBits + FilterBits + 15 + 1) + 33;
    std::array<Number, 3> session{}, filter{}, number{};
    Number valid = 0, has_resolver = 0, resolver = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        for (int i = 2; i >= 0; --i) visit(session[i], SessionBits);
        for (int i = 2; i >= 0; --i) visit(filter[i], FilterBits);
        for (int i = 2; i >= 0; --i) visit(number[i], 15);
        visit(valid, 3);
        visit(has_resolver, 1);
        visit(resolver, 32);
    }
};

struct TokenWord {
    static constexpr int width = 8;
    Number commit = 0, fetch = 0, fetch_egress = 0, interface_word = 0, filter = 0, session = 0,
           service = 0, source_ports = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(commit, 1);
        visit(fetch, 1);
        visit(fetch_egress, 1);
        visit(interface_word, 1);
        visit(filter, 1);
        visit(session, 1);
        visit(service, 1);
        visit(source_ports, 1);
    }
};

/// Why a slot did not accept, with the numbers of package offload.
enum Why : std::uint64_t { SlotEmpty, SlotNoRule, SlotRejected, SlotRejectedDns };
enum OutcomeCode : std::uint64_t { NotEligible, NotAccepted, Mirrored, Dropped };
enum CauseCode : std::uint64_t {
    CauseNoTap,
    CauseMalformed,
    CauseMarkedBad,
    CauseNotIp,
    CauseExcluded,
    CauseTableFault,
    CauseOverflow,
    CauseReset,
    CauseSessionFault,
    CauseNone = 15
};

struct VerdictWord {
    static constexpr int width = 6 + SlotBits + RuleBits + 3 * 2 + 3 * RuleBits + SessionBits + 31;
    Number tap = 0, ip = 0, fault = 0, excluded = 0, accepted = 0, by_service = 0, slot = 0,
           rule_index = 0, why = 0, why_rule = 0, session = 0, v6 = 0, limit = 0, version = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(tap, 1);
        visit(ip, 1);
        visit(fault, 1);
        visit(excluded, 1);
        visit(accepted, 1);
        visit(by_service, 1);
        visit(slot, SlotBits);
        visit(rule_index, RuleBits);
        visit(why, 3 * 2);
        visit(why_rule, 3 * RuleBits);
        visit(session, SessionBits);
        visit(v6, 1);
        visit(limit, 14);
        visit(version, 16);
    }
};

struct DecisionWord {
    static constexpr int width = 16 + 14 + 3 * RuleBits + 3 * 2 + 2 + RuleBits + SlotBits + 6;
    Number version = 0, kept = 0, why_rule = 0, why = 0, late_bad = 0, by_service = 0,
           rule_index = 0, slot = 0, cause = 0, outcome = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(version, 16);
        visit(kept, 14);
        visit(why_rule, 3 * RuleBits);
        visit(why, 3 * 2);
        visit(late_bad, 1);
        visit(by_service, 1);
        visit(rule_index, RuleBits);
        visit(slot, SlotBits);
        visit(cause, 4);
        visit(outcome, 2);
    }
};

struct BeatWord {
    static constexpr int width = 523;
    Number first = 0, last = 0, error = 0, malformed = 0, bytes = 0;
    Lanes data{};

    template <class Visitor>
    void members(Visitor& visit) {
        visit(first, 1);
        visit(last, 1);
        visit(error, 1);
        visit(malformed, 1);
        visit(bytes, 7);
        visit(data);
    }
};

struct EndingWord {
    static constexpr int width = 6 + SessionBits + 1 + 32 + 14 + 1;
    Number outcome = 0, cause = 0, session = 0, v6 = 0, bytes = 0, kept = 0, late_bad = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(outcome, 2);
        visit(cause, 4);
        visit(session, SessionBits);
        visit(v6, 1);
        visit(bytes, 32);
        visit(kept, 14);
        visit(late_bad, 1);
    }
};

struct CopyWord {
    static constexpr int width = SessionBits + OuterWord::width + 46;
    Number session = 0;
    OuterWord outer;
    Number kept = 0, source_port = 0, checksum = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(session, SessionBits);
        visit.nested(outer);
        visit(kept, 14);
        visit(source_port, 16);
        visit(checksum, 16);
    }
};

/// Where a flipped bit was found; `place` is a registers::Fault.
struct FaultWord {
    static constexpr int width = 19;
    Number place = 0, index = 0;

    template <class Visitor>
    void members(Visitor& visit) {
        visit(place, 3);
        visit(index, 16);
    }
};

constexpr int SumWidth = 21;  ///< of a session entry's header words

// ---- Rules in a filter word ----

/// A CIDR as the filter table holds it. Each of the 32 columns has, from the upper word to the
/// lower, the covered bits, a 1, and zeros. If all four bits of a column are covered, its bit in
/// `whole` is 1.
inline Bits cidr_bits(const Address& address, std::uint64_t prefix) {
    Bits cidr(160);
    for (int column = 0; column < 32; ++column) {
        int word = 3;
        for (; word >= 0; --word) {
            const int place = 127 - (32 * word + column);  // in the address, from its first bit on
            if (std::uint64_t(place) >= prefix) break;
            cidr.put(32 + 32 * word + column, 1, address[place / 8] >> (7 - place % 8) & 1);
        }
        cidr.put(word < 0 ? column : 32 + 32 * word + column, 1, 1);
    }
    return cidr;
}

/// The parity of a rule's even bits and of its odd bits.
inline void put_rule_parity(Bits& list, int number) {
    for (int odd = 0; odd < 2; ++odd) {
        std::uint64_t parity = 0;
        for (int i = odd; i < FieldsWidth; i += 2) parity ^= list.get(fields_at(number) + i, 1);
        for (int i = odd; i < MarksWidth - 2; i += 2) parity ^= list.get(marks_at(number) + i, 1);
        list.put(marks_at(number) + MarksWidth - 2 + odd, 1, parity);
    }
}

inline void put_rule(Bits& list, int number, const RuleWord& rule) {
    Bits fields(FieldsWidth), marks(MarksWidth);
    fields.put(0, cidr_bits(rule.source, rule.source_prefix));
    fields.put(160, cidr_bits(rule.destination, rule.destination_prefix));
    fields.put(320, 16, rule.source_port_from);
    fields.put(336, 16, rule.source_port_to);
    fields.put(352, 16, rule.destination_port_from);
    fields.put(368, 16, rule.destination_port_to);
    marks.put(0, 1, rule.valid);
    marks.put(1, 1, rule.accept);
    marks.put(2, 1, rule.v6);
    marks.put(3, 1, rule.has_protocol);
    marks.put(4, 1, rule.has_source_ports);
    marks.put(5, 1, rule.has_destination_ports);
    marks.put(6, 8, rule.protocol);
    list.put(fields_at(number), fields);
    list.put(marks_at(number), marks);
    put_rule_parity(list, number);
}

inline Bits filter_bits(const std::vector<RuleWord>& rules, bool amazon_dns) {
    Bits list(FilterWidth);
    for (int i = 0; i < 16; ++i) put_rule(list, i, i < int(rules.size()) ? rules[i] : RuleWord{});
    list.put(ListWidth, 2, amazon_dns ? 3 : 0);
    return list;
}

// ---- Check bits (T4) ----

/// The parity of each group of bits that lie `columns` apart.
inline Bits column_parity(const Bits& word, int columns) {
    Bits parity(columns);
    for (int i = 0; i < word.width(); ++i)
        parity.put(i % columns, 1, parity.get(i % columns, 1) ^ word.get(i, 1));
    return parity;
}

/// The same, with the parity of each row of `columns` bits above it.
inline Bits check_bits(const Bits& word, int columns) {
    Bits check(columns + (word.width() + columns - 1) / columns);
    check.put(0, column_parity(word, columns));
    for (int i = 0; i < word.width(); ++i) {
        const int row = columns + i / columns;
        check.put(row, 1, check.get(row, 1) ^ word.get(i, 1));
    }
    return check;
}

static_assert(sizes::slots == 3 && sizes::rules == 16);

/// The source of a random case: prints its seed, and takes it from MIRRORNIC_SEED.
class StageRandom {
public:
    StageRandom() {
        const char* text = std::getenv("MIRRORNIC_SEED");
        const std::uint64_t seed = text ? std::strtoull(text, nullptr, 0) : std::random_device{}();
        std::printf("MIRRORNIC_SEED=%llu\n", static_cast<unsigned long long>(seed));
        std::fflush(stdout);
        engine_.seed(seed);
    }

    std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
    std::uint64_t between(std::uint64_t from, std::uint64_t to) {
        return from + below(to - from + 1);
    }
    bool chance(unsigned percent) { return below(100) < percent; }
    std::uint8_t byte() { return std::uint8_t(engine_()); }
    template <class Container>
    const auto& pick(const Container& values) {
        return values[below(std::size(values))];
    }
    template <class T>
    T pick(std::initializer_list<T> values) {
        return values.begin()[below(values.size())];
    }
    std::vector<std::uint8_t> bytes(std::size_t count) {
        std::vector<std::uint8_t> result(count);
        for (auto& value : result) value = byte();
        return result;
    }
    Address address(bool v6) {
        Address result{};
        for (int i = 0; i < (v6 ? 16 : 4); ++i) result[i] = byte();
        return result;
    }
    std::uint64_t port() { return below(65536); }
    /// A port at an end of a range, next to it or one bit from it; sometimes any port.
    std::uint64_t port_near(std::uint64_t from, std::uint64_t to) {
        const std::uint64_t end = chance(50) ? from : to;
        return (chance(30)   ? end
                : chance(40) ? end + pick({1u, 65535u})
                : chance(80) ? end ^ 1u << below(16)
                             : port()) &
               0xffff;
    }
    Bits bits(int width) {
        Bits result(width);
        for (int low = 0; low < width; low += 32)
            result.word(low / 32,
                        std::uint32_t(below(std::uint64_t{1} << std::min(width - low, 32))));
        return result;
    }
    Lanes lanes() {
        Lanes result;
        for (auto& value : result) value = byte();
        return result;
    }

private:
    std::mt19937_64 engine_;
};

}  // namespace mirrornic::test
