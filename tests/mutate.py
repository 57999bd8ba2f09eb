#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts faults into the RTL and the driver's encoding, one at a time, and sees whether the tests find them.

RTL: Yosys inverts a bit of a cell's port or makes it constant. All mutants of a stage are in one build of its test
(build-mutate), where the environment variable MUTANT chooses one; those of the top module are in the whole offload, which
random cases and the system tests run. Driver: an operator, a number or a statement of the source is changed, and the
tests of the driver are built and run again.

Mutants of the RTL that are proved to do the same are not tried. What is left fails this command, unless tests/mutants.txt
says why no test can find it.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
import yosys  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build-mutate"
EXPLAINED = HERE / "mutants.txt"
PROVED = "proved equivalent: "
TOP = "mirror_offload"
DRIVER = "driver"
# Yosys makes sixteen registers of the service entries, in which that test finds no memory.
LEFT_OUT = {"services_test": ["~T4 a flipped bit of any entry*"]}
DRIVER_SOURCES = ("encoding",)
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
DRIVER_TESTS = ("encoding_test", "mirror_device_test", "register_file_test")


@dataclass
class Mutant:
    part: str      # a stage, or the driver
    number: int
    place: str     # file:line
    change: str
    source: str    # the line
    edited: str = ""    # the driver's: the whole file with the fault
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


def succeeds(command, seconds, mutant=0):
    """Whether it ends well in time. Random cases have failed when they say so, before they are made small."""
    process = subprocess.Popen(command, env={**os.environ, "MUTANT": str(mutant), "MIRRORNIC_SEED": "1"}, cwd=BUILD, text=True, errors="replace",
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
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


# ---- Driver ----

# (what is replaced, by what): one mutant for each place.
OPERATORS = [
    (r" << ", (" >> ",)), (r" >> ", (" << ",)), (r" \| ", (" & ",)), (r" & ", (" | ",)), (r" && ", (" || ",)),
    (r" \|\| ", (" && ",)), (r" == ", (" != ",)), (r" != ", (" == ",)), (r" < ", (" <= ", " > ")), (r" <= ", (" < ",)),
    (r" > ", (" >= ", " < ")), (r" >= ", (" > ",)), (r" \+ ", (" - ",)), (r" - ", (" + ",)), (r" \* ", (" + ",)),
    (r"\+\+(?=i\b)", ("i += 2, (void)",)), (r"\btrue\b", ("false",)), (r"\bfalse\b", ("true",)), (r"(?<=[( ])!(?=\w)", ("",)),
    (r" \+= ", (" -= ",)), (r" \|= ", (" &= ",)), (r" &= ", (" |= ",)),
    (r"(?<![\w.\"'])(?:0x[0-9a-f]+|\d+)(?![\w.\"'])(?!_t)", None),
]


def code_of(line):
    """The part of a line that is code of its own: no comment, no text."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda text: '"' + " " * (len(text[0]) - 2) + '"', line.split("//")[0])


def driver_mutants():
    listed = []

    def add(path, lines, i, edited, change):
        text = "\n".join(lines[:i] + [edited] + lines[i + 1:]) + "\n"
        listed.append(Mutant(DRIVER, len(listed) + 1, f"{path.name}:{i + 1}", change, lines[i].strip(), text))

    for name in DRIVER_SOURCES:
        path = ROOT / "driver" / f"{name}.cpp"
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            code = code_of(line)
            if re.match(r"\s*(#|namespace\b|static_assert|using\b|template\b)", code):
                continue
            for pattern, instead in OPERATORS:
                for found in re.finditer(pattern, code):
                    values = instead if instead is not None else (str(int(found[0], 0) + 1),)
                    for value in values:
                        add(path, lines, i, line[:found.start()] + value + line[found.end():],
                            f"column {found.start() + 1}: '{found[0]}' becomes '{value}'")
            # A statement of one line that is no declaration.
            if re.fullmatch(r"\s+(?:if \(.*\) |for \(.*\) )?[\w.\[\]]+(?:\[[^=]*\])?(?: [|&+-]?= .*|\(.*\));", code) and \
                    not re.match(r"\s+return\b", code):
                add(path, lines, i, re.sub(r"\S.*", ";", line), "the statement is gone")
    return listed


def try_driver(part, mutants, jobs, progress):
    commands = {name: next(shlex.split(line) for line in reversed(subprocess.run(
        ["ninja", "-t", "commands", f"tests/{name}"], cwd=BUILD, capture_output=True, text=True,
        check=True).stdout.splitlines()) if " -o " in line) for name in DRIVER_TESTS}
    compiled = {Path(entry["file"]).stem: entry for entry in json.loads((BUILD / "compile_commands.json").read_text())
                if Path(entry["file"]).parent == ROOT / "driver"}
    for test in DRIVER_TESTS:
        if not succeeds([f"tests/{test}", "--abort"], 600):
            raise Failed(f"{test} fails without a mutant")

    def attempt(mutant):
        name = mutant.place.split(".")[0]
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / f"{name}.cpp").write_text(mutant.edited)
            arguments = shlex.split(compiled[name]["command"])
            if "ccache" in arguments[0]:
                arguments.pop(0)
            arguments = [argument for argument in arguments if argument != "-Werror"]
            arguments[arguments.index("-o") + 1] = str(folder / f"{name}.cpp.o")
            arguments[arguments.index("-c") + 1] = str(folder / f"{name}.cpp")
            arguments += ["-w", "-O0", "-D_GLIBCXX_ASSERTIONS", *SANITIZERS, f"-I{ROOT}/driver"]
            if subprocess.run(arguments, cwd=compiled[name]["directory"], capture_output=True).returncode != 0:
                mutant.found_by = "the compiler"
                return progress(mutant)
            shutil.copy(BUILD / "driver/libdriver.a", folder)
            subprocess.run(["ar", "r", folder / "libdriver.a", folder / f"{name}.cpp.o"], check=True, capture_output=True)
            for test, command in commands.items():
                linked = " ".join(shlex.quote(word) for word in command)
                linked = linked.replace("driver/libdriver.a", str(folder / "libdriver.a")).replace(
                    f"-o tests/{test}", f"-o {folder}/{test}")
                linked = " ".join([linked.replace("'&&'", "&&").split("&&")[1], *SANITIZERS])
                done = subprocess.run(linked, shell=True, cwd=BUILD, capture_output=True, text=True)
                if done.returncode != 0:
                    raise Failed(f"{test} does not link: {done.stderr[-300:]}")
                if not succeeds([folder / test, "--abort"], 120):
                    mutant.found_by = test
                    break
        progress(mutant)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(attempt, filter(Mutant.alive, mutants)))


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
    print(f"{cells[0]:<18}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells[1:], (9, 7, 19, 11, 7))), flush=True)


def counts(mutants):
    return (len(mutants), sum(1 for m in mutants if m.found_by), sum(1 for m in mutants if m.proved()),
            sum(1 for m in mutants if m.why and not m.proved()), sum(1 for m in mutants if m.alive()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"stages, {TOP} or {DRIVER}; all of them unless named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="J", help="mutants at a time; default: one a core")
    parser.add_argument("--again", action="store_true", help="only those that lived in the run that FILE tells of")
    parser.add_argument("--json", default=ROOT / "out/mutate.json", type=Path, metavar="FILE")
    options = parser.parse_args()
    parts = {**rtl_mutants(), DRIVER: driver_mutants()}
    for part in options.part:
        if part not in parts:
            parser.error(f"there is no part {part}: {', '.join(parts)}")
    parts = {part: mutants for part, mutants in parts.items() if not options.part or part in options.part}
    if options.again:
        before = {(m["part"], m["number"], m["change"]): m for m in json.loads(options.json.read_text())["mutants"]}
        for mutant in (mutant for mutants in parts.values() for mutant in mutants):
            was = before.get((mutant.part, mutant.number, mutant.change), {})
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
        (try_driver if part == DRIVER else try_rtl)(part, mutants, options.jobs, progress)
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
    useless = [] if options.part else [name for name in reasons if name not in living]
    for name in useless:
        print(f"{EXPLAINED.name} explains what does not live: {name}", file=sys.stderr)
    return 1 if useless or any(map(Mutant.alive, every)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"mutate: {error}")
