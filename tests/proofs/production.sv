// SPDX-License-Identifier: Apache-2.0
// Proof that the mirror cannot change production (P1): two offloads that get the same production inputs, and anything on
// their other inputs, have the same production outputs for ever. `cone` is mirror_offload reduced to the logic on which its
// production outputs depend.
module proof (
    input logic                          clk,
    input logic                          rst,
    input logic                          s_axis_tvalid,
    input logic [offload::BeatWidth-1:0] s_axis_tdata,
    input logic [offload::BeatBytes-1:0] s_axis_tkeep,
    input logic                          s_axis_tlast,
    input logic [offload::UserWidth-1:0] s_axis_tuser,
    input logic                          m_axis_forward_tready,
    input logic [651:0]                  others_a,
    input logic [651:0]                  others_b
);
    localparam int Width = offload::BeatWidth + offload::BeatBytes + 1 + offload::UserWidth + 2;
    logic [Width-1:0] a, b;

    cone offload_a (
        .clk, .rst, .s_axis_tvalid, .s_axis_tdata, .s_axis_tkeep, .s_axis_tlast, .s_axis_tuser, .m_axis_forward_tready,
        .m_axis_mirror_tready(others_a[0]), .s_axil_awaddr(others_a[13:1]), .s_axil_awvalid(others_a[14]),
        .s_axil_wdata(others_a[46:15]), .s_axil_wstrb(others_a[50:47]), .s_axil_wvalid(others_a[51]),
        .s_axil_bready(others_a[52]), .s_axil_araddr(others_a[65:53]), .s_axil_arvalid(others_a[66]),
        .s_axil_rready(others_a[67]), .s_line_valid(others_a[68]), .s_line_address(others_a[75:69]),
        .s_line_data(others_a[587:76]), .s_line_strobes(others_a[651:588]),
        .s_axis_tready(a[0]), .m_axis_forward_tvalid(a[1]),
        .m_axis_forward_tdata(a[2 +: offload::BeatWidth]),
        .m_axis_forward_tkeep(a[2+offload::BeatWidth +: offload::BeatBytes]),
        .m_axis_forward_tuser(a[2+offload::BeatWidth+offload::BeatBytes +: offload::UserWidth]),
        .m_axis_forward_tlast(a[Width-1])
    );
    cone offload_b (
        .clk, .rst, .s_axis_tvalid, .s_axis_tdata, .s_axis_tkeep, .s_axis_tlast, .s_axis_tuser, .m_axis_forward_tready,
        .m_axis_mirror_tready(others_b[0]), .s_axil_awaddr(others_b[13:1]), .s_axil_awvalid(others_b[14]),
        .s_axil_wdata(others_b[46:15]), .s_axil_wstrb(others_b[50:47]), .s_axil_wvalid(others_b[51]),
        .s_axil_bready(others_b[52]), .s_axil_araddr(others_b[65:53]), .s_axil_arvalid(others_b[66]),
        .s_axil_rready(others_b[67]), .s_line_valid(others_b[68]), .s_line_address(others_b[75:69]),
        .s_line_data(others_b[587:76]), .s_line_strobes(others_b[651:588]),
        .s_axis_tready(b[0]), .m_axis_forward_tvalid(b[1]),
        .m_axis_forward_tdata(b[2 +: offload::BeatWidth]),
        .m_axis_forward_tkeep(b[2+offload::BeatWidth +: offload::BeatBytes]),
        .m_axis_forward_tuser(b[2+offload::BeatWidth+offload::BeatBytes +: offload::UserWidth]),
        .m_axis_forward_tlast(b[Width-1])
    );

    // The first cycle is a reset. Its outputs are not compared, because the flip-flops have no value yet.
    logic started = 1'b0, valid;
    assign valid = a[1];
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
    end
    always_ff @(posedge clk) if (started) begin
        same_handshakes: assert (a[1:0] == b[1:0]);
        same_beats:      assert (!valid || a == b);
        reached:         cover (valid && !a[0] && !m_axis_forward_tready && others_a != others_b);
    end
endmodule
