// SPDX-License-Identifier: Apache-2.0
/// A board around the simulated offload: feeds passes, takes the frames that come out, and reaches
/// the registers. Not thread-safe: everything but the constructor and run() is called from the one
/// function that run() executes as a SystemC thread. A process can have one board only, because
/// SystemC elaborates once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "driver/register_access.hpp"
#include "sim/offload.hpp"

namespace mirrornic {

/// A frame that came out. Valid during the callback that gets it.
struct Received {
    const std::uint8_t* data;
    std::size_t size;
    const Transfer& transfer;
};

class Board : public sc_core::sc_module {
public:
    struct Options {
        double clock_mhz = 322.265625;  ///< of a 100GbE MAC's user side
        std::string wave_file;          ///< empty: no waves
    };

    explicit Board(const Options& options, sc_core::sc_module_name name = "board");
    ~Board() override;

    /// Elaborates, runs `work` as a SystemC thread beside the offload, and returns when `work` has
    /// returned. When the model fails, the call in which `work` waits, or else its next call,
    /// throws the failure, so that its stack is unwound.
    /// @throws SimulationError when the model has failed, even if `work` has caught it; otherwise
    /// what `work` throws
    void run(std::function<void()> work);

    /// Queues a pass, and copies the data. Returns when the pass is queued; its beats enter later.
    void feed(const std::uint8_t* data, std::size_t size, const Transfer& transfer);

    /// Called with each forwarded frame and each copy, when its last beat has left; empty: not
    /// called.
    std::function<void(const Received&)> on_forward, on_copy;

    /// Register accesses through the offload's TLM-2.0 target; to be used within run() only. Owned
    /// by the board.
    RegisterAccess& registers();
    Offload& offload() { return offload_; }

private:
    class Registers;
    void thread();
    void take_forward(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
    void take_copy(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

    Offload offload_;
    tlm_utils::simple_initiator_socket<Board> source_, access_;
    tlm_utils::simple_target_socket<Board> forward_sink_, mirror_sink_;
    tlm::tlm_generic_payload payload_;
    std::unique_ptr<Registers> registers_;
    std::function<void()> work_;
    std::exception_ptr failure_;
};

}  // namespace mirrornic
