// SPDX-License-Identifier: Apache-2.0
// Checksums, with the sums of session entries that they take, against RFC 1071 over the whole outer
// packet.
#include <Vchecksum.h>
#include <Vheader_sum.h>

#include <algorithm>
#include <deque>

#include "stage.hpp"

using namespace mirrornic::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t Latency =
    2;  ///< from the commit; it comes a cycle behind the copy's last beat

struct Copy {
    OuterWord outer;
    std::uint64_t source_port = 0, session = 0;
    Bytes kept;
};

void put(Bytes& out, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out.push_back(std::uint8_t(value >> 8 * i));
}

/// RFC 1071 over what IPv4's header or, for IPv6, the UDP checksum covers.
std::uint64_t checksum_of(const Copy& copy) {
    const std::uint64_t udp_length = copy.kept.size() + 16;
    Bytes summed;
    const int address_bytes = copy.outer.v6 ? 16 : 4;
    const auto put_addresses = [&] {
        for (const Address* address : {&copy.outer.source_address, &copy.outer.target_address})
            summed.insert(summed.end(), address->begin(), address->begin() + address_bytes);
    };
    if (copy.outer.v6) {
        put_addresses();
        put(summed, udp_length, 4);
        put(summed, 17, 4);
        put(summed, copy.source_port, 2);
        put(summed, 4789, 2);
        put(summed, udp_length, 2);
        put(summed, 0x08000000, 4);
        put(summed, copy.outer.vni << 8, 4);
        summed.insert(summed.end(), copy.kept.begin(), copy.kept.end());
    } else {
        put(summed, 0x4500, 2);
        put(summed, udp_length + 20, 2);
        put(summed, 0, 4);
        put(summed, 0xff11, 2);
        put_addresses();
    }
    if (summed.size() % 2) summed.push_back(0);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < summed.size(); i += 2) sum += summed[i] * 256u + summed[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    return copy.outer.v6 && sum == 0 ? 0xffff : sum;
}

Copy random_copy(StageRandom& random, bool v6, std::size_t length) {
    Copy copy;
    copy.outer = {v6,
                  random.below(1 << 24),
                  random.below(std::uint64_t{1} << 48),
                  random.below(std::uint64_t{1} << 48),
                  random.address(v6),
                  random.address(v6)};
    copy.source_port = random.below(65536);
    copy.session = random.below(sizes::sessions);
    copy.kept = random.bytes(length);
    return copy;
}

/// A session entry's sum, made when the entry is written.
class HeaderSum {
public:
    explicit HeaderSum(StageRandom& random) : random_(random) {
        stage_->first = stage_->second = 0;
    }

    Number of(const OuterWord& outer) {
        drive(stage_->in_outer, outer);
        stage_->first = 1;
        stage_.tick();
        stage_->first = 0;
        stage_->second = 1;
        stage_.tick();
        stage_->second = 0;
        return stage_->out_sum;
    }

    /// Cycles in which nothing is written.
    Number later(unsigned cycles) {
        for (unsigned i = 0; i < cycles; ++i) {
            drive(stage_->in_outer, random_.bits(OuterWord::width));
            stage_.tick();
        }
        return stage_->out_sum;
    }

private:
    StageRandom& random_;
    Stage<Vheader_sum> stage_;
};

class Checksums {
public:
    explicit Checksums(StageRandom& random) : random_(random), header_sum_(random) {
        clear();
        stage_.reset();
    }

    /// The kept beats, `gaps` percent of cycles between them empty, and after `extra` more cycles
    /// the commit (0: with the last beat).
    void copy(const Copy& copy, unsigned gaps = 0, unsigned extra = 0) {
        beats(copy, gaps, copy.kept.size(), extra == 0);
        if (extra > 0) {
            for (unsigned i = 1; i < extra; ++i) cycle();
            commit(copy);
            cycle();
        }
    }

    /// A copy that is given up after so many bytes.
    void abort(const Copy& copy, std::size_t bytes) { beats(copy, 0, bytes, false); }

    void idle() { cycle(); }

    /// One cycle of reset: what is inside is gone.
    void reset_cycle() {
        expected_.clear();
        stage_->rst = 1;
        cycle();
        stage_->rst = 0;
        REQUIRE_FALSE(stage_->busy);
    }

    void drain() {
        for (unsigned i = 0; i < 2 * Latency; ++i) cycle();
        CHECK(expected_.empty());
        CHECK_FALSE(stage_->busy);
    }

private:
    void clear() { stage_->in_start = stage_->in_keep = stage_->in_commit = 0; }

    void commit(const Copy& copy) {
        stage_->in_commit = 1;
        stage_->in_kept = std::uint16_t(copy.kept.size());
        CopyWord word;
        word.session = copy.session;
        word.outer = copy.outer;
        word.kept = copy.kept.size();
        word.source_port = copy.source_port;
        word.checksum = checksum_of(copy);
        expected_.push_back({now_ + Latency, pack(word)});
    }

    void beats(const Copy& copy, unsigned gaps, std::size_t bytes, bool commits) {
        for (std::size_t i = 0; i < bytes; i += 64) {
            while (i > 0 && random_.chance(gaps)) cycle();
            stage_->in_start = i == 0;
            if (i == 0) {
                drive(stage_->in_outer, copy.outer);
                stage_->in_sum = std::uint32_t(header_sum_.of(copy.outer));
                stage_->in_source_port = std::uint16_t(copy.source_port);
                stage_->in_session = std::uint16_t(copy.session);
            }
            Bits data(512);  // zero behind the last byte
            for (std::size_t j = i; j < std::min(i + 64, copy.kept.size()); ++j)
                data.put(int(8 * (j - i)), 8, copy.kept[j]);
            drive(stage_->in_data, data);
            stage_->in_keep = 1;
            if (commits && i + 64 >= bytes) commit(copy);
            cycle();
        }
    }

    void cycle() {
        if (!stage_->in_start) {  // only then do they count
            drive(stage_->in_outer, random_.bits(OuterWord::width));
            stage_->in_sum = std::uint32_t(random_.below(1 << SumWidth));
            stage_->in_source_port = std::uint16_t(random_.below(65536));
            stage_->in_session = std::uint16_t(random_.below(sizes::sessions));
        }
        stage_.tick();
        ++now_;
        clear();
        const bool due = !expected_.empty() && expected_.front().first == now_;
        REQUIRE(bool(stage_->out_valid) == due);
        REQUIRE((expected_.empty() || stage_->busy));
        if (due) {
            const Bits word = sample(stage_->out_copy, CopyWord::width);
            CHECK(unpack<CopyWord>(word).checksum ==
                  unpack<CopyWord>(expected_.front().second).checksum);
            REQUIRE(word == expected_.front().second);
            expected_.pop_front();
        }
    }

    StageRandom& random_;
    HeaderSum header_sum_;
    Stage<Vchecksum> stage_;
    std::uint64_t now_ = 0;
    std::deque<std::pair<std::uint64_t, Bits>> expected_;
};

}  // namespace

TEST_CASE(
    "P16 P18 checksums are right for copies of one beat, one a cycle, of both IP versions in "
    "turn") {
    StageRandom random;
    Checksums checksums(random);
    for (unsigned i = 0; i < 1000; ++i)
        checksums.copy(random_copy(random, random.chance(50), random.between(1, 64)));
    checksums.drain();
}

TEST_CASE("P16 P18 a session entry's sum stays until the next entry is written") {
    StageRandom random;
    HeaderSum header_sum(random);
    for (unsigned i = 0; i < 500; ++i) {
        const OuterWord outer = random_copy(random, random.chance(50), 0).outer;
        // In words as they lie on the lanes: bytes exchanged.
        Bytes words;
        const auto put_address = [&](const Address& address) {
            words.insert(words.end(), address.begin(), address.begin() + (outer.v6 ? 16 : 4));
        };
        put_address(outer.source_address);
        put_address(outer.target_address);
        if (outer.v6) {
            put(words, 17, 2);
            put(words, 4789, 2);
            put(words, 0x0800, 2);
            put(words, outer.vni << 8, 4);
        } else {
            put(words, 0x4500, 2);
            put(words, 0xff11, 2);
        }
        Number sum = 0;
        for (std::size_t j = 0; j < words.size(); j += 2) sum += words[j] + 256u * words[j + 1];
        REQUIRE(header_sum.of(outer) == sum);
        REQUIRE(header_sum.later(unsigned(random.below(4))) == sum);
    }
}

TEST_CASE("P16 P18 checksums are right for copies of every length up to four beats") {
    StageRandom random;
    Checksums checksums(random);
    for (const bool v6 : {false, true}) {
        for (std::size_t length = 1; length <= 256; ++length)
            checksums.copy(random_copy(random, v6, length));
    }
    checksums.drain();
}

TEST_CASE("P16 P18 checksums are right for copies of every length that a copy can have") {
    StageRandom random;
    Checksums checksums(random);
    for (std::size_t length = 1; length <= 9216; ++length)
        checksums.copy(random_copy(random, length % 2 == 0, length));
    for (std::size_t length = 1; length <= 9216; ++length)
        checksums.copy(random_copy(random, length % 2 == 1, length));
    checksums.drain();
}

TEST_CASE("P18 a UDP checksum over IPv6 is never 0") {
    StageRandom random;
    Checksums checksums(random);
    for (unsigned i = 0; i < 50; ++i) {
        Copy copy = random_copy(random, true, 2 * random.between(1, 200));
        copy.kept[0] = copy.kept[1] = 0;
        const std::uint64_t rest = checksum_of(copy);
        copy.kept[0] = std::uint8_t(rest >> 8);
        copy.kept[1] = std::uint8_t(rest);
        REQUIRE(checksum_of(copy) == 0xffff);
        checksums.copy(copy);
    }
    checksums.drain();
}

TEST_CASE("P16 an IPv4 header checksum of 0 stays 0") {
    StageRandom random;
    Checksums checksums(random);
    Copy copy = random_copy(random, false, 100);
    copy.outer.target_address[2] = copy.outer.target_address[3] = 0;
    const std::uint64_t rest = checksum_of(copy);
    copy.outer.target_address[2] = std::uint8_t(rest >> 8);
    copy.outer.target_address[3] = std::uint8_t(rest);
    REQUIRE(checksum_of(copy) == 0);
    checksums.copy(copy);
    checksums.drain();
}

TEST_CASE(
    "P16 P18 checksums are right for sums with every low half, so at each carry of the folding") {
    StageRandom random;
    Checksums checksums(random);
    Copy v6 = random_copy(random, true, 20), v4 = random_copy(random, false, 20);
    for (unsigned value = 0; value < 65536; ++value) {
        v6.source_port = value;
        checksums.copy(v6);
        v4.outer.source_address[0] = std::uint8_t(value >> 8);
        v4.outer.source_address[1] = std::uint8_t(value);
        checksums.copy(v4);
    }
    checksums.drain();
}

TEST_CASE(
    "P16 P18 checksums are right for the largest header words and on both sides of every carry") {
    StageRandom random;
    Checksums checksums(random);
    for (const bool v6 : {false, true}) {
        // All address words but one are near the largest; that one brings the sum to the carry.
        for (const unsigned other : {0xfeffu, 0xfffeu, 0xffffu, 0xfffdu, 0x00ffu, 0xff00u}) {
            Copy copy;
            copy.outer.v6 = v6;
            copy.outer.vni = random.pick({0u, 0xffffffu, 0xfeffffu});
            copy.kept = random.bytes(random.pick({1, 9216, 9215, 476}));
            const int address_bytes = v6 ? 16 : 4;
            for (Address* address : {&copy.outer.source_address, &copy.outer.target_address}) {
                for (int i = 0; i < address_bytes; i += 2) {
                    (*address)[i] = std::uint8_t(other >> 8);
                    (*address)[i + 1] = std::uint8_t(other);
                }
            }
            std::uint8_t* const word = &copy.outer.target_address[2];
            word[0] = word[1] = 0;
            const std::uint64_t to_ones = checksum_of(copy);  // added, the sum is 0xffff
            for (int step = -300; step <= 300; ++step) {
                const auto value = unsigned(to_ones + unsigned(step)) & 0xffff;
                word[0] = std::uint8_t(value >> 8);
                word[1] = std::uint8_t(value);
                checksums.copy(copy);
            }
            for (unsigned value = 0; value <= 0xffff; value += 0xff) {  // 0xfeff and 0xffff, too
                word[0] = std::uint8_t(value >> 8);
                word[1] = std::uint8_t(value);
                checksums.copy(copy);
            }
        }
    }
    checksums.drain();
}

TEST_CASE(
    "P18 checksums are right for the largest sum, 9216 bytes and all fields of ones, and for "
    "zeros") {
    StageRandom random;
    Checksums checksums(random);
    for (const std::uint8_t byte : {0xff, 0x00}) {
        for (const std::size_t length : {9215, 9216}) {
            Copy copy;
            copy.outer.v6 = 1;
            copy.outer.vni = byte ? 0xffffff : 0;
            copy.outer.source_address.fill(byte);
            copy.outer.target_address.fill(byte);
            copy.source_port = byte ? 0xffff : 0;
            copy.kept.assign(length, byte);
            checksums.copy(copy);
        }
    }
    checksums.drain();
}

TEST_CASE("P18 P22 a copy that was given up leaves nothing in the next one's sum") {
    StageRandom random;
    Checksums checksums(random);
    for (unsigned i = 0; i < 300; ++i) {
        checksums.abort(random_copy(random, true, 300), random.between(1, 300));
        checksums.copy(random_copy(random, true, random.between(1, 100)));
    }
    checksums.drain();
}

TEST_CASE("P25 one cycle of reset ends every copy inside, and the next one is right") {
    StageRandom random;
    Checksums checksums(random);
    for (unsigned i = 0; i < 400; ++i) {
        const bool v6 = i % 2;
        for (unsigned j = 0; j < i / 2 % 3; ++j)
            checksums.copy(random_copy(random, v6, random.between(1, 200)));
        if (i % 5 == 0) checksums.abort(random_copy(random, v6, 300), random.between(1, 300));
        for (unsigned j = 0; j < i / 6 % 4; ++j) checksums.idle();
        checksums.reset_cycle();
        for (unsigned j = 0; j < i / 24 % 3; ++j) checksums.idle();
        checksums.copy(random_copy(random, v6, random.between(1, 200)));
        checksums.drain();
    }
}

TEST_CASE(
    "P16 P18 checksums are right for random copies with gaps, and commits behind the last beat") {
    StageRandom random;
    Checksums checksums(random);
    for (unsigned i = 0; i < 2000; ++i) {
        checksums.copy(random_copy(random, random.chance(60), random.between(1, 400)),
                       random.chance(50) ? 40 : 0, unsigned(random.below(5)));
    }
    checksums.drain();
}
