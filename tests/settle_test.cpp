// SPDX-License-Identifier: Apache-2.0
// Settling: each pass once, in order, and what is known of copies of older tables.
#include <Vsettle.h>

#include <deque>
#include <optional>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

struct Inputs {
    std::optional<EndingWord> ending;
    std::optional<bool> fate;  ///< thrown away by a reset?
    bool between_frames = true;
    bool commit = false;
};

EndingWord ending_of(StageRandom& random, std::uint64_t outcome) {
    EndingWord ending;
    ending.outcome = outcome;
    ending.cause = outcome == Dropped ? CauseOverflow : CauseNone;
    ending.session = random.below(sizes::sessions);
    ending.v6 = random.below(2);
    ending.bytes = random.below(std::uint64_t{1} << 32);
    ending.kept = random.below(9217);
    ending.late_bad = random.below(2);
    return ending;
}

class Settling {
public:
    Settling() {
        stage_->end_valid = stage_->fate_valid = stage_->commit_done = 0;
        stage_->between_frames = 1;
        stage_.reset();
    }

    void cycle(const Inputs& inputs) {
        stage_->end_valid = inputs.ending.has_value();
        drive(stage_->ending, inputs.ending.value_or(EndingWord{}));
        stage_->fate_valid = inputs.fate.has_value();
        stage_->fate_reset = inputs.fate.value_or(false);
        stage_->between_frames = inputs.between_frames;
        stage_->commit_done = inputs.commit;
        stage_.eval();

        const bool without_copy = inputs.ending && inputs.ending->outcome != Mirrored;
        REQUIRE(bool(stage_->pass_settled) == without_copy);
        if (without_copy) {
            REQUIRE(sample(stage_->pass, EndingWord::width) == pack(*inputs.ending));
            ++settled_;
        }
        if (stage_->copy_settled) {
            REQUIRE(!endings_.empty());
            REQUIRE(!fates_.empty());
            const EndingWord& ending = endings_.front();
            REQUIRE(bool(stage_->copy_reset) == fates_.front());
            REQUIRE(stage_->copy_bytes == ending.bytes);
            REQUIRE(stage_->copy_kept == ending.kept);
            REQUIRE(stage_->copy_session == ending.session);
            REQUIRE(stage_->copy_v6 == ending.v6);
            REQUIRE(stage_->copy_late_bad == ending.late_bad);
            endings_.pop_front();
            fates_.pop_front();
            ++settled_;
            ++copies_settled_;
        }
        if (inputs.ending && !without_copy) {
            endings_.push_back(*inputs.ending);
            ++copies_ended_;
        }
        if (inputs.fate) fates_.push_back(*inputs.fate);
        for (int i = 0; i < 2; ++i) corrected_[i] += stage_->corrected >> i & 1;
        stage_.tick();
    }

    void wait(unsigned cycles) {
        for (unsigned i = 0; i < cycles; ++i) cycle({});
    }

    /// How often an ending and a fate were corrected.
    std::array<unsigned, 2> corrected() const { return corrected_; }
    Stage<Vsettle>& stage() { return stage_; }

    std::uint64_t undrained() { return stage_->undrained; }
    std::uint64_t settled() const { return settled_; }
    std::uint64_t copies_settled() const { return copies_settled_; }
    std::uint64_t copies_ended() const { return copies_ended_; }
    std::size_t endings() const { return endings_.size(); }
    std::size_t fates() const { return fates_.size(); }

private:
    Stage<Vsettle> stage_;
    std::deque<EndingWord> endings_;
    std::deque<bool> fates_;
    std::array<unsigned, 2> corrected_{};
    std::uint64_t settled_ = 0, copies_settled_ = 0, copies_ended_ = 0;
};

Inputs end(const EndingWord& ending) {
    Inputs inputs;
    inputs.ending = ending;
    return inputs;
}

Inputs fate(bool reset) {
    Inputs inputs;
    inputs.fate = reset;
    return inputs;
}

Inputs commit(bool between_frames = true) {
    Inputs inputs;
    inputs.commit = true;
    inputs.between_frames = between_frames;
    return inputs;
}

}  // namespace

TEST_CASE("P23 a pass without a copy settles with its ending, one a cycle") {
    StageRandom random;
    Settling settling;
    for (unsigned i = 0; i < 100; ++i)
        settling.cycle(end(ending_of(random, random.pick({NotEligible, NotAccepted, Dropped}))));
    CHECK(settling.settled() == 100);
    CHECK((settling.corrected() == std::array<unsigned, 2>{}));
}

TEST_CASE("P23 a copy settles when its ending and its fate are known, whichever is first") {
    StageRandom random;
    Settling settling;
    settling.cycle(end(ending_of(random, Mirrored)));
    settling.wait(10);
    CHECK(settling.settled() == 0);
    settling.cycle(fate(false));
    settling.wait(4);
    CHECK(settling.settled() == 1);
    settling.cycle(fate(true));  // a long frame: its copy has left already
    settling.wait(10);
    CHECK(settling.settled() == 1);
    settling.cycle(end(ending_of(random, Mirrored)));
    settling.wait(4);
    CHECK(settling.settled() == 2);
}

TEST_CASE("P23 as many copies as can wait settle, one a cycle") {
    StageRandom random;
    Settling settling;
    const unsigned waiting = 2 * sizes::hold_beats;
    for (unsigned round = 0; round < 3; ++round) {
        for (unsigned i = 0; i < waiting; ++i) settling.cycle(end(ending_of(random, Mirrored)));
        for (unsigned i = 0; i < waiting; ++i) settling.cycle(fate(random.chance(10)));
        settling.wait(3);
        CHECK(settling.copies_settled() == (round + 1) * waiting);
    }
}

TEST_CASE("T4 every flipped bit of an ending and of a fate that waits is corrected and shown") {
    StageRandom random;
    Settling settling;
    auto& stage = settling.stage();
    const unsigned ending_bits = stage.width("settle.endings", "memory");
    const unsigned fate_bits = stage.width("settle.fates", "memory");
    REQUIRE(ending_bits == EndingWord::width + 8 + (EndingWord::width + 7) / 8);
    REQUIRE(fate_bits == 1 + 1 + 1);
    unsigned place = 0;
    std::array<unsigned, 2> flips{};
    for (unsigned bit = 0; bit < ending_bits; ++bit) {
        // Right behind the push, and before the copy's fate is known.
        settling.cycle(end(ending_of(random, Mirrored)));
        stage.flip("settle.endings", "memory", place, bit);
        ++flips[0];
        settling.cycle(fate(bit % 2));
        if (bit % 4 == 0) {
            stage.flip("settle.fates", "memory", place % 4, bit / 4 % fate_bits);
            ++flips[1];
        }
        ++place;
        settling.wait(4);
        REQUIRE(settling.copies_settled() == place);
        REQUIRE((settling.corrected() == flips));
    }
    REQUIRE(flips[1] >= 2 * fate_bits);
}

TEST_CASE("P23 a session entry is free when the copies of the tables before the change are out") {
    StageRandom random;
    Settling settling;
    for (unsigned i = 0; i < 3; ++i) settling.cycle(end(ending_of(random, Mirrored)));
    settling.cycle(commit());
    settling.wait(1);
    for (unsigned i = 0; i < 5; ++i) settling.cycle(end(ending_of(random, Mirrored)));
    for (unsigned i = 0; i < 3; ++i) {
        settling.wait(10);
        CHECK(settling.undrained() == 1);
        settling.cycle(fate(i == 1));
    }
    settling.wait(10);
    CHECK(settling.undrained() == 0);
}

TEST_CASE("P23 a change waits only for the copies before it, however far their count has come") {
    StageRandom random;
    Settling settling;
    const auto quiet = [&](Inputs inputs) {  // what comes later is half admitted, or not
        inputs.between_frames = random.chance(50);
        settling.cycle(inputs);
    };
    std::uint64_t waiting = 0;
    while (settling.copies_settled() < 70'000) {  // the count goes round once
        for (; waiting < 3; ++waiting) settling.cycle(end(ending_of(random, Mirrored)));
        settling.cycle(commit());
        settling.wait(1);
        const std::uint64_t later = random.below(3);
        for (std::uint64_t i = 0; i < later; ++i) quiet(end(ending_of(random, Mirrored)));
        for (; waiting > 0; --waiting) {
            for (int i = 0; i < 2; ++i) quiet({});
            REQUIRE(settling.undrained() == 1);
            quiet(fate(false));
        }
        for (int i = 0; i < 8; ++i) quiet({});
        REQUIRE(settling.undrained() == 0);
        waiting = later;
    }
}

TEST_CASE("P23 a frame that is half admitted at the change is waited for") {
    StageRandom random;
    Settling settling;
    settling.cycle(commit(false));
    for (unsigned i = 0; i < 10; ++i) {
        Inputs inputs;
        inputs.between_frames = false;
        settling.cycle(inputs);
        settling.cycle(inputs);
        CHECK(settling.undrained() == 1);
    }
    settling.cycle(end(ending_of(random, Mirrored)));  // between frames again
    settling.wait(10);
    CHECK(settling.undrained() == 1);
    settling.cycle(fate(false));
    settling.wait(10);
    CHECK(settling.undrained() == 0);
}

TEST_CASE(
    "changes without copies drain once no frame is half admitted, and their count stops at 255") {
    Settling settling;
    for (std::uint64_t version = 1; version <= 300; ++version) {
        settling.cycle(commit(false));
        // It is out a cycle later.
        REQUIRE(settling.undrained() == std::min<std::uint64_t>(version - 1, 255));
    }
    settling.wait(6);
    CHECK(settling.undrained() == 0);
}

TEST_CASE(
    "a copy that does not leave stays undrained over more commits than a sequence number has "
    "values") {
    StageRandom random;
    Settling settling;
    settling.cycle(end(ending_of(random, Mirrored)));
    const std::uint64_t commits = 3 * 65536 + 300;
    for (std::uint64_t done = 1; done <= commits; ++done) {
        settling.cycle(commit());
        REQUIRE(settling.undrained() == std::min<std::uint64_t>(done - 1, 255));
        if (done % 65536 == 0) settling.wait(3);  // a register is read
        REQUIRE(settling.undrained() >= std::min<std::uint64_t>(done - 1, 255));
    }
    settling.cycle(fate(false));
    settling.wait(10);
    CHECK(settling.undrained() == 0);
}

TEST_CASE("P23 traffic without a gap: all passes settle and every change drains in time") {
    StageRandom random;
    for (const unsigned output : {5, 30, 100}) {  // percent of cycles with a fate, if one is due
        Settling settling;
        std::uint64_t version = 0, passes = 0, fates = 0, begun_copies = 0;
        struct Change {
            std::uint64_t version, copies;  ///< that must be out before it is drained
        };
        std::deque<Change> changes;
        unsigned beats_left = 0;
        std::uint64_t outcome = 0;
        bool ended = false;  ///< the last beat was in the cycle before
        for (unsigned now = 0; now < 40000 || beats_left > 0 || ended || settling.endings() > 0;
             ++now) {
            Inputs inputs;
            inputs.between_frames = beats_left == 0;
            if (ended) {
                inputs.ending = ending_of(random, outcome);
                ++passes;
            }
            ended = false;
            const bool stop = now >= 40000;
            // Copies leave in order, the newest one perhaps before its frame has ended.
            if (fates < begun_copies && settling.fates() < 2 &&
                fates <= settling.copies_ended() + (inputs.ending && outcome == Mirrored) &&
                random.chance(stop ? 100 : output)) {
                inputs.fate = random.chance(10);
                ++fates;
            }
            const std::uint64_t known = version;  // `undrained` follows a cycle later
            if (!stop && random.chance(2)) {
                inputs.commit = true;
                changes.push_back({++version, begun_copies});
            }
            settling.cycle(inputs);
            while (settling.undrained() < 255 && !changes.empty() &&
                   known >= changes.front().version + settling.undrained()) {
                REQUIRE(settling.copies_settled() >= changes.front().copies);
                changes.pop_front();
            }
            if (beats_left > 0 && --beats_left == 0) {
                ended = true;
            }
            if (beats_left == 0 && !stop && settling.endings() < 2 * sizes::hold_beats - 24 &&
                random.chance(98)) {
                // The next frame begins in the next cycle; a copy may be committed with it.
                if (!ended) {
                    outcome = random.chance(60) ? std::uint64_t(Mirrored) : random.below(2);
                    beats_left = unsigned(random.between(1, 4));
                    begun_copies += outcome == Mirrored;
                }
            }
        }
        settling.wait(20);
        CHECK(settling.settled() == passes);
        CHECK(settling.copies_settled() == begun_copies);
        CHECK(settling.undrained() == 0);
        CHECK((settling.corrected() == std::array<unsigned, 2>{}));
    }
}
