#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The speed of the simulation: the same offload, tables and frames under

  bare     the verilated model in a plain C++ loop; and again, as the A/A control
  board    the same model on the project's SystemC board (sim/), frames and copies in memory
  systemc  `verilator --sc` in a conventional bench: sc_clock, a signal for each port, methods at the clock's edge
  cocotb on Verilator, cocotb on Icarus Verilog: cocotbext-axi's AxiStreamSource, AxiStreamSink and AxiLiteMaster

All rules of all slots are programmed. Frames wait for mirror_room, so that no copy is dropped. All bytes of all copies
with their boundaries are hashed: the hashes, and all counters of the hardware after a first run, must be equal.

Each simulation is a process that takes commands and times a run itself, from before the first frame is offered until
the offload is idle: starting up, programming the tables and reading the frames are outside, for all in the same way.
Processes of C++ are started anew in each round; those of cocotb, which take long to start, serve all rounds. Slower
simulations run fewer frames. Figures are of the processor's time, which is what passes on a machine that does nothing
else: each simulation is one thread and neither reads nor writes meanwhile. A table; JSON with --json, also of the time
that passed; a plot with --svg.
"""
import argparse
import datetime
import hashlib
import html
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests"))
import yosys  # noqa: E402

BUILD = ROOT / "build"
MODELS = BUILD / "bench/cocotb"
PACKAGES = ("cocotb==1.9.2", "cocotbext-axi==0.1.24", "cocotb-bus==0.3.0", "find-libpython==0.5.1", "scapy==2.8.0")
CAPTURES = sorted((ROOT / "tests/captures").glob("*.pcap*"))
EVERY = 8  # frame of the captures is in the mix
NAMES = {"bare": "bare C++ loop", "board": "SystemC board", "systemc": "verilator --sc",
         "cocotb_verilator": "cocotb, Verilator", "cocotb_icarus": "cocotb, Icarus"}
# Frames of a run: C++ around the model, verilator --sc, cocotb on Verilator, cocotb on Icarus; of the mix, rounds of it.
FRAMES = {"60 bytes": (240_000, 160_000, 300, 32), "512 bytes": (100_000, 50_000, 64, 12),
          "1514 bytes": (40_000, 20_000, 32, 6), "mix": (1_500, 750, 1, 1)}
COLUMN = {"bare": 0, "control": 0, "board": 0, "systemc": 1, "cocotb_verilator": 2, "cocotb_icarus": 3}
SELECTIONS = {"selected": "all selected", "nothing": "none selected"}


class Failure(Exception):
    """A sentence for the user."""


class Simulation:
    """A process that takes the commands of bench/simulator.hpp."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={
            **os.environ, "SYSTEMC_DISABLE_COPYRIGHT_MESSAGE": "1", **(environment or {})})

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        log = []
        for line in self.process.stdout:
            if line.startswith(("{", "[")):
                return json.loads(line)
            log.append(line)
        raise Failure(f"{self.name} ended when it was told `{command}`; run it by hand to see why\n" + "".join(log[-20:]))

    def run(self, frames, count, index):
        return self.ask(f"run {frames} {count} {index}")

    def stop(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        for _ in self.process.stdout:
            pass
        self.process.stdout.close()
        self.process.wait()


def step(what, command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode != 0:
        raise Failure(f"{what} failed:\n" + done.stdout[-3000:])
    return done.stdout


def environment():
    """The folder of a venv with cocotb; None and why where it cannot be had."""
    folder = MODELS / "python"
    mark, pins = folder / "made-of", " ".join(PACKAGES)
    if not mark.exists() or mark.read_text() != pins:
        try:
            venv.create(folder, clear=True, with_pip=True)
            step("pip", [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES])
        except (Failure, OSError, subprocess.CalledProcessError) as error:
            return None, str(error).strip().splitlines()[-1]
        mark.write_text(pins)
    return folder, ""


def cocotb_models(folder):
    """Builds the model for cocotb on Verilator and on Icarus, unless they are of these sources already."""
    map_sv = BUILD / "rtl/map.sv"
    rtl = [ROOT / "rtl" / name for name in (ROOT / "rtl/filelist.f").read_text().split()]
    top, waivers = ROOT / "bench/cocotb_top.sv", ROOT / "rtl/waivers.vlt"
    versions = step("verilator", ["verilator", "--version"]) + step("iverilog", ["iverilog", "-V"]).splitlines()[0]
    sources = hashlib.sha256(versions.encode() + Path(__file__).read_bytes() +
                             b"".join(file.read_bytes() for file in (map_sv, *rtl, top, waivers))).hexdigest()
    mark = MODELS / "made-of"
    if mark.exists() and mark.read_text() == sources:
        return
    libraries, share = cocotb_file(folder, "--lib-dir"), cocotb_file(folder, "--share")
    step("verilator", ["verilator", "--cc", "--exe", "--vpi", "--prefix", "Vtop", "-o", "Vtop", "--Mdir", MODELS / "verilator",
                       "--top-module", "cocotb_top", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
                       "--timescale", "1ns/1ps", "-CFLAGS", "-O3 -march=native",
                       "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
                       f"-I{map_sv.parent}", waivers, map_sv, *rtl, top, f"{share}/lib/verilator/verilator.cpp"])
    step("make", ["make", "-C", MODELS / "verilator", "-f", "Vtop.mk", "-j", str(os.cpu_count()), "OBJCACHE=ccache",
                  "OPT_FAST=-O3 -march=native", "OPT_SLOW=-O1", "OPT_GLOBAL=-O2"])
    # Icarus 11 ends with an internal error when it reads the packages of the SystemVerilog.
    yosys.run(map_sv, ["hierarchy -check -top mirror_offload", "proc", "opt_expr", "opt_clean", "check -assert",
                       f"write_verilog -noattr {MODELS / 'netlist.v'}"])
    (MODELS / "timescale.f").write_text("+timescale+1ns/1ps\n")
    step("iverilog", ["iverilog", "-g2012", "-f", MODELS / "timescale.f", "-o", MODELS / "icarus.vvp", "-s", "cocotb_top",
                      MODELS / "netlist.v", top])
    mark.write_text(sources)


def cocotb_file(folder, option):
    return step("cocotb-config", [folder / "bin/cocotb-config", option]).strip()


def starters(folder, operations):
    """How each simulation is started, by name; those that serve all rounds apart."""
    bare = [BUILD / "bench/bench_sim", "bare"]
    short = {"bare": bare, "board": [BUILD / "bench/bench_sim", "board"], "control": bare,
             "systemc": [BUILD / "bench/bench_sim_systemc"]}
    if folder is None:
        return short, {}, None
    variables = {"MODULE": "cocotb_offload", "TOPLEVEL": "cocotb_top", "TOPLEVEL_LANG": "verilog",
                 "PYTHONPATH": str(ROOT / "bench"), "PYTHONDONTWRITEBYTECODE": "1", "COCOTB_LOG_LEVEL": "WARNING",
                 "COCOTB_RESULTS_FILE": str(MODELS / "results.xml"), "VIRTUAL_ENV": str(folder),
                 "LIBPYTHON_LOC": cocotb_file(folder, "--libpython"), "OPERATIONS": str(operations)}
    long = {"cocotb_verilator": [MODELS / "verilator/Vtop"],
            "cocotb_icarus": ["vvp", "-M", cocotb_file(folder, "--lib-dir"), "-m",
                              "libcocotbvpi_icarus", MODELS / "icarus.vvp"]}
    return short, long, variables


class Bench:
    def __init__(self, folder, captures, quick):
        self.folder = folder
        self.files, self.counts, self.references = {}, {}, {}
        for load, counts in FRAMES.items():
            file = folder / f"{load.split()[0]}.pcap"
            command = ["frames", file, load.split()[0]] if load != "mix" else ["mix", file, EVERY, *captures]
            step("bench_sim", [BUILD / "bench/bench_sim", *command])
            unit = sum(1 for _ in frames_of(file)) if load == "mix" else 1
            self.files[load] = file
            self.counts[load] = [unit * max(1, count // (8 if quick and i < 2 else 2 if quick else 1))
                                 for i, count in enumerate(counts)]

    def cases(self):
        return [(load, selection) for selection in SELECTIONS for load in FRAMES]

    def run(self, simulation, case, count):
        return simulation.run(self.files[case[0]], count, self.indices[case[1]])

    def compare(self, name, case, count, result):
        """The copies are those of the bare loop for as many frames."""
        key = (*case, count)
        if key not in self.references:
            simulation = Simulation("bare", [BUILD / "bench/bench_sim", "bare"])
            self.references[key] = self.run(simulation, case, count)
            simulation.stop()
        for figure in ("copies", "bytes", "hash"):
            if result[figure] != self.references[key][figure]:
                raise Failure(f"{NAMES.get(name, name)} sent other copies than the bare loop for {count} frames of {case[0]}, "
                              f"{SELECTIONS[case[1]]}: {figure} {result[figure]} instead of {self.references[key][figure]}")

    def check(self, simulations, count):
        """All do one same run of each kind first: equal copies, equal register reads, counters of the hardware included."""
        seen = {}
        for name, simulation in simulations.items():
            for case in self.cases():
                frames = count[case[0]]
                self.compare(name, case, frames, self.run(simulation, case, frames))
            seen[name] = simulation.ask("operations")["program"], simulation.ask("counters")
        for name, operations in seen.items():
            if operations != seen["bare"]:
                raise Failure(f"registers read other values under {NAMES.get(name, name)} than in the bare loop")


def frames_of(file):
    content = file.read_bytes()
    at = 24
    while at < len(content):
        size = int.from_bytes(content[at + 8:at + 12], sys.byteorder)
        yield size
        at += 16 + size


def record(bench):
    """The register accesses of the bare loop, for cocotb: those that program the tables and those that read counters."""
    simulation = Simulation("bare", [BUILD / "bench/bench_sim", "bare"])
    operations = simulation.ask("operations")
    bench.indices = {name: operations[name] for name in SELECTIONS}
    operations["counters"] = simulation.ask("counters")
    simulation.stop()
    file = bench.folder / "operations.json"
    file.write_text(json.dumps(operations))
    return file


def check(bench):
    """The board and the bare loop, a few hundred frames: for the tests."""
    record(bench)
    commands = {name: Simulation(name, [BUILD / "bench/bench_sim", name]) for name in ("bare", "board")}
    bench.check(commands, {load: 300 for load in FRAMES})
    for simulation in commands.values():
        simulation.stop()
    copies = sum(reference["copies"] for reference in bench.references.values())
    if copies < 4 * 250:
        raise Failure(f"only {copies} copies were compared")
    print(f"{len(bench.references)} runs, {copies} copies: equal")


def measure(bench, rounds, folder):
    operations = record(bench)
    short, long, variables = starters(folder, operations)
    lasting = {name: Simulation(name, command, variables) for name, command in long.items()}
    samples = {name: {case: [] for case in bench.cases()} for name in (*short, *long)}
    try:
        for turn in range(rounds):
            running = {name: Simulation(name, command) for name, command in short.items()}
            if turn == 0:
                bench.check({**running, **lasting}, {load: counts[3] for load, counts in bench.counts.items()})
            for case in bench.cases():
                for name, simulation in {**running, **lasting}.items():
                    count = bench.counts[case[0]][COLUMN[name]]
                    result = bench.run(simulation, case, count)
                    bench.compare(name, case, count, result)
                    samples[name][case].append({"frames": count, **result})
            for simulation in running.values():
                simulation.stop()
    finally:
        for simulation in lasting.values():
            simulation.stop()
    return samples


def summary(bench, samples):
    rows = []
    for case in bench.cases():
        lengths = list(frames_of(bench.files[case[0]]))
        row = {"load": case[0], "selection": case[1], "bytes_per_frame": round(statistics.mean(lengths), 1), "simulations": {}}
        rates = {name: [run["frames"] / run["cpu_seconds"] for run in runs[case]] for name, runs in samples.items()}
        for name, values in rates.items():
            ratios = sorted(board / value for board, value in zip(rates["board"], values))
            row["simulations"][name] = {
                "frames": samples[name][case][0]["frames"], "frames_per_second": round(statistics.median(values), 2),
                "minimum": round(min(values), 2), "maximum": round(max(values), 2),
                "elapsed_frames_per_second": round(statistics.median(run["frames"] / run["seconds"]
                                                                     for run in samples[name][case]), 2),
                "board_is_times": round(statistics.median(ratios), 3), "board_is_times_min": round(ratios[0], 3),
                "board_is_times_max": round(ratios[-1], 3), "copies": samples[name][case][0]["copies"]}
        row["control_ratio"] = round(statistics.median(a / b for a, b in zip(rates["control"], rates["bare"])), 3)
        rows.append(row)
    return rows


def missed(rows):
    """Which goals are not reached, a sentence each."""
    goals = {"bare": {None: 0.90}, "systemc": {"60 bytes": 2.5, "1514 bytes": 4}, "cocotb_verilator": {None: 100},
             "cocotb_icarus": {None: 1000}}
    result = []
    for row in rows:
        for name, limits in goals.items():
            limit = limits.get(row["load"], limits.get(None))
            of = row["simulations"].get(name)
            if name == "systemc" and row["selection"] != "selected":
                continue
            if limit and of and of["board_is_times"] < limit:
                result.append(f"{row['load']}, {SELECTIONS[row['selection']]}: the board is {of['board_is_times']} times as fast "
                              f"as {NAMES[name]}, under {limit}")
    return result


def show(figures):
    if "skipped" in figures:
        print(f"cocotb: skipped, it cannot be installed: {figures['skipped']}")
    print(f"{'frames/s, median of ' + str(figures['rounds']):28}{'median':>11}  {'min..max':>21}  board is times (min..max)")
    for row in figures["rows"]:
        print(f"{row['load']}, {SELECTIONS[row['selection']]}" +
              (f", {row['bytes_per_frame']} bytes on average" if row["load"] == "mix" else ""))
        for name, of in row["simulations"].items():
            if name == "control":
                continue
            number = lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
            print(f"  {NAMES[name]:26}{number(of['frames_per_second']):>11}  {number(of['minimum']):>10}..{number(of['maximum']):<9}  "
                  f"{of['board_is_times']:9.3f} ({of['board_is_times_min']:.3f}..{of['board_is_times_max']:.3f})"
                  f"  {of['frames']} frames")
        print(f"  bare loop against itself    {row['control_ratio']:.3f}")
    print("All copies and all counters are equal. Icarus 11 does not read the SystemVerilog; it runs what Yosys writes of it.")


def plot(figures):
    """Bars on a logarithmic scale, one group for each load, everything selected."""
    names = [name for name in NAMES if name in figures["rows"][0]["simulations"]]
    colours = dict(zip(NAMES, ("#8a8f98", "#1b6fb8", "#d9822b", "#5b9a46", "#a8559b")))
    rows = [row for row in figures["rows"] if row["selection"] == "selected"]
    left, right, top, bar, gap = 120, 770, 86, 15, 18
    values = [of["frames_per_second"] for row in rows for name, of in row["simulations"].items() if name in names]
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    x = lambda value: left + (right - left) * (math.log10(value) - first) / (last - first)
    bottom = top + len(rows) * (bar * len(names) + gap)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {bottom + 62}" font-family="sans-serif" font-size="12">',
           f'<rect width="860" height="{bottom + 62}" fill="#ffffff"/>',
           '<text x="20" y="26" font-size="16" font-weight="bold">Frames simulated per second, one processor core</text>',
           '<text x="20" y="46" fill="#444444">The same offload, tables, frames and copies; all frames mirrored, logarithmic scale'
           '</text>']
    place = 20
    for name in names:
        out.append(f'<rect x="{place}" y="58" width="11" height="11" fill="{colours[name]}"/>'
                   f'<text x="{place + 16}" y="68">{html.escape(NAMES[name])}</text>')
        place += 34 + 7 * len(NAMES[name])
    for power in range(first, last + 1):
        out.append(f'<line x1="{x(10 ** power):.1f}" x2="{x(10 ** power):.1f}" y1="{top}" y2="{bottom}" stroke="#dddddd"/>'
                   f'<text x="{x(10 ** power):.1f}" y="{bottom + 16}" text-anchor="middle">{10 ** power:,}</text>')
    out.append(f'<text x="{(left + right) / 2}" y="{bottom + 34}" text-anchor="middle">frames per second</text>')
    y = top + gap / 2
    for row in rows:
        label = row["load"] if row["load"] != "mix" else "real mix"
        out.append(f'<text x="{left - 8}" y="{y + bar * len(names) / 2 + 4:.1f}" text-anchor="end">{label}</text>')
        if row["load"] == "mix":
            out.append(f'<text x="{left - 8}" y="{y + bar * len(names) / 2 + 19:.1f}" text-anchor="end" font-size="10">'
                       f'{row["bytes_per_frame"]:.0f} bytes on average</text>')
        for name in names:
            value = row["simulations"][name]["frames_per_second"]
            out.append(f'<rect x="{left}" y="{y:.1f}" width="{max(x(value) - left, 1):.1f}" height="{bar - 2}" '
                       f'fill="{colours[name]}"/><text x="{x(value) + 5:.1f}" y="{y + 11:.1f}" font-size="11">'
                       f'{f"{value:,.0f}" if value >= 10 else f"{value:.1f}"}</text>')
            y += bar
        y += gap
    machine = figures["machine"]
    out.append(f'<text x="20" y="{bottom + 54}" font-size="10" fill="#444444">{html.escape(machine["processor"])}, '
               f'{figures["date"]}, medians of {figures["rounds"]} interleaved rounds, ./dev bench sim</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw them here")
    parser.add_argument("--rounds", type=int, default=7, help="of the comparison (default 7)")
    parser.add_argument("--quick", action="store_true", help="fewer frames: shows that all works, not how fast")
    parser.add_argument("--captures", type=Path, nargs="+", default=CAPTURES, metavar="FILE",
                        help="what the mix is made of (default: those in tests/captures)")
    parser.add_argument("--check", action="store_true",
                        help="only compare the board's copies and counters with the bare loop's")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("at least one round is needed")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.captures, options.quick)
        if options.check:
            check(bench)
            return 0
        python, why = environment()
        figures = {"rounds": options.rounds, "date": datetime.date.today().isoformat()}
        if python:
            cocotb_models(python)
        else:
            figures["skipped"] = why
        figures["rows"] = summary(bench, measure(bench, options.rounds, python))
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    figures["machine"] = {"processor": models[0] if models else platform.machine(), "cpus": os.cpu_count()}
    figures["missed"] = missed(figures["rows"])
    show(figures)
    for sentence in figures["missed"]:
        print("missed:", sentence)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.svg:
        options.svg.write_text(plot(figures), encoding="utf-8")
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, yosys.YosysError) as error:
        sys.exit(f"bench sim: {error}")
