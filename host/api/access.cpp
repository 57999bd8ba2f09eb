// SPDX-License-Identifier: Apache-2.0
#include "host/api/access.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>

#include "host/base/json_text.hpp"

namespace mirrornic {
namespace {

constexpr auto algorithm = "AWS4-HMAC-SHA256";
constexpr std::chrono::minutes clock_tolerance{15};
const std::string no_secret(40, '-');  // in the place of an unknown key's

[[noreturn]] void deny(const std::string& reason) {
    throw AccessDenied(AccessDenied::Code::auth_failure, reason);
}

// Text. Of ASCII alone, whatever the locale is.

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alphanumeric(char c) { return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z'); }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool is_visible(char c) { return c > 0x20 && c < 0x7f; }
/// Of an HTTP header's name. Source: RFC 9110 section 5.6.2.
bool is_token(char c) { return is_alphanumeric(c) || (c && std::strchr("!#$%&'*+-.^_`|~", c)); }

template <class Is>
bool all(const std::string& text, Is is) {
    return std::all_of(text.begin(), text.end(), is);
}

char lower(char c) { return is_upper(c) ? char(c - 'A' + 'a') : c; }
std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return lower(c); });
    return text;
}

bool starts_with(const std::string& text, const std::string& start) {
    return text.compare(0, start.size(), start) == 0;
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

/// Before and after the first separator; without one, everything is before it.
std::pair<std::string, std::string> cut(const std::string& text, char separator) {
    const auto at = text.find(separator);
    if (at == std::string::npos) return {text, ""};
    return {text.substr(0, at), text.substr(at + 1)};
}

/// Without blanks at the ends, and with one space for each run of them inside.
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

/// Percent-encodes all but the unreserved characters of RFC 3986 and those in `also`.
std::string encode(const std::string& text, const std::string& also = "") {
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

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string decode(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) deny("bad percent-encoding: " + shown(text.substr(i, 3)));
        out += char(high << 4 | low);
        i += 2;
    }
    return out;
}

// Hashes.

using Digest = std::array<unsigned char, 32>;

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

/// In a time that depends on the lengths alone.
bool same_secret(const std::string& a, const std::string& b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// The request.

/// Their values, collapsed, by their names in lower case.
using Headers = std::multimap<std::string, std::string>;

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

/// @return the value of a header that may come once at most; null when it is absent.
const std::string* find_header(const Headers& headers, const std::string& name) {
    const auto [begin, end] = headers.equal_range(name);
    if (begin == end) return nullptr;
    if (std::next(begin) != end) deny("header " + shown(name) + " appears more than once");
    return &begin->second;
}

void check_form(const HttpRequest& request) {
    std::size_t size = request.method.size() + request.path.size() + request.query.size();
    for (const auto& [name, value] : request.headers) size += name.size() + value.size();
    if (size > Credentials::head_limit)
        deny("request line and headers have " + std::to_string(size) + " bytes, more than " +
             std::to_string(Credentials::head_limit));
    if (request.method.empty() || !all(request.method, is_upper))
        deny("bad method " + shown(request.method));
    if (!request.path.empty() && request.path[0] != '/')
        deny("the path " + shown(request.path) + " does not start with /");
    for (const auto* text : {&request.path, &request.query})
        if (std::any_of(text->begin(), text->end(), is_control))
            deny("control character in " + shown(*text));
    decode(request.path);
}

/// Dot segments and doubled slashes are removed, as RFC 3986 section 5.2.4 and AWS's services do;
/// what is left is encoded once more than it was sent, as all services but S3 do.
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
    return "/" + encode(join(segments, "/"), "/") + (path.back() == '/' ? "/" : "");
}

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// Decoded. AWS's clients send a space as %20; "+" is read as the form's reader reads it, so that
/// one signature never stands for two meanings.
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

/// Sorted by encoded name, then by encoded value.
std::string canonical_query(const Parameters& parameters) {
    Parameters encoded;
    for (const auto& [name, value] : parameters) encoded.emplace_back(encode(name), encode(value));
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

/// The Authorization header's parts.
struct Authorization {
    std::string key_id, date, region, service, terminator;
    std::vector<std::string> signed_headers;
    std::string signature;  ///< 64 digits
};

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

/// A moment that a request names, in both ways that signing needs.
struct Moment {
    std::chrono::seconds since_epoch;
    std::string iso;  ///< "20150830T123600Z"
};

template <class... Arguments>
std::string format(const char* how, Arguments... arguments) {
    char text[128];
    std::snprintf(text, sizeof text, how, arguments...);
    return text;
}

/// Takes the digits as they are written: what comes of them is right if it is written the same.
Moment moment_of(std::tm& time) {
    const auto seconds = timegm(&time);  // puts the fields into their ranges, fills in tm_wday
    return {std::chrono::seconds(seconds),
            format("%04d%02d%02dT%02d%02d%02dZ", time.tm_year + 1900, time.tm_mon + 1, time.tm_mday,
                   time.tm_hour, time.tm_min, time.tm_sec)};
}

/// ISO 8601's basic format, as of x-amz-date. @return whether the text is one.
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

/// HTTP's preferred format (RFC 9110 section 5.6.7), as of Date; botocore writes -0000 for GMT.
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

/// x-amz-date, or else Date.
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

/// "20150830"
std::string day_of(std::chrono::system_clock::time_point now) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm time{};
    gmtime_r(&seconds, &time);
    return moment_of(time).iso.substr(0, 8);
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

/// That the list is in canonical form and has every header that must be signed.
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

/// Of one day, one region and the service ec2.
Digest signing_key(const std::string& secret, const std::string& date, const std::string& region) {
    return hmac(hmac(hmac(hmac("AWS4" + secret, date), region), std::string("ec2")),
                std::string("aws4_request"));
}

std::string signature(const Digest& key, const Authorization& scope, const Moment& moment,
                      const std::string& canonical_request) {
    return hex(hmac(key, std::string(algorithm) + "\n" + moment.iso + "\n" + scope.date + "/" +
                             scope.region + "/" + scope.service + "/" + scope.terminator + "\n" +
                             hex(sha256(canonical_request))));
}

// Policies.

struct Statement {
    bool allow = false;
    bool but_actions = false;          ///< NotAction: it is about all actions but these
    std::vector<std::string> actions;  ///< patterns in lower case
};

/// Whether a pattern with * and ? matches the whole text.
bool matches(const std::string& pattern, const std::string& text) {
    std::size_t p = 0, t = 0, star = std::string::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string::npos) {
            p = star + 1;
            t = ++resume;  // the last * takes one more character
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string::npos;
}

/// A value in a credentials file and the way to it. Its messages never show the value, which may
/// be a secret in the wrong place.
class Value {
public:
    Value(const std::string& file, const Json& json) : Value(file, "", json) {}

    [[noreturn]] void fail(const std::string& why) const {
        throw CredentialsError(file_ + ": " + path_ + (path_.empty() ? "" : " ") + why);
    }
    bool has(const std::string& name) const { return json_.contains(name); }
    Value member(const std::string& name) const {
        return {file_, path_ + (path_.empty() ? "" : ".") + name, json_.at(name)};
    }
    /// Refuses what is no object, lacks a member of `needed`, or has one that is in neither list.
    void has_only(const std::vector<std::string>& needed,
                  const std::vector<std::string>& optional) const {
        if (!json_.is_object()) fail("is not an object");
        auto known = needed;
        known.insert(known.end(), optional.begin(), optional.end());
        for (const auto& [name, value] : json_.items())
            if (std::find(known.begin(), known.end(), name) == known.end())
                member(name).fail("is not supported; what is: " + join(known, ", "));
        for (const auto& name : needed)
            if (!has(name)) fail("has no " + name);
    }
    std::vector<Value> elements() const {
        if (!json_.is_array()) fail("is not a list");
        std::vector<Value> out;
        for (std::size_t i = 0; i < json_.size(); ++i)
            out.push_back({file_, path_ + "[" + std::to_string(i) + "]", json_[i]});
        return out;
    }
    /// IAM's way with lists: one value may stand without the brackets.
    std::vector<Value> one_or_elements() const {
        return json_.is_array() ? elements() : std::vector<Value>{*this};
    }
    const std::string& text() const {
        if (!json_.is_string()) fail("is not a string");
        return json_.get_ref<const std::string&>();
    }
    /// A secret: what an HTTP header could carry, so that a stray blank is found here.
    const std::string& secret() const {
        if (text().empty()) fail("is empty");
        if (!all(text(), is_visible)) fail("has a blank or a character that is not ASCII");
        return text();
    }

private:
    Value(const std::string& file, const std::string& path, const Json& json)
        : file_(file), path_(path), json_(json) {}

    std::string file_, path_;
    const Json& json_;
};

/// Whether some pattern of a page's path matches none: then it is misspelt.
bool is_no_page(const std::string& pattern) {
    return pattern[0] == '/' && std::none_of(pages.begin(), pages.end(), [&](auto page) {
               return matches(pattern, std::string(page));
           });
}

/// Source: IAM, "Actions"; what has no service would never match, and a Deny of it never deny.
std::string read_action(const Value& value) {
    const auto& text = value.text();
    const auto [service, name] = cut(text, ':');
    const bool good = text == "*" || (!service.empty() && !name.empty() && all(text, [](char c) {
                          return is_alphanumeric(c) || (c && std::strchr("-*?:/", c));
                      }) && name.find(':') == std::string::npos);
    if (!good) value.fail("is neither \"*\" nor of the form \"ec2:NAME\"");
    if (is_no_page(lower(name)))
        value.fail("names no page; there are ec2:/health, ec2:/metrics and ec2:/stats");
    return lower(text);
}

/// Whether a pattern is of actions of other services alone.
bool is_of_others(const std::string& action) { return !matches(cut(action, ':').first, "ec2"); }

Statement read_statement(const Value& value) {
    value.has_only({"Effect"}, {"Action", "NotAction", "Resource", "Sid", "Condition",
                                "NotResource", "Principal", "NotPrincipal"});
    if (value.has("Sid")) value.member("Sid").text();

    Statement statement;
    const auto effect = value.member("Effect");
    statement.allow = effect.text() == "Allow";
    if (!statement.allow && effect.text() != "Deny") effect.fail("is neither Allow nor Deny");

    statement.but_actions = value.has("NotAction");
    if (statement.but_actions && value.has("Action")) value.fail("has both Action and NotAction");
    if (!statement.but_actions && !value.has("Action")) value.fail("has no Action");
    const auto actions = value.member(statement.but_actions ? "NotAction" : "Action");
    for (const auto& action : actions.one_or_elements())
        statement.actions.push_back(read_action(action));
    if (statement.actions.empty()) actions.fail("is empty");

    // A statement of, say, logs:* for one resource comes with many a policy and decides nothing
    // here.
    if (!statement.but_actions &&
        std::all_of(statement.actions.begin(), statement.actions.end(), is_of_others))
        return statement;
    value.has_only({"Effect", "Resource"}, {"Action", "NotAction", "Sid"});
    const auto resource = value.member("Resource");
    const auto resources = resource.one_or_elements();
    if (resources.size() != 1 || resources[0].text() != "*")
        resource.fail("must be \"*\": permissions for single resources are not supported");
    return statement;
}

std::vector<Statement> read_policy(const Value& value) {
    value.has_only({"Statement"}, {"Version", "Id"});
    if (value.has("Id")) value.member("Id").text();
    if (value.has("Version")) {
        // They differ in policy variables, which stand in resources and conditions.
        const auto version = value.member("Version");
        if (version.text() != "2012-10-17" && version.text() != "2008-10-17")
            version.fail("must be \"2012-10-17\" or \"2008-10-17\"");
    }
    std::vector<Statement> statements;
    for (const auto& statement : value.member("Statement").one_or_elements())
        statements.push_back(read_statement(statement));
    return statements;
}

/// The parser's message quotes the text at the error, which may be a secret: only the place is
/// kept.
Json parse_secret_json(const std::string& name, const std::string& text) {
    try {
        return parse_json(text);
    } catch (const JsonError& error) {
        const std::string message = error.what();
        if (starts_with(message, "line "))
            throw CredentialsError(name + ": " + cut(message, ':').first + ": is not JSON");
        if (starts_with(message, "[json.exception")) throw CredentialsError(name + ": is not JSON");
        throw CredentialsError(name + ": " + message);
    }
}

/// Looks at the mode of what it reads, not of what has the name a moment earlier.
std::string read_private_file(const std::string& name) {
    struct File {
        int descriptor;
        ~File() {
            if (descriptor >= 0) close(descriptor);
        }
    };
    const auto fail = [&] { throw CredentialsError(name + ": " + std::strerror(errno)); };
    const File file{open(name.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat status {};
    if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0) fail();
    if (status.st_mode & 077)
        throw CredentialsError(name + ": others than its owner may use it (mode " +
                               format("%04o", unsigned(status.st_mode & 07777)) +
                               "), and it holds secrets: chmod 600 " + name);
    std::string text;
    char buffer[4096];
    ssize_t count;
    while ((count = ::read(file.descriptor, buffer, sizeof buffer)) != 0) {
        if (count > 0)
            text.append(buffer, std::size_t(count));
        else if (errno != EINTR)
            fail();
    }
    return text;
}

}  // namespace

struct Credentials::Key {
    std::string id, secret;
    std::string token;  ///< empty: none
    std::vector<Statement> statements;
};

/// Of all keys at once, and of a key that there is not: the time of an answer then does not tell
/// which keys there are.
struct Credentials::SigningKeys {
    std::string date, region;
    std::vector<Digest> of_keys;
    Digest of_none;

    SigningKeys(const std::vector<Key>& keys, std::string its_date, std::string its_region)
        : date(std::move(its_date)),
          region(std::move(its_region)),
          of_none(signing_key(no_secret, date, region)) {
        for (const Key& key : keys) of_keys.push_back(signing_key(key.secret, date, region));
    }
};

Credentials::Credentials() = default;
Credentials::Credentials(Credentials&&) noexcept = default;
Credentials& Credentials::operator=(Credentials&&) noexcept = default;
Credentials::~Credentials() = default;

Credentials Credentials::read(const std::string& file) {
    return parse(file, read_private_file(file));
}

Credentials Credentials::parse(const std::string& name, const std::string& text) {
    const auto json = parse_secret_json(name, text);
    const Value root(name, json);
    root.has_only({"Credentials"}, {});
    Credentials credentials;
    for (const auto& entry : root.member("Credentials").elements()) {
        entry.has_only({"AccessKeyId", "SecretAccessKey", "Policy"}, {"SessionToken"});
        Key key;
        const auto id = entry.member("AccessKeyId");
        key.id = id.text();
        if (key.id.empty() || key.id.size() > 128 ||
            !all(key.id, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; }))
            id.fail("is not 1 to 128 letters, digits, - and _");
        if (credentials.find(key.id)) id.fail("is the same as an earlier one");
        key.secret = entry.member("SecretAccessKey").secret();
        if (entry.has("SessionToken")) key.token = entry.member("SessionToken").secret();
        key.statements = read_policy(entry.member("Policy"));
        credentials.keys_.push_back(std::move(key));
    }
    return credentials;
}

const Credentials::Key* Credentials::find(const std::string& access_key_id) const {
    const auto at = std::find_if(keys_.begin(), keys_.end(),
                                 [&](const Key& key) { return key.id == access_key_id; });
    return at == keys_.end() ? nullptr : &*at;
}

std::string Credentials::authenticate(const HttpRequest& request, const std::string& region,
                                      std::chrono::system_clock::time_point now) const {
    check_form(request);
    const auto headers = read_headers(request);
    const auto parameters = read_query(request.query);
    refuse_signature_in_query(parameters);
    const auto authorization = read_authorization(headers);
    const auto date = read_date(headers);
    check_scope(authorization, region, date.moment);
    check_signed_headers(authorization.signed_headers, headers, date.header);
    const auto body_hash = hex(sha256(request.body));
    const auto* sent_hash = find_header(headers, "x-amz-content-sha256");
    if (sent_hash && *sent_hash != body_hash)
        deny("x-amz-content-sha256 is " + shown(*sent_hash) + ", not the body's " + body_hash +
             "; bodies are signed whole");

    // An unknown key takes the way of a known one as far as here, so that the time does not tell
    // which keys there are.
    const Key* key = find(authorization.key_id);
    Digest signs;
    if (authorization.date == day_of(now)) {
        auto today = std::atomic_load(&signing_keys_);
        if (!today || today->date != authorization.date || today->region != region) {
            today = std::make_shared<const SigningKeys>(keys_, authorization.date, region);
            std::atomic_store(&signing_keys_, today);
        }
        signs = key ? today->of_keys[std::size_t(key - keys_.data())] : today->of_none;
    } else {
        signs = signing_key(key ? key->secret : no_secret, authorization.date, region);
    }
    const auto expected = signature(
        signs, authorization, date.moment,
        request.method + "\n" + canonical_path(request.path) + "\n" + canonical_query(parameters) +
            "\n" + canonical_headers(authorization.signed_headers, headers) + "\n" +
            join(authorization.signed_headers, ";") + "\n" + body_hash);
    const bool good = same_secret(expected, authorization.signature);
    if (!key) deny("there is no key " + shown(authorization.key_id));
    if (!good) deny("the signature is not that of key " + key->id + " for this request");

    const auto* token = find_header(headers, "x-amz-security-token");
    if (!token != key->token.empty() || (token && !same_secret(*token, key->token)))
        deny("x-amz-security-token is not as key " + key->id + " has it");

    // Last: RequestExpired is for those who hold the secret, and a stranger's request is
    // AuthFailure whatever its time. A captured request that is sent again learns that it is late.
    const auto& time = date.moment.since_epoch;
    if (std::chrono::ceil<std::chrono::seconds>(now.time_since_epoch()) - time > clock_tolerance ||
        time - std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()) > clock_tolerance)
        throw AccessDenied(
            AccessDenied::Code::request_expired,
            date.moment.iso + " is more than 15 minutes from this host's clock, key " + key->id);
    return key->id;
}

bool Credentials::allows(const std::string& access_key_id, const std::string& action) const {
    const Key* key = find(access_key_id);
    if (!key) return false;
    const auto name = lower("ec2:" + action);
    bool allowed = false;
    for (const auto& statement : key->statements) {
        const bool named =
            std::any_of(statement.actions.begin(), statement.actions.end(),
                        [&](const std::string& pattern) { return matches(pattern, name); });
        const bool applies = named != statement.but_actions;
        if (applies && !statement.allow) return false;
        allowed |= applies;
    }
    return allowed;
}

}  // namespace mirrornic
