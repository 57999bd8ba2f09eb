// SPDX-License-Identifier: Apache-2.0
// The FIFO against a queue, with 32-bit words and a depth of 8.
#include <Vfifo.h>

#include <deque>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

constexpr unsigned Depth = 8;

/// Pushes and pops in one cycle; what comes out must be what went in, in order.
class Fifo {
public:
    Fifo() { stage_.reset(); }

    bool valid() const { return valid_; }
    std::size_t inside() const { return queue_.size(); }

    void cycle(bool push, bool pop) {
        pop = pop && valid_;
        stage_->in_valid = push;
        stage_->in_word = next_;
        stage_->out_pop = pop;
        if (push) queue_.push_back(next_);
        next_ = next_ * 1664525 + 1013904223;
        if (pop) queue_.pop_front();
        stage_.tick();
        valid_ = stage_->out_valid;
        if (valid_) {
            REQUIRE(!queue_.empty());
            REQUIRE(stage_->out_word == queue_.front());
        }
    }

private:
    Stage<Vfifo> stage_;
    std::deque<std::uint32_t> queue_;
    std::uint32_t next_ = 1;
    bool valid_ = false;
};

}  // namespace

TEST_CASE("a word that is pushed in cycle t can be popped in cycle t + 2") {
    Fifo fifo;
    CHECK_FALSE(fifo.valid());
    fifo.cycle(true, false);  // t
    CHECK_FALSE(fifo.valid());
    fifo.cycle(false, false);  // t + 1
    CHECK(fifo.valid());
    fifo.cycle(false, true);  // t + 2
    CHECK_FALSE(fifo.valid());
}

TEST_CASE("one push and one pop a cycle go on without a gap, at every fill") {
    for (unsigned fill = 2; fill <= Depth; ++fill) {
        Fifo fifo;
        for (unsigned i = 0; i < fill; ++i) fifo.cycle(true, false);
        for (unsigned i = 0; i < 100; ++i) {
            fifo.cycle(true, true);
            REQUIRE(fifo.valid());
        }
        for (unsigned i = 0; i < fill; ++i) {
            REQUIRE(fifo.valid());
            fifo.cycle(false, true);
        }
        CHECK_FALSE(fifo.valid());
        CHECK(fifo.inside() == 0);
    }
}

TEST_CASE("it holds exactly its depth, wherever its pointers stand") {
    Fifo fifo;
    for (unsigned round = 0; round < 4 * Depth; ++round) {
        for (unsigned i = 0; i < Depth; ++i) fifo.cycle(true, false);
        for (unsigned i = 0; i < 5; ++i) fifo.cycle(false, false);
        for (unsigned i = 0; i < Depth; ++i) {
            REQUIRE(fifo.valid());
            fifo.cycle(false, true);
        }
        CHECK_FALSE(fifo.valid());
        fifo.cycle(true, false);  // shifts the next round by one
        fifo.cycle(false, false);
        fifo.cycle(false, true);
    }
}

TEST_CASE("no word is lost, doubled or passed by another under random traffic") {
    StageRandom random;
    Fifo fifo;
    for (unsigned i = 0; i < 100000; ++i) {
        const unsigned busy = i / 1000 % 2 ? 80 : 30;
        fifo.cycle(fifo.inside() < Depth && random.chance(busy), random.chance(50));
    }
    for (unsigned i = 0; i < 2 * Depth; ++i) fifo.cycle(false, true);
    CHECK(fifo.inside() == 0);
}
