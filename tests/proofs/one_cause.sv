// SPDX-License-Identifier: Apache-2.0
// Does the cause of a pass suit its outcome (P23): one of those of a pass that is not eligible, one of those of a dropped
// one, or none.
module one_cause (
    input  offload::ending_t ending,
    output logic             suits
);
    logic not_eligible, dropped;
    always_comb begin
        unique case (ending.cause)
            offload::CauseNoTap, offload::CauseMalformed, offload::CauseMarkedBad, offload::CauseNotIp,
            offload::CauseExcluded, offload::CauseTableFault:
                {not_eligible, dropped} = 2'b10;
            offload::CauseOverflow, offload::CauseReset, offload::CauseSessionFault:
                {not_eligible, dropped} = 2'b01;
            default:
                {not_eligible, dropped} = 2'b00;
        endcase
    end
    assign suits = not_eligible == (ending.outcome == offload::NotEligible) &&
                   dropped == (ending.outcome == offload::Dropped);
endmodule
