// SPDX-License-Identifier: Apache-2.0
// Compares a frame's key with every rule of one slot's filter at once (P11). Latency 1 cycle. The guards stand in
// each rule, so that a rule that is not there, or is of the other IP version, costs nothing in simulation.
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
    // The bits of two addresses' word that a prefix covers are equal; `bits_before` bits stand in front of the word.
    function automatic logic same(input logic [31:0] a, input logic [31:0] b, input logic [7:0] prefix,
                                  input logic [7:0] bits_before);
        logic [7:0] covered;
        covered = prefix - bits_before;
        same = prefix <= bits_before || ((a ^ b) & (covered >= 8'd32 ? '1 : ~(32'hffff_ffff >> covered[4:0]))) == '0;
    endfunction

    offload::rule_t rule;
    logic [map::Rules-1:0] match, accept;

    always_comb begin
        rule   = '0;
        match  = '0;
        accept = '0;
        if (in_valid) begin
            for (int i = 0; i < map::Rules; i++) begin
                rule      = in_filter[i*offload::RuleWidth +: offload::RuleWidth];
                accept[i] = rule.accept;
                if (rule.valid && rule.v6 == in_key.v6) begin
                    match[i] = same(in_key.source[127:96], rule.source[127:96], rule.source_prefix, 8'd0) &&
                               same(in_key.destination[127:96], rule.destination[127:96], rule.destination_prefix,
                                    8'd0) &&
                               (!rule.has_protocol || (in_key.protocol_known && rule.protocol == in_key.protocol)) &&
                               (!rule.has_source_ports ||
                                (in_key.has_ports && in_key.source_port >= rule.source_port_from &&
                                 in_key.source_port <= rule.source_port_to)) &&
                               (!rule.has_destination_ports ||
                                (in_key.has_ports && in_key.destination_port >= rule.destination_port_from &&
                                 in_key.destination_port <= rule.destination_port_to));
                    if (rule.v6) begin
                        match[i] = match[i] &&
                                   same(in_key.source[95:64], rule.source[95:64], rule.source_prefix, 8'd32) &&
                                   same(in_key.source[63:32], rule.source[63:32], rule.source_prefix, 8'd64) &&
                                   same(in_key.source[31:0], rule.source[31:0], rule.source_prefix, 8'd96) &&
                                   same(in_key.destination[95:64], rule.destination[95:64], rule.destination_prefix,
                                        8'd32) &&
                                   same(in_key.destination[63:32], rule.destination[63:32], rule.destination_prefix,
                                        8'd64) &&
                                   same(in_key.destination[31:0], rule.destination[31:0], rule.destination_prefix,
                                        8'd96);
                    end
                end
            end
        end
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
