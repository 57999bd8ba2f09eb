// SPDX-License-Identifier: Apache-2.0
// Proof of `encapsulate`: a copy is its outer header, as the description of the copy and the rules give it (P15 to P19), and
// then each byte of the frame that goes in. Behind these there is nothing, except zeros up to 60 bytes. Inside a copy no
// cycle in which the output is ready is left empty (I3). The proof is at full width: `lane` picks any byte in each cycle.
// The output register has a proof of its own. It is replaced by wires, so a beat is seen in the cycle in which it is made.
module stream_register #(
    parameter int Width = 8
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [Width-1:0] in_beat,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [Width-1:0] out_beat
);
    assign in_ready  = out_ready;
    assign out_valid = in_valid;
    assign out_beat  = in_beat;
endmodule

module proof (
    input logic       clk,
    input logic       rst,
    input logic       resetting,
    input logic       copy_valid,
    input logic       beat_valid,
    input logic       m_axis_mirror_tready,
    input offload::copy_t new_copy,
    input logic [offload::BeatWidth-1:0] new_beat,
    input logic [5:0] lane
);
    localparam int Count = offload::LengthWidth - 4;      // bits that hold a number of beats
    localparam int Bits = Count + 6;                      // a place in a copy
    logic [Count-1:0] taken = '0, sent = '0, total;       // beats of this copy
    logic copy_pop, beat_pop, m_axis_mirror_tvalid, m_axis_mirror_tlast, fate_valid, fate_reset;
    logic [offload::BeatWidth-1:0] m_axis_mirror_tdata;
    logic [offload::BeatBytes-1:0] m_axis_mirror_tkeep;
    offload::copy_user_t m_axis_mirror_tuser;
    offload::copy_t copy;
    logic [offload::BeatWidth-1:0] beat;
    encapsulate dut (.*);

    // In a held beat, all bytes behind the copy's last byte of the frame are zeros.
    always_comb begin
        for (int i = 0; i < offload::BeatBytes; i++)
            beat[8*i +: 8] = {taken, 6'(i)} < Bits'(copy.kept) ? new_beat[8*i +: 8] : 8'd0;
    end

    // The length, session and IP version of a copy hold still until it is popped. The rest of its description may change,
    // because the module keeps nothing of it. After the first beat of a copy all its beats are there.
    logic started = 1'b0, held = 1'b0, held_v6, begun = 1'b0;
    logic [offload::SessionBits-1:0] held_session;
    logic [offload::LengthWidth-1:0] held_kept;
    always_comb begin
        copy = new_copy;
        if (held) copy.kept     = held_kept;
        if (held) copy.outer.v6 = held_v6;
        if (held) copy.session  = held_session;
    end
    always_ff @(posedge clk) begin
        started   <= 1'b1;
        held      <= copy_valid && !copy_pop && !rst;
        held_kept <= copy.kept;
        held_v6   <= copy.outer.v6;
        held_session <= copy.session;
        assume (started || rst);
        assume (copy_valid || !held);
        assume (copy.kept != '0);
        assume (beat_valid || !begun);
    end

    logic [offload::BeatWidth-1:0] before;                // the beat taken last
    always_ff @(posedge clk) begin
        if (beat_pop) before <= beat;
        if (copy_pop || rst) begin
            taken <= '0;
            sent  <= '0;
            begun <= 1'b0;
        end else begin
            taken <= taken + Count'(beat_pop);
            sent  <= sent + Count'(m_axis_mirror_tvalid);
            begun <= begun || beat_pop || m_axis_mirror_tvalid;
        end
    end

    logic [Bits-1:0] header, length, padded, place, in_frame;
    logic [7:0] byte_out, byte_now, byte_before, byte_header;
    logic [15:0] udp_length;
    logic [8*50-1:0] outer4;
    logic [8*70-1:0] outer6;
    assign header       = copy.outer.v6 ? Bits'(70) : Bits'(50);
    assign length       = header + Bits'(copy.kept);
    assign padded       = length < Bits'(60) ? Bits'(60) : length;
    assign place        = {sent, lane};
    assign in_frame     = place - header;
    assign total        = taken + Count'(beat_pop);
    assign byte_out     = m_axis_mirror_tdata[{lane, 3'd0} +: 8];
    assign byte_now     = beat[{in_frame[5:0], 3'd0} +: 8];
    assign byte_before  = before[{in_frame[5:0], 3'd0} +: 8];
    // The outer header, with its first byte on top.
    assign udp_length = 16'(copy.kept) + 16'd16;
    assign outer4     = {copy.outer.target_mac, copy.outer.source_mac, 16'h0800,
                         8'h45, 8'd0, udp_length + 16'd20, 16'd0, 16'd0, 8'd255, 8'd17, copy.checksum,
                         copy.outer.source_address[127:96], copy.outer.target_address[127:96],
                         copy.source_port, 16'd4789, udp_length, 16'd0,
                         8'h08, 24'd0, copy.outer.vni, 8'd0};
    assign outer6     = {copy.outer.target_mac, copy.outer.source_mac, 16'h86dd,
                         4'd6, 8'd0, 20'd0, udp_length, 8'd17, 8'd255,
                         copy.outer.source_address, copy.outer.target_address,
                         copy.source_port, 16'd4789, udp_length, copy.checksum,
                         8'h08, 24'd0, copy.outer.vni, 8'd0};
    always_comb begin
        byte_header = '0;
        for (int i = 0; i < 70; i++) begin
            if (place == Bits'(i))
                byte_header = copy.outer.v6 ? outer6[8*(69-i) +: 8] : outer4[8*(i < 50 ? 49 - i : 0) +: 8];
        end
    end

    always_ff @(posedge clk) if (started && !rst) begin
        if (m_axis_mirror_tvalid) begin
            right_byte:   assert (place < header || place >= length ||
                                  (in_frame[Bits-1:6] == taken && beat_pop && byte_out == byte_now) ||
                                  (in_frame[Bits-1:6] + 1'b1 == taken && byte_out == byte_before));
            right_header: assert (place >= header || byte_out == byte_header);
            right_keep:   assert (m_axis_mirror_tkeep[lane] == (place < padded));
            zeros_behind: assert (place < length || place >= padded || byte_out == 8'd0);
            right_last:   assert (m_axis_mirror_tlast == ({sent, 6'd63} + 1'b1 >= length));
            right_user:   assert (m_axis_mirror_tuser.session == copy.session &&
                                  m_axis_mirror_tuser.bytes == padded[offload::LengthWidth-1:0]);
            ends_once:    assert (m_axis_mirror_tlast == copy_pop);
        end
        all_taken: assert (!copy_pop || {total, 6'd0} >= Bits'(copy.kept));
        no_more:   assert (!beat_pop || {taken, 6'd0} < Bits'(copy.kept));
        no_gap:    assert (sent == '0 || !m_axis_mirror_tready || m_axis_mirror_tvalid);
        is_sent:   assert (fate_valid == copy_pop && (!copy_pop || fate_reset != m_axis_mirror_tvalid));
        reached:   cover (m_axis_mirror_tvalid && m_axis_mirror_tlast && copy.outer.v6 && sent == Count'(3) &&
                          place < length && in_frame[5:0] == 6'd3);
    end
endmodule
