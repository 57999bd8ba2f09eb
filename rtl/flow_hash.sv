// SPDX-License-Identifier: Apache-2.0
// Outer UDP source port (P20). Each endpoint, 16 bytes of address (an IPv4 address in the last 4) and the port, goes
// through CRC-16/CCITT (polynomial 0x1021, initial 0xffff); the two results and 0x9e37 times the protocol are added,
// so that both directions of a flow give one port. Latency 2 cycles.
module flow_hash (
    input  logic                   clk,
    input  logic                   in_valid,
    input  offload::key_t          in_key,
    input  offload::source_ports_t source_ports,   // used a cycle after the key
    output logic [15:0]            out_source_port
);
    localparam int Width = 144;

    // A CRC is linear: bit j of word i is 1 if bit j of an endpoint inverts bit i of its CRC.
    function automatic logic [16*Width-1:0] crc_masks();
        logic [15:0] crc;
        for (int j = 0; j < Width; j++) begin
            crc = 16'd0;
            for (int k = Width - 1; k >= 0; k--) crc = {crc[14:0], 1'b0} ^ (crc[15] ^ (k == j) ? 16'h1021 : 16'd0);
            for (int i = 0; i < 16; i++) crc_masks[i*Width+j] = crc[i];
        end
    endfunction

    // The CRC of an endpoint of zeros: what the initial value adds.
    function automatic logic [15:0] crc_start();
        crc_start = 16'hffff;
        for (int k = 0; k < Width; k++) crc_start = {crc_start[14:0], 1'b0} ^ (crc_start[15] ? 16'h1021 : 16'd0);
    endfunction

    localparam logic [16*Width-1:0] Masks = crc_masks();
    localparam logic [15:0] Start = crc_start();

    function automatic logic [15:0] crc(input logic [Width-1:0] endpoint);
        for (int i = 0; i < 16; i++) crc[i] = ^(endpoint & Masks[i*Width +: Width]);
        crc = crc ^ Start;
    endfunction

    logic valid;
    logic [15:0] source, destination, protocol, sum, mask;
    logic ports;

    assign ports = in_key.has_ports && !in_key.fragment;
    assign sum   = source + destination + protocol;
    assign mask  = ~(16'hffff << source_ports.bits);

    always_ff @(posedge clk) begin
        valid <= in_valid;
        if (in_valid) begin
            source      <= crc({in_key.v6 ? in_key.source : {96'd0, in_key.source[127:96]},
                                ports ? in_key.source_port : 16'd0});
            destination <= crc({in_key.v6 ? in_key.destination : {96'd0, in_key.destination[127:96]},
                                ports ? in_key.destination_port : 16'd0});
            protocol    <= 16'h9e37 * {8'd0, in_key.protocol};
        end
        if (valid) out_source_port <= source_ports.base + (sum & mask);
    end
endmodule
