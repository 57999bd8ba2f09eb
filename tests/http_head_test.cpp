// SPDX-License-Identifier: Apache-2.0
// Heads and chunked bodies, apart from sockets: wherever they are cut on their way, the same comes
// of them. tests/raw_requests_test.py has a table of what that is.
#include "http_head.hpp"

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
};

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
             {std::string("\x16\x03\x01\x02\x00", 5), 400}})
        for (const std::size_t cut :
             {std::size_t(1), std::size_t(2), std::size_t(7), bytes.size()}) {
            CAPTURE(bytes, cut);
            unsigned status;
            CHECK(read_head(bytes, cut, status) == (expected == 200));
            CHECK(status == expected);
        }
}

TEST_CASE("S7 Host and target are a host and a port, of the scheme that is spoken") {
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
    for (const char* host : {"localhost", "LOCALHOST:", "a.b-c_d:1", "127.0.0.1:65535", "[::1]",
                             "[::ffff:1.2.3.4]:80", "a%20b", ""})
        CHECK(status(host, "/", false) == 200);
    for (const char* host :
         {"a,b", "localhost,", ",", "a:65536", "a:99999", "a:18446744073709551617", "a:-1", "a:1:2",
          "[::1", "[:::]", "[1]", "[]", "[::1]x", "a b", "a@b", "a/b", "a%2", "a:+1"}) {
        CAPTURE(host);
        CHECK(status(host, "/", false) == 400);
    }
    CHECK(status("a", "http://a/", false) == 200);
    CHECK(status("a", "https://a/", false) == 421);
    CHECK(status("a", "https://a/", true) == 200);
    CHECK(status("a", "HTTPS://a:443/", true) == 200);
}
