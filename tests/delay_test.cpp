// SPDX-License-Identifier: Apache-2.0
// The delay beside the lookup, with its 8 cycles.
#include <Vdelay.h>

#include <deque>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

constexpr std::uint64_t Cycles = 8;

class Delay {
public:
    Delay() { stage_.reset(); }

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
        if (valid) waiting_.push_back({now_ + Cycles, bits});
        stage_.tick();
        ++now_;
        const bool due = !waiting_.empty() && waiting_.front().first == now_;
        REQUIRE(bool(stage_->out_valid) == due);
        // Idle cycles are skipped in simulation when nothing says that it is busy.
        REQUIRE((waiting_.empty() || stage_->busy));
        if (due) {
            REQUIRE(sample(stage_->out_beat, BeatWord::width) == waiting_.front().second);
            waiting_.pop_front();
        }
    }

    bool busy() { return stage_->busy; }

private:
    Stage<Vdelay> stage_;
    std::uint64_t now_ = 0;
    std::deque<std::pair<std::uint64_t, Bits>> waiting_;
};

}  // namespace

TEST_CASE("a beat leaves exactly 8 cycles after it came, alone or in a row") {
    StageRandom random;
    Delay delay;
    for (unsigned length = 1; length < 20; ++length) {
        for (unsigned i = 0; i < length; ++i) delay.cycle(random, true);
        for (unsigned i = 0; i < 12; ++i) delay.cycle(random, false);
        CHECK_FALSE(delay.busy());
    }
    for (unsigned i = 0; i < 5000; ++i) delay.cycle(random, random.chance(i / 50 % 100));
}

TEST_CASE("P25 a reset forgets what is inside") {
    Stage<Vdelay> stage;
    stage.reset();
    stage->in_valid = 1;
    for (unsigned i = 0; i < 7; ++i) stage.tick();
    stage->in_valid = 0;
    stage.reset();
    CHECK_FALSE(stage->busy);
    for (unsigned i = 0; i < 20; ++i) {
        stage.tick();
        REQUIRE_FALSE(stage->out_valid);
    }
}
