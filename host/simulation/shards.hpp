// SPDX-License-Identifier: Apache-2.0
/// One run in several processes, because a process can elaborate only one SystemC simulation. The
/// capture is cut into pieces of frames. Each process takes the next piece that no other has taken,
/// and the output files are written piece after piece.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/simulation/simulated_traffic.hpp"

namespace mirrornic {

/// What the processes of a run share, in shared memory. To be made before the processes are.
class Shards : public Pieces {
public:
    Shards();
    ~Shards() override;
    Shards(const Shards&) = delete;
    Shards& operator=(const Shards&) = delete;

    enum class Claim { mine, taken, stopped };
    /// Whether this process must run the piece. Every process asks for all pieces, in order.
    Claim claim(std::uint64_t piece);
    /// From now on no process begins another piece. May be called from a signal handler.
    void stop();
    std::unique_ptr<Turns> turns(unsigned file) override;

    /// Runs `work` in so many processes at once, and waits for them.
    /// @param work gets the process's number, from 0 on
    /// @return what each `work` returned, in the order of the numbers
    /// @throws SimulationError when a process was killed, or failed because of the device or the
    /// simulation; std::runtime_error when it failed otherwise. All processes have ended then.
    std::vector<std::string> run(unsigned processes,
                                 const std::function<std::string(unsigned)>& work);

private:
    struct Memory;
    class FileTurns;
    void fail();
    Memory& memory_;
};

}  // namespace mirrornic
