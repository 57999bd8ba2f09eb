// SPDX-License-Identifier: Apache-2.0
// The FIFO against a queue, with 40-bit words, 8 columns of check bits and a depth of 8.
#include <Vfifo.h>

#include <deque>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

constexpr unsigned Depth = 8;
constexpr int Width = 40, Columns = 8;

/// Pushes and pops in one cycle; what comes out must be what went in, in order.
class Fifo {
public:
    Fifo() {
        stage_->in_valid = stage_->out_pop = 0;
        stage_.reset();
    }

    bool valid() const { return valid_; }
    std::size_t inside() const { return queue_.size(); }
    std::size_t corrected() const { return corrected_; }

    void cycle(bool push, bool pop) {
        pop = pop && valid_;
        stage_->in_valid = push;
        stage_->in_word = next_;
        stage_->out_pop = pop;
        if (push) queue_.push_back({next_, pushed_++ % Depth, false});
        next_ = (next_ * 6364136223846793005 + 1442695040888963407) >> 7 &
                ((std::uint64_t{1} << Width) - 1);
        if (pop) queue_.pop_front();
        stage_.eval();
        const bool corrected = stage_->corrected;
        const bool was_shown = valid_ && !pop;
        stage_.tick();
        valid_ = stage_->out_valid;
        if (was_shown) REQUIRE(valid_);
        if (valid_) {
            REQUIRE(!queue_.empty());
            REQUIRE(stage_->out_word == queue_.front().value);
        }
        // Seen in the cycle in which the word goes to the output.
        REQUIRE(corrected == (valid_ && !was_shown && queue_.front().flipped));
        corrected_ += corrected;
    }

    /// A bit of the word that waits behind so many others.
    void flip(std::size_t position, unsigned bit) {
        Word& word = queue_.at(position);
        stage_.flip("fifo", "memory", word.place, bit);
        word.flipped = true;
    }
    /// A bit of a place without a word.
    void flip_free(unsigned bit) { stage_.flip("fifo", "memory", pushed_ % Depth, bit); }
    unsigned width() { return stage_.width("fifo", "memory"); }

private:
    struct Word {
        std::uint64_t value;
        unsigned place;
        bool flipped;
    };

    Stage<Vfifo> stage_;
    std::deque<Word> queue_;
    std::uint64_t next_ = 1;
    unsigned pushed_ = 0;
    std::size_t corrected_ = 0;
    bool valid_ = false;
};

}  // namespace

TEST_CASE("a word that is pushed in cycle t can be popped in cycle t + 3") {
    Fifo fifo;
    CHECK_FALSE(fifo.valid());
    fifo.cycle(true, false);  // t
    CHECK_FALSE(fifo.valid());
    fifo.cycle(false, false);  // t + 1
    CHECK_FALSE(fifo.valid());
    fifo.cycle(false, false);  // t + 2
    CHECK(fifo.valid());
    fifo.cycle(false, true);  // t + 3
    CHECK_FALSE(fifo.valid());
}

TEST_CASE("one push and one pop a cycle go on without a gap, at every fill") {
    for (unsigned fill = 3; fill <= Depth + 1; ++fill) {
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

TEST_CASE(
    "a fifo holds exactly its depth and two words on their way out, wherever its pointers stand") {
    Fifo fifo;
    for (unsigned round = 0; round < 4 * Depth; ++round) {
        for (unsigned i = 0; i < Depth + 2; ++i) fifo.cycle(true, false);
        for (unsigned i = 0; i < 5; ++i) fifo.cycle(false, false);
        for (unsigned i = 0; i < Depth + 2; ++i) {
            REQUIRE(fifo.valid());
            fifo.cycle(false, true);
        }
        CHECK_FALSE(fifo.valid());
        fifo.cycle(true, false);  // shifts the next round by one
        for (unsigned i = 0; i < 2; ++i) fifo.cycle(false, false);
        fifo.cycle(false, true);
    }
    CHECK(fifo.inside() == 0);
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

TEST_CASE("T4 every flipped bit of a word that waits is corrected and shown, its neighbours not") {
    Fifo fifo;
    REQUIRE(fifo.width() == Width + Width / Columns + Columns);
    std::size_t flips = 0;
    for (unsigned bit = 0; bit < fifo.width(); ++bit) {
        for (unsigned position = 0; position < Depth; ++position) {
            // Two words are on their way out, and all places are full.
            for (unsigned i = 0; i < Depth + 2; ++i) fifo.cycle(true, false);
            fifo.flip(2 + position, bit);
            ++flips;
            for (unsigned i = 0; i < Depth + 2; ++i) {
                REQUIRE(fifo.valid());
                fifo.cycle(false, true);
            }
            REQUIRE(fifo.corrected() == flips);
        }
        // A flip where no word is leaves no trace.
        fifo.flip_free(bit);
        fifo.cycle(true, false);
        for (unsigned i = 0; i < 4; ++i) fifo.cycle(false, true);
        CHECK(fifo.inside() == 0);
    }
    CHECK(fifo.corrected() == flips);
}

TEST_CASE(
    "T4 flipped bits are corrected under random traffic, the newest word's in the cycle after its "
    "push") {
    StageRandom random;
    Fifo fifo;
    for (unsigned i = 0; i < 30000; ++i) {
        const bool push = fifo.inside() < Depth && random.chance(60);
        fifo.cycle(push, random.chance(50));
        // It is fetched in the next cycle at the earliest.
        if (push && random.chance(30))
            fifo.flip(fifo.inside() - 1, unsigned(random.below(fifo.width())));
    }
    CHECK(fifo.corrected() > 1000);
}
