// SPDX-License-Identifier: Apache-2.0
// Proof of `admit` with `counters`: the sums of the counters close in every cycle (P23). This holds for live counters and
// those of a snapshot, for passes and for bytes: received = not eligible + not accepted + mirrored + dropped + in flight, and
// selected = mirrored + dropped. Each pass that is not eligible or dropped has one cause. Nothing is in flight when nothing is
// inside. Beats come with any verdict, and copies settle at any time. `live` and `saved` are the counters, which prove.py
// makes outputs.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       rst_neighbours,
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
    input logic       copy_settled,
    input logic       copy_reset,
    input logic       copy_late_bad,
    input logic [offload::FrameWidth-1:0] copy_bytes,
    input logic       snapshot
);
    localparam int Width = offload::FrameWidth;   // of a counter

    logic started = 1'b0;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        assume (seen_bytes <= 7'd64);
    end

    // Beats are counted when they come, and reach `admit` two cycles later.
    logic seen_first = 1'b1, valid1 = 1'b0, valid2 = 1'b0, received;
    logic [offload::FrameWidth-1:0] bytes_before = '0, received_bytes;
    offload::beat_t beat, beat1, beat2;
    offload::verdict_t verdict, verdict1, verdict2;
    assign received       = valid1 && beat1.last;
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
        if (seen) seen_first <= seen_last;
        if (valid1) bytes_before <= beat1.last ? '0 : received_bytes;
        valid1   <= seen;
        valid2   <= valid1;
        beat1    <= beat;
        beat2    <= beat1;
        verdict1 <= verdict;
        verdict2 <= verdict1;
        if (rst) begin
            seen_first   <= 1'b1;
            bytes_before <= '0;
            valid1       <= 1'b0;
            valid2       <= 1'b0;
        end
    end

    logic end_valid, between_frames;
    logic [Width-1:0] admitted, saved_bytes;
    offload::ending_t ending;
    admit admit (
        .clk, .rst, .rst_neighbours, .in_valid(valid2), .in_beat(beat2), .in_verdict(verdict2), .in_source_port('0), .room, .resetting,
        .end_valid, .ending, .between_frames, .saved_bytes_out(saved_bytes)
    );
    assign admitted = (beat2.first ? '0 : saved_bytes) + Width'(beat2.bytes);

    // This stands for `settle`: the endings of copies wait, and each settles once, in any order and with any bytes; the
    // last one that waits settles with the bytes that are left.
    logic pass_settled, copy_ends;
    logic [2:0] waiting = '0;
    logic [Width-1:0] waiting_bytes = '0;
    assign pass_settled = end_valid && ending.outcome != offload::Mirrored;
    assign copy_ends    = end_valid && ending.outcome == offload::Mirrored;
    always_ff @(posedge clk) begin
        assume (!copy_settled || waiting != '0);
        assume (!copy_settled || waiting != 3'd1 || copy_bytes == waiting_bytes);
        assume (!copy_ends || waiting != '1);
        waiting       <= waiting + 3'(copy_ends) - 3'(copy_settled);
        waiting_bytes <= waiting_bytes + (copy_ends ? ending.bytes : '0) - (copy_settled ? copy_bytes : '0);
        if (rst) begin
            waiting       <= '0;
            waiting_bytes <= '0;
        end
    end

    logic [map::Counters*Width-1:0] live, saved;
    logic [1:0] resets;
    counters counters (
        .clk, .rst, .received, .received_bytes, .forwarded(1'b0), .forwarded_bytes('0),
        .pass_settled, .pass(ending), .copy_settled, .copy_reset, .copy_late_bad, .copy_bytes, .snapshot, .index('0),
        .every_live(live), .every_frozen(saved), .resets
    );

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

    // The counters are cleared a cycle after a reset, those of the snapshot another one later.
    logic [1:0] cleared = '0;
    always_ff @(posedge clk) cleared <= rst ? '0 : {cleared[0], 1'b1};

    logic empty, idle, cause_suits;
    assign empty = !valid1 && !valid2 && !end_valid && waiting == '0;
    assign idle  = empty && seen_first;
    one_cause one_cause (.ending, .suits(cause_suits));
    always_ff @(posedge clk) assume (rst || !end_valid || cause_suits);   // proved in `admission`

    always_ff @(posedge clk) if (started && !rst) begin
        if (cleared[0]) begin
            frames_close:   assert (closes_frames[0]);
            bytes_close:    assert (closes_bytes[0]);
            selected_close: assert (closes_selected[0]);
            causes_close:   assert (closes_causes[0]);
            // In flight are passes that were received and are not settled; so there are none when nothing is inside.
            frames_inside: assert (of(live, map::CounterInFlightFrames) ==
                                   Width'(valid2 && beat2.last) + Width'(end_valid) + waiting[Width-1:0]);
            bytes_inside:  assert (of(live, map::CounterInFlightBytes) ==
                                   (valid2 && beat2.last ? admitted : '0) + (end_valid ? ending.bytes : '0) +
                                       waiting_bytes);
            none_inside:   assert (!idle || (of(live, map::CounterInFlightFrames) == '0 &&
                                             of(live, map::CounterInFlightBytes) == '0));
        end
        if (cleared[1])
            snapshot_closes: assert (closes_frames[1] && closes_bytes[1] && closes_selected[1] && closes_causes[1]);
`ifdef HELPERS
        // Invariants for the induction: the sum of a frame's bytes is the same here and in `admit`, and nothing is inside
        // before the counters are cleared.
        one_sum: assert (bytes_before == (valid2 ? (beat2.last ? '0 : admitted) : between_frames ? '0 : saved_bytes));
        one_first: assert ((!valid2 || beat2.first == between_frames) &&
                           (!valid1 || beat1.first == (valid2 ? beat2.last : between_frames)) &&
                           seen_first == (valid1 ? beat1.last : valid2 ? beat2.last : between_frames));
        nothing_waits: assert (waiting != '0 || waiting_bytes == '0);
        none_early:    assert (cleared[0] || empty);
        cleared_late:  assert (cleared == {resets == '0, !resets[0]});
`endif
        reached: cover (of(saved, map::CounterMirroredFrames) == 2'd1 && of(live, map::CounterDroppedFrames) == 2'd2 &&
                        of(live, map::CounterReset) == 2'd1 && of(live, map::CounterMirroredFrames) == 2'd2 && idle);
    end
endmodule
