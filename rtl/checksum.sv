// SPDX-License-Identifier: Apache-2.0
// Completes a copy's description with its checksum (RFC 1071): over IPv4 that of the outer IP header (P16), over IPv6
// that of UDP over the whole copy (P18). The kept bytes are summed while they enter, 16-bit words in the order in
// which they lie on the lanes; one exchange of bytes at the end sets that right. Latency 5 cycles from the copy's
// last beat, so that copies of both IP versions take the same time.
module checksum (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            in_start,        // a selected frame begins
    input  offload::outer_t                 in_outer,        // with in_start, as the source port
    input  logic [15:0]                     in_source_port,
    input  logic                            in_keep,
    input  logic [offload::BeatWidth-1:0]   in_data,
    input  logic                            in_commit,
    input  logic [offload::LengthWidth-1:0] in_kept,         // with in_commit
    output logic                            out_valid,
    output offload::copy_t                  out_copy,
    output logic                            busy
);
    function automatic logic [15:0] swap(input logic [15:0] word);
        swap = {word[7:0], word[15:8]};
    endfunction

    // Sum of the 16-bit words of an address, exchanged to the order on the lanes.
    function automatic logic [18:0] address_sum(input logic [127:0] address, input logic v6);
        address_sum = '0;
        for (int i = 0; i < 8; i++) begin
            if (v6 || i >= 6) address_sum = address_sum + 19'(swap(address[16*i +: 16]));
        end
    endfunction

    logic start1, start2, keep1, keep2, commit1, commit2, commit3, commit4;
    logic [33:0] quarter0, quarter1, quarter2, quarter3;
    logic [35:0] beat_sum;
    logic [43:0] sum;
    offload::outer_t outer1, outer2, outer3;
    logic [15:0] port1, port2, port3;
    logic [19:0] addresses1;
    logic [20:0] header2, header3;
    logic [offload::LengthWidth-1:0] kept1, kept2, kept3;
    offload::copy_t copy4;
    logic [20:0] total4;
    logic [16:0] folded;
    logic [15:0] result;

    function automatic logic [33:0] quarter_sum(input logic [127:0] words);
        quarter_sum = 34'(words[31:0]) + 34'(words[63:32]) + 34'(words[95:64]) + 34'(words[127:96]);
    endfunction

    // The header words that do not depend on the length. IPv4: version and IHL, TTL, protocol. IPv6: pseudo header's
    // protocol, ports, VXLAN flags and VNI.
    function automatic logic [19:0] fixed_words(input logic v6, input logic [23:0] vni, input logic [15:0] port);
        fixed_words = 20'(swap(16'h4500)) + 20'(swap(16'hff11));
        if (v6) begin
            fixed_words = 20'(swap(16'd17)) + 20'(swap(port)) + 20'(swap(16'd4789)) + 20'(swap(16'h0800)) +
                          20'(swap(vni[23:8])) + 20'(swap({vni[7:0], 8'd0}));
        end
    endfunction

    assign busy = keep1 || keep2 || commit1 || commit2 || commit3 || commit4;

    always_ff @(posedge clk) begin
        start1  <= in_start;
        start2  <= start1;
        keep1   <= in_keep;
        keep2   <= keep1;
        commit1 <= in_commit;
        commit2 <= commit1;
        commit3 <= commit2;
        commit4 <= commit3;

        if (in_keep) begin
            quarter0 <= quarter_sum(in_data[127:0]);
            quarter1 <= quarter_sum(in_data[255:128]);
            quarter2 <= quarter_sum(in_data[383:256]);
            quarter3 <= quarter_sum(in_data[511:384]);
        end
        if (keep1) beat_sum <= 36'(quarter0) + 36'(quarter1) + 36'(quarter2) + 36'(quarter3);
        if (keep2) sum <= (start2 ? '0 : sum) + 44'(beat_sum);

        if (in_start) begin
            outer1     <= in_outer;
            port1      <= in_source_port;
            addresses1 <= 20'(address_sum(in_outer.source_address, in_outer.v6)) +
                          20'(address_sum(in_outer.target_address, in_outer.v6));
        end
        if (start1) begin
            outer2  <= outer1;
            port2   <= port1;
            header2 <= 21'(addresses1) + 21'(fixed_words(outer1.v6, outer1.vni, port1));
        end
        if (start2) begin
            outer3  <= outer2;
            port3   <= port2;
            header3 <= header2;
        end
        if (in_commit) kept1 <= in_kept;
        if (commit1) kept2 <= kept1;
        if (commit2) kept3 <= kept2;

        // The length stands in the IPv4 header once; over IPv6 in the pseudo header and in UDP.
        if (commit3) begin
            copy4.outer       <= outer3;
            copy4.kept        <= kept3;
            copy4.source_port <= port3;
            copy4.checksum    <= '0;
            if (outer3.v6) begin
                total4 <= header3 + 21'(sum[15:0]) + 21'(sum[31:16]) + 21'(sum[43:32]) +
                          {4'd0, swap(16'(kept3) + 16'd16), 1'b0};
            end else begin
                total4 <= header3 + 21'(swap(16'(kept3) + 16'd36));
            end
        end
        if (rst) begin
            {start1, start2, keep1, keep2} <= '0;
            {commit1, commit2, commit3, commit4} <= '0;
        end
    end

    always_comb begin
        folded = 17'(total4[15:0]) + 17'(total4[20:16]);
        result = ~(folded[15:0] + 16'(folded[16]));
        out_copy = copy4;
        out_copy.checksum = copy4.outer.v6 && result == '0 ? 16'hffff : swap(result);
    end
    assign out_valid = commit4;
endmodule
