// SPDX-License-Identifier: Apache-2.0
// Global counters: everything that can happen in one cycle, happening at once.
#include <Vcounters.h>

#include <array>

#include "stage.hpp"

using namespace mirrornic::test;
using mirrornic::registers::Counter;

namespace {

constexpr int CounterCount = 26;

class Counters {
public:
    Counters() {
        stage_->received = stage_->forwarded = stage_->pass_settled = stage_->copy_settled = 0;
        stage_->snapshot = 0;
        stage_.reset();
        stage_.tick();  // no pass comes in the first cycle
    }

    /// One cycle in which so much may happen; P23 read aloud.
    void cycle(StageRandom& random, unsigned busy, bool snapshot) {
        const auto bytes = [&] { return random.below(std::uint64_t{1} << 32); };
        if (snapshot) frozen_ = live_;
        stage_->snapshot = snapshot;
        stage_->received = random.chance(busy);
        stage_->received_bytes = std::uint32_t(bytes());
        if (stage_->received) {
            count(Counter::received_frames, Counter::received_bytes, stage_->received_bytes);
            ++live_[int(Counter::in_flight_frames)];
            live_[int(Counter::in_flight_bytes)] += stage_->received_bytes;
        }
        stage_->forwarded = random.chance(busy);
        stage_->forwarded_bytes = std::uint32_t(bytes());
        if (stage_->forwarded)
            count(Counter::forwarded_frames, Counter::forwarded_bytes, stage_->forwarded_bytes);

        EndingWord pass;
        pass.bytes = bytes();
        pass.outcome = random.pick({NotEligible, NotAccepted, Dropped});
        pass.cause = CauseNone;
        if (pass.outcome == NotEligible) pass.cause = random.below(6);
        if (pass.outcome == Dropped) pass.cause = random.between(6, 8);
        stage_->pass_settled = random.chance(busy);
        drive(stage_->pass, pass);
        if (stage_->pass_settled) {
            leave(pass.bytes);
            if (pass.outcome == NotEligible)
                count(Counter::not_eligible_frames, Counter::not_eligible_bytes, pass.bytes);
            if (pass.outcome == NotAccepted)
                count(Counter::not_accepted_frames, Counter::not_accepted_bytes, pass.bytes);
            if (pass.outcome == Dropped) {
                count(Counter::selected_frames, Counter::selected_bytes, pass.bytes);
                count(Counter::dropped_frames, Counter::dropped_bytes, pass.bytes);
            }
            if (pass.cause < CauseNone) ++live_[int(Counter::no_tap) + int(pass.cause)];
        }

        stage_->copy_settled = random.chance(busy);
        stage_->copy_reset = random.chance(30);
        stage_->copy_late_bad = random.chance(30);
        stage_->copy_bytes = std::uint32_t(bytes());
        if (stage_->copy_settled) {
            leave(stage_->copy_bytes);
            count(Counter::selected_frames, Counter::selected_bytes, stage_->copy_bytes);
            if (stage_->copy_reset) {
                count(Counter::dropped_frames, Counter::dropped_bytes, stage_->copy_bytes);
                ++live_[int(Counter::reset)];
            } else {
                count(Counter::mirrored_frames, Counter::mirrored_bytes, stage_->copy_bytes);
                live_[int(Counter::late_bad)] += stage_->copy_late_bad;
            }
        }
        stage_.tick();
        REQUIRE(bool(stage_->all_settled) == (live_[int(Counter::in_flight_frames)] == 0));
    }

    void check() {
        for (int i = 0; i < CounterCount; ++i) {
            stage_->index = std::uint8_t(i);
            stage_.eval();
            INFO("counter " << i);
            REQUIRE(stage_->value == frozen_[std::size_t(i)]);
        }
    }

    std::uint64_t frozen(Counter counter) const { return frozen_[std::size_t(counter)]; }

private:
    void count(Counter frames, Counter bytes, std::uint64_t amount) {
        ++live_[std::size_t(frames)];
        live_[std::size_t(bytes)] += amount;
    }
    void leave(std::uint64_t bytes) {
        --live_[int(Counter::in_flight_frames)];
        live_[int(Counter::in_flight_bytes)] -= bytes;
    }

    Stage<Vcounters> stage_;
    std::array<std::uint64_t, CounterCount> live_{}, frozen_{};
};

}  // namespace

TEST_CASE(
    "P23 all events of a cycle are counted, and a snapshot has all counters as of one cycle") {
    StageRandom random;
    for (const unsigned busy : {30, 100}) {
        Counters counters;
        counters.check();  // 0 after a reset
        for (unsigned i = 0; i < 100'000; ++i) {
            const bool snapshot = random.chance(10);
            counters.cycle(random, busy, snapshot);
            if (snapshot) counters.check();
        }
        counters.cycle(random, 0, true);
        counters.check();
        // The sums close when busy, with the passes in flight as their own figure.
        CHECK(counters.frozen(Counter::received_bytes) ==
              counters.frozen(Counter::not_eligible_bytes) +
                  counters.frozen(Counter::not_accepted_bytes) +
                  counters.frozen(Counter::selected_bytes) +
                  counters.frozen(Counter::in_flight_bytes));
        CHECK(counters.frozen(Counter::selected_frames) ==
              counters.frozen(Counter::mirrored_frames) + counters.frozen(Counter::dropped_frames));
    }
}
