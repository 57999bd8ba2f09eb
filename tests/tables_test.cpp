// SPDX-License-Identifier: Apache-2.0
#include "driver/tables.hpp"

#include "catch.hpp"

using namespace mirrornic;

TEST_CASE("S2 addresses are shown in RFC 5952 form") {
    const auto canonical = [](const char* text) { return IpAddress::parse(text).to_string(); };
    CHECK(canonical("10.0.1.10") == "10.0.1.10");
    CHECK(canonical("2001:DB8:0:0:0:0:0:1") == "2001:db8::1");
    CHECK(canonical("2001:0db8::0001") == "2001:db8::1");
    CHECK(canonical("::") == "::");
    CHECK(canonical("::1") == "::1");
    CHECK(canonical("1::") == "1::");
    CHECK(canonical("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");  // one group is no gap
    CHECK(canonical("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");     // the first of equal ones
    CHECK(canonical("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");           // the longest
    CHECK(canonical("::ffff:192.0.2.1") == "::ffff:192.0.2.1");          // IPv4-mapped
    CHECK(canonical("::192.0.2.1") == "::c000:201");                     // IPv4-compatible is not
    CHECK(canonical("fe80:0:0:0:1:2:3:0") == "fe80::1:2:3:0");
    CHECK(canonical("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") ==
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST_CASE("what is no IP address is refused and named") {
    for (const std::string text : {"", "10.0.1", "10.0.1.256", "10.0.1.10 ", "010.0.0.1", "1:2:3",
                                   "::g", "fe80::1%eth0", "1::2::3", "10.0.1.10/24", "host"}) {
        INFO(text);
        CHECK_THROWS_WITH(IpAddress::parse(text), "\"" + text + "\" is not an IP address");
    }
    CHECK_THROWS_AS(IpAddress::parse(std::string("10.0.1.10\0", 10)), std::invalid_argument);
    CHECK_THROWS_WITH(IpAddress::parse("1\n2"), "\"1?2\" is not an IP address");
}

TEST_CASE("S2 a CIDR block's host bits are cleared") {
    const auto canonical = [](const char* text) { return Cidr::parse(text).to_string(); };
    CHECK(canonical("10.1.2.3/8") == "10.0.0.0/8");
    CHECK(canonical("10.1.2.255/25") == "10.1.2.128/25");
    CHECK(canonical("10.1.2.3/32") == "10.1.2.3/32");
    CHECK(canonical("10.1.2.3/0") == "0.0.0.0/0");
    CHECK(canonical("2001:DB8::ffff/33") == "2001:db8::/33");
    CHECK(canonical("2001:db8:ffff::1/33") == "2001:db8:8000::/33");
    CHECK(canonical("2001:db8::1/128") == "2001:db8::1/128");
    CHECK(canonical("::1/0") == "::/0");
    CHECK(Cidr::parse("10.0.0.1/24") == Cidr::parse("10.0.0.2/24"));
}

TEST_CASE("what is no CIDR block is refused and named") {
    for (const std::string text :
         {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8 ",
          "2001:db8::/129", "/8", "10.0.0.0/1000", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0"}) {
        INFO(text);
        CHECK_THROWS_WITH(Cidr::parse(text), "\"" + text + "\" is not a CIDR block");
    }
}

TEST_CASE("a MAC address is six hex pairs and unicast, zero included") {
    CHECK(to_string(parse_mac("02:00:5E:10:00:0a")) == "02:00:5e:10:00:0a");
    CHECK(parse_mac("00:00:00:00:00:00") == MacAddress{});
    for (const std::string text : {"", "02:00", "02-00-00-00-00-0a", "02:00:00:00:00:0g",
                                   "02:00:00:00:00:0a:", "2:0:0:0:0:a", "020000:00:00:0a"}) {
        INFO(text);
        CHECK_THROWS_WITH(parse_mac(text), "\"" + text + "\" is not a MAC address");
    }
    CHECK_THROWS_WITH(parse_mac("01:00:5e:00:00:01"),
                      "\"01:00:5e:00:00:01\" is a group address, not a unicast MAC address");
}
