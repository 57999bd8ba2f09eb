// SPDX-License-Identifier: Apache-2.0
// From a frame's window to its verdict, 8 cycles later, one frame a cycle, without back-pressure. A number at the end of a
// name is the cycle after the window in which the signal is valid.
//   0..6  parse            3  interface word read      5  filter words read (a table for each slot)
//   6     rules, services and length limits compared   7  verdict chosen
//   8     verdict out; outer header fields read        9  outer header fields out
// A commit enters in cycle 0 as a token, beside a frame or alone, and moves on with the frames. It writes each table in
// the cycle in which the frame beside it reads that table. So the frame beside it and all frames before see the old words
// of every table, and all frames behind it see the new ones (T2).
// A filter has a word for each direction, and the second is written a cycle after the first. So one frame passes between
// the two writes. It has one direction, and sees the whole commit or nothing of it as long as nothing else is committed
// with the filter: a filter is committed alone.
// A fetch, which reads table words back, is a token too. It reads in the place of a frame, so it waits for a cycle in
// which no frame enters.
module lookup (
    input  logic                             clk,
    input  logic                             rst,
    input  logic                             in_valid,        // a frame's window
    input  logic                             in_tap,
    input  logic                             in_egress,
    input  logic [offload::InterfaceBits:0]  in_index,
    input  logic [2*offload::BeatWidth-1:0]  in_window,
    input  logic [7:0]                       in_length,       // bytes of the frame in the window's first beat
    input  logic [6:0]                       in_more,         // and in its second
    input  offload::token_t                  token,           // a commit or fetch; held until `token_taken`
    output logic                             token_taken,
    output logic                             token_done,      // a token has passed all tables
    output logic                             commit_done,     // and the token was a commit
    input  logic [offload::InterfaceBits-1:0] staged_interface_index,
    input  offload::interface_t              staged_interface,
    input  logic [offload::FilterBits-1:0]   staged_filter_index,
    output logic                             next_egress,     // a cycle later the staged list must be the egress list
    input  logic [offload::FilterWidth-1:0]  staged_list,
    input  logic [offload::SessionBits-1:0]  staged_session_index,
    input  offload::cut_t                    staged_cut,
    input  offload::outer_t                  staged_outer,
    input  logic [$clog2(map::Services)-1:0] staged_service_index,
    input  offload::service_t                staged_service,
    input  offload::source_ports_t           staged_source_ports,
    output logic                             ready,           // the interface table is swept
    output logic                             fetched_interface,   // strobes beside the words below
    output offload::interface_t              interface_word,
    output logic                             fetched_filter,
    output logic [offload::FilterWidth-1:0]  filter_word,
    output logic                             fetched_cut,
    output offload::cut_t                    cut_word,
    output logic                             fetched_outer,
    output offload::service_t                service_entry,
    output offload::verdict_t                out_verdict,     // tap is 0 where the pass has none
    output logic [15:0]                      out_source_port,
    output offload::outer_t                  out_outer,       // a cycle after the verdict
    output logic [offload::SumWidth-1:0]     out_sum,
    // Which table words were found faulty (T4), for module `faults`.
    output logic                             interface_faulty,
    output logic [offload::InterfaceBits-1:0] interface_index,
    output logic [map::Slots-1:0]            filter_faulty,
    output logic [map::Slots*offload::FilterBits-1:0] filter_index,
    output logic                             service_faulty,
    output logic [$clog2(map::Services)-1:0] service_index,
    output logic [map::Slots:0]              session_faulty,
    output logic [(map::Slots+1)*offload::SessionBits-1:0] session_index,
    output logic [offload::VersionWidth-1:0] version,
    output logic                             busy
);
    localparam int SlotSessions = map::Slots * offload::SessionBits;
    localparam int SlotFilters = map::Slots * offload::FilterBits;
    localparam int Cuts = map::Slots * offload::CutWidth;

    // Tokens and passes in flight.
    offload::token_t token1, token2, token3, token4, token5, token6, token7, token8;
    logic tap1, tap2, tap3, tap4, tap5, tap6, tap7;
    logic [7:0] length1;
    logic [6:0] more1;

    assign token_taken = ready && (token.commit || (token.fetch && !in_valid));
    assign commit_done = token8.commit;
    assign token_done  = token8.commit || token8.fetch;
    assign busy = tap1 || tap2 || tap3 || tap4 || tap5 || tap6 || tap7 || out_verdict.tap;

    always_ff @(posedge clk) begin
        token1  <= token_taken ? token : '0;
        token2  <= token1;
        token3  <= token2;
        token4  <= token3;
        token5  <= token4;
        token6  <= token5;
        token7  <= token6;
        token8  <= token7;
        tap1    <= in_valid && in_tap;
        length1 <= in_length;
        more1   <= in_more;
        tap2    <= tap1 && length1 + {1'b0, more1} >= 8'd14;   // a shorter frame is at no tap (P2)
        tap3    <= tap2;
        tap4    <= tap3;
        tap5    <= tap4;
        tap6    <= tap5;
        tap7    <= tap6;
        if (rst) begin
            {token1, token2, token3, token4, token5, token6, token7, token8} <= '0;
            {tap1, tap2, tap3, tap4, tap5, tap6, tap7} <= '0;
        end
    end

    // 0..6: the key.
    logic key_valid;
    offload::key_t key;
    parse parse (
        .clk, .rst,
        .in_valid(in_valid && in_tap), .in_window, .in_length, .in_more,
        .out_valid(key_valid), .out_key(key)
    );

    // 3: interface word.
    logic [offload::InterfaceBits:0] index1, index2, index3, index4;
    logic egress1, egress2, egress3, egress4, egress5;
    logic [offload::VersionWidth-1:0] version4, version5, version6, version7;
    interface_table interfaces (
        .clk, .rst,
        .write(token3.commit && token3.interface_word), .write_index(staged_interface_index),
        .write_word(staged_interface),
        .read(tap3 || token3.fetch), .read_index(token3.fetch ? {1'b0, staged_interface_index} : index3),
        .out_word(interface_word), .check(tap4), .out_faulty(interface_faulty), .ready
    );
    assign interface_index = index4[offload::InterfaceBits-1:0];
    assign fetched_interface = token4.fetch && token4.interface_word;

    always_ff @(posedge clk) begin
        index1  <= in_index;
        index2  <= index1;
        index3  <= index2;
        index4  <= index3;
        egress1 <= in_egress;
        egress2 <= egress1;
        egress3 <= egress2;
        egress4 <= egress3;
        egress5 <= egress4;
        // An egress frame directly behind a filter commit still meets the old egress word, so its version is the old one.
        if (tap3) version4 <= token4.commit && token4.filter && egress3 ? version - 1'b1 : version;
        if (tap4) version5 <= version4;
        if (tap5) version6 <= version5;
        if (tap6) version7 <= version6;
        if (token3.commit) version <= version + 1'b1;
        if (rst) version <= '0;
    end

    // 5: filter words.
    logic [map::Slots-1:0] used5, used6, used7;
    logic [SlotFilters-1:0] filter5, filter6;
    logic fault5, fault6, interface_fault7, filter_fault7;
    logic [SlotSessions-1:0] session5, session6, session7;
    logic has_resolver5, has_resolver6;
    logic [31:0] resolver5, resolver6;
    logic [map::Slots*map::Rules-1:0] match7, accept7;
    logic [map::Slots-1:0] dns7;
    logic [offload::FilterWidth-1:0] slot_filter;   // of slot 0

    always_ff @(posedge clk) begin
        used5  <= tap4 && !interface_faulty ? interface_word.valid : '0;
        fault5 <= interface_faulty;
        fault6 <= fault5;
        interface_fault7 <= fault6;
        filter_fault7    <= filter_faulty != '0;
        if (tap4) begin
            filter5       <= interface_word.filter;
            session5      <= interface_word.session;
            has_resolver5 <= interface_word.has_resolver;
            resolver5     <= interface_word.resolver;
        end
        used6 <= used5;
        if (tap5) begin
            filter6       <= filter5;
            session6      <= session5;
            has_resolver6 <= has_resolver5;
            resolver6     <= resolver5;
        end
        if (tap6) session7 <= session6;
    end

    // A filter commit writes the ingress list in this cycle and the egress list in the next. Slot 0 has a write enable of
    // its own (`take_list`), because one register for all slots would have too many loads.
    assign next_egress = token5.commit && token5.filter;
    logic take_list, keep_list;
    always_ff @(posedge clk) begin
        take_list <= !rst && ((token4.commit && token4.filter) || next_egress);
        keep_list <= rst || !((token4.commit && token4.filter) || next_egress);
    end
    assign filter_index = filter6;

    for (genvar i = 0; i < map::Slots; i++) begin : g_slot
        logic [offload::FilterWidth-1:0] word;
        logic fetch;
        assign fetch = i == 0 && token5.fetch && token5.filter;

        filter_table filters (
            .clk,
            .write(i == 0 ? take_list : !keep_list),
            .write_address({staged_filter_index, !next_egress}),
            .write_word(staged_list),
            .read(used5[i] || fetch),
            .read_address(fetch ? {staged_filter_index, token5.fetch_egress}
                                : {filter5[i*offload::FilterBits +: offload::FilterBits], egress5}),
            .out_word(word), .check(tap6 && used6[i]), .out_faulty(filter_faulty[i])
        );

        // 6: rules.
        match_rules rules (
            .clk,
            .in_valid(used6[i]), .in_key(key), .in_filter(word),
            .out_valid(used7[i]), .out_dns(dns7[i]),
            .out_match(match7[i*map::Rules +: map::Rules]), .out_accept(accept7[i*map::Rules +: map::Rules])
        );
        if (i == 0) begin : g_fetch
            assign slot_filter = word;
        end
    end
    assign filter_word    = slot_filter;
    assign fetched_filter = token6.fetch && token6.filter;

    // 6: services, length limits.
    logic excluded7, dns_frame7;
    match_services services (
        .clk, .rst,
        .write(token6.commit && token6.service), .index(staged_service_index), .write_entry(staged_service),
        .read(token8.fetch && token8.service), .entry(service_entry),
        .in_valid(key_valid), .in_key(key), .in_has_resolver(has_resolver6), .in_resolver(resolver6),
        .out_excluded(excluded7), .out_dns(dns_frame7), .out_faulty(service_faulty),
        .out_faulty_index(service_index)
    );

    logic [Cuts-1:0] cut7;
    logic [offload::SumWidth-1:0] staged_sum;
    logic [offload::SessionBits-1:0] session9;
    logic fetch6, fetch8;
    assign fetch6 = token6.fetch && token6.session;
    assign fetch8 = token8.fetch && token8.session;
    header_sum header_sum (
        .clk, .first(token6.commit && token6.session), .second(token7.commit && token7.session),
        .in_outer(staged_outer), .out_sum(staged_sum)
    );
    session_table sessions (
        .clk,
        .write_cut(token6.commit && token6.session), .write_outer(token8.commit && token8.session),
        .write_index(staged_session_index), .write_cut_word(staged_cut), .write_outer_word(staged_outer),
        .write_sum(staged_sum),
        .read_cut(fetch6 ? map::Slots'(1) : used6),
        .read_cut_index(fetch6 ? SlotSessions'(staged_session_index) : session6), .cut(cut7),
        .check_cut(tap7 ? used7 : '0), .cut_faulty(session_faulty[map::Slots-1:0]),
        .read_outer((out_verdict.tap && out_verdict.accepted && !rst) || fetch8),
        .read_outer_index(fetch8 ? staged_session_index : out_verdict.session), .outer(out_outer),
        .sum(out_sum), .outer_corrected(session_faulty[map::Slots])
    );
    assign session_index = {session9, session7};
    assign cut_word    = cut7[0 +: offload::CutWidth];
    assign fetched_cut = token7.fetch && token7.session;

    always_ff @(posedge clk) begin
        fetched_outer <= fetch8 && !rst;
        session9      <= fetch8 ? staged_session_index : out_verdict.session;
    end

    // 7: verdict.
    logic ip7;
    offload::source_ports_t source_ports;
    always_ff @(posedge clk) begin
        ip7 <= key.ip;
        if (token7.commit && token7.source_ports) source_ports <= staged_source_ports;
        if (rst) source_ports <= map::SourcePortsReset[20:0];
    end

    choose choose (
        .clk,
        .in_valid(tap7 && !rst), .in_ip(ip7), .in_fault(interface_fault7 || filter_fault7 || service_faulty),
        .in_excluded(excluded7), .in_dns(dns_frame7),
        .in_slot_valid(used7), .in_slot_dns(dns7), .in_match(match7), .in_accept(accept7),
        .in_session(session7), .in_cut(cut7),
        .in_cut_faulty(session_faulty[map::Slots-1:0]), .in_version(version7),
        .out_verdict
    );

    flow_hash hash (
        .clk,
        .in_valid(key_valid), .in_key(key), .source_ports, .out_source_port
    );
endmodule
