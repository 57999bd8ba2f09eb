#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each test of a stage fails when the stage does nothing: its clock stands still but in its reset
(tests/stage.hpp). A test that passes then compares nothing of what the stage is for.

usage: idle_stages_test.py BINARY ..."""
import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path

SECONDS = 10  # a test that waits for what never comes has not passed

# Tests that rightly pass, each by the beginning of its name, and why.
RIGHT = {
    "protection_test": {"": "a circuit without a clock cannot be stopped; ./dev mutate breaks it"},
    "settle_test": {"P23 a pass without a copy settles with its ending": "its output is a function of its inputs alone"},
}


def passes(binary, test):
    """Whether a test passes while the stage does nothing. Its name may have commas, which Catch would split at."""
    name = test.replace("\\", "\\\\").replace(",", "\\,").replace("[", "\\[")
    try:
        return subprocess.run([binary, name, "--abort"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=SECONDS, check=False, env={**os.environ, "MIRRORNIC_IDLE_STAGES": "1",
                                                                 "MIRRORNIC_SEED": "1"}).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def tests_of(binary):
    """The names of a binary's tests. One by one, for a list of names is broken into lines."""
    listed = subprocess.run([binary, "--list-test-names-only"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [line for line in listed.splitlines() if line.strip()]


def main(binaries):
    faults, count = [] if binaries else ["there are no binaries"], 0
    for binary in map(Path, binaries):
        tests = tests_of(binary)
        if not tests:
            faults.append(f"{binary.name}: has no tests")
        right = RIGHT.get(binary.name, {})
        count += len(tests)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for test, passed in zip(tests, pool.map(lambda test: passes(binary, test), tests)):
                excused = any(test.startswith(start) for start in right)
                if passed and not excused:
                    faults.append(f"{binary.name}: passes though the stage does nothing: {test}")
                elif excused and not passed:
                    faults.append(f"{binary.name}: fails as it should, but tests/idle_stages_test.py excuses it: {test}")
    print(f"{count} tests of {len(binaries)} binaries")
    return "\n".join(faults) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
