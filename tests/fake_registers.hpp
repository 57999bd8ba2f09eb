// SPDX-License-Identifier: Apache-2.0
/// The device as its registers show it, without a data plane: staging, commit, fetch, refusals and
/// counters as rtl/registers.toml says. Shares nothing with the driver but the register map.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "../driver/mirror_device.hpp"
#include "../driver/register_access.hpp"
#include "register_map.hpp"

namespace mirrornic {

/// Why the map refuses a write of a whole word (T5), Reason::none if it does not.
registers::Reason refusal(std::uint32_t address, std::uint32_t value);

class FakeRegisters : public RegisterAccess {
public:
    struct Sizes {
        std::uint32_t interfaces = registers::sizes::interfaces;
        std::uint32_t filters = registers::sizes::filters;
        std::uint32_t sessions = registers::sizes::sessions;
    };
    FakeRegisters() : FakeRegisters(Sizes{}) {}
    /// @param sizes at most the map's
    explicit FakeRegisters(Sizes sizes);

    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;

    /// As after `rst`: interface words invalid, the other tables undefined.
    void reset();

    // What happened.
    std::uint64_t writes = 0, reads = 0, commits = 0;
    std::function<void()> on_commit;  ///< after each commit that was done
    TableDump dump() const;           ///< what valid slots reach

    /// P23: session entries given to a new session while copies of the one before were inside.
    unsigned early_reuses = 0;

    // What the device says.
    std::uint32_t magic = registers::magic_value, version = registers::version_value,
                  hash = registers::hash_value;
    int not_ready_reads = 0;      ///< status reads before it is ready; negative: never
    int resetting_reads = 0;      ///< status reads after a mirror reset until it is over
    bool draining = true;         ///< false: copies stay inside
    int reads_until_drained = 0;  ///< commit status reads until `draining` becomes true; 0: never
    bool dead = false;            ///< reads all ones, takes no write
    std::array<std::uint64_t, registers::counter_count> counters{};
    std::vector<std::array<std::uint64_t, registers::session_counter_count>> session_counters;

    // Faults.
    std::set<std::uint32_t> lost_writes;  ///< the next write to each vanishes
    std::set<std::uint32_t>
        refused_writes;           ///< the next write to each arrives with partial strobes
    int fetches_without_gap = 0;  ///< so many fetches fail
    /// Flips bits of a table word, named by the staging register that would fetch it.
    void flip(std::uint32_t index, std::uint32_t address, std::uint32_t bits);

private:
    using Words = std::map<std::uint32_t, std::uint32_t>;  ///< by staging register
    struct Table {
        std::uint32_t index_register;
        std::uint32_t bit;                     ///< of COMMIT and FETCH
        std::vector<std::uint32_t> registers;  ///< that hold a staged entry
        std::vector<Words> entries;
    };

    registers::Reason refused(std::uint32_t address, std::uint32_t value) const;
    void refuse(std::uint32_t address, registers::Reason reason);
    registers::Reason commit(std::uint32_t bits);
    registers::Reason fetch(std::uint32_t bits);
    bool staged_filter_is_consistent() const;
    static std::set<std::uint32_t> session_entries(const Words& interface);
    Table& table_of(std::uint32_t address);

    Sizes sizes_;
    Table interfaces_, filters_, sessions_, services_;
    Words staged_;
    std::uint32_t source_ports_ = 0, interrupts_ = 0, error_address_ = 0, error_reason_ = 0;
    std::uint32_t refusals_ = 0, unmapped_reads_ = 0;
    std::uint64_t sequence_ = 0, drained_ = 0;
    std::map<std::uint32_t, std::uint64_t> freed_;  ///< commit that freed a session entry
    std::array<std::uint64_t, registers::counter_count> counter_snapshot_{};
    std::vector<std::array<std::uint64_t, registers::session_counter_count>> session_snapshot_;
    std::mt19937 undefined_{1};
};

}  // namespace mirrornic
