#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `run` and `serve` write, and what goes wrong with it. MIRRORNIC names the binary."""
import gzip
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import zlib
from pathlib import Path

import environment
from command_test import config, read_pcap, udp, write_pcap
from service import (MIRRORNIC, Service, await_until, disk_of, fill, make_certificate, small_disk,
                     write_credentials)


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


class StandardOutput(Outputs):
    """Lost standard output is a failure, whichever command prints."""

    def commands(self):
        base = ["--config", self.config]
        run = ["run", *base, "--in", self.capture]
        return {"check": ["check", *base], "check --json": ["check", *base, "--json"], "help": ["--help"],
                "version": ["--version"], "run --help": ["run", "--help"], "serve --help": ["serve", "--help"],
                "summary": [*run, "--out", "/dev/null"], "copies": [*run, "--quiet", "--out", "-"],
                "decisions": [*run, "--quiet", "--out", "/dev/null", "--decisions", "-"],
                "statistics": [*run, "--quiet", "--out", "/dev/null", "--stats", "-"],
                "serve": ["serve", "--listen", "127.0.0.1:0", "--config", self.network, "--state", self.folder / "s"]}

    def failed(self, shell, words):
        for name, arguments in self.commands().items():
            with self.subTest(command=name):
                done = subprocess.run(["bash", "-c", shell, MIRRORNIC, *map(str, arguments)], capture_output=True,
                                      timeout=60)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(b"standard output: " + words, done.stderr)

    def test_full(self):
        """A full disk under standard output is status 1 and a sentence, for every command."""
        self.failed('exec "$0" "$@" > /dev/full', b"No space left on device")

    def test_closed(self):
        """Closed standard output is status 1 and a sentence, and no other file gets its descriptor."""
        self.failed('exec "$0" "$@" >&-', b"Bad file descriptor")
        state = self.folder / "s.sqlite"
        with Service(self.folder, self.network, state="s.sqlite") as served:
            served.stop()
        before = state.read_bytes()
        for shell in ('exec "$0" "$@" <&- >&- 2>&-', 'exec "$0" "$@" >&- 2>&-', 'exec "$0" "$@" <&- 2>&-'):
            done = subprocess.run(["bash", "-c", shell, MIRRORNIC, "serve", "--listen", "127.0.0.1:0", "--config",
                                   str(self.folder / "none"), "--state", str(state)], timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(state.read_bytes(), before)

    def test_reader_gone(self):
        """A reader of standard output that goes away is status 1 and a sentence."""
        for name, arguments in self.commands().items():
            with self.subTest(command=name):
                read, write = os.pipe()
                os.close(read)
                done = subprocess.run([MIRRORNIC, *map(str, arguments)], stdout=write, stderr=subprocess.PIPE, timeout=60)
                os.close(write)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(b"standard output: Broken pipe", done.stderr)


class Traffic(Outputs):
    """A service whose traffic comes from the test."""

    def serve(self, *arguments, **more):
        return Service(self.folder, self.config, "--import", "--in", "-", *arguments, stdin=subprocess.PIPE, **more)

    def feed(self, served, count, begin=False):
        """Frames to a service's standard input."""
        path = self.folder / "frames"
        write_pcap(path, [(10**9 + i, udp(1000)) for i in range(count)])
        served.process.stdin.write(path.read_bytes()[0 if begin else 24:])
        served.process.stdin.flush()

    def stats(self, served):
        return json.loads(served.http("GET", "/stats")[2])

    def lost(self, served, output="out"):
        return self.stats(served)["outputs"][output]["lost"]

    def stops(self, served, status=0):
        """By SIGTERM, within 2 s; how long it took."""
        begin = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        self.assertEqual(served.process.wait(20), status, served.log())
        self.assertLess(time.monotonic() - begin, 2)

    def answers(self, served):
        begin = time.monotonic()
        self.assertEqual(served.http("GET", "/stats")[0], 200)
        self.assertLess(time.monotonic() - begin, 1)


class Live(Traffic):
    """What becomes of a file stops or ends no service."""

    def test_no_reader(self):
        """a pipe that nobody reads does not hold serve up; each reader finds a capture from its header on."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        with self.serve("--out", pipe, ready=False) as served:
            self.feed(served, 20, begin=True)
            served.wait_ready()
            await_until(lambda: self.stats(served)["frames"]["mirrored"] == 20, "20 copies")
            served.await_log("an output is in trouble")
            for round_, count in enumerate((20, 5, 7), 1):
                if round_ > 1:
                    self.feed(served, count)
                with open(pipe, "rb") as reader:
                    data = b""
                    while len(data) < 24 + count * (1050 + 16):
                        data += reader.read1(1 << 20)
                    served.await_log("an output is well again", count=round_)
                (self.folder / "found").write_bytes(data)
                self.assertEqual(len(read_pcap(self.folder / "found")), count)
                served.await_log("an output is in trouble", count=round_ + 1)
            self.assertEqual(self.lost(served), 0)
            self.stops(served)

    def test_paused_reader(self):
        """a reader of copies that pauses stops neither requests nor the end; what was lost is counted."""
        pipes = {name: self.folder / name for name in ("out", "forward", "decisions")}
        for pipe in pipes.values():
            os.mkfifo(pipe)
        readers = [os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) for pipe in pipes.values()]
        arguments = [part for name, pipe in pipes.items() for part in ("--" + name, pipe)]
        with self.serve(*arguments, ready=False) as served:
            self.feed(served, 100, begin=True)
            served.wait_ready()
            for _ in range(6):
                self.feed(served, 3000)
                self.answers(served)
            await_until(lambda: self.stats(served)["frames"]["forwarded"] == 18100, "all frames")
            self.assertGreater(self.lost(served), 0)
            metrics = served.http("GET", "/metrics")[2].decode()
            self.assertIn('mirrornic_output_lost_total{output="out"}', metrics)
            served.await_log("an output is in trouble", count=3)
            self.stops(served)
            served.await_log("an output is not whole", count=3)
        for reader in readers:
            os.close(reader)

    def test_full_disk(self):
        """a full disk under the outputs stops nothing, and they go on whole when there is room."""
        disk = self.folder / "disk"
        disk.mkdir()
        for end in ("", ".gz"):
            out = disk / ("m.pcap" + end)
            with self.serve("--out", out, "--decisions", disk / "d", launcher=small_disk(disk), ready=False,
                            state="s" + end) as served:
                self.feed(served, 100, begin=True)
                served.wait_ready()
                filler = fill(disk_of(served, disk))
                self.feed(served, 1000)
                served.await_log("an output is in trouble")
                self.answers(served)
                filler.unlink()
                served.await_log("an output is well again")
                await_until(lambda: self.stats(served)["frames"]["mirrored"] == 1100, "all copies")
                inside = disk_of(served, disk)
                await_until(lambda: (inside / "d").read_text().count("\n") == 1100, "all decisions")
                keep = os.open(inside / out.name, os.O_RDONLY)
                self.assertEqual(self.lost(served), 0)
                self.stops(served)
                with open(keep, "rb") as file:
                    data = file.read()
                (self.folder / "found").write_bytes(gzip.decompress(data) if end else data)
                self.assertEqual(len(read_pcap(self.folder / "found")), 1100)

    def test_statistics_file(self):
        """--stats is opened when serve starts: what cannot be written is an error then."""
        disk = self.folder / "disk"
        disk.mkdir()
        base = [MIRRORNIC, "serve", "--listen", "127.0.0.1:0", "--config", str(self.network), "--state",
                str(self.folder / "s"), "--stats"]
        self.assertEqual(subprocess.run([*base, str(self.folder / "none/stats")], capture_output=True, timeout=60)
                         .returncode, 1)
        script = f"""head -c 3000000 /dev/zero > {disk}/filler; exec "$@" """
        done = subprocess.run([*map(str, small_disk(disk)), "sh", "-c", script, "sh", *base, str(disk / "stats")],
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"No space left on device", done.stderr)
        with Service(self.folder, self.network, "--stats", disk / "stats", launcher=small_disk(disk)) as served:
            inside = disk_of(served, disk)
            fill(inside)  # there is room for the statistics all the same
            keep = os.open(inside / "stats", os.O_RDONLY)
            self.stops(served)
            with open(keep, "rb") as file:
                self.assertEqual(json.loads(file.read())["Schema"], 1)

    def with_log(self, write, *arguments):
        """A service whose standard error is the descriptor."""
        process = subprocess.Popen([MIRRORNIC, "serve", "--listen", "127.0.0.1:0", "--config", str(self.network), "--state",
                                    str(self.folder / "s"), *arguments], stderr=write, stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        return process, json.loads(process.stdout.readline())["Url"]

    def requests(self, url, count):
        host = url.split("/")[2]
        connection = http.client.HTTPConnection(host, timeout=10)
        for _ in range(count):
            connection.request("GET", "/health")
            self.assertIn(connection.getresponse().read()[:1], b"{")
        connection.close()

    def test_log_reader_gone(self):
        """the reader of the log goes away: requests are answered, and the end is as ever."""
        read, write = os.pipe()
        process, url = self.with_log(write)
        os.close(write)
        os.close(read)
        self.requests(url, 100)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(2), 0)

    def test_log_reader_pauses(self):
        """the reader of the log pauses: requests are answered; when it is back, it reads how many lines were lost."""
        read, write = os.pipe()
        process, url = self.with_log(write, "--log-format", "json")
        os.close(write)
        self.requests(url, 9000)  # 1.3 MB of lines
        lines = []
        with open(read) as log:
            for line in log:
                lines.append(json.loads(line))
                if "lines were lost" in lines[-1]["message"]:
                    break
        lost = int(lines[-1]["message"].split()[0])
        self.assertGreater(lost, 0)
        # A line of the trouble itself may be among the lost ones.
        self.assertIn(sum(line["message"] == "request" for line in lines) + lost, range(9000, 9005))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(2), 0)

    def test_log_and_copies_stuck(self):
        """A stop takes 2 s at most also when the readers of the log, of copies and of the ready line all pause."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        read, write = os.pipe()
        ready_read, ready_write = os.pipe()
        for end in (write, ready_write):
            os.set_blocking(end, False)
            try:
                while os.write(end, bytes(4096)):
                    pass
            except BlockingIOError:
                pass
            os.set_blocking(end, True)
        write_pcap(self.capture, [(10**9 + i, udp(1000)) for i in range(20000)])
        process = subprocess.Popen([MIRRORNIC, "serve", "--listen", "127.0.0.1:0", "--config", str(self.config), "--import",
                                    "--state", str(self.folder / "s"), "--in", str(self.capture), "--out", str(pipe)],
                                   stderr=write, stdout=ready_write)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        time.sleep(3)
        self.assertIsNone(process.poll())
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertLess(time.monotonic() - begin, 2)
        for end in (reader, read, write, ready_read, ready_write):
            os.close(end)

    def test_log_lines(self):
        """Log lines are capped, valid UTF-8 and valid JSON whatever a client sends."""
        for form in ("json", "text"):
            with Service(self.folder, self.network, "--log-format", form, state="s" + form) as served:
                for value in ("x" * 9000, "\u00e4\u20ac" * 2000, "\x01\x02\n" * 2000):
                    served.call(value)
                    served.call("DescribeTrafficMirrorSessions", {"MaxResults": value})
                served.form(b"Action=%ff%fe&Version=2016-11-15".decode())
                served.stop()
                lines = served.log_file.read_bytes().decode().splitlines()
                self.assertGreater(len(lines), 6)
                for line in lines:
                    self.assertLess(len(line.encode()), 16384)
                    if form == "json":
                        json.loads(line)


class Statistics(Traffic):
    """P23 what the hardware counted for a session is in the statistics, whatever became of the session."""

    def test_deleted_sessions(self):
        """P23 --stats has the counters of deleted sessions, more than the device has entries, and they add up."""
        stats = self.folder / "stats.json"
        with self.serve("--out", "/dev/null", "--stats", stats, ready=False) as served:
            self.feed(served, 10, begin=True)
            served.wait_ready()
            expected = {"tms-a": 10}
            await_until(lambda: self.stats(served)["frames"]["mirrored"] == 10, "10 copies")
            served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId="tms-a")
            fed = 10
            for i in range(300):
                created = served.ok("CreateTrafficMirrorSession", NetworkInterfaceId="eni-a", TrafficMirrorTargetId="tmt-1",
                                    TrafficMirrorFilterId="tmf-1", SessionNumber="1")
                session = created.findtext("trafficMirrorSession/trafficMirrorSessionId")
                self.feed(served, 1 + i % 3)
                fed += 1 + i % 3
                await_until(lambda: self.stats(served)["frames"]["mirrored"] == fed, "the copies")
                expected[session] = 1 + i % 3
                self.assertEqual([s["TrafficMirrorSessionId"] for s in self.stats(served)["sessions"]], [session])
                served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId=session)
            self.stops(served)
        found = json.loads(stats.read_text())
        self.assertEqual([(s["TrafficMirrorSessionId"], s["mirrored"]) for s in found["sessions"]], list(expected.items()))
        self.assertEqual(found["frames"]["mirrored"], sum(expected.values()))

    def test_disabled_session(self):
        """P23 a session that a reload takes out of the device and brings back keeps one sum in --stats."""
        stats = self.folder / "stats.json"
        state = self.folder / "state.sqlite"
        with self.serve("--out", "/dev/null", ready=False) as served:
            self.feed(served, 1, begin=True)
            served.wait_ready()
            self.stops(served)
        self.assertTrue(state.exists())
        self.config.write_text(json.dumps(network()))
        with Service(self.folder, self.config, "--in", "-", "--out", "/dev/null", "--stats", stats, stdin=subprocess.PIPE,
                     ready=False) as served:
            self.feed(served, 10, begin=True)
            served.wait_ready()
            await_until(lambda: self.stats(served)["frames"]["mirrored"] == 10, "10 copies")
            without = [i for i in network()["NetworkInterfaces"] if i["NetworkInterfaceId"] != "eni-c"]
            self.config.write_text(json.dumps({"NetworkInterfaces": without}))
            served.process.send_signal(signal.SIGHUP)
            served.await_log("configuration reloaded")
            self.feed(served, 5)
            await_until(lambda: self.stats(served)["frames"]["not_accepted"] + self.stats(served)["frames"]["not_eligible"]
                        == 5, "5 frames without copies")
            self.config.write_text(json.dumps(network()))
            served.process.send_signal(signal.SIGHUP)
            served.await_log("configuration reloaded", count=2)
            self.feed(served, 7)
            await_until(lambda: self.stats(served)["frames"]["mirrored"] == 17, "17 copies")
            self.stops(served)
        self.assertEqual([(s["TrafficMirrorSessionId"], s["mirrored"]) for s in json.loads(stats.read_text())["sessions"]],
                         [("tms-a", 17)])


class Interrupted(Outputs):
    """Signals to `run`."""

    def start(self, capture, *more, **popen):
        process = subprocess.Popen([MIRRORNIC, "run", "--config", self.config, "--in", str(capture), "--out",
                                    self.folder / "o.pcap", "--decisions", self.folder / "d.jsonl.gz", *map(str, more)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_waiting_for_frames(self):
        """A signal ends a run that waits for frames: outputs are whole, the message names the last frame."""
        data = self.capture.read_bytes()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for cut in (0, 30):  # also in the middle of a record
                for packed in (False, True):
                    with self.subTest(signal=number, cut=cut, packed=packed):
                        process = self.start("-", "--stats", self.folder / "s.json", stdin=subprocess.PIPE)
                        part = data[:len(data) - cut]
                        if packed:
                            packer = zlib.compressobj(wbits=31)
                            part = packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
                        process.stdin.write(part)
                        process.stdin.flush()
                        await_until(lambda: (self.folder / "s.json").exists(), "the files", context=lambda: "")
                        time.sleep(0.5)
                        process.send_signal(number)
                        process.wait(5)
                        frames = 10 - (cut > 0)
                        self.assertEqual(process.returncode, 1)
                        errors = process.stderr.read().decode()
                        self.assertIn(f"interrupted after frame {frames}\n", errors)
                        self.assertNotIn("cut off", errors)
                        self.assertEqual(len(read_pcap(self.folder / "o.pcap")), frames)
                        with gzip.open(self.folder / "d.jsonl.gz") as file:
                            self.assertEqual(len(file.read().splitlines()), frames)
                        self.assertEqual(json.loads((self.folder / "s.json").read_text())["frames"]["received"], frames)
                        (self.folder / "s.json").unlink()

    def test_waiting_for_the_capture(self):
        """A signal ends a run that waits for its capture, or for a pipe's reader, with status 1 and a sentence."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for capture, more in ((pipe, []), ("-", []), (self.capture, ["--forward", pipe])):
                with self.subTest(signal=number, capture=capture):
                    process = self.start(capture, *more, stdin=subprocess.PIPE)
                    time.sleep(0.4)
                    process.send_signal(number)
                    self.assertEqual(process.wait(5), 1)
                    self.assertIn(b"interrupted before the first frame", process.stderr.read())

    def test_second(self):
        """The second signal ends a run at once that waits for the reader of its copies."""
        write_pcap(self.capture, [(10**9 + i, udp(9000)) for i in range(2000)])
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        process = self.start(self.capture, "--forward", pipe)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(2), 1)
        self.assertIn(b"second time", process.stderr.read())
        os.close(reader)

    def test_hangup_ignored(self):
        """nohup's SIGHUP stays ignored."""
        process = self.start("-", stdin=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        time.sleep(0.3)
        process.send_signal(signal.SIGHUP)
        process.stdin.write(self.capture.read_bytes())
        process.stdin.close()
        self.assertEqual(process.wait(20), 0)
        process.stdin = None


class Shards(Outputs):
    """`run --shards`, and what becomes of its processes."""

    def test_killed_at_any_moment(self):
        """--shards a shard that is killed at any moment ends the run with status 3 and its message: none hangs."""
        seed = int(os.environ.get("SEED", time.time_ns() % 10**6))
        chance = random.Random(seed)
        write_pcap(self.capture, [(10**9 + i, udp(300)) for i in range(6000)])
        command = [MIRRORNIC, "run", "--config", self.config, "--in", self.capture, "--out", self.folder / "o.pcap.gz",
                   "--forward", self.folder / "f", "--decisions", self.folder / "d", "--shards", "3", "--quiet"]
        begin = time.monotonic()
        subprocess.run(command, check=True, timeout=60)
        whole = time.monotonic() - begin
        turns, hits = int(os.environ.get("KILLS", "30")), 0
        for turn in range(turns):
            with self.subTest(turn=turn, seed=seed):
                process = subprocess.Popen(command, stderr=subprocess.PIPE)
                try:
                    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                    shards = await_until(lambda: len(found := children.read_text().split()) == 3 and found, "the shards")
                    time.sleep(chance.uniform(0, whole))
                    killed = True
                    try:
                        os.kill(int(chance.choice(shards)), signal.SIGKILL)
                    except ProcessLookupError:
                        killed = False
                    status = process.wait(20)
                    errors = process.stderr.read()
                finally:
                    process.kill()
                    process.communicate()
                if killed and status != 0:  # else it had ended by itself
                    self.assertEqual(status, 3, errors)
                    self.assertIn(b"was ended by signal 9", errors)
                    hits += 1
        self.assertGreaterEqual(hits, turns // 10)

    def test_full_temporary_folder(self):
        """--shards needs no room in the temporary folder."""
        script = ("mount --bind $0 /mnt && mount -t tmpfs -o size=64k tmpfs /tmp && "
                  "head -c 100000 /dev/zero > /tmp/filler; cd /mnt && exec $1 run --config config.json --in in.pcap "
                  "--out o.pcap --shards 2")
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, self.folder,
                               Path(MIRRORNIC).resolve()], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(read_pcap(self.folder / "o.pcap")), 10)


if __name__ == "__main__":
    os.umask(0o77)
    environment.main()
