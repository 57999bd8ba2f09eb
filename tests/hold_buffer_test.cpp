// SPDX-License-Identifier: Apache-2.0
// The hold buffer against a queue of beats.
#include <Vhold_buffer.h>

#include <deque>
#include <optional>
#include <set>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

constexpr std::size_t Capacity = sizes::hold_beats - 1;  ///< one place stays free
constexpr std::size_t LargestCopy = 9216 / 64;
constexpr std::size_t OnTheWay = 24;

struct Request {
    bool keep = false, commit = false, cancel = false;
    std::uint64_t release = 0;  ///< bytes of the copy to show, 0: none
    bool pop = false;
};

class HoldBuffer {
public:
    HoldBuffer() {
        idle();
        stage_.reset();
    }

    /// A word of a beat: every bit of it changes from beat to beat and from word to word.
    static std::uint32_t content(std::uint32_t beat, int word) {
        return scrambled(beat * 16 + std::uint32_t(word) + 1);
    }

    void cycle(const Request& request) {
        Bits data(512);  // of the beat that was kept a cycle ago
        for (int word = 0; word < 16; ++word)
            data.word(word, late_ ? content(*late_, word) : 0xdead0000);
        late_.reset();
        drive(stage_->in_data, data);
        stage_->keep = request.keep;
        stage_->commit = request.commit;
        stage_->cancel = request.cancel;
        stage_->release_copy = request.release != 0;
        stage_->release_bytes = request.release;
        const bool pop = request.pop && shown_;
        stage_->out_pop = pop;
        if (request.keep) {
            REQUIRE(stage_->room);
            pending_.push_back(late_.emplace(next_beat_++));
        }
        if (request.cancel) pending_.clear();
        if (request.commit) {
            committed_.insert(committed_.end(), pending_.begin(), pending_.end());
            pending_.clear();
        }
        for (std::uint64_t beats = (request.release + 63) / 64; beats > 0; --beats) {
            visible_.push_back(committed_.front());
            committed_.pop_front();
        }
        if (pop) {
            visible_.pop_front();
            ++popped_;
        }
        // A beat goes from the memory to the output in two steps, each when the next place is free.
        const bool take = raw_ && (!shown_ || pop);
        const bool fetch = in_memory_ > 0 && (!raw_ || take);
        stage_.eval();
        const bool corrects = take && flipped_.count(visible_.front()) > 0;
        REQUIRE(bool(stage_->corrected) == corrects);
        corrected_ += corrects;
        stage_.tick();
        shown_ = take || (shown_ && !pop);
        raw_ = fetch || (raw_ && !take);
        in_memory_ += (request.release + 63) / 64 - (fetch ? 1 : 0);
        REQUIRE(bool(stage_->out_valid) == shown_);
        if (shown_) {
            REQUIRE(!visible_.empty());
            const Bits out = sample(stage_->out_data, 512);
            for (int word = 0; word < 16; ++word)
                REQUIRE(out.word(word) == content(visible_.front(), word));
        }
        // The two beats on their way out no longer take a place.
        REQUIRE(bool(stage_->room) == (inside() - shown_ - raw_ < Capacity));
    }

    /// A bit of the memory's word with the beat that is kept the `place`-th since the reset.
    void flip(std::size_t place, std::uint32_t beat, unsigned bit) {
        stage_.flip("hold_buffer", "memory", unsigned(place % sizes::hold_beats), bit);
        flipped_.insert(beat);
    }
    unsigned width() { return stage_.width("hold_buffer", "memory"); }
    unsigned corrected() const { return corrected_; }
    unsigned popped() const { return popped_; }  ///< beats that were compared and taken
    std::uint32_t next_beat() const { return next_beat_; }

    void wait(unsigned cycles, bool pop = false) {
        for (unsigned i = 0; i < cycles; ++i) {
            Request request;
            request.pop = pop;
            cycle(request);
        }
    }

    /// Takes a copy's beats and commits it with its last one.
    void fill(std::size_t beats) {
        for (std::size_t i = 0; i < beats; ++i) {
            Request request;
            request.keep = true;
            request.commit = i + 1 == beats;
            cycle(request);
        }
    }

    void release(std::uint64_t bytes) {
        Request request;
        request.release = bytes;
        cycle(request);
    }

    bool room() { return stage_->room; }
    bool mirror_room() { return stage_->mirror_room; }
    bool valid() const { return shown_; }
    std::size_t inside() const { return pending_.size() + committed_.size() + visible_.size(); }
    std::size_t visible() const { return visible_.size(); }
    void reset() {
        idle();
        stage_.reset();
        pending_.clear();
        committed_.clear();
        visible_.clear();
        late_.reset();
        flipped_.clear();
        in_memory_ = 0;
        raw_ = shown_ = false;
    }

private:
    void idle() {
        stage_->keep = stage_->commit = stage_->cancel = 0;
        stage_->release_copy = stage_->out_pop = 0;
    }

    Stage<Vhold_buffer> stage_;
    std::deque<std::uint32_t> pending_, committed_, visible_;
    std::optional<std::uint32_t> late_;
    std::uint32_t next_beat_ = 0;
    std::set<std::uint32_t> flipped_;
    std::size_t in_memory_ = 0;  ///< visible beats that are not fetched yet
    bool raw_ = false, shown_ = false;
    unsigned corrected_ = 0, popped_ = 0;
};

}  // namespace

TEST_CASE("P21 P22 beats enter until the buffer is exactly full, and leave in order") {
    HoldBuffer buffer;
    for (unsigned round = 0; round < 4; ++round) {  // from four places of the ring
        std::size_t beats = 0;
        while (buffer.room()) {
            Request request;
            request.keep = true;
            buffer.cycle(request);
            ++beats;
        }
        CHECK(beats == Capacity);
        Request request;
        request.commit = true;
        buffer.cycle(request);
        buffer.wait(3);
        CHECK_FALSE(buffer.room());
        for (std::size_t left = 64 * Capacity; left > 0; left -= std::min<std::size_t>(left, 9216))
            buffer.release(std::min<std::size_t>(left, 9216));
        buffer.wait(3);  // behind the last of a few
        for (std::size_t i = 0; i < Capacity; ++i) {
            REQUIRE(buffer.valid());
            buffer.wait(1, true);
        }
        CHECK_FALSE(buffer.valid());
        CHECK(buffer.room());
        buffer.fill(100);
        buffer.wait(2);
        buffer.release(6400);
        buffer.wait(103, true);
        CHECK(buffer.inside() == 0);
    }
}

TEST_CASE(
    "P22 a copy that is given up on its last beat, or when the buffer is full, leaves no trace") {
    HoldBuffer buffer;
    for (const std::size_t beats : {1u, 2u, 144u, unsigned(Capacity)}) {
        for (std::size_t i = 0; i < beats; ++i) {
            Request request;
            request.keep = true;
            buffer.cycle(request);
        }
        CHECK(buffer.room() == (beats < Capacity));
        Request request;
        request.cancel = true;
        buffer.cycle(request);
        CHECK(buffer.inside() == 0);
        CHECK(buffer.room());
        buffer.fill(2);  // right behind it
        buffer.wait(2);
        buffer.release(65);
        buffer.wait(4, true);
        CHECK(buffer.inside() == 0);
    }
}

TEST_CASE("P22 copies of one beat come out one a cycle, and none that was cancelled between them") {
    HoldBuffer buffer;
    for (unsigned i = 0; i < 200; ++i) {
        Request request;
        request.keep = i % 5 != 3;
        request.commit = request.keep;
        request.cancel = !request.keep;
        if (i >= 8 && (i - 8) % 5 != 3) request.release = 1 + i % 64;
        request.pop = true;
        buffer.cycle(request);
    }
    CHECK(buffer.popped() > 140);
}

TEST_CASE("a copy is not seen before it is released, nor more of it than it has") {
    HoldBuffer buffer;
    buffer.fill(3);
    buffer.fill(2);
    buffer.wait(10, true);
    CHECK_FALSE(buffer.valid());
    buffer.release(129);
    buffer.wait(10, true);
    CHECK(buffer.inside() == 2);
    CHECK_FALSE(buffer.valid());
    buffer.release(128);
    buffer.wait(10, true);
    CHECK(buffer.inside() == 0);
}

TEST_CASE("I4 mirror_room says that a copy of 9216 bytes surely fits") {
    HoldBuffer buffer;
    const std::size_t most = sizes::hold_beats - LargestCopy - OnTheWay;
    buffer.wait(1);
    CHECK(buffer.mirror_room());
    buffer.fill(most);
    buffer.wait(1);
    CHECK(buffer.mirror_room());
    for (std::size_t i = 0; i < LargestCopy; ++i) {
        Request request;
        request.keep = true;
        REQUIRE(buffer.room());
        buffer.cycle(request);
    }
    CHECK_FALSE(buffer.mirror_room());
    Request request;
    request.cancel = true;
    buffer.cycle(request);
    buffer.wait(1);
    CHECK(buffer.mirror_room());
    buffer.fill(1);
    buffer.wait(1);
    CHECK_FALSE(buffer.mirror_room());
}

TEST_CASE("P25 after a reset the hold buffer is empty") {
    HoldBuffer buffer;
    buffer.fill(3);
    buffer.wait(1);
    buffer.release(100);
    buffer.wait(1);
    CHECK_FALSE(buffer.valid());
    buffer.wait(1);  // 3 cycles behind its release it can be popped
    CHECK(buffer.valid());
    buffer.reset();
    CHECK_FALSE(buffer.valid());
    std::size_t beats = 0;
    while (buffer.room()) {
        Request request;
        request.keep = true;
        buffer.cycle(request);
        ++beats;
    }
    CHECK(beats == Capacity);
}

TEST_CASE("P22 copies come out as they went in, under random cancels, releases and pops") {
    StageRandom random;
    HoldBuffer buffer;
    std::deque<std::pair<unsigned, std::uint64_t>> releases;  // when, bytes
    unsigned left = 0, kept = 0;
    for (unsigned now = 0; now < 60000; ++now) {
        Request request;
        request.pop = random.chance(now / 3000 % 2 ? 90 : 25);
        if (!releases.empty() && releases.front().first <= now) {
            request.release = releases.front().second;
            releases.pop_front();
        }
        if (left == 0) left = unsigned(random.chance(90) ? random.between(1, 4) : 144);
        if (random.chance(80)) {
            if (!buffer.room() || random.chance(2)) {
                request.cancel = true;
                left = kept = 0;
            } else {
                request.keep = true;
                ++kept;
                if (--left == 0) {
                    request.commit = true;
                    releases.emplace_back(now + 2, 64 * kept - random.below(64));
                    kept = 0;
                }
            }
        }
        buffer.cycle(request);
    }
    CHECK(buffer.popped() > 10000);
}

TEST_CASE("T4 every flipped bit of a kept beat is corrected and shown, its neighbours not") {
    HoldBuffer buffer;
    REQUIRE(buffer.width() == 512 + 16 + 32);
    std::size_t place = 0;
    unsigned flips = 0;
    for (unsigned bit = 0; bit < buffer.width(); ++bit) {
        for (std::size_t beat = 0; beat < 3; ++beat) {
            const std::uint32_t first = buffer.next_beat();
            buffer.fill(3);
            buffer.wait(1);  // the last one's data
            buffer.flip(place + beat, std::uint32_t(first + beat), bit);
            ++flips;
            place += 3;
            buffer.release(192);
            buffer.wait(5, true);
            REQUIRE(buffer.inside() == 0);
            REQUIRE(buffer.corrected() == flips);
        }
    }
    CHECK(place > 2 * sizes::hold_beats);  // at every address
}

TEST_CASE("T4 a flip in a place without a beat leaves no trace") {
    HoldBuffer buffer;
    for (unsigned round = 0; round < 50; ++round) {
        buffer.flip(round, std::uint32_t(-1), 11 * round);
        buffer.fill(1);
        buffer.wait(1);
        buffer.release(64);
        buffer.wait(3, true);
        REQUIRE(buffer.inside() == 0);
    }
    CHECK(buffer.corrected() == 0);
}
