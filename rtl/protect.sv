// SPDX-License-Identifier: Apache-2.0
// Check bits of a word that is kept in a memory (T4): it lies in rows of Columns bits, and each row and each column
// has a parity bit. A flipped data bit breaks one of each, which says where it is; a flipped check bit breaks one
// alone. Rows + Columns bits where a Hamming code has fewer, for a third of its logic. Combinational.
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
