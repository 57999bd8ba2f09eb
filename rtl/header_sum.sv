// SPDX-License-Identifier: Apache-2.0
// Sums those 16-bit words of the outer headers that a session entry gives and that do not depend on the copy, in the
// byte order of the lanes (RFC 1071): over IPv4 for the IP header's checksum (P16), over IPv6 for UDP's (P18). The sum is
// made once, when the entry is written, and kept with the entry, so that `checksum` has less to add. Latency 2 cycles.
module header_sum (
    input  logic                         clk,
    input  logic                         first,     // strobes of the two steps; `in_outer` holds still through both
    input  logic                         second,
    input  offload::outer_t              in_outer,
    output logic [offload::SumWidth-1:0] out_sum
);
    function automatic logic [16:0] pair_sum(input logic [31:0] words);
        pair_sum = 17'(offload::swap(words[15:0])) + 17'(offload::swap(words[31:16]));
    endfunction

    // As a tree of two. An IPv4 address is the two highest words.
    function automatic logic [18:0] address_sum(input logic [127:0] address, input logic v6);
        address_sum = 19'(18'(pair_sum(address[31:0])) + 18'(pair_sum(address[63:32])));
        address_sum = (v6 ? address_sum + 19'(pair_sum(address[95:64])) : '0) + 19'(pair_sum(address[127:96]));
    endfunction

    // IPv4: version and IHL, TTL and protocol. IPv6: the pseudo header's protocol, UDP's port, VXLAN flags and VNI.
    function automatic logic [18:0] fixed_words(input logic v6, input logic [23:0] vni);
        fixed_words = 19'(offload::swap(16'h4500)) + 19'(offload::swap(16'hff11));
        if (v6) begin
            fixed_words = 19'(offload::swap(16'd17)) + 19'(offload::swap(16'd4789)) + 19'(offload::swap(16'h0800)) +
                          19'(offload::swap(vni[23:8])) + 19'(offload::swap({vni[7:0], 8'd0}));
        end
    endfunction

    logic [18:0] source, target, fixed;

    always_ff @(posedge clk) begin
        if (first) begin
            source <= address_sum(in_outer.source_address, in_outer.v6);
            target <= address_sum(in_outer.target_address, in_outer.v6);
            fixed  <= fixed_words(in_outer.v6, in_outer.vni);
        end
        if (second) out_sum <= offload::SumWidth'(source) + offload::SumWidth'(target) + offload::SumWidth'(fixed);
    end
endmodule
