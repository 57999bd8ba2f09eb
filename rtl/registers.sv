// SPDX-License-Identifier: Apache-2.0
// Registers: staging of table words, commits and fetches, errors, interrupt, counters. Addresses, limits and reset
// values come from registers.toml through package map. One access at a time. A write of COMMIT is answered when every
// later frame is handled by the new words (T2).
//
// There are two ways in:
// - AXI4-Lite reads and writes 32 bits. A write takes 3 cycles, or 4 where the master waits for its answer.
// - The line port writes the sixteen registers of an aligned 64 bytes at once, in 3 cycles. A rule, a session entry and an
//   interface word are a line each, as they leave a processor's write-combining buffer in one PCIe write. Strobes say
//   which registers are written, so a buffer that leaves in parts does no harm. A shell without wide writes leaves the
//   port at 0. A shell that sends all its writes here, 32-bit ones too, has no order to keep between two ports.
// The line port has no response, because a posted write has none. What is refused is kept in ERROR_ADDRESS and
// ERROR_REASON and makes the commit fail, so that one read of COMMIT_STATUS shows it.
// Both ways share one path: a 32-bit write is a line with one register strobed. When both ports have a write, the line
// goes first.
//
// Which writes are refused within a line of 64 bytes that has registers:
// - An offset without a register is a hole. 0 may be written to a hole, through both ports, so that a bridge may hand a
//   line on in parts of any size.
// - In a posted line that has a writable register, 0 may also be written to its read-only registers.
// - A line with one register that is refused is refused whole.
// Within a line, FILTER_CLEAR takes effect before FILTER_FLAGS, and SOURCE_PORTS before COMMIT.
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
    input  logic         s_line_valid,
    output logic         s_line_ready,
    input  logic [12:6]  s_line_address,
    input  logic [511:0] s_line_data,
    input  logic [63:0]  s_line_strobes,
    output logic        irq,
    // Tables.
    output offload::token_t                   token,
    input  logic                              token_taken,
    input  logic                              token_done,
    output logic [offload::InterfaceBits-1:0] staged_interface_index,
    output offload::interface_t               staged_interface,
    output logic [offload::FilterBits-1:0]    staged_filter_index,
    input  logic                              next_egress,
    output logic [offload::FilterWidth-1:0]   staged_list,
    output logic [offload::SessionBits-1:0]   staged_session_index,
    output offload::cut_t                     staged_cut,
    output offload::outer_t                   staged_outer,
    output logic [$clog2(map::Services)-1:0]  staged_service_index,
    output offload::service_t                 staged_service,
    output offload::source_ports_t            staged_source_ports,
    input  logic                              fetched_interface,
    input  offload::interface_t               interface_word,
    input  logic                              fetched_filter,
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
    localparam int CounterBits = $clog2(map::Counters);
    localparam int CommitWord = 32'(map::ACommit) / 4 % 16;
    localparam int FetchWord = 32'(map::AFetch) / 4 % 16;

    typedef enum logic [3:0] {Idle, Check, Act, Clear, Assemble, Token, Fetch, Settle, Pause, Respond} state_t;
    state_t state;
    logic writing, posted, fetching, mapped;
    logic [12:0] address;
    // A write: the data of sixteen registers, which of them are written (`words`), and which in part only (`parts`).
    logic [511:0] line;
    logic [15:0] words, parts;

    function automatic logic [8:0] place(input logic [12:0] register);
        place = {register[5:2], 5'd0};
    endfunction

    function automatic logic hits(input logic [12:0] register);
        hits = address[12:6] == register[12:6] && words[register[5:2]];
    endfunction

    // For each register of the write why it is refused (0: it is not), and whether any is.
    logic refused;
    logic [3*16-1:0] refusals, reasons;

    // The staged filter. `rule` is the rule that is written or read, or counts through all rules.
    logic amazon_dns, written, inconsistent_rule;
    logic [offload::RuleBits:0] rule;
    logic [offload::RuleWidth-1:0] rule_words;
    assign refused = reasons != '0;
    assign written = state == Act && writing && !refused;

    filter_staging filter_staging (
        .clk,
        .rule, .write(written && address[12]), .write_words(words[offload::RuleWords-1:0]),
        .write_rule(line[offload::RuleWidth-1:0]), .clear(state == Clear), .read_rule(rule_words),
        .fetched(fetched_filter), .fetched_list(filter_word[offload::ListWidth-1:0]), .inconsistent(inconsistent_rule),
        .amazon_dns, .assemble(state == Assemble), .next_egress, .list(staged_list)
    );

    // Errors (T5).
    logic [12:0] error_address;
    logic [3:0] error_reason;
    logic [15:0] error_count, unmapped_reads;
    logic [3:0] interrupt_status, interrupt_mask;
    logic was_ready, was_idle, taken, expired;
    logic [15:0] patience;

    assign irq = (interrupt_status & interrupt_mask) != '0;

    // Limits that concern more than one field, checked at the commit.
    logic inconsistent_line_ports, inconsistent_staged_ports, inconsistent_commit, inconsistent_fetch;
    logic [31:0] commit_bits, fetch_bits, token_bits;
    logic [20:0] in_ports;
    assign commit_bits  = hits(map::ACommit) ? line[place(map::ACommit) +: 32] : '0;
    assign token_bits   = fetching ? fetch_bits : commit_bits;
    assign fetch_bits   = hits(map::AFetch) ? line[place(map::AFetch) +: 32] : '0;
    assign in_ports     = s_line_valid ? s_line_data[place(map::ASourcePorts) +: 21] : s_axil_wdata[20:0];
    // FETCH takes one bit at a time, and no commit in the same line. Its higher bits are refused as reserved.
    assign inconsistent_fetch = (fetch_bits[0] && fetch_bits[3:1] != '0) || (fetch_bits[1] && fetch_bits[3:2] != '0) ||
                                (fetch_bits[3:2] == '1) || (fetch_bits[3:0] != '0 && commit_bits != '0);
    assign inconsistent_commit =
        (commit_bits[map::CommitFilterLsb] &&
         (commit_bits[5:0] != 6'd1 << map::CommitFilterLsb || inconsistent_rule)) ||
        (commit_bits[map::CommitServiceLsb] && staged_service.has_ports &&
         staged_service.port_from > staged_service.port_to) ||
        (commit_bits[map::CommitSourcePortsLsb] &&
         (hits(map::ASourcePorts) ? inconsistent_line_ports : inconsistent_staged_ports));

    // What is refused (T5); see the header for the holes of a line.
    logic padded, has_registers;
    logic [15:0] writable, empty;         // of each register: it can be written; its word is 0
    logic [3*16-1:0] alone;               // why each would be refused by itself
    always_comb begin
        writable = '0;
        refusals = '0;
        alone    = '0;
        empty    = '0;
        if (state == Check) begin
            for (int i = 0; i < 16; i++) writable[i] = map::writable({address[12:6], 4'(i), 2'd0});
        end
        padded        = posted && writable != '0;
        has_registers = map::has_registers(address[12:6]) && address[1:0] == '0;
        if (state == Check) begin
            for (int i = 0; i < 16; i++) begin
                empty[i] = line[32*i +: 32] == '0;
                if (words[i]) alone[3*i +: 3] = 3'(map::refusal({address[12:6], 4'(i), address[1:0]}, line[32*i +: 32]));
                if (!(empty[i] && ((padded && !writable[i]) ||
                                   (has_registers && alone[3*i +: 3] == 3'(map::ReasonUnmapped)))))
                    refusals[3*i +: 3] = alone[3*i +: 3];
                if (parts[i]) refusals[3*i +: 3] = 3'(map::ReasonPartialStrobes);
            end
            // COMMIT and FETCH are no holes, so these checks do not depend on what is decided above.
            if (hits(map::ACommit) && alone[3*CommitWord +: 3] == '0 && !parts[CommitWord]) begin
                if (error_reason != '0) refusals[3*CommitWord +: 3] = 3'(map::ReasonPendingError);
                else if (inconsistent_commit) refusals[3*CommitWord +: 3] = 3'(map::ReasonInconsistent);
            end
            if (alone[3*FetchWord +: 3] == '0 && !parts[FetchWord] && inconsistent_fetch)
                refusals[3*FetchWord +: 3] = 3'(map::ReasonInconsistent);
        end
    end

    // Of several registers that are refused, ERROR_ADDRESS keeps the lowest.
    logic noting;
    logic [3:0] refused_word, noted_word;
    logic [2:0] noted_reason;
    always_comb begin
        refused_word = '0;
        for (int i = 15; i >= 0; i--) begin
            if (reasons[3*i +: 3] != '0) refused_word = 4'(i);
        end
    end

    // Reads.
    typedef enum logic [1:0] {Single, Counters, SessionCounters, Rules} section_t;
    section_t section;                    // in which the address that is read lies
    logic [31:0] read_data;
    assign counter_index = CounterBits'(address[8:3]);

    always_comb begin
        read_data = '0;
        if (section == Rules) begin
            if (address[5:2] < 4'(offload::RuleWords)) read_data = rule_words[32*address[5:2] +: 32];
        end else if (section == SessionCounters) begin
            read_data = session_counter_values[32*address[5:2] +: 32];
        end else if (section == Counters) begin
            read_data = address[2] ? counter_value[63:32] : counter_value[31:0];
        end else begin
            unique case (address)
                map::AMagic:            read_data = map::Magic;
                map::AVersion:          read_data = map::Version;
                map::AMapHash:          read_data = map::Hash;
                map::AStatus:           read_data = {28'd0, resetting, mirror_room, was_idle, ready};
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

    logic [15:0] in_words, in_parts;
    always_comb begin
        in_words = '0;
        in_parts = '0;
        if (s_line_valid) begin
            for (int i = 0; i < 16; i++) begin
                in_words[i] = s_line_strobes[4*i +: 4] != 4'h0;
                in_parts[i] = in_words[i] && s_line_strobes[4*i +: 4] != 4'hf;
            end
            if (in_words == '0) in_parts[0] = 1'b1;
        end else if (s_axil_awvalid) begin
            in_words[s_axil_awaddr[5:2]] = 1'b1;
            in_parts[s_axil_awaddr[5:2]] = s_axil_wstrb != 4'hf;
        end
    end

    assign s_line_ready   = state == Idle;
    assign s_axil_awready = state == Idle && !s_line_valid && s_axil_awvalid && s_axil_wvalid &&
                            (!s_axil_bvalid || s_axil_bready);
    assign s_axil_wready  = s_axil_awready;
    assign s_axil_arready = state == Idle && !s_line_valid && !s_axil_awready && !s_axil_rvalid;
    assign s_axil_rresp   = 2'b00;

    always_ff @(posedge clk) begin
        mirror_reset   <= 1'b0;
        snapshot       <= 1'b0;
        clear_fault    <= 1'b0;
        clear_counters <= 1'b0;
        noting         <= 1'b0;
        taken          <= token_taken;
        expired        <= state == Token && patience == '1;
        was_idle       <= idle;
        if (s_axil_bready) s_axil_bvalid <= 1'b0;
        if (s_axil_rready) s_axil_rvalid <= 1'b0;

        unique case (state)
            Idle: begin
                writing <= s_line_valid || s_axil_awready;
                posted  <= s_line_valid;
                if (s_line_valid || s_axil_awready) begin
                    address <= s_line_valid ? {s_line_address, 6'd0} : s_axil_awaddr;
                    line    <= s_line_valid ? s_line_data : {16{s_axil_wdata}};
                    words   <= in_words;
                    parts   <= in_parts;
                    inconsistent_line_ports <= 18'(in_ports[15:0]) + (18'd1 << in_ports[20:16]) > 18'h10000;
                    rule    <= s_line_valid ? {s_line_address[11], s_line_address[9:6]}
                                            : {s_axil_awaddr[11], s_axil_awaddr[9:6]};
                    state   <= Check;
                end else if (s_axil_arvalid && s_axil_arready) begin
                    address <= s_axil_araddr;
                    mapped  <= map::mapped(s_axil_araddr);
                    section <= s_axil_araddr >= map::ARule             ? Rules
                               : s_axil_araddr >= map::ASessionCounter ? SessionCounters
                               : s_axil_araddr >= map::ACounter && s_axil_araddr < map::ASessionCounterIndex ? Counters
                                                                                                             : Single;
                    rule    <= {s_axil_araddr[11], s_axil_araddr[9:6]};
                    state   <= Act;
                end
            end
            Check: begin
                reasons  <= refusals;
                fetching <= fetch_bits != '0;
                state    <= Act;
            end
            Act: begin
                state <= Idle;
                if (!writing) begin
                    s_axil_rvalid <= 1'b1;
                    s_axil_rdata  <= mapped ? read_data : '0;
                    if (!mapped && unmapped_reads != '1) unmapped_reads <= unmapped_reads + 1'b1;
                end else begin
                    if (!posted) begin
                        s_axil_bvalid <= 1'b1;
                        s_axil_bresp  <= refused ? 2'b10 : 2'b00;
                    end
                    if (refused) begin
                        noting       <= 1'b1;
                        noted_word   <= refused_word;
                        noted_reason <= reasons[3*refused_word +: 3];
                    end else if (!address[12]) begin
                        if (hits(map::AControl)) begin
                            mirror_reset <= line[place(map::AControl) + 9'(map::ControlMirrorResetLsb)];
                            snapshot     <= line[place(map::AControl) + 9'(map::ControlSnapshotLsb)];
                            clear_fault  <= line[place(map::AControl) + 9'(map::ControlClearFaultLsb)];
                            if (line[place(map::AControl) + 9'(map::ControlClearErrorLsb)]) begin
                                error_address  <= '0;
                                error_reason   <= '0;
                                error_count    <= '0;
                                unmapped_reads <= '0;
                            end
                        end
                        if (hits(map::AInterruptStatus))
                            interrupt_status <= interrupt_status & ~line[place(map::AInterruptStatus) +: 4];
                        if (hits(map::AInterruptMask)) interrupt_mask <= line[place(map::AInterruptMask) +: 4];
                        if (token_bits != '0) begin
                            rule                 <= '0;
                            token.commit         <= !fetching && !token_bits[map::CommitFilterLsb];
                            token.fetch          <= fetching;
                            token.fetch_egress   <= 1'b0;
                            token.interface_word <= token_bits[map::CommitInterfaceLsb];
                            token.filter         <= token_bits[map::CommitFilterLsb];
                            token.session        <= token_bits[map::CommitSessionLsb];
                            token.service        <= token_bits[map::CommitServiceLsb];
                            token.source_ports   <= token_bits[map::CommitSourcePortsLsb];
                            clear_counters       <= !fetching && token_bits[map::CommitClearCountersLsb];
                            patience             <= '0;
                            if (!posted) s_axil_bvalid <= 1'b0;
                            state                <= !fetching && token_bits[map::CommitFilterLsb] ? Assemble : Token;
                        end
                        if (hits(map::AFilterClear)) begin
                            amazon_dns <= 1'b0;
                            rule       <= '0;
                            if (!posted) s_axil_bvalid <= 1'b0;
                            state      <= Clear;
                        end
                        if (hits(map::AFilterFlags))    amazon_dns <= line[place(map::AFilterFlags)];
                        if (hits(map::ASourcePorts)) begin
                            staged_source_ports       <= line[place(map::ASourcePorts) +: 21];
                            inconsistent_staged_ports <= inconsistent_line_ports;
                        end
                        if (hits(map::AInterfaceIndex))
                            staged_interface_index <= line[place(map::AInterfaceIndex) +: offload::InterfaceBits];
                        if (hits(map::AInterfaceResolver))
                            staged_interface.resolver <= line[place(map::AInterfaceResolver) +: 32];
                        if (hits(map::AInterfaceFlags))
                            staged_interface.has_resolver <= line[place(map::AInterfaceFlags)];
                        if (hits(map::ASessionIndex))
                            staged_session_index <= line[place(map::ASessionIndex) +: offload::SessionBits];
                        if (hits(map::ASessionVni))     staged_outer.vni <= line[place(map::ASessionVni) +: 24];
                        if (hits(map::ASessionCut)) begin
                            staged_cut.packet_length <= line[place(map::ASessionCut) +: 14];
                            staged_cut.mtu_cut       <= line[place(map::ASessionCut) + 9'd16 +: 14];
                        end
                        if (hits(map::ASessionFlags)) begin
                            staged_outer.v6 <= line[place(map::ASessionFlags)];
                            staged_cut.v6   <= line[place(map::ASessionFlags)];
                        end
                        if (hits(map::ASessionTargetMac))
                            staged_outer.target_mac[31:0] <= line[place(map::ASessionTargetMac) +: 32];
                        if (hits(map::ASessionTargetMac + 13'h4))
                            staged_outer.target_mac[47:32] <= line[place(map::ASessionTargetMac + 13'h4) +: 16];
                        if (hits(map::ASessionSourceMac))
                            staged_outer.source_mac[31:0] <= line[place(map::ASessionSourceMac) +: 32];
                        if (hits(map::ASessionSourceMac + 13'h4))
                            staged_outer.source_mac[47:32] <= line[place(map::ASessionSourceMac + 13'h4) +: 16];
                        if (hits(map::AServiceIndex))
                            staged_service_index <= line[place(map::AServiceIndex) +: $clog2(map::Services)];
                        if (hits(map::AServiceFlags))   staged_service[7:0] <= line[place(map::AServiceFlags) +: 8];
                        if (hits(map::AServicePorts)) begin
                            staged_service.port_from <= line[place(map::AServicePorts) +: 16];
                            staged_service.port_to   <= line[place(map::AServicePorts) + 9'd16 +: 16];
                        end
                        if (hits(map::AFilterIndex))
                            staged_filter_index <= line[place(map::AFilterIndex) +: offload::FilterBits];
                        if (hits(map::ASessionCounterIndex)) begin
                            session_counter_index <= line[place(map::ASessionCounterIndex) +: offload::SessionBits];
                            patience              <= '0;
                            if (!posted) s_axil_bvalid <= 1'b0;
                            state                 <= Pause;
                        end
                        for (int i = 0; i < map::Slots; i++) begin
                            if (hits(map::ASlot + 13'(8 * i))) begin
                                staged_interface.valid[i] <= line[place(map::ASlot + 13'(8 * i)) + 9'd31];
                                staged_interface.number[15*i +: 15] <= line[place(map::ASlot + 13'(8 * i)) +: 15];
                            end
                            if (hits(map::ASlotTables + 13'(8 * i))) begin
                                staged_interface.session[offload::SessionBits*i +: offload::SessionBits]
                                    <= line[place(map::ASlotTables + 13'(8 * i)) + 9'd16 +: offload::SessionBits];
                                staged_interface.filter[offload::FilterBits*i +: offload::FilterBits]
                                    <= line[place(map::ASlotTables + 13'(8 * i)) +: offload::FilterBits];
                            end
                        end
                        for (int i = 0; i < 4; i++) begin
                            if (hits(map::ASessionTargetAddress + 13'(4 * i)))
                                staged_outer.target_address[32*i +: 32]
                                    <= line[place(map::ASessionTargetAddress + 13'(4 * i)) +: 32];
                            if (hits(map::ASessionSourceAddress + 13'(4 * i)))
                                staged_outer.source_address[32*i +: 32]
                                    <= line[place(map::ASessionSourceAddress + 13'(4 * i)) +: 32];
                            if (hits(map::AServiceAddress + 13'(4 * i)))
                                staged_service.address[32*i +: 32]
                                    <= line[place(map::AServiceAddress + 13'(4 * i)) +: 32];
                        end
                    end
                end
            end
            // Writes zeros to all rules: for FILTER_CLEAR, and after a reset, where no answer is due.
            Clear: begin
                rule <= rule + 1'b1;
                if (rule == '1) state <= Respond;
            end
            // Encodes all rules, before their filter is committed.
            Assemble: begin
                rule <= rule + 1'b1;
                if (rule == '1) begin
                    token.commit <= 1'b1;
                    state        <= Token;
                end
            end
            // The token waits until the lookup takes it. `taken` and `expired` (it has waited too long) come a cycle late.
            Token: begin
                patience <= patience + 1'b1;
                if (token_taken) token.commit <= 1'b0;
                if (token_taken || patience == '1) token.fetch <= 1'b0;
                if (taken) begin
                    state <= fetching ? Fetch : Settle;
                end else if (expired) begin
                    if (!posted) begin
                        s_axil_bvalid <= 1'b1;
                        s_axil_bresp  <= 2'b10;
                    end
                    interrupt_status[map::InterruptStatusAxiErrorLsb] <= 1'b1;
                    if (error_reason == '0) begin
                        error_address <= map::AFetch;
                        error_reason  <= map::ReasonNoSlot;
                    end
                    if (error_count != '1) error_count <= error_count + 1'b1;
                    state <= Idle;
                end
            end
            // A fetch has arrived. A filter is fetched rule by rule, with a token for each.
            Fetch: begin
                if (token_done) begin
                    rule <= rule + 1'b1;
                    if (token.filter && rule != '1) begin
                        token.fetch        <= 1'b1;
                        token.fetch_egress <= rule >= (offload::RuleBits + 1)'(map::Rules - 1);
                        patience           <= '0;
                        state              <= Token;
                    end else begin
                        if (token.service) staged_service <= service_entry;
                        state <= Settle;
                    end
                end
            end
            // Waits until the token's last word has arrived: of a commit in its table, of a fetch in the staging registers.
            Settle: if (token_done || fetching) state <= Respond;
            // Waits until the counters of a newly selected session entry have been read.
            Pause: begin
                patience <= patience + 1'b1;
                if (patience[1:0] == '1) state <= Respond;
            end
            Respond: begin
                if (!posted) begin
                    s_axil_bvalid <= 1'b1;
                    s_axil_bresp  <= 2'b00;
                end
                state <= Idle;
            end
            default: state <= Idle;
        endcase

        // A refusal is noted in the cycle after Act, which is before the next access can see it.
        if (noting) begin
            interrupt_status[map::InterruptStatusAxiErrorLsb] <= 1'b1;
            if (error_reason == '0) begin
                error_address <= {address[12:6], noted_word, address[1:0]};
                error_reason  <= {1'b0, noted_reason};
            end
            if (error_count != '1) error_count <= error_count + 1'b1;
        end

        if (fetched_filter) amazon_dns <= filter_word[offload::ListWidth];
        if (fetched_interface) staged_interface <= interface_word;
        if (fetched_cut) staged_cut <= cut_word;
        if (fetched_outer) staged_outer <= outer_word;

        if (dropped) interrupt_status[map::InterruptStatusDropLsb] <= 1'b1;
        if (fault_found) interrupt_status[map::InterruptStatusTableFaultLsb] <= 1'b1;
        was_ready <= ready;
        if (ready && !was_ready) interrupt_status[map::InterruptStatusReadyLsb] <= 1'b1;

        if (rst) begin
            state                  <= Clear;
            rule                   <= '0;
            posted                 <= 1'b1;
            amazon_dns             <= 1'b0;
            s_axil_bvalid          <= 1'b0;
            s_axil_rvalid          <= 1'b0;
            mirror_reset           <= 1'b0;
            snapshot               <= 1'b0;
            clear_fault            <= 1'b0;
            clear_counters         <= 1'b0;
            noting                 <= 1'b0;
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
            inconsistent_staged_ports <= 1'b0;
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
endmodule
