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
    output logic                             out_faulty,    // an entry is faulty (T4); looked for with in_valid
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
    if (!offload::allowed(map::Services, map::ServicesLeast, map::ServicesMost)) begin : g_size
        $error("services = %0d is not allowed; it may be a power of two from %0d to %0d",
               map::Services, map::ServicesLeast, map::ServicesMost);
    end

    (* mem2reg *) logic [Width-1:0] entries [map::Services];
    logic [map::Services-1:0] parity;     // of each entry
    // The lower half of the entries is reset one cycle late and the upper half two: one register for all would have too
    // many loads.
    logic late_rst, later_rst;

    // To read back. A multiplexer over all entries would be large, so an entry that was written since the reset is read
    // from a copy in a memory, and any other is the constant that the reset put there.
    (* ram_style = "distributed" *) logic [Width-1:0] copies [map::Services];
    logic [map::Services-1:0] written;
    logic [Width-1:0] default_entry;
    logic copied;
    always_comb begin
        default_entry = 'x;
        copied        = 1'bx;
        entry         = 'x;
        if (read) begin
            for (int i = 0; i < map::Services; i++) begin
                if (index == $clog2(map::Services)'(i)) begin
                    default_entry = Defaults[i*Width +: Width];
                    copied        = written[i];
                end
            end
            entry = copied ? copies[index] : default_entry;
        end
    end

    // Every entry is compared with the frame. The entry's address must be that of one side, source or destination. Its port
    // must be that of the same side, or with `either_side` that of any side.
    offload::service_t service;
    logic tcp, udp, protocol, resolver, from, to, source_port, destination_port, hit, excluded, dns;
    logic [map::Services-1:0] excludes, resolves;
    logic [map::Services:0] any_excludes;
    logic [map::Services+1:0] any_resolves;
    logic [127:0] source, destination, differs;
    // Each bit takes three bits of an address. 0 minus the bits has a 1 on top if any bit is 1: an OR as a carry chain,
    // which takes no LUTs.
    logic [43:0] wrong_source, wrong_destination;
    logic [63:0] ports, outside;

    always_comb begin
        service           = 'x;
        tcp               = 1'bx;
        udp               = 1'bx;
        protocol          = 1'bx;
        resolver          = 1'bx;
        from              = 1'bx;
        to                = 1'bx;
        source_port       = 1'bx;
        destination_port  = 1'bx;
        hit               = 1'bx;
        excludes          = '0;
        any_excludes      = 'x;
        any_resolves      = 'x;
        resolves          = '0;
        source            = 'x;
        destination       = 'x;
        differs           = 'x;
        wrong_source      = 'x;
        wrong_destination = 'x;
        ports             = 'x;
        outside           = 'x;
        excluded          = 1'bx;
        dns               = 1'bx;
        if (in_valid) begin
            tcp         = in_key.protocol_known && in_key.protocol == 8'd6;
            udp         = in_key.protocol_known && in_key.protocol == 8'd17;
            source      = in_key.source;
            destination = in_key.destination;
            ports       = {in_key.destination_port, ~in_key.destination_port, in_key.source_port, ~in_key.source_port};
            resolver    = in_has_resolver && !in_key.v6 && in_key.has_ports &&
                          ((in_key.source[127:96] == in_resolver && in_key.source_port == 16'd53) ||
                           (in_key.destination[127:96] == in_resolver && in_key.destination_port == 16'd53));
            for (int i = 0; i < map::Services; i++) begin
                service = entries[i];
                if (service.valid && service.v6 == in_key.v6) begin
                    differs           = source ^ service.address;
                    wrong_source      = 44'd0 - {1'b0, differs[127:96] | differs[95:64] | differs[63:32],
                                                 differs[10:0] | differs[21:11] | {1'b0, differs[31:22]}};
                    differs           = destination ^ service.address;
                    wrong_destination = 44'd0 - {1'b0, differs[127:96] | differs[95:64] | differs[63:32],
                                                 differs[10:0] | differs[21:11] | {1'b0, differs[31:22]}};
                    from              = service.any_address || !wrong_source[43];
                    to                = service.any_address || !wrong_destination[43];
                    outside = 'x;
                    if (service.has_ports)
                        outside = offload::outside(ports, {2{service.port_to, ~service.port_from}});
                    protocol         = (!service.tcp && !service.udp) || (service.tcp && tcp) || (service.udp && udp);
                    source_port      = !service.has_ports || (!outside[14] && !outside[30]);
                    destination_port = !service.has_ports || (!outside[46] && !outside[62]);
                    hit = protocol && (!service.has_ports || in_key.has_ports) &&
                          ((from && (source_port || (service.either_side && destination_port))) ||
                           (to && (destination_port || (service.either_side && source_port))));
                    excludes[i] = hit && !service.dns;
                    resolves[i] = hit && service.dns;
                end
            end
            any_excludes = (map::Services + 1)'(0) - {1'b0, excludes};
            any_resolves = (map::Services + 2)'(0) - {1'b0, resolver, resolves};
            excluded     = any_excludes[map::Services];
            dns          = any_resolves[map::Services+1];
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
            copies[index] <= write_entry;
            for (int i = 0; i < map::Services; i++) begin
                if (index == $clog2(map::Services)'(i)) begin
                    entries[i] <= write_entry;
                    parity[i]  <= ^write_entry;
                    written[i] <= 1'b1;
                end
            end
        end
        late_rst  <= rst;
        later_rst <= late_rst;
        // One by one: Verilator 5.006 writes the wrong words of a wide constant that begins with zeros.
        for (int i = 0; i < map::Services; i++) begin
            if (i < map::Services / 2 ? late_rst : later_rst) begin
                entries[i] <= Defaults[i*Width +: Width];
                parity[i]  <= ^Defaults[i*Width +: Width];
                written[i] <= 1'b0;
            end
        end
        if (rst) out_faulty <= 1'b0;
    end
endmodule
