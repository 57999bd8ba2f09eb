// SPDX-License-Identifier: Apache-2.0
// Proof of `fifo`: every word that was pushed comes out once and in order, even if every word that is read from the memory
// has a flipped bit. prove.py puts `flip` into the read. One word, which the solver picks, is followed; the words in front of
// it are counted.
module proof (
    input logic       clk,
    input logic       rst,
    input logic       in_valid,
    input logic [1:0] in_word,
    input logic       out_ready,
    input logic       pick
);
    localparam int Depth = 4;
    logic out_valid, out_pop, corrected;
    logic [1:0] out_word;
    fifo #(.Width(2), .Depth(Depth), .Columns(1)) dut (.*);
    assign out_pop = out_valid && out_ready;

    logic started = 1'b0;
    logic waiting = 1'b0;
    logic [2:0] inside = '0, ahead = '0, turns = '0;
    logic [1:0] token;
    logic [1:0] age1 = '0, age2 = '0;
    logic [2:0] old1 = '0, old2 = '0, old3 = '0;      // words inside that are at least 1, 2, 3 cycles old

    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        // The caller's part of the contract: besides two words on their way out, no more than Depth are inside.
        assume (!in_valid || inside < 3'(Depth + 2));
        inside <= inside + 3'(in_valid) - 3'(out_pop);
        old1   <= inside - 3'(out_pop);
        old2   <= old1 == '0 ? '0 : old1 - 3'(out_pop);
        if (in_valid && pick && !waiting) begin
            waiting <= 1'b1;
            token   <= in_word;
            ahead   <= inside - 3'(out_pop);
        end else if (waiting && out_pop) begin
            ahead   <= ahead - 1'b1;
            waiting <= ahead != '0;
        end
        if (in_valid && turns != '1) turns <= turns + 1'b1;
        if (rst) begin
            inside  <= '0;
            old1    <= '0;
            old2    <= '0;
            waiting <= 1'b0;
            turns   <= '0;
        end
    end

    always_ff @(posedge clk) if (started && !rst) begin
        in_order:   assert (!(waiting && ahead == '0 && out_pop) || out_word == token);
        none_extra: assert (!out_valid || inside != '0);
        in_time:    assert (out_valid == (old2 != '0));
        reached:    cover (waiting && ahead == '0 && out_pop && corrected && turns == '1 && inside == 3'(Depth + 1));
    end
endmodule
