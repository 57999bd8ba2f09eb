#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/peers.py: what it reads from counters and copies, and one very short run of it. Status 77 where that cannot be
done: it needs root, network namespaces, iproute2, and for its second half Open vSwitch."""
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import peers  # noqa: E402

COMMAND = [sys.executable, ROOT / "bench/peers.py", "--rounds", "1", "--seconds", "0.05", "--length", "512"]
skipped = []


def daemons():
    """Processes whose files are in a folder of the bench."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"mirrornic-peers-" in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            pass
    return found


def left_behind():
    """Daemons that are still there when the kernel has had time to end those of a bench that has ended."""
    until = time.monotonic() + 5
    while daemons() and time.monotonic() < until:
        time.sleep(0.05)
    return daemons()


class Peers(unittest.TestCase):
    def test_counters_are_read_by_device(self):
        text = ("Inter-|   Receive                |  Transmit\n"
                " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
                "    lo:     100       2    0    0    0     0          0         0      100       2\n"
                "s-ovs:123456789    7    0    0    0     0          0         0        9       1\n")
        self.assertEqual(peers.received_frames(text), {"lo": 2, "s-ovs": 7})

    def test_a_copy_is_taken_apart_and_a_wrong_one_is_named(self):
        inner = peers.frames_of(60)[3]
        address = lambda of: bytes(map(int, of.split(".")))
        copy = (bytes(12) + b"\x08\x00" + b"\x45\x00" + (96).to_bytes(2, "big") + bytes(5) + b"\x11\x00\x00" +
                address(peers.LOCAL) + address(peers.REMOTE) + b"\xc0\x00" + (4789).to_bytes(2, "big") + bytes(4) +
                b"\x08\x00\x00\x00" + peers.VNI.to_bytes(3, "big") + b"\x00" + inner)
        self.assertEqual(peers.copy_of(copy), (peers.VNI, inner))
        with self.assertRaisesRegex(peers.Failed, "UDP port 4790"):
            peers.copy_of(copy[:36] + (4790).to_bytes(2, "big") + copy[38:])
        with self.assertRaisesRegex(peers.Failed, "not UDP"):
            peers.copy_of(copy[:23] + b"\x06" + copy[24:])

    def test_a_short_run_measures_what_is_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "peers.json"
            done = subprocess.run([*COMMAND, "--json", file], capture_output=True, text=True)
            if done.returncode == 77:
                skipped.append(done.stdout.strip())
                return
            self.assertEqual(done.returncode, 0, done.stderr)
            figures = json.loads(file.read_text())
        skipped.extend(f"{name}: {what}" for name, what in figures["switches"].items() if what.startswith("skipped"))
        switches = {row["switch"] for row in figures.get("rows", [])}
        self.assertEqual(len(switches), sum(not what.startswith("skipped") for what in figures["switches"].values()))
        self.assertEqual(len(figures["switches"]), 2)
        for row in figures.get("rows", []):
            with self.subTest(switch=row["switch"], selection=row["selection"]):
                self.assertGreater(row["production_per_second"]["median"], 0)
                self.assertGreater(row["cpu_us_per_frame"]["median"], 0)
                self.assertEqual("copies_per_second" in row, row["selection"] not in ("base", "control", "nothing"))
        self.assertEqual([row["length"] for row in figures["offload"]["rows"]], [60, 512, 1514])
        self.assertEqual(left_behind(), [])

    def test_an_interrupt_leaves_nothing_behind(self):
        interrupted = 0
        for how in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            until = time.monotonic() + 10  # in the middle of it: where there is Open vSwitch, its daemons run
            while not daemons() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            process.send_signal(how)
            _, errors = process.communicate(timeout=15)
            self.assertEqual(left_behind(), [])
            if process.returncode == 77 or (process.returncode == 0 and not shutil.which("ovs-vswitchd")):
                continue  # it has come to its end
            self.assertEqual(process.returncode, 130, errors)
            interrupted += 1
        if not interrupted:
            skipped.append("nothing was interrupted: the bench ended before, as it does without Open vSwitch")


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    for why in skipped:
        print(why)
    sys.exit(1 if not result.wasSuccessful() else 77 if skipped else 0)
