// SPDX-License-Identifier: Apache-2.0
// Global counters (P23): passes and bytes of frames, 64 bits each, in the order of the list in registers.toml. A snapshot
// copies all of them in one cycle. A pass that has come in and is not settled yet is counted as in flight, so that in each
// snapshot received = not eligible + not accepted + mirrored + dropped + in flight.
module counters (
    input  logic                           clk,
    input  logic                           rst,
    input  logic                           received,
    input  logic [offload::FrameWidth-1:0] received_bytes,
    input  logic                           forwarded,
    input  logic [offload::FrameWidth-1:0] forwarded_bytes,
    input  logic                           pass_settled,
    input  offload::ending_t               pass,
    input  logic                           copy_settled,
    input  logic                           copy_reset,
    input  logic                           copy_late_bad,
    input  logic [offload::FrameWidth-1:0] copy_bytes,
    input  logic                           snapshot,
    input  logic [$clog2(map::Counters)-1:0] index,
    output logic [63:0]                    value,       // as of the last snapshot
    output logic                           all_settled  // no pass is in flight
);
    (* mem2reg *) logic [63:0] live [map::Counters];
    (* mem2reg *) logic [63:0] frozen [map::Counters];

    assign value       = frozen[index];
    assign all_settled = live[map::CounterInFlightFrames] == '0;

    function automatic logic [63:0] wide(input logic [offload::FrameWidth-1:0] bytes, input logic counts);
        wide = counts ? 64'(bytes) : 64'd0;
    endfunction

    logic settled_selected, left, late_rst, later_rst;
    assign settled_selected = pass_settled && pass.outcome == offload::Dropped;
    assign left             = copy_settled && !copy_reset;

    always_ff @(posedge clk) begin
        if (received) begin
            live[map::CounterReceivedFrames] <= live[map::CounterReceivedFrames] + 64'd1;
            live[map::CounterReceivedBytes]  <= live[map::CounterReceivedBytes] + 64'(received_bytes);
        end
        if (forwarded) begin
            live[map::CounterForwardedFrames] <= live[map::CounterForwardedFrames] + 64'd1;
            live[map::CounterForwardedBytes]  <= live[map::CounterForwardedBytes] + 64'(forwarded_bytes);
        end
        if (received || pass_settled || copy_settled) begin
            live[map::CounterInFlightFrames] <= live[map::CounterInFlightFrames] + 64'(received) -
                                                64'(pass_settled) - 64'(copy_settled);
            live[map::CounterInFlightBytes]  <= live[map::CounterInFlightBytes] + wide(received_bytes, received) -
                                                wide(pass.bytes, pass_settled) - wide(copy_bytes, copy_settled);
        end
        if (pass_settled) begin
            unique case (pass.outcome)
                offload::NotEligible: begin
                    live[map::CounterNotEligibleFrames] <= live[map::CounterNotEligibleFrames] + 64'd1;
                    live[map::CounterNotEligibleBytes]  <= live[map::CounterNotEligibleBytes] + 64'(pass.bytes);
                end
                offload::NotAccepted: begin
                    live[map::CounterNotAcceptedFrames] <= live[map::CounterNotAcceptedFrames] + 64'd1;
                    live[map::CounterNotAcceptedBytes]  <= live[map::CounterNotAcceptedBytes] + 64'(pass.bytes);
                end
                default: ;
            endcase
            unique case (pass.cause)
                offload::CauseNoTap:       live[map::CounterNoTap] <= live[map::CounterNoTap] + 64'd1;
                offload::CauseMalformed:   live[map::CounterMalformed] <= live[map::CounterMalformed] + 64'd1;
                offload::CauseMarkedBad:   live[map::CounterMarkedBad] <= live[map::CounterMarkedBad] + 64'd1;
                offload::CauseNotIp:       live[map::CounterNotIp] <= live[map::CounterNotIp] + 64'd1;
                offload::CauseExcluded:    live[map::CounterExcluded] <= live[map::CounterExcluded] + 64'd1;
                offload::CauseTableFault:  live[map::CounterTableFault] <= live[map::CounterTableFault] + 64'd1;
                offload::CauseOverflow:    live[map::CounterOverflow] <= live[map::CounterOverflow] + 64'd1;
                offload::CauseSessionFault: live[map::CounterSessionFault] <= live[map::CounterSessionFault] + 64'd1;
                default: ;
            endcase
        end
        // A pass without a copy and a copy can settle in one cycle.
        if (settled_selected || copy_settled) begin
            live[map::CounterSelectedFrames] <= live[map::CounterSelectedFrames] + 64'(settled_selected) +
                                                64'(copy_settled);
            live[map::CounterSelectedBytes]  <= live[map::CounterSelectedBytes] +
                                                wide(pass.bytes, settled_selected) + wide(copy_bytes, copy_settled);
        end
        if (settled_selected || (copy_settled && copy_reset)) begin
            live[map::CounterDroppedFrames] <= live[map::CounterDroppedFrames] + 64'(settled_selected) +
                                               64'(copy_settled && copy_reset);
            live[map::CounterDroppedBytes]  <= live[map::CounterDroppedBytes] +
                                               wide(pass.bytes, settled_selected) +
                                               wide(copy_bytes, copy_settled && copy_reset);
            live[map::CounterReset]         <= live[map::CounterReset] +
                                               64'(settled_selected && pass.cause == offload::CauseReset) +
                                               64'(copy_settled && copy_reset);
        end
        if (left) begin
            live[map::CounterMirroredFrames] <= live[map::CounterMirroredFrames] + 64'd1;
            live[map::CounterMirroredBytes]  <= live[map::CounterMirroredBytes] + 64'(copy_bytes);
            live[map::CounterLateBad]        <= live[map::CounterLateBad] + 64'(copy_late_bad);
        end
        if (snapshot) begin
            for (int i = 0; i < map::Counters; i++) frozen[i] <= live[i];
        end
        // Live counters are reset one cycle late and frozen ones two, so that no one net has all these loads. That is
        // early enough: no pass can be counted, and no snapshot or read can come, before.
        late_rst  <= rst;
        later_rst <= late_rst;
        if (later_rst) begin
            for (int i = 0; i < map::Counters; i++) frozen[i] <= '0;
        end
        if (late_rst) begin
            for (int i = 0; i < map::Counters; i++) live[i] <= '0;
        end
    end
endmodule
