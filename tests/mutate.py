#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts faults into the RTL, the driver, the host software and the simulation, one at a time, and sees whether the tests
find them.

RTL: Yosys inverts a bit of a cell's port or makes it constant. All mutants of a stage are in one build of its test
(build-mutate), where the environment variable MUTANT chooses one; those of the top module are in the whole offload, which
random cases and the system tests run. C++: tests/mutate_cpp.py.

Mutants of the RTL that are proved to do the same are not tried. What is left fails this command, unless tests/mutants.txt
says why no test can find it.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
import mutate_cpp  # noqa: E402
import yosys  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build-mutate"
RELEASE = ROOT / "build"
EXPLAINED = HERE / "mutants.txt"
PROVED = "proved equivalent: "
TOP = "mirror_offload"
# Yosys makes sixteen registers of the service entries, in which that test finds no memory.
LEFT_OUT = {"services_test": ["~T4 a flipped bit of any entry*"]}


@dataclass
class Mutant:
    part: str      # a stage, mirror_offload, or a C++ file
    number: int
    place: str     # file:line
    change: str
    source: str    # the line
    found_by: str = ""  # "" while it lives
    why: str = ""       # no test can find it: how that was proved, or a reason of mutants.txt

    def alive(self):
        return not self.found_by and not self.why

    def proved(self):
        return self.why.startswith(PROVED)

    def name(self):
        return f"{self.place.split(':')[0]} | {self.source} | {self.change}"


class Failed(Exception):
    pass


def succeeds(command, seconds, mutant=0, folder=BUILD):
    """Whether it ends well in time. Random cases have failed when they say so, before they are made small."""
    process = subprocess.Popen(command, env={**os.environ, "MUTANT": str(mutant), "MIRRORNIC_SEED": "1"}, cwd=folder,
                               text=True, errors="replace", stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        for line in process.stdout:
            if line.startswith("FAILED seed"):
                os.killpg(process.pid, signal.SIGKILL)
                break
        return process.wait() == 0
    finally:
        timer.cancel()


# ---- RTL ----

def rtl_mutant(part, line):
    value = dict(re.findall(r"-(mode|module|cell|port|portbit|ctrlbit|wire|wirebit) (\S+)", line))
    # What Yosys adds has no place of its own.
    module = value["module"].split("\\")[1] if value["module"].startswith("$paramod") else value["module"]
    path, at = (re.findall(r"-src (\S+):([\d]+)\.", line) or [(f"{module}.sv", "0")])[-1]
    source = (BUILD if Path(path).name in ("map.sv", "sizes.svh") else ROOT) / "rtl" / Path(path).name
    cell = re.sub(r"^\$(\w+)\$.*", r"$\1", value["cell"])
    wire = f", {value['wire']}[{value['wirebit']}]" if "wire" in value else ""
    by = f" by bit {value['ctrlbit']}" if "ctrlbit" in value else ""
    return Mutant(part, int(re.search(r"-ctrl mutant 16 (\d+)", line)[1]), f"{source.name}:{at}",
                  f"{value['mode']} at {cell}.{value['port']}[{value['portbit']}]{wire}{by}",
                  source.read_text().splitlines()[int(at) - 1].strip() if at != "0" else "")


def list_of(part):
    return BUILD / ("rtl/verilated" if part == TOP else f"tests/stages/{part}") / "mutants.ys"


def rtl_mutants():
    parts = [file.parent.name for file in sorted((BUILD / "tests/stages").glob("*/mutants.ys"))] + [TOP]
    return {part: [rtl_mutant(part, line) for line in list_of(part).read_text().splitlines() if not line.startswith("#")]
            for part in parts}


def commands_of(part):
    """What must find the part's mutants: (name, command)."""
    if part == TOP:
        return [("random cases", ["tests/regress", "--seeds", "40", "--failures", "1", "--out", "mutants"]),
                ("system tests", ["ctest", "-L", "system", "--stop-on-failure"])]
    tests = [file.stem for file in sorted(HERE.glob("*_test.cpp")) if f"#include <V{part}.h>" in file.read_text()]
    if not tests:
        raise Failed(f"no test has V{part}.h")
    return [(test, [f"tests/{test}", "--abort", *LEFT_OUT.get(test, [])]) for test in tests]


def try_rtl(part, mutants, jobs, progress):
    if not any(map(Mutant.alive, mutants)):
        return
    commands = []
    for name, command in commands_of(part):
        start = time.monotonic()
        if not succeeds(command, 600):
            raise Failed(f"{name} fails without a mutant")
        commands.append((name, command, 20 * (time.monotonic() - start) + 5))

    def attempt(mutant):
        for name, command, seconds in commands:
            if not succeeds(command, seconds, mutant.number):
                mutant.found_by = name
                break
        progress(mutant)

    def prove(how, proof):
        for mutant in filter(Mutant.alive, mutants):
            if proof(mutant.number):
                mutant.why = PROVED + how
                progress(mutant)

    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        circuits = yosys.Mutants(BUILD / "rtl/map.sv", list_of(part), folder)
        prove("combinational", circuits.same_logic)
        list(pool.map(attempt, filter(Mutant.alive, mutants)))
        prove("sequential", circuits.never_differs)


# ---- C++ ----

def name_of_test(command):
    return next(Path(word).stem for word in command if Path(word).stem.endswith("_test"))


def try_cpp(file, mutants, jobs, progress):
    """All faults of the file are in one build of its tests (tests/mutate_cpp.py)."""
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        commands = []
        for command in file.build(RELEASE, folder):
            start = time.monotonic()
            if not succeeds(command, 600, folder=folder):
                raise Failed(f"{name_of_test(command)} fails without a mutant of {file.name}")
            commands.append((command, 5 * (time.monotonic() - start) + 10))

        def attempt(mutant):
            for command, seconds in commands:
                if not succeeds(command, seconds, mutant.number, folder):
                    mutant.found_by = name_of_test(command)
                    break
            progress(mutant)

        list(pool.map(attempt, filter(Mutant.alive, mutants)))


def name_of(file, fault):
    return f"{file.path.name} | {file.lines[fault.site.first].strip()} | {fault.change}"


def cpp_mutants(files, options):
    """By file: drawn by the seed, as many as its share of all faults, of those that compile."""
    every = mutate_cpp.total(ROOT)
    return {file.name: [Mutant(file.name, number, f"{file.path.name}:{fault.site.first + 1}", fault.change,
                               file.lines[fault.site.first].strip())
                        for number, fault in file.draw(RELEASE, max(4, -(-options.mutants * len(file.every) // every)),
                                                       options.seed).items()]
            for file in files.values()}


# ---- What no test can find ----

def explained():
    """A reason for each mutant of tests/mutants.txt: lines `NAME`, then an indented reason for those above it."""
    reasons, waiting = {}, []
    for line in EXPLAINED.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            waiting.append(line.strip())
            continue
        for name in waiting:
            reasons[name] = line.strip()
        waiting = []
    if waiting:
        raise Failed(f"{EXPLAINED.name} has no reason for: {waiting[0]}")
    return reasons


def row(*cells):
    print(f"{cells[0]:<28}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells[1:], (9, 7, 19, 11, 7))), flush=True)


def counts(mutants):
    return (len(mutants), sum(1 for m in mutants if m.found_by), sum(1 for m in mutants if m.proved()),
            sum(1 for m in mutants if m.why and not m.proved()), sum(1 for m in mutants if m.alive()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"stages, {TOP}, driver, host, sim, or files of these; all unless named")
    parser.add_argument("--mutants", type=int, default=400, metavar="N", help="of the C++, about so many; default: 400")
    parser.add_argument("--seed", default="1", help="which of the C++ are drawn; default: 1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="J", help="mutants at a time; default: one a core")
    parser.add_argument("--again", action="store_true", help="only those that lived in the run that FILE tells of")
    parser.add_argument("--json", default=ROOT / "out/mutate.json", type=Path, metavar="FILE")
    parser.add_argument("--needs", action="store_true", help="only print which builds the parts need: presets, and their targets")
    options = parser.parse_args()
    folders = {name.split("/")[0] for name in mutate_cpp.UNITS}
    chosen = [name for name in mutate_cpp.UNITS if not options.part or {name, name.split("/")[0]} & set(options.part)]
    with_rtl = not options.part or any(part not in (*mutate_cpp.UNITS, *folders) for part in options.part)
    if options.needs:
        if with_rtl:
            print("mutate")
        if chosen:
            print("release", *sorted({target for name in chosen for target in mutate_cpp.targets(name)}))
        return 0
    rtl = rtl_mutants() if with_rtl else {}
    for part in options.part:
        if part not in (*rtl, *folders, *mutate_cpp.UNITS):
            parser.error(f"there is no part {part}: {', '.join([*rtl, *sorted(folders)])}, or a file of these")
    files = {name: mutate_cpp.File(ROOT, name) for name in chosen}
    parts = {part: mutants for part, mutants in rtl.items() if not options.part or part in options.part}
    parts.update(cpp_mutants(files, options))
    if options.again:
        before = {(m["part"], m["number"], m["source"], m["change"]): m for m in json.loads(options.json.read_text())["mutants"]}
        for mutant in (mutant for mutants in parts.values() for mutant in mutants):
            was = before.get((mutant.part, mutant.number, mutant.source, mutant.change), {})
            mutant.found_by = was.get("found_by", "")
            mutant.why = was.get("why", "") if was.get("why", "").startswith(PROVED) else ""
    reasons = explained()
    start, total, done = time.monotonic(), sum(m.alive() for mutants in parts.values() for m in mutants), 0
    lock = threading.Lock()

    def progress(mutant):
        nonlocal done
        with lock:
            done += 1
            if sys.stderr.isatty():
                print(f"\r{done} of {total} mutants, {mutant.part}\033[K", end="", file=sys.stderr, flush=True)

    row("part", "mutants", "found", "proved equivalent", "explained", "alive")
    for part, mutants in parts.items():
        if part in files:
            try_cpp(files[part], mutants, options.jobs, progress)
        else:
            try_rtl(part, mutants, options.jobs, progress)
        for mutant in mutants:
            if mutant.alive():
                mutant.why = reasons.get(mutant.name(), "")
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        row(part, *counts(mutants))
        for mutant in filter(Mutant.alive, mutants):
            print(f"alive: {mutant.part} {mutant.number}, {mutant.place}\n{mutant.name()}", file=sys.stderr, flush=True)

    every = [mutant for mutants in parts.values() for mutant in mutants]
    row("all", *counts(every))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"seconds": round(time.monotonic() - start), "mutants": [
        {"part": m.part, "number": m.number, "place": m.place, "source": m.source, "change": m.change,
         "found_by": m.found_by, "why": m.why} for m in every]}, indent=1) + "\n")
    print(f"written: {options.json}")
    living = {mutant.name() for mutant in every if not mutant.found_by and not mutant.proved()}
    tried = {mutant.name() for mutant in every}
    # Another seed, or more mutants, may try what this run did not.
    living |= {name_of(file, fault) for file in files.values() for fault in file.every} - tried
    useless = [] if options.part else [name for name in reasons if name not in living]
    for name in useless:
        print(f"{EXPLAINED.name} explains what does not live: {name}", file=sys.stderr)
    return 1 if useless or any(map(Mutant.alive, every)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"mutate: {error}")
