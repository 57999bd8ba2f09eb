#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of one module or file, for `./dev test NAME`.

NAME is a test (`admit_test`, `serve`), a module of rtl/ (`admit`, `column_parity`) or a C++ file (`live_writer`,
`host/frames/live_writer.cpp`). Prints a line for each of its tests: the target to build, the name by which ctest knows it, and
`python` where the target is what a Python test runs.
"""
import difflib
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import mutate_cpp  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def stage_tests():
    """{module: its stage tests}: those that have it as their top, or have an instance of it inside."""
    sources = {path.stem: path.read_text() for path in ROOT.glob("rtl/*.sv")}
    inside = {name: {other for other in sources if other != name and re.search(rf"^\s*{other}\b[^;]*\(", text, re.MULTILINE)}
              for name, text in sources.items()}
    found = {}
    for test in sorted(HERE.glob("*_test.cpp")):
        for top in set(re.findall(r"#include <V(\w+)\.h>", test.read_text())):
            module = re.sub(r"_\d+$", "", top)  # one for each width
            found.setdefault(module, set()).add(test.stem)
    for name in sources:
        if name not in found:
            of = {test for outer, its in inside.items() if name in its for test in found.get(outer, ())}
            if of:
                found[name] = of
    return found


def programs(name):
    """The programs that a Python test is given in tests/CMakeLists.txt."""
    text = (HERE / "CMakeLists.txt").read_text()
    return re.findall(r"TARGET_FILE:(\w+)", "".join(re.findall(rf"python_test\({name}\b[^)]*\)", text))) or ["mirrornic"]


def known():
    """{name: [(target, name in ctest, "python"?)]}."""
    names = {}
    for path in HERE.glob("*_test.cpp"):
        names[path.stem] = [(path.stem, path.stem + ":")]
    for path in HERE.glob("*_test.py"):
        stem = path.stem.removesuffix("_test")
        for target in programs(stem):
            names.setdefault(stem, []).append((target, stem, "python"))
        names[path.stem] = names[stem]
    for module, tests in stage_tests().items():
        names[module] = [(test, test + ":") for test in sorted(tests)]
    for path, tests in mutate_cpp.UNITS.items():
        names[path] = names[Path(path).stem] = [
            (target, test, "python") if test in mutate_cpp.PROGRAMS else (target, test + ":")
            for test, target in zip(tests, mutate_cpp.targets(path), strict=True)]
    return names


def main():
    name = sys.argv[1]
    names = known()
    if name not in names:
        near = difflib.get_close_matches(name, names, 3, 0.5)
        sys.exit(f"There is no test, module or file {name}" + (f"; did you mean {' or '.join(near)}?" if near else "."))
    for test in names[name]:
        print(*test)


if __name__ == "__main__":
    main()
