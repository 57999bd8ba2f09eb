#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./dev doctor` in a copy of the checkout's first files, with programs that say what a machine lacks."""
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = {"git": "2.39", "cmake": "3.25.1", "ninja": "1.11.1", "g++": "12.2.0", "verilator": "5.006", "python3": "3.11.2"}


class Doctor(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "tools").mkdir()
        for name in ("dev", "packages.txt"):
            shutil.copy(ROOT / name, self.root)
        for name, version in VERSIONS.items():
            self.program(name, f"echo 'version {version}'")
        packages = [line.split()[0] for line in (ROOT / "packages.txt").read_text().splitlines() if line[0] != "#"]
        self.installed(packages)
        self.program("unshare", "exit 0")

    def program(self, name, script):
        file = self.root / "tools" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def installed(self, packages):
        self.program("dpkg-query", "\n".join(f"echo 'installed, {name}, '" for name in packages))

    def doctor(self):
        path = f"{self.root / 'tools'}:{os.environ['PATH']}"
        before = sorted(self.root.rglob("*"))
        done = subprocess.run([self.root / "dev", "doctor"], env={**os.environ, "PATH": path}, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(sorted(self.root.rglob("*")), before, "it changes nothing")
        self.assertEqual(done.stderr, "")
        return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("MISSING")], done.stdout

    def test_nothing_is_missing(self):
        status, missing, printed = self.doctor()
        self.assertEqual((status, missing), (0, []), printed)
        self.assertIn("./dev test has what it needs", printed)

    def test_packages(self):
        """One that building needs and one that only tests need are named, with the command that installs them."""
        packages = [line.split()[0] for line in (ROOT / "packages.txt").read_text().splitlines() if line[0] != "#"]
        self.installed(name for name in packages if name not in ("libsystemc-dev", "awscli"))
        status, missing, printed = self.doctor()
        self.assertEqual(status, 1)
        for line, name in zip(missing, ("libsystemc-dev", "awscli")):
            self.assertIn(f": {name}. To install them: ./dev packages", line)
        self.assertEqual(len([line for line in missing if "Debian packages" in line]), 2, printed)

    def test_programs(self):
        """One that is older than the build needs, wherever it comes from; what is as new is fine."""
        self.program("verilator", "echo 'Verilator 4.038 2020-07-11'")
        self.program("cmake", "echo 'cmake version 3.100.0'")
        status, missing, _ = self.doctor()
        self.assertEqual(status, 1)
        self.assertEqual(len(missing), 1)
        self.assertRegex(missing[0], r"verilator 5\.006 or newer: .*/tools/verilator is 4\.038")

    def test_no_checkout(self):
        self.program("git", "[ \"$1\" = --version ] && echo 'git version 2.39.5'")
        status, missing, _ = self.doctor()
        self.assertEqual(status, 1)
        self.assertIn("a git checkout", missing[0])

    def test_rights(self):
        """Without namespaces tests of full disks fail, and others are skipped."""
        self.program("unshare", "exit 1")
        status, missing, printed = self.doctor()
        self.assertEqual(status, 1)
        self.assertEqual(len(missing), 1)
        self.assertIn("the right to mount a file system", missing[0])
        self.assertIn("note     no network namespace", printed)


if __name__ == "__main__":
    environment.main()
