// SPDX-License-Identifier: Apache-2.0
// Parity of a table word in Columns interleaved groups, to find flipped bits where a frame can still be left alone
// (T4): any odd number in a group, so any burst of up to Columns bits. Combinational.
module column_parity #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input  logic               valid,
    input  logic [Width-1:0]   word,
    output logic [Columns-1:0] parity
);
    localparam int Rows = (Width + Columns - 1) / Columns;
    logic [Rows*Columns-1:0] grid;

    assign grid = (Rows * Columns)'(word);

    always_comb begin
        parity = '0;
        if (valid) begin
            for (int i = 0; i < Rows; i++) parity = parity ^ grid[Columns*i +: Columns];
        end
    end
endmodule
