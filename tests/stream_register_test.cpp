// SPDX-License-Identifier: Apache-2.0
// The stream register: latency, throughput, and the contract of every stream.
#include <Vstream_register.h>

#include <deque>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

/// A sender that keeps to the contract, and a receiver that compares.
class Link {
public:
    Link() { stage_.reset(); }

    /// Offers a beat until it is taken; the receiver is ready or not.
    void cycle(bool offer, bool ready) {
        offering_ = offering_ || offer;
        stage_->in_valid = offering_;
        stage_->in_beat = offering_ ? scrambled(next_) : ~scrambled(next_);
        stage_->out_ready = !ready;
        stage_.eval();
        const bool taken = stage_->in_ready;
        stage_->out_ready = ready;
        stage_.eval();
        // The path from out_ready to in_ready is cut.
        REQUIRE(bool(stage_->in_ready) == taken);

        const bool valid = stage_->out_valid;
        const std::uint32_t beat = stage_->out_beat;
        REQUIRE(valid == !queue_.empty());
        if (valid) {
            REQUIRE(beat == queue_.front());
            if (ready) queue_.pop_front();
        }
        if (offering_ && taken) {
            queue_.push_back(scrambled(next_++));
            offering_ = false;
            ++sent_;
        }
        stage_.tick();
        if (valid && !ready) {
            REQUIRE(stage_->out_valid);
            REQUIRE(stage_->out_beat == beat);
        }
    }

    bool out_valid() { return stage_->out_valid; }
    bool in_ready() { return stage_->in_ready; }
    std::size_t inside() const { return queue_.size(); }
    unsigned sent() const { return sent_; }

private:
    Stage<Vstream_register> stage_;
    std::deque<std::uint32_t> queue_;
    std::uint32_t next_ = 1;
    unsigned sent_ = 0;
    bool offering_ = false;
};

}  // namespace

TEST_CASE("P1 latency is one cycle and a beat moves in every cycle while the receiver is ready") {
    Link link;
    CHECK_FALSE(link.out_valid());
    for (unsigned i = 0; i < 100; ++i) {
        link.cycle(true, true);
        REQUIRE(link.out_valid());
        REQUIRE(link.inside() == 1);
    }
    CHECK(link.sent() == 100);
    link.cycle(false, true);
    CHECK_FALSE(link.out_valid());
}

TEST_CASE("two beats enter while the receiver waits, and leave in order with no gap") {
    Link link;
    for (unsigned i = 0; i < 10; ++i) link.cycle(true, false);
    CHECK(link.sent() == 2);
    CHECK_FALSE(link.in_ready());
    for (unsigned i = 0; i < 10; ++i) {
        REQUIRE(link.out_valid());
        link.cycle(true, true);
    }
    CHECK(link.sent() == 11);  // the first pop makes room for the cycle after it
}

TEST_CASE("P1 P25 after a reset nothing is inside and a beat is taken at once") {
    Stage<Vstream_register> stage;
    stage.reset();
    stage->in_valid = 1;
    stage->out_ready = 0;
    for (unsigned i = 0; i < 3; ++i) stage.tick();
    CHECK(stage->out_valid);
    CHECK_FALSE(stage->in_ready);
    stage.reset();
    CHECK_FALSE(stage->out_valid);
    CHECK(stage->in_ready);
}

TEST_CASE("P1 every pattern of offers and readiness over eight cycles keeps all beats in order") {
    for (unsigned pattern = 0; pattern < 65536; ++pattern) {
        static Link link;
        for (unsigned i = 0; i < 8; ++i) link.cycle(pattern >> i & 1, pattern >> (8 + i) & 1);
    }
}
