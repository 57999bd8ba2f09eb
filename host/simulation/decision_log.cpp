// SPDX-License-Identifier: Apache-2.0
#include "host/simulation/decision_log.hpp"

#include <algorithm>
#include <charconv>

namespace mirrornic {
namespace {

const char* to_string(DecisionRecord::Outcome outcome) {
    static const char* const names[] = {"not eligible", "not accepted", "mirrored", "dropped"};
    return names[static_cast<int>(outcome)];
}

const char* to_string(DecisionRecord::Cause cause) {
    using Cause = DecisionRecord::Cause;
    switch (cause) {
        case Cause::no_tap:
            return "no tap";
        case Cause::malformed:
            return "malformed";
        case Cause::marked_bad:
            return "marked bad";
        case Cause::not_ip:
            return "not IP";
        case Cause::excluded:
            return "excluded service";
        case Cause::table_fault:
            return "table fault";
        case Cause::overflow:
            return "mirror output too slow";
        case Cause::reset:
            return "mirror reset";
        case Cause::session_fault:
            return "session entry fault";
        case Cause::none:
            break;
    }
    return "";
}

}  // namespace

DecisionLog::Kind DecisionLog::kind_of(const Pass& pass, const DecisionRecord& record) {
    std::uint64_t fields = 0;
    const auto add = [&fields](unsigned value, unsigned bits) { fields = fields << bits | value; };
    add(pass.direction == Direction::egress, 1);
    add(static_cast<unsigned>(record.outcome), 2);
    add(static_cast<unsigned>(record.cause), 4);
    add(record.by_service, 1);
    add(record.late_bad, 1);
    add(record.slot, 2);
    add(record.rule_index, 4);
    for (unsigned i = 0; i < DecisionRecord::slots; ++i) {
        add(static_cast<unsigned>(record.why[i]), 2);
        add(record.why_rule[i], 4);
    }
    return {pass.interface, fields};
}

void DecisionLog::placed(const std::shared_ptr<const Placement>& placement) {
    while (!placements_.empty() && placements_.back()->sequence >= placement->sequence) {
        placements_.pop_back();
        if (placements_.empty()) texts_.clear();
    }
    placements_.push_back(placement);
    // If no pass is undecided, the next one will be fed with this placement in force, or with the
    // one before if this one's commit fails.
    forget_before(passes_.empty() ? placement->sequence - 1 : passes_.front().sequence);
}

/// Forgets placements that are not needed for passes that are decided by this one or a later one.
void DecisionLog::forget_before(std::uint64_t sequence) {
    while (placements_.size() > 1 && placements_[1]->sequence <= sequence) {
        placements_.pop_front();
        texts_.clear();
    }
}

void DecisionLog::decided(const DecisionRecord& record) {
    if (passes_.empty()) return;
    const Pass pass = passes_.front();
    passes_.pop();
    // A pass is decided by the tables that were in force when it was fed, or by later ones. A
    // record that is not eligible may have no version, so only the former is known.
    forget_before(record.outcome == DecisionRecord::Outcome::not_eligible
                      ? pass.sequence
                      : Placement::unwrap(record.version, pass.sequence));
    if (texts_.size() == texts_limit) texts_.clear();
    auto [at, fresh] = texts_.try_emplace(kind_of(pass, record));
    if (fresh) at->second = text_of(pass, record);
    const Text& text = at->second;
    const auto number = [this](std::uint64_t value) {
        char digits[20];
        line_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    };
    line_ = "{\"Frame\":";
    number(pass.frame);
    line_ += ",\"Length\":";
    number(pass.size);
    line_ += text.begin;
    if (text.kept) number(record.kept);
    line_ += text.end;
    out_.line(line_);
}

DecisionLog::Text DecisionLog::text_of(const Pass& pass, const DecisionRecord& record) const {
    using Outcome = DecisionRecord::Outcome;
    OrderedJson json, rest;  // before and after the number of bytes kept
    if (pass.interface) {
        json["NetworkInterfaceId"] = *pass.interface;
        json["Direction"] = pass.direction == Direction::egress ? "egress" : "ingress";
    }
    json["Outcome"] = to_string(record.outcome);
    if (record.cause != DecisionRecord::Cause::none) json["Cause"] = to_string(record.cause);

    Text text;
    if (record.outcome != Outcome::not_eligible) {
        const Placement::Tapped* tapped = nullptr;
        for (const auto& candidate : placements_.front()->interfaces) {
            if (pass.interface && candidate->interface == *pass.interface) tapped = candidate.get();
        }
        const std::size_t slots =
            tapped ? std::min<std::size_t>(tapped->slots.size(), DecisionRecord::slots) : 0;
        const bool accepted = record.outcome != Outcome::not_accepted;
        OrderedJson rejected = OrderedJson::array();
        for (std::size_t i = 0; i < slots && i < (accepted ? record.slot : slots); ++i) {
            const auto& slot = tapped->slots[i];
            if (slot.session.empty()) continue;
            OrderedJson reason{{"TrafficMirrorSessionId", slot.session}};
            switch (record.why[i]) {
                case DecisionRecord::Why::empty:
                    continue;
                case DecisionRecord::Why::no_rule:
                    reason["Why"] = "no rule";
                    break;
                case DecisionRecord::Why::rejected:
                    reason["Why"] = "rejected by rule";
                    name_rule(reason, slot, pass.direction, record.why_rule[i]);
                    break;
                case DecisionRecord::Why::rejected_dns:
                    reason["Why"] = "amazon-dns is off";
                    break;
            }
            rejected.push_back(std::move(reason));
        }
        if (!accepted && rejected.empty()) json["Cause"] = "no session";
        if (accepted && record.slot < slots) {
            const auto& slot = tapped->slots[record.slot];
            json["TrafficMirrorSessionId"] = slot.session;
            if (record.by_service) {
                json["NetworkService"] = "amazon-dns";
            } else {
                name_rule(json, slot, pass.direction, record.rule_index);
            }
            text.kept = true;
            if (record.late_bad) rest["LateBad"] = true;
        }
        if (!rejected.empty()) rest["Rejected"] = std::move(rejected);
    }
    const auto members = [](const OrderedJson& object) {  // without the braces
        const std::string all = object.dump();
        return all.substr(1, all.size() - 2);
    };
    text.begin = "," + members(json) + (text.kept ? ",\"Kept\":" : "");
    if (!rest.empty()) text.end = "," + members(rest);
    text.end += "}";
    return text;
}

}  // namespace mirrornic
