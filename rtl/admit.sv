// SPDX-License-Identifier: Apache-2.0
// The admission: cuts the frames that a session selected to their copies (P14), hands the kept beats to the hold
// buffer, and says of each pass how it ended (P23). Latency 1 cycle.
// A copy is whole or absent (P22). It is given up when the hold buffer has no room for its next beat, when a beat up to
// the copy's last byte is marked bad or malformed (P24, I1), when its session entry is faulty (T4), and when the mirror
// is reset (P25). It is committed with the beat that completes the copy or the frame's window, whichever comes later.
// After a reset of the offload alone (`rst_neighbours` 0) the first pass may be the rest of a frame. It is malformed,
// whatever it looks like (P25).
module admit (
    input  logic                          clk,
    input  logic                          rst,
    input  logic                          rst_neighbours, // in the last cycle of rst: 1 if the source was reset too
    input  logic                          in_valid,
    input  offload::beat_t                in_beat,
    input  offload::verdict_t             in_verdict,     // with a first beat
    input  logic [15:0]                   in_source_port, // with a first beat
    input  logic                          room,           // for one more beat
    input  logic                          resetting,
    // To the hold buffer, in the cycle of the beat.
    output logic                          keep,           // take the beat that `out_data` shows a cycle later
    output logic                          commit,
    output logic                          cancel,         // forget the beats since the last commit
    // To `checksum` and the counters, a cycle later.
    output logic                          out_start,      // a selected frame begins
    output logic                          out_keep,
    output logic [offload::BeatWidth-1:0] out_data,       // 0 behind the copy's last byte
    output logic                          out_commit,
    output logic [offload::LengthWidth-1:0] out_kept,
    output logic [15:0]                   out_source_port,
    output logic [offload::SessionBits-1:0] out_session,
    output logic                          end_valid,
    output offload::ending_t              ending,
    output offload::decision_t            decision,
    output logic                          between_frames
);
    // A name with `saved_` in front is the value after the frame's beat before; the name alone is the value with this beat.
    offload::verdict_t saved, verdict;
    logic [offload::LengthWidth-1:0] saved_left, left, saved_kept, kept;   // bytes: the copy may still take; the copy has
    logic [offload::FrameWidth-1:0] saved_bytes, bytes;
    logic saved_malformed, malformed, saved_bad, bad, saved_late, late, saved_done, done, saved_lost, lost;
    logic [3:0] saved_lost_cause, lost_cause;
    logic [offload::BeatBytes-1:0] blank;   // lanes behind the copy's last byte
    logic saved_selected, selected, counts, cut, takes, covered, spoiled, torn;

    assign verdict  = in_beat.first ? in_verdict : saved;
    assign selected = !in_beat.first ? saved_selected : in_verdict.tap && in_verdict.ip && !in_verdict.fault &&
                                                        !in_verdict.excluded && in_verdict.accepted;
    assign left     = in_beat.first ? in_verdict.limit : saved_left;
    assign cut      = left <= offload::LengthWidth'(in_beat.bytes);   // the copy ends in this beat
    assign blank    = (in_beat.bytes[6] ? '0 : {offload::BeatBytes{1'b1}} << in_beat.bytes[5:0]) |
                      (left[offload::LengthWidth-1:6] != '0 ? '0 : {offload::BeatBytes{1'b1}} << left[5:0]);
    assign takes    = left != '0 && in_beat.bytes != '0;
    assign kept     = cut ? verdict.limit : (in_beat.first ? '0 : saved_kept) + offload::LengthWidth'(in_beat.bytes);
    assign bytes    = (in_beat.first ? '0 : saved_bytes) + offload::FrameWidth'(in_beat.bytes);
    assign covered  = cut || in_beat.last;
    assign out_session = saved.session;

    // An error bit or a malformed tkeep spoils a copy up to the beat with the copy's last byte; later it is `late`. In a
    // frame without a copy it always counts.
    assign counts    = !selected || left != '0;
    assign malformed = torn || (!in_beat.first && saved_malformed) || (in_beat.malformed && counts);
    assign bad       = (!in_beat.first && saved_bad) || (in_beat.error && counts);
    assign late      = (!in_beat.first && saved_late) || ((in_beat.malformed || in_beat.error) && !counts);
    assign spoiled   = malformed || bad;

    // `lost`: the copy is given up for a cause that is not the frame's own. The first such cause stays until the frame
    // ends. A copy that was committed (`saved_done`) is not lost any more.
    always_comb begin
        lost       = !in_beat.first && saved_lost;
        lost_cause = saved_lost_cause;
        if (!lost && !(saved_done && !in_beat.first)) begin
            lost = 1'b1;
            if (verdict.limit == '0) lost_cause = offload::CauseSessionFault;
            else if (resetting) lost_cause = offload::CauseReset;
            else if (takes && !room) lost_cause = offload::CauseOverflow;
            else lost = 1'b0;
        end
    end

    assign keep   = in_valid && selected && takes && !lost && !spoiled;
    assign commit = in_valid && selected && covered && (!in_beat.first || in_beat.last) && !lost && !spoiled &&
                    (in_beat.first || !saved_done);
    assign done   = commit || (!in_beat.first && saved_done);
    assign cancel = in_valid && selected && (lost || spoiled) && !done;

    always_ff @(posedge clk) begin
        out_start  <= in_valid && in_beat.first && selected;
        out_keep   <= keep;
        out_commit <= commit;
        end_valid  <= in_valid && in_beat.last;
        if (keep) begin
            out_data <= in_beat.data;
            if (blank != '0) begin
                for (int i = 0; i < 16; i++) begin
                    for (int j = 0; j < 4; j++) begin
                        if (blank[4*i+j]) out_data[32*i+8*j +: 8] <= 8'd0;
                    end
                end
            end
        end
        if (commit) out_kept <= kept;
        if (in_valid && in_beat.first && selected) out_source_port <= in_source_port;

        if (in_valid) begin
            between_frames   <= in_beat.last;
            saved_selected   <= selected;
            saved_left       <= cut ? '0 : left - offload::LengthWidth'(in_beat.bytes);
            saved_kept       <= kept;
            saved_bytes      <= bytes;
            saved_malformed  <= malformed;
            saved_bad        <= bad;
            saved_late       <= late;
            saved_done       <= done;
            saved_lost       <= lost;
            saved_lost_cause <= lost_cause;
            if (in_beat.first) saved <= in_verdict;
            if (in_beat.last) torn <= 1'b0;
        end else if (resetting && !between_frames && !saved_done && !saved_lost) begin
            saved_lost       <= 1'b1;
            saved_lost_cause <= offload::CauseReset;
        end

        if (in_valid && in_beat.last) begin
            ending.bytes    <= bytes;
            ending.kept     <= kept;
            ending.session  <= verdict.session;
            ending.v6       <= verdict.v6;
            ending.late_bad <= late;
            decision.version    <= verdict.tap ? verdict.version : '0;
            decision.kept       <= selected && !spoiled ? kept : '0;
            decision.why        <= verdict.tap && verdict.ip && !verdict.fault && !verdict.excluded ? verdict.why : '0;
            decision.why_rule   <= verdict.why_rule;
            decision.late_bad   <= selected && !spoiled && !lost && late;
            decision.by_service <= selected && verdict.by_service;
            decision.rule_index <= verdict.rule_index;
            decision.slot       <= verdict.slot;
            ending.outcome      <= offload::NotEligible;
            decision.outcome    <= offload::NotEligible;
            if (!verdict.tap && !torn) begin
                ending.cause   <= offload::CauseNoTap;
                decision.cause <= offload::CauseNoTap;
            end else if (spoiled) begin
                ending.cause   <= malformed ? offload::CauseMalformed : offload::CauseMarkedBad;
                decision.cause <= malformed ? offload::CauseMalformed : offload::CauseMarkedBad;
            end else if (!verdict.ip) begin
                ending.cause   <= offload::CauseNotIp;
                decision.cause <= offload::CauseNotIp;
            end else if (verdict.fault) begin
                ending.cause   <= offload::CauseTableFault;
                decision.cause <= offload::CauseTableFault;
            end else if (verdict.excluded) begin
                ending.cause   <= offload::CauseExcluded;
                decision.cause <= offload::CauseExcluded;
            end else begin
                ending.outcome   <= !selected ? offload::NotAccepted : lost ? offload::Dropped : offload::Mirrored;
                decision.outcome <= !selected ? offload::NotAccepted : lost ? offload::Dropped : offload::Mirrored;
                ending.cause     <= selected && lost ? lost_cause : offload::CauseNone;
                decision.cause   <= selected && lost ? lost_cause : offload::CauseNone;
            end
        end
        if (rst) begin
            between_frames <= 1'b1;
            torn           <= !rst_neighbours;
            out_start      <= 1'b0;
            out_keep       <= 1'b0;
            out_commit     <= 1'b0;
            end_valid      <= 1'b0;
        end
    end

`ifdef FORMAL
    always_ff @(posedge clk) begin
        if (!rst && in_valid) begin
            whole_or_absent: assert (!(commit && cancel));
            frames_begin_with_first: assert (in_beat.first == between_frames);
        end
    end
`endif
endmodule
