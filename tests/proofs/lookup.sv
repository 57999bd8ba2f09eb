// SPDX-License-Identifier: Apache-2.0
// Proof of `lookup`: each frame is looked up in tables of one version (T2). The proof has a database beside the module. A
// commit changes all tables of the database at once, in the cycle in which its token is taken. A frame reads all that it
// needs from the database in the cycle of its window. The module's verdict, UDP source port and outer header must be those
// of that reading. There is one exception, which is documented: a filter's second direction is written a cycle after its
// first, and an egress frame in that cycle reports the old version.
// Parts that hold no table are replaced: the parser by a key of zeros after its 6 cycles, the rules by bits of the filter
// word, the services by one service of one bit. No bit flips here, so the codes are left out.
// The invariants for the induction say what the tables hold; they are under HELPERS.
module parse (
    input  logic                            clk,
    input  logic                            rst,
    input  logic                            in_valid,
    input  logic [2*offload::BeatWidth-1:0] in_window,
    input  logic [7:0]                      in_length,
    input  logic [6:0]                      in_more,
    output logic                            out_valid,
    output offload::key_t                   out_key
);
    logic [4:0] valid;
    always_ff @(posedge clk) {out_valid, valid} <= rst ? '0 : {valid, in_valid};
    assign out_key = '0;
endmodule

module match_rules (
    input  logic                            clk,
    input  logic                            in_valid,
    input  offload::key_t                   in_key,
    input  logic [offload::FilterWidth-1:0] in_filter,
    output logic                            out_valid,
    output logic                            out_dns,
    output logic [map::Rules-1:0]           out_match,
    output logic [map::Rules-1:0]           out_accept
);
    always_ff @(posedge clk) begin
        out_valid <= in_valid;
        if (in_valid) {out_dns, out_accept, out_match} <= {in_filter[2], {2{in_filter[1]}}, in_filter[0], !in_filter[0]};
    end
endmodule

module match_services (
    input  logic                             clk,
    input  logic                             rst,
    input  logic                             write,
    input  logic [$clog2(map::Services)-1:0] index,
    input  offload::service_t                write_entry,
    input  logic                             read,
    output offload::service_t                entry,
    input  logic                             in_valid,
    input  offload::key_t                    in_key,
    input  logic                             in_has_resolver,
    input  logic [31:0]                      in_resolver,
    output logic                             out_excluded,
    output logic                             out_dns,
    output logic                             out_faulty,
    output logic [$clog2(map::Services)-1:0] out_faulty_index
);
    logic service;
    always_comb begin
        entry       = '0;
        entry.valid = service;
    end
    assign out_faulty       = 1'b0;
    assign out_faulty_index = '0;
    always_ff @(posedge clk) begin
        if (in_valid) {out_excluded, out_dns} <= {service, in_has_resolver && in_resolver[0]};
        if (write) service <= write_entry.valid;
        if (rst) service <= 1'b0;
    end
endmodule

module flow_hash (
    input  logic                   clk,
    input  logic                   in_valid,
    input  offload::key_t          in_key,
    input  offload::source_ports_t source_ports,
    output logic [15:0]            out_source_port
);
    logic valid, port;
    assign out_source_port = {14'd0, source_ports.base[0], port};   // what is kept; what the frame has
    always_ff @(posedge clk) begin
        valid <= in_valid;
        if (valid) port <= source_ports.base[0];
    end
endmodule

module column_parity #(
    parameter int Width = 512,
    parameter int Columns = 32
) (
    input  logic               valid,
    input  logic [Width-1:0]   word,
    output logic [Columns-1:0] parity
);
    assign parity = '0;
endmodule

module list_parity (
    input  logic                            valid,
    input  logic [offload::FilterWidth-1:0] word,
    output logic                            faulty
);
    assign faulty = 1'b0;
endmodule

module header_sum (
    input  logic                         clk,
    input  logic                         first,
    input  logic                         second,
    input  offload::outer_t              in_outer,
    output logic [offload::SumWidth-1:0] out_sum
);
    assign out_sum = '0;
endmodule

module proof (
    input logic                    clk,
    input logic                    in_valid,
    input logic                    in_tap,
    input logic                    in_egress,
    input logic [2:0]              in_index,
    input logic                    short_frame,
    input offload::token_t         new_token,
    // What software stages. There are two slots, filters, rules and session entries. There are four interfaces, so that the
    // sweep takes longer than a token needs to its first table; two of them are written.
    input logic                    new_interface_index,
    input logic [1:0]              new_valid,
    input logic [1:0]              new_filters,
    input logic [1:0]              new_sessions,
    input logic                    new_resolver,
    input logic                    new_filter_index,
    input logic [2:0]              new_ingress,
    input logic [2:0]              new_egress,
    input logic                    new_session_index,
    input logic                    new_limit,
    input logic                    new_vni,
    input logic                    new_service,
    input logic                    new_port
);
    logic started = 1'b0;
    logic rst;
    assign rst = !started;
    always_ff @(posedge clk) started <= 1'b1;

    // Staged words hold still from a commit to token_done; `registers` is proved to do that.
    logic in_flight = 1'b0, taken = 1'b0, done = 1'b0, fetching;   // the token: inside; taken, done a cycle ago; a fetch
    logic token_taken, token_done, fetched_interface, fetched_filter, fetched_cut, fetched_outer;
    logic [20:0] staged, held;
    assign staged = in_flight && !fetching ? held : {new_interface_index, new_valid, new_filters, new_sessions, new_resolver,
                                        new_filter_index, new_ingress, new_egress, new_session_index, new_limit, new_vni,
                                        new_service, new_port, 1'b0};
    logic interface_index, resolver, filter_index, session_index, limit, vni, service, port, unused;
    logic [1:0] valid, filters, sessions;
    logic [2:0] ingress, egress;
    assign {interface_index, valid, filters, sessions, resolver, filter_index, ingress, egress, session_index, limit, vni,
            service, port, unused} = staged;

    offload::token_t token;
    offload::interface_t staged_interface;
    offload::cut_t staged_cut;
    offload::outer_t staged_outer;
    offload::service_t staged_service;
    offload::source_ports_t staged_source_ports;
    always_comb begin
        token = new_token;
        if (in_flight || rst) {token.commit, token.fetch} = '0;
        staged_interface = '0;
        staged_interface.valid        = valid;
        staged_interface.filter       = filters;
        staged_interface.session      = sessions;
        staged_interface.has_resolver = 1'b1;
        staged_interface.resolver[0]  = resolver;
        staged_cut = '0;
        staged_cut.packet_length = 14'd1 + 14'(limit);
        staged_cut.mtu_cut       = 14'd9000;
        staged_outer = '0;
        staged_outer.vni[0] = vni;
        staged_service = '0;
        staged_service.valid = service;
        staged_source_ports = '0;
        staged_source_ports.base[0] = port;
    end

    localparam int InterfaceWidth = 8 + $bits(staged_interface);   // of a table word with its parity
    localparam int CutWidth = 4 + offload::CutWidth;
    logic ready;
    logic [4*InterfaceWidth-1:0] interface_memory;
    logic [8*offload::FilterWidth-1:0] filter_memory;
    logic [4*CutWidth-1:0] cut_memory;
    logic [1:0] vni_memory;
    offload::service_t service_entry;
    offload::verdict_t out_verdict;
    logic [15:0] out_source_port;
    offload::outer_t out_outer;
    logic [offload::VersionWidth-1:0] version;
    logic next_egress, list_egress;
    logic [2:0] list;
    assign list = list_egress ? egress : ingress;
    always_ff @(posedge clk) list_egress <= next_egress;
    lookup dut (
        .clk, .rst,
        .in_valid, .in_tap, .in_egress, .in_index, .in_window('0), .in_length(short_frame ? 8'd13 : 8'd64),
        .in_more('0),
        .token, .token_taken, .token_done,
        .staged_interface_index({1'b0, interface_index}), .staged_interface, .staged_filter_index(filter_index),
        .next_egress, .staged_list({list[2], list}), .staged_session_index(session_index), .staged_cut, .staged_outer,
        .staged_service_index(1'b0), .staged_service, .staged_source_ports, .ready,
        .fetched_interface, .fetched_filter, .fetched_cut, .fetched_outer, .service_entry,
        .out_verdict, .out_source_port, .out_outer, .version, .interface_memory, .filter_memory, .cut_memory, .vni_memory
    );

    always_ff @(posedge clk) begin
        held      <= staged;
        in_flight <= started && (token_taken || (in_flight && !token_done));
        taken     <= token_taken;
        done      <= token_done;
        if (token_taken) fetching <= token.fetch;
        assume (!(token.commit && token.fetch));
        assume (!token.filter || token.fetch || !(token.interface_word || token.session || token.service ||
                                                  token.source_ports));   // a filter is committed alone
        assume (!(in_valid && in_tap) || (ready && in_index <= 3'd4));
        assume (started || !in_valid);
    end

    // The database. Filters are [filter][egress]. Entries that were never written are not compared.
    logic [6:0] interfaces [2];           // valid, filter and session of each slot, resolver
    logic [2:0] lists [4];
    logic [1:0] entries [2];              // limit, vni
    logic [3:0] lists_known = '0;
    logic [1:0] entries_known = '0;
    logic service_now = 1'b0, port_now;
    logic second = 1'b0, ports_known = 1'b0;
    logic [offload::VersionWidth-1:0] version_now = '0;
    logic commit;
    assign commit = token_taken && token.commit;

    always_ff @(posedge clk) begin
        if (commit && token.interface_word) interfaces[interface_index] <= {valid, filters, sessions, resolver};
        second <= commit && token.filter;
        if (commit && token.filter) begin
            lists[{filter_index, 1'b0}]       <= ingress;
            lists_known[{filter_index, 1'b0}] <= 1'b1;
        end
        if (second) begin
            lists[{filter_index, 1'b1}]       <= egress;
            lists_known[{filter_index, 1'b1}] <= 1'b1;
        end
        if (commit && token.session) begin
            entries[session_index]       <= {limit, vni};
            entries_known[session_index] <= 1'b1;
        end
        if (commit && token.service) service_now <= service;
        if (commit && token.source_ports) {port_now, ports_known} <= {port, 1'b1};
        if (commit) version_now <= version_now + 1'b1;
        if (rst) begin
            interfaces[0] <= '0;
            interfaces[1] <= '0;
        end
    end

    // What the frame reads of the database, all in one cycle.
    logic [6:0] word;
    logic [1:0] word_valid, word_filters, word_sessions, dns, known, vnis;
    logic word_resolver;
    logic [3:0] match, accept;
    logic [2*offload::CutWidth-1:0] cuts;
    offload::cut_t one_cut;
    assign word = in_index > 3'd1 ? '0 : interfaces[in_index[0]];
    assign {word_valid, word_filters, word_sessions, word_resolver} = word;
    always_comb begin
        one_cut = '0;
        one_cut.mtu_cut = 14'd9000;
        for (int i = 0; i < 2; i++) begin
            dns[i]           = lists[{word_filters[i], in_egress}][2];
            accept[2*i +: 2] = {2{lists[{word_filters[i], in_egress}][1]}};
            match[2*i +: 2]  = {lists[{word_filters[i], in_egress}][0], !lists[{word_filters[i], in_egress}][0]};
            one_cut.packet_length = 14'd1 + 14'(entries[word_sessions[i]][1]);
            cuts[i*offload::CutWidth +: offload::CutWidth] = one_cut;
            vnis[i]  = entries[word_sessions[i]][0];
            known[i] = !word_valid[i] || (lists_known[{word_filters[i], in_egress}] && entries_known[word_sessions[i]]);
        end
    end

    // The choice that `choose` must have made of it 7 cycles later.
    localparam int Width = 2 + 1 + 2 + 2 + 2 + 4 + 4 + 2 + 2 * offload::CutWidth + offload::VersionWidth + 2 + 2;
    logic [Width-1:0] reading;
    (* mem2reg *) logic [Width-1:0] pipe [7];
    logic expected_valid, expected_service, expected_resolver, expected_port, expected_ports_known;
    logic [1:0] expected_known, expected_used, expected_dns, expected_sessions, expected_vnis;
    logic [3:0] expected_match, expected_accept;
    logic [2*offload::CutWidth-1:0] expected_cuts;
    logic [offload::VersionWidth-1:0] expected_version;
    offload::verdict_t expected;
    assign reading = {in_valid && in_tap && !short_frame, service_now, word_resolver, known, word_valid, dns, match, accept,
                      word_sessions, cuts, version_now - offload::VersionWidth'(second && in_egress), vnis, port_now, ports_known};
    always_ff @(posedge clk) begin
        pipe[0] <= reading;
        for (int i = 1; i < 7; i++) pipe[i] <= pipe[i-1];
    end
    assign {expected_valid, expected_service, expected_resolver, expected_known, expected_used, expected_dns,
            expected_match, expected_accept, expected_sessions, expected_cuts, expected_version, expected_vnis,
            expected_port, expected_ports_known} = pipe[6];

    logic [4:0] age = '0;
    choose chooser (
        .clk,
        .in_valid(expected_valid), .in_ip(1'b0), .in_fault(1'b0), .in_excluded(expected_service),
        .in_dns(expected_resolver), .in_slot_valid(expected_used), .in_slot_dns(expected_dns), .in_match(expected_match),
        .in_accept(expected_accept), .in_session(expected_sessions), .in_cut(expected_cuts), .in_cut_faulty('0),
        .in_version(expected_version), .out_verdict(expected)
    );

    logic compared = 1'b0, compared_port = 1'b0, outer_due = 1'b0, outer_expected, port8;
    logic [1:0] vnis8;
    always_ff @(posedge clk) begin
        if (age != '1) age <= age + 1'b1;
        compared       <= expected_valid && &expected_known;
        compared_port  <= expected_valid && expected_ports_known;
        vnis8          <= expected_vnis;
        port8          <= expected_port;
        outer_due      <= compared && expected.accepted;
        outer_expected <= vnis8[expected.slot];
    end

    // What the proof of `registers` assumes of this module.
    always_ff @(posedge clk) if (started) begin
        commit_enters: assert (!token.commit || token_taken == ready);
        done_later:    assert (!token_done || (in_flight && !taken));
        fetch_alone:   assert (!(fetched_interface || fetched_filter || fetched_cut) || (in_flight && fetching));
        fetch_ends:    assert (!fetched_outer || (done && fetching));
    end

    // Fields that mean something only for a frame with a copy are compared only then.
    always_ff @(posedge clk) if (age > 5'd9) begin
        same_pass:    assert (out_verdict.tap == expected.tap);
        same_version: assert (!expected.tap || out_verdict.version == expected.version);
        same_choice:  assert (!compared || ({out_verdict.excluded, out_verdict.accepted, out_verdict.why,
                                             out_verdict.why_rule, out_verdict.fault} ==
                                            {expected.excluded, expected.accepted, expected.why, expected.why_rule,
                                             1'b0}));
        same_slot:    assert (!compared || !expected.accepted ||
                              ({out_verdict.slot, out_verdict.by_service, out_verdict.rule_index, out_verdict.session,
                                out_verdict.limit} ==
                               {expected.slot, expected.by_service, expected.rule_index, expected.session,
                                expected.limit}));
        same_port:    assert (!compared_port || out_source_port[0] == port8);
        same_outer:   assert (!outer_due || out_outer.vni[0] == outer_expected);
        reached:      cover (compared && expected.accepted && expected.slot && expected.version == 3 &&
                             version_now == 4 && expected.limit == 14'd2);
    end

`ifdef HELPERS
    // The token in the pipeline: the cycle in which it is, and whether it still has to write what is written in cycle `i`.
    logic [3:0] at = '0;
    offload::token_t passing;
    logic [8:1] due;
    logic due_interface, due_ingress, due_egress, due_cut, due_outer, due_service, due_port;
    always_ff @(posedge clk) begin
        at <= token_taken ? 4'd1 : at == '0 || at == 4'd8 ? '0 : at + 1'b1;
        if (token_taken) passing <= token;
    end
    always_comb begin
        for (int i = 1; i <= 8; i++) due[i] = at != '0 && at <= 4'(i) && passing.commit;
    end
    assign due_interface = due[3] && passing.interface_word;
    assign due_ingress   = due[5] && passing.filter;
    assign due_egress    = due[6] && passing.filter && !second;
    assign due_cut       = due[6] && passing.session;
    assign due_outer     = due[8] && passing.session;
    assign due_service   = due[6] && passing.service;
    assign due_port      = due[7] && passing.source_ports;

    // An entry of the database is the word that the token still has to write, or if there is none the word in the table.
    logic [2:0] swept = '0;
    logic [1:0] cuts_same, vnis_same;
    logic [3:0] interfaces_same, lists_same, four;
    logic [InterfaceWidth-1:0] of_interface;
    offload::interface_t one_interface;
    logic [CutWidth-1:0] of_cut;
    offload::cut_t same_cut;
    always_comb begin
        {interfaces_same, cuts_same, vnis_same, lists_same} = '1;
        one_interface = '0;
        one_interface.has_resolver = 1'b1;
        same_cut = '0;
        same_cut.mtu_cut = 14'd9000;
        for (int i = 0; i < 2; i++) begin
            {one_interface.valid, one_interface.filter, one_interface.session, one_interface.resolver[0]} = interfaces[i];
            of_interface = interface_memory[i*InterfaceWidth +: InterfaceWidth];
            interfaces_same[2+i] = interface_memory[(2+i)*InterfaceWidth +: InterfaceWidth] == '0 || swept <= 3'(2 + i);
            if (due_interface && interface_index == 1'(i))
                interfaces_same[i] = interfaces[i] == {valid, filters, sessions, resolver};
            else
                interfaces_same[i] = of_interface == {8'd0, one_interface} ||
                                     (interfaces[i] == '0 && (of_interface == '0 || swept <= 3'(i)));
            same_cut.packet_length = 14'd1 + 14'(entries[i][1]);
            of_cut = {4'd0, same_cut};
            if (due_cut && session_index == 1'(i)) cuts_same[i] = entries[i][1] == limit;
            else if (entries_known[i])
                cuts_same[i] = cut_memory[i*CutWidth +: CutWidth] == of_cut &&
                               cut_memory[(2+i)*CutWidth +: CutWidth] == of_cut;
            if (due_outer && session_index == 1'(i)) vnis_same[i] = entries[i][0] == vni;
            else if (entries_known[i]) vnis_same[i] = entries[i][0] == vni_memory[i];
        end
        for (int i = 0; i < 4; i++) begin
            four = {lists[i][2], lists[i]};
            if ((i % 2 == 0 ? due_ingress : due_egress) && filter_index == 1'(i / 2))
                lists_same[i] = lists[i] == (i % 2 == 0 ? ingress : egress);
            else if (lists_known[i])
                lists_same[i] = filter_memory[4*i +: 4] == four && filter_memory[4*(4+i) +: 4] == four;
        end
    end

    always_ff @(posedge clk) begin
        if (!ready) swept <= swept + 1'b1;
        if (rst) swept <= '0;
        if (started) begin
            sweep:           assert (swept <= 3'd4 && ready == (swept == 3'd4) && (ready || at == '0));
            one_token:       assert (at <= 4'd8 && in_flight == (at != '0));
            interface_words: assert (interfaces_same == '1);
            rule_lists:      assert (lists_same == '1 && second == (due[1] && passing.filter));
            limits:          assert (cuts_same == '1);
            outers:          assert (vnis_same == '1);
            services:        assert (service_now == (due_service ? service : service_entry.valid));
            port_range:      assert (!ports_known || port_now == (due_port ? port : out_source_port[1]));
            versions:        assert (version_now == version + offload::VersionWidth'(due[3]));
        end
    end
`endif
endmodule
