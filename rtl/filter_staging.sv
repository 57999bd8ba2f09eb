// SPDX-License-Identifier: Apache-2.0
// The staged filter: the rules of both directions as registers, which the host writes and reads rule by rule, and as the
// two words that a commit writes to the filter table.
// Before a commit, `assemble` encodes all rules in order, one a cycle. A cycle after the last one `list` is the ingress
// list; `next_egress` then puts the egress list in its place. `inconsistent` follows a write by two cycles.
// The rules have no reset, because they are a memory: module `registers` writes zeros to all of them instead.
// An encoded CIDR does not keep the address bits that its prefix does not cover; a fetched rule shows zeros there.
module filter_staging (
    input  logic                            clk,
    input  logic [offload::RuleBits:0]      rule,          // that the ports below mean: egress on top, then its place
    input  logic                            write,
    input  logic [offload::RuleWords-1:0]   write_words,   // which registers of the rule are written
    input  logic [offload::RuleWidth-1:0]   write_rule,
    input  logic                            clear,         // the rule is written as zeros
    output logic [offload::RuleWidth-1:0]   read_rule,
    input  logic                            fetched,       // the rule is taken from this word of the table
    input  logic [offload::ListWidth-1:0]   fetched_list,
    output logic                            inconsistent,  // a staged rule breaks a limit across fields (T5)
    input  logic                            amazon_dns,
    input  logic                            assemble,      // `rule` is taken
    input  logic                            next_egress,
    output logic [offload::FilterWidth-1:0] list
);
    localparam int Fields = offload::FieldsWidth;
    localparam int Marks = offload::MarksWidth;
    localparam int GroupWidth = offload::ListWidth / 4;

    if (!offload::allowed(map::Rules, map::RulesLeast, map::RulesMost)) begin : g_size
        $error("rules = %0d is not allowed; it may be %0d alone", map::Rules, map::RulesLeast);
    end

    // The bits of an address that a prefix covers: all bits of a byte that lies within the prefix, and the first bits of
    // the byte in which the prefix ends.
    function automatic logic [127:0] mask_of(input logic [7:0] prefix);
        logic [7:0] first;
        for (int j = 0; j < 8; j++) first[7-j] = prefix[2:0] > 3'(j);
        for (int k = 0; k < 16; k++)
            mask_of[8*(15-k) +: 8] = {8{prefix[7:3] > 5'(k)}} | ({8{prefix[7:3] == 5'(k)}} & first);
    endfunction

    // A CIDR as the filter table holds it (offload::cidr_t).
    function automatic offload::cidr_t encode(input logic [127:0] address, input logic [127:0] mask);
        encode = {(address & mask) | (~mask & {32'hffff_ffff, mask[127:32]}), mask[31:0]};
    endfunction

    // The mask of an encoded CIDR. A bit is covered if the bit below it in its column is covered too, or is the 1 that
    // stands behind the covered bits.
    function automatic logic [127:0] covered(input offload::cidr_t cidr);
        covered[31:0]   = cidr[31:0];
        covered[63:32]  = covered[31:0] | cidr[63:32];
        covered[95:64]  = covered[63:32] | cidr[95:64];
        covered[127:96] = covered[95:64] | cidr[127:96];
    endfunction

    // The prefix length of a mask: 8 for each byte that is covered whole, and the bits of the byte that is covered in part.
    function automatic logic [7:0] length_of(input logic [127:0] mask);
        logic [7:0] part;
        length_of = '0;
        part      = '0;
        for (int k = 0; k < 16; k++) begin
            if (mask[8*(15-k)]) length_of = 8'(8 * (k + 1));
            else part = part | mask[8*(15-k) +: 8];
        end
        for (int j = 0; j < 7; j++) begin
            if (part[7-j]) length_of[2:0] = 3'(j + 1);
        end
    endfunction

    // A fetched rule is picked from its list, decoded a cycle later, and then written like a rule that the host writes.
    logic picked, decoded;
    offload::fields_t picked_fields;
    offload::marks_t picked_marks;
    offload::rule_t decoded_rule;
    logic [127:0] picked_source, picked_destination;
    logic [GroupWidth-1:0] group;
    always_comb begin
        group = 'x;
        if (fetched)
            group = rule[3] ? (rule[2] ? fetched_list[3*GroupWidth +: GroupWidth] : fetched_list[2*GroupWidth +: GroupWidth])
                            : (rule[2] ? fetched_list[GroupWidth +: GroupWidth] : fetched_list[0 +: GroupWidth]);
    end
    assign picked_source      = covered(picked_fields.source);
    assign picked_destination = covered(picked_fields.destination);

    always_ff @(posedge clk) begin
        picked  <= fetched;
        decoded <= picked;
        if (fetched) begin
            picked_fields <= rule[1] ? (rule[0] ? group[3*Fields +: Fields] : group[2*Fields +: Fields])
                                     : (rule[0] ? group[Fields +: Fields] : group[0 +: Fields]);
            picked_marks  <= rule[1] ? (rule[0] ? group[4*Fields+3*Marks +: Marks] : group[4*Fields+2*Marks +: Marks])
                                     : (rule[0] ? group[4*Fields+Marks +: Marks] : group[4*Fields +: Marks]);
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

    // The rules as registers.
    (* ram_style = "distributed" *) logic [offload::RuleWidth-1:0] rules [2*map::Rules];
    logic [offload::RuleWidth-1:0] new_rule;
    assign new_rule  = decoded ? decoded_rule : clear ? '0 : write_rule;
    assign read_rule = rules[rule];

    always_ff @(posedge clk) begin
        for (int i = 0; i < offload::RuleWords; i++) begin
            if (decoded || clear || (write && write_words[i])) rules[rule][32*i +: 32] <= new_rule[32*i +: 32];
        end
    end

    // The rule that was written, or that is assembled, as the table holds it.
    logic written, encoding;
    logic [offload::RuleBits:0] encoded_rule;
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
        if (written || encoding) begin
            staged = rules[encoded_rule];
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
        written      <= write || decoded || clear;
        encoding     <= assemble;
        encoded_rule <= rule;
        if (written) broken[encoded_rule] <= breaks;
    end

    // Each rule position is a shift register of two places, first `egress` and then `list`. The ingress rule is encoded
    // first, and the egress rule pushes it on into `list`. `next_egress` shifts once more, so no multiplexer is needed.
    logic [offload::ListWidth-1:0] egress;
    always_ff @(posedge clk) begin
        if (encoding || next_egress) begin
            list[offload::FilterWidth-1:offload::ListWidth] <= {2{amazon_dns}};
            for (int i = 0; i < map::Rules; i++) begin
                if (next_egress || encoded_rule[offload::RuleBits-1:0] == offload::RuleBits'(i)) begin
                    list[offload::fields_at(i) +: offload::FieldsWidth]   <= egress[offload::fields_at(i) +: offload::FieldsWidth];
                    list[offload::marks_at(i) +: offload::MarksWidth]     <= egress[offload::marks_at(i) +: offload::MarksWidth];
                    egress[offload::fields_at(i) +: offload::FieldsWidth] <= fields;
                    egress[offload::marks_at(i) +: offload::MarksWidth]   <= {parity, marks};
                end
            end
        end
    end
endmodule
