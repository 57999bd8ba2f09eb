// SPDX-License-Identifier: Apache-2.0
// What the admission says of a pass when it ends is what it has done (P22): mirrored if and only if its copy was committed,
// and one cause of the right kind if it is not eligible or dropped (P23). A committed copy is the frame up to the session's
// packet length (P14), zeros behind it, in the beats that its length says, none of them kept without room. Beats come with
// any verdict, length and mark; one that is empty, or neither full nor the last, is marked as malformed by the tap.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       in_valid,
    input logic       in_last,
    input logic       in_error,
    input logic       in_malformed,
    input logic [6:0] in_bytes,
    input logic [offload::BeatWidth-1:0] in_data,
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

    logic keep, commit, cancel, out_keep, out_commit, end_valid, between_frames;
    logic [offload::BeatWidth-1:0] out_data;
    logic [offload::LengthWidth-1:0] out_kept;
    offload::beat_t beat;
    offload::verdict_t verdict;
    offload::ending_t ending;
    offload::decision_t decision;
    always_comb begin
        beat             = '0;
        beat.first       = between_frames;
        beat.last        = in_last;
        beat.error       = in_error;
        beat.malformed   = in_malformed;
        beat.bytes       = in_bytes;
        beat.data        = in_data;
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
        .keep, .commit, .cancel, .out_keep, .out_data, .out_commit, .out_kept, .end_valid, .ending, .decision, .between_frames
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

    // The copy that this beat belongs to, as it must be: up to `limit`, or to the frame's end.
    localparam int Width = offload::LengthWidth + 1;
    logic [offload::LengthWidth-1:0] saved_limit, pass_limit, copy_length;
    logic [Width-1:0] before = '0, sum, length;   // bytes of the frame; no more than the longest limit matter
    logic [offload::FrameWidth-1:0] total_before = '0, total;
    logic [offload::BeatWidth-1:0] cut, copy_data;
    logic copy_whole;
    always_comb begin
        pass_limit = beat.first ? limit : saved_limit;
        sum        = before + Width'(in_bytes);
        length     = sum < Width'(pass_limit) ? sum : Width'(pass_limit);
        cut        = '0;
        for (int i = 0; i < offload::BeatBytes; i++)
            if (before + Width'(i) < length) cut[8*i +: 8] = in_data[8*i +: 8];
    end
    always_ff @(posedge clk) begin
        copy_length <= length[offload::LengthWidth-1:0];
        copy_data   <= cut;
        copy_whole  <= in_last || sum >= Width'(pass_limit);
        total       <= total_before + offload::FrameWidth'(in_bytes);
        if (in_valid) begin
            saved_limit  <= pass_limit;
            before       <= in_last ? '0 : sum[Width-1] ? {1'b1, {offload::LengthWidth{1'b0}}} : sum;
            total_before <= in_last ? '0 : total_before + offload::FrameWidth'(in_bytes);
        end
        if (rst) {before, total_before} <= '0;
    end

    logic cause_suits;
    one_cause one_cause (.ending, .suits(cause_suits));

    always_ff @(posedge clk) if (started && !rst) begin
        as_committed: assert (!end_valid || (ending.outcome == offload::Mirrored) == ended_with_copy);
        cause:        assert (!end_valid || cause_suits);
        one_copy:     assert (!commit || !open);
        kept_in_room: assert (!keep || (room && !cancel && !open));
        each_beat:    assert (!out_commit || (copy_beats != '0 && copy_beats == 3'((9'(out_kept) + 9'd63) >> 6)));
        each_byte:    assert (!out_keep || out_data == copy_data);
        whole:        assert (!out_commit || (copy_whole && out_kept == copy_length));
        all_bytes:    assert (!end_valid || (ending.bytes == total &&
                                             (ending.outcome != offload::Mirrored || ending.kept == copy_length)));
        as_decided:   assert (!end_valid || (decision.outcome == ending.outcome && decision.cause == ending.cause &&
                                             (ending.outcome != offload::Mirrored ||
                                              (decision.kept == ending.kept && decision.late_bad == ending.late_bad))));
        reached: cover (end_valid && ending.outcome == offload::Mirrored && ending.late_bad && !resetting &&
                        ending.bytes == 2'd3);
    end
endmodule
