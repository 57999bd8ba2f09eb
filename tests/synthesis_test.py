#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Yosys reads the whole offload without a warning and finds the memories and flip-flops that the design means:
silent mis-synthesis shows as a memory that turned into flip-flops, or as one that is missing.

usage: synthesis_test.py MAP.sv
"""
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import yosys

# Memories as (bits of a word, words): how many, and what they are.
FILTER = 16 * 11 * 32 + 1                     # 16 rules of 11 register words, and the network service
INTERFACE = 3 * (1 + 15 + 8 + 10) + 1 + 32    # slots: valid, number, filter, session; resolver
OUTER = 1 + 24 + 2 * 48 + 2 * 128             # IP version, VNI, MAC addresses, IP addresses
COPY = OUTER + 14 + 16 + 16                   # kept bytes, source port, checksum
ENDING = 2 + 4 + 10 + 1 + 32 + 14 + 1         # outcome, cause, session, IP version, bytes, kept, late_bad
BEAT = 4 + 7 + 512                            # marks, bytes, data
EPOCH = 48
EXPECTED = Counter({
    (FILTER, 512): 3,                         # filter_table, one for each slot: 256 filters of two directions
    (INTERFACE, 256): 1,                      # interface_table
    (29, 1024): 3,                            # session_table, length limits: one for each slot
    (OUTER, 1024): 1,                         # session_table, outer header
    (BEAT, 8): 1,                             # delay
    (512, 512): 1,                            # hold_buffer
    (COPY, 512): 1,                           # copies that wait
    (ENDING, 1024): 1,                        # endings of copies that wait
    (1, 4): 1,                                # fates of copies
    (EPOCH + 64 * 2, 1024): 1,                # session counters: dropped passes, live and saved
    (64 * 2, 1024): 1,
    (EPOCH + 64 * 6, 1024): 1,                # session counters: copies, live and saved
    (64 * 6, 1024): 1,
})
# Read registers of memories included, which a block RAM brings along. The largest: the words read of the filter tables
# (3 * 5633), the staged filter (2 * 5632), the parser's windows (5 of about 1340), counters live and frozen (2 * 26 * 64),
# the service table (16 * 168), the production stream register (2 * 596 + 2).
FLIP_FLOPS = 58712


def instances(design, name, times=1):
    """(module, how often) of the whole hierarchy below a module."""
    yield name, times
    for cell in design["modules"][name]["cells"].values():
        if cell["type"] in design["modules"]:
            yield from instances(design, cell["type"], times)


def number(text):
    return int(text, 2) if isinstance(text, str) else text


def main(map_sv):
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "design.json"
        try:
            yosys.run(map_sv, ["hierarchy -check -top mirror_offload", "proc", "opt_expr", "opt_clean", "check -assert",
                               "memory_collect", "opt_clean", f"write_json {output}"])
        except yosys.YosysError as error:
            sys.exit(str(error))
        design = json.loads(output.read_text())
    memories, by_module, latches = Counter(), Counter(), 0
    for name, times in instances(design, "mirror_offload"):
        for cell in design["modules"][name]["cells"].values():
            parameters = cell.get("parameters", {})
            if cell["type"].startswith("$mem"):
                memories[number(parameters["WIDTH"]), number(parameters["SIZE"])] += times
            elif cell["type"] in ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff"):
                by_module[name] += times * number(parameters["WIDTH"])
            elif "latch" in cell["type"]:
                latches += 1
    flip_flops = sum(by_module.values())
    for (width, depth), count in sorted(memories.items(), reverse=True):
        print(f"{count} x {depth} words of {width} bits")
    for name, bits in by_module.most_common():
        print(f"{bits:7} flip-flops in {name.split(chr(92))[-1]}")
    print(f"{flip_flops:7} flip-flops in all, {latches} latches")
    failed = []
    if memories != EXPECTED:
        failed.append(f"memories: missing {EXPECTED - memories}, unexpected {memories - EXPECTED}")
    if flip_flops != FLIP_FLOPS:
        failed.append(f"flip-flops: {FLIP_FLOPS} were expected")
    if latches:
        failed.append(f"{latches} latches")
    sys.exit("\n".join(failed) or 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
