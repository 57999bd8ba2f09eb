// SPDX-License-Identifier: Apache-2.0
// Compares a frame's key with every rule of one slot's filter at once (P11). Latency 1 cycle. The comparison stands under
// an `if` for each rule, so that a rule that is not valid, or is of the other IP version, costs no simulation time.
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
    // Bit i of the result: a bit of column i that the CIDR covers differs from the address (columns: offload::cidr_t).
    // Two LUTs a column: `upper` compares the column's upper two bits, `differs` all four.
    // Whether bit 64+i is covered is taken from fewer bits than the column has. All columns have the same number of covered
    // bits, or the highest columns have one more. If column 31 has three covered bits or four (`deep`), every column has at
    // least two, and bit 64+i is covered. Otherwise bit 64+i is covered if bit 32+i is the 1 behind the covered bits.
    function automatic logic [31:0] differs(input logic [127:0] address, input offload::cidr_t cidr);
        logic [2:0] deep;
        logic [31:0] covered2, upper;
        deep     = {1'b0, cidr[63], cidr[31]} + {2'b01, cidr[31]};   // an OR made as a carry: synthesis merges it into no LUT
        covered2 = cidr[95:64] | {32{deep[2]}};
        upper    = ((address[95:64] ^ cidr[127:96]) & covered2) |
                   ((address[127:96] ^ cidr[159:128]) & (covered2 | cidr[127:96]));
        differs  = ((address[31:0] ^ cidr[63:32]) & cidr[31:0]) |
                   ((address[63:32] ^ cidr[95:64]) & (cidr[31:0] | cidr[63:32])) | upper;
    endfunction

    if (!offload::allowed(map::Rules, map::RulesLeast, map::RulesMost)) begin : g_size
        $error("rules = %0d is not allowed; it may be %0d alone", map::Rules, map::RulesLeast);
    end

    offload::fields_t fields;
    offload::marks_t marks;
    logic [map::Rules-1:0] match, accept;
    logic [127:0] source, destination;
    logic [3:0] protocol;
    logic [36:0] wrong_source;             // and wrong protocol
    logic [32:0] wrong_destination;
    logic [63:0] ports, outside;

    always_comb begin
        fields              = '0;
        marks               = '0;
        match               = '0;
        accept              = '0;
        source              = 'x;
        destination         = 'x;
        protocol            = 'x;
        wrong_source        = 'x;
        wrong_destination   = 'x;
        ports               = 'x;
        outside             = 'x;
        if (in_valid) begin
            source      = in_key.source;
            destination = in_key.destination;
            ports       = {in_key.destination_port, ~in_key.destination_port, in_key.source_port, ~in_key.source_port};
            for (int i = 0; i < map::Rules; i++) begin
                marks     = in_filter[offload::marks_at(i) +: offload::MarksWidth];
                accept[i] = marks.accept;
                if (marks.valid && marks.v6 == in_key.v6) begin
                    fields = in_filter[offload::fields_at(i) +: offload::FieldsWidth];
                    protocol = ((marks.protocol[7:4] ^ in_key.protocol[7:4]) |
                                (marks.protocol[3:0] ^ in_key.protocol[3:0]) | {4{!in_key.protocol_known}}) &
                               {4{marks.has_protocol}};
                    // 0 minus the bits has a 1 on top if any bit is 1: an OR as a carry chain, which takes no LUTs.
                    wrong_source      = 37'd0 - {1'b0, protocol, differs(source, fields.source)};
                    wrong_destination = 33'd0 - {1'b0, differs(destination, fields.destination)};
                    if (!wrong_source[36] && !wrong_destination[32]) begin
                        outside = 'x;
                        if (marks.has_source_ports || marks.has_destination_ports)
                            outside = offload::outside(ports, {fields.destination_port_to, ~fields.destination_port_from,
                                                               fields.source_port_to, ~fields.source_port_from});
                        match[i] = (!marks.has_source_ports || (in_key.has_ports && !outside[14] && !outside[30])) &&
                                   (!marks.has_destination_ports ||
                                    (in_key.has_ports && !outside[46] && !outside[62]));
                    end
                end
            end
        end
    end

    always_ff @(posedge clk) begin
        out_valid <= in_valid;
        if (in_valid) begin
            out_dns    <= in_filter[offload::ListWidth];
            out_match  <= match;
            out_accept <= accept;
        end
    end
endmodule
