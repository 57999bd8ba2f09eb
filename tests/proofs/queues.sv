// SPDX-License-Identifier: Apache-2.0
// Proof that no queue behind `admit` overflows, whatever is mirrored, held up or dropped. The assertions are those in `fifo`
// and `hold_buffer`. A committed copy is announced 3 cycles later, as `checksum` does it, and leaves when all its beats have
// left. Its frame ends with it or later. It is assumed that a copy has at least one beat and as many as its length says, and
// that no beat is kept without room: the proof `admission` shows that.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       keep,
    input logic       commit,
    input logic       cancel,
    input logic       last,           // of a frame with a copy
    input logic       pop_beat,
    input logic       pop_copy,
    input logic       thrown
);
    localparam int Bits = $clog2(map::HoldBeats) + 1;
    logic started = 1'b0;
    logic room, held_valid, held_pop, copy_valid, copy_pop, release_copy;
    logic [Bits-1:0] kept, beats, beats1, beats2, beats3, copy_beats, popped;
    logic [2:0] committed;            // 1, 2, 3 cycles ago
    logic frame_open, end_valid, copy_settled, filled;
    logic [2:0] within;
    logic [5:0] open, closed, shown, copies_inside, beats_inside, endings_inside, fates_inside;
    offload::ending_t ending;
    assign beats = kept + Bits'(keep);

    hold_buffer hold_buffer (
        .clk, .rst, .keep, .commit, .cancel, .in_data('0), .room,
        .release_copy, .release_bytes(offload::LengthWidth'(beats3) * offload::LengthWidth'(offload::BeatBytes)),
        .out_valid(held_valid), .out_pop(held_pop), .open, .closed, .shown
    );
    fifo #(
        .Width(Bits), .Depth(map::HoldBeats)
    ) copies (
        .clk, .rst,
        .in_valid(release_copy), .in_word(beats3), .out_valid(copy_valid), .out_pop(copy_pop), .out_word(copy_beats),
        .inside(copies_inside), .sum(beats_inside), .filled, .within(within[0])
    );
    settle settle (
        .clk, .rst, .end_valid, .ending, .fate_valid(copy_pop), .fate_reset(thrown), .between_frames(1'b1),
        .commit_done(1'b0), .copy_settled,
        .endings_inside, .fates_inside, .within(within[2:1])
    );

    assign release_copy = committed[2];
    assign held_pop     = pop_beat && copy_valid && held_valid && popped != copy_beats;
    assign copy_pop     = pop_copy && copy_valid && popped + Bits'(held_pop) == copy_beats;
    always_comb begin
        ending = '0;
        ending.outcome = offload::Mirrored;
    end

    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        assume (!keep || (room && !cancel && !frame_open));
        assume (!commit || (!cancel && !frame_open && beats != '0));
        assume (!last || commit || frame_open);

        kept       <= commit || cancel ? '0 : beats;
        frame_open <= (commit || frame_open) && !last;
        end_valid  <= last;
        committed  <= {committed[1:0], commit};
        {beats3, beats2, beats1} <= {beats2, beats1, beats};
        popped     <= copy_pop ? '0 : popped + Bits'(held_pop);
        if (rst) {kept, frame_open, end_valid, committed, popped} <= '0;
    end

    logic [3:0] settled = '0;
    always_ff @(posedge clk) begin
        if (copy_settled && settled != '1) settled <= settled + 1'b1;
        reached: cover (!rst && settled == 4'd12 && end_valid && !room);
    end

`ifdef HELPERS
    always_ff @(posedge clk) if (started && !rst) begin
        not_committed: assert (open == 6'(kept));
        not_announced: assert (closed == (committed[0] ? 6'(beats1) : '0) + (committed[1] ? 6'(beats2) : '0) +
                                         (committed[2] ? 6'(beats3) : '0));
        announced:     assert (shown + 6'(popped) == beats_inside);
        no_turn:       assert (open + closed + shown <= 6'(map::HoldBeats + 1));
        none_over:     assert (within == '1);
        none_empty:    assert (filled && (!committed[0] || beats1 != '0) && (!committed[1] || beats2 != '0) &&
                               (!committed[2] || beats3 != '0));
        as_popped:     assert (copy_valid ? popped <= copy_beats : popped == '0);
        each_ends:     assert (6'(committed[0]) + 6'(committed[1]) + 6'(committed[2]) + copies_inside + fates_inside ==
                               endings_inside + 6'(frame_open) + 6'(end_valid));
        few_fates:     assert (fates_inside <= 6'd5);
    end
`endif
endmodule
