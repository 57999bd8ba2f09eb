#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the random regression in several processes, each with seeds of its own, and sums up."""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(prog="./dev regress", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="cases; default 1000")
    parser.add_argument("--first", type=int, default=1, metavar="S", help="seed of the first case; default 1")
    parser.add_argument("--frames", type=int, default=2000, metavar="F",
                        help="frames of a case, about; part of what its seed means; default 2000")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="J", help="processes; default: one a core")
    parser.add_argument("--shard", default="0/1", metavar="i/n",
                        help="the i-th of n parts of the seeds, from 0: for several machines")
    parser.add_argument("--failures", type=int, default=10, metavar="N", help="a process ends after so many; default 10")
    parser.add_argument("--json", default="out/regress/summary.json", metavar="FILE")
    parser.add_argument("--binary", default=ROOT / "build/tests/regress", help=argparse.SUPPRESS)
    options = parser.parse_args()
    match = re.fullmatch(r"(\d+)/(\d+)", options.shard)
    if not match or int(match[1]) >= int(match[2]):
        parser.error("--shard is i/n with i from 0 to n-1")
    if min(options.seeds, options.frames, options.jobs, options.failures) < 1:
        parser.error("--seeds, --frames, --jobs and --failures are at least 1")
    options.part = (int(match[1]), int(match[2]))
    return options


def parts(first, count, of):
    """`count` seeds from `first` on as up to `of` ranges: (first, count) each."""
    ranges = [(first + count * i // of, count * (i + 1) // of - count * i // of) for i in range(of)]
    return [r for r in ranges if r[1] > 0]


class Job:
    """A process: its last line of JSON is all that it has done so far; other lines tell of failures."""

    def __init__(self, options, first, count):
        self.state = {"seeds": 0, "passes": 0, "cycles": 0, "failures": 0, "cover": {}}
        self.last_seed = first + count - 1
        self.process = subprocess.Popen(
            [options.binary, "--first", str(first), "--seeds", str(count), "--frames", str(options.frames),
             "--failures", str(options.failures), "--out", str(pathlib.Path(options.json).parent)],
            stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.state = json.loads(line)
            elif line.strip():
                print(line, end="", flush=True)


def summary_of(options, first, count, jobs, seconds):
    cover = {}
    for job in jobs:
        for point, hits in job.state["cover"].items():
            cover[point] = cover.get(point, 0) + hits
    total = {key: sum(job.state[key] for job in jobs) for key in ("seeds", "passes", "cycles", "failures")}
    return {"first": first, "asked": count, "frames_per_seed": options.frames, "jobs": len(jobs), "seeds": total["seeds"],
            "frames": total["passes"], "cycles": total["cycles"], "seconds": round(seconds, 3), "failures": total["failures"],
            "frames_per_second_and_job": round(total["passes"] / seconds / len(jobs)),
            "not_reached": [point for point, hits in cover.items() if hits == 0], "cover": cover}


def main():
    options = arguments()
    pathlib.Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    first, count = parts(options.first, options.seeds, options.part[1])[options.part[0]] \
        if options.part[1] <= options.seeds else (options.first, options.seeds)
    start = time.monotonic()
    jobs = [Job(options, *part) for part in parts(first, count, options.jobs)]
    interrupted = False
    told = start
    try:
        while any(job.reader.is_alive() for job in jobs):
            jobs[0].reader.join(0.2) if jobs[0].reader.is_alive() else time.sleep(0.2)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                now = summary_of(options, first, count, jobs, told - start)
                pathlib.Path(options.json).write_text(json.dumps(now, indent=1) + "\n")
                print(f"{now['seeds']} of {count} seeds, {now['frames']} frames, {now['failures']} failures, "
                      f"{told - start:.0f} s", flush=True)
    except KeyboardInterrupt:
        interrupted = True
        for job in jobs:
            job.process.send_signal(signal.SIGTERM)
        for job in jobs:
            job.reader.join()
    broken = [job for job in jobs if job.process.wait() not in (0, 1)]
    summary = summary_of(options, first, count, jobs, time.monotonic() - start)
    pathlib.Path(options.json).write_text(json.dumps(summary, indent=1) + "\n")
    print(f"seeds {first} to {first + count - 1}, {options.frames} frames each: {summary['seeds']} cases"
          f"{' (interrupted)' if interrupted else ''}, {summary['frames']} frames in {summary['seconds']:.0f} s, "
          f"{summary['frames_per_second_and_job']} frames/s and process, {summary['failures']} failures")
    missing = summary["not_reached"]
    print(f"cover points: {len(summary['cover']) - len(missing)} of {len(summary['cover'])} reached"
          + (f"; not reached: {', '.join(missing)}" if missing else ""))
    print(f"written: {options.json}")
    if broken:
        print("regress: a process has ended with an error of its own; see above", file=sys.stderr)
        return 3
    return 1 if summary["failures"] else 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
