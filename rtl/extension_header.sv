// SPDX-License-Identifier: Apache-2.0
// One step of the walk through IPv6 extension headers (P5; RFC 8200 section 4, RFC 4302 for AH). Latency 1 cycle.
// A frame whose walk has ended passes unchanged; that of an IPv4 frame ends before the first step.
module extension_header #(
    parameter bit First = 0              // the step behind the fixed header: at position 10, 11 or 12
) (
    input  logic           clk,
    input  logic           rst,
    input  logic           in_valid,
    input  offload::walk_t in_walk,
    output logic           out_valid,
    output offload::walk_t out_walk
);
    logic [31:0] head;                    // next header, length, and a fragment header's offset and flags
    logic [9:0] behind;                   // position behind a header of 8 bytes
    logic [9:0] more, next;
    logic extension, present, fragment, later;

    if (First) begin : g_first
        always_comb begin
            unique case (in_walk.position[1:0])
                2'd2:    head = offload::word_at(in_walk.words, 5'd10);
                2'd3:    head = offload::word_at(in_walk.words, 5'd11);
                default: head = offload::word_at(in_walk.words, 5'd12);
            endcase
        end
    end else begin : g_later
        assign head = offload::word_at(in_walk.words, in_walk.position[4:0]);
    end
    assign extension = in_walk.open && offload::is_extension(in_walk.key.protocol);
    assign fragment  = in_walk.key.protocol == 8'd44;
    assign later     = extension && fragment && head[15:3] != '0;
    // The walk goes on if the header's first 2 bytes, or all 8 of a fragment header, lie in the window (P5). Position 0 is
    // byte 14 of the frame.
    assign present = fragment ? {in_walk.position + 10'd5, 2'd2} <= {4'd0, in_walk.length}
                              : in_walk.position + 10'd4 <= {4'd0, in_walk.length[7:2]};

    // `behind` does not wait for the head, so that only one addition follows the search for the head.
    assign behind = in_walk.position + 10'd2;
    assign more   = in_walk.key.protocol == 8'd51 ? {2'd0, head[23:16]} : {1'b0, head[23:16], 1'b0};
    assign next   = fragment ? behind : behind + more;

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
                out_walk.position     <= next;
                out_walk.key.protocol <= head[31:24];
                out_walk.key.fragment <= in_walk.key.fragment || later || (fragment && head[0]);
            end
        end
        if (rst) out_valid <= 1'b0;
    end
endmodule
