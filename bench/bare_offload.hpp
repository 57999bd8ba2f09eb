// SPDX-License-Identifier: Apache-2.0
/// The verilated offload in a plain C++ loop: no SystemC, no checks, nothing between the caller and
/// the pins. It is what cycle counts are read from, and the yardstick for the speed of the SystemC
/// board.
#pragma once

#include <cstdint>
#include <cstring>

#include "Vmirror_offload.h"
#include "driver/register_access.hpp"
#include "verilated.h"

namespace mirrornic::bench {

class BareOffload : public RegisterAccess {
public:
    BareOffload() {
        top.rst = top.rst_neighbours = 1;
        top.m_axis_forward_tready = top.m_axis_mirror_tready = 1;
        for (int i = 0; i < 4; ++i) edge();
        top.rst = 0;
    }
    ~BareOffload() override { top.final(); }

    void edge() {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        ++cycle;
    }
    /// What an access does for a cycle of waiting: with traffic beside it, the caller's own.
    virtual void step() { edge(); }

    /// Puts a beat on s_axis. @param user as offload::user_t
    void present(const std::uint8_t* data, std::size_t size, std::size_t offset,
                 std::uint32_t user) {
        const std::size_t bytes = size - offset < 64 ? size - offset : 64;
        std::memcpy(&top.s_axis_tdata, data + offset, bytes);
        top.s_axis_tkeep = bytes == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
        top.s_axis_tlast = offset + bytes == size;
        top.s_axis_tuser = user;
        top.s_axis_tvalid = 1;
    }

    void write(std::uint32_t address, std::uint32_t value) override {
        ++writes;
        top.s_axil_awaddr = static_cast<std::uint16_t>(address);
        top.s_axil_wdata = value;
        top.s_axil_wstrb = 0xf;
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 1;
        top.eval();
        while (!top.s_axil_awready) step();
        taken = cycle;
        step();
        top.s_axil_awvalid = top.s_axil_wvalid = 0;
        while (!top.s_axil_bvalid) step();
        step();
    }
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override {
        if (!lines) return RegisterAccess::write_line(address, words, changed);
        ++writes;
        top.s_line_address = static_cast<std::uint8_t>(address / sizeof words);
        std::memcpy(&top.s_line_data, words.data(), sizeof words);
        top.s_line_strobes = ~std::uint64_t{0};
        top.s_line_valid = 1;
        while (!top.s_line_ready) step();
        taken = cycle;
        step();
        top.s_line_valid = 0;
    }
    std::uint32_t read(std::uint32_t address) override {
        ++reads;
        top.s_axil_araddr = static_cast<std::uint16_t>(address);
        top.s_axil_arvalid = top.s_axil_rready = 1;
        top.eval();
        while (!top.s_axil_arready) step();
        step();
        top.s_axil_arvalid = 0;
        while (!top.s_axil_rvalid) step();
        const std::uint32_t value = top.s_axil_rdata;
        step();
        return value;
    }

    static std::uint32_t user(std::uint32_t index, bool egress, bool tap = true) {
        return std::uint32_t{tap} << 18 | std::uint32_t{egress} << 17 | index << 1;
    }

    Vmirror_offload top{"offload"};
    std::uint64_t cycle = 0, writes = 0, reads = 0;  ///< a line is one write
    std::uint64_t taken = 0;                         ///< cycle of the last write's handshake
    bool lines = true;                               ///< false: 32-bit writes alone
};

}  // namespace mirrornic::bench
