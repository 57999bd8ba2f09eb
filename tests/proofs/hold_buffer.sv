// SPDX-License-Identifier: Apache-2.0
// Proof of `hold_buffer`: every beat that was kept and committed comes out once and in order, and none that was cancelled.
// One beat, which the solver picks, carries a mark; the beats in front of it are counted. Copies are announced at any time
// from 2 cycles after their last beat on. `correct` is left out, because it has a proof of its own.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       keep,
    input logic       commit,
    input logic       cancel,
    input logic       pick,
    input logic       release_any,
    input logic [1:0] release_beats,
    input logic [1:0] spare,          // bytes that the last beat is short of
    input logic       out_ready
);
    localparam int Bits = $clog2(map::HoldBeats) + 2;
    logic [offload::BeatWidth-1:0] in_data, out_data;
    logic room, mirror_room, release_copy, out_valid, out_pop, corrected;
    logic [offload::LengthWidth-1:0] release_bytes;
    hold_buffer dut (.*);

    assign release_copy  = release_any;
    assign release_bytes = {release_beats, 2'b00} - offload::LengthWidth'(spare);   // 4 bytes a beat here
    assign out_pop       = out_valid && out_ready;

    logic started = 1'b0;
    logic mark = 1'b0, marked = 1'b0, marked_committed = 1'b0, cancelled = 1'b0, wrapped = 1'b0;
    logic [Bits-1:0] open = '0, closed = '0, closed1 = '0, announced = '0, ahead = '0, total = '0;
    logic [Bits-1:0] old1 = '0, old2 = '0;
    // Counts of beats: of the copy that is not committed; committed and not announced, now and a cycle ago; announced and not
    // popped.

    assign in_data = {{(offload::BeatWidth - 1){1'b0}}, mark};

    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        // What the writer (`admit`) and the announcements (`checksum`) keep to.
        assume (!keep || (room && !cancel));
        assume (!commit || !cancel);
        assume (!release_any || (release_beats != '0 && Bits'(release_beats) <= closed1));

        mark <= keep && pick && !marked;
        if (keep && pick && !marked) begin
            marked           <= 1'b1;
            marked_committed <= commit;
            ahead            <= open + closed + announced - Bits'(out_pop);
        end else if (marked) begin
            if (cancel && !marked_committed) marked <= 1'b0;
            if (commit) marked_committed <= 1'b1;
            if (out_pop) begin
                ahead <= ahead - 1'b1;
                if (ahead == '0) marked <= 1'b0;
            end
        end
        open      <= commit || cancel ? '0 : open + Bits'(keep);
        closed    <= closed + (commit ? open + Bits'(keep) : '0) - (release_any ? Bits'(release_beats) : '0);
        closed1   <= closed - (release_any ? Bits'(release_beats) : '0);
        announced <= announced + (release_any ? Bits'(release_beats) : '0) - Bits'(out_pop);
        old1      <= announced - Bits'(out_pop);
        old2      <= old1 == '0 ? '0 : old1 - Bits'(out_pop);
        cancelled <= cancelled || (cancel && open != '0);
        if (total != '1) total <= total + Bits'(keep);
        if (rst) begin
            mark      <= 1'b0;
            marked    <= 1'b0;
            open      <= '0;
            closed    <= '0;
            closed1   <= '0;
            announced <= '0;
            old1      <= '0;
            old2      <= '0;
            cancelled <= 1'b0;
            total     <= '0;
        end
    end

    always_ff @(posedge clk) if (started && !rst) begin
        in_order:   assert (!out_pop || out_data[0] == (marked && ahead == '0));
        none_extra: assert (!out_valid || announced != '0);
        none_stuck: assert (out_valid || old2 == '0);
        reached:    cover (out_pop && out_data[0] && cancelled && 32'(total) > map::HoldBeats && closed != '0);
    end
endmodule
