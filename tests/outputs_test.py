#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `run` and `serve` write, and what goes wrong with it. MIRRORNIC names the binary."""
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from command_test import config, udp, write_pcap
from service import MIRRORNIC, Service, make_certificate, write_credentials


def network():
    """The configuration's interfaces alone."""
    return {"NetworkInterfaces": config()["NetworkInterfaces"]}


class Outputs(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(config()))
        self.network = self.folder / "network.json"
        self.network.write_text(json.dumps(network()))
        self.capture = self.folder / "in.pcap"
        write_pcap(self.capture, [(10**9 + i, udp()) for i in range(10)])

    def call(self, *arguments, **more):
        return subprocess.run([MIRRORNIC, *map(str, arguments)], capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, **more)


class Apart(Outputs):
    """No output may be an input or another output."""

    def other_name(self, path, how):
        if how == "dot":
            return f"{path.parent}/./{path.name}"
        link = self.folder / f"{how}-{path.name}"
        if link.is_symlink() or link.exists():
            link.unlink()
        if how == "symbolic":
            link.symlink_to(path)
        else:
            if not path.exists():
                return f"{path.parent}/../{path.parent.name}/{path.name}"
            link.hardlink_to(path)
        return str(link)

    def refused(self, command, names, outputs, fixed=()):
        """Each output beside each other option, under another name: refused, and nothing is touched."""
        for (first, second), how in itertools.product(itertools.permutations(names, 2), ("dot", "symbolic", "hard")):
            if second not in outputs:
                continue
            with self.subTest(command=command, first=first, second=second, how=how):
                given = dict(names)
                given[second] = self.other_name(given[first], how)
                before = {path: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
                done = self.call(command, *fixed, *itertools.chain(*given.items()))
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(b" is named for ", done.stderr)
                for option in (first, second):
                    self.assertIn(option.encode(), done.stderr)
                self.assertEqual(before, {path: path.read_bytes() for path in self.folder.iterdir() if path.is_file()})

    def test_run(self):
        """run refuses every pair of options of which one writes that name one file."""
        requests = self.folder / "r.jsonl"
        requests.write_text("")
        state = self.folder / "state.sqlite"
        with Service(self.folder, self.network) as served:
            served.stop()
        names = {"--config": self.network, "--in": self.capture, "--state": state, "--requests": requests}
        outputs = {name: self.folder / name[2:] for name in ("--out", "--forward", "--decisions", "--stats", "--replies",
                                                             "--wave")}
        (self.folder / "out").write_bytes(b"before")  # some are there, some are not
        (self.folder / "stats").write_bytes(b"before")
        self.refused("run", {**names, **outputs}, outputs)

    def test_serve(self):
        """serve refuses every pair of options of which one writes that name one file."""
        certificate, key = make_certificate(self.folder)
        options = self.folder / "options"
        options.write_text("region = eu-west-1\n")
        names = {"--config": self.network, "--in": self.capture, "--options": options, "--tls-cert": certificate,
                 "--tls-key": key, "--credentials": write_credentials(self.folder / "keys.json")}
        outputs = {name: self.folder / name[2:] for name in ("--out", "--forward", "--decisions", "--stats", "--state")}
        (self.folder / "out").write_bytes(b"before")
        self.refused("serve", {**names, **outputs}, outputs, ["--listen", "127.0.0.1:0"])

    def test_database(self):
        """serve keeps its outputs from the database's own files and from a device's file."""
        for end in ("-wal", "-shm", "-journal"):
            done = self.call("serve", "--listen", "127.0.0.1:0", "--config", self.network, "--state",
                             self.folder / "s.sqlite", "--in", self.capture, "--out", self.folder / ("s.sqlite" + end))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(b"--state's database", done.stderr)
        done = self.call("serve", "--listen", "127.0.0.1:0", "--config", self.network, "--state", self.folder / "s",
                         "--device", f"file:{self.folder}/./s")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertFalse((self.folder / "s").exists())

    def test_devices_and_streams(self):
        """Character devices may be named twice; of standard output and a file that it goes to there is one."""
        base = ["run", "--config", self.config, "--in", self.capture]
        self.assertEqual(self.call(*base, "--out", "/dev/null", "--forward", "/dev/null").returncode, 0)
        self.assertIn(b"standard output", self.call(*base, "--out", "-", "--forward", "-").stderr)
        both = self.call(*base, "--out", "-", "--forward", "/dev/stdout")  # a pipe
        self.assertEqual(both.returncode, 1)
        self.assertEqual(both.stdout, b"")
        for option in ("--stats", "--replies", "--out"):  # nothing else is written there
            more = [] if option == "--out" else ["--out", "/dev/null"]
            alone = self.call(*base, *more, option, "-")
            self.assertEqual(alone.returncode, 0, alone.stderr)
            self.assertNotIn(b"passes at taps or none", alone.stdout)
            self.assertIn(b"passes at taps or none", alone.stderr)
        with open(self.folder / "all", "wb") as file:
            done = subprocess.run([MIRRORNIC, *map(str, base), "--out", file.name], stderr=file, stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard error", (self.folder / "all").read_bytes())

    def test_ready_line(self):
        """serve --out - writes a capture to standard output and nothing else; the ready line is on standard error."""
        with Service(self.folder, self.network, "--in", self.capture, "--out", "-", ready=False) as served:
            served.await_log('"Status":"ready"')
            served.await_log("the capture has ended")
            served.process.send_signal(signal.SIGTERM)
            data = served.process.stdout.read()
            self.assertEqual(served.process.wait(20), 0)
            self.assertEqual(len(data), 24)


if __name__ == "__main__":
    os.umask(0o77)
    unittest.main(verbosity=2)
