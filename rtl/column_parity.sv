// SPDX-License-Identifier: Apache-2.0
// Parity of a table word in Columns interleaved groups, to find flipped bits where a frame can still be left alone
// (T4): any odd number in a group, so any burst of up to Columns bits. Combinational. The rows are taken in parts, and
// straight from the word: Verilator does not unroll long loops, and copies a wide word that is extended a row at a time.
module column_parity #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input  logic               valid,
    input  logic [Width-1:0]   word,
    output logic [Columns-1:0] parity
);
    localparam int PartRows = 32;
    localparam int Rows = Width / Columns;        // whole ones
    localparam int Rest = Width % Columns;
    localparam int Parts = (Rows + PartRows - 1) / PartRows;
    logic [Columns-1:0] rest;
    logic [Parts*Columns-1:0] parts;

    for (genvar i = 0; i < Parts; i++) begin : g_part
        localparam int Here = Rows - i * PartRows < PartRows ? Rows - i * PartRows : PartRows;
        logic [Columns-1:0] part;
        assign parts[i*Columns +: Columns] = part;
        always_comb begin
            part = '0;
            if (valid) begin
                for (int j = 0; j < Here; j++) part = part ^ word[(i*PartRows+j)*Columns +: Columns];
            end
        end
    end

    if (Rest != 0) begin : g_rest
        assign rest = valid ? Columns'(word[Width-1 -: Rest]) : '0;
    end else begin : g_no_rest
        assign rest = '0;
    end

    always_comb begin
        parity = rest;
        for (int i = 0; i < Parts; i++) parity = parity ^ parts[i*Columns +: Columns];
    end
endmodule
