// SPDX-License-Identifier: Apache-2.0
// Rules against keys, and from the matches of all slots to one verdict.
#include <Vchoose.h>
#include <Vmatch_rules.h>

#include <algorithm>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

// ---- match_rules ----

bool covers(const Address& network, std::uint64_t prefix, const Address& address) {
    for (unsigned bit = 0; bit < prefix; ++bit) {
        if ((network[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1) return false;
    }
    return true;
}

bool matches(const RuleWord& rule, const Key& key) {
    if (!rule.valid || rule.v6 != key.v6) return false;
    if (!covers(rule.source, rule.source_prefix, key.source)) return false;
    if (!covers(rule.destination, rule.destination_prefix, key.destination)) return false;
    if (rule.has_protocol && !(key.protocol_known && key.protocol == rule.protocol)) return false;
    if (rule.has_source_ports && !(key.has_ports && rule.source_port_from <= key.source_port &&
                                   key.source_port <= rule.source_port_to))
        return false;
    return !rule.has_destination_ports ||
           (key.has_ports && rule.destination_port_from <= key.destination_port &&
            key.destination_port <= rule.destination_port_to);
}

class Rules {
public:
    void set(int number, const RuleWord& rule) {
        rules_[number] = rule;
        put_rule(filter_, number, rule);
        changed_ = true;
    }

    void dns(bool dns) {
        filter_.put(ListWidth, 2, dns ? 3 : 0);
        changed_ = true;
    }

    void check(const Key& key) {
        if (changed_) drive(stage_->in_filter, filter_);
        changed_ = false;
        drive(stage_->in_key, key);
        stage_->in_valid = 1;
        stage_.tick();
        REQUIRE(stage_->out_valid);
        REQUIRE(stage_->out_dns == filter_.get(ListWidth, 1));
        for (int i = 0; i < 16; ++i) {
            INFO("rule " << i);
            const bool match = stage_->out_match >> i & 1;
            REQUIRE(match == matches(rules_[i], key));
            if (match) REQUIRE((stage_->out_accept >> i & 1) == rules_[i].accept);
            matched_ += match;
        }
    }

    void gap() {
        stage_->in_valid = 0;
        stage_.tick();
        REQUIRE_FALSE(stage_->out_valid);
    }

    unsigned matched() const { return matched_; }

private:
    Stage<Vmatch_rules> stage_;
    std::array<RuleWord, 16> rules_;
    Bits filter_ = filter_bits({}, false);
    bool changed_ = true;
    unsigned matched_ = 0;
};

}  // namespace

TEST_CASE("P11 a prefix of every length covers its bits and no bit more") {
    StageRandom random;
    Rules rules;
    for (const bool v6 : {false, true}) {
        const unsigned width = v6 ? 128 : 32;
        for (const bool at_source : {true, false}) {
            for (unsigned prefix = 0; prefix <= width; ++prefix) {
                RuleWord rule;
                rule.valid = 1;
                rule.accept = prefix % 2;
                rule.v6 = v6;
                rule.source = random.address(v6);
                rule.destination = random.address(v6);
                (at_source ? rule.source_prefix : rule.destination_prefix) = prefix;
                rules.set(prefix % 16, rule);
                for (unsigned bit = 0; bit < width; ++bit) {
                    Key key;
                    key.ip = 1;
                    key.v6 = v6;
                    key.source = rule.source;
                    key.destination = rule.destination;
                    flip(at_source ? key.source : key.destination, bit);
                    rules.check(key);
                }
            }
        }
    }
    CHECK(rules.matched() > 8000);
}

TEST_CASE("P11 port ranges are inclusive at both ends and match no frame without ports") {
    Rules rules;
    for (const bool source : {true, false}) {
        for (const std::uint64_t from : {0, 1, 53, 65535}) {
            for (const std::uint64_t to : {0, 1, 60, 65535}) {
                RuleWord rule;
                rule.valid = 1;
                (source ? rule.has_source_ports : rule.has_destination_ports) = 1;
                (source ? rule.source_port_from : rule.destination_port_from) = from;
                (source ? rule.source_port_to : rule.destination_port_to) = to;
                rules.set(0, rule);
                for (const std::uint64_t port : {0, 1, 2, 52, 53, 60, 61, 65534, 65535}) {
                    for (const std::uint64_t has_ports : {1, 0}) {
                        Key key;
                        key.ip = 1;
                        key.protocol_known = 1;
                        key.protocol = 6;
                        key.has_ports = has_ports;
                        (source ? key.source_port : key.destination_port) = port;
                        rules.check(key);
                    }
                }
            }
        }
    }
    CHECK(rules.matched() > 0);
}

TEST_CASE("P11 port ranges of any bits match exactly up to their ends") {
    StageRandom random;
    Rules rules;
    for (unsigned round = 0; round < 500; ++round) {
        std::array<RuleWord, 16> words;
        for (int i = 0; i < 16; ++i) {
            RuleWord& rule = words[i];
            rule.valid = 1;
            rule.has_source_ports = random.chance(60);
            rule.has_destination_ports = random.chance(60);
            rule.source_port_from = random.port();
            rule.source_port_to = random.port_near(rule.source_port_from, 65535);
            rule.destination_port_from = random.port();
            rule.destination_port_to = random.port_near(rule.destination_port_from, 65535);
            rules.set(i, rule);
        }
        for (unsigned i = 0; i < 64; ++i) {
            const RuleWord& rule = random.pick(words);
            Key key;
            key.ip = key.protocol_known = key.has_ports = 1;
            key.protocol = 17;
            key.source_port = random.port_near(rule.source_port_from, rule.source_port_to);
            key.destination_port =
                random.port_near(rule.destination_port_from, rule.destination_port_to);
            rules.check(key);
        }
    }
    CHECK(rules.matched() > 10000);
}

TEST_CASE("P11 an unknown protocol matches no rule that names one, protocol 0 included") {
    Rules rules;
    RuleWord rule;
    rule.valid = 1;
    rule.has_protocol = 1;
    rules.set(3, rule);
    rules.set(4, RuleWord{{}, {}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1});
    Key key{1};
    rules.check(key);
    CHECK(rules.matched() == 1);  // the rule that names none
    key.protocol_known = 1;
    rules.check(key);
    CHECK(rules.matched() == 3);
}

TEST_CASE("P11 an IPv4 rule never matches an IPv6 frame, nor the other way round") {
    Rules rules;
    for (const std::uint64_t v6 : {0, 1}) {
        RuleWord rule;
        rule.valid = 1;
        rule.v6 = v6;
        rules.set(int(v6), rule);
    }
    for (const std::uint64_t v6 : {0, 1}) rules.check(Key{1, v6});
    CHECK(rules.matched() == 2);
}

TEST_CASE("P8 P10 P11 random keys are matched with all rules of random filters at once") {
    StageRandom random;
    Rules rules;
    for (unsigned round = 0; round < 400; ++round) {
        const std::array<Address, 2> near = {random.address(true), random.address(true)};
        const auto address = [&](bool v6) {
            Address result = random.chance(80) ? near[random.below(2)] : random.address(true);
            if (random.chance(50)) flip(result, unsigned(random.below(v6 ? 128 : 32)));
            if (!v6) std::fill(result.begin() + 4, result.end(), std::uint8_t{0});
            return result;
        };
        for (int i = 0; i < 16; ++i) {
            RuleWord rule;
            rule.valid = random.chance(80);
            rule.accept = random.chance(50);
            rule.v6 = random.chance(50);
            rule.source = address(rule.v6);
            rule.destination = address(rule.v6);
            const std::uint64_t width = rule.v6 ? 128 : 32;
            rule.source_prefix = random.below(random.chance(50) ? 9 : width + 1);
            rule.destination_prefix = random.below(random.chance(50) ? 9 : width + 1);
            rule.has_protocol = random.chance(50);
            rule.protocol = random.pick({6u, 17u, 1u, 0u});
            rule.has_source_ports = random.chance(30);
            rule.has_destination_ports = random.chance(30);
            rule.source_port_from = random.below(8);
            rule.source_port_to = rule.source_port_from + random.below(4);
            rule.destination_port_from = random.below(8);
            rule.destination_port_to = rule.destination_port_from + random.below(4);
            rules.set(i, rule);
        }
        rules.dns(random.chance(50));
        for (unsigned i = 0; i < 40; ++i) {
            Key key;
            key.ip = 1;
            key.v6 = random.chance(50);
            key.source = address(key.v6);
            key.destination = address(key.v6);
            key.protocol_known = random.chance(90);
            key.protocol = key.protocol_known ? random.pick({6u, 17u, 1u, 0u}) : 0;
            key.has_ports = key.protocol_known && random.chance(70);
            key.source_port = key.has_ports ? random.below(10) : 0;
            key.destination_port = key.has_ports ? random.below(10) : 0;
            rules.check(key);
            if (random.chance(5)) rules.gap();
        }
    }
    CHECK(rules.matched() > 1000);
}

// ---- choose ----

namespace {

struct Slot {
    bool valid = true;
    bool dns = false;
    std::uint64_t match = 0, accept = 0, session = 0;
    CutWord cut;
    bool cut_faulty = false;
};

/// P8, P10, P12 read aloud.
VerdictWord expected_verdict(const std::array<Slot, 3>& slots, bool dns) {
    VerdictWord verdict;
    verdict.tap = 1;
    for (int i = 0; i < 3; ++i) {
        const Slot& slot = slots[i];
        bool accepts = false;
        std::uint64_t why = SlotEmpty, rule = 0;
        if (slot.valid && dns) {
            accepts = slot.dns;
            why = SlotRejectedDns;
        } else if (slot.valid) {
            why = SlotNoRule;
            for (std::uint64_t j = 0; j < 16; ++j) {
                if (!(slot.match >> j & 1)) continue;
                why = SlotRejected;
                rule = j;
                accepts = slot.accept >> j & 1;
                break;
            }
        }
        verdict.why |= why << 2 * i;
        verdict.why_rule |= rule << RuleBits * i;
        if (accepts && !verdict.accepted) {
            verdict.accepted = 1;
            verdict.by_service = dns;
            verdict.slot = std::uint64_t(i);
            verdict.rule_index = rule;
            verdict.session = slot.session;
            verdict.v6 = slot.cut.v6;
            verdict.limit =
                slot.cut_faulty ? 0 : std::min(slot.cut.packet_length, slot.cut.mtu_cut);
        }
    }
    return verdict;
}

class Chooser {
public:
    VerdictWord check(const std::array<Slot, 3>& slots, bool dns, bool ip = true,
                      bool excluded = false, std::uint64_t version = 7, bool fault = false) {
        Bits cuts(3 * CutWord::width);
        std::uint64_t match = 0, accept = 0, session = 0, valid = 0, slot_dns = 0, cut_faulty = 0;
        for (int i = 0; i < 3; ++i) {
            match |= slots[i].match << 16 * i;
            accept |= slots[i].accept << 16 * i;
            session |= slots[i].session << SessionBits * i;
            valid |= std::uint64_t(slots[i].valid) << i;
            slot_dns |= std::uint64_t(slots[i].dns) << i;
            cut_faulty |= std::uint64_t(slots[i].cut_faulty) << i;
            cuts.put(CutWord::width * i, pack(slots[i].cut));
        }
        stage_->in_valid = 1;
        stage_->in_ip = ip;
        stage_->in_fault = fault;
        stage_->in_excluded = excluded;
        stage_->in_dns = dns;
        stage_->in_slot_valid = valid;
        stage_->in_slot_dns = slot_dns;
        stage_->in_match = match;
        stage_->in_accept = accept;
        stage_->in_session = session;
        drive(stage_->in_cut, cuts);
        stage_->in_cut_faulty = cut_faulty;
        stage_->in_version = version;
        stage_.tick();
        VerdictWord verdict = sample<VerdictWord>(stage_->out_verdict);
        VerdictWord expected = expected_verdict(slots, dns);
        expected.ip = ip;
        expected.fault = fault;
        expected.excluded = excluded;
        expected.version = version;
        if (!expected.accepted) {  // the rest is of no meaning
            verdict.by_service = verdict.slot = verdict.rule_index = verdict.session = verdict.v6 =
                verdict.limit = 0;
        }
        REQUIRE(pack(verdict) == pack(expected));
        return verdict;
    }

    bool tap_without_input() {
        stage_->in_valid = 0;
        stage_.tick();
        return sample<VerdictWord>(stage_->out_verdict).tap;
    }

private:
    Stage<Vchoose> stage_;
};

}  // namespace

TEST_CASE("P10 the first rule that matches decides, whatever the ones behind it say") {
    Chooser chooser;
    for (unsigned first = 0; first < 16; ++first) {
        for (const std::uint64_t accept : {0x0000, 0xffff, 0xaaaa, 0x5555}) {
            std::array<Slot, 3> slots;
            slots[0].match = 0xffffu << first & 0xffff;
            slots[0].accept = accept;
            const VerdictWord verdict = chooser.check(slots, false);
            CHECK(verdict.accepted == (accept >> first & 1));
            CHECK((verdict.why_rule & 15) == first);
        }
    }
}

TEST_CASE("P12 the first slot that accepts mirrors the frame, and no match is a rejection") {
    Chooser chooser;
    for (unsigned pattern = 0; pattern < 64; ++pattern) {
        std::array<Slot, 3> slots;
        for (unsigned i = 0; i < 3; ++i) {
            slots[i].match = pattern >> 2 * i & 1;
            slots[i].accept = pattern >> (2 * i + 1) & 1;
            slots[i].session = 100 + i;
        }
        chooser.check(slots, false);
    }
    CHECK_FALSE(chooser.tap_without_input());
}

TEST_CASE("P8 Amazon DNS is accepted or rejected by the network service before any rule") {
    Chooser chooser;
    for (unsigned pattern = 0; pattern < 64; ++pattern) {
        std::array<Slot, 3> slots;
        for (unsigned i = 0; i < 3; ++i) {
            slots[i].valid = pattern >> i & 1;
            slots[i].dns = pattern >> (3 + i) & 1;
            slots[i].match = slots[i].accept = 0xffff;
        }
        const VerdictWord verdict = chooser.check(slots, true);
        CHECK(verdict.accepted == ((pattern & pattern >> 3 & 7) != 0));
    }
}

TEST_CASE("P14 the limit is the smaller of PacketLength and the MTU cut") {
    Chooser chooser;
    for (const std::uint64_t packet_length : {1, 8500, 9216}) {
        for (const std::uint64_t mtu_cut : {520, 8500, 8965, 9216}) {
            std::array<Slot, 3> slots;
            slots[1].match = slots[1].accept = 1;
            slots[1].cut = {1, mtu_cut, packet_length};
            CHECK(chooser.check(slots, false).limit == std::min(packet_length, mtu_cut));
        }
    }
}

TEST_CASE(
    "T4 faulty length limits of the slot that accepts let no byte be copied, those of others do "
    "not count") {
    Chooser chooser;
    for (unsigned accepting = 0; accepting < 3; ++accepting) {
        for (unsigned faulty = 0; faulty < 8; ++faulty) {
            std::array<Slot, 3> slots;
            for (unsigned i = 0; i < 3; ++i) {
                slots[i].match = 1;
                slots[i].accept = i >= accepting;
                slots[i].cut = {0, 8500, 100 + i};
                slots[i].cut_faulty = faulty >> i & 1;
            }
            const VerdictWord verdict = chooser.check(slots, false);
            CHECK(verdict.accepted == 1);
            CHECK(verdict.slot == accepting);
            CHECK(verdict.limit == (faulty >> accepting & 1 ? 0 : 100 + accepting));
        }
    }
}

TEST_CASE("P8 P10 P12 P14 T4 random slots have the right verdicts, back to back") {
    StageRandom random;
    Chooser chooser;
    for (unsigned i = 0; i < 20000; ++i) {
        std::array<Slot, 3> slots;
        for (auto& slot : slots) {
            slot.valid = random.chance(80);
            slot.dns = random.chance(50);
            slot.match = random.below(65536) & random.below(65536) & random.below(65536);
            slot.accept = random.below(65536);
            slot.session = random.below(1024);
            slot.cut = {random.below(2), random.between(1, 9216), random.between(1, 9216)};
            slot.cut_faulty = random.chance(10);
        }
        chooser.check(slots, random.chance(20), random.chance(90), random.chance(20),
                      random.below(65536), random.chance(10));
    }
}
