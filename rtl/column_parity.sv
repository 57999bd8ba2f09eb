// SPDX-License-Identifier: Apache-2.0
// Parity of a table word in Columns interleaved groups: bit i is in group i modulo Columns. It finds an odd number of
// flipped bits in a group, and so any burst of up to Columns neighbouring bits (T4). It corrects nothing: it is for
// tables that are read while the frame can still be left out. Combinational.
// The last row, if it is incomplete, is added by itself. The word is not extended to whole rows, because Verilator would
// copy it for that.
module column_parity #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input  logic               valid,
    input  logic [Width-1:0]   word,
    output logic [Columns-1:0] parity
);
    localparam int Rows = Width / Columns;        // complete ones
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
