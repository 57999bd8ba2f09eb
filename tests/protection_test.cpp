// SPDX-License-Identifier: Apache-2.0
// Check bits and what they correct, in the shapes of the design's buffers: width and columns.
#include <Vcorrect_1.h>
#include <Vcorrect_512.h>
#include <Vcorrect_523.h>
#include <Vcorrect_64.h>
#include <Vprotect_1.h>
#include <Vprotect_512.h>
#include <Vprotect_523.h>
#include <Vprotect_64.h>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

template <class Protect, class Correct, int Width, int Columns>
class Protection {
public:
    static constexpr int columns = Columns;
    static constexpr int CheckBits = Columns + (Width + Columns - 1) / Columns;

    /// Words with every pattern that matters: none, all, one bit each, random.
    static std::vector<Bits> words(StageRandom& random) {
        std::vector<Bits> words{Bits(Width), Bits(Width)};
        for (int i = 0; i < Width; ++i) {
            words[1].put(i, 1, 1);
            words.emplace_back(Width).put(i, 1, 1);
        }
        for (int i = 0; i < 20; ++i) words.push_back(random.bits(Width));
        return words;
    }

    Bits protect(const Bits& word, bool valid = true) {
        protect_->valid = valid;
        drive(protect_->word, word);
        protect_.eval();
        return sample(protect_->check, CheckBits);
    }

    /// The word that comes out; `flipped` tells whether a flip is seen.
    Bits correct(const Bits& word, const Bits& check, bool valid = true) {
        correct_->valid = valid;
        drive(correct_->word, word);
        drive(correct_->check, check);
        correct_.eval();
        flipped = correct_->flipped;
        return sample(correct_->corrected, Width);
    }

    bool flipped = false;

private:
    Stage<Protect> protect_;
    Stage<Correct> correct_;
};

Bits flipped_at(Bits bits, int place) {
    bits.put(place, 1, bits.get(place, 1) ^ 1);
    return bits;
}

using Beats = Protection<Vprotect_512, Vcorrect_512, 512, 32>;
using MarkedBeats = Protection<Vprotect_523, Vcorrect_523, 523, 32>;
using Endings = Protection<Vprotect_64, Vcorrect_64, 64, 8>;
using Fates = Protection<Vprotect_1, Vcorrect_1, 1, 1>;

}  // namespace

TEMPLATE_TEST_CASE("T4 the check bits are the parity of each row and each column", "", Beats,
                   MarkedBeats, Endings, Fates) {
    StageRandom random;
    TestType protection;
    for (const Bits& word : TestType::words(random)) {
        REQUIRE(protection.protect(word) == check_bits(word, TestType::columns));
        // Not while nothing is written: a simulation then has less to do.
        REQUIRE(protection.protect(word, false) == Bits(TestType::CheckBits));
    }
}

TEMPLATE_TEST_CASE("T4 a word without a flipped bit comes out as it went in, and shows none", "",
                   Beats, MarkedBeats, Endings, Fates) {
    StageRandom random;
    TestType protection;
    for (const Bits& word : TestType::words(random)) {
        REQUIRE(protection.correct(word, protection.protect(word)) == word);
        REQUIRE_FALSE(protection.flipped);
    }
}

TEMPLATE_TEST_CASE("T4 every single flipped bit of a word and of its check bits is corrected", "",
                   Beats, MarkedBeats, Endings, Fates) {
    StageRandom random;
    TestType protection;
    const std::vector<Bits> words = TestType::words(random);
    for (const Bits& word : {words[0], words[1], words.end()[-2], words.end()[-1]}) {
        const Bits check = protection.protect(word);
        for (int i = 0; i < word.width(); ++i) {
            INFO("bit " << i << " of the word");
            const Bits wrong = flipped_at(word, i);
            REQUIRE(protection.correct(wrong, check) == word);
            REQUIRE(protection.flipped);
            // A word that does not count is no fault.
            protection.correct(wrong, check, false);
            REQUIRE_FALSE(protection.flipped);
        }
        for (int i = 0; i < check.width(); ++i) {
            INFO("check bit " << i);
            REQUIRE(protection.correct(word, flipped_at(check, i)) == word);
            REQUIRE(protection.flipped);
        }
    }
}
