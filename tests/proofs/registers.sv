// SPDX-License-Identifier: Apache-2.0
// Proof of what `registers` guarantees to both of its sides.
// To an AXI4-Lite master: each access gets one answer, which holds still until it is taken, whatever comes in through the
// line port. The line port gets no answers.
// To the lookup: there is one token at a time, which waits unchanged until it is taken. Until the token is done, the staged
// words that it carries hold still. A filter is committed alone (T2).
// The staged rules are left out.
module filter_staging (
    input  logic                            clk,
    input  logic [offload::RuleBits:0]      rule,
    input  logic                            write,
    input  logic [offload::RuleWords-1:0]   write_words,
    input  logic [offload::RuleWidth-1:0]   write_rule,
    input  logic                            clear,
    output logic [offload::RuleWidth-1:0]   read_rule,
    input  logic                            fetched,
    input  logic [offload::ListWidth-1:0]   fetched_list,
    output logic                            inconsistent,
    input  logic                            amazon_dns,
    input  logic                            assemble,
    input  logic                            next_egress,
    output logic [offload::FilterWidth-1:0] list
);
    (* anyseq *) logic any;
    assign read_rule    = '0;
    assign inconsistent = any;
    assign list         = '0;
endmodule

module proof (
    input logic         clk,
    input logic         rst,
    input logic [12:0]  s_axil_awaddr,
    input logic         s_axil_awvalid,
    input logic [31:0]  s_axil_wdata,
    input logic [3:0]   s_axil_wstrb,
    input logic         s_axil_wvalid,
    input logic         s_axil_bready,
    input logic [12:0]  s_axil_araddr,
    input logic         s_axil_arvalid,
    input logic         s_axil_rready,
    input logic         s_line_valid,
    input logic [12:6]  s_line_address,
    input logic [511:0] s_line_data,
    input logic [63:0]  s_line_strobes,
    input logic         token_taken,
    input logic         token_done,
    input logic         next_egress,
    input logic         fetched_interface,
    input logic         fetched_filter,
    input logic         fetched_cut,
    input logic         fetched_outer
);
    logic s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid, s_line_ready;
    logic [1:0] s_axil_bresp, s_axil_rresp;
    logic [31:0] s_axil_rdata;
    logic [3:0] at;                       // state
    logic writing, posted, fetching, expired;
    offload::token_t token;
    logic [offload::InterfaceBits-1:0] staged_interface_index;
    offload::interface_t staged_interface;
    logic [offload::FilterBits-1:0] staged_filter_index;
    logic [offload::SessionBits-1:0] staged_session_index;
    offload::cut_t staged_cut;
    offload::outer_t staged_outer;
    logic [$clog2(map::Services)-1:0] staged_service_index;
    offload::service_t staged_service;
    offload::source_ports_t staged_source_ports;
    registers dut (
        .clk, .rst,
        .s_axil_awaddr, .s_axil_awvalid, .s_axil_awready, .s_axil_wdata, .s_axil_wstrb, .s_axil_wvalid, .s_axil_wready,
        .s_axil_bresp, .s_axil_bvalid, .s_axil_bready, .s_axil_araddr, .s_axil_arvalid, .s_axil_arready, .s_axil_rdata,
        .s_axil_rresp, .s_axil_rvalid, .s_axil_rready,
        .s_line_valid, .s_line_ready, .s_line_address, .s_line_data, .s_line_strobes,
        .token, .token_taken, .token_done, .staged_interface_index, .staged_interface, .staged_filter_index, .next_egress,
        .staged_session_index, .staged_cut, .staged_outer, .staged_service_index, .staged_service, .staged_source_ports,
        .fetched_interface, .interface_word('0), .fetched_filter, .filter_word('0), .fetched_cut, .cut_word('0),
        .fetched_outer, .outer_word('0), .service_entry('0),
        .at, .writing, .posted, .fetching, .expired
    );

    localparam int Staged = offload::InterfaceBits + $bits(staged_interface) + offload::FilterBits +
        offload::SessionBits + offload::CutWidth + $bits(staged_outer) + $clog2(map::Services) + $bits(staged_service) +
        $bits(staged_source_ports);
    logic [Staged-1:0] staged, staged_before;
    assign staged = {staged_interface_index, staged_interface, staged_filter_index, staged_session_index, staged_cut,
                     staged_outer, staged_service_index, staged_service, staged_source_ports};

    logic started = 1'b0, running = 1'b0;   // not the first cycle; there was no reset a cycle ago
    logic written, read, bvalid, rvalid, bready, rready, busy, fetch, taken, done;
    logic [1:0] bresp, rresp;
    logic [31:0] rdata;
    logic write_due = 1'b0, read_due = 1'b0;
    offload::token_t token_before;
    assign written = s_axil_awvalid && s_axil_awready && s_axil_wvalid && s_axil_wready;
    assign read    = s_axil_arvalid && s_axil_arready;
    always_ff @(posedge clk) begin
        started <= 1'b1;
        running <= !rst;
        assume (started || rst);
        // What is assumed of the lookup; the proof `lookup` shows it.
        assume (!token_taken || token.commit || token.fetch);
        assume (!token_done || (busy && !taken));
        assume (!(token.commit && expired));   // it takes a commit at once, but for the sweep after a reset, which is shorter
        assume (!(fetched_interface || fetched_filter || fetched_cut) || (busy && fetch));
        assume (!fetched_outer || (done && fetch));

        {bvalid, bready, bresp}         <= {s_axil_bvalid, s_axil_bready, s_axil_bresp};
        {rvalid, rready, rresp, rdata}  <= {s_axil_rvalid, s_axil_rready, s_axil_rresp, s_axil_rdata};
        if (s_axil_bvalid && s_axil_bready) write_due <= 1'b0;
        if (written) write_due <= 1'b1;
        if (s_axil_rvalid && s_axil_rready) read_due <= 1'b0;
        if (read) read_due <= 1'b1;
        token_before  <= token;
        taken         <= token_taken;
        staged_before <= staged;
        busy          <= (token_taken || busy) && !token_done;
        done          <= token_done;
        if (token_taken) fetch <= token.fetch;
        if (rst) {write_due, read_due, busy, taken, done} <= '0;
    end

    always_ff @(posedge clk) if (running && !rst) begin
        together:      assert (s_axil_awready == s_axil_wready && (!s_axil_awready || (s_axil_awvalid && s_axil_wvalid)));
        one_write:     assert (!written || !write_due || (s_axil_bvalid && s_axil_bready));
        one_read:      assert (!read || !read_due || (s_axil_rvalid && s_axil_rready));
        none_unasked:  assert ((!s_axil_bvalid || write_due) && (!s_axil_rvalid || read_due));
        answered:      assert (!s_line_ready || ((!write_due || s_axil_bvalid) && (!read_due || s_axil_rvalid)));
        answer_holds:  assert (!bvalid || bready || (s_axil_bvalid && s_axil_bresp == bresp));
        data_holds:    assert (!rvalid || rready || (s_axil_rvalid && s_axil_rdata == rdata && s_axil_rresp == rresp));
        one_token:     assert (!(token.commit && token.fetch) && (!busy || !(token.commit || token.fetch)));
        token_waits:   assert (taken || !(token_before.commit || (token_before.fetch && token.fetch)) || token == token_before);
        words_hold:    assert (!(busy && !fetch) || staged == staged_before);
        filter_alone:  assert (!token.commit || !token.filter ||
                               !(token.interface_word || token.session || token.service || token.source_ports));
        reached: cover (busy && !fetch && token_done && s_axil_bvalid && token.session && staged_cut.v6);
    end

`ifdef HELPERS
    localparam logic [3:0] Idle = 0, Check = 1, Act = 2, Assemble = 4, Token = 5, Fetch = 6, Settle = 7;
    logic writes, reads, offered;
    assign writes  = at != Idle && writing && !posted;
    assign reads   = at == Act && !writing;
    assign offered = token.commit || token.fetch;
    always_ff @(posedge clk) if (running && !rst) begin
        write_goes_on:  assert (write_due == (s_axil_bvalid || writes) && !(s_axil_bvalid && writes));
        read_goes_on:   assert (read_due == (s_axil_rvalid || reads) && !(s_axil_rvalid && reads));
        only_writes:    assert (at == Idle || at == Act || writing || (at != Check && posted));
        token_offered:  assert (!offered || (at == Token && !taken && token.fetch == fetching));
        token_taken_on: assert (busy == ((at == Token && taken) || at == Fetch || (at == Settle && !fetching)));
        token_fetches:  assert (!busy || fetch == fetching);
        of_the_kind:    assert (at == Fetch ? fetching : at != Assemble || !fetching);
        fetch_over:     assert (!done || !fetch || ((at == Settle || at == Token) && fetching && !taken));
        alone:          assert (!token.filter || !(token.interface_word || token.session || token.service ||
                                                   token.source_ports));
    end
`endif
endmodule
