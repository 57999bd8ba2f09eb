// SPDX-License-Identifier: Apache-2.0
#include "http_head.hpp"

#include <algorithm>

namespace mirrornic {
namespace {

[[noreturn]] void refuse(unsigned status, const std::string& why) { throw HttpFault(status, why); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

/// Letter case aside. @param b in lower case
bool same(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == y; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

/// RFC 9110, 5.6.2
bool is_token_char(char c) {
    return is_digit(c) || is_alpha(c) ||
           (c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// The values of a header, as often as it is there. @param name in lower case
std::vector<std::string_view> values(const HttpRequest& request, std::string_view name) {
    std::vector<std::string_view> out;
    for (const auto& [field, value] : request.headers)
        if (field.size() == name.size() && same(field, name)) out.push_back(value);
    return out;
}

/// The elements of a list over all its lines (RFC 9110, 5.6.1), but for empty ones.
std::vector<std::string_view> elements(const std::vector<std::string_view>& lines) {
    std::vector<std::string_view> out;
    for (std::string_view rest : lines) {
        bool quoted = false;
        std::size_t begin = 0;
        for (std::size_t i = 0; i <= rest.size(); ++i) {
            if (i < rest.size() && rest[i] == '"') quoted = !quoted;
            if (i < rest.size() && quoted && rest[i] == '\\') ++i;
            if (i < rest.size() && (quoted || rest[i] != ',')) continue;
            const auto element = trimmed(rest.substr(begin, std::min(i, rest.size()) - begin));
            if (!element.empty()) out.push_back(element);
            begin = i + 1;
        }
    }
    return out;
}

/// RFC 3986, 3.2: a host and a port, without user information.
bool is_authority(std::string_view text) {
    std::size_t end;
    if (!text.empty() && text[0] == '[') {
        end = text.find(']');
        if (end == std::string_view::npos || end < 2) return false;
        const auto address = text.substr(1, end - 1);
        if (!std::all_of(address.begin(), address.end(),
                         [](char c) { return is_hex(c) || c == ':' || c == '.'; }))
            return false;
        ++end;
    } else {
        end = std::min(text.find(':'), text.size());
        for (std::size_t i = 0; i < end; ++i) {
            if (text[i] == '%') {
                if (i + 2 >= end || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
                i += 2;
            } else if (!is_digit(text[i]) && !is_alpha(text[i]) &&
                       (text[i] == 0 || std::string_view("-._~!$&'()*+,;=").find(text[i]) ==
                                            std::string_view::npos)) {
                return false;
            }
        }
    }
    if (end == text.size()) return true;
    return text[end] == ':' &&
           std::all_of(text.begin() + std::ptrdiff_t(end) + 1, text.end(), is_digit);
}

/// In lower case, without the port that the scheme has anyway.
std::string normal(std::string_view authority, std::string_view default_port) {
    std::string out(authority);
    std::transform(out.begin(), out.end(), out.begin(), lower);
    const auto colon = out.rfind(':');
    if (colon == std::string::npos || out.find(']', colon) != std::string::npos) return out;
    const auto port = std::string_view(out).substr(colon + 1);
    if (port.empty() || port == default_port) out.erase(colon);
    return out;
}

}  // namespace

// --- HeadScanner ---------------------------------------------------------------------------------

bool HeadScanner::scan(std::string_view bytes) {
    while (!whole_ && at_ < bytes.size()) {
        const char c = bytes[at_];
        if (c == '\r') {
            if (at_ + 1 == bytes.size()) break;
            if (bytes[at_ + 1] != '\n') refuse(400, "a CR stands without its LF");
            const auto line = bytes.substr(line_, at_ - line_);
            line_ = at_ += 2;
            end_line(line);
        } else {
            if (c == '\n') refuse(400, "an LF stands without its CR");
            if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
                refuse(400, "the header has a control character");
            ++at_;
        }
        if (at_ > limits_.bytes)
            has_request_line_ ? refuse(431, "the header is too long")
                              : refuse(414, "the request line is too long");
    }
    return whole_;
}

void HeadScanner::end_line(std::string_view line) {
    if (!has_request_line_) {
        if (line.empty())  // RFC 9112, 2.2: of a client that ends its body with one
            begin_ = line_;
        else
            end_request_line(line);
        return;
    }
    if (line.empty()) {
        whole_ = true;
        return;
    }
    if (line[0] == ' ' || line[0] == '\t')
        refuse(400, "a line of the header begins with white space");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        refuse(400, "a line of the header is not a name, a colon and a value");
    if (++fields_ > limits_.fields) refuse(431, "the header has too many lines");
}

/// RFC 9112, 3: method SP target SP version.
void HeadScanner::end_request_line(std::string_view line) {
    has_request_line_ = true;
    const auto first = line.find(' '), second = line.rfind(' ');
    if (first == std::string_view::npos || second == first)
        refuse(400, "the request line is not a method, a target and HTTP/1.1");
    const auto method = line.substr(0, first), target = line.substr(first + 1, second - first - 1),
               version = line.substr(second + 1);
    if (!is_token(method)) refuse(400, "the method is no token");
    if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || !is_digit(version[5]) ||
        version[6] != '.' || !is_digit(version[7]))
        refuse(400, "the request line does not end with a version of HTTP");
    if (version[5] != '1') refuse(505, "only HTTP/1.1 and HTTP/1.0 are served");
    if (version[7] > '1') newer_minor_ = line_ - 3;  // before it HTTP/1., behind it CR LF
    if (target.empty() || !std::all_of(target.begin(), target.end(),
                                       [](char c) { return c > 0x20 && c < 0x7f && c != '#'; }))
        refuse(400, "the target has a character that must be percent-encoded");
}

// --- Fields --------------------------------------------------------------------------------------

void check_framing(const HttpRequest& request, unsigned minor) {
    const auto lengths = values(request, "content-length"),
               codings = values(request, "transfer-encoding");
    if (codings.empty()) {
        if (lengths.empty()) return;
        const auto length = lengths.front();
        if (lengths.size() != 1 || length.empty() ||
            !std::all_of(length.begin(), length.end(), is_digit))
            refuse(400, "Content-Length is not one number");
        return;
    }
    if (minor == 0) refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (!lengths.empty()) refuse(400, "Content-Length stands beside Transfer-Encoding");
    const auto list = elements(codings);
    if (list.empty() || !same(list.back(), "chunked"))
        refuse(400, "the last coding of Transfer-Encoding is not chunked");
    for (std::size_t i = 0; i + 1 < list.size(); ++i) {
        const auto name = trimmed(list[i].substr(0, list[i].find(';')));
        if (!is_token(name) || same(name, "chunked"))
            refuse(400, "Transfer-Encoding is no list of codings that ends with the one chunked");
    }
    if (list.size() > 1) refuse(501, "of transfer codings only chunked is served");
}

bool expects_continue(const HttpRequest& request, unsigned minor) {
    if (minor == 0) return false;
    const auto expected = elements(values(request, "expect"));
    for (const auto each : expected)
        if (!same(each, "100-continue")) refuse(417, "of Expect only 100-continue is known");
    return !expected.empty();
}

void take_target(HttpRequest& request, std::string_view target, unsigned minor) {
    const auto hosts = values(request, "host");
    if (hosts.size() > 1) refuse(400, "Host is there more than once");
    if (hosts.empty() && minor != 0) refuse(400, "Host is absent");
    if (!hosts.empty() && !is_authority(hosts.front()))
        refuse(400, "Host is not a host and a port");
    if (request.method == "CONNECT") {
        const bool port = is_authority(target) && target.back() != ':' &&
                          target.find(':', target.find(']') + 1) != std::string_view::npos;
        if (!port || target[0] == ':')
            refuse(400, "the target of CONNECT is not a host and a port");
        request.path = std::string(target);
        return;
    }
    if (target == "*") {
        if (request.method != "OPTIONS") refuse(400, "the target * is for OPTIONS alone");
        request.path = "*";
        return;
    }
    if (target[0] != '/') {  // absolute
        const auto colon = target.find("://");
        const auto scheme = target.substr(0, std::min(colon, target.size()));
        if (colon == std::string_view::npos || !(same(scheme, "http") || same(scheme, "https")))
            refuse(400, "the target is neither a path nor an http or https URI");
        const char* port = scheme.size() == 4 ? "80" : "443";
        target.remove_prefix(colon + 3);
        const auto end = std::min(target.find_first_of("/?"), target.size());
        const auto authority = target.substr(0, end);
        target.remove_prefix(end);
        if (authority.empty() || authority[0] == ':' || !is_authority(authority))
            refuse(400, "the target's authority is not a host and a port");
        if (hosts.empty())
            request.headers.emplace_back("Host", std::string(authority));
        else if (normal(hosts.front(), port) != normal(authority, port))
            refuse(400, "Host is another one than the target's");
    }
    const auto mark = std::min(target.find('?'), target.size());
    request.path = std::string(target.substr(0, mark));
    if (request.path.empty()) request.path = "/";
    if (mark != target.size()) request.query = std::string(target.substr(mark + 1));
}

}  // namespace mirrornic
