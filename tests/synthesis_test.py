#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's Yosys reads the whole design, and its memories and flip-flops are those that the design means.

A construct that Yosys misreads, a memory that turns into registers or needs a second write port, an inferred latch,
an undriven or twice driven net: each shows here. The numbers are those of the default sizes.
    synthesis_test.py MAP.sv MEMORY_SIZES.hpp
The sizes in that header, by which the simulation flips bits, are those of the same memories.
"""
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
import yosys  # noqa: E402

BEAT, KEY, OUTER, VERDICT, SUM = 523, 301, 377, 71, 21
FILTER = 16 * 400 + 2


def corrected(width, columns=32):
    """A word with the parity of its rows and columns (T4)."""
    return width + (width + columns - 1) // columns + columns


# Module, memory, words, width, instances of the module.
MEMORIES = {
    # Filter words: 2 directions x 256 filters; 16 rules of 398 bits and 2 of parity, amazon-dns twice; one copy a slot.
    ("filter_table", "memory", 512, FILTER): 3,
    # The staged filter's rules.
    ("filter_staging", "rules", 32, 352): 1,
    # Interface words: 3 slots of valid, number (15), filter (8), session (10); resolver and its flag; parity.
    ("interface_table", "memory", 256, 3 * 34 + 33 + 8): 1,
    # Length limits: outer IP version, MTU cut, PacketLength, parity; one copy a slot.
    ("session_table", "g_slot[0].memory", 1024, 1 + 14 + 14 + 4): 1,
    ("session_table", "g_slot[1].memory", 1024, 1 + 14 + 14 + 4): 1,
    ("session_table", "g_slot[2].memory", 1024, 1 + 14 + 14 + 4): 1,
    # Outer headers: IP version, VNI, two MACs, two addresses; the sum of their words.
    ("session_table", "memory", 1024, corrected(1 + 24 + 2 * 48 + 2 * 128 + SUM)): 1,
    # Beats beside the lookup: data, byte count, four marks.
    ("delay", "ring", 8, corrected(512 + 7 + 4)): 1,
    # Beats of copies.
    ("hold_buffer", "memory", 512, corrected(512)): 1,
    # Copies that wait: session entry, outer header, kept length, source port, checksum.
    ("fifo", "memory", 512, corrected(10 + OUTER + 14 + 16 + 16)): 1,
    # Endings of passes with a copy: outcome, cause, session, version, bytes, kept, late_bad. And fates.
    ("fifo", "memory", 1024, corrected(2 + 4 + 10 + 1 + 32 + 14 + 1, 8)): 1,
    ("fifo", "memory", 4, corrected(1, 1)): 1,
    # Session counters: an epoch of 48 bits and 2 or 6 counters; the same counters as of the last snapshot.
    ("session_counters", "memory", 1024, 48 + 2 * 64): 1,
    ("session_counters", "saved", 1024, 2 * 64): 1,
    ("session_counters", "memory", 1024, 48 + 6 * 64): 1,
    ("session_counters", "saved", 1024, 6 * 64): 1,
    # The service entries as they are read back.
    ("match_services", "copies", 16, 168): 1,
    # Which entries were cleared, and which of those updated since, 16 a word.
    ("session_counters", "cleared", 64, 16): 2,
    ("session_counters", "updated", 64, 16): 2,
}

# Read without a clock: small ones in LUTs, of which what is read is used in the same cycle.
UNCLOCKED = {("filter_staging", "rules"), ("match_services", "copies"), ("delay", "ring"),
             ("session_counters", "cleared"), ("session_counters", "updated")}

# Bits of flip-flops of a module (of each of its parameterizations), without the output registers of its memories.
FLIP_FLOPS = {
    "stream_register": [2 * 596 + 2, 2 * (577 + 10 + 14) + 2],              # two entries and their valid bits: mirror, forward
    "protect": [0] * 9, "correct": [0] * 6, "column_parity": [0] * 2,
    # Written, fetched, two valid bits; the word that leaves.
    "fifo": [2 * 3 + 2 + 1, 2 * 10 + 2 + 10 + OUTER + 46, 2 * 11 + 2 + 64],
    "tap": [2 * BEAT + 19 + 32 + 4],                            # two beats, tuser, bytes before, four flags
    "parse": [1199 + 7 + KEY + 2],                              # walk_t without its constant bits, second length, key, two valid bits
    "extension_header": 2 * [1024 + 8 + 1 + 1 + 10 + KEY + 1],   # walk_t, valid
    "interface_table": [9 + 1],                                 # swept, empty
    "filter_table": [0], "list_parity": [0],
    # A fetched rule as picked and as decoded, and that it is; the last write; rules that break a limit.
    # Both lists, amazon-dns twice; a fetched rule twice, its strobes; the rule that is encoded, its strobes; broken rules.
    "filter_staging": [2 * 6400 + 2 + 400 + 350 + 2 + 2 + 5 + 32],
    "session_table": [1],                                       # whether an outer header was read
    "match_rules": [16 + 16 + 2],                               # match, accept, dns, valid
    "match_services": [16 * (168 + 2) + 2 + 2 + 1 + 4],         # the entries, their resets, excluded, dns, faulty and which
    "flow_hash": [4 * 16 + 1],                                  # two CRCs, protocol, result, valid
    "choose": [VERDICT],
    # Tokens, passes in flight, a length, index and direction, versions, used slots, their filters and sessions, the
    # session of the outer header, resolvers, source ports, two flags, four of faults, two of the lists' write.
    "lookup": [8 * 8 + 7 + 8 + 7 + 4 * 9 + 5 + 5 * 16 + 2 * 3 + 2 * 24 + 3 * 30 + 10 + 2 * 33 + 21 + 2 + 4 + 2],
    "delay": [3 + 6 + 1 + BEAT],                                # place, waiting, valid, the beat that leaves
    # Verdict, lengths (left, kept, bytes), six marks, a cause, whether it is torn; data, kept, port, five strobes; ending;
    # decision.
    "admit": [VERDICT + 14 + 14 + 32 + 6 + 4 + 1 + 512 + 14 + 16 + 5 + 64 + 62],
    # Four pointers, place, write, two valid bits, mirror_room; the beat that leaves.
    "hold_buffer": [5 * 10 + 9 + 4 + 512],
    "header_sum": [3 * 19 + SUM],                               # of either address and the rest, of all
    # Outer header, port, session entry and length in two stages; a beat's four partial sums, a copy's; header sums; four strobes.
    "checksum": [2 * (OUTER + 16 + 10 + 14) + 4 * 34 + 44 + SUM + 22 + 4],
    "faults": [14 + 8 + 3 * 8 + 4 + 4 * 10 + 1 + 19 + 16],       # what is found, its indices; found; the first; count
    "encapsulate": [512 + 15 + 5],                              # carried, what is left, first, second, throwing, last, needs a beat
    "settle": [3 * 16 + 2 * 8 + 8 + 1],                         # counts of copies, of commits, undrained, tracking
    "counters": [2 * 26 * 64 + 2],                              # live, frozen, their resets
    # Words whose marks count, epochs, indices, strobes; amounts, sum, value read.
    "session_counters": [64 + 3 * 48 + 2 * 10 + 4 + 2 * n * 32 + 48 + n * 64 + n * 64 for n in (2, 6)],
    # Bus: state, direction, port, fetch, address; a line, its registers that are written and in part, why each is
    # refused, and which is noted; whether an address read is mapped, and its section; read data, response, valid bits. Errors. Interrupt.
    # Patience, its end, whether a slot was given; idle. Whether the source ports of the line, and the staged ones, contradict.
    # Staged words and their indices, the rule lists apart, whose rule is; token, strobes, counter index.
    "registers": [4 + 3 + 13 + 512 + 2 * 16 + 16 * 3 + 1 + 8 + 32 + 2 + 2 + (13 + 4 + 16 + 16) + (4 + 4 + 1) + 16 + 3 +
                  2 + 2 + (135 + 8) + (1 + 8) + (29 + OUTER + 10) + (168 + 4) + 21 + 5 + 8 + 4 + 10],
    "mirror_offload": [32 + 7 + 2 + 16 + 1],                    # bytes forwarded, of the beat, its flags; copies inside, resetting
}
INSTANCES = {"filter_table": 3, "match_rules": 3, "extension_header": 4}
PROPERTIES = {"stream_register": 2, "fifo": 3, "admit": 2, "hold_buffer": 3}   # of all parameterizations


def module_name(name):
    """Without its parameters: $paramod\\delay\\Cycles=... or $paramod$HASH\\fifo."""
    return name.split("\\")[1] if name.startswith("$paramod") else name.lstrip("\\")


def read_cells(text):
    """Module, type and parameters of the cells in a dump."""
    module = kind = None
    for line in text.splitlines():
        words = line.split(None, 2)
        if not words:
            continue
        if words[0] == "module":
            module, kind = words[1], None
        elif words[0] == "cell":
            kind, parameters = words[1], {}
        elif words[0] == "parameter" and kind:
            name, value = line.split(None, 1)[1].removeprefix("signed ").split(None, 1)
            parameters[name.lstrip("\\")] = value.strip('"').lstrip("\\").removesuffix('"')
        elif words[0] == "end" and kind:
            yield module, kind, parameters
            kind = None


def compare(what, expected, found):
    """Lines that say where the two differ."""
    return [f"{what} {key}: expected {expected.get(key, 'none')}, found {found.get(key, 'none')}"
            for key in sorted(set(expected) | set(found), key=str) if expected.get(key) != found.get(key)]


# The memories of the header. The services' entries are registers, with a parity bit each.
FLIPPED = {"interfaces": "interface_table", "filters": "filter_table", "session_limits": "session_table",
           "session_headers": "session_table", "delay": "delay", "hold": "hold_buffer", "copies": "fifo",
           "endings": "fifo", "fates": "fifo"}


def wrong_sizes(header, memories):
    """Lines that say which sizes of the header are no memory's."""
    sizes = {name: tuple(map(int, numbers)) for name, *numbers in
             re.findall(r"Size (\w+)\{(\d+), (\d+), (\d+)\}", Path(header).read_text())}
    found = Counter()
    for (module, _, words, width), count in memories.items():
        found[module, words, width] += count
    wrong = [f"{header}: {name} is {sizes.get(name)}, and {module} has no such memory"
             for name, module in FLIPPED.items()
             if name not in sizes or found[module, sizes[name][1], sizes[name][2]] != sizes[name][0]]
    if sizes.get("services") != (1, 16, 168 + 1):
        wrong.append(f"{header}: services is {sizes.get('services')}, not 16 entries of 168 bits and one of parity")
    return wrong


def main(map_sv, header):
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "dump"
        log = yosys.run(map_sv, [
            "hierarchy -check -top mirror_offload", "proc", "opt_expr", "opt_clean", "check -assert",
            "opt_dff -nosdff", "opt_clean", "memory_dff", "memory_share -nosat", "memory_collect", "opt_clean",
            f"tee -q -o {dump} dump t:$mem* t:*dff* t:*latch* t:$sr t:$ff"])
        cells = list(read_cells(dump.read_text()))
        yosys.run(map_sv, ["hierarchy -check -top mirror_offload", f"proc {' '.join(f'*{n}*' for n in PROPERTIES)}",
                           f"tee -q -o {dump} dump t:$assert"], "-formal")
        properties = Counter(module_name(module) for module, _, _ in read_cells(dump.read_text()))

    problems = [f"Yosys: {line}" for line in log.splitlines() if line.startswith("Latch inferred")]
    memories, flip_flops = Counter(), Counter()
    for module, kind, parameters in cells:
        name = module_name(module)
        if kind == "$mem_v2":
            memory = (name, parameters["MEMID"], int(parameters["SIZE"]), int(parameters["WIDTH"]))
            memories[memory] += INSTANCES.get(name, 1)
            if int(parameters["WR_PORTS"]) != 1:
                problems.append(f"{memory}: {parameters['WR_PORTS']} write ports")
            clocked = "0" not in parameters["RD_CLK_ENABLE"].split("'")[1]
            if clocked == (memory[:2] in UNCLOCKED):
                problems.append(f"{memory}: read {'with' if clocked else 'without'} a clock")
        elif kind in ("$dff", "$dffe"):
            flip_flops[module.removeprefix("\\")] += int(parameters["WIDTH"])
        else:
            problems.append(f"{name}: a cell of type {kind}")
    problems += compare("memory", MEMORIES, memories)
    problems += wrong_sizes(header, memories)

    modules = {module: flip_flops[module] for module in re.findall(r"^Checking module (.*)\.\.\.$", log, re.M)}
    by_name = {}
    for module, bits in modules.items():
        by_name.setdefault(module_name(module), []).append(bits)
    problems += compare("flip-flops of", {name: sorted(bits) for name, bits in FLIP_FLOPS.items()},
                        {name: sorted(bits) for name, bits in by_name.items()})
    problems += compare("properties of", PROPERTIES, properties)

    bits = sum(count * words * width for (_, _, words, width), count in memories.items())
    total = sum(count * INSTANCES.get(module_name(module), 1) for module, count in modules.items())
    print(f"{sum(memories.values())} memories of {bits} bits, {total} flip-flops")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
