// SPDX-License-Identifier: Apache-2.0
#include "host/access/signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "host/base/ascii.hpp"
#include "host/base/json_text.hpp"

namespace mirrornic {
namespace {

constexpr auto algorithm = "AWS4-HMAC-SHA256";

[[noreturn]] void deny(const std::string& reason) {
    throw AccessDenied(AccessDenied::Code::auth_failure, reason);
}

/// Whether a header's name may have this character. Source: RFC 9110 section 5.6.2.
bool is_token(char c) { return is_alphanumeric(c) || (c && std::strchr("!#$%&'*+-.^_`|~", c)); }

/// The text without blanks at its ends, and with one space for each run of blanks inside.
std::string collapsed(const std::string& text) {
    std::string out;
    bool blank = false;
    for (const char c : text) {
        if (c == ' ' || c == '\t') {
            blank = true;
            continue;
        }
        if (blank && !out.empty()) out += ' ';
        blank = false;
        out += c;
    }
    return out;
}

std::string decode(const std::string& text) {
    std::string bad;
    auto out = percent_decoded(text, &bad);
    if (!out) deny("bad percent-encoding: " + shown(bad));
    return std::move(*out);
}

// Hashes.

[[noreturn]] void hash_failed() { throw std::runtime_error("libcrypto cannot hash"); }

Digest sha256(const std::string& text) {
    // EVP_sha256() would be looked up again for each text.
    static const std::unique_ptr<EVP_MD, void (*)(EVP_MD*)> algorithm(
        EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free);
    Digest out;
    if (!algorithm ||
        !EVP_Digest(text.data(), text.size(), out.data(), nullptr, algorithm.get(), nullptr))
        hash_failed();
    return out;
}

template <class Bytes>
Digest hmac(const Bytes& key, const std::string& text) {
    Digest out;
    if (!HMAC(EVP_sha256(), key.data(), int(key.size()),
              reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(),
              nullptr))
        hash_failed();
    return out;
}

std::string hex(const Digest& digest) {
    constexpr auto digits = "0123456789abcdef";
    std::string out;
    for (const auto byte : digest) out += {digits[byte >> 4], digits[byte & 15]};
    return out;
}

// The request.

Headers read_headers(const HttpRequest& request) {
    Headers headers;
    for (const auto& [name, value] : request.headers) {
        if (name.empty() || !all(name, is_token)) deny("bad header name " + shown(name));
        if (!all(value, [](char c) { return c == '\t' || !is_control(c); }))
            deny("header " + shown(name) + " has a control character");
        headers.emplace(lower(name), collapsed(value));
    }
    return headers;
}

/// The value of a header that may come once at most; null: it is absent.
const std::string* find_header(const Headers& headers, const std::string& name) {
    const auto [begin, end] = headers.equal_range(name);
    if (begin == end) return nullptr;
    if (std::next(begin) != end) deny("header " + shown(name) + " appears more than once");
    return &begin->second;
}

void check_form(const HttpRequest& request) {
    std::size_t size = request.method.size() + request.path.size() + request.query.size();
    for (const auto& [name, value] : request.headers) size += name.size() + value.size();
    if (size > SignedRequest::head_limit)
        deny("request line and headers have " + std::to_string(size) + " bytes, more than " +
             std::to_string(SignedRequest::head_limit));
    if (request.method.empty() || !all(request.method, is_upper))
        deny("bad method " + shown(request.method));
    if (!request.path.empty() && request.path[0] != '/')
        deny("the path " + shown(request.path) + " does not start with /");
    for (const auto* text : {&request.path, &request.query})
        if (std::any_of(text->begin(), text->end(), is_control))
            deny("control character in " + shown(*text));
    decode(request.path);
}

/// The canonical path. Dot segments and doubled slashes are removed, as RFC 3986 section 5.2.4 and
/// AWS's services do it. The rest is encoded once more than it was sent, as all services except S3
/// do it.
std::string canonical_path(const std::string& path) {
    std::vector<std::string> segments;
    for (const auto& segment : split(path, '/')) {
        if (segment.empty() || segment == ".") continue;
        if (segment != "..")
            segments.push_back(segment);
        else if (!segments.empty())
            segments.pop_back();
    }
    if (segments.empty()) return "/";
    return "/" + percent_encoded(join(segments, "/"), "/") + (path.back() == '/' ? "/" : "");
}

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// The query's parameters, decoded. "+" is taken as a space, as the reader of the form takes it
/// (AWS's clients send %20). Otherwise one signature could be valid for two meanings.
Parameters read_query(const std::string& query) {
    Parameters parameters;
    if (query.empty()) return parameters;
    for (auto piece : split(query, '&')) {
        std::replace(piece.begin(), piece.end(), '+', ' ');
        const auto [name, value] = cut(piece, '=');
        parameters.emplace_back(decode(name), decode(value));
    }
    return parameters;
}

/// The canonical query: sorted by encoded name, then by encoded value.
std::string canonical_query(const Parameters& parameters) {
    Parameters encoded;
    for (const auto& [name, value] : parameters)
        encoded.emplace_back(percent_encoded(name), percent_encoded(value));
    std::sort(encoded.begin(), encoded.end());
    std::string out;
    for (const auto& [name, value] : encoded) {
        if (!out.empty()) out += '&';
        out.append(name).append("=").append(value);
    }
    return out;
}

void refuse_signature_in_query(const Parameters& parameters) {
    for (const auto& [name, value] : parameters) {
        if (starts_with(lower(name), "x-amz-"))
            deny("presigned request (" + shown(name) +
                 " in the query): sign in the Authorization header");
        if (name == "AWSAccessKeyId" || name == "Signature" || name == "SignatureMethod" ||
            name == "SignatureVersion")
            deny("Signature Version 2 (" + name + " in the query): use Signature Version 4");
    }
}

Authorization read_authorization(const Headers& headers) {
    const auto* header = find_header(headers, "authorization");
    if (!header)
        deny("no Authorization header; requests are signed there with Signature Version 4");
    const auto [scheme, rest] = cut(*header, ' ');
    if (scheme != algorithm)
        deny("Authorization scheme " + shown(scheme) + ": only " + algorithm + " is let in");

    std::map<std::string, std::string> parts;
    for (const auto& piece : split(rest, ',')) {
        const auto [name, value] = cut(collapsed(piece), '=');
        if (name != "Credential" && name != "SignedHeaders" && name != "Signature")
            deny("Authorization has a part " + shown(name));
        if (!parts.emplace(name, value).second) deny("Authorization has two parts " + name);
    }
    for (const auto* name : {"Credential", "SignedHeaders", "Signature"})
        if (!parts.count(name)) deny(std::string("Authorization has no ") + name);

    const auto scope = split(parts["Credential"], '/');
    if (scope.size() != 5)
        deny("Credential " + shown(parts["Credential"]) +
             " is not KEY/DATE/REGION/ec2/aws4_request");
    const auto& signature = parts["Signature"];
    if (signature.size() != 64 ||
        !all(signature, [](char c) { return hex_digit(c) >= 0 && !is_upper(c); }))
        deny("Signature is not 64 digits of 0-9 and a-f");
    return {scope[0], scope[1], scope[2], scope[3], scope[4], split(parts["SignedHeaders"], ';'),
            signature};
}

template <class... Arguments>
std::string format(const char* how, Arguments... arguments) {
    char text[128];
    std::snprintf(text, sizeof text, how, arguments...);
    return text;
}

/// Makes a moment of a date's fields. Fields out of range are brought into range. So the caller
/// writes the date again, and compares that with the text: they differ if the text was no date.
Moment moment_of(std::tm& time) {
    const auto seconds = timegm(&time);  // puts the fields into their ranges, fills in tm_wday
    return {std::chrono::seconds(seconds),
            format("%04d%02d%02dT%02d%02d%02dZ", time.tm_year + 1900, time.tm_mon + 1, time.tm_mday,
                   time.tm_hour, time.tm_min, time.tm_sec)};
}

/// Reads the basic format of ISO 8601, which x-amz-date has. @return whether the text is a date
bool read_iso(const std::string& text, Moment& moment) {
    std::tm t{};
    if (std::sscanf(text.c_str(), "%4d%2d%2dT%2d%2d%2dZ", &t.tm_year, &t.tm_mon, &t.tm_mday,
                    &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    moment = moment_of(t);
    return moment.iso == text;
}

/// Reads the preferred format of HTTP (RFC 9110 section 5.6.7), which Date has. botocore writes
/// -0000 for GMT. @return whether the text is a date
bool read_http_date(const std::string& text, Moment& moment) {
    constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm t{};
    char month[4] = "";
    if (std::sscanf(text.c_str(), "%*3c, %2d %3s %4d %2d:%2d:%2d", &t.tm_mday, month, &t.tm_year,
                    &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
        return false;
    t.tm_year -= 1900;
    t.tm_mon = int(std::find(months, std::end(months), std::string(month)) - months);
    if (t.tm_mon == 12) return false;
    moment = moment_of(t);
    const auto written = format("%s, %02d %s %04d %02d:%02d:%02d ", days[t.tm_wday], t.tm_mday,
                                months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    return text == written + "GMT" || text == written + "-0000" || text == written + "+0000";
}

/// The time of the request: that of x-amz-date, or if it is absent that of Date.
struct RequestDate {
    std::string header;
    Moment moment;
};

RequestDate read_date(const Headers& headers) {
    RequestDate date{"x-amz-date", {}};
    const auto* text = find_header(headers, date.header);
    if (text) {
        if (read_iso(*text, date.moment)) return date;
    } else {
        date.header = "date";
        text = find_header(headers, date.header);
        if (!text) deny("neither x-amz-date nor Date");
        if (read_http_date(*text, date.moment) || read_iso(*text, date.moment)) return date;
    }
    deny("header " + date.header + ": " + shown(*text) + " is not a time");
}

void check_scope(const Authorization& authorization, const std::string& region,
                 const Moment& moment) {
    const auto check = [](const char* what, const std::string& is, const std::string& wanted) {
        if (is != wanted)
            deny(std::string("Credential's ") + what + " is " + shown(is) + ", not " +
                 shown(wanted));
    };
    check("date", authorization.date, moment.iso.substr(0, 8));
    check("region", authorization.region, region);
    check("service", authorization.service, "ec2");
    check("terminator", authorization.terminator, "aws4_request");
}

/// Checks that the list of signed headers is in canonical form, and has every header that must be
/// signed.
void check_signed_headers(const std::vector<std::string>& names, const Headers& headers,
                          const std::string& date_header) {
    for (const auto& name : names)
        if (name.empty() || !all(name, [](char c) { return is_token(c) && !is_upper(c); }))
            deny("SignedHeaders has " + shown(name) + ", not a header's name in lower case");
    if (std::adjacent_find(names.begin(), names.end(), std::greater_equal<>()) != names.end())
        deny("SignedHeaders is not sorted or has duplicates");
    const auto check = [&](const std::string& name) {
        if (!std::binary_search(names.begin(), names.end(), name))
            deny("header " + shown(name) + " is not signed");
    };
    check("host");
    check(date_header);
    for (const auto& [name, value] : headers)
        if (starts_with(name, "x-amz-")) check(name);
}

/// The lines "name:value" of the canonical request.
std::string canonical_headers(const std::vector<std::string>& names, const Headers& headers) {
    std::string out;
    for (const auto& name : names) {
        const auto* value = find_header(headers, name);
        if (!value) deny("the signed header " + shown(name) + " is absent");
        out += name + ":" + *value + "\n";
    }
    return out;
}

}  // namespace

Digest signing_key(const std::string& secret, const std::string& date, const std::string& region) {
    return hmac(hmac(hmac(hmac("AWS4" + secret, date), region), std::string("ec2")),
                std::string("aws4_request"));
}

bool same_secret(const std::string& a, const std::string& b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string day_of(std::chrono::system_clock::time_point now) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm time{};
    gmtime_r(&seconds, &time);
    return moment_of(time).iso.substr(0, 8);
}

SignedRequest::SignedRequest(const HttpRequest& request, const std::string& region) {
    check_form(request);
    headers_ = read_headers(request);
    const auto parameters = read_query(request.query);
    refuse_signature_in_query(parameters);
    authorization_ = read_authorization(headers_);
    const auto date = read_date(headers_);
    moment_ = date.moment;
    check_scope(authorization_, region, moment_);
    check_signed_headers(authorization_.signed_headers, headers_, date.header);
    const auto body_hash = hex(sha256(request.body));
    const auto* sent_hash = find_header(headers_, "x-amz-content-sha256");
    if (sent_hash && *sent_hash != body_hash)
        deny("x-amz-content-sha256 is " + shown(*sent_hash) + ", not the body's " + body_hash +
             "; bodies are signed whole");
    canonical_ = request.method + "\n" + canonical_path(request.path) + "\n" +
                 canonical_query(parameters) + "\n" +
                 canonical_headers(authorization_.signed_headers, headers_) + "\n" +
                 join(authorization_.signed_headers, ";") + "\n" + body_hash;
}

const std::string* SignedRequest::session_token() const {
    return find_header(headers_, "x-amz-security-token");
}

bool SignedRequest::is_signed_with(const Digest& key) const {
    const Authorization& scope = authorization_;
    const auto expected = hex(hmac(
        key, std::string(algorithm) + "\n" + moment_.iso + "\n" + scope.date + "/" + scope.region +
                 "/" + scope.service + "/" + scope.terminator + "\n" + hex(sha256(canonical_))));
    return same_secret(expected, scope.signature);
}

}  // namespace mirrornic
