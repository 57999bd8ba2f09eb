// SPDX-License-Identifier: Apache-2.0
/// The values of a Describe's filter: texts, and patterns of `*` (any characters), `?` (any one)
/// and
/// `\` (the next character as it is). A text costs one look-up, however many there are; a pattern
/// costs time that is linear in the length of what is compared, whatever it says.
/// Source: EC2 API 2016-11-15, "List and filter using the CLI and API".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "host/base/json_text.hpp"

namespace mirrornic {

/// A pattern as a nondeterministic automaton: it is in state i when the first i units of the
/// pattern, each a byte or a `?`, have been met. All states are kept at once, a bit each.
class Pattern {
public:
    explicit Pattern(const std::string& text);
    bool matches(const std::string& value) const;
    /// Whether it has a `*` or `?`; else it is the one text literal().
    bool wild() const { return wild_; }
    const std::string& literal() const { return literal_; }

private:
    using Word = std::uint64_t;

    bool wild_ = false;
    std::string literal_;  // what its characters are, without `*` and `?`
    std::size_t units_ = 0, words_ = 1;
    std::array<std::uint16_t, 256> row_{};  // of a byte, in rows_
    std::vector<Word> rows_;                // words_ each: the units that the byte meets
    std::vector<Word> stays_;               // states in which any byte may come: behind a `*`
    std::vector<Word> open_;                // behind a `?`, where its further bytes may come
};

class FilterValues {
public:
    explicit FilterValues(const Json& values);
    /// Whether the text is one of the values, or one of them is a pattern of it.
    bool match(const std::string& text) const;

private:
    std::unordered_set<std::string> texts_;
    std::vector<Pattern> patterns_;
};

}  // namespace mirrornic
