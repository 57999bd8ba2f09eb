#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the hardware and the speed of its simulation: a table, JSON with --json, and plots with --svg.

Cycle counts are exact. Speed is measured in interleaved rounds: the bare loop, the bare loop again (the A/A control),
and `mirrornic run --pace line`, all on the same frames; the loop's time is that of the loop alone, and what `run` needs
to start, measured with a capture of one frame, is taken off. `run` reads and writes in threads beside the simulation,
so there are two ratios: of the time that passes, and of the CPU time (user and system) of all threads.
"""
import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import curves

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/bench/bench_rtl"
COMMAND = ROOT / "build/host/mirrornic"
CONFIG = ROOT / "bench/config.json"
FRAMES = {64: 1_000_000, 512: 200_000, 1500: 80_000}


def seconds(arguments):
    """Seconds that a process took, its CPU seconds, and what it printed."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout
    end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return end - start, (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime), output


def speed(rounds, folder):
    median = statistics.median
    rows = []
    for length, count in FRAMES.items():
        capture = folder / f"{length}.pcap"
        subprocess.run([BENCH, "capture", capture, str(length), str(count)], check=True)
        one = folder / "one.pcap"
        subprocess.run([BENCH, "capture", one, str(length), "1"], check=True)
        run = [COMMAND, "run", "--quiet", "--pace", "line", "--config", CONFIG, "--out", folder / "out.pcap", "--in"]
        loops, controls, runs, starts = [], [], [], []
        for _ in range(rounds):
            loops.append(json.loads(seconds([BENCH, "loop", CONFIG, capture])[2]))
            runs.append(seconds([*run, capture]))
            controls.append(json.loads(seconds([BENCH, "loop", CONFIG, capture])[2]))
            starts.append(seconds([*run, one]))
        row = {"length": length, "frames": count, "rounds": rounds}
        for name, at in (("elapsed", 0), ("cpu", 1)):
            start = median(times[at] for times in starts)
            key = f"{name}_seconds"
            ratios = sorted(loop[key] / (times[at] - start) for loop, times in zip(loops, runs))
            row[name] = {
                "bare_loop_frames_per_second": round(count / median(loop[key] for loop in loops)),
                "run_frames_per_second": round(count / (median(times[at] for times in runs) - start)),
                "ratio": round(median(ratios), 3), "ratio_min": round(ratios[0], 3), "ratio_max": round(ratios[-1], 3),
                "control_ratio": round(median(x[key] / y[key] for x, y in zip(loops, controls)), 3),
                "startup_seconds": round(start, 3),
            }
        rows.append(row)
    return rows


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
    if "speed" in figures:
        print("\nsimulation, frames/s        bare loop   mirrornic run   ratio (min..max)        control")
        for row in figures["speed"]:
            for name in ("elapsed", "cpu"):
                of = row[name]
                print(f"  {row['length']:5} bytes, {name:8} {of['bare_loop_frames_per_second']:11} {of['run_frames_per_second']:15}"
                      f"   {of['ratio']:.3f} ({of['ratio_min']:.3f}..{of['ratio_max']:.3f})   {of['control_ratio']:.3f}")


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
    result += [f"mirrornic run at {row['length']} bytes is under 0.85 of the bare loop's frames per second"
               for row in figures.get("speed", []) if row["elapsed"]["ratio"] < 0.85]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=7, help="of the speed comparison; 0 leaves it out (default 7)")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="also draw throughput.svg and burst.svg here")
    options = parser.parse_args()
    figures = json.loads(seconds([BENCH])[2])
    figures["curves"] = curves.measure(ROOT / "build/bench")
    if options.rounds:
        with tempfile.TemporaryDirectory() as folder:
            figures["speed"] = speed(options.rounds, Path(folder))
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
        figures["machine"] = {"processor": models[0] if models else platform.machine(), "cpus": os.cpu_count()}
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
