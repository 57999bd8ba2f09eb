// SPDX-License-Identifier: Apache-2.0
// Compares a frame's key with one rule (P11). Combinational. A rule that is not there, or is of the other IP version,
// costs nothing in simulation.
module match_rule (
    input  logic           in_valid,
    input  offload::key_t  in_key,
    input  offload::rule_t in_rule,
    output logic           out_match
);
    // The bits of two addresses' word that a prefix covers are equal; `bits_before` bits stand in front of the word.
    function automatic logic same(input logic [31:0] a, input logic [31:0] b, input logic [7:0] prefix,
                                  input logic [7:0] bits_before);
        logic [7:0] covered;
        covered = prefix - bits_before;
        same = prefix <= bits_before || ((a ^ b) & (covered >= 8'd32 ? '1 : ~(32'hffff_ffff >> covered[4:0]))) == '0;
    endfunction

    always_comb begin
        out_match = 1'b0;
        if (in_valid) begin
            if (in_rule.valid && in_rule.v6 == in_key.v6) begin
                out_match = same(in_key.source[127:96], in_rule.source[127:96], in_rule.source_prefix, 8'd0) &&
                            same(in_key.destination[127:96], in_rule.destination[127:96], in_rule.destination_prefix,
                                 8'd0) &&
                            (!in_rule.has_protocol || (in_key.protocol_known && in_rule.protocol == in_key.protocol)) &&
                            (!in_rule.has_source_ports ||
                             (in_key.has_ports && in_key.source_port >= in_rule.source_port_from &&
                              in_key.source_port <= in_rule.source_port_to)) &&
                            (!in_rule.has_destination_ports ||
                             (in_key.has_ports && in_key.destination_port >= in_rule.destination_port_from &&
                              in_key.destination_port <= in_rule.destination_port_to));
                if (in_rule.v6) begin
                    for (int i = 1; i < 4; i++) begin
                        out_match = out_match &&
                                    same(in_key.source[96-32*i +: 32], in_rule.source[96-32*i +: 32],
                                         in_rule.source_prefix, 8'(32 * i)) &&
                                    same(in_key.destination[96-32*i +: 32], in_rule.destination[96-32*i +: 32],
                                         in_rule.destination_prefix, 8'(32 * i));
                    end
                end
            end
        end
    end
endmodule
