// SPDX-License-Identifier: Apache-2.0
// Counters of all session entries in a memory. One update a cycle, also when one entry is hit on every cycle; latency of
// an update 2 cycles. A snapshot starts a new epoch. The first update of an entry in an epoch saves the entry's old
// counters, so that a reader sees the values of the snapshot's cycle while counting goes on.
module session_counters #(
    parameter int Counters = 2            // 64 bits each
) (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            add,
    input  logic [offload::SessionBits-1:0] add_index,
    input  logic [Counters*offload::FrameWidth-1:0] add_amounts,
    input  logic                            clear,         // an entry starts at 0
    input  logic [offload::SessionBits-1:0] clear_index,
    input  logic                            snapshot,
    input  logic [offload::SessionBits-1:0] read_index,
    output logic [64*Counters-1:0]          read_values    // as of the last snapshot, 3 cycles behind read_index
);
    localparam int EpochBits = 48;        // a snapshot each microsecond lasts 8.9 years
    localparam int Width = EpochBits + 64 * Counters;

    if (!offload::allowed(map::Sessions, map::SessionsLeast, map::SessionsMost)) begin : g_size
        $error("sessions = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::Sessions, map::SessionsLeast, map::SessionsMost);
    end

    logic [Width-1:0] memory [map::Sessions];
    logic [64*Counters-1:0] saved [map::Sessions];
    logic [EpochBits-1:0] epoch, next_epoch;
    assign next_epoch = epoch + EpochBits'(snapshot);   // an update in the snapshot's own cycle has it

    // Clearing is lazy: a clear does not write the counters. An entry reads as 0, and starts at 0 with its next update, if
    // no update has touched its row since reset, or if its bits in `cleared` and `updated` differ. A clear inverts the bit
    // in `cleared`, the next update the bit in `updated`, so each of these two memories needs one write port only.
    localparam int Columns = 16;
    localparam int ColumnBits = $clog2(Columns);
    localparam int Rows = map::Sessions / Columns;
    localparam int RowBits = $clog2(Rows);
    logic [Columns-1:0] cleared [Rows];
    logic [Columns-1:0] updated [Rows];
    logic [Rows-1:0] touched;
    logic [RowBits-1:0] clear_row, row2, read_row;
    logic [ColumnBits-1:0] clear_column, column2, read_column;
    logic clear_zero, zero2;
    logic [offload::SessionBits-1:0] index1, index2;   // of the update, see below
    assign {clear_row, clear_column} = clear_index;
    assign {row2, column2}           = index2;
    assign {read_row, read_column}   = read_index;
    assign clear_zero = !touched[clear_row] || (cleared[clear_row][clear_column] ^ updated[clear_row][clear_column]);
    assign zero2      = !touched[row2] || (cleared[row2][column2] ^ updated[row2][column2]);

    // Update: 1 read, 2 add and write.
    logic add1, add2, again2;
    logic [Counters*offload::FrameWidth-1:0] amounts1, amounts2;
    logic [EpochBits-1:0] epoch1, epoch2;
    logic [Width-1:0] word2, written, old, new_word;

    always_comb begin
        old = again2 ? written : word2;
        new_word[Width-1 -: EpochBits] = epoch2;
        for (int i = 0; i < Counters; i++) begin
            new_word[64*i +: 64] = (zero2 ? 64'd0 : old[64*i +: 64]) +
                                   64'(amounts2[offload::FrameWidth*i +: offload::FrameWidth]);
        end
    end

    // Read.
    logic [Width-1:0] read_word;
    logic [64*Counters-1:0] read_saved;
    logic read_zero;

    always_ff @(posedge clk) begin
        epoch <= next_epoch;

        add1 <= add;
        if (add) begin
            index1   <= add_index;
            amounts1 <= add_amounts;
            epoch1   <= next_epoch;
        end
        add2   <= add1;
        again2 <= add1 && add2 && index1 == index2;
        if (add1) begin
            index2   <= index1;
            amounts2 <= amounts1;
            epoch2   <= epoch1;
            word2    <= memory[index1];
        end
        if (add2) begin
            written        <= new_word;
            memory[index2] <= new_word;
            if (zero2 || old[Width-1 -: EpochBits] != epoch2) saved[index2] <= zero2 ? '0 : old[64*Counters-1:0];
            // The entry's bits become equal, unless it is cleared in this cycle.
            if (zero2) begin
                updated[row2] <= (touched[row2] ? updated[row2] : ~cleared[row2]) ^
                                 (clear && clear_index == index2 ? '0 : Columns'(1) << column2);
            end
            touched[row2] <= 1'b1;
        end
        if (clear && !clear_zero) cleared[clear_row] <= cleared[clear_row] ^ Columns'(1) << clear_column;

        read_word  <= memory[read_index];
        read_saved <= saved[read_index];
        read_zero  <= !touched[read_row] || (cleared[read_row][read_column] ^ updated[read_row][read_column]);
        if (read_zero) read_values <= '0;
        else read_values <= read_word[Width-1 -: EpochBits] == epoch ? read_saved : read_word[64*Counters-1:0];

        if (rst) begin
            touched <= '0;
            epoch   <= '0;
            add1    <= 1'b0;
            add2    <= 1'b0;
        end
    end
endmodule
