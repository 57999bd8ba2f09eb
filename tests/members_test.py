#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every member of every output, in both directions: what the documents' tables name is seen in a run, with the value that
it should have, and what is seen the tables name. A table's row names in `code` its member, what the member holds, and the
words that are its values. MIRRORNIC names the command that does to a frame what the word in it says (marking_board.cpp).
"""
import collections
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import environment
from command_test import config, read_pcap, udp, write_pcap
from service import MIRRORNIC, VERSION, Service, ask, await_until, make_certificate, write_credentials

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {"run", "serve"}  # that a row says something of


def words(cell):
    return {word for word in re.findall(r"`([^`]+)`", cell) if word not in COMMANDS and not word.startswith("--")}


def rows(document, heading, first):
    """The rows of the table below a heading whose header begins with so."""
    text = (ROOT / document).read_text()
    section = re.search(rf"^(#+) {re.escape(heading)}.*?\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)[2]
    table = re.search(rf"^\| {re.escape(first)} .*?\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)[1]
    found = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    assert found
    return found


def documented(document, heading, first="member"):
    """Each member, and the words that its row has of it."""
    found = {}
    for names, text in rows(document, heading, first):
        for name in re.findall(r"`([^`]+)`", names):
            assert name not in found, name
            found[name] = words(text)
    return found


def seen(value):
    """The names of members within a value, and the words that it consists of."""
    if isinstance(value, dict):
        return set().union(set(value), *map(seen, value.values()))
    if isinstance(value, list):
        return set().union(*map(seen, value))
    return {value} if isinstance(value, str) else {"true"} if value is True else set()


def names_in(value):
    """A value whose strings are left out, so that the names of its members are left."""
    if isinstance(value, list):
        return list(map(names_in, value))
    if isinstance(value, dict):
        return {name: names_in(each) for name, each in value.items()}
    return None if isinstance(value, (str, bool)) else value


def frame(word, number, length=100, port=5000, source=0x0a):
    """A UDP frame that the command does something to; the number is how a copy is known again."""
    made = bytearray(udp(length, source=b"\2\0\0\0\0" + bytes([source])))
    made[36:38] = struct.pack(">H", port)
    made[42:50] = word + struct.pack(">I", number)
    return bytes(made)


def configuration():
    """Of eni-a three sessions: tms-1 has no rules, tms-2 rejects all, and tms-3 takes port 5000 and Amazon DNS. Of eni-b one
    that takes 60 bytes of all. eni-c has none."""
    whole = config()
    block = {"SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"}

    def with_rules(name, *rules, **more):
        return {"TrafficMirrorFilterId": name, "IngressFilterRules": [], **more, "EgressFilterRules": [
            {"TrafficMirrorFilterRuleId": id_, "TrafficMirrorFilterId": name, "TrafficDirection": "egress", "RuleNumber": 1,
             "RuleAction": action, **block, **ports} for id_, action, ports in rules]}

    port = {"Protocol": 17, "DestinationPortRange": {"FromPort": 5000, "ToPort": 5000}}
    whole["TrafficMirrorFilters"] = [
        with_rules("tmf-none"), with_rules("tmf-reject", ("tmfr-reject", "reject", {})),
        with_rules("tmf-accept", ("tmfr-accept", "accept", port), NetworkServices=["amazon-dns"]),
        with_rules("tmf-all", ("tmfr-all", "accept", {}))]
    session = whole["TrafficMirrorSessions"][0]
    whole["TrafficMirrorSessions"] = [
        {**session, "TrafficMirrorSessionId": f"tms-{number}", "SessionNumber": number, "TrafficMirrorFilterId": filter_}
        for number, filter_ in enumerate(("tmf-none", "tmf-reject", "tmf-accept"), 1)]
    whole["TrafficMirrorSessions"].append({**session, "TrafficMirrorSessionId": "tms-b", "NetworkInterfaceId": "eni-b",
                                           "TrafficMirrorFilterId": "tmf-all", "PacketLength": 60})
    return whole


NO_RULE = {"TrafficMirrorSessionId": "tms-1", "Why": "no rule"}
BY_RULE = {"TrafficMirrorSessionId": "tms-2", "Why": "rejected by rule", "TrafficMirrorFilterRuleId": "tmfr-reject"}
LAST = {"TrafficMirrorSessionId": "tms-3", "Why": "no rule"}
DNS_OFF = [{"TrafficMirrorSessionId": f"tms-{number}", "Why": "amazon-dns is off"} for number in (1, 2)]
BY_A = {"TrafficMirrorSessionId": "tms-3", "TrafficMirrorFilterRuleId": "tmfr-accept", "Rejected": [NO_RULE, BY_RULE]}
BY_B = {"TrafficMirrorSessionId": "tms-b", "TrafficMirrorFilterRuleId": "tmfr-all", "Kept": 60}


def tap(name):
    return {"NetworkInterfaceId": name, "Direction": "egress"}


def frames():
    """Pairs of a frame and what is said of it, but for its number and length; of the last part, where the output stands
    still, only what is the same for all."""
    dns = bytearray(frame(b"    ", 3, port=53))
    dns[30:34] = bytes([169, 254, 169, 253])
    arp = bytearray(frame(b"    ", 0))
    arp[12:14] = b"\x08\x06"
    to_b = bytearray(frame(b"    ", 0, source=0x1a))
    to_b[0:6] = b"\2\0\0\0\0\x0b"
    a, b, c = tap("eni-a"), tap("eni-b"), tap("eni-c")
    out = "not eligible"
    return [
        (frame(b"    ", 1), {**a, "Outcome": "mirrored", **BY_A, "Kept": 100}),
        (frame(b"    ", 2, port=5001), {**a, "Outcome": "not accepted", "Rejected": [NO_RULE, BY_RULE, LAST]}),
        (bytes(dns), {**a, "Outcome": "mirrored", "TrafficMirrorSessionId": "tms-3", "NetworkService": "amazon-dns",
                      "Kept": 100, "Rejected": DNS_OFF}),
        (frame(b"    ", 4, source=0x0c), {**c, "Outcome": "not accepted", "Cause": "no session"}),
        (frame(b"    ", 5, source=0x1a), {"Outcome": out, "Cause": "no tap"}),
        (bytes(to_b), {"NetworkInterfaceId": "eni-b", "Direction": "ingress", "Outcome": "not accepted",
                       "Rejected": [{"TrafficMirrorSessionId": "tms-b", "Why": "no rule"}]}),
        (frame(b"keep", 7), {**a, "Outcome": out, "Cause": "malformed"}),
        (frame(b"bad ", 8), {**a, "Outcome": out, "Cause": "marked bad"}),
        (bytes(arp), {**a, "Outcome": out, "Cause": "not IP"}),
        (frame(b"    ", 10, port=67), {**a, "Outcome": out, "Cause": "excluded service"}),
        (frame(b"tabl", 11), {**a, "Outcome": out, "Cause": "table fault"}),
        (frame(b"entr", 12), {**a, "Outcome": "dropped", "Cause": "session entry fault", **BY_A, "Kept": 0}),
        # The mark comes behind the beat with the last byte of the copy, which stands. A mark within the copy is early.
        (frame(b"late", 13, 1000, source=0x0b), {**b, "Outcome": "mirrored", **BY_B, "LateBad": True}),
        (frame(b"late", 14, 1000), {**a, "Outcome": out, "Cause": "marked bad"}),
        (frame(b"    ", 15, 1000, source=0x0b), {**b, "Outcome": "mirrored", **BY_B}),
        *((frame(b"more" if i else b"stop", 16 + i, 9000), {**a, **BY_A}) for i in range(30)),
        (frame(b"rset", 46, 9000), {**a, "Outcome": "dropped", "Cause": "mirror reset", **BY_A}),
        (frame(b"wait", 47), {**a, "Outcome": "mirrored", **BY_A}),
        (frame(b"    ", 48), {**a, "Outcome": "mirrored", **BY_A}),
    ]


class Members(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(configuration()))
        self.capture = self.folder / "in.pcap"

    def hold(self, table, objects, free=(), elsewhere=()):
        """Objects, all together, against a table. The values of `free` members are names and sentences of any kind, of which
        the words of the table are some; members `elsewhere` are seen by another test."""
        self.assertTrue(objects)
        shown = collections.defaultdict(set)
        for each in objects:
            self.assertIsInstance(each, dict)
            for member, value in each.items():
                shown[member] |= seen(value)
        self.assertEqual(set(shown) | set(elsewhere), set(table))
        for member, found in shown.items():
            with self.subTest(member=member):
                if member in free:
                    self.assertLessEqual(table[member], found)
                else:
                    self.assertEqual(found, table[member])

    def ids(self, value):
        """A value without what its ids, addresses and sentences are, which are checked by themselves."""
        if isinstance(value, list):
            return [self.ids(each) for each in value]
        if isinstance(value, dict):
            return {name: None if name.endswith(("Id", "Address")) else self.ids(each) for name, each in value.items()}
        return value

    def run_all(self, *more):
        sent = frames()
        write_pcap(self.capture, [(10**9 + i, each) for i, (each, _) in enumerate(sent)])
        paths = {name: self.folder / name for name in ("out", "decisions", "stats", "replies")}
        given = [part for name, path in paths.items() for part in ("--" + name, path)]
        if not more:
            given = given[:-2]
        done = subprocess.run([MIRRORNIC, "run", "--config", self.config, "--in", self.capture, *given, *more],
                              capture_output=True, text=True, timeout=60)
        return sent, done, {name: path.read_text() for name, path in paths.items() if name != "out" and path.exists()}

    def test_decisions_and_statistics(self):
        """I5 P22 P23 P24 each member of a decision, LateBad among them, and of run's statistics, and each cause."""
        sent, done, text = self.run_all()
        self.assertEqual(done.returncode, 0, done.stderr)
        decisions = list(map(json.loads, text["decisions"].splitlines()))
        self.assertEqual(len(decisions), len(sent))
        copies = [copy for _, copy in read_pcap(self.folder / "out")]
        left = {struct.unpack_from(">I", copy, 96)[0] for copy in copies}
        for number, ((bytes_, expected), decision) in enumerate(zip(sent, decisions, strict=True), 1):
            with self.subTest(frame=number):
                whole = {"Frame": number, "Length": len(bytes_), **expected}
                if "Outcome" not in expected:  # it hangs on the room that there is
                    whole["Outcome"] = decision["Outcome"]
                    self.assertIn(whole["Outcome"], ("mirrored", "dropped"))
                    if whole["Outcome"] == "dropped":
                        whole["Cause"] = "mirror output too slow"
                if whole["Outcome"] in ("mirrored", "dropped"):
                    whole.setdefault("Kept", len(bytes_))
                self.assertEqual(decision, whole)
        self.hold(documented("docs/command.md", "Decisions"), self.ids(decisions))
        announced = {decision["Frame"] for decision in decisions if decision["Outcome"] == "mirrored"}
        self.assertLess(left, announced)
        self.assertEqual(len(left), len(copies))
        for number in announced - left:  # waited when the mirror was reset
            decisions[number - 1].update(Outcome="dropped", Cause="mirror reset")
        self.check_statistics(json.loads(text["stats"]), decisions, copies)

    def check_statistics(self, stats, decisions, copies):
        for unit, of in (("frames", lambda _: 1), ("bytes", lambda decision: decision["Length"])):
            sums = {name: sum(of(d) for d in decisions if d["Outcome"] == name.replace("_", " "))
                    for name in ("not_eligible", "not_accepted", "mirrored", "dropped")}
            self.assertTrue(all(sums.values()), sums)
            everything = sum(map(of, decisions))
            self.assertEqual(stats[unit], {"received": everything, "forwarded": everything, **sums,
                                           "selected": sums["mirrored"] + sums["dropped"]})
        causes = collections.Counter(decision.get("Cause") for decision in decisions)
        spelt = {"excluded": "excluded service", "overflow": "mirror output too slow", "reset": "mirror reset",
                 "not_ip": "not IP", "session_fault": "session entry fault"}
        late = sum(1 for decision in decisions if decision.get("LateBad"))
        expected = {name: causes[spelt.get(name, name.replace("_", " "))] for name in stats["causes"] if name != "late_bad"}
        self.assertEqual(stats["causes"], {**expected, "late_bad": late})
        self.assertTrue(all(stats["causes"].values()), stats["causes"])
        self.assertEqual(stats["Schema"], 1)
        self.assertEqual([session["TrafficMirrorSessionId"] for session in stats["sessions"]],
                         ["tms-1", "tms-2", "tms-3", "tms-b"])
        for session in stats["sessions"]:
            own = [d for d in decisions if d.get("TrafficMirrorSessionId") == session["TrafficMirrorSessionId"]]
            mirrored = [d for d in own if d["Outcome"] == "mirrored"]
            self.assertEqual(session, {
                "TrafficMirrorSessionId": session["TrafficMirrorSessionId"], "selected": len(own), "mirrored": len(mirrored),
                "truncated": sum(1 for d in mirrored if d["Kept"] < d["Length"]), "dropped": len(own) - len(mirrored),
                "mirrored_bytes": sum(50 + d["Kept"] for d in mirrored)})
        self.assertEqual(sum(session["mirrored_bytes"] for session in stats["sessions"]), sum(map(len, copies)))
        for member in ("selected", "mirrored", "truncated", "dropped", "mirrored_bytes"):
            self.assertTrue(any(session[member] for session in stats["sessions"]), member)
        self.assertEqual(stats["table_faults"], {"found": 0, "rewritten": 0})  # only serve looks for them
        cycles = stats["cycles"]
        self.assertEqual(cycles["clock_mhz"], 322.265625)
        self.assertGreater(cycles["active"], sum((d["Length"] + 63) // 64 for d in decisions))
        self.assertGreaterEqual(cycles["total"], cycles["active"])
        latency = cycles["latency"]
        self.assertEqual(latency["minimum"], 16)
        self.assertEqual(latency["median"], 16)
        self.assertTrue(500 <= latency["maximum"] < 1100, latency)  # of the copy behind the one that waits
        self.assertEqual(stats["warnings"], [])
        self.hold(documented("docs/command.md", "Statistics"), [self.ids(stats)], elsewhere=("outputs", "earlier_sessions"))

    def test_earlier_sessions(self):
        """The sum of the sessions that are no longer remembered by their ids is read where as many can be had."""
        source = (ROOT / "tests/simulated_traffic_test.cpp").read_text()
        read = set(re.findall(r'CHECK\(earlier\["(\w+)"\] ==', source))
        self.assertTrue(read)
        self.assertEqual(read, documented("docs/command.md", "Statistics")["earlier_sessions"])

    def test_summary(self):
        """What run prints is what its statistics say."""
        _, done, text = self.run_all()
        stats = json.loads(text["stats"])
        printed = [line.split() for line in done.stdout.splitlines()]
        for name, member in (("passes at taps or none", "received"), ("forwarded", "forwarded"),
                             ("not eligible", "not_eligible"), ("accepted by no session", "not_accepted"),
                             ("mirrored", "mirrored"), ("dropped", "dropped")):
            self.assertIn([*name.split(), str(stats["frames"][member])], printed)
        self.assertEqual(len(stats["sessions"]), 4)
        for session in stats["sessions"]:
            self.assertIn([session["TrafficMirrorSessionId"], str(session["mirrored"]), "copies,",
                           str(session["mirrored_bytes"]), "bytes,", str(session["truncated"]), "truncated,",
                           str(session["dropped"]), "dropped"], printed)
        self.assertIn(["decisions", str(self.folder / "decisions")], printed)

    def test_replies(self):
        """S7 each member of a reply's line, and a warning in the statistics."""
        requests = self.folder / "requests.jsonl"
        requests.write_text("\n" + "\n".join(map(json.dumps, [
            {"Action": "CreateTrafficMirrorFilter", "Description": "one"},
            {"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "tmf-none", "AtFrame": 2},
            {"Action": "DescribeVpcs", "AtFrame": 900}])))
        _, done, text = self.run_all("--requests", requests)
        self.assertEqual(done.returncode, 1, done.stderr)
        replies = list(map(json.loads, text["replies"].splitlines()))
        self.assertEqual([(reply["Line"], reply["Action"]) for reply in replies],
                         [(2, "CreateTrafficMirrorFilter"), (3, "DeleteTrafficMirrorFilter")])
        self.assertEqual(replies[0]["Reply"]["TrafficMirrorFilter"]["Description"], "one")
        self.assertEqual(replies[1]["Error"]["Code"], "TrafficMirrorFilterInUse")
        self.assertIn("tmf-none", replies[1]["Error"]["Message"])
        self.hold(documented("docs/command.md", "Replies"), [{**reply, "Reply": None} if "Reply" in reply else reply
                                                             for reply in replies], free=("Action", "Error"))
        warnings = json.loads(text["stats"])["warnings"]
        self.assertEqual(len(warnings), 1)
        self.assertIn("line 4", warnings[0])

    def test_check(self):
        """T1 P8 P14 each member of what check says of a configuration."""
        given = configuration()
        given["NetworkInterfaces"][0]["VpcId"] = "vpc-1"
        given["Vpcs"] = [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "CidrBlockAssociationSet": [
            {"CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}}]}]
        self.config.write_text(json.dumps(given))
        done = subprocess.run([MIRRORNIC, "check", "--config", self.config, "--json"], capture_output=True, check=True)
        said = json.loads(done.stdout)
        common = {"SourceAddress": "10.0.1.10", "TargetAddress": "10.0.1.30", "TargetInterfaceId": "eni-c",
                  "TargetMacAddress": "02:00:00:00:00:0c", "TrafficMirrorTargetId": "tmt-1", "Mtu": 9216,
                  "LongestCopy": 9180, "VirtualNetworkId": 77}
        names = ("tmf-none", "tmf-reject", "tmf-accept")
        self.assertEqual(said["Interfaces"], [
            {"NetworkInterfaceId": "eni-a", "MacAddress": "02:00:00:00:00:0a", "PrivateIpAddress": "10.0.1.10",
             "Ipv6Addresses": ["2001:db8::10"], "Mtu": 9001, "VpcId": "vpc-1", "Resolver": "10.0.0.2", "Targets": [],
             "Sessions": [{**common, "TrafficMirrorSessionId": f"tms-{number}", "SessionNumber": number,
                           "TrafficMirrorFilterId": name} for number, name in enumerate(names, 1)]},
            {"NetworkInterfaceId": "eni-b", "MacAddress": "02:00:00:00:00:0b", "PrivateIpAddress": "10.0.2.20",
             "Ipv6Addresses": ["2001:db8::20"], "Mtu": 9001, "Targets": [], "Sessions": [
                {**common, "SourceAddress": "10.0.2.20", "TrafficMirrorSessionId": "tms-b", "SessionNumber": 1,
                 "TrafficMirrorFilterId": "tmf-all", "PacketLength": 60, "LongestCopy": 60}]},
            {"NetworkInterfaceId": "eni-c", "MacAddress": "02:00:00:00:00:0c", "PrivateIpAddress": "10.0.1.30",
             "Ipv6Addresses": [], "Mtu": 9216, "Targets": ["tmt-1"], "Sessions": []}])
        by_id = {each["TrafficMirrorFilterId"]: each for each in said["Filters"]}
        self.assertEqual(set(by_id), {"tmf-none", "tmf-reject", "tmf-accept", "tmf-all"})
        self.assertEqual(by_id["tmf-accept"], {
            "TrafficMirrorFilterId": "tmf-accept", "NetworkServices": ["amazon-dns"], "IngressFilterRules": [],
            "EgressFilterRules": ["1 accept UDP from 0.0.0.0/0 to 0.0.0.0/0 port 5000 (tmfr-accept)"], "Sessions": 1})
        self.assertEqual(said["Targets"], [{"TrafficMirrorTargetId": "tmt-1", "Address": "eni-c", "Interfaces": ["eni-c"],
                                            "Sessions": 4}])
        self.assertEqual([(row["Table"], row["Used"], row["Size"]) for row in said["Tables"]], [
            ("interfaces with a session", 2, 256), ("sessions of one interface", 3, 3), ("filters in use", 4, 256),
            ("rules of one direction of a filter", 1, 16), ("sessions", 4, 1024)])
        self.assertEqual((said["Schema"], said["Fits"]), (1, True))
        table = documented("docs/command.md", "What a configuration means")
        self.hold(table, [{name: value if name == "Tables" else names_in(value) for name, value in said.items()}])

    def serve(self, *arguments, **more):
        served = Service(self.folder, self.config, "--import", *arguments, **more)
        self.addCleanup(served.__exit__)
        return served

    def test_serve(self):
        """P23 T4 each member of the ready line, of /stats, of --stats and of /metrics, with one truth in all of them."""
        sent = frames()[:15]
        write_pcap(self.capture, [(10**9 + i, each) for i, (each, _) in enumerate(sent)])
        served = self.serve("--in", self.capture, "--out", self.folder / "out", "--decisions", self.folder / "decisions",
                            "--forward", "/dev/full", "--stats", self.folder / "stats", "--admin", "127.0.0.1:0")
        ready = served.ready
        admin = int(ready["Admin"].rsplit(":", 1)[1])
        self.assertEqual(ready, {
            "Status": "ready", "Url": f"http://127.0.0.1:{served.port}", "Admin": f"http://127.0.0.1:{admin}",
            "Region": "us-east-1", "Account": "000000000000", "State": str(self.folder / "state.sqlite"), "Device": "sim",
            "Pid": served.process.pid})
        self.hold(documented("docs/api.md", "The ready line"),
                  [{name: value if name == "Status" else None for name, value in ready.items()}])

        def stats():
            return json.loads(ask(admin, path="/stats")[2])

        await_until(lambda: stats()["frames"]["forwarded"] == len(sent) and stats()["table_faults"]["rewritten"],
                    "all frames, and the driver's repair")
        live = stats()
        command = documented("docs/command.md", "Statistics")
        left_out = words(next(text for path, text in rows("docs/api.md", "Health, counters, log", "path")
                              if "/stats" in path))
        self.assertEqual(left_out, {"cycles", "earlier_sessions"})
        self.hold(command, [self.ids(live)], elsewhere=left_out | {"warnings"})
        self.assertEqual(live["causes"], {
            "no_tap": 1, "malformed": 1, "marked_bad": 2, "not_ip": 1, "excluded": 1, "table_fault": 1, "overflow": 0,
            "reset": 0, "session_fault": 1, "late_bad": 1})
        self.assertEqual([live["frames"][name] for name in ("mirrored", "dropped", "not_accepted")], [4, 1, 3])
        # One word of the interfaces' and one of the session entries' was met.
        self.assertEqual((live["table_faults"]["found"] > 0, live["table_faults"]["rewritten"] > 0), (True, True))
        self.check_metrics(ask(admin, path="/metrics")[2].decode(), live)
        self.assertEqual(json.loads(ask(admin, path="/health")[2]), {"Status": "degraded", "Causes": ["output"]})
        served.stop()
        last = json.loads((self.folder / "stats").read_text())
        self.hold(command, [self.ids(last)], elsewhere=("earlier_sessions", "warnings"))
        # The disk of forwarded frames took none of them.
        self.assertEqual(last.pop("outputs"), {"out": {"lost": 0}, "forward": {"lost": len(sent)}, "decisions": {"lost": 0}})
        self.assertGreater(last.pop("cycles")["latency"]["minimum"], 0)
        live.pop("outputs")
        self.assertEqual(last, live)

    def check_metrics(self, text, live):
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
        labels = {name: collections.defaultdict(set) for name in types}
        values = {}
        for name, given, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
            values[f"{name}{{{given}}}" if given else name] = float(value)
            for label, worth in re.findall(r'(\w+)="([^"]*)"', given):
                if label != "le":
                    labels[re.sub(r"_(bucket|sum|count)$", "", name) if types.get(name) is None else name][label].add(worth)
        table = {}
        for names, type_, of, _ in rows("docs/api.md", "The admin address", "metric"):
            for name in re.findall(r"`([^`]+)`", names):
                self.assertNotIn(name, table)
                table[name] = (type_, *of.partition(":")[::2])
        self.assertEqual(set(types), set(table))
        causes = {row[0].strip("`") for row in rows("docs/api.md", "Health, counters, log", "cause")}
        for name, (type_, of, worth) in table.items():
            with self.subTest(metric=name):
                self.assertEqual((types[name], set(labels[name])), (type_, words(of)))
                if words(worth) and " as `" not in worth:
                    self.assertEqual(set().union(*labels[name].values()), words(worth))
        self.assertEqual(labels["mirrornic_health"]["cause"], causes)
        self.assertEqual([cause for cause in causes if values[f'mirrornic_health{{cause="{cause}"}}']], ["output"])
        self.assertEqual(values["mirrornic_ready"], 1)
        for member, unit in (("frames", "passes"), ("bytes", "bytes")):
            for name, value in live[member].items():
                own = (f"mirrornic_{name}_{unit}_total" if name in ("received", "forwarded", "selected")
                       else f'mirrornic_{unit}_total{{outcome="{name}"}}')
                self.assertEqual(values[own], value, own)
        for cause, value in live["causes"].items():
            self.assertEqual(values[f'mirrornic_causes_total{{cause="{cause}"}}'], value)
        self.assertEqual(labels["mirrornic_causes_total"]["cause"], set(live["causes"]))
        self.assertEqual(values["mirrornic_table_faults_total"], live["table_faults"]["found"])
        self.assertEqual(values["mirrornic_table_entries_rewritten_total"], live["table_faults"]["rewritten"])
        self.assertEqual(labels["mirrornic_output_lost_total"]["output"], set(live["outputs"]))
        self.assertEqual((values["mirrornic_sessions"], values["mirrornic_sessions_disabled"]), (4, 0))
        for session in live["sessions"]:
            for member in set(session) - {"TrafficMirrorSessionId"}:
                name = member if member.endswith("bytes") else f"{member}_passes"
                self.assertEqual(values[f'mirrornic_session_{name}_total{{session="{session["TrafficMirrorSessionId"]}"}}'],
                                 session[member])

    def test_log(self):
        """Each member of a request's line in the log, and of the line of what was refused before it was a request."""
        certificate, key = make_certificate(self.folder)
        plain = self.serve("--log-format", "json", "--credentials", write_credentials(self.folder / "keys"))
        plain.ok("DescribeVpcs")
        plain.call("DescribeVpcs", {"Nonsense": "1"})
        ids = [plain.http("GET", "/health")[1]["x-amzn-RequestId"]]
        with socket.create_connection(("127.0.0.1", plain.port)) as stranger:
            stranger.sendall(b"nonsense\r\n\r\n")
            self.assertIn(b" 400 ", stranger.recv(4096))
        plain.stop()
        tls = self.serve("--log-format", "json", "--tls-cert", certificate, "--tls-key", key, state="second.sqlite")
        with socket.create_connection(("127.0.0.1", tls.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            tls.await_log('"refused"')
        tls.stop()
        lines = [json.loads(line) for served in (plain, tls) for line in served.log().splitlines()]
        lines = [line for line in lines if line["message"] in ("request", "refused")]
        self.assertEqual([(line["message"], line.get("action"), line["code"], line.get("key")) for line in lines], [
            ("request", "DescribeVpcs", 200, "AKIDTEST"), ("request", "DescribeVpcs", "UnknownParameter", "AKIDTEST"),
            ("request", "/health", "AuthFailure", "-"), ("refused", None, "400", None), ("refused", None, "TLS", None)])
        self.assertEqual(lines[2]["id"], ids[0])
        for line in lines:
            self.assertRegex(line["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(line["peer"].rsplit(":", 1)[0], "127.0.0.1")
            self.assertTrue(0 <= line.get("ms", 0) < 60000, line)
            self.assertEqual(set(line), {"time", "level", "message", "id", "peer", "code"} |
                             ({"why"} if line["message"] == "refused" else {"action", "key", "ms"}))
        table = documented("docs/api.md", "Health, counters, log", "member of a request's line")
        self.hold(table, lines, free=("time", "id", "peer", "code", "action", "key", "why"))

    def test_health(self):
        """H1 the states and causes that /health can name, and a test that sees each."""
        _, text = rows("docs/api.md", "Health, counters, log", "path")[0]
        self.assertEqual(words(text), {'{"Status": "starting" or "ready" or "degraded"}', '"Causes"'})
        causes = {row[0].strip("`") for row in rows("docs/api.md", "Health, counters, log", "cause")}
        source = (ROOT / "host/api/health.hpp").read_text()
        names = re.search(r"names\[causes\] = \{([^}]*)\}", source)[1]
        self.assertEqual(causes, set(re.findall(r'"(\w+)"', names)))
        tests = "".join((ROOT / f"tests/{name}_test.py").read_text() for name in ("health", "input"))
        read = {cause for cause in causes if re.search(rf'"degraded", \[[^\]]*"{cause}"', tests)}
        held = {cause for cause in causes if any(f"Cause::{cause}" in file.read_text() for file in ROOT.glob("host/**/*.cpp"))}
        self.assertEqual(read | {"log"}, held)
        self.assertEqual(causes - held, {"port"})  # of live ports, which no device has

    def test_log_is_lost(self):
        """H1 while lines of the log are lost, /health is degraded with the cause log and 200; then it is ready."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        served = self.serve(launcher=["sh", "-c", 'exec "$@" 2> "$0"', pipe])

        def health():
            status, _, body = served.http("GET", "/health")
            return status, json.loads(body)

        self.assertEqual(health(), (200, {"Status": "ready"}))
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        for _ in range(1500):
            connection.request("GET", f"/?Version={VERSION}&Action={'A' * 1000}")
            connection.getresponse().read()
        connection.close()
        await_until(lambda: health() == (200, {"Status": "degraded", "Causes": ["log"]}), "degraded", 10, health)

        def read_on():
            with contextlib.suppress(BlockingIOError):
                while os.read(reader, 1 << 20):
                    pass
            return health() == (200, {"Status": "ready"})

        await_until(read_on, "ready again", 10, health)


if __name__ == "__main__":
    environment.main()
