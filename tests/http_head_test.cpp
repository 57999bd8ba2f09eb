// SPDX-License-Identifier: Apache-2.0
// Heads and chunked bodies, apart from sockets: wherever they are cut on their way, the same comes
// of them. tests/raw_requests_test.py has a table of what that is.
#include "host/http/http_head.hpp"

#include <random>

#include "catch.hpp"

using namespace mirrornic;

namespace {

/// What came of some bytes: a status, or 200; the body, and how many bytes were taken.
struct Outcome {
    unsigned status = 0;
    std::string text;
    std::size_t taken = 0;
    bool operator==(const Outcome& other) const {
        return status == other.status && text == other.text && taken == other.taken;
    }
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
    return out << outcome.status << " \"" << outcome.text << "\" of " << outcome.taken;
}

/// @param cuts so many bytes come at a time, in turn
Outcome read_chunks(const std::string& bytes, const std::vector<std::size_t>& cuts,
                    ChunkedBody::Limits limits = {1000, 200, 5}) {
    ChunkedBody body(limits);
    Outcome outcome;
    std::size_t there = 0;
    try {
        for (std::size_t n = 0; there < bytes.size() && !body.whole(); ++n) {
            there = std::min(bytes.size(), there + cuts[n % cuts.size()]);
            outcome.taken +=
                body.take(std::string_view(bytes).substr(outcome.taken, there - outcome.taken));
        }
        outcome.status = body.whole() ? 200 : 0;  // 0: more has to come
        outcome.text = body.text();
    } catch (const HttpFault& fault) {
        outcome = {fault.status, "", 0};
    }
    return outcome;
}

bool read_head(const std::string& bytes, std::size_t cut, unsigned& status) {
    HeadScanner scanner({500, 5});
    status = 200;
    try {
        for (std::size_t there = cut;; there += cut) {
            const auto come = std::string_view(bytes).substr(0, there);
            if (scanner.scan(come)) return true;
            if (come.size() == bytes.size()) return false;
        }
    } catch (const HttpFault& fault) {
        status = fault.status;
        return false;
    }
}

const std::vector<std::pair<std::string, Outcome>> bodies{
    {"0\r\n\r\n", {200, "", 5}},
    {"3\r\nabc\r\n0\r\n\r\nGET /", {200, "abc", 13}},
    {"3;a=b\r\nabc\r\n000\r\nA: b\r\n\r\n", {200, "abc", 25}},
    {"A\r\n0123456789\r\n1;x=\"\\\"\r\"\r\nz", {400, "", 0}},
    {"A \t; x = \"\\\";\" ; y\r\n0123456789\r\n0;z\r\n\r\n", {200, "0123456789", 39}},
    {"3\nabc\r\n0\r\n\r\n", {400, "", 0}},
    {"3\rabc\r\n0\r\n\r\n", {400, "", 0}},
    {"3 \r\nabc\r\n0\r\n\r\n", {400, "", 0}},
    {"3\r\nabcd\r\n0\r\n\r\n", {400, "", 0}},
    {"3\r\nab\r\n0\r\n\r\n", {400, "", 0}},
    {"3\r\nabc\n0\r\n\r\n", {400, "", 0}},
    {"3\r\nabc\r0\r\n\r\n", {400, "", 0}},
    {"0\r\nA: b\r\n c\r\n\r\n", {400, "", 0}},
    {"0\r\nA: b\n\r\n", {400, "", 0}},
    {"0\r\n1: 2\r\n2: 3\r\n3: 4\r\n4: 5\r\n5: 6\r\n\r\n", {200, "", 35}},
    {"0\r\n1: 2\r\n2: 3\r\n3: 4\r\n4: 5\r\n5: 6\r\n6: 7\r\n\r\n", {431, "", 0}},
    {"3e8\r\n" + std::string(1000, 'x') + "\r\n0\r\n\r\n", {200, std::string(1000, 'x'), 1012}},
    {"3e9\r\n", {413, "", 0}},
    {"3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\nx", {413, "", 0}},
    {"ffffffffffffffff\r\n", {413, "", 0}},
    {"10000000000000000\r\n", {400, "", 0}},
    {std::string(300, '0'), {431, "", 0}},
    {"1;" + std::string(300, 'a') + "\r\n", {431, "", 0}},
    {"0\r\nA: " + std::string(300, 'a') + "\r\n\r\n", {431, "", 0}},
    {"0\r\nA: " + std::string(150, 'a') + "\r\nA: " + std::string(60, 'a') + "\r\n\r\n",
     {431, "", 0}},
    {"3\r\nab", {0, "ab", 5}},
    // The limits, of 200 bytes each, and one byte more.
    {"1;" + std::string(196, 'a') + "\r\nx\r\n0\r\n\r\n", {200, "x", 208}},
    {"1;" + std::string(197, 'a') + "\r\nx\r\n0\r\n\r\n", {431, "", 0}},
    {"1;" + std::string(99, 'a') + "\r\nx\r\n0;" + std::string(99, 'a') + "\r\n\r\n",
     {200, "x", 211}},
    {"1;" + std::string(99, 'a') + "\r\nx\r\n0;" + std::string(100, 'a') + "\r\n\r\n",
     {431, "", 0}},
    {"0\r\nA: " + std::string(93, 'a') + "\r\nA: " + std::string(95, 'a') + "\r\n\r\n",
     {200, "", 203}},
    {"0\r\nA: " + std::string(93, 'a') + "\r\nA: " + std::string(96, 'a') + "\r\n\r\n",
     {431, "", 0}},
};

using Headers = std::vector<std::pair<std::string, std::string>>;

HttpRequest with(const Headers& headers) {
    HttpRequest request;
    request.headers = headers;
    return request;
}

/// The status of what is refused, or 200.
template <class Act>
unsigned status_of(const Act& act) {
    try {
        act();
    } catch (const HttpFault& fault) {
        return fault.status;
    }
    return 200;
}

}  // namespace

TEST_CASE("A chunked body is what the grammar says, wherever it is cut on its way") {
    std::mt19937 random(5);
    for (const auto& [bytes, expected] : bodies) {
        CAPTURE(bytes);
        CHECK(read_chunks(bytes, {bytes.size()}) == expected);
        CHECK(read_chunks(bytes, {1}) == expected);
        for (int i = 0; i < 50; ++i) {
            std::vector<std::size_t> cuts(7);
            for (auto& cut : cuts) cut = 1 + random() % 9;
            CHECK(read_chunks(bytes, cuts) == expected);
        }
    }
}

TEST_CASE("A chunked body with any one byte changed is taken or refused alike in any pieces") {
    std::mt19937 random(6);
    const std::string good =
        "A;x=\"q\\\"\" ; y\r\n0123456789\r\n3\r\nabc\r\n0\r\nTrailer: value\r\n\r\n";
    const std::string bytes_of_meaning("\r\n \t;=\"\\:0aAg\0\x7f\xff", 16);
    std::size_t refused = 0;
    for (std::size_t at = 0; at < good.size(); ++at)
        for (const char other : bytes_of_meaning)
            for (const int how : {0, 1, 2}) {  // changed, put in, taken out
                std::string bytes = good;
                if (how == 0) bytes[at] = other;
                if (how == 1) bytes.insert(at, 1, other);
                if (how == 2) bytes.erase(at, 1);
                const Outcome whole = read_chunks(bytes, {bytes.size()});
                CAPTURE(bytes, whole);
                CHECK(read_chunks(bytes, {1}) == whole);
                CHECK(read_chunks(bytes, {1 + random() % 9, 1 + random() % 9}) == whole);
                refused += whole.status == 400;
            }
    CHECK(refused > good.size() * bytes_of_meaning.size());
}

TEST_CASE("A head is what the grammar says, wherever it is cut on its way") {
    for (const auto& [bytes, expected] : std::vector<std::pair<std::string, unsigned>>{
             {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
             {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
             {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
             {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
             {"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400},
             {"GET / HTTP/2.0\r\n", 505},
             {"GET /" + std::string(600, 'a'), 414},
             {"GET / HTTP/1.1\r\nA: " + std::string(600, 'a'), 431},
             {"GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", 431},
             {std::string("\x16\x03\x01\x02\x00", 5), 400},
             // The request line.
             {"GET / HTTP/1.0\r\n\r\n", 200},
             {"GET / HTTP/1.9\r\n\r\n", 200},
             {"GET / HTTP/0.9\r\n", 505},
             {"a!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n\r\n", 200},
             {"G(T / HTTP/1.1\r\n", 400},
             {" / HTTP/1.1\r\n", 400},
             {"GET\r\n", 400},
             {"GET /\r\n", 400},
             {"GET  HTTP/1.1\r\n", 400},
             {"GET  / HTTP/1.1\r\n", 400},
             {"GET / HTTP/1.1 \r\n", 400},
             {"GET / HTTP/1.10\r\n", 400},
             {"GET / HTTP/1,1\r\n", 400},
             {"GET / HTTP/1.\r\n", 400},
             {"GET / HTTP/a.1\r\n", 400},
             {"GET / HTTP/1.a\r\n", 400},
             {"GET / http/1.1\r\n", 400},
             {"GET /a#b HTTP/1.1\r\n", 400},
             {"GET /\t HTTP/1.1\r\n", 400},
             {"GET /\x80 HTTP/1.1\r\n", 400},
             {"GET /~!\"<>{}|\\^` HTTP/1.1\r\n\r\n", 200},
             // The fields.
             {"GET / HTTP/1.1\r\nA:\r\nB:\tc\x80\xff\r\n\r\n", 200},
             {"GET / HTTP/1.1\r\n: b\r\n", 400},
             {"GET / HTTP/1.1\r\nA : b\r\n", 400},
             {"GET / HTTP/1.1\r\nA b\r\n", 400},
             {"GET / HTTP/1.1\r\n\tA: b\r\n", 400},
             {"GET / HTTP/1.1\r\nA: \x1f\r\n", 400},
             {"GET / HTTP/1.1\r\nA: \x7f\r\n", 400},
             {std::string("GET / HTTP/1.1\r\nA: \0\r\n", 22), 400},
             // The limits.
             {"GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", 200},
             {"GET / HTTP/1.1\r\nA: " + std::string(477, 'a') + "\r\n\r\n", 200},
             {"GET / HTTP/1.1\r\nA: " + std::string(478, 'a') + "\r\n\r\n", 431},
             {"GET /" + std::string(484, 'a') + " HTTP/1.1\r\nA", 431},
             {"GET /" + std::string(485, 'a') + " HTTP/1.1\r\nA", 414}})
        for (const std::size_t cut :
             {std::size_t(1), std::size_t(2), std::size_t(7), bytes.size()}) {
            CAPTURE(bytes, cut);
            unsigned status;
            CHECK(read_head(bytes, cut, status) == (expected == 200));
            CHECK(status == expected);
        }
}

TEST_CASE("Host and target are a host and a port, of the scheme that is spoken") {
    const auto status = [](const std::string& host, const std::string& target, bool secure) {
        HttpRequest request;
        request.method = "GET";
        request.headers = {{"Host", host}};
        try {
            take_target(request, target, 1, secure);
        } catch (const HttpFault& fault) {
            return fault.status;
        }
        return 200u;
    };
    for (const char* host :
         {"localhost", "LOCALHOST:", "a.b-c_d:1", "127.0.0.1:65535", "[::1]", "[::ffff:1.2.3.4]:80",
          "a%20b", "a%fA", "%20", "Z-._~!$&'()*+;=9", ""}) {
        CAPTURE(host);
        CHECK(status(host, "/", false) == 200);
    }
    CHECK(status(std::string("a\0b", 3), "/", false) == 400);
    for (const char* host :
         {"a,b",    "localhost,", ",",          "a:65536", "a:99999", "a:18446744073709551617",
          "a:-1",   "a:1:2",      "[::1",       "[:::]",   "[1]",     "[]",
          "[::1]x", "a b",        "a@b",        "a/b",     "a%2",     "a%",
          "a%%20",  "a%2g",       "a%g2",       "a%zz",    "a:+1",    "a:1a",
          "[::1]1", "[x]",        "[::1%25lo]", "a[",      "a\"",     "\x80"}) {
        CAPTURE(host);
        CHECK(status(host, "/", false) == 400);
    }
    CHECK(status("a", "http://a/", false) == 200);
    CHECK(status("a", "https://a/", false) == 421);
    CHECK(status("a", "https://a/", true) == 200);
    CHECK(status("a", "HTTPS://a:443/", true) == 200);
}

TEST_CASE("A head that is there is told where it begins and ends, and what of HTTP/1.x is new") {
    const std::string first = "GET / HTTP/1.2\r\n", rest = "Host: a\r\n\r\n";
    for (const auto& [bytes, begin, minor] :
         {std::tuple{first + rest, 0u, 13u}, {"\r\n\r\n" + first + rest, 4u, 17u}}) {
        HeadScanner scanner({500, 5});
        REQUIRE(scanner.scan(bytes + "body"));
        CHECK(scanner.begin() == begin);
        CHECK(scanner.end() == bytes.size());
        CHECK(scanner.newer_minor() == minor);
        CHECK(bytes[scanner.newer_minor()] == '2');
    }
    for (const char* version : {"0", "1"}) {
        HeadScanner scanner({500, 5});
        REQUIRE(scanner.scan("GET / HTTP/1." + (version + ("\r\n" + rest))));
        CHECK(scanner.newer_minor() == 0);
    }
}

TEST_CASE("a body has one Content-Length, or is in chunks alone") {
    const auto status = [](const Headers& headers, unsigned minor = 1) {
        return status_of([&] { check_framing(with(headers), minor); });
    };
    for (const unsigned minor : {0u, 1u}) {
        CHECK(status({}, minor) == 200);
        CHECK(status({{"Content-Length", "0"}}, minor) == 200);
        CHECK(status({{"CONTENT-length", "0123456789"}}, minor) == 200);
        for (const char* length : {"", "1 2", "+1", "-1", "1,1", "0x1", "1.", "/", ":"})
            CHECK(status({{"Content-Length", length}}, minor) == 400);
        CHECK(status({{"Content-Length", "1"}, {"content-length", "1"}}, minor) == 400);
        CHECK(status({{"Content-Lengths", "x"}, {"Content-Lengtg", "x"}}, minor) == 200);
    }
    const std::pair<const char*, unsigned> codings[] = {{"chunked", 200},
                                                        {"CHUNKED", 200},
                                                        {"chunked ,", 200},
                                                        {",\t chunked\t ", 200},
                                                        {"", 400},
                                                        {",", 400},
                                                        {"gzip", 400},
                                                        {"chunke", 400},
                                                        {"chunkedd", 400},
                                                        {"chunked, gzip", 400},
                                                        {"chunked, chunked", 400},
                                                        {"chunked;a, chunked", 400},
                                                        {"gzip, chunked, chunked", 400},
                                                        {"chunked, gzip, chunked", 400},
                                                        {"g zip, chunked", 400},
                                                        {"gzip, \"a\", chunked", 400},
                                                        {"gzip, chunked", 501},
                                                        {"gzip,chunked", 501},
                                                        {"gzip, deflate, chunked", 501},
                                                        {"gzip ;a=b , chunked", 501},
                                                        {"x;a=\",chunked\", chunked", 501},
                                                        {"x;a=\"\\\",chunked\", chunked", 501},
                                                        {"x;a=\"chunked, chunked", 400}};
    for (const auto& [coding, expected] : codings) {
        CAPTURE(coding);
        CHECK(status({{"Transfer-Encoding", coding}}) == expected);
        CHECK(status({{"Transfer-Encoding", coding}}, 0) == 400);
        CHECK(status({{"Content-Length", "1"}, {"Transfer-Encoding", coding}}) == 400);
    }
    CHECK(status({{"Transfer-Encoding", "gzip"}, {"Transfer-Encoding", "chunked"}}) == 501);
    CHECK(status({{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "gzip"}}) == 400);
}

TEST_CASE("of Expect 100-continue alone is known, and not with HTTP/1.0") {
    const auto expected = [](const Headers& headers, unsigned minor = 1) -> std::string {
        bool waits = false;
        const unsigned status = status_of([&] { waits = expects_continue(with(headers), minor); });
        return status != 200 ? std::to_string(status) : waits ? "waits" : "goes on";
    };
    CHECK(expected({}) == "goes on");
    for (const char* value : {"", " ", ",", " , ,"})
        CHECK(expected({{"Expect", value}}) == "goes on");
    for (const char* value : {"100-continue", "100-CONTINUE", "\t100-continue ",
                              "100-continue,100-continue", "100-continue\t ,\t 100-continue"}) {
        CAPTURE(value);
        CHECK(expected({{"Expect", value}}) == "waits");
        CHECK(expected({{"Expect", value}}, 0) == "goes on");
    }
    CHECK(expected({{"Expect", "100-continue"}, {"expect", "100-continue"}}) == "waits");
    for (const char* value : {"100", "100-continue;a", "100-continue, x", "x, 100-continue"}) {
        CAPTURE(value);
        CHECK(expected({{"Expect", value}}) == "417");
        CHECK(expected({{"Expect", value}}, 0) == "goes on");
    }
    CHECK(expected({{"Expect", "100-continue"}, {"Expect", "x"}}) == "417");
}

TEST_CASE("a body that is coded is refused, with what is taken") {
    const auto status = [](const Headers& headers) {
        return status_of([&] { check_coding(with(headers)); });
    };
    CHECK(status({}) == 200);
    for (const char* coding : {"", "identity", "IDENTITY", "identity,identity", " identity ,"})
        CHECK(status({{"Content-Encoding", coding}}) == 200);
    for (const char* coding : {"gzip", "identity, gzip", "gzip,identity", "identity;a"}) {
        CAPTURE(coding);
        CHECK(status({{"Content-Encoding", coding}}) == 415);
    }
    CHECK(status({{"Content-Encoding", "identity"}, {"content-encoding", "br"}}) == 415);
    try {
        check_coding(with({{"Content-Encoding", "gzip"}}));
        FAIL("nothing was thrown");
    } catch (const HttpFault& fault) {
        CHECK(fault.headers == Headers{{"Accept-Encoding", "identity"}});
    }
}

TEST_CASE("path, query and Host are taken from a target in each of its forms") {
    struct Case {
        const char* method;
        std::vector<std::string> hosts;
        const char* target;
        std::string taken;  ///< path, query and Host, or the status
        unsigned minor = 1;
        bool secure = false;
    };
    const std::vector<std::string> a{"a"};
    const std::vector<Case> cases{{"GET", a, "/", "/ ? a"},
                                  {"GET", a, "/b/c?d=e?f", "/b/c ?d=e?f a"},
                                  {"GET", a, "/?", "/ ? a"},
                                  {"GET", {""}, "/", "/ ? "},
                                  {"GET", {}, "/", "400"},
                                  {"GET", {}, "/", "/ ?", 0},
                                  {"GET", {"a", "a"}, "/", "400"},
                                  {"GET", {"a", "a"}, "/", "400", 0},
                                  {"GET", {"a b"}, "/", "400"},
                                  {"GET", {"a b"}, "/", "400", 0},
                                  // absolute
                                  {"GET", a, "http://a", "/ ? a"},
                                  {"GET", a, "http://a/", "/ ? a"},
                                  {"GET", a, "http://a?b", "/ ?b a"},
                                  {"GET", a, "http://a/b?c", "/b ?c a"},
                                  {"GET", {"A:80"}, "HTTP://a/", "/ ? A:80"},
                                  {"GET", {"a:"}, "http://A:80/", "/ ? a:"},
                                  {"GET", {"a:8"}, "http://a:8/", "/ ? a:8"},
                                  {"GET", {"[::1]:80"}, "http://[::1]/", "/ ? [::1]:80"},
                                  {"GET", {"[::A]"}, "http://[::a]:80/", "/ ? [::A]"},
                                  {"GET", {"[::1]"}, "http://[::1]:81/", "400"},
                                  {"GET", {"[::1]"}, "http://[::2]/", "400"},
                                  {"GET", {"b"}, "http://a/", "400"},
                                  {"GET", {""}, "http://a/", "400"},
                                  {"GET", a, "http://a:8/", "400"},
                                  {"GET", a, "http://a:443/", "400"},
                                  {"GET", {}, "http://a/", "400"},
                                  {"GET", {}, "http://a:8/b", "/b ? a:8", 0},
                                  {"GET", a, "https://a/", "421"},
                                  {"GET", a, "https://a:443/", "/ ? a", 1, true},
                                  {"GET", a, "https://a:80/", "400", 1, true},
                                  {"GET", a, "http://a/", "/ ? a", 1, true},
                                  {"GET", a, "http:///b", "400"},
                                  {"GET", a, "http://", "400"},
                                  {"GET", {":80"}, "http://:80/", "400"},
                                  {"GET", a, "http://u@a/", "400"},
                                  {"GET", {""}, "http:///", "400"},
                                  {"GET", a, "ftp://a/", "400"},
                                  {"GET", a, "http:/a", "400"},
                                  {"GET", a, "://a/", "400"},
                                  {"GET", a, "b", "400"},
                                  // of all, and of a tunnel
                                  {"OPTIONS", a, "*", "* ? a"},
                                  {"OPTIONS", a, "/", "/ ? a"},
                                  {"GET", a, "*", "400"},
                                  {"CONNECT", a, "b:443", "b:443 ? a"},
                                  {"CONNECT", a, "[::1]:443", "[::1]:443 ? a"},
                                  {"CONNECT", a, "b", "400"},
                                  {"CONNECT", a, "b:", "400"},
                                  {"CONNECT", a, ":443", "400"},
                                  {"CONNECT", a, "[::1]", "400"},
                                  {"CONNECT", a, "http://a/", "400"},
                                  {"CONNECT", {}, "b:443", "400"}};
    for (const auto& each : cases) {
        HttpRequest request;
        request.method = each.method;
        for (const auto& host : each.hosts) request.headers.emplace_back("Host", host);
        CAPTURE(each.method, each.hosts, each.target, each.minor, each.secure);
        const unsigned status =
            status_of([&] { take_target(request, each.target, each.minor, each.secure); });
        if (status != 200) {
            CHECK(each.taken == std::to_string(status));
            continue;
        }
        std::string taken = request.path + " ?" + request.query;
        for (const auto& [name, host] : request.headers) taken += " " + host;
        CHECK(each.taken == taken);
    }
}
