// SPDX-License-Identifier: Apache-2.0
// One step of the walk through IPv6 extension headers (P5; RFC 8200 section 4, RFC 4302 for AH). Latency 1 cycle.
// A frame whose walk has ended, as every IPv4 frame's, passes unchanged.
module extension_header (
    input  logic           clk,
    input  logic           rst,
    input  logic           in_valid,
    input  offload::walk_t in_walk,
    output logic           out_valid,
    output offload::walk_t out_walk
);
    logic [31:0] head;                    // next header, length, and a fragment header's offset and flags
    logic [8:0] start, need;
    logic [9:0] next;
    logic extension, present, fragment, later;

    assign head      = offload::word_at(in_walk.words, in_walk.position[4:0]);
    assign extension = in_walk.open && offload::is_extension(in_walk.key.protocol);
    assign fragment  = in_walk.key.protocol == 8'd44;
    assign later     = extension && fragment && head[15:3] != '0;
    assign start     = 9'd14 + {1'b0, in_walk.position, 2'd0};
    assign need      = fragment ? 9'd8 : 9'd2;
    assign present   = start + need <= {1'b0, in_walk.length};

    always_comb begin
        unique case (in_walk.key.protocol)
            8'd44:   next = {4'd0, in_walk.position} + 10'd2;
            8'd51:   next = {4'd0, in_walk.position} + {2'd0, head[23:16]} + 10'd2;
            default: next = {4'd0, in_walk.position} + {1'b0, head[23:16], 1'b0} + 10'd2;
        endcase
    end

    always_ff @(posedge clk) begin
        out_valid <= in_valid;
        if (in_valid) begin
            out_walk <= in_walk;
            if (extension && !present) begin
                out_walk.open               <= 1'b0;
                out_walk.key.protocol_known <= 1'b0;
            end else if (extension) begin
                out_walk.open         <= !later;
                out_walk.later        <= later;
                out_walk.position     <= next > 10'd63 ? 6'd63 : next[5:0];
                out_walk.key.protocol <= head[31:24];
                out_walk.key.fragment <= in_walk.key.fragment || later || (fragment && head[0]);
            end
        end
        if (rst) out_valid <= 1'b0;
    end
endmodule
