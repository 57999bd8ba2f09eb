#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The random regression itself: a seed is a case, a failure is found and made small, and its list is the documents'."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

import environment

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGRESS = os.environ.get("REGRESS", str(ROOT / "build/tests/regress"))
MIRRORNIC = os.environ.get("MIRRORNIC", str(ROOT / "build/host/mirrornic"))


def regress(*arguments, status=0):
    done = subprocess.run([REGRESS, *map(str, arguments)], capture_output=True, text=True, timeout=280)
    assert done.returncode == status, f"status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def hashes(text):
    return dict(line.split() for line in text.splitlines() if re.fullmatch(r"\d+ [0-9a-f]{16}", line))


def run_in_parts(folder, *arguments):
    summary = pathlib.Path(folder) / "summary.json"
    done = subprocess.run([sys.executable, ROOT / "tests/regress.py", "--binary", REGRESS, "--json", summary, *arguments],
                          capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(summary.read_text())


class Regress(unittest.TestCase):
    def test_a_case_is_its_seed_whatever_ran_before_it(self):
        together = hashes(regress("--first", 1, "--seeds", 100, "--frames", 60, "--hashes"))
        self.assertEqual(len(together), 100)
        self.assertEqual(len(set(together.values())), 100)
        others = hashes(regress("--first", 31, "--seeds", 20, "--frames", 60, "--hashes"))  # other cases before them
        self.assertEqual(others, {seed: together[seed] for seed in map(str, range(31, 51))})
        for seed in (1, 2, 37, *range(38, 100, 6), 99, 100):
            alone = hashes(regress("--seed", seed, "--frames", 60, "--hashes"))
            self.assertEqual(alone, {str(seed): together[str(seed)]})

    def test_a_bug_is_found_and_shrunk_to_a_capture_that_the_command_replays(self):
        with tempfile.TemporaryDirectory() as folder:
            text = regress("--seeded-bug", "--first", 1, "--seeds", 40, "--frames", 300, "--failures", 6, "--out", folder,
                           status=1)
            shrunk = re.findall(r"shrunk to (\d+) passes and (\d+) other events in (\S+);", text)
            self.assertEqual(len(shrunk), 6, text)
            for passes, others, _ in shrunk:
                self.assertLessEqual(int(passes), 3, text)
                self.assertLessEqual(int(others), 2, text)
            # The bug needs two copies, so that fewer passes cannot show it.
            self.assertEqual(min(int(passes) for passes, _, _ in shrunk), 2)
            replays = [pathlib.Path(path) for _, _, path in shrunk if (pathlib.Path(path) / "command.txt").exists()]
            self.assertTrue(replays, text)
            for path in replays:
                command = shlex.split((path / "command.txt").read_text())
                self.assertEqual(command[0], "mirrornic")
                subprocess.run([MIRRORNIC, *command[1:], "--stats", "stats.json", "--quiet"], cwd=path, check=True,
                               capture_output=True, timeout=60)
                frames = json.loads((path / "stats.json").read_text())["frames"]
                self.assertEqual(frames["received"], int(dict((p, n) for n, _, p in shrunk)[str(path)]))
                self.assertGreaterEqual(frames["mirrored"], 2)
                self.assertEqual(frames["mirrored"], frames["selected"])
            for _, _, path in shrunk:
                told = (pathlib.Path(path) / "case.txt").read_text()
                self.assertIn("command.txt replays it" if pathlib.Path(path) in replays else "cannot replay it", told)

    def test_shards_are_the_whole_and_their_sums_close(self):
        with tempfile.TemporaryDirectory() as folder:
            whole = run_in_parts(folder, "--seeds", "12", "--frames", "40", "--jobs", "2")
            shards = [run_in_parts(folder, "--seeds", "12", "--frames", "40", "--jobs", "1", "--shard", f"{i}/3")
                      for i in range(3)]
        self.assertEqual(whole["seeds"], 12)
        for key in ("seeds", "frames", "failures"):
            self.assertEqual(sum(shard[key] for shard in shards), whole[key])
        self.assertGreater(sum(hits > 0 for hits in whole["cover"].values()), 50)
        for point, hits in whole["cover"].items():
            self.assertEqual(sum(shard["cover"][point] for shard in shards), hits, point)

    def test_the_cover_points_are_those_of_the_document(self):
        self.assertIn(regress("--points"), (ROOT / "docs/coverage.md").read_text(),
                      "docs/coverage.md is not the list any more; build/tests/regress --points prints it")


if __name__ == "__main__":
    environment.main()
