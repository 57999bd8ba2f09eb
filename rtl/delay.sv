// SPDX-License-Identifier: Apache-2.0
// Delays beats by a fixed number of cycles in a small ring memory, so that a frame's beats meet its verdict. A
// flipped bit is corrected on the way out (T4).
module delay #(
    parameter int Cycles = 7
) (
    input  logic           clk,
    input  logic           rst,
    input  logic           in_valid,
    input  offload::beat_t in_beat,
    output logic           out_valid,
    output offload::beat_t out_beat,
    output logic           corrected,    // a flipped bit was found in the beat that becomes out_beat
    output logic           busy
);
    // The output register takes one of the Cycles: a beat is read from the ring Cycles - 1 cycles after it was written.
    localparam int Bits = $clog2(Cycles);
    localparam int Width = $bits(in_beat);
    localparam int CheckBits = (Width + 31) / 32 + 32;

    logic [CheckBits+Width-1:0] ring [2**Bits];
    logic [CheckBits+Width-1:0] raw;
    logic [CheckBits-1:0] check;
    logic [Width-1:0] word;
    logic [Cycles-2:0] waiting;
    logic [Bits-1:0] place, due;
    logic leaves;

    assign due    = place - Bits'(Cycles - 1);
    assign leaves = waiting[Cycles-2];
    assign raw    = ring[due];
    assign busy   = waiting != '0 || out_valid;

    protect #(
        .Width(Width)
    ) protect (
        .valid(in_valid), .word(in_beat), .check
    );
    correct #(
        .Width(Width)
    ) correct (
        .valid(leaves), .word(raw[Width-1:0]), .check(raw[Width +: CheckBits]), .corrected(word), .flipped(corrected)
    );

    always_ff @(posedge clk) begin
        place     <= place + 1'b1;
        waiting   <= {waiting[Cycles-3:0], in_valid};
        out_valid <= leaves;
        if (in_valid) ring[place] <= {check, in_beat};
        if (leaves) out_beat <= word;
        if (rst) begin
            place     <= '0;
            waiting   <= '0;
            out_valid <= 1'b0;
        end
    end
endmodule
