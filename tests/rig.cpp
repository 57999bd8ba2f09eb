// SPDX-License-Identifier: Apache-2.0
#include "rig.hpp"

#include <algorithm>
#include <cstring>

#include "catch.hpp"

namespace mirrornic::test {
namespace {

reference::Address translate(const IpAddress& address) {
    return {address.v6 ? 6 : 4, address.bytes};
}

reference::Network translate(const Cidr& cidr) { return {translate(cidr.base), cidr.prefix}; }

std::optional<reference::PortRange> translate(const std::optional<PortRange>& ports) {
    if (!ports) return {};
    return reference::PortRange{ports->from, ports->to};
}

std::vector<reference::Rule> translate(const std::vector<Rule>& rules) {
    std::vector<reference::Rule> result;
    for (const Rule& rule : rules) {
        result.push_back({rule.accept, translate(rule.source), translate(rule.destination), rule.protocol,
                          translate(rule.source_ports), translate(rule.destination_ports)});
    }
    return result;
}

std::size_t popcount(std::uint64_t bits) {
    std::size_t count = 0;
    for (; bits != 0; bits &= bits - 1) ++count;
    return count;
}

}  // namespace

Rig::Rig(const Board::Options& options) : board_(options) { current_ = translate(state_); }

std::shared_ptr<const Rig::Version> Rig::translate(const TableState& state) const {
    auto version = std::make_shared<Version>();
    version->tables.source_port_base = port_base_;
    version->tables.source_port_bits = port_bits_;
    std::map<std::string, std::shared_ptr<const reference::Filter>> filters;
    for (const auto& [id, filter] : state.filters) {
        filters[id] = std::make_shared<reference::Filter>(reference::Filter{
            filter->amazon_dns, test::translate(filter->ingress), test::translate(filter->egress)});
    }
    for (const auto& [id, interface] : state.interfaces) {
        version->interfaces[id] = version->tables.interfaces.size();
        reference::Interface translated;
        if (interface.resolver) translated.resolver = test::translate(*interface.resolver);
        std::vector<std::pair<std::uint16_t, std::string>> order;
        for (const auto& [session_id, session] : state.sessions) {
            if (session.interface != id) continue;
            order.emplace_back(session.number, session_id);
            translated.sessions.push_back({session.number, filters.at(session.filter), session.vni,
                                           session.packet_length, session.source_mac, session.target_mac,
                                           test::translate(session.source_address),
                                           test::translate(session.target_address), session.mtu});
        }
        std::sort(order.begin(), order.end());
        version->sessions.emplace_back();
        for (const auto& [number, session_id] : order) version->sessions.back().push_back(session_id);
        version->tables.interfaces.push_back(std::move(translated));
    }
    return version;
}

void Rig::run(const std::function<void()>& body) {
    board_.on_forward = [this](const Received& received) {
        const auto found = forwarding_.find(received.transfer.tag);
        REQUIRE(found != forwarding_.end());
        const Bytes got(received.data, received.data + received.size);
        if (got != found->second) FAIL("P1 pass " << received.transfer.tag << " was not forwarded unchanged");
        forwarding_.erase(found);
    };
    board_.on_copy = [this](const Received& received) {
        arrived_.push_back({Bytes(received.data, received.data + received.size), received.transfer.tag});
        latency_minimum_ = std::min(latency_minimum_, received.transfer.latency);
        latency_maximum_ = std::max(latency_maximum_, received.transfer.latency);
        ++copies_;
        compare_copies();
    };
    board_.offload().on_decision = [this](const DecisionRecord& record) { decided(record); };
    board_.run([this, &body] {
        device_ = std::make_unique<MirrorDevice>(board_.registers());
        versions_[device_->placement()->version] = current_;
        body();
        wait();
        REQUIRE(sent_.empty());
        REQUIRE(forwarding_.empty());
        REQUIRE(expected_.empty());
        REQUIRE(arrived_.empty());
        check_counters();
    });
}

void Rig::apply(const TableState& state) {
    const std::uint16_t before = device_->placement()->version;
    const auto old = current_;
    const auto plan = device_->plan(state);
    state_ = state;
    current_ = translate(state);
    device_->commit(plan);
    // A change is its last commit: what is loaded before it is not referred to yet.
    const std::uint16_t after = device_->placement()->version;
    for (std::uint16_t version = before; version != after; ++version) versions_[version] = old;
    versions_[after] = current_;
    decide_deferred();
}

void Rig::source_ports(std::uint16_t base, std::uint8_t bits) {
    port_base_ = base;
    port_bits_ = bits;
    device_->set_source_ports(base, bits);
    current_ = translate(state_);
    versions_[device_->placement()->version] = current_;
    decide_deferred();
}

void Rig::send(const Bytes& frame, const std::optional<Tapping>& tap, Transfer transfer) {
    transfer.tag = next_tag_++;
    transfer.tap = tap.has_value();
    if (tap) {
        transfer.egress = tap->direction == Direction::egress;
        transfer.index = device_->interface_index(tap->interface);
    }
    Sent sent{frame, tap, {}, {}};
    Bytes forwarded = frame;
    const std::size_t beats = (frame.size() + 63) / 64;
    for (const BeatMark& mark : transfer.marks) {
        if (mark.beat >= beats) continue;
        if (mark.error && (!sent.first_bad || mark.beat < *sent.first_bad)) sent.first_bad = mark.beat;
        if (mark.keep == 0) continue;
        const std::size_t bytes = std::min<std::size_t>(64, frame.size() - 64 * mark.beat);
        const bool last = mark.beat + 1 == beats;
        const bool well_formed = last ? (mark.keep & (mark.keep + 1)) == 0 : mark.keep == ~std::uint64_t{0};
        REQUIRE(!well_formed);                  // a mark that changes the frame's length is not for this rig
        REQUIRE(popcount(mark.keep) <= bytes);  // lanes beyond would show what an earlier beat left
        if (!sent.first_malformed || mark.beat < *sent.first_malformed) sent.first_malformed = mark.beat;
    }
    if (sent.first_malformed) {
        // I1: forwarded as it came; its bytes are those that tkeep names.
        forwarded.clear();
        for (std::size_t beat = 0; beat < beats; ++beat) {
            const std::size_t bytes = std::min<std::size_t>(64, frame.size() - 64 * beat);
            std::uint64_t keep = bytes == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
            for (const BeatMark& mark : transfer.marks) {
                if (mark.beat == beat && mark.keep != 0) keep = mark.keep;
            }
            for (std::size_t i = 0; i < bytes; ++i) {
                if (keep >> i & 1) forwarded.push_back(frame[64 * beat + i]);
            }
        }
        sent.counted = forwarded.size();
    } else {
        sent.counted = frame.size();
    }
    sent_[transfer.tag] = std::move(sent);
    forwarding_[transfer.tag] = std::move(forwarded);
    board_.feed(frame.data(), frame.size(), transfer);
}

void Rig::wait() { board_.offload().wait_until_idle(); }

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
    const auto found = sent_.find(record.tag);
    REQUIRE(found != sent_.end());
    const Sent sent = std::move(found->second);
    REQUIRE(found == sent_.begin());  // I5: in order
    sent_.erase(found);
    const auto& version = *versions_.at(record.version);

    reference::Pass pass{sent.frame.data(), sent.frame.size(), {}, sent.first_bad, sent.first_malformed};
    std::optional<std::size_t> interface;
    if (sent.tap) {
        const auto known = version.interfaces.find(sent.tap->interface);
        if (known != version.interfaces.end()) interface = known->second;
        pass.tap = reference::Tap{sent.tap->direction == Direction::egress ? reference::Direction::egress
                                                                           : reference::Direction::ingress,
                                  interface.value_or(reference::NoSessions)};
    }
    const reference::Decision expected = reference::decide(version.tables, pass);
    INFO("pass " << record.tag << " of " << sent.frame.size() << " bytes, version " << record.version);

    std::optional<reference::Drop> drop;
    switch (expected.outcome) {
        case reference::Outcome::not_eligible: {
            REQUIRE(record.outcome == Outcome::not_eligible);
            static const std::map<reference::Cause, Cause> causes{
                {reference::Cause::no_tap, Cause::no_tap},         {reference::Cause::malformed, Cause::malformed},
                {reference::Cause::marked_bad, Cause::marked_bad}, {reference::Cause::not_ip, Cause::not_ip},
                {reference::Cause::excluded, Cause::excluded}};
            REQUIRE(record.cause == causes.at(expected.cause));
            break;
        }
        case reference::Outcome::not_accepted:
            REQUIRE(record.outcome == Outcome::not_accepted);
            break;
        case reference::Outcome::selected: {
            if (record.outcome == Outcome::dropped) {
                REQUIRE(drops_allowed_);
                drop = record.cause == Cause::reset ? reference::Drop::reset : reference::Drop::overload;
                REQUIRE((record.cause == Cause::reset || record.cause == Cause::overflow));
                ++drops_;
            } else {
                REQUIRE(record.outcome == Outcome::mirrored);
                REQUIRE(record.late_bad == expected.late_bad);
                if (expected.late_bad) ++late_bad_;
                expected_.push_back({expected.copy, record.tag});
            }
            REQUIRE(record.slot == expected.session);
            REQUIRE(record.by_service == expected.by_service);
            if (expected.rule) REQUIRE(record.rule_index == *expected.rule);
            REQUIRE(record.kept == expected.kept);
            break;
        }
    }
    if (expected.outcome != reference::Outcome::not_eligible) {
        for (std::size_t i = 0; i < expected.tried.size(); ++i) {
            const auto& tried = expected.tried[i];
            if (tried.accept) continue;
            using Reason = reference::Verdict::Reason;
            const auto why = tried.reason == Reason::no_rule ? DecisionRecord::Why::no_rule
                             : tried.reason == Reason::rule  ? DecisionRecord::Why::rejected
                                                             : DecisionRecord::Why::rejected_dns;
            REQUIRE(record.why[i] == why);
            if (tried.reason == Reason::rule) REQUIRE(record.why_rule[i] == tried.rule);
        }
    }
    // The ledger counts a malformed pass by the bytes that tkeep names.
    reference::Pass counted = pass;
    counted.size = sent.counted;
    ledger_.record(counted, expected, drop);
    if (expected.outcome == reference::Outcome::selected) {
        const std::string& session = version.sessions.at(*interface).at(expected.session);
        auto& totals = session_totals_[session];
        ++totals.selected.frames;
        totals.selected.bytes += sent.counted;
        auto& fate = drop ? totals.dropped : totals.mirrored;
        ++fate.frames;
        fate.bytes += sent.counted;
        if (!drop) {
            totals.mirrored_bytes += expected.copy.size();
            totals.truncated += expected.truncated ? 1 : 0;
        }
    }
    if (on_decision) on_decision(record);
    compare_copies();
}

void Rig::compare_copies() {
    while (!expected_.empty() && !arrived_.empty()) {
        INFO("copy of pass " << expected_.front().tag);
        REQUIRE(arrived_.front().tag == expected_.front().tag);
        if (arrived_.front().data != expected_.front().data) {
            const Bytes &got = arrived_.front().data, &want = expected_.front().data;
            std::size_t at = 0;
            while (at < std::min(got.size(), want.size()) && got[at] == want[at]) ++at;
            FAIL("the copy has " << got.size() << " bytes, the model's " << want.size() << "; first difference at byte "
                                 << at);
        }
        last_copy_ = std::move(arrived_.front().data);
        expected_.pop_front();
        arrived_.pop_front();
    }
}

void Rig::check_counters() {
    const Counters counters = device_->counters();
    const reference::Totals& totals = ledger_.totals();
    const auto same = [](const Tally& got, const reference::Count& want) {
        CHECK(got.frames == want.passes);
        CHECK(got.bytes == want.bytes);
    };
    same(counters.received, totals.received);
    same(counters.forwarded, totals.forwarded);
    same(counters.not_eligible, totals.not_eligible);
    same(counters.not_accepted, totals.not_accepted);
    same(counters.selected, totals.selected);
    same(counters.mirrored, totals.mirrored);
    same(counters.dropped, totals.dropped);
    CHECK(counters.in_flight.frames == 0);
    CHECK(counters.in_flight.bytes == 0);
    const auto cause = [&totals](reference::Cause key) {
        const auto found = totals.not_eligible_by_cause.find(key);
        return found == totals.not_eligible_by_cause.end() ? 0 : found->second.passes;
    };
    CHECK(counters.causes.no_tap == cause(reference::Cause::no_tap));
    CHECK(counters.causes.malformed == cause(reference::Cause::malformed));
    CHECK(counters.causes.marked_bad == cause(reference::Cause::marked_bad));
    CHECK(counters.causes.not_ip == cause(reference::Cause::not_ip));
    CHECK(counters.causes.excluded == cause(reference::Cause::excluded));
    const auto drops = [&totals](reference::Drop key) {
        const auto found = totals.dropped_by_cause.find(key);
        return found == totals.dropped_by_cause.end() ? 0 : found->second.passes;
    };
    CHECK(counters.causes.overflow == drops(reference::Drop::overload));
    CHECK(counters.causes.reset == drops(reference::Drop::reset));
    CHECK(counters.causes.late_bad == totals.late_bad.passes);
    for (const auto& [id, got] : counters.sessions) {
        INFO("session " << id);
        const SessionCounters want = session_totals_[id];
        for (const auto& [a, b] : {std::pair{got.selected, want.selected}, std::pair{got.mirrored, want.mirrored},
                                   std::pair{got.dropped, want.dropped}}) {
            CHECK(a.frames == b.frames);
            CHECK(a.bytes == b.bytes);
        }
        CHECK(got.truncated == want.truncated);
        CHECK(got.mirrored_bytes == want.mirrored_bytes);
    }
}

Bytes make_frame(const FrameSpec& spec) {
    Bytes frame;
    const auto put = [&frame](std::uint32_t value, int bytes) {
        for (int i = bytes - 1; i >= 0; --i) frame.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    };
    frame.insert(frame.end(), spec.destination_mac.begin(), spec.destination_mac.end());
    frame.insert(frame.end(), spec.source_mac.begin(), spec.source_mac.end());
    for (unsigned i = 0; i < spec.tags; ++i) {
        put(i + 1 < spec.tags ? 0x88a8 : 0x8100, 2);
        put(100 + i, 2);
    }
    const IpAddress source = IpAddress::parse(spec.source), destination = IpAddress::parse(spec.destination);
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

TableState simple_state(bool v6_target, std::optional<std::uint16_t> packet_length, std::uint16_t mtu) {
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
