// SPDX-License-Identifier: Apache-2.0
// The parser against the reference model: frames of every shape, cut at every length.
#include <Vparse.h>

#include <deque>

#include "sim/models/reference_model.hpp"
#include "stage.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int Latency = 6;

Key expected_key(const Bytes& frame) {
    const reference::Parsed parsed = reference::parse(frame.data(), frame.size());
    Key key;
    key.ip = parsed.ip;
    if (!parsed.ip) return key;
    key.v6 = parsed.version == 6;
    key.source = parsed.source.bytes;
    key.destination = parsed.destination.bytes;
    key.protocol_known = parsed.protocol.has_value();
    key.protocol = parsed.protocol.value_or(0);
    key.has_ports = parsed.ports.has_value();
    if (parsed.ports) {
        key.source_port = parsed.ports->source;
        key.destination_port = parsed.ports->destination;
    }
    key.fragment = parsed.fragment;
    return key;
}

/// Feeds one frame a cycle, or fewer, and compares every key with the model's.
class Parser {
public:
    explicit Parser(StageRandom& random) : random_(random) { stage_.reset(); }

    void feed(const Bytes& frame) {
        Bits window(1024);
        for (int i = 0; i < 128; ++i) {
            // What lies behind the frame's end is of no meaning.
            const std::uint8_t byte = std::size_t(i) < frame.size() ? frame[i] : random_.byte();
            window.put(8 * i, 8, byte);
        }
        drive(stage_->in_window, window);
        stage_->in_length = std::uint8_t(std::min<std::size_t>(frame.size(), 64));
        stage_->in_more =
            std::uint8_t(std::min<std::size_t>(frame.size(), 128) - stage_->in_length);
        stage_->in_valid = 1;
        cycle(frame);
        stage_->in_valid = 0;
    }

    void gap() { cycle({}); }

    void drain() {
        for (int i = 0; i < Latency; ++i) gap();
        CHECK(waiting_.empty());
        CHECK(ip_ > 0);  // of what is not IP nothing else is compared
    }

    unsigned ip() const { return ip_; }        ///< keys that were compared whole
    unsigned ports() const { return ports_; }  ///< of them, those with ports

private:
    void cycle(const std::optional<Bytes>& frame) {
        if (frame) waiting_.push_back({now_ + Latency, *frame});
        stage_.tick();
        ++now_;
        const bool due = !waiting_.empty() && waiting_.front().first == now_;
        REQUIRE(bool(stage_->out_valid) == due);
        if (!due) return;
        const Bytes& sent = waiting_.front().second;
        const Key wanted = expected_key(sent);
        Key key = sample<Key>(stage_->out_key);
        if (!wanted.ip) key = Key{key.ip};
        if (!(pack(key) == pack(wanted))) {
            std::string text;
            for (const auto byte : sent) {
                constexpr char digits[] = "0123456789abcdef";
                text += {digits[byte / 16], digits[byte % 16]};
            }
            FAIL("frame of " << sent.size() << " bytes: " << text);
        }
        ip_ += unsigned(wanted.ip);
        ports_ += unsigned(wanted.has_ports);
        waiting_.pop_front();
    }

    StageRandom& random_;
    Stage<Vparse> stage_;
    std::uint64_t now_ = 0;
    unsigned ip_ = 0, ports_ = 0;
    std::deque<std::pair<std::uint64_t, Bytes>> waiting_;
};

void put16(Bytes& bytes, unsigned value) {
    bytes.push_back(std::uint8_t(value >> 8));
    bytes.push_back(std::uint8_t(value));
}

Bytes start(unsigned tags, std::uint16_t type) {
    Bytes frame{2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
    for (unsigned i = 0; i < tags; ++i) {
        put16(frame, i % 2 == 0 ? 0x88a8 : 0x8100);
        put16(frame, 100 + i);
    }
    put16(frame, type);
    return frame;
}

Bytes ipv4(StageRandom& random, unsigned tags, unsigned ihl, unsigned fragment, unsigned protocol) {
    Bytes frame = start(tags, 0x0800);
    frame.push_back(std::uint8_t(0x40 | ihl));
    for (int i = 0; i < 5; ++i) frame.push_back(random.byte());
    put16(frame, fragment);
    frame.push_back(64);
    frame.push_back(std::uint8_t(protocol));
    for (const auto byte : random.bytes(200)) frame.push_back(byte);
    return frame;
}

struct Extension {
    unsigned type;
    unsigned length = 0;    ///< the field as it stands in the header
    unsigned fragment = 0;  ///< offset and flags
};

/// The walk ends with `last`.
Bytes ipv6(StageRandom& random, unsigned tags, const std::vector<Extension>& extensions,
           unsigned last) {
    Bytes frame = start(tags, 0x86dd);
    for (const unsigned byte : {0x60, 0, 0, 0, 0, 0}) frame.push_back(std::uint8_t(byte));
    frame.push_back(std::uint8_t(extensions.empty() ? last : extensions[0].type));
    frame.push_back(64);
    for (const auto byte : random.bytes(32)) frame.push_back(byte);
    for (std::size_t i = 0; i < extensions.size(); ++i) {
        const Extension& extension = extensions[i];
        const std::size_t length = extension.type == 44   ? 8
                                   : extension.type == 51 ? 4 * (extension.length + 2)
                                                          : 8 * (extension.length + 1);
        frame.push_back(std::uint8_t(i + 1 < extensions.size() ? extensions[i + 1].type : last));
        if (extension.type == 44) {
            frame.push_back(random.byte());
            put16(frame, extension.fragment);
        } else {
            frame.push_back(std::uint8_t(extension.length));
            for (int j = 0; j < 2; ++j) frame.push_back(random.byte());
        }
        for (const auto byte : random.bytes(length - 4)) frame.push_back(byte);
    }
    for (const auto byte : random.bytes(60)) frame.push_back(byte);
    return frame;
}

Bytes cut(Bytes frame, std::size_t length) {
    frame.resize(std::min(length, frame.size()));
    return frame;
}

}  // namespace

TEST_CASE("P3 P5 IPv4 frames of every IHL, tags and cut are parsed right, one a cycle") {
    StageRandom random;
    Parser parser(random);
    for (unsigned tags = 0; tags < 4; ++tags) {
        for (unsigned ihl = 0; ihl < 16; ++ihl) {
            for (const unsigned fragment : {0x0000u, 0x2000u, 0x4000u, 0x0001u, 0x1fffu, 0x2001u}) {
                for (const unsigned protocol : {6u, 17u, 1u, 44u}) {
                    const Bytes frame = ipv4(random, tags, ihl, fragment, protocol);
                    if (fragment == 0 && protocol == 6) {
                        for (std::size_t length = 14; length <= 130; ++length)
                            parser.feed(cut(frame, length));
                    }
                    parser.feed(frame);
                }
            }
        }
    }
    parser.drain();
    // Of 4 * 11 * 6 * 4 whole frames with an IHL of 5 and more, half have no offset and half of
    // those ports.
    CHECK(parser.ip() > 4 * 11 * 6 * 4 - 1);
    CHECK(parser.ports() > 4 * 11 * 3 * 2 - 1);
}

TEST_CASE("P3 a frame whose EtherType and IP version disagree is not IP") {
    StageRandom random;
    Parser parser(random);
    for (unsigned tags = 0; tags < 4; ++tags) {
        for (const unsigned type : {0x0800u, 0x86ddu, 0x8100u, 0x88a8u, 0x0806u, 0x9100u}) {
            for (unsigned version = 0; version < 16; ++version) {
                Bytes frame = start(tags, std::uint16_t(type));
                frame.push_back(std::uint8_t(version << 4 | 5));
                for (const auto byte : random.bytes(113)) frame.push_back(byte);
                parser.feed(frame);
            }
        }
    }
    parser.drain();
    CHECK(parser.ip() == 3 * 2);  // by version 4 and 6, behind up to two tags
}

TEST_CASE("P4 P5 every list of up to five extension headers is walked right, cut at every length") {
    StageRandom random;
    Parser parser(random);
    const std::vector<Extension> kinds = {{0, 0}, {43, 0}, {44, 0, 0}, {51, 1}, {60, 1}};
    for (unsigned count = 0; count <= 5; ++count) {
        unsigned lists = 1;
        for (unsigned i = 0; i < count; ++i) lists *= unsigned(kinds.size());
        for (unsigned list = 0; list < lists; ++list) {
            std::vector<Extension> extensions;
            for (unsigned i = 0, rest = list; i < count; ++i, rest /= unsigned(kinds.size()))
                extensions.push_back(kinds[rest % kinds.size()]);
            const Bytes frame =
                ipv6(random, list % 3, extensions, random.pick({6u, 17u, 58u, 59u}));
            parser.feed(frame);
            if (count <= 2) {
                for (std::size_t length = 14; length <= 128; ++length)
                    parser.feed(cut(frame, length));
            } else {
                parser.feed(cut(frame, random.between(54, 128)));
            }
        }
    }
    parser.drain();
    CHECK(parser.ip() > 3906);
    CHECK(parser.ports() > 500);
}

TEST_CASE("P5 the walk goes on past headers of every length, wherever they end") {
    StageRandom random;
    Parser parser(random);
    for (const unsigned type : {0u, 43u, 51u, 60u}) {
        for (unsigned length = 0; length < 256; ++length) {
            for (const unsigned second : {6u, 44u, 51u}) {
                std::vector<Extension> extensions{{type, length}};
                if (second != 6) extensions.push_back({second, 255});
                parser.feed(ipv6(random, length % 3, extensions, 17));
            }
        }
    }
    parser.drain();
    CHECK(parser.ip() == 4 * 256 * 3);
    CHECK(parser.ports() > 10);
}

TEST_CASE("P5 P20 a fragment header with an offset ends the walk, whatever follows") {
    StageRandom random;
    Parser parser(random);
    for (const unsigned fragment :
         {0x0000u, 0x0001u, 0x0006u, 0x0008u, 0x0009u, 0xfff8u, 0xffffu}) {
        for (const unsigned last : {0u, 6u, 17u, 43u, 44u, 51u, 58u, 60u}) {
            for (unsigned before = 0; before <= 4; ++before) {
                std::vector<Extension> extensions(before, Extension{60, 0});
                extensions.push_back({44, 0, fragment});
                const Bytes frame = ipv6(random, before % 3, extensions, last);
                parser.feed(frame);
                for (std::size_t length = 54; length <= 128; length += 2)
                    parser.feed(cut(frame, length));
                extensions.push_back({44, 0, random.pick({0x0000u, 0x0001u, 0x0008u})});
                parser.feed(ipv6(random, before % 3, extensions, last));
            }
        }
    }
    parser.drain();
    CHECK(parser.ip() > 7 * 8 * 5);
    CHECK(parser.ports() > 10);
}

TEST_CASE("P3 P4 P5 P24 random frames with gaps are parsed as the model says") {
    StageRandom random;
    Parser parser(random);
    for (unsigned i = 0; i < 60000; ++i) {
        Bytes frame;
        const unsigned tags = unsigned(random.below(4));
        if (random.chance(30)) {
            frame = random.bytes(random.between(14, 140));
        } else if (random.chance(40)) {
            frame = ipv4(random, tags, unsigned(random.below(16)),
                         random.chance(50) ? 0 : unsigned(random.below(65536)),
                         random.pick({1u, 6u, 17u, 51u}));
        } else {
            std::vector<Extension> extensions;
            while (extensions.size() < 6 && random.chance(60)) {
                extensions.push_back({random.pick({0u, 43u, 44u, 51u, 60u}),
                                      unsigned(random.below(random.chance(80) ? 3 : 256)),
                                      random.chance(60) ? 0 : unsigned(random.below(65536))});
            }
            frame = ipv6(random, tags, extensions, unsigned(random.pick({0u, 6u, 17u, 51u, 58u})));
        }
        if (random.chance(5)) frame[random.below(std::min<std::size_t>(frame.size(), 128))] ^= 0x41;
        if (random.chance(50)) frame = cut(frame, random.between(14, 128));
        parser.feed(frame);
        if (random.chance(20)) parser.gap();
    }
    parser.drain();
    CHECK(parser.ip() > 15000);
    CHECK(parser.ports() > 3000);
}
