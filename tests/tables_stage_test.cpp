// SPDX-License-Identifier: Apache-2.0
// The three tables of the lookup against arrays: words, the old word under a write, and the sweep.
#include <Vfilter_table.h>
#include <Vinterface_table.h>
#include <Vsession_table.h>

#include <optional>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

Bits random_bits(StageRandom& random, int width) {
    Bits bits(width);
    for (int low = 0; low < width; low += 32) {
        const int part = std::min(32, width - low);
        bits.put(low, part, random.below(std::uint64_t{1} << part));
    }
    return bits;
}

/// What a memory holds, as far as it was written.
using Memory = std::vector<std::optional<Bits>>;

// ---- interface_table ----

class Interfaces {
public:
    Interfaces() : memory_(sizes::interfaces) {
        stage_->write = stage_->read = 0;
        sweep();
    }

    /// Resets and waits for the end of the sweep; gives the cycles that it took.
    unsigned sweep() {
        stage_.reset();
        unsigned cycles = 0;
        while (!stage_->ready) {
            REQUIRE(cycles < 2 * sizes::interfaces);
            stage_.tick();
            ++cycles;
        }
        memory_.assign(sizes::interfaces, Bits(InterfaceWord::width));
        return cycles;
    }

    /// One cycle with a read, a write, or both.
    void cycle(std::optional<unsigned> read, std::optional<unsigned> write, const Bits& word) {
        stage_->read = read.has_value();
        stage_->read_index = read.value_or(3);
        stage_->write = write.has_value();
        stage_->write_index = write.value_or(5);
        drive(stage_->write_word, word);
        stage_.tick();
        REQUIRE(stage_->ready);
        if (read) {
            INFO("index " << *read);
            const Bits expected =
                *read < sizes::interfaces ? *memory_[*read] : Bits(InterfaceWord::width);
            REQUIRE(sample(stage_->out_word, InterfaceWord::width) == expected);
        }
        if (write) memory_[*write] = word;
    }

    void read(unsigned index) { cycle(index, {}, Bits(InterfaceWord::width)); }
    void write(unsigned index, const Bits& word) { cycle({}, index, word); }

    Stage<Vinterface_table>& stage() { return stage_; }

private:
    Stage<Vinterface_table> stage_;
    Memory memory_;
};

}  // namespace

TEST_CASE("P25 after a reset every interface word is swept to empty before ready") {
    StageRandom random;
    Interfaces interfaces;
    for (unsigned i = 0; i < sizes::interfaces; ++i) interfaces.read(i);
    for (const unsigned interrupted : {0u, 1u, 100u, sizes::interfaces - 1}) {
        for (unsigned i = 0; i < sizes::interfaces; ++i)
            interfaces.write(i, random_bits(random, InterfaceWord::width));
        for (unsigned i = 0; i < sizes::interfaces; ++i) interfaces.read(i);
        // A second reset while the first one's sweep goes on starts it anew.
        interfaces.stage()->read = interfaces.stage()->write = 0;
        interfaces.stage().reset();
        for (unsigned i = 0; i < interrupted; ++i) {
            CHECK_FALSE(interfaces.stage()->ready);
            interfaces.stage().tick();
        }
        CHECK(interfaces.sweep() == sizes::interfaces);
        for (unsigned i = 0; i < sizes::interfaces; ++i) interfaces.read(i);
    }
}

TEST_CASE("T1 the index past the table is an empty word, whatever is in the table") {
    StageRandom random;
    Interfaces interfaces;
    for (unsigned i = 0; i < sizes::interfaces; ++i)
        interfaces.write(i, random_bits(random, InterfaceWord::width));
    for (unsigned i = 0; i < 2 * sizes::interfaces; ++i) {
        interfaces.read(i);
        interfaces.read(sizes::interfaces);
    }
}

TEST_CASE("T2 T3 an interface word is written whole, and a read beside its write gives the old") {
    StageRandom random;
    Interfaces interfaces;
    for (unsigned i = 0; i < sizes::interfaces; ++i) {
        for (int j = 0; j < 2; ++j)
            interfaces.cycle(i, i, random_bits(random, InterfaceWord::width));
        interfaces.read(i);
    }
    for (unsigned i = 0; i < 20000; ++i) {
        std::optional<unsigned> read, write;
        if (random.chance(80)) read = unsigned(random.below(random.chance(50) ? 4 : 257));
        if (random.chance(50)) write = unsigned(random.below(random.chance(50) ? 4 : 256));
        interfaces.cycle(read, write, random_bits(random, InterfaceWord::width));
    }
}

// ---- filter_table ----

TEST_CASE("T2 a filter's list is written whole, and a read beside its write gives the old one") {
    StageRandom random;
    Stage<Vfilter_table> stage;
    Memory memory(2 * sizes::filters);
    unsigned compared = 0;
    const auto cycle = [&](std::optional<unsigned> read, std::optional<unsigned> write) {
        stage->read = read.has_value();
        stage->read_address = read.value_or(3);
        stage->write = write.has_value();
        stage->write_address = write.value_or(5);
        const Bits word = random_bits(random, FilterWidth);
        drive(stage->write_word, word);
        stage.tick();
        if (read && memory[*read]) {
            INFO("address " << *read);
            REQUIRE(sample(stage->out_word, FilterWidth) == *memory[*read]);
            ++compared;
        }
        if (write) memory[*write] = word;
    };
    for (unsigned i = 0; i < memory.size(); ++i) cycle(i, i);
    for (unsigned i = 0; i < memory.size(); ++i) cycle(i, {});
    for (unsigned i = 0; i < memory.size(); ++i) cycle(i, i);
    for (unsigned i = 0; i < 2000; ++i) {
        std::optional<unsigned> read, write;
        if (random.chance(80)) read = unsigned(random.below(random.chance(50) ? 4 : memory.size()));
        if (random.chance(50))
            write = unsigned(random.below(random.chance(50) ? 4 : memory.size()));
        cycle(read, write);
    }
    CHECK(compared > 2000);
}

// ---- session_table ----

namespace {

class Sessions {
public:
    Sessions() : cuts_(sizes::sessions), outers_(sizes::sessions) {}

    struct Cycle {
        std::array<std::optional<unsigned>, 3> cut;  ///< of each slot
        std::optional<unsigned> outer;
        bool write_cut = false, write_outer = false;
        unsigned write_index = 7;
    };

    void cycle(StageRandom& random, const Cycle& in) {
        stage_->read_cut = 0;
        stage_->read_cut_index = 0;
        for (int i = 0; i < 3; ++i) {
            stage_->read_cut |= unsigned(in.cut[i].has_value()) << i;
            stage_->read_cut_index |= in.cut[i].value_or(9) << SessionBits * i;
        }
        stage_->read_outer = in.outer.has_value();
        stage_->read_outer_index = in.outer.value_or(11);
        stage_->write_cut = in.write_cut;
        stage_->write_outer = in.write_outer;
        stage_->write_index = in.write_index;
        const Bits cut = random_bits(random, CutWord::width);
        const Bits outer = random_bits(random, OuterWord::width);
        drive(stage_->write_cut_word, cut);
        drive(stage_->write_outer_word, outer);
        stage_.tick();
        const Bits cuts = sample(stage_->cut, 3 * CutWord::width);
        for (int i = 0; i < 3; ++i) {
            if (!in.cut[i] || !cuts_[*in.cut[i]]) continue;
            INFO("slot " << i << ", entry " << *in.cut[i]);
            REQUIRE(cuts.get(CutWord::width * i, CutWord::width) ==
                    cuts_[*in.cut[i]]->get(0, CutWord::width));
            ++compared_;
        }
        if (in.outer && outers_[*in.outer]) {
            INFO("entry " << *in.outer);
            REQUIRE(sample(stage_->outer, OuterWord::width) == *outers_[*in.outer]);
            ++compared_;
        }
        if (in.write_cut) cuts_[in.write_index] = cut;
        if (in.write_outer) outers_[in.write_index] = outer;
    }

    unsigned compared() const { return compared_; }

private:
    Stage<Vsession_table> stage_;
    Memory cuts_, outers_;
    unsigned compared_ = 0;
};

}  // namespace

TEST_CASE("T3 a session entry's limits are read in every slot, its outer header beside them") {
    StageRandom random;
    Sessions sessions;
    for (unsigned i = 0; i < sizes::sessions; ++i)
        sessions.cycle(random, {{i, i, i}, i, true, true, i});
    for (unsigned i = 0; i < sizes::sessions; ++i) {
        const auto other = [i](unsigned step) { return (i + step) % sizes::sessions; };
        sessions.cycle(random, {{i, other(1), other(511)}, other(1023), false, false, i});
    }
    CHECK(sessions.compared() == 4 * sizes::sessions);
}

TEST_CASE(
    "T2 either part of a session entry is written alone, and a read beside it gives the old") {
    StageRandom random;
    Sessions sessions;
    for (unsigned i = 0; i < sizes::sessions; ++i) sessions.cycle(random, {{}, {}, true, true, i});
    for (unsigned i = 0; i < 30000; ++i) {
        const auto index = [&] { return unsigned(random.below(random.chance(60) ? 3 : 1024)); };
        Sessions::Cycle in;
        for (auto& cut : in.cut) {
            if (random.chance(70)) cut = index();
        }
        if (random.chance(70)) in.outer = index();
        in.write_cut = random.chance(40);
        in.write_outer = random.chance(40);
        in.write_index = index();
        sessions.cycle(random, in);
    }
    CHECK(sessions.compared() > 50000);
}
