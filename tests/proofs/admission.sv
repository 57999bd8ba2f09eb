// SPDX-License-Identifier: Apache-2.0
// Proof of `admit`: a pass ends as the rules say for its verdict, its marks, the room that it met and the resets of the
// mirror (P6, P7, P12, P22 to P25, I1). A copy is committed in the cycle in which it is complete. It has the frame's bytes
// up to the session's packet length (P14) and zeros behind them, in as many beats as that needs. No beat is kept without room.
// Beats come with any verdict, length and mark, with one assumption: the tap marks a beat as malformed that is empty, or that
// is neither full nor the last. `saved...` are the module's own registers, which prove.py makes outputs.
module proof (
    input logic                          clk,
    input logic                          rst,
    input logic                          rst_neighbours,
    input logic                          in_valid,
    input logic                          in_last,
    input logic                          in_error,
    input logic                          in_malformed,
    input logic [6:0]                    in_bytes,
    input logic [offload::BeatWidth-1:0] in_data,
    input offload::verdict_t             in_verdict,
    input logic [15:0]                   in_source_port,
    input logic                          room,
    input logic                          resetting
);
    localparam int Width = offload::LengthWidth + 1;   // of a frame's bytes; beyond every limit they do not matter
    localparam int Count = Width - 6;                  // of a copy's beats

    logic first, started = 1'b0;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        first   <= rst || (in_valid ? in_last : first);
        assume (started || rst);
        assume (in_bytes <= 7'd64 && (in_malformed || in_bytes == 7'd64 || (in_last && in_bytes != '0)));
    end

    logic keep, commit, cancel, out_start, out_keep, out_commit, end_valid, between_frames;
    logic [offload::BeatWidth-1:0] out_data;
    logic [offload::LengthWidth-1:0] out_kept;
    logic [15:0] out_source_port;
    logic [offload::SessionBits-1:0] out_session;
    offload::beat_t in_beat;
    offload::ending_t ending;
    offload::decision_t decision;
    offload::verdict_t saved_verdict;
    logic [offload::LengthWidth-1:0] saved_left, saved_kept;
    logic [offload::FrameWidth-1:0] saved_bytes;
    logic saved_selected, saved_malformed, saved_bad, saved_late, saved_done, saved_lost, torn;
    logic [3:0] saved_lost_cause;
    always_comb begin
        in_beat.first     = first;
        in_beat.last      = in_last;
        in_beat.error     = in_error;
        in_beat.malformed = in_malformed;
        in_beat.bytes     = in_bytes;
        in_beat.data      = in_data;
    end
    admit dut (.*);

    // What is known of the pass with this beat: its verdict, its bytes, and the bytes of its copy.
    offload::verdict_t verdict, verdict1;
    logic selected, wanted, complete;
    logic [Width-1:0] limit, before, bytes, kept;
    logic [offload::FrameWidth-1:0] total_before, total;
    logic [offload::BeatWidth-1:0] cut;
    always_comb begin
        verdict  = first ? in_verdict : verdict1;
        selected = verdict.tap && verdict.ip && !verdict.fault && !verdict.excluded && verdict.accepted;
        limit    = Width'(verdict.limit);
        bytes    = before + Width'(in_bytes);
        kept     = bytes < limit ? bytes : limit;
        total    = total_before + offload::FrameWidth'(in_bytes);
        wanted   = before < limit;                     // this beat begins before the copy's end
        complete = in_last || (bytes >= limit && !first);
        cut      = '0;
        for (int i = 0; i < offload::BeatBytes; i++)
            if (before + Width'(i) < kept) cut[8*i +: 8] = in_data[8*i +: 8];
    end

    // The marks of the pass, and whether its copy is given up. Marks count up to the copy's end, and without a copy up to the
    // frame's end. The first pass after a reset of the offload alone is malformed, at a tap or not (P25).
    logic malformed, malformed1, bad, bad1, late, late1, given_up, given_up1, copied, due, rest;
    logic [3:0] why, why1;
    always_comb begin
        malformed = rest || (!first && malformed1) || (in_malformed && (wanted || !selected));
        bad       = (!first && bad1) || (in_error && (wanted || !selected));
        late      = (!first && late1) || ((in_malformed || in_error) && selected && !wanted);
        given_up  = !first && given_up1;
        why       = why1;
        if (!given_up && !copied) begin
            given_up = limit == '0 || resetting || (wanted && in_bytes != '0 && !room);
            why      = limit == '0 ? offload::CauseSessionFault : resetting ? offload::CauseReset : offload::CauseOverflow;
        end
        due = selected && complete && !malformed && !bad && !given_up && !copied;
    end
    always_ff @(posedge clk) begin
        if (in_valid) begin
            {verdict1, malformed1, bad1, late1, given_up1, why1} <= {verdict, malformed, bad, late, given_up, why};
            before       <= in_last ? '0 : bytes[Width-1] ? {1'b1, {offload::LengthWidth{1'b0}}} : bytes;
            total_before <= in_last ? '0 : total;
            copied       <= !in_last && (copied || due);   // the copy of a frame whose end is still to come
        end else if (resetting && !first && !copied && !given_up1) begin
            given_up1 <= 1'b1;
            why1      <= offload::CauseReset;
        end
        if (in_valid && in_last) rest <= 1'b0;
        if (rst) {before, total_before, copied} <= '0;
        if (rst) rest <= !rst_neighbours;
    end

    offload::ending_t due_ending;
    logic eligible;
    always_comb begin
        eligible            = 1'b0;
        due_ending.outcome  = offload::NotEligible;
        due_ending.cause    = offload::CauseNone;
        if (rest)                  due_ending.cause = offload::CauseMalformed;
        else if (!verdict.tap)     due_ending.cause = offload::CauseNoTap;
        else if (malformed)        due_ending.cause = offload::CauseMalformed;
        else if (bad)              due_ending.cause = offload::CauseMarkedBad;
        else if (!verdict.ip)      due_ending.cause = offload::CauseNotIp;
        else if (verdict.fault)    due_ending.cause = offload::CauseTableFault;
        else if (verdict.excluded) due_ending.cause = offload::CauseExcluded;
        else begin
            eligible           = 1'b1;
            due_ending.outcome = !verdict.accepted ? offload::NotAccepted : given_up ? offload::Dropped : offload::Mirrored;
            if (verdict.accepted && given_up) due_ending.cause = why;
        end
        due_ending.session  = verdict.session;
        due_ending.v6       = verdict.v6;
        due_ending.bytes    = total;
        due_ending.kept     = kept[offload::LengthWidth-1:0];
        due_ending.late_bad = late;
    end

    // What the outputs must be a cycle later, and how much was kept since the last commit or cancel.
    logic was_first, was_keep, was_commit, was_last, was_eligible;
    logic [offload::BeatWidth-1:0] was_cut;
    logic [15:0] was_source_port;
    logic [Count-1:0] beats;
    offload::ending_t was_ending;
    offload::verdict_t was_verdict;
    always_ff @(posedge clk) begin
        was_first       <= in_valid && first && selected && !rst;
        was_keep        <= keep && !rst;
        was_commit      <= commit && !rst;
        was_last        <= in_valid && in_last && !rst;
        was_cut         <= cut;
        was_source_port <= in_source_port;
        was_ending      <= due_ending;
        was_verdict     <= verdict;
        was_eligible    <= eligible;
        beats           <= commit || cancel || rst ? '0 : beats + Count'(keep);
    end

    function automatic logic [Count-1:0] beats_of(input logic [Width-1:0] length);
        beats_of = Count'((length + Width'(offload::BeatBytes - 1)) >> 6);
    endfunction

    logic cause_suits, mirrored, dropped;
    one_cause one_cause (.ending, .suits(cause_suits));
    assign mirrored = was_ending.outcome == offload::Mirrored;
    assign dropped  = was_ending.outcome == offload::Dropped;

    always_ff @(posedge clk) if (started && !rst) begin
        // Outputs to the hold buffer.
        when_due:      assert (commit == (in_valid && due));
        in_place:      assert (!keep || (in_valid && wanted && before == {beats, 6'd0}));
        all_beats:     assert (!commit || beats + Count'(keep) == beats_of(kept));
        kept_in_room:  assert (!keep || (room && !cancel && !copied));
        // Outputs that come a cycle later.
        a_cycle_later: assert (out_start == was_first && out_keep == was_keep && out_commit == was_commit &&
                               end_valid == was_last);
        each_byte:     assert (!out_keep || out_data == was_cut);
        its_length:    assert (!out_commit || out_kept == was_ending.kept);
        its_port:      assert (!out_start || out_source_port == was_source_port);
        its_session:   assert (!out_start || out_session == was_verdict.session);
        // What is said of a pass at its end.
        as_ruled:      assert (!end_valid || (ending.outcome == was_ending.outcome && ending.cause == was_ending.cause));
        its_cause:     assert (!end_valid || cause_suits);
        in_full:       assert (!end_valid || ending.bytes == was_ending.bytes);
        whose:         assert (!end_valid || !(mirrored || dropped) ||
                               (ending.session == was_ending.session && ending.v6 == was_ending.v6));
        how_much:      assert (!end_valid || !mirrored ||
                               (ending.kept == was_ending.kept && ending.late_bad == was_ending.late_bad));
        as_decided:    assert (!end_valid || (decision.outcome == was_ending.outcome &&
                                              decision.cause == was_ending.cause));
        of_a_tap:      assert (!end_valid || decision.version == (was_verdict.tap ? was_verdict.version : '0));
        of_eligible:   assert (!end_valid || !was_eligible || (decision.why == was_verdict.why &&
                                                               decision.why_rule == was_verdict.why_rule));
        of_selected:   assert (!end_valid || !(mirrored || dropped) ||
                               (decision.kept == was_ending.kept && decision.by_service == was_verdict.by_service &&
                                decision.rule_index == was_verdict.rule_index && decision.slot == was_verdict.slot));
        of_mirrored:   assert (!end_valid || decision.late_bad == (mirrored && was_ending.late_bad));
`ifdef HELPERS
        // Invariants for the induction: inside a frame, the module's registers hold what is known of the frame here.
        saves_rest:    assert (torn == rest && (first || !rest || malformed1));
        saves_marks:   assert (first || {saved_malformed, saved_bad, saved_late, saved_done, saved_lost} ==
                                        {malformed1, bad1, late1, copied, given_up1});
        saves_why:     assert (first || !given_up1 || (saved_lost_cause == why1 &&
                                                       (why1 == offload::CauseSessionFault ||
                                                        why1 == offload::CauseReset || why1 == offload::CauseOverflow)));
        saves_verdict: assert (first || (saved_selected == selected && saved_verdict == verdict1));
        saves_lengths: assert (first || (saved_kept == (wanted ? before[offload::LengthWidth-1:0] : verdict.limit) &&
                                         saved_left == verdict.limit - saved_kept && saved_bytes == total_before));
        begins_anew:   assert (between_frames == first && (!first || (before == '0 && total_before == '0 && !copied)));
        counts_beats:  assert (first || (copied ? selected && !given_up1 && !malformed1 && !bad1 && !wanted
                                                : !selected || given_up1 || malformed1 || bad1 ||
                                                  (beats == beats_of(Width'(saved_kept)) &&
                                                   (!wanted || before == {beats, 6'd0}))));
        no_further:    assert (before <= {1'b1, {offload::LengthWidth{1'b0}}});
        begins_none:   assert (beats == '0 || (!first && selected && !copied));
`endif
        reached: cover (end_valid && ending.outcome == offload::Mirrored && ending.late_bad && !resetting &&
                        ending.kept == 14'd65 && ending.bytes == 32'd130);
    end
endmodule
