// SPDX-License-Identifier: Apache-2.0
/// What every back end of RegisterAccess, and MirrorDevice over it, must do. The checks are Catch2
/// assertions; call them in a test case.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"
#include "driver/register_access.hpp"
#include "table_text.hpp"

namespace mirrornic {

/// Checks that writable registers keep what is written, in order. Plain memory, such as a mapped
/// file, does that too. Leaves staging registers changed.
void check_register_access(RegisterAccess& registers);
/// Checks the whole register map of a device after a reset: reset values, access, limits, holes,
/// and the register of the first error (T5).
void check_register_map(RegisterAccess& registers);
/// Checks the lines of a device after a reset, if its back end has lines (T5). Leaves staging
/// registers changed.
void check_register_lines(RegisterAccess& registers);
/// Checks MirrorDevice over a device without traffic, after a reset. Leaves its tables empty.
void check_mirror_device(RegisterAccess& registers);

/// Counts the accesses that it passes to another back end, which must outlive it.
class CountingRegisters : public RegisterAccess {
public:
    explicit CountingRegisters(RegisterAccess& registers) : registers_(registers) {}
    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override;
    void clear() { writes = reads = commits = 0; }
    unsigned writes = 0, reads = 0, commits = 0;  ///< a line is one write where `lines` says so
    bool lines = true;  ///< false: the other back end gets 32-bit writes only

private:
    RegisterAccess& registers_;
};

/// Passes lines on in parts of so many registers, with the holes among them, as a bridge may do it.
/// A part of one register is a 32-bit write.
class PartingRegisters : public RegisterAccess {
public:
    PartingRegisters(RegisterAccess& registers, unsigned part)
        : registers_(registers), part_(part) {}
    void write(std::uint32_t address, std::uint32_t value) override {
        registers_.write(address, value);
    }
    std::uint32_t read(std::uint32_t address) override { return registers_.read(address); }
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override;

private:
    RegisterAccess& registers_;
    unsigned part_;
};

/// Checks, with Catch2 assertions, that the device holds this state and nothing else, with
/// interfaces at the indices that the driver gives.
void check_holds(const TableDump& dump, const MirrorDevice& device, const TableState& state);

// Values.

IpAddress ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
IpAddress ipv6(std::uint16_t first, std::uint16_t last);
Rule accept_all(bool v6 = false);

/// Random states with ids from a small set, so that two states have much in common.
struct RandomStates {
    explicit RandomStates(std::uint32_t seed) : random(seed) {}
    std::mt19937 random;
    unsigned interfaces = 5, filters = 5, rules = 16;

    unsigned below(unsigned n) { return random() % n; }
    Rule rule();
    Filter filter();
    Session session(unsigned interface, std::uint16_t number);
    TableState state();
    /// Changes a state as one request of the API does: creates, modifies or deletes a session, or
    /// changes the rules of a filter.
    void request(TableState& state);

private:
    std::string free_session_id(const TableState& state);
    std::uint16_t free_number(const TableState& state, const std::string& interface,
                              const std::string& except);
};

}  // namespace mirrornic
