// SPDX-License-Identifier: Apache-2.0
// Session entries (T3) in two parts: the length limits, which are read for all slots at once beside the rules, and
// the outer header's fields, which are read for the slot that accepted. Each read gives its word a cycle later and
// meets the old word where a write goes to the same entry.
module session_table (
    input  logic                                         clk,
    input  logic                                         write_cut,
    input  logic                                         write_outer,
    input  logic [offload::SessionBits-1:0]              write_index,
    input  offload::cut_t                                write_cut_word,
    input  offload::outer_t                              write_outer_word,
    input  logic [map::Slots-1:0]                        read_cut,
    input  logic [map::Slots*offload::SessionBits-1:0]   read_cut_index,
    output logic [map::Slots*offload::CutWidth-1:0]      cut,
    input  logic                                         read_outer,
    input  logic [offload::SessionBits-1:0]              read_outer_index,
    output offload::outer_t                              outer
);

    for (genvar i = 0; i < map::Slots; i++) begin : g_slot
        logic [offload::CutWidth-1:0] memory [map::Sessions];
        logic [offload::CutWidth-1:0] word;
        assign cut[i*offload::CutWidth +: offload::CutWidth] = word;

        always_ff @(posedge clk) begin
            if (read_cut[i]) word <= memory[read_cut_index[i*offload::SessionBits +: offload::SessionBits]];
            if (write_cut) memory[write_index] <= write_cut_word;
        end
    end

    logic [$bits(write_outer_word)-1:0] memory [map::Sessions];

    always_ff @(posedge clk) begin
        if (read_outer) outer <= memory[read_outer_index];
        if (write_outer) memory[write_index] <= write_outer_word;
    end
endmodule
