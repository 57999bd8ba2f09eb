#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts in place: the binary, a man page, shell completion and a systemd unit, and that each knows
every option of the command. The argument is the build folder."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import environment

BUILD = Path(sys.argv.pop(1)).resolve()


def output(*arguments, **options):
    return subprocess.run(arguments, check=True, capture_output=True, text=True, **options).stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.prefix = Path(cls.folder.name)
        output("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.command = cls.prefix / "bin/mirrornic"
        cls.options = {name: set(re.findall(r"--[a-z][a-z-]*", output(cls.command, name, "--help").split("\n\n", 1)[1]))
                       for name in ("run", "serve", "check")}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_the_installed_command_runs(self):
        self.assertIn("register map", output(self.command, "--version"))
        for name, least in (("run", 15), ("serve", 20), ("check", 2)):
            self.assertGreater(len(self.options[name]), least, name)

    def test_the_man_page_names_every_option(self):
        page = (self.prefix / "share/man/man1/mirrornic.1").read_text().replace("\\-", "-")
        for name, options in self.options.items():
            for option in options:
                self.assertIn(option, page, f"{name} {option}")

    def test_completion_offers_every_option_and_no_other(self):
        script = self.prefix / "share/bash-completion/completions/mirrornic"
        for name, options in self.options.items():
            offered = output("bash", "-c", f"source {script}; COMP_WORDS=(mirrornic {name} --); COMP_CWORD=2; _mirrornic; "
                                           'printf "%s\\n" "${COMPREPLY[@]}"').split()
            self.assertEqual(set(offered), options, name)

    def unit(self):
        """The unit, and the words of the command that it starts."""
        unit = (self.prefix / "lib/systemd/system/mirrornic.service").read_text()
        return unit, re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()

    def test_the_unit_starts_the_installed_command(self):
        _, start = self.unit()
        self.assertEqual(Path(start[0]).name, "mirrornic")
        options = environment.some([word for word in start[1:] if word.startswith("--")], "options")
        self.assertLessEqual(set(options), self.options["serve"])

    def test_systemd_takes_the_unit(self):
        unit, start = self.unit()
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed: the unit's syntax was not checked")
        installed = self.prefix / "mirrornic.service"
        installed.write_text(unit.replace(start[0], str(self.command)))
        checked = subprocess.run(["systemd-analyze", "verify", "--man=no", installed], capture_output=True, text=True,
                                 env={**os.environ, "SYSTEMD_LOG_LEVEL": "err"}, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)


if __name__ == "__main__":
    environment.main()
