// SPDX-License-Identifier: Apache-2.0
#include "rig.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>
#include <utility>

#include "register_map.hpp"

namespace mirrornic::test {
namespace {

unsigned popcount(std::uint64_t bits) {
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1) ++count;
    return count;
}

std::uint64_t keep_of(std::size_t bytes) {
    return bytes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
}

/// The context is only made for a failure.
template <class... Parts>
void expect(bool ok, const Parts&... parts) {
    if (ok) return;
    std::ostringstream text;
    (text << ... << parts);
    throw Mismatch(text.str());
}

}  // namespace

Rig::Rig(const Board::Options& options) : board_(options) {
    const auto services = reference::default_services();
    for (std::size_t i = 0; i < services.size(); ++i) services_[i] = services[i];
    default_services_ = services_;
    current_ = translate(state_);
    board_.offload().queue_limit = 8192;  // tests want to know that there is always a frame to come
}

std::shared_ptr<Rig::Version> Rig::translate(const TableState& state) const {
    auto version = std::make_shared<Version>();
    static_cast<ReferenceTables&>(*version) = reference_tables(state);
    version->tables.source_port_base = port_base_;
    version->tables.source_port_bits = port_bits_;
    version->tables.services.clear();
    for (const auto& [index, entry] : services_) version->tables.services.push_back(entry);
    if (device_) version->placement = device_->placement();
    return version;
}

void Rig::run(const std::function<void()>& body) {
    board_.on_forward = [this](const Received& received) { forwarded(received); };
    board_.on_copy = [this](const Received& received) {
        arrived_.push_back({Bytes(received.data, received.data + received.size),
                            received.transfer.tag, received.transfer.session});
        if (disturb_copy) disturb_copy(arrived_.back().data);
        if (on_copy) on_copy(received);
        if (!mirror_reset_) {
            latency_minimum_ = std::min(latency_minimum_, received.transfer.latency);
            latency_maximum_ = std::max(latency_maximum_, received.transfer.latency);
        }
        ++copies_;
        compare_copies();
    };
    offload().on_decision = [this](const DecisionRecord& record) { decided(record); };
    board_.run([this, &body] {
        open();
        body();
        wait();
        check_counters();
    });
    expect(no_copy_ == (copies_ == 0), no_copy_ ? "a copy came out of a run that has none"
                                                : "the run mirrored nothing, so it shows nothing");
}

void Rig::open() {
    beside_device_ = false;
    device_ = std::make_unique<MirrorDevice>(registers());
    changed(current_, device_->placement()->version());
    if (!state_.sessions.empty()) apply(state_);
}

/// The tables are now those of state_, since the commit that the device names.
void Rig::changed(const std::shared_ptr<const Version>& old, std::uint16_t before) {
    current_ = translate(state_);
    const std::uint16_t after = device_->placement()->version();
    // A change is its last commit: what is loaded before it is not referred to yet.
    for (std::uint16_t version = before; version != after; ++version) versions_[version] = old;
    versions_[after] = current_;
    version_ = after;
    decide_deferred();
}

void Rig::apply(const TableState& state) {
    if (beside_device_) open();
    for (const auto& [id, session] : state_.sessions)
        session_gone_ |= state.sessions.count(id) == 0;
    const std::uint16_t before = device_->placement()->version();
    const auto old = current_;
    const auto plan = device_->plan(state);
    state_ = state;
    device_->commit(plan);
    changed(old, before);
}

void Rig::source_ports(std::uint16_t base, std::uint8_t bits) {
    if (beside_device_) open();
    const std::uint16_t before = device_->placement()->version();
    const auto old = current_;
    device_->set_source_ports(base, bits);
    port_base_ = base;
    port_bits_ = bits;
    changed(old, before);
}

std::optional<std::string> Rig::repair() {
    if (beside_device_) open();
    const std::uint16_t before = device_->placement()->version();
    const auto old = current_;
    auto done = device_->repair();
    changed(old, before);
    return done;
}

void Rig::put_service(std::size_t index, const std::optional<reference::ServiceEntry>& entry) {
    namespace map = registers;
    using Protocol = reference::ServiceEntry::Protocol;
    registers().write(map::service_index::address(), std::uint32_t(index));
    std::uint32_t flags = 0, address[4] = {}, ports = 0;
    services_.erase(index);
    if (entry) {
        services_[index] = *entry;
        const bool any = entry->protocol == Protocol::any,
                   both = entry->protocol == Protocol::tcp_or_udp;
        flags = map::service_flags::valid(1) |
                map::service_flags::dns(entry->action == reference::ServiceEntry::Action::dns) |
                map::service_flags::v6(entry->version == 6) |
                map::service_flags::any_address(!entry->address) |
                map::service_flags::tcp(!any && (both || entry->protocol == Protocol::tcp)) |
                map::service_flags::udp(!any && (both || entry->protocol == Protocol::udp)) |
                map::service_flags::has_ports(entry->ports.has_value()) |
                map::service_flags::either_side(entry->side ==
                                                reference::ServiceEntry::PortSide::either);
        if (entry->ports) {
            ports = map::service_ports::from(entry->ports->from) |
                    map::service_ports::to(entry->ports->to);
        }
        for (std::size_t i = 0; entry->address && i < 16; ++i) {
            address[3 - i / 4] |= std::uint32_t{entry->address->bytes[i]} << (24 - 8 * (i % 4));
        }
    }
    registers().write(map::service_flags::address(), flags);
    registers().write(map::service_ports::address(), ports);
    for (std::uint32_t i = 0; i < 4; ++i)
        registers().write(map::service_address::address(i), address[i]);
    registers().write(map::commit::address(), map::commit::service(1));
    version_ = map::commit_status::sequence.of(registers().read(map::commit_status::address()));
    versions_[version_] = current_ = translate(state_);
    beside_device_ = true;
    decide_deferred();
}

Transfer Rig::when_room() {
    Transfer transfer;
    transfer.when_room = true;
    return transfer;
}

void Rig::send(const Bytes& frame, const std::optional<Tapping>& tap, Transfer transfer) {
    transfer.tag = next_tag_++;
    transfer.tap = tap.has_value();
    if (tap) {
        transfer.egress = tap->direction == Direction::egress;
        transfer.index = tap->index ? *tap->index : device_->interface_index(tap->interface);
    }
    auto shared = std::make_shared<Bytes>(frame);
    Sent sent{transfer.tag,
              shared,
              transfer.tap,
              transfer.egress,
              transfer.index,
              version_,
              {},
              {},
              frame.size(),
              std::min<std::size_t>(frame.size(), 128),
              false};
    const std::size_t beats = (frame.size() + 63) / 64;
    for (const BeatMark& mark : transfer.marks) {
        if (mark.beat >= beats) continue;
        if (mark.error && (!sent.first_bad || mark.beat < *sent.first_bad))
            sent.first_bad = mark.beat;
        if (!mark.keep) continue;
        const std::uint64_t keep = *mark.keep;
        const std::uint64_t whole = keep_of(frame.size() - 64 * mark.beat);
        const bool last = mark.beat + 1 == beats;
        expect(last ? keep == 0 || (keep & (keep + 1)) != 0 : keep != whole,
               "a test marks a beat malformed that is not");
        // Lanes beyond would show what an earlier beat left.
        expect((keep & ~whole) == 0, "a test's tkeep names lanes beyond the frame");
        if (!sent.first_malformed || mark.beat < *sent.first_malformed)
            sent.first_malformed = mark.beat;
        sent.counted -= popcount(whole) - popcount(keep);
        if (mark.beat < 2) sent.window -= popcount(whole) - popcount(keep);
    }
    Forwarding forwarding{
        transfer.tag,  shared, transfer.tap, transfer.egress, sent.first_bad.has_value(),
        transfer.index};
    if (sent.first_malformed) {  // I1: forwarded as it came; its bytes are those that tkeep names
        auto left = std::make_shared<Bytes>();
        for (std::size_t i = 0; i < frame.size(); ++i) {
            const auto hides = [i](const BeatMark& mark) {
                return mark.beat == i / 64 && mark.keep && (*mark.keep >> i % 64 & 1) == 0;
            };
            if (std::none_of(transfer.marks.begin(), transfer.marks.end(), hides))
                left->push_back(frame[i]);
        }
        forwarding.frame = left;
    }
    sent.rest = std::exchange(rest_comes_, false);
    sent_.push_back(std::move(sent));
    forwarding_.push_back(std::move(forwarding));
    board_.feed(frame.data(), frame.size(), transfer);
}

void Rig::wait() {
    offload().wait_until_idle();
    expect(deferred_.empty(), "T2 a pass was decided by tables of version ",
           deferred_.empty() ? 0 : deferred_.front().version);
    if (mirror_reset_) {
        while (!expected_.empty()) {
            settle(expected_.front(), reference::Drop::reset);
            expected_.pop_front();
        }
        mirror_reset_ = false;
    }
    expect(sent_.empty(), "I5 ", sent_.size(), " passes were not decided");
    expect(forwarding_.empty(), "P1 ", forwarding_.size(), " frames were not forwarded");
    expect(expected_.empty(), "P22 ", expected_.size(), " copies are missing");
    expect(arrived_.empty(), "P12 ", arrived_.size(), " copies are of no pass");
}

void Rig::reset(Offload::Neighbours neighbours) {
    offload().reset(neighbours);
    const std::size_t queued = offload().queued();
    sent_.erase(sent_.begin(), sent_.end() - std::ptrdiff_t(queued));
    forwarding_.erase(forwarding_.begin(), forwarding_.end() - std::ptrdiff_t(queued));
    expected_.clear();
    arrived_.clear();
    deferred_.clear();
    ledger_ = {};
    session_totals_.clear();
    snapshot_.reset();
    device_.reset();
    state_ = {};
    port_base_ = 49152;
    port_bits_ = 14;
    services_ = default_services_;
    versions_.clear();
    current_ = translate(state_);
    versions_[version_ = 0] = current_;
    for (Sent& sent : sent_) sent.version = 0;
    mirror_reset_ = session_gone_ = false;
    sweeping_ = true;
    rest_comes_ = neighbours == Offload::Neighbours::go_on;
    if (!rest_comes_ || sent_.empty()) return;
    // The front frame's beats that are not in yet, or all of them.
    rest_comes_ = false;
    Sent& sent = sent_.front();
    expect(!sent.first_bad && !sent.first_malformed, "a test resets amid a marked frame");
    const Bytes& frame = *sent.frame;
    const auto in = std::ptrdiff_t(64 * offload().beats_in());
    const auto rest = std::make_shared<Bytes>(frame.begin() + in, frame.end());
    sent.rest = true;
    sent.frame = forwarding_.front().frame = rest;
    sent.counted = rest->size();
    sent.window = std::min<std::size_t>(rest->size(), 128);
}

void Rig::reset_mirror() {
    mirror_reset_ = true;
    registers().write(registers::control::address(), registers::control::mirror_reset(1));
}

void Rig::forwarded(const Received& received) {
    expect(!forwarding_.empty(), "P1 a frame was forwarded that was not sent");
    const Forwarding sent = std::move(forwarding_.front());
    forwarding_.pop_front();
    expect(std::equal(received.data, received.data + received.size, sent.frame->begin(),
                      sent.frame->end()),
           "P1 pass ", sent.tag, " was not forwarded unchanged and in order");
    const Transfer& transfer = received.transfer;
    expect(transfer.tap == sent.tap && transfer.egress == sent.egress &&
               transfer.index == sent.index && transfer.error == sent.bad,
           "I2 pass ", sent.tag, " was forwarded with another tuser");
    if (on_forward) on_forward(received);
}

void Rig::decided(const DecisionRecord& record) {
    if (!deferred_.empty() || versions_.count(record.version) == 0) {
        deferred_.push_back(record);
    } else {
        judge(record);
    }
}

void Rig::decide_deferred() {
    while (!deferred_.empty() && versions_.count(deferred_.front().version) != 0) {
        const DecisionRecord record = deferred_.front();
        deferred_.pop_front();
        judge(record);
    }
}

void Rig::judge(const DecisionRecord& record) {
    using Outcome = DecisionRecord::Outcome;
    using Cause = DecisionRecord::Cause;
    expect(!sent_.empty() && sent_.front().tag == record.tag, "I5 pass ", record.tag,
           " was decided out of order");
    const Sent sent = std::move(sent_.front());
    sent_.pop_front();
    const auto& version = *versions_.at(record.version);
    const auto check = [&](bool ok, const char* what) {
        expect(ok, "pass ", sent.tag, " of ", sent.frame->size(), " bytes by version ",
               record.version, ": ", what, " (outcome ", int(record.outcome), ", cause ",
               int(record.cause), ", slot ", int(record.slot), ", rule ", int(record.rule_index),
               ", kept ", record.kept, ")");
    };

    reference::Pass pass{sent.frame->data(),   sent.counted, {},       sent.first_bad,
                         sent.first_malformed, sent.window,  sent.rest};
    std::optional<std::size_t> interface;
    const bool unready = sweeping_ && record.cause == Cause::no_tap;
    const std::size_t indices =
        version.placement ? version.placement->interfaces.size() : registers::sizes::interfaces;
    if (sent.tap && sent.index <= indices && !unready) {
        if (version.placement && sent.index < indices) {
            const auto known =
                version.interfaces.find(version.placement->interfaces[sent.index]->interface);
            if (known != version.interfaces.end()) interface = known->second;
        }
        pass.tap = reference::Tap{
            sent.egress ? reference::Direction::egress : reference::Direction::ingress,
            interface.value_or(reference::NoSessions)};
    }
    reference::Decision expected = reference::decide(version.tables, pass);
    if (record.cause == Cause::table_fault) {
        check(faults_allowed_, "T4 a table word is faulty");
        // A pass whose own marks or bytes leave it out is so whatever the tables hold.
        check(expected.outcome != reference::Outcome::not_eligible ||
                  expected.cause == reference::Cause::excluded,
              "T4 the cause is the pass's own");
        expected = {};
        expected.cause = reference::Cause::table;
        ++faulty_passes_;
    }
    // No session accepts a pass that meets a faulty word, so that a mark on any beat counts.
    const auto marked = sent.first_malformed ? Cause::malformed : Cause::marked_bad;
    if (faults_allowed_ && record.cause == marked &&
        (expected.late_bad || expected.cause == reference::Cause::marked_bad)) {
        expected = {};
        expected.cause =
            sent.first_malformed ? reference::Cause::malformed : reference::Cause::marked_bad;
    }
    if (faults_allowed_ && record.cause == Cause::session_fault &&
        expected.outcome == reference::Outcome::not_eligible) {
        // Selected and dropped: where its copy would end is not known, so no mark comes before
        // that.
        reference::Pass unmarked = pass;
        unmarked.first_bad_beat.reset();
        unmarked.first_malformed_beat.reset();
        expected = reference::decide(version.tables, unmarked);
    }
    ++outcomes_[std::size_t(record.outcome)];
    if (unready) ++swept_;
    if (expected.cause != reference::Cause::no_tap && !sent.rest) {
        sweeping_ = false;
        check(std::int16_t(record.version - sent.version) >= 0,
              "T2 a change was done before it was sent");
    }

    switch (expected.outcome) {
        case reference::Outcome::not_eligible: {
            static const std::map<reference::Cause, Cause> causes{
                {reference::Cause::no_tap, Cause::no_tap},
                {reference::Cause::malformed, Cause::malformed},
                {reference::Cause::marked_bad, Cause::marked_bad},
                {reference::Cause::not_ip, Cause::not_ip},
                {reference::Cause::excluded, Cause::excluded},
                {reference::Cause::table, Cause::table_fault}};
            check(record.outcome == Outcome::not_eligible, "is not eligible");
            check(record.cause == causes.at(expected.cause), "another cause");
            break;
        }
        case reference::Outcome::not_accepted:
            check(record.outcome == Outcome::not_accepted, "is not accepted");
            break;
        case reference::Outcome::selected:
            if (record.outcome == Outcome::dropped) {
                const bool allowed = record.cause == Cause::overflow        ? drops_allowed_
                                     : record.cause == Cause::session_fault ? faults_allowed_
                                                                            : mirror_reset_;
                check(allowed, "was dropped");
                faulty_passes_ += record.cause == Cause::session_fault;
            } else {
                check(record.outcome == Outcome::mirrored, "is selected");
                check(record.late_bad == expected.late_bad, "late_bad");
            }
            check(record.slot == expected.session, "another session");
            check(record.by_service == expected.by_service, "by_service");
            check(!expected.rule || record.rule_index == *expected.rule, "another rule");
            // A faulty length limit is nothing to go by.
            check((faults_allowed_ && record.outcome == Outcome::dropped) ||
                      record.kept == expected.kept,
                  "P14 another length");
            break;
    }
    if (expected.outcome != reference::Outcome::not_eligible) {
        for (std::size_t i = 0; i < expected.tried.size(); ++i) {
            const auto& tried = expected.tried[i];
            if (tried.accept) continue;
            using Reason = reference::Verdict::Reason;
            const auto why = tried.reason == Reason::no_rule ? DecisionRecord::Why::no_rule
                             : tried.reason == Reason::rule  ? DecisionRecord::Why::rejected
                                                             : DecisionRecord::Why::rejected_dns;
            check(record.why[i] == why, "a slot rejects for another reason");
            check(tried.reason != Reason::rule || record.why_rule[i] == tried.rule,
                  "another rule rejects");
        }
    }
    if (expected.outcome == reference::Outcome::selected) {
        const Expected selected{
            sent.tag,
            pass,
            expected,
            version.sessions.at(*interface).at(expected.session),
            record.version,
            version.placement->interfaces[sent.index]->slots.at(expected.session).session_index};
        if (record.outcome == Outcome::dropped) {
            settle(selected, record.cause == Cause::reset           ? reference::Drop::reset
                             : record.cause == Cause::session_fault ? reference::Drop::table
                                                                    : reference::Drop::overload);
        } else {
            expected_.push_back(selected);
        }
    } else {
        ledger_.record(pass, expected);
    }
    if (on_decision) on_decision(record);
    if (on_judged)
        on_judged({*sent.frame, pass, version.tables, expected, record, sent.index,
                   std::int16_t(record.version - sent.version), unready});
    compare_copies();
}

std::size_t Rig::older_copies() const {
    return std::size_t(
        std::count_if(expected_.begin(), expected_.end(),
                      [this](const Expected& expected) { return expected.version != version_; }));
}

/// A selected pass has met its fate.
void Rig::settle(const Expected& selected, std::optional<reference::Drop> drop) {
    ledger_.record(selected.pass, selected.decision, drop);
    auto& totals = session_totals_[selected.session];
    auto& fate = drop ? totals.dropped : totals.mirrored;
    for (Tally* tally : {&totals.selected, &fate}) {
        ++tally->frames;
        tally->bytes += selected.pass.size;
    }
    if (drop) {
        if (*drop == reference::Drop::reset) ++reset_drops_;
        if (*drop == reference::Drop::overload) ++drops_;
    } else {
        totals.mirrored_bytes += selected.decision.copy_bytes;
        totals.truncated += selected.decision.truncated ? 1 : 0;
        late_bad_ += selected.decision.late_bad ? 1 : 0;
    }
}

void Rig::compare_copies() {
    while (!expected_.empty() && !arrived_.empty()) {
        const Expected& expected = expected_.front();
        const Bytes &got = arrived_.front().data, &want = expected.decision.copy;
        if (got != want) {
            if (mirror_reset_) {  // P25: announced as mirrored, dropped before it left
                settle(expected, reference::Drop::reset);
                expected_.pop_front();
                continue;
            }
            const std::size_t common = std::min(got.size(), want.size());
            const auto at =
                std::mismatch(got.begin(), got.begin() + std::ptrdiff_t(common), want.begin())
                    .first;
            expect(false, "the copy of pass ", expected.tag, " has ", got.size(),
                   " bytes, the model's ", want.size(), "; first difference at byte ",
                   at - got.begin());
        }
        expect(mirror_reset_ || arrived_.front().tag == expected.tag,
               "P21 a copy came out of order");
        expect(mirror_reset_ || arrived_.front().session_entry == expected.session_entry,
               "I3 the copy of pass ", expected.tag, " names session entry ",
               arrived_.front().session_entry, ", its session has ", expected.session_entry);
        settle(expected, {});
        last_copy_ = std::move(arrived_.front().data);
        expected_.pop_front();
        arrived_.pop_front();
    }
}

void Rig::check_counters() {
    const Counters counters = device_->counters();
    const reference::Totals& totals = ledger_.totals();
    const auto equal = [](std::uint64_t got, std::uint64_t want, const auto&... what) {
        expect(got == want, "P23 ", what..., ": counted ", got, ", the model's ", want);
    };
    const auto same = [&equal](const Tally& got, const reference::Count& want, const char* what) {
        equal(got.frames, want.passes, what, " passes");
        equal(got.bytes, want.bytes, what, " bytes");
    };
    same(counters.received, totals.received, "received");
    same(counters.forwarded, totals.forwarded, "forwarded");
    same(counters.not_eligible, totals.not_eligible, "not_eligible");
    same(counters.not_accepted, totals.not_accepted, "not_accepted");
    same(counters.selected, totals.selected, "selected");
    same(counters.mirrored, totals.mirrored, "mirrored");
    same(counters.dropped, totals.dropped, "dropped");
    same(counters.in_flight, {}, "in_flight");
    const auto cause = [&totals](reference::Cause key) {
        const auto found = totals.not_eligible_by_cause.find(key);
        return found == totals.not_eligible_by_cause.end() ? 0 : found->second.passes;
    };
    equal(counters.causes.no_tap, cause(reference::Cause::no_tap), "no_tap");
    equal(counters.causes.malformed, cause(reference::Cause::malformed), "malformed");
    equal(counters.causes.marked_bad, cause(reference::Cause::marked_bad), "marked_bad");
    equal(counters.causes.not_ip, cause(reference::Cause::not_ip), "not_ip");
    equal(counters.causes.excluded, cause(reference::Cause::excluded), "excluded");
    equal(counters.causes.table_fault, cause(reference::Cause::table), "table_fault");
    const auto drops = [&totals](reference::Drop key) {
        const auto found = totals.dropped_by_cause.find(key);
        return found == totals.dropped_by_cause.end() ? 0 : found->second.passes;
    };
    equal(counters.causes.overflow, drops(reference::Drop::overload), "overflow");
    equal(counters.causes.reset, drops(reference::Drop::reset), "reset");
    equal(counters.causes.session_fault, drops(reference::Drop::table), "session_fault");
    equal(counters.causes.late_bad, totals.late_bad.passes, "late_bad");
    for (const auto& [id, got] : counters.sessions) {
        const SessionCounters want = session_totals_[id];
        const auto fate = [&equal, &id = id](const Tally& a, const Tally& b, const char* what) {
            equal(a.frames, b.frames, "session ", id, ": ", what, " passes");
            equal(a.bytes, b.bytes, "session ", id, ": ", what, " bytes");
        };
        fate(got.selected, want.selected, "selected");
        fate(got.mirrored, want.mirrored, "mirrored");
        fate(got.dropped, want.dropped, "dropped");
        equal(got.truncated, want.truncated, "session ", id, ": truncated");
        equal(got.mirrored_bytes, want.mirrored_bytes, "session ", id, ": mirrored bytes");
    }
}

void Rig::check_snapshot() {
    const Counters now = device_->counters();
    const Counters& before = snapshot_ ? *snapshot_ : Counters{};
    const auto sum = [](std::initializer_list<Tally> parts) {
        Tally total;
        for (const Tally& part : parts) {
            total.frames += part.frames;
            total.bytes += part.bytes;
        }
        return total;
    };
    const auto equal = [](const Tally& a, const Tally& b, const char* what) {
        expect(a.frames == b.frames && a.bytes == b.bytes, "P23 ", what, ": ", a.frames,
               " passes, ", a.bytes, " bytes against ", b.frames, ", ", b.bytes);
    };
    const auto grows = [](const Tally& a, const Tally& b, const char* what) {
        expect(a.frames <= b.frames && a.bytes <= b.bytes, "P23 ", what,
               " ran backwards: ", a.frames, " passes, ", a.bytes, " bytes, then ", b.frames, ", ",
               b.bytes);
    };
    equal(now.received, sum({now.not_eligible, now.not_accepted, now.selected, now.in_flight}),
          "received");
    equal(now.selected, sum({now.mirrored, now.dropped}), "selected");
    grows(now.forwarded, now.received, "forwarded before received");
    const auto& causes = now.causes;
    expect(now.not_eligible.frames == causes.no_tap + causes.malformed + causes.marked_bad +
                                          causes.not_ip + causes.excluded + causes.table_fault,
           "P23 causes of not eligible");
    expect(now.dropped.frames == causes.overflow + causes.reset + causes.session_fault,
           "P23 causes of drops");
    Tally Counters::*const all[] = {&Counters::received,     &Counters::forwarded,
                                    &Counters::not_eligible, &Counters::not_accepted,
                                    &Counters::mirrored,     &Counters::dropped};
    for (const auto tally : all) grows(before.*tally, now.*tally, "a counter");
    Tally mirrored, dropped;
    for (const auto& [id, session] : now.sessions) {
        equal(session.selected, sum({session.mirrored, session.dropped}), "a session's selected");
        mirrored = sum({mirrored, session.mirrored});
        dropped = sum({dropped, session.dropped});
        const auto found = before.sessions.find(id);
        if (found == before.sessions.end()) continue;
        grows(found->second.mirrored, session.mirrored, "a session's mirrored");
        grows(found->second.dropped, session.dropped, "a session's dropped");
        expect(found->second.mirrored_bytes <= session.mirrored_bytes,
               "P23 a session's bytes ran backwards");
    }
    if (!session_gone_) {
        equal(mirrored, now.mirrored, "mirrored of all sessions");
        equal(dropped, now.dropped, "dropped of all sessions");
    }
    snapshot_ = now;
}

Random::Random() {
    const char* given = std::getenv("MIRRORNIC_SEED");
    const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("MIRRORNIC_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    engine_.seed(seed);
}

Bytes Random::bytes(std::size_t count) {
    Bytes result(count);
    for (std::size_t i = 0; i < count; i += 8) {
        const std::uint64_t word = engine_();
        std::memcpy(&result[i], &word, std::min<std::size_t>(8, count - i));
    }
    return result;
}

namespace {

/// Services, their neighbours, a resolver, and hosts.
const std::vector<IpAddress>& addresses(bool v6) {
    const auto parse = [](std::initializer_list<const char*> texts) {
        std::vector<IpAddress> parsed;
        for (const char* text : texts) parsed.push_back(IpAddress::parse(text));
        return parsed;
    };
    static const auto all4 =
        parse({"169.254.169.254", "169.254.169.123", "169.254.169.250", "169.254.169.251",
               "169.254.169.253", "10.0.0.2", "10.0.1.10", "10.0.2.20", "192.168.7.9",
               "203.0.113.255", "0.0.0.0", "255.255.255.255"});
    static const auto all6 =
        parse({"fd00:ec2::254", "fd00:ec2::123", "fd00:ec2::253", "2001:db8::1",
               "2001:db8:1:2:3:4:5:6", "fe80::1", "ff02::1", "::"});
    return v6 ? all6 : all4;
}

/// One of them, often with one bit turned: a near miss of a service, and inside or outside of a
/// prefix.
IpAddress random_address(Random& random, bool v6) {
    IpAddress address = random.pick(addresses(v6));
    if (random.chance(50)) {
        const unsigned bit = random.below(v6 ? 128 : 32);
        address.bytes[bit / 8] ^= std::uint8_t(0x80 >> bit % 8);
    }
    return address;
}

std::uint16_t random_port(Random& random) {
    constexpr std::uint16_t ports[] = {53, 67, 68, 123, 546, 547, 1688, 80, 443, 0, 65535, 4789};
    if (random.chance(15)) return std::uint16_t(random.below(65536));
    return std::uint16_t(random.pick(ports) + (random.chance(40) ? random.between(0, 2) - 1 : 0));
}

std::uint8_t random_protocol(Random& random) {
    if (random.chance(70)) return random.chance(50) ? 6 : 17;
    return random.pick<std::uint8_t>(
        {1, 58, 0, 43, 44, 51, 60, 50, 59, 132, 255, std::uint8_t(random.below(256))});
}

Rule random_rule(Random& random) {
    Rule rule;
    const bool v6 = random.chance(45);
    rule.accept = random.chance(60);
    for (Cidr* cidr : {&rule.source, &rule.destination}) {
        const unsigned prefix = random.chance(50) ? 0 : random.below(v6 ? 129 : 33);
        *cidr = Cidr::parse(random_address(random, v6).to_string() + "/" + std::to_string(prefix));
    }
    if (random.chance(60)) rule.protocol = random_protocol(random);
    for (auto* ports : {&rule.source_ports, &rule.destination_ports}) {
        if (!random.chance(25)) continue;
        const std::uint16_t from = random.chance(20) ? 0 : random_port(random);
        const std::uint32_t width = random.pick<std::uint32_t>({0, 1, 2, 100, 65535});
        *ports = PortRange{from, std::uint16_t(std::min<std::uint32_t>(from + width, 65535))};
    }
    return rule;
}

}  // namespace

Filter random_filter(Random& random) {
    Filter filter;
    filter.amazon_dns = random.chance(50);
    for (auto* rules : {&filter.ingress, &filter.egress}) {
        rules->resize(random.chance(30) ? random.pick<std::uint32_t>({0, 1, 16})
                                        : random.below(17));
        for (Rule& rule : *rules) rule = random_rule(random);
    }
    return filter;
}

std::optional<reference::ServiceEntry> random_service(Random& random) {
    using Entry = reference::ServiceEntry;
    if (random.chance(20)) return {};
    Entry entry;
    entry.version = random.chance(50) ? 6 : 4;
    if (random.chance(60))
        entry.address = reference_address(random_address(random, entry.version == 6));
    entry.protocol = random.pick({Entry::Protocol::tcp, Entry::Protocol::udp,
                                  Entry::Protocol::tcp_or_udp, Entry::Protocol::any});
    if (random.chance(80))
        entry.ports = reference::PortRange{53, std::uint16_t(random.between(53, 700))};
    entry.side = random.pick({Entry::PortSide::address, Entry::PortSide::either});
    entry.action = random.pick({Entry::Action::exclude, Entry::Action::dns});
    return entry;
}

Session random_session(Random& random, const std::string& interface, const std::string& filter) {
    Session session;
    session.interface = interface;
    session.filter = filter;
    session.number = std::uint16_t(random.between(1, 32766));
    session.vni = random.below(1 << 24);
    if (random.chance(70)) {
        session.packet_length = random.pick<std::uint16_t>(
            {1, 14, 15, 63, 64, 65, 127, 128, 129, 8500, std::uint16_t(random.between(1, 300))});
    }
    session.mtu = random.pick<std::uint16_t>({576, 1500, 9001, 9216});
    const bool v6 = random.chance(50);
    session.source_address = random_address(random, v6);
    session.target_address = random_address(random, v6);
    for (MacAddress* mac : {&session.source_mac, &session.target_mac}) {
        for (auto& byte : *mac) byte = std::uint8_t(random.below(256));
    }
    return session;
}

TableState random_state(Random& random, unsigned interfaces, unsigned filters) {
    TableState state;
    for (unsigned i = 0; i < filters; ++i) {
        state.filters["f" + std::to_string(i)] = std::make_shared<Filter>(random_filter(random));
    }
    for (unsigned i = 0; i < interfaces; ++i) {
        const std::string id = "eni-" + std::to_string(i);
        auto& interface = state.interfaces[id];
        if (random.chance(50)) interface.resolver = IpAddress::parse("10.0.0.2");
        std::set<std::uint16_t> numbers;
        for (unsigned count = i == 0 ? 3 : random.below(4), slot = 0; slot < count; ++slot) {
            Session session =
                random_session(random, id, "f" + std::to_string(random.below(filters)));
            while (!numbers.insert(session.number).second) ++session.number;
            state.sessions["s" + std::to_string(random.below(1u << 31))] = session;
        }
    }
    return state;
}

Rig::Tapping random_tap(Random& random, unsigned interfaces) {
    return {"eni-" + std::to_string(random.below(interfaces)),
            random.chance(50) ? Direction::egress : Direction::ingress};
}

Bytes random_frame(Random& random) {
    Bytes frame = random.bytes(12);
    std::size_t starts[16], count = 0;  // of what stands behind the MAC addresses
    const auto begin = [&] { starts[count++] = frame.size(); };
    const auto put = [&frame](std::uint32_t value, int bytes) {
        for (int i = bytes - 1; i >= 0; --i) frame.push_back(std::uint8_t(value >> 8 * i));
    };
    const auto append = [&frame](const auto& bytes, std::size_t size) {
        frame.insert(frame.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(size));
    };
    for (unsigned tags = random.chance(65) ? 0 : random.between(1, 3); tags > 0; --tags) {
        begin();
        put(random.chance(50) ? 0x8100 : 0x88a8, 2);
        put(random.below(65536), 2);
    }
    const bool v6 = random.chance(45);
    begin();
    put(random.chance(3)
            ? random.pick<std::uint32_t>({0x0806, 0x8847, 0x9100, 0x88cc, 0x0801, 0x86de, 46})
        : random.chance(2) != v6 ? 0x86dd
                                 : 0x0800,
        2);
    const unsigned version = random.chance(2) ? random.below(16) : v6 ? 6 : 4;
    const std::uint8_t protocol = random_protocol(random);
    begin();
    if (v6) {
        const unsigned headers = random.chance(35) ? 0 : random.between(1, 5);
        std::uint8_t chain[6];
        for (unsigned i = 0; i < headers; ++i)
            chain[i] = random.pick<std::uint8_t>({0, 43, 44, 51, 60});
        chain[headers] = protocol;
        put(version << 28 | random.below(1 << 28), 4);
        put(random.below(65536), 2);
        put(chain[0], 1);
        put(random.below(256), 1);
        for (int i = 0; i < 2; ++i) append(random_address(random, true).bytes, 16);
        for (unsigned i = 0; i < headers; ++i) {
            begin();
            put(chain[i + 1], 1);
            if (chain[i] == 44) {
                put(random.below(256), 1);
                put(random.chance(30) ? random.between(1, 8191) << 3 | random.below(8)
                                      : random.below(8),
                    2);
                put(random.below(65536), 4);
                continue;
            }
            unsigned length =
                random.chance(3) ? random.below(256) : random.below(random.chance(60) ? 2 : 5);
            const std::size_t unit = chain[i] == 51 ? 4 : 8, more = chain[i] == 51 ? 2 : 1;
            const std::size_t least = frame.size() - 1 + unit * more;
            // Often up to the edge of the window (P4), so that the next header stands across it.
            if (least < 128 && random.chance(15))
                length = unsigned((136 - least - random.below(8)) / unit);
            put(length, 1);
            const std::size_t rest = unit * (length + more) - 2;
            append(random.bytes(rest), rest);
        }
    } else {
        const unsigned words = random.chance(60) ? 5 : random.below(16);
        put(version << 4 | words, 1);
        put(random.below(256), 1);
        put(random.below(65536) << 16 | random.below(65536), 4);
        put(random.chance(75) ? random.pick<std::uint32_t>({0, 0x4000, 0x8000})
            : random.chance(50)
                ? random.pick<std::uint32_t>({0x2000, 0x2001, 0x3fff, 1, 0x1fff, 0x0100})
                : random.below(65536),
            2);
        put(random.below(256), 1);
        put(protocol, 1);
        put(random.below(65536), 2);
        for (int i = 0; i < 2; ++i) append(random_address(random, false).bytes, 4);
        append(random.bytes(40), words > 5 ? 4 * words - 20 : 0);
    }
    const std::size_t header = frame.size();
    begin();
    put(random_port(random), 2);
    put(random_port(random), 2);
    append(random.bytes(16), 16);
    // Cut anywhere in what was built, near the start of any part of it, and near the edges of
    // beats.
    const std::size_t cut = random.below(100);
    const std::size_t length =
        cut < 40   ? random.between(60, 200)
        : cut < 60 ? starts[random.below(std::uint32_t(count))] + random.below(9)
        : cut < 68 ? header + random.below(9)
        : cut < 86 ? 64 * random.pick({1, 1, 2, 2, 2, 3, 4, 5}) + random.below(5) - 2
        : cut < 95 ? random.between(1, 64)
                   : random.between(1, random.chance(30) ? 1600 : 400);
    if (length > frame.size()) append(random.bytes(length - frame.size()), length - frame.size());
    frame.resize(length);
    return frame;
}

Offload::Pattern random_pattern(unsigned percent) {
    return [percent, state = std::uint64_t{88172645463325252}](std::uint64_t) mutable {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % 100 < percent;
    };
}

Offload::Pattern every(std::uint64_t cycles) {
    return [cycles](std::uint64_t cycle) { return cycle % cycles == 0; };
}

Offload::Pattern stalls(std::uint64_t cycles) {
    return [cycles](std::uint64_t cycle) { return cycle / cycles % 2 == 0; };
}

Offload::Pattern never() {
    return [](std::uint64_t) { return false; };
}

Bytes plain_frame(std::size_t length, std::uint32_t fill) {
    FrameSpec spec;
    spec.length = length;
    spec.fill = fill;
    for (unsigned i = 0; i < 4; ++i) spec.source_mac[2 + i] = std::uint8_t(fill >> 8 * i);
    return make_frame(spec);
}

Bytes make_frame(const FrameSpec& spec) {
    Bytes frame;
    const auto put = [&frame](std::uint32_t value, int bytes) {
        for (int i = bytes - 1; i >= 0; --i)
            frame.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    };
    frame.insert(frame.end(), spec.destination_mac.begin(), spec.destination_mac.end());
    frame.insert(frame.end(), spec.source_mac.begin(), spec.source_mac.end());
    for (unsigned i = 0; i < spec.tags; ++i) {
        put(i + 1 < spec.tags ? 0x88a8 : 0x8100, 2);
        put(100 + i, 2);
    }
    const IpAddress source = IpAddress::parse(spec.source),
                    destination = IpAddress::parse(spec.destination);
    if (spec.v6) {
        put(0x86dd, 2);
        put(0x60000000, 4);
        put(0, 2);
        put(spec.protocol, 1);
        put(64, 1);
        frame.insert(frame.end(), source.bytes.begin(), source.bytes.end());
        frame.insert(frame.end(), destination.bytes.begin(), destination.bytes.end());
    } else {
        put(0x0800, 2);
        put(0x45000000, 4);
        put(0, 4);
        put(64, 1);
        put(spec.protocol, 1);
        put(0, 2);
        frame.insert(frame.end(), source.bytes.begin(), source.bytes.begin() + 4);
        frame.insert(frame.end(), destination.bytes.begin(), destination.bytes.begin() + 4);
    }
    put(spec.source_port, 2);
    put(spec.destination_port, 2);
    std::uint32_t random = spec.fill * 2654435761u + 1;
    while (frame.size() < spec.length) {
        random = random * 1664525u + 1013904223u;
        frame.push_back(static_cast<std::uint8_t>(random >> 24));
    }
    frame.resize(spec.length);
    return frame;
}

Rule any_rule(bool v6, bool accept, const std::string& id) {
    Rule rule;
    rule.id = id;
    rule.accept = accept;
    rule.source = rule.destination = Cidr::parse(v6 ? "::/0" : "0.0.0.0/0");
    return rule;
}

TableState simple_state(bool v6_target, std::optional<std::uint16_t> packet_length,
                        std::uint16_t mtu) {
    TableState state;
    state.interfaces["eni-a"] = {};
    auto filter = std::make_shared<Filter>();
    filter->egress = filter->ingress = {any_rule(false, true, "r4"), any_rule(true, true, "r6")};
    state.filters["f"] = filter;
    Session session;
    session.interface = "eni-a";
    session.filter = "f";
    session.vni = 0x123456;
    session.packet_length = packet_length;
    session.source_mac = {2, 0, 0, 0, 0, 0xa};
    session.target_mac = {2, 0, 0, 0, 0, 0xc};
    session.source_address = IpAddress::parse(v6_target ? "2001:db8:1::a" : "10.0.1.10");
    session.target_address = IpAddress::parse(v6_target ? "2001:db8:1::c" : "10.0.1.30");
    session.mtu = mtu;
    state.sessions["s"] = session;
    return state;
}

}  // namespace mirrornic::test
