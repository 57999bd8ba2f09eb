#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests reach: lines, branches and toggles of the RTL, lines and branches of driver, sim and host, cover points.

Runs the tests in build-coverage, where all of that is counted, and writes a report to out/coverage. A figure below its
minimum in tests/coverage_minimum.json fails."""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-coverage"
OUT = ROOT / "out/coverage"
WAIVERS = ROOT / "tests/coverage_waivers.txt"
MINIMUM = ROOT / "tests/coverage_minimum.json"
FIGURES = ("RTL lines", "RTL branches", "RTL toggles", "RTL control", "cover points", "C++ lines", "C++ branches")
# Proofs, lint and synthesis run none of what is counted, and the other clients take the steps of boto3's. Random cases run
# apart from the tests, without those that look for what is seeded. The soak, the stop and the scale test hold the service to times
# that a build which counts does not keep; what they reach, other tests reach.
LEFT_OUT = "prove|lint|synthesis|bench|verification|regress|soak|scale"
LEFT_OUT_BY_NAME = "clients: (js|go|aws)|^stop$"


class Counts:
    """Of one file: how often each line and each branch was reached."""

    def __init__(self):
        self.lines = collections.Counter()
        self.branches = collections.Counter()  # by (line, number)
        self.toggles = collections.Counter()  # by (line, signal)

    def waive(self, lines):
        for counts in (self.branches, self.toggles):
            for key in [key for key in counts if key[0] in lines]:
                del counts[key]
        for line in lines:
            self.lines.pop(line, None)


def add(counts, key, count):
    counts[key] += count  # a Counter keeps zeros too


# ---- C++ ----

def gcov(data):
    done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", data.name], cwd=data.parent,
                          capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def decisions(branches):
    """Branches of conditions, without those of a call that may throw: it has two, and one says `throw`."""
    kept, i = [], 0
    while i < len(branches):
        if i + 1 < len(branches) and (branches[i]["throw"] or branches[i + 1]["throw"]):
            i += 2
        else:
            kept += [branches[i]] if not branches[i]["throw"] else []
            i += 1
    return kept


def cpp_counts():
    files = collections.defaultdict(Counts)
    data = [file for part in ("driver", "sim", "host") for file in sorted((BUILD / part).rglob("*.gcda"))]
    if not data:
        raise SystemExit("coverage: no test has counted anything in build-coverage")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for report in (report for reports in pool.map(gcov, data) for report in reports):
            for file in report["files"]:
                path = pathlib.Path(os.path.normpath(BUILD / file["file"]))
                if not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in ("driver", "sim", "host"):
                    continue
                counts = files[str(path.relative_to(ROOT))]
                for line in file["lines"]:
                    number = line["line_number"]
                    add(counts.lines, number, line["count"])
                    for i, branch in enumerate(decisions(line["branches"])):
                        add(counts.branches, (number, i), branch["count"])
    return files


# ---- RTL ----

def merged(parts):
    """All files that the simulations wrote as one, in steps: there are many."""
    for step in range(100):
        if len(parts) == 1:
            return parts[0]
        groups = [parts[i:i + 200] for i in range(0, len(parts), 200)]
        parts = []
        for i, group in enumerate(groups):
            parts.append(OUT / f"rtl-{step}-{i}.dat")
            subprocess.run(["verilator_coverage", "--write", parts[-1], *group], check=True, stdout=subprocess.DEVNULL)
            if step:
                for file in group:
                    file.unlink()
    raise AssertionError


def rtl_counts(folder):
    files = collections.defaultdict(Counts)
    parts = sorted(folder.glob("*.dat"))
    if not parts:
        raise SystemExit("coverage: no simulation has written what it counted")
    for line in merged(parts).read_text(errors="replace").splitlines():
        found = re.match(r"C '(.*)' (\d+)$", line)
        if not found:
            continue
        point = dict(field.split("\x02", 1) for field in found[1].split("\x01") if "\x02" in field)
        path = pathlib.Path(os.path.normpath(BUILD / point["f"]))
        if not path.is_relative_to(ROOT / "rtl"):
            continue
        counts, number, count = files[str(path.relative_to(ROOT))], int(point["l"]), int(found[2])
        page = point["page"].split("/")[0]
        if page == "v_toggle":
            add(counts.toggles, (number, point["o"]), count)
            continue
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", point.get("S", "")):
            for covered in range(int(first), int(last or first) + 1):
                add(counts.lines, covered, count)
        if page == "v_branch":
            add(counts.branches, (number, f"{point['n']} {point['o']}"), count)
    return files


# ---- Waivers, figures and the report ----

def waived(files, text, source):
    """Takes away what the waivers name. @return those that name nothing that was counted"""
    useless = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not all(parts):
            raise SystemExit(f"coverage: {WAIVERS.name}:{number}: a waiver is FILE | TEXT OF THE LINE | REASON")
        path, pattern, _ = parts
        lines = source(path).splitlines()
        chosen = set()
        for first in (i for i, code in enumerate(lines) if pattern in code):
            last = first  # to the end of the statement
            while last + 1 < len(lines) and not re.search(r"([;{}]|\bbegin)\s*(//.*)?$", lines[last]):
                last += 1
            chosen |= set(range(first + 1, last + 2))
        counts = files.get(path)
        if counts is None or not any(counts.lines.get(line) == 0 or any(
                key[0] == line and count == 0 for key, count in counts.branches.items()) for line in chosen):
            useless.append(f"{WAIVERS.name}:{number}: {path}: {pattern}")
            continue
        counts.waive(chosen)
    return useless


def percent(counts):
    counts = list(counts)
    return 100.0 * sum(1 for count in counts if count) / len(counts) if counts else 100.0


def figures_of(files):
    """By figure: reached and all. Control: signals of one bit, that is what is valid, ready, first, enabled and the like."""
    total = {}

    def add_figure(name, values):
        if values:
            total[name] = (sum(1 for count in values if count), len(values))

    for rtl, name in ((True, "RTL"), (False, "C++")):
        here = [counts for path, counts in files.items() if path.startswith("rtl/") == rtl]
        for kind in ("lines", "branches", "toggles"):
            add_figure(f"{name} {kind}", [count for counts in here for count in getattr(counts, kind).values()])
        add_figure(f"{name} control", [count for counts in here for (_, signal), count in counts.toggles.items()
                                       if "[" not in signal])
    return total


def too_low(figures, minimum):
    """Sentences about figures below their minimum. Percentages are compared with one digit."""
    return [f"{name}: {rounded(*figures[name])} %, at least {least} % is wanted" for name, least in minimum.items()
            if rounded(*figures[name]) < least]


def rounded(reached, total):
    """Downwards, so that 100 is all."""
    return math.floor(1000 * reached / total) / 10 if total else 100.0


def write_info(files, path):
    with path.open("w") as out:
        for file, counts in sorted(files.items()):
            print(f"TN:\nSF:{ROOT / file}", file=out)
            numbers = {}
            for (line, name), count in sorted(counts.branches.items(), key=lambda item: (item[0][0], str(item[0][1]))):
                numbers[line] = numbers.get(line, -1) + 1
                taken = count if counts.lines.get(line, 1) else "-"
                print(f"BRDA:{line},0,{numbers[line]},{taken}", file=out)
            for line, count in sorted(counts.lines.items()):
                print(f"DA:{line},{count}", file=out)
            print(f"BRF:{len(counts.branches)}\nBRH:{sum(1 for c in counts.branches.values() if c)}", file=out)
            print(f"LF:{len(counts.lines)}\nLH:{sum(1 for c in counts.lines.values() if c)}\nend_of_record", file=out)


def run_tests(jobs):
    """@return the cover points of the random cases"""
    folder = BUILD / "counted"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for data in BUILD.rglob("*.gcda"):
        data.unlink()
    environment = {**os.environ, "MIRRORNIC_COVERAGE": str(folder), "SYSTEMC_DISABLE_COPYRIGHT_MESSAGE": "1"}
    tests = subprocess.run(["ctest", "--test-dir", BUILD, "-j", str(jobs), "--output-on-failure", "--timeout", "900",
                            "-LE", LEFT_OUT, "-E", LEFT_OUT_BY_NAME, "-Q", "-O", OUT / "tests.log"], env=environment)
    if tests.returncode:
        raise SystemExit(f"coverage: a test failed; {(OUT / 'tests.log').relative_to(ROOT)} says which")
    summary = OUT / "regress/summary.json"
    subprocess.run([sys.executable, ROOT / "tests/regress.py", "--binary", BUILD / "tests/regress", "--seeds", "200",
                    "--jobs", str(jobs), "--json", summary], env=environment, check=True)
    return json.loads(summary.read_text())["cover"]


def table(figures, minimum):
    lines = [f"{'':14}{'reached':>9}{'of':>9}{'percent':>9}{'minimum':>9}"]
    for name in FIGURES:
        reached, total = figures[name]
        lines.append(f"{name:14}{reached:>9}{total:>9}{rounded(reached, total):>9.1f}{minimum.get(name, 0):>9.1f}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="./dev coverage", description=__doc__)
    parser.add_argument("--report", action="store_true", help="run no test, only report on the run before")
    parser.add_argument("--raise-minimum", action="store_true", help="write what was reached as the new minimum")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="J", help="tests at a time; default: one a core")
    parser.add_argument("--missing", action="store_true", help="print every line that was not reached")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    kept = OUT / "points.json"
    if not options.report:
        kept.write_text(json.dumps(run_tests(options.jobs), indent=1) + "\n")
    elif not kept.exists():
        raise SystemExit("coverage: there is no run to report on; leave --report out")
    points = json.loads(kept.read_text())

    files = {**cpp_counts(), **rtl_counts(BUILD / "counted")}
    useless = waived(files, WAIVERS.read_text(), lambda path: (ROOT / path).read_text())
    figures = figures_of(files)
    figures["cover points"] = (sum(1 for hits in points.values() if hits), len(points))
    minimum = json.loads(MINIMUM.read_text())
    if set(minimum) != set(FIGURES):
        raise SystemExit(f"coverage: {MINIMUM.name} has a minimum for each of: {', '.join(FIGURES)}")

    write_info(files, OUT / "coverage.info")
    subprocess.run(["genhtml", "--quiet", "--branch-coverage", "--no-function-coverage", "--prefix", ROOT, "--title", "mirrornic",
                    "--output-directory", OUT, OUT / "coverage.info"], check=True, stdout=subprocess.DEVNULL)
    missing = {path: sorted(line for line, count in counts.lines.items() if not count) for path, counts in files.items()}
    summary = {
        "figures": {name: {"reached": figures[name][0], "of": figures[name][1], "percent": rounded(*figures[name]),
                           "minimum": minimum[name]} for name in FIGURES},
        "files": {path: {kind: {"reached": sum(1 for c in getattr(counts, kind).values() if c),
                                "of": len(getattr(counts, kind))} for kind in ("lines", "branches", "toggles")}
                  for path, counts in sorted(files.items())},
        "lines_not_reached": {path: lines for path, lines in sorted(missing.items()) if lines},
        "points_not_reached": [point for point, hits in points.items() if not hits],
        "seconds": round(time.monotonic() - start),
    }
    (OUT / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")

    print(table(figures, minimum))
    for path, lines in sorted(missing.items(), key=lambda item: (not item[0].startswith("rtl/"), -len(item[1]))):
        counts = files[path]
        if not lines:
            continue
        print(f"{path}: {len(lines)} of {len(counts.lines)} lines not reached")
        if options.missing or path.startswith("rtl/"):
            source = (ROOT / path).read_text().splitlines()
            for line in lines:
                print(f"    {line:>5}  {source[line - 1].strip()}")
    for point in summary["points_not_reached"]:
        print(f"cover point not reached: {point}")
    print("written: out/coverage/index.html, out/coverage/summary.json")
    if options.raise_minimum:
        raised = {name: max(minimum[name], rounded(*figures[name])) for name in FIGURES}
        MINIMUM.write_text(json.dumps(raised, indent=4) + "\n")
        minimum = raised
    failures = too_low(figures, minimum) + [f"a waiver names nothing that is left out: {waiver}" for waiver in useless]
    for failure in failures:
        print(f"coverage: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
