// SPDX-License-Identifier: Apache-2.0
/// Functions for text of protocols. They know ASCII only, and do not depend on the locale.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mirrornic {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
inline bool is_alphanumeric(char c) { return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z'); }
inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
/// The value of a hexadecimal digit, 0 to 15; -1: it is none.
int hex_digit(char c);

template <class Is>
bool all(const std::string& text, Is is) {
    return std::all_of(text.begin(), text.end(), is);
}

inline char lower(char c) { return is_upper(c) ? char(c - 'A' + 'a') : c; }
std::string lower(std::string text);

inline bool starts_with(const std::string& text, const std::string& start) {
    return text.compare(0, start.size(), start) == 0;
}

/// Splits at each separator: "a,,b" gives "a", "" and "b"; "" gives one empty piece.
std::vector<std::string> split(const std::string& text, char separator);
std::string join(const std::vector<std::string>& pieces, const char* separator);
/// The texts before and after the first separator. Without a separator, all of it is before.
std::pair<std::string, std::string> cut(const std::string& text, char separator);

/// Decodes text in which %XX stands for a byte. Source: RFC 3986, section 2.1.
/// @param bad may be null; set to the first % that no two hexadecimal digits follow, with what does
/// @return nothing: there is such a %
std::optional<std::string> percent_decoded(const std::string& text, std::string* bad = nullptr);
/// Encodes text: all bytes become %XX, except the unreserved characters of RFC 3986 and those in
/// `also`.
std::string percent_encoded(const std::string& text, const std::string& also = "");

}  // namespace mirrornic
