// SPDX-License-Identifier: Apache-2.0
// Parity of a table word in Columns interleaved groups, to find flipped bits where a frame can still be left alone
// (T4): any odd number in a group, so any burst of up to Columns bits. Combinational. The rows are taken straight from the
// word: Verilator copies a wide word that is extended a row at a time.
module column_parity #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input  logic               valid,
    input  logic [Width-1:0]   word,
    output logic [Columns-1:0] parity
);
    localparam int Rows = Width / Columns;        // whole ones
    localparam int Rest = Width % Columns;
    logic [Columns-1:0] rest;

    if (Rest != 0) begin : g_rest
        assign rest = Columns'(word[Width-1 -: Rest]);
    end else begin : g_no_rest
        assign rest = '0;
    end

    always_comb begin
        parity = '0;
        if (valid) begin
            parity = rest;
            for (int i = 0; i < Rows; i++) parity = parity ^ word[i*Columns +: Columns];
        end
    end
endmodule
