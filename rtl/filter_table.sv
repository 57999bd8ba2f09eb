// SPDX-License-Identifier: Apache-2.0
// The filter table of one slot. A word is the whole rule list of one direction with the filter's network service, so
// that all rules are compared at once and one write replaces a list. One read a cycle; the word comes a cycle later, and
// with it whether it is faulty (T4). A read and a write of one address in one cycle: the read gives the old word.
module filter_table (
    input  logic                            clk,
    input  logic                            write,
    input  logic [offload::FilterBits:0]    write_address,   // filter, then 1 for egress
    input  logic [offload::FilterWidth-1:0] write_word,
    input  logic                            read,
    input  logic [offload::FilterBits:0]    read_address,
    output logic [offload::FilterWidth-1:0] out_word,        // amazon-dns on top, twice; then the rule list
    input  logic                            check,           // out_word is used: look whether it is faulty
    output logic                            out_faulty
);
    if (!offload::allowed(map::Filters, map::FiltersLeast, map::FiltersMost)) begin : g_size
        $error("filters = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::Filters, map::FiltersLeast, map::FiltersMost);
    end

    logic [offload::FilterWidth-1:0] memory [2*map::Filters];

    always_ff @(posedge clk) begin
        if (read) out_word <= memory[read_address];
        if (write) memory[write_address] <= write_word;
    end

    list_parity parity (
        .valid(check), .word(out_word), .faulty(out_faulty)
    );
endmodule
