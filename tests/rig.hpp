// SPDX-License-Identifier: Apache-2.0
/// What every system test uses: the board, the driver on it, and the reference model beside them. Each pass that
/// goes in is judged by the model with the tables of the version that decided it; every decision, every byte of
/// every copy and of every forwarded frame, and at the end every counter is compared.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "board.hpp"
#include "mirror_device.hpp"
#include "reference_model.hpp"

namespace mirrornic::test {

using Bytes = std::vector<std::uint8_t>;

class Rig {
public:
    struct Tapping {
        std::string interface;
        Direction direction = Direction::egress;
    };

    explicit Rig(const Board::Options& options = {});

    /// Runs the test's body with an open device, waits until all is out, and compares the counters.
    void run(const std::function<void()>& body);

    MirrorDevice& device() { return *device_; }
    Board& board() { return board_; }

    /// One API request's worth of change (T2), or any other.
    void apply(const TableState& state);
    const TableState& state() const { return state_; }
    void source_ports(std::uint16_t base, std::uint8_t bits);

    /// Feeds a pass. The transfer's tap, direction, index and tag are filled in.
    void send(const Bytes& frame, const std::optional<Tapping>& tap, Transfer transfer = {});
    void wait();  ///< until idle

    /// Whether selected passes may be dropped (P22, P25); not without this.
    void allow_drops() { drops_allowed_ = true; }

    void check_counters();

    std::uint64_t copies() const { return copies_; }
    std::uint64_t drops() const { return drops_; }
    std::uint64_t late_bad() const { return late_bad_; }
    const Bytes& last_copy() const { return last_copy_; }
    std::uint64_t latency_minimum() const { return latency_minimum_; }
    std::uint64_t latency_maximum() const { return latency_maximum_; }
    std::function<void(const DecisionRecord&)> on_decision;

private:
    struct Version {
        reference::Tables tables;
        std::map<std::string, std::size_t> interfaces;
        std::vector<std::vector<std::string>> sessions;  ///< ids, by interface, in ascending number
    };
    struct Sent {
        Bytes frame;
        std::optional<Tapping> tap;
        std::optional<std::size_t> first_bad, first_malformed;
        std::size_t counted = 0;  ///< bytes that tkeep names
    };
    struct Copy {
        Bytes data;
        std::uint64_t tag;
    };
    void decided(const DecisionRecord& record);
    void decide_deferred();
    void judge(const DecisionRecord& record);
    void compare_copies();
    std::shared_ptr<const Version> translate(const TableState& state) const;

    Board board_;
    std::unique_ptr<MirrorDevice> device_;
    TableState state_;
    std::uint16_t port_base_ = 49152;
    std::uint8_t port_bits_ = 14;
    std::map<std::uint16_t, std::shared_ptr<const Version>> versions_;
    std::shared_ptr<const Version> current_;
    std::uint64_t next_tag_ = 1;
    std::map<std::uint64_t, Sent> sent_;           ///< by tag, until decided
    std::map<std::uint64_t, Bytes> forwarding_;    ///< by tag, until forwarded
    std::deque<DecisionRecord> deferred_;          ///< by tables of a change whose end is not known yet
    std::deque<Copy> expected_, arrived_;
    reference::Ledger ledger_;
    std::map<std::string, SessionCounters> session_totals_;
    std::uint64_t copies_ = 0, drops_ = 0, late_bad_ = 0;
    Bytes last_copy_;
    std::uint64_t latency_minimum_ = UINT64_MAX, latency_maximum_ = 0;
    bool drops_allowed_ = false;
};

/// Frames by hand.
struct FrameSpec {
    bool v6 = false;
    std::uint8_t protocol = 17;
    std::string source = "10.0.1.10", destination = "10.0.2.20";
    std::uint16_t source_port = 40000, destination_port = 5000;
    unsigned tags = 0;
    std::size_t length = 60;   ///< of the frame, 1 byte up: a longer header is cut
    std::uint32_t fill = 1;    ///< seed of the payload
    MacAddress source_mac{2, 0, 0, 0, 0, 0xa};
    MacAddress destination_mac{2, 0, 0, 0, 0, 0xb};
};
Bytes make_frame(const FrameSpec& spec);

/// One interface, one session to an IPv4 or IPv6 target, a filter that accepts all.
TableState simple_state(bool v6_target, std::optional<std::uint16_t> packet_length = {}, std::uint16_t mtu = 9001);
Rule any_rule(bool v6, bool accept, const std::string& id);

}  // namespace mirrornic::test
