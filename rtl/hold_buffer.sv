// SPDX-License-Identifier: Apache-2.0
// Holds the kept beats of copies whose length or checksum is not known yet, and of copies that wait for the output.
// Beats enter one a cycle and can be forgotten until their copy is committed; the reader sees them when `release_copy`
// announces its length, in order, first word fall through. It never refuses: the writer watches `room`.
module hold_buffer (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            keep,          // a beat is taken; its data comes a cycle later
    input  logic                            commit,
    input  logic                            cancel,
    input  logic [offload::BeatWidth-1:0]   in_data,       // a cycle after `keep`
    output logic                            room,          // for one more beat
    output logic                            mirror_room,   // for one more frame, whatever is on its way (I4)
    input  logic                            release_copy,
    input  logic [offload::LengthWidth-1:0] release_bytes,
    output logic                            out_valid,
    input  logic                            out_pop,
    output logic [offload::BeatWidth-1:0]   out_data
);
    localparam int Bits = $clog2(map::HoldBeats);
    localparam int LargestCopy = offload::MaxCopy / offload::BeatBytes;
    localparam int OnTheWay = 24;         // beats that the stages in front can hold, rounded up

    logic [offload::BeatWidth-1:0] memory [map::HoldBeats];
    logic [Bits:0] next, start, visible, fetched, used;
    logic [Bits-1:0] place;
    logic write, fetch;

    assign used  = next - fetched;
    // The last place stays free: while one copy is sent and the next one's only beat is in `out_data`, no more than
    // HoldBeats copies wait behind them.
    assign room  = used < (Bits + 1)'(map::HoldBeats - 1);
    assign fetch = visible != fetched && (!out_valid || out_pop);

    always_ff @(posedge clk) begin
        place <= next[Bits-1:0];
        write <= keep;
        if (cancel) next <= start;
        else if (keep) next <= next + 1'b1;
        if (commit) start <= next + (Bits + 1)'(keep);
        if (write) memory[place] <= in_data;

        if (release_copy) begin
            visible <= visible + (Bits + 1)'((release_bytes + offload::LengthWidth'(offload::BeatBytes - 1)) >>
                                             $clog2(offload::BeatBytes));
        end
        if (fetch) begin
            out_data <= memory[fetched[Bits-1:0]];
            fetched  <= fetched + 1'b1;
        end
        out_valid   <= fetch || (out_valid && !out_pop);
        mirror_room <= used <= (Bits + 1)'(map::HoldBeats - LargestCopy - OnTheWay);
        if (rst) begin
            next        <= '0;
            start       <= '0;
            visible     <= '0;
            fetched     <= '0;
            write       <= 1'b0;
            out_valid   <= 1'b0;
            mirror_room <= 1'b0;
        end
    end

`ifdef FORMAL
    always_ff @(posedge clk) begin
        if (!rst && keep && !cancel) fits: assert (room);
        if (!rst) in_order: assert (used <= (Bits + 1)'(map::HoldBeats));
    end
`endif
endmodule
