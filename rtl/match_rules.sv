// SPDX-License-Identifier: Apache-2.0
// Compares a frame's key with every rule of one slot's filter at once (P11). Latency 1 cycle.
module match_rules (
    input  logic                            clk,
    input  logic                            in_valid,   // the slot is used
    input  offload::key_t                   in_key,
    input  logic [offload::FilterWidth-1:0] in_filter,
    output logic                            out_valid,
    output logic                            out_dns,    // network service amazon-dns
    output logic [map::Rules-1:0]           out_match,
    output logic [map::Rules-1:0]           out_accept
);
    logic [map::Rules-1:0] match, accept;

    for (genvar i = 0; i < map::Rules; i++) begin : g_rule
        localparam int Lsb = i * offload::RuleWidth;
        match_rule rule (
            .in_valid, .in_key, .in_rule(in_filter[Lsb +: offload::RuleWidth]), .out_match(match[i])
        );
        assign accept[i] = in_filter[Lsb+1];
    end

    always_ff @(posedge clk) begin
        out_valid <= in_valid;
        if (in_valid) begin
            out_dns    <= in_filter[offload::FilterWidth-1];
            out_match  <= match;
            out_accept <= accept;
        end
    end
endmodule
