// SPDX-License-Identifier: Apache-2.0
// Watches the handshakes of production and hands every beat to the mirror. The first beat of a frame waits for the
// second, however late that comes, so that the frame's window, its first 128 bytes (P4), is whole a cycle before the
// beat leaves. Every other beat leaves 2 cycles after its handshake. The tap has no output towards production, so the
// mirror cannot hold production (P1): it takes every beat that comes.
module tap (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            seen,         // a handshake in this cycle
    input  logic [offload::BeatWidth-1:0]   seen_data,
    input  logic [offload::BeatBytes-1:0]   seen_keep,
    input  logic                            seen_last,
    input  offload::user_t                  seen_user,
    output logic                            window_valid, // a cycle before the frame's first beat is out
    output offload::user_t                  window_user,
    output logic [2*offload::BeatWidth-1:0] window,
    output logic [7:0]                      window_length, // bytes of the frame in the window's first beat
    output logic [6:0]                      window_more,   // and in its second; the receiver adds them
    output logic                            out_valid,
    output offload::beat_t                  out_beat,
    output logic                            received,     // a frame's last beat was taken in the cycle before
    output logic [offload::FrameWidth-1:0]  received_bytes,
    output logic                            busy
);
    logic between_frames;
    logic held_valid;
    offload::beat_t held;
    offload::user_t held_user;
    logic [offload::FrameWidth-1:0] bytes_before;
    logic [6:0] seen_bytes;
    logic seen_malformed, leaves, fresh;

    // I1: all ones before tlast, contiguous from lane 0 at tlast.
    assign seen_bytes     = offload::count_bytes(seen_keep);
    assign seen_malformed = !seen_keep[0] || (seen_keep & (seen_keep + 1'b1)) != '0 || (!seen_last && !(&seen_keep));
    assign leaves         = held_valid && (!held.first || held.last || seen);
    assign window_valid   = leaves && held.first;
    assign window_user    = held_user;
    assign window         = {seen_data, held.data};
    assign window_length  = {1'b0, held.bytes};
    assign window_more    = held.last ? 7'd0 : seen_bytes;
    assign received       = fresh && held.last;
    assign received_bytes = bytes_before + offload::FrameWidth'(held.bytes);
    assign busy           = held_valid || out_valid || !between_frames;

    always_ff @(posedge clk) begin
        if (seen) begin
            held.first     <= between_frames;
            held.last      <= seen_last;
            held.error     <= seen_user.error;
            held.malformed <= seen_malformed;
            held.bytes     <= seen_bytes;
            held.data      <= seen_data;
            if (between_frames) held_user <= seen_user;
            between_frames <= seen_last;
        end
        fresh <= seen;
        if (fresh) bytes_before <= held.last ? '0 : received_bytes;
        held_valid <= seen || (held_valid && !leaves);

        out_valid <= leaves;
        if (leaves) out_beat <= held;
        if (rst) begin
            between_frames <= 1'b1;
            bytes_before   <= '0;
            fresh          <= 1'b0;
            held_valid     <= 1'b0;
            out_valid      <= 1'b0;
        end
    end
endmodule
