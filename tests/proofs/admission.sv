// SPDX-License-Identifier: Apache-2.0
// What the admission says of a pass when it ends is what it has done (P22): mirrored if and only if its copy was committed,
// and one cause of the right kind if it is not eligible or dropped (P23). Beats come with any verdict, length and mark; one
// that is empty, or neither full nor the last, is marked as malformed by the tap. A committed copy has the beats that its
// length says, none of them kept without room.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       in_valid,
    input logic       in_last,
    input logic       in_error,
    input logic       in_malformed,
    input logic [6:0] in_bytes,
    input logic       tap,
    input logic       ip,
    input logic       fault,
    input logic       excluded,
    input logic       accepted,
    input logic [offload::LengthWidth-1:0] limit,
    input logic       room,
    input logic       resetting
);
    logic started = 1'b0;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        assume (in_bytes <= 7'd64 && (in_malformed || in_bytes == 7'd64 || (in_last && in_bytes != '0)));
    end

    logic keep, commit, cancel, out_commit, end_valid, between_frames;
    logic [offload::LengthWidth-1:0] out_kept;
    offload::beat_t beat;
    offload::verdict_t verdict;
    offload::ending_t ending;
    always_comb begin
        beat             = '0;
        beat.first       = between_frames;
        beat.last        = in_last;
        beat.error       = in_error;
        beat.malformed   = in_malformed;
        beat.bytes       = in_bytes;
        verdict          = '0;
        verdict.tap      = tap;
        verdict.ip       = ip;
        verdict.fault    = fault;
        verdict.excluded = excluded;
        verdict.accepted = accepted;
        verdict.limit    = limit;
    end
    admit admit (
        .clk, .rst, .in_valid, .in_beat(beat), .in_verdict(verdict), .in_source_port('0), .room, .resetting,
        .keep, .commit, .cancel, .out_commit, .out_kept, .end_valid, .ending, .between_frames
    );

    // Of which pass was the copy committed: the one that ends in the next cycle is told by what was committed before.
    logic open = 1'b0;                    // a pass whose copy was committed has not ended
    logic ended_with_copy = 1'b0;
    always_ff @(posedge clk) begin
        open            <= (commit || open) && !(in_valid && in_last);
        ended_with_copy <= in_valid && in_last && (commit || open);
        if (rst) {open, ended_with_copy} <= '0;
    end

    logic [2:0] beats = '0, copy_beats;   // kept since the last commit or cancel; of the copy that was committed
    always_ff @(posedge clk) begin
        beats      <= commit || cancel || rst ? '0 : beats + 3'(keep);
        copy_beats <= beats + 3'(keep);
    end

    logic cause_suits;
    one_cause one_cause (.ending, .suits(cause_suits));

    always_ff @(posedge clk) if (started && !rst) begin
        as_committed: assert (!end_valid || (ending.outcome == offload::Mirrored) == ended_with_copy);
        cause:        assert (!end_valid || cause_suits);
        one_copy:     assert (!commit || !open);
        kept_in_room: assert (!keep || (room && !cancel && !open));
        each_beat:    assert (!out_commit || (copy_beats != '0 && copy_beats == 3'((9'(out_kept) + 9'd63) >> 6)));
        reached: cover (end_valid && ending.outcome == offload::Mirrored && ending.late_bad && !resetting &&
                        ending.bytes == 2'd3);
    end
endmodule
