// SPDX-License-Identifier: Apache-2.0
// Session counters, two to an entry, against arrays in which an update takes no time.
#include <Vsession_counters.h>

#include <optional>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

struct Values {
    std::uint64_t low = 0, high = 0;
};

constexpr unsigned ReadLatency = 3;
constexpr unsigned UpdateLatency = 2;

struct Request {
    std::optional<unsigned> add;
    std::uint32_t low = 0, high = 0;
    std::optional<unsigned> clear;
    bool snapshot = false;
};

class SessionCounters {
public:
    SessionCounters() : live_(sizes::sessions), frozen_(sizes::sessions) {
        stage_->add = stage_->clear = stage_->snapshot = 0;
        stage_->read_index = 0;
        stage_.reset();
    }

    void cycle(const Request& request) {
        stage_->add = request.add.has_value();
        stage_->add_index = std::uint16_t(request.add.value_or(77));
        stage_->add_amounts = std::uint64_t{request.high} << 32 | request.low;
        stage_->clear = request.clear.has_value();
        stage_->clear_index = std::uint16_t(request.clear.value_or(78));
        stage_->snapshot = request.snapshot;
        if (request.snapshot) frozen_ = live_;  // an update of the same cycle comes behind it
        if (request.add) {
            live_[*request.add].low += request.low;
            live_[*request.add].high += request.high;
        }
        if (request.clear) live_[*request.clear] = frozen_[*request.clear] = {};
        stage_.tick();
    }

    void add(unsigned index, std::uint32_t low, std::uint32_t high) {
        Request request;
        request.add = index;
        request.low = low;
        request.high = high;
        cycle(request);
    }

    void snapshot() {
        Request request;
        request.snapshot = true;
        cycle(request);
    }

    void wait(unsigned cycles) {
        for (unsigned i = 0; i < cycles; ++i) cycle({});
    }

    /// Reads while `traffic` goes on.
    template <class Traffic>
    void check(unsigned index, const Traffic& traffic) {
        stage_->read_index = std::uint16_t(index);
        for (unsigned i = 0; i < ReadLatency; ++i) cycle(traffic());
        INFO("entry " << index);
        const Bits values = sample(stage_->read_values, 128);
        REQUIRE(values.get(0, 64) == frozen_[index].low);
        REQUIRE(values.get(64, 64) == frozen_[index].high);
    }
    void check(unsigned index) {
        check(index, [] { return Request{}; });
    }

    Values live(unsigned index) const { return live_[index]; }

    /// Turns bits of an entry's counters, as if they had counted for years. No update is on its
    /// way.
    void turn(unsigned index, std::uint64_t low, std::uint64_t high) {
        for (unsigned bit = 0; bit < 64; ++bit) {
            if (low >> bit & 1) stage_.flip("session_counters", "memory", index, bit);
            if (high >> bit & 1) stage_.flip("session_counters", "memory", index, 64 + bit);
        }
        live_[index].low ^= low;
        live_[index].high ^= high;
    }

private:
    Stage<Vsession_counters> stage_;
    std::vector<Values> live_, frozen_;
};

}  // namespace

TEST_CASE("P23 P25 after a reset every entry is 0, without a write to the memory") {
    SessionCounters counters;
    for (unsigned i = 0; i < sizes::sessions; ++i) counters.check(i);
    counters.add(5, 1, 100);
    counters.snapshot();
    counters.wait(UpdateLatency);
    for (unsigned i = 0; i < 8; ++i) counters.check(i);
}

TEST_CASE("P23 one entry that is hit on every cycle counts every hit") {
    SessionCounters counters;
    for (unsigned i = 0; i < 1000; ++i) counters.add(sizes::sessions - 1, 1, 9216);
    counters.snapshot();
    counters.wait(UpdateLatency);
    counters.check(sizes::sessions - 1);
    CHECK(counters.live(sizes::sessions - 1).low == 1000);
    CHECK(counters.live(sizes::sessions - 1).high == 9216000);
}

TEST_CASE("P23 every hit counts, in every order of hits on entries that are 1 to 4 cycles apart") {
    StageRandom random;
    SessionCounters counters;
    for (unsigned pattern = 0; pattern < 729; ++pattern) {
        for (unsigned i = 0, rest = pattern; i < 6; ++i, rest /= 3)
            counters.add(rest % 3, 1, unsigned(random.below(1000)));
        counters.wait(pattern % 4);
    }
    counters.snapshot();
    counters.wait(UpdateLatency);
    for (unsigned i = 0; i < 4; ++i) counters.check(i);
}

TEST_CASE("P23 a snapshot in any cycle of a row of hits on one entry is of that cycle") {
    for (unsigned when = 0; when < 12; ++when) {
        SessionCounters counters;
        for (unsigned i = 0; i < 12; ++i) {
            Request request;
            request.add = 9;
            request.low = 1;
            request.high = i;
            request.snapshot = i == when;
            counters.cycle(request);
        }
        const auto hits = [] {
            Request request;
            request.add = 9;
            request.low = 1;
            return request;
        };
        for (unsigned i = 0; i < 5; ++i) counters.check(9, hits);
    }
}

TEST_CASE("P23 snapshots that follow each other are right, with and without updates between them") {
    SessionCounters counters;
    counters.add(3, 1, 10);
    counters.snapshot();
    counters.snapshot();
    counters.wait(UpdateLatency);
    counters.check(3);
    counters.add(3, 1, 20);
    counters.snapshot();
    counters.add(3, 1, 30);
    counters.snapshot();
    counters.snapshot();
    counters.add(3, 1, 40);
    counters.wait(UpdateLatency);
    counters.check(3);
    CHECK(counters.live(3).high == 100);
}

TEST_CASE("P23 counters are 64 bits") {
    SessionCounters counters;
    for (unsigned i = 0; i < 5; ++i) counters.add(0, 0xffffffff, 0x80000000);
    counters.snapshot();
    counters.wait(UpdateLatency);
    counters.check(0);
    CHECK(counters.live(0).low == 5ull * 0xffffffff);
}

TEST_CASE("P23 counters of any value go on, and are read, as 64 bits") {
    StageRandom random;
    SessionCounters counters;
    for (unsigned round = 0; round < 300; ++round) {
        const auto index = unsigned(random.below(sizes::sessions));
        counters.add(index, unsigned(random.below(1u << 31)), unsigned(random.below(1u << 31)));
        counters.wait(UpdateLatency);
        counters.turn(index, random.bits(64).get(0, 64), random.bits(64).get(0, 64));
        counters.snapshot();
        counters.wait(UpdateLatency);
        counters.check(index);
        for (unsigned i = 0; i < 3; ++i)
            counters.add(index, 0xffffffff, unsigned(random.below(9217)));
        counters.wait(UpdateLatency);
        counters.check(index);  // what was frozen
        counters.snapshot();
        counters.wait(UpdateLatency);
        counters.check(index);
    }
}

TEST_CASE(
    "P23 an entry that is cleared starts at 0, and one that is hit again holds the new hits") {
    SessionCounters counters;
    for (const bool hit_before_snapshot : {true, false}) {
        for (unsigned i = 0; i < 10; ++i) counters.add(6, 1, 5);
        counters.snapshot();
        counters.wait(UpdateLatency);
        Request request;
        request.clear = 6;
        counters.cycle(request);
        counters.check(6);
        if (hit_before_snapshot) counters.add(6, 1, 7);
        counters.snapshot();
        counters.wait(UpdateLatency);
        counters.check(6);
        counters.add(6, 1, 8);
        counters.wait(UpdateLatency);
        counters.check(6);
        counters.snapshot();
        counters.wait(UpdateLatency);
        counters.check(6);
    }
}

TEST_CASE("P23 counters are right under random updates, snapshots, clears and reads at once") {
    StageRandom random;
    SessionCounters counters;
    std::vector<unsigned> last_hit(4, 0), entries{0, 1, 2, 3};
    unsigned now = 0, since_snapshot = 0;
    const auto traffic = [&](bool snapshot, bool clear) {
        Request request;
        ++now;
        ++since_snapshot;
        if (clear) {  // of an entry whose copies have left, as the driver does it
            const unsigned place = unsigned(random.below(4));
            if (last_hit[place] + 4 < now) request.clear = entries[place];
        }
        if (random.chance(now / 500 % 2 ? 95 : 40)) {
            const unsigned place = unsigned(random.below(random.chance(60) ? 2 : 4));
            if (entries[place] != request.clear) {
                request.add = entries[place];
                request.low = 1;
                request.high = unsigned(random.between(1, 9216));
                last_hit[place] = now;
            }
        }
        if (snapshot) {
            request.snapshot = true;
            since_snapshot = 0;
        }
        return request;
    };
    for (unsigned i = 0; i < 20000; ++i) {
        for (unsigned j = unsigned(random.below(6)); j > 0; --j)
            counters.cycle(traffic(random.chance(20), random.chance(5)));
        while (since_snapshot < UpdateLatency + 1) counters.cycle(traffic(false, false));
        counters.check(entries[random.below(4)], [&] { return traffic(false, false); });
        if (i % 50 == 0) {  // four others, of one row or of several
            counters.wait(UpdateLatency + 1);
            const auto first = unsigned(random.below(sizes::sessions));
            const unsigned step = random.pick({1u, 15u, 16u, 17u, 341u});
            for (unsigned place = 0; place < 4; ++place)
                entries[place] = (first + place * step) % sizes::sessions;
        }
    }
}
