// SPDX-License-Identifier: Apache-2.0
// A rule as a filter's list holds it, by the words of package offload (cidr_t, fields_t, marks_t): `fields`, and `marks`
// without the parity.
module table_rule (
    input  offload::rule_t                 rule,
    output logic [offload::FieldsWidth-1:0] fields,
    output logic [offload::MarksWidth-3:0] marks
);
    // A prefix covers the upper bits. Below the covered bits of a column, where the bit above one is 32 further up, stand a 1
    // and then zeros; `whole` tells the columns that are covered to their last bit.
    function automatic offload::cidr_t held(input logic [127:0] address, input logic [7:0] prefix);
        logic [127:0] covered;
        covered = prefix >= 8'd128 ? '1 : ~({128{1'b1}} >> prefix[6:0]);
        for (int i = 0; i < 128; i++) held[32+i] = covered[i] ? address[i] : i >= 96 || covered[i < 96 ? i + 32 : i];
        held[31:0] = covered[31:0];
    endfunction

    assign fields = {rule.destination_port_to, rule.destination_port_from, rule.source_port_to, rule.source_port_from,
                     held(rule.destination, rule.destination_prefix), held(rule.source, rule.source_prefix)};
    assign marks  = {rule.protocol, rule.has_destination_ports, rule.has_source_ports, rule.has_protocol, rule.v6,
                     rule.accept, rule.valid};
endmodule
