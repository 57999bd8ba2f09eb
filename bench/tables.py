#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Table updates, from exact cycle counts of the simulation: a table, and JSON with --json.

Two numbers are assumed, not measured: a clock of 250 MHz, and a PCIe bus that takes a write of 64 bytes every 300 ns
(75 cycles). The second is played in the simulation: writes reach the port that far apart, the first after 300 ns.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent / "build/bench/bench_tables"
CLOCK_MHZ = 250
PCIE_CYCLES = 75
GOAL_RULES = 10e6       # a second
GOAL_REPLACEMENT = 10   # us


def complete(figures):
    """What follows from the cycles at the assumed clock."""
    figures["assumed"] = {"clock_mhz": CLOCK_MHZ, "pcie_write_ns": PCIE_CYCLES * 1000 / CLOCK_MHZ}
    for row in figures["rules"]:
        row["rules_per_second"] = round(CLOCK_MHZ * 1e6 / row["cycles_per_rule"])
    for row in figures["changes"]:
        row["changes_per_second"] = round(CLOCK_MHZ * 1e6 / row["cycles_mean"])
    for row in figures["replacement"]:
        row["microseconds_to_effect"] = row["cycles_to_effect"] / CLOCK_MHZ


def show(figures):
    print(f"at {CLOCK_MHZ} MHz (assumed), a frame of 60 bytes started on every cycle\n")
    print("rules on the port            cycles a rule    rules/s")
    for row in figures["rules"]:
        print(f"  {row['port']:25}{row['cycles_per_rule']:15.2f} {row['rules_per_second']:10,}")
    print("\nchanges by the driver, status read included   writes  cycles      changes/s")
    for row in figures["changes"]:
        cycles = f"{row['cycles_least']}..{row['cycles_most']}"
        print(f"  {row['change']:27} {row['port']:15}{row['writes']:8}  {cycles:9} {row['changes_per_second']:11,}")
    print("\n30 rules replaced    staged before     a bus write   writes  cycles to effect       us   frames   lost")
    for row in figures["replacement"]:
        bus = f"{row['cycles_per_bus_write'] / CLOCK_MHZ * 1000:.0f} ns" if row["cycles_per_bus_write"] else "at once"
        print(f"  {row['port']:18} {row['staged_before']:17} {bus:13}{row['writes']:6}  {row['cycles_to_effect']:16} "
              f"{row['microseconds_to_effect']:8.3f} {row['frames_started']:8} {row['lost']:6}")
    print("\ncycles from a commit to the start of      the first frame by it    the last one by the tables before")
    for row in figures["latency"]:
        print(f"  {row['change']:8} frames of {row['frame']:5} bytes   {row['first_new_least']:10}..{row['first_new_most']:<4}"
              f"{row['last_old_most']:24}")


def missed(figures):
    """Which goals are not reached, a sentence each."""
    result = []
    for row in figures["rules"]:
        if "line" in row["port"] and row["rules_per_second"] < GOAL_RULES:
            result.append(f"{row['port']}: under {GOAL_RULES:,.0f} rules a second")
    paced = [row for row in figures["replacement"] if row["cycles_per_bus_write"] == PCIE_CYCLES]
    if len(paced) != 2:
        result.append("the replacement was not measured with the assumed bus")
    result += [f"30 rules over {row['staged_before']}: not in force in under {GOAL_REPLACEMENT} us"
               for row in paced if row["microseconds_to_effect"] >= GOAL_REPLACEMENT]
    result += [f"30 rules over {row['staged_before']}, {row['port']}: {row['lost']} frames were lost or met wrong tables"
               for row in figures["replacement"] if row["lost"]]
    if any(row["lost"] for row in figures["changes"]):
        result.append("frames were lost while sessions changed")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    figures = json.loads(subprocess.run([BENCH], check=True, stdout=subprocess.PIPE).stdout)
    complete(figures)
    figures["missed"] = missed(figures)
    show(figures)
    for sentence in figures["missed"]:
        print("missed:", sentence)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
