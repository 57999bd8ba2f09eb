// SPDX-License-Identifier: Apache-2.0
// Parity of a table word in Columns interleaved groups, to find flipped bits where a frame can still be left alone
// (T4): any odd number in a group, so any burst of up to Columns bits. Combinational. The rows are taken in parts,
// since Verilator does not unroll long loops, and a loop over a wide word costs it a copy of the word a round.
module column_parity #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input  logic               valid,
    input  logic [Width-1:0]   word,
    output logic [Columns-1:0] parity
);
    localparam int PartRows = 32;
    localparam int Parts = (Width + PartRows * Columns - 1) / (PartRows * Columns);
    logic [Parts*PartRows*Columns-1:0] grid;
    logic [Parts*Columns-1:0] parts;

    assign grid = (Parts * PartRows * Columns)'(word);

    for (genvar i = 0; i < Parts; i++) begin : g_part
        logic [Columns-1:0] part;
        assign parts[i*Columns +: Columns] = part;
        always_comb begin
            part = '0;
            if (valid) begin
                for (int j = 0; j < PartRows; j++) part = part ^ grid[(i*PartRows+j)*Columns +: Columns];
            end
        end
    end

    always_comb begin
        parity = '0;
        for (int i = 0; i < Parts; i++) parity = parity ^ parts[i*Columns +: Columns];
    end
endmodule
