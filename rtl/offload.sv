// SPDX-License-Identifier: Apache-2.0
// Types, sizes and functions that the modules share. The offload itself is module mirror_offload.
// Addresses are 128 bits with the first byte on top; an IPv4 address stands in bits 127..96 over zeros, so that one prefix
// mask serves both versions.
// Modules declare variables of these types at module level, because Yosys 0.23 loses the members of a struct that is
// declared in a block or function. The sizes of registers.toml are included as a file, because Yosys accepts no constant
// of one package in another.
package offload;
    `include "sizes.svh"

    localparam int BeatBytes = 64;
    localparam int BeatWidth = 512;
    localparam int IndexWidth = 16;       // interface index in tuser
    localparam int UserWidth = IndexWidth + 3;
    localparam int PortWidth = 4;         // a copy's output port in tdest
    localparam int MaxCopy = 9216;        // bytes of a frame that a copy can hold (P14)
    localparam int LengthWidth = 14;      // holds MaxCopy
    localparam int FrameWidth = 32;       // bytes of a frame of any length (P2)
    localparam int InterfaceBits = $clog2(Interfaces);
    localparam int FilterBits = $clog2(Filters);
    localparam int SessionBits = $clog2(Sessions);
    localparam int RuleBits = $clog2(Rules);
    localparam int SlotBits = $clog2(Slots);
    localparam int RuleWords = 11;        // registers of a rule
    localparam int RuleWidth = 32 * RuleWords;
    localparam int FieldsWidth = 384;     // of fields_t
    localparam int MarksWidth = 16;       // of marks_t
    localparam int ListWidth = Rules * (FieldsWidth + MarksWidth);
    localparam int FilterWidth = ListWidth + 2;
    localparam int VersionWidth = 16;
    localparam int CutWidth = 2 * LengthWidth + 1;   // of cut_t
    localparam int SumWidth = 21;         // of a session entry's header words
    localparam int Buffers = 5;           // memories that hold frames and copies on their way

    // tuser (I2). Tap, direction and index hold from the first beat, error on every beat.
    typedef struct packed {
        logic tap;
        logic egress;
        logic [IndexWidth-1:0] index;
        logic error;
    } user_t;

    // What the rules see of a frame (P3 to P5).
    typedef struct packed {
        logic ip;
        logic v6;
        logic [127:0] source;
        logic [127:0] destination;
        logic protocol_known;
        logic [7:0] protocol;
        logic has_ports;
        logic [15:0] source_port;
        logic [15:0] destination_port;
        logic fragment;                   // its offset is not 0, or more fragments follow (P20)
    } key_t;

    // A frame on its walk through IPv6 extension headers. Positions count 4-byte words from byte 14 of the frame:
    // every IP header starts on one, whatever tags there are.
    typedef struct packed {
        logic [1023:0] words;             // the frame from byte 14 on, byte 14 in bits 7..0
        logic [7:0] length;               // bytes of the frame in the window, from byte 0
        logic open;                       // the walk goes on
        logic later;                      // a fragment offset over 0 was met
        logic [9:0] position;             // of the next header, which may be past the window
        key_t key;
    } walk_t;

    // One rule as the registers hold it: its eleven words, the first one lowest.
    typedef struct packed {
        logic [127:0] destination;
        logic [127:0] source;
        logic [15:0] destination_port_to;
        logic [15:0] destination_port_from;
        logic [15:0] source_port_to;
        logic [15:0] source_port_from;
        logic [7:0] destination_prefix;
        logic [7:0] source_prefix;
        logic [7:0] protocol;
        logic [1:0] reserved;
        logic has_destination_ports;
        logic has_source_ports;
        logic has_protocol;
        logic v6;
        logic accept;
        logic valid;
    } rule_t;

    // A CIDR as the filter table holds it: the address in bits 159..32, and 32 bits `whole` below. No decoder has to make a
    // mask from a length. Column i is the bits 96+i, 64+i, 32+i and i of the address; a prefix covers the upper bits of a
    // column. The first bit that is not covered holds a 1, and those below it 0. Bit i of `whole` is 1 if all four bits of
    // column i are covered. docs/theory.md has an example with values.
    typedef logic [159:0] cidr_t;

    // One rule in a rule list is its fields and its marks. The list is the fields of four rules, then the marks of these
    // four, then the next four rules (see fields_at, marks_at).
    typedef struct packed {
        logic [15:0] destination_port_to;
        logic [15:0] destination_port_from;
        logic [15:0] source_port_to;
        logic [15:0] source_port_from;
        cidr_t destination;
        cidr_t source;
    } fields_t;

    typedef struct packed {
        logic [1:0] parity;               // one over the odd and one over the even bits of all else (T4)
        logic [7:0] protocol;
        logic has_destination_ports;
        logic has_source_ports;
        logic has_protocol;
        logic v6;
        logic accept;
        logic valid;
    } marks_t;

    typedef struct packed {
        logic [127:0] address;
        logic [15:0] port_to;
        logic [15:0] port_from;
        logic either_side;
        logic has_ports;
        logic udp;
        logic tcp;
        logic any_address;
        logic v6;
        logic dns;
        logic valid;
    } service_t;

    // An interface's slots in the order in which they are tried (T3).
    typedef struct packed {
        logic [Slots*SessionBits-1:0] session;
        logic [Slots*FilterBits-1:0] filter;
        logic [Slots*15-1:0] number;
        logic [Slots-1:0] valid;
        logic has_resolver;
        logic [31:0] resolver;
    } interface_t;

    // The part of a session entry that decides the copy's length (P14).
    typedef struct packed {
        logic v6;                         // of the outer header, whose length depends on it
        logic [LengthWidth-1:0] mtu_cut;
        logic [LengthWidth-1:0] packet_length;
    } cut_t;

    // The part of a session entry that goes into the outer headers (P15 to P19).
    typedef struct packed {
        logic v6;
        logic [23:0] vni;
        logic [47:0] target_mac;
        logic [47:0] source_mac;
        logic [127:0] target_address;
        logic [127:0] source_address;
    } outer_t;

    typedef struct packed {
        logic [4:0] bits;
        logic [15:0] base;
    } source_ports_t;

    // A commit or a fetch on its way through the lookup, and which words it writes or reads (T2).
    typedef struct packed {
        logic commit;
        logic fetch;
        logic fetch_egress;
        logic interface_word;
        logic filter;
        logic session;
        logic service;
        logic source_ports;
    } token_t;

    // Where a flipped bit was found (T4).
    typedef struct packed {
        logic [2:0] place;                // map::Fault*
        logic [15:0] index;               // of the table's entry
    } fault_t;

    // Why a slot did not accept, for the decision records.
    localparam logic [1:0] SlotEmpty = 2'd0;
    localparam logic [1:0] SlotNoRule = 2'd1;
    localparam logic [1:0] SlotRejected = 2'd2;
    localparam logic [1:0] SlotRejectedDns = 2'd3;

    // What the lookup decides for a pass; it comes with the pass's first beat. `why` and `why_rule` are of each slot; `slot`,
    // `rule_index`, `session`, `v6` and `limit` are of the slot that accepted.
    typedef struct packed {
        logic tap;
        logic ip;
        logic fault;                      // a table word that decides it is faulty (T4)
        logic excluded;
        logic accepted;
        logic by_service;                 // by amazon-dns, not by a rule
        logic [SlotBits-1:0] slot;
        logic [RuleBits-1:0] rule_index;
        logic [Slots*2-1:0] why;
        logic [Slots*RuleBits-1:0] why_rule;
        logic [SessionBits-1:0] session;
        logic v6;                         // outer header
        logic [LengthWidth-1:0] limit;    // bytes of the frame in its copy at most; 0: faulty entry
        logic [VersionWidth-1:0] version;
    } verdict_t;

    localparam logic [1:0] NotEligible = 2'd0;
    localparam logic [1:0] NotAccepted = 2'd1;
    localparam logic [1:0] Mirrored = 2'd2;
    localparam logic [1:0] Dropped = 2'd3;

    // Causes, in the order of the counters (P23).
    localparam logic [3:0] CauseNoTap = 4'd0;
    localparam logic [3:0] CauseMalformed = 4'd1;
    localparam logic [3:0] CauseMarkedBad = 4'd2;
    localparam logic [3:0] CauseNotIp = 4'd3;
    localparam logic [3:0] CauseExcluded = 4'd4;
    localparam logic [3:0] CauseTableFault = 4'd5;
    localparam logic [3:0] CauseOverflow = 4'd6;
    localparam logic [3:0] CauseReset = 4'd7;
    localparam logic [3:0] CauseSessionFault = 4'd8;
    localparam logic [3:0] CauseNone = 4'd15;

    // m_decision (I5), one for each pass. It is made when the pass's last beat has been seen: a copy that a later
    // mirror_reset drops was announced as mirrored.
    typedef struct packed {
        logic [VersionWidth-1:0] version;
        logic [LengthWidth-1:0] kept;
        logic [Slots*RuleBits-1:0] why_rule;
        logic [Slots*2-1:0] why;
        logic late_bad;
        logic by_service;
        logic [RuleBits-1:0] rule_index;
        logic [SlotBits-1:0] slot;
        logic [3:0] cause;
        logic [1:0] outcome;
    } decision_t;

    // A beat behind the tap, its bytes counted and its marks judged (I1).
    typedef struct packed {
        logic first;
        logic last;
        logic error;
        logic malformed;
        logic [6:0] bytes;
        logic [BeatWidth-1:0] data;
    } beat_t;

    // tuser of a copy (I3), with the same value on every beat.
    typedef struct packed {
        logic [SessionBits-1:0] session;  // its session entry
        logic [LengthWidth-1:0] bytes;    // of the copy as it is sent, padding included
    } copy_user_t;

    // How a pass ended: what `admit` says of it at its last beat.
    typedef struct packed {
        logic [1:0] outcome;
        logic [3:0] cause;
        logic [SessionBits-1:0] session;
        logic v6;                         // outer header of its copy
        logic [FrameWidth-1:0] bytes;
        logic [LengthWidth-1:0] kept;
        logic late_bad;
    } ending_t;

    // The description of a copy that waits for the output; its beats are in the hold buffer.
    typedef struct packed {
        logic [SessionBits-1:0] session;
        outer_t outer;
        logic [LengthWidth-1:0] kept;
        logic [15:0] source_port;
        logic [15:0] checksum;            // IPv4: of the IP header; IPv6: of UDP
    } copy_t;

    // Whether a size is one that the modules are made for: a power of two, or the one value that it may have.
    function automatic logic allowed(input int size, input int least, input int most);
        allowed = size >= least && size <= most && ((size & (size - 1)) == 0 || least == most);
    endfunction

    function automatic int fields_at(input int rule);
        fields_at = rule / 4 * 4 * (FieldsWidth + MarksWidth) + rule % 4 * FieldsWidth;
    endfunction

    function automatic int marks_at(input int rule);
        marks_at = rule / 4 * 4 * (FieldsWidth + MarksWidth) + 4 * FieldsWidth + rule % 4 * MarksWidth;
    endfunction

    // IPv6 extension headers that the parser walks through (P3).
    function automatic logic is_extension(input logic [7:0] protocol);
        is_extension = protocol == 8'd0 || protocol == 8'd43 || protocol == 8'd44 || protocol == 8'd51 ||
                       protocol == 8'd60;
    endfunction

    function automatic logic [15:0] swap(input logic [15:0] word);
        swap = {word[7:0], word[15:8]};
    endfunction

    // 32-bit word in network byte order, `position` words behind byte 14.
    function automatic logic [31:0] word_at(input logic [1023:0] words, input logic [4:0] position);
        logic [31:0] raw;
        raw = words[{position, 5'd0} +: 32];
        word_at = {raw[7:0], raw[15:8], raw[23:16], raw[31:24]};
    endfunction

    // Whether ports lie outside of ranges: four 16-bit comparisons in one addition. `ports` is two ports, each as itself and
    // as its complement; `limits` is the last port of each one's range, and the complement of the first. Bit 14 of each 16
    // bits of the result is 1 if `ports` is greater there than `limits`.
    // The bits are taken in groups: 2..0, then 3, then three each up to 15..13. From the lowest group up, a group starts a
    // carry (greater), passes it on (equal) or stops it (less). Proved with the rules: tests/proofs/rules.sv.
    function automatic logic [63:0] outside(input logic [63:0] ports, input logic [63:0] limits);
        logic [63:0] more, least, more3, least3;
        more    = ports & ~limits;
        least   = ports | ~limits;
        more3   = (more >> 2 | (least >> 2 & (more >> 1 | (least >> 1 & more)))) & {4{16'h2491}};
        least3  = least >> 2 & least >> 1 & least & {4{16'h2490}};
        outside = (more3 | (ports & {4{16'h0008}})) + (more3 | least3 | (~limits & {4{16'h0008}}) | {4{16'h1b66}});
    endfunction

    function automatic logic [6:0] count_bytes(input logic [BeatBytes-1:0] keep);
        count_bytes = 7'($countones(keep));
    endfunction
endpackage
