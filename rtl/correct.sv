// SPDX-License-Identifier: Apache-2.0
// Corrects a flipped bit of a word by the check bits that `protect` made for it (T4). The flipped bit is the one whose
// row and whose column both have the wrong parity. Combinational.
module correct #(
    parameter int Width = 512,
    parameter int Columns = 32,
    parameter int Rows = (Width + Columns - 1) / Columns
) (
    input  logic                    valid,
    input  logic [Width-1:0]        word,
    input  logic [Rows+Columns-1:0] check,
    output logic [Width-1:0]        corrected,
    output logic                    flipped      // a bit of word or check is flipped
);
    logic [Rows+Columns-1:0] found, wrong;
    logic [Rows*Columns-1:0] grid;

    protect #(
        .Width(Width), .Columns(Columns)
    ) again (
        .valid, .word, .check(found)
    );
    assign wrong   = valid ? found ^ check : '0;
    assign flipped = wrong != '0;

    always_comb begin
        grid = (Rows * Columns)'(word);
        for (int i = 0; i < Rows; i++) begin
            if (wrong[Columns+i]) grid[Columns*i +: Columns] = grid[Columns*i +: Columns] ^ wrong[Columns-1:0];
        end
        corrected = grid[Width-1:0];
    end
endmodule
