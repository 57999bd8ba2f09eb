// SPDX-License-Identifier: Apache-2.0
// Counts the flipped bits that were found in memories (T4), and keeps where the first one since the last clear was, so
// that the driver can write that table entry again. A flipped bit in a buffer is counted, but it was corrected and there
// is no entry to write. The inputs come late in their cycle, so they are registered and judged in the next one.
module faults (
    input  logic                                          clk,
    input  logic                                          rst,
    input  logic                                          interface_faulty,
    input  logic [offload::InterfaceBits-1:0]             interface_index,
    input  logic [map::Slots-1:0]                         filter_faulty,
    input  logic [map::Slots*offload::FilterBits-1:0]     filter_index,
    input  logic                                          service_faulty,
    input  logic [$clog2(map::Services)-1:0]              service_index,
    input  logic [map::Slots:0]                           session_faulty,   // a slot's limits; on top: header fields, corrected
    input  logic [(map::Slots+1)*offload::SessionBits-1:0] session_index,
    input  logic [offload::Buffers-1:0]                   corrected,        // buffers
    input  logic                                          clear,
    output logic                                          found,            // two cycles after the fault
    output offload::fault_t                               fault,
    output logic [15:0]                                   count             // saturating
);
    logic interface_faulty1, service_faulty1;
    logic [offload::InterfaceBits-1:0] interface_index1;
    logic [map::Slots-1:0] filter_faulty1;
    logic [map::Slots*offload::FilterBits-1:0] filter_index1;
    logic [$clog2(map::Services)-1:0] service_index1;
    logic [map::Slots:0] session_faulty1;
    logic [(map::Slots+1)*offload::SessionBits-1:0] session_index1;
    logic [offload::Buffers-1:0] corrected1;
    offload::fault_t now, first;
    logic [3:0] more;
    logic [16:0] sum;

    always_comb begin
        now = '0;
        if (corrected1 != '0) now.place = map::FaultBuffer;
        for (int i = 0; i <= map::Slots; i++) begin
            if (session_faulty1[i]) begin
                now.place = map::FaultSession;
                now.index = 16'(session_index1[i*offload::SessionBits +: offload::SessionBits]);
            end
        end
        if (service_faulty1) begin
            now.place = map::FaultService;
            now.index = 16'(service_index1);
        end
        for (int i = 0; i < map::Slots; i++) begin
            if (filter_faulty1[i]) begin
                now.place = map::FaultFilter;
                now.index = 16'(filter_index1[i*offload::FilterBits +: offload::FilterBits]);
            end
        end
        if (interface_faulty1) begin
            now.place = map::FaultInterface;
            now.index = 16'(interface_index1);
        end
    end

    assign more  = 4'($countones({interface_faulty1, filter_faulty1, service_faulty1, session_faulty1, corrected1}));
    assign sum   = 17'(count) + 17'(more);
    assign fault = first;

    always_ff @(posedge clk) begin
        interface_faulty1 <= interface_faulty;
        interface_index1  <= interface_index;
        filter_faulty1    <= filter_faulty;
        filter_index1     <= filter_index;
        service_faulty1   <= service_faulty;
        service_index1    <= service_index;
        session_faulty1   <= session_faulty;
        session_index1    <= session_index;
        corrected1        <= corrected;

        found <= now.place != map::FaultNone;
        if (clear) begin
            first <= now;
            count <= 16'(more);
        end else if (now.place != map::FaultNone) begin
            // A table's fault takes the place of a buffer's, because the driver can repair it.
            if (first.place == map::FaultNone || first.place == map::FaultBuffer) first <= now;
            count <= sum[16] ? 16'hffff : sum[15:0];
        end
        if (rst) begin
            {interface_faulty1, filter_faulty1, service_faulty1, session_faulty1, corrected1} <= '0;
            found <= 1'b0;
            first <= '0;
            count <= '0;
        end
    end
endmodule
