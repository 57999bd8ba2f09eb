// SPDX-License-Identifier: Apache-2.0
/// The register model with faults to inject, and with its tables as values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "driver/mirror_device.hpp"
#include "sim/models/register_model.hpp"

namespace mirrornic {

class FakeRegisters : public RegisterModel {
public:
    using RegisterModel::RegisterModel;

    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override;

    /// As after `rst`.
    void reset();

    // What has happened.
    std::uint64_t writes = 0, reads = 0, commits = 0;
    std::function<void()> on_commit;  ///< after each commit that was done
    TableDump dump() const;           ///< the tables, as far as valid slots point to them

    /// Session entries that a new session got while copies of the last one were inside; P23 forbids
    /// it.
    unsigned early_reuses = 0;

    bool lines = false;  ///< false: a line is a write of each changed register

    // How the device behaves.
    std::uint32_t magic = registers::magic_value, version = registers::version_value,
                  hash = registers::hash_value;
    int not_ready_reads = 0;      ///< status reads before it is ready; negative: never
    int resetting_reads = 0;      ///< status reads after a mirror reset until it is over
    bool draining = true;         ///< false: copies stay inside
    int reads_until_drained = 0;  ///< commit status reads until `draining` becomes true; 0: never
    bool dead = false;            ///< reads all ones, takes no write

    // Faults.
    std::set<std::uint32_t> lost_writes;  ///< the next write to each vanishes
    std::set<std::uint32_t>
        refused_writes;           ///< the next write to each arrives with partial strobes
    int fetches_without_gap = 0;  ///< so many fetches find no slot
    std::uint32_t fault = 0, fault_count = 0;  ///< what FAULT and FAULT_COUNT show until cleared
    /// Flips bits of a table word, named by the staging register that would fetch it.
    void flip(std::uint32_t index, std::uint32_t address, std::uint32_t bits);

private:
    struct Entry;
    void before_commit(std::uint32_t bits) override;
    static std::set<std::uint32_t> session_entries(
        const std::function<std::uint32_t(std::uint32_t)>& word);

    std::uint64_t drained_ = 0;
    std::map<std::uint32_t, std::uint64_t> freed_;  ///< commit that freed a session entry
};

}  // namespace mirrornic
