// SPDX-License-Identifier: Apache-2.0
// Proof of `checksum`: each committed copy is announced 2 cycles later, and no other, with its length and with the outer
// header, source port and session entry that came with its frame's start. That the checksum itself is right is not proved
// here but tested. `held...` are the module's own registers, which prove.py makes outputs.
module proof (
    input logic                            clk,
    input logic                            rst,
    input logic                            in_start,
    input offload::outer_t                 in_outer,
    input logic [offload::SumWidth-1:0]    in_sum,
    input logic [15:0]                     in_source_port,
    input logic [offload::SessionBits-1:0] in_session,
    input logic                            in_keep,
    input logic [offload::BeatWidth-1:0]   in_data,
    input logic                            in_commit,
    input logic [offload::LengthWidth-1:0] in_kept
);
    logic out_valid, busy, held_start;
    offload::copy_t out_copy;
    offload::outer_t held_outer1, held_outer2;
    logic [15:0] held_port1, held_port2;
    logic [offload::SessionBits-1:0] held_session1, held_session2;
    checksum dut (.*);

    // What came with the start of the newest frame, and what was committed one and two cycles ago.
    logic started = 1'b0, commit1 = 1'b0, commit2 = 1'b0, keep1 = 1'b0, begun = 1'b0, start1 = 1'b0;
    offload::outer_t outer, begun_outer, outer1, outer2;
    logic [15:0] port, begun_port, port1, port2;
    logic [offload::SessionBits-1:0] session, begun_session, after1, after2;
    logic [offload::LengthWidth-1:0] kept1, kept2;
    assign outer = in_start ? in_outer : begun_outer;
    assign port  = in_start ? in_source_port : begun_port;
    assign session = in_start ? in_session : begun_session;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        assume (started || rst);
        assume (in_start || begun || !in_commit);
        begun       <= (in_start || begun) && !rst;
        begun_outer <= outer;
        begun_port  <= port;
        begun_session <= session;
        start1      <= in_start && !rst;
        keep1       <= in_keep && !rst;
        commit1     <= in_commit && !rst;
        commit2     <= commit1 && !rst;
        outer1      <= outer;
        outer2      <= outer1;
        port1       <= port;
        port2       <= port1;
        after1      <= session;
        after2      <= after1;
        kept1       <= in_kept;
        kept2       <= kept1;
    end

    always_ff @(posedge clk) if (started && !rst) begin
        in_time:    assert (out_valid == commit2);
        as_begun:   assert (!commit2 || (out_copy.outer == outer2 && out_copy.source_port == port2 &&
                                         out_copy.session == after2));
        its_length: assert (!commit2 || out_copy.kept == kept2);
        all_inside: assert (busy == (keep1 || commit1 || commit2));
`ifdef HELPERS
        // Invariants for the induction.
        in_step: assert (held_start == start1);
        holds:   assert (!begun || (held_outer1 == begun_outer && held_port1 == begun_port &&
                                    held_session1 == begun_session &&
                                    (start1 || (held_outer2 == held_outer1 && held_port2 == held_port1 &&
                                                held_session2 == held_session1))));
`endif
        reached:    cover (commit2 && commit1 && out_copy.outer.v6 && outer2 != outer1 && kept1 != kept2);
    end
endmodule
