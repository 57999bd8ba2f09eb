// SPDX-License-Identifier: Apache-2.0
// Proof of `stream_register`: the beats that it takes are those that it gives, in order, and none changes while it waits.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       in_valid,
    input logic [3:0] in_beat,
    input logic       out_ready,
    input logic       pick        // this beat is the token
);
    logic in_ready, out_valid;
    logic [3:0] out_beat;
    stream_register #(.Width(4)) dut (.*);

    logic started = 1'b0;
    logic waiting = 1'b0;         // the token is inside
    logic [1:0] inside = '0, ahead = '0;
    logic [3:0] token;
    logic taken, given, fed = 1'b0;
    assign taken = in_valid && in_ready;
    assign given = out_valid && out_ready;

    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        inside <= inside + 2'(taken) - 2'(given);
        if (taken && pick && !waiting) begin
            waiting <= 1'b1;
            token   <= in_beat;
            ahead   <= inside - 2'(given);
        end else if (waiting && given) begin
            ahead   <= ahead - 1'b1;
            waiting <= ahead != '0;
        end
        if (rst) begin
            inside  <= '0;
            waiting <= 1'b0;
        end
        fed <= !rst && (in_valid || !in_ready);
    end

    always_ff @(posedge clk) if (started && !rst) begin
        in_order:  assert (!(waiting && ahead == '0 && given) || out_beat == token);
        all_there: assert (out_valid == (inside != '0));          // latency 1
        two_fit:   assert (in_ready == (inside != 2'd2));
        no_gap:    assert (!fed || out_valid);                     // fed whenever it can take
        reached:   cover (waiting && ahead == 2'd1 && given && inside == 2'd2);
    end
endmodule
