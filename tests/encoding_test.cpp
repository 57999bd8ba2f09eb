// SPDX-License-Identifier: Apache-2.0
#include "driver/encoding.hpp"

#include <algorithm>

#include "catch.hpp"

using namespace mirrornic;
namespace map = mirrornic::registers;

namespace {

/// The one of an entry's words that goes to a register.
template <typename Words>
std::uint32_t& at(Words& words, const Words& addresses, std::uint32_t address) {
    const auto found = std::find(addresses.begin(), addresses.end(), address);
    REQUIRE(found != addresses.end());
    return words[std::size_t(found - addresses.begin())];
}

Session session() {
    Session session;
    session.vni = 0x123456;
    session.source_mac = parse_mac("02:11:22:33:44:55");
    session.target_mac = parse_mac("06:66:77:88:99:aa");
    session.source_address = IpAddress::parse("192.0.2.1");
    session.target_address = IpAddress::parse("198.51.100.254");
    return session;
}

/// A rule for anything, first and last of both lists.
Filter filter() {
    Rule rule;
    rule.source = Cidr::parse("192.0.2.128/25");
    rule.destination = Cidr::parse("198.51.100.0/24");
    Filter filter;
    filter.ingress.assign(encoding::rules, rule);
    filter.egress = filter.ingress;
    return filter;
}

/// Calls with every register of the filter's rules that a rule for anything of IPv4 does not use.
template <typename Call>
void unused_of_filter(Call call) {
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (std::uint32_t rule = 0; rule < encoding::rules; ++rule) {
            call(map::rule_source_ports::address(direction, rule));
            call(map::rule_destination_ports::address(direction, rule));
            for (std::uint32_t i = 0; i < 3; ++i) {
                call(map::rule_source::address(direction, rule, i));
                call(map::rule_destination::address(direction, rule, i));
            }
        }
}

template <typename Call>
void unused_of_session(Call call) {
    for (std::uint32_t i = 0; i < 3; ++i) {
        call(map::session_target_address::address(i));
        call(map::session_source_address::address(i));
    }
}

}  // namespace

TEST_CASE("what a table entry does not use is 0 in its words") {
    auto of_session = encoding::encode(session());
    unused_of_session([&](std::uint32_t address) {
        CHECK(at(of_session, encoding::session_addresses(), address) == 0);
    });
    auto of_filter = encoding::encode(filter());
    unused_of_filter([&](std::uint32_t address) {
        CHECK(at(of_filter, encoding::filter_addresses(), address) == 0);
    });
    for (std::uint32_t direction = 0; direction < 2; ++direction)
        for (std::uint32_t rule = 0; rule < encoding::rules; ++rule)
            CHECK(map::rule::protocol.of(at(of_filter, encoding::filter_addresses(),
                                            map::rule::address(direction, rule))) == 0);
    encoding::InterfaceWord word;
    word.slots.push_back({7, 3, 5});
    auto of_interface = encoding::encode(word);
    CHECK(at(of_interface, encoding::interface_addresses(), map::interface_resolver::address()) ==
          0);
}

TEST_CASE("what a table entry does not use is not read from its words") {
    auto of_session = encoding::encode(session());
    unused_of_session([&](std::uint32_t address) {
        at(of_session, encoding::session_addresses(), address) = 0xffffffff;
    });
    const auto read = encoding::decode_session(of_session);
    CHECK(read.source_address == session().source_address);
    CHECK(read.target_address == session().target_address);

    auto of_filter = encoding::encode(filter());
    unused_of_filter([&](std::uint32_t address) {
        at(of_filter, encoding::filter_addresses(), address) = 0xffffffff;
    });
    CHECK(encoding::encode(encoding::decode_filter(of_filter)) == encoding::encode(filter()));
}

TEST_CASE("T3 a session entry's source MAC is found by its number") {
    CHECK(encoding::source_mac(encoding::encode(session())) == 0x021122334455);
}
