// SPDX-License-Identifier: Apache-2.0
#include "host/base/ascii.hpp"

#include <cstring>

namespace mirrornic {

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return lower(c); });
    return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> pieces;
    std::size_t begin = 0, end;
    while ((end = text.find(separator, begin)) != std::string::npos) {
        pieces.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    pieces.push_back(text.substr(begin));
    return pieces;
}

std::string join(const std::vector<std::string>& pieces, const char* separator) {
    std::string text;
    for (const auto& piece : pieces) text += (&piece == &pieces[0] ? "" : separator) + piece;
    return text;
}

std::pair<std::string, std::string> cut(const std::string& text, char separator) {
    const auto at = text.find(separator);
    if (at == std::string::npos) return {text, ""};
    return {text.substr(0, at), text.substr(at + 1)};
}

std::optional<std::string> percent_decoded(const std::string& text, std::string* bad) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) {
            if (bad) *bad = text.substr(i, 3);
            return {};
        }
        out += char(high << 4 | low);
        i += 2;
    }
    return out;
}

std::string percent_encoded(const std::string& text, const std::string& also) {
    constexpr auto digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_alphanumeric(c) || (c && std::strchr("-._~", c)) ||
            also.find(c) != std::string::npos) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return out;
}

}  // namespace mirrornic
