// SPDX-License-Identifier: Apache-2.0
// The program `mirrornic`: all commands, and the simulation.
#include <cstdlib>
#include <iostream>
#include <systemc>

#include "host/command/check_command.hpp"
#include "host/command/simulation_commands.hpp"
#include "sim/board.hpp"

namespace mirrornic {
namespace {

// Switches SystemC's banner off, which would be in the output of every command. It must be done
// before SystemC's main starts.
const int no_banner = setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);

// Done before main, because SystemC's main takes a while before it calls ours.
const bool hangup_waits = make_hangup_wait();

/// Runs a command. An error of the simulation becomes one of the device, with exit status 3.
int with_simulation(const std::function<int()>& command) {
    try {
        return command();
    } catch (const SimulationError& error) {
        throw CommandFailed(3, error.what());
    } catch (const sc_core::sc_report& report) {
        throw CommandFailed(3,
                            report.get_msg_type() == std::string(sc_core::SC_ID_STACK_SETUP_FAILED_)
                                ? no_memory
                                : std::string("the simulation failed: ") + report.get_msg());
    }
}

int run(const Arguments& arguments) {
    return with_simulation([&] { return run_command(arguments); });
}

int serve_devices(const Arguments& arguments) {
    return with_simulation([&] {
        return serve_command(arguments, {simulated_device(), card_device(), file_device()}, "sim");
    });
}

}  // namespace
}  // namespace mirrornic

extern "C" int sc_main(int argc, char* argv[]) {
    using namespace mirrornic;
    return perform(
        "mirrornic",
        {{"run", "replay a capture through the simulated offload and write the mirror copies", run},
         {"serve", "take session requests from AWS clients over HTTP, in front of a device",
          serve_devices},
         {"check", "say what a configuration means, or exactly what is wrong with it",
          check_command},
         {"backup", "copy a state file, also while `serve` has it", backup_command}},
        {argv + 1, argv + argc});
}
