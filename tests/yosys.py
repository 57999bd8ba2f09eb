#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Debian's Yosys (0.23) on the RTL.

It reads the files of rtl/filelist.f behind the generated map.sv as they are. Where it does not understand a construct it often only warns and goes on with
undefined bits, so every warning is an error here.

From the command line: writes a module as Yosys understands it, as plain Verilog with faults for a simulation.
    yosys.py MAP.sv MODULE OUTPUT.v --mutants N --first K [--also MODULE,...] [-GParameter=value ...]
There are N faults for 100 lines of the module and of those named with --also: a bit of a cell's port is inverted or
constant. The environment variable MUTANT chooses one when the simulation starts, from K up; OUTPUT.ys lists them.
The modules below stay as they are, and are not in OUTPUT.v.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

RTL = Path(__file__).resolve().parent.parent / "rtl"


class YosysError(Exception):
    pass


def run(map_sv, commands, options="", only=None, strict=True):
    """Reads the whole design, or `only` some modules with the others as black boxes, and runs the commands; gives the log.
    `strict`: a warning is an error."""
    map_sv = Path(map_sv).resolve()
    packages, files, boxes = [map_sv, RTL / "offload.sv"], [], []
    for name in (RTL / "filelist.f").read_text().split():
        if name != "offload.sv":
            (boxes if only and name.removesuffix(".sv") not in only else files).append(RTL / name)
    options = f"{options} -I{map_sv.parent}"
    script = [f"read_verilog -sv {options} " + " ".join(map(str, packages + files)), *commands]
    if boxes:
        script.insert(0, f"read_verilog -sv -lib {options} " + " ".join(map(str, packages + boxes)))
    result = subprocess.run(["yosys", "-p", "; ".join(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    warnings = sorted({line for line in result.stdout.splitlines() if "Warning:" in line})
    if result.returncode != 0:
        raise YosysError("\n".join([line for line in result.stdout.splitlines() if "ERROR" in line] + warnings[:20]))
    if warnings and strict:
        raise YosysError("\n".join(warnings[:20]))
    return result.stdout


# The simulation reads the variable once; Verilator has no plusargs where a test gives it no arguments.
CHOSEN = """reg [15:0] mutant;
  initial mutant = 16'($c32("(std::getenv(\\"MUTANT\\") ? std::atoi(std::getenv(\\"MUTANT\\")) : 0)"));"""


def module_alone(module, parameters):
    """Commands after which the mutants of a module have their places."""
    sets = " ".join("-chparam {} {}".format(*p.removeprefix("-G").split("=")) for p in parameters)
    return [f"hierarchy -check -top {module} {sets}", "proc", "opt_expr", "opt_clean", "check -assert", "opt_dff",
            "opt_reduce", "opt_clean", f"rename -top {module}"]


def mutants(map_sv, module, also, output, parameters, percent, first):
    only = {module, *also}
    lines = sum(len((RTL / f"{name}.sv").read_text().splitlines()) for name in only)
    listed = Path(output).with_suffix(".ys")
    run(map_sv, module_alone(module, parameters) + [
        f"mutate -list {max(12, lines * percent // 100)} -seed 1 -ctrl mutant 16 {first} -o {listed}", f"script {listed}",
        f"write_verilog -noattr {output}"], only=only)
    listed.write_text(f"# {module} {','.join(also)} {' '.join(parameters)}\n" + listed.read_text())
    text = Path(output).read_text()
    text = re.sub(r"^ *\.mutant\(mutant\),?\n", "", text, flags=re.M)
    text = re.sub(r",\s+mutant\s*\);$", ");", text, flags=re.M).replace("  input [15:0] mutant;\n", "")
    text = text.replace("  wire [15:0] mutant;\n", f"  {CHOSEN}\n")
    # Verilator reads no more than 40,000 words of a line.
    Path(output).write_text("".join(line.replace(", ", ",\n") if len(line) > 10000 else line
                                    for line in text.splitlines(keepends=True)))


def abc(commands):
    result = subprocess.run(["yosys-abc", "-c", commands], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0 or "Cannot open" in result.stdout:
        raise YosysError(result.stdout)
    return result.stdout


class Mutants:
    """The mutants of a list as circuits, for proofs that one does what the module does. Memories and modules below are cut
    out: what goes to them is an output, what comes from them an input. An undefined bit is an input too: the module does
    not look at it, but a mutant may."""

    def __init__(self, map_sv, listed, folder):
        self.folder = Path(folder)
        head, *lines = listed.read_text().splitlines()
        _, module, also, *parameters = head.split(" ")
        (self.folder / "mutants.ys").write_text("\n".join(lines) + "\n")
        run(map_sv, module_alone(module, [p for p in parameters if p]) + [
            f"script {folder}/mutants.ys", "flatten", "memory -nordff -nomap", "dffunmap", "opt_clean", "setundef -undriven -anyseq",
            "delete t:$anyseq", "techmap", "opt_clean -purge", "delete =A:blackbox", f"write_blif {folder}/all.blif"],
            only={module, *filter(None, also.split(","))}, strict=False)
        self.inputs, self.outputs, self.lines, boxes, used, driven = [], [], [], [], [], set()
        for line in (self.folder / "all.blif").read_text().splitlines():
            kind, *nets = line.split() or [""]
            if kind == ".inputs":
                self.inputs += [net for net in nets if not net.startswith("mutant[")]
            elif kind == ".outputs":
                self.outputs += nets
            elif kind in (".subckt", ".gate"):
                boxes += [net.split("=", 1)[1] for net in nets[1:]]
            elif kind == ".latch":
                used.append(nets[0])
                driven.add(nets[1])
                self.lines.append(re.sub(r" 2$", " 0", line))
            elif kind not in (".model", ".end", "#"):
                if kind == ".names":
                    used += nets[:-1]
                    driven.add(nets[-1])
                self.lines.append(line)
        driven.update(self.inputs)
        self.outputs += [net for net in boxes if net in driven]
        self.inputs += [net for net in dict.fromkeys(boxes + used + self.outputs)
                        if net not in driven and not net.startswith("mutant[")]
        self.outputs = list(dict.fromkeys(self.outputs))
        self.whole = self.circuit(0)

    def circuit(self, number):
        choice = [f".names mutant[{bit}]" + ("\n1" if number >> bit & 1 else "") for bit in range(16)]
        path = self.folder / f"{number}.aig"
        if not path.exists():
            path.with_suffix(".blif").write_text("\n".join([
                ".model top", ".inputs " + " ".join(self.inputs), ".outputs " + " ".join(self.outputs), *choice, *self.lines,
                ".end"]) + "\n")
            abc(f"read_blif {path.with_suffix('.blif')}; strash; write_aiger {path}")
            path.with_suffix(".blif").unlink()
        return path

    def same_logic(self, number):
        """Outputs and next values of flip-flops are the same functions of inputs and flip-flops."""
        return "Networks are equivalent" in abc(f"cec -T 60 -n {self.whole} {self.circuit(number)}")

    def never_differs(self, number):
        """Outputs are the same whatever comes, from a start with all flip-flops at 0."""
        return "Property proved" in abc(
            f"miter {self.whole} {self.circuit(number)}; orpos; scleanup; scorr; pdr -T 20")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map_sv")
    parser.add_argument("module")
    parser.add_argument("output")
    parser.add_argument("--mutants", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--also", type=lambda names: names.split(",") if names else [], default=[])
    options, parameters = parser.parse_known_args()
    try:
        mutants(options.map_sv, options.module, options.also, options.output, parameters, options.mutants, options.first)
    except YosysError as error:
        sys.exit(f"{options.module}: {error}")


if __name__ == "__main__":
    main()
