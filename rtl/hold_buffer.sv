// SPDX-License-Identifier: Apache-2.0
// Holds the kept beats of copies: of those whose length or checksum is not known yet, and of those that wait for the
// output. Beats enter one a cycle. Until a copy is committed, `cancel` forgets its beats. The reader sees the beats of a
// copy 3 cycles after `release_copy` has announced the copy's length; first word falls through, copies leave in order.
// The buffer refuses no beat: the writer must watch `room`. A flipped bit is corrected on the way out (T4).
module hold_buffer (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            keep,          // a beat is taken; its data comes a cycle later
    input  logic                            commit,
    input  logic                            cancel,
    input  logic [offload::BeatWidth-1:0]   in_data,       // a cycle after `keep`
    output logic                            room,          // for one more beat
    output logic                            mirror_room,   // for the largest copy, beside all that is on its way (I4)
    input  logic                            release_copy,  // at the earliest 2 cycles after its last `keep`
    input  logic [offload::LengthWidth-1:0] release_bytes,
    output logic                            out_valid,
    input  logic                            out_pop,
    output logic [offload::BeatWidth-1:0]   out_data,
    output logic                            corrected      // a flipped bit was found in the beat that becomes out_data
);
    localparam int Bits = $clog2(map::HoldBeats);
    localparam int LargestCopy = offload::MaxCopy / offload::BeatBytes;
    localparam int OnTheWay = 24;         // beats that the stages in front can hold, rounded up
    localparam int Width = offload::BeatWidth;
    localparam int CheckBits = Width / 32 + 32;

    if (!offload::allowed(map::HoldBeats, map::HoldBeatsLeast, map::HoldBeatsMost)) begin : g_size
        $error("hold_beats = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::HoldBeats, map::HoldBeatsLeast, map::HoldBeatsMost);
    end

    logic [CheckBits+Width-1:0] memory [map::HoldBeats];
    logic [CheckBits+Width-1:0] raw;
    logic [CheckBits-1:0] check;
    logic [Width-1:0] word;
    // Pointers: `next` is where the next beat goes, `start` where the copy begins that is entering, `visible` the end of
    // the copies that are released, `fetched` the next beat to read, and `limit` where `next` must stop.
    logic [Bits:0] next, start, visible, fetched, used, limit;
    logic [Bits-1:0] place;
    logic write, raw_valid, fetch, take, flipped;

    assign used  = next - fetched;
    // Only HoldBeats - 1 places are used, so that the fifo `copies`, which has a memory of HoldBeats words, cannot
    // overflow: every copy has at least one beat, and besides the copies in this memory one is being sent and two have
    // their beat in `raw` and `out_data`. The fifo, too, has room for two outside its memory.
    // No beat enters without room, so `next` stops at `limit`.
    assign room  = next != limit;
    assign take  = raw_valid && (!out_valid || out_pop);
    assign fetch = visible != fetched && (!raw_valid || take);

    protect #(
        .Width(Width)
    ) protect (
        .valid(write), .word(in_data), .check
    );
    correct #(
        .Width(Width)
    ) correct (
        .valid(raw_valid), .word(raw[Width-1:0]), .check(raw[Width +: CheckBits]), .corrected(word), .flipped
    );
    assign corrected = take && flipped;

    always_ff @(posedge clk) begin
        place <= next[Bits-1:0];
        write <= keep;
        if (cancel) next <= start;
        else if (keep) next <= next + 1'b1;
        if (commit) start <= next + (Bits + 1)'(keep);
        if (write) memory[place] <= {check, in_data};

        if (release_copy) begin
            visible <= visible + (Bits + 1)'((release_bytes + offload::LengthWidth'(offload::BeatBytes - 1)) >>
                                             $clog2(offload::BeatBytes));
        end
        if (fetch) begin
            raw     <= memory[fetched[Bits-1:0]];
            fetched <= fetched + 1'b1;
            limit   <= limit + 1'b1;
        end
        if (take) out_data <= word;
        raw_valid   <= fetch || (raw_valid && !take);
        out_valid   <= take || (out_valid && !out_pop);
        mirror_room <= used <= (Bits + 1)'(map::HoldBeats - LargestCopy - OnTheWay);
        if (rst) begin
            next        <= '0;
            start       <= '0;
            visible     <= '0;
            fetched     <= '0;
            limit       <= (Bits + 1)'(map::HoldBeats - 1);
            write       <= 1'b0;
            raw_valid   <= 1'b0;
            out_valid   <= 1'b0;
            mirror_room <= 1'b0;
        end
    end

`ifdef FORMAL
    always_ff @(posedge clk) begin
        if (!rst && keep && !cancel) fits: assert (room);
        if (!rst) in_order: assert (used < (Bits + 1)'(map::HoldBeats));
        if (!rst) one_free: assert (limit == fetched + (Bits + 1)'(map::HoldBeats - 1));
    end
`endif
endmodule
