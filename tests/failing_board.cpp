// SPDX-License-Identifier: Apache-2.0
// Makes the command that it is linked into fail at SIGUSR1, as if the simulated offload had broken
// its contract. The linker hands calls of Board::run to the function below (--wrap), so that
// nothing of this is in what is shipped.
#include <csignal>

#include "sim/board.hpp"

namespace {

volatile std::sig_atomic_t told = 0;

}  // namespace

namespace mirrornic {

extern "C" void real_run(Board*, std::function<void()>) asm(
    "__real__ZN9mirrornic5Board3runESt8functionIFvvEE");
extern "C" void failing_run(Board*, std::function<void()>) asm(
    "__wrap__ZN9mirrornic5Board3runESt8functionIFvvEE");

extern "C" void failing_run(Board* board, std::function<void()> work) {
    std::signal(SIGUSR1, [](int) { told = 1; });
    Offload& offload = board->offload();
    offload.on_progress = [former = offload.on_progress](std::uint64_t cycle) {
        if (former) former(cycle);
        if (told) throw SimulationError("the model was stopped by a test");
    };
    real_run(board, std::move(work));
}

}  // namespace mirrornic
