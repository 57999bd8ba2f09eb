// SPDX-License-Identifier: Apache-2.0
// The driver's contract over the verilated offload, as it holds over the fake and over a mapped
// file.
#include "catch.hpp"
#include "driver_contract.hpp"
#include "register_map.hpp"
#include "sim/board.hpp"

using namespace mirrornic;

TEST_CASE("the simulated device's registers keep what is written, in order") {
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

TEST_CASE("only the registers of a line that change are strobed and written") {
    namespace map = registers;
    Board board({});
    board.run([&board] {
        auto& registers = board.registers();
        std::mt19937 random(1);
        RegisterLine held{};
        for (unsigned round = 0; round < 200; ++round) {
            RegisterLine words{};
            for (unsigned i = 0; i < 4; ++i) words[8 + i] = std::uint32_t(random());
            const auto changed = std::uint16_t((random() & 0xf) << 8);
            if (changed == 0) continue;
            registers.write_line(map::session_target_address::address(0) / 64 * 64, words, changed);
            for (unsigned i = 8; i < 12; ++i) {
                if (changed >> i & 1) held[i] = words[i];
                REQUIRE(registers.read(map::session_target_address::address(i - 8)) == held[i]);
            }
        }
        REQUIRE(registers.read(map::error_reason::address()) == 0);
    });
}

TEST_CASE("T5 the driver's lines may reach the simulated device in parts, holes among them") {
    Board board({});
    board.run([&board] {
        for (const unsigned part : {1, 2, 4, 8, 16}) {
            INFO("parts of " << part << " registers");
            PartingRegisters parts(board.registers(), part);
            check_mirror_device(parts);
            board.offload().reset();
        }
    });
}

TEST_CASE("T2 the driver brings the simulated device from any state to any other") {
    Board board({});
    board.run([&board] { check_mirror_device(board.registers()); });
}
