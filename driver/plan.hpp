// SPDX-License-Identifier: Apache-2.0
/// From the tables as they are to the tables as they are wanted, commit by commit. Internal to the
/// driver; no register is touched here.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "driver/encoding.hpp"
#include "driver/mirror_device.hpp"
#include "driver/tables.hpp"

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

    // By the above; index() makes them, apply() keeps them.
    std::unordered_map<std::string, std::uint32_t> interface_of, filter_of;  ///< by name
    std::vector<unsigned> references;  ///< slots that point to each filter
    void index();

    /// What takes a step back.
    struct Undo {
        struct FreeList {
            std::deque<Free> Tables::*list;
            std::optional<std::pair<std::size_t, Free>> taken;  ///< from where; else one was given
        };
        std::optional<std::pair<std::uint32_t, Interface>> interface;
        std::optional<std::pair<std::uint32_t, encoding::SessionWords>> session;
        std::vector<std::pair<std::uint32_t, LoadedFilter>> filters;
        std::vector<FreeList> free;
    };
    /// Makes the tables what they are after the step, as the commit numbered `sequence`.
    Undo apply(const Step& step, std::uint64_t sequence);
    void take_back(const Undo& undo);

private:
    void set(std::uint32_t index, Interface next);
    void set(std::uint32_t index, LoadedFilter next);
    Undo::FreeList take(std::deque<Free> Tables::*list, std::uint32_t index);
    Undo::FreeList give(std::deque<Free> Tables::*list, std::uint32_t index, std::uint64_t since);
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
    /// The tables as they are, with the ids that matching found; nothing: they were known.
    std::optional<Tables> base;
    std::vector<Step> steps;
    /// Filters whose rules have other ids in words that stay, and those with them.
    std::vector<std::pair<std::uint32_t, std::shared_ptr<const Filter>>> renamed;
};

/// From any tables. @throws TableFull, std::invalid_argument.
Changes plan_changes(const Tables& tables, const TableState& desired, const TableSizes& sizes);
/// From tables that are as desired but for what was touched, in time that depends on that alone.
/// `tables` is changed on the way and is as before at the end. @throws TableFull,
/// std::invalid_argument.
Changes plan_changes(Tables& tables, const TableState& desired, const Touched& touched,
                     const TableSizes& sizes);

}  // namespace mirrornic
