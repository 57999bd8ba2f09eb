// SPDX-License-Identifier: Apache-2.0
/// The rig of every system test: the board, the driver on it, and the reference model beside them.
/// Each pass that goes in is judged by the model, with the tables of the version by which it was
/// decided. Every decision, every byte of every copy and of every forwarded frame, and at the end
/// every counter are compared with the model.
#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"
#include "reference_tables.hpp"
#include "sim/board.hpp"
#include "sim/models/reference_model.hpp"

namespace mirrornic::test {

using Bytes = std::vector<std::uint8_t>;

/// The offload and the model differ, or a test asked for something that cannot be judged. The
/// message says where.
struct Mismatch : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Rig {
public:
    struct Tapping {
        std::string interface;
        Direction direction = Direction::egress;
        std::optional<std::uint32_t> index = {};  ///< instead of the interface's own (I2)
    };

    explicit Rig(const Board::Options& options = {});

    /// Runs the test's body with an open device, waits until everything is out, and compares the
    /// counters. A run in which no copy was compared shows nothing about the mirror, so it fails,
    /// unless expect_no_copy() was called.
    void run(const std::function<void()>& body);
    /// Says that this test is about passes without a copy. A copy then fails the run.
    void expect_no_copy() { no_copy_ = true; }

    bool has_device() const { return device_ != nullptr; }  ///< false from reset() to open()
    MirrorDevice& device() { return *device_; }
    Board& board() { return board_; }
    Offload& offload() { return board_.offload(); }
    RegisterAccess& registers() { return board_.registers(); }

    /// Changes the tables: by what one API request changes (T2), or by more.
    void apply(const TableState& state);
    const TableState& state() const { return state_; }
    void source_ports(std::uint16_t base, std::uint8_t bits);
    /// Writes an entry of the service table (P9); nothing: an entry that is not valid.
    void put_service(std::size_t index, const std::optional<reference::ServiceEntry>& entry);

    /// Feeds a pass. The transfer's tap, direction, index and tag are filled in.
    void send(const Bytes& frame, const std::optional<Tapping>& tap, Transfer transfer = {});
    void wait();  ///< until idle
    /// For lossless passes: the first beat waits for mirror_room.
    static Transfer when_room();

    /// Holds `rst` (P25). Frames that have not entered are fed afterwards. Passes may count as at
    /// no tap until the first one is looked up. The tables are then empty, and open() must be
    /// called to have a device again. If the neighbours are not reset, the first pass after it is
    /// the rest of a frame, or is taken for one.
    void reset(Offload::Neighbours neighbours = Offload::Neighbours::reset_too);
    void open();
    /// Resets the mirror by its register, without waiting for the end (P25). Until wait(), copies
    /// may be missing; the counters must then say how many.
    void reset_mirror();

    /// Says whether selected passes may be dropped because of an overflow (P22). If not called: no.
    void allow_drops(bool allowed = true) { drops_allowed_ = allowed; }

    /// Says whether a pass may meet a flipped bit in a table (T4). A pass with the cause
    /// table_fault is right only then.
    void allow_faults(bool allowed) { faults_allowed_ = allowed; }
    std::uint64_t faulty_passes() const { return faulty_passes_; }
    /// Lets the driver write the entry again that was found faulty. @return what the driver says
    std::optional<std::string> repair();

    void check_counters();
    /// Checks P23 while the offload is busy: all sums of a snapshot close, and no counter is less
    /// than in the last snapshot.
    void check_snapshot();

    const Counters& snapshot() const { return *snapshot_; }  ///< the one that check_snapshot() took

    std::uint64_t copies() const { return copies_; }
    /// How many copies have not left that were decided by tables before those in force.
    std::size_t older_copies() const;
    std::uint64_t drops() const { return drops_; }
    std::uint64_t reset_drops() const { return reset_drops_; }
    std::uint64_t late_bad() const { return late_bad_; }
    std::uint64_t swept() const { return swept_; }  ///< passes before `ready`
    std::uint64_t count(DecisionRecord::Outcome outcome) const {
        return outcomes_[std::size_t(outcome)];
    }
    const Bytes& last_copy() const { return last_copy_; }
    /// Of copies, in cycles.
    std::uint64_t latency_minimum() const { return latency_minimum_; }
    std::uint64_t latency_maximum() const { return latency_maximum_; }
    std::function<void(const DecisionRecord&)> on_decision;
    std::function<void(const Received&)> on_forward, on_copy;
    /// A pass that was judged and found right.
    struct Judged {
        const Bytes& frame;
        const reference::Pass& pass;
        const reference::Tables& tables;
        const reference::Decision& expected;
        const DecisionRecord& record;
        std::uint32_t index;   ///< of the interface, where the pass is at a tap
        std::int16_t changes;  ///< commits between its sending and its tables
        bool unready;          ///< it came before the tables were swept (P25)
    };
    std::function<void(const Judged&)> on_judged;
    /// Changes a copy before it is compared, to show that a wrong copy is found.
    std::function<void(Bytes& copy)> disturb_copy;

private:
    struct Version : ReferenceTables {
        std::shared_ptr<const Placement> placement;
    };
    using Frame = std::shared_ptr<const Bytes>;
    struct Sent {
        std::uint64_t tag;
        Frame frame;
        bool tap, egress;
        std::uint32_t index;
        std::uint16_t version;  ///< how many commits were done before
        std::optional<std::size_t> first_bad, first_malformed;
        std::size_t counted;  ///< bytes that tkeep names
        std::size_t window;   ///< those in the first two beats
        bool rest;            ///< it is the rest of a frame, or taken for it (P25)
    };
    struct Forwarding {
        std::uint64_t tag;
        Frame frame;
        bool tap, egress, bad;
        std::uint32_t index;
    };
    struct Expected {
        std::uint64_t tag;
        reference::Pass pass;
        reference::Decision decision;
        std::string session;
        std::uint16_t version;
        std::uint32_t session_entry;
    };
    struct Copy {
        Bytes data;
        std::uint64_t tag;
        std::uint32_t session_entry;
    };
    void forwarded(const Received& received);
    void decided(const DecisionRecord& record);
    void decide_deferred();
    void judge(const DecisionRecord& record);
    void compare_copies();
    void settle(const Expected& selected, std::optional<reference::Drop> drop);
    void changed(const std::shared_ptr<const Version>& old, std::uint16_t before);
    std::shared_ptr<Version> translate(const TableState& state) const;

    Board board_;
    std::unique_ptr<MirrorDevice> device_;
    TableState state_;
    std::uint16_t port_base_ = 49152;
    std::uint8_t port_bits_ = 14;
    std::map<std::size_t, reference::ServiceEntry> services_, default_services_;
    std::map<std::uint16_t, std::shared_ptr<const Version>> versions_;
    std::shared_ptr<const Version> current_;
    std::uint16_t version_ = 0;   ///< how many commits are done
    bool beside_device_ = false;  ///< some commits were not made by device_
    std::uint64_t next_tag_ = 1;
    std::deque<Sent> sent_;                ///< until decided
    std::deque<Forwarding> forwarding_;    ///< until forwarded
    std::deque<DecisionRecord> deferred_;  ///< decided by a change that is not done yet
    std::deque<Expected> expected_;
    std::deque<Copy> arrived_;
    reference::Ledger ledger_;
    std::map<std::string, SessionCounters> session_totals_;
    std::optional<Counters> snapshot_;  ///< the last one
    std::uint64_t copies_ = 0, drops_ = 0, reset_drops_ = 0, late_bad_ = 0, swept_ = 0,
                  outcomes_[4] = {};
    Bytes last_copy_;
    std::uint64_t latency_minimum_ = UINT64_MAX, latency_maximum_ = 0;
    bool no_copy_ = false, drops_allowed_ = false, faults_allowed_ = false;
    std::uint64_t faulty_passes_ = 0;
    bool rest_comes_ = false;    ///< the next pass is the first since a reset of the offload alone
    bool sweeping_ = false;      ///< no pass was looked up since `rst`
    bool mirror_reset_ = false;  ///< there was one since the mirror was idle
    bool session_gone_ = false;  ///< a session's counters are gone
};

/// The source of a random case: prints its seed, and takes it from MIRRORNIC_SEED.
class Random {
public:
    Random();
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::uint32_t below(std::uint32_t limit) { return std::uint32_t(engine_() % limit); }
    std::uint32_t between(std::uint32_t from, std::uint32_t to) {
        return from + below(to - from + 1);
    }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class Container>
    const auto& pick(const Container& values) {
        return *(std::begin(values) + below(std::uint32_t(std::size(values))));
    }
    template <class T>
    T pick(std::initializer_list<T> values) {
        return values.begin()[below(std::uint32_t(values.size()))];
    }
    Bytes bytes(std::size_t count);

private:
    std::mt19937_64 engine_;
};

/// A frame of any kind that P2 to P8 distinguish, with addresses and ports that occur in rules and
/// services.
Bytes random_frame(Random& random);
Filter random_filter(Random& random);
/// An entry of the service table; nothing: one that is not valid.
std::optional<reference::ServiceEntry> random_service(Random& random);
/// A session with a random number, VNI, length and target.
Session random_session(Random& random, const std::string& interface, const std::string& filter);
/// Interfaces eni-0, ... of up to three new sessions each, and filters f0, ...
TableState random_state(Random& random, unsigned interfaces, unsigned filters);
Rig::Tapping random_tap(Random& random, unsigned interfaces);
Offload::Pattern random_pattern(unsigned percent);  ///< moves in so many of 100 cycles
Offload::Pattern every(std::uint64_t cycles);       ///< one beat in so many cycles
Offload::Pattern stalls(std::uint64_t cycles);      ///< so many cycles of each, in turn
Offload::Pattern never();

/// Frames by hand.
struct FrameSpec {
    bool v6 = false;
    std::uint8_t protocol = 17;
    std::string source = "10.0.1.10", destination = "10.0.2.20";
    std::uint16_t source_port = 40000, destination_port = 5000;
    unsigned tags = 0;
    std::size_t length = 60;  ///< of the frame, from 1 byte; headers are cut to it
    std::uint32_t fill = 1;   ///< seed of the payload
    MacAddress source_mac{2, 0, 0, 0, 0, 0xa};
    MacAddress destination_mac{2, 0, 0, 0, 0, 0xb};
};
Bytes make_frame(const FrameSpec& spec);
/// A UDP frame over IPv4, no two alike by `fill` from byte 8 on.
Bytes plain_frame(std::size_t length, std::uint32_t fill = 1);

/// A state with one interface, one session to an IPv4 or IPv6 target, and a filter that accepts
/// all.
TableState simple_state(bool v6_target, std::optional<std::uint16_t> packet_length = {},
                        std::uint16_t mtu = 9001);
Rule any_rule(bool v6, bool accept, const std::string& id);

}  // namespace mirrornic::test
