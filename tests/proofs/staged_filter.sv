// SPDX-License-Identifier: Apache-2.0
// A commit's two lists hold the rules as the host reads them in their registers, ingress then egress, each in its place
// and as `table_rule` says, with the right parity; and a rule that breaks a limit across its fields is reported (T5). A
// commit takes the rules one by one while nothing writes them, as `registers` does. What a write does is free but that it
// writes what it says.
module proof (
    input logic                          clk,
    input logic                          rst,
    input logic                          go,        // a commit begins
    input logic [offload::RuleBits:0]    host_rule,
    input logic                          write,
    input logic [offload::RuleWords-1:0] write_words,
    input logic [offload::RuleWidth-1:0] write_rule,
    input logic                          clear,
    input logic                          amazon_dns
);
    localparam int Rules = 2 * map::Rules;

    // Where the commit is: 0 none; 1..Rules takes a rule; the ingress list is there two later, the egress list three.
    logic [5:0] step = '0;
    logic started = 1'b0;
    logic assemble, ingress_there, egress_there;
    assign assemble      = step != '0 && step <= 6'(Rules);
    assign ingress_there = step == 6'(Rules + 2);
    assign egress_there  = step == 6'(Rules + 3);
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        assume (step == '0 || (!write && !clear));
        step <= rst || egress_there ? '0 : step == '0 ? 6'(go) : step + 1'b1;
    end

    logic [offload::RuleBits:0] rule;
    logic [offload::RuleWidth-1:0] read_rule;
    logic [offload::FilterWidth-1:0] list;
    logic inconsistent, faulty;
    assign rule = assemble ? (offload::RuleBits + 1)'(step - 1'b1) : host_rule;
    filter_staging dut (
        .clk, .rule, .write, .write_words, .write_rule, .clear, .read_rule, .fetched(1'b0), .fetched_list('0),
        .inconsistent, .amazon_dns, .assemble, .next_egress(ingress_there), .list
    );
    list_parity list_parity (
        .valid(1'b1), .word(list), .faulty
    );

    // The rules as the host reads them when the commit takes them, and what the host has written where it looks.
    logic [Rules*offload::RuleWidth-1:0] taken;
    logic dns, wrote, cleared;
    logic [offload::RuleBits:0] place;
    logic [offload::RuleWords-1:0] words;
    logic [offload::RuleWidth-1:0] was, new_rule;
    always_ff @(posedge clk) begin
        for (int i = 0; i < Rules; i++) if (step == 6'(i + 1)) taken[offload::RuleWidth*i +: offload::RuleWidth] <= read_rule;
        if (step == 6'(Rules)) dns <= amazon_dns;
        assume (step <= 6'(Rules) || amazon_dns == dns);
        wrote    <= write && !clear;
        cleared  <= clear;
        place    <= rule;
        words    <= write_words;
        was      <= read_rule;
        new_rule <= write_rule;
    end

    logic [offload::ListWidth-1:0] expected;
    for (genvar i = 0; i < map::Rules; i++) begin : g_rule
        table_rule held (
            .rule(egress_there ? taken[offload::RuleWidth*(i+map::Rules) +: offload::RuleWidth]
                               : taken[offload::RuleWidth*i +: offload::RuleWidth]),
            .fields(expected[offload::fields_at(i) +: offload::FieldsWidth]),
            .marks(expected[offload::marks_at(i) +: offload::MarksWidth-2])
        );
        // Its parity is `list_parity`'s to judge.
        assign expected[offload::marks_at(i)+offload::MarksWidth-2 +: 2] =
            list[offload::marks_at(i)+offload::MarksWidth-2 +: 2];
    end

    logic there;
    assign there = ingress_there || egress_there;
    always_ff @(posedge clk) if (started && !rst) begin
        each_rule: assert (!there || list[offload::ListWidth-1:0] == expected);
        same_dns:  assert (!there || list[offload::ListWidth +: 2] == {2{dns}});
        no_fault:  assert (!there || !faulty);
        cleared_all: assert (!cleared || place != rule || read_rule == '0);
        for (int i = 0; i < offload::RuleWords; i++) begin
            if (wrote && place == rule)
                assert (read_rule[32*i +: 32] == (words[i] ? new_rule[32*i +: 32] : was[32*i +: 32]));
        end
        reached: cover (egress_there && list[offload::marks_at(1)] && read_rule == '0 && dns);
    end
endmodule
