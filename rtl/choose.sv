// SPDX-License-Identifier: Apache-2.0
// Chooses the session that mirrors a frame, from the matches of all slots. In each slot the first rule that matches
// decides (P10). For Amazon DNS traffic the filter's network service decides instead of the rules (P8). The first slot
// that accepts mirrors the frame; the driver fills the slots in ascending session number (P12). Latency 1 cycle.
module choose (
    input  logic                                        clk,
    input  logic                                        in_valid,
    input  logic                                        in_ip,
    input  logic                                        in_fault,
    input  logic                                        in_excluded,
    input  logic                                        in_dns,
    input  logic [map::Slots-1:0]                       in_slot_valid,
    input  logic [map::Slots-1:0]                       in_slot_dns,
    input  logic [map::Slots*map::Rules-1:0]            in_match,
    input  logic [map::Slots*map::Rules-1:0]            in_accept,
    input  logic [map::Slots*offload::SessionBits-1:0]  in_session,
    input  logic [map::Slots*offload::CutWidth-1:0]     in_cut,
    input  logic [map::Slots-1:0]                       in_cut_faulty, // the limit is then 0, so that no byte is copied
    input  logic [offload::VersionWidth-1:0]            in_version,
    output offload::verdict_t                           out_verdict
);
    if (!offload::allowed(map::Slots, map::SlotsLeast, map::SlotsMost)) begin : g_size
        $error("slots = %0d is not allowed; it may be %0d alone", map::Slots, map::SlotsLeast);
    end

    logic [map::Slots-1:0] v6;
    logic [map::Slots*offload::LengthWidth-1:0] limit;
    offload::cut_t cut;

    always_comb begin
        for (int i = 0; i < map::Slots; i++) begin
            cut   = in_cut[i*offload::CutWidth +: offload::CutWidth];
            v6[i] = cut.v6;
            limit[i*offload::LengthWidth +: offload::LengthWidth] =
                in_cut_faulty[i] ? '0 : cut.packet_length < cut.mtu_cut ? cut.packet_length : cut.mtu_cut;
        end
    end

    always_ff @(posedge clk) begin
        out_verdict.tap <= in_valid;
        if (in_valid) begin
            logic accepted;
            accepted = 1'b0;
            out_verdict.ip       <= in_ip;
            out_verdict.excluded <= in_excluded;
            out_verdict.fault    <= in_fault;
            out_verdict.version  <= in_version;
            for (int i = 0; i < map::Slots; i++) begin
                logic [offload::RuleBits-1:0] rule_index;
                logic [1:0] why;
                logic accepts;
                rule_index = '0;
                why        = offload::SlotNoRule;
                accepts    = 1'b0;
                for (int j = map::Rules - 1; j >= 0; j--) begin
                    if (in_match[i*map::Rules+j]) begin
                        rule_index = offload::RuleBits'(j);
                        why        = offload::SlotRejected;
                        accepts    = in_accept[i*map::Rules+j];
                    end
                end
                if (in_dns) begin
                    rule_index = '0;
                    why        = offload::SlotRejectedDns;
                    accepts    = in_slot_dns[i];
                end
                if (!in_slot_valid[i]) begin
                    rule_index = '0;
                    why        = offload::SlotEmpty;
                    accepts    = 1'b0;
                end
                out_verdict.why[2*i +: 2] <= why;
                out_verdict.why_rule[offload::RuleBits*i +: offload::RuleBits] <= rule_index;
                if (accepts && !accepted) begin
                    accepted = 1'b1;
                    out_verdict.by_service <= in_dns;
                    out_verdict.slot       <= offload::SlotBits'(i);
                    out_verdict.rule_index <= rule_index;
                    out_verdict.session    <= in_session[i*offload::SessionBits +: offload::SessionBits];
                    out_verdict.v6         <= v6[i];
                    out_verdict.limit      <= limit[i*offload::LengthWidth +: offload::LengthWidth];
                end
            end
            out_verdict.accepted <= accepted;
        end
    end
endmodule
