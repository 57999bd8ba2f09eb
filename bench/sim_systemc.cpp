// SPDX-License-Identifier: Apache-2.0
// The same offload as `verilator --sc` makes a SystemC module of it, in a conventional bench: a
// clock, a signal for each port, a method that drives s_axis and one that watches m_axis_mirror at
// each rising edge. For `./dev bench sim`; simulator.hpp has the commands.
#include <iostream>
#include <systemc>

#include "Vmirror_offload.h"
#include "simulator.hpp"

using namespace mirrornic;
using namespace mirrornic::bench;

namespace {

SC_MODULE(Testbench), public Simulator, public RegisterAccess {
public:
    SC_CTOR(Testbench) : clk("clk", sc_core::sc_time(3104, sc_core::SC_PS)), top("top") {
        bind();
        SC_THREAD(control);
        set_stack_size(8 << 20);
        SC_METHOD(drive);
        sensitive << clk.posedge_event();
        dont_initialize();
        SC_METHOD(monitor);
        sensitive << clk.posedge_event();
        dont_initialize();
    }

    RegisterAccess& registers() override { return *this; }
    std::uint64_t cycle() override {
        return sc_core::sc_time_stamp().value() / clk.period().value();
    }

    void run(const std::vector<Bytes>& frames, std::uint64_t count, std::uint32_t index,
             CopyHash& copies) override {
        frames_ = &frames;
        left_ = count;
        next_ = 0;
        copies_ = &copies;
        s_axis_tuser.write(std::uint32_t{1} << 18 | std::uint32_t{1} << 17 | index << 1);
        state_ = count ? State::feeding : State::draining;
        wait(done_);
        copies_ = nullptr;
    }

    void write(std::uint32_t address, std::uint32_t value) override {
        s_axil_awaddr.write(address);
        s_axil_wdata.write(value);
        s_axil_wstrb.write(0xf);
        s_axil_awvalid.write(true);
        s_axil_wvalid.write(true);
        s_axil_bready.write(true);
        do wait(clk.posedge_event());
        while (!s_axil_awready.read());  // both handshakes are in one cycle
        s_axil_awvalid.write(false);
        s_axil_wvalid.write(false);
        do wait(clk.posedge_event());
        while (!s_axil_bvalid.read());
    }
    std::uint32_t read(std::uint32_t address) override {
        s_axil_araddr.write(address);
        s_axil_arvalid.write(true);
        s_axil_rready.write(true);
        do wait(clk.posedge_event());
        while (!s_axil_arready.read());
        s_axil_arvalid.write(false);
        do wait(clk.posedge_event());
        while (!s_axil_rvalid.read());
        return s_axil_rdata.read();
    }

    std::exception_ptr failure;

private:
    enum class State { resting, feeding, draining };

    void control() {
        try {
            m_axis_forward_tready.write(true);
            m_axis_mirror_tready.write(true);
            rst.write(true);
            rst_neighbours.write(true);
            for (int i = 0; i < 4; ++i) wait(clk.posedge_event());
            rst.write(false);
            do wait(clk.posedge_event());
            while (!idle.read());
            serve(*this);
        } catch (const sc_core::sc_unwind_exception&) {
            throw;
        } catch (...) {
            failure = std::current_exception();
        }
        sc_core::sc_stop();
    }

    void drive() {
        if (state_ == State::resting) return;
        if (state_ == State::draining) {
            if (idle.read()) {
                state_ = State::resting;
                done_.notify();
            }
            return;
        }
        if (valid_) {
            if (!s_axis_tready.read()) return;
            offset_ += 64;
            if (offset_ >= (*frames_)[next_].size()) {
                offset_ = 0;
                if (++next_ == frames_->size()) next_ = 0;
                if (--left_ == 0) {
                    valid_ = false;
                    s_axis_tvalid.write(false);
                    state_ = State::draining;
                    return;
                }
            }
        }
        if (offset_ == 0 && !mirror_room.read()) {
            if (valid_) s_axis_tvalid.write(false);
            valid_ = false;
            return;
        }
        const Bytes& frame = (*frames_)[next_];
        const std::size_t bytes = std::min<std::size_t>(64, frame.size() - offset_);
        std::uint32_t words[16] = {};
        std::memcpy(words, frame.data() + offset_, bytes);
        for (int i = 0; i < 16; ++i) data_.set_word(i, words[i]);
        s_axis_tdata.write(data_);
        s_axis_tkeep.write(bytes == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1);
        s_axis_tlast.write(offset_ + bytes == frame.size());
        if (!valid_) s_axis_tvalid.write(true);
        valid_ = true;
    }

    void monitor() {
        if (!m_axis_mirror_tvalid.read() || !copies_) return;
        const sc_dt::sc_bv<512>& data = m_axis_mirror_tdata.read();
        std::uint32_t words[16];
        for (int i = 0; i < 16; ++i) words[i] = static_cast<std::uint32_t>(data.get_word(i));
        copies_->beat(words,
                      static_cast<std::size_t>(__builtin_popcountll(m_axis_mirror_tkeep.read())),
                      m_axis_mirror_tlast.read());
    }

    void bind() {
        top.clk(clk);
#define PORT(name) top.name(name)
        PORT(rst), PORT(rst_neighbours), PORT(s_axis_tvalid), PORT(s_axis_tready),
            PORT(s_axis_tdata), PORT(s_axis_tkeep), PORT(s_axis_tlast);
        PORT(s_axis_tuser), PORT(m_axis_forward_tvalid), PORT(m_axis_forward_tready),
            PORT(m_axis_forward_tdata);
        PORT(m_axis_forward_tkeep), PORT(m_axis_forward_tlast), PORT(m_axis_forward_tuser),
            PORT(m_axis_mirror_tvalid);
        PORT(m_axis_mirror_tready), PORT(m_axis_mirror_tdata), PORT(m_axis_mirror_tkeep),
            PORT(m_axis_mirror_tlast);
        PORT(m_axis_mirror_tuser), PORT(m_axis_mirror_tdest);
        PORT(mirror_room), PORT(m_decision_valid), PORT(m_decision), PORT(s_axil_awaddr),
            PORT(s_axil_awvalid);
        PORT(s_axil_awready), PORT(s_axil_wdata), PORT(s_axil_wstrb), PORT(s_axil_wvalid),
            PORT(s_axil_wready);
        PORT(s_axil_bresp), PORT(s_axil_bvalid), PORT(s_axil_bready), PORT(s_axil_araddr),
            PORT(s_axil_arvalid);
        PORT(s_axil_arready), PORT(s_axil_rdata), PORT(s_axil_rresp), PORT(s_axil_rvalid),
            PORT(s_axil_rready);
        PORT(s_line_valid), PORT(s_line_ready), PORT(s_line_address), PORT(s_line_data),
            PORT(s_line_strobes);  // not used
        PORT(irq), PORT(idle);
#undef PORT
    }

    sc_core::sc_clock clk;
    sc_core::sc_signal<bool> rst, rst_neighbours, s_axis_tvalid, s_axis_tready, s_axis_tlast,
        m_axis_forward_tvalid, m_axis_forward_tready, m_axis_forward_tlast, m_axis_mirror_tvalid,
        m_axis_mirror_tready, m_axis_mirror_tlast, mirror_room, m_decision_valid, s_axil_awvalid,
        s_axil_awready, s_axil_wvalid, s_axil_wready, s_axil_bvalid, s_axil_bready, s_axil_arvalid,
        s_axil_arready, s_axil_rvalid, s_axil_rready, s_line_valid, s_line_ready, irq, idle;
    sc_core::sc_signal<std::uint32_t> s_axis_tuser, m_axis_forward_tuser, s_axil_awaddr,
        s_axil_wdata, s_axil_wstrb, s_axil_bresp, s_axil_araddr, s_axil_rdata, s_axil_rresp,
        s_line_address, m_axis_mirror_tuser, m_axis_mirror_tdest;
    sc_core::sc_signal<std::uint64_t> s_axis_tkeep, m_axis_forward_tkeep, m_axis_mirror_tkeep,
        m_decision, s_line_strobes;
    sc_core::sc_signal<sc_dt::sc_bv<512>> s_axis_tdata, m_axis_forward_tdata, m_axis_mirror_tdata,
        s_line_data;
    Vmirror_offload top;

    State state_ = State::resting;
    const std::vector<Bytes>* frames_ = nullptr;
    std::uint64_t left_ = 0;
    std::size_t next_ = 0, offset_ = 0;
    bool valid_ = false;
    sc_dt::sc_bv<512> data_;
    CopyHash* copies_ = nullptr;
    sc_core::sc_event done_;
};

}  // namespace

extern "C" int sc_main(int, char*[]) {
    try {
        sc_core::sc_report_handler::set_actions("/OSCI/SystemC", sc_core::SC_INFO,
                                                sc_core::SC_DO_NOTHING);
        Testbench testbench("testbench");
        sc_core::sc_start();
        if (testbench.failure) std::rethrow_exception(testbench.failure);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "bench_sim_systemc: " << error.what() << '\n';
        return 1;
    }
}
