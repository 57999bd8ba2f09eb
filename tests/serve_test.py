#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command `mirrornic serve`: start, state, import, reload, traffic, stop. MIRRORNIC names the command."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import environment
import service
from service import MIRRORNIC, Service, await_until

A, B, C, D = (bytes([2, 0, 0, 0, 0, x]) for x in (10, 11, 12, 13))


def text(mac):
    return ":".join(f"{byte:02x}" for byte in mac)


def network(without=(), **changes):
    """Two hosts and two collectors; changes are members of interfaces by their letter."""
    interfaces = []
    for letter, mac, address in (("a", A, "10.0.1.10"), ("b", B, "10.0.2.20"), ("c", C, "10.0.1.30"),
                                 ("d", D, "10.0.1.40")):
        if letter not in without:
            interfaces.append({"NetworkInterfaceId": f"eni-{letter}", "MacAddress": text(mac),
                               "PrivateIpAddress": address, **changes.get(letter, {})})
    return {"NetworkInterfaces": interfaces}


def objects(sessions=1):
    rules = {direction: [{"TrafficMirrorFilterRuleId": f"tmfr-{direction}", "TrafficMirrorFilterId": "tmf-1",
                          "TrafficDirection": direction, "RuleNumber": 1, "RuleAction": "accept",
                          "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"}]
             for direction in ("ingress", "egress")}
    return {
        "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-c"}],
        "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": rules["ingress"],
                                  "EgressFilterRules": rules["egress"]}],
        "TrafficMirrorSessions": [{"TrafficMirrorSessionId": f"tms-{i}", "NetworkInterfaceId": "eni-a",
                                   "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1",
                                   "SessionNumber": i, "VirtualNetworkId": 77} for i in range(1, sessions + 1)]}


def frame(number=0, source=A, destination=b"\2\0\0\0\0\x0e"):
    return destination + source + bytes.fromhex(
        "0800" "45000032" "00000000" "40110000" "0a00010a" "0a000214" "9c401388" "001e0000") + struct.pack(
            ">I", number) * 5


HEADER = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)


def record(data, when=1):
    return struct.pack("<IIII", when, 0, len(data), len(data)) + data


def copies(path):
    """Whole records of a pcap file that may still grow: (outer header, VNI, frame)."""
    data, out, offset = Path(path).read_bytes() if Path(path).exists() else b"", [], 24
    while offset + 16 <= len(data):
        size = struct.unpack_from("<I", data, offset + 8)[0]
        copy = data[offset + 16:offset + 16 + size]
        offset += 16 + size
        if len(copy) == size:
            out.append((copy[:50], int.from_bytes(copy[46:49], "big"), copy[50:]))
    return out


class Serve(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.write(network())

    def write(self, content, name="config.json"):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def start(self, *arguments, **more):
        served = Service(self.folder, self.config, *arguments, **more)
        self.addCleanup(served.__exit__)
        return served

    def refused(self, *arguments, status=1, state="state.sqlite"):
        """A start that must fail; its message."""
        listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
        done = subprocess.run([MIRRORNIC, "serve", "--config", str(self.config), "--state", self.folder / state,
                               *listen, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn("mirrornic: ", done.stderr)
        return done.stderr

    def sessions(self, served):
        return [item.findtext("trafficMirrorSessionId")
                for item in served.ok("DescribeTrafficMirrorSessions").iter("item") if item.find("ownerId") is not None]

    def test_ready(self):
        """The ready line is one JSON object that says how the service is reached."""
        served = self.start("--account", "123456789012", "--region", "eu-west-1")
        self.assertEqual(served.ready, {
            "Status": "ready", "Url": served.url, "Region": "eu-west-1", "Account": "123456789012",
            "State": str(self.folder / "state.sqlite"), "Device": "sim", "Pid": served.process.pid})
        tmf = served.ok("CreateTrafficMirrorTarget", NetworkInterfaceId="eni-c")
        self.assertEqual(tmf.findtext("trafficMirrorTarget/ownerId"), "123456789012")
        served.stop()
        self.assertEqual(served.process.stdout.read(), b"")

    def test_interrupt(self):
        served = self.start()
        served.process.send_signal(signal.SIGINT)
        self.assertEqual(served.process.wait(30), 0)

    def test_default_state(self):
        """Without --state the file is in the XDG state directory, which only its owner may enter."""
        environ = {**os.environ, "XDG_STATE_HOME": str(self.folder / "xdg")}
        process = subprocess.Popen([MIRRORNIC, "serve", "--config", self.config, "--listen", "[::1]:0"], env=environ,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, log)
        self.assertTrue(line["Url"].startswith("http://[::1]:"), line)
        self.assertEqual(line["State"], str(self.folder / "xdg/mirrornic/state.sqlite"))
        self.assertEqual((self.folder / "xdg/mirrornic").stat().st_mode & 0o777, 0o700)

    def test_second_start(self):
        """One state file has one service; a second start says who has it."""
        served = self.start()
        self.assertIn(f"in use by process {served.process.pid}", self.refused())
        served.ok("DescribeVpcs")
        served.process.kill()
        served.process.wait()
        self.start().stop()

    def test_one_state_by_any_name(self):
        """One state file has one service, by whatever name: a link, another spelling; who only reads is let in."""
        served = self.start()
        served.ok("CreateTrafficMirrorFilter")
        (self.folder / "link.sqlite").symlink_to("state.sqlite")
        (self.folder / "up").symlink_to(self.folder)
        for name in ("link.sqlite", "./state.sqlite", "up/link.sqlite", "up/../" + self.folder.name + "/state.sqlite"):
            with self.subTest(name):
                self.assertIn(f"in use by process {served.process.pid}", self.refused(state=name))
        os.link(self.folder / "state.sqlite", self.folder / "hard.sqlite")
        self.assertIn("has 2 names (hard links)", self.refused(state="hard.sqlite"))
        served.process.kill()  # a log is left under the first name
        served.process.wait()
        self.assertIn("has 2 names (hard links)", self.refused(state="hard.sqlite"))
        (self.folder / "hard.sqlite").unlink()
        served = self.start(state="up/link.sqlite")
        self.assertEqual(len(served.ok("DescribeTrafficMirrorFilters").find("trafficMirrorFilterSet")), 1)
        served.stop()
        os.mkfifo(self.folder / "fifo")
        for name, words in (("fifo", "not a regular file"), ("/dev/null", "not a regular file"), (".", "Is a directory")):
            self.assertIn(words, self.refused(state=name))

    def backup(self, *arguments, status=0):
        done = subprocess.run([MIRRORNIC, "backup", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              cwd=self.folder)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_backup(self):
        """S8 a backup beside the service, or after it was killed, has every change that was answered; a stop leaves one
        file."""
        served = self.start()
        state, copy = self.folder / "state.sqlite", self.folder / "copy.sqlite"
        for count in range(1, 4):
            served.ok("CreateTrafficMirrorFilter", ClientToken=f"t{count}")
            self.backup("--state", state, "--to", copy, *(["--force"] if count > 1 else []))
            restored = self.start(state="copy.sqlite")
            self.assertEqual(self.seen(restored), self.seen(served))
            restored.stop()
        self.backup("--state", "state.sqlite", "--to", "a.name")
        self.assertTrue((self.folder / "a.name").read_bytes().startswith(b"SQLite format 3"))
        self.assertIn("--force", self.backup("--state", state, "--to", copy, status=1))
        self.assertIn("itself", self.backup("--state", state, "--to", state, "--force", status=1))
        self.assertIn("in use by process", self.backup("--state", copy, "--to", state, "--force", status=1))
        self.assertIn("--to is missing", self.backup("--state", state, status=2))
        before = self.seen(served)
        served.process.kill()
        served.process.wait()
        self.assertGreater((self.folder / "state.sqlite-wal").stat().st_size, 0)
        self.backup("--state", state, "--to", copy, "--force")
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        restored = self.start(state="copy.sqlite")
        self.assertEqual(self.seen(restored), before)
        restored.stop()
        served = self.start()
        self.assertEqual(self.seen(served), before)
        served.stop()
        self.assertEqual([path.name for path in self.folder.glob("state.sqlite*")], ["state.sqlite"])

    def test_run_with_what_a_kill_left(self):
        """S8 run --state has every change that was answered, also those that a killed service left in its log."""
        self.config = self.write({**network(), **objects()})
        served = self.start("--import")
        served.ok("ModifyTrafficMirrorSession", TrafficMirrorSessionId="tms-1", VirtualNetworkId="99")
        served.process.kill()
        served.process.wait()
        capture = self.folder / "in.pcap"
        capture.write_bytes(HEADER + record(frame(1)))
        self.config = self.write(network())
        for _ in range(2):
            done = subprocess.run([MIRRORNIC, "run", "--config", self.config, "--state", self.folder / "state.sqlite",
                                   "--in", capture, "--out", self.folder / "run.pcap"], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([vni for _, vni, _ in copies(self.folder / "run.pcap")], [99])

    def test_older_states(self):
        """A state of every schema that was ever written is served, read by run, and backed up."""
        self.config = self.write(network())
        for sql in environment.some(sorted((Path(__file__).parent / "state").glob("schema*.sql")), "schemas"):
            with self.subTest(sql.name):
                state = self.folder / f"{sql.stem}.sqlite"
                with contextlib.closing(sqlite3.connect(state)) as database:
                    database.executescript(sql.read_text())
                owner = ("--account", "111122223333", "--region", "eu-central-1")
                self.backup("--state", state, "--to", self.folder / f"{sql.stem}.copy")
                for name in (state.name, f"{sql.stem}.copy"):
                    served = self.start(*owner, state=name)
                    self.assertEqual(self.sessions(served), ["tms-0123456789abcdef0", "tms-1123456789abcdef0"])
                    served.await_log("no interface of its target tmt-1123456789abcdef0")
                    served.stop()

    def test_damaged_state(self):
        """A state that no request could have made is refused with file, object and member."""
        self.config = self.write({**network(), **objects()})
        self.start("--import").stop()
        state = self.folder / "state.sqlite"
        with contextlib.closing(sqlite3.connect(state)) as database, database:
            database.execute("UPDATE objects SET body = json_set(body, '$.vni', 4294967301) WHERE id = 'tms-1'")
        self.config = self.write(network())
        message = self.refused()
        for words in (str(state), "tms-1", "vni", "4294967301", "backup"):
            self.assertIn(words, message)
        capture = self.folder / "in.pcap"
        capture.write_bytes(HEADER + record(frame(1)))
        done = subprocess.run([MIRRORNIC, "run", "--config", self.config, "--state", state, "--in", capture, "--out",
                               self.folder / "run.pcap"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("tms-1", done.stderr)

    def test_import_of_what_no_request_makes(self):
        """--import refuses what a start would refuse to read."""
        broken = {**network(), **objects()}
        broken["TrafficMirrorSessions"][0]["Description"] = "x" * 256
        self.config = self.write(broken)
        message = self.refused("--import")
        self.assertIn("cannot be imported: tms-1: Description", message)

    def test_deleted_state(self):
        """S8 a state file that is deleted while it is served takes no change; back in its place, it does."""
        served = self.start()
        served.ok("CreateTrafficMirrorFilter")
        (self.folder / "state.sqlite").rename(self.folder / "away")
        status, code, body = served.call("CreateTrafficMirrorFilter")
        self.assertEqual((status, code), (503, "Unavailable"), body)
        self.assertIn("deleted or replaced", body)
        self.assertEqual(len(served.ok("DescribeTrafficMirrorFilters").find("trafficMirrorFilterSet")), 1)
        (self.folder / "away").rename(self.folder / "state.sqlite")
        served.ok("CreateTrafficMirrorFilter")
        served.stop()
        served = self.start()
        self.assertEqual(len(served.ok("DescribeTrafficMirrorFilters").find("trafficMirrorFilterSet")), 2)

    def test_restart(self):
        """S6 S9 client tokens and paging tokens outlive a restart."""
        served = self.start()
        ids = [served.ok("CreateTrafficMirrorFilter", ClientToken=f"token-{i}").findtext(
            "trafficMirrorFilter/trafficMirrorFilterId") for i in range(8)]
        page = served.ok("DescribeTrafficMirrorFilters", MaxResults="5").findtext("nextToken")
        served.ok("DeleteTrafficMirrorFilter", TrafficMirrorFilterId=ids[4])
        served.stop()
        served = self.start()
        again = [served.ok("CreateTrafficMirrorFilter", ClientToken=f"token-{i}").findtext(
            "trafficMirrorFilter/trafficMirrorFilterId") for i in range(8)]
        self.assertEqual(again, ids)
        self.assertEqual(served.call("CreateTrafficMirrorFilter", {"ClientToken": "token-0", "Description": "x"})[1],
                         "IdempotentParameterMismatch")
        rest = served.ok("DescribeTrafficMirrorFilters", MaxResults="5", NextToken=page)
        self.assertEqual([e.text for e in rest.iter("trafficMirrorFilterId")], ids[5:])

    def test_full_tables(self):
        """S3 S7 when the device's tables are full the error names the table, and nothing has changed."""
        self.config = self.write({**network(), **objects()})
        served = self.start("--import", "--quota", "rules-per-filter=40", "--quota", "sessions-per-interface=9")
        rule = {"TrafficMirrorFilterId": "tmf-1", "TrafficDirection": "ingress", "RuleAction": "accept",
                "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"}
        for number in range(2, 17):
            served.ok("CreateTrafficMirrorFilterRule", RuleNumber=str(number), **rule)
        for dry_run in ("true", "false"):
            status, code, body = served.call("CreateTrafficMirrorFilterRule",
                                             {"RuleNumber": "17", "DryRun": dry_run, **rule})
            self.assertEqual((status, code), (400, "TrafficMirrorFilterRuleLimitExceeded"))
            self.assertIn("filter rule table", body)
        rules = served.ok("DescribeTrafficMirrorFilterRules", TrafficMirrorFilterId="tmf-1")
        self.assertEqual(len(list(rules.iter("trafficMirrorFilterRuleId"))), 17)
        session = {"NetworkInterfaceId": "eni-a", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1"}
        for number in (2, 3):
            served.ok("CreateTrafficMirrorSession", SessionNumber=str(number), **session)
        status, code, body = served.call("CreateTrafficMirrorSession", {"SessionNumber": "4", **session})
        self.assertEqual((status, code), (400, "TrafficMirrorSessionsPerInterfaceLimitExceeded"), body)
        self.assertEqual(len(self.sessions(served)), 3)

    def test_stop_with_connections(self):
        """SIGTERM does not wait for clients that hold connections, idle or in the middle of a request."""
        served = self.start()
        connections = [socket.create_connection(("127.0.0.1", served.port), 10) for _ in range(3)]
        for connection, data in zip(connections, (b"", b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n12"),
                                    strict=True):
            self.addCleanup(connection.close)
            connection.sendall(data)
        served.ok("DescribeVpcs")
        start = time.monotonic()
        served.stop()
        self.assertLess(time.monotonic() - start, 5)

    def test_address_in_use(self):
        served = self.start()
        self.assertIn(f"cannot listen on 127.0.0.1 port {served.port}",
                      self.refused("--listen", f"127.0.0.1:{served.port}", state="other.sqlite"))

    def test_owner(self):
        """A state file belongs to the account and region that made it."""
        self.start("--account", "111122223333").stop()
        before = (self.folder / "state.sqlite").read_bytes()
        self.assertIn("111122223333", self.refused())
        self.assertIn("us-east-1", self.refused("--account", "111122223333", "--region", "eu-west-1"))
        self.assertEqual((self.folder / "state.sqlite").read_bytes(), before)
        self.start("--account", "111122223333").stop()

    def test_bad_state(self):
        (self.folder / "state.sqlite").write_text("no database " * 1000)
        self.assertIn("state.sqlite", self.refused())
        self.assertIn("none/state.sqlite", self.refused(state="none/state.sqlite"))

    def test_import(self):
        """--import loads the configuration's objects once; without it they are refused."""
        self.config = self.write({**network(), **objects()})
        self.assertIn("--import", self.refused())
        served = self.start("--import")
        self.assertEqual(self.sessions(served), ["tms-1"])
        served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId="tms-1")
        served.stop()
        served = self.start("--import")
        self.assertEqual(self.sessions(served), [])
        served.await_log("imported before")
        served.stop()
        self.config = self.write(network())
        served = self.start()
        self.assertEqual(len(list(served.ok("DescribeTrafficMirrorFilters").find("trafficMirrorFilterSet"))), 1)

    def test_import_into_a_used_state(self):
        served = self.start()
        tmf = served.ok("CreateTrafficMirrorFilter").findtext("trafficMirrorFilter/trafficMirrorFilterId")
        served.stop()
        self.config = self.write({**network(), **objects()})
        self.assertIn(tmf, self.refused("--import"))
        self.config = self.write(network())
        served = self.start()
        self.assertEqual(self.sessions(served), [])
        served.ok("DeleteTrafficMirrorFilter", TrafficMirrorFilterId=tmf)
        served.stop()
        self.config = self.write({**network(), **objects()})
        self.assertEqual(self.sessions(self.start("--import")), ["tms-1"])

    def test_import_all_or_nothing(self):
        """An import that fails, for its configuration or the device's tables, leaves the state as it was."""
        broken = {**network(), **objects()}
        del broken["TrafficMirrorTargets"]
        for content, word in ((broken, "tmt-1"), ({**network(), **objects(sessions=4)}, "eni-a")):
            with self.subTest(word=word):
                self.config = self.write(content)
                self.assertIn(word, self.refused("--import"))
                self.config = self.write(network())
                served = self.start()
                self.assertEqual(self.sessions(served), [])
                self.assertEqual(len(served.ok("DescribeTrafficMirrorFilters").find("trafficMirrorFilterSet")), 0)
                served.stop()

    def live(self, *arguments):
        """A service whose frames come from a pipe."""
        self.out, self.decisions = self.folder / "mirror.pcap", self.folder / "decisions.jsonl"
        served = self.start("--in", "-", "--out", self.out, "--decisions", self.decisions, *arguments,
                            stdin=subprocess.PIPE, ready=False)
        self.feed(served, HEADER)
        served.wait_ready()
        self.fed = 0
        return served

    def feed(self, served, data):
        served.process.stdin.write(data)
        served.process.stdin.flush()

    def send(self, served, **which):
        """Feeds a frame and waits until it has passed; its decision, and the copies that there are then."""
        self.fed += 1
        self.feed(served, record(frame(self.fed, **which)))
        lines = await_until(lambda: self.decided(self.fed), f"decision {self.fed}", context=served.log)
        return lines[-1], copies(self.out)

    def decided(self, count):
        lines = self.decisions.read_text().split("\n")[:-1] if self.decisions.exists() else []
        return [json.loads(line) for line in lines] if len(lines) >= count else None

    def mirrored(self, served):
        """Sends a frame that must be mirrored: its copy's outer header and VNI."""
        decision, _ = self.send(served)
        self.assertEqual(decision["Outcome"], "mirrored")
        # Its decision and its copy are written by two threads.
        wanted = frame(self.fed)[:decision["Kept"]]
        return await_until(lambda: next((copy for copy in copies(self.out)[-1:] if copy[2] == wanted), None),
                           f"the copy of frame {self.fed}")

    def test_pipe(self):
        """S8 the first frame after a reply obeys it; frames before it obey what was."""
        served = self.live()
        self.assertEqual(self.send(served)[0]["Outcome"], "not accepted")
        tmf = served.ok("CreateTrafficMirrorFilter").findtext("trafficMirrorFilter/trafficMirrorFilterId")
        tmt = served.ok("CreateTrafficMirrorTarget", NetworkInterfaceId="eni-c").findtext(
            "trafficMirrorTarget/trafficMirrorTargetId")
        tms = served.ok("CreateTrafficMirrorSession", NetworkInterfaceId="eni-a", TrafficMirrorTargetId=tmt,
                        TrafficMirrorFilterId=tmf, SessionNumber="1", VirtualNetworkId="5").findtext(
                            "trafficMirrorSession/trafficMirrorSessionId")
        self.assertEqual(self.send(served)[0]["Outcome"], "not accepted")
        tmfr = served.ok("CreateTrafficMirrorFilterRule", TrafficMirrorFilterId=tmf, TrafficDirection="egress",
                         RuleNumber="1", RuleAction="accept", SourceCidrBlock="10.0.0.0/8",
                         DestinationCidrBlock="0.0.0.0/0").findtext("trafficMirrorFilterRule/trafficMirrorFilterRuleId")
        self.assertEqual(self.mirrored(served)[1], 5)
        for vni in range(100, 130):
            served.ok("ModifyTrafficMirrorSession", TrafficMirrorSessionId=tms, VirtualNetworkId=str(vni))
            self.assertEqual(self.mirrored(served)[1], vni)
        served.ok("ModifyTrafficMirrorFilterRule", TrafficMirrorFilterRuleId=tmfr, RuleAction="reject")
        self.assertEqual(self.send(served)[0]["Outcome"], "not accepted")
        served.ok("ModifyTrafficMirrorFilterRule", TrafficMirrorFilterRuleId=tmfr, RuleAction="accept")
        self.mirrored(served)
        served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId=tms)
        self.assertEqual(self.send(served)[0]["Outcome"], "not accepted")
        self.assertEqual(len(copies(self.out)), 32)

        served.process.stdin.close()
        served.await_log("the capture has ended")
        served.ok("DescribeVpcs")
        served.stop()
        self.assertEqual(len(copies(self.out)), 32)

    def test_changes_in_traffic(self):
        """S8 T2 while frames come without a pause, each copy has one VNI, and they change in the order of the replies."""
        self.config = self.write({**network(), **objects()})
        served = self.live("--import")
        stop = time.monotonic() + 3
        vni = 100
        while time.monotonic() < stop:
            self.feed(served, b"".join(record(frame(self.fed + i)) for i in range(1, 101)))
            self.fed += 100
            vni += 1
            served.ok("ModifyTrafficMirrorSession", TrafficMirrorSessionId="tms-1", VirtualNetworkId=str(vni))
            after = len(copies(self.out))
            self.assertLessEqual(after, self.fed)
        self.mirrored(served)
        served.stop()
        out = copies(self.out)
        self.assertEqual([data for *_, data in out], [frame(i) for i in range(1, self.fed + 1)])
        vnis = [number for _, number, _ in out]
        self.assertEqual(vnis, sorted(vnis))
        self.assertEqual(vnis[-1], vni)

    def reload(self, served, words, count=1):
        served.process.send_signal(signal.SIGHUP)
        served.await_log(words, count=count)

    def test_reload_addresses(self):
        """SIGHUP: addresses that changed are in the copies that follow; a bad file changes nothing."""
        self.config = self.write({**network(), **objects()})
        served = self.live("--import")
        outer, vni, _ = self.mirrored(served)
        self.assertEqual((outer[:12], outer[26:34], vni), (C + A, bytes([10, 0, 1, 10, 10, 0, 1, 30]), 77))
        self.write({**network(c={"MacAddress": "02:00:00:00:01:0c", "PrivateIpAddress": "10.0.9.9"},
                              a={"PrivateIpAddress": "10.0.1.11"}), **objects()})
        self.reload(served, "configuration reloaded")
        outer, *_ = self.mirrored(served)
        self.assertEqual((outer[:12], outer[26:34]), (b"\2\0\0\0\1\x0c" + A, bytes([10, 0, 1, 11, 10, 0, 9, 9])))
        for number, bad in enumerate(("{", {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-a"}]}), 1):
            self.write(bad)
            self.reload(served, "the former one holds", number)
            self.assertEqual(self.mirrored(served)[0], outer)
        self.config.unlink()
        self.reload(served, "the former one holds", 3)
        self.assertEqual(self.mirrored(served)[0], outer)
        self.assertEqual(self.sessions(served), ["tms-1"])
        self.write({**network(), **objects(sessions=2)})
        self.reload(served, "configuration reloaded", 2)
        self.assertEqual(self.mirrored(served)[0][:12], C + A)
        self.assertEqual(self.sessions(served), ["tms-1"])  # objects are imported once
        served.stop()

    def test_reload_mac(self):
        """SIGHUP: a source's new MAC address is its tap for the frames that follow."""
        self.config = self.write({**network(), **objects()})
        served = self.live("--import")
        self.mirrored(served)
        self.write({**network(a={"MacAddress": "02:00:00:00:00:1a"}), **objects()})
        self.reload(served, "configuration reloaded")
        self.assertNotEqual(self.send(served)[0]["Outcome"], "mirrored")
        decision, out = self.send(served, source=b"\2\0\0\0\0\x1a")
        self.assertEqual(decision["Outcome"], "mirrored")
        self.assertEqual(out[-1][0][6:12], b"\2\0\0\0\0\x1a")
        served.stop()

    def test_reload_target(self):
        """SIGHUP: a session whose target is gone waits, which is logged, until the target is back."""
        self.config = self.write({**network(), **objects()})
        served = self.live("--import")
        self.mirrored(served)
        self.write({**network(without="c"), **objects()})
        self.write({"NetworkInterfaces": network(without="c")["NetworkInterfaces"]})
        self.reload(served, "configuration reloaded")
        served.await_log("session=tms-1")
        self.assertEqual(self.send(served)[0]["Outcome"], "not accepted")
        self.assertEqual(self.sessions(served), ["tms-1"])
        served.stop()

        self.write(network(without="c"))
        served = self.start("--in", "-", "--out", self.folder / "second.pcap", stdin=subprocess.PIPE, ready=False)
        self.feed(served, HEADER)
        served.wait_ready()
        served.await_log("session=tms-1")
        self.assertEqual(self.sessions(served), ["tms-1"])
        self.write(network())
        self.reload(served, "configuration reloaded")
        self.feed(served, record(frame(1)))
        await_until(lambda: len(copies(self.folder / "second.pcap")) == 1, "a copy", context=served.log)
        served.stop()

    def test_reload_source(self):
        """H2 SIGHUP and a start: a source that is gone disables its sessions, which is logged, until it is back; so does
        an empty listing."""
        self.config = self.write({**network(), **objects()})
        served = self.live("--import")
        self.mirrored(served)
        for number, listing in enumerate((network(without="a"), {"NetworkInterfaces": []}, {"Vpcs": []})):
            self.write(listing)
            self.reload(served, "configuration reloaded", 2 * number + 1)
            self.assertIn("a session is disabled session=tms-1 why=\"its source eni-a is not in the configuration",
                          served.log())
            self.assertNotEqual(self.send(served)[0]["Outcome"], "mirrored")
            self.assertEqual(self.sessions(served), ["tms-1"])
            self.assertEqual(served.call("DeleteTrafficMirrorTarget", {"TrafficMirrorTargetId": "tmt-1"})[1],
                             "TrafficMirrorTargetInUseException")
            served.ok("ModifyTrafficMirrorSession", TrafficMirrorSessionId="tms-1", Description=str(number))
            self.write(network())
            self.reload(served, "configuration reloaded", 2 * number + 2)
            self.mirrored(served)
        served.stop()
        self.write({"NetworkInterfaces": []})
        served = self.start()
        served.await_log("a session is disabled session=tms-1")
        self.assertEqual(self.sessions(served), ["tms-1"])
        self.write(network())
        self.reload(served, "configuration reloaded")
        self.assertEqual(served.log().count("a session is disabled"), 1)

    def test_full_at_the_start(self):
        """H2 a service starts with more sessions than its device holds; those without room are disabled, can be deleted,
        and come into force when there is room."""
        interfaces = [{"NetworkInterfaceId": f"eni-{i}", "MacAddress": f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}",
                       "PrivateIpAddress": f"10.0.{i >> 8}.{i & 255}"} for i in range(1, 362)]
        self.config = self.write({"NetworkInterfaces": interfaces})
        served = self.start()
        served.stop()
        with contextlib.closing(sqlite3.connect(self.folder / "state.sqlite")) as database, database:
            database.execute("INSERT INTO objects VALUES (1, 'tmt-1', 0, ?)", (json.dumps(
                {"type": 0, "address": "eni-361", "owner": "000000000000"}),))
            database.execute("INSERT INTO objects VALUES (2, 'tmf-1', 1, ?)", (json.dumps({"amazon_dns": False}),))
            for i in range(1, 361):
                database.execute("INSERT INTO objects VALUES (?, ?, 3, ?)", (2 + i, f"tms-{i}", json.dumps(
                    {"interface": f"eni-{i}", "target": "tmt-1", "filter": "tmf-1", "owner": "000000000000", "number": 1,
                     "vni": i})))
        device = self.folder / "device"
        served = self.start("--device", f"file:{device}")
        self.assertEqual(len(self.sessions(served)), 360)
        self.assertEqual(served.log().count("a session is disabled"), 104)
        served.await_log("a session is disabled session=tms-257")
        served.await_log("interface table has no room: 257 interfaces with a session are wanted, it holds 256")
        tables = device.read_bytes()
        served.ok("ModifyTrafficMirrorSession", TrafficMirrorSessionId="tms-300", VirtualNetworkId="7")
        self.assertEqual(served.call("CreateTrafficMirrorSession", {
            "NetworkInterfaceId": "eni-300", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1",
            "SessionNumber": "2"})[1], "TrafficMirrorSessionLimitExceeded")
        self.assertEqual(device.read_bytes(), tables)
        served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId="tms-5")
        self.assertNotEqual(device.read_bytes(), tables)
        self.reload(served, "configuration reloaded")
        self.assertEqual(served.log().count("a session is disabled session=tms-257"), 1)
        self.assertEqual(served.log().count("a session is disabled session=tms-258"), 2)
        served.stop()

    def test_delete_orphans(self):
        """H2 SIGHUP with --delete-orphans: a source that is gone takes its sessions, which is logged, and its return
        brings none back. A start deletes nothing."""
        self.config = self.write({**network(), **objects()})
        self.start("--import", "--delete-orphans").stop()
        self.write(network(without="a"))
        served = self.start("--delete-orphans")
        self.assertEqual(self.sessions(served), ["tms-1"])
        served.stop()
        self.write(network())
        served = self.live("--delete-orphans")
        self.mirrored(served)
        self.write(network(without="a"))
        self.reload(served, "configuration reloaded")
        served.await_log("its source is gone session=tms-1")
        self.assertNotEqual(self.send(served)[0]["Outcome"], "mirrored")
        self.assertEqual(self.sessions(served), [])
        self.write(network())
        self.reload(served, "configuration reloaded", 2)
        self.assertEqual(self.send(served)[0]["Outcome"], "not accepted")
        served.stop()
        self.assertEqual(self.sessions(self.start()), [])

    def test_reload_credentials(self):
        """SIGHUP: keys are read again; a bad file keeps those that were."""
        keys = service.write_credentials(self.folder / "keys.json")
        served = self.start("--credentials", keys)
        self.assertEqual(served.call("DescribeVpcs")[0], 200)
        self.assertEqual(served.call("DescribeVpcs", key=("AKNEW", "new"))[0], 401)
        service.write_credentials(keys, ("AKNEW", "new", service.policy("ec2:*"), None))
        self.reload(served, "configuration reloaded")
        self.assertEqual(served.call("DescribeVpcs")[0], 401)
        self.assertEqual(served.call("DescribeVpcs", key=("AKNEW", "new"))[0], 200)
        for number, prepare in enumerate((lambda: keys.write_text("{"), lambda: keys.chmod(0o644), keys.unlink), 1):
            prepare()
            self.reload(served, "the former one holds", number)
            self.assertEqual(served.call("DescribeVpcs", key=("AKNEW", "new"))[0], 200)
        served.stop()

    def loop(self):
        """The outputs of a service whose capture begins again and again until SIGTERM, and the statistics' frames."""
        capture = self.folder / "in.pcap"
        capture.write_bytes(HEADER + b"".join(record(frame(i), i) for i in range(50)))
        out = {name: self.folder / name for name in ("mirror.pcap", "forward.pcap", "decisions.jsonl", "stats.json")}
        self.config = self.write({**network(), **objects()})
        served = self.start("--import", "--in", capture, "--loop", "--out", out["mirror.pcap"], "--forward",
                            out["forward.pcap"], "--decisions", out["decisions.jsonl"], "--stats", out["stats.json"])

        def stats():
            return json.loads(served.http("GET", "/stats")[2])["frames"]

        await_until(lambda: stats()["received"] > 1000, "1,000 frames", context=served.log)
        served.ok("DeleteTrafficMirrorSession", TrafficMirrorSessionId="tms-1")
        # Copies of frames from before the change may be on their way behind the reply.
        await_until(lambda: stats()["not_accepted"] > 100, "frames without a session", context=served.log)
        before = stats()["mirrored"]
        await_until(lambda: stats()["not_accepted"] > 200, "more of them", context=served.log)
        self.assertEqual(stats()["mirrored"], before)
        served.stop()
        final = json.loads(out["stats.json"].read_text())
        return out, final["frames"]

    def test_loop(self):
        """A capture that begins again and again; SIGTERM leaves outputs that are whole and agree."""
        out, frames = self.loop()
        self.assertEqual(frames["received"], frames["forwarded"])
        self.assertEqual(frames["received"], frames["not_accepted"] + frames["mirrored"])
        decisions = [json.loads(line) for line in out["decisions.jsonl"].read_text().splitlines()]
        self.assertEqual(len(decisions), frames["received"])
        self.assertEqual(sum(d["Outcome"] == "mirrored" for d in decisions), frames["mirrored"])
        self.assertEqual(len(copies(out["mirror.pcap"])), frames["mirrored"])

    def test_loop_in_tshark(self):
        """tshark reads the captures that SIGTERM leaves to their ends."""
        if shutil.which("tshark") is None:
            self.skipTest("there is no tshark; the Debian package tshark has it")
        out, frames = self.loop()
        for name, count in (("mirror.pcap", frames["mirrored"]), ("forward.pcap", frames["received"])):
            done = subprocess.run(["tshark", "-n", "-r", out[name], "-T", "fields", "-e", "frame.number"],
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual((done.returncode, len(done.stdout.split())), (0, count), done.stderr)

    def test_run_with_state(self):
        """run --state replays with the sessions that serve keeps, and leaves the file as it is."""
        self.config = self.write({**network(), **objects()})
        served = self.start("--import")
        served.ok("ModifyTrafficMirrorSession", TrafficMirrorSessionId="tms-1", VirtualNetworkId="99")
        capture = self.folder / "in.pcap"
        capture.write_bytes(HEADER + b"".join(record(frame(i), i) for i in range(20)))
        self.config = self.write(network())
        for stopped in (False, True):
            with self.subTest(stopped=stopped):
                if stopped:
                    served.stop()
                before = {path: hashlib.sha256(path.read_bytes()).hexdigest()
                          for path in self.folder.glob("state.sqlite*") if not path.name.endswith("-shm")}
                requests = self.write(json.dumps({"Action": "DeleteTrafficMirrorSession", "AtFrame": 11,
                                                  "TrafficMirrorSessionId": "tms-1"}), "requests.jsonl")
                done = subprocess.run([MIRRORNIC, "run", "--config", self.config, "--state",
                                       self.folder / "state.sqlite", "--in", capture, "--out", self.folder / "run.pcap",
                                       "--requests", requests], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                out = copies(self.folder / "run.pcap")
                self.assertEqual([vni for _, vni, _ in out], [99] * 10)
                after = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in before}
                self.assertEqual(before, after)
        self.assertEqual(self.sessions(self.start()), ["tms-1"])

    def on_small_disk(self, *arguments, **more):
        """A service that has a small disk of its own, which can be filled: (service, the disk as seen from here)."""
        disk = self.folder / "disk"
        disk.mkdir()
        launcher = service.small_disk(disk)
        probe = subprocess.run([*launcher, "true"], capture_output=True, text=True)
        if probe.returncode != 0:
            self.skipTest("no file system can be mounted in a namespace here: " + probe.stderr.strip())
        served = self.start(*arguments, launcher=launcher, **more)
        return served, service.disk_of(served, disk)

    def health(self, served):
        status, _, body = served.http("GET", "/health")
        return status, json.loads(body)["Status"]

    def await_ready(self, served):
        await_until(lambda: self.health(served) == (200, "ready"), "/health ready", 10, served.log)

    def seen(self, served):
        """What the Describe actions show, without what differs in each reply."""
        found = {}
        for what in ("Sessions", "Targets", "Filters"):
            root = served.ok(f"DescribeTrafficMirror{what}")
            root.remove(root.find("requestId"))
            found[what] = ElementTree.tostring(root)
        return found

    def test_disk_full(self):
        """S7 S8 Unavailable: the store's disk is full; the request changes nothing, and succeeds when there is room."""
        self.config = self.write({**network(), **objects()})
        device = self.folder / "device"
        served, disk = self.on_small_disk("--import", "--device", f"file:{device}", state="disk/state.sqlite")
        session = {"NetworkInterfaceId": "eni-a", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1",
                   "SessionNumber": "2", "ClientToken": "full", "Description": "x" * 255}
        filler = service.fill(disk)
        made = 0  # the log's last page may have had room
        while True:
            before = self.seen(served), device.read_bytes()
            status, code, body = served.call("CreateTrafficMirrorFilter", {"Description": "y" * 255})
            if status != 200:
                break
            made += 1
            self.assertLess(made, 1000, "the disk was never full")
        for _ in range(3):
            self.assertEqual((status, code), (503, "Unavailable"), body)
            self.assertEqual((self.seen(served), device.read_bytes()), before)
            status, code, body = served.call("CreateTrafficMirrorSession", session)
        self.assertEqual((status, code), (503, "Unavailable"), body)
        status, code, body = served.call("DeleteTrafficMirrorSession", {"TrafficMirrorSessionId": "tms-1"})
        self.assertEqual((status, code), (503, "Unavailable"), body)
        self.assertEqual((self.seen(served), device.read_bytes()), before)
        filler.unlink()
        tms = served.ok("CreateTrafficMirrorSession", **session).findtext("trafficMirrorSession/trafficMirrorSessionId")
        self.assertEqual(self.sessions(served), ["tms-1", tms])
        self.assertNotEqual(device.read_bytes(), before[1])
        self.await_ready(served)
        served.stop()

    def test_device_fails(self):
        """S7 S8 InternalError: the device cannot be written; the store is put back, and /health is degraded until the
        device takes what the account wants."""
        self.config = self.write({**network(), **objects()})
        served, disk = self.on_small_disk("--import", "--device", f"file:{self.folder}/disk/device")
        state = self.folder / "state.sqlite"
        self.assertEqual(self.health(served), (200, "ready"))
        before = self.seen(served)
        # The device's two records of commits lose their room, and then there is none.
        subprocess.run(["fallocate", "--punch-hole", "--offset", "4096", "--length", "8192", disk / "device"], check=True)
        filler = service.fill(disk)
        tables = (disk / "device").read_bytes()[12288:]
        session = {"NetworkInterfaceId": "eni-a", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1",
                   "SessionNumber": "2", "ClientToken": "fails"}
        for action, parameters in (("CreateTrafficMirrorSession", session),
                                   ("DeleteTrafficMirrorSession", {"TrafficMirrorSessionId": "tms-1"})):
            with self.subTest(action=action):
                status, code, body = served.call(action, parameters)
                self.assertEqual((status, code), (500, "InternalError"), body)
                self.assertNotIn("disk", body)  # what the device says is for the log alone
                self.assertEqual(self.seen(served), before)
                self.assertEqual((disk / "device").read_bytes()[12288:], tables)
                self.assertEqual(self.health(served), (503, "degraded"))
                # The file itself was put back before the error was sent.
                with sqlite3.connect(state) as database:
                    self.assertEqual(database.execute("SELECT id FROM objects WHERE kind = 3").fetchall(), [("tms-1",)])
                    self.assertEqual(database.execute("SELECT count(*) FROM tokens").fetchone(), (0,))
        filler.unlink()
        tms = served.ok("CreateTrafficMirrorSession", **session).findtext("trafficMirrorSession/trafficMirrorSessionId")
        self.assertEqual(self.sessions(served), ["tms-1", tms])
        self.await_ready(served)
        self.assertNotEqual((disk / "device").read_bytes()[12288:], tables)
        served.stop()

    def test_credentials_file(self):
        """Keys that others could read are refused, and no message shows a secret."""
        keys = service.write_credentials(self.folder / "keys.json")
        for mode in (0o644, 0o640, 0o604, 0o620):
            keys.chmod(mode)
            message = self.refused("--credentials", keys)
            self.assertIn("chmod 600", message)
            self.assertNotIn(service.SECRET, message)
        keys.chmod(0o600)
        for content in (f'{{"Credentials": [{{"SecretAccessKey": "{service.SECRET}"', f'["{service.SECRET}"]',
                        json.dumps({"Credentials": [{"AccessKeyId": "A", "SecretAccessKey": service.SECRET,
                                                     "Policy": {"Statement": {"Effect": "Allow", "Action": "ec2:*",
                                                                              "Resource": "arn:x"}}}]})):
            keys.write_text(content)
            self.assertNotIn(service.SECRET, self.refused("--credentials", keys))
        self.refused("--credentials", self.folder / "none.json")

    def test_usage(self):
        """Wrong usage is status 2 and changes nothing."""
        self.assertIn("--credentials", self.refused("--listen", "0.0.0.0:0", status=2))
        keys = service.write_credentials(self.folder / "keys.json")
        self.assertIn("--plain-http", self.refused("--listen", "0.0.0.0:0", "--credentials", keys, status=2))
        for arguments in (["--listen", "127.0.0.1"], ["--listen", "127.0.0.1:65536"], ["--listen", "example.com:80"],
                          ["--listen", "[::]:0"], ["--tls-cert", "x"], ["--tls-key", "x"], ["--account", "1"],
                          ["--device", "fpga"], ["--device", "pci:0000:01:00.0"], ["--log-format", "xml"], ["--loop"],
                          ["--out", "x"], ["--decisions", "x"], ["--in", "x"], ["--quota", "nothing=1"],
                          ["--quota", "filters"], ["--in", "-", "--out", "x", "--loop"], ["--nothing"], ["extra"]):
            with self.subTest(arguments=arguments):
                self.refused(*arguments, status=2)
        for place, word in (("03:00.0", "0000:03:00.0"), ("0000:03:00.0,bar=6", "0 to 5"),
                            ("0000:03:00.0,offset=32", "multiple of 64"), ("0000:03:00.0,size=4", "bar=N")):
            with self.subTest(place=place):
                self.assertIn(word, self.refused("--device", f"pci:{place}", "--credentials", keys, status=2))
        # A place that may be, of a card that is not there.
        self.assertIn("no PCI device ffff:ff:1f.7", self.refused(
            "--device", "pci:ffff:ff:1f.7,bar=2,offset=0x100000", "--credentials", keys, state="none.sqlite"))
        for leftover in self.folder.glob("none.sqlite*"):
            leftover.unlink()
        for arguments in (["serve"], ["serve", "--import"]):
            self.assertEqual(subprocess.run([MIRRORNIC, *arguments], capture_output=True).returncode, 2)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["config.json", "keys.json"])
        done = subprocess.run([MIRRORNIC, "serve", "--help"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0)
        for option in ("--listen", "--state", "--credentials", "--tls-cert", "--import", "--loop", "--quota"):
            self.assertIn(option, done.stdout)

    def test_options_file(self):
        """--options takes NAME=VALUE lines; the command line comes first."""
        options = self.write("account=111122223333\nregion=eu-west-1\nlog-format=json\n", "options")
        served = self.start("--options", options, "--region", "us-east-1")
        self.assertEqual((served.ready["Account"], served.ready["Region"]), ("111122223333", "us-east-1"))
        served.stop()
        self.assertIn("stopped", [json.loads(line)["message"] for line in served.log().splitlines()])
        self.refused("--options", self.folder / "none", status=2)
        self.refused("--options", self.write("nothing=1\n", "bad"), status=2)

    def test_tls(self):
        """TLS with the certificate that was given; version 1.2 at least; bad files are refused."""
        certificate, key = service.make_certificate(self.folder)
        served = self.start("--tls-cert", certificate, "--tls-key", key)
        self.assertTrue(served.url.startswith("https://127.0.0.1:"))
        context = ssl.create_default_context(cafile=certificate)
        request = (f"GET /?Action=DescribeVpcs&Version={service.VERSION} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                   "Connection: close\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", served.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(request)
                self.assertTrue(connection.recv(12).startswith(b"HTTP/1.1 200"))
        for version, status in (("-tls1_1", 1), ("-tls1_2", 0), ("-tls1_3", 0)):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", version, "-cipher",
                                   "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
            self.assertEqual(done.returncode, status, done.stderr)
        with socket.create_connection(("127.0.0.1", served.port), 10) as plain:
            plain.sendall(request)
            self.assertNotIn(b"200", plain.recv(100))
        served.stop()
        self.refused("--tls-cert", key, "--tls-key", key)
        self.refused("--tls-cert", certificate, "--tls-key", self.folder / "none.pem")


if __name__ == "__main__":
    environment.main()
