// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite registers: staging of table words, commits and fetches, errors, interrupt, counters. Addresses, limits
// and reset values come from registers.toml through package map. One access at a time, 2 cycles and the waiting of
// the bus; a commit is answered when every later frame is handled by it (T2).
module registers (
    input  logic        clk,
    input  logic        rst,
    input  logic [12:0] s_axil_awaddr,
    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    output logic [1:0]  s_axil_bresp,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    input  logic [12:0] s_axil_araddr,
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_rresp,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,
    output logic        irq,
    // Tables.
    output offload::token_t                   token,
    input  logic                              token_taken,
    input  logic                              token_done,
    output logic [offload::InterfaceBits-1:0] staged_interface_index,
    output offload::interface_t               staged_interface,
    output logic [offload::FilterBits-1:0]    staged_filter_index,
    output logic [offload::FilterWidth-1:0]   staged_ingress,
    output logic [offload::FilterWidth-1:0]   staged_egress,
    output logic [offload::SessionBits-1:0]   staged_session_index,
    output offload::cut_t                     staged_cut,
    output offload::outer_t                   staged_outer,
    output logic [$clog2(map::Services)-1:0]  staged_service_index,
    output offload::service_t                 staged_service,
    output offload::source_ports_t            staged_source_ports,
    input  logic                              fetched_interface,
    input  offload::interface_t               interface_word,
    input  logic                              fetched_filter,
    input  logic                              fetched_egress,
    input  logic [offload::FilterWidth-1:0]   filter_word,
    input  logic                              fetched_cut,
    input  offload::cut_t                     cut_word,
    input  logic                              fetched_outer,
    input  offload::outer_t                   outer_word,
    input  offload::service_t                 service_entry,
    input  logic [offload::VersionWidth-1:0]  version,
    input  logic [7:0]                        undrained,
    // State and counters.
    input  logic                              ready,
    input  logic                              idle,
    input  logic                              mirror_room,
    input  logic                              resetting,
    input  logic                              dropped,
    input  logic                              fault_found,
    input  offload::fault_t                   fault,
    input  logic [15:0]                       fault_count,
    output logic                              clear_fault,
    output logic                              mirror_reset,
    output logic                              snapshot,
    output logic                              clear_counters,
    output logic [$clog2(map::Counters)-1:0]  counter_index,
    input  logic [63:0]                       counter_value,
    output logic [offload::SessionBits-1:0]   session_counter_index,
    input  logic [64*map::SessionCounters-1:0] session_counter_values
);
    localparam int RuleWords = offload::RuleWidth / 32;
    localparam int CounterBits = $clog2(map::Counters);
    localparam int ListWidth = map::Rules * offload::RuleWidth;

    typedef enum logic [2:0] {Idle, Act, Token, Fetch, Settle, Pause, Respond} state_t;
    state_t state;
    logic writing;
    logic [12:0] address;
    logic [31:0] data;
    logic [3:0] strobes;

    // Staging. A rule list's words lie as in the map, the first rule's first word lowest.
    logic [ListWidth-1:0] ingress, egress;
    logic amazon_dns;
    assign staged_ingress = {amazon_dns, ingress};
    assign staged_egress  = {amazon_dns, egress};

    // Errors (T5).
    logic [12:0] error_address;
    logic [3:0] error_reason, refusal;
    logic [15:0] error_count, unmapped_reads;
    logic [3:0] interrupt_status, interrupt_mask;
    logic was_ready;
    logic [15:0] patience;

    assign irq = (interrupt_status & interrupt_mask) != '0;

    // Limits across fields, checked at the commit: the lists that the commit would write.
    offload::rule_t rule;
    logic inconsistent_lists;

    always_comb begin
        rule               = '0;
        inconsistent_lists = 1'b0;
        if (state == Act) begin
            for (int i = 0; i < 2 * map::Rules; i++) begin
                rule = i < map::Rules ? ingress[i*offload::RuleWidth +: offload::RuleWidth]
                                      : egress[(i-map::Rules)*offload::RuleWidth +: offload::RuleWidth];
                if (rule.valid &&
                    ((rule.has_source_ports && rule.source_port_from > rule.source_port_to) ||
                     (rule.has_destination_ports && rule.destination_port_from > rule.destination_port_to) ||
                     (!rule.v6 && (rule.source_prefix > 8'd32 || rule.destination_prefix > 8'd32)))) begin
                    inconsistent_lists = 1'b1;
                end
            end
        end
    end

    always_comb begin
        refusal = map::refusal(address, data, strobes);
        if (refusal == '0 && address == map::ACommit) begin
            if (error_reason != '0) refusal = map::ReasonPendingError;
            else if (data[map::CommitFilterLsb] &&
                     (data[5:0] != 6'd1 << map::CommitFilterLsb || inconsistent_lists))
                refusal = map::ReasonInconsistent;
            else if (data[map::CommitServiceLsb] && staged_service.has_ports &&
                     staged_service.port_from > staged_service.port_to) refusal = map::ReasonInconsistent;
            else if (data[map::CommitSourcePortsLsb] &&
                     18'(staged_source_ports.base) + (18'd1 << staged_source_ports.bits) > 18'h10000)
                refusal = map::ReasonInconsistent;
        end
        if (refusal == '0 && address == map::AFetch && (data & (data - 1'b1)) != '0) refusal = map::ReasonInconsistent;
    end

    // Reads.
    logic [31:0] read_data;
    logic [3:0] rule_number, rule_word;
    assign rule_number = address[9:6];
    assign rule_word   = address[5:2];
    assign counter_index = CounterBits'(address[8:3]);

    always_comb begin
        read_data = '0;
        if (address >= map::ARule) begin
            if (rule_word < 4'(RuleWords)) begin
                read_data = address[11] ? egress[(32'(rule_number) * RuleWords + 32'(rule_word)) * 32 +: 32]
                                        : ingress[(32'(rule_number) * RuleWords + 32'(rule_word)) * 32 +: 32];
            end
        end else if (address >= map::ASessionCounter) begin
            read_data = session_counter_values[32*address[5:2] +: 32];
        end else if (address >= map::ACounter && address < map::ASessionCounterIndex) begin
            read_data = address[2] ? counter_value[63:32] : counter_value[31:0];
        end else begin
            unique case (address)
                map::AMagic:            read_data = map::Magic;
                map::AVersion:          read_data = map::Version;
                map::AMapHash:          read_data = map::Hash;
                map::AStatus:           read_data = {28'd0, resetting, mirror_room, idle, ready};
                map::ASize:             read_data = map::Interfaces;
                map::ASize + 13'h04:    read_data = map::Slots;
                map::ASize + 13'h08:    read_data = map::Filters;
                map::ASize + 13'h0c:    read_data = map::Rules;
                map::ASize + 13'h10:    read_data = map::Sessions;
                map::ASize + 13'h14:    read_data = map::Services;
                map::ASize + 13'h18:    read_data = map::HoldBeats;
                map::AInterruptStatus:  read_data = {28'd0, interrupt_status};
                map::AInterruptMask:    read_data = {28'd0, interrupt_mask};
                map::AErrorAddress:     read_data = {19'd0, error_address};
                map::AErrorReason:      read_data = {error_count, 12'd0, error_reason};
                map::AUnmappedReads:    read_data = {16'd0, unmapped_reads};
                map::AFault:            read_data = {13'd0, fault};
                map::AFaultCount:       read_data = {16'd0, fault_count};
                map::ACommitStatus:     read_data = {4'd0, error_reason, undrained, version};
                map::ASourcePorts:      read_data = {11'd0, staged_source_ports};
                map::AInterfaceIndex:   read_data = 32'(staged_interface_index);
                map::AInterfaceResolver: read_data = staged_interface.resolver;
                map::AInterfaceFlags:   read_data = {31'd0, staged_interface.has_resolver};
                map::ASessionIndex:     read_data = 32'(staged_session_index);
                map::ASessionVni:       read_data = {8'd0, staged_outer.vni};
                map::ASessionCut:       read_data = {2'd0, staged_cut.mtu_cut, 2'd0, staged_cut.packet_length};
                map::ASessionFlags:     read_data = {31'd0, staged_outer.v6};
                map::ASessionTargetMac: read_data = staged_outer.target_mac[31:0];
                map::ASessionTargetMac + 13'h4: read_data = {16'd0, staged_outer.target_mac[47:32]};
                map::ASessionSourceMac: read_data = staged_outer.source_mac[31:0];
                map::ASessionSourceMac + 13'h4: read_data = {16'd0, staged_outer.source_mac[47:32]};
                map::AServiceIndex:     read_data = 32'(staged_service_index);
                map::AServiceFlags:     read_data = {24'd0, staged_service[7:0]};
                map::AServicePorts:     read_data = {staged_service.port_to, staged_service.port_from};
                map::AFilterIndex:      read_data = 32'(staged_filter_index);
                map::AFilterFlags:      read_data = {31'd0, amazon_dns};
                map::ASessionCounterIndex: read_data = 32'(session_counter_index);
                default: ;
            endcase
            for (int i = 0; i < map::Slots; i++) begin
                if (address == map::ASlot + 13'(8 * i))
                    read_data = {staged_interface.valid[i], 16'd0, staged_interface.number[15*i +: 15]};
                if (address == map::ASlotTables + 13'(8 * i))
                    read_data = {16'(staged_interface.session[offload::SessionBits*i +: offload::SessionBits]),
                                 16'(staged_interface.filter[offload::FilterBits*i +: offload::FilterBits])};
            end
            for (int i = 0; i < 4; i++) begin
                if (address == map::ASessionTargetAddress + 13'(4 * i)) read_data = staged_outer.target_address[32*i +: 32];
                if (address == map::ASessionSourceAddress + 13'(4 * i)) read_data = staged_outer.source_address[32*i +: 32];
                if (address == map::AServiceAddress + 13'(4 * i)) read_data = staged_service.address[32*i +: 32];
            end
        end
    end

    assign s_axil_awready = state == Idle && s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    assign s_axil_wready  = s_axil_awready;
    assign s_axil_arready = state == Idle && !s_axil_awready && !s_axil_rvalid;
    assign s_axil_rresp   = 2'b00;

    always_ff @(posedge clk) begin
        mirror_reset   <= 1'b0;
        snapshot       <= 1'b0;
        clear_fault    <= 1'b0;
        clear_counters <= 1'b0;
        if (s_axil_bready) s_axil_bvalid <= 1'b0;
        if (s_axil_rready) s_axil_rvalid <= 1'b0;

        unique case (state)
            Idle: begin
                writing <= s_axil_awready;
                if (s_axil_awready) begin
                    address <= s_axil_awaddr;
                    data    <= s_axil_wdata;
                    strobes <= s_axil_wstrb;
                    state   <= Act;
                end else if (s_axil_arvalid && s_axil_arready) begin
                    address <= s_axil_araddr;
                    state   <= Act;
                end
            end
            Act: begin
                state <= Idle;
                if (!writing) begin
                    s_axil_rvalid <= 1'b1;
                    s_axil_rdata  <= map::mapped(address) ? read_data : '0;
                    if (!map::mapped(address) && unmapped_reads != '1) unmapped_reads <= unmapped_reads + 1'b1;
                end else begin
                    s_axil_bvalid <= 1'b1;
                    s_axil_bresp  <= refusal == '0 ? 2'b00 : 2'b10;
                    if (refusal != '0) begin
                        interrupt_status[map::InterruptStatusAxiErrorLsb] <= 1'b1;
                        if (error_reason == '0) begin
                            error_address <= address;
                            error_reason  <= refusal;
                        end
                        if (error_count != '1) error_count <= error_count + 1'b1;
                    end else if (address < map::ARule) begin
                        unique case (address)
                            map::AControl: begin
                                mirror_reset <= data[map::ControlMirrorResetLsb];
                                snapshot     <= data[map::ControlSnapshotLsb];
                                clear_fault  <= data[map::ControlClearFaultLsb];
                                if (data[map::ControlClearErrorLsb]) begin
                                    error_address  <= '0;
                                    error_reason   <= '0;
                                    error_count    <= '0;
                                    unmapped_reads <= '0;
                                end
                            end
                            map::AInterruptStatus: interrupt_status <= interrupt_status & ~data[3:0];
                            map::AInterruptMask:   interrupt_mask <= data[3:0];
                            map::ACommit, map::AFetch: begin
                                if (data != '0) begin
                                    token.commit         <= address == map::ACommit;
                                    token.fetch          <= address == map::AFetch;
                                    token.fetch_egress   <= 1'b0;
                                    token.interface_word <= data[map::CommitInterfaceLsb];
                                    token.filter         <= data[map::CommitFilterLsb];
                                    token.session        <= data[map::CommitSessionLsb];
                                    token.service        <= data[map::CommitServiceLsb];
                                    token.source_ports   <= data[map::CommitSourcePortsLsb];
                                    clear_counters       <= address == map::ACommit && data[map::CommitClearCountersLsb];
                                    patience             <= '0;
                                    s_axil_bvalid        <= 1'b0;
                                    state                <= Token;
                                end
                            end
                            map::ASourcePorts:       staged_source_ports <= data[20:0];
                            map::AInterfaceIndex:    staged_interface_index <= data[offload::InterfaceBits-1:0];
                            map::AInterfaceResolver: staged_interface.resolver <= data;
                            map::AInterfaceFlags:    staged_interface.has_resolver <= data[0];
                            map::ASessionIndex:      staged_session_index <= data[offload::SessionBits-1:0];
                            map::ASessionVni:        staged_outer.vni <= data[23:0];
                            map::ASessionCut: begin
                                staged_cut.packet_length <= data[13:0];
                                staged_cut.mtu_cut       <= data[29:16];
                            end
                            map::ASessionFlags: begin
                                staged_outer.v6 <= data[0];
                                staged_cut.v6   <= data[0];
                            end
                            map::ASessionTargetMac:  staged_outer.target_mac[31:0] <= data;
                            map::ASessionTargetMac + 13'h4: staged_outer.target_mac[47:32] <= data[15:0];
                            map::ASessionSourceMac:  staged_outer.source_mac[31:0] <= data;
                            map::ASessionSourceMac + 13'h4: staged_outer.source_mac[47:32] <= data[15:0];
                            map::AServiceIndex:      staged_service_index <= data[$clog2(map::Services)-1:0];
                            map::AServiceFlags:      staged_service[7:0] <= data[7:0];
                            map::AServicePorts: begin
                                staged_service.port_from <= data[15:0];
                                staged_service.port_to   <= data[31:16];
                            end
                            map::AFilterIndex:       staged_filter_index <= data[offload::FilterBits-1:0];
                            map::ASessionCounterIndex: begin
                                session_counter_index <= data[offload::SessionBits-1:0];
                                patience              <= '0;
                                s_axil_bvalid         <= 1'b0;
                                state                 <= Pause;
                            end
                            default: ;
                        endcase
                        for (int i = 0; i < map::Slots; i++) begin
                            if (address == map::ASlot + 13'(8 * i)) begin
                                staged_interface.valid[i] <= data[31];
                                staged_interface.number[15*i +: 15] <= data[14:0];
                            end
                            if (address == map::ASlotTables + 13'(8 * i)) begin
                                staged_interface.session[offload::SessionBits*i +: offload::SessionBits]
                                    <= data[16 +: offload::SessionBits];
                                staged_interface.filter[offload::FilterBits*i +: offload::FilterBits]
                                    <= data[0 +: offload::FilterBits];
                            end
                        end
                        for (int i = 0; i < 4; i++) begin
                            if (address == map::ASessionTargetAddress + 13'(4 * i))
                                staged_outer.target_address[32*i +: 32] <= data;
                            if (address == map::ASessionSourceAddress + 13'(4 * i))
                                staged_outer.source_address[32*i +: 32] <= data;
                            if (address == map::AServiceAddress + 13'(4 * i))
                                staged_service.address[32*i +: 32] <= data;
                        end
                    end
                end
            end
            // The token waits for its slot.
            Token: begin
                patience <= patience + 1'b1;
                if (token_taken) begin
                    token.commit <= 1'b0;
                    token.fetch  <= 1'b0;
                    state        <= token.fetch ? Fetch : Settle;
                end else if (patience == '1) begin
                    token.fetch   <= 1'b0;
                    s_axil_bvalid <= 1'b1;
                    s_axil_bresp  <= 2'b10;
                    interrupt_status[map::InterruptStatusAxiErrorLsb] <= 1'b1;
                    if (error_reason == '0) begin
                        error_address <= address;
                        error_reason  <= map::ReasonNoSlot;
                    end
                    if (error_count != '1) error_count <= error_count + 1'b1;
                    state <= Idle;
                end
            end
            // A filter is fetched in two parts.
            Fetch: begin
                if (token_done) begin
                    if (token.filter && !token.fetch_egress) begin
                        token.fetch        <= 1'b1;
                        token.fetch_egress <= 1'b1;
                        patience           <= '0;
                        state              <= Token;
                    end else begin
                        if (token.service) staged_service <= service_entry;
                        state <= Settle;
                    end
                end
            end
            // Behind a token: until its last word has arrived in its table or here.
            Settle: if (token_done || address == map::AFetch) state <= Respond;
            // Until the counters of another session entry are read.
            Pause: begin
                patience <= patience + 1'b1;
                if (patience[1:0] == '1) state <= Respond;
            end
            Respond: begin
                s_axil_bvalid <= 1'b1;
                s_axil_bresp  <= 2'b00;
                state         <= Idle;
            end
            default: state <= Idle;
        endcase

        if (fetched_interface) staged_interface <= interface_word;
        if (fetched_cut) staged_cut <= cut_word;
        if (fetched_outer) staged_outer <= outer_word;

        if (dropped) interrupt_status[map::InterruptStatusDropLsb] <= 1'b1;
        if (fault_found) interrupt_status[map::InterruptStatusTableFaultLsb] <= 1'b1;
        was_ready <= ready;
        if (ready && !was_ready) interrupt_status[map::InterruptStatusReadyLsb] <= 1'b1;

        if (rst) begin
            state                  <= Idle;
            s_axil_bvalid          <= 1'b0;
            s_axil_rvalid          <= 1'b0;
            mirror_reset           <= 1'b0;
            snapshot               <= 1'b0;
            clear_fault            <= 1'b0;
            clear_counters         <= 1'b0;
            token                  <= '0;
            staged_interface_index <= '0;
            staged_interface       <= '0;
            staged_filter_index    <= '0;
            staged_session_index   <= '0;
            staged_cut             <= {1'b0, map::SessionCutReset[29:16], map::SessionCutReset[13:0]};
            staged_outer           <= '0;
            staged_service_index   <= '0;
            staged_service         <= '0;
            staged_source_ports    <= map::SourcePortsReset[20:0];
            session_counter_index  <= '0;
            error_address          <= '0;
            error_reason           <= '0;
            error_count            <= '0;
            unmapped_reads         <= '0;
            interrupt_status       <= '0;
            interrupt_mask         <= '0;
            was_ready              <= 1'b0;
        end
    end

    // The staged filter, apart from the rest: a synthesizer's time grows with the width of a block times its branches.
    logic written;
    assign written = state == Act && writing && refusal == '0;

    always_ff @(posedge clk) begin
        if (written && address >= map::ARule) begin
            if (address[11]) egress[(32'(rule_number) * RuleWords + 32'(rule_word)) * 32 +: 32] <= data;
            else ingress[(32'(rule_number) * RuleWords + 32'(rule_word)) * 32 +: 32] <= data;
        end
        if (written && address == map::AFilterFlags) amazon_dns <= data[0];
        if (fetched_filter && !fetched_egress) ingress <= filter_word[ListWidth-1:0];
        if (fetched_filter && fetched_egress) egress <= filter_word[ListWidth-1:0];
        if (fetched_filter) amazon_dns <= filter_word[ListWidth];
        if (rst || (written && address == map::AFilterClear)) begin
            ingress    <= '0;
            egress     <= '0;
            amazon_dns <= 1'b0;
        end
    end
endmodule
