// SPDX-License-Identifier: Apache-2.0
// Session entries (T3) in two parts: the length limits, which are read for all slots at once while the rules are compared,
// and the outer header's fields, which are read for the slot that accepted. The word comes a cycle after the read. A read
// and a write of one entry in one cycle: the read gives the old word.
// A flipped bit (T4) of the limits shows as `cut_faulty`, and the copy is given up. One of the header's fields is corrected
// in line, because the copy may be complete already when they are read.
module session_table (
    input  logic                                         clk,
    input  logic                                         write_cut,
    input  logic                                         write_outer,
    input  logic [offload::SessionBits-1:0]              write_index,
    input  offload::cut_t                                write_cut_word,
    input  offload::outer_t                              write_outer_word,
    input  logic [offload::SumWidth-1:0]                 write_sum,     // of the header's fields, see header_sum
    input  logic [map::Slots-1:0]                        read_cut,
    input  logic [map::Slots*offload::SessionBits-1:0]   read_cut_index,
    output logic [map::Slots*offload::CutWidth-1:0]      cut,
    input  logic [map::Slots-1:0]                        check_cut,     // the slot's limits are used: look at their parity
    output logic [map::Slots-1:0]                        cut_faulty,
    input  logic                                         read_outer,
    input  logic [offload::SessionBits-1:0]              read_outer_index,
    output offload::outer_t                              outer,
    output logic [offload::SumWidth-1:0]                 sum,
    output logic                                         outer_corrected
);
    localparam int CutParity = 4;
    if (!offload::allowed(map::Sessions, map::SessionsLeast, map::SessionsMost)) begin : g_size
        $error("sessions = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::Sessions, map::SessionsLeast, map::SessionsMost);
    end

    logic [CutParity-1:0] write_parity;

    column_parity #(
        .Width(offload::CutWidth), .Columns(CutParity)
    ) cut_parity (
        .valid(write_cut), .word(write_cut_word), .parity(write_parity)
    );

    for (genvar i = 0; i < map::Slots; i++) begin : g_slot
        logic [CutParity+offload::CutWidth-1:0] memory [map::Sessions];
        logic [CutParity+offload::CutWidth-1:0] word;
        logic [CutParity-1:0] parity;
        assign cut[i*offload::CutWidth +: offload::CutWidth] = word[offload::CutWidth-1:0];
        assign cut_faulty[i] = check_cut[i] && parity != word[offload::CutWidth +: CutParity];

        column_parity #(
            .Width(offload::CutWidth), .Columns(CutParity)
        ) found (
            .valid(check_cut[i]), .word(word[offload::CutWidth-1:0]), .parity
        );
        always_ff @(posedge clk) begin
            if (read_cut[i]) word <= memory[read_cut_index[i*offload::SessionBits +: offload::SessionBits]];
            if (write_cut) memory[write_index] <= {write_parity, write_cut_word};
        end
    end

    localparam int Width = $bits(write_outer_word) + offload::SumWidth;
    localparam int CheckBits = (Width + 31) / 32 + 32;
    logic [CheckBits+Width-1:0] memory [map::Sessions];
    logic [CheckBits+Width-1:0] word;
    logic [CheckBits-1:0] check;
    logic outer_valid;

    protect #(
        .Width(Width)
    ) protect (
        .valid(write_outer), .word({write_sum, write_outer_word}), .check
    );
    correct #(
        .Width(Width)
    ) correct (
        .valid(outer_valid), .word(word[Width-1:0]), .check(word[Width +: CheckBits]), .corrected({sum, outer}),
        .flipped(outer_corrected)
    );

    always_ff @(posedge clk) begin
        outer_valid <= read_outer;
        if (read_outer) word <= memory[read_outer_index];
        if (write_outer) memory[write_index] <= {check, write_sum, write_outer_word};
    end
endmodule
