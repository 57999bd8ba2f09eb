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
    // The columns of an address that differ from a CIDR's in a bit that it covers.
    function automatic logic [31:0] differs(input logic [127:0] address, input offload::cidr_t cidr);
        logic [31:0] covered1, covered2;
        covered1 = cidr[31:0] | cidr[63:32];
        covered2 = covered1 | cidr[95:64];
        differs  = ((address[31:0] ^ cidr[63:32]) & cidr[31:0]) | ((address[63:32] ^ cidr[95:64]) & covered1) |
                   ((address[95:64] ^ cidr[127:96]) & covered2) |
                   ((address[127:96] ^ cidr[159:128]) & (covered2 | cidr[127:96]));
    endfunction

    offload::fields_t fields;
    offload::marks_t marks;
    logic [map::Rules-1:0] match, accept;
    // Kept, so that a column takes three LUTs.
    (* keep *) logic [32*map::Rules-1:0] source, destination;

    always_comb begin
        fields      = '0;
        marks       = '0;
        match       = '0;
        accept      = '0;
        source      = 'x;
        destination = 'x;
        if (in_valid) begin
            for (int i = 0; i < map::Rules; i++) begin
                marks     = in_filter[offload::marks_at(i) +: offload::MarksWidth];
                accept[i] = marks.accept;
                if (marks.valid && marks.v6 == in_key.v6) begin
                    fields                  = in_filter[offload::fields_at(i) +: offload::FieldsWidth];
                    source[32*i +: 32]      = differs(in_key.source, fields.source);
                    destination[32*i +: 32] = differs(in_key.destination, fields.destination);
                    match[i] = source[32*i +: 32] == '0 && destination[32*i +: 32] == '0 &&
                               (!marks.has_protocol || (in_key.protocol_known && marks.protocol == in_key.protocol)) &&
                               (!marks.has_source_ports ||
                                (in_key.has_ports && in_key.source_port >= fields.source_port_from &&
                                 in_key.source_port <= fields.source_port_to)) &&
                               (!marks.has_destination_ports ||
                                (in_key.has_ports && in_key.destination_port >= fields.destination_port_from &&
                                 in_key.destination_port <= fields.destination_port_to));
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
