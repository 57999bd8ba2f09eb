// SPDX-License-Identifier: Apache-2.0
// The tap: windows, marks and byte counts from handshakes alone.
#include <Vtap.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

struct Seen {
    Lanes data;
    std::uint64_t keep;
    bool last;
    UserWord user;
};

struct Expected {
    std::optional<std::uint64_t> time;  ///< a first beat's is not known before its second
    BeatWord beat;
    UserWord user;
    Lanes second;
    std::uint64_t length;
};

bool contiguous(std::uint64_t keep) {
    for (int bytes = 1; bytes <= 64; ++bytes) {
        if (keep == (bytes == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1))
            return true;
    }
    return false;
}

std::uint64_t ones(std::uint64_t keep) {
    std::uint64_t count = 0;
    for (; keep != 0; keep >>= 1) count += keep & 1;
    return count;
}

class Tap {
public:
    explicit Tap(StageRandom& random) : random_(random) { stage_.reset(); }

    void see(const Seen& seen) {
        Bits data(512);
        for (int i = 0; i < 64; ++i) data.put(8 * i, 8, seen.data[i]);
        drive(stage_->seen_data, data);
        stage_->seen_keep = seen.keep;
        stage_->seen_last = seen.last;
        drive(stage_->seen_user, seen.user);
        stage_->seen = 1;

        Expected beat;
        beat.beat.first = between_frames_;
        beat.beat.last = seen.last;
        beat.beat.error = seen.user.error;
        beat.beat.bytes = ones(seen.keep);
        beat.beat.malformed =
            !contiguous(seen.keep) || (!seen.last && seen.keep != ~std::uint64_t{0});
        beat.beat.data = seen.data;
        beat.user = seen.user;
        beat.length = beat.beat.bytes;
        if (!between_frames_ && !expected_.empty() && !expected_.back().time) {
            Expected& first = expected_.back();
            first.second = seen.data;
            first.length = first.beat.bytes + beat.beat.bytes;
            first.time = now_ + 1;
        }
        if (!between_frames_ || seen.last) beat.time = now_ + 2;
        expected_.push_back(beat);
        frame_bytes_ += beat.beat.bytes;
        between_frames_ = seen.last;

        cycle();
        taken(seen.last);
    }

    void gap() {
        stage_->seen = 0;
        stage_->seen_last = 1;
        stage_->seen_keep = random_.below(std::uint64_t{1} << 63);
        drive(stage_->seen_data, random_.bits(512));
        drive(stage_->seen_user, random_.bits(UserWord::width));
        cycle();
        taken(false);
    }

    void frame(std::size_t beats, unsigned gaps) {
        UserWord user{random_.below(2), random_.below(2), random_.below(65536), 0};
        for (std::size_t i = 0; i < beats; ++i) {
            while (random_.chance(gaps)) gap();
            Seen seen{random_.lanes(), ~std::uint64_t{0}, i + 1 == beats, user};
            if (seen.last && random_.chance(80)) seen.keep >>= random_.below(64);
            const std::uint64_t bit = std::uint64_t{1} << random_.below(64);
            if (random_.chance(10))
                seen.keep =
                    random_.pick({std::uint64_t{0}, std::uint64_t{2}, seen.keep << 1,
                                  seen.keep ^ bit, seen.keep ^ bit, ~std::uint64_t{0} >> 1});
            seen.user.error = random_.chance(10);
            see(seen);
        }
    }

    bool busy() { return stage_->busy; }
    std::size_t inside() const { return expected_.size(); }

private:
    /// A frame's bytes are given in the cycle behind its last beat.
    void taken(bool last) {
        REQUIRE(bool(stage_->received) == last);
        if (!last) return;
        REQUIRE(stage_->received_bytes == frame_bytes_);
        frame_bytes_ = 0;
    }

    void cycle() {
        // A cycle before a frame's first beat is out, its window.
        stage_.eval();
        const Expected* leaving =
            !expected_.empty() && expected_.front().time == now_ + 1 ? &expected_.front() : nullptr;
        const bool window = leaving && leaving->beat.first;
        REQUIRE(bool(stage_->window_valid) == window);
        if (window) {
            // The error bit of tuser goes with the beat.
            REQUIRE(sample(stage_->window_user, UserWord::width) == pack(leaving->user));
            REQUIRE(unsigned(stage_->window_length) + stage_->window_more == leaving->length);
            const Bits bytes = sample(stage_->window, 1024);
            for (int i = 0; i < 64; ++i) {
                REQUIRE(bytes.get(8 * i, 8) == leaving->beat.data[i]);
                if (!leaving->beat.last) REQUIRE(bytes.get(512 + 8 * i, 8) == leaving->second[i]);
            }
        }
        stage_.tick();
        ++now_;
        REQUIRE(bool(stage_->out_valid) == (leaving != nullptr));
        REQUIRE((expected_.empty() || stage_->busy));
        if (!leaving) return;
        REQUIRE(sample(stage_->out_beat, BeatWord::width) == pack(leaving->beat));
        expected_.pop_front();
    }

    StageRandom& random_;
    Stage<Vtap> stage_;
    std::uint64_t now_ = 0;
    bool between_frames_ = true;
    std::uint64_t frame_bytes_ = 0;
    std::deque<Expected> expected_;
};

}  // namespace

TEST_CASE("P4 frames of one beat back to back leave one a cycle") {
    StageRandom random;
    Tap tap(random);
    for (unsigned i = 0; i < 200; ++i) tap.frame(1, 0);
    for (unsigned i = 0; i < 3; ++i) tap.gap();
    CHECK(tap.inside() == 0);
    CHECK_FALSE(tap.busy());
}

TEST_CASE("P4 the first beat waits for the second, however late that comes") {
    StageRandom random;
    Tap tap(random);
    for (unsigned wait = 0; wait < 70; ++wait) {
        tap.see({random.lanes(), ~std::uint64_t{0}, false, {1, 1, wait, 0}});
        for (unsigned i = 0; i < wait; ++i) tap.gap();
        REQUIRE((wait < 2 || tap.inside() == 1));
        REQUIRE(tap.busy());
        tap.see({random.lanes(), 1, true, {1, 1, wait, 0}});
    }
}

TEST_CASE("I1 I2 P4 random frames with gaps are counted, marked and windowed") {
    StageRandom random;
    Tap tap(random);
    for (unsigned i = 0; i < 6000; ++i) tap.frame(random.between(1, 5), i / 1000 % 2 * 30);
    for (unsigned i = 0; i < 3; ++i) tap.gap();
    CHECK(tap.inside() == 0);
    CHECK_FALSE(tap.busy());
}

TEST_CASE("P23 the bytes of a long frame are counted whole") {
    StageRandom random;
    Tap tap(random);
    tap.frame(20000, 0);
    tap.frame(1, 0);
}

TEST_CASE("P25 the first beat after a reset starts a frame") {
    Stage<Vtap> stage;
    stage.reset();
    stage->seen = 1;
    stage->seen_keep = ~std::uint64_t{0};
    stage->seen_last = 0;
    for (unsigned i = 0; i < 3; ++i) stage.tick();
    stage->seen = 0;
    stage.reset();
    CHECK_FALSE(stage->busy);
    CHECK_FALSE(stage->out_valid);
    CHECK_FALSE(stage->window_valid);
    stage->seen = 1;
    stage->seen_keep = 7;
    stage->seen_last = 1;
    stage.tick();
    stage->seen = 0;
    stage.eval();
    CHECK(stage->received);
    CHECK(stage->received_bytes == 3);
    CHECK(stage->window_valid);
    CHECK(stage->window_length + stage->window_more == 3);
    stage.tick();
    REQUIRE(stage->out_valid);
    CHECK(sample<BeatWord>(stage->out_beat).first == 1);
}
