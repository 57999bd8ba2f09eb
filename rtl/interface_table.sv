// SPDX-License-Identifier: Apache-2.0
// The interface table (T3): which filter and which session entry each slot of an interface has. One read a cycle; the
// word comes a cycle later, and with it whether it is faulty (T4). After reset every word is swept to invalid before
// `ready` (P25). Index map::Interfaces, one past the table, stands for every interface that has no session: it reads as
// an empty word (T1).
// A read and a write of one address in one cycle: the read gives the old word, because a frame that enters the lookup in
// the cycle of a commit must see the tables as they were before it (T2).
module interface_table (
    input  logic                              clk,
    input  logic                              rst,
    input  logic                              write,
    input  logic [offload::InterfaceBits-1:0] write_index,
    input  offload::interface_t               write_word,
    input  logic                              read,
    input  logic [offload::InterfaceBits:0]   read_index,
    output offload::interface_t               out_word,
    input  logic                              check,          // out_word is used: look whether it is faulty
    output logic                              out_faulty,
    output logic                              ready
);
    localparam int Width = $bits(write_word);
    localparam int Parity = 8;

    if (!offload::allowed(map::Interfaces, map::InterfacesLeast, map::InterfacesMost)) begin : g_size
        $error("interfaces = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::Interfaces, map::InterfacesLeast, map::InterfacesMost);
    end

    logic [Parity+Width-1:0] memory [map::Interfaces];
    logic [Parity+Width-1:0] word;
    logic [Parity-1:0] parity, found_parity;
    logic [offload::InterfaceBits:0] swept;
    logic empty;

    assign ready    = swept == (offload::InterfaceBits + 1)'(map::Interfaces);
    assign out_word = empty ? '0 : word[Width-1:0];

    column_parity #(
        .Width(Width), .Columns(Parity)
    ) written (
        .valid(ready && write), .word(write_word), .parity
    );
    column_parity #(
        .Width(Width), .Columns(Parity)
    ) found (
        .valid(check), .word(word[Width-1:0]), .parity(found_parity)
    );
    assign out_faulty = check && !empty && found_parity != word[Width +: Parity];

    // One write port: first the sweep has it, then the commits.
    always_ff @(posedge clk) begin
        if (!ready || write) begin
            memory[ready ? write_index : swept[offload::InterfaceBits-1:0]] <= ready ? {parity, write_word} : '0;
        end
        if (!ready) swept <= swept + 1'b1;
        if (read) begin
            word  <= memory[read_index[offload::InterfaceBits-1:0]];
            empty <= read_index >= (offload::InterfaceBits + 1)'(map::Interfaces);
        end
        if (rst) swept <= '0;
    end
endmodule
