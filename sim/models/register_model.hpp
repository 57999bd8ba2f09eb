// SPDX-License-Identifier: Apache-2.0
/// A model of the device as its registers show it: staging, commit, fetch, refusals and counters as
/// rtl/registers.toml says. It has no data plane. It shares nothing with the driver except the
/// register map.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "driver/register_access.hpp"
#include "register_map.hpp"

namespace mirrornic {

/// Why the register map refuses a 32-bit write (T5); Reason::none if it does not.
registers::Reason refusal(std::uint32_t address, std::uint32_t value);

class RegisterModel : public RegisterAccess {
public:
    struct Sizes {
        std::uint32_t interfaces = registers::sizes::interfaces;
        std::uint32_t filters = registers::sizes::filters;
        std::uint32_t sessions = registers::sizes::sessions;
    };
    RegisterModel() : RegisterModel(Sizes{}) {}
    /// @param sizes at most the map's
    explicit RegisterModel(Sizes sizes);

    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;
    /// Takes the whole line, or refuses it whole.
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override;

    /// As after `rst`: interface words invalid, the other tables undefined.
    void reset();
    /// Commits since the reset; the device shows the low 16 bits.
    std::uint64_t sequence() const { return sequence_; }

    std::array<std::uint64_t, registers::counter_count> counters{};
    std::vector<std::array<std::uint64_t, registers::session_counter_count>> session_counters;

protected:
    struct Table {
        std::uint32_t index_register;
        std::uint32_t bit;                                ///< of COMMIT and FETCH
        std::vector<std::uint32_t> registers;             ///< that hold a staged entry, ascending
        std::vector<std::vector<std::uint32_t>> entries;  ///< a word for each of them
    };

    /// Called before a commit that the device accepts. If it throws, the tables stay as they are.
    /// @param bits of COMMIT
    virtual void before_commit(std::uint32_t bits) { (void)bits; }
    /// Why this device, with its sizes, refuses a 32-bit write.
    registers::Reason refused(std::uint32_t address, std::uint32_t value) const;
    void refuse(std::uint32_t address, registers::Reason reason);
    std::uint32_t staged(std::uint32_t address) const { return staged_[address / 4]; }

    Sizes sizes_;
    Table interfaces_, filters_, sessions_, services_;
    std::uint32_t source_ports_ = 0;
    std::uint64_t sequence_ = 0;

private:
    /// Does what a write asks for, or does nothing and returns why.
    registers::Reason take(std::uint32_t address, std::uint32_t value);
    registers::Reason commit(std::uint32_t bits);
    registers::Reason fetch(std::uint32_t bits);
    bool staged_filter_is_consistent() const;

    std::array<std::uint32_t, registers::end_address / 4> staged_{};
    std::uint32_t interrupts_ = 0, error_address_ = 0, error_reason_ = 0;
    std::uint32_t refusals_ = 0, unmapped_reads_ = 0;
    std::array<std::uint64_t, registers::counter_count> counter_snapshot_{};
    std::vector<std::array<std::uint64_t, registers::session_counter_count>> session_snapshot_;
    std::mt19937 undefined_{1};
};

}  // namespace mirrornic
