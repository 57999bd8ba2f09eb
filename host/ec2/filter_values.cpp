// SPDX-License-Identifier: Apache-2.0
#include "host/ec2/filter_values.hpp"

#include <algorithm>

namespace mirrornic {
namespace {

constexpr unsigned bits = 64;

/// Whether a byte is a further byte of a UTF-8 character, not its first.
bool continues(std::uint8_t byte) { return (byte & 0xc0) == 0x80; }

void set(std::vector<std::uint64_t>& words, std::size_t first, std::size_t bit) {
    words[first + bit / bits] |= std::uint64_t{1} << bit % bits;
}

}  // namespace

Pattern::Pattern(const std::string& text) {
    struct Unit {
        bool any;
        std::uint8_t byte;
    };
    std::vector<Unit> units;
    std::vector<std::size_t> stars;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '*') {
            stars.push_back(units.size());
        } else if (text[i] == '?') {
            units.push_back({true, 0});
        } else {
            if (text[i] == '\\' && i + 1 < text.size()) ++i;
            units.push_back({false, static_cast<std::uint8_t>(text[i])});
            literal_ += text[i];
        }
    }
    wild_ = !stars.empty() || literal_.size() != units.size();
    if (!wild_) return;
    units_ = units.size();
    words_ = units_ / bits + 1;
    // Bytes that are not in the pattern share two rows: row 0 those that can begin a character,
    // row 1 those that cannot.
    rows_.resize(2 * words_);
    for (unsigned byte = 0; byte < row_.size(); ++byte) row_[byte] = continues(std::uint8_t(byte));
    for (const Unit& unit : units)
        if (!unit.any && row_[unit.byte] < 2) {
            row_[unit.byte] = std::uint16_t(rows_.size() / words_);
            rows_.resize(rows_.size() + words_);
        }
    stays_.resize(words_);
    open_.resize(words_);
    for (const std::size_t star : stars) set(stays_, 0, star);
    for (std::size_t i = 0; i < units_; ++i) {
        if (!units[i].any) {
            set(rows_, row_[units[i].byte] * words_, i);
            continue;
        }
        set(open_, 0, i + 1);
        for (unsigned byte = 0; byte < row_.size(); ++byte)
            if (!continues(std::uint8_t(byte))) set(rows_, row_[byte] * words_, i);
    }
}

bool Pattern::matches(const std::string& value) const {
    if (!wild_) return value == literal_;
    if (value.size() < units_) return false;
    Word few[4] = {1};
    std::vector<Word> many;
    Word* states = few;
    if (words_ > std::size(few)) {
        many.resize(words_);
        many[0] = 1;
        states = many.data();
    }
    for (const char c : value) {
        const auto byte = static_cast<std::uint8_t>(c);
        const Word* const met = &rows_[row_[byte] * words_];
        const Word open = continues(byte) ? ~Word{0} : 0;
        Word carry = 0, any = 0;
        for (std::size_t w = 0; w < words_; ++w) {
            const Word next = states[w] & met[w];
            states[w] = (next << 1 | carry) | (states[w] & (stays_[w] | (open_[w] & open)));
            carry = next >> (bits - 1);
            any |= states[w];
        }
        if (any == 0) return false;
    }
    return states[units_ / bits] >> units_ % bits & 1;
}

FilterValues::FilterValues(const Json& values) {
    for (const auto& value : values) {
        Pattern pattern(value.get_ref<const std::string&>());
        if (pattern.wild())
            patterns_.push_back(std::move(pattern));
        else
            texts_.insert(pattern.literal());
    }
}

bool FilterValues::match(const std::string& text) const {
    return texts_.count(text) != 0 ||
           std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const Pattern& pattern) { return pattern.matches(text); });
}

}  // namespace mirrornic
