// SPDX-License-Identifier: Apache-2.0
// A rule of a list matches a frame's key if and only if all that it names does (P11). Rules and keys are free, and each rule
// stands in the list as `table_rule` says.
module proof (
    input logic                                      clk,
    input logic                                      in_valid,
    input offload::key_t                             in_key,
    input logic [map::Rules*offload::RuleWidth-1:0] rules,
    input logic [2*map::Rules-1:0]                   parities,
    input logic                                      amazon_dns
);
    logic [offload::FilterWidth-1:0] list;
    assign list[offload::ListWidth +: 2] = {2{amazon_dns}};
    for (genvar i = 0; i < map::Rules; i++) begin : g_rule
        table_rule held (
            .rule(rules[offload::RuleWidth*i +: offload::RuleWidth]),
            .fields(list[offload::fields_at(i) +: offload::FieldsWidth]),
            .marks(list[offload::marks_at(i) +: offload::MarksWidth-2])
        );
        assign list[offload::marks_at(i)+offload::MarksWidth-2 +: 2] = parities[2*i +: 2];
    end

    logic out_valid, out_dns;
    logic [map::Rules-1:0] out_match, out_accept;
    match_rules dut (
        .clk, .in_valid, .in_key, .in_filter(list), .out_valid, .out_dns, .out_match, .out_accept
    );

    function automatic logic covers(input logic [127:0] network, input logic [7:0] prefix, input logic [127:0] address);
        covers = ((network ^ address) & (prefix >= 8'd128 ? '1 : ~({128{1'b1}} >> prefix[6:0]))) == '0;
    endfunction

    logic [map::Rules-1:0] match, accept, expected_match, expected_accept;
    logic expected, expected_dns;
    offload::rule_t rule;
    always_comb begin
        for (int i = 0; i < map::Rules; i++) begin
            rule = rules[offload::RuleWidth*i +: offload::RuleWidth];
            accept[i] = rule.accept;
            match[i]  = rule.valid && rule.v6 == in_key.v6 &&
                        covers(rule.source, rule.source_prefix, in_key.source) &&
                        covers(rule.destination, rule.destination_prefix, in_key.destination) &&
                        (!rule.has_protocol || (in_key.protocol_known && in_key.protocol == rule.protocol)) &&
                        (!rule.has_source_ports || (in_key.has_ports && in_key.source_port >= rule.source_port_from &&
                                                    in_key.source_port <= rule.source_port_to)) &&
                        (!rule.has_destination_ports || (in_key.has_ports &&
                                                         in_key.destination_port >= rule.destination_port_from &&
                                                         in_key.destination_port <= rule.destination_port_to));
        end
    end
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
