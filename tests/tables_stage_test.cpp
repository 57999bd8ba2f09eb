// SPDX-License-Identifier: Apache-2.0
// The three tables of the lookup against arrays: words, the old word under a write, the sweep, and
// flipped bits.
#include <Vfilter_table.h>
#include <Vinterface_table.h>
#include <Vsession_table.h>

#include <optional>
#include <set>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

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
        faulty_.clear();
        return cycles;
    }

    /// One cycle with a read, a write, or both.
    void cycle(std::optional<unsigned> read, std::optional<unsigned> write, const Bits& word) {
        stage_->read = read.has_value();
        stage_->read_index = read.value_or(3);
        stage_->write = write.has_value();
        stage_->write_index = write.value_or(5);
        drive(stage_->write_word, word);
        stage_->check = 1;
        stage_.tick();
        REQUIRE(stage_->ready);
        if (read) {
            INFO("index " << *read);
            const bool faulty = *read < sizes::interfaces && faulty_.count(*read) > 0;
            REQUIRE(bool(stage_->out_faulty) == faulty);
            stage_->check = 0;  // a word that does not count, as that of a fetch
            stage_.eval();
            REQUIRE_FALSE(stage_->out_faulty);
            if (faulty) return;
            const Bits expected =
                *read < sizes::interfaces ? *memory_[*read] : Bits(InterfaceWord::width);
            REQUIRE(sample(stage_->out_word, InterfaceWord::width) == expected);
        }
        if (write) {
            memory_[*write] = word;
            faulty_.erase(*write);
        }
    }

    /// Flips a bit, and a second time sets it right.
    void flip(unsigned index, unsigned bit) {
        stage_.flip("interface_table", "memory", index, bit);
        if (!faulty_.insert(index).second) faulty_.erase(index);
    }
    /// Flips a set of bits of a word, so that it is faulty.
    void flip(unsigned index, const std::set<unsigned>& bits) {
        for (const unsigned bit : bits) stage_.flip("interface_table", "memory", index, bit);
        faulty_.insert(index);
    }

    void read(unsigned index) { cycle(index, {}, Bits(InterfaceWord::width)); }
    void write(unsigned index, const Bits& word) { cycle({}, index, word); }

    Stage<Vinterface_table>& stage() { return stage_; }

private:
    Stage<Vinterface_table> stage_;
    Memory memory_;
    std::set<unsigned> faulty_;
};

}  // namespace

TEST_CASE("P25 after a reset every interface word is swept to empty before ready") {
    StageRandom random;
    Interfaces interfaces;
    for (unsigned i = 0; i < sizes::interfaces; ++i) interfaces.read(i);
    for (const unsigned interrupted : {0u, 1u, sizes::interfaces / 2, sizes::interfaces - 1}) {
        for (unsigned i = 0; i < sizes::interfaces; ++i)
            interfaces.write(i, random.bits(InterfaceWord::width));
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
        interfaces.write(i, random.bits(InterfaceWord::width));
    for (unsigned i = 0; i < 2 * sizes::interfaces; ++i) {
        interfaces.read(i);
        interfaces.read(sizes::interfaces);
    }
}

TEST_CASE("T2 T3 an interface word is written whole, and a read beside its write gives the old") {
    StageRandom random;
    Interfaces interfaces;
    for (unsigned i = 0; i < sizes::interfaces; ++i) {
        for (int j = 0; j < 2; ++j) interfaces.cycle(i, i, random.bits(InterfaceWord::width));
        interfaces.read(i);
    }
    for (unsigned i = 0; i < 20000; ++i) {
        std::optional<unsigned> read, write;
        if (random.chance(80))
            read = unsigned(random.below(random.chance(50) ? 4 : sizes::interfaces + 1));
        if (random.chance(50))
            write = unsigned(random.below(random.chance(50) ? 4 : sizes::interfaces));
        interfaces.cycle(read, write, random.bits(InterfaceWord::width));
    }
}

TEST_CASE(
    "T4 every flipped bit of an interface word shows, in no other word, until it is written") {
    StageRandom random;
    Interfaces interfaces;
    const unsigned width = interfaces.stage().width("interface_table", "memory");
    REQUIRE(width == InterfaceWord::width + 8);
    for (const bool swept : {true, false}) {  // empty words, and random ones
        for (unsigned i = 0; i < sizes::interfaces && !swept; ++i)
            interfaces.write(i, random.bits(InterfaceWord::width));
        for (unsigned bit = 0; bit < width; ++bit) {
            const unsigned index =
                random.pick({0u, 1u, sizes::interfaces / 2 - 1, sizes::interfaces - 2,
                             sizes::interfaces - 1, bit % sizes::interfaces});
            interfaces.flip(index, bit);
            interfaces.read(index);
            // The neighbours; and the empty word past the table, which lies on none.
            interfaces.read((index + 1) % sizes::interfaces);
            interfaces.read((index + sizes::interfaces - 1) % sizes::interfaces);
            interfaces.read(sizes::interfaces);
            if (bit % 2 == 0)
                interfaces.write(index, random.bits(InterfaceWord::width));
            else
                interfaces.flip(index, bit);
            interfaces.read(index);
        }
        // Any odd number in one of the 8 groups, so any burst of up to 8 bits.
        for (unsigned low = 0; low + 8 <= width - 8; ++low) {
            for (unsigned bits = 2; bits <= 8; ++bits) {
                interfaces.flip(9, low);
                for (unsigned i = 1; i < bits; ++i)
                    interfaces.stage().flip("interface_table", "memory", 9, low + i);
                interfaces.read(9);
                interfaces.write(9, random.bits(InterfaceWord::width));
            }
        }
    }
    for (unsigned i = 0; i < 200; ++i)
        interfaces.flip(unsigned(random.below(sizes::interfaces)), unsigned(random.below(width)));
    interfaces.sweep();  // repairs all
    for (unsigned i = 0; i <= sizes::interfaces; ++i) interfaces.read(i);
}

TEST_CASE("T4 flips of an interface word show where they are an odd number in one of its groups") {
    StageRandom random;
    Interfaces interfaces;
    const unsigned width = interfaces.stage().width("interface_table", "memory");
    for (unsigned i = 0; i < 10000; ++i) {
        const auto index = unsigned(random.below(sizes::interfaces));
        interfaces.write(index, random.bits(InterfaceWord::width));
        std::set<unsigned> bits;
        for (auto flips = random.between(1, 20); flips > 0; --flips)
            bits.insert(unsigned(random.chance(50) ? random.below(width)
                                                   : random.between(width - 8, width - 1)));
        // In the word a group is every eighth bit; its parity lies above the word.
        unsigned odd = 0;
        for (const unsigned bit : bits)
            odd ^= 1u << (bit < width - 8 ? bit % 8 : bit - (width - 8));
        if (odd == 0) continue;  // another word's
        interfaces.flip(index, bits);
        interfaces.read(index);
        interfaces.write(index, random.bits(InterfaceWord::width));
        interfaces.read(index);
    }
}

// ---- filter_table ----

namespace {

class Filters {
public:
    explicit Filters(StageRandom& random) : random_(random), memory_(2 * sizes::filters) {
        stage_->write = stage_->read = 0;
    }

    /// One cycle; a write's word is a random one.
    void cycle(std::optional<unsigned> read, std::optional<unsigned> write) {
        stage_->read = read.has_value();
        stage_->read_address = read.value_or(3);
        stage_->write = write.has_value();
        stage_->write_address = write.value_or(5);
        // Any bits, and the parity that makes them good.
        Bits word = random_.bits(FilterWidth);
        for (int i = 0; i < 16; ++i) put_rule_parity(word, i);
        word.put(ListWidth + 1, 1, word.get(ListWidth, 1));
        drive(stage_->write_word, word);
        stage_->check = 1;
        stage_.tick();
        if (read && memory_[*read]) {
            INFO("address " << *read);
            const bool faulty = faulty_.count(*read) > 0;
            REQUIRE(bool(stage_->out_faulty) == faulty);
            stage_->check = 0;
            stage_.eval();
            REQUIRE_FALSE(stage_->out_faulty);
            if (!faulty) REQUIRE(sample(stage_->out_word, FilterWidth) == *memory_[*read]);
            ++compared_;
        }
        if (write) {
            memory_[*write] = word;
            faulty_.erase(*write);
        }
    }
    void read(unsigned address) { cycle(address, {}); }

    void flip(unsigned address, unsigned bit) {
        stage_.flip("filter_table", "memory", address, bit);
        if (!faulty_.insert(address).second) faulty_.erase(address);
    }
    unsigned width() { return stage_.width("filter_table", "memory"); }

    std::size_t words() const { return memory_.size(); }
    unsigned compared() const { return compared_; }

private:
    StageRandom& random_;
    Stage<Vfilter_table> stage_;
    Memory memory_;
    std::set<unsigned> faulty_;
    unsigned compared_ = 0;
};

}  // namespace

TEST_CASE("T2 a filter's list is written whole, and a read beside its write gives the old one") {
    StageRandom random;
    Filters filters(random);
    const auto words = unsigned(filters.words());
    for (unsigned i = 0; i < words; ++i) filters.cycle(i, i);
    for (unsigned i = 0; i < words; ++i) filters.read(i);
    for (unsigned i = 0; i < words; ++i) filters.cycle(i, i);
    for (unsigned i = 0; i < 2000; ++i) {
        std::optional<unsigned> read, write;
        if (random.chance(80)) read = unsigned(random.below(random.chance(50) ? 4 : words));
        if (random.chance(50)) write = unsigned(random.below(random.chance(50) ? 4 : words));
        filters.cycle(read, write);
    }
    CHECK(filters.compared() > 1500 + words);
}

TEST_CASE("T4 every flipped bit of a filter's word shows, in no other word, until it is written") {
    StageRandom random;
    Filters filters(random);
    REQUIRE(filters.width() == FilterWidth);
    const unsigned addresses[] = {0,
                                  1,
                                  2,
                                  sizes::filters - 1,
                                  sizes::filters,
                                  2 * sizes::filters - 2,
                                  2 * sizes::filters - 1};
    for (const unsigned address : addresses) filters.cycle({}, address);
    unsigned turn = 0;
    for (unsigned bit = 0; bit < filters.width(); ++bit) {
        const unsigned address = addresses[bit % 7];
        filters.flip(address, bit);
        filters.read(address);
        filters.read(addresses[(bit + 1) % 7]);  // it is no other's
        if (++turn % 16 == 0)
            filters.cycle(address, address);  // faulty still, but not after this write
        else
            filters.flip(address, bit);
        filters.read(address);
    }
}

// ---- session_table ----

namespace {

class Sessions {
public:
    Sessions() : cuts_(sizes::sessions), outers_(sizes::sessions) {
        stage_->read_cut = stage_->read_outer = stage_->write_cut = stage_->write_outer = 0;
        stage_.tick();
    }

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
            stage_->read_cut_index |= std::uint64_t{in.cut[i].value_or(9)} << SessionBits * i;
        }
        stage_->read_outer = in.outer.has_value();
        stage_->read_outer_index = in.outer.value_or(11);
        stage_->write_cut = in.write_cut;
        stage_->write_outer = in.write_outer;
        stage_->write_index = in.write_index;
        const Bits cut = random.bits(CutWord::width);
        const Bits outer = random.bits(OuterWord::width), sum = random.bits(SumWidth);
        drive(stage_->write_cut_word, cut);
        drive(stage_->write_outer_word, outer);
        drive(stage_->write_sum, sum);
        stage_->check_cut = 7;
        stage_.tick();
        // Nothing that was not read shows a fault.
        const bool corrects = in.outer && flipped_outers_.count(*in.outer) > 0;
        if (!in.outer || outers_[*in.outer]) REQUIRE(bool(stage_->outer_corrected) == corrects);
        const unsigned faulty = stage_->cut_faulty;
        const Bits cuts = sample(stage_->cut, 3 * CutWord::width);
        for (int i = 0; i < 3; ++i) {
            if (!in.cut[i] || !cuts_[*in.cut[i]]) continue;
            INFO("slot " << i << ", entry " << *in.cut[i]);
            const bool slot_faulty = faulty_cuts_[i].count(*in.cut[i]) > 0;
            REQUIRE(bool(faulty >> i & 1) == slot_faulty);
            stage_->check_cut = std::uint8_t(7 & ~(1u << i));
            stage_.eval();
            REQUIRE((stage_->cut_faulty >> i & 1) == 0);
            ++compared_;
            if (slot_faulty) continue;
            REQUIRE(cuts.get(CutWord::width * i, CutWord::width) ==
                    cuts_[*in.cut[i]]->get(0, CutWord::width));
        }
        if (in.outer && outers_[*in.outer]) {
            INFO("entry " << *in.outer);
            REQUIRE(sample(stage_->outer, OuterWord::width) == *outers_[*in.outer]);
            REQUIRE(sample(stage_->sum, SumWidth) == *sums_[*in.outer]);
            ++compared_;
        }
        if (in.write_cut) {
            cuts_[in.write_index] = cut;
            for (auto& faulty_slot : faulty_cuts_) faulty_slot.erase(in.write_index);
        }
        if (in.write_outer) {
            outers_[in.write_index] = outer;
            sums_[in.write_index] = sum;
            flipped_outers_.erase(in.write_index);
        }
    }

    /// A second flip sets a bit right.
    void flip_cut(unsigned slot, unsigned index, unsigned bit) {
        stage_.flip(slot_place(slot), "memory", index, bit);
        if (!faulty_cuts_[slot].insert(index).second) faulty_cuts_[slot].erase(index);
    }
    void flip_outer(unsigned index, unsigned bit) {
        stage_.flip("session_table", "memory", index, bit);
        if (!flipped_outers_.insert(index).second) flipped_outers_.erase(index);
    }
    unsigned cut_width() { return stage_.width(slot_place(0), "memory"); }
    unsigned outer_width() { return stage_.width("session_table", "memory"); }

    unsigned compared() const { return compared_; }

private:
    static std::string slot_place(unsigned slot) {
        return "session_table.g_slot[" + std::to_string(slot) + "]";
    }

    Stage<Vsession_table> stage_;
    Memory cuts_, outers_, sums_{sizes::sessions};
    std::array<std::set<unsigned>, 3> faulty_cuts_;
    std::set<unsigned> flipped_outers_;
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
        sessions.cycle(random, {{i, other(1), other(sizes::sessions / 2 - 1)},
                                other(sizes::sessions - 1),
                                false,
                                false,
                                i});
    }
    CHECK(sessions.compared() == 4 * sizes::sessions);
}

TEST_CASE(
    "T2 either part of a session entry is written alone, and a read beside it gives the old") {
    StageRandom random;
    Sessions sessions;
    for (unsigned i = 0; i < sizes::sessions; ++i) sessions.cycle(random, {{}, {}, true, true, i});
    for (unsigned i = 0; i < 30000; ++i) {
        const auto index = [&] {
            return unsigned(random.below(random.chance(60) ? 3 : sizes::sessions));
        };
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

TEST_CASE(
    "T4 every flipped bit of a session entry's limits shows in its slot alone, until written") {
    StageRandom random;
    Sessions sessions;
    REQUIRE(sessions.cut_width() == CutWord::width + 4);
    for (unsigned i = 0; i < sizes::sessions; ++i) sessions.cycle(random, {{}, {}, true, true, i});
    for (const unsigned index :
         {0u, 1u, sizes::sessions / 2 - 1, sizes::sessions / 2, sizes::sessions - 1}) {
        const unsigned next = (index + 1) % sizes::sessions;
        for (unsigned slot = 0; slot < 3; ++slot) {
            for (unsigned bit = 0; bit < sessions.cut_width(); ++bit) {
                sessions.flip_cut(slot, index, bit);
                sessions.cycle(random, {{index, index, index}, index});
                sessions.cycle(random, {{next, next, next}, next});
                if (bit % 2)
                    sessions.flip_cut(slot, index, bit);
                else  // the read beside the write is faulty still
                    sessions.cycle(random, {{index, index, index}, {}, true, false, index});
                sessions.cycle(random, {{index, index, index}, index});
            }
        }
    }
}

TEST_CASE(
    "T4 every flipped bit of an outer header and its sum is corrected, and shown where it is") {
    StageRandom random;
    Sessions sessions;
    REQUIRE(sessions.outer_width() == OuterWord::width + SumWidth + 13 + 32);
    for (unsigned i = 0; i < sizes::sessions; ++i) sessions.cycle(random, {{}, {}, true, true, i});
    for (const unsigned index :
         {0u, 1u, sizes::sessions / 2 - 1, sizes::sessions / 2, sizes::sessions - 1}) {
        const unsigned next = (index + 1) % sizes::sessions;
        for (unsigned bit = 0; bit < sessions.outer_width(); ++bit) {
            sessions.flip_outer(index, bit);
            sessions.cycle(random, {{index, index, index}, index});
            sessions.cycle(random, {{}, {}});  // not read: not shown
            sessions.cycle(random, {{next, next, next}, next});
            // What is read is right, what is kept is not, until it is written.
            sessions.cycle(random, {{}, index});
            if (bit % 2)
                sessions.flip_outer(index, bit);
            else
                sessions.cycle(random, {{}, index, false, true, index});
            sessions.cycle(random, {{}, index});
        }
    }
}

TEST_CASE("T4 T2 flips anywhere in the session table are found under random reads and writes") {
    StageRandom random;
    Sessions sessions;
    for (unsigned i = 0; i < sizes::sessions; ++i) sessions.cycle(random, {{}, {}, true, true, i});
    std::set<unsigned> flipped;  // one bit of each outer header at most is corrected
    for (unsigned i = 0; i < 20000; ++i) {
        Sessions::Cycle in;
        for (auto& cut : in.cut) cut = unsigned(random.below(8));
        in.outer = unsigned(random.below(8));
        in.write_cut = random.chance(20);
        in.write_outer = random.chance(20);
        in.write_index = unsigned(random.below(8));
        sessions.cycle(random, in);
        if (in.write_outer) flipped.erase(in.write_index);
        const auto index = unsigned(random.below(8));
        if (random.chance(20) && flipped.insert(index).second)
            sessions.flip_outer(index, unsigned(random.below(sessions.outer_width())));
        if (random.chance(5)) {
            // The same bit twice, so that it is known what is faulty.
            const auto slot = unsigned(random.below(3)), bit = unsigned(random.below(33));
            sessions.flip_cut(slot, index, bit);
            in = {};
            in.cut = {index, index, index};
            sessions.cycle(random, in);
            sessions.flip_cut(slot, index, bit);
        }
    }
}
