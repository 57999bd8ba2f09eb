// SPDX-License-Identifier: Apache-2.0
// First-word-fall-through FIFO on a block RAM: a word that is pushed in cycle t can be popped in cycle t + 2; one
// push and one pop a cycle. It has no full flag: the caller knows that no more than Depth words are ever inside.
module fifo #(
    parameter int Width = 8,
    parameter int Depth = 512
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    input  logic [Width-1:0] in_word,
    output logic             out_valid,
    input  logic             out_pop,
    output logic [Width-1:0] out_word
);
    localparam int Bits = $clog2(Depth);
    logic [Width-1:0] memory [Depth];
    logic [Bits:0] written, fetched;
    logic fetch;

    assign fetch = written != fetched && (!out_valid || out_pop);

    always_ff @(posedge clk) begin
        if (in_valid) begin
            memory[written[Bits-1:0]] <= in_word;
            written <= written + 1'b1;
        end
        if (fetch) begin
            out_word <= memory[fetched[Bits-1:0]];
            fetched  <= fetched + 1'b1;
        end
        out_valid <= fetch || (out_valid && !out_pop);
        if (rst) begin
            written   <= '0;
            fetched   <= '0;
            out_valid <= 1'b0;
        end
    end

`ifdef FORMAL
    always_ff @(posedge clk) begin
        if (!rst && in_valid) fits: assert (written - fetched < (Bits + 1)'(Depth));
    end
`endif
endmodule
