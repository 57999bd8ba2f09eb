// SPDX-License-Identifier: Apache-2.0
// The offload with variables instead of ports around it, for cocotb: Debian's Verilator (5.006) copies a top's ports over
// what was written to them by way of VPI.
module cocotb_top;
    logic         clk /*verilator public_flat_rw*/ = 1'b0;
    logic         rst /*verilator public_flat_rw*/ = 1'b1;
    logic         s_axis_tvalid /*verilator public_flat_rw*/ = 1'b0;
    logic         s_axis_tready /*verilator public_flat_rd*/;
    logic [511:0] s_axis_tdata /*verilator public_flat_rw*/ = '0;
    logic [63:0]  s_axis_tkeep /*verilator public_flat_rw*/ = '0;
    logic         s_axis_tlast /*verilator public_flat_rw*/ = 1'b0;
    logic [18:0]  s_axis_tuser /*verilator public_flat_rw*/ = '0;
    logic         m_axis_mirror_tvalid /*verilator public_flat_rd*/;
    logic         m_axis_mirror_tready /*verilator public_flat_rw*/ = 1'b0;
    logic [511:0] m_axis_mirror_tdata /*verilator public_flat_rd*/;
    logic [63:0]  m_axis_mirror_tkeep /*verilator public_flat_rd*/;
    logic         m_axis_mirror_tlast /*verilator public_flat_rd*/;
    logic         mirror_room /*verilator public_flat_rd*/;
    logic [12:0]  s_axil_awaddr /*verilator public_flat_rw*/ = '0;
    logic         s_axil_awvalid /*verilator public_flat_rw*/ = 1'b0;
    logic         s_axil_awready /*verilator public_flat_rd*/;
    logic [31:0]  s_axil_wdata /*verilator public_flat_rw*/ = '0;
    logic [3:0]   s_axil_wstrb /*verilator public_flat_rw*/ = '0;
    logic         s_axil_wvalid /*verilator public_flat_rw*/ = 1'b0;
    logic         s_axil_wready /*verilator public_flat_rd*/;
    logic [1:0]   s_axil_bresp /*verilator public_flat_rd*/;
    logic         s_axil_bvalid /*verilator public_flat_rd*/;
    logic         s_axil_bready /*verilator public_flat_rw*/ = 1'b0;
    logic [12:0]  s_axil_araddr /*verilator public_flat_rw*/ = '0;
    logic         s_axil_arvalid /*verilator public_flat_rw*/ = 1'b0;
    logic         s_axil_arready /*verilator public_flat_rd*/;
    logic [31:0]  s_axil_rdata /*verilator public_flat_rd*/;
    logic [1:0]   s_axil_rresp /*verilator public_flat_rd*/;
    logic         s_axil_rvalid /*verilator public_flat_rd*/;
    logic         s_axil_rready /*verilator public_flat_rw*/ = 1'b0;
    logic         idle /*verilator public_flat_rd*/;

    wire line_ready;    // the line port is not used
    mirror_offload offload (
        .s_line_valid(1'b0), .s_line_ready(line_ready), .s_line_address(7'd0), .s_line_data(512'd0), .s_line_strobes(64'd0),
        .clk(clk), .rst(rst), .rst_neighbours(1'b1),
        .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready), .s_axis_tdata(s_axis_tdata),
        .s_axis_tkeep(s_axis_tkeep), .s_axis_tlast(s_axis_tlast), .s_axis_tuser(s_axis_tuser),
        .m_axis_forward_tvalid(), .m_axis_forward_tready(1'b1), .m_axis_forward_tdata(), .m_axis_forward_tkeep(),
        .m_axis_forward_tlast(), .m_axis_forward_tuser(),
        .m_axis_mirror_tvalid(m_axis_mirror_tvalid), .m_axis_mirror_tready(m_axis_mirror_tready),
        .m_axis_mirror_tdata(m_axis_mirror_tdata), .m_axis_mirror_tkeep(m_axis_mirror_tkeep),
        .m_axis_mirror_tlast(m_axis_mirror_tlast), .m_axis_mirror_tuser(), .m_axis_mirror_tdest(), .mirror_room(mirror_room), .m_decision_valid(), .m_decision(),
        .s_axil_awaddr(s_axil_awaddr), .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready),
        .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(s_axil_wstrb), .s_axil_wvalid(s_axil_wvalid),
        .s_axil_wready(s_axil_wready), .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid),
        .s_axil_bready(s_axil_bready), .s_axil_araddr(s_axil_araddr), .s_axil_arvalid(s_axil_arvalid),
        .s_axil_arready(s_axil_arready), .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp),
        .s_axil_rvalid(s_axil_rvalid), .s_axil_rready(s_axil_rready), .irq(), .idle(idle)
    );
endmodule
