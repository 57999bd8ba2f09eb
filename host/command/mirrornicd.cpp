// SPDX-License-Identifier: Apache-2.0
// The program `mirrornicd`: the commands that need no simulation, for a host with a card.
#include "host/command/check_command.hpp"
#include "host/command/serve_command.hpp"

namespace mirrornic {
namespace {

const bool hangup_waits = make_hangup_wait();

int serve_cards(const Arguments& arguments) {
    return serve_command(arguments, {card_device(), file_device()}, "",
                         "the simulated device (sim) is in the program `mirrornic`");
}

}  // namespace
}  // namespace mirrornic

int main(int argc, char* argv[]) {
    using namespace mirrornic;
    return perform(
        "mirrornicd",
        {{"serve", "take session requests from AWS clients over HTTP, in front of a card",
          serve_cards},
         {"check", "say what a configuration means, or exactly what is wrong with it",
          check_command},
         {"backup", "copy a state file, also while `serve` has it", backup_command}},
        {argv + 1, argv + argc});
}
