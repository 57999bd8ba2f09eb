#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of `mirrornic run` beside a bare loop over the same verilated model: a table, and JSON with --json.

Interleaved rounds of four: the bare loop; `mirrornic run`, which reads a capture and writes one; the same with two
shards; the bare loop again (the A/A control). All have the same frames and session, and let no copy be dropped. The
frames are those of real captures (tests/captures, and ../shared/captures where it is there), or of one length. The loop's
time is that of the loop alone; what `run` needs to start, measured with a capture of one frame, is taken off beside the
loop, but not where shards are compared with one process. Captures lie in memory (/dev/shm) where it has room, so that no
disk is measured. Parts are shares of perf's samples; memory is ru_maxrss of the largest process.
"""
import argparse
import json
import os
import platform
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/bench/bench_rtl"
COMMAND = ROOT / "build/host/mirrornic"
CONFIG = ROOT / "bench/config.json"
FRAMES = {64: 500_000, 512: 150_000, 1500: 60_000}
GOALS = {"ratio": 0.75, "shards": 1.7, "memory_mb": 512}


def timed(arguments):
    """Elapsed seconds, CPU seconds and peak memory in MB of a process that writes nothing of interest."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return {"elapsed": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime, "memory_mb": usage.ru_maxrss / 1024}


def loop(capture):
    return json.loads(subprocess.run([BENCH, "loop", CONFIG, capture, "lossless"], check=True, stdout=subprocess.PIPE).stdout)


def run(folder, capture, *more):
    """The command, with no output of an earlier run in its way: to take that away costs time."""
    (folder / "out.pcap").unlink(missing_ok=True)
    first = json.loads(CONFIG.read_text(encoding="utf-8"))["NetworkInterfaces"][0]["NetworkInterfaceId"]
    return [COMMAND, "run", "--quiet", "--config", CONFIG, "--default-tap", f"{first}:egress", "--in", capture,
            "--out", folder / "out.pcap", *more]


def folder_in_memory():
    """Where a capture and what is made of it fit; None: in the usual place."""
    place = Path("/dev/shm")
    return place if place.is_dir() and shutil.disk_usage(place).free > 8 << 30 else None


def real_captures():
    files = [p for folder in (ROOT / "tests/captures", ROOT.parent / "shared/captures") if folder.is_dir()
             for p in sorted(folder.iterdir()) if p.suffix in (".pcap", ".pcapng")]
    return [p for p in files if p.suffix == ".pcapng" or struct.unpack_from("<I", p.read_bytes(), 20)[0] == 1]  # Ethernet


def parts(folder, capture):
    """Shares of the samples of a run that writes copies and decisions; a sentence where perf does not serve."""
    if not shutil.which("perf"):
        return "perf is not installed"
    data = folder / "perf.data"
    done = subprocess.run(["perf", "record", "-q", "-F", "499", "-o", data, "--",
                           *run(folder, capture, "--decisions", folder / "decisions.jsonl")], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        return "perf record failed: " + (done.stderr.decode().strip().splitlines() or ["no message"])[-1]
    report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-q", "-t", "\t", "-F", "overhead,comm,sym"],
                            check=True, capture_output=True, text=True).stdout
    shares = dict.fromkeys(("RTL evaluation", "board and SystemC", "decisions", "reading", "writing"), 0.0)
    for line in report.splitlines():
        fields = line.split("\t")
        if len(fields) != 3:
            continue
        share, thread, symbol = float(fields[0].strip().rstrip("%")), fields[1].strip(), fields[2]
        if thread in ("reading", "writing"):
            part = thread
        elif re.search(r"Vmirror_offload|Verilated|_mem(move|set)_|mem(cpy|set)@", symbol):
            part = "RTL evaluation"
        elif re.search(r"DecisionLog|LineWriter|DecisionRecord const", symbol):
            part = "decisions"
        else:
            part = "board and SystemC"
        shares[part] += share
    total = sum(shares.values())
    return {part: round(share / total, 3) for part, share in shares.items()}


def measure(folder, capture, rounds, start):
    loops, controls, runs, shards = [], [], [], []
    for _ in range(rounds):
        loops.append(loop(capture))
        runs.append(timed(run(folder, capture)))
        shards.append(timed(run(folder, capture, "--shards", "2")))
        controls.append(loop(capture))
    count = loops[0]["frames"]
    median = statistics.median

    def ratio(values):
        values = sorted(values)
        return {"median": round(median(values), 3), "min": round(values[0], 3), "max": round(values[-1], 3)}
    return {
        "frames": count, "cycles": loops[0]["cycles"], "copies": loops[0]["copies"], "rounds": rounds,
        "loop_frames_per_second": round(count / median(x["elapsed_seconds"] for x in loops)),
        "run_frames_per_second": round(count / (median(x["elapsed"] for x in runs) - start["elapsed"])),
        "shards_frames_per_second": round(count / median(x["elapsed"] for x in shards)),
        "ratio": ratio(x["elapsed_seconds"] / (y["elapsed"] - start["elapsed"]) for x, y in zip(loops, runs)),
        "cpu_ratio": ratio(x["cpu_seconds"] / (y["cpu"] - start["cpu"]) for x, y in zip(loops, runs)),
        "shards": ratio(x["elapsed"] / y["elapsed"] for x, y in zip(runs, shards)),
        "control": ratio(x["elapsed_seconds"] / y["elapsed_seconds"] for x, y in zip(loops, controls)),
        "memory_mb": round(max(x["memory_mb"] for x in runs), 1),
        "shard_memory_mb": round(max(x["memory_mb"] for x in shards), 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=7, help="default 7")
    parser.add_argument("--frames", type=int, default=1_000_000, help="of the real mix (default 1000000)")
    options = parser.parse_args()
    place = folder_in_memory()
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        one, mix = folder / "one.pcap", folder / "mix.pcap"
        subprocess.run([BENCH, "capture", one, "64", "1"], check=True)
        starts = [timed(run(folder, one)) for _ in range(options.rounds)]
        start = {key: statistics.median(x[key] for x in starts) for key in starts[0]}
        captures = real_captures()
        subprocess.run([BENCH, "mix", mix, str(options.frames), *captures], check=True)
        rows = {"real mix": measure(folder, mix, options.rounds, start)}
        shares = parts(folder, mix)
        mix.unlink()
        for length, count in FRAMES.items():
            capture = folder / f"{length}.pcap"
            subprocess.run([BENCH, "capture", capture, str(length), str(count)], check=True)
            rows[f"{length} bytes"] = measure(folder, capture, options.rounds, start)
            capture.unlink()
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    missed = []
    real = rows["real mix"]
    if real["ratio"]["median"] < GOALS["ratio"]:
        missed.append(f"mirrornic run on the real mix is under {GOALS['ratio']} of the bare loop's frames per second")
    if real["shards"]["median"] < GOALS["shards"] and (os.cpu_count() or 1) >= 2:
        missed.append(f"two shards are under {GOALS['shards']} times one on the real mix")
    if max(max(row["memory_mb"], row["shard_memory_mb"]) for row in rows.values()) >= GOALS["memory_mb"]:
        missed.append(f"a process took {GOALS['memory_mb']} MB or more")
    figures = {"machine": {"processor": models[0] if models else platform.machine(), "cpus": os.cpu_count()},
               "files": str(place or tempfile.gettempdir()),
               "captures": [str(p.relative_to(ROOT.parent)) for p in captures], "startup_seconds": round(start["elapsed"], 3),
               "rows": rows, "parts": shares, "goals": GOALS, "missed": missed}

    print("frames/s         bare loop        run  2 shards   run/loop (min..max)     of CPU time  shards/run (min..max)"
          "   control (min..max)")
    for row_name, row in rows.items():
        spread = {key: f"{row[key]['median']:.3f} ({row[key]['min']:.3f}..{row[key]['max']:.3f})"
                  for key in ("ratio", "shards", "control")}
        print(f"{row_name:12} {row['loop_frames_per_second']:13} {row['run_frames_per_second']:10}"
              f" {row['shards_frames_per_second']:9}   {spread['ratio']}  {row['cpu_ratio']['median']:9.3f}"
              f"    {spread['shards']}   {spread['control']}")
    print("parts of a run with decisions, real mix:", shares if isinstance(shares, str) else
          ", ".join(f"{part} {100 * share:.1f} %" for part, share in shares.items()))
    print(f"memory: {max(r['memory_mb'] for r in rows.values())} MB, with shards "
          f"{max(r['shard_memory_mb'] for r in rows.values())} MB a process; start {start['elapsed']:.3f} s")
    for sentence in missed:
        print("missed:", sentence)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
