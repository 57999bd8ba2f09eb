// SPDX-License-Identifier: Apache-2.0
#include "regress_case.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <sstream>
#include <tuple>

#include "register_map.hpp"

namespace mirrornic::test {
namespace {

using Memory = Offload::Memory;

template <class... Functions>
struct Overloaded : Functions... {
    using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

std::uint64_t low_lanes(std::size_t bytes) {
    return bytes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
}

std::string numbered(const char* prefix, unsigned number) {
    char text[40];
    std::snprintf(text, sizeof text, "%s-%017x", prefix, number);
    return text;
}

/// Makes the events of a case, one after the other; holds the tables as they are at each.
class Maker {
public:
    Maker(std::uint64_t seed, std::size_t frames) : random_(seed), frames_(frames) {
        case_.seed = seed;
        case_.lossless = random_.chance(45);
        case_.queue_beats = random_.pick<std::size_t>({16, 256, 1024, 1024, 4096});
        changes_ = random_.pick({0, 2, 5, 15, 50, 100});
        flips_ = random_.chance(20) ? random_.pick({2, 10, 30}) : 0;
        services_ = flips_ == 0 && random_.chance(15) ? 6 : 0;
        source_ports_ = random_.chance(15) ? 5 : 0;
        mirror_resets_ = random_.chance(20) ? 4 : 0;
        resets_ = random_.chance(20) ? 1 : 0;
        snapshots_ = random_.pick({0, 1, 4});
        patterns_ = random_.chance(75) ? 10 : 0;
        waits_ = random_.pick({0, 2, 10});
        marks_ = random_.pick({0, 3, 10});
        gaps_ = random_.chance(30) ? random_.pick({5, 40}) : 0;
        jumbos_ = random_.pick({0, 1, 4});
        overload_ = random_.chance(case_.lossless ? 20 : 60);
    }

    Case make() {
        endpoints();
        case_.events.reserve(frames_ + frames_ / 4);
        if (overload_) slow_output();
        new_state();
        for (std::size_t i = 0; i < frames_; ++i) {
            if (happens(changes_)) {
                for (unsigned more = random_.pick({1, 1, 2, 3}); more > 0; --more) change();
            }
            if (happens(flips_)) flip();
            if (happens(services_))
                event(ServiceEvent{random_.below(registers::sizes::services),
                                   random_service(random_)});
            if (happens(source_ports_)) {
                const auto bits = std::uint8_t(random_.between(1, 16));
                event(SourcePortsEvent{std::uint16_t(random_.below(65537 - (1u << bits))), bits});
            }
            if (happens(patterns_)) pattern();
            if (happens(waits_)) event(WaitEvent{random_.pick({0u, 1u, random_.between(1, 300)})});
            if (happens(snapshots_)) event(SnapshotEvent{});
            if (happens(mirror_resets_)) mirror_reset();
            if (happens(resets_)) reset();
            pass();
        }
        return std::move(case_);
    }

private:
    bool happens(unsigned in_thousand) {
        return in_thousand != 0 && random_.below(1000) < in_thousand;
    }

    template <class T>
    void event(T value) {
        case_.events.emplace_back(std::move(value));
    }

    MacAddress mac() {
        MacAddress mac;
        for (auto& byte : mac) byte = std::uint8_t(random_.below(256));
        mac[0] &= 0xfe;
        return mac;
    }

    IpAddress address(bool v6) {
        IpAddress address;
        address.v6 = v6;
        const Bytes bytes = random_.bytes(16);
        std::copy_n(bytes.begin(), v6 ? 16 : 4, address.bytes.begin());
        if (random_.chance(20)) std::fill_n(address.bytes.begin(), v6 ? 15 : 3, 0);
        if (random_.chance(10)) std::fill_n(address.bytes.begin(), v6 ? 16 : 4, 0xff);
        return address;
    }

    void endpoints() {
        for (unsigned i = 0, count = random_.between(1, 6); i < count; ++i)
            case_.sources[numbered("eni", i)] = {mac(), address(false), address(true)};
        for (unsigned i = 0; i < 4; ++i) {
            Endpoint target{mac(), {}, {}};
            (i % 2 == 0 ? target.ipv4 : target.ipv6) = address(i % 2 != 0);
            target.mtu = random_.pick<std::uint16_t>({576, 577, 1500, 9001, 9216});
            case_.targets.push_back(target);
        }
    }

    std::shared_ptr<const Filter> filter() {
        auto filter = std::make_shared<Filter>(random_filter(random_));
        const bool valid = random_.chance(50);
        for (auto* rules : {&filter->ingress, &filter->egress}) {
            if (random_.chance(60)) {  // traffic that no other rule matches
                while (rules->size() > 14) rules->pop_back();
                for (const bool v6 : {false, true})
                    if (random_.chance(80)) rules->push_back(any_rule(v6, true, ""));
            }
            for (std::size_t i = 0; i < rules->size(); ++i) {
                Rule& rule = (*rules)[i];
                rule.id = "r" + std::to_string(i);
                // As the API wants it (S2).
                if (valid && (rule.source_ports || rule.destination_ports) &&
                    rule.protocol != std::uint8_t{6})
                    rule.protocol = 17;
            }
        }
        return filter;
    }

    std::string any_filter() {
        return std::next(state_.filters.begin(),
                         random_.below(std::uint32_t(state_.filters.size())))
            ->first;
    }

    Session session(const std::string& interface) {
        Session session = random_session(random_, interface, any_filter());
        const auto taken = [&](std::uint16_t number) {
            return std::any_of(
                state_.sessions.begin(), state_.sessions.end(), [&](const auto& other) {
                    return other.second.interface == interface && other.second.number == number;
                });
        };
        while (taken(session.number)) session.number = std::uint16_t(session.number % 32766 + 1);
        const Endpoint& source = case_.sources.at(interface);
        const Endpoint& target = random_.pick(case_.targets);
        session.source_mac = source.mac;
        session.target_mac = target.mac;
        session.source_address = target.ipv4 ? *source.ipv4 : *source.ipv6;
        session.target_address = target.ipv4 ? *target.ipv4 : *target.ipv6;
        session.mtu = target.mtu;
        // Shorter copies are alike, so that nobody could tell which of them a reset threw away.
        if (mirror_resets_ != 0 && session.packet_length)
            session.packet_length = std::max<std::uint16_t>(*session.packet_length, 14);
        return session;
    }

    unsigned sessions_of(const std::string& interface) const {
        return unsigned(std::count_if(
            state_.sessions.begin(), state_.sessions.end(),
            [&](const auto& session) { return session.second.interface == interface; }));
    }

    std::string any_interface() {
        return std::next(case_.sources.begin(), random_.below(std::uint32_t(case_.sources.size())))
            ->first;
    }

    void add_session(const std::string& interface) {
        const Session made = session(interface);
        state_.sessions[numbered("tms", next_session_++)] = made;
    }

    void new_state() {
        state_ = {};
        for (unsigned i = 0, count = random_.between(1, 6); i < count; ++i)
            state_.filters[numbered("tmf", i)] = filter();
        for (const auto& [id, source] : case_.sources) {
            auto& interface = state_.interfaces[id];
            if (random_.chance(50)) interface.resolver = IpAddress::parse("10.0.0.2");
            const unsigned count = state_.sessions.empty() ? 3 : random_.below(4);
            for (unsigned i = 0; i < count; ++i) {  // each one request (T2)
                add_session(id);
                event(ApplyEvent{state_});
            }
        }
    }

    /// What one request of the API changes (T2).
    void change() {
        const unsigned kind = random_.below(100);
        const bool none = state_.sessions.empty();
        if (kind < 40 && !none) {  // all of a session at once
            auto& changed = std::next(state_.sessions.begin(),
                                      random_.below(std::uint32_t(state_.sessions.size())))
                                ->second;
            changed = session(changed.interface);
        } else if (kind < 65) {
            const std::string id = any_filter();
            auto rewritten = std::make_shared<Filter>(*state_.filters.at(id));
            if (random_.chance(60)) std::swap(rewritten->ingress, rewritten->egress);
            if (random_.chance(40)) rewritten->amazon_dns = !rewritten->amazon_dns;
            state_.filters[id] = random_.chance(30) ? filter() : rewritten;
        } else if (kind < 85 || none) {
            const std::string interface = any_interface();
            if (sessions_of(interface) == 3) return;
            add_session(interface);
        } else if (kind < 97) {
            state_.sessions.erase(std::next(state_.sessions.begin(),
                                            random_.below(std::uint32_t(state_.sessions.size()))));
        } else {
            auto& resolver = state_.interfaces[any_interface()].resolver;
            if (resolver)
                resolver.reset();
            else
                resolver = IpAddress::parse("10.0.0.2");
        }
        event(ApplyEvent{state_});
    }

    void flip() {
        const auto memory = random_.pick({Memory::interfaces, Memory::filters, Memory::filters,
                                          Memory::session_limits, Memory::session_headers,
                                          Memory::services, Memory::delay, Memory::hold,
                                          Memory::copies, Memory::endings, Memory::fates});
        const auto size = Offload::size(memory);
        // The driver takes the lowest free entries.
        std::uint32_t words = size.words;
        if (memory == Memory::interfaces) words = 6;
        if (memory == Memory::filters) words = 12;
        if (memory == Memory::session_limits || memory == Memory::session_headers) words = 20;
        event(FlipEvent{memory, random_.below(size.copies), random_.below(words),
                        random_.below(size.bits)});
        if (random_.chance(50)) {
            for (unsigned i = random_.between(1, 20); i > 0; --i) pass();
            event(RepairEvent{});
        }
    }

    void pattern() {
        if (overload_ && random_.chance(50)) return slow_output();
        using Kind = PatternEvent::Kind;
        using Stream = PatternEvent::Stream;
        const auto stream =
            random_.pick({Stream::source, Stream::forward, Stream::mirror, Stream::mirror});
        const auto kind = random_.pick({Kind::always, Kind::random, Kind::stalls, Kind::every});
        std::uint32_t value = 0;
        if (kind == Kind::random) value = random_.between(20, 95);
        if (kind == Kind::stalls)
            value =
                random_.between(1, stream == Stream::mirror ? random_.pick({10, 100, 900}) : 20);
        if (kind == Kind::every) value = random_.between(2, stream == Stream::mirror ? 8 : 4);
        event(PatternEvent{stream, kind, value});
    }

    void slow_output() {
        const bool stalls = random_.chance(50);
        event(PatternEvent{PatternEvent::Stream::mirror,
                           stalls ? PatternEvent::Kind::stalls : PatternEvent::Kind::every,
                           stalls ? random_.between(1500, 5000) : random_.between(8, 60)});
    }

    void mirror_reset() {
        if (random_.chance(50)) event(WaitEvent{random_.between(1, 60)});
        event(MirrorResetEvent{});
        for (unsigned i = random_.below(20); i > 0; --i) pass();
        if (random_.chance(60)) event(WaitEvent{0});
    }

    void reset() {
        if (random_.chance(20)) pattern();
        event(WaitEvent{random_.between(1, random_.pick({8, 200}))});
        event(ResetEvent{});
        for (unsigned i = random_.below(30); i > 0; --i) pass();
        new_state();
    }

    Bytes frame() {
        const unsigned kind = random_.below(1000);
        if (kind < jumbos_) {
            const std::size_t size = random_.pick<std::size_t>({9216, 9215, 9217, 9214, 9218, 9280,
                                                                random_.between(8400, 8600),
                                                                random_.between(9217, 14000)});
            return sized(random_frame(random_), size);
        }
        if (kind < 20) return sized(random_frame(random_), random_.between(200, 1600));
        if (kind < 60) {
            Bytes frame = plain_frame(random_.between(1, 140), random_.below(1 << 30));
            const Bytes mac = random_.bytes(6);
            std::copy_n(mac.begin(), std::min<std::size_t>(6, frame.size()), frame.begin());
            return frame;
        }
        if (kind < 90) {
            Bytes bytes = random_.bytes(random_.between(1, 200));
            if (bytes.size() > 15 && random_.chance(80)) {
                const bool v6 = random_.chance(50);
                bytes[12] = v6 ? 0x86 : 0x08;
                bytes[13] = v6 ? 0xdd : 0x00;
                bytes[14] = std::uint8_t(v6 ? 0x60 : 0x40 + random_.below(16));
            }
            return bytes;
        }
        if (kind < 110)
            return random_.bytes(random_.pick<std::uint32_t>({1, 1, 13, 14, 63, 64, 65}));
        return random_frame(random_);
    }

    Bytes sized(Bytes frame, std::size_t size) {
        if (size > frame.size()) {
            const Bytes more = random_.bytes(size - frame.size());
            frame.insert(frame.end(), more.begin(), more.end());
        }
        frame.resize(size);
        return frame;
    }

    void pass() {
        PassEvent pass;
        pass.frame = frame();
        pass.when_room = case_.lossless;
        pass.direction = random_.chance(50) ? Direction::egress : Direction::ingress;
        const unsigned where = random_.below(100);
        if (where >= 4) pass.interface = any_interface();
        if (where >= 4 && where < 6) pass.interface = "eni-of-no-session";
        if (where == 6)
            pass.index = random_.pick<std::uint32_t>({255, 256, 257, 511, 512, 4096, 65535});
        const auto source = case_.sources.find(pass.interface);
        // As the command finds the tap (P13).
        if (source != case_.sources.end() && pass.frame.size() >= 12 && random_.chance(80))
            std::copy_n(source->second.mac.begin(), 6,
                        pass.frame.begin() + (pass.direction == Direction::egress ? 6 : 0));
        if (random_.chance(gaps_)) pass.gap = random_.between(1, random_.pick({4, 60}));
        if (random_.chance(marks_)) mark(pass);
        event(std::move(pass));
    }

    void mark(PassEvent& pass) {
        const std::size_t beats = (pass.frame.size() + 63) / 64;
        std::set<std::size_t> marked;
        for (unsigned count = random_.pick({1, 1, 1, 2, 3}); count > 0; --count) {
            const std::size_t beat =
                random_.chance(50) ? beats - 1 : random_.below(std::uint32_t(beats));
            if (!marked.insert(beat).second) continue;
            BeatMark mark{beat, random_.chance(60), {}};
            if (!mark.error || random_.chance(20)) {
                const bool last = beat + 1 == beats;
                const std::uint64_t whole = low_lanes(pass.frame.size() - 64 * beat);
                std::uint64_t keep = whole;
                switch (random_.below(4)) {
                    case 0:
                        keep = 0;
                        break;
                    case 1:
                        keep = whole & ~(std::uint64_t{1} << random_.below(64));
                        break;
                    case 2:
                        keep = last ? whole & ~std::uint64_t{1} : low_lanes(random_.below(64));
                        break;
                    default: {
                        const Bytes lanes = random_.bytes(8);
                        std::memcpy(&keep, lanes.data(), 8);
                        keep &= whole;
                    }
                }
                if (last ? keep == 0 || (keep & (keep + 1)) != 0 : keep != whole) mark.keep = keep;
            }
            if (mark.error || mark.keep) pass.marks.push_back(mark);
        }
    }

    Random random_;
    std::size_t frames_;
    Case case_;
    TableState state_;
    unsigned next_session_ = 0;
    // In a thousand passes, and marks_ and gaps_ in a hundred.
    unsigned changes_, flips_, services_, source_ports_, mirror_resets_, resets_, snapshots_,
        patterns_, waits_, marks_, gaps_, jumbos_;
    bool overload_;  ///< of the mirror output
};

/// Of all that came out, in order.
class Hash {
public:
    void add(std::uint64_t word) { state_ = (state_ ^ word) * 0x9e3779b97f4a7c15 + (state_ >> 29); }
    void add(const std::uint8_t* data, std::size_t size) {
        add(size);
        for (; size >= 8; data += 8, size -= 8) {
            std::uint64_t word;
            std::memcpy(&word, data, 8);
            add(word);
        }
        std::uint64_t rest = 0;
        std::memcpy(&rest, data, size);
        add(rest);
    }
    std::uint64_t value() const { return state_; }

private:
    std::uint64_t state_ = 1;
};

Offload::Pattern pattern_of(const PatternEvent& event, std::uint64_t start) {
    using Kind = PatternEvent::Kind;
    const std::uint64_t value = event.value;
    switch (event.kind) {
        case Kind::always:
            return {};
        case Kind::random:
            return random_pattern(event.value);
        case Kind::stalls:
            return [=](std::uint64_t cycle) { return (cycle - start) / value % 2 == 0; };
        case Kind::every:
            return [=](std::uint64_t cycle) { return (cycle - start) % value == 0; };
    }
    return {};
}

class Execution {
public:
    Execution(Rig& rig, const Case& events, Coverage& coverage)
        : rig_(rig), offload_(rig.offload()), case_(events), coverage_(coverage) {}

    std::uint64_t run() {
        offload_.source_pattern = offload_.forward_pattern = offload_.mirror_pattern = nullptr;
        rig_.reset();
        rig_.allow_drops(!case_.lossless);
        rig_.allow_faults(false);
        coverage_.begin();
        offload_.queue_limit = case_.queue_beats;
        // A reset meets the driver's quantum where the case before has left it.
        start_ = offload_.cycle();
        const std::uint64_t limit = start_ + 5'000'000 + 5'000 * case_.events.size();
        offload_.on_progress = [limit](std::uint64_t cycle) {
            if (cycle > limit)
                throw SimulationError("P24 the case does not end: the offload hangs");
        };
        const auto out = [this](const Received& received, std::uint64_t kind) {
            hash_.add(kind);
            hash_.add(received.data, received.size);
            hash_.add(received.transfer.last_cycle - start_);
        };
        rig_.on_forward = [out](const Received& received) { out(received, 1); };
        rig_.on_copy = [out](const Received& received) { out(received, 2); };
        rig_.on_judged = [this](const Rig::Judged& judged) {
            const DecisionRecord& record = judged.record;
            hash_.add(std::uint64_t(record.outcome) << 40 | std::uint64_t(record.cause) << 32 |
                      record.version);
            // The others say something of such passes alone.
            if (judged.expected.outcome == reference::Outcome::selected)
                hash_.add(std::uint64_t(record.slot) << 32 | std::uint64_t(record.kept) << 8 |
                          (record.by_service ? 16u : record.rule_index));
            coverage_.judged(judged);
        };
        for (const Event& event : case_.events) std::visit(*this, event);
        offload_.source_pattern = offload_.forward_pattern = offload_.mirror_pattern = nullptr;
        open();
        rig_.wait();
        (*this)(RepairEvent{});
        rig_.wait();
        rig_.check_snapshot();
        rig_.check_counters();
        const Counters& counters = rig_.snapshot();
        for (const Tally& tally : {counters.received, counters.mirrored, counters.dropped,
                                   counters.selected, counters.not_accepted}) {
            hash_.add(tally.frames);
            hash_.add(tally.bytes);
        }
        hash_.add(offload_.cycle() - start_);
        rig_.on_forward = rig_.on_copy = nullptr;
        rig_.on_judged = nullptr;
        offload_.on_progress = nullptr;
        return hash_.value();
    }

    void operator()(const PassEvent& event) {
        Transfer transfer;
        transfer.when_room = event.when_room;
        if (event.gap != 0) transfer.not_before = offload_.cycle() + event.gap;
        transfer.marks = event.marks;
        std::optional<Rig::Tapping> tap;
        if (!event.interface.empty()) {
            tap = Rig::Tapping{event.interface, event.direction, event.index};
            if (!rig_.has_device() && !tap->index)
                tap->index = std::uint32_t(
                    std::distance(case_.sources.begin(), case_.sources.find(event.interface)));
        }
        rig_.send(event.frame, tap, transfer);
    }
    void operator()(const ApplyEvent& event) {
        open();
        const std::size_t queued = offload_.queued();
        step_to(event.state);
        coverage_.applied(event.state, queued, offload_.queued(), offload_.beats_in());
    }
    void operator()(const ServiceEvent& event) {
        open();
        rig_.put_service(event.index, event.entry);
        coverage_.hit(Point::service_changed);
    }
    void operator()(const SourcePortsEvent& event) {
        open();
        rig_.source_ports(event.base, event.bits);
        coverage_.hit(Point::ports_changed);
    }
    void operator()(const PatternEvent& event) {
        using Stream = PatternEvent::Stream;
        (event.stream == Stream::source    ? offload_.source_pattern
         : event.stream == Stream::forward ? offload_.forward_pattern
                                           : offload_.mirror_pattern) =
            pattern_of(event, offload_.cycle());
    }
    void operator()(const WaitEvent& event) {
        if (event.cycles == 0)
            rig_.wait();
        else
            offload_.wait_cycles(event.cycles);
    }
    void operator()(const SnapshotEvent&) {
        open();
        rig_.check_snapshot();
        coverage_.snapshot(rig_.snapshot());
    }
    void operator()(const MirrorResetEvent&) {
        open();
        coverage_.mirror_reset(offload_.beats_in(), offload_.queued());
        rig_.reset_mirror();
    }
    void operator()(const ResetEvent&) {
        coverage_.reset(offload_.beats_in(), offload_.queued());
        rig_.reset();
        rig_.allow_faults(false);
        flipped_.clear();
    }
    void operator()(const FlipEvent& event) {
        // One bit of a word: with two of them nothing can be promised.
        if (!flipped_.insert({event.memory, event.copy, event.word}).second) return;
        offload_.flip(event.memory, event.copy, event.word, event.bit);
        const auto memory = event.memory;
        if (memory == Memory::interfaces || memory == Memory::filters ||
            memory == Memory::session_limits || memory == Memory::services)
            rig_.allow_faults(true);
    }
    void operator()(const RepairEvent&) {
        open();
        for (unsigned i = 0; i < 100; ++i) {
            const auto done = rig_.repair();
            if (!done) return;
            coverage_.hit(done->find("corrected") != std::string::npos ? Point::flip_corrected
                                                                       : Point::flip_rewritten);
        }
        throw Mismatch("T4 repair does not end");
    }

private:
    void open() {
        if (!rig_.has_device()) rig_.open();
    }

    /// In steps that each are one request of the API and so atomic (T2): a smaller case may lack
    /// some that led here.
    void step_to(const TableState& wanted) {
        TableState state = rig_.state();
        const auto apply = [&] { rig_.apply(state); };
        state.interfaces.insert(wanted.interfaces.begin(), wanted.interfaces.end());
        std::vector<std::string> gone;
        for (const auto& [id, session] : state.sessions)
            if (wanted.sessions.count(id) == 0) gone.push_back(id);
        for (const auto& id : gone) {
            state.sessions.erase(id);
            apply();
        }
        for (const auto& [id, filter] : wanted.filters) {
            auto& now = state.filters[id];
            if (now == filter) continue;
            const bool used = now != nullptr;
            now = filter;
            if (used) apply();
        }
        for (const auto& [id, session] : wanted.sessions) {
            const auto found = state.sessions.find(id);
            if (found != state.sessions.end() && same(found->second, session)) continue;
            gone.clear();
            for (const auto& [other, taken] : state.sessions)
                if (other != id && taken.interface == session.interface &&
                    taken.number == session.number)
                    gone.push_back(other);
            for (const auto& other : gone) {
                state.sessions.erase(other);
                apply();
            }
            state.sessions[id] = session;
            apply();
        }
        for (const auto& [id, interface] : wanted.interfaces) {
            if (state.interfaces.at(id).resolver == interface.resolver) continue;
            state.interfaces[id] = interface;
            apply();
        }
        // A session that gave its number away comes last.
        for (const auto& [id, session] : wanted.sessions)
            if (state.sessions.insert({id, session}).second) apply();
    }

    static bool same(const Session& a, const Session& b) {
        const auto all = [](const Session& s) {
            return std::tie(s.interface, s.filter, s.number, s.vni, s.packet_length, s.source_mac,
                            s.target_mac, s.source_address.bytes, s.target_address.bytes, s.mtu);
        };
        return all(a) == all(b);
    }

    Rig& rig_;
    Offload& offload_;
    const Case& case_;
    Coverage& coverage_;
    Hash hash_;
    std::uint64_t start_ = 0;
    std::set<std::tuple<Memory, unsigned, unsigned>> flipped_;
};

}  // namespace

std::size_t Case::passes() const {
    return std::size_t(std::count_if(events.begin(), events.end(), [](const Event& event) {
        return std::holds_alternative<PassEvent>(event);
    }));
}

Case make_case(std::uint64_t seed, std::size_t frames) { return Maker(seed, frames).make(); }

std::uint64_t execute(Rig& rig, const Case& events, Coverage& coverage) {
    return Execution(rig, events, coverage).run();
}

}  // namespace mirrornic::test
