// SPDX-License-Identifier: Apache-2.0
/// The verilated offload as a SystemC module without clock and data signals: one thread runs the
/// model in a plain loop for a quantum of cycles and then yields; whole frames and register
/// accesses come and go by TLM-2.0.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <systemc>
#include <tlm>

#include "sim/ring.hpp"
#include "sim/transfer.hpp"

namespace mirrornic {

/// The model broke the stream contract, or did not answer.
struct SimulationError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// m_decision, field by field (I5).
struct DecisionRecord {
    enum class Outcome : std::uint8_t { not_eligible, not_accepted, mirrored, dropped };
    /// Numbers as in the RTL; `none` where the outcome needs no cause.
    enum class Cause : std::uint8_t {
        no_tap,
        malformed,
        marked_bad,
        not_ip,
        excluded,
        table_fault,
        overflow,
        reset,
        session_fault,
        none = 15
    };
    enum class Why : std::uint8_t { empty, no_rule, rejected, rejected_dns };
    static constexpr unsigned slots = 3;

    std::uint64_t tag;  ///< of the pass, as it was fed
    Outcome outcome;
    Cause cause;
    bool by_service;  ///< accepted by amazon-dns, before the rules
    bool late_bad;
    std::uint8_t slot;        ///< of the session that accepted
    std::uint8_t rule_index;  ///< of the rule that accepted
    Why why[slots];           ///< of each slot, why it did not accept
    std::uint8_t why_rule[slots];
    std::uint16_t kept;     ///< bytes of the frame in the copy
    std::uint16_t version;  ///< commits, modulo 2^16, that the pass's tables hold
};

class Offload : public sc_core::sc_module {
public:
    /// Memories whose bits can be flipped, as radiation does (T4).
    enum class Memory {
        interfaces,
        filters,
        session_limits,
        session_headers,
        services,
        delay,
        hold,
        copies,
        endings,
        fates
    };
    struct MemorySize {
        unsigned copies;  ///< of the whole memory: one a slot for filters and session limits
        unsigned words, bits;
    };
    static MemorySize size(Memory memory);  ///< as the RTL has it
    /// Flips a stored bit. What was read before is not changed.
    void flip(Memory memory, unsigned copy, unsigned word, unsigned bit);

    /// Frames in. A call returns when the frame is queued; frames are fed in order, back to back.
    tlm_utils::simple_target_socket<Offload> frames;
    /// Register accesses of 4 bytes, and writes of 64 aligned bytes, which go to the line port. A
    /// write's strobes are the payload's byte enables.
    /// Writes are posted; a read returns behind all accesses before it.
    tlm_utils::simple_target_socket<Offload> registers;
    /// Forwarded frames and mirror copies, when their last beat has left.
    tlm_utils::simple_initiator_socket<Offload> forward;
    tlm_utils::simple_initiator_socket<Offload> mirror;
    /// Beats that are queued before the feeder waits: enough for a quantum and what a change of the
    /// tables takes; more falls out of the cache.
    std::size_t queue_limit = 1024;
    bool watch_forward =
        true;  ///< false: nobody takes forwarded frames, and their stream is not looked at
    std::function<void(const DecisionRecord&)> on_decision;
    /// Called after each quantum, every 256 cycles or sooner, with the cycles simulated so far.
    std::function<void(std::uint64_t cycle)> on_progress;

    /// Says for each cycle whether the stream may move; empty: always.
    using Pattern = std::function<bool(std::uint64_t cycle)>;
    Pattern source_pattern, forward_pattern, mirror_pattern;

    /// @param wave_file FST file of all signals; empty: none. @throws std::invalid_argument where
    /// the build has no waves.
    Offload(sc_core::sc_module_name name, double clock_mhz, const std::string& wave_file = {});
    ~Offload() override;

    // After the model has failed, everything that waits here, every frame that is fed and every
    // register access throws what stopped it, so that the callers' stacks are unwound in order.
    /// What stopped the model; null while it runs.
    std::exception_ptr failure() const { return failure_; }
    /// Stops the model as a failure of its own would. From within the simulation.
    void fail(const std::exception_ptr& failure);

    /// For the thread that feeds: back when every queued beat is in.
    void wait_until_fed();
    /// Back when the offload is idle and nothing waits at its inputs.
    void wait_until_idle();
    /// Lets some cycles pass.
    void wait_cycles(std::uint64_t cycles);
    /// What the neighbours on production do at a reset.
    enum class Neighbours { reset_too, go_on };
    /// Holds `rst` for a cycle; what is queued stays (P25). Where the neighbours are reset too, the
    /// frame that is half in is fed anew, else its other beats follow.
    void reset(Neighbours neighbours = Neighbours::reset_too);

    std::size_t queued() const { return queue_.size(); }  ///< frames that are not wholly in
    /// Beats that are in of the frame that is not wholly in.
    std::size_t beats_in() const { return queue_.empty() ? 0 : queue_.front().next_beat; }
    std::uint64_t cycle() const { return cycle_; }  ///< simulated so far, skipped ones included
    std::uint64_t skipped_cycles() const { return skipped_; }  ///< idle, and not evaluated
    std::uint64_t register_accesses() const { return accesses_; }
    bool interrupt() const;

private:
    struct Model;
    struct Access;
    struct Outgoing;
    struct QueuedFrame {
        std::vector<std::uint8_t> data;
        Transfer transfer;
        std::size_t next_beat = 0;
    };
    /// A pass whose decision or copy is still to come.
    struct Fed {
        std::uint64_t tag;
        std::uint64_t first_beat;  ///< counted over all frames
        std::uint64_t beats;       ///< so far
        bool copy_left;
    };
    /// A pass whose frame is still to leave, with the handshakes of its first and its newest beat.
    struct Forwarding {
        std::uint64_t tag, first_cycle, last_cycle;
    };

    void take_frame(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
    void access_register(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
    void run();
    void run_quantum();
    void skip_idle();
    void wake_up();
    void wait_for_progress();
    void check_failure() const;
    void step();
    bool quiet() const;
    void present_beat();
    void pop_frame();
    void step_registers();
    void step_line();
    void collect(Outgoing& out, bool valid, bool ready, bool last, std::uint64_t keep,
                 const void* data, std::uint32_t user);
    void send_out(tlm_utils::simple_initiator_socket<Offload>& socket, Outgoing& out);
    void finish_forward();
    void finish_copy();
    void decide();

    std::unique_ptr<Model> model_;
    std::uint64_t cycle_ = 0, skipped_ = 0, accesses_ = 0;
    sc_core::sc_time period_;
    sc_core::sc_event work_, progress_;
    bool in_pass_ = false;                ///< a pass has begun that has not ended
    bool sleeping_ = false;               ///< the model's thread waits for work
    bool wake_ = false;                   ///< somebody waits: end the quantum
    std::uint64_t wake_at_ = UINT64_MAX;  ///< cycle that somebody waits for
    std::exception_ptr failure_;          ///< what stopped the model

    Ring<QueuedFrame> queue_;
    std::size_t queued_beats_ = 0;
    std::deque<Access> accesses_queue_;
    std::unique_ptr<Outgoing> forwarded_, mirrored_;
    Ring<Forwarding> forwarding_;
    Ring<Fed> undecided_, awaiting_copy_;            ///< passes; those whose copy is still to leave
    std::array<std::uint64_t, 8192> beat_cycles_{};  ///< of the newest beats' handshakes, in turn
    std::uint64_t beats_ = 0;                        ///< fed so far
};

}  // namespace mirrornic
