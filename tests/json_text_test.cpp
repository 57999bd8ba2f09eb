// SPDX-License-Identifier: Apache-2.0
#include "host/base/json_text.hpp"

#include "catch.hpp"

using namespace mirrornic;

namespace {

/// What a text hands on, a line each.
struct Lines : JsonSink {
    std::string text;
    void list(const std::string& member) override { text += member + " begins\n"; }
    void element(const std::string& member, std::size_t index, const Json& value) override {
        text += member + "[" + std::to_string(index) + "] " + value.dump() + "\n";
    }
    void member(const std::string& name, const Json& value) override {
        text += name + " " + value.dump() + "\n";
    }
    void no_object(const Json& value) override { text += "whole " + value.dump() + "\n"; }
};

std::string handed_on(const std::string& text) {
    Lines lines;
    parse_json(text, lines);
    return lines.text;
}

std::string why(const std::string& text, bool in_parts) {
    Lines lines;
    try {
        in_parts ? parse_json(text, lines) : void(parse_json(text));
    } catch (const JsonError& error) {
        return error.what();
    }
    return "";
}

std::string nested(std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
}

}  // namespace

TEST_CASE("an object is handed on by its members, and lists by their elements, counted anew") {
    CHECK(handed_on(
              R"({"a": [1, {"b": [2]}, [3]], "c": {"d": [4, 5]}, "e": [], "f": ["x", null]})") ==
          "a begins\na[0] 1\na[1] {\"b\":[2]}\na[2] [3]\nc {\"d\":[4,5]}\ne begins\n"
          "f begins\nf[0] \"x\"\nf[1] null\n");
    CHECK(handed_on("{}") == "");
    CHECK(handed_on("[1, {}]") == "whole [1,{}]\n");
    CHECK(handed_on("true") == "whole true\n");
}

TEST_CASE("a member that is there twice is named with its path, as a whole and in parts") {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"a": 1, "b": 2, "a": 3})", "member \"a\" appears twice"},
        {R"({"a": {"b": 1, "b": 2}})", "a: member \"b\" appears twice"},
        {R"({"a": [0, {"b": 1, "b": 2}]})", "a[1]: member \"b\" appears twice"},
        {R"({"z": [0, 1, 2], "a": [{"b": 1, "b": 2}]})", "a[0]: member \"b\" appears twice"},
        {R"({"a": [{"c": {"d": [[], [{"b": 1, "b": 2}]]}}]})",
         "a[0].c.d[1][0]: member \"b\" appears twice"},
        {R"([{"b": 1, "b": 2}])", "[0]: member \"b\" appears twice"}};
    for (const auto& [text, message] : cases)
        for (const bool in_parts : {false, true}) {
            CAPTURE(text, in_parts);
            CHECK(why(text, in_parts) == message);
        }
    // Names are compared in one object alone.
    for (const bool in_parts : {false, true})
        CHECK(why(R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]})", in_parts) == "");
}

TEST_CASE("of levels there are 64 at most, as a whole and in parts") {
    for (const bool in_parts : {false, true}) {
        CAPTURE(in_parts);
        CHECK(why(nested(64), in_parts) == "");
        CHECK(why(nested(65), in_parts) == "more than 64 levels of nesting");
        CHECK(why("{\"a\": " + nested(63) + "}", in_parts) == "");
        CHECK(why("{\"a\": " + nested(64) + "}", in_parts) == "more than 64 levels of nesting");
        CHECK(why("{\"a\": {\"b\": " + nested(62) + "}}", in_parts) == "");
        CHECK(why("{\"a\": {\"b\": " + nested(63) + "}}", in_parts) ==
              "more than 64 levels of nesting");
    }
}

TEST_CASE("S7 a value in a message is cut before a character, when it is longer than 100 bytes") {
    // A quotation mark stands in front.
    CHECK(shown(std::string(98, 'a')) == "\"" + std::string(98, 'a') + "\"");
    CHECK(shown(std::string(99, 'a')) == "\"" + std::string(99, 'a') + "...");
    for (const std::string& character :
         {std::string("\xc3\x80"), std::string("\xe2\x80\x80"), std::string("\xf0\x9f\x98\x80"),
          std::string("\xf0\x9f\xbf\xbf")})
        for (std::size_t before = 95; before < 100; ++before) {
            CAPTURE(character, before);
            const std::string start = "\"" + std::string(before, 'a');
            const bool fits = start.size() + character.size() <= 100;
            CHECK(shown(start.substr(1) + character + std::string(20, ' ')) ==
                  start +
                      (fits ? character + std::string(100 - start.size() - character.size(), ' ')
                            : "") +
                      "...");
        }
}

TEST_CASE("well-formed UTF-8 stays as it is, and U+FFFD replaces the rest") {
    CHECK(to_text({{"a", "caf\xc3\xa9 \xf0\x9f\x98\x80"}}) ==
          "{\"a\":\"caf\xc3\xa9 \xf0\x9f\x98\x80\"}");
    CHECK(to_text("a\xff") == "\"a\xef\xbf\xbd\"");
    CHECK(to_text({{"a", {1, 2}}}, 1) == "{\n \"a\": [\n  1,\n  2\n ]\n}");
}

TEST_CASE("S1 characters are those that XML 1.0 has, in their shortest UTF-8") {
    const std::pair<std::string, std::size_t> cases[] = {
        {"\t", 1},
        {"\n", 1},
        {"\r", 1},
        {" ", 1},
        {"\x7f", 1},
        {std::string(1, '\0'), 0},
        {"\x08", 0},
        {"\x0b", 0},
        {"\x0c", 0},
        {"\x0e", 0},
        {"\x1f", 0},
        {"\x80", 0},  // no first byte
        {"\xbf", 0},
        {"\xc0\x80", 0},  // longer than it must be
        {"\xc1\xbf", 0},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\x9f\xbf", 0},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0},  // surrogates
        {"\xed\xbf\xbf", 0},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbd", 3},
        {"\xef\xbf\xbe", 0},
        {"\xef\xbf\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},  // past the last one
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc2", 0},  // cut
        {"\xe2\x82", 0},
        {"\xf0\x9f\x98", 0},
        {"\xc2 ", 0},
        {"\xe2 \x82", 0},
        {"\xe2\x82 ", 0},
        {"\xf0\x9f\x98 ", 0},
        {"\xc2\xc0", 0},
        {"", 0}};
    for (const auto& [text, length] : cases) {
        CAPTURE(text);
        CHECK(xml_character(text, 0) == length);
        CHECK(xml_character("a" + text, 1) == length);
        if (length != 0) CHECK(xml_character(text + "\x80", 0) == length);
    }
}
