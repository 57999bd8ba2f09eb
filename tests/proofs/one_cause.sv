// SPDX-License-Identifier: Apache-2.0
// Whether the cause of a pass suits its outcome (P23): a pass that is not eligible has one of the causes for that, a dropped
// pass one of those for that, and any other pass none.
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
