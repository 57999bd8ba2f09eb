// SPDX-License-Identifier: Apache-2.0
// Makes the command that it is linked into compare its simulated offload with the reference model,
// pass by pass: each decision and each byte of each copy with what the model says of the frame, of
// the interface that has its MAC address, and of the tables of the version that the decision names.
// The linker hands the calls below to this file (--wrap), so that nothing of this is in what is
// shipped. A difference ends the process with status 99 and a line on standard error. CHECKED_NAMES
// is a file that gets, for each pass, the ids of session and rule that took it, or "- -".
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "driver/mirror_device.hpp"
#include "reference_tables.hpp"
#include "sim/board.hpp"

namespace mirrornic {
namespace {

using Plan = std::shared_ptr<const MirrorDevice::Plan>;
using Bytes = std::vector<std::uint8_t>;
using Mac = std::array<std::uint8_t, 6>;

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    std::cerr << "checked: " << text.str() << std::endl;
    std::_Exit(99);
}

/// The tables of one version.
struct Version : test::ReferenceTables {
    std::shared_ptr<const TableState> state;
    std::map<Mac, std::size_t> taps;  ///< interfaces that have a session
};

class Checker {
public:
    void run(Board& board);
    void finish();
    void fed(const std::uint8_t* data, std::size_t size, const Transfer& transfer);
    void planned(const Plan& plan, const TableState& desired);
    template <class Commit>
    void commit(const MirrorDevice& device, const Plan& plan, Commit act);

private:
    struct Sent {
        Bytes frame;
        bool tap, egress;
        std::uint64_t sequence;  ///< of the tables in force when it was fed
    };
    static constexpr std::size_t kept_versions = 1024, kept_plans = 64;

    static Mac mac_of(const Bytes& frame, bool egress) {
        Mac mac{};
        std::memcpy(mac.data(), frame.data() + (egress ? 6 : 0), mac.size());
        return mac;
    }
    static std::shared_ptr<const Version> version_of(std::shared_ptr<const TableState> state);
    void decided(const DecisionRecord& record);
    void decide_deferred();
    void judge(const DecisionRecord& record, const Version& version, std::uint64_t sequence);
    void compare_copies();

    std::deque<std::pair<Plan, std::shared_ptr<const TableState>>> plans_;
    std::map<std::uint64_t, std::shared_ptr<const Version>> versions_;
    std::uint64_t known_ = 0;  ///< the version that is in force, the newest one
    std::deque<Sent> sent_;
    std::deque<DecisionRecord> deferred_;  ///< by tables of a change whose end is not known yet
    std::deque<Bytes> expected_, arrived_;
    std::uint64_t passes_ = 0, copies_ = 0, changes_ = 0;
    std::ofstream names_;
};

std::shared_ptr<const Version> Checker::version_of(std::shared_ptr<const TableState> state) {
    auto version = std::make_shared<Version>();
    static_cast<test::ReferenceTables&>(*version) = test::reference_tables(*state);
    for (const auto& [id, session] : state->sessions)
        version->taps[session.source_mac] = version->interfaces.at(session.interface);
    version->state = std::move(state);
    return version;
}

void Checker::run(Board& board) {
    if (const char* names = std::getenv("CHECKED_NAMES")) names_.open(names);
    versions_[0] = version_of(std::make_shared<TableState>());
    board.on_copy = [this, former = board.on_copy](const Received& copy) {
        arrived_.emplace_back(copy.data, copy.data + copy.size);
        compare_copies();
        if (former) former(copy);
    };
    Offload& offload = board.offload();
    offload.on_decision = [this, former = offload.on_decision](const DecisionRecord& record) {
        decided(record);
        if (former) former(record);
    };
}

void Checker::finish() {
    if (!sent_.empty() || !deferred_.empty()) fail(sent_.size(), " passes were not decided");
    if (!expected_.empty()) fail(expected_.size(), " copies are missing");
    if (!arrived_.empty()) fail(arrived_.size(), " copies are of no pass");
    std::cerr << "checked: passes=" << passes_ << " copies=" << copies_ << " changes=" << changes_
              << std::endl;
}

void Checker::fed(const std::uint8_t* data, std::size_t size, const Transfer& transfer) {
    sent_.push_back({Bytes(data, data + size), transfer.tap, transfer.egress, known_});
    if (transfer.tap || size < 14) return;
    for (const bool egress : {false, true})
        if (versions_.at(known_)->taps.count(mac_of(sent_.back().frame, egress)) != 0)
            fail("a frame of an interface with a session was fed at no tap");
}

void Checker::planned(const Plan& plan, const TableState& desired) {
    plans_.emplace_back(plan, std::make_shared<TableState>(desired));
    if (plans_.size() > kept_plans) plans_.pop_front();
}

template <class Commit>
void Checker::commit(const MirrorDevice& device, const Plan& plan, Commit act) {
    const std::uint64_t before = device.placement()->sequence;
    const auto old = versions_.at(known_);
    act();
    while (!plans_.empty() && plans_.front().first != plan) plans_.pop_front();
    if (plans_.empty()) fail("a plan is committed that was made long ago");
    const std::uint64_t after = device.placement()->sequence;
    // A change is its last commit: what is loaded before it is not referred to yet.
    for (std::uint64_t sequence = before; sequence < after; ++sequence) versions_[sequence] = old;
    versions_[after] = version_of(plans_.front().second);
    while (versions_.size() > kept_versions) versions_.erase(versions_.begin());
    known_ = after;
    ++changes_;
    decide_deferred();
}

void Checker::decided(const DecisionRecord& record) {
    deferred_.push_back(record);
    decide_deferred();
}

void Checker::decide_deferred() {
    while (!deferred_.empty()) {
        const DecisionRecord record = deferred_.front();
        const std::uint64_t sequence = Placement::unwrap(record.version, known_);
        const bool looked_up = record.outcome != DecisionRecord::Outcome::not_eligible;
        const auto at = versions_.find(looked_up ? sequence : known_);
        if (at == versions_.end()) {
            if (sequence < known_)
                fail("a pass was decided by version ", sequence, ", now ", known_);
            return;
        }
        deferred_.pop_front();
        judge(record, *at->second, sequence);
    }
}

void Checker::judge(const DecisionRecord& record, const Version& version, std::uint64_t sequence) {
    using Outcome = DecisionRecord::Outcome;
    using Cause = DecisionRecord::Cause;
    if (sent_.empty()) fail("a pass was decided that was not fed");
    const Sent sent = std::move(sent_.front());
    sent_.pop_front();
    ++passes_;
    reference::Pass pass;
    pass.data = sent.frame.data();
    pass.size = sent.frame.size();
    std::size_t interface = reference::NoSessions;
    if (sent.tap) {
        const auto at = version.taps.find(mac_of(sent.frame, sent.egress));
        if (at != version.taps.end()) interface = at->second;
        pass.tap = reference::Tap{
            sent.egress ? reference::Direction::egress : reference::Direction::ingress, interface};
    }
    const reference::Decision expected = reference::decide(version.tables, pass);
    const auto check = [&](bool ok, const char* what) {
        if (ok) return;
        fail("pass ", passes_, " of ", sent.frame.size(), " bytes, ",
             sent.egress ? "egress of " : "ingress of ",
             sent.tap ? to_string(mac_of(sent.frame, sent.egress)) : "no interface",
             ", fed under version ", sent.sequence, " and decided by ", sequence, ": ", what,
             " (outcome ", int(record.outcome), ", cause ", int(record.cause), ", slot ",
             int(record.slot), ", rule ", int(record.rule_index), ", kept ", record.kept, ")");
    };
    std::string session = "-", rule = "-";
    switch (expected.outcome) {
        case reference::Outcome::not_eligible: {
            static const std::map<reference::Cause, Cause> causes{
                {reference::Cause::no_tap, Cause::no_tap},
                {reference::Cause::not_ip, Cause::not_ip},
                {reference::Cause::excluded, Cause::excluded}};
            check(record.outcome == Outcome::not_eligible, "it is not eligible");
            check(record.cause == causes.at(expected.cause), "another cause");
            break;
        }
        case reference::Outcome::not_accepted:
            check(record.outcome == Outcome::not_accepted, "it is not accepted");
            check(sequence >= sent.sequence, "T2 a change was done before it was fed");
            break;
        case reference::Outcome::selected:
            check(record.outcome == Outcome::mirrored, "it is mirrored");
            check(sequence >= sent.sequence, "T2 a change was done before it was fed");
            check(record.slot == expected.session, "another session");
            check(record.by_service == expected.by_service, "by_service");
            check(!expected.rule || record.rule_index == *expected.rule, "another rule");
            check(record.kept == expected.kept, "P14 another length");
            session = version.sessions.at(interface).at(expected.session);
            if (expected.rule) {
                const auto& filter =
                    *version.state->filters.at(version.state->sessions.at(session).filter);
                rule = (sent.egress ? filter.egress : filter.ingress).at(*expected.rule).id;
            }
            expected_.push_back(expected.copy);
            compare_copies();
            break;
    }
    if (names_.is_open()) names_ << session << ' ' << rule << '\n';
}

void Checker::compare_copies() {
    for (; !expected_.empty() && !arrived_.empty(); ++copies_) {
        if (expected_.front() != arrived_.front())
            fail("copy ", copies_ + 1, " differs from the model's: ", arrived_.front().size(),
                 " bytes, the model's ", expected_.front().size());
        expected_.pop_front();
        arrived_.pop_front();
    }
}

Checker& checker() {
    static Checker one;
    return one;
}

}  // namespace

void real_run(Board*,
              std::function<void()>) asm("__real__ZN9mirrornic5Board3runESt8functionIFvvEE");
void checked_run(Board*,
                 std::function<void()>) asm("__wrap__ZN9mirrornic5Board3runESt8functionIFvvEE");
void checked_run(Board* board, std::function<void()> work) {
    checker().run(*board);
    real_run(board, std::move(work));
    checker().finish();
}

void real_feed(Board*, const std::uint8_t*, std::size_t,
               const Transfer&) asm("__real__ZN9mirrornic5Board4feedEPKhmRKNS_8TransferE");
void checked_feed(Board*, const std::uint8_t*, std::size_t,
                  const Transfer&) asm("__wrap__ZN9mirrornic5Board4feedEPKhmRKNS_8TransferE");
void checked_feed(Board* board, const std::uint8_t* data, std::size_t size,
                  const Transfer& transfer) {
    checker().fed(data, size, transfer);
    real_feed(board, data, size, transfer);
}

Plan real_plan(const MirrorDevice*, const TableState&, const Touched*) asm(
    "__real__ZNK9mirrornic12MirrorDevice4planERKNS_10TableStateEPKNS_7TouchedE");
Plan checked_plan(const MirrorDevice*, const TableState&, const Touched*) asm(
    "__wrap__ZNK9mirrornic12MirrorDevice4planERKNS_10TableStateEPKNS_7TouchedE");
Plan checked_plan(const MirrorDevice* device, const TableState& desired, const Touched* touched) {
    const Plan plan = real_plan(device, desired, touched);
    checker().planned(plan, desired);
    return plan;
}

void real_commit(MirrorDevice*, const Plan&) asm(
    "__real__ZN9mirrornic12MirrorDevice6commitERKSt10shared_ptrIKNS0_4PlanEE");
void checked_commit(MirrorDevice*, const Plan&) asm(
    "__wrap__ZN9mirrornic12MirrorDevice6commitERKSt10shared_ptrIKNS0_4PlanEE");
void checked_commit(MirrorDevice* device, const Plan& plan) {
    checker().commit(*device, plan, [&] { real_commit(device, plan); });
}

}  // namespace mirrornic
