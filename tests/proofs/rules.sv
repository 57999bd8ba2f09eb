// SPDX-License-Identifier: Apache-2.0
// Proof of `match_rules`: a rule matches a frame's key if and only if everything that the rule names matches (P11). Rules and
// keys have any values. Each rule is encoded in the list as package offload says (cidr_t, fields_t, marks_t), with any parity.
module proof (
    input logic                                     clk,
    input logic                                     in_valid,
    input offload::key_t                            in_key,
    input logic [map::Rules*offload::RuleWidth-1:0] rules,
    input logic [2*map::Rules-1:0]                  parities,
    input logic                                     amazon_dns
);
    // Encodes a CIDR. A prefix covers the upper bits of the address. Bit i is below bit i+32 in its column. The first bit of a
    // column that is not covered holds a 1, and those below it 0; `whole` has a 1 for each column that is covered to its end.
    function automatic logic [127:0] covered_by(input logic [7:0] prefix);
        covered_by = prefix >= 8'd128 ? '1 : ~({128{1'b1}} >> prefix[6:0]);
    endfunction

    function automatic offload::cidr_t held(input logic [127:0] address, input logic [127:0] covered);
        for (int i = 0; i < 128; i++) held[32+i] = covered[i] ? address[i] : i >= 96 || covered[i < 96 ? i + 32 : i];
        held[31:0] = covered[31:0];
    endfunction

    logic [offload::FilterWidth-1:0] list;
    logic [map::Rules-1:0] match, accept;
    logic [127:0] source, destination;    // covered bits
    offload::rule_t rule;
    always_comb begin
        list[offload::ListWidth +: 2] = {2{amazon_dns}};
        for (int i = 0; i < map::Rules; i++) begin
            rule        = rules[offload::RuleWidth*i +: offload::RuleWidth];
            source      = covered_by(rule.source_prefix);
            destination = covered_by(rule.destination_prefix);
            list[offload::fields_at(i) +: offload::FieldsWidth] =
                {rule.destination_port_to, rule.destination_port_from, rule.source_port_to, rule.source_port_from,
                 held(rule.destination, destination), held(rule.source, source)};
            list[offload::marks_at(i) +: offload::MarksWidth] =
                {parities[2*i +: 2], rule.protocol, rule.has_destination_ports, rule.has_source_ports, rule.has_protocol,
                 rule.v6, rule.accept, rule.valid};
            accept[i] = rule.accept;
            match[i]  = rule.valid && rule.v6 == in_key.v6 &&
                        ((rule.source ^ in_key.source) & source) == '0 &&
                        ((rule.destination ^ in_key.destination) & destination) == '0 &&
                        (!rule.has_protocol || (in_key.protocol_known && in_key.protocol == rule.protocol)) &&
                        (!rule.has_source_ports || (in_key.has_ports && in_key.source_port >= rule.source_port_from &&
                                                    in_key.source_port <= rule.source_port_to)) &&
                        (!rule.has_destination_ports || (in_key.has_ports &&
                                                         in_key.destination_port >= rule.destination_port_from &&
                                                         in_key.destination_port <= rule.destination_port_to));
        end
    end

    logic out_valid, out_dns;
    logic [map::Rules-1:0] out_match, out_accept;
    match_rules dut (
        .clk, .in_valid, .in_key, .in_filter(list), .out_valid, .out_dns, .out_match, .out_accept
    );

    logic [map::Rules-1:0] expected_match, expected_accept;
    logic expected, expected_dns;
    logic started = 1'b0;
    always_ff @(posedge clk) begin
        started         <= 1'b1;
        expected        <= in_valid;
        expected_match  <= match;
        expected_accept <= accept;
        expected_dns    <= amazon_dns;
    end

    always_ff @(posedge clk) if (started) begin
        in_time:   assert (out_valid == expected);
        each_rule: assert (!expected || out_match == expected_match);
        accepts:   assert (!expected || (out_accept == expected_accept && out_dns == expected_dns));
        reached:   cover (expected && out_match == '1);
    end
endmodule
