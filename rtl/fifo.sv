// SPDX-License-Identifier: Apache-2.0
// First-word-fall-through FIFO on a block RAM. A word that is pushed in cycle t can be popped in cycle t + 3; one push
// and one pop a cycle. A flipped bit of a word is corrected on the way out (T4).
// There is no full flag: the caller must know by itself that the memory never holds more than Depth words. Two more can
// be on their way out, in `raw` and `out_word`.
module fifo #(
    parameter int Width = 8,
    parameter int Depth = 512,
    parameter int Columns = 32            // of the grid that the check bits are for, see protect
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    input  logic [Width-1:0] in_word,
    output logic             out_valid,
    input  logic             out_pop,
    output logic [Width-1:0] out_word,
    output logic             corrected    // a flipped bit was found in the word that becomes out_word
);
    localparam int Bits = $clog2(Depth);
    localparam int CheckBits = (Width + Columns - 1) / Columns + Columns;

    if (!offload::allowed(Depth, 4, 65536)) begin : g_size
        $error("the Depth of a fifo, %0d, is not allowed; it may be a power of two from 4 to 65536", Depth);
    end

    logic [CheckBits+Width-1:0] memory [Depth];
    logic [CheckBits+Width-1:0] raw;
    logic [CheckBits-1:0] check;
    logic [Width-1:0] word;
    logic [Bits:0] written, fetched;
    logic raw_valid, fetch, take, flipped;

    assign take  = raw_valid && (!out_valid || out_pop);
    assign fetch = written != fetched && (!raw_valid || take);

    protect #(
        .Width(Width), .Columns(Columns)
    ) protect (
        .valid(in_valid), .word(in_word), .check
    );
    correct #(
        .Width(Width), .Columns(Columns)
    ) correct (
        .valid(raw_valid), .word(raw[Width-1:0]), .check(raw[Width +: CheckBits]), .corrected(word), .flipped
    );
    assign corrected = take && flipped;

    always_ff @(posedge clk) begin
        if (in_valid) begin
            memory[written[Bits-1:0]] <= {check, in_word};
            written <= written + 1'b1;
        end
        if (fetch) begin
            raw     <= memory[fetched[Bits-1:0]];
            fetched <= fetched + 1'b1;
        end
        if (take) out_word <= word;
        raw_valid <= fetch || (raw_valid && !take);
        out_valid <= take || (out_valid && !out_pop);
        if (rst) begin
            written   <= '0;
            fetched   <= '0;
            raw_valid <= 1'b0;
            out_valid <= 1'b0;
        end
    end

`ifdef FORMAL
    always_ff @(posedge clk) begin
        if (!rst && in_valid) fits: assert (written - fetched < (Bits + 1)'(Depth));
    end
`endif
endmodule
