// SPDX-License-Identifier: Apache-2.0
// The service table: its defaults (P7, P8) and what can be written to it (P9).
#include <Vmatch_services.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

constexpr std::uint64_t Tcp = 6, Udp = 17, Icmp = 1;

Address link_local(std::uint8_t last) { return {169, 254, 169, last}; }
Address ec2(std::uint8_t high, std::uint8_t low) {
    return {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low};
}
const Address other4 = {10, 0, 0, 5};
const Address other6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};

struct Result {
    bool excluded, dns;
};

class Services {
public:
    Services() {
        stage_->write = 0;
        stage_->in_has_resolver = 0;
        stage_->in_valid = 0;
        stage_->read = 1;
        reset();
    }

    void reset() {
        stage_.reset();
        for (int i = 0; i < 2; ++i) stage_.tick();  // the entries' reset comes late
    }

    void write(unsigned index, const ServiceWord& entry) {
        stage_->write = 1;
        stage_->index = index;
        drive(stage_->write_entry, entry);
        stage_->in_valid = 0;
        stage_.tick();
        stage_->write = 0;
    }

    ServiceWord read(unsigned index) {
        stage_->index = index;
        stage_.eval();
        return sample<ServiceWord>(stage_->entry);
    }

    Result look(const Key& key) {
        drive(stage_->in_key, key);
        stage_->in_valid = 1;
        stage_.tick();
        stage_->in_valid = 0;
        REQUIRE(bool(stage_->out_faulty) == faulty.has_value());
        if (faulty) REQUIRE(stage_->out_faulty_index == *faulty);
        return {bool(stage_->out_excluded), bool(stage_->out_dns)};
    }

    std::optional<unsigned> faulty;  ///< the entry that every key must show as faulty

    Stage<Vmatch_services>& stage() { return stage_; }

private:
    Stage<Vmatch_services> stage_;
};

Key key_of(bool v6, const Address& source, const Address& destination, std::uint64_t protocol,
           std::uint64_t source_port = 1000, std::uint64_t destination_port = 2000) {
    Key key;
    key.ip = 1;
    key.v6 = v6;
    key.source = source;
    key.destination = destination;
    key.protocol_known = 1;
    key.protocol = protocol;
    if (protocol == Tcp || protocol == Udp) {
        key.has_ports = 1;
        key.source_port = source_port;
        key.destination_port = destination_port;
    }
    return key;
}

Key reversed(Key key) {
    std::swap(key.source, key.destination);
    std::swap(key.source_port, key.destination_port);
    return key;
}

Key without_ports(Key key) {
    key.has_ports = key.source_port = key.destination_port = 0;
    return key;
}

/// P9 read aloud.
bool hits(const ServiceWord& entry, const Key& key) {
    if (!entry.valid || entry.v6 != key.v6) return false;
    const bool at_source = entry.any_address || entry.address == key.source;
    const bool at_destination = entry.any_address || entry.address == key.destination;
    if (!at_source && !at_destination) return false;
    if (entry.tcp || entry.udp) {
        if (!key.protocol_known) return false;
        if (!(entry.tcp && key.protocol == Tcp) && !(entry.udp && key.protocol == Udp))
            return false;
    }
    if (!entry.has_ports) return true;
    if (!key.has_ports) return false;
    const auto within = [&](std::uint64_t port) {
        return entry.port_from <= port && port <= entry.port_to;
    };
    return ((at_source || entry.either_side) && within(key.source_port)) ||
           ((at_destination || entry.either_side) && within(key.destination_port));
}

}  // namespace

TEST_CASE("P7 DHCP is excluded on either port of either side, and only over UDP") {
    Services services;
    for (const bool v6 : {false, true}) {
        const Address& other = v6 ? other6 : other4;
        for (std::uint64_t port : {66, 67, 68, 69, 545, 546, 547, 548}) {
            const bool dhcp = v6 ? port == 546 || port == 547 : port == 67 || port == 68;
            const Key key = key_of(v6, other, other, Udp, port, 3000);
            CHECK(services.look(key).excluded == dhcp);
            CHECK(services.look(reversed(key)).excluded == dhcp);
            CHECK_FALSE(services.look(key_of(v6, other, other, Tcp, port, 3000)).excluded);
            CHECK_FALSE(services.look(without_ports(key)).excluded);
        }
    }
}

TEST_CASE("P7 instance metadata is excluded with any protocol, known or not, in both directions") {
    Services services;
    for (const bool v6 : {false, true}) {
        const Address metadata = v6 ? ec2(0x02, 0x54) : link_local(254);
        for (const std::uint64_t protocol : {Tcp, Udp, Icmp, std::uint64_t{0}}) {
            Key key = key_of(v6, v6 ? other6 : other4, metadata, protocol, 80, 80);
            CHECK(services.look(key).excluded);
            CHECK(services.look(reversed(key)).excluded);
            key = without_ports(key);
            key.protocol_known = 0;
            CHECK(services.look(key).excluded);
        }
    }
}

TEST_CASE("P7 time sync is UDP port 123 on either side, and public NTP is ordinary traffic") {
    Services services;
    for (const bool v6 : {false, true}) {
        const Address time = v6 ? ec2(0x01, 0x23) : link_local(123);
        const Address& other = v6 ? other6 : other4;
        for (const Key& key :
             {key_of(v6, other, time, Udp, 5000, 123), key_of(v6, other, time, Udp, 123, 5000)}) {
            CHECK(services.look(key).excluded);
            CHECK(services.look(reversed(key)).excluded);
        }
        CHECK_FALSE(services.look(key_of(v6, other, time, Tcp, 5000, 123)).excluded);
        CHECK_FALSE(services.look(key_of(v6, other, time, Udp, 5000, 124)).excluded);
        CHECK_FALSE(services.look(key_of(v6, other, other, Udp, 123, 123)).excluded);
    }
}

TEST_CASE("P7 Windows activation is TCP port 1688 on either side of two addresses") {
    Services services;
    for (const std::uint8_t last : {249, 250, 251, 252}) {
        const bool activation = last == 250 || last == 251;
        for (const Key& key : {key_of(false, other4, link_local(last), Tcp, 5000, 1688),
                               key_of(false, other4, link_local(last), Tcp, 1688, 5000)}) {
            CHECK(services.look(key).excluded == activation);
            CHECK(services.look(reversed(key)).excluded == activation);
        }
        CHECK_FALSE(
            services.look(key_of(false, other4, link_local(last), Udp, 5000, 1688)).excluded);
    }
}

TEST_CASE("P8 Amazon DNS is port 53 on the resolver's side alone, over TCP and UDP") {
    Services services;
    for (const bool v6 : {false, true}) {
        const Address resolver = v6 ? ec2(0x02, 0x53) : link_local(253);
        const Address& other = v6 ? other6 : other4;
        for (const std::uint64_t protocol : {Tcp, Udp}) {
            const Key query = key_of(v6, other, resolver, protocol, 5000, 53);
            CHECK(services.look(query).dns);
            CHECK(services.look(reversed(query)).dns);
            CHECK_FALSE(services.look(query).excluded);
            CHECK_FALSE(services.look(key_of(v6, other, resolver, protocol, 53, 5000)).dns);
            CHECK_FALSE(services.look(key_of(v6, other, other, protocol, 5000, 53)).dns);
        }
        CHECK_FALSE(services.look(key_of(v6, other, resolver, Icmp)).dns);
    }
}

TEST_CASE("P8 an interface's own resolver is the VPC's base plus two, and IPv4 only") {
    Services services;
    auto& stage = services.stage();
    const Address resolver = {10, 0, 0, 2};
    for (const bool has_resolver : {true, false}) {
        stage->in_has_resolver = has_resolver;
        stage->in_resolver = 0x0a000002;
        for (const std::uint64_t protocol : {Tcp, Udp}) {
            const Key query = key_of(false, other4, resolver, protocol, 5000, 53);
            CHECK(services.look(query).dns == has_resolver);
            CHECK(services.look(reversed(query)).dns == has_resolver);
            CHECK_FALSE(services.look(without_ports(query)).dns);
            CHECK_FALSE(services.look(key_of(false, other4, resolver, protocol, 53, 5000)).dns);
            CHECK_FALSE(services.look(key_of(true, resolver, resolver, protocol, 53, 53)).dns);
        }
    }
}

TEST_CASE("P7 P8 P9 after a reset the entries read as the defaults, and the rest as no entry") {
    const auto entry = [](bool v6, const std::optional<Address>& address, unsigned tcp,
                          unsigned udp, unsigned from, unsigned to) {
        ServiceWord word;
        word.valid = 1;
        word.v6 = v6;
        word.any_address = !address;
        word.address = address.value_or(Address{});
        word.tcp = tcp;
        word.udp = udp;
        word.has_ports = word.either_side = from != 0;
        word.port_from = from;
        word.port_to = to;
        return word;
    };
    std::vector<ServiceWord> expected = {
        entry(false, std::nullopt, 0, 1, 67, 68),
        entry(true, std::nullopt, 0, 1, 546, 547),
        entry(false, link_local(254), 0, 0, 0, 0),
        entry(true, ec2(0x02, 0x54), 0, 0, 0, 0),
        entry(false, link_local(123), 0, 1, 123, 123),
        entry(true, ec2(0x01, 0x23), 0, 1, 123, 123),
        entry(false, link_local(250), 1, 0, 1688, 1688),
        entry(false, link_local(251), 1, 0, 1688, 1688),
        entry(false, link_local(253), 1, 1, 53, 53),
        entry(true, ec2(0x02, 0x53), 1, 1, 53, 53),
    };
    for (std::size_t i = 8; i < 10; ++i) {
        expected[i].dns = 1;
        expected[i].either_side = 0;
    }
    expected.resize(sizes::services);
    Services services;
    const auto check = [&] {
        std::vector<ServiceWord> found;
        for (unsigned i = 0; i < sizes::services; ++i) found.push_back(services.read(i));
        CHECK(std::is_permutation(found.begin(), found.end(), expected.begin(), expected.end(),
                                  [](auto& a, auto& b) { return pack(a) == pack(b); }));
    };
    check();
    StageRandom random;
    for (unsigned i = 0; i < sizes::services; ++i)
        services.write(i, unpack<ServiceWord>(random.bits(ServiceWord::width)));
    services.reset();
    check();
}

TEST_CASE("P9 a default that is overwritten is gone, and comes back with a reset") {
    Services services;
    const Key key = key_of(false, other4, link_local(254), Tcp);
    for (unsigned i = 0; i < sizes::services; ++i) services.write(i, {});
    CHECK_FALSE(services.look(key).excluded);
    services.reset();
    CHECK(services.look(key).excluded);
    for (unsigned i = 10; i < sizes::services; ++i) CHECK(services.read(i).valid == 0);
}

TEST_CASE("T2 a frame in the cycle of a write is handled by the entries as they were") {
    Services services;
    auto& stage = services.stage();
    const Key key = key_of(false, other4, other4, Icmp);
    ServiceWord all;
    all.valid = all.any_address = 1;
    drive(stage->in_key, key);
    stage->in_valid = 1;
    stage->write = 1;
    stage->index = sizes::services - 1;
    drive(stage->write_entry, all);
    stage.tick();
    stage->write = 0;
    CHECK_FALSE(stage->out_excluded);
    stage.tick();
    CHECK(stage->out_excluded);
}

TEST_CASE("P9 random entries, wherever they stand, decide exclusion and DNS of random keys") {
    StageRandom random;
    Services services;
    const Address addresses[] = {other4, link_local(1), other6, ec2(1, 2)};
    unsigned excluded = 0, dns = 0;
    for (unsigned round = 0; round < 400; ++round) {
        std::array<ServiceWord, sizes::services> entries;
        for (unsigned i = 0; i < sizes::services; ++i) {
            ServiceWord& entry = entries[i];
            entry.valid = random.chance(40);
            entry.v6 = random.chance(50);
            entry.dns = random.chance(50);
            entry.any_address = random.chance(20);
            entry.address = addresses[2 * entry.v6 + random.below(2)];
            entry.tcp = random.chance(50);
            entry.udp = random.chance(50);
            entry.has_ports = random.chance(80);
            entry.port_from = random.below(6);
            entry.port_to = entry.port_from + random.below(3);
            entry.either_side = random.chance(50);
            services.write(i, entry);
        }
        for (unsigned i = 0; i < sizes::services; ++i)
            REQUIRE(pack(services.read(i)) == pack(entries[i]));
        for (unsigned i = 0; i < 50; ++i) {
            const bool v6 = random.chance(50);
            Key key =
                key_of(v6, addresses[2 * v6 + random.below(2)], addresses[2 * v6 + random.below(2)],
                       random.pick({Tcp, Udp, Icmp}), random.below(9), random.below(9));
            if (random.chance(20)) key = without_ports(key);
            if (!key.has_ports && random.chance(30)) key.protocol_known = key.protocol = 0;
            Result expected{false, false};
            for (const auto& entry : entries) {
                if (hits(entry, key)) (entry.dns ? expected.dns : expected.excluded) = true;
            }
            const Result result = services.look(key);
            REQUIRE(result.excluded == expected.excluded);
            REQUIRE(result.dns == expected.dns);
            excluded += result.excluded;
            dns += result.dns;
        }
    }
    CHECK(excluded > 1000);
    CHECK(dns > 1000);
}

TEST_CASE("P9 keys one bit or one port from an entry are judged right, for any address and ports") {
    StageRandom random;
    Services services;
    unsigned found = 0;
    for (unsigned round = 0; round < 400; ++round) {
        std::array<ServiceWord, sizes::services> entries;
        for (unsigned i = 0; i < sizes::services; ++i) {
            ServiceWord& entry = entries[i];
            entry.valid = 1;
            entry.v6 = random.chance(50);
            entry.dns = random.chance(50);
            entry.any_address = random.chance(20);
            entry.address = random.address(entry.v6);
            entry.udp = random.chance(50);
            entry.has_ports = random.chance(80);
            entry.port_from = random.port();
            entry.port_to = random.port_near(entry.port_from, 65535);
            entry.either_side = random.chance(50);
            services.write(i, entry);
        }
        for (unsigned i = 0; i < sizes::services; ++i)
            REQUIRE(pack(services.read(i)) == pack(entries[i]));
        for (unsigned i = 0; i < 100; ++i) {
            const ServiceWord& entry = random.pick(entries);
            Address near = entry.address;
            if (random.chance(50)) flip(near, unsigned(random.below(entry.v6 ? 128 : 32)));
            Key key = key_of(entry.v6, near, random.address(entry.v6), random.pick({Tcp, Udp}),
                             random.port_near(entry.port_from, entry.port_to),
                             random.port_near(entry.port_from, entry.port_to));
            if (random.chance(50)) key = reversed(key);
            Result expected{false, false};
            for (const auto& other : entries) {
                if (hits(other, key)) (other.dns ? expected.dns : expected.excluded) = true;
            }
            const Result result = services.look(key);
            REQUIRE(result.excluded == expected.excluded);
            REQUIRE(result.dns == expected.dns);
            found += result.excluded || result.dns;
        }
    }
    CHECK(found > 10000);
}

TEST_CASE("P9 one bit of an address that differs, at either side, is another address") {
    StageRandom random;
    Services services;
    for (unsigned i = 0; i < sizes::services; ++i) services.write(i, {});
    for (unsigned i = 0; i < sizes::services; ++i) {
        for (const bool v6 : {false, true}) {
            ServiceWord entry;
            entry.valid = 1;
            entry.v6 = v6;
            entry.address = random.address(v6);
            services.write(i, entry);
            for (unsigned bit = 0; bit < (v6 ? 128u : 32u); ++bit) {
                Address near = entry.address;
                flip(near, bit);
                Key key = key_of(v6, near, near, Tcp);
                REQUIRE_FALSE(services.look(key).excluded);
                (bit % 2 ? key.source : key.destination) = entry.address;
                REQUIRE(services.look(key).excluded);
            }
        }
        services.write(i, {});
    }
}

TEST_CASE("T4 a flipped bit of any entry, valid or not, shows with every key until it is written") {
    StageRandom random;
    Services services;
    auto& stage = services.stage();
    REQUIRE(stage.width("match_services", "entries") == ServiceWord::width);
    const Key keys[] = {key_of(false, other4, other4, Tcp), key_of(true, other6, other6, Udp),
                        key_of(false, other4, link_local(254), Icmp), Key{}};
    for (const bool defaults : {true, false}) {
        for (unsigned i = 0; i < sizes::services && !defaults; ++i) {
            ServiceWord entry = unpack<ServiceWord>(random.bits(ServiceWord::width));
            entry.valid = i % 2;
            services.write(i, entry);
        }
        for (unsigned i = 0; i < sizes::services; ++i) {
            const ServiceWord entry = services.read(i);
            for (unsigned bit = 0; bit <= ServiceWord::width; ++bit) {  // and the parity bit
                INFO("entry " << i << ", bit " << bit);
                const bool in_parity = bit == ServiceWord::width;
                services.faulty.reset();
                services.look(random.pick(keys));
                if (in_parity)
                    stage.flip("match_services", "parity", 0, i);
                else
                    stage.flip("match_services", "entries", i, bit);
                services.faulty = i;
                services.look(random.pick(keys));
                // Nothing is looked at, nothing found.
                stage.tick();
                REQUIRE_FALSE(stage->out_faulty);
                // Another entry's write does not repair it, its own does.
                const unsigned other = (i + 1 + bit % (sizes::services - 1)) % sizes::services;
                services.write(other, services.read(other));
                services.look(random.pick(keys));
                services.write(i, entry);
                services.faulty.reset();
                services.look(random.pick(keys));
            }
        }
    }
    // A reset repairs, too.
    stage.flip("match_services", "entries", 3, 100);
    stage.flip("match_services", "parity", 0, 12);
    services.reset();
    services.look(keys[0]);
}
