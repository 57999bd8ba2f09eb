// SPDX-License-Identifier: Apache-2.0
// The delay beside the lookup, with its 7 cycles.
#include <Vdelay.h>

#include <deque>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

constexpr std::uint64_t Cycles = 7, Places = 8;

class Delay {
public:
    Delay() {
        stage_->in_valid = 0;
        stage_.reset();
    }

    void cycle(StageRandom& random, bool valid) {
        BeatWord beat;
        beat.first = random.chance(50);
        beat.last = random.chance(50);
        beat.error = random.chance(50);
        beat.malformed = random.chance(50);
        beat.bytes = random.below(65);
        beat.data = random.lanes();
        const Bits bits = pack(beat);
        stage_->in_valid = valid;
        drive(stage_->in_beat, bits);
        if (valid) waiting_.push_back({now_ + Cycles, bits, false});
        stage_.eval();
        const bool leaves = !waiting_.empty() && waiting_.front().due == now_ + 1;
        REQUIRE(bool(stage_->corrected) == (leaves && waiting_.front().flipped));
        corrected_ += stage_->corrected;
        stage_.tick();
        ++now_;
        const bool due = !waiting_.empty() && waiting_.front().due == now_;
        REQUIRE(bool(stage_->out_valid) == due);
        // Idle cycles are skipped in simulation when nothing says that it is busy.
        REQUIRE((waiting_.empty() || stage_->busy));
        if (due) {
            REQUIRE(sample(stage_->out_beat, BeatWord::width) == waiting_.front().beat);
            waiting_.pop_front();
        }
    }

    /// A bit of the beat that came so many cycles before the last one, or of its free place.
    void flip(std::uint64_t age, unsigned bit) {
        const std::uint64_t entered = now_ - 1 - age;
        stage_.flip("delay", "ring", unsigned(entered % Places), bit);
        for (Waiting& waiting : waiting_) {
            if (waiting.due == entered + Cycles) waiting.flipped = true;
        }
    }
    unsigned width() { return stage_.width("delay", "ring"); }

    bool busy() { return stage_->busy; }
    std::uint64_t corrected() const { return corrected_; }

private:
    struct Waiting {
        std::uint64_t due;
        Bits beat;
        bool flipped;
    };

    Stage<Vdelay> stage_;
    std::uint64_t now_ = 0, corrected_ = 0;
    std::deque<Waiting> waiting_;
};

}  // namespace

TEST_CASE("a beat leaves exactly 7 cycles after it came, alone or in a row") {
    StageRandom random;
    Delay delay;
    for (unsigned length = 1; length < 20; ++length) {
        for (unsigned i = 0; i < length; ++i) delay.cycle(random, true);
        for (unsigned i = 0; i < 12; ++i) delay.cycle(random, false);
        CHECK_FALSE(delay.busy());
    }
    for (unsigned i = 0; i < 5000; ++i) delay.cycle(random, random.chance(i / 50 % 100));
    CHECK(delay.corrected() == 0);
}

TEST_CASE("T4 every flipped bit of a beat that waits is corrected and shown, its neighbours not") {
    StageRandom random;
    Delay delay;
    REQUIRE(delay.width() == 523 + 17 + 32);
    std::uint64_t flips = 0;
    for (unsigned bit = 0; bit < delay.width(); ++bit) {
        // Between others without a gap, then alone; at each age up to the cycle before it is read.
        for (const bool others : {true, false}) {
            for (unsigned i = 0; i < 7; ++i) delay.cycle(random, others);
            delay.cycle(random, true);
            const unsigned age = bit % 5;
            for (unsigned i = 0; i < age; ++i) delay.cycle(random, others);
            delay.flip(age, bit);
            ++flips;
            for (unsigned i = age; i < 10; ++i) delay.cycle(random, false);
            REQUIRE(delay.corrected() == flips);
        }
        // Where no beat is, a flip leaves no trace.
        for (unsigned age = 0; age < Places; ++age) delay.flip(age, bit);
        for (unsigned i = 0; i < 10; ++i) delay.cycle(random, i < 3);
    }
    for (unsigned i = 0; i < 10; ++i) delay.cycle(random, false);
    CHECK(delay.corrected() == flips);
}

TEST_CASE("P25 a reset forgets what is inside") {
    Stage<Vdelay> stage;
    stage.reset();
    stage->in_valid = 1;
    for (unsigned i = 0; i < 6; ++i) stage.tick();
    stage->in_valid = 0;
    CHECK(stage->busy);
    stage.reset();
    CHECK_FALSE(stage->busy);
    for (unsigned i = 0; i < 20; ++i) {
        stage.tick();
        REQUIRE_FALSE(stage->out_valid);
        REQUIRE_FALSE(stage->corrected);
    }
}
