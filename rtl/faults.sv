// SPDX-License-Identifier: Apache-2.0
// Keeps what was found wrong in a memory (T4): how often, and where first since the last clear, so that the host can
// write that entry again. A flipped bit in a buffer was corrected and has no place that could be written.
module faults (
    input  logic                                          clk,
    input  logic                                          rst,
    input  logic                                          interface_faulty,
    input  logic [offload::InterfaceBits-1:0]             interface_index,
    input  logic [map::Slots-1:0]                         filter_faulty,
    input  logic [map::Slots*offload::FilterBits-1:0]     filter_index,
    input  logic                                          service_faulty,
    input  logic [$clog2(map::Services)-1:0]              service_index,
    input  logic [map::Slots:0]                           session_faulty,   // the highest: corrected in line
    input  logic [(map::Slots+1)*offload::SessionBits-1:0] session_index,
    input  logic [offload::Buffers-1:0]                   corrected,        // buffers
    input  logic                                          clear,
    output logic                                          found,            // in the cycle before
    output offload::fault_t                               fault,
    output logic [15:0]                                   count             // saturating
);
    offload::fault_t now, first;
    logic [15:0] more;

    always_comb begin
        now = '0;
        if (corrected != '0) now.place = map::FaultBuffer;
        for (int i = 0; i <= map::Slots; i++) begin
            if (session_faulty[i]) begin
                now.place = map::FaultSession;
                now.index = 16'(session_index[i*offload::SessionBits +: offload::SessionBits]);
            end
        end
        if (service_faulty) begin
            now.place = map::FaultService;
            now.index = 16'(service_index);
        end
        for (int i = 0; i < map::Slots; i++) begin
            if (filter_faulty[i]) begin
                now.place = map::FaultFilter;
                now.index = 16'(filter_index[i*offload::FilterBits +: offload::FilterBits]);
            end
        end
        if (interface_faulty) begin
            now.place = map::FaultInterface;
            now.index = 16'(interface_index);
        end
    end

    assign more  = 16'($countones({interface_faulty, filter_faulty, service_faulty, session_faulty, corrected}));
    assign fault = first;

    always_ff @(posedge clk) begin
        found <= now.place != map::FaultNone;
        if (clear) begin
            first <= now;
            count <= more;
        end else if (now.place != map::FaultNone) begin
            // A table comes before a buffer: it can be repaired.
            if (first.place == map::FaultNone || first.place == map::FaultBuffer) first <= now;
            count <= count > 16'hffff - more ? 16'hffff : count + more;
        end
        if (rst) begin
            found <= 1'b0;
            first <= '0;
            count <= '0;
        end
    end
endmodule
