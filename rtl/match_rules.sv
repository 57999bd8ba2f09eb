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
    // An address against a CIDR, a column (offload::cidr_t) in two LUTs: does it differ in a covered bit of the upper two
    // words (`upper`), and does it differ at all. The columns have the same number of covered bits, or the last ones one
    // more. So bit 64+i is covered if column 31 has three such bits or more (`deep`), or else if bit 32+i is the 1.
    offload::fields_t fields;
    offload::marks_t marks;
    logic [map::Rules-1:0] match, accept;
    logic [127:0] source, destination;
    logic [2:0] deep_source, deep_destination;
    logic [31:0] covered_source, covered_destination, upper_source, upper_destination;
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
        deep_source         = 'x;
        deep_destination    = 'x;
        covered_source      = 'x;
        covered_destination = 'x;
        upper_source        = 'x;
        upper_destination   = 'x;
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
                    // An OR of two bits as a carry, which no LUT behind takes in.
                    deep_source         = {1'b0, fields.source[63], fields.source[31]} + {2'b01, fields.source[31]};
                    deep_destination    = {1'b0, fields.destination[63], fields.destination[31]} +
                                          {2'b01, fields.destination[31]};
                    covered_source      = fields.source[95:64] | {32{deep_source[2]}};
                    covered_destination = fields.destination[95:64] | {32{deep_destination[2]}};
                    upper_source =
                        ((source[95:64] ^ fields.source[127:96]) & covered_source) |
                        ((source[127:96] ^ fields.source[159:128]) & (covered_source | fields.source[127:96]));
                    upper_destination =
                        ((destination[95:64] ^ fields.destination[127:96]) & covered_destination) |
                        ((destination[127:96] ^ fields.destination[159:128]) &
                         (covered_destination | fields.destination[127:96]));
                    protocol = ((marks.protocol[7:4] ^ in_key.protocol[7:4]) |
                                (marks.protocol[3:0] ^ in_key.protocol[3:0]) | {4{!in_key.protocol_known}}) &
                               {4{marks.has_protocol}};
                    // Negated, they have a 1 on top if one is anywhere: a carry takes no LUTs.
                    wrong_source = 37'd0 -
                        {1'b0, protocol, ((source[31:0] ^ fields.source[63:32]) & fields.source[31:0]) |
                         ((source[63:32] ^ fields.source[95:64]) & (fields.source[31:0] | fields.source[63:32])) |
                         upper_source};
                    wrong_destination = 33'd0 -
                        {1'b0, ((destination[31:0] ^ fields.destination[63:32]) & fields.destination[31:0]) |
                         ((destination[63:32] ^ fields.destination[95:64]) &
                          (fields.destination[31:0] | fields.destination[63:32])) | upper_destination};
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
