// SPDX-License-Identifier: Apache-2.0
// The staged filter: both rule lists, as the host writes them rule by rule and as a commit takes them, list by list.
// Each rule is kept twice, as registers for reading back and as the filter table holds it. A write is in the list two
// cycles later, and `inconsistent` with it. Rules have no reset: what has one writes zeros to all of them.
// A CIDR loses the address bits that its prefix does not cover; a fetched rule shows zeros there.
module filter_staging (
    input  logic                            clk,
    input  logic [offload::RuleBits:0]      rule,          // egress, then the rule's place; of all below
    input  logic                            write,
    input  logic [offload::RuleWords-1:0]   write_words,   // registers that are written
    input  logic [offload::RuleWidth-1:0]   write_rule,
    output logic [offload::RuleWidth-1:0]   read_rule,
    input  logic                            fetched,       // the rule comes from this word of the table
    input  logic [offload::ListWidth-1:0]   fetched_list,
    output logic                            inconsistent,  // a staged rule breaks a limit across fields (T5)
    input  logic                            amazon_dns,
    input  logic                            next_egress,   // the list that is out a cycle later
    input  logic                            take,          // `list` counts
    output logic [offload::FilterWidth-1:0] list
);
    localparam int Groups = map::Rules / 4;
    localparam int GroupWidth = offload::ListWidth / Groups;

    // Bits of an address that a prefix covers.
    function automatic logic [127:0] mask_of(input logic [7:0] prefix);
        mask_of = ~({128{1'b1}} >> prefix);
    endfunction

    function automatic offload::cidr_t encode(input logic [127:0] address, input logic [127:0] mask);
        encode = {(address & mask) | (~mask & {32'hffff_ffff, mask[127:32]}), mask[31:0]};
    endfunction

    function automatic logic [127:0] covered(input offload::cidr_t cidr);
        covered[31:0]   = cidr[31:0];
        covered[63:32]  = covered[31:0] | cidr[63:32];
        covered[95:64]  = covered[63:32] | cidr[95:64];
        covered[127:96] = covered[95:64] | cidr[127:96];
    endfunction

    function automatic logic [7:0] length_of(input logic [127:0] mask);
        logic [127:0] last;
        last      = mask & ~{mask[126:0], 1'b0};
        length_of = '0;
        for (int i = 0; i < 64; i++) begin
            if (last[127-i]) length_of = length_of | 8'(i + 1);
            if (last[63-i]) length_of = length_of | 8'(i + 65);
        end
    endfunction

    // A fetched rule: picked from its list, decoded, written like another.
    logic picked, decoded;
    offload::fields_t picked_fields;
    offload::marks_t picked_marks;
    offload::rule_t decoded_rule;
    logic [127:0] picked_source, picked_destination;
    logic [GroupWidth-1:0] group;
    always_comb begin
        group = 'x;
        for (int i = 0; i < Groups; i++) begin
            if (fetched && rule[offload::RuleBits-1:2] == (offload::RuleBits - 2)'(i))
                group = fetched_list[i*GroupWidth +: GroupWidth];
        end
    end
    assign picked_source      = covered(picked_fields.source);
    assign picked_destination = covered(picked_fields.destination);

    always_ff @(posedge clk) begin
        picked  <= fetched;
        decoded <= picked;
        for (int i = 0; i < 4; i++) begin
            if (fetched && rule[1:0] == 2'(i)) begin
                picked_fields <= group[i*offload::FieldsWidth +: offload::FieldsWidth];
                picked_marks  <= group[4*offload::FieldsWidth+i*offload::MarksWidth +: offload::MarksWidth];
            end
        end
        if (picked) begin
            decoded_rule <= {
                picked_fields.destination[159:32] & picked_destination, picked_fields.source[159:32] & picked_source,
                picked_fields.destination_port_to, picked_fields.destination_port_from, picked_fields.source_port_to,
                picked_fields.source_port_from, length_of(picked_destination), length_of(picked_source),
                picked_marks.protocol, 2'd0, picked_marks.has_destination_ports, picked_marks.has_source_ports,
                picked_marks.has_protocol, picked_marks.v6, picked_marks.accept, picked_marks.valid
            };
        end
    end

    // As registers.
    (* ram_style = "distributed" *) logic [offload::RuleWidth-1:0] rules [2*map::Rules];
    logic [offload::RuleWidth-1:0] new_rule;
    assign new_rule  = decoded ? decoded_rule : write_rule;
    assign read_rule = rules[rule];

    always_ff @(posedge clk) begin
        for (int i = 0; i < offload::RuleWords; i++) begin
            if (decoded || (write && write_words[i])) rules[rule][32*i +: 32] <= new_rule[32*i +: 32];
        end
    end

    // As the table holds it.
    logic written;
    logic [offload::RuleBits:0] written_rule;
    offload::rule_t staged;
    offload::fields_t fields;
    logic [offload::MarksWidth-3:0] marks;
    logic [offload::FieldsWidth-1:0] bits;
    logic [1:0] parity;
    logic breaks;
    logic [2*map::Rules-1:0] broken;

    always_comb begin
        staged = 'x;
        fields = 'x;
        marks  = 'x;
        bits   = 'x;
        parity = 'x;
        breaks = 1'bx;
        if (written) begin
            staged = rules[written_rule];
            fields = {staged.destination_port_to, staged.destination_port_from, staged.source_port_to,
                      staged.source_port_from, encode(staged.destination, mask_of(staged.destination_prefix)),
                      encode(staged.source, mask_of(staged.source_prefix))};
            marks  = {staged.protocol, staged.has_destination_ports, staged.has_source_ports, staged.has_protocol,
                      staged.v6, staged.accept, staged.valid};
            bits   = fields;
            parity = {^(bits & {offload::FieldsWidth / 2{2'b10}}) ^ ^(marks & 14'h2aaa),
                      ^(bits & {offload::FieldsWidth / 2{2'b01}}) ^ ^(marks & 14'h1555)};
            breaks = staged.valid &&
                     ((staged.has_source_ports && staged.source_port_from > staged.source_port_to) ||
                      (staged.has_destination_ports && staged.destination_port_from > staged.destination_port_to) ||
                      (!staged.v6 && (staged.source_prefix > 8'd32 || staged.destination_prefix > 8'd32)));
        end
    end

    assign inconsistent = broken != '0;
    always_ff @(posedge clk) begin
        written      <= write || decoded;
        written_rule <= rule;
        if (written) broken[written_rule] <= breaks;
    end

    assign list[offload::FilterWidth-1:offload::ListWidth] = {2{amazon_dns}};

    // One select for all groups would have too many loads: half of them have the opposite of it, and the lists the other
    // way round.
    logic egress, ingress;
    always_ff @(posedge clk) begin
        egress  <= next_egress;
        ingress <= !next_egress;
    end

    for (genvar i = 0; i < Groups; i++) begin : g_group
        (* ram_style = "distributed" *) logic [GroupWidth-1:0] rows [2];
        always_comb begin
            list[i*GroupWidth +: GroupWidth] = 'x;
            if (take) list[i*GroupWidth +: GroupWidth] = rows[i < Groups / 2 ? egress : ingress];
        end

        logic row;
        assign row = written_rule[offload::RuleBits] ^ (i >= Groups / 2);

        always_ff @(posedge clk) begin
            for (int j = 0; j < 4; j++) begin
                if (written && written_rule[offload::RuleBits-1:0] == offload::RuleBits'(4 * i + j)) begin
                    rows[row][j*offload::FieldsWidth +: offload::FieldsWidth] <= fields;
                    rows[row][4*offload::FieldsWidth+j*offload::MarksWidth +: offload::MarksWidth] <= {parity, marks};
                end
            end
        end
    end
endmodule
