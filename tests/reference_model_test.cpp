// SPDX-License-Identifier: Apache-2.0
// The reference model against frames built by hand, with golden copies typed out in bytes.
#include "sim/models/reference_model.hpp"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "catch.hpp"

using namespace mirrornic::reference;

namespace {

using Bytes = std::vector<std::uint8_t>;

// ---- Frames ----

constexpr std::uint8_t Icmp = 1;
constexpr std::uint8_t Tcp = 6;
constexpr std::uint8_t Udp = 17;
constexpr std::uint8_t HopByHop = 0;
constexpr std::uint8_t Routing = 43;
constexpr std::uint8_t FragmentHeader = 44;
constexpr std::uint8_t Esp = 50;
constexpr std::uint8_t Authentication = 51;
constexpr std::uint8_t DestinationOptions = 60;
constexpr std::uint16_t MoreFragments = 0x2000;  // IPv4
constexpr std::uint16_t DontFragment = 0x4000;   // IPv4

const Address A4 = ipv4(10, 0, 1, 10);
const Address B4 = ipv4(10, 0, 2, 20);
const Address A6 = ipv6({0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xa});
const Address B6 = ipv6({0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xb});
const Mac MacA = {0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a};
const Mac MacB = {0x02, 0x00, 0x00, 0x00, 0x0b, 0x0b};
const Mac MacC = {0x02, 0x00, 0x00, 0x00, 0xcc, 0xcc};

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

Bytes word(unsigned value) {
    return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

Bytes bytes_of(const Address& address) {
    return Bytes(address.bytes.begin(), address.bytes.begin() + (address.version == 4 ? 4 : 16));
}

Bytes first(const Bytes& bytes, std::size_t count) {
    REQUIRE(count <= bytes.size());
    return Bytes(bytes.begin(), bytes.begin() + count);
}

Bytes part(const Bytes& bytes, std::size_t offset, std::size_t count) {
    REQUIRE(offset + count <= bytes.size());
    return Bytes(bytes.begin() + offset, bytes.begin() + offset + count);
}

Bytes numbered(std::size_t count) {
    Bytes bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
    return bytes;
}

/// MACs and EtherTypes; each but the last is a tag and is followed by its control information.
Bytes ethernet(std::initializer_list<std::uint16_t> types) {
    Bytes header = {0x02, 0x00, 0x00, 0x00, 0x0b, 0x0b, 0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a};
    for (const std::uint16_t* type = types.begin(); type != types.end(); ++type) {
        header = header + word(*type);
        if (type + 1 != types.end()) header = header + word(0x2064);
    }
    return header;
}

/// An IPv4 header; lengths and checksum are left 0: nobody may consult them (P4).
Bytes ipv4_header(std::uint8_t protocol, const Address& source, const Address& destination,
                  std::uint16_t fragment = 0, std::size_t option_words = 0) {
    const Bytes fixed = {static_cast<std::uint8_t>(0x45 + option_words), 0, 0, 0, 0x1c, 0x46};
    return fixed + word(fragment) + Bytes{64, protocol, 0, 0} + bytes_of(source) +
           bytes_of(destination) + Bytes(option_words * 4, 0x01);
}

Bytes ipv6_header(std::uint8_t next, const Address& source = A6, const Address& destination = B6) {
    return Bytes{0x60, 0, 0, 0, 0, 0, next, 64} + bytes_of(source) + bytes_of(destination);
}

/// An extension header of `size` bytes whose length field is `length`; its body is all ones.
Bytes extension(std::uint8_t next, std::uint8_t length, std::size_t size) {
    return Bytes{next, length} + Bytes(size - 2, 0xff);
}

/// The offset is in units of 8 bytes.
Bytes fragment_header(std::uint8_t next, unsigned offset, bool more, unsigned reserved = 0) {
    return Bytes{next, 0xff} + word(offset << 3 | reserved << 1 | (more ? 1 : 0)) +
           Bytes{0xde, 0xad, 0xbe, 0xef};
}

Bytes udp(std::uint16_t source, std::uint16_t destination, std::size_t payload = 8) {
    return word(source) + word(destination) + Bytes(4, 0) + numbered(payload);
}

Bytes ipv4_frame(const Address& source, const Address& destination, std::uint8_t protocol,
                 const Bytes& payload) {
    return ethernet({0x0800}) + ipv4_header(protocol, source, destination) + payload;
}

Bytes ipv6_frame(const Address& source, const Address& destination, std::uint8_t protocol,
                 const Bytes& payload) {
    return ethernet({0x86dd}) + ipv6_header(protocol, source, destination) + payload;
}

/// A frame between two addresses of one version, whichever it is.
Bytes ip_frame(const Address& source, const Address& destination, std::uint8_t protocol,
               const Bytes& payload) {
    return source.version == 4 ? ipv4_frame(source, destination, protocol, payload)
                               : ipv6_frame(source, destination, protocol, payload);
}

/// An IPv4 UDP frame of exactly this length.
Bytes frame_of(std::size_t length) { return ipv4_frame(A4, B4, Udp, udp(40000, 443, length - 42)); }

// ---- Tables ----

Rule rule(bool accept, int version = 4) {
    const Network all{version == 4 ? ipv4(0, 0, 0, 0) : ipv6({}), 0};
    Rule result;
    result.accept = accept;
    result.source = all;
    result.destination = all;
    return result;
}

Filter accept_all() {
    Filter filter;
    filter.ingress = {rule(true, 4), rule(true, 6)};
    filter.egress = filter.ingress;
    return filter;
}

Filter with_dns(Filter filter) {
    filter.amazon_dns = true;
    return filter;
}

Session session(const Filter& filter, std::uint16_t number = 1) {
    Session result;
    result.number = number;
    result.filter = std::make_shared<const Filter>(filter);
    result.vni = 0x123456;
    result.source_mac = MacA;
    result.target_mac = MacC;
    result.source_address = A4;
    result.target_address = ipv4(10, 0, 9, 9);
    result.mtu = 9216;
    return result;
}

Session over_ipv6(Session session) {
    session.source_address = A6;
    session.target_address = ipv6({0x2001, 0xdb8, 9, 0, 0, 0, 0, 9});
    return session;
}

Tables tables(std::vector<Session> sessions) {
    Tables result;
    result.interfaces.resize(1);
    result.interfaces[0].sessions = std::move(sessions);
    return result;
}

Pass pass_of(const Bytes& frame, Direction direction = Direction::egress,
             std::size_t interface = 0) {
    Pass pass;
    pass.data = frame.data();
    pass.size = frame.size();
    pass.tap = Tap{direction, interface};
    return pass;
}

Parsed parsed(const Bytes& frame) { return parse(frame.data(), frame.size()); }

Decision decided(const Tables& tables, const Bytes& frame,
                 Direction direction = Direction::egress) {
    return decide(tables, pass_of(frame, direction));
}

/// Of a default device with one session that has this filter.
Decision decided(const Filter& filter, const Bytes& frame,
                 Direction direction = Direction::egress) {
    return decided(tables({session(filter)}), frame, direction);
}

bool excluded(const Bytes& frame) {
    const Decision decision = decided(accept_all(), frame);
    CHECK((decision.outcome == Outcome::selected || decision.cause == Cause::excluded));
    return decision.cause == Cause::excluded;
}

/// Whether a rule alone in its list accepts the frame.
bool accepts(const Rule& rule, const Bytes& frame) {
    Filter filter;
    filter.egress = {rule};
    const Decision decision = decided(filter, frame);
    CHECK(decision.outcome != Outcome::not_eligible);
    return decision.outcome == Outcome::selected;
}

void check_not_eligible(const Decision& decision, Cause cause) {
    CHECK(decision.outcome == Outcome::not_eligible);
    CHECK(decision.cause == cause);
    CHECK(decision.tried.empty());
    CHECK(decision.kept == 0);
    CHECK(decision.copy.empty());
    CHECK_FALSE(decision.late_bad);
}

bool has_ports(const Parsed& frame, std::uint16_t source, std::uint16_t destination) {
    return frame.ports && frame.ports->source == source && frame.ports->destination == destination;
}

/// The sum of a checksummed area modulo 65535 is 0 when its checksum is right: RFC 1071's ones'
/// complement arithmetic is arithmetic modulo 65535.
std::uint64_t residue(const Bytes& area) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < area.size() + area.size() % 2; ++i)
        value = (value * 256 + (i < area.size() ? area[i] : 0)) % 65535;
    return value;
}

unsigned word_at(const Bytes& bytes, std::size_t offset) {
    return bytes.at(offset) * 256u + bytes.at(offset + 1);
}

/// What RFC 8200 section 8.1 sums for an outer frame over IPv6.
Bytes udp_checksum_area(const Bytes& outer) {
    return part(outer, 22, 32) + Bytes{0, 0} + part(outer, 18, 2) + Bytes{0, 0, 0, Udp} +
           part(outer, 54, outer.size() - 54);
}

/// Random cases repeat with MIRRORNIC_SEED set to the seed that they print.
std::uint64_t seed() {
    const char* text = std::getenv("MIRRORNIC_SEED");
    return text ? std::stoull(text) : 20240229;
}

}  // namespace

// ---- P2: short frames, taps ----

TEST_CASE("P2 a frame under 14 bytes is at no tap, marked or not") {
    const Tables device = tables({session(accept_all())});
    const Bytes frame = frame_of(60);
    for (std::size_t length = 0; length < 14; ++length) {
        CAPTURE(length);
        const Bytes cut = first(frame, length);
        Pass pass = pass_of(cut);
        check_not_eligible(decide(device, pass), Cause::no_tap);
        pass.first_bad_beat = 0;
        check_not_eligible(decide(device, pass), Cause::no_tap);
        pass.first_malformed_beat = 0;
        check_not_eligible(decide(device, pass), Cause::no_tap);
    }
    check_not_eligible(decided(device, first(frame, 14)), Cause::not_ip);
    check_not_eligible(decided(device, first(frame, 15)), Cause::not_ip);
}

TEST_CASE("I2 a pass without a tap, or at an index beyond the table, is at no tap") {
    const Tables device = tables({session(accept_all())});
    const Bytes frame = frame_of(60);
    Pass pass = pass_of(frame);
    pass.tap.reset();
    check_not_eligible(decide(device, pass), Cause::no_tap);
    pass.first_bad_beat = 0;
    check_not_eligible(decide(device, pass), Cause::no_tap);
    for (const std::size_t beyond : {std::size_t{1}, std::size_t{255}, NoSessions - 1})
        check_not_eligible(decide(device, pass_of(frame, Direction::egress, beyond)),
                           Cause::no_tap);
    CHECK(decide(device, pass_of(frame)).outcome == Outcome::selected);
}

TEST_CASE("T1 a pass of an interface without a session is eligible and not accepted") {
    Tables device = tables({session(accept_all())});
    device.interfaces.resize(2);
    for (const std::size_t interface : {std::size_t{1}, NoSessions}) {
        CAPTURE(interface);
        const Bytes frame = frame_of(60);
        const Decision decision = decide(device, pass_of(frame, Direction::ingress, interface));
        CHECK(decision.outcome == Outcome::not_accepted);
        CHECK(decision.cause == Cause::none);
        CHECK(decision.tried.empty());
        const Bytes arp = ethernet({0x0806}) + numbered(46);
        check_not_eligible(decide(device, pass_of(arp, Direction::ingress, interface)),
                           Cause::not_ip);
        const Bytes dhcp = ipv4_frame(A4, B4, Udp, udp(68, 67));
        check_not_eligible(decide(device, pass_of(dhcp, Direction::ingress, interface)),
                           Cause::excluded);
    }
}

// ---- P3: VLAN tags and IP headers ----

TEST_CASE("P3 up to two VLAN tags of either kind are skipped") {
    const Bytes packet4 = ipv4_header(Udp, A4, B4) + udp(1, 2);
    const Bytes packet6 = ipv6_header(Udp) + udp(3, 4);
    using Types = std::initializer_list<std::uint16_t>;
    for (const Types tags : {Types{0x0800}, Types{0x8100, 0x0800}, Types{0x88a8, 0x0800},
                             Types{0x8100, 0x8100, 0x0800}, Types{0x88a8, 0x8100, 0x0800},
                             Types{0x8100, 0x88a8, 0x0800}, Types{0x88a8, 0x88a8, 0x0800}}) {
        const Parsed frame = parsed(ethernet(tags) + packet4);
        CHECK(frame.ip);
        CHECK(frame.version == 4);
        CHECK(frame.source == A4);
        CHECK(frame.destination == B4);
        CHECK(frame.protocol == Udp);
        CHECK(has_ports(frame, 1, 2));
        CHECK_FALSE(frame.fragment);
    }
    for (const Types tags : {Types{0x86dd}, Types{0x8100, 0x86dd}, Types{0x88a8, 0x8100, 0x86dd}}) {
        const Parsed frame = parsed(ethernet(tags) + packet6);
        CHECK(frame.ip);
        CHECK(frame.version == 6);
        CHECK(frame.source == A6);
        CHECK(frame.destination == B6);
        CHECK(frame.protocol == Udp);
        CHECK(has_ports(frame, 3, 4));
        CHECK_FALSE(frame.fragment);
    }
}

TEST_CASE("P3 a third VLAN tag is not IP") {
    const Bytes packet = ipv4_header(Udp, A4, B4) + udp(1, 2);
    CHECK_FALSE(parsed(ethernet({0x8100, 0x8100, 0x8100, 0x0800}) + packet).ip);
    CHECK_FALSE(parsed(ethernet({0x88a8, 0x8100, 0x88a8, 0x0800}) + packet).ip);
}

TEST_CASE("P3 a tag that the frame cuts is not IP") {
    const Bytes tagged = ethernet({0x8100, 0x8100, 0x0800}) + ipv4_header(Udp, A4, B4);
    for (std::size_t length = 14; length < 42; ++length) {
        CAPTURE(length);
        CHECK_FALSE(parsed(first(tagged, length)).ip);
    }
    CHECK(parsed(tagged).ip);
}

TEST_CASE("P3 P6 anything but IPv4 and IPv6 is not IP and is never mirrored") {
    const Bytes packet = ipv4_header(Udp, A4, B4) + udp(1, 2);
    for (const unsigned type : {0x0000u, 0x002eu, 0x0600u, 0x0801u, 0x0806u, 0x8035u, 0x86dcu,
                                0x8847u, 0x8863u, 0x8864u, 0x88ccu, 0x9100u, 0xffffu}) {
        CAPTURE(type);
        const Bytes frame = ethernet({static_cast<std::uint16_t>(type)}) + packet;
        CHECK_FALSE(parsed(frame).ip);
        check_not_eligible(decided(accept_all(), frame), Cause::not_ip);
    }
}

TEST_CASE("P3 an IP version that disagrees with the EtherType is not IP") {
    const Bytes packet4 = ipv4_header(Udp, A4, B4, 0, 10) + udp(1, 2);
    const Bytes packet6 = ipv6_header(Udp) + udp(3, 4);
    CHECK_FALSE(parsed(ethernet({0x86dd}) + packet4).ip);
    CHECK_FALSE(parsed(ethernet({0x0800}) + packet6).ip);
    for (unsigned version = 0; version < 16; ++version) {
        CAPTURE(version);
        Bytes frame4 = ethernet({0x0800}) + packet4;
        frame4[14] = static_cast<std::uint8_t>(version << 4 | 0xf);
        CHECK(parsed(frame4).ip == (version == 4));
        Bytes frame6 = ethernet({0x86dd}) + packet6;
        frame6[14] = static_cast<std::uint8_t>(version << 4 | 0xf);
        CHECK(parsed(frame6).ip == (version == 6));
    }
}

TEST_CASE("P3 every IHL from 5 to 15 is IP and moves the ports, and one under 5 is not IP") {
    for (std::size_t ihl = 0; ihl < 5; ++ihl) {
        Bytes frame = frame_of(120);
        frame[14] = static_cast<std::uint8_t>(0x40 | ihl);
        CHECK_FALSE(parsed(frame).ip);
    }
    for (std::size_t ihl = 5; ihl <= 15; ++ihl) {
        CAPTURE(ihl);
        const Bytes frame = ethernet({0x88a8, 0x8100, 0x0800}) +
                            ipv4_header(Tcp, A4, B4, 0, ihl - 5) + word(1111) + word(2222);
        CHECK(has_ports(parsed(frame), 1111, 2222));
    }
}

TEST_CASE("P3 an IP header that the frame cuts short is not IP, an IPv4 one with its options") {
    for (const std::size_t option_words : {0, 1, 10}) {
        const Bytes frame = ethernet({0x0800}) + ipv4_header(Udp, A4, B4, 0, option_words);
        for (std::size_t length = 14; length < frame.size(); ++length) {
            CAPTURE(option_words, length);
            CHECK_FALSE(parsed(first(frame, length)).ip);
        }
        CHECK(parsed(frame).ip);
        CHECK(parsed(frame).protocol == Udp);
        CHECK_FALSE(parsed(frame).ports);
    }
    const Bytes frame = ethernet({0x8100, 0x86dd}) + ipv6_header(Udp);
    for (std::size_t length = 14; length < frame.size(); ++length) {
        CAPTURE(length);
        CHECK_FALSE(parsed(first(frame, length)).ip);
    }
    CHECK(parsed(frame).ip);
    CHECK_FALSE(parsed(frame).ports);
}

// ---- P4, P5: window, protocol, ports, fragments ----

TEST_CASE("P4 IPv4 total length and IPv6 payload length are never consulted") {
    for (const unsigned length : {0u, 1u, 20u, 28u, 65535u}) {
        Bytes frame4 = frame_of(60);
        frame4[16] = static_cast<std::uint8_t>(length >> 8);
        frame4[17] = static_cast<std::uint8_t>(length);
        CHECK(has_ports(parsed(frame4), 40000, 443));
        Bytes frame6 = ipv6_frame(A6, B6, Udp, udp(5, 6));
        frame6[18] = static_cast<std::uint8_t>(length >> 8);
        frame6[19] = static_cast<std::uint8_t>(length);
        CHECK(has_ports(parsed(frame6), 5, 6));
    }
}

TEST_CASE("P4 nothing past byte 127 changes what the parser knows") {
    const Bytes chain = extension(Udp, 8, 72) + udp(7, 8, 100);
    const Bytes frame = ethernet({0x86dd}) + ipv6_header(HopByHop) + chain;
    const Parsed whole = parsed(frame);
    const Parsed window = parsed(first(frame, 128));
    CHECK(whole.protocol == window.protocol);
    CHECK(whole.ports.has_value() == window.ports.has_value());
}

TEST_CASE("P5 TCP and UDP alone have ports, when all 4 bytes are in the frame") {
    for (unsigned protocol = 0; protocol < 256; ++protocol) {
        CAPTURE(protocol);
        const auto value = static_cast<std::uint8_t>(protocol);
        const Parsed frame = parsed(ipv4_frame(A4, B4, value, udp(10, 20)));
        CHECK(frame.protocol == value);
        CHECK(has_ports(frame, 10, 20) == (protocol == 6 || protocol == 17));
        CHECK(frame.ports.has_value() == (protocol == 6 || protocol == 17));
    }
    for (const std::uint8_t protocol : {Tcp, Udp}) {
        for (std::size_t bytes = 0; bytes < 4; ++bytes) {
            const Parsed frame = parsed(ipv4_frame(A4, B4, protocol, first(udp(10, 20), bytes)));
            CHECK(frame.ip);
            CHECK(frame.protocol == protocol);
            CHECK_FALSE(frame.ports);
        }
        CHECK(parsed(ipv4_frame(A4, B4, protocol, first(udp(10, 20), 4))).ports);
    }
}

TEST_CASE("P5 an IPv6 protocol is the first next header that is not in P3's list") {
    for (unsigned next = 0; next < 256; ++next) {
        CAPTURE(next);
        const auto value = static_cast<std::uint8_t>(next);
        const Parsed frame = parsed(ipv6_frame(A6, B6, value, Bytes{99, 0} + Bytes(6, 0)));
        const bool listed = next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
        CHECK(frame.protocol == (listed ? 99 : value));
        CHECK(frame.ports.has_value() == (next == 6 || next == 17));
    }
    CHECK(parsed(ipv6_frame(A6, B6, Esp, udp(1, 2))).protocol == Esp);
}

TEST_CASE("P5 an authentication header's length counts 4 bytes, the others' 8") {
    for (const std::uint8_t length : {0, 1, 3, 5}) {
        for (const std::uint8_t kind : {HopByHop, Routing, DestinationOptions}) {
            CAPTURE(int(length), int(kind));
            const Bytes frame = ethernet({0x86dd}) + ipv6_header(kind) +
                                extension(Udp, length, (length + 1u) * 8) + udp(300, 400);
            CHECK(parsed(frame).protocol == Udp);
            CHECK(has_ports(parsed(frame), 300, 400));
        }
        const Bytes frame = ethernet({0x86dd}) + ipv6_header(Authentication) +
                            extension(Tcp, length, (length + 2u) * 4) + udp(300, 400);
        CHECK(parsed(frame).protocol == Tcp);
        CHECK(has_ports(parsed(frame), 300, 400));
    }
}

TEST_CASE("P5 a fragment header has 8 bytes whatever its second byte says") {
    const Bytes frame = ethernet({0x86dd}) + ipv6_header(FragmentHeader) +
                        fragment_header(Udp, 0, false) + udp(300, 400);
    CHECK(has_ports(parsed(frame), 300, 400));
}

TEST_CASE("P3 four extension headers are walked, in any order, and a fifth hides the protocol") {
    const Bytes four = extension(Authentication, 0, 8) + extension(HopByHop, 0, 8) +
                       extension(FragmentHeader, 0, 8);
    const Bytes headers = ethernet({0x86dd}) + ipv6_header(DestinationOptions) + four;
    const Parsed walked = parsed(headers + fragment_header(Tcp, 0, false) + udp(21, 22));
    CHECK(walked.protocol == Tcp);
    CHECK(has_ports(walked, 21, 22));

    for (const std::uint8_t fifth : {HopByHop, Routing, DestinationOptions, Authentication}) {
        const Parsed hidden =
            parsed(headers + fragment_header(fifth, 0, false) + extension(Tcp, 0, 8) + udp(21, 22));
        CHECK(hidden.ip);
        CHECK_FALSE(hidden.protocol);
        CHECK_FALSE(hidden.ports);
    }

    Bytes many = ethernet({0x86dd}) + ipv6_header(HopByHop);
    for (int count = 1; count <= 8; ++count) {
        CAPTURE(count);
        const Parsed ended = parsed(many + extension(Udp, 0, 8) + udp(21, 22));
        CHECK((ended.protocol == Udp) == (count <= 4));
        CHECK(ended.protocol.has_value() == (count <= 4));
        CHECK(ended.ports.has_value() == (count <= 4));
        many = many + extension(Routing, 0, 8);
    }
}

TEST_CASE("P3 a fifth header that is a fragment header is not looked into") {
    Bytes frame = ethernet({0x86dd}) + ipv6_header(HopByHop);
    for (int i = 0; i < 3; ++i) frame = frame + extension(HopByHop, 0, 8);
    frame = frame + extension(FragmentHeader, 0, 8) + fragment_header(Udp, 5, true);
    CHECK_FALSE(parsed(frame).protocol);
    CHECK_FALSE(parsed(frame).fragment);
}

TEST_CASE("P5 an extension header at the window's edge is walked when its first 2 bytes are in") {
    // One header of 72 bytes puts the next at 126: its first 2 bytes are the window's last.
    const Bytes to126 = ethernet({0x86dd}) + ipv6_header(HopByHop) + extension(Routing, 8, 72);
    REQUIRE(to126.size() == 126);
    const Parsed inside = parsed(to126 + extension(Udp, 0, 8) + udp(1, 2));
    CHECK(inside.protocol == Udp);
    CHECK_FALSE(inside.ports);
    CHECK(parsed(to126 + Bytes{Udp, 0}).protocol == Udp);
    CHECK_FALSE(parsed(to126 + Bytes{Udp}).protocol);  // the frame ends after 1 of the 2
    CHECK_FALSE(parsed(to126).protocol);
    CHECK(parsed(to126).ip);

    // The header after that one lies past the window: the walk ends there.
    CHECK_FALSE(
        parsed(to126 + extension(DestinationOptions, 0, 8) + extension(Udp, 0, 8) + udp(1, 2))
            .protocol);

    // A tag moves the same header to 130.
    const Bytes to130 =
        ethernet({0x8100, 0x86dd}) + ipv6_header(HopByHop) + extension(Routing, 8, 72);
    REQUIRE(to130.size() == 130);
    CHECK_FALSE(parsed(to130 + extension(Udp, 0, 8) + udp(1, 2)).protocol);
}

TEST_CASE("P5 the walk goes on through a header that ends far past the window") {
    for (const std::uint8_t kind : {HopByHop, Routing, DestinationOptions, Authentication}) {
        const Bytes start = ethernet({0x86dd}) + ipv6_header(kind) + Bytes{Tcp, 255};
        CHECK(parsed(start).protocol == Tcp);  // whatever the frame holds of it
        CHECK(parsed(start + Bytes(3000, 0)).protocol == Tcp);
        CHECK_FALSE(parsed(start + Bytes(3000, 0)).ports);
        const Bytes hidden = ethernet({0x86dd}) + ipv6_header(kind) + Bytes{Routing, 255};
        CHECK_FALSE(parsed(hidden + Bytes(3000, Udp)).protocol);
    }
}

TEST_CASE("P5 a fragment header is walked when all its 8 bytes are in window and frame") {
    const auto at = [](std::uint8_t length, const Bytes& types) {
        return types + ipv6_header(HopByHop) + extension(FragmentHeader, length, (length + 1u) * 8);
    };
    const Bytes to118 = at(7, ethernet({0x86dd}));
    REQUIRE(to118.size() == 118);
    const Bytes header = fragment_header(Udp, 0, true);
    CHECK(parsed(to118 + header).protocol == Udp);
    CHECK(parsed(to118 + header).fragment);
    CHECK_FALSE(parsed(to118 + header + udp(1, 2)).ports);  // they would lie at 126 to 129
    for (std::size_t bytes = 0; bytes < 8; ++bytes) {
        CAPTURE(bytes);
        CHECK_FALSE(parsed(to118 + first(header, bytes)).protocol);
        CHECK_FALSE(parsed(to118 + first(header, bytes)).fragment);
    }
    const Bytes to122 = at(7, ethernet({0x8100, 0x86dd}));
    REQUIRE(to122.size() == 122);
    CHECK_FALSE(parsed(to122 + header + udp(1, 2)).protocol);
    CHECK_FALSE(parsed(to122 + header + udp(1, 2)).fragment);
}

TEST_CASE("P5 ports that straddle the window's end are unknown") {
    // An authentication header of 68 bytes puts the ports at 122; an option header of 72 at 126.
    const Bytes to122 = ethernet({0x86dd}) + ipv6_header(Authentication) + extension(Udp, 15, 68);
    REQUIRE(to122.size() == 122);
    CHECK(has_ports(parsed(to122 + udp(1000, 2000)), 1000, 2000));
    const Bytes to126 = ethernet({0x86dd}) + ipv6_header(HopByHop) + extension(Udp, 8, 72);
    REQUIRE(to126.size() == 126);
    CHECK(parsed(to126 + udp(1000, 2000)).protocol == Udp);
    CHECK_FALSE(parsed(to126 + udp(1000, 2000)).ports);
    for (std::size_t bytes = 0; bytes < 4; ++bytes)
        CHECK_FALSE(parsed(to122 + first(udp(1000, 2000), bytes)).ports);
    CHECK(has_ports(parsed(to122 + first(udp(1000, 2000), 4)), 1000, 2000));
}

TEST_CASE("P5 an IPv4 fragment above offset 0 has a protocol and no ports") {
    for (const unsigned offset : {0x0001u, 0x0100u, 0x1000u, 0x1fffu, 0x2001u, 0x4001u}) {
        CAPTURE(offset);
        const Parsed later =
            parsed(ethernet({0x0800}) +
                   ipv4_header(Udp, A4, B4, static_cast<std::uint16_t>(offset)) + udp(1, 2));
        CHECK(later.protocol == Udp);
        CHECK_FALSE(later.ports);
        CHECK(later.fragment);
    }
    const Parsed initial =
        parsed(ethernet({0x0800}) + ipv4_header(Udp, A4, B4, MoreFragments) + udp(1, 2));
    CHECK(has_ports(initial, 1, 2));
    CHECK(initial.fragment);
    for (const std::uint16_t whole : {std::uint16_t{0}, DontFragment, std::uint16_t{0x8000}}) {
        const Parsed frame =
            parsed(ethernet({0x0800}) + ipv4_header(Udp, A4, B4, whole) + udp(1, 2));
        CHECK(has_ports(frame, 1, 2));
        CHECK_FALSE(frame.fragment);
    }
}

TEST_CASE(
    "P5 a fragment header with a non-zero offset ends the walk and its next header is the "
    "protocol") {
    const Bytes start = ethernet({0x86dd}) + ipv6_header(FragmentHeader);
    for (const std::uint8_t next :
         {Tcp, Udp, HopByHop, Routing, FragmentHeader, Authentication, DestinationOptions}) {
        for (const unsigned offset : {1u, 185u, 0x1000u, 0x1fffu}) {
            for (const bool more : {false, true}) {
                CAPTURE(int(next), offset, more);
                const Parsed later =
                    parsed(start + fragment_header(next, offset, more) + udp(1, 2));
                CHECK(later.protocol == next);
                CHECK_FALSE(later.ports);
                CHECK(later.fragment);
            }
        }
    }
    // Also as the fourth header, which a fifth can no longer follow.
    const Bytes three = ethernet({0x86dd}) + ipv6_header(HopByHop) + extension(Routing, 0, 8) +
                        extension(DestinationOptions, 0, 8) + extension(FragmentHeader, 0, 8);
    CHECK(parsed(three + fragment_header(DestinationOptions, 3, true)).protocol ==
          DestinationOptions);
}

TEST_CASE("P5 P20 a fragment header at offset 0 is walked, and it is a fragment with M alone") {
    const Bytes start = ethernet({0x86dd}) + ipv6_header(FragmentHeader);
    for (const unsigned reserved : {0u, 1u, 2u, 3u}) {
        const Parsed initial = parsed(start + fragment_header(Udp, 0, true, reserved) + udp(1, 2));
        CHECK(has_ports(initial, 1, 2));
        CHECK(initial.fragment);
        const Parsed atomic = parsed(start + fragment_header(Udp, 0, false, reserved) + udp(1, 2));
        CHECK(has_ports(atomic, 1, 2));
        CHECK_FALSE(atomic.fragment);
    }
    const Parsed twice = parsed(start + fragment_header(FragmentHeader, 0, true) +
                                fragment_header(Udp, 0, false) + udp(1, 2));
    CHECK(has_ports(twice, 1, 2));
    CHECK(twice.fragment);
}

// ---- P7 to P9: services ----

TEST_CASE("P7 DHCP is never mirrored: UDP with either port 67 or 68, over IPv6 546 or 547") {
    for (unsigned port : {66u, 67u, 68u, 69u, 545u, 546u, 547u, 548u}) {
        CAPTURE(port);
        const auto value = static_cast<std::uint16_t>(port);
        const bool dhcp4 = port == 67 || port == 68;
        const bool dhcp6 = port == 546 || port == 547;
        CHECK(excluded(ipv4_frame(A4, B4, Udp, udp(value, 5000))) == dhcp4);
        CHECK(excluded(ipv4_frame(A4, B4, Udp, udp(5000, value))) == dhcp4);
        CHECK(excluded(ipv6_frame(A6, B6, Udp, udp(value, 5000))) == dhcp6);
        CHECK(excluded(ipv6_frame(A6, B6, Udp, udp(5000, value))) == dhcp6);
        CHECK_FALSE(excluded(ipv4_frame(A4, B4, Tcp, udp(value, 5000))));
        CHECK_FALSE(excluded(ipv6_frame(A6, B6, Tcp, udp(5000, value))));
    }
}

TEST_CASE("P7 instance metadata is never mirrored, any protocol, ports known or not") {
    const Address metadata4 = ipv4(169, 254, 169, 254);
    const Address metadata6 = ipv6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254});
    for (const std::uint8_t protocol : {Icmp, Tcp, Udp, Esp}) {
        CHECK(excluded(ipv4_frame(A4, metadata4, protocol, udp(5000, 80))));
        CHECK(excluded(ipv4_frame(metadata4, A4, protocol, udp(80, 5000))));
        CHECK(excluded(ipv6_frame(A6, metadata6, protocol, udp(5000, 80))));
        CHECK(excluded(ipv6_frame(metadata6, A6, protocol, udp(80, 5000))));
    }
    CHECK(excluded(ethernet({0x0800}) + ipv4_header(Tcp, A4, metadata4, 100) + udp(1, 2)));
    CHECK(excluded(ethernet({0x86dd}) + ipv6_header(HopByHop, A6, metadata6)));
    CHECK_FALSE(excluded(ipv4_frame(A4, ipv4(169, 254, 169, 255), Tcp, udp(5000, 80))));
    CHECK_FALSE(excluded(ipv4_frame(A4, ipv4(169, 254, 168, 254), Tcp, udp(5000, 80))));
    CHECK_FALSE(
        excluded(ipv6_frame(A6, ipv6({0xfd00, 0xec2, 0, 0, 0, 0, 1, 0x254}), Tcp, udp(5000, 80))));
}

TEST_CASE("P7 time sync is UDP port 123 on either side, and public NTP is ordinary") {
    const Address sync4 = ipv4(169, 254, 169, 123);
    const Address sync6 = ipv6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123});
    for (const auto& [us, them] : {std::pair(A4, sync4), std::pair(A6, sync6)}) {
        CAPTURE(us.version);
        CHECK(excluded(ip_frame(us, them, Udp, udp(5000, 123))));
        CHECK(excluded(ip_frame(us, them, Udp, udp(123, 5000))));
        CHECK(excluded(ip_frame(them, us, Udp, udp(123, 5000))));
        CHECK(excluded(ip_frame(them, us, Udp, udp(5000, 123))));
        CHECK_FALSE(excluded(ip_frame(us, them, Udp, udp(5000, 124))));
        CHECK_FALSE(excluded(ip_frame(us, them, Tcp, udp(5000, 123))));
        CHECK_FALSE(excluded(ip_frame(us, them, Icmp, udp(5000, 123))));
    }
    CHECK_FALSE(excluded(ipv4_frame(A4, B4, Udp, udp(123, 123))));
    CHECK_FALSE(excluded(ipv6_frame(A6, B6, Udp, udp(123, 123))));
}

TEST_CASE("P7 Windows activation is TCP port 1688 on either side of either address") {
    for (const std::uint8_t host : {249, 250, 251, 252}) {
        CAPTURE(int(host));
        const bool activation = host == 250 || host == 251;
        const Address service = ipv4(169, 254, 169, host);
        CHECK(excluded(ipv4_frame(A4, service, Tcp, udp(5000, 1688))) == activation);
        CHECK(excluded(ipv4_frame(A4, service, Tcp, udp(1688, 5000))) == activation);
        CHECK(excluded(ipv4_frame(service, A4, Tcp, udp(1688, 5000))) == activation);
        CHECK(excluded(ipv4_frame(service, A4, Tcp, udp(5000, 1688))) == activation);
        CHECK_FALSE(excluded(ipv4_frame(A4, service, Udp, udp(5000, 1688))));
        CHECK_FALSE(excluded(ipv4_frame(A4, service, Tcp, udp(5000, 1689))));
    }
}

TEST_CASE("P8 amazon-dns accepts all Amazon DNS before the rules, in both directions") {
    Filter filter;  // no rule at all
    filter.amazon_dns = true;
    const Address vpc = ipv4(10, 0, 0, 2);
    Tables device = tables({session(filter)});
    device.interfaces[0].resolver = vpc;
    const Address resolver6 = ipv6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253});
    for (const auto& [us, resolver] :
         {std::pair(A4, ipv4(169, 254, 169, 253)), std::pair(A4, vpc), std::pair(A6, resolver6)}) {
        for (const std::uint8_t protocol : {Tcp, Udp}) {
            for (const Direction direction : {Direction::egress, Direction::ingress}) {
                const Decision query =
                    decided(device, ip_frame(us, resolver, protocol, udp(5000, 53)), direction);
                CHECK(query.outcome == Outcome::selected);
                CHECK(query.by_service);
                CHECK_FALSE(query.rule);
                const Decision reply =
                    decided(device, ip_frame(resolver, us, protocol, udp(53, 5000)), direction);
                CHECK(reply.outcome == Outcome::selected);
                CHECK(reply.by_service);
            }
        }
        // Port 53 on the other side, another protocol, another port: not Amazon DNS.
        for (const Bytes& frame :
             {ip_frame(us, resolver, Udp, udp(53, 5000)),
              ip_frame(resolver, us, Udp, udp(5000, 53)), ip_frame(us, resolver, Icmp, udp(53, 53)),
              ip_frame(us, resolver, Udp, udp(5000, 54)),
              ip_frame(us, resolver, Udp, first(udp(5000, 53), 3))}) {
            const Decision decision = decided(device, frame);
            CHECK(decision.outcome == Outcome::not_accepted);
            REQUIRE(decision.tried.size() == 1);
            CHECK(decision.tried[0].reason == Verdict::Reason::no_rule);
        }
    }
    CHECK(decided(device, ipv4_frame(A4, B4, Udp, udp(5000, 53))).outcome == Outcome::not_accepted);
}

TEST_CASE("P8 a filter without amazon-dns rejects all of it, whatever its rules") {
    Tables device = tables({session(accept_all())});
    device.interfaces[0].resolver = ipv4(10, 0, 0, 2);
    for (const Address& resolver : {ipv4(169, 254, 169, 253), ipv4(10, 0, 0, 2)}) {
        const Decision decision = decided(device, ipv4_frame(A4, resolver, Udp, udp(5000, 53)));
        CHECK(decision.outcome == Outcome::not_accepted);
        REQUIRE(decision.tried.size() == 1);
        CHECK(decision.tried[0].reason == Verdict::Reason::amazon_dns);
        CHECK_FALSE(decision.tried[0].accept);
        // Where it is not Amazon DNS, the rules decide.
        CHECK(decided(device, ipv4_frame(A4, resolver, Udp, udp(53, 5000))).rule == 0u);
        CHECK(decided(device, ipv4_frame(A4, resolver, Icmp, udp(0, 0))).rule == 0u);
    }
}

TEST_CASE("P8 the VPC's resolver is Amazon DNS for the interface of that VPC alone") {
    Tables device = tables({session(accept_all())});
    const Bytes query = ipv4_frame(A4, ipv4(10, 0, 0, 2), Udp, udp(5000, 53));
    CHECK(decided(device, query).outcome == Outcome::selected);
    CHECK(decided(device, ipv4_frame(A4, ipv4(0, 0, 0, 0), Udp, udp(5000, 53))).rule == 0u);
    device.interfaces[0].resolver = ipv4(10, 9, 0, 2);
    CHECK(decided(device, query).outcome == Outcome::selected);
    device.interfaces[0].resolver = ipv4(10, 0, 0, 2);
    CHECK(decided(device, query).outcome == Outcome::not_accepted);
}

TEST_CASE("P8 P9 a fragment of Amazon DNS without ports is ordinary traffic") {
    const Bytes later =
        ethernet({0x0800}) + ipv4_header(Udp, ipv4(169, 254, 169, 253), A4, 185) + udp(53, 5000);
    CHECK(decided(accept_all(), later).rule == 0u);
    const Bytes initial = ethernet({0x0800}) +
                          ipv4_header(Udp, ipv4(169, 254, 169, 253), A4, MoreFragments) +
                          udp(53, 5000);
    CHECK(decided(accept_all(), initial).outcome == Outcome::not_accepted);
    CHECK(decided(with_dns(accept_all()), initial).by_service);
}

TEST_CASE("P8 what P7 excludes stays excluded when it is Amazon DNS as well") {
    const Filter filter = with_dns(accept_all());
    const Address resolver = ipv4(169, 254, 169, 253);
    check_not_eligible(decided(filter, ipv4_frame(A4, resolver, Udp, udp(68, 53))),
                       Cause::excluded);
    check_not_eligible(
        decided(filter, ipv4_frame(ipv4(169, 254, 169, 254), resolver, Udp, udp(5000, 53))),
        Cause::excluded);
}

TEST_CASE("P9 the default services are those of P7 and P8 and fit the table") {
    const auto services = default_services();
    CHECK(services.size() == 10);
    CHECK(std::count_if(services.begin(), services.end(), [](const ServiceEntry& entry) {
              return entry.action == ServiceEntry::Action::dns;
          }) == 2);
}

TEST_CASE("P9 without services nothing is excluded and nothing but the VPC's resolver is DNS") {
    Tables device = tables({session(accept_all())});
    device.services.clear();
    device.interfaces[0].resolver = ipv4(10, 0, 0, 2);
    for (const Bytes& frame : {ipv4_frame(A4, B4, Udp, udp(68, 67)),
                               ipv4_frame(A4, ipv4(169, 254, 169, 254), Tcp, udp(5000, 80)),
                               ipv4_frame(A4, ipv4(169, 254, 169, 253), Udp, udp(5000, 53))})
        CHECK(decided(device, frame).rule == 0u);
    CHECK(decided(device, ipv4_frame(A4, ipv4(10, 0, 0, 2), Udp, udp(5000, 53))).outcome ==
          Outcome::not_accepted);
}

TEST_CASE("P9 each field of a service entry restricts what it matches") {
    Tables device = tables({session(accept_all())});
    device.services.resize(1);
    ServiceEntry& entry = device.services[0];
    entry = ServiceEntry{};
    const auto excludes = [&](const Bytes& frame) {
        return decided(device, frame).cause == Cause::excluded;
    };
    using Protocol = ServiceEntry::Protocol;

    SECTION("the IP version") {
        for (const int version : {4, 6}) {
            entry.version = version;
            CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(1, 2))) == (version == 4));
            CHECK(excludes(ipv6_frame(A6, B6, Udp, udp(1, 2))) == (version == 6));
        }
    }
    SECTION("the protocol") {
        const std::tuple<Protocol, bool, bool, bool> cases[] = {
            {Protocol::tcp, true, false, false},
            {Protocol::udp, false, true, false},
            {Protocol::tcp_or_udp, true, true, false},
            {Protocol::any, true, true, true}};
        for (const auto& [protocol, with_tcp, with_udp, with_icmp] : cases) {
            entry.protocol = protocol;
            CHECK(excludes(ipv4_frame(A4, B4, Tcp, {})) == with_tcp);
            CHECK(excludes(ipv4_frame(A4, B4, Udp, {})) == with_udp);
            CHECK(excludes(ipv4_frame(A4, B4, Icmp, {})) == with_icmp);
        }
        entry.version = 6;
        const Bytes unknown = ethernet({0x86dd}) + ipv6_header(HopByHop);
        entry.protocol = Protocol::any;
        CHECK(excludes(unknown));
        entry.protocol = Protocol::tcp_or_udp;
        CHECK_FALSE(excludes(unknown));
    }
    SECTION("the port range, inclusive, never met by a frame without ports") {
        entry.ports = PortRange{100, 200};
        for (const std::uint16_t port : {99, 100, 150, 200, 201}) {
            const bool in = port >= 100 && port <= 200;
            CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(port, 5000))) == in);
            CHECK(excludes(ipv4_frame(A4, B4, Tcp, udp(5000, port))) == in);
        }
        CHECK_FALSE(excludes(ipv4_frame(A4, B4, Icmp, udp(150, 150))));
        entry.ports = PortRange{0, 65535};
        CHECK_FALSE(excludes(ipv4_frame(A4, B4, Udp, {})));
        CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(0, 65535))));
    }
    SECTION("the address and the side of its port") {
        entry.address = B4;
        CHECK(excludes(ipv4_frame(A4, B4, Icmp, {})));
        CHECK(excludes(ipv4_frame(B4, A4, Icmp, {})));
        CHECK_FALSE(excludes(ipv4_frame(A4, A4, Icmp, {})));
        entry.ports = PortRange{100, 100};
        for (const auto side : {ServiceEntry::PortSide::address, ServiceEntry::PortSide::either}) {
            const bool either = side == ServiceEntry::PortSide::either;
            entry.side = side;
            CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(5000, 100))));
            CHECK(excludes(ipv4_frame(B4, A4, Udp, udp(100, 5000))));
            CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(100, 5000))) == either);
            CHECK(excludes(ipv4_frame(B4, A4, Udp, udp(5000, 100))) == either);
            CHECK(excludes(ipv4_frame(B4, B4, Udp, udp(5000, 100))));
            CHECK(excludes(ipv4_frame(B4, B4, Udp, udp(100, 5000))));
            CHECK_FALSE(excludes(ipv4_frame(A4, A4, Udp, udp(100, 100))));
        }
    }
    SECTION("any address takes the port on either side") {
        entry.ports = PortRange{100, 100};
        entry.side = ServiceEntry::PortSide::address;
        CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(5000, 100))));
        CHECK(excludes(ipv4_frame(A4, B4, Udp, udp(100, 5000))));
    }
}

TEST_CASE("P9 a DNS service of one's own is Amazon DNS too") {
    Tables device = tables({session(with_dns({})), session(accept_all(), 2)});
    device.services = {{4, B4, ServiceEntry::Protocol::any, std::nullopt,
                        ServiceEntry::PortSide::address, ServiceEntry::Action::dns}};
    CHECK(decided(device, ipv4_frame(A4, B4, Icmp, {})).by_service);
    CHECK(decided(device, ipv4_frame(A4, A4, Icmp, {})).session == 1);
}

// ---- P10 to P13: rules, filters, sessions ----

TEST_CASE("P10 the list of the frame's direction decides") {
    Filter filter;
    filter.ingress = {rule(true)};
    filter.egress = {rule(false)};
    const Bytes frame = frame_of(60);
    const Decision ingress = decided(filter, frame, Direction::ingress);
    CHECK(ingress.outcome == Outcome::selected);
    CHECK(ingress.rule == 0u);
    CHECK_FALSE(ingress.by_service);
    const Decision egress = decided(filter, frame, Direction::egress);
    CHECK(egress.outcome == Outcome::not_accepted);
    CHECK(egress.cause == Cause::none);
    REQUIRE(egress.tried.size() == 1);
    CHECK(egress.tried[0].reason == Verdict::Reason::rule);
    CHECK(egress.tried[0].rule == 0);
    CHECK_FALSE(egress.tried[0].accept);
}

TEST_CASE("P10 the first rule that matches decides, and no match is reject") {
    Rule tcp = rule(true), port = rule(false), all = rule(true);
    tcp.protocol = Tcp;
    port.destination_ports = PortRange{443, 443};
    Filter filter;
    filter.egress = {tcp, port, all};
    CHECK(decided(filter, ipv4_frame(A4, B4, Tcp, udp(5000, 443))).rule == 0u);
    const Decision rejected = decided(filter, ipv4_frame(A4, B4, Udp, udp(5000, 443)));
    CHECK(rejected.outcome == Outcome::not_accepted);
    CHECK(rejected.tried.at(0).rule == 1);
    CHECK(decided(filter, ipv4_frame(A4, B4, Udp, udp(5000, 444))).rule == 2u);
    const Decision unmatched = decided(filter, ipv6_frame(A6, B6, Tcp, udp(5000, 443)));
    CHECK(unmatched.outcome == Outcome::not_accepted);
    CHECK(unmatched.tried.at(0).reason == Verdict::Reason::no_rule);
}

TEST_CASE("P10 an empty list rejects") {
    const Decision decision = decided(Filter{}, frame_of(60));
    CHECK(decision.outcome == Outcome::not_accepted);
    REQUIRE(decision.tried.size() == 1);
    CHECK(decision.tried[0].reason == Verdict::Reason::no_rule);
}

TEST_CASE("P11 a CIDR matches on exactly its prefix, and host bits do not count") {
    for (int prefix = 0; prefix <= 32; ++prefix) {
        for (int bit = 0; bit < 32; ++bit) {
            Address other = A4;
            other.bytes[bit / 8] ^= 0x80 >> bit % 8;
            Rule by_source = rule(true), by_destination = rule(true);
            by_source.source = {other, prefix};
            by_destination.destination = {other, prefix};
            CAPTURE(prefix, bit);
            CHECK(accepts(by_source, ipv4_frame(A4, B4, Icmp, {})) == (bit >= prefix));
            CHECK(accepts(by_destination, ipv4_frame(B4, A4, Icmp, {})) == (bit >= prefix));
        }
    }
    for (const int prefix : {0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 127, 128}) {
        for (int bit = 0; bit < 128; ++bit) {
            Address other = A6;
            other.bytes[bit / 8] ^= 0x80 >> bit % 8;
            Rule by_source = rule(true, 6);
            by_source.source = {other, prefix};
            CAPTURE(prefix, bit);
            CHECK(accepts(by_source, ipv6_frame(A6, B6, Icmp, {})) == (bit >= prefix));
        }
    }
    Rule exact = rule(true);
    exact.source = {A4, 32};
    exact.destination = {B4, 32};
    CHECK(accepts(exact, ipv4_frame(A4, B4, Icmp, {})));
    CHECK_FALSE(accepts(exact, ipv4_frame(B4, A4, Icmp, {})));
}

TEST_CASE("P11 a rule of one IP version never matches a frame of the other") {
    CHECK(accepts(rule(true, 4), ipv4_frame(A4, B4, Udp, udp(1, 2))));
    CHECK_FALSE(accepts(rule(true, 4), ipv6_frame(A6, B6, Udp, udp(1, 2))));
    CHECK(accepts(rule(true, 6), ipv6_frame(A6, B6, Udp, udp(1, 2))));
    CHECK_FALSE(accepts(rule(true, 6), ipv4_frame(A4, B4, Udp, udp(1, 2))));
    Rule mixed = rule(true, 4);
    mixed.destination = rule(true, 6).destination;
    CHECK_FALSE(accepts(mixed, ipv4_frame(A4, B4, Udp, udp(1, 2))));
    CHECK_FALSE(accepts(mixed, ipv6_frame(A6, B6, Udp, udp(1, 2))));
}

TEST_CASE("P11 a protocol matches itself alone, and never an unknown protocol") {
    for (const std::uint8_t wanted : {std::uint8_t{0}, Icmp, Tcp, Udp, std::uint8_t{255}}) {
        Rule by_protocol = rule(true);
        by_protocol.protocol = wanted;
        for (const std::uint8_t seen : {std::uint8_t{0}, Icmp, Tcp, Udp, std::uint8_t{255}})
            CHECK(accepts(by_protocol, ipv4_frame(A4, B4, seen, {})) == (wanted == seen));
    }
    const Bytes unknown = ethernet({0x86dd}) + ipv6_header(HopByHop);
    Rule by_protocol = rule(true, 6);
    CHECK(accepts(by_protocol, unknown));
    by_protocol.protocol = 0;
    CHECK_FALSE(accepts(by_protocol, unknown));
    by_protocol.protocol = 60;
    CHECK(accepts(by_protocol, ethernet({0x86dd}) + ipv6_header(FragmentHeader) +
                                   fragment_header(DestinationOptions, 1, false)));
}

TEST_CASE("P11 a port range is inclusive, of its own side, and cannot match unknown ports") {
    for (const std::uint16_t port : {0, 999, 1000, 1500, 2000, 2001, 65535}) {
        CAPTURE(port);
        const bool in = port >= 1000 && port <= 2000;
        Rule by_source = rule(true), by_destination = rule(true), by_both = rule(true);
        by_source.source_ports = PortRange{1000, 2000};
        by_destination.destination_ports = PortRange{1000, 2000};
        by_both.source_ports = by_both.destination_ports = PortRange{1000, 2000};
        for (const std::uint8_t protocol : {Tcp, Udp}) {
            CHECK(accepts(by_source, ipv4_frame(A4, B4, protocol, udp(port, 5))) == in);
            CHECK_FALSE(accepts(by_source, ipv4_frame(A4, B4, protocol, udp(5, port))));
            CHECK(accepts(by_destination, ipv4_frame(A4, B4, protocol, udp(5, port))) == in);
            CHECK_FALSE(accepts(by_destination, ipv4_frame(A4, B4, protocol, udp(port, 5))));
            CHECK(accepts(by_both, ipv4_frame(A4, B4, protocol, udp(port, 1000))) == in);
            CHECK_FALSE(accepts(by_both, ipv4_frame(A4, B4, protocol, udp(port, 5))));
        }
    }
    Rule source = rule(true), destination = rule(true);
    source.source_ports = PortRange{0, 65535};
    destination.destination_ports = PortRange{0, 65535};
    for (const Rule& every_port : {source, destination}) {
        CHECK(accepts(every_port, ipv4_frame(A4, B4, Udp, udp(0, 65535))));
        CHECK_FALSE(accepts(every_port, ipv4_frame(A4, B4, Icmp, udp(5, 5))));
        CHECK_FALSE(accepts(every_port, ipv4_frame(A4, B4, Udp, first(udp(5, 5), 3))));
        CHECK_FALSE(
            accepts(every_port, ethernet({0x0800}) + ipv4_header(Udp, A4, B4, 1) + udp(5, 5)));
        CHECK(accepts(every_port,
                      ethernet({0x0800}) + ipv4_header(Udp, A4, B4, MoreFragments) + udp(5, 5)));
    }
}

TEST_CASE("P12 sessions are tried in ascending number and the first that accepts mirrors") {
    Filter reject;
    reject.egress = {rule(false)};
    Tables device = tables({session(accept_all(), 32766), session(accept_all(), 20),
                            session(Filter{}, 3), session(reject, 7)});
    device.interfaces[0].sessions[1].vni = 0xabcdef;
    const Decision decision = decided(device, frame_of(60));
    CHECK(decision.outcome == Outcome::selected);
    CHECK(decision.session == 2);
    CHECK(decision.session_number == 20);
    REQUIRE(decision.tried.size() == 3);
    CHECK(decision.tried[0].session_number == 3);
    CHECK(decision.tried[0].reason == Verdict::Reason::no_rule);
    CHECK(decision.tried[1].session_number == 7);
    CHECK(decision.tried[1].reason == Verdict::Reason::rule);
    CHECK_FALSE(decision.tried[1].accept);
    CHECK(decision.tried[2].session_number == 20);
    CHECK(decision.tried[2].accept);
    CHECK(part(decision.copy, 46, 3) == Bytes{0xab, 0xcd, 0xef});
}

TEST_CASE("P12 a pass that every session rejects is not accepted") {
    const Decision decision =
        decided(tables({session({}, 2), session({}, 1), session({}, 3)}), frame_of(60));
    CHECK(decision.outcome == Outcome::not_accepted);
    CHECK(decision.tried.size() == 3);
    CHECK(decision.kept == 0);
    CHECK(decision.copy.empty());
}

TEST_CASE("P8 P12 Amazon DNS goes to the first session whose filter has amazon-dns") {
    const Bytes query = ipv4_frame(A4, ipv4(169, 254, 169, 253), Udp, udp(5000, 53));
    const Decision decision =
        decided(tables({session(accept_all(), 1), session(with_dns({}), 2)}), query);
    CHECK(decision.session == 1);
    CHECK(decision.by_service);
    REQUIRE(decision.tried.size() == 2);
    CHECK(decision.tried[0].reason == Verdict::Reason::amazon_dns);
    CHECK_FALSE(decision.tried[0].accept);
}

TEST_CASE("P13 a frame between two interfaces is decided at each, by that interface's sessions") {
    Tables device;
    device.interfaces.resize(2);
    Filter outward, inward;
    outward.egress = {rule(true)};
    inward.ingress = {rule(true)};
    device.interfaces[0].sessions = {session(outward, 5)};
    device.interfaces[1].sessions = {session(inward, 6)};
    device.interfaces[1].sessions[0].source_mac = MacB;
    const Bytes frame = frame_of(60);
    const Decision egress = decide(device, pass_of(frame, Direction::egress, 0));
    const Decision ingress = decide(device, pass_of(frame, Direction::ingress, 1));
    CHECK(egress.session_number == 5);
    CHECK(ingress.session_number == 6);
    CHECK(part(egress.copy, 6, 6) == Bytes(MacA.begin(), MacA.end()));
    CHECK(part(ingress.copy, 6, 6) == Bytes(MacB.begin(), MacB.end()));
    CHECK(part(egress.copy, 50, 60) == frame);
    CHECK(part(ingress.copy, 50, 60) == frame);
    // One interface that sends to itself.
    device.interfaces[0].sessions = {session(accept_all(), 5)};
    CHECK(decide(device, pass_of(frame, Direction::egress, 0)).outcome == Outcome::selected);
    CHECK(decide(device, pass_of(frame, Direction::ingress, 0)).outcome == Outcome::selected);
}

// ---- P14 to P19: the copy ----

TEST_CASE("P14 the copy carries min(frame, PacketLength, MTU cut) bytes, unchanged") {
    for (const bool ipv6_target : {false, true}) {
        const std::size_t header = ipv6_target ? 70 : 50;
        const std::size_t overhead = ipv6_target ? 56 : 36;
        Session target = session(accept_all());
        if (ipv6_target) target = over_ipv6(target);
        for (const std::size_t length : {42u, 63u, 64u, 65u, 127u, 128u, 129u, 539u, 540u, 541u,
                                         1514u, 8501u, 9216u, 9217u, 20000u}) {
            const Bytes frame = frame_of(length);
            for (const int packet_length :
                 {0, 1, 13, 14, 15, 63, 64, 65, 127, 128, 129, 1000, 8500}) {
                for (const std::uint16_t mtu : {576, 1500, 8999, 9001, 9216}) {
                    CAPTURE(ipv6_target, length, packet_length, mtu);
                    target.mtu = mtu;
                    target.packet_length.reset();
                    if (packet_length) target.packet_length = packet_length;
                    std::size_t expected = length;
                    if (packet_length && expected > std::size_t(packet_length))
                        expected = packet_length;
                    if (expected + overhead > mtu) expected = mtu - overhead;
                    const Decision decision = decided(tables({target}), frame);
                    REQUIRE(decision.outcome == Outcome::selected);
                    REQUIRE(decision.kept == expected);
                    REQUIRE(decision.truncated == (expected < length));
                    REQUIRE(decision.copy_bytes == header + expected);
                    REQUIRE(decision.copy.size() == std::max(header + expected, ShortestFrame));
                    REQUIRE(part(decision.copy, header, expected) ==
                            Bytes(frame.begin(), frame.begin() + long(expected)));
                    REQUIRE(decision.copy.size() - 14 <= mtu);
                }
            }
        }
    }
}

TEST_CASE("P14 the MTU cut is MTU - 36 over IPv4 and MTU - 56 over IPv6") {
    const Bytes frame = frame_of(20000);
    const std::tuple<std::uint16_t, std::size_t, std::size_t> cases[] = {
        {576, 540, 520}, {1500, 1464, 1444}, {8999, 8963, 8943}, {9216, 9180, 9160}};
    for (const auto& [mtu, cut4, cut6] : cases) {
        Session target = session(accept_all());
        target.mtu = mtu;
        CHECK(decided(tables({target}), frame).kept == cut4);
        CHECK(decided(tables({over_ipv6(target)}), frame).kept == cut6);
        // A frame that just fits is not truncated.
        const Decision fits = decided(tables({target}), frame_of(cut4));
        CHECK(fits.kept == cut4);
        CHECK_FALSE(fits.truncated);
    }
}

TEST_CASE("P14 a frame shorter than PacketLength passes whole and unpadded") {
    Session target = session(accept_all());
    target.packet_length = 8500;
    const Bytes frame = ethernet({0x0800}) + ipv4_header(Udp, A4, B4);  // 34 bytes
    const Decision decision = decided(tables({target}), frame);
    CHECK(decision.kept == 34);
    CHECK_FALSE(decision.truncated);
    CHECK(decision.copy.size() == 84);
}

TEST_CASE("P14 every PacketLength is exact") {
    Session target = session(accept_all());
    const Bytes frame = frame_of(9000);
    for (const bool ipv6_target : {false, true}) {
        for (unsigned length = 1; length <= 8500; length += length < 200 ? 1 : 83) {
            target.packet_length = static_cast<std::uint16_t>(length);
            const Decision decision =
                decided(tables({ipv6_target ? over_ipv6(target) : target}), frame);
            REQUIRE(decision.kept == length);
            REQUIRE(decision.copy_bytes == length + (ipv6_target ? 70 : 50));
        }
    }
}

TEST_CASE(
    "I3 P14 P23 a copy of less than 60 bytes ends in zeros that no length and no sum counts") {
    Session target = session(accept_all());
    const Bytes frame = frame_of(300);
    for (unsigned length = 1; length <= 12; ++length) {
        target.packet_length = static_cast<std::uint16_t>(length);
        const Pass pass = pass_of(frame, Direction::egress, 0);
        const Decision decision = decide(tables({target}), pass);
        REQUIRE(decision.kept == length);
        REQUIRE(decision.copy_bytes == 50 + length);
        REQUIRE(decision.copy.size() == std::max(60u, 50 + length));
        REQUIRE(word_at(decision.copy, 16) == 36 + length);  // IPv4's total length
        REQUIRE(word_at(decision.copy, 38) == 16 + length);  // UDP's length
        REQUIRE(part(decision.copy, 50, length) ==
                Bytes(frame.begin(), frame.begin() + long(length)));
        REQUIRE(std::all_of(decision.copy.begin() + 50 + long(length), decision.copy.end(),
                            [](std::uint8_t byte) { return byte == 0; }));
        Ledger ledger;
        ledger.record(pass, decision);
        REQUIRE(ledger.totals().sent_bytes == 50 + length);
        REQUIRE(ledger.session(0, decision.session_number).sent_bytes == 50 + length);
        // Over IPv6 no copy is so short.
        const Decision over6 = decided(tables({over_ipv6(target)}), frame);
        REQUIRE(over6.copy.size() == 70 + length);
    }
}

TEST_CASE("P15 P16 P18 P19 P20 a copy over IPv4 is this, byte for byte") {
    const Bytes inner = {
        0x02, 0x00, 0x00, 0x00, 0x0b, 0x0b,              // destination MAC
        0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a,              // source MAC
        0x08, 0x00,                                      // IPv4
        0x45, 0x00, 0x00, 0x24, 0x1c, 0x46, 0x40, 0x00,  // length 36, do not fragment
        0x40, 0x11, 0x07, 0x66,                          // UDP
        0x0a, 0x00, 0x01, 0x0a, 0x0a, 0x00, 0x02, 0x14,  // 10.0.1.10 to 10.0.2.20
        0x9c, 0x40, 0x01, 0xbb, 0x00, 0x10, 0xbe, 0xef,  // 40000 to 443
        'm',  'i',  'r',  'r',  'o',  'r',  'e',  'd'};
    const Bytes golden = {
        0x02, 0x00, 0x00, 0x00, 0xcc, 0xcc,              // the target's MAC
        0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a,              // the interface's MAC
        0x08, 0x00,                                      // IPv4, no tag
        0x45, 0x00, 0x00, 0x56, 0x00, 0x00, 0x00, 0x00,  // length 86, identification 0, no flags
        0xff, 0x11, 0x9d, 0x84,                          // TTL 255, UDP, checksum
        0x0a, 0x00, 0x01, 0x0a, 0x0a, 0x00, 0x09, 0x09,  // 10.0.1.10 to 10.0.9.9
        0xfe, 0x28, 0x12, 0xb5,                          // 65064 to 4789
        0x00, 0x42, 0x00, 0x00,                          // length 66, no checksum
        0x08, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x00,  // VNI 0x123456
        0x02, 0x00, 0x00, 0x00, 0x0b, 0x0b,              // the frame
        0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a,              //
        0x08, 0x00,                                      //
        0x45, 0x00, 0x00, 0x24, 0x1c, 0x46, 0x40, 0x00,  //
        0x40, 0x11, 0x07, 0x66,                          //
        0x0a, 0x00, 0x01, 0x0a, 0x0a, 0x00, 0x02, 0x14,  //
        0x9c, 0x40, 0x01, 0xbb, 0x00, 0x10, 0xbe, 0xef,  //
        'm',  'i',  'r',  'r',  'o',  'r',  'e',  'd'};
    const Decision decision = decided(accept_all(), inner);
    CHECK(decision.copy == golden);
    CHECK(residue(part(golden, 14, 20)) == 0);
}

TEST_CASE("P15 P17 P18 P19 P20 a copy over IPv6 of an odd length is this, byte for byte") {
    const Bytes inner = {0x02, 0x00, 0x00, 0x00, 0x0b, 0x0b,              // as above
                         0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a,              //
                         0x08, 0x00,                                      //
                         0x45, 0x00, 0x00, 0x24, 0x1c, 0x46, 0x40, 0x00,  //
                         0x40, 0x11, 0x07, 0x66,                          //
                         0x0a, 0x00, 0x01, 0x0a, 0x0a, 0x00, 0x02, 0x14,  //
                         0x9c, 0x40, 0x01, 0xbb, 0x00, 0x10, 0xbe, 0xef,  //
                         'm',  'i',  'r',  'r',  'o',  'r',  'e',  'd'};
    const Bytes golden = {0x02, 0x00, 0x00, 0x00, 0xcc, 0xcc,  // the target's MAC
                          0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a,  // the interface's MAC
                          0x86, 0xdd,                          // IPv6, no tag
                          0x60, 0x00, 0x00, 0x00,              // traffic class 0, flow label 0
                          0x00, 0x3d, 0x11, 0xff,              // length 61, UDP, hop limit 255
                          0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,  // 2001:db8::a
                          0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a,  //
                          0x20, 0x01, 0x0d, 0xb8, 0x00, 0x09, 0x00, 0x00,  // to 2001:db8:9::9
                          0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09,  //
                          0xfe, 0x28, 0x12, 0xb5,                          // 65064 to 4789
                          0x00, 0x3d, 0x2e, 0x8d,                          // length 61, checksum
                          0x08, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0x00,  // VNI 0xffffff
                          0x02, 0x00, 0x00, 0x00, 0x0b, 0x0b,              // 45 bytes of the frame
                          0x02, 0x00, 0x00, 0x00, 0x0a, 0x0a,              //
                          0x08, 0x00,                                      //
                          0x45, 0x00, 0x00, 0x24, 0x1c, 0x46, 0x40, 0x00,  //
                          0x40, 0x11, 0x07, 0x66,                          //
                          0x0a, 0x00, 0x01, 0x0a, 0x0a, 0x00, 0x02, 0x14,  //
                          0x9c, 0x40, 0x01, 0xbb, 0x00, 0x10, 0xbe, 0xef,  //
                          'm',  'i',  'r'};
    Session target = over_ipv6(session(accept_all()));
    target.packet_length = 45;
    target.vni = 0xffffff;
    const Decision decision = decided(tables({target}), inner);
    CHECK(decision.truncated);
    CHECK(decision.copy == golden);
    CHECK(residue(udp_checksum_area(golden)) == 0);
}

TEST_CASE("P16 the header checksum folds every carry") {
    // Outer words other than the addresses sum to 0x14463 for a copy of 46 bytes.
    const std::tuple<std::uint8_t, unsigned> cases[] = {
        {137, 0x0001},  // sum 0x1fffd
        {138, 0x0000},  // sum 0x1fffe, all ones after one fold
        {139, 0xfffe},  // sum 0x1ffff, which folds twice
        {140, 0xfffd},  // sum 0x20000
    };
    for (const auto& [last, checksum] : cases) {
        CAPTURE(int(last));
        Session target = session(accept_all());
        target.source_address = ipv4(10, 0, 0, 1);
        target.target_address = ipv4(172, 16, 5, last);
        const Bytes copy = decided(tables({target}), frame_of(46)).copy;
        CHECK(word_at(copy, 24) == checksum);
        CHECK(residue(part(copy, 14, 20)) == 0);
    }
    Session target = session(accept_all());
    target.source_address = target.target_address = ipv4(255, 255, 255, 255);
    const Bytes copy = decided(tables({target}), frame_of(9000)).copy;
    CHECK(residue(part(copy, 14, 20)) == 0);
    CHECK(word_at(copy, 24) != 0xffff);
}

TEST_CASE("P16 P18 P19 header fields hold for every length") {
    for (std::size_t length = 42; length < 400; ++length) {
        CAPTURE(length);
        const Bytes copy = decided(accept_all(), frame_of(length)).copy;
        REQUIRE(word_at(copy, 12) == 0x0800);
        REQUIRE(word_at(copy, 14) == 0x4500);
        REQUIRE(word_at(copy, 16) == length + 36);
        REQUIRE(word_at(copy, 18) == 0);
        REQUIRE(word_at(copy, 20) == 0);
        REQUIRE(word_at(copy, 22) == 0xff11);
        REQUIRE(residue(part(copy, 14, 20)) == 0);
        REQUIRE(word_at(copy, 36) == 4789);
        REQUIRE(word_at(copy, 38) == length + 16);
        REQUIRE(word_at(copy, 40) == 0);
        REQUIRE(part(copy, 42, 8) == Bytes{8, 0, 0, 0, 0x12, 0x34, 0x56, 0});
    }
}

TEST_CASE("P17 P18 header fields and the UDP checksum over IPv6 hold for every length") {
    const Tables device = tables({over_ipv6(session(accept_all()))});
    for (std::size_t length = 42; length < 400; ++length) {
        CAPTURE(length);
        const Bytes copy = decided(device, frame_of(length)).copy;
        REQUIRE(word_at(copy, 12) == 0x86dd);
        REQUIRE(part(copy, 14, 4) == Bytes{0x60, 0, 0, 0});
        REQUIRE(word_at(copy, 18) == length + 16);
        REQUIRE(word_at(copy, 20) == 0x11ff);
        REQUIRE(word_at(copy, 56) == 4789);
        REQUIRE(word_at(copy, 58) == length + 16);
        REQUIRE(word_at(copy, 60) != 0);
        REQUIRE(residue(udp_checksum_area(copy)) == 0);
    }
}

TEST_CASE("P18 a UDP checksum over IPv6 that comes out zero is sent as all ones") {
    const Tables device = tables({over_ipv6(session(accept_all()))});
    for (const std::size_t length : {44u, 45u, 130u}) {
        CAPTURE(length);
        Bytes frame = frame_of(length);
        frame[42] = frame[43] = 0;
        const unsigned free = word_at(decided(device, frame).copy, 60);
        const auto with = [&](unsigned payload) {
            frame[42] = static_cast<std::uint8_t>(payload >> 8);
            frame[43] = static_cast<std::uint8_t>(payload);
            const Bytes copy = decided(device, frame).copy;
            CHECK(residue(udp_checksum_area(copy)) == 0);
            return word_at(copy, 60);
        };
        REQUIRE(free > 0);
        REQUIRE(free < 0xffff);
        CHECK(with(free - 1) == 1);
        CHECK(with(free) == 0xffff);
        CHECK(with(free + 1) == 0xfffe);
    }
}

TEST_CASE("P19 the VNI takes 24 bits and every reserved bit is 0") {
    for (const std::uint32_t vni : {0u, 1u, 0x800000u, 0xffffffu}) {
        Session target = session(accept_all());
        target.vni = vni;
        const Bytes copy = decided(tables({target}), frame_of(60)).copy;
        CHECK(part(copy, 42, 4) == Bytes{8, 0, 0, 0});
        CHECK(word_at(copy, 46) == vni >> 8);
        CHECK(word_at(copy, 48) == (vni & 0xff) << 8);
    }
}

TEST_CASE("S1 S4 a session that no frame could satisfy is refused") {
    const auto broken = [](auto change) {
        Session target = session(accept_all());
        change(target);
        return tables({target});
    };
    const Bytes frame = frame_of(60);
    for (const Tables& device : {
             broken([](Session& s) { s.vni = 0x1000000; }),
             broken([](Session& s) { s.mtu = 575; }),
             broken([](Session& s) { s.mtu = 9217; }),
             broken([](Session& s) { s.packet_length = 0; }),
             broken([](Session& s) { s.source_address = A6; }),
         })
        CHECK_THROWS_AS(decided(device, frame), std::invalid_argument);
}

// ---- P20: source port ----

TEST_CASE("P20 the endpoint hash is CRC-16 with polynomial 0x1021 and initial 0xFFFF") {
    CHECK(endpoint_hash(A4, 40000) == 0x679e);
    CHECK(endpoint_hash(B4, 443) == 0x94e3);
    CHECK(endpoint_hash(ipv4(0, 0, 0, 0), 0) == 0x45ab);
    CHECK(endpoint_hash(ipv6({}), 0) == 0x45ab);
    CHECK(endpoint_hash(A6, 40000) == 0xebaf);
    CHECK(endpoint_hash(B6, 443) == 0xec5c);
    CHECK(endpoint_hash(ipv6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253}), 53) == 0xc10e);
}

TEST_CASE("P20 the hash is over addresses and protocol, and ports where they are known") {
    CHECK(flow_hash(parsed(ipv4_frame(A4, B4, Udp, udp(40000, 443)))) == 0x7e28);
    CHECK(flow_hash(parsed(ipv6_frame(A6, B6, Tcp, udp(40000, 443)))) == 0x8d55);
    CHECK(flow_hash(parsed(ipv4_frame(A4, B4, Icmp, udp(40000, 443)))) == 0xc275);
    CHECK(flow_hash(parsed(ipv4_frame(A4, B4, Udp, {}))) == 0xa5e5);
    CHECK(flow_hash(parsed(ethernet({0x86dd}) + ipv6_header(HopByHop))) == 0xc8ca);
}

TEST_CASE("P20 all fragments of a packet get one port, and an atomic fragment hashes its ports") {
    const auto hash4 = [](std::uint16_t fragment) {
        return flow_hash(
            parsed(ethernet({0x0800}) + ipv4_header(Udp, A4, B4, fragment) + udp(40000, 443)));
    };
    CHECK(hash4(0) == 0x7e28);
    CHECK(hash4(DontFragment) == 0x7e28);
    for (const unsigned fragment : {0x2000u, 0x2001u, 0x0001u, 0x1fffu, 0x3fffu})
        CHECK(hash4(static_cast<std::uint16_t>(fragment)) == 0xa5e5);

    const auto hash6 = [](unsigned offset, bool more) {
        return flow_hash(parsed(ethernet({0x86dd}) + ipv6_header(FragmentHeader) +
                                fragment_header(Tcp, offset, more) + udp(40000, 443)));
    };
    CHECK(hash6(0, false) == 0x8d55);
    CHECK(hash6(0, true) != 0x8d55);
    CHECK(hash6(0, true) == hash6(1, true));
    CHECK(hash6(0, true) == hash6(0x1fff, false));
    CHECK(hash6(0, true) == flow_hash(parsed(ipv6_frame(A6, B6, Tcp, {}))));
}

TEST_CASE("P20 the port is base plus the hash's low bits") {
    Tables device = tables({session(accept_all())});
    const Bytes frame = ipv4_frame(A4, B4, Udp, udp(40000, 443));
    const Parsed flow = parsed(frame);
    CHECK(source_port(device, flow) == 49152 + 0x3e28);
    CHECK(word_at(decided(device, frame).copy, 34) == 49152 + 0x3e28);
    const std::tuple<unsigned, int, unsigned> cases[] = {
        {65408, 7, 65408 + 0x28}, {0, 16, 0x7e28}, {1024, 1, 1024}, {60000, 4, 60008}};
    for (const auto& [base, bits, expected] : cases) {
        device.source_port_base = static_cast<std::uint16_t>(base);
        device.source_port_bits = bits;
        CHECK(source_port(device, flow) == expected);
        CHECK(word_at(decided(device, frame).copy, 34) == expected);
    }
}

TEST_CASE("P20 a base and bits that leave the port's 16 bits are refused") {
    const Parsed flow = parsed(frame_of(60));
    const std::tuple<unsigned, int> cases[] = {{49153, 14}, {1, 16}, {0, 0}, {0, 17}, {0, -1}};
    for (const auto& [base, bits] : cases) {
        Tables device;
        device.source_port_base = static_cast<std::uint16_t>(base);
        device.source_port_bits = bits;
        CHECK_THROWS_AS(source_port(device, flow), std::invalid_argument);
    }
}

TEST_CASE("P20 both directions of a flow get one port, at every session, tap and target") {
    std::mt19937_64 random(seed());
    INFO("MIRRORNIC_SEED=" << seed());
    Tables device = tables({session(accept_all())});
    device.interfaces.resize(2);
    device.interfaces[1].sessions = {over_ipv6(session(accept_all(), 9))};
    device.interfaces[1].sessions[0].packet_length = 20;
    for (int i = 0; i < 500; ++i) {
        Address source, destination;
        source.version = destination.version = i % 2 ? 4 : 6;
        for (auto& byte : source.bytes) byte = static_cast<std::uint8_t>(random());
        for (auto& byte : destination.bytes) byte = static_cast<std::uint8_t>(random());
        const auto there = static_cast<std::uint16_t>(random() | 0x400);
        const auto back = static_cast<std::uint16_t>(random() | 0x400);
        const std::uint8_t protocol = random() % 2 ? Tcp : Udp;
        const Bytes request = ip_frame(source, destination, protocol, udp(there, back));
        const Bytes reply = ip_frame(destination, source, protocol, udp(back, there));
        const Bytes copies[] = {
            decide(device, pass_of(request, Direction::egress, 0)).copy,
            decide(device, pass_of(reply, Direction::ingress, 0)).copy,
            decide(device, pass_of(request, Direction::ingress, 1)).copy,
            decide(device, pass_of(reply, Direction::egress, 1)).copy,
        };
        REQUIRE(word_at(copies[0], 34) == word_at(copies[1], 34));
        REQUIRE(word_at(copies[0], 34) == word_at(copies[2], 54));
        REQUIRE(word_at(copies[0], 34) == word_at(copies[3], 54));
    }
}

TEST_CASE("P20 random flows spread: no port gets more than twice the mean") {
    std::mt19937_64 random(seed());
    INFO("MIRRORNIC_SEED=" << seed());
    const auto peak = [&](int version, unsigned flows, int bits, unsigned base) {
        Tables device;
        device.source_port_base = static_cast<std::uint16_t>(base);
        device.source_port_bits = bits;
        std::vector<unsigned> hits(65536);
        for (unsigned i = 0; i < flows; ++i) {
            Parsed flow;
            flow.ip = true;
            flow.version = flow.source.version = flow.destination.version = version;
            for (Address* address : {&flow.source, &flow.destination}) {
                for (int byte = 0; byte < (version == 4 ? 4 : 16); byte += 4) {
                    const auto bits32 = static_cast<std::uint32_t>(random());
                    for (int k = 0; k < 4; ++k)
                        address->bytes[byte + k] = static_cast<std::uint8_t>(bits32 >> 8 * k);
                }
            }
            const std::uint64_t drawn = random();
            flow.protocol = drawn >> 32 & 1 ? Tcp : Udp;
            flow.ports =
                Ports{static_cast<std::uint16_t>(drawn), static_cast<std::uint16_t>(drawn >> 16)};
            ++hits[source_port(device, flow)];
        }
        for (unsigned port = 0; port < 65536; ++port)
            if (port < base || port >= base + (1u << bits)) REQUIRE(hits[port] == 0);
        const double mean = double(flows) / (1 << bits);
        return *std::max_element(hits.begin(), hits.end()) / mean;
    };
    for (const int version : {4, 6}) {
        CAPTURE(version);
        CHECK(peak(version, 1000000, 14, 49152) <= 2.0);
        CHECK(peak(version, 10000, 7, 65408) <= 2.0);
    }
}

// ---- P23: counters ----

TEST_CASE("P23 every class is counted in passes and bytes, in all and per session") {
    Filter tcp_only;
    tcp_only.egress = {rule(true)};
    tcp_only.egress[0].protocol = Tcp;
    Tables device = tables({session(tcp_only, 4)});
    device.interfaces[0].sessions[0].packet_length = 40;
    device.interfaces.resize(2);
    device.interfaces[1].sessions = {over_ipv6(session(accept_all(), 4))};

    Ledger ledger;
    const auto record = [&](const Bytes& frame, std::size_t interface,
                            std::optional<Drop> drop = {}, std::optional<std::size_t> bad = {}) {
        Pass pass = pass_of(frame, Direction::egress, interface);
        pass.first_bad_beat = bad;
        ledger.record(pass, decide(device, pass), drop);
    };
    const Bytes tcp = ipv4_frame(A4, B4, Tcp, udp(1, 2, 100));
    REQUIRE(tcp.size() == 142);
    record(tcp, 0);
    record(tcp, 0, std::nullopt, 1);                     // late
    record(tcp, 0, std::nullopt, 0);                     // in time
    record(tcp, 0, Drop::overload);                      //
    record(tcp, 0, Drop::reset, 2);                      // late, but nothing was sent
    record(frame_of(60), 0);                             // UDP: not accepted
    record(frame_of(60), 1);                             //
    record(frame_of(60), 1, Drop::table);                //
    record(frame_of(60), 2);                             // no such interface
    record(first(frame_of(60), 13), 0);                  //
    record(ethernet({0x0806}) + numbered(46), 0);        //
    record(ipv4_frame(A4, B4, Udp, udp(68, 67, 0)), 0);  //

    const Totals& totals = ledger.totals();
    const std::uint64_t received = 5 * 142 + 4 * 60 + 13 + 60 + 42;
    CHECK(totals.received == Count{12, received});
    CHECK(totals.forwarded == totals.received);
    CHECK(totals.not_eligible == Count{5, 142 + 60 + 13 + 60 + 42});
    CHECK(totals.not_eligible_by_cause == std::map<Cause, Count>{{Cause::no_tap, {2, 73}},
                                                                 {Cause::marked_bad, {1, 142}},
                                                                 {Cause::not_ip, {1, 60}},
                                                                 {Cause::excluded, {1, 42}}});
    CHECK(totals.not_accepted == Count{1, 60});
    CHECK(totals.selected == Count{6, 4 * 142 + 2 * 60});
    CHECK(totals.mirrored == Count{3, 2 * 142 + 60});
    CHECK(totals.dropped == Count{3, 2 * 142 + 60});
    CHECK(totals.dropped_by_cause == std::map<Drop, Count>{{Drop::overload, {1, 142}},
                                                           {Drop::reset, {1, 142}},
                                                           {Drop::table, {1, 60}}});
    CHECK(totals.late_bad == Count{1, 142});
    CHECK(totals.sent_bytes == 2 * 90 + 130);

    const SessionTotals session0 = ledger.session(0, 4);
    CHECK(session0.selected == Count{4, 4 * 142});
    CHECK(session0.mirrored == Count{2, 2 * 142});
    CHECK(session0.dropped == Count{2, 2 * 142});
    CHECK(session0.sent_bytes == 2 * 90);
    const SessionTotals session1 = ledger.session(1, 4);
    CHECK(session1.selected == Count{2, 120});
    CHECK(session1.mirrored == Count{1, 60});
    CHECK(session1.dropped == Count{1, 60});
    CHECK(session1.sent_bytes == 130);
    CHECK(ledger.session(1, 5).selected == Count{});
    CHECK(ledger.session(7, 4).selected == Count{});
}

TEST_CASE("P23 a pass that was not selected cannot be dropped") {
    Ledger ledger;
    const Bytes frame = frame_of(60);
    const Pass pass = pass_of(frame);
    const Decision decision = decide(tables({}), pass);
    REQUIRE(decision.outcome == Outcome::not_accepted);
    CHECK_THROWS_AS(ledger.record(pass, decision, Drop::overload), std::invalid_argument);
    CHECK(ledger.totals().received == Count{});
}

// ---- P24: bad input ----

TEST_CASE(
    "P25 the first pass behind a reset of the offload alone is malformed, whatever it holds") {
    const Tables device = tables({session(accept_all())});
    for (const std::size_t length : {1u, 13u, 14u, 60u, 64u, 300u, 9216u}) {
        const Bytes frame = frame_of(std::max<std::size_t>(length, 42));
        for (const bool tap : {false, true}) {
            Pass pass = pass_of(frame, Direction::egress, 0);
            pass.size = length;
            if (!tap) pass.tap.reset();
            pass.rest = true;
            const Decision decision = decide(device, pass);
            CHECK(decision.outcome == Outcome::not_eligible);
            CHECK(decision.cause == Cause::malformed);
            CHECK(decision.copy.empty());
            Ledger ledger;
            ledger.record(pass, decision);
            CHECK(ledger.totals().received == Count{1, length});
            CHECK(ledger.totals().not_eligible == Count{1, length});
        }
    }
}

TEST_CASE("P24 a mark up to the beat that completes the copy counts, a later one is late_bad") {
    const Bytes frame = frame_of(300);  // 5 beats
    const std::tuple<int, std::size_t> cases[] = {{1, 0},   {63, 0},  {64, 0},  {65, 1},  {128, 1},
                                                  {129, 2}, {256, 3}, {257, 4}, {8500, 4}};
    for (const auto& [packet_length, last_beat] : cases) {
        Session target = session(accept_all());
        target.packet_length = packet_length;
        const Tables device = tables({target});
        const Bytes clean = decided(device, frame).copy;
        for (std::size_t beat = 0; beat < 5; ++beat) {
            CAPTURE(packet_length, beat);
            Pass bad = pass_of(frame), malformed = pass_of(frame);
            bad.first_bad_beat = beat;
            malformed.first_malformed_beat = beat;
            if (beat <= last_beat) {
                check_not_eligible(decide(device, bad), Cause::marked_bad);
                check_not_eligible(decide(device, malformed), Cause::malformed);
            } else {
                for (const Pass& pass : {bad, malformed}) {
                    const Decision late = decide(device, pass);
                    CHECK(late.outcome == Outcome::selected);
                    CHECK(late.late_bad);
                    CHECK(late.copy == clean);
                }
            }
        }
    }
    CHECK_FALSE(decided(accept_all(), frame).late_bad);
}

TEST_CASE("P24 the MTU cut and the frame's end complete a copy too") {
    Session target = session(accept_all());
    target.mtu = 576;  // 540 bytes: beat 8
    Bytes frame = frame_of(2000);
    Pass pass = pass_of(frame);
    pass.first_bad_beat = 8;
    check_not_eligible(decide(tables({target}), pass), Cause::marked_bad);
    pass.first_bad_beat = 9;
    CHECK(decide(tables({target}), pass).late_bad);
    frame = frame_of(64);
    pass = pass_of(frame);
    pass.first_bad_beat = 0;
    check_not_eligible(decide(tables({target}), pass), Cause::marked_bad);
}

TEST_CASE("P24 a copy that nothing cuts is complete with tlast, though that beat names no byte") {
    const Bytes frame = frame_of(300);
    for (const std::size_t named : {64, 128, 256}) {
        CAPTURE(named);
        Pass pass = pass_of(frame);
        pass.size = named;
        pass.first_malformed_beat = named / 64;  // the last beat, empty
        Session target = session(accept_all());
        check_not_eligible(decide(tables({target}), pass), Cause::malformed);
        target.packet_length = std::uint16_t(named + 1);
        check_not_eligible(decide(tables({target}), pass), Cause::malformed);
        target.packet_length = std::uint16_t(named);
        const Decision late = decide(tables({target}), pass);
        CHECK(late.late_bad);
        CHECK(late.kept == named);
        CHECK_FALSE(late.truncated);
    }
}

TEST_CASE("P24 I1 of two marks that count, malformed is the cause") {
    Session target = session(accept_all());
    target.packet_length = 64;
    const Tables device = tables({target});
    const Bytes frame = frame_of(300);
    Pass pass = pass_of(frame);
    pass.first_bad_beat = 0;
    pass.first_malformed_beat = 0;
    check_not_eligible(decide(device, pass), Cause::malformed);
    pass.first_malformed_beat = 1;
    check_not_eligible(decide(device, pass), Cause::marked_bad);
    pass.first_bad_beat = 1;
    pass.first_malformed_beat = 0;
    check_not_eligible(decide(device, pass), Cause::malformed);
    pass.first_malformed_beat = 1;
    CHECK(decide(device, pass).late_bad);
}

TEST_CASE("P24 a mark on any beat of a pass that would not be selected makes it not eligible") {
    const Bytes arp = ethernet({0x0806}) + numbered(286);
    const Bytes dhcp = ipv4_frame(A4, B4, Udp, udp(68, 67, 258));
    const Bytes rejected = ipv6_frame(A6, B6, Udp, udp(1, 2, 238));
    Filter ipv4_only;
    ipv4_only.egress = {rule(true)};
    const Tables device = tables({session(ipv4_only)});
    for (const Bytes& frame : {arp, dhcp, rejected}) {
        REQUIRE(frame.size() == 300);
        CHECK(decided(device, frame).outcome != Outcome::selected);
        for (std::size_t beat = 0; beat < 5; ++beat) {
            Pass pass = pass_of(frame);
            pass.first_bad_beat = beat;
            check_not_eligible(decide(device, pass), Cause::marked_bad);
            pass.first_malformed_beat = 4;
            check_not_eligible(decide(device, pass), Cause::malformed);
        }
    }
}

TEST_CASE("P24 a frame over 9216 bytes is good and its copy is cut") {
    const Decision decision = decided(accept_all(), frame_of(9217));
    CHECK(decision.outcome == Outcome::selected);
    CHECK(decision.kept == 9180);
    CHECK(decision.truncated);
}

TEST_CASE("P24 frames cut at any length are decided by what is left of them") {
    const Bytes whole = ethernet({0x88a8, 0x8100, 0x86dd}) + ipv6_header(HopByHop) +
                        extension(DestinationOptions, 0, 8) + extension(FragmentHeader, 1, 16) +
                        fragment_header(Authentication, 0, true) + extension(Udp, 1, 12) +
                        udp(1, 2);
    const std::size_t ip = 22 + 40, ports = ip + 8 + 16 + 8 + 12;
    for (std::size_t length = 0; length <= whole.size(); ++length) {
        CAPTURE(length);
        const Bytes cut = first(whole, length);  // its own allocation: an overrun is seen
        const Parsed frame = parsed(cut);
        CHECK(frame.ip == (length >= ip));
        CHECK(frame.protocol.has_value() == (length >= ports - 12 + 2));
        CHECK(frame.fragment == (length >= ports - 12));
        CHECK(frame.ports.has_value() == (length >= ports + 4));
        const Decision decision = decided(accept_all(), cut);
        CHECK((decision.outcome == Outcome::selected) == (length >= ip));
        CHECK(decision.kept == (length >= ip ? length : 0));
    }
}

TEST_CASE("P24 random bytes never upset the model, and each pass falls in one class") {
    std::mt19937_64 random(seed());
    INFO("MIRRORNIC_SEED=" << seed());
    Session first_target = session(accept_all(), 1), second_target = session(accept_all(), 2);
    Filter half;
    half.egress = {rule(true, 4), rule(true, 6)};
    half.egress[0].source = {ipv4(128, 0, 0, 0), 1};
    half.egress[1].protocol = Udp;
    first_target.filter = std::make_shared<const Filter>(half);
    first_target.packet_length = 100;
    const Tables device = tables({over_ipv6(second_target), first_target});
    Ledger ledger;
    for (int i = 0; i < 20000; ++i) {
        Bytes frame(random() % 300);
        for (auto& byte : frame) byte = static_cast<std::uint8_t>(random());
        // Most of them look like IP for a while, and their chains stay in P3's list.
        if (frame.size() > 60 && i % 8) {
            const bool six = i % 2;
            frame[12] = six ? 0x86 : 0x08;
            frame[13] = six ? 0xdd : 0x00;
            frame[14] = static_cast<std::uint8_t>((six ? 0x60 : 0x40) | (frame[14] & 0x0f));
            const std::uint8_t listed[] = {0, 43, 44, 51, 60, 6, 17};
            frame[20] = listed[random() % 7];
            frame[54] = listed[random() % 7];
            frame[55] &= 3;
        }
        Pass pass = pass_of(frame);
        if (random() % 8 == 0) pass.first_bad_beat = random() % 5;
        if (random() % 8 == 0) pass.first_malformed_beat = random() % 5;
        const Decision decision = decide(device, pass);
        ledger.record(pass, decision);
        REQUIRE((decision.cause == Cause::none) == (decision.outcome != Outcome::not_eligible));
        if (decision.outcome != Outcome::selected) {
            REQUIRE(decision.copy.empty());
            continue;
        }
        const std::size_t header = decision.session == 1 ? 70 : 50;
        REQUIRE(decision.kept <= frame.size());
        REQUIRE(decision.copy_bytes == header + decision.kept);
        REQUIRE(part(decision.copy, header, decision.kept) ==
                Bytes(frame.begin(), frame.begin() + long(decision.kept)));
        if (header == 70) REQUIRE(residue(udp_checksum_area(decision.copy)) == 0);
    }
    const Totals& totals = ledger.totals();
    CHECK(totals.received.passes == 20000);
    CHECK(totals.selected.passes > 1000);
    CHECK(totals.not_accepted.passes == 0);  // the second session accepts all IP
    CHECK(totals.received.passes == totals.not_eligible.passes + totals.selected.passes);
    CHECK(totals.received.bytes == totals.not_eligible.bytes + totals.selected.bytes);
    CHECK(totals.selected == totals.mirrored);
}
