#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve` with a quarter of a million interfaces: how soon it is ready, how much memory it takes, and how long a
small request waits while all are listed, filtered by many patterns, and read again by SIGHUP.

Times may be FACTOR times the goal, for the machines that run tests are shared; memory may not. With --json the figures are
printed (docs/performance.md); --whole takes interfaces with all members that AWS prints.
"""
import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parent))
import environment  # noqa: E402
from service import Service, VERSION, code_of, parse  # noqa: E402

COUNT = int(os.environ.get("MIRRORNIC_SCALE_COUNT", "250000"))
FACTOR = float(os.environ.get("MIRRORNIC_SCALE_FACTOR", "4"))
GOALS = {False: {"start": 4, "memory": 600}, True: {"start": 12, "memory": 1000}}
WAIT = 0.1

LIST_ALL = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=600)
connection.request("POST", "/", sys.stdin.buffer.read(), {"Content-Type": "application/x-www-form-urlencoded"})
reply = connection.getresponse()
tail, size, count, rest = b"", 0, 0, b""
while True:
    piece = reply.read(1 << 20)
    if not piece:
        break
    size += len(piece)
    piece = rest + piece
    count += piece.count(b"<networkInterfaceId>")
    rest = piece[-(len(b"<networkInterfaceId>") - 1):]
    tail = (tail + piece)[-200:]
print(reply.status, size, count, tail.endswith(b"</DescribeNetworkInterfacesResponse>"))
"""


def interface(i, whole):
    mac = f"02:{i >> 32 & 255:02x}:{i >> 24 & 255:02x}:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}"
    address = f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
    out = {"NetworkInterfaceId": f"eni-{i:017x}", "MacAddress": mac, "PrivateIpAddress": address,
           "VpcId": f"vpc-{i % 100:017x}"}
    if whole:
        name = f"ip-{address.replace('.', '-')}.ec2.internal"
        out.update({
            "Attachment": {"AttachTime": "2026-01-02T03:04:05+00:00", "AttachmentId": f"eni-attach-{i:017x}",
                           "DeleteOnTermination": True, "DeviceIndex": 0, "NetworkCardIndex": 0,
                           "InstanceId": f"i-{i:017x}", "InstanceOwnerId": "111122223333", "Status": "attached"},
            "AvailabilityZone": f"us-east-1{'abcdef'[i % 6]}", "Description": "Primary network interface",
            "Groups": [{"GroupName": "workers", "GroupId": f"sg-{i % 1000:017x}"},
                       {"GroupName": "default", "GroupId": f"sg-{i % 100 + 5000:017x}"}],
            "InterfaceType": "interface", "Ipv6Addresses": [], "OwnerId": "111122223333", "PrivateDnsName": name,
            "PrivateIpAddresses": [{"Primary": True, "PrivateDnsName": name, "PrivateIpAddress": address}],
            "RequesterManaged": False, "SourceDestCheck": True, "Status": "in-use", "SubnetId": f"subnet-{i % 500:017x}",
            "TagSet": [{"Key": "Name", "Value": f"worker-{i}"}, {"Key": "team", "Value": f"team-{i % 40}"}]})
    return out


def write_configuration(path, count, whole, first=0):
    """As the AWS CLI prints it: indented by four."""
    with open(path, "w", encoding="utf-8") as file:
        file.write('{\n    "NetworkInterfaces": [\n')
        for i in range(first, first + count):
            text = json.dumps(interface(i, whole), indent=4)
            file.write("        " + text.replace("\n", "\n        ") + (",\n" if i + 1 < first + count else "\n"))
        file.write("    ]\n}\n")


def memory(pid, which="VmHWM"):
    """MB of 10^6 bytes."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{which}:\s+(\d+) kB", text)[1]) * 1024 / 1e6


def list_all(port, parameters=()):
    form = urlencode([("Action", "DescribeNetworkInterfaces"), ("Version", VERSION), *parameters])
    process = subprocess.Popen([sys.executable, "-c", LIST_ALL, str(port)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    process.stdin.write(form.encode())
    process.stdin.close()
    return process


class Probe:
    """Small requests on one kept connection, and the longest that any of them took."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.times, self.last = [], time.monotonic()

    def ask(self):
        if time.monotonic() - self.last > 50:
            self.connection.close()  # the service ends a connection that was idle for a minute; this makes another
        start = time.monotonic()
        self.connection.request("POST", "/", f"Action=DescribeTrafficMirrorFilters&Version={VERSION}",
                                {"Content-Type": "application/x-www-form-urlencoded"})
        reply = self.connection.getresponse()
        reply.read()
        assert reply.status == 200
        self.last = time.monotonic()
        self.times.append(self.last - start)

    def until(self, done, seconds=300):
        """Asks until then, once at least. The longest wait, in seconds."""
        before, end = len(self.times), time.monotonic() + seconds
        while True:
            self.ask()
            if done():
                return max(self.times[before:])
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s")
            time.sleep(0.002)


def measure(folder, whole):
    """What a service does with COUNT interfaces, as figures."""
    config, figures = folder / "config.json", {}
    write_configuration(config, COUNT, whole)
    figures["file_mb"] = config.stat().st_size / 1e6
    start = time.monotonic()
    with Service(folder, config, "--device", f"file:{folder}/device") as served:
        figures["start_s"] = time.monotonic() - start
        pid = served.process.pid
        figures["start_mb"] = memory(pid)
        probe = Probe(served.port)
        figures["alone_ms"] = 1e3 * probe.until(lambda: len(probe.times) >= 200)

        start = time.monotonic()
        listing = list_all(served.port)
        figures["listing_wait_ms"] = 1e3 * probe.until(lambda: listing.poll() is not None)
        figures["listing_s"] = time.monotonic() - start
        status, size, count, whole_reply = listing.stdout.read().split()
        assert (status, int(count), whole_reply) == (b"200", COUNT, b"True"), (status, count, whole_reply)
        figures["listing_mb"] = int(size) / 1e6

        # All that a request may filter by, but for what a query's 10,000 parameters leave out; nothing matches.
        start = time.monotonic()
        filters = [(f"Filter.{f}.Name", "private-ip-address") for f in range(1, 50)]
        filters += [(f"Filter.{f}.Value.{v}", f"*{f}.{v}*.x") for f in range(1, 50) for v in range(1, 201)]
        listing = list_all(served.port, filters)
        figures["filter_wait_ms"] = 1e3 * probe.until(lambda: listing.poll() is not None)
        figures["filter_s"] = time.monotonic() - start
        assert listing.stdout.read().split()[0] == b"200"

        # Read again, twice at once, while all are listed; the second time with others.
        write_configuration(config, COUNT, whole, first=1)
        listing = list_all(served.port)
        start = time.monotonic()
        served.process.send_signal(signal.SIGHUP)
        probe.ask()
        served.process.send_signal(signal.SIGHUP)
        figures["reload_wait_ms"] = 1e3 * probe.until(
            lambda: listing.poll() is not None and served.log().count("configuration reloaded") == 2)
        figures["two_reloads_s"] = time.monotonic() - start
        for _ in range(3):
            reloads = served.log().count("configuration reloaded")
            served.process.send_signal(signal.SIGHUP)
            figures["reload_wait_ms"] = max(figures["reload_wait_ms"], 1e3 * probe.until(
                lambda: served.log().count("configuration reloaded") > reloads))
        last = f"eni-{COUNT:017x}"
        status, _, body = served.form({"Action": "DescribeNetworkInterfaces", "Version": VERSION,
                                       "NetworkInterfaceId.1": last})
        assert status == 200 and last.encode() in body
        status, _, body = served.form({"Action": "DescribeNetworkInterfaces", "Version": VERSION,
                                       "NetworkInterfaceId.1": f"eni-{0:017x}"})
        assert code_of(body) == "InvalidNetworkInterfaceID.NotFound"
        figures["most_mb"] = memory(pid)
        figures["end_mb"] = memory(pid, "VmRSS")
        # A reading under way does not keep it from stopping.
        served.process.send_signal(signal.SIGHUP)
        start = time.monotonic()
        served.stop()
        figures["stop_s"] = time.monotonic() - start
    return {name: round(value, 1 if value >= 10 else 3) for name, value in figures.items()}


class Scale(unittest.TestCase):
    def check(self, whole):
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(Path(folder), whole)
        print(json.dumps(figures), file=sys.stderr)
        goals = GOALS[whole]
        self.assertLess(figures["start_s"], goals["start"] * FACTOR)
        self.assertLess(figures["most_mb"], goals["memory"])
        for wait in ("listing_wait_ms", "filter_wait_ms", "reload_wait_ms"):
            self.assertLess(figures[wait], 1e3 * WAIT * FACTOR, wait)
        self.assertLess(figures["stop_s"], 2 * FACTOR)

    def test_small_interfaces(self):
        self.check(whole=False)

    def test_whole_interfaces(self):
        self.check(whole=True)

    def test_a_slow_reader_of_a_listing(self):
        """It keeps no network for ever: the second reading after its begin breaks its reply off."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_configuration(folder / "config.json", 20000, False)
            with Service(folder, folder / "config.json", "--device", f"file:{folder}/device") as served:
                slow = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
                slow.request("POST", "/", f"Action=DescribeNetworkInterfaces&Version={VERSION}",
                             {"Content-Type": "application/x-www-form-urlencoded"})
                reply = slow.getresponse()
                self.assertEqual(reply.status, 200)
                self.assertIsNone(reply.getheader("Content-Length"))
                text = reply.read(1000)
                for reloads in (1, 2):
                    served.process.send_signal(signal.SIGHUP)
                    served.await_log("configuration reloaded", count=reloads)
                with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                    text += reply.read()
                    raise http.client.IncompleteRead(text) if b"</DescribeNetworkInterfacesResponse>" not in text \
                        else AssertionError("the reply is whole")
                slow.close()
                root = parse(served.http(body=f"Action=DescribeNetworkInterfaces&Version={VERSION}".encode(), headers={
                    "Content-Type": "application/x-www-form-urlencoded"})[2])
                ids = [each.text for each in root.iter("networkInterfaceId")]
                self.assertEqual(ids, [f"eni-{i:017x}" for i in range(20000)])
                served.stop()

    def test_expired_client_tokens(self):
        """S6: 200,000 tokens of two days ago cost no request more than a bounded portion of them."""
        expired, creates = 200000, 100
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_configuration(folder / "config.json", 1, False)
            device = ("--device", f"file:{folder}/device", "--quota", "filters=1000")
            create = {"Action": "CreateTrafficMirrorFilter", "Version": VERSION}
            with Service(folder, folder / "config.json", *device) as served:
                self.assertEqual(served.form({**create, "ClientToken": "the-pattern"})[0], 200)
                served.stop()
            with contextlib.closing(sqlite3.connect(folder / "state.sqlite")) as file, file:
                row = file.execute("SELECT action, parameters, reply, seconds FROM tokens").fetchone()
                file.executemany("INSERT INTO tokens (action, token, parameters, reply, seconds) VALUES (?, ?, ?, ?, ?)", (
                    (row[0], f"old-{i}", *(text.replace("the-pattern", f"old-{i}") for text in row[1:3]),
                     row[3] - 2 * 86400) for i in range(expired)))
            start = time.monotonic()
            with Service(folder, folder / "config.json", *device) as served:
                figures = {"tokens_start_s": time.monotonic() - start}
                probe = Probe(served.port)
                figures["tokens_describe_ms"] = 1e3 * probe.until(lambda: len(probe.times) >= 200)
                times = []
                for i in range(creates):
                    start = time.monotonic()
                    self.assertEqual(served.form({**create, "ClientToken": f"new-{i}"})[0], 200)
                    times.append(time.monotonic() - start)
                figures["tokens_create_ms"] = 1e3 * max(times)
                served.stop()
            with contextlib.closing(sqlite3.connect(folder / "state.sqlite")) as file:
                left, = file.execute("SELECT count(*) FROM tokens WHERE token LIKE 'old-%'").fetchone()
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}), file=sys.stderr)
        for wait in ("tokens_describe_ms", "tokens_create_ms"):
            self.assertLess(figures[wait], 1e3 * WAIT * FACTOR, wait)
        # All go in time: each create takes more with it than it brings.
        self.assertLessEqual(left, expired - 2 * creates)
        self.assertGreater(left, expired - 1000 * creates)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--whole", action="store_true")
    arguments, rest = parser.parse_known_args()
    if arguments.json:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(Path(folder), arguments.whole)))
    else:
        sys.argv[1:] = rest
        environment.main()
