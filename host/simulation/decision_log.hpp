// SPDX-License-Identifier: Apache-2.0
/// What became of each pass and why, as JSON Lines in the words of the configuration.
/// Source: docs/command.md, decisions; docs/behaviour.md rules P24, T2.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "driver/mirror_device.hpp"
#include "host/base/json_text.hpp"
#include "host/frames/line_writer.hpp"
#include "sim/offload.hpp"
#include "sim/ring.hpp"

namespace mirrornic {

/// Says what became of each pass, in the words of the configuration. Passes are alike, and what is
/// said of one is kept for the next of its kind.
class DecisionLog {
public:
    DecisionLog(const std::optional<std::string>& name, std::unique_ptr<Turns> turns, bool live)
        : out_(name, std::move(turns), live) {}
    OutputFile* file() { return out_.file(); }
    bool open() const { return out_.open(); }
    /// A placement that frames may be decided by from now on, in the place of one with its sequence
    /// number or a later one.
    void placed(const std::shared_ptr<const Placement>& placement);
    /// @param sequence of the placement in force when the pass was fed
    void fed(std::uint64_t frame, const std::string* interface, Direction direction,
             std::size_t size, std::uint64_t sequence) {
        passes_.push({frame, interface, direction, size, sequence});
    }
    void decided(const DecisionRecord& record);
    void end_piece(std::uint64_t piece) { out_.end_piece(piece); }
    void flush() { out_.flush(); }
    void close() { out_.close(); }

private:
    struct Pass {
        std::uint64_t frame;
        const std::string* interface;  ///< null: none
        Direction direction;
        std::size_t size;
        std::uint64_t sequence;  ///< of the placement in force when it was fed
    };
    /// All that a line hangs on, but for its numbers.
    struct Kind {
        const std::string* interface;
        std::uint64_t fields;
        bool operator==(const Kind& other) const {
            return interface == other.interface && fields == other.fields;
        }
    };
    struct Hash {
        std::size_t operator()(const Kind& kind) const {
            return std::hash<const void*>()(kind.interface) ^ kind.fields * 0x9e3779b97f4a7c15;
        }
    };
    /// A line from its "Length" on: before and after the number of bytes kept.
    struct Text {
        std::string begin, end;
        bool kept = false;
    };
    static constexpr std::size_t texts_limit = 4096;

    static Kind kind_of(const Pass& pass, const DecisionRecord& record);
    Text text_of(const Pass& pass, const DecisionRecord& record) const;
    /// Names a rule by its place in the hardware; one that the filter does not have has no name.
    static void name_rule(OrderedJson& json, const Placement::Slot& slot, Direction direction,
                          std::size_t rule) {
        if (!slot.filter) return;
        const auto& rules =
            direction == Direction::egress ? slot.filter->egress : slot.filter->ingress;
        if (rule < rules.size()) json["TrafficMirrorFilterRuleId"] = rules[rule].id;
    }
    void forget_before(std::uint64_t sequence);

    LineWriter out_;
    Ring<Pass> passes_;
    /// In ascending sequence: what the next undecided pass can mean, and what follows it.
    std::deque<std::shared_ptr<const Placement>> placements_;
    std::unordered_map<Kind, Text, Hash> texts_;  ///< under the oldest placement
    std::string line_;
};

}  // namespace mirrornic
