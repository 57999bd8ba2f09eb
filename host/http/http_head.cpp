// SPDX-License-Identifier: Apache-2.0
#include "host/http/http_head.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace mirrornic {
namespace {

[[noreturn]] void refuse(unsigned status, const std::string& why) { throw HttpFault(status, why); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

/// Whether the texts are equal, without regard to case. @param b in lower case
bool same(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == y; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

/// Whether a token may have this character (RFC 9110, 5.6.2).
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

/// The values of a header: one for each time that it is there. @param name in lower case
std::vector<std::string_view> values(const HttpRequest& request, std::string_view name) {
    std::vector<std::string_view> out;
    for (const auto& [field, value] : request.headers)
        if (field.size() == name.size() && same(field, name)) out.push_back(value);
    return out;
}

/// The elements of a list header, over all its lines, without empty ones (RFC 9110, 5.6.1).
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

/// Checks a header line (RFC 9112, 5): name ":" value, not folded (5.2). @param part the name of
/// the lines in messages
void check_field(std::string_view line, const std::string& part) {
    if (line[0] == ' ' || line[0] == '\t')
        refuse(400, "a line of " + part + " begins with white space");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        refuse(400, "a line of " + part + " is not a name, a colon and a value");
}

/// Skips a quoted string (RFC 9110, 5.6.4). @return what follows it; nothing: it has no end
std::optional<std::string_view> behind_quoted(std::string_view text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') return text.substr(i + 1);
        if (text[i] == '\\') ++i;
    }
    return {};
}

/// Checks the extensions of a chunk (RFC 9112, 7.1.1). Each is a semicolon and a name, and may have
/// "=" and a value.
bool are_extensions(std::string_view text) {
    const auto skip_blanks = [&] {
        text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    };
    const auto take_token = [&] {
        const auto end = std::find_if_not(text.begin(), text.end(), is_token_char);
        const auto size = std::size_t(end - text.begin());
        text.remove_prefix(size);
        return size != 0;
    };
    while (!text.empty()) {
        skip_blanks();
        if (text.empty() || text[0] != ';') return false;
        text.remove_prefix(1);
        skip_blanks();
        if (!take_token()) return false;
        const auto behind_name = text;
        skip_blanks();
        if (text.empty() || text[0] != '=') {
            text = behind_name;
            continue;
        }
        text.remove_prefix(1);
        skip_blanks();
        if (text.empty() || text[0] != '"') {
            if (!take_token()) return false;
        } else if (const auto rest = behind_quoted(text)) {
            text = *rest;
        } else {
            return false;
        }
    }
    return true;
}

/// Checks an authority (RFC 3986, 3.2): a host and a port, without user information. A comma is
/// refused, though RFC 3986 allows it: no host name has one, but a list of hosts does.
bool is_authority(std::string_view text) {
    std::size_t end;
    if (!text.empty() && text[0] == '[') {
        end = text.find(']');
        if (end == std::string_view::npos) return false;
        const auto address = text.substr(1, end - 1);
        in6_addr ignored;
        if (::inet_pton(AF_INET6, std::string(address).c_str(), &ignored) != 1) return false;
        ++end;
    } else {
        end = std::min(text.find(':'), text.size());
        for (std::size_t i = 0; i < end; ++i) {
            if (text[i] == '%') {
                if (i + 2 >= end || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
                i += 2;
            } else if (!is_digit(text[i]) && !is_alpha(text[i]) &&
                       (text[i] == 0 || std::string_view("-._~!$&'()*+;=").find(text[i]) ==
                                            std::string_view::npos)) {
                return false;
            }
        }
    }
    if (end == text.size()) return true;
    if (text[end] != ':') return false;
    unsigned port = 0;
    for (const char c : text.substr(end + 1)) {
        if (!is_digit(c)) return false;
        port = port * 10 + unsigned(c - '0');
        if (port > 65535) return false;
    }
    return true;
}

/// The authority in lower case, without the port if it is the scheme's usual one.
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

// --- Lines ---------------------------------------------------------------------------------------

std::optional<std::string_view> LineScanner::next(std::string_view bytes) {
    for (; at_ < bytes.size(); ++at_) {
        const char c = bytes[at_];
        if (c == '\r') {
            if (at_ + 1 == bytes.size()) return {};
            if (bytes[at_ + 1] != '\n')
                refuse(400, std::string("a CR stands without its LF in ") + part_);
            const auto line = bytes.substr(line_, at_ - line_);
            line_ = at_ += 2;
            return line;
        }
        if (c == '\n') refuse(400, std::string("an LF stands without its CR in ") + part_);
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
            refuse(400, std::string(part_) + " has a control character");
    }
    return {};
}

// --- HeadScanner ---------------------------------------------------------------------------------

bool HeadScanner::scan(std::string_view bytes) {
    if (!bytes.empty() && bytes[0] == 0x16)  // RFC 8446, 5.1: a record of a handshake
        refuse(400,
               "a TLS handshake has come, and this port speaks plain HTTP: ask for http://, or "
               "start the service with --tls-cert and --tls-key");
    while (!whole_) {
        const auto line = lines_.next(bytes);
        if (lines_.at() > limits_.bytes)
            has_request_line_ ? refuse(431, "the header is too long")
                              : refuse(414, "the request line is too long");
        if (!line) return false;
        end_line(*line);
    }
    return true;
}

void HeadScanner::end_line(std::string_view line) {
    if (!has_request_line_) {
        if (line.empty())  // RFC 9112, 2.2: of a client that ends its body with one
            begin_ = lines_.at();
        else
            end_request_line(line);
        return;
    }
    if (line.empty()) {
        whole_ = true;
        return;
    }
    check_field(line, "the header");
    if (++fields_ > limits_.fields) refuse(431, "the header has too many lines");
}

/// Checks the request line (RFC 9112, 3): method SP target SP version.
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
    if (version[7] > '1') newer_minor_ = lines_.at() - 3;  // before it HTTP/1., behind it CR LF
    if (target.empty() || !std::all_of(target.begin(), target.end(),
                                       [](char c) { return c > 0x20 && c < 0x7f && c != '#'; }))
        refuse(400, "the target has a character that must be percent-encoded");
}

// --- ChunkedBody ---------------------------------------------------------------------------------

std::size_t ChunkedBody::take(std::string_view bytes) {
    std::size_t taken = 0;
    while (!whole()) {
        const auto some = take_some(bytes.substr(taken));
        if (some == 0) break;
        taken += some;
    }
    return taken;
}

/// @return how many bytes were taken; 0: more bytes must come first
std::size_t ChunkedBody::take_some(std::string_view bytes) {
    switch (state_) {
        case State::size:
            return take_size(bytes);
        case State::data: {
            const auto size = std::min(left_, bytes.size());
            text_.append(bytes, 0, size);
            left_ -= size;
            if (left_ == 0) state_ = State::data_end;
            return size;
        }
        case State::data_end: {
            const auto end = bytes.substr(0, 2);
            if (end != std::string_view("\r\n").substr(0, end.size()))
                refuse(400, "a chunk does not end with CR LF where its size says");
            if (end.size() < 2) return 0;
            state_ = State::size;
            return 2;
        }
        case State::trailers:
            return take_trailer(bytes);
        case State::whole:
            break;
    }
    return 0;
}

std::size_t ChunkedBody::take_size(std::string_view bytes) {
    const auto line = line_.next(bytes);
    const auto digits =
        std::size_t(std::find_if_not(bytes.begin(), bytes.end(), is_hex) - bytes.begin());
    if (digits == 0 && !bytes.empty()) refuse(400, "a chunk's size is no hexadecimal number");
    if (line_.at() > limits_.bytes) refuse(431, "a chunk's extensions are too long");
    if (!line) return 0;
    if (!are_extensions(line->substr(digits)))
        refuse(400, "a chunk's size is not a number, with or without extensions behind it");
    extensions_ += line->size() - digits;
    if (extensions_ > limits_.bytes) refuse(431, "the chunks' extensions are too long");
    const auto number = line->substr(std::min(line->find_first_not_of('0'), digits), digits);
    std::uint64_t size = 0;
    for (const char c : number) {
        if (!is_hex(c)) break;
        if (size >> 60 != 0) refuse(400, "a chunk's size has more than 64 bits");
        size = size << 4 | unsigned(is_digit(c) ? c - '0' : lower(c) - 'a' + 10);
    }
    if (size > limits_.body - text_.size()) refuse(413, "the body is too long");
    left_ = std::size_t(size);
    state_ = left_ == 0 ? State::trailers : State::data;
    line_ = LineScanner(left_ == 0 ? "the trailers" : "a chunk's size");
    return line->size() + 2;
}

std::size_t ChunkedBody::take_trailer(std::string_view bytes) {
    const auto line = line_.next(bytes);
    if (trailers_ + line_.at() > limits_.bytes) refuse(431, "the trailers are too long");
    if (!line) return 0;
    line_ = LineScanner("the trailers");
    trailers_ += line->size() + 2;
    if (line->empty()) {
        state_ = State::whole;
    } else {
        check_field(*line, "the trailers");
        if (++fields_ > limits_.fields) refuse(431, "there are too many trailers");
    }
    return line->size() + 2;
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

void check_coding(const HttpRequest& request) {
    for (const auto each : elements(values(request, "content-encoding")))
        if (!same(each, "identity"))  // RFC 9110, 15.5.16
            throw HttpFault(415,
                            "the body has a Content-Encoding, and must be sent as it is, without",
                            {{"Accept-Encoding", "identity"}});
}

void take_target(HttpRequest& request, std::string_view target, unsigned minor, bool secure) {
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
        if (scheme.size() == 5 && !secure)  // RFC 9110, 7.4
            refuse(421, "the target is an https URI, and this port speaks plain HTTP");
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
