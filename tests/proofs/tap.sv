// SPDX-License-Identifier: Apache-2.0
// Proof of `tap`: every beat that production took reaches the mirror once and in order, with its bytes counted and its marks
// judged (I1). It comes out two cycles later. The first beat of a frame of several comes out one cycle after the second was
// taken instead. In the cycle before a frame's first beat is out, the window has the frame's first two beats (P4). The number
// of a frame's bytes comes a cycle after its last beat. Production has any beats and any pauses.
module proof (
    input logic                          clk,
    input logic                          rst,
    input logic                          seen,
    input logic [offload::BeatWidth-1:0] seen_data,
    input logic [offload::BeatBytes-1:0] seen_keep,
    input logic                          seen_last,
    input offload::user_t                seen_user
);
    logic window_valid, out_valid, received, busy;
    offload::user_t window_user;
    logic [2*offload::BeatWidth-1:0] window;
    logic [7:0] window_length;
    logic [6:0] window_more;
    offload::beat_t out_beat;
    logic [offload::FrameWidth-1:0] received_bytes;
    tap dut (.*);

    logic started = 1'b0;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
    end

    // The beat of this cycle, as it must come out.
    offload::beat_t beat;
    logic inside = 1'b0;   // a frame has begun and not ended
    logic [offload::FrameWidth-1:0] before = '0;
    logic right_count;
    always_comb begin
        right_count    = 1'b1;
        beat.first     = !inside;
        beat.last      = seen_last;
        beat.error     = seen_user.error;
        beat.data      = seen_data;
        beat.bytes     = offload::count_bytes(seen_keep);
        beat.malformed = 1'b1;
        for (int i = 0; i < offload::BeatBytes; i++) begin
            if (seen_keep == {offload::BeatBytes{1'b1}} >> i && (seen_last || i == 0)) begin
                beat.malformed = 1'b0;
                right_count    = beat.bytes == 7'(offload::BeatBytes - i);
            end
        end
    end

    // The beats inside: `first`, a frame's first beat that waits for the second; `next`, a beat that comes out next.
    logic first_waits = 1'b0, next_valid = 1'b0, due = 1'b0, told = 1'b0, full = 1'b0;
    offload::beat_t first, next, out;
    offload::user_t user;
    logic [offload::FrameWidth-1:0] told_bytes;
    always_ff @(posedge clk) begin
        next_valid <= seen && !(beat.first && !beat.last);
        next       <= beat;
        due        <= next_valid || (first_waits && seen);
        out        <= next_valid ? next : first;
        if (seen) begin
            first_waits <= beat.first && !beat.last;
            first       <= beat;
            inside      <= !seen_last;
            before      <= seen_last ? '0 : before + offload::FrameWidth'(beat.bytes);
            if (beat.first) user <= seen_user;
        end
        told       <= seen && seen_last;
        full       <= told && told_bytes == '1;
        told_bytes <= before + offload::FrameWidth'(beat.bytes);
        if (rst) begin
            first_waits <= 1'b0;
            next_valid  <= 1'b0;
            due         <= 1'b0;
            told        <= 1'b0;
            inside      <= 1'b0;
            before      <= '0;
        end
    end

    always_ff @(posedge clk) if (started && !rst) begin
        counts:      assert (right_count);
        one_leaves:  assert (!(next_valid && first_waits));
        each_beat:   assert (out_valid == due && (!due || out_beat == out));
        at_window:   assert (window_valid == ((next_valid && next.first) || (first_waits && seen)));
        one_beat:    assert (!(next_valid && next.first) ||
                             (window[offload::BeatWidth-1:0] == next.data && window_length == 8'(next.bytes) &&
                              window_more == '0 && window_user == user));
        two_beats:   assert (!(first_waits && seen) ||
                             (window == {seen_data, first.data} && window_length == 8'(first.bytes) &&
                              window_more == beat.bytes && window_user == user));
        each_frame:  assert (received == told && (!told || received_bytes == told_bytes));
        all_inside:  assert (busy == (inside || next_valid || due));
        reached: cover (due && out.last && out.malformed && first_waits && seen && !seen_last && full);
    end
endmodule
