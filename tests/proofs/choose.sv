// SPDX-License-Identifier: Apache-2.0
// Proof of `choose`: the verdict on a frame is that of the first slot that accepts it (P12). A slot decides about Amazon DNS
// by its network service (P8), and about any other frame by the first of its rules that matches (P10). If no slot accepts,
// the verdict does not.
module proof (
    input logic                                       clk,
    input logic                                       in_valid,
    input logic                                       in_ip,
    input logic                                       in_fault,
    input logic                                       in_excluded,
    input logic                                       in_dns,
    input logic [map::Slots-1:0]                      in_slot_valid,
    input logic [map::Slots-1:0]                      in_slot_dns,
    input logic [map::Slots*map::Rules-1:0]           in_match,
    input logic [map::Slots*map::Rules-1:0]           in_accept,
    input logic [map::Slots*offload::SessionBits-1:0] in_session,
    input logic [map::Slots*offload::CutWidth-1:0]    in_cut,
    input logic [map::Slots-1:0]                      in_cut_faulty,
    input logic [offload::VersionWidth-1:0]           in_version
);
    offload::verdict_t out_verdict;
    choose dut (.*);

    // For each slot: its first match, whether it accepts, and why not.
    logic [map::Slots-1:0] accepts;
    logic [map::Slots*offload::RuleBits-1:0] first;
    logic [map::Slots*2-1:0] why;
    logic [map::Rules-1:0] match, lowest;
    always_comb begin
        accepts = '0;
        first   = '0;
        why     = '0;
        for (int i = 0; i < map::Slots; i++) begin
            match  = in_match[map::Rules*i +: map::Rules];
            lowest = match & (~match + 1'b1);              // its lowest bit alone
            for (int j = 0; j < map::Rules; j++) begin
                if (in_slot_valid[i] && !in_dns && lowest[j])
                    first[offload::RuleBits*i +: offload::RuleBits] = offload::RuleBits'(j);
            end
            accepts[i] = in_slot_valid[i] && (in_dns ? in_slot_dns[i]
                                                     : (lowest & in_accept[map::Rules*i +: map::Rules]) != '0);
            why[2*i +: 2] = !in_slot_valid[i] ? offload::SlotEmpty : in_dns ? offload::SlotRejectedDns
                                              : match == '0 ? offload::SlotNoRule : offload::SlotRejected;
        end
    end

    // What comes from the slot that accepts.
    logic [map::Slots-1:0] takes;
    logic [offload::SessionBits-1:0] session;
    logic [offload::LengthWidth-1:0] limit;
    logic [offload::RuleBits-1:0] rule_index;
    logic [offload::SlotBits-1:0] slot;
    logic v6;
    offload::cut_t cut;
    assign takes = accepts & (~accepts + 1'b1);
    always_comb begin
        session    = '0;
        limit      = '0;
        rule_index = '0;
        slot       = '0;
        v6         = 1'b0;
        for (int i = 0; i < map::Slots; i++) begin
            cut = in_cut[offload::CutWidth*i +: offload::CutWidth];
            if (takes[i]) begin
                slot       = offload::SlotBits'(i);
                session    = in_session[offload::SessionBits*i +: offload::SessionBits];
                rule_index = first[offload::RuleBits*i +: offload::RuleBits];
                v6         = cut.v6;
                if (!in_cut_faulty[i]) limit = cut.mtu_cut < cut.packet_length ? cut.mtu_cut : cut.packet_length;
            end
        end
    end

    // The verdict comes a cycle later.
    logic started = 1'b0;
    offload::verdict_t verdict, was_verdict;
    always_comb begin
        verdict.tap        = in_valid;
        verdict.ip         = in_ip;
        verdict.fault      = in_fault;
        verdict.excluded   = in_excluded;
        verdict.accepted   = accepts != '0;
        verdict.by_service = in_dns;
        verdict.slot       = slot;
        verdict.rule_index = rule_index;
        verdict.why        = why;
        verdict.why_rule   = first;
        verdict.session    = session;
        verdict.v6         = v6;
        verdict.limit      = limit;
        verdict.version    = in_version;
    end
    always_ff @(posedge clk) begin
        started     <= 1'b1;
        was_verdict <= verdict;
    end

    always_ff @(posedge clk) if (started) begin
        in_time: assert (out_verdict.tap == was_verdict.tap);
        decides: assert (!was_verdict.tap ||
                         (out_verdict.accepted == was_verdict.accepted && out_verdict.why == was_verdict.why &&
                          out_verdict.why_rule == was_verdict.why_rule));
        hands_on: assert (!was_verdict.tap ||
                          (out_verdict.ip == was_verdict.ip && out_verdict.fault == was_verdict.fault &&
                           out_verdict.excluded == was_verdict.excluded && out_verdict.version == was_verdict.version));
        takes_all: assert (!was_verdict.tap || !was_verdict.accepted || out_verdict == was_verdict);
        reached: cover (was_verdict.tap && was_verdict.slot == offload::SlotBits'(map::Slots - 1) &&
                        was_verdict.rule_index == offload::RuleBits'(map::Rules - 1) && was_verdict.accepted);
    end
endmodule
