// SPDX-License-Identifier: Apache-2.0
// The counters close in every cycle, live ones and those of a snapshot, in passes and in bytes (P23): received = not
// eligible + not accepted + mirrored + dropped + in flight, selected = mirrored + dropped, and each pass that is not
// eligible or dropped has one cause. A copy is announced as mirrored when, and only when, it was committed (P22).  Beats with any verdict go through admit, settle and counters; the output
// takes or throws copies as it likes. `live` and `saved` are the counters, led out by prove.py.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       seen,
    input logic       seen_last,
    input logic       seen_error,
    input logic       seen_malformed,
    input logic [6:0] seen_bytes,
    input logic       tap,
    input logic       ip,
    input logic       fault,
    input logic       excluded,
    input logic       accepted,
    input logic [offload::LengthWidth-1:0] limit,
    input logic       room,
    input logic       resetting,
    input logic       fate,
    input logic       fate_reset,
    input logic       snapshot
);
    localparam int Width = offload::FrameWidth;   // of a counter
    localparam int Most = 2 * map::HoldBeats;

    logic started = 1'b0;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        assume (seen_bytes <= 7'd64);
    end

    // Beats are counted as they come and reach the admission two cycles later.
    logic seen_first = 1'b1, valid1 = 1'b0, valid2 = 1'b0, received;
    logic [offload::FrameWidth-1:0] bytes_before = '0, received_bytes;
    offload::beat_t beat, beat1, beat2;
    offload::verdict_t verdict, verdict1, verdict2;
    logic fresh = 1'b0;
    assign received       = fresh && beat1.last;
    assign received_bytes = bytes_before + offload::FrameWidth'(beat1.bytes);
    always_comb begin
        beat           = '0;
        beat.first     = seen_first;
        beat.last      = seen_last;
        beat.error     = seen_error;
        beat.malformed = seen_malformed;
        beat.bytes     = seen_bytes;
        verdict          = '0;
        verdict.tap      = tap;
        verdict.ip       = ip;
        verdict.fault    = fault;
        verdict.excluded = excluded;
        verdict.accepted = accepted;
        verdict.limit    = limit;
    end
    always_ff @(posedge clk) begin
        if (seen) begin
            seen_first   <= seen_last;
        end
        fresh <= seen;
        if (fresh) bytes_before <= beat1.last ? '0 : received_bytes;
        valid1   <= seen;
        valid2   <= valid1;
        beat1    <= beat;
        beat2    <= beat1;
        verdict1 <= verdict;
        verdict2 <= verdict1;
        if (rst) begin
            seen_first   <= 1'b1;
            bytes_before <= '0;
            fresh        <= 1'b0;
            valid1       <= 1'b0;
            valid2       <= 1'b0;
        end
    end

    logic keep, commit, cancel, end_valid, between_frames, pass_settled, copy_settled, copy_reset, copy_late_bad;
    offload::ending_t ending, pass;
    logic [offload::FrameWidth-1:0] copy_bytes;
    admit admit (
        .clk, .rst, .in_valid(valid2), .in_beat(beat2), .in_verdict(verdict2), .in_source_port('0), .room, .resetting,
        .keep, .commit, .cancel, .end_valid, .ending, .between_frames
    );

    // The output: a copy that was committed is taken or thrown away.
    logic [2:0] waiting = '0;             // committed, not taken
    logic [3:0] unsettled = '0;           // committed, not settled
    logic open = 1'b0;                    // a pass whose copy was committed has not ended
    logic fate_valid;
    assign fate_valid = fate && waiting != '0;
    always_ff @(posedge clk) begin
        assume (!commit || unsettled < 4'(Most));
        waiting   <= waiting + 3'(commit) - 3'(fate_valid);
        unsettled <= unsettled + 4'(commit) - 4'(copy_settled);
        open      <= (commit || open) && !(valid2 && beat2.last);
        if (rst) begin
            waiting   <= '0;
            unsettled <= '0;
            open      <= 1'b0;
        end
    end

    settle settle (
        .clk, .rst, .end_valid, .ending, .fate_valid, .fate_reset, .between_frames, .commit_done(1'b0), .version('0),
        .pass_settled, .pass, .copy_settled, .copy_reset, .copy_bytes, .copy_late_bad
    );

    logic [map::Counters*Width-1:0] live, saved;
    counters counters (
        .clk, .rst, .received, .received_bytes, .forwarded(1'b0), .forwarded_bytes('0),
        .pass_settled, .pass, .copy_settled, .copy_reset, .copy_late_bad, .copy_bytes, .snapshot, .index('0),
        .every_live(live), .every_frozen(saved)
    );

    // Of which pass was the copy committed: the one that ends in the next cycle is told by what was committed before.
    logic ended_with_copy = 1'b0;
    logic [3:0] quiet = '0;
    always_ff @(posedge clk) begin
        ended_with_copy <= valid2 && beat2.last && (commit || open);
        quiet <= seen || !seen_first || valid1 || valid2 || end_valid || waiting != '0 || fate_valid ? '0
                                                                             : quiet == '1 ? quiet : quiet + 1'b1;
        if (rst) {ended_with_copy, quiet} <= '0;
    end

    function automatic logic [Width-1:0] of(input logic [map::Counters*Width-1:0] all, input int i);
        of = all[i*Width +: Width];
    endfunction

    logic [1:0] closes_frames, closes_bytes, closes_selected, closes_causes;
    logic [map::Counters*Width-1:0] all;
    always_comb begin
        for (int i = 0; i < 2; i++) begin
            all = i == 0 ? live : saved;
            closes_frames[i] = of(all, map::CounterReceivedFrames) ==
                of(all, map::CounterNotEligibleFrames) + of(all, map::CounterNotAcceptedFrames) +
                of(all, map::CounterMirroredFrames) + of(all, map::CounterDroppedFrames) +
                of(all, map::CounterInFlightFrames);
            closes_bytes[i] = of(all, map::CounterReceivedBytes) ==
                of(all, map::CounterNotEligibleBytes) + of(all, map::CounterNotAcceptedBytes) +
                of(all, map::CounterMirroredBytes) + of(all, map::CounterDroppedBytes) +
                of(all, map::CounterInFlightBytes);
            closes_selected[i] =
                of(all, map::CounterSelectedFrames) == of(all, map::CounterMirroredFrames) +
                                                       of(all, map::CounterDroppedFrames) &&
                of(all, map::CounterSelectedBytes) == of(all, map::CounterMirroredBytes) +
                                                      of(all, map::CounterDroppedBytes);
            closes_causes[i] =
                of(all, map::CounterNotEligibleFrames) == of(all, map::CounterNoTap) + of(all, map::CounterMalformed) +
                    of(all, map::CounterMarkedBad) + of(all, map::CounterNotIp) + of(all, map::CounterExcluded) +
                    of(all, map::CounterTableFault) &&
                of(all, map::CounterDroppedFrames) == of(all, map::CounterOverflow) + of(all, map::CounterReset) +
                    of(all, map::CounterSessionFault);
        end
    end

    // The counters are cleared up to two cycles after a reset.
    logic [1:0] cleared = '0;
    always_ff @(posedge clk) cleared <= rst ? '0 : {cleared[0], 1'b1};

    always_ff @(posedge clk) if (started && !rst && cleared[1]) begin
        frames_close:   assert (&closes_frames);
        bytes_close:    assert (&closes_bytes);
        selected_close: assert (&closes_selected);
        causes_close:   assert (&closes_causes);
        as_committed:   assert (!end_valid || (ending.outcome == offload::Mirrored) == ended_with_copy);
        reached: cover (of(saved, map::CounterMirroredFrames) == 4'd1 && of(live, map::CounterDroppedFrames) == 4'd2 &&
                        of(live, map::CounterReset) == 4'd1 && of(live, map::CounterMirroredFrames) == 4'd2 &&
                        quiet == 4'd8);
    end
endmodule
