// SPDX-License-Identifier: Apache-2.0
// Makes the check bits of a word that is kept in a memory, so that `correct` can correct a flipped bit (T4). The word is
// laid out in rows of Columns bits, and each row and each column has a parity bit. A flipped data bit breaks the parity of
// one row and one column, which says where it is. A flipped check bit breaks one parity alone. A Hamming code has fewer
// check bits, but takes three times the logic. Combinational.
module protect #(
    parameter int Width = 512,
    parameter int Columns = 32,
    parameter int Rows = (Width + Columns - 1) / Columns
) (
    input  logic                    valid,
    input  logic [Width-1:0]        word,
    output logic [Rows+Columns-1:0] check    // the rows on top
);
    logic [Rows*Columns-1:0] grid;

    assign grid = (Rows * Columns)'(word);

    always_comb begin
        check = '0;
        if (valid) begin
            for (int i = 0; i < Rows; i++) begin
                check[Columns+i]    = ^grid[Columns*i +: Columns];
                check[Columns-1:0] = check[Columns-1:0] ^ grid[Columns*i +: Columns];
            end
        end
    end
endmodule
