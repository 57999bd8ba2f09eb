// SPDX-License-Identifier: Apache-2.0
// Completes a copy's description with its checksum (RFC 1071): over IPv4 that of the outer IP header (P16), over IPv6
// that of UDP over the whole copy (P18). The kept bytes are summed while they enter. On the lanes the two bytes of a
// 16-bit word are exchanged; such a sum is the right one with its bytes exchanged (RFC 1071 section 2), so one exchange
// at the end suffices. The words that are in the session entry were summed when it was written (`header_sum`).
// Latency 2 cycles from the copy's last beat, the same for both IP versions.
module checksum (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            in_start,        // a selected frame begins
    input  offload::outer_t                 in_outer,        // with in_start, and so are the next three
    input  logic [offload::SumWidth-1:0]    in_sum,
    input  logic [15:0]                     in_source_port,
    input  logic [offload::SessionBits-1:0] in_session,
    input  logic                            in_keep,
    input  logic [offload::BeatWidth-1:0]   in_data,
    input  logic                            in_commit,
    input  logic [offload::LengthWidth-1:0] in_kept,         // with in_commit
    output logic                            out_valid,
    output offload::copy_t                  out_copy,
    output logic                            busy
);
    logic start1, keep1, commit1, commit2;
    logic [33:0] quarter0, quarter1, quarter2, quarter3;
    logic [43:0] sum;
    offload::outer_t outer1, outer2;
    logic [15:0] port1, port2;
    logic [offload::SessionBits-1:0] session1, session2;
    logic [offload::SumWidth-1:0] header1;
    logic [offload::LengthWidth-1:0] kept1, kept2;
    logic [21:0] header2;
    logic [15:0] upper, lower, middle, sums, carries, sums2, carries2, sums3, carries3;
    logic [16:0] plain, plus;

    function automatic logic [33:0] quarter_sum(input logic [127:0] words);
        quarter_sum = 34'(words[31:0]) + 34'(words[63:32]) + 34'(words[95:64]) + 34'(words[127:96]);
    endfunction

    // Three 16-bit words become two with the same sum in ones' complement: a carry out of the top goes in at the bottom.
    function automatic logic [15:0] carry_words(input logic [15:0] a, input logic [15:0] b, input logic [15:0] c);
        logic [15:0] carry;
        carry = (a & b) | (a & c) | (b & c);
        carry_words = {carry[14:0], carry[15]};
    endfunction

    assign busy = keep1 || commit1 || commit2;

    always_ff @(posedge clk) begin
        start1  <= in_start;
        keep1   <= in_keep;
        commit1 <= in_commit;
        commit2 <= commit1;

        if (in_keep) begin
            quarter0 <= quarter_sum(in_data[127:0]);
            quarter1 <= quarter_sum(in_data[255:128]);
            quarter2 <= quarter_sum(in_data[383:256]);
            quarter3 <= quarter_sum(in_data[511:384]);
        end
        if (keep1) begin
            sum <= (start1 ? '0 : sum) + 44'(quarter0) + 44'(quarter1) + 44'(quarter2) + 44'(quarter3);
        end

        if (in_start) begin
            outer1   <= in_outer;
            port1    <= in_source_port;
            session1 <= in_session;
            header1  <= in_sum;
        end
        if (start1) begin
            outer2   <= outer1;
            port2    <= port1;
            session2 <= session1;
        end
        if (in_commit) kept1 <= in_kept;
        if (commit1) begin
            kept2 <= kept1;
            // Over IPv4 the length is summed once, as it stands in the IP header. Over IPv6 it is summed twice, as it
            // stands in the pseudo header and in the UDP header.
            header2 <= 22'(header1) + (outer1.v6 ? 22'({offload::swap(16'(kept1) + 16'd16), 1'b0}) +
                                                   22'(offload::swap(port1))
                                                 : 22'(offload::swap(16'(kept1) + 16'd36)));
        end
        if (rst) {start1, keep1, commit1, commit2} <= '0;
    end

    // Five words are brought to two without a carry chain. The two are then added twice, side by side: without (`plain`)
    // and with (`plus`) the carry that a ones' complement sum takes in at the bottom when one leaves at the top. Over
    // IPv6 a checksum of 0 must be sent as 0xffff, the other zero of ones' complement: the choice by `plus` gives that.
    always_comb begin
        {upper, middle, lower}                               = '0;
        {sums, carries, sums2, carries2, sums3, carries3}    = '0;
        {plain, plus}                                        = '0;
        out_copy                                             = '0;
        if (commit2) begin
            if (outer2.v6) {upper, middle, lower} = {4'd0, sum};
            sums     = header2[15:0] ^ middle ^ lower;
            carries  = carry_words(header2[15:0], middle, lower);
            sums2    = sums ^ upper ^ 16'(header2[21:16]);
            carries2 = carry_words(sums, upper, 16'(header2[21:16]));
            sums3    = sums2 ^ carries2 ^ carries;
            carries3 = carry_words(sums2, carries2, carries);
            plain    = 17'(sums3) + 17'(carries3);
            plus     = 17'(({1'b0, sums3, 1'b1} + {1'b0, carries3, 1'b1}) >> 1);   // in one chain
            out_copy.session     = session2;
            out_copy.outer       = outer2;
            out_copy.kept        = kept2;
            out_copy.source_port = port2;
            out_copy.checksum    = offload::swap(~((outer2.v6 ? plus[16] : plain[16]) ? plus[15:0] : plain[15:0]));
        end
    end
    assign out_valid = commit2;
endmodule
