// SPDX-License-Identifier: Apache-2.0
// The outer headers and the realignment behind them, against frames put together byte by byte.
#include <Vencapsulate.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Copy {
    CopyWord word;
    Bytes kept;
};

void put(Bytes& out, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out.push_back(std::uint8_t(value >> 8 * i));
}

/// P15 to P19, field by field.
Bytes frame_of(const Copy& copy) {
    const OuterWord& outer = copy.word.outer;
    const std::uint64_t udp_length = copy.kept.size() + 16;
    const int address_bytes = outer.v6 ? 16 : 4;
    Bytes out;
    put(out, outer.target_mac, 6);
    put(out, outer.source_mac, 6);
    if (outer.v6) {
        put(out, 0x86dd, 2);
        put(out, 6, 1);
        out.back() = 0x60;
        put(out, 0, 3);  // traffic class, flow label
        put(out, udp_length, 2);
        put(out, 17, 1);
        put(out, 255, 1);
    } else {
        put(out, 0x0800, 2);
        put(out, 0x45, 1);
        put(out, 0, 1);  // DSCP, ECN
        put(out, udp_length + 20, 2);
        put(out, 0, 2);  // identification
        put(out, 0, 2);  // flags, offset
        put(out, 255, 1);
        put(out, 17, 1);
        put(out, copy.word.checksum, 2);
    }
    out.insert(out.end(), outer.source_address.begin(),
               outer.source_address.begin() + address_bytes);
    out.insert(out.end(), outer.target_address.begin(),
               outer.target_address.begin() + address_bytes);
    put(out, copy.word.source_port, 2);
    put(out, 4789, 2);
    put(out, udp_length, 2);
    put(out, outer.v6 ? copy.word.checksum : 0, 2);
    put(out, 0x08, 1);
    put(out, 0, 3);
    put(out, outer.vni, 3);
    put(out, 0, 1);
    out.insert(out.end(), copy.kept.begin(), copy.kept.end());
    if (out.size() < 60) out.resize(60);  // I3; no length counts it
    return out;
}

Copy random_copy(StageRandom& random, bool v6, std::size_t length) {
    Copy copy;
    copy.word.outer = {v6,
                       random.below(1 << 24),
                       random.below(std::uint64_t{1} << 48),
                       random.below(std::uint64_t{1} << 48),
                       random.address(v6),
                       random.address(v6)};
    copy.word.session = random.below(sizes::sessions);
    copy.word.kept = length;
    copy.word.source_port = random.below(65536);
    copy.word.checksum = random.below(65536);
    copy.kept = random.bytes(length);
    return copy;
}

std::size_t beats_of(const Copy& copy) {
    return (copy.kept.size() + (copy.word.outer.v6 ? 70 : 50) + 63) / 64;
}

class Encapsulator {
public:
    Encapsulator() {
        stage_->resetting = stage_->copy_valid = stage_->beat_valid = 0;
        stage_->m_axis_mirror_tready = 0;
        stage_.reset();
    }

    void queue(const Copy& copy) {
        copies_.push_back(copy);
        for (std::size_t i = 0; i < copy.kept.size(); i += 64) {
            Lanes lanes{};
            std::copy_n(copy.kept.begin() + std::ptrdiff_t(i),
                        std::min<std::size_t>(64, copy.kept.size() - i), lanes.begin());
            beats_.push_back(lanes);
        }
    }

    void cycle(bool ready, bool offer_copy = true, bool offer_beat = true) {
        copy_offered_ = !copies_.empty() && (copy_offered_ || offer_copy);
        beat_offered_ = !beats_.empty() && (beat_offered_ || offer_beat);
        stage_->copy_valid = copy_offered_;
        if (copy_offered_) drive(stage_->copy, copies_.front().word);
        stage_->beat_valid = beat_offered_;
        if (beat_offered_) {
            Bits beat(512);
            for (int i = 0; i < 64; ++i) beat.put(8 * i, 8, beats_.front()[i]);
            drive(stage_->beat, beat);
        }
        stage_->m_axis_mirror_tready = ready;
        stage_.eval();

        const bool valid = stage_->m_axis_mirror_tvalid;
        // I3, as long as beats are there.
        if (inside_copy_ && steady_) REQUIRE(valid);
        const Bits data = sample(stage_->m_axis_mirror_tdata, 512);
        if (valid && held_) REQUIRE(data == *held_);
        held_.reset();
        if (valid && !ready) held_ = data;
        if (valid && ready) receive(data);

        REQUIRE(stage_->fate_valid == stage_->copy_pop);
        const bool copy_pop = stage_->copy_pop, beat_pop = stage_->beat_pop;
        REQUIRE((!copy_pop || copy_offered_));
        REQUIRE((!beat_pop || beat_offered_));
        if (copy_pop) {
            if (stage_->fate_reset) {
                ++thrown_;
            } else {
                expected_.push_back(frame_of(copies_.front()));
                // I3: the session entry and the bytes of the copy as it is sent.
                expected_users_.push_back(copies_.front().word.session << 14 |
                                          expected_.back().size());
            }
            copies_.pop_front();
            copy_offered_ = false;
        }
        if (beat_pop) {
            beats_.pop_front();
            beat_offered_ = false;
        }
        stage_.tick();
        ++cycles_;
    }

    /// Until all is out; then what came out is what went in.
    void drain(
        const std::function<bool()>& ready = [] { return true; },
        const std::function<bool()>& offer = [] { return true; }) {
        for (unsigned idle = 0; idle < 4;) {
            REQUIRE(++drain_limit_ < 1000000);
            cycle(ready(), offer(), offer());
            idle = copies_.empty() && !stage_->m_axis_mirror_tvalid ? idle + 1 : 0;
        }
        CHECK(beats_.empty());
        REQUIRE(received_.size() == expected_.size());
        for (std::size_t i = 0; i < received_.size(); ++i) {
            INFO("copy " << i << " of " << expected_[i].size() << " bytes");
            REQUIRE(received_[i] == expected_[i]);
            REQUIRE(received_users_[i] == expected_users_[i]);
        }
    }

    void resetting(bool on) { stage_->resetting = on; }
    void steady() { steady_ = true; }  ///< copies and beats come without a gap
    std::size_t received() const { return received_.size(); }
    std::size_t received_beats() const { return received_beats_; }
    std::size_t thrown() const { return thrown_; }
    std::uint64_t cycles() const { return cycles_; }
    std::uint64_t last_beat_cycle() const { return last_beat_cycle_; }

private:
    void receive(const Bits& data) {
        const std::uint64_t keep = stage_->m_axis_mirror_tkeep;
        const bool last = stage_->m_axis_mirror_tlast;
        int bytes = 0;
        while (bytes < 64 && keep >> bytes & 1) ++bytes;
        REQUIRE(bytes > 0);
        REQUIRE(keep == (bytes == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1));
        REQUIRE((last || bytes == 64));
        const std::uint64_t user = stage_->m_axis_mirror_tuser;
        if (!current_.empty()) REQUIRE(user == user_);
        user_ = user;
        for (int i = 0; i < bytes; ++i) current_.push_back(std::uint8_t(data.get(8 * i, 8)));
        inside_copy_ = !last;
        ++received_beats_;
        last_beat_cycle_ = cycles_;
        if (last) {
            received_.push_back(current_);
            received_users_.push_back(user);
            current_.clear();
        }
    }

    Stage<Vencapsulate> stage_;
    std::deque<Copy> copies_;
    std::deque<Lanes> beats_;
    std::vector<Bytes> expected_, received_;
    std::vector<std::uint64_t> expected_users_, received_users_;
    std::uint64_t user_ = 0;
    Bytes current_;
    std::optional<Bits> held_;
    bool copy_offered_ = false, beat_offered_ = false, inside_copy_ = false, steady_ = false;
    std::size_t thrown_ = 0, received_beats_ = 0;
    std::uint64_t cycles_ = 0, last_beat_cycle_ = 0, drain_limit_ = 0;
};

}  // namespace

TEST_CASE(
    "P14 P15 P16 P17 P18 P19 I3 copies of every length are right to the byte, without a gap") {
    for (const bool v6 : {false, true}) {
        StageRandom random;
        Encapsulator encapsulator;
        encapsulator.steady();
        std::size_t beats = 0;
        const auto queue = [&](std::size_t length) {
            const Copy copy = random_copy(random, v6, length);
            beats += beats_of(copy);
            encapsulator.queue(copy);
        };
        for (std::size_t length = 1; length <= 400; ++length) queue(length);
        for (const std::size_t length : {1500, 8500, 9151, 9152, 9153, 9215, 9216}) queue(length);
        encapsulator.drain();
        // One beat a cycle from the cycle after the first copy is offered.
        CHECK(encapsulator.received_beats() == beats);
        CHECK(encapsulator.last_beat_cycle() == beats);
    }
}

TEST_CASE("I3 a copy of less than 60 bytes ends in zeros, and those around it do not") {
    StageRandom random;
    for (const bool v6 : {false, true}) {
        for (const bool neighbour_v6 : {false, true}) {
            Encapsulator encapsulator;
            for (std::size_t length = 1; length <= 20; ++length) {
                encapsulator.queue(random_copy(random, neighbour_v6, 64 * (length % 3) + 63));
                encapsulator.queue(random_copy(random, v6, length));
            }
            encapsulator.drain([&] { return random.chance(70); });
            CHECK(encapsulator.received() == 40);
        }
    }
}

TEST_CASE("I3 copies of one and two beats leave back to back, of both IP versions in turn") {
    StageRandom random;
    Encapsulator encapsulator;
    encapsulator.steady();
    std::size_t beats = 0;
    for (unsigned i = 0; i < 300; ++i) {
        const Copy copy = random_copy(random, i % 3 == 0, 1 + i % 14);
        beats += beats_of(copy);
        encapsulator.queue(copy);
    }
    encapsulator.drain();
    CHECK(encapsulator.last_beat_cycle() == beats);
}

TEST_CASE(
    "P14 P21 copies are right under the worst back-pressure, an output that moves in one cycle of "
    "many") {
    StageRandom random;
    Encapsulator encapsulator;
    for (unsigned i = 0; i < 120; ++i)
        encapsulator.queue(random_copy(random, random.chance(50), random.between(1, 300)));
    unsigned cycle = 0;
    encapsulator.drain([&] { return ++cycle % 37 == 0; });
}

TEST_CASE("P14 P21 copies are right at random lengths, gaps and back-pressure") {
    StageRandom random;
    Encapsulator encapsulator;
    for (unsigned i = 0; i < 1500; ++i) {
        const std::size_t length = random.chance(95) ? random.between(1, 300) : random.below(9217);
        encapsulator.queue(
            random_copy(random, random.chance(50), std::max<std::size_t>(1, length)));
    }
    encapsulator.drain([&] { return random.chance(60); }, [&] { return random.chance(60); });
}

TEST_CASE(
    "P25 a reset of the mirror completes the copy that is leaving and throws the others away") {
    StageRandom random;
    for (const bool v6 : {false, true}) {
        for (unsigned sent = 1; sent < 5; ++sent) {
            Encapsulator encapsulator;
            for (unsigned i = 0; i < 20; ++i) encapsulator.queue(random_copy(random, v6, 300));
            for (unsigned i = 0; i < sent; ++i) encapsulator.cycle(true);
            encapsulator.resetting(true);
            encapsulator.cycle(false);
            encapsulator.drain();
            CHECK(encapsulator.received() == 1);
            CHECK(encapsulator.thrown() == 19);
            encapsulator.resetting(false);
            for (unsigned i = 0; i < 3; ++i) encapsulator.queue(random_copy(random, !v6, 100));
            encapsulator.drain();
            CHECK(encapsulator.received() == 4);
        }
    }
}

TEST_CASE("P25 copies are thrown away also while the output never moves") {
    StageRandom random;
    Encapsulator encapsulator;
    for (unsigned i = 0; i < 10; ++i) encapsulator.queue(random_copy(random, i % 2, 10 + 60 * i));
    encapsulator.resetting(true);
    for (unsigned i = 0; i < 100; ++i) encapsulator.cycle(false);
    CHECK(encapsulator.thrown() == 10);
    encapsulator.resetting(false);
    encapsulator.queue(random_copy(random, false, 90));
    encapsulator.drain();
    CHECK(encapsulator.received() == 1);
}

TEST_CASE("P22 P25 a copy is whole or absent, whenever the mirror is reset") {
    StageRandom random;
    Encapsulator encapsulator;
    for (unsigned i = 0; i < 1500; ++i)
        encapsulator.queue(random_copy(random, random.chance(50), random.between(1, 300)));
    encapsulator.drain([&] { return random.chance(70); },
                       [&] {
                           if (random.chance(5)) encapsulator.resetting(random.chance(30));
                           return random.chance(70);
                       });
    CHECK(encapsulator.received() > 100);
    CHECK(encapsulator.thrown() > 100);
}
