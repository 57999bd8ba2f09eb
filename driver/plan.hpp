// SPDX-License-Identifier: Apache-2.0
/// Plans the commits that lead from the tables as they are to the tables as they are wanted.
/// Internal to the driver. Pure: no register is accessed here.
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

/// The tables that the device holds, as the driver believes, with the caller's ids beside the
/// indices. The device stores no ids: after it was read back they are empty, until plan_changes
/// finds out which session, filter and interface has that content.
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
    /// First in, first out: an index that was never used is taken first, then the one that is free
    /// the longest. A shell may have tagged frames with an index before the index was freed; so
    /// these frames rarely meet the index's next owner.
    std::deque<Free> free_interfaces, free_filters, free_sessions;

    // Derived from the above: index() builds them, apply() and take_back() keep them right.
    std::unordered_map<std::string, std::uint32_t> interface_of, filter_of;  ///< by name
    std::vector<unsigned> references;  ///< slots that point to each filter
    void index();

    /// What a step replaced: what take_back() needs to undo it.
    struct Undo {
        struct FreeList {
            std::deque<Free> Tables::*list;
            std::optional<std::pair<std::size_t, Free>> taken;  ///< from where; or: one was given
        };
        std::optional<std::pair<std::uint32_t, Interface>> interface;
        std::optional<std::pair<std::uint32_t, encoding::SessionWords>> session;
        std::vector<std::pair<std::uint32_t, LoadedFilter>> filters;
        std::vector<FreeList> free;
    };
    /// Makes the tables what they are after the step, as the commit numbered `sequence`.
    Undo apply(const Step& step, std::uint64_t sequence);
    /// Undoes the last step that was applied and not undone.
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
    std::optional<std::pair<std::uint32_t, Tables::LoadedFilter>> filter;  ///< then nothing else
    std::vector<std::uint32_t> freed_filters;
};

struct Changes {
    /// The tables as they are, with the ids that were found by their content; nothing: all ids were
    /// known before.
    std::optional<Tables> base;
    std::vector<Step> steps;
    /// Filters whose words stay as they are while the ids of their rules change: index, and the
    /// filter with the new ids.
    std::vector<std::pair<std::uint32_t, std::shared_ptr<const Filter>>> renamed;
};

/// From any tables to `desired`. @throws TableFull, std::invalid_argument.
Changes plan_changes(const Tables& tables, const TableState& desired, const TableSizes& sizes);
/// From tables that already are as desired except for what was touched, in time that depends on
/// what was touched only. `tables` is changed during the call, and is as before when it returns or
/// throws. @throws TableFull, std::invalid_argument.
Changes plan_changes(Tables& tables, const TableState& desired, const Touched& touched,
                     const TableSizes& sizes);

}  // namespace mirrornic
