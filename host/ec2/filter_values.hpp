// SPDX-License-Identifier: Apache-2.0
/// The values of a filter in a Describe request: texts, and patterns. In a pattern `*` stands for
/// any characters, `?` for any one, and `\` makes the next character stand for itself. However many
/// texts there are, comparing takes one look-up for all. Each pattern takes time that is linear in
/// the length of the compared text, so that no request can be made slow by its patterns. Source:
/// EC2 API 2016-11-15, "List and filter using the CLI and API".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "host/base/json_text.hpp"

namespace mirrornic {

/// A pattern as a nondeterministic automaton. It is in state i when the first i units of the
/// pattern, each a byte or a `?`, have been matched. All states are followed at once, with one bit
/// for each.
class Pattern {
public:
    explicit Pattern(const std::string& text);
    bool matches(const std::string& value) const;
    /// Whether it has a `*` or `?`. If not, it matches the one text literal().
    bool wild() const { return wild_; }
    const std::string& literal() const { return literal_; }

private:
    using Word = std::uint64_t;

    bool wild_ = false;
    std::string literal_;  // its characters, without `*` and `?`
    std::size_t units_ = 0, words_ = 1;
    std::array<std::uint16_t, 256> row_{};  // by byte: the number of its row in rows_
    std::vector<Word> rows_;                // words_ for each row: the units that the byte matches
    std::vector<Word> stays_;               // states after a `*`, in which any byte may come
    std::vector<Word> open_;  // states after a `?`: more bytes of its character may come
};

class FilterValues {
public:
    explicit FilterValues(const Json& values);
    /// Whether the text is one of the values, or matches a pattern among them.
    bool match(const std::string& text) const;

private:
    std::unordered_set<std::string> texts_;
    std::vector<Pattern> patterns_;
};

}  // namespace mirrornic
