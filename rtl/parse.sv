// SPDX-License-Identifier: Apache-2.0
// Parser: from a frame's window to the key that services and rules match (P3 to P5). Latency 6 cycles, one frame a
// cycle: tags and the fixed IP header in the first, then up to four IPv6 extension headers one a cycle, then ports.
module parse (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            in_valid,
    input  logic [2*offload::BeatWidth-1:0] in_window,
    input  logic [7:0]                      in_length,    // bytes of the frame in the window's first beat
    input  logic [6:0]                      in_more,      // and in its second
    output logic                            out_valid,
    output offload::key_t                   out_key
);
    function automatic logic [15:0] type_at(input logic [2*offload::BeatWidth-1:0] window, input int first_byte);
        type_at = {window[8*first_byte +: 8], window[8*first_byte+8 +: 8]};
    endfunction

    function automatic logic is_tag(input logic [15:0] ether_type);
        is_tag = ether_type == 16'h8100 || ether_type == 16'h88a8;
    endfunction

    function automatic logic [31:0] header_word(input logic [319:0] header, input int word);
        header_word = {header[32*word +: 8], header[32*word+8 +: 8], header[32*word+16 +: 8], header[32*word+24 +: 8]};
    endfunction

    // Tags, EtherType and fixed header are all in the first 62 bytes. The header's ten words are moved once, by the number
    // of tags in front of them; then every field has a fixed place.
    logic [1023:0] words;
    logic [319:0] header;
    logic [1:0] base;                     // of the IP header, in words behind byte 14: the number of tags
    logic [31:0] word0, word1, word2;
    logic v4, v6;

    // The EtherType is compared at each place where it can be, beside the search for tags and not after it.
    always_comb begin
        words  = {112'd0, in_window[2*offload::BeatWidth-1:112]};
        base   = 2'd0;
        header = words[319:0];
        v4     = type_at(in_window, 12) == 16'h0800;
        v6     = type_at(in_window, 12) == 16'h86dd;
        if (is_tag(type_at(in_window, 12))) begin
            base   = 2'd1;
            header = words[351:32];
            v4     = type_at(in_window, 16) == 16'h0800;
            v6     = type_at(in_window, 16) == 16'h86dd;
            if (is_tag(type_at(in_window, 16))) begin
                base   = 2'd2;
                header = words[383:64];
                v4     = type_at(in_window, 20) == 16'h0800;
                v6     = type_at(in_window, 20) == 16'h86dd;
            end
        end
        word0 = header_word(header, 0);
        word1 = header_word(header, 1);
        word2 = header_word(header, 2);
    end

    logic fixed_valid;
    logic [6:0] more;                     // in_more, not yet in fixed.length
    offload::walk_t fixed, whole;

    always_ff @(posedge clk) begin
        fixed_valid <= in_valid;
        if (in_valid) begin
            fixed.words              <= words;
            fixed.length             <= in_length;
            more                     <= in_more;
            fixed.key.v6             <= v6;
            fixed.key.protocol_known <= 1'b1;
            fixed.key.has_ports        <= 1'b0;
            fixed.key.source_port      <= '0;
            fixed.key.destination_port <= '0;
            if (v6) begin
                fixed.key.ip          <= word0[31:28] == 4'd6;
                fixed.key.source      <= {word2, header_word(header, 3),
                                          header_word(header, 4), header_word(header, 5)};
                fixed.key.destination <= {header_word(header, 6), header_word(header, 7),
                                          header_word(header, 8), header_word(header, 9)};
                fixed.key.protocol    <= word1[15:8];
                fixed.key.fragment    <= 1'b0;
                fixed.later           <= 1'b0;
                fixed.open            <= 1'b1;
                fixed.position        <= 10'(base) + 10'd10;
            end else begin
                fixed.key.ip          <= v4 && word0[31:28] == 4'd4 && word0[27:24] >= 4'd5;
                fixed.key.source      <= {header_word(header, 3), 96'd0};
                fixed.key.destination <= {header_word(header, 4), 96'd0};
                fixed.key.protocol    <= word2[23:16];
                fixed.key.fragment    <= word1[12:0] != '0 || word1[13];
                fixed.later           <= word1[12:0] != '0;
                fixed.open            <= 1'b0;
                fixed.position        <= 10'(base) + {6'd0, word0[27:24]};
            end
        end
        if (rst) fixed_valid <= 1'b0;
    end

    // The frame is IP only if its whole IP header lies in the window. Position 0 is byte 14, in the middle of the frame's
    // fourth word.
    always_comb begin
        whole        = fixed;
        whole.length = fixed.length + {1'b0, more};
        whole.key.ip = fixed.key.ip && {fixed.position + 10'd3, 2'd2} <= {4'd0, whole.length};
    end

    logic valid1, valid2, valid3, valid4;
    offload::walk_t walk1, walk2, walk3, walk4;

    extension_header #(.First(1)) header1 (
        .clk, .rst, .in_valid(fixed_valid), .in_walk(whole), .out_valid(valid1), .out_walk(walk1)
    );
    extension_header header2 (.clk, .rst, .in_valid(valid1), .in_walk(walk1), .out_valid(valid2), .out_walk(walk2));
    extension_header header3 (.clk, .rst, .in_valid(valid2), .in_walk(walk2), .out_valid(valid3), .out_walk(walk3));
    extension_header header4 (.clk, .rst, .in_valid(valid3), .in_walk(walk3), .out_valid(valid4), .out_walk(walk4));

    // A fifth extension header leaves the protocol unknown.
    logic known, has_ports;
    logic [31:0] ports;
    assign known     = walk4.key.protocol_known && !(walk4.open && offload::is_extension(walk4.key.protocol));
    assign has_ports = known && (walk4.key.protocol == 8'd6 || walk4.key.protocol == 8'd17) && !walk4.later &&
                       {walk4.position + 10'd4, 2'd2} <= {4'd0, walk4.length};
    assign ports     = offload::word_at(walk4.words, walk4.position[4:0]);

    always_ff @(posedge clk) begin
        out_valid <= valid4;
        if (valid4) begin
            out_key                  <= walk4.key;
            out_key.protocol_known   <= known;
            out_key.protocol         <= known ? walk4.key.protocol : '0;
            out_key.has_ports        <= has_ports;
            out_key.source_port      <= has_ports ? ports[31:16] : '0;
            out_key.destination_port <= has_ports ? ports[15:0] : '0;
        end
        if (rst) out_valid <= 1'b0;
    end
endmodule
