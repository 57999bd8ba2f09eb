// SPDX-License-Identifier: Apache-2.0
// Captures of real network stacks through the offload, judged by the reference model.
#include <filesystem>

#include "catch.hpp"
#include "host/frames/capture_file.hpp"
#include "rig.hpp"

using namespace mirrornic;
using namespace mirrornic::test;

namespace {

/// Every frame of every capture in the folder, at both taps of one interface, over the given outer
/// IP version.
std::size_t replay(const std::string& folder, bool v6_target) {
    Rig rig;
    std::size_t captures = 0;
    rig.run([&] {
        TableState state = simple_state(v6_target, std::nullopt, 9216);
        auto filter = std::make_shared<Filter>(*state.filters["f"]);
        filter->amazon_dns = v6_target;
        state.filters["f"] = filter;
        state.interfaces["eni-a"].resolver = IpAddress::parse("10.0.2.20");
        rig.apply(state);
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            const std::string name = entry.path().string();
            if (name.find(".pcap") == std::string::npos) continue;
            std::unique_ptr<CaptureReader> reader;
            try {
                reader = std::make_unique<CaptureReader>(name);
            } catch (const CaptureError&) {
                continue;  // not of Ethernet
            }
            ++captures;
            CaptureReader::Frame frame;
            while (reader->next(frame)) {
                for (const Direction direction : {Direction::egress, Direction::ingress}) {
                    Transfer transfer;
                    transfer.when_room = true;
                    rig.send(Bytes(frame.data, frame.data + frame.size),
                             Rig::Tapping{"eni-a", direction}, transfer);
                }
            }
        }
    });
    CHECK(rig.copies() > 0);
    CHECK(rig.drops() == 0);
    return captures;
}

}  // namespace

TEST_CASE(
    "P3 to P6 P8 P14 to P16 P18 to P20 P23 the recorded captures are mirrored as the model says, "
    "over IPv4") {
    CHECK(replay(RECORDED, false) >= 9);
}

TEST_CASE(
    "P3 to P6 P8 P14 P15 P17 to P20 P23 the recorded captures are mirrored as the model says, over "
    "IPv6") {
    CHECK(replay(RECORDED, true) >= 9);
}
