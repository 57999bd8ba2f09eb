// SPDX-License-Identifier: Apache-2.0
// Settles each pass once: says to the counters how it ended (P23). The ending of a pass is what `admit` says at the
// pass's last beat; the fate of a copy is what `encapsulate` says: it has left, or a mirror reset has dropped it. A pass
// without a copy settles with its ending. A pass with a copy settles when its copy's fate is known too; until then the
// ending waits here, in order.
// `undrained` says how far back copies may still be inside, so that the driver knows when a session entry can be reused.
module settle (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            end_valid,
    input  offload::ending_t                ending,
    input  logic                            fate_valid,
    input  logic                            fate_reset,
    input  logic                            between_frames,  // at the admission
    input  logic                            commit_done,     // a table change has passed the admission
    output logic                            pass_settled,    // without a copy
    output offload::ending_t                pass,
    output logic                            copy_settled,
    output logic                            copy_reset,
    output logic [offload::FrameWidth-1:0]  copy_bytes,      // of its frame
    output logic [offload::LengthWidth-1:0] copy_kept,
    output logic [offload::SessionBits-1:0] copy_session,
    output logic                            copy_v6,         // the copy's outer header
    output logic                            copy_late_bad,
    output logic [7:0]                      undrained,       // no copy inside is from more commits back; saturates
    output logic [1:0]                      corrected        // flipped bits were found in what waits here (T4)
);
    localparam int CountBits = 16;        // the copies inside are less than half of this range
    localparam int EndingDepth = 2 * map::HoldBeats;
    typedef logic [CountBits-1:0] count_t;

    if (!offload::allowed(map::HoldBeats, map::HoldBeatsLeast, map::HoldBeatsMost)) begin : g_size
        $error("hold_beats = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::HoldBeats, map::HoldBeatsLeast, map::HoldBeatsMost);
    end

    logic fate_waiting, fate_was_reset, copy_end_valid;
    offload::ending_t copy_end;

    assign pass_settled  = end_valid && ending.outcome != offload::Mirrored;
    assign pass          = ending;
    assign copy_settled  = copy_end_valid && fate_waiting;
    assign copy_reset    = fate_was_reset;
    assign copy_bytes    = copy_end.bytes;
    assign copy_kept     = copy_end.kept;
    assign copy_session  = copy_end.session;
    assign copy_v6       = copy_end.v6;
    assign copy_late_bad = copy_end.late_bad;

    fifo #(
        .Width($bits(ending)), .Depth(EndingDepth), .Columns(8)
    ) endings (
        .clk, .rst,
        .in_valid(end_valid && ending.outcome == offload::Mirrored), .in_word(ending),
        .out_valid(copy_end_valid), .out_pop(copy_settled), .out_word(copy_end),
        .corrected(corrected[0])
    );

    // A Depth of 4 is enough. A fate waits only for the ending of its frame, and only the newest copy can leave before its
    // frame has ended: one that was cut from a long frame.
    fifo #(
        .Width(1), .Depth(4), .Columns(1)
    ) fates (
        .clk, .rst,
        .in_valid(fate_valid), .in_word(fate_reset),
        .out_valid(fate_waiting), .out_pop(copy_settled), .out_word(fate_was_reset),
        .corrected(corrected[1])
    );

    count_t copies_in, copies_out, target;
    logic [7:0] lag, since;               // commits since the drained one, and since the one that is tracked; saturating
    logic tracking, copy_ends;

    // Commits are counted up to 255. A difference of sequence numbers would come round to 0 while copies are inside.
    function automatic logic [7:0] one_more(input logic [7:0] commits, input logic more);
        one_more = commits + {7'd0, more && commits != '1};
    endfunction

    assign copy_ends = end_valid && ending.outcome == offload::Mirrored;

    always_ff @(posedge clk) begin
        undrained <= lag;                 // a cycle late: no read comes so soon after a commit
        if (copy_ends) copies_in <= copies_in + 1'b1;
        if (copy_settled) copies_out <= copies_out + 1'b1;
        lag   <= one_more(lag, commit_done);
        since <= one_more(since, commit_done);
        // First wait until no frame from before the commit is half admitted, then until the copies counted so far have
        // settled. Frames may come without a gap, so a copy whose frame ends in this cycle is counted here.
        if (!tracking) begin
            if (lag != '0 && between_frames) begin
                tracking <= 1'b1;
                since    <= {7'd0, commit_done};
                target   <= copies_in + CountBits'(copy_ends);
            end
        end else if (target - copies_out == '0 || $signed(target - copies_out) < 0) begin
            tracking <= 1'b0;
            lag      <= one_more(since, commit_done);
        end
        if (rst) begin
            undrained  <= '0;
            copies_in  <= '0;
            copies_out <= '0;
            tracking   <= 1'b0;
            lag        <= '0;
        end
    end
endmodule
