// SPDX-License-Identifier: Apache-2.0
// Proof of `delay`: each beat comes out 7 cycles later as it went in, and nothing else does, even if every word that is read
// from the memory has a flipped bit; each flip is reported. prove.py puts `flip` into the read.
module proof (
    input logic           clk,
    input logic           rst,
    input logic           in_valid,
    input offload::beat_t in_beat
);
    localparam int Cycles = 7;
    logic out_valid, corrected, busy, flips;
    offload::beat_t out_beat;
    delay #(.Cycles(Cycles)) dut (.*);

    logic started = 1'b0;
    logic [Cycles-1:0] valid = '0;
    logic [Cycles*$bits(in_beat)-1:0] beats = '0;   // the oldest one highest
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        valid    <= rst ? '0 : {valid[Cycles-2:0], in_valid};
        beats    <= {beats[0 +: (Cycles-1)*$bits(in_beat)], in_beat};
    end

    logic was_corrected;
    always_ff @(posedge clk) was_corrected <= corrected;

    always_ff @(posedge clk) if (started && !rst) begin
        in_time:    assert (out_valid == valid[Cycles-1]);
        unchanged:  assert (!out_valid || out_beat == beats[(Cycles-1)*$bits(in_beat) +: $bits(in_beat)]);
        tells_flip: assert (corrected == (valid[Cycles-2] && flips));
        all_inside: assert (busy == (valid != '0));
        reached: cover (out_valid && was_corrected && out_beat.last && valid == '1);
    end
endmodule
