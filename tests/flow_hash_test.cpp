// SPDX-License-Identifier: Apache-2.0
// The outer source port (P20) against the published hash.
#include <Vflow_hash.h>

#include <deque>
#include <set>

#include "sim/models/reference_model.hpp"
#include "stage.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

Key random_key(StageRandom& random) {
    Key key;
    key.ip = 1;
    key.v6 = random.chance(50);
    key.source = random.address(key.v6);
    key.destination = random.address(key.v6);
    key.protocol_known = random.chance(95);
    key.protocol = key.protocol_known ? random.below(256) : 0;
    key.has_ports = random.chance(70);
    if (key.has_ports) {
        key.source_port = random.below(65536);
        key.destination_port = random.below(65536);
    }
    key.fragment = random.chance(20);
    return key;
}

reference::Parsed parsed(const Key& key) {
    reference::Parsed frame;
    frame.ip = true;
    frame.version = frame.source.version = frame.destination.version = key.v6 ? 6 : 4;
    frame.source.bytes = key.source;
    frame.destination.bytes = key.destination;
    if (key.protocol_known) frame.protocol = std::uint8_t(key.protocol);
    if (key.has_ports)
        frame.ports = {std::uint16_t(key.source_port), std::uint16_t(key.destination_port)};
    frame.fragment = key.fragment;
    return frame;
}

std::uint16_t source_port(Stage<Vflow_hash>& stage, const Key& key, const SourcePorts& ports) {
    drive(stage->in_key, key);
    drive(stage->source_ports, ports);
    stage->in_valid = 1;
    stage.tick();
    stage->in_valid = 0;
    stage.tick();
    return std::uint16_t(stage->out_source_port);
}

}  // namespace

TEST_CASE("P20 the port is base plus the published hash, one frame a cycle") {
    StageRandom random;
    Stage<Vflow_hash> stage;
    const SourcePorts ports{14, 49152};
    drive(stage->source_ports, ports);
    std::deque<Key> inside;
    for (unsigned i = 0; i < 20000; ++i) {
        const Key key = random_key(random);
        drive(stage->in_key, key);
        stage->in_valid = 1;
        inside.push_back(key);
        stage.tick();
        if (inside.size() < 2) continue;
        REQUIRE(stage->out_source_port ==
                49152 + reference::flow_hash(parsed(inside.front())) % 16384);
        inside.pop_front();
    }
}

TEST_CASE(
    "P20 the port is right for every number of bits, with the highest base it allows and the "
    "lowest") {
    StageRandom random;
    Stage<Vflow_hash> stage;
    for (std::uint64_t bits = 1; bits <= 16; ++bits) {
        for (const std::uint64_t base : {std::uint64_t{0}, 65536 - (std::uint64_t{1} << bits)}) {
            for (unsigned i = 0; i < 200; ++i) {
                const Key key = random_key(random);
                const std::uint64_t hash = reference::flow_hash(parsed(key));
                REQUIRE(source_port(stage, key, {bits, base}) ==
                        base + hash % (std::uint64_t{1} << bits));
            }
        }
    }
}

TEST_CASE("P20 both directions of a flow have one port, and a fragment's ports do not count") {
    StageRandom random;
    Stage<Vflow_hash> stage;
    const SourcePorts ports{7, 65408};
    std::set<std::uint16_t> seen;  // of all 128
    for (unsigned i = 0; i < 2000; ++i) {
        Key key = random_key(random);
        const auto port = source_port(stage, key, ports);
        seen.insert(port);
        std::swap(key.source, key.destination);
        std::swap(key.source_port, key.destination_port);
        REQUIRE(source_port(stage, key, ports) == port);
        key.fragment = 1;
        const auto fragment = source_port(stage, key, ports);
        key.has_ports = 1;
        key.source_port = random.below(65536);
        REQUIRE(source_port(stage, key, ports) == fragment);
    }
    CHECK(seen.size() > 120);
}

TEST_CASE("T2 a change of base and bits holds for the key that is a cycle ahead of it") {
    Stage<Vflow_hash> stage;
    const Key key{1};
    drive(stage->in_key, key);
    drive(stage->source_ports, SourcePorts{1, 1000});
    stage->in_valid = 1;
    stage.tick();
    drive(stage->source_ports, SourcePorts{1, 2000});
    stage->in_valid = 0;
    stage.tick();
    drive(stage->source_ports, SourcePorts{1, 3000});
    stage.tick();
    CHECK(stage->out_source_port / 1000 == 2);
}
