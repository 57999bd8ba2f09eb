// SPDX-License-Identifier: Apache-2.0
// Puts the outer headers before a copy (P15 to P19): 50 bytes over IPv4, 70 over IPv6. The kept bytes move up by 50
// lanes, or by 70 - 64 = 6 lanes of the next beat: two fixed shifts take the place of a barrel shifter.
// A copy of less than 60 bytes is filled with zeros up to 60 (I3). Only a copy over IPv4 can be so short, and it is one
// beat. In a held beat all lanes behind the copy's last byte are 0 already, so the padding changes `tkeep` alone.
// One output beat a cycle, no gap between copies, latency 1 cycle (the output register).
// While the mirror is reset, a copy of which no beat has left is taken from the queues and not sent (P25).
module encapsulate (
    input  logic                          clk,
    input  logic                          rst,
    input  logic                          resetting,
    input  logic                          copy_valid,
    output logic                          copy_pop,
    input  offload::copy_t                copy,
    input  logic                          beat_valid,
    output logic                          beat_pop,
    input  logic [offload::BeatWidth-1:0] beat,
    output logic                          m_axis_mirror_tvalid,
    input  logic                          m_axis_mirror_tready,
    output logic [offload::BeatWidth-1:0] m_axis_mirror_tdata,
    output logic [offload::BeatBytes-1:0] m_axis_mirror_tkeep,
    output logic                          m_axis_mirror_tlast,
    output offload::copy_user_t           m_axis_mirror_tuser,
    output logic                          fate_valid,   // the copy's last beat has left, or ...
    output logic                          fate_reset    // ... the copy was dropped by a reset
);
    localparam int Header4 = 50;
    localparam int Header6 = 70;
    localparam int Shortest = 60;         // bytes of a frame on a wire, without FCS
    localparam int Width = offload::LengthWidth + 1;

    logic first, second, throwing, sink_ready, emit, throw, last, saved_last, needs_beat, saved_needs;
    logic [Width-1:0] left, behind;       // bytes of the copy from this output beat on (not the first one), and behind it
    logic [6:0] lanes;                    // bytes in the copy's last beat
    logic [3:0] first_kept;               // of a copy of one beat: bytes of the frame and of padding
    logic [15:0] udp_length;
    logic [8*Header4-1:0] header4;
    logic [offload::BeatWidth-1:0] header6, carried, taken, data;
    logic [offload::BeatBytes-1:0] keep;
    offload::copy_user_t user;

    // A header is written with its first byte on top; on the lanes the first byte is lowest.
    function automatic logic [8*Header4-1:0] to_lanes4(input logic [8*Header4-1:0] bytes);
        for (int i = 0; i < Header4; i++) to_lanes4[8*i +: 8] = bytes[8*(Header4-1-i) +: 8];
    endfunction
    function automatic logic [offload::BeatWidth-1:0] to_lanes6(input logic [offload::BeatWidth-1:0] bytes);
        for (int i = 0; i < 64; i++) to_lanes6[8*i +: 8] = bytes[8*(63-i) +: 8];
    endfunction

    assign udp_length = 16'(copy.kept) + 16'd16;
    assign header4 = to_lanes4({copy.outer.target_mac, copy.outer.source_mac, 16'h0800,
                                16'h4500, udp_length + 16'd20, 32'd0, 16'hff11, copy.checksum,
                                copy.outer.source_address[127:96], copy.outer.target_address[127:96],
                                copy.source_port, 16'd4789, udp_length, 16'd0,
                                32'h0800_0000, copy.outer.vni, 8'd0});
    assign header6 = to_lanes6({copy.outer.target_mac, copy.outer.source_mac, 16'h86dd,
                                32'h6000_0000, udp_length, 16'h11ff,
                                copy.outer.source_address, copy.outer.target_address,
                                copy.source_port, 16'd4789, udp_length, copy.checksum, 16'h0800});

    assign throw      = first ? resetting : throwing;
    // Of every output beat but the first, `last` and `needs_beat` are registered one cycle early, from `behind`. The next
    // output beat needs a beat of the hold buffer if more bytes are left than stand ready for it: over IPv4 the 50 bytes
    // that remain of the beat before, over IPv6 6 bytes of the header or of the beat before.
    assign needs_beat = first ? copy.kept != '0 && !copy.outer.v6 : saved_needs;
    assign last       = first ? copy.kept <= offload::LengthWidth'(offload::BeatBytes - Header4) && !copy.outer.v6 : saved_last;
    assign behind     = !first          ? left - Width'(offload::BeatBytes)
                        : copy.outer.v6 ? Width'(copy.kept) + Width'(Header6 - offload::BeatBytes)
                                        : Width'(copy.kept) - Width'(offload::BeatBytes - Header4);
    assign first_kept = copy.kept[3:0] < 4'(Shortest - Header4) ? 4'(Shortest - Header4) : copy.kept[3:0];
    assign lanes      = first ? {3'd0, first_kept} + 7'(Header4) : left[6:0];
    assign emit       = copy_valid && (beat_valid || !needs_beat) && (throw || sink_ready);
    assign beat_pop   = emit && needs_beat;
    assign copy_pop   = emit && last;
    assign fate_valid = copy_pop;
    assign fate_reset = throw;
    assign taken      = needs_beat ? beat : '0;

    always_comb begin
        if (!copy.outer.v6) data = {taken[8*14-1:0], first ? header4 : carried[511:8*14]};
        else if (first)     data = header6;
        else if (second)    data = {taken[8*58-1:0], 8'd0, copy.outer.vni[7:0], copy.outer.vni[15:8],
                                    copy.outer.vni[23:16], 16'd0};
        else                data = {taken[8*58-1:0], carried[511:8*58]};
    end
    assign user.session = copy.session;
    assign user.bytes   = copy.outer.v6 ? copy.kept + offload::LengthWidth'(Header6)
                          : copy.kept < offload::LengthWidth'(Shortest - Header4) ? offload::LengthWidth'(Shortest)
                                                                                  : copy.kept + offload::LengthWidth'(Header4);
    assign keep = last ? ~({offload::BeatBytes{1'b1}} << lanes) : '1;

    always_ff @(posedge clk) begin
        if (emit) begin
            first       <= last;
            second      <= first;
            throwing    <= throw;
            left        <= behind;
            saved_last  <= behind <= Width'(offload::BeatBytes);
            saved_needs <= behind > (copy.outer.v6 ? Width'(Header6 - offload::BeatBytes) : Width'(Header4));
        end
        if (beat_pop) carried <= beat;
        if (rst) first <= 1'b1;
    end

    stream_register #(
        .Width($bits(user) + offload::BeatWidth + offload::BeatBytes + 1)
    ) out (
        .clk, .rst,
        .in_valid(emit && !throw), .in_ready(sink_ready), .in_beat({user, last, keep, data}),
        .out_valid(m_axis_mirror_tvalid), .out_ready(m_axis_mirror_tready),
        .out_beat({m_axis_mirror_tuser, m_axis_mirror_tlast, m_axis_mirror_tkeep, m_axis_mirror_tdata})
    );
endmodule
