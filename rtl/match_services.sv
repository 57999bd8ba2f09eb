// SPDX-License-Identifier: Apache-2.0
// The service table (P9): traffic that is never mirrored (P7) and Amazon DNS (P8). All entries, and the resolver of
// the frame's own interface, are compared at once; latency 1 cycle. Exclusion comes before DNS. The entries after
// reset are those of P7 and P8.
module match_services (
    input  logic                             clk,
    input  logic                             rst,
    input  logic                             write,
    input  logic [$clog2(map::Services)-1:0] index,         // of the entry to write or read
    input  offload::service_t                write_entry,
    input  logic                             read,
    output offload::service_t                entry,         // with read
    input  logic                             in_valid,
    input  offload::key_t                    in_key,
    input  logic                             in_has_resolver,
    input  logic [31:0]                      in_resolver,
    output logic                             out_excluded,
    output logic                             out_dns,
    output logic                             out_faulty,    // an entry is (T4); with in_valid
    output logic [$clog2(map::Services)-1:0] out_faulty_index
);
    localparam int Width = $bits(write_entry);
    localparam logic [127:0] Metadata4 = {8'd169, 8'd254, 8'd169, 8'd254, 96'd0};
    localparam logic [127:0] Time4 = {8'd169, 8'd254, 8'd169, 8'd123, 96'd0};
    localparam logic [127:0] Activation4a = {8'd169, 8'd254, 8'd169, 8'd250, 96'd0};
    localparam logic [127:0] Activation4b = {8'd169, 8'd254, 8'd169, 8'd251, 96'd0};
    localparam logic [127:0] Dns4 = {8'd169, 8'd254, 8'd169, 8'd253, 96'd0};
    localparam logic [127:0] Metadata6 = 128'hfd00_0ec2_0000_0000_0000_0000_0000_0254;
    localparam logic [127:0] Time6 = 128'hfd00_0ec2_0000_0000_0000_0000_0000_0123;
    localparam logic [127:0] Dns6 = 128'hfd00_0ec2_0000_0000_0000_0000_0000_0253;
    // Flags, highest first: either side, has ports, UDP, TCP, any address, IPv6, DNS, valid.
    localparam logic [map::Services*Width-1:0] Defaults = {
        {(map::Services - 10) * Width{1'b0}},
        Dns6, 16'd53, 16'd53, 8'b0111_0111,
        Dns4, 16'd53, 16'd53, 8'b0111_0011,
        Activation4b, 16'd1688, 16'd1688, 8'b1101_0001,
        Activation4a, 16'd1688, 16'd1688, 8'b1101_0001,
        Time6, 16'd123, 16'd123, 8'b1110_0101,
        Time4, 16'd123, 16'd123, 8'b1110_0001,
        Metadata6, 16'd0, 16'd0, 8'b0000_0101,
        Metadata4, 16'd0, 16'd0, 8'b0000_0001,
        128'd0, 16'd547, 16'd546, 8'b1110_1101,
        128'd0, 16'd68, 16'd67, 8'b1110_1001
    };
    (* mem2reg *) logic [Width-1:0] entries [map::Services];
    logic [map::Services-1:0] parity;     // of each entry
    // The entries' reset comes a cycle late, that of the upper half two: one register for all would have too many loads.
    logic late_rst, later_rst;

    // Two steps of four: one of sixteen would be a gate for each.
    logic [4*Width-1:0] quarter;
    always_comb begin
        quarter = 'x;
        entry   = 'x;
        if (read) begin
            for (int i = 0; i < map::Services; i += 4) begin
                if (index[3:2] == 2'(i / 4)) quarter = {entries[i+3], entries[i+2], entries[i+1], entries[i]};
            end
            for (int i = 0; i < 4; i++) begin
                if (index[1:0] == 2'(i)) entry = quarter[i*Width +: Width];
            end
        end
    end

    // Every entry against the frame: address on one side, port on that side or on either.
    offload::service_t service;
    logic from, to, source_port, destination_port, hit, excluded, dns;
    // Of each side's address, the bits that differ: of three words, and of the fourth. Kept, so that three bits take one
    // LUT.
    (* keep *) logic [32*map::Services-1:0] upper_source, upper_destination;
    (* keep *) logic [11*map::Services-1:0] lower_source, lower_destination;

    function automatic logic [31:0] upper(input logic [127:0] difference);
        upper = difference[127:96] | difference[95:64] | difference[63:32];
    endfunction

    function automatic logic [10:0] lower(input logic [127:0] difference);
        lower = difference[10:0] | difference[21:11] | {1'b0, difference[31:22]};
    endfunction

    always_comb begin
        service           = 'x;
        from              = 1'bx;
        to                = 1'bx;
        source_port       = 1'bx;
        destination_port  = 1'bx;
        hit               = 1'bx;
        upper_source      = 'x;
        upper_destination = 'x;
        lower_source      = 'x;
        lower_destination = 'x;
        excluded          = 1'b0;
        dns               = 1'b0;
        if (in_valid) begin
            dns = in_has_resolver && !in_key.v6 && in_key.has_ports &&
                  ((in_key.source[127:96] == in_resolver && in_key.source_port == 16'd53) ||
                   (in_key.destination[127:96] == in_resolver && in_key.destination_port == 16'd53));
            for (int i = 0; i < map::Services; i++) begin
                service = entries[i];
                if (service.valid && service.v6 == in_key.v6) begin
                    upper_source[32*i +: 32]      = upper(in_key.source ^ service.address);
                    lower_source[11*i +: 11]      = lower(in_key.source ^ service.address);
                    upper_destination[32*i +: 32] = upper(in_key.destination ^ service.address);
                    lower_destination[11*i +: 11] = lower(in_key.destination ^ service.address);
                    from = service.any_address ||
                           (upper_source[32*i +: 32] == '0 && lower_source[11*i +: 11] == '0);
                    to   = service.any_address ||
                           (upper_destination[32*i +: 32] == '0 && lower_destination[11*i +: 11] == '0);
                    source_port      = in_key.source_port >= service.port_from && in_key.source_port <= service.port_to;
                    destination_port = in_key.destination_port >= service.port_from &&
                                       in_key.destination_port <= service.port_to;
                    hit = (from || to) &&
                          ((!service.tcp && !service.udp) ||
                           (in_key.protocol_known && ((service.tcp && in_key.protocol == 8'd6) ||
                                                      (service.udp && in_key.protocol == 8'd17)))) &&
                          (!service.has_ports ||
                           (in_key.has_ports && (((service.either_side || from) && source_port) ||
                                                 ((service.either_side || to) && destination_port))));
                    excluded = excluded || (hit && !service.dns);
                    dns      = dns || (hit && service.dns);
                end
            end
        end
    end

    logic faulty;
    logic [$clog2(map::Services)-1:0] faulty_index;

    always_comb begin
        faulty       = 1'b0;
        faulty_index = '0;
        if (in_valid) begin
            for (int i = 0; i < map::Services; i++) begin
                if (^entries[i] != parity[i]) begin
                    faulty       = 1'b1;
                    faulty_index = $clog2(map::Services)'(i);
                end
            end
        end
    end

    always_ff @(posedge clk) begin
        out_faulty <= faulty;
        if (in_valid) begin
            out_excluded     <= excluded;
            out_dns          <= dns;
            out_faulty_index <= faulty_index;
        end
        if (write) begin
            entries[index] <= write_entry;
            parity[index]  <= ^write_entry;
        end
        late_rst  <= rst;
        later_rst <= late_rst;
        // One by one: Verilator 5.006 writes the wrong words of a wide constant that begins with zeros.
        for (int i = 0; i < map::Services; i++) begin
            if (i < map::Services / 2 ? late_rst : later_rst) begin
                entries[i] <= Defaults[i*Width +: Width];
                parity[i]  <= ^Defaults[i*Width +: Width];
            end
        end
        if (rst) out_faulty <= 1'b0;
    end
endmodule
