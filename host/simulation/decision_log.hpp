// SPDX-License-Identifier: Apache-2.0
/// Writes the file of `--decisions`: how each pass ended and why, as JSON Lines with the names of
/// the configuration. Source: docs/command.md, decisions; docs/behaviour.md rules P24, T2.
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

/// Writes one line for each pass, with names in the place of the device's indices. Many passes are
/// of one kind, so the text of a line is kept for the next pass of its kind. Not thread-safe.
class DecisionLog {
public:
    DecisionLog(const std::optional<std::string>& name, std::unique_ptr<Turns> turns, bool live)
        : out_(name, std::move(turns), live) {}
    OutputFile* file() { return out_.file(); }
    bool open() const { return out_.open(); }
    /// To be called with each new placement (MirrorDevice::on_placement). It replaces those with
    /// its sequence number or a later one.
    void placed(const std::shared_ptr<const Placement>& placement);
    /// To be called for each pass that is fed, in order.
    /// @param interface null: at no tap; must stay valid until the pass is decided
    /// @param sequence of the placement in force when the pass was fed
    void fed(std::uint64_t frame, const std::string* interface, Direction direction,
             std::size_t size, std::uint64_t sequence) {
        passes_.push({frame, interface, direction, size, sequence});
    }
    /// To be called for each decision, in order; writes the line of the oldest pass that is not
    /// decided.
    void decided(const DecisionRecord& record);
    void end_piece(std::uint64_t piece) { out_.end_piece(piece); }
    void flush() { out_.flush(); }
    void close() { out_.close(); }

private:
    struct Pass {
        std::uint64_t frame;
        const std::string* interface;  ///< null: at no tap
        Direction direction;
        std::size_t size;
        std::uint64_t sequence;  ///< of the placement in force when it was fed
    };
    /// All that a line's text depends on, except its numbers.
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
    /// The text of a line from "Length" on, without the number of bytes kept.
    struct Text {
        std::string begin, end;  ///< before and after that number
        bool kept = false;       ///< the line has that number
    };
    static constexpr std::size_t texts_limit = 4096;

    static Kind kind_of(const Pass& pass, const DecisionRecord& record);
    Text text_of(const Pass& pass, const DecisionRecord& record) const;
    /// Adds the id of a rule. @param rule its place in the device's list; without a rule there,
    /// nothing is added
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
    /// In ascending sequence: the placements by which a pass may still be decided.
    std::deque<std::shared_ptr<const Placement>> placements_;
    std::unordered_map<Kind, Text, Hash> texts_;  ///< valid for the oldest placement only
    std::string line_;
};

}  // namespace mirrornic
