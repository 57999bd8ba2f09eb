// SPDX-License-Identifier: Apache-2.0
// The driver's contract over the verilated offload, as it holds over the fake and over a mapped
// file.
#include "board.hpp"
#include "catch.hpp"
#include "driver_contract.hpp"

using namespace mirrornic;

TEST_CASE("T5 the simulated device's registers keep what is written, in order") {
    Board board({});
    board.run([&board] { check_register_access(board.registers()); });
}

TEST_CASE("T5 every register of the simulated device is as the map says") {
    Board board({});
    board.run([&board] {
        board.offload().wait_cycles(300);  // tables are swept
        check_register_map(board.registers());
    });
}

TEST_CASE("T5 the simulated device takes lines whole or not at all") {
    Board board({});
    board.run([&board] {
        board.offload().wait_cycles(300);  // tables are swept
        check_register_lines(board.registers());
    });
}

TEST_CASE("T2 the driver brings the simulated device from any state to any other") {
    Board board({});
    board.run([&board] { check_mirror_device(board.registers()); });
}
