// SPDX-License-Identifier: Apache-2.0
#include "host/ec2/filter_values.hpp"

#include <chrono>
#include <random>

#include "catch.hpp"

using namespace mirrornic;

namespace {

bool matches(const std::string& pattern, const std::string& value) {
    return FilterValues(Json::array({pattern})).match(value);
}

/// What a pattern means, word for word, without regard to time; of ASCII.
bool meant(const char* pattern, const char* value) {
    if (*pattern == 0) return *value == 0;
    if (*pattern == '*')
        return meant(pattern + 1, value) || (*value != 0 && meant(pattern, value + 1));
    if (*value == 0) return false;
    if (*pattern == '?') return meant(pattern + 1, value + 1);
    if (*pattern == '\\' && pattern[1] != 0) ++pattern;
    return *pattern == *value && meant(pattern + 1, value + 1);
}

double seconds(const std::string& pattern, const std::string& value) {
    const FilterValues values(Json::array({pattern}));
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
        const auto start = std::chrono::steady_clock::now();
        const bool found = values.match(value);
        best = std::min(
            best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        CHECK_FALSE(found);
    }
    return best;
}

}  // namespace

TEST_CASE("a filter's value matches what its stars, question marks and backslashes mean") {
    CHECK(matches("", ""));
    CHECK_FALSE(matches("", "a"));
    CHECK(matches("*", ""));
    CHECK(matches("a*c", "abbc"));
    CHECK_FALSE(matches("a*c", "abcb"));
    CHECK(matches("*ab", "aab"));
    CHECK(matches("?", "a"));
    CHECK_FALSE(matches("?", ""));
    CHECK_FALSE(matches("?", "ab"));
    CHECK(matches("?", "\xe2\x82\xac"));  // one character of three bytes
    CHECK(matches("??", "\xc3\xa4\xf0\x9f\x98\x80"));
    CHECK_FALSE(matches("??", "\xe2\x82\xac"));
    CHECK(matches("a?*b", "a\xe2\x82\xac b"));
    CHECK(matches("\xe2\x82\xac*",
                  "\xe2\x82\xac"
                  "1"));
    CHECK(matches("a\\*b", "a*b"));
    CHECK_FALSE(matches("a\\*b", "axb"));
    CHECK(matches("a\\?*", "a?x"));
    CHECK(matches("a\\\\", "a\\"));
    CHECK(matches("a\\", "a\\"));  // at the end it is itself
    const std::string longer(200, 'x');
    CHECK(matches("*" + longer + "?", longer + longer + "y"));
    CHECK_FALSE(matches("*" + longer + "y", longer + longer));
    // Patterns of more than 256 characters, whose first and last ones count as those of short ones
    // do.
    const std::string much = "a" + std::string(300, 'b') + "c";
    for (const char* end : {"", "*", "?"}) {
        const std::string more = *end == '?' ? "?" : "";
        CAPTURE(end);
        CHECK(matches(much + "*" + more, much + "x"));
        CHECK(matches("?" + much + end, "x" + much + std::string(more.size(), 'x')));
        CHECK_FALSE(matches(much + "*" + end, much.substr(1) + "xx"));
        CHECK_FALSE(matches("?" + much.substr(1) + end + "*", much.substr(2) + "x"));
        CHECK_FALSE(matches("?" + much + end, "x" + much.substr(0, much.size() - 1)));
    }
    const FilterValues several(Json::array({"one", "t*", "thr?e"}));
    CHECK(several.match("one"));
    CHECK(several.match("two"));
    CHECK_FALSE(several.match("four"));
}

TEST_CASE("random patterns match what they mean") {
    std::mt19937 random(20260101);
    const char letters[] = {'a', 'b', '*', '?', '\\'};
    for (int i = 0; i < 20000; ++i) {
        std::string pattern, value;
        for (unsigned n = random() % 8; n != 0; --n) pattern += letters[random() % 5];
        for (unsigned n = random() % 10; n != 0; --n) value += "ab*"[random() % 3];
        CAPTURE(pattern, value);
        REQUIRE(matches(pattern, value) == meant(pattern.c_str(), value.c_str()));
    }
}

TEST_CASE("the time of a match grows with the value's length alone, whatever the pattern") {
    std::string stars;
    for (int i = 0; i < 25; ++i) stars += "*a";
    const std::string run(60, 'a');
    for (const std::string& pattern : {stars + "*b", "*" + run + "b", "*" + run + "?b*c"}) {
        CAPTURE(pattern);
        const double shorter = seconds(pattern, std::string(20000, 'a'));
        const double longer = seconds(pattern, std::string(320000, 'a'));
        CHECK(longer < 16 * 4 * shorter + 1e-3);  // a quadratic one takes 256 times as long
        CHECK(longer < 0.1);                      // of 320,000 bytes
    }
}
