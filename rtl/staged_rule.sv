// SPDX-License-Identifier: Apache-2.0
// One rule of both staged lists. A written word or a fetched rule comes through one multiplexer for both lists. What
// a commit has to know of a rule, whether its fields contradict each other, is kept beside each word as it enters.
// Each rule has its own copies of `write` and `clear`, as these nets have a load a bit.
module staged_rule (
    input  logic           clk,
    input  logic           write_next,   // `data` enters in the next cycle
    input  logic           clear_next,   // so do zeros
    input  logic           to_egress,
    input  logic [offload::RuleWidth/32-1:0] words,   // which of them enter; as `to_egress`, with `data`
    input  offload::rule_t data,
    input  logic           load,         // a fetched rule enters in this cycle
    input  logic           load_egress,
    input  offload::rule_t load_rule,
    output offload::rule_t ingress,
    output offload::rule_t egress,
    output logic           inconsistent  // in either list
);
    localparam int Words = offload::RuleWidth / 32;

    // Word 0: prefixes beyond 32 in a valid IPv4 rule. Words 1 and 2: a range of ports that ends before it begins.
    function automatic logic broken(input int place, input logic [31:0] value);
        broken = place == 0 ? value[0] && !value[2] && (value[23:16] > 8'd32 || value[31:24] > 8'd32)
                            : value[15:0] > value[31:16];
    endfunction

    logic write, clear;
    logic [2:0] ingress_broken, egress_broken;

    assign inconsistent = ingress_broken[0] || egress_broken[0] ||
                          (ingress.valid && ingress.has_source_ports && ingress_broken[1]) ||
                          (ingress.valid && ingress.has_destination_ports && ingress_broken[2]) ||
                          (egress.valid && egress.has_source_ports && egress_broken[1]) ||
                          (egress.valid && egress.has_destination_ports && egress_broken[2]);

    always_ff @(posedge clk) begin
        write <= write_next;
        clear <= clear_next;
        if (write || load) begin
            for (int i = 0; i < Words; i++) begin
                if (write ? !to_egress && words[i] : !load_egress) begin
                    ingress[32*i +: 32] <= write ? data[32*i +: 32] : load_rule[32*i +: 32];
                    if (i < 3) ingress_broken[i] <= broken(i, write ? data[32*i +: 32] : load_rule[32*i +: 32]);
                end
                if (write ? to_egress && words[i] : load_egress) begin
                    egress[32*i +: 32] <= write ? data[32*i +: 32] : load_rule[32*i +: 32];
                    if (i < 3) egress_broken[i] <= broken(i, write ? data[32*i +: 32] : load_rule[32*i +: 32]);
                end
            end
        end
        if (clear) begin
            ingress        <= '0;
            egress         <= '0;
            ingress_broken <= '0;
            egress_broken  <= '0;
        end
    end
endmodule
