// SPDX-License-Identifier: Apache-2.0
// The lookup, whole: windows in, one a cycle, and verdicts out as the reference model finds them
// with the tables of the frame's own slot.
#include <Vlookup.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "sim/models/reference_model.hpp"
#include "stage.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

using Bytes = std::vector<std::uint8_t>;
using reference::Direction;

constexpr unsigned Latency = 8;

// ---- Words of the model's tables ----

Number mac_bits(const reference::Mac& mac) {
    Number value = 0;
    for (const auto byte : mac) value = value << 8 | byte;
    return value;
}

RuleWord word_of(const reference::Rule& rule) {
    RuleWord word;
    word.valid = 1;
    word.accept = rule.accept;
    word.v6 = rule.source.base.version == 6;
    word.source = rule.source.base.bytes;
    word.destination = rule.destination.base.bytes;
    word.source_prefix = Number(rule.source.prefix);
    word.destination_prefix = Number(rule.destination.prefix);
    if (rule.protocol) {
        word.has_protocol = 1;
        word.protocol = *rule.protocol;
    }
    if (rule.source_ports) {
        word.has_source_ports = 1;
        word.source_port_from = rule.source_ports->from;
        word.source_port_to = rule.source_ports->to;
    }
    if (rule.destination_ports) {
        word.has_destination_ports = 1;
        word.destination_port_from = rule.destination_ports->from;
        word.destination_port_to = rule.destination_ports->to;
    }
    return word;
}

Bits word_of(const std::vector<reference::Rule>& rules, bool amazon_dns) {
    std::vector<RuleWord> words;
    for (const auto& rule : rules) words.push_back(word_of(rule));
    return filter_bits(words, amazon_dns);
}

ServiceWord word_of(const std::optional<reference::ServiceEntry>& entry) {
    using Entry = reference::ServiceEntry;
    ServiceWord word;
    if (!entry) return word;
    word.valid = 1;
    word.v6 = entry->version == 6;
    word.any_address = !entry->address;
    if (entry->address) word.address = entry->address->bytes;
    word.tcp =
        entry->protocol == Entry::Protocol::tcp || entry->protocol == Entry::Protocol::tcp_or_udp;
    word.udp =
        entry->protocol == Entry::Protocol::udp || entry->protocol == Entry::Protocol::tcp_or_udp;
    if (entry->ports) {
        word.has_ports = 1;
        word.port_from = entry->ports->from;
        word.port_to = entry->ports->to;
    }
    word.either_side = entry->side == Entry::PortSide::either;
    word.dns = entry->action == Entry::Action::dns;
    return word;
}

CutWord cut_of(const reference::Session& session) {
    CutWord word;
    word.v6 = session.target_address.version == 6;
    word.mtu_cut = std::min<Number>(session.mtu - (word.v6 ? 56 : 36), reference::LongestCopy);
    word.packet_length = session.packet_length.value_or(reference::LongestCopy);
    return word;
}

/// Of the header's words that do not depend on the copy, as they lie on the lanes (RFC 1071).
Number sum_of(const OuterWord& outer) {
    std::vector<unsigned> words;
    for (const Address* address : {&outer.source_address, &outer.target_address}) {
        for (int i = 0; i < (outer.v6 ? 16 : 4); i += 2)
            words.push_back((*address)[i] + 256u * (*address)[i + 1]);
    }
    const auto put = [&words](unsigned word) {
        words.push_back((word >> 8 & 0xff) + ((word & 0xff) << 8));
    };
    if (outer.v6) {
        for (const unsigned word : {17u, 4789u, 0x0800u}) put(word);
        put(unsigned(outer.vni >> 8));
        put(unsigned(outer.vni << 8) & 0xffff);
    } else {
        for (const unsigned word : {0x4500u, 0xff11u}) put(word);
    }
    Number sum = 0;
    for (const unsigned word : words) sum += word;
    return sum;
}

OuterWord outer_of(const reference::Session& session) {
    OuterWord word;
    word.v6 = session.target_address.version == 6;
    word.vni = session.vni;
    word.target_mac = mac_bits(session.target_mac);
    word.source_mac = mac_bits(session.source_mac);
    word.target_address = session.target_address.bytes;
    word.source_address = session.source_address.bytes;
    return word;
}

/// What the tables hold.
struct Content {
    Content() {
        const auto defaults = reference::default_services();
        std::copy(defaults.begin(), defaults.end(), services.begin());
    }

    std::vector<InterfaceWord> interfaces{sizes::interfaces};
    std::vector<std::shared_ptr<const reference::Filter>> filters{sizes::filters};
    std::vector<std::optional<reference::Session>> sessions{sizes::sessions};
    std::array<std::optional<reference::ServiceEntry>, sizes::services> services;
    SourcePorts source_ports{14, 49152};
};

/// What one commit writes; only one word of a table.
struct Change {
    std::optional<std::pair<unsigned, InterfaceWord>> interface;
    std::optional<std::pair<unsigned, std::shared_ptr<const reference::Filter>>> filter;
    std::optional<std::pair<unsigned, reference::Session>> session;
    std::optional<std::pair<unsigned, std::optional<reference::ServiceEntry>>> service;
    std::optional<SourcePorts> source_ports;

    void apply(Content& content) const {
        if (interface) content.interfaces[interface->first] = interface->second;
        if (filter) content.filters[filter->first] = filter->second;
        if (session) content.sessions[session->first] = session->second;
        if (service) content.services[service->first] = service->second;
        if (source_ports) content.source_ports = *source_ports;
    }
};

/// Which word of each table a fetch loads; one of them.
struct Fetch {
    std::optional<unsigned> interface, filter, session, service;
    bool egress = false;
};

/// Words with a flipped bit (T4). A write of an entry sets all its words right.
struct Flips {
    std::set<unsigned> interfaces, services;
    std::array<std::set<std::pair<unsigned, bool>>, 3> filters;  ///< of each slot; egress?
    std::array<std::set<unsigned>, 3> cuts;                      ///< of each slot
    std::set<unsigned> outers;

    void repair(const Change& change) {
        if (change.interface) interfaces.erase(change.interface->first);
        if (change.service) services.erase(change.service->first);
        for (unsigned slot = 0; slot < 3; ++slot) {
            for (const bool egress : {false, true}) {
                if (change.filter) filters[slot].erase({change.filter->first, egress});
            }
            if (change.session) cuts[slot].erase(change.session->first);
        }
        if (change.session) outers.erase(change.session->first);
    }
};

/// What the lookup says of flipped bits in one cycle.
struct FaultsSeen {
    std::optional<unsigned> interface, service;
    std::array<std::optional<unsigned>, 3> filter;
    std::array<std::optional<unsigned>, 4> session;
};

struct Frame {
    Bytes data;
    bool tap = true;
    Direction direction = Direction::egress;
    unsigned index = 0;
};

/// What came out for a frame.
struct Result {
    VerdictWord verdict;
    Number source_port = 0;
    OuterWord outer;  ///< of an accepted one
};

/// Feeds the lookup and judges all that leaves it.
class Lookup {
public:
    Lookup(StageRandom& random, bool wait_for_ready = true) : random_(random) {
        idle_inputs();
        scramble_staged();
        stage_.reset();
        if (wait_for_ready) {
            for (unsigned i = 0; !stage_->ready; ++i) {
                REQUIRE(i < 2 * sizes::interfaces);
                cycle();
            }
        }
    }

    /// The next cycle's token. It stays until it is taken, the staged words until it is done.
    void present(const Change& change) {
        REQUIRE_FALSE(busy());
        change_ = change;
        scramble_staged();
        TokenWord token;
        token.commit = 1;
        if (change.interface) {
            token.interface_word = 1;
            stage_->staged_interface_index = change.interface->first;
            drive(stage_->staged_interface, change.interface->second);
        }
        if (change.filter) {
            token.filter = 1;
            const reference::Filter& filter = *change.filter->second;
            stage_->staged_filter_index = change.filter->first;
            lists_ = {word_of(filter.ingress, filter.amazon_dns),
                      word_of(filter.egress, filter.amazon_dns)};
        }
        if (change.session) {
            token.session = 1;
            stage_->staged_session_index = change.session->first;
            drive(stage_->staged_cut, cut_of(change.session->second));
            drive(stage_->staged_outer, outer_of(change.session->second));
        }
        if (change.service) {
            token.service = 1;
            stage_->staged_service_index = change.service->first;
            drive(stage_->staged_service, word_of(change.service->second));
        }
        if (change.source_ports) {
            token.source_ports = 1;
            drive(stage_->staged_source_ports, *change.source_ports);
        }
        drive(stage_->token, token);
    }

    void present(const Fetch& fetch) {
        REQUIRE_FALSE(busy());
        fetch_ = fetch;
        strobes_ = 0;
        scramble_staged();
        TokenWord token;
        token.fetch = 1;
        token.fetch_egress = fetch.egress;
        token.interface_word = fetch.interface.has_value();
        token.filter = fetch.filter.has_value();
        token.session = fetch.session.has_value();
        token.service = fetch.service.has_value();
        if (fetch.interface) stage_->staged_interface_index = *fetch.interface;
        if (fetch.filter) stage_->staged_filter_index = *fetch.filter;
        if (fetch.session) stage_->staged_session_index = *fetch.session;
        if (fetch.service) stage_->staged_service_index = *fetch.service;
        drive(stage_->token, token);
    }

    /// One cycle, with a frame's first beat or without.
    void cycle(const Frame* frame = nullptr) {
        stage_->in_valid = frame != nullptr;
        stage_->in_tap = frame ? frame->tap : random_.below(2);
        stage_->in_egress = frame ? frame->direction == Direction::egress : random_.below(2);
        stage_->in_index =
            std::uint16_t(frame ? frame->index : random_.below(2 * sizes::interfaces));
        if (frame) {
            Bits window(1024);
            for (int i = 0; i < 128; ++i) {
                const bool inside = std::size_t(i) < frame->data.size();
                window.put(8 * i, 8, inside ? frame->data[i] : random_.byte());
            }
            drive(stage_->in_window, window);
            stage_->in_length = std::uint8_t(std::min<std::size_t>(frame->data.size(), 64));
            stage_->in_more =
                std::uint8_t(std::min<std::size_t>(frame->data.size(), 128) - stage_->in_length);
        }
        stage_.eval();
        check_outputs();

        if (frame && frame->tap && frame->data.size() < 14) {
            short_until_ = now_ + 1;  // busy until its length is looked at
        } else if (frame && frame->tap) {
            // The one frame between a filter's two words, by its direction.
            const bool older = behind_filter_ && frame->direction == Direction::egress;
            expect(*frame, older ? *behind_filter_ : content_, version_ - (older ? 1 : 0));
        }
        behind_filter_.reset();

        const bool presented = (change_ || fetch_) && !taken_at_;
        const bool taken = presented && stage_->ready && (change_ || !frame);
        REQUIRE(bool(stage_->token_taken) == taken);
        if (taken) {
            taken_at_ = now_;
            if (change_) {
                if (change_->filter) behind_filter_ = content_;
                change_->apply(content_);
                flips_.repair(*change_);
                ++version_;
            }
        }
        const bool egress = stage_->next_egress;
        stage_.tick();
        drive(stage_->staged_list, lists_[egress]);
        ++now_;
        if (taken) drive(stage_->token, TokenWord{});
    }

    void wait(unsigned cycles) {
        for (unsigned i = 0; i < cycles; ++i) cycle();
    }
    void feed(const Frame& frame) { cycle(&frame); }

    /// Commits and waits until it is done.
    void commit(const Change& change) {
        present(change);
        while (busy()) cycle();
    }

    bool busy() const { return change_ || fetch_ || fetched_until_ >= now_; }

    // Flips of a bit; while nothing is inside.
    void flip_interface(unsigned index, unsigned bit) {
        stage_.flip("lookup.interfaces", "memory", index, bit);
        flips_.interfaces.insert(index);
    }
    void flip_filter(unsigned slot, unsigned filter, bool egress, unsigned bit) {
        stage_.flip(slot_place(slot) + ".filters", "memory", 2 * filter + egress, bit);
        flips_.filters.at(slot).insert({filter, egress});
    }
    void flip_service(unsigned index, unsigned bit) {
        if (bit == ServiceWord::width)
            stage_.flip("lookup.services", "parity", 0, index);
        else
            stage_.flip("lookup.services", "entries", index, bit);
        flips_.services.insert(index);
    }
    void flip_cut(unsigned slot, unsigned session, unsigned bit) {
        stage_.flip("lookup.sessions.g_slot[" + std::to_string(slot) + "]", "memory", session, bit);
        flips_.cuts.at(slot).insert(session);
    }
    void flip_outer(unsigned session, unsigned bit) {
        stage_.flip("lookup.sessions", "memory", session, bit);
        flips_.outers.insert(session);
    }
    unsigned width(const char* place) { return stage_.width(place, "memory"); }

    void reset(unsigned cycles) {
        idle_inputs();
        stage_->rst = 1;
        for (unsigned i = 0; i < cycles; ++i) stage_.tick();
        stage_->rst = 0;
        expected_.clear();
        expected_outer_.reset();
        change_.reset();
        fetch_.reset();
        taken_at_.reset();
        behind_filter_.reset();
        fetched_until_ = short_until_ = 0;
        version_ = 0;
        seen_.clear();
        flips_.interfaces.clear();
        flips_.services.clear();
        const Content old = content_;
        content_ = Content();
        content_.filters = old.filters;  // nobody refers to them
        content_.sessions = old.sessions;
    }

    /// Waits for the pipeline's end and gives what has come out since the last call.
    std::vector<Result> results() {
        wait(Latency + 2);
        REQUIRE(expected_.empty());
        std::vector<Result> results;
        results.swap(results_);
        return results;
    }

    const Content& content() const { return content_; }
    Stage<Vlookup>& stage() { return stage_; }
    std::uint64_t accepted() const { return accepted_; }
    std::uint64_t fetches() const { return fetches_; }
    std::uint64_t faults() const { return faults_; }

private:
    struct Expected {
        std::uint64_t due;
        reference::Decision decision;
        std::array<std::optional<std::size_t>, 3> slots;  ///< by session in ascending number
        InterfaceWord interface;
        std::optional<reference::Session> session;  ///< that accepts
        Number version, source_port;
        std::size_t size;
        bool fault = false;                ///< not eligible for it
        std::array<bool, 3> cut_faulty{};  ///< of each slot
        std::set<unsigned> outers;         ///< with a flipped bit
    };

    static std::string slot_place(unsigned slot) {
        return "lookup.g_slot[" + std::to_string(slot) + "]";
    }

    void idle_inputs() {
        stage_->in_valid = stage_->in_tap = 0;
        drive(stage_->token, TokenWord{});
    }

    /// Staged words mean something only while a commit is under way.
    void scramble_staged() {
        const auto noise = [this](int width) {
            Bits bits(width);
            for (int i = 0; i < width; i += 32)
                bits.put(i, std::min(32, width - i),
                         random_.below(std::uint64_t{1} << std::min(32, width - i)));
            return bits;
        };
        stage_->staged_interface_index = std::uint16_t(random_.below(sizes::interfaces));
        stage_->staged_filter_index = std::uint16_t(random_.below(sizes::filters));
        stage_->staged_session_index = std::uint16_t(random_.below(sizes::sessions));
        stage_->staged_service_index = std::uint8_t(random_.below(sizes::services));
        drive(stage_->staged_interface, noise(InterfaceWord::width));
        lists_ = {noise(FilterWidth), noise(FilterWidth)};
        drive(stage_->staged_cut, noise(CutWord::width));
        drive(stage_->staged_outer, noise(OuterWord::width));
        drive(stage_->staged_service, noise(ServiceWord::width));
        drive(stage_->staged_source_ports, noise(SourcePorts::width));
    }

    void expect(const Frame& frame, const Content& content, Number version) {
        Expected expected;
        reference::Tables tables;
        tables.services.clear();
        for (const auto& service : content.services) {
            if (service) tables.services.push_back(*service);
        }
        tables.source_port_base = std::uint16_t(content.source_ports.base);
        tables.source_port_bits = int(content.source_ports.bits);
        reference::Interface interface;
        if (frame.index < sizes::interfaces) expected.interface = content.interfaces[frame.index];
        const InterfaceWord& word = expected.interface;
        if (word.has_resolver) {
            interface.resolver = reference::ipv4(
                std::uint8_t(word.resolver >> 24), std::uint8_t(word.resolver >> 16),
                std::uint8_t(word.resolver >> 8), std::uint8_t(word.resolver));
        }
        for (std::size_t slot = 0; slot < 3; ++slot) {
            if (!(word.valid >> slot & 1)) continue;
            reference::Session session = content.sessions.at(word.session[slot]).value();
            session.number = std::uint16_t(slot + 1);
            session.filter = content.filters.at(word.filter[slot]);
            expected.slots[interface.sessions.size()] = slot;
            interface.sessions.push_back(session);
        }
        tables.interfaces.push_back(interface);
        reference::Pass pass;
        pass.data = frame.data.data();
        pass.size = frame.data.size();
        pass.tap = reference::Tap{frame.direction, 0};
        expected.decision = reference::decide(tables, pass);
        if (expected.decision.outcome == reference::Outcome::selected)
            expected.session = interface.sessions.at(expected.decision.session);
        expected.version = version;
        const reference::Parsed parsed = reference::parse(frame.data.data(), frame.data.size());
        expected.source_port = parsed.ip ? reference::source_port(tables, parsed) : 0;
        expected.size = frame.data.size();
        expected.due = now_ + Latency;
        expect_faults(frame, expected);
        expected_.push_back(std::move(expected));
    }

    /// Which words of the frame's path are faulty, and when that shows.
    void expect_faults(const Frame& frame, Expected& expected) {
        const bool egress = frame.direction == Direction::egress;
        expected.outers = flips_.outers;
        if (!flips_.services.empty()) {
            seen_[now_ + 7].service = *flips_.services.rbegin();
            expected.fault = true;
        }
        if (flips_.interfaces.count(frame.index) > 0) {
            seen_[now_ + 4].interface = frame.index;
            expected.fault = true;
            return;  // it has no slots
        }
        const InterfaceWord& word = expected.interface;
        for (unsigned slot = 0; slot < 3; ++slot) {
            if (!(word.valid >> slot & 1)) continue;
            const auto filter = unsigned(word.filter[slot]), session = unsigned(word.session[slot]);
            if (flips_.filters[slot].count({filter, egress}) > 0) {
                seen_[now_ + 6].filter[slot] = filter;
                expected.fault = true;
            }
            if (flips_.cuts[slot].count(session) > 0) {
                seen_[now_ + 7].session[slot] = session;
                expected.cut_faulty[slot] = true;
            }
        }
    }

    /// All that is found faulty is told in its cycle, with its index, and nothing else.
    void check_faults() {
        const auto found = seen_.find(now_);
        const FaultsSeen seen = found == seen_.end() ? FaultsSeen{} : found->second;
        if (found != seen_.end()) seen_.erase(found);
        REQUIRE(bool(stage_->interface_faulty) == seen.interface.has_value());
        if (seen.interface) REQUIRE(stage_->interface_index == *seen.interface);
        REQUIRE(bool(stage_->service_faulty) == seen.service.has_value());
        if (seen.service) REQUIRE(stage_->service_index == *seen.service);
        const Bits filters = sample(stage_->filter_index, 3 * FilterBits);
        for (int i = 0; i < 3; ++i) {
            INFO("slot " << i);
            REQUIRE(bool(stage_->filter_faulty >> i & 1) == seen.filter[i].has_value());
            if (seen.filter[i]) REQUIRE(filters.get(FilterBits * i, FilterBits) == *seen.filter[i]);
        }
        const Bits sessions = sample(stage_->session_index, 4 * SessionBits);
        for (int i = 0; i < 4; ++i) {
            INFO("slot " << i << " (3: outer header)");
            REQUIRE(bool(stage_->session_faulty >> i & 1) == seen.session[i].has_value());
            if (seen.session[i])
                REQUIRE(sessions.get(SessionBits * i, SessionBits) == *seen.session[i]);
        }
        faults_ += stage_->interface_faulty + stage_->service_faulty;
        for (const auto& index : seen.filter) faults_ += index.has_value();
        for (const auto& index : seen.session) faults_ += index.has_value();
    }

    void check_outputs() {
        INFO("cycle " << now_);
        check_faults();
        REQUIRE(bool(stage_->busy) == (!expected_.empty() || now_ == short_until_));
        if (expected_outer_) {
            results_.back().outer = sample<OuterWord>(stage_->out_outer);
            REQUIRE(pack(results_.back().outer) == pack(outer_of(*expected_outer_)));
            REQUIRE(stage_->out_sum == sum_of(outer_of(*expected_outer_)));
            expected_outer_.reset();
        }
        const VerdictWord verdict = sample<VerdictWord>(stage_->out_verdict);
        const bool due = !expected_.empty() && expected_.front().due == now_;
        REQUIRE(bool(verdict.tap) == due);
        if (due) {
            check_verdict(verdict, expected_.front());
            results_.push_back({verdict, Number(stage_->out_source_port), {}});
            expected_.pop_front();
        }
        check_token();
    }

    void check_verdict(const VerdictWord& verdict, const Expected& expected) {
        const reference::Decision& decision = expected.decision;
        REQUIRE(verdict.version == (expected.version & 0xffff));
        // Its outer header is read, whatever becomes of it.
        if (verdict.accepted && expected.outers.count(unsigned(verdict.session)) > 0)
            seen_[now_ + 1].session[3] = unsigned(verdict.session);
        REQUIRE(bool(verdict.fault) == expected.fault);
        REQUIRE(bool(verdict.ip) == (decision.cause != reference::Cause::not_ip));
        if (!verdict.ip) return;
        REQUIRE(Number(stage_->out_source_port) == expected.source_port);
        if (verdict.fault) return;  // the rest comes from what is faulty
        REQUIRE(bool(verdict.excluded) == (decision.cause == reference::Cause::excluded));
        if (verdict.excluded) return;
        REQUIRE(bool(verdict.accepted) == expected.session.has_value());
        std::size_t end = 3;  // slots behind the one that accepts say anything
        if (expected.session) {
            end = expected.slots[decision.session].value();
            REQUIRE(verdict.slot == end);
            REQUIRE(verdict.session == expected.interface.session[end]);
            REQUIRE(bool(verdict.by_service) == decision.by_service);
            if (!decision.by_service) REQUIRE(verdict.rule_index == decision.rule.value());
            const CutWord cut = cut_of(*expected.session);
            if (expected.cut_faulty[end]) {
                REQUIRE(verdict.limit == 0);
            } else {
                REQUIRE(verdict.v6 == cut.v6);
                REQUIRE(verdict.limit == std::min(cut.packet_length, cut.mtu_cut));
                REQUIRE(std::min<Number>(verdict.limit, expected.size) == decision.kept);
            }
            expected_outer_ = expected.session;
            ++accepted_;
        }
        std::array<Number, 3> why{}, why_rule{};
        why.fill(SlotEmpty);
        for (std::size_t i = 0; i < decision.tried.size(); ++i) {
            const reference::Verdict& tried = decision.tried[i];
            const std::size_t slot = expected.slots[i].value();
            why[slot] = tried.reason == reference::Verdict::Reason::no_rule ? SlotNoRule
                        : tried.reason == reference::Verdict::Reason::rule  ? SlotRejected
                                                                            : SlotRejectedDns;
            if (why[slot] == SlotRejected) why_rule[slot] = tried.rule;
        }
        for (std::size_t slot = 0; slot < end; ++slot) {
            INFO("slot " << slot);
            REQUIRE((verdict.why >> 2 * slot & 3) == why[slot]);
            REQUIRE((verdict.why_rule >> RuleBits * slot & 15) == why_rule[slot]);
        }
    }

    /// The end of a change, and what a fetch gives.
    void check_token() {
        REQUIRE(bool(stage_->token_done) == (taken_at_ && now_ == *taken_at_ + Latency));
        if (stage_->token_done && fetch_ && fetch_->session &&
            flips_.outers.count(*fetch_->session) > 0)
            seen_[now_ + 1].session[3] = *fetch_->session;
        const auto strobe = [this](bool strobe, bool asked, const Bits& found,
                                   const std::function<Bits()>& wanted) {
            if (!strobe) return;
            REQUIRE(asked);
            REQUIRE(found == wanted());
            ++strobes_;
        };
        const Fetch asked = fetch_ ? *fetch_ : fetched_;
        strobe(stage_->fetched_interface, asked.interface.has_value(),
               sample(stage_->interface_word, InterfaceWord::width),
               [&] { return pack(content_.interfaces[*asked.interface]); });
        strobe(stage_->fetched_filter, asked.filter.has_value(),
               sample(stage_->filter_word, FilterWidth), [&] {
                   const reference::Filter& filter = *content_.filters[*asked.filter];
                   return word_of(asked.egress ? filter.egress : filter.ingress, filter.amazon_dns);
               });
        strobe(stage_->fetched_cut, asked.session.has_value(),
               sample(stage_->cut_word, CutWord::width),
               [&] { return pack(cut_of(*content_.sessions[*asked.session])); });
        strobe(stage_->fetched_outer, asked.session.has_value(),
               sample(stage_->out_outer, OuterWord::width),
               [&] { return pack(outer_of(*content_.sessions[*asked.session])); });
        if (fetched_until_ && fetched_until_ == now_) {  // the last word may come behind the end
            REQUIRE(strobes_ == (fetched_.session ? 2 : fetched_.service ? 0 : 1));
            fetched_until_ = 0;
            fetched_ = {};
            ++fetches_;
        }
        if (!stage_->token_done) return;
        if (change_) {
            REQUIRE(stage_->version == (version_ & 0xffff));
            change_.reset();
        } else {
            if (fetch_->service)
                REQUIRE(pack(sample<ServiceWord>(stage_->service_entry)) ==
                        pack(word_of(content_.services[*fetch_->service])));
            fetched_ = *fetch_;
            fetched_until_ = now_ + 1;
            fetch_.reset();
        }
        taken_at_.reset();
    }

    StageRandom& random_;
    Stage<Vlookup> stage_;
    std::array<Bits, 2> lists_{Bits(FilterWidth), Bits(FilterWidth)};  ///< staged: ingress, egress
    Content content_;
    std::optional<Content> behind_filter_;  ///< as it was before the filter of the slot before
    std::deque<Expected> expected_;
    std::optional<reference::Session> expected_outer_;
    Flips flips_;
    std::map<std::uint64_t, FaultsSeen> seen_;
    std::uint64_t faults_ = 0;
    std::vector<Result> results_;
    std::optional<Change> change_;  ///< until it is done
    std::optional<Fetch> fetch_;
    Fetch fetched_;
    std::uint64_t fetched_until_ = 0, short_until_ = 0;
    std::optional<std::uint64_t> taken_at_;
    unsigned strobes_ = 0;
    std::uint64_t now_ = 1, accepted_ = 0, fetches_ = 0;
    Number version_ = 0;
};

// ---- Frames and tables by hand and at random ----

struct Shape {
    bool v6 = false;
    std::uint8_t protocol = 17;
    std::array<std::uint8_t, 16> source{10, 0, 1, 10}, destination{10, 0, 2, 20};
    std::uint16_t source_port = 4000, destination_port = 5000;
    unsigned tags = 0;
    std::uint16_t fragment = 0;  ///< of IPv4
    std::size_t length = 80;
};

Bytes bytes_of(const Shape& shape) {
    Bytes frame{2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
    const auto put = [&frame](unsigned value) {
        frame.push_back(std::uint8_t(value >> 8));
        frame.push_back(std::uint8_t(value));
    };
    for (unsigned i = 0; i < shape.tags; ++i) {
        put(0x8100);
        put(100 + i);
    }
    const int address_bytes = shape.v6 ? 16 : 4;
    if (shape.v6) {
        for (const unsigned value : {0x86ddu, 0x6000u, 0u, 60u}) put(value);
        put(shape.protocol << 8 | 64u);
    } else {
        for (const unsigned value : {0x0800u, 0x4500u, 60u, 0u}) put(value);
        put(shape.fragment);
        put(64u << 8 | shape.protocol);
        put(0);
    }
    frame.insert(frame.end(), shape.source.begin(), shape.source.begin() + address_bytes);
    frame.insert(frame.end(), shape.destination.begin(), shape.destination.begin() + address_bytes);
    put(shape.source_port);
    put(shape.destination_port);
    frame.resize(std::max<std::size_t>(shape.length, 14), 0x5a);
    return frame;
}

reference::Rule rule_of(bool v6, bool accept) {
    reference::Rule rule;
    rule.accept = accept;
    rule.source.base.version = rule.destination.base.version = v6 ? 6 : 4;
    return rule;
}

std::shared_ptr<reference::Filter> filter_of(bool ingress, bool egress) {
    auto filter = std::make_shared<reference::Filter>();
    filter->ingress = {rule_of(false, ingress), rule_of(true, ingress)};
    filter->egress = {rule_of(false, egress), rule_of(true, egress)};
    return filter;
}

reference::Session session_of(std::uint32_t vni, bool v6_target = false) {
    reference::Session session;
    session.vni = vni;
    session.source_mac = {2, 0, 0, 0, 0, 0xa};
    session.target_mac = {2, 0, 0, 0, std::uint8_t(vni >> 8), std::uint8_t(vni)};
    session.source_address = session.target_address = reference::ipv4(10, 0, 1, 30);
    if (v6_target) {
        session.source_address =
            reference::ipv6({0x2001, 0xdb8, 0, 0, 0, 0, 0, std::uint16_t(vni)});
        session.target_address = reference::ipv6({0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xc});
    }
    session.packet_length = std::uint16_t(1 + vni % 8000);
    session.mtu = 9001;
    return session;
}

InterfaceWord interface_of(std::array<Number, 3> filters, std::array<Number, 3> sessions,
                           Number valid = 7) {
    InterfaceWord word;
    word.filter = filters;
    word.session = sessions;
    word.number = {1, 20, 32766};
    word.valid = valid;
    return word;
}

/// Filters 0 to 3 accept in neither direction, ingress, egress, both; sessions 0 to 3.
void fill(Lookup& lookup) {
    for (unsigned i = 0; i < 4; ++i) {
        Change filter;
        filter.filter = {i, filter_of(i & 1, i & 2)};
        lookup.commit(filter);
        Change session;
        session.session = {i, session_of(0x100 + i, i % 2)};
        lookup.commit(session);
    }
}

Frame frame_of(Direction direction = Direction::egress, unsigned index = 0,
               const Shape& shape = {}) {
    return {bytes_of(shape), true, direction, index};
}

constexpr Direction directions[] = {Direction::ingress, Direction::egress};

}  // namespace

TEST_CASE(
    "T2 the frame in a commit's slot sees the old words and the next one the new, back to back") {
    StageRandom random;
    struct Case {
        const char* name;
        Change change;
        std::function<Number(const Result&)> seen;  ///< differs between the old tables and the new
        Shape shape;
    };
    std::vector<Case> cases(6);
    cases[0] = {"interface", {}, [](const Result& r) { return r.verdict.session; }, {}};
    cases[0].change.interface = {0, interface_of({3, 3, 3}, {2, 2, 2})};
    cases[1] = {"filter", {}, [](const Result& r) { return r.verdict.accepted; }, {}};
    cases[1].change.filter = {3, filter_of(false, false)};
    cases[2] = {"session, limits", {}, [](const Result& r) { return r.verdict.limit; }, {}};
    cases[2].change.session = {1, session_of(0x777, true)};
    cases[3] = {"session, outer", {}, [](const Result& r) { return r.outer.vni; }, {}};
    cases[3].change.session = {1, session_of(0x777, true)};
    cases[4] = {"service", {}, [](const Result& r) { return r.verdict.excluded; }, {}};
    reference::ServiceEntry service;
    service.protocol = reference::ServiceEntry::Protocol::udp;
    service.ports = reference::PortRange{5000, 5000};
    cases[4].change.service = {15, service};
    cases[5] = {"source ports", {}, [](const Result& r) { return r.source_port; }, {}};
    cases[5].change.source_ports = SourcePorts{1, 10};
    for (const Case& item : cases) {
        for (const Direction direction : directions) {
            INFO(item.name << ", " << (direction == Direction::egress ? "egress" : "ingress"));
            Lookup lookup(random);
            fill(lookup);
            Change start;
            start.interface = {0, interface_of({3, 3, 3}, {1, 1, 1})};
            lookup.commit(start);
            lookup.results();
            const Frame frame = frame_of(direction, 0, item.shape);
            constexpr unsigned before = 12;
            for (unsigned i = 0; i < 2 * before; ++i) {
                if (i == before) lookup.present(item.change);
                lookup.feed(frame);
            }
            const auto results = lookup.results();
            REQUIRE(results.size() == 2 * before);
            // A filter's egress word is written a cycle later, and its version says so.
            const unsigned last_old =
                before + (item.change.filter && direction == Direction::egress ? 1 : 0);
            const Number old = item.seen(results.front()), changed = item.seen(results.back());
            CHECK(old != changed);
            for (unsigned i = 0; i < results.size(); ++i) {
                INFO("frame " << i << ", the commit's is " << before);
                CHECK(item.seen(results[i]) == (i <= last_old ? old : changed));
                CHECK(results[i].verdict.version ==
                      results.front().verdict.version + (i <= last_old ? 0 : 1));
            }
        }
    }
}

TEST_CASE("T2 a commit of all but a filter changes all its tables between the same two frames") {
    StageRandom random;
    for (const unsigned gap : {0u, 1u, 2u, 3u, 7u, 20u}) {
        Lookup lookup(random);
        fill(lookup);
        Change start;
        start.interface = {0, interface_of({3, 0, 0}, {0, 1, 2}, 1)};
        lookup.commit(start);
        reference::ServiceEntry service;
        service.action = reference::ServiceEntry::Action::dns;
        service.protocol = reference::ServiceEntry::Protocol::udp;
        for (unsigned round = 0; round < 40; ++round) {
            Change change;
            change.interface = {0, interface_of({round % 4, 3, 2}, {round % 4, 3, round % 3})};
            change.session = {3, session_of(0x1000 + 37 * round, round % 2)};
            service.ports = reference::PortRange{std::uint16_t(5000 + round % 3), 5003};
            change.service = {12, service};
            change.source_ports = SourcePorts{1 + round % 15, 256 * round};
            lookup.present(change);
            while (lookup.busy()) {
                lookup.feed(frame_of(round % 2 ? Direction::ingress : Direction::egress));
                lookup.wait(gap);
            }
        }
        lookup.results();
        CHECK(lookup.accepted() > 100 / (gap + 1));
    }
}

TEST_CASE("I2 a pass at no tap has no verdict, and delays no other pass") {
    StageRandom random;
    Lookup lookup(random);
    fill(lookup);
    Change change;
    change.interface = {7, interface_of({3, 3, 3}, {1, 2, 3})};
    lookup.commit(change);
    lookup.results();
    for (unsigned pattern = 0; pattern < 256; ++pattern) {
        unsigned taps = 0;
        for (unsigned i = 0; i < 8; ++i) {
            Frame frame = frame_of(Direction::ingress, 7);
            frame.tap = pattern >> i & 1;
            taps += frame.tap;
            lookup.feed(frame);
        }
        const auto results = lookup.results();
        REQUIRE(results.size() == taps);
        for (const Result& result : results) CHECK(result.verdict.accepted);
    }
}

TEST_CASE("P2 a frame of less than 14 bytes has no verdict, and the one of 14 behind it has") {
    StageRandom random;
    Lookup lookup(random);
    fill(lookup);
    Change change;
    change.interface = {7, interface_of({3, 3, 3}, {1, 2, 3})};
    lookup.commit(change);
    lookup.results();
    for (std::size_t bytes = 1; bytes < 14; ++bytes) {
        for (const std::size_t next : {14u, 80u}) {
            Frame small = frame_of(Direction::ingress, 7);
            small.data.resize(bytes);
            Frame whole = frame_of(Direction::ingress, 7);
            whole.data.resize(next);
            for (const Frame* frame : {&whole, &small, &small, &whole, &small}) lookup.feed(*frame);
            CHECK(lookup.results().size() == 2);
        }
    }
}

TEST_CASE("T1 the index past the table passes with empty slots, whatever the tables hold") {
    StageRandom random;
    Lookup lookup(random);
    fill(lookup);
    for (unsigned i = 0; i < sizes::interfaces; ++i) {
        Change change;
        change.interface = {i, interface_of({3, 3, 3}, {i % 4, 1, 2})};
        lookup.commit(change);
    }
    lookup.results();
    for (unsigned index = 0; index < 2 * sizes::interfaces; ++index) {
        lookup.feed(frame_of(Direction::egress, index));
        lookup.feed(frame_of(Direction::ingress, sizes::interfaces));
    }
    const auto results = lookup.results();
    REQUIRE(results.size() == 4 * sizes::interfaces);
    for (unsigned i = 0; i < results.size(); ++i) {
        const bool known = i % 2 == 0 && i / 2 < sizes::interfaces;
        INFO("index " << (i % 2 == 0 ? i / 2 : sizes::interfaces));
        CHECK(bool(results[i].verdict.accepted) == known);
        if (!known) CHECK(results[i].verdict.why == 0);  // SlotEmpty in all three
        if (known) CHECK(results[i].verdict.session == i / 2 % 4);
    }
}

TEST_CASE("P12 T3 the first of three slots that accepts is taken, and an empty slot never") {
    StageRandom random;
    Lookup lookup(random);
    fill(lookup);
    unsigned accepted = 0;
    for (unsigned valid = 0; valid < 8; ++valid) {
        for (unsigned filters = 0; filters < 64; ++filters) {
            const std::array<Number, 3> filter{filters & 3, filters >> 2 & 3, filters >> 4 & 3};
            Change change;
            change.interface = {9, interface_of(filter, {3, 1, 2}, valid)};
            lookup.commit(change);
            for (const Direction direction : directions) {
                lookup.feed(frame_of(direction, 9));
                const auto results = lookup.results();
                REQUIRE(results.size() == 1);
                std::optional<Number> first;
                for (unsigned slot = 3; slot-- > 0;) {
                    if (valid >> slot & filter[slot] >> (direction == Direction::egress) & 1)
                        first = slot;
                }
                CHECK(bool(results[0].verdict.accepted) == first.has_value());
                if (!first) continue;
                ++accepted;
                CHECK(results[0].verdict.slot == *first);
                CHECK(results[0].outer.vni == 0x100 + std::array<Number, 3>{3, 1, 2}[*first]);
            }
        }
    }
    CHECK(accepted == 2 * (512 - 6 * 6 * 6));  // a slot accepts in 2 of its 8 ways
}

TEST_CASE("P25 a change waits for the end of the sweep, and after a reset the tables are empty") {
    StageRandom random;
    for (const unsigned in_flight : {0u, 1u, 5u, 8u}) {
        Lookup lookup(random, false);
        Change change;
        change.interface = {0, interface_of({3, 3, 3}, {0, 1, 2})};
        change.source_ports = SourcePorts{4, 1000};
        reference::ServiceEntry service;
        change.service = {0, service};
        change.session = {0, session_of(5)};
        unsigned waited = 0;
        lookup.present(change);
        while (lookup.busy()) {
            lookup.cycle();
            ++waited;
        }
        CHECK(waited >= sizes::interfaces);
        fill(lookup);
        change = {};
        change.interface = {sizes::interfaces - 1, interface_of({3, 3, 3}, {0, 1, 2})};
        lookup.commit(change);
        lookup.results();

        // Passes and a change that are inside when the reset comes.
        lookup.present(change);
        for (unsigned i = 0; i < in_flight; ++i)
            lookup.feed(frame_of(Direction::egress, sizes::interfaces - 1));
        lookup.reset(1);
        CHECK_FALSE(lookup.stage()->busy);
        CHECK_FALSE(lookup.stage()->ready);
        while (!lookup.stage()->ready) lookup.cycle();
        for (unsigned index = 0; index < sizes::interfaces; ++index)
            lookup.feed(frame_of(Direction::egress, index));
        Shape metadata;
        metadata.destination = {169, 254, 169, 254};
        lookup.feed(frame_of(Direction::egress, 0, metadata));
        const auto results = lookup.results();
        REQUIRE(results.size() == sizes::interfaces + 1);
        for (const Result& result : results) {
            CHECK_FALSE(result.verdict.accepted);
            CHECK(result.verdict.why == 0);
            CHECK(result.verdict.version == 0);
            CHECK(result.source_port >= 49152);
        }
        CHECK(results.back().verdict.excluded);
    }
}

namespace {

/// Interface 0 with all three slots, each with a filter and a session of its own that accept;
/// interface 1 with the second of the slots alone, of other filters and sessions.
void fill_for_flips(Lookup& lookup) {
    for (unsigned i = 0; i < 6; ++i) {
        Change filter, session;
        filter.filter = {i, filter_of(true, true)};
        session.session = {i, session_of(0x100 + i, i % 2)};
        lookup.commit(filter);
        lookup.commit(session);
    }
    Change change;
    change.interface = {0, interface_of({0, 1, 2}, {0, 1, 2})};
    lookup.commit(change);
    change.interface = {1, interface_of({3, 4, 5}, {3, 4, 5}, 2)};
    lookup.commit(change);
    lookup.results();
}

/// What comes out for one frame.
VerdictWord verdict_of(Lookup& lookup, const Frame& frame) {
    lookup.feed(frame);
    const auto results = lookup.results();
    REQUIRE(results.size() == 1);
    return results.front().verdict;
}

}  // namespace

TEST_CASE("T4 a flipped bit of an interface word leaves its frames alone, and no other's") {
    StageRandom random;
    Lookup lookup(random);
    fill_for_flips(lookup);
    Change repair;
    repair.interface = {0, lookup.content().interfaces[0]};
    for (unsigned bit = 0; bit < lookup.width("lookup.interfaces"); ++bit) {
        lookup.flip_interface(0, bit);
        const VerdictWord verdict = verdict_of(lookup, frame_of(Direction::egress, 0));
        CHECK(verdict.fault == 1);
        CHECK(verdict.why == 0);
        CHECK_FALSE(verdict.accepted);
        CHECK(verdict_of(lookup, frame_of(Direction::egress, 1)).accepted);
        CHECK(verdict_of(lookup, frame_of(Direction::egress, sizes::interfaces)).fault == 0);
        lookup.commit(repair);
        CHECK(verdict_of(lookup, frame_of(Direction::egress, 0)).accepted);
    }
    // One that has never been written is faulty, too: its valid bits may be what has flipped.
    const unsigned unwritten = sizes::interfaces - 3;
    lookup.flip_interface(unwritten, 4);
    CHECK(verdict_of(lookup, frame_of(Direction::egress, unwritten)).fault == 1);
}

TEST_CASE(
    "T4 a flipped bit of a filter counts in a valid slot that uses it, and in its direction") {
    StageRandom random;
    Lookup lookup(random);
    fill_for_flips(lookup);
    const unsigned width = lookup.width("lookup.g_slot[0].filters");
    REQUIRE(width == FilterWidth);
    unsigned bit = 0;
    for (unsigned round = 0; round < 40; ++round) {
        for (unsigned slot = 0; slot < 3; ++slot) {
            for (unsigned filter = 0; filter < 6; ++filter) {
                for (const Direction flipped : directions) {
                    bit = (bit + 1 + unsigned(random.below(2 * width / 1440))) % width;
                    lookup.flip_filter(slot, filter, flipped == Direction::egress, bit);
                    for (const unsigned index : {0u, 1u}) {
                        for (const Direction direction : directions) {
                            // Slot 0 accepts, but a faulty word behind it might have come first.
                            const bool used =
                                index == 0 ? filter == slot : filter == slot + 3 && slot == 1;
                            const VerdictWord verdict =
                                verdict_of(lookup, frame_of(direction, index));
                            CHECK(bool(verdict.fault) == (used && direction == flipped));
                            if (!verdict.fault) CHECK(verdict.accepted);
                        }
                    }
                    Change repair;
                    repair.filter = {filter, lookup.content().filters[filter]};
                    lookup.commit(repair);
                }
            }
        }
    }
    CHECK(verdict_of(lookup, frame_of()).fault == 0);
    CHECK(lookup.faults() == 40 * 2 * (3 + 1));
}

TEST_CASE("T4 a flipped bit of any service entry leaves the frames of every tap alone") {
    StageRandom random;
    Lookup lookup(random);
    fill_for_flips(lookup);
    for (unsigned entry = 0; entry < sizes::services; ++entry) {
        for (unsigned bit = entry; bit <= ServiceWord::width; bit += 7) {
            lookup.flip_service(entry, bit);
            for (const unsigned index : {0u, 1u, sizes::interfaces})
                CHECK(verdict_of(lookup, frame_of(Direction::ingress, index)).fault == 1);
            Change repair;
            repair.service = {entry, lookup.content().services[entry]};
            lookup.commit(repair);
            CHECK(verdict_of(lookup, frame_of()).fault == 0);
        }
    }
}

TEST_CASE(
    "T4 flipped length limits of the slot that accepts drop the copy, those of others are told") {
    StageRandom random;
    Lookup lookup(random);
    fill_for_flips(lookup);
    const unsigned width = lookup.width("lookup.sessions.g_slot[0]");
    for (unsigned slot = 0; slot < 3; ++slot) {
        for (unsigned session = 0; session < 6; ++session) {
            for (unsigned bit = 0; bit < width; ++bit) {
                lookup.flip_cut(slot, session, bit);
                for (const unsigned index : {0u, 1u}) {
                    const VerdictWord verdict =
                        verdict_of(lookup, frame_of(Direction::ingress, index));
                    CHECK(verdict.fault == 0);
                    CHECK(verdict.accepted == 1);
                    const bool accepting =
                        index == 0 ? slot == 0 && session == 0 : slot == 1 && session == 4;
                    CHECK((verdict.limit == 0) == accepting);
                }
                Change repair;
                repair.session = {session, lookup.content().sessions[session].value()};
                lookup.commit(repair);
            }
        }
    }
    CHECK(lookup.faults() == width * (3 + 1));  // interface 0 uses three of them, 1 one
}

TEST_CASE("T4 a flipped bit of an outer header is corrected in every copy and every fetch of it") {
    StageRandom random;
    Lookup lookup(random);
    fill_for_flips(lookup);
    const unsigned width = lookup.width("lookup.sessions");
    std::uint64_t faults = 0;
    for (unsigned bit = 0; bit < width; ++bit) {
        for (const unsigned session : {0u, 1u, 4u}) {
            lookup.flip_outer(session, bit);
            for (const unsigned index : {0u, 1u, 0u}) {  // what is sent is compared bit by bit
                const VerdictWord verdict = verdict_of(lookup, frame_of(Direction::egress, index));
                CHECK(verdict.accepted);
                CHECK(verdict.fault == 0);
                faults += verdict.session == session;
            }
            Fetch fetch;
            fetch.session = session;
            lookup.present(fetch);
            while (lookup.busy()) lookup.cycle();
            ++faults;
            CHECK(lookup.faults() == faults);
            Change repair;
            repair.session = {session, lookup.content().sessions[session].value()};
            lookup.commit(repair);
            lookup.results();
        }
    }
    CHECK(faults == width * (3 + 2 + 1));
}

TEST_CASE("T4 P25 after a reset nothing is found faulty of what was inside") {
    StageRandom random;
    for (unsigned in_flight = 1; in_flight <= 10; ++in_flight) {
        Lookup lookup(random);
        fill_for_flips(lookup);
        for (unsigned slot = 0; slot < 3; ++slot) {
            if (in_flight % 2) lookup.flip_filter(slot, slot, true, 17);
            lookup.flip_cut(slot, slot, 3);
            lookup.flip_outer(slot, 40);
        }
        if (in_flight % 3 == 0) lookup.flip_interface(0, 1);
        if (in_flight % 3 == 1) lookup.flip_service(9, 1);
        for (unsigned i = 0; i < in_flight; ++i) lookup.feed(frame_of());
        lookup.reset(1);
        const auto before = lookup.faults();
        lookup.wait(300);
        CHECK(lookup.faults() == before);
    }
}

TEST_CASE("T4 a commit repairs between two frames, back to back") {
    StageRandom random;
    for (unsigned kind = 0; kind < 4; ++kind) {
        for (const Direction direction : directions) {
            INFO("kind " << kind);
            Lookup lookup(random);
            fill_for_flips(lookup);
            Change repair;
            if (kind == 0) {
                lookup.flip_interface(0, 5);
                repair.interface = {0, lookup.content().interfaces[0]};
            } else if (kind == 1) {
                lookup.flip_filter(2, 2, direction == Direction::egress, 1000);
                repair.filter = {2, lookup.content().filters[2]};
            } else if (kind == 2) {
                lookup.flip_service(6, 30);
                repair.service = {6, lookup.content().services[6]};
            } else {
                lookup.flip_cut(0, 0, 20);
                lookup.flip_outer(0, 77);
                repair.session = {0, lookup.content().sessions[0].value()};
            }
            // An egress word is written a cycle later: leave one frame's time between.
            constexpr unsigned before = 12;
            for (unsigned i = 0; i < 2 * before; ++i) {
                if (i == before) lookup.present(repair);
                const bool between = kind == 1 && i == before + 1;
                if (between)
                    lookup.cycle();
                else
                    lookup.feed(frame_of(direction));
            }
            const auto results = lookup.results();
            REQUIRE(results.size() == 2 * before - (kind == 1 ? 1 : 0));
            for (unsigned i = 0; i < results.size(); ++i) {
                const bool faulty = i <= before;
                INFO("frame " << i);
                CHECK(bool(results[i].verdict.fault) == (faulty && kind < 3));
                if (kind == 3) CHECK((results[i].verdict.limit == 0) == faulty);
            }
        }
    }
}

namespace {

const std::array<std::uint8_t, 16> near4[] = {
    {10, 0, 1, 10}, {10, 0, 2, 20}, {10, 0, 0, 2}, {169, 254, 169, 253}, {169, 254, 169, 254}};
const std::array<std::uint8_t, 16> near6[] = {
    {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5},
    {0x20, 0x01, 0x0d, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6},
    {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x53}};
const std::uint16_t near_ports[] = {53, 80, 81, 123, 5000, 5001};

Frame random_frame(StageRandom& random) {
    Shape shape;
    shape.v6 = random.chance(40);
    shape.protocol = random.pick<std::uint8_t>({17, 17, 6, 6, 1});
    shape.source = shape.v6 ? random.pick(near6) : random.pick(near4);
    shape.destination = shape.v6 ? random.pick(near6) : random.pick(near4);
    shape.source_port = random.pick(near_ports);
    shape.destination_port = random.pick(near_ports);
    shape.tags = unsigned(random.below(3));
    if (random.chance(10)) shape.fragment = random.pick<std::uint16_t>({0x2000, 0x0001});
    shape.length = random.chance(80) ? random.between(70, 130) : random.between(14, 1600);
    Frame frame;
    frame.data = bytes_of(shape);
    if (random.chance(5)) frame.data[13] = random.byte();  // perhaps not IP
    frame.tap = random.chance(90);
    frame.direction = random.pick(directions);
    frame.index =
        unsigned(random.chance(90) ? random.below(4)
                                   : random.between(sizes::interfaces - 2, sizes::interfaces + 1));
    return frame;
}

/// A rule that hardly matches a frame that is not aimed at it.
reference::Rule any_rule(StageRandom& random) {
    const bool v6 = random.chance(50);
    const unsigned width = v6 ? 128 : 32;
    reference::Rule rule = rule_of(v6, random.chance(50));
    reference::Network* networks[] = {&rule.source, &rule.destination};
    if (random.chance(50)) std::swap(networks[0], networks[1]);
    networks[0]->prefix = int(random.between(width / 2, width));
    networks[1]->prefix = int(random.chance(20) ? 0 : random.between(1, width));
    for (auto* network : networks) network->base.bytes = random.address(v6);
    if (random.chance(50))
        rule.protocol = random.chance(90) ? random.pick<std::uint8_t>({6, 17}) : random.byte();
    for (auto* ports : {&rule.source_ports, &rule.destination_ports}) {
        if (!random.chance(40)) continue;
        const Number from = random.port();
        *ports =
            reference::PortRange{std::uint16_t(from), std::uint16_t(random.between(from, 65535))};
    }
    return rule;
}

std::shared_ptr<const reference::Filter> any_filter(StageRandom& random) {
    auto filter = std::make_shared<reference::Filter>();
    filter->amazon_dns = random.chance(50);
    for (auto* list : {&filter->ingress, &filter->egress}) {
        for (unsigned i = 0; i < sizes::rules; ++i) list->push_back(any_rule(random));
    }
    return filter;
}

std::shared_ptr<const reference::Filter> random_filter(StageRandom& random) {
    if (random.chance(20)) return any_filter(random);
    auto filter = std::make_shared<reference::Filter>();
    filter->amazon_dns = random.chance(50);
    for (auto* list : {&filter->ingress, &filter->egress}) {
        list->resize(random.below(sizes::rules + 1));
        for (auto& rule : *list) {
            const bool v6 = random.chance(40);
            rule = rule_of(v6, random.chance(60));
            for (auto* network : {&rule.source, &rule.destination}) {
                if (!random.chance(40)) continue;
                network->base.bytes = v6 ? random.pick(near6) : random.pick(near4);
                network->prefix = v6 ? random.pick({32, 64, 128}) : random.pick({8, 24, 32});
            }
            if (random.chance(50)) rule.protocol = random.pick<std::uint8_t>({6, 17, 1});
            for (auto* ports : {&rule.source_ports, &rule.destination_ports}) {
                if (!random.chance(30)) continue;
                const std::uint16_t from = random.pick(near_ports);
                *ports = reference::PortRange{from, std::uint16_t(from + random.below(50))};
            }
        }
    }
    return filter;
}

/// The rule that matches what the service entry matches, with one side as its side.
reference::Rule rule_of(StageRandom& random, const reference::ServiceEntry& entry) {
    using Protocol = reference::ServiceEntry::Protocol;
    reference::Rule rule = rule_of(entry.version == 6, true);
    rule.source.base.bytes = random.address(entry.version == 6);
    rule.destination.base.bytes = random.address(entry.version == 6);
    const bool at_source = random.chance(50);
    if (entry.address) {
        auto& network = at_source ? rule.source : rule.destination;
        network.base.bytes = entry.address->bytes;
        network.prefix = entry.version == 6 ? 128 : 32;
    }
    if (entry.protocol == Protocol::tcp) rule.protocol = 6;
    if (entry.protocol == Protocol::udp) rule.protocol = 17;
    const bool across =
        entry.side == reference::ServiceEntry::PortSide::either && random.chance(50);
    (at_source != across ? rule.source_ports : rule.destination_ports) = entry.ports;
    return rule;
}

/// A frame that the rule matches, or misses by one bit; where neither it nor the parser looks, of
/// any bits. Its ports lie anywhere in the window.
Bytes aimed_frame(StageRandom& random, const reference::Rule& rule) {
    const bool v6 = rule.source.base.version == 6;
    Bytes frame = random.bytes(12);
    const auto put = [&frame](unsigned value) {
        frame.push_back(std::uint8_t(value >> 8));
        frame.push_back(std::uint8_t(value));
    };
    const auto put_any = [&](std::size_t count) {
        for (const auto byte : random.bytes(count)) frame.push_back(byte);
    };
    const auto put_address = [&](const reference::Network& network) {
        Address address = network.base.bytes;
        const unsigned width = v6 ? 128 : 32;
        for (unsigned bit = unsigned(network.prefix); bit < width; ++bit)
            if (random.chance(50)) flip(address, bit);
        if (network.prefix > 0 && random.chance(5))
            flip(address, unsigned(random.below(unsigned(network.prefix))));
        frame.insert(frame.end(), address.begin(), address.begin() + width / 8);
    };
    for (auto tags = random.below(3); tags > 0; --tags) {
        put(random.pick({0x8100u, 0x88a8u}));
        put_any(2);
    }
    const std::uint8_t protocol = rule.protocol && random.chance(95)
                                      ? *rule.protocol
                                      : random.pick<std::uint8_t>({6, 6, 17, 17, random.byte()});
    if (v6) {
        struct Extension {
            std::uint8_t type;
            std::size_t words;  ///< of 4 bytes
        };
        std::vector<Extension> extensions;
        while (extensions.size() < 4 && random.chance(50)) {
            const auto type = random.pick<std::uint8_t>({0, 43, 44, 51, 60});
            extensions.push_back({type, type == 44   ? 2
                                        : type == 51 ? random.between(2, 8)
                                                     : 2 * random.between(1, 4)});
        }
        put(0x86dd);
        put(0x6000 | unsigned(random.below(0x1000)));
        put_any(4);
        frame.push_back(extensions.empty() ? protocol : extensions[0].type);
        put_any(1);
        put_address(rule.source);
        put_address(rule.destination);
        for (std::size_t i = 0; i < extensions.size(); ++i) {
            const auto [type, words] = extensions[i];
            frame.push_back(i + 1 < extensions.size() ? extensions[i + 1].type : protocol);
            if (type == 44) {
                put_any(1);
                put(random.chance(90) ? unsigned(random.below(8)) : unsigned(random.port()));
                put_any(4);
            } else {
                frame.push_back(std::uint8_t(type == 51 ? words - 2 : words / 2 - 1));
                put_any(4 * words - 2);
            }
        }
    } else {
        const auto words = unsigned(random.between(5, 15));
        put(0x0800);
        put((0x40u | words) << 8 | random.byte());
        put_any(4);
        put(random.chance(90) ? random.pick({0u, 0x4000u}) : unsigned(random.port()));
        put_any(1);
        frame.push_back(protocol);
        put_any(2);
        put_address(rule.source);
        put_address(rule.destination);
        put_any(4 * (words - 5));
    }
    for (const auto& ports : {rule.source_ports, rule.destination_ports})
        put(unsigned(ports ? random.port_near(ports->from, ports->to) : random.port()));
    put_any(random.below(80));
    if (random.chance(10)) frame.resize(random.between(14, frame.size()));
    return frame;
}

/// Aimed at a rule of one of its interface's slots, at a service entry or at the resolver.
Frame aimed_frame(StageRandom& random, const Content& content) {
    Frame frame;
    frame.direction = random.pick(directions);
    frame.index = unsigned(random.below(4));
    const InterfaceWord& word = content.interfaces[frame.index];
    const auto& filter = content.filters[word.filter[random.below(sizes::slots)]];
    const auto& service = random.pick(content.services);
    reference::Rule rule = any_rule(random);
    if (filter && random.chance(80)) {
        const auto& list = frame.direction == Direction::egress ? filter->egress : filter->ingress;
        if (!list.empty()) rule = random.pick(list);
    } else if (service && random.chance(70)) {
        rule = rule_of(random, *service);
    } else if (word.has_resolver) {
        reference::ServiceEntry resolver;
        resolver.address =
            reference::ipv4(std::uint8_t(word.resolver >> 24), std::uint8_t(word.resolver >> 16),
                            std::uint8_t(word.resolver >> 8), std::uint8_t(word.resolver));
        resolver.ports = reference::PortRange{53, 53};
        rule = rule_of(random, resolver);
    }
    frame.data = aimed_frame(random, rule);
    return frame;
}

std::optional<reference::ServiceEntry> random_service(StageRandom& random) {
    using Entry = reference::ServiceEntry;
    if (random.chance(30)) return {};
    Entry entry;
    entry.version = random.pick({4, 6});
    if (random.chance(70)) {
        entry.address.emplace();
        entry.address->version = entry.version;
        entry.address->bytes = random.chance(50)    ? random.address(entry.version == 6)
                               : entry.version == 6 ? random.pick(near6)
                                                    : random.pick(near4);
    }
    entry.protocol = random.pick({Entry::Protocol::tcp, Entry::Protocol::udp,
                                  Entry::Protocol::tcp_or_udp, Entry::Protocol::any});
    if (random.chance(80)) {
        const Number from = random.chance(50) ? random.pick(near_ports) : random.port();
        const Number to = random.chance(50) ? from : random.between(from, 65535);
        entry.ports = reference::PortRange{std::uint16_t(from), std::uint16_t(to)};
    }
    entry.side = random.pick({Entry::PortSide::address, Entry::PortSide::either});
    entry.action = random.pick({Entry::Action::exclude, Entry::Action::dns});
    return entry;
}

constexpr unsigned Filters = 6, Sessions = 8;
constexpr unsigned filter_places[Filters] = {
    0, 1, 2, sizes::filters / 2 - 1, sizes::filters / 2, sizes::filters - 1};
constexpr unsigned session_places[Sessions] = {0,
                                               1,
                                               2,
                                               3,
                                               sizes::sessions / 2 - 1,
                                               sizes::sessions / 2,
                                               sizes::sessions - 2,
                                               sizes::sessions - 1};

reference::Session random_session(StageRandom& random) {
    reference::Session session =
        session_of(std::uint32_t(random.below(1 << 24)), random.chance(50));
    for (auto* mac : {&session.source_mac, &session.target_mac})
        for (auto& byte : *mac) byte = random.byte();
    for (auto* address : {&session.source_address, &session.target_address})
        address->bytes = random.address(address->version == 6);
    if (random.chance(30)) session.packet_length.reset();
    session.mtu = std::uint16_t(random.between(576, 9216));
    return session;
}

InterfaceWord random_interface(StageRandom& random) {
    InterfaceWord word;
    for (int i = 0; i < 3; ++i) {
        word.filter[i] = random.pick(filter_places);
        word.session[i] = random.pick(session_places);
        word.number[i] = random.below(32767);
    }
    word.valid = random.chance(60) ? 7 : random.below(8);
    word.has_resolver = random.chance(50);
    word.resolver = random.chance(50) ? 0x0a000002 : random.below(std::uint64_t{1} << 32);
    return word;
}

/// A change of an API request: a filter alone, or any of the others together.
Change random_change(StageRandom& random) {
    Change change;
    if (random.chance(30)) {
        change.filter = {random.pick(filter_places), random_filter(random)};
        return change;
    }
    if (random.chance(60))
        change.interface = {unsigned(random.chance(90) ? random.below(4) : sizes::interfaces - 1),
                            random_interface(random)};
    if (random.chance(60)) change.session = {random.pick(session_places), random_session(random)};
    if (random.chance(25))
        change.service = {unsigned(random.below(sizes::services)), random_service(random)};
    if (random.chance(20)) {
        const Number bits = random.between(1, 16);
        change.source_ports = SourcePorts{bits, random.below(65536 - (1u << bits) + 1)};
    }
    return change;
}

void fill_all(StageRandom& random, Lookup& lookup) {
    for (const unsigned place : filter_places) {
        Change change;
        change.filter = {place, random_filter(random)};
        lookup.commit(change);
    }
    for (const unsigned place : session_places) {
        Change change;
        change.session = {place, random_session(random)};
        lookup.commit(change);
    }
}

}  // namespace

TEST_CASE("a fetch takes a cycle without a frame and gives the word, with frames all around it") {
    StageRandom random;
    Lookup lookup(random);
    fill_all(random, lookup);
    for (unsigned i = 0; i < sizes::services; ++i) {  // the defaults can be said in several ways
        Change change;
        change.service = {i, random_service(random)};
        lookup.commit(change);
    }
    for (unsigned round = 0; round < 400; ++round) {
        Change change = random_change(random);
        if (change.filter) change.filter->second = any_filter(random);
        lookup.commit(change);
        Fetch fetch;
        switch (round % 4) {
            case 0:
                fetch.interface =
                    unsigned(random.chance(90) ? random.below(4) : sizes::interfaces - 1);
                break;
            case 1:
                fetch.filter = random.pick(filter_places);
                fetch.egress = random.chance(50);
                break;
            case 2:
                fetch.session = random.pick(session_places);
                break;
            default:
                fetch.service = unsigned(random.below(sizes::services));
                break;
        }
        for (unsigned i = 0; i < 9; ++i) lookup.feed(random_frame(random));
        lookup.present(fetch);
        for (unsigned i = 0; i < round % 20; ++i) lookup.feed(random_frame(random));
        lookup.cycle();
        while (lookup.busy()) lookup.feed(random_frame(random));
    }
    lookup.results();
    CHECK(lookup.fetches() == 400);
}

TEST_CASE("P7 to P12 rules, services and resolvers of any bits decide in every slot") {
    StageRandom random;
    Lookup lookup(random);
    fill_all(random, lookup);
    for (unsigned i = 0; i < 40000; ++i) {
        if (!lookup.busy() && random.chance(8)) {
            Change change;
            if (random.chance(40)) {
                change.filter = {random.pick(filter_places), any_filter(random)};
            } else {
                change.interface = {unsigned(random.below(4)), random_interface(random)};
                change.session = {random.pick(session_places), random_session(random)};
                auto service = random_service(random);
                // One that excludes all frames would leave nothing to see.
                if (service && !service->address) service.reset();
                if (random.chance(20))
                    change.service = {10 + unsigned(random.below(sizes::services - 10)), service};
            }
            lookup.present(change);
        }
        if (random.chance(90))
            lookup.feed(aimed_frame(random, lookup.content()));
        else
            lookup.cycle();
    }
    CHECK(lookup.results().size() > 30000);
    CHECK(lookup.accepted() > 3000);
}

TEST_CASE("T2 P7 P8 P10 P12 random changes that follow each other at once under random frames") {
    StageRandom random;
    for (const unsigned load : {100u, 60u}) {
        Lookup lookup(random);
        fill_all(random, lookup);
        lookup.results();
        for (unsigned i = 0; i < 15000; ++i) {
            if (!lookup.busy() && random.chance(80)) lookup.present(random_change(random));
            if (random.chance(load))
                lookup.feed(random_frame(random));
            else
                lookup.cycle();
        }
        CHECK(lookup.results().size() > 5000);
        CHECK(lookup.accepted() > 1000);
    }
}

TEST_CASE("T4 T2 random flips between random changes under random frames") {
    StageRandom random;
    Lookup lookup(random);
    fill_all(random, lookup);
    for (unsigned i = 0; i < 30; ++i) lookup.commit(random_change(random));
    for (unsigned round = 0; round < 400; ++round) {
        lookup.results();
        // One bit of a word at most; a change in this round may set it right.
        const unsigned kind = unsigned(random.below(6)), slot = unsigned(random.below(3));
        const unsigned filter = random.pick(filter_places), session = random.pick(session_places);
        const bool egress = random.chance(50);
        Change repair;
        if (kind == 0) {
            const auto index = unsigned(random.below(4));
            lookup.flip_interface(index, unsigned(random.below(lookup.width("lookup.interfaces"))));
            repair.interface = {index, lookup.content().interfaces[index]};
        } else if (kind == 1) {
            lookup.flip_filter(slot, filter, egress, unsigned(random.below(FilterWidth)));
            repair.filter = {filter, lookup.content().filters[filter]};
        } else if (kind == 2) {
            const auto index = unsigned(random.below(sizes::services));
            lookup.flip_service(index, unsigned(random.below(ServiceWord::width + 1)));
            repair.service = {index, lookup.content().services[index]};
        } else if (kind < 5) {
            if (kind == 3)
                lookup.flip_cut(slot, session, unsigned(random.below(CutWord::width + 4)));
            else
                lookup.flip_outer(session, unsigned(random.below(lookup.width("lookup.sessions"))));
            repair.session = {session, lookup.content().sessions[session].value()};
        }
        for (unsigned i = 0; i < 60; ++i) {
            if (random.chance(80))
                lookup.feed(random_frame(random));
            else
                lookup.cycle();
        }
        if (kind < 5) lookup.commit(repair);
    }
    CHECK(lookup.faults() > 1000);
    CHECK(lookup.accepted() > 1000);
}
