#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rule H1: what /health says while device and store are in trouble, and after. MIRRORNIC names the command."""
import json
import os
import resource
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import environment
import service
from serve_test import network, objects
from service import Service, await_until

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rtl"))
import registers  # noqa: E402

MAP = registers.Map(Path(registers.__file__).parent / "registers.toml")
BYTES = 0x2000


def address(name, *index):
    register = next(r for r in MAP.registers if r.name == name)
    return register.address + sum(i * stride for i, (_, stride) in zip(index, register.array))


def field(register, name):
    return next(f for r in MAP.registers if r.name == register for f in r.fields if f.name == name)


def registers_of_a_card():
    """What a card without sessions shows, as the bytes of its registers: enough to be opened. It takes no commit."""
    words = {address("magic"): MAP.magic, address("version"): MAP.version, address("map_hash"): MAP.hash,
             address("status"): 1 << field("status", "ready").low}
    for i, name in enumerate(("interfaces", "slots", "filters", "rules", "sessions", "services")):
        words[address("size", i)] = MAP.sizes[name]
    data = bytearray(BYTES)
    for at, word in words.items():
        struct.pack_into("<I", data, at, word)
    return data


class Health(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(network()))

    def start(self, *arguments, **more):
        served = Service(self.folder, self.config, *arguments, **more)
        self.addCleanup(served.__exit__)
        return served

    def health(self, served):
        status, _, body = served.http("GET", "/health")
        said = json.loads(body)
        return status, said["Status"], said.get("Causes", [])

    def await_health(self, served, *wanted):
        await_until(lambda: self.health(served) == wanted, f"/health {wanted}", 10,
                    lambda: f"{self.health(served)}\n{served.log()}")

    def on_small_disk(self, *arguments, **more):
        disk = self.folder / "disk"
        disk.mkdir()
        launcher = service.small_disk(disk)
        if subprocess.run([*launcher, "true"], capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted in a namespace here")
        served = self.start(*arguments, launcher=launcher, **more)
        return served, service.disk_of(served, disk)

    def test_store(self):
        """H1 a full disk degrades for the cause store, a reply that needs no store does not hide it, and room ends
        it without a request."""
        self.config.write_text(json.dumps({**network(), **objects()}))
        served, disk = self.on_small_disk("--import", "--device", f"file:{self.folder}/device",
                                          state="disk/state.sqlite")
        self.assertEqual(self.health(served), (200, "ready", []))
        filler = service.fill(disk)
        made = 0
        while served.call("CreateTrafficMirrorFilter", {"Description": "y" * 255})[0] == 200:
            made += 1
            self.assertLess(made, 1000, "the disk was never full")
        self.await_health(served, 503, "degraded", ["store"])
        served.ok("DescribeTrafficMirrorFilters")
        self.assertEqual(served.call("CreateTrafficMirrorFilter", {"DryRun": "true"})[1], "DryRunOperation")
        self.assertEqual(self.health(served), (503, "degraded", ["store"]))
        filler.unlink()
        self.await_health(served, 200, "ready", [])
        served.ok("CreateTrafficMirrorFilter")
        served.stop()

    def unavailable(self, served, *words):
        """A change has no room now, and its message has these words."""
        status, code, body = served.call("CreateTrafficMirrorFilter")
        self.assertEqual((status, code), (503, "Unavailable"), body)
        for word in words:
            self.assertIn(word, body)

    def test_foreign_lock(self):
        """H1 another program's lock on the state degrades for the cause store and holds nothing up: neither other
        requests nor a stop; its end is found out without a request."""
        served = self.start()
        made = served.ok("CreateTrafficMirrorFilter").findtext("trafficMirrorFilter/trafficMirrorFilterId")
        for how in ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"):
            other = sqlite3.connect(self.folder / "state.sqlite", isolation_level=None)
            other.execute(how)
            began = time.monotonic()
            for _ in range(10):
                self.unavailable(served, "locked by another program")
                served.ok("DescribeTrafficMirrorFilters")
            self.assertEqual(self.health(served), (503, "degraded", ["store"]))
            self.assertLess(time.monotonic() - began, 2)
            other.execute("COMMIT")
            self.await_health(served, 200, "ready", [])
            served.ok("CreateTrafficMirrorFilter")
        other.execute("BEGIN EXCLUSIVE")
        self.unavailable(served)
        began = time.monotonic()
        served.stop()
        self.assertLess(time.monotonic() - began, 2)
        other.close()
        self.assertIn(made, self.start().call("DescribeTrafficMirrorFilters")[2])

    def test_state_is_cut(self):
        """H1 S8 a state, or its log, that is cut, overwritten or copied over while it is served takes no change,
        degrades for the cause store without a request, and the stop says that it is not whole."""
        for part, cut in (("-wal", 0), ("-wal", 100), ("", 0), ("", 1000)):
            with self.subTest(part=part, cut=cut):
                folder = self.folder / f"cut{part}{cut}"
                folder.mkdir()
                served = self.start(state=f"{folder.name}/state.sqlite")
                served.ok("CreateTrafficMirrorFilter")
                self.assertEqual(self.health(served), (200, "ready", []))
                os.truncate(folder / f"state.sqlite{part}", cut)
                self.unavailable(served, f"state.sqlite{part}: the file", "cut or overwritten while it is served")
                self.await_health(served, 503, "degraded", ["store"])
                served.ok("DescribeTrafficMirrorFilters")
                served.stop(1)
                self.assertIn("cut or overwritten while it is served", served.log())
        served = self.start(state="seen.sqlite")
        os.truncate(self.folder / "seen.sqlite", 10)
        self.await_health(served, 503, "degraded", ["store"])  # without a change
        served.stop(1)

    def test_state_is_changed(self):
        """H1 S8 what another program changes in the state is found out within a second or so; a restart reads it."""
        served = self.start()
        made = served.ok("CreateTrafficMirrorFilter").findtext("trafficMirrorFilter/trafficMirrorFilterId")
        other = sqlite3.connect(self.folder / "state.sqlite", isolation_level=None)
        other.execute("CREATE TABLE theirs (a)")  # nothing of ours
        time.sleep(2.5)
        self.assertEqual(self.health(served), (200, "ready", []))
        other.execute("DELETE FROM objects")
        self.await_health(served, 503, "degraded", ["store"])
        self.unavailable(served, "another program has changed what the file holds", "restart the service")
        self.assertIn(made, served.call("DescribeTrafficMirrorFilters")[2])
        other.close()
        served.stop(1)
        served = self.start()
        self.assertNotIn(made, served.call("DescribeTrafficMirrorFilters")[2])
        served.ok("CreateTrafficMirrorFilter")
        served.stop()

    def test_beside_a_reader(self):
        """S8 what reads, copies and checkpoints the state beside the service disturbs nothing."""
        served = self.start()
        end = time.monotonic() + 5
        other = sqlite3.connect(self.folder / "state.sqlite", isolation_level=None, timeout=1)
        turns = 0
        while time.monotonic() < end:
            served.ok("CreateTrafficMirrorFilter")
            list(other.iterdump())
            other.execute(f"PRAGMA wal_checkpoint({('PASSIVE', 'FULL', 'RESTART', 'TRUNCATE')[turns % 4]})")
            subprocess.run([service.MIRRORNIC, "backup", "--state", self.folder / "state.sqlite", "--force",
                            "--to", self.folder / "copy.sqlite"], check=True, capture_output=True)
            self.assertEqual(self.health(served), (200, "ready", []))
            turns += 1
        self.assertGreater(turns, 3)
        other.close()
        served.stop()

    def test_file_size_limit(self):
        """S7 H1 a state that may not grow further is as a full disk: Unavailable, the cause store, and why."""
        served = self.start()
        served.ok("CreateTrafficMirrorFilter")
        limits = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
        size = (self.folder / "state.sqlite-wal").stat().st_size
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
        self.unavailable(served, "File too large")
        self.assertEqual(self.health(served), (503, "degraded", ["store"]))
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, limits)
        self.await_health(served, 200, "ready", [])
        served.ok("CreateTrafficMirrorFilter")
        served.stop()

    def test_device_refuses(self):
        """H1 a device that takes no commit degrades for the cause device; a create that touches no register succeeds
        and does not hide it; the device's recovery ends it without a request."""
        self.config.write_text(json.dumps({**network(), **objects()}))
        served, disk = self.on_small_disk("--import", "--device", f"file:{self.folder}/disk/device")
        subprocess.run(["fallocate", "--punch-hole", "--offset", "4096", "--length", "8192", disk / "device"], check=True)
        filler = service.fill(disk)
        status, code, body = served.call("DeleteTrafficMirrorSession", {"TrafficMirrorSessionId": "tms-1"})
        self.assertEqual((status, code), (500, "InternalError"), body)
        self.assertEqual(self.health(served), (503, "degraded", ["device"]))
        served.ok("CreateTrafficMirrorFilter")
        self.assertEqual(self.health(served), (503, "degraded", ["device"]))
        filler.unlink()
        self.await_health(served, 200, "ready", [])
        served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId="tms-1")
        served.stop()

    def test_device_is_replaced(self):
        """A device whose file is deleted is gone; what stands in its place is opened and brought to the account's
        state."""
        self.config.write_text(json.dumps({**network(), **objects()}))
        device = self.folder / "device"
        served = self.start("--import", "--device", f"file:{device}")
        tables = device.read_bytes()[12288:]
        device.unlink()
        self.await_health(served, 200, "ready", [])
        await_until(device.exists, "another device")
        self.await_health(served, 200, "ready", [])
        self.assertEqual(device.read_bytes()[12288:], tables)
        served.await_log("cause=device")
        served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId="tms-1")
        served.stop()

    def card(self):
        device = self.folder / "card"
        device.write_bytes(registers_of_a_card())
        return device, self.start("--device", f"file:{device}")

    def check_gone(self, served):
        """Every change is Unavailable, and what is only read is served."""
        for action, parameters in (("CreateTrafficMirrorTarget", {"NetworkInterfaceId": "eni-c"}),
                                   ("CreateTrafficMirrorFilter", {"DryRun": "true"})):
            answer = served.call(action, parameters)
            self.assertEqual(answer[:2], (503, "Unavailable"), answer)
        for what in ("Sessions", "Targets", "Filters"):
            self.assertEqual(served.ok(f"DescribeTrafficMirror{what}").findall("*/item"), [])
        self.assertEqual(self.health(served), (503, "degraded", ["device"]))
        self.assertEqual(served.http("GET", "/stats")[0], 503)
        status, _, body = served.http("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b"process_", body)

    def test_all_ones(self):
        """A card that reads as all ones is not ready: changes are Unavailable, reads are served, and it is used
        again when it answers again."""
        device, served = self.card()
        self.assertEqual(self.health(served), (200, "ready", []))
        with open(device, "r+b") as file:
            file.write(b"\xff" * BYTES)
        self.await_health(served, 503, "degraded", ["device"])
        self.check_gone(served)
        with open(device, "r+b") as file:
            file.write(registers_of_a_card())
        self.await_health(served, 200, "ready", [])
        served.stop()

    def test_mapping_goes_away(self):
        """A mapped file that is cut ends neither the process (SIGBUS) nor its service; a whole one in its place
        is opened."""
        device, served = self.card()
        os.truncate(device, 0)
        self.await_health(served, 503, "degraded", ["device"])
        self.check_gone(served)
        os.truncate(device, 100)
        self.await_health(served, 503, "degraded", ["device"])
        device.unlink()
        other = self.folder / "other"
        other.write_bytes(registers_of_a_card())
        other.rename(device)
        self.await_health(served, 200, "ready", [])
        served.stop()

    def test_endless_fault(self):
        """H1 a device that reports a fault in an entry that it does not have, each second, is not ready."""
        device, served = self.card()
        place, index = field("fault", "place"), field("fault", "index")
        with open(device, "r+b") as file:
            file.seek(address("fault"))
            file.write(struct.pack("<I", MAP.faults["interface"] << place.low | index.full << index.low))
        self.await_health(served, 503, "degraded", ["device"])
        with open(device, "r+b") as file:
            file.seek(address("fault"))
            file.write(bytes(4))
        self.await_health(served, 200, "ready", [])
        self.assertLessEqual(served.log().count("degraded"), 2, served.log())
        served.stop()

    def test_gone_at_the_start(self):
        """A card that reads as all ones at the start is exit status 3."""
        device = self.folder / "card"
        device.write_bytes(b"\xff" * BYTES)
        served = self.start("--device", f"file:{device}", ready=False)
        self.assertEqual(served.process.wait(20), 3, served.log())
        self.assertIn("all ones", served.log())


if __name__ == "__main__":
    environment.main()
