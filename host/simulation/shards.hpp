// SPDX-License-Identifier: Apache-2.0
/// One run in several processes: a SystemC simulation is elaborated once in a process. The capture
/// is cut into pieces of frames; each process claims the next piece that nobody has, and the files
/// of the run are written piece after piece.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/simulation/simulated_traffic.hpp"

namespace mirrornic {

/// What the processes of a run share. To be made before they are.
class Shards : public Pieces {
public:
    Shards();
    ~Shards() override;
    Shards(const Shards&) = delete;
    Shards& operator=(const Shards&) = delete;

    enum class Claim { mine, taken, stopped };
    /// Whether this process is to run the piece. Every process asks for all pieces, in order.
    Claim claim(std::uint64_t piece);
    /// No further piece is begun. Also from a signal handler.
    void stop();
    std::unique_ptr<Turns> turns(unsigned file) override;

    /// Runs `work` in so many processes, with their numbers from 0 on.
    /// @return what it returned, in the order of the numbers
    /// @throws SimulationError when one of them failed for the device or the simulation, or was
    /// killed, std::runtime_error when for something else; the others have ended then
    std::vector<std::string> run(unsigned processes,
                                 const std::function<std::string(unsigned)>& work);

private:
    struct Memory;
    class FileTurns;
    void fail();
    Memory& memory_;
};

}  // namespace mirrornic
