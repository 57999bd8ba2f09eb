// SPDX-License-Identifier: Apache-2.0
// The offload: production goes straight through one stream register (P1); the mirror watches its handshakes, decides,
// and sends VXLAN copies of selected frames. One clock, synchronous reset. `rst_neighbours` says in the last cycle of
// `rst` whether source and sinks of the streams were reset too (P25). Where they were not, the beats up to the first
// tlast may be the rest of a frame: they are forwarded and not mirrored.
//
//   s_axis ──┬─────────────────────────────────────────────────────────► m_axis_forward
//            └► tap ─► lookup (parse, tables, verdict) ─► admit ─► hold ─► encapsulate ─► m_axis_mirror
//   s_axil, s_line ─► registers ─► tables, counters
module mirror_offload (
    input  logic                          clk,
    input  logic                          rst,
    input  logic                          rst_neighbours,
    // Production in and out: 512-bit AXI4-Stream, tdata[7:0] first on the wire (I1), tuser as offload::user_t (I2).
    input  logic                          s_axis_tvalid,
    output logic                          s_axis_tready,
    input  logic [offload::BeatWidth-1:0] s_axis_tdata,
    input  logic [offload::BeatBytes-1:0] s_axis_tkeep,
    input  logic                          s_axis_tlast,
    input  logic [offload::UserWidth-1:0] s_axis_tuser,
    output logic                          m_axis_forward_tvalid,
    input  logic                          m_axis_forward_tready,
    output logic [offload::BeatWidth-1:0] m_axis_forward_tdata,
    output logic [offload::BeatBytes-1:0] m_axis_forward_tkeep,
    output logic                          m_axis_forward_tlast,
    output logic [offload::UserWidth-1:0] m_axis_forward_tuser,
    // Mirror copies (I3).
    output logic                          m_axis_mirror_tvalid,
    input  logic                          m_axis_mirror_tready,
    output logic [offload::BeatWidth-1:0] m_axis_mirror_tdata,
    output logic [offload::BeatBytes-1:0] m_axis_mirror_tkeep,
    output logic                          m_axis_mirror_tlast,
    output offload::copy_user_t           m_axis_mirror_tuser,  // the session entry and the copy's bytes, with every beat
    output logic [offload::PortWidth-1:0] m_axis_mirror_tdest,  // the output port: 0
    output logic                          mirror_room,          // I4
    // One record for each pass, in order (I5); offload::decision_t.
    output logic                          m_decision_valid,
    output offload::decision_t            m_decision,
    // Registers: 32-bit AXI4-Lite, 8 KiB.
    input  logic [12:0]                   s_axil_awaddr,
    input  logic                          s_axil_awvalid,
    output logic                          s_axil_awready,
    input  logic [31:0]                   s_axil_wdata,
    input  logic [3:0]                    s_axil_wstrb,
    input  logic                          s_axil_wvalid,
    output logic                          s_axil_wready,
    output logic [1:0]                    s_axil_bresp,
    output logic                          s_axil_bvalid,
    input  logic                          s_axil_bready,
    input  logic [12:0]                   s_axil_araddr,
    input  logic                          s_axil_arvalid,
    output logic                          s_axil_arready,
    output logic [31:0]                   s_axil_rdata,
    output logic [1:0]                    s_axil_rresp,
    output logic                          s_axil_rvalid,
    input  logic                          s_axil_rready,
    // Posted writes of 64 aligned bytes of the registers, without a response (T5). Strobes are one a byte as in AXI; the four
    // strobes of a register are alike.
    input  logic                          s_line_valid,
    output logic                          s_line_ready,
    input  logic [12:6]                   s_line_address,
    input  logic [511:0]                  s_line_data,
    input  logic [63:0]                   s_line_strobes,
    output logic                          irq,                  // level (I6)
    output logic                          idle                  // nothing is inside and nothing will move by itself
);
    // Production.
    stream_register #(
        .Width(offload::BeatWidth + offload::BeatBytes + 1 + offload::UserWidth)
    ) forward (
        .clk, .rst,
        .in_valid(s_axis_tvalid), .in_ready(s_axis_tready),
        .in_beat({s_axis_tuser, s_axis_tlast, s_axis_tkeep, s_axis_tdata}),
        .out_valid(m_axis_forward_tvalid), .out_ready(m_axis_forward_tready),
        .out_beat({m_axis_forward_tuser, m_axis_forward_tlast, m_axis_forward_tkeep, m_axis_forward_tdata})
    );

    // Forwarded frames are counted a cycle after their handshake.
    logic forwarded, forwarded_last;
    logic [6:0] forwarded_lanes;
    logic [offload::FrameWidth-1:0] forwarded_before, forwarded_bytes;
    assign forwarded_bytes = forwarded_before + offload::FrameWidth'(forwarded_lanes);
    always_ff @(posedge clk) begin
        forwarded <= m_axis_forward_tvalid && m_axis_forward_tready;
        if (m_axis_forward_tvalid) begin
            forwarded_last  <= m_axis_forward_tlast;
            forwarded_lanes <= offload::count_bytes(m_axis_forward_tkeep);
        end
        if (forwarded) forwarded_before <= forwarded_last ? '0 : forwarded_bytes;
        if (rst) begin
            forwarded        <= 1'b0;
            forwarded_before <= '0;
        end
    end

    // The tap. Whether a frame is at a tap at all is decided here (I2, P25).
    logic window_valid, tap_valid, tap_busy, tapped, received;
    offload::beat_t tap_beat, beat;
    offload::user_t window_user;
    logic [2*offload::BeatWidth-1:0] window;
    logic [7:0] window_length;
    logic [6:0] window_more;
    logic [offload::FrameWidth-1:0] received_bytes;
    tap tap (
        .clk, .rst,
        .seen(s_axis_tvalid && s_axis_tready), .seen_data(s_axis_tdata), .seen_keep(s_axis_tkeep),
        .seen_last(s_axis_tlast), .seen_user(s_axis_tuser),
        .window_valid, .window_user, .window, .window_length, .window_more, .out_valid(tap_valid), .out_beat(tap_beat),
        .received, .received_bytes, .busy(tap_busy)
    );
    logic ready;                          // of the lookup
    assign tapped = ready && window_user.tap && window_user.index <= offload::IndexWidth'(map::Interfaces);

    // The lookup and, beside it, the beats.
    logic token_taken, token_done, commit_done, lookup_busy, delay_busy, beat_valid;
    offload::token_t token;
    logic [offload::InterfaceBits-1:0] staged_interface_index;
    offload::interface_t staged_interface, interface_word;
    logic [offload::FilterBits-1:0] staged_filter_index;
    logic next_egress;
    logic [offload::FilterWidth-1:0] staged_list, filter_word;
    logic [offload::SessionBits-1:0] staged_session_index;
    offload::cut_t staged_cut, cut_word;
    offload::outer_t staged_outer, outer;
    logic [$clog2(map::Services)-1:0] staged_service_index;
    offload::service_t staged_service, service_entry;
    offload::source_ports_t staged_source_ports;
    logic fetched_interface, fetched_filter, fetched_cut, fetched_outer;
    offload::verdict_t verdict;
    logic interface_faulty, service_faulty;
    logic [map::Slots-1:0] filter_faulty;
    logic [map::Slots:0] session_faulty;
    logic [offload::InterfaceBits-1:0] interface_index;
    logic [map::Slots*offload::FilterBits-1:0] filter_index;
    logic [$clog2(map::Services)-1:0] service_index;
    logic [(map::Slots+1)*offload::SessionBits-1:0] session_index;
    logic [15:0] source_port;
    logic [offload::SumWidth-1:0] header_sum;
    logic [offload::VersionWidth-1:0] version;
    lookup lookup (
        .clk, .rst,
        .in_valid(window_valid), .in_tap(tapped), .in_egress(window_user.egress),
        .in_index(window_user.index[offload::InterfaceBits:0]), .in_window(window), .in_length(window_length),
        .in_more(window_more),
        .token, .token_taken, .token_done, .commit_done,
        .staged_interface_index, .staged_interface, .staged_filter_index, .next_egress, .staged_list,
        .staged_session_index, .staged_cut, .staged_outer, .staged_service_index, .staged_service,
        .staged_source_ports,
        .ready, .fetched_interface, .interface_word, .fetched_filter, .filter_word,
        .fetched_cut, .cut_word, .fetched_outer, .service_entry,
        .out_verdict(verdict), .out_source_port(source_port), .out_outer(outer), .out_sum(header_sum),
        .interface_faulty, .interface_index, .filter_faulty, .filter_index, .service_faulty, .service_index,
        .session_faulty, .session_index, .version, .busy(lookup_busy)
    );
    logic [offload::Buffers-1:0] corrected;
    delay #(
        .Cycles(7)
    ) delay (
        .clk, .rst,
        .in_valid(tap_valid), .in_beat(tap_beat), .out_valid(beat_valid), .out_beat(beat), .corrected(corrected[0]),
        .busy(delay_busy)
    );

    // Copies.
    logic room, resetting, mirror_reset, keep, commit, cancel, start, kept_valid, committed, end_valid, between_frames;
    logic [offload::BeatWidth-1:0] kept_data;
    logic [offload::LengthWidth-1:0] kept_bytes;
    logic [15:0] kept_source_port;
    logic [offload::SessionBits-1:0] kept_session;
    offload::ending_t ending;
    offload::decision_t decision;
    admit admit (
        .clk, .rst, .rst_neighbours,
        .in_valid(beat_valid), .in_beat(beat), .in_verdict(verdict), .in_source_port(source_port), .room, .resetting,
        .keep, .commit, .cancel,
        .out_start(start), .out_keep(kept_valid), .out_data(kept_data), .out_commit(committed), .out_kept(kept_bytes),
        .out_source_port(kept_source_port), .out_session(kept_session), .end_valid, .ending, .decision, .between_frames
    );
    assign m_decision_valid = end_valid;
    assign m_decision       = decision;

    logic copy_ready, checksum_busy, copy_valid, copy_pop, held_valid, held_pop;
    offload::copy_t completed, copy;
    logic [offload::BeatWidth-1:0] held;
    checksum checksum (
        .clk, .rst,
        .in_start(start), .in_outer(outer), .in_sum(header_sum), .in_source_port(kept_source_port),
        .in_session(kept_session), .in_keep(kept_valid),
        .in_data(kept_data), .in_commit(committed), .in_kept(kept_bytes),
        .out_valid(copy_ready), .out_copy(completed), .busy(checksum_busy)
    );
    hold_buffer hold_buffer (
        .clk, .rst,
        .keep, .commit, .cancel, .in_data(kept_data), .room, .mirror_room,
        .release_copy(copy_ready), .release_bytes(completed.kept),
        .out_valid(held_valid), .out_pop(held_pop), .out_data(held), .corrected(corrected[1])
    );
    fifo #(
        .Width($bits(completed)), .Depth(map::HoldBeats)
    ) copies (
        .clk, .rst,
        .in_valid(copy_ready), .in_word(completed), .out_valid(copy_valid), .out_pop(copy_pop), .out_word(copy),
        .corrected(corrected[2])
    );

    assign m_axis_mirror_tdest = '0;
    logic fate_valid, fate_reset;
    encapsulate encapsulate (
        .clk, .rst, .resetting,
        .copy_valid, .copy_pop, .copy, .beat_valid(held_valid), .beat_pop(held_pop), .beat(held),
        .m_axis_mirror_tvalid, .m_axis_mirror_tready, .m_axis_mirror_tdata, .m_axis_mirror_tkeep, .m_axis_mirror_tlast,
        .m_axis_mirror_tuser, .fate_valid, .fate_reset
    );

    // P25: a reset of the mirror lasts until no copy is left inside.
    logic [15:0] copies_inside;
    always_ff @(posedge clk) begin
        if (commit != fate_valid) copies_inside <= commit ? copies_inside + 1'b1 : copies_inside - 1'b1;
        resetting     <= mirror_reset || (resetting && copies_inside != '0);
        if (rst) begin
            copies_inside <= '0;
            resetting     <= 1'b0;
        end
    end

    // Counters.
    logic pass_settled, copy_settled, copy_reset, copy_late_bad, snapshot, clear_counters, all_settled;
    offload::ending_t pass;
    logic [offload::FrameWidth-1:0] copy_bytes;
    logic [offload::LengthWidth-1:0] copy_kept;
    logic [offload::SessionBits-1:0] copy_session, session_counter_index;
    logic [7:0] undrained;
    logic copy_v6, copy_left;
    logic [$clog2(map::Counters)-1:0] counter_index;
    logic [63:0] counter_value;
    settle settle (
        .clk, .rst,
        .end_valid, .ending, .fate_valid, .fate_reset, .between_frames, .commit_done,
        .pass_settled, .pass, .copy_settled, .copy_reset, .copy_bytes, .copy_kept, .copy_session, .copy_v6,
        .copy_late_bad, .undrained, .corrected(corrected[4:3])
    );
    counters counters (
        .clk, .rst,
        .received, .received_bytes, .forwarded(forwarded && forwarded_last), .forwarded_bytes,
        .pass_settled, .pass, .copy_settled, .copy_reset, .copy_late_bad, .copy_bytes,
        .snapshot, .index(counter_index), .value(counter_value), .all_settled
    );

    // Per session: the passes that the admission dropped, and the copies that the output sent or a reset dropped. The order
    // is that of SessionCounter* in the map.
    logic [6*offload::FrameWidth-1:0] copy_amounts;
    logic [64*2-1:0] overflow_values;
    logic [64*6-1:0] copy_values;
    assign copy_left = !copy_reset;
    assign copy_amounts = {
        copy_reset ? copy_bytes : '0, offload::FrameWidth'(copy_reset),
        copy_left ? offload::FrameWidth'(copy_kept) + (copy_v6 ? 32'd70 : 32'd50) : '0,
        offload::FrameWidth'(copy_left && offload::FrameWidth'(copy_kept) < copy_bytes),
        copy_left ? copy_bytes : '0, offload::FrameWidth'(copy_left)
    };
    session_counters #(
        .Counters(2)
    ) dropped_passes (
        .clk, .rst,
        .add(pass_settled && pass.outcome == offload::Dropped), .add_index(pass.session),
        .add_amounts({pass.bytes, offload::FrameWidth'(1)}),
        .clear(clear_counters), .clear_index(staged_session_index), .snapshot,
        .read_index(session_counter_index), .read_values(overflow_values)
    );
    session_counters #(
        .Counters(6)
    ) settled_copies (
        .clk, .rst,
        .add(copy_settled), .add_index(copy_session), .add_amounts(copy_amounts),
        .clear(clear_counters), .clear_index(staged_session_index), .snapshot,
        .read_index(session_counter_index), .read_values(copy_values)
    );

    logic fault_found, clear_fault;
    offload::fault_t fault;
    logic [15:0] fault_count;
    faults faults (
        .clk, .rst,
        .interface_faulty, .interface_index, .filter_faulty, .filter_index, .service_faulty, .service_index,
        .session_faulty, .session_index, .corrected,
        .clear(clear_fault), .found(fault_found), .fault, .count(fault_count)
    );

    registers registers (
        .clk, .rst,
        .s_axil_awaddr, .s_axil_awvalid, .s_axil_awready, .s_axil_wdata, .s_axil_wstrb, .s_axil_wvalid, .s_axil_wready,
        .s_axil_bresp, .s_axil_bvalid, .s_axil_bready, .s_axil_araddr, .s_axil_arvalid, .s_axil_arready, .s_axil_rdata,
        .s_axil_rresp, .s_axil_rvalid, .s_axil_rready,
        .s_line_valid, .s_line_ready, .s_line_address, .s_line_data, .s_line_strobes, .irq,
        .token, .token_taken, .token_done,
        .staged_interface_index, .staged_interface, .staged_filter_index, .next_egress, .staged_list,
        .staged_session_index, .staged_cut, .staged_outer, .staged_service_index, .staged_service,
        .staged_source_ports,
        .fetched_interface, .interface_word, .fetched_filter, .filter_word, .fetched_cut, .cut_word,
        .fetched_outer, .outer_word(outer), .service_entry, .version, .undrained,
        .ready, .idle, .mirror_room, .resetting,
        .dropped((pass_settled && pass.outcome == offload::Dropped) || (copy_settled && copy_reset)),
        .fault_found, .fault, .fault_count, .clear_fault,
        .mirror_reset, .snapshot, .clear_counters,
        .counter_index, .counter_value, .session_counter_index,
        .session_counter_values({copy_values, overflow_values})
    );

    assign idle = ready && all_settled && !tap_busy && !lookup_busy && !delay_busy && !end_valid && !checksum_busy &&
                  !m_axis_forward_tvalid && !forwarded && !m_axis_mirror_tvalid && !resetting;
endmodule
