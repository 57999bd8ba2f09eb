// SPDX-License-Identifier: Apache-2.0
// Two-entry stream register: cuts the path from out_ready back to in_ready at full throughput, latency 1 cycle.
// Contract of every stream in this design: valid never waits for ready; while valid && !ready the beat holds still.
module stream_register #(
    parameter int Width = 8
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [Width-1:0] in_beat,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [Width-1:0] out_beat
);
    logic [Width-1:0] spare;
    logic spare_valid;

    assign in_ready = !spare_valid;

    always_ff @(posedge clk) begin
        if (out_ready || !out_valid) begin
            if (spare_valid) out_beat <= spare;
            else if (in_valid) out_beat <= in_beat;
            out_valid   <= spare_valid || in_valid;
            spare_valid <= 1'b0;
        end else if (in_valid && in_ready) begin
            spare       <= in_beat;
            spare_valid <= 1'b1;
        end
        if (rst) begin
            out_valid   <= 1'b0;
            spare_valid <= 1'b0;
        end
    end

`ifdef FORMAL
    logic past = 1'b0;
    always_ff @(posedge clk) begin
        past <= 1'b1;
        if (past && !$past(rst) && $past(out_valid && !out_ready)) begin
            holds: assert (out_valid && $stable(out_beat));
        end
    end
`endif
endmodule
