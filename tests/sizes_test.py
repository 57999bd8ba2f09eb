#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A size that the modules are not made for is refused, in a sentence that names it and what is allowed: by the generator
of the register map, and at elaboration, where a map was changed by hand. What is allowed at the ends is taken; that the
stages do what they should at those sizes is shown by their own tests.

    sizes_test.py VERILATOR
"""
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import environment

RTL = Path(__file__).resolve().parent.parent / "rtl"
SOURCE = (RTL / "registers.toml").read_text()
RAW = tomllib.loads(SOURCE)
SIZES, ALLOWED = RAW["sizes"], RAW["allowed"]
# A module that is elaborated alone, for each size: the first one that would break.
MODULES = {"interfaces": ["interface_table"], "slots": ["choose"], "filters": ["filter_table"],
           "rules": ["match_rules", "filter_staging"], "sessions": ["session_table", "session_counters"],
           "services": ["match_services"], "hold_beats": ["hold_buffer", "settle"]}


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def bad_values(name):
    """Just outside, and what is no power of two."""
    least, most = ALLOWED[name]
    if least == most:
        return [0, 1, least - 1, least + 1, 2 * least]
    return [0, 1, least // 2, least - 1, least + 1, 3 * least, most - 1, most + 1, 2 * most]


class Sizes(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def generate(self, changes):
        toml = self.folder / "registers.toml"
        toml.write_text(SOURCE)
        for name, value in changes.items():
            text, count = re.subn(rf"^{name} = \d+", f"{name} = {value}", toml.read_text(), flags=re.M)
            self.assertEqual(count, 1)
            toml.write_text(text)
        return subprocess.run([sys.executable, RTL / "registers.py", toml, "sv", self.folder / "map.sv"],
                              capture_output=True, text=True)

    def elaborate(self, top):
        return subprocess.run([VERILATOR, "--lint-only", "-Wno-lint", "-Wno-style", f"-I{self.folder}", "-y", RTL,
                               self.folder / "map.sv", RTL / "offload.sv", RTL / f"{top}.sv", "--top-module", top],
                              capture_output=True, text=True)

    def sentence(self, name, value):
        least, most = ALLOWED[name]
        may = f"{least} alone" if least == most else f"a power of two from {least} to {most}"
        return f"{name} = {value} is not allowed; it may be {may}"

    def test_each_size_has_limits(self):
        self.assertEqual(set(SIZES), set(ALLOWED))
        self.assertEqual(set(SIZES), set(MODULES))

    def test_generator(self):
        for name in SIZES:
            for value in bad_values(name):
                with self.subTest(size=name, value=value):
                    done = self.generate({name: value})
                    self.assertEqual(done.returncode, 1)
                    self.assertEqual(done.stderr, f"registers.py: {self.sentence(name, value)}\n")
                    self.assertFalse((self.folder / "map.sv").exists())
        done = self.generate({"hold_beats": 600, "rules": 10})
        self.assertEqual(len(done.stderr.splitlines()), 2)  # each is named

    def test_elaboration(self):
        self.assertEqual(self.generate({}).returncode, 0)
        files = [self.folder / "map.sv", self.folder / "sizes.svh"]
        texts = [file.read_text() for file in files]
        for name, modules in MODULES.items():
            for module in modules:
                # Where arithmetic on the size ends the elaboration before its check, that is refused, too.
                for value in bad_values(name)[3:]:
                    with self.subTest(size=name, value=value, module=module):
                        for file, text in zip(files, texts):
                            changed, count = re.subn(rf"int {camel(name)} = \d+;", f"int {camel(name)} = {value};", text)
                            self.assertEqual(count, 1)
                            file.write_text(changed)
                        done = self.elaborate(module)
                        self.assertNotEqual(done.returncode, 0)
                        self.assertIn(self.sentence(name, value), done.stderr)
        for file, text in zip(files, texts):
            file.write_text(text)
        self.assertEqual(self.elaborate("mirror_offload").returncode, 0)

    def test_ends(self):
        for end in (0, 1):
            done = self.generate({name: ends[end] for name, ends in ALLOWED.items()})
            self.assertEqual(done.returncode, 0, done.stderr)
            files = [RTL / name for name in (RTL / "filelist.f").read_text().split()]
            done = subprocess.run([VERILATOR, "--lint-only", "-Wall", f"-I{self.folder}", RTL / "waivers.vlt",
                                   self.folder / "map.sv", *files, "--top-module", "mirror_offload"],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    VERILATOR = sys.argv.pop(1)
    environment.main()
