// SPDX-License-Identifier: Apache-2.0
// The whole offload against the reference model: sizes x gaps x back-pressure x address family x PacketLength.
#include "catch.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

const Rig::Tapping egress{"eni-a", Direction::egress};

std::vector<std::size_t> all_sizes() {
    std::vector<std::size_t> sizes;
    for (std::size_t size = 60; size <= 260; ++size) sizes.push_back(size);
    for (std::size_t size : {14, 15, 33, 34, 35, 41, 42, 53, 54, 58, 59, 512, 1514, 9014, 9215, 9216, 9217, 20000}) {
        sizes.push_back(size);
    }
    return sizes;
}

}  // namespace

TEST_CASE("P14 P16 a frame is mirrored byte for byte over IPv4") {
    Rig rig;
    rig.run([&rig] {
        rig.apply(simple_state(false));
        FrameSpec spec;
        spec.length = 300;
        rig.send(make_frame(spec), egress);
    });
    CHECK(rig.copies() == 1);
}

TEST_CASE("P14 P17 a frame of every length is mirrored byte for byte over IPv6") {
    Rig rig;
    rig.run([&rig] {
        rig.apply(simple_state(true));
        for (std::size_t size : all_sizes()) {
            FrameSpec spec;
            spec.length = size;
            spec.fill = static_cast<std::uint32_t>(size);
            Transfer transfer;
            transfer.when_room = true;
            rig.send(make_frame(spec), egress, transfer);
        }
    });
    CHECK(rig.copies() > 200);
}
