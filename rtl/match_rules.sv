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
    // The columns of an address that differ from a CIDR's in a covered bit (offload::cidr_t), each in two LUTs: in one of
    // the upper two words (`upper`), and in any. The columns have the same number of covered bits, or the last ones one
    // more. So bit 64+i is covered if column 31 has three such bits or more (`deep`), or else if bit 32+i is the 1.
    function automatic logic [31:0] differs(input logic [127:0] address, input offload::cidr_t cidr);
        logic [2:0] deep;
        logic [31:0] covered2, upper;
        deep     = {1'b0, cidr[63], cidr[31]} + {2'b01, cidr[31]};   // an OR as a carry, which no LUT behind takes in
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
    logic [36:0] wrong_source;             // with the protocol
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
                    // Negated, they have a 1 on top if one is anywhere: a carry takes no LUTs.
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
