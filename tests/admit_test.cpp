// SPDX-License-Identifier: Apache-2.0
// The admission against the rules read aloud: which beats are kept, when a copy is committed or
// given up, and how a pass ends.
#include <Vadmit.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

struct Beat {
    std::uint64_t bytes = 64;
    bool error = false, malformed = false;
    bool room = true;
    bool resetting = false;     ///< in this beat's cycle
    unsigned gap = 0;           ///< empty cycles before it
    bool reset_in_gap = false;  ///< in the first of them
};

struct Pass {
    VerdictWord verdict;
    std::vector<Beat> beats;
    bool torn = false;  ///< the first one behind a reset of this block alone (P25)

    std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const Beat& beat : beats) sum += beat.bytes;
        return sum;
    }
};

bool selected(const VerdictWord& verdict) {
    return verdict.tap && verdict.ip && !verdict.fault && !verdict.excluded && verdict.accepted;
}

/// What the rules say of a pass.
struct Expected {
    std::uint64_t outcome = NotEligible, cause = CauseNone;
    std::uint64_t kept = 0;  ///< P14's n
    bool late_bad = false;
    std::optional<std::size_t> commit;  ///< the beat with which the copy is committed
};

Expected judge(const Pass& pass) {
    const VerdictWord& verdict = pass.verdict;
    const bool select = selected(verdict);
    Expected expected;
    expected.kept = select ? std::min(pass.bytes(), verdict.limit) : 0;

    // P14: the beat with the copy's last byte; P4: the window is whole with the second beat.
    std::size_t completing = pass.beats.size() - 1;
    std::uint64_t before = 0;
    std::vector<std::uint64_t> take;
    for (std::size_t i = 0; i < pass.beats.size(); ++i) {
        take.push_back(select ? std::min(pass.beats[i].bytes, verdict.limit - before) : 0);
        before += take.back();
        if (select && before == verdict.limit) completing = std::min(completing, i);
    }
    const std::size_t commit =
        std::max(completing, std::min<std::size_t>(1, pass.beats.size() - 1));

    // P24, I1.
    bool malformed = false, bad = false, late = false;
    for (std::size_t i = 0; i < pass.beats.size(); ++i) {
        const Beat& beat = pass.beats[i];
        const bool counts = !select || (verdict.limit > 0 && i <= completing);
        malformed = malformed || pass.torn || (beat.malformed && counts);
        bad = bad || (beat.error && counts);
        late = late || ((beat.malformed || beat.error) && !counts);
    }

    // P22, P25, T4: what comes first takes the copy, until it is committed.
    std::uint64_t lost = CauseNone;
    for (std::size_t i = 0; i <= commit && lost == CauseNone; ++i) {
        const Beat& beat = pass.beats[i];
        if (verdict.limit == 0)
            lost = CauseSessionFault;
        else if (i > 0 && beat.gap > 0 && beat.reset_in_gap)
            lost = CauseReset;
        else if (beat.resetting)
            lost = CauseReset;
        else if (take[i] > 0 && !beat.room)
            lost = CauseOverflow;
    }

    if (!verdict.tap && !pass.torn) {
        expected.cause = CauseNoTap;
    } else if (malformed || bad) {
        expected.cause = malformed ? CauseMalformed : CauseMarkedBad;
    } else if (!verdict.ip) {
        expected.cause = CauseNotIp;
    } else if (verdict.fault) {
        expected.cause = CauseTableFault;
    } else if (verdict.excluded) {
        expected.cause = CauseExcluded;
    } else if (!verdict.accepted) {
        expected.outcome = NotAccepted;
    } else if (lost != CauseNone) {
        expected.outcome = Dropped;
        expected.cause = lost;
    } else {
        expected.outcome = Mirrored;
        expected.late_bad = late;
        expected.commit = commit;
    }
    return expected;
}

class Admission {
public:
    explicit Admission(StageRandom& random) : random_(random) {
        stage_->in_valid = 0;
        stage_->room = 1;
        stage_->resetting = 0;
        reset(true);
    }

    /// Whatever was half in is gone. Only the last cycle of `rst` counts.
    void reset(bool neighbours) {
        stage_->in_valid = 0;
        stage_->rst = 1;
        for (int i = 3; i-- > 0;) {
            stage_->rst_neighbours = i == 0 ? neighbours : random_.below(2);
            stage_.tick();
        }
        stage_->rst = 0;
        stage_->rst_neighbours = !neighbours;
        next_ = {};
    }

    void send(const Pass& pass) {
        const Expected expected = judge(pass);
        const bool select = selected(pass.verdict);
        const std::uint64_t port = random_.below(65536);
        std::size_t pending = 0;  // beats that the hold buffer has of this copy
        std::uint64_t left = select ? pass.verdict.limit : 0;
        for (std::size_t i = 0; i < pass.beats.size(); ++i) {
            const Beat& beat = pass.beats[i];
            for (unsigned j = 0; j < beat.gap; ++j) {
                stage_->in_valid = 0;
                stage_->room = random_.chance(50);
                stage_->resetting = i > 0 && beat.reset_in_gap && j == 0;
                cycle();
            }
            BeatWord word;
            word.first = i == 0;
            word.last = i + 1 == pass.beats.size();
            word.error = beat.error;
            word.malformed = beat.malformed;
            word.bytes = beat.bytes;
            word.data = random_.lanes();
            drive(stage_->in_beat, word);
            VerdictWord verdict = pass.verdict;
            if (i > 0) {  // only a first beat's counts
                verdict.limit = random_.below(9217);
                verdict.accepted = random_.below(2);
                verdict.tap = random_.below(2);
                verdict.fault = random_.below(2);
            }
            drive(stage_->in_verdict, verdict);
            stage_->in_source_port = std::uint16_t(i == 0 ? port : random_.below(65536));
            stage_->in_valid = 1;
            stage_->room = beat.room;
            stage_->resetting = beat.resetting;
            stage_.eval();

            const bool keep = stage_->keep, commit = stage_->commit, cancel = stage_->cancel;
            REQUIRE(commit == (expected.commit == i));
            REQUIRE_FALSE((commit && cancel));
            REQUIRE_FALSE((keep && cancel));
            REQUIRE((!keep || beat.room));
            const std::uint64_t take = std::min(beat.bytes, left);
            left -= take;
            if (expected.outcome == Mirrored) REQUIRE(keep == (take > 0));
            if (!select) REQUIRE_FALSE((keep || cancel));
            if (keep) {
                REQUIRE(take > 0);
                ++pending;
                for (std::size_t j = take; j < 64; ++j) word.data[j] = 0;
                next_.data = word.data;
                next_.keep = true;
            }
            if (cancel) pending = 0;
            if (commit) {
                REQUIRE(pending == (expected.kept + 63) / 64);
                pending = 0;
                next_.kept = expected.kept;
            }
            next_.start = i == 0 && select;
            if (next_.start) next_.port = port;
            if (next_.start) next_.session = pass.verdict.session;
            if (word.last) {
                // Whole or absent: nothing is left of what was not committed.
                REQUIRE(pending == 0);
                next_.end = {pass, expected};
            }
            cycle();
            REQUIRE(bool(stage_->between_frames) == bool(word.last));
        }
    }

    void gap(bool resetting = false) {
        stage_->in_valid = 0;
        stage_->resetting = resetting;
        cycle();
    }

private:
    /// What must be seen a cycle later.
    struct Next {
        bool start = false, keep = false;
        Lanes data{};
        std::uint64_t port = 0, session = 0;
        std::optional<std::uint64_t> kept;
        std::optional<std::pair<Pass, Expected>> end;
    };

    void cycle() {
        if (!stage_->in_valid) {
            stage_.eval();
            REQUIRE_FALSE((stage_->keep || stage_->commit || stage_->cancel));
        }
        stage_.tick();
        const Next seen = std::exchange(next_, {});
        REQUIRE(bool(stage_->out_start) == seen.start);
        REQUIRE(bool(stage_->out_keep) == seen.keep);
        REQUIRE(bool(stage_->out_commit) == seen.kept.has_value());
        REQUIRE(bool(stage_->end_valid) == seen.end.has_value());
        if (seen.start) REQUIRE(stage_->out_source_port == seen.port);
        if (seen.start) REQUIRE(stage_->out_session == seen.session);
        if (seen.kept) REQUIRE(stage_->out_kept == *seen.kept);
        if (seen.keep) {
            const Bits data = sample(stage_->out_data, 512);
            for (int i = 0; i < 64; ++i) REQUIRE(data.get(8 * i, 8) == seen.data[i]);
        }
        if (seen.end) compare(seen.end->first, seen.end->second);
    }

    void compare(const Pass& pass, const Expected& expected) {
        const EndingWord ending = sample<EndingWord>(stage_->ending);
        const DecisionWord decision = sample<DecisionWord>(stage_->decision);
        const VerdictWord& verdict = pass.verdict;
        REQUIRE(ending.outcome == expected.outcome);
        REQUIRE(ending.cause == expected.cause);
        REQUIRE(ending.bytes == pass.bytes());
        REQUIRE(decision.outcome == expected.outcome);
        REQUIRE(decision.cause == expected.cause);
        const bool eligible = expected.outcome != NotEligible;
        REQUIRE(decision.version == (verdict.tap ? verdict.version : 0));
        REQUIRE(decision.late_bad == expected.late_bad);
        if (eligible) REQUIRE(decision.why == verdict.why);
        if (verdict.fault) REQUIRE(decision.why == 0);  // the slots' words mean nothing
        if (eligible) REQUIRE(decision.why_rule == verdict.why_rule);
        if (expected.outcome == Mirrored || expected.outcome == Dropped) {
            REQUIRE(ending.session == verdict.session);
            REQUIRE(ending.v6 == verdict.v6);
            REQUIRE(ending.kept == expected.kept);
            REQUIRE(decision.kept == expected.kept);
            REQUIRE(decision.by_service == verdict.by_service);
            REQUIRE(decision.slot == verdict.slot);
            REQUIRE(decision.rule_index == verdict.rule_index);
        } else {
            REQUIRE(decision.kept == 0);
        }
        if (expected.outcome == Mirrored) REQUIRE(ending.late_bad == expected.late_bad);
        ++outcomes_[expected.outcome];
        if (expected.cause < 16) ++causes_[expected.cause];
    }

public:
    std::uint64_t outcomes_[4] = {}, causes_[16] = {};

private:
    StageRandom& random_;
    Stage<Vadmit> stage_;
    Next next_;
};

VerdictWord accepting(StageRandom& random, std::uint64_t limit) {
    VerdictWord verdict;
    verdict.tap = verdict.ip = verdict.accepted = 1;
    verdict.by_service = random.below(2);
    verdict.slot = random.below(3);
    verdict.rule_index = random.below(16);
    verdict.why = random.below(64);
    verdict.why_rule = random.below(4096);
    verdict.session = random.below(1024);
    verdict.v6 = random.below(2);
    verdict.limit = limit;
    verdict.version = random.below(65536);
    return verdict;
}

Pass pass_of(StageRandom& random, std::size_t bytes, std::uint64_t limit) {
    Pass pass;
    pass.verdict = accepting(random, limit);
    for (; bytes > 64; bytes -= 64) pass.beats.push_back({});
    pass.beats.push_back({bytes});
    return pass;
}

}  // namespace

TEST_CASE("P14 frames of every length are cut right by every limit around the beats' edges") {
    StageRandom random;
    Admission admission(random);
    for (const std::uint64_t limit :
         {1, 2, 14, 63, 64, 65, 127, 128, 129, 191, 192, 193, 8500, 9216}) {
        for (std::size_t bytes = 1; bytes <= 260; ++bytes)
            admission.send(pass_of(random, bytes, limit));
    }
    for (const std::size_t bytes : {9215, 9216, 9217, 9280, 9281, 20000})
        admission.send(pass_of(random, bytes, 9216));
    admission.gap();
    CHECK(admission.outcomes_[Mirrored] == 14 * 260 + 6);
}

TEST_CASE("P22 no room on any one beat drops the whole copy, and only up to its last byte") {
    StageRandom random;
    Admission admission(random);
    for (const std::uint64_t limit : {1, 64, 65, 128, 200, 9216}) {
        for (std::size_t bytes = 1; bytes <= 320; bytes += 21) {
            Pass pass = pass_of(random, bytes, limit);
            for (Beat& beat : pass.beats) {
                beat.room = false;
                admission.send(pass);
                admission.send(pass_of(random, 30, 9216));  // the next one is whole
                beat.room = true;
            }
        }
    }
    admission.gap();
    CHECK(admission.causes_[CauseOverflow] > 100);
}

TEST_CASE(
    "P24 I1 a mark on any one beat counts by where the copy ends, alone or before another mark") {
    StageRandom random;
    Admission admission(random);
    for (const std::uint64_t limit : {1, 64, 65, 128, 129, 9216}) {
        for (std::size_t bytes = 1; bytes <= 320; bytes += 21) {
            Pass pass = pass_of(random, bytes, limit);
            for (std::size_t first = 0; first < pass.beats.size(); ++first) {
                for (std::size_t second = 0; second < pass.beats.size(); ++second) {
                    Pass marked = pass;
                    marked.beats[first].error = true;
                    marked.beats[second].malformed = random.chance(50);
                    admission.send(marked);
                }
            }
        }
    }
    admission.gap();
    CHECK(admission.causes_[CauseMarkedBad] > 100);
    CHECK(admission.causes_[CauseMalformed] > 100);
}

TEST_CASE(
    "P25 a reset of the mirror in any cycle of a frame drops its copy unless it is committed") {
    StageRandom random;
    Admission admission(random);
    for (const std::uint64_t limit : {1, 64, 65, 128, 9216}) {
        for (std::size_t bytes = 1; bytes <= 320; bytes += 21) {
            const Pass pass = pass_of(random, bytes, limit);
            for (std::size_t i = 0; i < pass.beats.size(); ++i) {
                Pass in_beat = pass;
                in_beat.beats[i].resetting = true;
                admission.send(in_beat);
                Pass in_gap = pass;
                in_gap.beats[i].gap = 2;
                in_gap.beats[i].reset_in_gap = true;
                admission.send(in_gap);
            }
            admission.gap(true);  // between frames it is nobody's
            admission.send(pass);
        }
    }
    admission.gap();
    CHECK(admission.causes_[CauseReset] > 100);
}

TEST_CASE("P14 long frames are cut right by limits of any bits up to 9216") {
    StageRandom random;
    Admission admission(random);
    for (unsigned i = 0; i < 1000; ++i) {
        const std::uint64_t limit = random.between(1, 9216);
        const std::uint64_t bytes =
            random.chance(50) ? random.between(1, 20000) : limit + random.below(3);
        admission.send(pass_of(random, bytes, limit));
    }
    admission.gap();
    CHECK(admission.outcomes_[Mirrored] == 1000);
}

TEST_CASE(
    "P25 the first pass after a reset of the offload alone is malformed, whatever it looks like") {
    StageRandom random;
    Admission admission(random);
    std::uint64_t resets = 0;
    for (const std::uint64_t limit : {0, 1, 64, 65, 200, 9216}) {
        for (std::size_t bytes = 1; bytes <= 320; bytes += 21) {
            for (unsigned verdict = 0; verdict < 6; ++verdict) {
                for (const bool neighbours : {false, true}) {
                    Pass pass = pass_of(random, bytes, limit);
                    if (verdict == 1) pass.verdict.tap = 0;
                    if (verdict == 2) pass.verdict.ip = 0;
                    if (verdict == 3) pass.verdict.fault = 1;
                    if (verdict == 4) pass.verdict.excluded = 1;
                    if (verdict == 5) pass.verdict.accepted = 0;
                    for (Beat& beat : pass.beats) {
                        beat.gap = unsigned(random.below(2));
                        beat.error = random.chance(10);
                    }
                    admission.reset(neighbours);
                    pass.torn = !neighbours;
                    admission.send(pass);
                    resets += !neighbours;
                    admission.send(pass_of(random, bytes, 9216));  // the next one is whole
                    admission.gap();
                }
            }
        }
    }
    CHECK(admission.causes_[CauseMalformed] == resets);
    CHECK(admission.outcomes_[Mirrored] >= 2 * resets);
}

TEST_CASE(
    "T4 a pass whose session entry is faulty, which is a limit of 0, is selected and dropped") {
    StageRandom random;
    Admission admission(random);
    for (std::size_t bytes = 1; bytes <= 320; bytes += 21)
        admission.send(pass_of(random, bytes, 0));
    admission.gap();
    CHECK(admission.outcomes_[Dropped] == 16);
    CHECK(admission.causes_[CauseSessionFault] == 16);
}

TEST_CASE("T4 a faulty session entry is the cause whatever else would drop the copy") {
    StageRandom random;
    Admission admission(random);
    for (unsigned pattern = 0; pattern < 32; ++pattern) {
        for (std::size_t bytes = 1; bytes <= 320; bytes += 21) {
            Pass pass = pass_of(random, bytes, 0);
            Beat& first = pass.beats.front();
            first.resetting = pattern & 1;
            first.malformed = pattern >> 1 & 1;  // without a limit no mark counts against the copy
            first.error = pattern >> 2 & 1;
            first.room = pattern >> 3 & 1;
            pass.beats.back().reset_in_gap = pattern >> 4 & 1;
            pass.beats.back().gap = pattern >> 4 & 1;
            admission.send(pass);
        }
    }
    admission.gap();
    CHECK(admission.outcomes_[Dropped] == 32 * 16);
    CHECK(admission.causes_[CauseSessionFault] == 32 * 16);
}

TEST_CASE("T4 a frame whose table words are faulty is not eligible, whatever else they say of it") {
    StageRandom random;
    Admission admission(random);
    unsigned faults = 0;
    for (unsigned pattern = 0; pattern < 64; ++pattern) {
        for (std::size_t bytes = 1; bytes <= 320; bytes += 21) {
            Pass pass = pass_of(random, bytes, random.pick({0u, 60u, 9216u}));
            pass.verdict.fault = 1;
            pass.verdict.tap = pattern & 1;
            pass.verdict.ip = pattern >> 1 & 1;
            pass.verdict.excluded = pattern >> 2 & 1;
            pass.verdict.accepted = pattern >> 3 & 1;
            // A mark comes before it, a lack of room does not count.
            pass.beats.back().error = pattern >> 4 & 1;
            pass.beats.back().room = pattern >> 5 & 1;
            faults += pass.verdict.tap && pass.verdict.ip && !pass.beats.back().error;
            admission.send(pass);
            admission.send(pass_of(random, 30, 9216));  // the next one is whole
        }
    }
    admission.gap();
    CHECK(admission.causes_[CauseTableFault] == faults);
    CHECK(faults == 8 * 16);
}

TEST_CASE("P23 every pass ends once, with one cause, whatever comes together in it") {
    StageRandom random;
    Admission admission(random);
    for (unsigned i = 0; i < 40000; ++i) {
        const std::uint64_t limit = random.chance(3)    ? 0
                                    : random.chance(50) ? random.between(1, 300)
                                                        : 9216;
        Pass pass = pass_of(random, random.between(1, 400), limit);
        VerdictWord& verdict = pass.verdict;
        verdict.tap = random.chance(95);
        verdict.ip = random.chance(95);
        verdict.fault = random.chance(5);
        verdict.excluded = random.chance(5);
        verdict.accepted = random.chance(85);
        const unsigned trouble = random.pick({0u, 0u, 5u, 40u});
        for (Beat& beat : pass.beats) {
            beat.error = random.chance(trouble);
            beat.malformed = random.chance(trouble);
            beat.room = !random.chance(trouble);
            beat.resetting = random.chance(trouble / 4);
            beat.gap = random.chance(20) ? unsigned(random.below(3)) : 0;
            beat.reset_in_gap = random.chance(trouble / 4);
            if (beat.malformed) beat.bytes = random.below(65);
        }
        admission.send(pass);
    }
    admission.gap();
    for (const auto outcome : admission.outcomes_) CHECK(outcome > 100);
    for (const unsigned cause : {0, 1, 2, 3, 4, 5, 6, 7, 8}) CHECK(admission.causes_[cause] > 10);
}
