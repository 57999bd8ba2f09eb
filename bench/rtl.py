#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the hardware, in clock cycles of its simulation, which are exact: a table, JSON with --json, and plots with
--svg."""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import curves

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/bench/bench_rtl"


def show(figures):
    production, starts = figures["production"], figures["starts"]
    print(f"production: {production['lengths']} frame lengths, {production['bubbles']} bubbles, "
          f"{production['latency_not_1']} beats not forwarded after exactly 1 cycle")
    print(f"frame starts: {starts['frames_started']} in {starts['cycles']} cycles, {starts['mirrored']} mirrored, "
          f"{starts['dropped']} dropped")
    curves.show(figures["curves"])
    print("\nchanges                                        writes  reads  cycles")
    for row in figures["changes"]:
        print(f"  {row['change']:45}{row['writes']:6} {row['reads']:6} {row['cycles']:7}")


def missed(figures):
    """Which goals are not reached, a sentence each."""
    result = []
    if figures["production"]["bubbles"] or figures["production"]["latency_not_1"]:
        result.append("production has a bubble or another latency than 1")
    starts = figures["starts"]
    if starts["frames_started"] != starts["cycles"] or starts["mirrored"] != starts["cycles"]:
        result.append("a frame does not start on every cycle")
    result += curves.missed(figures["curves"])
    for row in figures["changes"]:
        limit = 250 if "10 IPv6 rules" in row["change"] else 40
        if "session" in row["change"] and "two" not in row["change"] or "10 IPv6 rules" in row["change"]:
            if row["writes"] > limit or row["reads"] > 1:
                result.append(f"{row['change']}: over {limit} writes or one read")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="also draw throughput.svg and burst.svg here")
    options = parser.parse_args()
    figures = json.loads(subprocess.run([BENCH], check=True, stdout=subprocess.PIPE).stdout)
    figures["curves"] = curves.measure(ROOT / "build/bench")
    figures["missed"] = missed(figures)
    show(figures)
    for sentence in figures["missed"]:
        print("missed:", sentence)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(curves.compact(json.dumps(figures, indent=2)) + "\n", encoding="utf-8")
    if options.svg:
        curves.draw(figures["curves"], options.svg)
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
