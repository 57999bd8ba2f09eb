// SPDX-License-Identifier: Apache-2.0
#include "host/access/access.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "catch.hpp"

using namespace mirrornic;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Code = AccessDenied::Code;

namespace {

// The key of the examples in AWS's documentation ("Signature Version 4 test suite").
const std::string example_id = "AKIDEXAMPLE";
const std::string example_secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const std::string example_token = "AQoDYXdzEPT//////////wEXAMPLE+token==";
const std::string region = "us-east-1";
const std::string iso = "20150830T123600Z";
const auto signed_at = std::chrono::system_clock::time_point(1440938160s);
const std::string allow_all = R"({"Effect": "Allow", "Action": "*", "Resource": "*"})";

std::string policy(const std::string& statements) {
    return R"({"Version": "2012-10-17", "Statement": [)" + statements + "]}";
}

/// The example key, with a session token and without, and one more.
Credentials credentials() {
    const auto key = [](const std::string& id, const std::string& secret, const std::string& more) {
        return R"({"AccessKeyId": ")" + id + R"(", "SecretAccessKey": ")" + secret + "\"" + more +
               R"(, "Policy": )" + policy(allow_all) + "}";
    };
    return Credentials::parse(
        "keys.json",
        R"({"Credentials": [)" + key(example_id, example_secret, "") + "," +
            key("TEMPORARY", example_secret, R"(, "SessionToken": ")" + example_token + "\"") +
            "," + key("OTHER", "another-secret", "") + "]}");
}

// A signer that shares nothing with the code under test. It canonicalizes nothing: path, query and
// header values are signed as they stand in the request unless said otherwise.

std::string bytes(const unsigned char* data) { return {reinterpret_cast<const char*>(data), 32}; }
std::string sha256(const std::string& text) {
    unsigned char out[32];
    EVP_Digest(text.data(), text.size(), out, nullptr, EVP_sha256(), nullptr);
    return bytes(out);
}
std::string hmac(const std::string& key, const std::string& text) {
    unsigned char out[32];
    HMAC(EVP_sha256(), key.data(), int(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, nullptr);
    return bytes(out);
}
std::string hex(const std::string& text) {
    std::string out;
    for (const unsigned char c : text)
        for (const int digit : {c >> 4, c & 15}) out += "0123456789abcdef"[digit];
    return out;
}
std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), ::tolower);
    return text;
}

struct Signed {
    HttpRequest request{"POST",
                        "/",
                        "",
                        {{"Host", "ec2.us-east-1.amazonaws.com"}, {"X-Amz-Date", iso}},
                        "Action=DescribeTrafficMirrorSessions&Version=2016-11-15"};
    std::string id = example_id, secret = example_secret;
    std::string timestamp = iso;  ///< what is signed
    std::string date = "20150830", scope_region = region, service = "ec2",
                terminator = "aws4_request";
    std::string signed_headers;  ///< empty: all, in order
    std::string canonical_query, canonical_path = "/";

    std::string& header(const std::string& name) {
        for (auto& [n, value] : request.headers)
            if (lower_case(n) == lower_case(name)) return value;
        return request.headers.emplace_back(name, "").second;
    }
    std::string& authorization() { return header("Authorization"); }
    void remove(const std::string& name) {
        auto& all = request.headers;
        all.erase(
            std::remove_if(all.begin(), all.end(),
                           [&](const auto& h) { return lower_case(h.first) == lower_case(name); }),
            all.end());
    }
    void sign() {
        auto headers = request.headers;
        for (auto& h : headers) h.first = lower_case(h.first);
        std::sort(headers.begin(), headers.end());
        std::string names, lines;
        for (const auto& [name, value] : headers) {
            const auto list = ";" + lower_case(signed_headers) + ";";
            if (!signed_headers.empty() && list.find(";" + name + ";") == std::string::npos)
                continue;
            names += (names.empty() ? "" : ";") + name;
            lines += name + ":" + value + "\n";
        }
        if (!signed_headers.empty()) names = signed_headers;
        const auto canonical = request.method + "\n" + canonical_path + "\n" + canonical_query +
                               "\n" + lines + "\n" + names + "\n" + hex(sha256(request.body));
        const auto scope = date + "/" + scope_region + "/" + service + "/" + terminator;
        auto key = "AWS4" + secret;
        for (const auto& part : {date, scope_region, service, terminator}) key = hmac(key, part);
        const auto to_sign =
            "AWS4-HMAC-SHA256\n" + timestamp + "\n" + scope + "\n" + hex(sha256(canonical));
        request.headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + id + "/" +
                                                          scope + ", SignedHeaders=" + names +
                                                          ", Signature=" + hex(hmac(key, to_sign)));
    }
};

/// What authenticate makes of it: the key, or "auth_failure: ..." with the reason.
std::string outcome(const HttpRequest& request,
                    std::chrono::system_clock::time_point now = signed_at) {
    try {
        return credentials().authenticate(request, region, now);
    } catch (const AccessDenied& denied) {
        const char* codes[] = {"auth_failure", "request_expired"};
        return std::string(codes[int(denied.code)]) + ": " + denied.what();
    }
}

using Change = std::function<void(Signed&)>;
void nothing(Signed&) {}

/// A request that is changed before it is signed, and after.
std::string outcome_of(const Change& before, const Change& after = nothing,
                       std::chrono::system_clock::time_point now = signed_at) {
    Signed s;
    before(s);
    s.sign();
    after(s);
    return outcome(s.request, now);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
    const auto at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), with);
}

struct Mutation {
    const char* what;
    Change before, after;
    const char* reason;
};

/// Each mutation alone turns a good request into an AuthFailure for its own reason.
void check_auth_failures(const std::vector<Mutation>& mutations) {
    REQUIRE(outcome_of(nothing) == example_id);
    for (const auto& m : mutations) {
        INFO(m.what);
        CHECK_THAT(outcome_of(m.before, m.after),
                   Catch::StartsWith("auth_failure: ") && Contains(m.reason));
    }
}

struct Known {
    const char* what;
    HttpRequest request;  ///< without Host, date and Authorization
    const char* signed_headers;
    const char* signature;
};

/// The known request with what every one of them has.
HttpRequest complete(const Known& known, const std::string& id = example_id) {
    auto request = known.request;
    auto& headers = request.headers;
    headers.insert(headers.begin(), {"Host", "ec2.us-east-1.amazonaws.com"});
    if (std::string(known.signed_headers).find("x-amz-date") != std::string::npos)
        headers.emplace_back("X-Amz-Date", iso);
    headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + id +
                                              "/20150830/us-east-1/ec2/aws4_request, "
                                              "SignedHeaders=" +
                                              known.signed_headers +
                                              ", Signature=" + known.signature);
    return request;
}

void check_known(const std::vector<Known>& cases) {
    for (const auto& known : cases) {
        INFO(known.what);
        auto request = complete(known);
        CHECK(outcome(request) == example_id);
        auto& signature = request.headers.back().second.back();
        signature = signature == '0' ? '1' : '0';
        CHECK_THAT(outcome(request), Contains("auth_failure: the signature is not that of key"));
    }
}

std::string all_bytes() {
    std::string out;
    for (int i = 0; i < 256; ++i) out += char(i);
    return out;
}

}  // namespace

// The signatures of these are botocore 1.43.11's: SigV4Auth(Credentials(id, secret, token), "ec2",
// "us-east-1").add_auth(AWSRequest(method, "https://ec2.us-east-1.amazonaws.com" + path, headers,
// body, parameters)) with get_current_datetime at 2015-08-30T12:36:00Z. The kinds are those of
// AWS's Signature Version 4 test suite.

TEST_CASE("S7 a request that botocore signed is let in: methods, headers and bodies") {
    check_known({
        {"get-vanilla",
         {"GET", "/", "", {}, ""},
         "host;x-amz-date",
         "6cda8c44cb803617de55687cbc51a146e7e15adcd7efb1d8044255026e084aab"},
        {"no path at all",
         {"GET", "", "", {}, ""},
         "host;x-amz-date",
         "6cda8c44cb803617de55687cbc51a146e7e15adcd7efb1d8044255026e084aab"},
        {"post-vanilla",
         {"POST", "/", "", {}, ""},
         "host;x-amz-date",
         "7dd48ea77034030807cf9885b3268c85e169b6c14b2e88f6adb4731edd625bcd"},
        {"header values are trimmed and their blanks collapsed, in quotes too",
         {"GET",
          "/",
          "",
          {{"My-Header1", "  value1  "}, {"My-Header2", " \"a   b   c\" \t d"}},
          ""},
         "host;my-header1;my-header2;x-amz-date",
         "cc02d2f1a4f6b7609ac16d4af84b40003759009f4a1d8c1f82a1a3173f938ec3"},
        {"headers are sorted by their names in lower case",
         {"GET",
          "/",
          "",
          {{"Zulu", "z"}, {"alpha", "a"}, {"My-Header", "m"}, {"my-header2", "n"}},
          ""},
         "alpha;host;my-header;my-header2;x-amz-date;zulu",
         "cf0b1742811661705e4901415f277957d1a56a4c7eeea5cba75d273437254bb7"},
        {"a form as the body",
         {"POST",
          "/",
          "",
          {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
          "Action=DescribeTrafficMirrorSessions&Version=2016-11-15"},
         "content-type;host;x-amz-date",
         "e6f0c20b469c843f9f5d5b497cb161ba30c58ed5830409c58f51faed324c0838"},
        {"all bytes in the body",
         {"POST", "/", "", {}, all_bytes()},
         "host;x-amz-date",
         "4862bbfb819660edfba019cdf37214f000c8a518e93f0826831d9f9babca9b78"},
        {"the body's hash in a header",
         {"POST",
          "/",
          "",
          {{"X-Amz-Content-SHA256",
            "3b173cc483d5aca8322d8211dc94655130607dbcb351953b49907bdb997ddc01"}},
          "Action=X"},
         "host;x-amz-content-sha256;x-amz-date",
         "2951f2b01454df9db175769153c2ef45a96fb3519aa59711cb2f5713411a0173"},
        {"Date in the place of x-amz-date",
         {"GET", "/", "", {{"Date", "Sun, 30 Aug 2015 12:36:00 -0000"}}, ""},
         "date;host",
         "6b977038c58146552a33e668cadc6a523bfadf6b23cf80c107fba330d0b2edc4"},
    });
}

TEST_CASE("S7 a request that botocore signed is let in: queries") {
    const std::string unreserved =
        "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const auto get = [](const std::string& query) {
        return HttpRequest{"GET", "/", query, {}, ""};
    };
    const auto headers = "host;x-amz-date";
    const auto key_order = "e7eca76e47def206486301ae3ee6e23bf7240c793a5db7f37ad52bf1bbb45585";
    const auto utf8 = "d84accbfb93535512a1dab00780787a60c40868090588cdf99722016a3c94dbf";
    const auto reserved = "555560d418376f574933785edf6f2cf93b0ea6ba9daf738dd3c83a3b7dc7af28";
    const auto empty = "f2b2c0c7b06f547c7c980c0105d99e12b6018dcf43cd042c5b1a5b8a86f39456";
    check_known({
        {"order by key", get("Version=2016-11-15&Action=X&version=1"), headers, key_order},
        {"order by key, sent sorted", get("Action=X&Version=2016-11-15&version=1"), headers,
         key_order},
        {"order by value", get("a=2&a=10&a=1"), headers,
         "868162bff481724d85e9e4a73124af9ac05a20ba9fc230e1d8fc7e09bce63dec"},
        {"a key that starts another", get("a-=1&a=2&a1=3&a="), headers,
         "8b96778f3ba85ed4f1511515df5794c40516656823907e040eda910271f869fe"},
        {"unreserved characters", get(unreserved + "=" + unreserved), headers,
         "04b179340a8df8eb4106a8b9b3eaf3a8d4edf32ec528d36961f4d61903649688"},
        {"UTF-8", get("\xe1\x88\xb4=b\xc3\xa4r"), headers, utf8},
        {"UTF-8, encoded", get("%E1%88%B4=b%C3%A4r"), headers, utf8},
        {"UTF-8, encoded in lower case", get("%e1%88%b4=%62%c3%a4r"), headers, utf8},
        {"reserved characters", get("F.1=a%20b%2Bc%2Fd%3De%26f%25"), headers, reserved},
        {"reserved characters that need no encoding", get("F.1=a%20b%2Bc/d=e%26f%25"), headers,
         reserved},
        {"a space as forms write it", get("F.1=a+b%2Bc/d=e%26f%25"), headers, reserved},
        {"keys without value", get("b&a"), headers, empty},
        {"keys with an empty value", get("b=&a="), headers, empty},
    });
}

TEST_CASE("S7 a request that botocore signed is let in: paths") {
    const auto root = "6cda8c44cb803617de55687cbc51a146e7e15adcd7efb1d8044255026e084aab";
    const std::pair<const char*, const char*> cases[] = {
        {"//", root},
        {"/./", root},
        {"/example/..", root},
        {"/example1/example2/../..", root},
        {"/./example", "f6bd9d45f7f9f479605c8cb5ec37233e97a1e222724a5c553e997cf551ce722a"},
        {"//example//", "a42ff4ccec6fe21be19a8dbb2111536b511bd2cd407cf993abe51058b496d3f3"},
        {"/a/../../b/", "e43a39252720ebd102aa5fb88cd2622f887a77a6662a4fe6a2636bbed348997e"},
        {"/a/.", "6717c372b5f9fce4685133ededaaaf2e01ddfd1a5891d78551860ba4ab150c2e"},
        {"/\xe1\x88\xb4", "5c4a720105a3bb61df09ba65b3b2b67d3f0bc2f5811e4f4114637816ec7c511b"},
        {"/example%20space/", "b97fb67da2790e7e245c6fc8303aff953191c086c876152d5b06cb9f91ebbb51"},
        {"/a%2Fb", "0d40588c13b02b6b3f0dad15aa211cab9c6ab6ada913e04ced864a11f091a6f5"},
        {"/-._~aZ09", "ac149d73d92bd82a4469ccd6ac779be9ec193ea1b7e6dd80d23efdcfb0589342"},
        {"/a:b;c=d@e", "a71ec13c63f17e7931688c574cd0667a6a0e3d588419d7fa4486d5bf7ae68465"},
    };
    for (const auto& [path, signature] : cases)
        check_known({{path, {"GET", path, "", {}, ""}, "host;x-amz-date", signature}});
}

TEST_CASE("S7 a request that botocore signed is let in: a session token") {
    const Known known{"token",
                      {"POST", "/", "", {{"X-Amz-Security-Token", example_token}}, "Action=X"},
                      "host;x-amz-date;x-amz-security-token",
                      "9e9c64bb0a57e90c5244528855b5d7693e1c83c934e3b957858f99ec284b2f13"};
    CHECK(outcome(complete(known, "TEMPORARY")) == "TEMPORARY");
    CHECK_THAT(outcome(complete(known)), Contains("auth_failure: x-amz-security-token"));
}

// What botocore 1.43.11's ec2 client sent for create_traffic_mirror_filter(Description="cost: 5 € +
// tax", ClientToken="t-1") with endpoint_url http://127.0.0.1:8080 and the same clock.
TEST_CASE("a request of botocore's ec2 client is let in as it came") {
    const HttpRequest request{
        "POST",
        "/",
        "",
        {{"Host", "127.0.0.1:8080"},
         {"Accept-Encoding", "identity"},
         {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
         {"User-Agent",
          "Botocore/1.43.11 ua/2.1 os/linux lang/python#3.11.7 cfg/retry-mode#legacy"},
         {"X-Amz-Date", "20150830T123600Z"},
         {"Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ec2/aws4_request, "
          "SignedHeaders=content-type;host;x-amz-date, "
          "Signature=3d9471f1aa8f61d34ce2da1e8a5b7652b636cbfae4ca074e5486700ceafd8767"},
         {"amz-sdk-invocation-id", "75ea1d87-1ba3-4a03-bd92-aa49db3e9f82"},
         {"amz-sdk-request", "attempt=1"},
         {"Content-Length", "107"}},
        "Action=CreateTrafficMirrorFilter&Version=2016-11-15&Description=cost%3A+5+%E2%82%AC+%2B+"
        "tax&ClientToken=t-1"};
    CHECK(outcome(request) == example_id);
}

TEST_CASE("the Authorization header may be spaced and ordered otherwise") {
    const auto with = [](const std::string& what, const std::string& by) {
        return outcome_of(nothing, [&](Signed& s) {
            auto& text = s.authorization();
            for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos;)
                text.replace(at, what.size(), by), at += by.size();
        });
    };
    CHECK(with(", ", ",") == example_id);
    CHECK(with(", ", " ,\t  ") == example_id);
    CHECK(with("SHA256 ", "SHA256   ") == example_id);
    CHECK(outcome_of(nothing, [](Signed& s) {
              auto& text = s.authorization();
              const auto at = text.find(", Signature=");
              text = replaced(text.substr(0, at),
                              "Credential=", text.substr(at + 2) + ", Credential=");
          }) == example_id);
}

TEST_CASE("S7 a signature over another body is an AuthFailure") {
    const auto reason = "the signature is not that of key AKIDEXAMPLE for this request";
    check_auth_failures({
        {"a byte more", nothing, [](Signed& s) { s.request.body += '&'; }, reason},
        {"a byte less", nothing, [](Signed& s) { s.request.body.pop_back(); }, reason},
        {"a bit other", nothing, [](Signed& s) { s.request.body[0] ^= 1; }, reason},
        {"none", nothing, [](Signed& s) { s.request.body.clear(); }, reason},
    });
}

TEST_CASE("S7 a signature over another method, path, query or header is an AuthFailure") {
    const auto reason = "the signature is not that of key AKIDEXAMPLE for this request";
    const Change with_query = [](Signed& s) {
        s.request.query = s.canonical_query = "Action=X&DryRun=true";
    };
    const Change with_header = [](Signed& s) { s.header("My-Header") = "a b"; };
    check_auth_failures({
        {"method", nothing, [](Signed& s) { s.request.method = "PUT"; }, reason},
        {"path", nothing, [](Signed& s) { s.request.path = "/a"; }, reason},
        {"a query that was not there", nothing, [](Signed& s) { s.request.query = "a"; }, reason},
        {"an empty parameter", nothing, [](Signed& s) { s.request.query = "&"; }, reason},
        {"query gone", with_query, [](Signed& s) { s.request.query = ""; }, reason},
        {"value", with_query, [](Signed& s) { s.request.query.back() = 'E'; }, reason},
        {"name", with_query, [](Signed& s) { s.request.query.front() = 'a'; }, reason},
        {"host", nothing, [](Signed& s) { s.header("Host") += ":80"; }, reason},
        {"time of the same day", nothing,
         [](Signed& s) { s.header("X-Amz-Date") = "20150830T123601Z"; }, reason},
        {"header", with_header, [](Signed& s) { s.header("My-Header") = "ab"; }, reason},
        {"a header's case", with_header, [](Signed& s) { s.header("My-Header") = "a B"; }, reason},
        {"fewer signed headers", with_header,
         [](Signed& s) { s.authorization() = replaced(s.authorization(), "my-header;", ""); },
         reason},
    });
    CHECK(outcome_of(with_query) == example_id);
    CHECK(outcome_of(with_header, [](Signed& s) { s.header("My-Header") = " a  b\t"; }) ==
          example_id);
    CHECK(outcome_of(with_query, [](Signed& s) { s.request.query = "DryRun=t%72ue&Action=X"; }) ==
          example_id);
}

TEST_CASE("S7 a plus and a space in a query have signatures of their own") {
    const auto with = [](const std::string& signed_as, const std::string& sent) {
        return outcome_of([&](Signed& s) {
            s.canonical_query = "a=" + signed_as;
            s.request.query = "a=" + sent;
        });
    };
    CHECK(with("%20", "%20") == example_id);
    CHECK(with("%20", "+") == example_id);
    CHECK(with("%2B", "%2B") == example_id);
    CHECK(with("%2B", "%2b") == example_id);
    CHECK_THAT(with("%2B", "+"), Contains("auth_failure"));
    CHECK_THAT(with("%2B", "%20"), Contains("auth_failure"));
    CHECK_THAT(with("+", "+"), Contains("auth_failure"));
}

TEST_CASE("S7 a signature by another secret or for another key is an AuthFailure") {
    check_auth_failures({
        {"wrong secret", [](Signed& s) { s.secret += "x"; }, nothing, "the signature is not that"},
        {"another's secret", [](Signed& s) { s.secret = "another-secret"; }, nothing,
         "the signature is not that of key AKIDEXAMPLE"},
        {"another's id", [](Signed& s) { s.id = "OTHER"; }, nothing,
         "the signature is not that of key OTHER"},
        {"unknown id", [](Signed& s) { s.id = "NOBODY"; }, nothing, "there is no key \"NOBODY\""},
        {"id in another case", [](Signed& s) { s.id = "akidexample"; }, nothing, "there is no key"},
        {"empty id", [](Signed& s) { s.id = ""; }, nothing, "there is no key \"\""},
        {"the stand-in for an unknown key's secret",
         [](Signed& s) { s.id = "NOBODY", s.secret = std::string(40, '-'); }, nothing,
         "there is no key"},
    });
}

TEST_CASE("S7 each digit of the signature counts") {
    for (int i = 0; i < 64; ++i) {
        INFO("digit " << i);
        CHECK_THAT(outcome_of(nothing,
                              [&](Signed& s) {
                                  auto& digit = s.authorization().end()[-1 - i];
                                  digit = digit == 'a' ? 'b' : 'a';
                              }),
                   Contains("auth_failure: the signature is not"));
    }
}

TEST_CASE("S7 a credential for another day, region, service or purpose is an AuthFailure") {
    check_auth_failures({
        {"day", [](Signed& s) { s.date = "20150831"; }, nothing,
         "date is \"20150831\", not \"20150830\""},
        {"day in another form", [](Signed& s) { s.date = "2015-08-30"; }, nothing, "date is"},
        {"region", [](Signed& s) { s.scope_region = "us-east-2"; }, nothing,
         "region is \"us-east-2\", not \"us-east-1\""},
        {"no region", [](Signed& s) { s.scope_region = ""; }, nothing, "region is \"\""},
        {"service", [](Signed& s) { s.service = "s3"; }, nothing, "service is \"s3\""},
        {"service in capitals", [](Signed& s) { s.service = "EC2"; }, nothing, "service is"},
        {"terminator", [](Signed& s) { s.terminator = "aws4_request2"; }, nothing,
         "terminator is \"aws4_request2\""},
        {"a part more", [](Signed& s) { s.terminator += "/x"; }, nothing, "is not KEY/DATE/"},
        {"a part less", nothing,
         [](Signed& s) { s.authorization() = replaced(s.authorization(), "/ec2", ""); },
         "is not KEY/DATE/"},
    });
}

TEST_CASE("S7 host, the date and every x-amz header must be signed") {
    const auto leave_out = [](const char* name, const char* value, const char* rest) {
        return [=](Signed& s) {
            if (*value) s.header(name) = value;
            s.signed_headers = rest;
        };
    };
    check_auth_failures({
        {"host", leave_out("Host", "", "x-amz-date"), nothing, "header \"host\" is not signed"},
        {"x-amz-date", leave_out("X-Amz-Date", "", "host"), nothing,
         "header \"x-amz-date\" is not signed"},
        {"Date",
         [](Signed& s) {
             s.remove("X-Amz-Date");
             s.header("Date") = "Sun, 30 Aug 2015 12:36:00 GMT";
             s.signed_headers = "host";
         },
         nothing, "header \"date\" is not signed"},
        {"any x-amz header", leave_out("X-AMZ-Meta", "x", "host;x-amz-date"), nothing,
         "header \"x-amz-meta\" is not signed"},
        {"x-amz header added later", nothing, [](Signed& s) { s.header("x-amz-target") = "x"; },
         "header \"x-amz-target\" is not signed"},
        {"no host at all", [](Signed& s) { s.remove("Host"); }, nothing,
         "header \"host\" is not signed"},
    });
    // What a proxy on the way may add, and a Date beside x-amz-date.
    CHECK(outcome_of(nothing, [](Signed& s) {
              s.header("Via") = "1.1 proxy";
              s.header("X-Amzn-Trace-Id") = "Root=1";
              s.header("Date") = "soon";
          }) == example_id);
}

TEST_CASE("S7 a list of signed headers that is not canonical is an AuthFailure") {
    const auto list = [](const char* names) {
        return [=](Signed& s) { s.signed_headers = names; };
    };
    const auto unsorted = "SignedHeaders is not sorted or has duplicates";
    const auto bad_name = "not a header's name in lower case";
    check_auth_failures({
        {"unsorted", list("x-amz-date;host"), nothing, unsorted},
        {"duplicate", list("host;host;x-amz-date"), nothing, unsorted},
        {"capitals", list("Host;x-amz-date"), nothing, bad_name},
        {"an empty name", list("host;;x-amz-date"), nothing, bad_name},
        {"an end without name", list("host;x-amz-date;"), nothing, bad_name},
        {"a blank", list("host; x-amz-date"), nothing, bad_name},
        {"no token", list("host;x-amz-date;y\xc3\xa4"), nothing, bad_name},
        {"absent header", list("host;my-header;x-amz-date"), nothing,
         "the signed header \"my-header\" is absent"},
        {"empty", nothing,
         [](Signed& s) { s.authorization() = replaced(s.authorization(), "host;x-amz-date", ""); },
         bad_name},
    });
}

TEST_CASE("S7 a signed header that appears twice is an AuthFailure") {
    const auto again = [](const char* name, const char* value) {
        return [=](Signed& s) { s.request.headers.emplace_back(name, value); };
    };
    const Change with_header = [](Signed& s) { s.header("My-Header") = "a"; };
    check_auth_failures({
        {"host", nothing, again("HOST", "ec2.us-east-1.amazonaws.com"), "\"host\" appears more"},
        {"x-amz-date", nothing, again("x-amz-date", iso.c_str()), "\"x-amz-date\" appears more"},
        {"any", with_header, again("my-header", "a"), "\"my-header\" appears more than once"},
        {"signed as a list",
         [](Signed& s) {
             s.request.headers.insert(s.request.headers.end(),
                                      {{"My-Header", "a"}, {"My-Header", "b"}});
             s.signed_headers = "host;my-header;x-amz-date";
         },
         nothing, "\"my-header\" appears more than once"},
        {"Authorization", nothing,
         [](Signed& s) { s.request.headers.push_back(s.request.headers.back()); },
         "\"authorization\" appears more than once"},
    });
    CHECK(outcome_of(nothing, [](Signed& s) {
              s.request.headers.insert(s.request.headers.end(), {{"Via", "a"}, {"Via", "b"}});
          }) == example_id);
}

TEST_CASE("S7 a body hash in the headers must be the body's") {
    const auto hash = [](const std::string& value) {
        return [=](Signed& s) { s.header("x-amz-content-sha256") = value; };
    };
    const auto reason = "x-amz-content-sha256 is ";
    check_auth_failures({
        {"another body's", hash(hex(sha256("other"))), nothing, reason},
        {"in capitals",
         [](Signed& s) {
             auto text = hex(sha256(s.request.body));
             std::transform(text.begin(), text.end(), text.begin(), ::toupper);
             s.header("x-amz-content-sha256") = text;
         },
         nothing, reason},
        {"none", hash(""), nothing, reason},
        {"UNSIGNED-PAYLOAD", hash("UNSIGNED-PAYLOAD"), nothing, reason},
        {"chunks", hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), nothing, reason},
        {"unsigned chunks", hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), nothing, reason},
        {"body changed and hash too", hash(hex(sha256(Signed().request.body))),
         [](Signed& s) {
             s.request.body += "&a=b";
             s.header("x-amz-content-sha256") = hex(sha256(s.request.body));
         },
         "the signature is not that"},
    });
    CHECK(outcome_of([](Signed& s) {
              s.header("x-amz-content-sha256") = hex(sha256(s.request.body));
          }) == example_id);

    // The hash as the payload line of the canonical request, as UNSIGNED-PAYLOAD is meant.
    Signed s;
    s.header("x-amz-content-sha256") = "UNSIGNED-PAYLOAD";
    s.sign();
    CHECK_THAT(outcome(s.request), Contains("bodies are signed whole"));
}

TEST_CASE("S7 a session token must be the key's, and absent when it has none") {
    const auto token = [](const std::string& id, const std::string& value) {
        return [=](Signed& s) {
            s.id = id;
            s.header("X-Amz-Security-Token") = value;
        };
    };
    const auto reason = "x-amz-security-token is not as key ";
    check_auth_failures({
        {"absent", [](Signed& s) { s.id = "TEMPORARY"; }, nothing, reason},
        {"empty", token("TEMPORARY", ""), nothing, reason},
        {"wrong", token("TEMPORARY", example_token + "="), nothing, reason},
        {"wrong at the end", token("TEMPORARY", example_token.substr(0, 36) + "+"), nothing,
         reason},
        {"not asked for", token(example_id, example_token), nothing, reason},
        {"empty where none is asked for", token(example_id, ""), nothing, reason},
        {"not signed", [](Signed& s) { s.id = "TEMPORARY"; },
         [](Signed& s) { s.header("X-Amz-Security-Token") = example_token; },
         "\"x-amz-security-token\" is not signed"},
    });
    CHECK(outcome_of(token("TEMPORARY", example_token)) == "TEMPORARY");
    CHECK_THAT(outcome_of(token("TEMPORARY", "wrong")), !Contains(example_token));
}

TEST_CASE("S7 other ways of signing are an AuthFailure with the reason") {
    const auto query = [](const char* text) {
        return [=](Signed& s) { s.request.query = s.canonical_query = text; };
    };
    const auto scheme = [](const char* text) {
        return [=](Signed& s) { s.authorization() = text; };
    };
    check_auth_failures({
        {"no Authorization", nothing, [](Signed& s) { s.remove("Authorization"); },
         "no Authorization header"},
        {"empty", nothing, scheme(""), "Authorization scheme \"\""},
        {"Basic", nothing, scheme("Basic dXNlcjpwYXNz"), "Authorization scheme \"Basic\""},
        {"version 2", nothing, scheme("AWS AKIDEXAMPLE:abc="), "Authorization scheme \"AWS\""},
        {"version 4a", nothing,
         [](Signed& s) {
             s.authorization() = replaced(s.authorization(), "HMAC-SHA256", "ECDSA-P256-SHA256");
         },
         "Authorization scheme \"AWS4-ECDSA-P256-SHA256\""},
        {"version 2 in the query", query("AWSAccessKeyId=AKIDEXAMPLE"), nothing,
         "Signature Version 2 (AWSAccessKeyId in the query)"},
        {"its signature", query("Signature=abc"), nothing, "Signature Version 2 (Signature in"},
        {"its version", query("SignatureVersion=2"), nothing, "Signature Version 2"},
        {"its method", query("SignatureMethod=HmacSHA256"), nothing, "Signature Version 2"},
        {"presigned", query("X-Amz-Algorithm=AWS4-HMAC-SHA256"), nothing,
         "presigned request (\"X-Amz-Algorithm\" in the query)"},
        {"its signature", query("X-Amz-Signature=0"), nothing, "presigned request"},
        {"its token", query("x-amz-security-token=0"), nothing, "presigned request"},
        {"encoded", query("X%2DAmz-Date=0"), nothing, "presigned request"},
    });
}

TEST_CASE("S7 a malformed Authorization header is an AuthFailure") {
    const auto change = [](const char* what, const char* with) {
        return [=](Signed& s) { s.authorization() = replaced(s.authorization(), what, with); };
    };
    check_auth_failures({
        {"nothing in it", nothing, [](Signed& s) { s.authorization() = "AWS4-HMAC-SHA256"; },
         "Authorization has a part \"\""},
        {"no Credential", nothing,
         [](Signed& s) {
             auto& text = s.authorization();
             text = "AWS4-HMAC-SHA256 " + text.substr(text.find("SignedHeaders"));
         },
         "Authorization has no Credential"},
        {"no SignedHeaders", nothing, change("SignedHeaders=host;x-amz-date, ", ""),
         "Authorization has no SignedHeaders"},
        {"no Signature", nothing,
         [](Signed& s) {
             auto& text = s.authorization();
             text.resize(text.find(", Signature"));
         },
         "Authorization has no Signature"},
        {"another part", nothing, change(", Signature", ", Expires=9, Signature"),
         "has a part \"Expires\""},
        {"a part twice", nothing, change(", Signature", ", SignedHeaders=host, Signature"),
         "has two parts SignedHeaders"},
        {"an empty part", nothing, change(", ", ",, "), "has a part \"\""},
        {"name in lower case", nothing, change("Credential", "credential"),
         "a part \"credential\""},
        {"no commas", nothing, change(", Signature", " Signature"),
         "Authorization has no Signature"},
        {"scheme in lower case", nothing, change("AWS4-HMAC", "aws4-hmac"), "Authorization scheme"},
        {"short signature", nothing, [](Signed& s) { s.authorization().pop_back(); },
         "Signature is not 64 digits"},
        {"long signature", nothing, [](Signed& s) { s.authorization() += '0'; },
         "Signature is not 64 digits"},
        {"capitals in the signature", nothing, [](Signed& s) { s.authorization().back() = 'A'; },
         "Signature is not 64 digits"},
        {"empty signature", nothing,
         [](Signed& s) {
             auto& text = s.authorization();
             text.resize(text.size() - 64);
         },
         "Signature is not 64 digits"},
    });
}

TEST_CASE("S7 a date that is none is an AuthFailure") {
    for (const auto* text : {"",
                             "x",
                             "20150830",
                             "20150830T123600",
                             "2015-08-30T12:36:00Z",
                             "20150830T123600z",
                             "20150830T123660Z",
                             "20150830T126000Z",
                             "20150830T240000Z",
                             "20151301T000000Z",
                             "20150229T000000Z",
                             "20150800T000000Z",
                             "20150830T1236000Z",
                             "+0150830T123600Z",
                             "2015083 T123600Z",
                             "20150830T-10000Z",
                             "20150830T123600Z20150830T123600Z",
                             "99999999T999999Z",
                             "Sun, 30 Aug 2015 12:36:00 GMT",
                             "\xff"}) {
        INFO(text);
        CHECK_THAT(outcome_of([&](Signed& s) { s.header("X-Amz-Date") = s.timestamp = text; }),
                   Contains("auth_failure: header x-amz-date: ") && Contains("is not a time"));
    }
    const auto date = [](const std::string& text) {
        return outcome_of([&](Signed& s) {
            s.remove("X-Amz-Date");
            s.header("Date") = text;
        });
    };
    for (const auto* text : {"", "Sat, 30 Aug 2015 12:36:00 GMT", "Sun, 30 Aug 2015 12:36:00",
                             "Sun, 30 Aug 2015 12:36:00 CET", "Sun, 30 Aug 2015 12:36:00 -0100",
                             "Sun, 30 aug 2015 12:36:00 GMT", "Sun, 30 Xyz 2015 12:36:00 GMT",
                             "Sun, 31 Feb 2015 12:36:00 GMT", "Sunday, 30-Aug-15 12:36:00 GMT",
                             "Sun Aug 30 12:36:00 2015", "Sun,30 Aug 2015 12:36:00 GMT",
                             "Sun, 30 Aug 2015 12:36:00 GMT."}) {
        INFO(text);
        CHECK_THAT(date(text),
                   Contains("auth_failure: header date: ") && Contains("is not a time"));
    }
    CHECK(date("Sun, 30 Aug 2015 12:36:00 GMT") == example_id);
    CHECK(date("Sun, 30 Aug 2015 12:36:00 +0000") == example_id);
    CHECK(date(iso) == example_id);
    CHECK_THAT(outcome_of([](Signed& s) { s.remove("X-Amz-Date"); }),
               Contains("auth_failure: neither x-amz-date nor Date"));
}

TEST_CASE("S7 a request outside the 15 minutes is RequestExpired, and one just inside is not") {
    const auto expired = Catch::StartsWith("request_expired: ");
    CHECK(outcome_of(nothing, nothing, signed_at + 15min) == example_id);
    CHECK(outcome_of(nothing, nothing, signed_at - 15min) == example_id);
    CHECK_THAT(outcome_of(nothing, nothing, signed_at + 15min + 1ns), expired);
    CHECK_THAT(outcome_of(nothing, nothing, signed_at - 15min - 1ns), expired);
    CHECK_THAT(outcome_of(nothing, nothing, signed_at + 15min + 1s), expired);
    CHECK_THAT(outcome_of(nothing, nothing, signed_at - 15min - 1s), expired);
    CHECK_THAT(outcome_of(nothing, nothing, std::chrono::system_clock::time_point()), expired);
    for (const auto* text : {"00000101T000000Z", "19691231T235959Z", "99991231T235959Z"}) {
        INFO(text);
        CHECK_THAT(outcome_of([&](Signed& s) {
                       s.header("X-Amz-Date") = s.timestamp = text;
                       s.date = std::string(text, 8);
                   }),
                   expired);
    }
    CHECK_THAT(outcome_of([](Signed& s) {
                   s.remove("X-Amz-Date");
                   s.header("Date") = "Sun, 30 Aug 2015 12:20:59 GMT";
                   s.timestamp = "20150830T122059Z";
               }),
               expired);
    // Around midnight the credential's day is the date's, not the clock's.
    CHECK(outcome_of(
              [](Signed& s) {
                  s.header("X-Amz-Date") = s.timestamp = "20150829T235500Z";
                  s.date = "20150829";
              },
              nothing, std::chrono::system_clock::time_point(1440893100s)) == example_id);
}

TEST_CASE("S7 what one set of keys has verified changes nothing for another day, region or key") {
    const auto keys = credentials();
    const auto let_in = [&](const std::string& id, const std::string& secret, int day,
                            const std::string& of_region) {
        Signed s;
        s.id = id, s.secret = secret, s.scope_region = of_region;
        s.date = std::to_string(20150830 + day);
        s.header("X-Amz-Date") = s.timestamp = s.date + "T123600Z";
        s.sign();
        try {
            return keys.authenticate(s.request, of_region, signed_at + 24h * day) == id;
        } catch (const AccessDenied&) {
            return false;
        }
    };
    for (const int day : {0, 0, 1, 0, 1})
        for (const std::string of_region : {"us-east-1", "us-east-1", "eu-west-1"}) {
            INFO("day " << day << ", " << of_region);
            CHECK(let_in(example_id, example_secret, day, of_region));
            CHECK(let_in("OTHER", "another-secret", day, of_region));
            CHECK_FALSE(let_in("OTHER", example_secret, day, of_region));
            CHECK_FALSE(let_in(example_id, "another-secret", day, of_region));
            CHECK_FALSE(let_in("NOBODY", std::string(40, '-'), day, of_region));
        }
}

TEST_CASE("S7 a late request is an AuthFailure before it is RequestExpired") {
    const auto late = signed_at + 1h;
    const auto failure = Catch::StartsWith("auth_failure: ");
    CHECK_THAT(outcome_of([](Signed& s) { s.secret = "wrong"; }, nothing, late), failure);
    CHECK_THAT(outcome_of([](Signed& s) { s.id = "NOBODY"; }, nothing, late), failure);
    CHECK_THAT(outcome_of([](Signed& s) { s.id = "TEMPORARY"; }, nothing, late), failure);
    CHECK_THAT(outcome_of(
                   nothing, [](Signed& s) { s.request.body += "x"; }, late),
               failure);
}

TEST_CASE("S7 a request that is no good HTTP is an AuthFailure") {
    const auto query = [](const std::string& text) {
        return [=](Signed& s) { s.request.query = text; };
    };
    const auto path = [](const std::string& text) {
        return [=](Signed& s) { s.request.path = text; };
    };
    const auto header = [](const std::string& name, const std::string& value) {
        return [=](Signed& s) { s.request.headers.emplace_back(name, value); };
    };
    const auto encoding = "bad percent-encoding";
    const auto control = "control character in ";
    const auto value = "has a control character";
    check_auth_failures({
        {"encoding that ends", nothing, query("a=%"), encoding},
        {"encoding that ends later", nothing, query("a=%2"), encoding},
        {"encoding over the parameter's end", nothing, query("a=%2&5"), encoding},
        {"encoding without digits", nothing, query("%zz"), encoding},
        {"encoding with a sign", nothing, query("%+1"), encoding},
        {"encoding in the path", nothing, path("/%g0"), encoding},
        {"line end in the query", nothing, query("a\nb"), control},
        {"NUL in the query", nothing, query(std::string("a\0", 2)), control},
        {"delete in the path", nothing, path("/\x7f"), control},
        {"a path that is none", nothing, path("*"), "does not start with /"},
        {"a whole URL", nothing, path("http://a/"), "does not start with /"},
        {"no method", nothing, [](Signed& s) { s.request.method = ""; }, "bad method \"\""},
        {"method in lower case", nothing, [](Signed& s) { s.request.method = "post"; },
         "bad method"},
        {"method with a line end", nothing, [](Signed& s) { s.request.method = "GET\n/"; },
         "bad method"},
        {"header without name", nothing, header("", "x"), "bad header name"},
        {"header name with a blank", nothing, header("Via ", "x"), "bad header name"},
        {"header name with a NUL", nothing, header(std::string("Vi\0a", 4), "x"),
         "bad header name"},
        {"header name that is not ASCII", nothing, header("V\xc3\xaf", "x"), "bad header name"},
        {"line end in a header", nothing, header("Via", "x\r\nHost: y"), value},
        {"NUL in a header", nothing, header("Via", std::string("x\0", 2)), value},
        {"delete in a header", nothing, header("Via", "\x7f"), value},
        {"a huge header", nothing, header("Via", std::string(SignedRequest::head_limit, 'x')),
         "bytes, more than 65536"},
        {"a huge query", nothing, query(std::string(SignedRequest::head_limit, '&')),
         "bytes, more than 65536"},
    });
    CHECK_THAT(outcome_of(nothing,
                          [](Signed& s) {
                              for (int i = 0; i < 10000; ++i)
                                  s.request.headers.emplace_back("Via", "proxy");
                          }),
               Contains("bytes, more than 65536"));
    CHECK_THAT(outcome({}), Contains("auth_failure: bad method"));
    CHECK(outcome_of([](Signed& s) { s.header("My-Header") = "\xff\xc3\xa4"; }) == example_id);
    CHECK(outcome_of([](Signed& s) {
              s.request.query = "a=%00%ff";
              s.canonical_query = "a=%00%FF";
          }) == example_id);
}

TEST_CASE("S7 reasons are one line and hold no secret, whatever a request has in it") {
    for (const auto* name : {"\n", "\xff", "a\r\nb", "\x1b[2J"}) {
        for (const auto& text :
             {outcome_of([&](Signed& s) { s.request.path = name; }),
              outcome_of([&](Signed& s) { s.request.query = std::string("%") + name; }),
              outcome_of([&](Signed& s) { s.request.headers.emplace_back(name, ""); }),
              outcome_of([&](Signed& s) { s.id = name; })}) {
            INFO(text);
            CHECK_THAT(text, Catch::StartsWith("auth_failure: "));
            CHECK(std::none_of(text.begin(), text.end(),
                               [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
            CHECK_THAT(text, !Contains(example_secret));
        }
    }
    const auto huge = outcome_of([](Signed& s) { s.id = std::string(9999, 'x'); });
    CHECK(huge.size() < 300);
}

TEST_CASE("S7 a request with a random byte changed is let in only if it still means the same") {
    const auto* given = std::getenv("MIRRORNIC_SEED");
    const auto seed = given ? unsigned(std::strtoul(given, nullptr, 0)) : std::random_device{}();
    INFO("MIRRORNIC_SEED=" << seed);
    std::mt19937 random(seed);
    Signed original;
    original.request.query = original.canonical_query = "Action=X&a=%20";
    original.sign();
    // Without the case of header names and the kinds of blanks in their values.
    const auto meaning = [](const HttpRequest& r) {
        auto out = r.method + r.path + "?" + r.query + "\n" + r.body;
        for (const auto& [name, value] : r.headers) {
            out += "\n" + lower_case(name) + ":";
            std::replace_copy(value.begin(), value.end(), std::back_inserter(out), '\t', ' ');
        }
        return out;
    };
    const auto keys = credentials();
    int accepted = 0, refused = 0;
    for (int i = 0; i < 20000; ++i) {
        auto request = original.request;
        std::vector<std::string*> texts{&request.method, &request.path, &request.query,
                                        &request.body};
        for (auto& [name, value] : request.headers) texts.insert(texts.end(), {&name, &value});
        auto& text = *texts[random() % texts.size()];
        const auto at = random() % text.size();
        text[at] = char(random());
        bool let_in = true;
        try {
            keys.authenticate(request, region, signed_at);
        } catch (const AccessDenied&) {
            let_in = false;
        }
        ++(let_in ? accepted : refused);
        if (let_in != (meaning(request) == meaning(original.request))) {
            INFO("byte " << at << " of " << text);
            CHECK_FALSE("let in or kept out wrongly");
        }
    }
    CHECK(accepted > 10);
    CHECK(refused > 10000);
}

TEST_CASE("a policy allows what a statement allows and no other denies") {
    const auto allows = [](const std::string& statements, const std::string& action) {
        return Credentials::parse("k", R"({"Credentials": [{"AccessKeyId": "A",
            "SecretAccessKey": "s", "Policy": )" +
                                           policy(statements) + "}]}")
            .allows("A", action);
    };
    const auto statement = [](const std::string& effect, const std::string& action) {
        return R"({"Effect": ")" + effect + R"(", "Action": )" + action + R"(, "Resource": "*"})";
    };
    const std::string create = "CreateTrafficMirrorSession";
    struct {
        std::string statements, action;
        bool allowed;
    } const cases[] = {
        {"", create, false},
        {statement("Allow", R"("*")"), create, true},
        {statement("Allow", R"(["*"])"), create, true},
        {statement("Allow", R"("ec2:*")"), create, true},
        {statement("Allow", R"("EC2:*")"), create, true},
        {statement("Allow", R"("s3:*")"), create, false},
        {statement("Allow", R"("ec2:CreateTrafficMirrorSession")"), create, true},
        {statement("Allow", R"("ec2:createtrafficmirrorSESSION")"), create, true},
        {statement("Allow", R"("ec2:CreateTrafficMirrorSession")"), "createTrafficMIRRORsession",
         true},
        {statement("Allow", R"("ec2:CreateTrafficMirrorSession")"), create + "s", false},
        {statement("Allow", R"("ec2:CreateTrafficMirrorSession")"), "xCreateTrafficMirrorSession",
         false},
        {statement("Allow", R"("ec2:CreateTrafficMirrorSession?")"), create, false},
        {statement("Allow", R"("ec2:CreateTrafficMirrorSessio?")"), create, true},
        {statement("Allow", R"("ec2:?reate*Session")"), create, true},
        {statement("Allow", R"("ec2:Create*")"), create, true},
        {statement("Allow", R"("ec2:Create*")"), "DeleteTrafficMirrorSession", false},
        {statement("Allow", R"("ec2:*Session")"), "DeleteTrafficMirrorSession", true},
        {statement("Allow", R"("ec2:*Session")"), "DescribeTrafficMirrorSessions", false},
        {statement("Allow", R"("ec2:*Mirror*Mirror*")"), create, false},
        {statement("Allow", R"("ec2:*r*r*r*")"), create, true},
        {statement("Allow", R"("ec2:**")"), create, true},
        {statement("Allow", R"("ec2:*??????????????????????????")"), create, true},
        {statement("Allow", R"("ec2:*???????????????????????????")"), create, false},
        {statement("Allow", R"("ec*:Create*")"), create, true},
        {statement("Allow", R"(["s3:*", "ec2:Create*"])"), create, true},
        {statement("Allow", R"(["s3:*", "ec2:Delete*"])"), create, false},
        {statement("Allow", R"("*")") + "," + statement("Deny", R"("ec2:Create*")"), create, false},
        {statement("Deny", R"("ec2:Create*")") + "," + statement("Allow", R"("*")"), create, false},
        {statement("Deny", R"("ec2:create*")") + "," + statement("Allow", R"("*")"),
         "DeleteTrafficMirrorSession", true},
        {statement("Allow", "\"ec2:" + create + "\"") + "," + statement("Deny", R"("*")"), create,
         false},
        {statement("Deny", R"("*")"), create, false},
        {statement("Deny", R"("s3:*")"), create, false},
        {statement("Allow", R"("s3:*")") + "," + statement("Allow", R"("ec2:*")"), create, true},
        {statement("Allow", R"("ec2:/health")"), "/health", true},
        {statement("Allow", R"("EC2:/Health")"), "/health", true},
        {statement("Allow", R"("ec2:/health")"), "/metrics", false},
        {statement("Allow", R"("ec2:/health")"), create, false},
        {statement("Allow", R"(["ec2:/health", "ec2:/stats"])"), "/stats", true},
        {statement("Allow", R"("ec2:/*")"), "/metrics", true},
        {statement("Allow", R"("ec2:/*")"), create, false},
        {statement("Allow", R"("ec2:/?????")"), "/stats", true},
        {statement("Allow", R"("ec2:*")"), "/stats", true},
        {statement("Allow", R"("ec2:Describe*")"), "/stats", false},
        {statement("Allow", R"("*")") + "," + statement("Deny", R"("ec2:/m*")"), "/metrics", false},
        {statement("Allow", R"("*")") + "," + statement("Deny", R"("ec2:/m*")"), "/health", true},
        {R"({"Effect": "Allow", "NotAction": "ec2:Delete*", "Resource": "*"})", create, true},
        {R"({"Effect": "Allow", "NotAction": "ec2:Create*", "Resource": "*"})", create, false},
        {R"({"Effect": "Allow", "NotAction": ["iam:*", "ec2:/*"], "Resource": "*"})", create, true},
        {R"({"Effect": "Allow", "NotAction": ["iam:*", "ec2:/*"], "Resource": "*"})", "/stats",
         false},
        {statement("Allow", R"("*")") +
             R"(, {"Effect": "Deny", "NotAction": "ec2:Describe*", "Resource": "*"})",
         create, false},
    };
    for (const auto& c : cases) {
        INFO(c.statements << " for " << c.action);
        CHECK(allows(c.statements, c.action) == c.allowed);
    }
}

TEST_CASE("a key has its own policy, and an unknown key none") {
    const auto keys = Credentials::parse("k", R"({"Credentials": [
        {"AccessKeyId": "A", "SecretAccessKey": "s", "Policy": {"Id": "p", "Statement":
            {"Sid": "1", "Effect": "Allow", "Action": "ec2:Describe*", "Resource": ["*"]}}},
        {"AccessKeyId": "B", "SecretAccessKey": "s", "Policy": {"Statement": []}}]})");
    CHECK(keys.allows("A", "DescribeTrafficMirrorSessions"));
    CHECK_FALSE(keys.allows("A", "CreateTrafficMirrorSession"));
    CHECK_FALSE(keys.allows("B", "DescribeTrafficMirrorSessions"));
    CHECK_FALSE(keys.allows("C", "DescribeTrafficMirrorSessions"));
    CHECK_FALSE(keys.allows("a", "DescribeTrafficMirrorSessions"));
}

TEST_CASE("a policy is taken in the forms that AWS prints and documents") {
    const auto allows = [](const std::string& policy, const std::string& action) {
        return Credentials::parse("k", R"({"Credentials": [{"AccessKeyId": "A",
            "SecretAccessKey": "s", "Policy": )" +
                                           policy + "}]}")
            .allows("A", action);
    };
    const std::string policies[] = {
        // One statement and one action without brackets; without a version; the older one.
        R"({"Statement": {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}})",
        R"({"Version": "2008-10-17", "Id": "an id", "Statement": [{"Sid": "a Sid with spaces",
            "Effect": "Allow", "Action": ["ec2:Describe*"], "Resource": ["*"]}]})",
        R"({"Version": "2012-10-17", "Statement": [{"Sid": "", "Resource": "*", "Effect": "Allow",
            "Action": "ec2:Describe*"}]})",
        // What is said of other services is passed over, whatever it is.
        R"({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ec2:Describe*"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["logs:*"], "Resource": "arn:aws:logs:*:*:*"},
            {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::secret/*"},
            {"Effect": "Allow", "Action": "iam:CreateServiceLinkedRole", "Resource": "*",
             "Condition": {"StringEquals": {"iam:AWSServiceName": ["spot.amazonaws.com"]}}}]})",
        // As AWS's own policies of power users.
        R"({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "ec2:Create*"],
             "Resource": "*"}, {"Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"}]})",
    };
    for (const auto& policy : policies) {
        INFO(policy);
        CHECK(allows(policy, "DescribeTrafficMirrorSessions"));
        CHECK_FALSE(allows(policy, "CreateTrafficMirrorSession"));
    }
}

TEST_CASE("a policy with what is not supported is refused with file and path") {
    const auto refusal = [](const std::string& policy) -> std::string {
        try {
            Credentials::parse("keys.json", R"({"Credentials": [{"AccessKeyId": "A",
                "SecretAccessKey": "s", "Policy": )" +
                                                policy + "}]}");
            return "none";
        } catch (const CredentialsError& error) {
            return error.what();
        }
    };
    const std::string at = "keys.json: Credentials[0].Policy";
    const auto statement = [](const std::string& more) {
        return R"({"Statement": [)" + allow_all +
               R"(, {"Effect": "Allow", "Action": "*", "Resource": "*", )" + more + "}]}";
    };
    const auto with = [](const std::string& effect, const std::string& action,
                         const std::string& resource) {
        return R"({"Statement": {"Effect": )" + effect + R"(, "Action": )" + action +
               R"(, "Resource": )" + resource + "}}";
    };
    CHECK(refusal(statement(R"("Sid": "fine")")) == "none");
    for (const auto* name : {"Condition", "NotResource", "Principal", "NotPrincipal"}) {
        CHECK(refusal(statement("\"" + std::string(name) + "\": {}")) ==
              at + ".Statement[1]." + name +
                  " is not supported; what is: Effect, Resource, Action, NotAction, Sid");
    }
    for (const auto* name : {"condition", "Effects"})
        CHECK_THAT(
            refusal(statement("\"" + std::string(name) + "\": {}")),
            Catch::StartsWith(at + ".Statement[1]." + name + " is not supported; what is: "));
    CHECK(refusal(statement(R"("NotAction": "s3:*")")) ==
          at + ".Statement[1] has both Action and NotAction");
    // A pattern of services that ec2 is one of is about ec2.
    for (const auto* action : {"*", "*:*", "e*:Describe*", R"(s3:*", "ec2:Describe*)"}) {
        INFO(action);
        CHECK_THAT(refusal(R"({"Statement": {"Effect": "Allow", "Action": [")" +
                           std::string(action) + R"("], "Resource": "*", "Condition": {}}})"),
                   Catch::StartsWith(at + ".Statement.Condition is not supported"));
    }
    CHECK_THAT(refusal(R"({"Statement": {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*",
                           "Condition": {}}})"),
               Catch::StartsWith(at + ".Statement.Condition is not supported"));
    const std::string one = at + ".Statement.";
    const std::pair<std::string, std::string> cases[] = {
        {"7", at + " is not an object"},
        {"[]", at + " is not an object"},
        {"{}", at + " has no Statement"},
        {R"({"Statement": [], "Default": "Allow"})",
         at + ".Default is not supported; what is: Statement, Version, Id"},
        {R"({"Statement": [], "Version": "2012-10-18"})",
         at + ".Version must be \"2012-10-17\" or \"2008-10-17\""},
        {R"({"Statement": [], "Version": 7})", at + ".Version is not a string"},
        {R"({"Statement": [], "Id": 7})", at + ".Id is not a string"},
        {R"({"Statement": "Allow"})", at + ".Statement is not an object"},
        {R"({"Statement": ["Allow"]})", at + ".Statement[0] is not an object"},
        {statement(R"("Sid": 7)"), at + ".Statement[1].Sid is not a string"},
        {R"({"Statement": {"Effect": "Allow", "Resource": "*"}})", at + ".Statement has no Action"},
        {R"({"Statement": {"Action": "*", "Resource": "*"}})", at + ".Statement has no Effect"},
        {R"({"Statement": {"Effect": "Allow", "Action": "*"}})", at + ".Statement has no Resource"},
        {with(R"("allow")", R"("*")", R"("*")"), one + "Effect is neither Allow nor Deny"},
        {with("true", R"("*")", R"("*")"), one + "Effect is not a string"},
        {with(R"("Deny")", "[]", R"("*")"), one + "Action is empty"},
        {with(R"("Deny")", "7", R"("*")"), one + "Action is not a string"},
        {with(R"("Deny")", R"(["*", 7])", R"("*")"), one + "Action[1] is not a string"},
        {with(R"("Deny")", R"(["*", "CreateTrafficMirrorSession"])", R"("*")"),
         one + "Action[1] is neither \"*\" nor of the form \"ec2:NAME\""},
        {with(R"("Deny")", R"("")", R"("*")"), one + "Action is neither"},
        {with(R"("Deny")", R"("ec2:")", R"("*")"), one + "Action is neither"},
        {with(R"("Deny")", R"(":x")", R"("*")"), one + "Action is neither"},
        {with(R"("Deny")", R"("ec2:a:b")", R"("*")"), one + "Action is neither"},
        {with(R"("Deny")", R"("ec2:/helth")", R"("*")"), one + "Action names no page; there are"},
        {with(R"("Deny")", R"("ec2:/")", R"("*")"), one + "Action names no page"},
        {with(R"("Deny")", R"("/health")", R"("*")"), one + "Action is neither"},
        {with(R"("Deny")", R"("ec2: Create*")", R"("*")"), one + "Action is neither"},
        {with(R"("Deny")", R"("*")", R"("arn:aws:ec2:*:*:*")"), one + "Resource must be \"*\""},
        {with(R"("Deny")", R"("*")", R"(["*", "*"])"), one + "Resource must be \"*\""},
        {with(R"("Deny")", R"("*")", R"(["arn:aws:ec2:*:*:*"])"), one + "Resource must be \"*\""},
        {with(R"("Deny")", R"("*")", "[]"), one + "Resource must be \"*\""},
        {with(R"("Deny")", R"("*")", "{}"), one + "Resource is not a string"},
    };
    for (const auto& [policy, message] : cases) {
        INFO(policy);
        CHECK_THAT(refusal(policy), Catch::StartsWith(message));
    }
}

TEST_CASE("a credentials file that is not one is refused, and no secret is shown") {
    const std::string secret = "TOP-SECRET";
    const auto entry = [](const std::string& members) {
        return R"({"Credentials": [{"Policy": )" + policy("") + members + "}]}";
    };
    const std::string id = R"(, "AccessKeyId": "A")", key = R"(, "SecretAccessKey": "TOP-SECRET")";
    const std::pair<std::string, std::string> cases[] = {
        {"", "keys.json: line 1, column 1: is not JSON"},
        {"{\n\"SecretAccessKey\": \"TOP-SECRET\" \"TOP-SECRET\"}",
         "keys.json: line 2, column 44: is not JSON"},
        {"{\"SecretAccessKey\": TOP-SECRET}", "is not JSON"},
        {"{\"SecretAccessKey\": \"TOP-SECRET\n\"}", "is not JSON"},
        {"{\"SecretAccessKey\": 9e999999}", "keys.json: SecretAccessKey: the number"},
        {"\"TOP-SECRET\"", "keys.json: is not an object"},
        {"[\"TOP-SECRET\"]", "keys.json: is not an object"},
        {"{}", "keys.json: has no Credentials"},
        {R"({"Credentials": "TOP-SECRET"})", "keys.json: Credentials is not a list"},
        {R"({"Credentials": ["TOP-SECRET"]})", "keys.json: Credentials[0] is not an object"},
        {R"({"Credentials": [], "Secret": "TOP-SECRET"})", "keys.json: Secret is not supported"},
        {entry(id), "keys.json: Credentials[0] has no SecretAccessKey"},
        {entry(key), "keys.json: Credentials[0] has no AccessKeyId"},
        {R"({"Credentials": [{"AccessKeyId": "A", "SecretAccessKey": "TOP-SECRET"}]})",
         "keys.json: Credentials[0] has no Policy"},
        {entry(id + key + key),
         "keys.json: Credentials[0]: member \"SecretAccessKey\" appears twice"},
        {entry(id + key + R"(, "secretaccesskey": "TOP-SECRET")"),
         "keys.json: Credentials[0].secretaccesskey is not supported; what is: AccessKeyId, "
         "SecretAccessKey, Policy, SessionToken"},
        {entry(key + R"(, "AccessKeyId": "")"), "Credentials[0].AccessKeyId is not 1 to 128"},
        {entry(key + R"(, "AccessKeyId": "TOP-SECRET/x")"), "AccessKeyId is not 1 to 128"},
        {entry(key + R"(, "AccessKeyId": 7)"), "Credentials[0].AccessKeyId is not a string"},
        {entry(id + R"(, "SecretAccessKey": "")"), "Credentials[0].SecretAccessKey is empty"},
        {entry(id + R"(, "SecretAccessKey": ["TOP-SECRET"])"),
         "Credentials[0].SecretAccessKey is not a string"},
        {entry(id + R"(, "SecretAccessKey": "TOP-SECRET ")"),
         "Credentials[0].SecretAccessKey has a blank"},
        {entry(id + R"(, "SecretAccessKey": "TOP-SECRET\u0000")"),
         "Credentials[0].SecretAccessKey has a blank"},
        {entry(id + key + R"(, "SessionToken": "")"), "Credentials[0].SessionToken is empty"},
        {entry(id + key + R"(, "SessionToken": null)"),
         "Credentials[0].SessionToken is not a string"},
        {entry(id + key + R"(, "SessionToken": "TOP-SECRET\n")"),
         "Credentials[0].SessionToken has a blank"},
        {R"({"Credentials": [{"AccessKeyId": "A", "SecretAccessKey": "TOP-SECRET", "Policy": )" +
             policy("") + R"(}, {"AccessKeyId": "A", "SecretAccessKey": "x", "Policy": )" +
             policy("") + "}]}",
         "keys.json: Credentials[1].AccessKeyId is the same as an earlier one"},
        {std::string(100, '['), "keys.json: "},
    };
    for (const auto& [text, message] : cases) {
        INFO(text);
        CHECK_THROWS_AS(Credentials::parse("keys.json", text), CredentialsError);
        CHECK_THROWS_WITH(Credentials::parse("keys.json", text),
                          Contains(message) && !Contains(secret));
    }
    CHECK_NOTHROW(Credentials::parse("keys.json", R"({"Credentials": []})"));
}

TEST_CASE("a credentials file that others may use is refused") {
    const auto name = std::filesystem::temp_directory_path() /
                      ("mirrornic-keys-" + std::to_string(getpid()) + ".json");
    const struct Removed {
        std::filesystem::path file;
        ~Removed() { std::filesystem::remove(file); }
    } removed{name};
    std::ofstream(name) << R"({"Credentials": [{"AccessKeyId": "A", "SecretAccessKey": "s",
        "Policy": )" << policy(allow_all)
                        << "}]}";
    for (const mode_t mode : {0600, 0400, 0700}) {
        INFO(std::oct << mode);
        REQUIRE(chmod(name.c_str(), mode) == 0);
        CHECK(Credentials::read(name).allows("A", "DescribeTrafficMirrorSessions"));
    }
    for (const mode_t bit : {0040, 0020, 0010, 0004, 0002, 0001}) {
        INFO(std::oct << bit);
        REQUIRE(chmod(name.c_str(), 0600 | bit) == 0);
        CHECK_THROWS_AS(Credentials::read(name), CredentialsError);
    }
    REQUIRE(chmod(name.c_str(), 0644) == 0);
    CHECK_THROWS_WITH(Credentials::read(name),
                      name.string() +
                          ": others than its owner may use it (mode 0644), and it holds secrets: "
                          "chmod 600 " +
                          name.string());
    CHECK_THROWS_WITH(Credentials::read("/nowhere/keys.json"),
                      "/nowhere/keys.json: No such file or directory");
    CHECK_THROWS_AS(Credentials::read("/nowhere/keys.json"), CredentialsError);
}
