// SPDX-License-Identifier: Apache-2.0
// Proof of `protect` and `correct`: a word with one flipped bit, in the word or its check bits, comes out as it was written,
// and the flip is reported. A word without a flipped bit is not changed. Proved for the widths of all memories that are
// corrected in line.
module one_width #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input logic [Width-1:0] word,
    input logic [9:0]       place
);
    localparam int CheckBits = (Width + Columns - 1) / Columns + Columns;
    logic [CheckBits-1:0] check;
    logic [CheckBits+Width-1:0] flip;
    logic [Width-1:0] corrected;
    logic flipped;

    always_comb begin
        for (int i = 0; i < CheckBits + Width; i++) flip[i] = place == 10'(i);
    end

    protect #(
        .Width(Width), .Columns(Columns)
    ) protect (
        .valid(1'b1), .word, .check
    );
    correct #(
        .Width(Width), .Columns(Columns)
    ) correct (
        .valid(1'b1), .word(word ^ flip[Width-1:0]), .check(check ^ flip[Width +: CheckBits]), .corrected, .flipped
    );
    always_comb begin
        same: assert (corrected == word);
        seen: assert (flipped == (place < 10'(CheckBits + Width)));
    end
endmodule

module proof (
    input logic         clk,
    input logic [522:0] word,
    input logic [9:0]   place
);
    one_width #(.Width(512)) beat (.word(word[511:0]), .place);
    one_width #(.Width(523)) delayed (.word(word[522:0]), .place);
    one_width #(.Width(433)) copy (.word(word[432:0]), .place);
    one_width #(.Width(398)) outer (.word(word[397:0]), .place);
    one_width #(.Width(64), .Columns(8)) ending (.word(word[63:0]), .place);
    one_width #(.Width(1), .Columns(1)) fate (.word(word[0]), .place);
    always_comb reached: cover (place == 10'd522 && &word);
endmodule
