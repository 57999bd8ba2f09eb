#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Debian's Yosys (0.23) on the RTL.

That version does not resolve a package's references to another package: the sizes of the register map are written
into package offload before it is read. Where it does not understand a construct it often only warns and goes on with
undefined bits, so every warning is an error here.

From the command line: writes a stage as Yosys understands it, as plain Verilog for a simulation.
    yosys.py MAP.sv netlist STAGE OUTPUT.v [-GParameter=value ...]
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RTL = Path(__file__).resolve().parent.parent / "rtl"


class YosysError(Exception):
    pass


def run(map_sv, commands, options=""):
    """Reads the whole design and runs the commands; gives the log."""
    with tempfile.TemporaryDirectory() as folder:
        files = [map_sv]
        for name in (RTL / "filelist.f").read_text().split():
            files.append(RTL / name)
            if name == "offload.sv":
                values = dict(re.findall(r"localparam int (\w+) = (\d+);", Path(map_sv).read_text()))
                files[-1] = Path(folder) / name
                files[-1].write_text(re.sub(r"map::(\w+)", lambda name: values.get(name[1], name[0]), (RTL / name).read_text()))
        script = [f"read_verilog -sv {options} " + " ".join(map(str, files)), *commands]
        result = subprocess.run(["yosys", "-p", "; ".join(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)
    warnings = sorted({line for line in result.stdout.splitlines() if "Warning:" in line})
    if result.returncode != 0:
        raise YosysError("\n".join([line for line in result.stdout.splitlines() if "ERROR" in line] + warnings[:20]))
    if warnings:
        raise YosysError("\n".join(warnings[:20]))
    return result.stdout


def netlist(map_sv, stage, output, parameters):
    sets = " ".join("-chparam {} {}".format(*p.removeprefix("-G").split("=")) for p in parameters)
    run(map_sv, [f"hierarchy -check -top {stage} {sets}", "proc", "opt_expr", "opt_clean", "check -assert",
                 f"rename -top {stage}", f"write_verilog -noattr {output}"])


def main(arguments):
    map_sv, what, stage, output, *parameters = arguments
    if what != "netlist":
        sys.exit(__doc__)
    try:
        netlist(map_sv, stage, output, parameters)
    except YosysError as error:
        sys.exit(f"{stage}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
