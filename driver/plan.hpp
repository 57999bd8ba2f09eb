// SPDX-License-Identifier: Apache-2.0
/// From the tables as they are to the tables as they are wanted, commit by commit. Internal to the
/// driver; no register is touched here.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "encoding.hpp"
#include "mirror_device.hpp"
#include "tables.hpp"

namespace mirrornic {

struct Step;

/// The driver's image of the device's tables, with the caller's ids beside the indices. The device
/// stores no ids: after it was read back they are empty until plan_changes matches the content.
struct Tables {
    struct Slot {
        std::string session;
        encoding::Slot word;
    };
    struct Interface {
        std::string name;
        std::optional<std::uint32_t> resolver;
        std::vector<Slot> slots;  ///< empty: the index is free
        encoding::InterfaceWord word() const;
    };
    struct LoadedFilter {
        std::string name;
        std::shared_ptr<const Filter> filter;
        std::shared_ptr<const encoding::FilterWords> words;  ///< null: the index is free
    };
    /// A free index and the commit that freed it.
    struct Free {
        std::uint32_t index;
        std::uint64_t since;
    };
    std::vector<Interface> interfaces;
    std::vector<LoadedFilter> filters;
    std::vector<encoding::SessionWords> sessions;
    /// Taken at the front, given back at the end: never used first, then longest free. So frames
    /// that a shell has tagged before a change meet a new owner of their index as late as can be.
    std::deque<Free> free_interfaces, free_filters, free_sessions;

    /// What the tables are after the step, as the commit numbered `sequence`.
    void apply(const Step& step, std::uint64_t sequence);
};

/// What one commit writes.
struct Step {
    std::optional<std::pair<std::uint32_t, Tables::Interface>> interface;
    std::optional<std::pair<std::uint32_t, encoding::SessionWords>> session;
    bool new_session = false;  ///< the entry was free; its counters start at 0
    std::optional<std::pair<std::uint32_t, Tables::LoadedFilter>> filter;  ///< alone
    std::vector<std::uint32_t> freed_filters;
};

struct Changes {
    Tables base;  ///< the tables as they are, with the ids that matching found
    std::vector<Step> steps;
};

/// @throws TableFull, std::invalid_argument.
Changes plan_changes(const Tables& tables, const TableState& desired, const TableSizes& sizes);

}  // namespace mirrornic
