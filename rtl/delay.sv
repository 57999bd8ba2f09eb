// SPDX-License-Identifier: Apache-2.0
// Delays beats by a fixed number of cycles in a small ring memory, so that a frame's beats meet its verdict.
module delay #(
    parameter int Cycles = 8
) (
    input  logic           clk,
    input  logic           rst,
    input  logic           in_valid,
    input  offload::beat_t in_beat,
    output logic           out_valid,
    output offload::beat_t out_beat,
    output logic           busy
);
    // The ring and its output register are Cycles together: a beat is read Cycles - 1 after it was written.
    localparam int Bits = $clog2(Cycles);
    logic [$bits(in_beat)-1:0] ring [2**Bits];
    logic [Cycles-2:0] waiting;
    logic [Bits-1:0] place, due;

    assign due  = place - Bits'(Cycles - 1);
    assign busy = waiting != '0 || out_valid;

    always_ff @(posedge clk) begin
        place     <= place + 1'b1;
        waiting   <= {waiting[Cycles-3:0], in_valid};
        out_valid <= waiting[Cycles-2];
        if (in_valid) ring[place] <= in_beat;
        if (waiting[Cycles-2]) out_beat <= ring[due];
        if (rst) begin
            place     <= '0;
            waiting   <= '0;
            out_valid <= 1'b0;
        end
    end
endmodule
