// SPDX-License-Identifier: Apache-2.0
/// The simulated offload: the verilated model of rtl/ as a SystemC module. It has no clock and no
/// data signals: frames and register accesses come and go whole, as TLM-2.0 transactions. One
/// SystemC thread runs the model in a plain loop for a quantum of cycles and then yields. Not
/// thread-safe: all calls are made from SystemC threads.
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

/// A record of m_decision (I5): how a pass ended, and why.
struct DecisionRecord {
    enum class Outcome : std::uint8_t { not_eligible, not_accepted, mirrored, dropped };
    /// The numbers are the RTL's. `none`: the outcome needs no cause.
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
    /// Why a slot did not accept the pass.
    enum class Why : std::uint8_t { empty, no_rule, rejected, rejected_dns };
    static constexpr unsigned slots = 3;

    std::uint64_t tag;  ///< Transfer::tag of the pass
    Outcome outcome;
    Cause cause;
    bool by_service;          ///< accepted by amazon-dns, before the rules
    bool late_bad;            ///< marked bad or malformed after the copy was complete
    std::uint8_t slot;        ///< of the session that accepted
    std::uint8_t rule_index;  ///< of the rule that accepted
    Why why[slots];
    std::uint8_t why_rule[slots];  ///< of each slot: the rule that decided, where one did
    std::uint16_t kept;            ///< bytes of the frame in the copy
    std::uint16_t version;         ///< how many commits its tables hold, modulo 2^16
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
        unsigned copies;  ///< one; of filters and session limits one for each slot
        unsigned words, bits;
    };
    static MemorySize size(Memory memory);
    /// Flips a bit that is stored. A word that was read from the memory before is not changed.
    void flip(Memory memory, unsigned copy, unsigned word, unsigned bit);

    /// Frames in. A call returns when the frame is queued. Frames enter in order, back to back.
    tlm_utils::simple_target_socket<Offload> frames;
    /// Register accesses of 4 bytes, and writes of 64 aligned bytes, which go to the line port. A
    /// write's strobes are the payload's byte enables.
    /// Writes are posted. A read returns after all accesses before it are done.
    tlm_utils::simple_target_socket<Offload> registers;
    /// Forwarded frames and mirror copies, when their last beat has left.
    tlm_utils::simple_initiator_socket<Offload> forward;
    tlm_utils::simple_initiator_socket<Offload> mirror;
    /// So many beats are queued before the feeder has to wait. That is enough for a quantum and for
    /// the time of a table change; a longer queue would not fit into the processor's cache.
    std::size_t queue_limit = 1024;
    /// False: nobody takes forwarded frames, and their stream is not checked.
    bool watch_forward = true;
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

    // After the model has failed, every call that waits here, feeds a frame or accesses a register
    // throws the failure. So the callers' stacks are unwound in order.
    /// What stopped the model; null while it runs.
    std::exception_ptr failure() const { return failure_; }
    /// Stops the model as a failure of its own would. To be called within the simulation.
    void fail(const std::exception_ptr& failure);

    /// For the thread that feeds: returns when every queued beat has entered.
    void wait_until_fed();
    /// Returns when the offload is idle and nothing waits at its inputs.
    void wait_until_idle();
    /// Returns when so many cycles have passed.
    void wait_cycles(std::uint64_t cycles);
    /// What the neighbours on production do at a reset.
    enum class Neighbours { reset_too, go_on };
    /// Holds `rst` for a cycle (P25); queued frames stay queued. If the neighbours are reset too, a
    /// frame that has entered in part is fed again from its first beat. If not, its other beats
    /// follow.
    void reset(Neighbours neighbours = Neighbours::reset_too);

    std::size_t queued() const { return queue_.size(); }  ///< frames not yet entered wholly
    /// How many beats have entered of the frame that has entered in part.
    std::size_t beats_in() const { return queue_.empty() ? 0 : queue_.front().next_beat; }
    std::uint64_t cycle() const { return cycle_; }  ///< simulated so far, with skipped ones
    std::uint64_t skipped_cycles() const { return skipped_; }  ///< idle ones, not evaluated
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
        bool copy_left;            ///< the copy came before the decision
    };
    /// A pass whose frame has not left yet, with the cycles of its first and its newest handshake.
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
    bool wake_ = false;                   ///< somebody waits, so the quantum must end
    std::uint64_t wake_at_ = UINT64_MAX;  ///< the cycle for which somebody waits
    std::exception_ptr failure_;          ///< what stopped the model

    Ring<QueuedFrame> queue_;
    std::size_t queued_beats_ = 0;
    std::deque<Access> accesses_queue_;
    std::unique_ptr<Outgoing> forwarded_, mirrored_;
    Ring<Forwarding> forwarding_;
    Ring<Fed> undecided_, awaiting_copy_;            ///< awaiting_copy_: decided, copy still inside
    std::array<std::uint64_t, 8192> beat_cycles_{};  ///< of the newest beats' handshakes, in turn
    std::uint64_t beats_ = 0;                        ///< fed so far
};

}  // namespace mirrornic
