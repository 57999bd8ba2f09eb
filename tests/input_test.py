#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The capture that `mirrornic serve` takes its frames from: nothing that happens to it stops the API. MIRRORNIC names the
command."""
import json
import os
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import environment
from serve_test import HEADER, copies, frame, network, objects, record
from service import MIRRORNIC, Service, await_until


def stamped(seconds, number=0):
    """A record of an accepted frame."""
    return record(frame(number), when=seconds)


def stamps(path):
    """Seconds of the whole records of a pcap file."""
    data, out, offset = Path(path).read_bytes() if Path(path).exists() else b"", [], 24
    while offset + 16 <= len(data):
        seconds, _, size = struct.unpack_from("<III", data, offset)
        offset += 16 + size
        if offset <= len(data):
            out.append(seconds)
    return out


class Input(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps({**network(), **objects()}))
        self.out = self.folder / "out.pcap"

    def start(self, source, *arguments, **more):
        served = Service(self.folder, self.config, "--import", "--in", source, "--out", self.out, *arguments, **more)
        self.addCleanup(served.__exit__)
        return served

    def check_serves(self, served):
        served.ok("CreateTrafficMirrorFilter")
        served.ok("DescribeTrafficMirrorSessions")

    def health(self, served):
        status, _, body = served.http("GET", "/health")
        said = json.loads(body)
        return status, said["Status"], said.get("Causes", [])

    def await_copies(self, count):
        await_until(lambda: len(copies(self.out)) >= count, f"{count} copies")

    def test_no_head(self):
        """A pipe that has brought nothing yet holds up neither the start, a reload nor the stop."""
        served = self.start("-", stdin=subprocess.PIPE)
        self.check_serves(served)
        served.process.send_signal(signal.SIGHUP)
        served.await_log("configuration reloaded")
        self.assertEqual(self.health(served), (200, "ready", []))
        served.process.stdin.write(HEADER + stamped(1))
        served.process.stdin.flush()
        self.await_copies(1)
        self.check_serves(served)
        served.stop()

    def test_reload_while_it_starts(self):
        """SIGHUP at any moment of the start ends nothing, and is done once there is something to reload."""
        for wait in (0, 0.01, 0.02, 0.04, 0.08):
            served = self.start("-", stdin=subprocess.PIPE, ready=False)
            time.sleep(wait)
            # Until the loader has come to the program's own code the process has the signal's default.
            status = Path(f"/proc/{served.process.pid}/status")
            await_until(lambda: "SigBlk:\t0000000000000001" in status.read_text() or served.log(), "a start")
            served.process.send_signal(signal.SIGHUP)
            served.wait_ready()
            served.await_log("configuration reloaded")
            served.stop()

    def test_stop_without_head(self):
        """SIGTERM ends in order a service whose pipe never brings a byte."""
        served = self.start("-", stdin=subprocess.PIPE)
        served.stop()

    def test_named_pipe(self):
        """A named pipe without writer holds up nothing; its frames are mirrored when a writer comes, and its end is the
        capture's."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        served = self.start(pipe)
        self.check_serves(served)
        with open(pipe, "wb") as writer:
            writer.write(HEADER + stamped(1) + stamped(2))
            writer.flush()
            self.await_copies(2)
        served.await_log("the capture has ended")
        self.check_serves(served)
        self.assertEqual(self.health(served), (200, "ready", []))
        served.stop()

    def test_stop_at_a_named_pipe(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        served = self.start(pipe)
        served.stop()

    def test_damage(self):
        """H1 what is no capture, and damage in one, end the traffic: said in the log and in /health as output; frames
        before it are mirrored, and the API goes on."""
        for name, data, whole in (("no head", b"this is no capture at all" * 10, 0),
                                  ("another link type", HEADER[:20] + struct.pack("<I", 113) + stamped(1), 0),
                                  ("a record too long", HEADER + stamped(1) + struct.pack("<IIII", 1, 0, 1 << 30, 1 << 30), 1)):
            with self.subTest(name):
                self.out.unlink(missing_ok=True)
                (self.folder / "state.sqlite").unlink(missing_ok=True)
                served = self.start("-", stdin=subprocess.PIPE)
                served.process.stdin.write(data)
                served.process.stdin.flush()
                await_until(lambda: self.health(served) == (200, "degraded", ["output"]), "degraded", 10, served.log)
                self.await_copies(whole)
                self.check_serves(served)
                served.await_log("cause=output")
                served.stop()

    def test_missing_or_no_capture(self):
        """A file that is not there, or is no capture, is refused at the start."""
        (self.folder / "text").write_text("no capture")
        for name in ("none", "text"):
            served = self.start(self.folder / name, ready=False)
            self.assertEqual(served.process.wait(20), 1, served.log())
            self.assertIn(name, served.log())

    def test_loop_needs_a_file(self):
        """--loop with what cannot be read again is wrong usage."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for name in (pipe, "-", "/dev/zero"):
            done = subprocess.run([MIRRORNIC, "serve", "--config", self.config, "--in", name, "--out", self.out, "--loop"],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, done.stderr)

    def test_renamed(self):
        """A capture that is renamed, replaced by name or deleted while it is looped is read on from its beginning."""
        capture = self.folder / "in.pcap"
        capture.write_bytes(HEADER + stamped(1) + stamped(2))
        served = self.start(capture, "--loop")
        self.await_copies(10)
        capture.rename(self.folder / "renamed")
        capture.write_bytes(b"something else")
        self.await_copies(len(copies(self.out)) + 10)
        (self.folder / "renamed").unlink()
        self.await_copies(len(copies(self.out)) + 10)
        self.assertEqual(self.health(served), (200, "ready", []))
        self.check_serves(served)
        served.stop()

    def test_cut_while_looped(self):
        """H1 a capture that is overwritten while it is looped ends the traffic, not the service."""
        capture = self.folder / "in.pcap"
        capture.write_bytes(HEADER + stamped(1) + stamped(2))
        served = self.start(capture, "--loop")
        self.await_copies(10)
        with open(capture, "r+b") as file:
            file.write(b"something else")
        await_until(lambda: self.health(served) == (200, "degraded", ["output"]), "degraded", 10, served.log)
        self.check_serves(served)
        served.stop()

    def test_stamps_of_rounds(self):
        """A round's time stamps follow those of the round before, and begin anew at the capture's own where the next
        round would not fit into pcap's 32 bits of seconds."""
        capture = self.folder / "in.pcap"
        first, last = 1_000_000_000, 2_500_000_000
        capture.write_bytes(HEADER + stamped(first) + stamped(last))
        served = self.start(capture, "--loop")
        self.await_copies(20)
        self.check_serves(served)
        served.stop()
        span = last - first
        one_round = [first, last]
        expected = [*one_round, *(second + span for second in one_round)] * 5
        self.assertEqual(stamps(self.out)[:20], expected)

    def test_stamp_that_does_not_fit(self):
        """A frame whose time stamp a pcap file cannot hold ends the traffic, with a message that names the frame, and
        not the service."""
        def block(kind, body):
            body += bytes(-len(body) % 4)
            return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

        def packet(seconds):
            stamp, data = seconds * 1_000_000, frame()
            return block(6, struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xffffffff, len(data), len(data)) + data)

        file = self.folder / "late.pcapng"
        file.write_bytes(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) +
                         block(1, struct.pack("<HHI", 1, 0, 0)) + packet(1) + packet(2) + packet(1 << 33) + packet(3))
        served = self.start(file)
        await_until(lambda: self.health(served) == (200, "degraded", ["output"]), "degraded", 10, served.log)
        served.await_log("frame 3")  # the log is written in a thread of its own
        self.await_copies(2)
        self.check_serves(served)
        served.stop()
        self.assertEqual(stamps(self.out), [1, 2])


if __name__ == "__main__":
    environment.main()
