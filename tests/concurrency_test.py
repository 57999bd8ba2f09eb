#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""T2 S8: many clients change sessions, filters and targets at once while traffic passes; nobody sees a session that is
half made, in a reply or in a mirror copy, and at the end replies, store and device agree. MIRRORNIC names the
binary."""
import collections
import http.client
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import urlencode

import environment

MIRRORNIC = os.environ["MIRRORNIC"]
SEED = int(os.environ.get("MIRRORNIC_SEED", random.randrange(1 << 32)))
WRITERS, READERS = 28, 4
SECONDS = 10
FRAME = 200  # bytes of a frame without tags
NAMESPACE = "{http://ec2.amazonaws.com/doc/2016-11-15/}"


def address(kind, number):
    return f"10.{kind}.{number >> 8}.{number & 255}"


def mac(kind, number):
    return bytes([2, 0, 0, kind, number >> 8, number & 255])


def interface(name, kind, number):
    return {"NetworkInterfaceId": name, "MacAddress": mac(kind, number).hex(":"),
            "PrivateIpAddress": address(kind, number)}


# All members of a session follow from its VNI, so that a mix of two shows: bits 23..16 the writer, 15..14 the slot,
# then a count.
class Members:
    def __init__(self, vni):
        self.vni, self.writer, self.slot, self.count = vni, vni >> 16, vni >> 14 & 3, vni & 0x3fff
        self.number = 10 * self.slot + 1 + self.count % 7
        self.length = 60 + self.count % 100
        self.target = self.writer * 2 + self.count % 2  # of the target interfaces
        self.filter = self.count // 2 % 2               # of the writer's filters
        self.description = f"session {vni}"


def write_capture(path):
    """Frames of each writer's interface, among others of none."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for number in range(10 * WRITERS):
            kind, source = (1, number // 10) if number % 10 == 0 else (9, number)
            frame = mac(8, 0) + mac(kind, source) + b"\x08\x00"
            frame += struct.pack(">BBHHHBBH4s4s", 0x45, 0, FRAME - 14, 0, 0, 64, 17, 0,
                                 bytes([10, kind, 0, source & 255]), bytes([10, 8, 0, 0]))
            frame += struct.pack(">HHHH", 5000, 5001, FRAME - 34, 0)
            frame += bytes(i & 255 for i in range(FRAME - len(frame)))
            file.write(struct.pack("<IIII", 1, number, FRAME, FRAME) + frame)


def read_copies(path):
    """(source MAC, target MAC, VNI, length of the frame's part) of each copy in a nanosecond pcap, with how many."""
    copies = collections.Counter()
    data = memoryview(Path(path).read_bytes())
    offset = 24
    while offset < len(data):
        captured = struct.unpack_from("<I", data, offset + 8)[0]
        copy = data[offset + 16:offset + 16 + captured]
        copies[bytes(copy[6:12]), bytes(copy[:6]), int.from_bytes(copy[46:49], "big"), captured - 50,
               bytes(copy[56:62])] += 1
        offset += 16 + captured
    return copies


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, action, **parameters):
        """The reply's XML. The request must succeed."""
        self.connection.request("POST", "/", urlencode({"Action": action, "Version": "2016-11-15", **parameters}),
                                {"Authorization": "AWS4-HMAC-SHA256 x",
                                 "Content-Type": "application/x-www-form-urlencoded"})
        reply = self.connection.getresponse()
        body = reply.read().decode()
        if reply.status != 200:
            raise AssertionError(f"{action} {parameters}: {body}")
        return ElementTree.fromstring(body.replace(f' xmlns="{NAMESPACE[1:-1]}"', ""))

    def make(self, kind, **parameters):
        return self.ask("CreateTrafficMirror" + kind, **parameters).find(f"trafficMirror{kind}").findtext(
            f"trafficMirror{kind}Id")

    def items(self, what):
        return self.ask("DescribeTrafficMirror" + what).find(f"trafficMirror{what[:-1]}Set").findall("item")


class Shared:
    """What the threads tell each other."""
    def __init__(self, port):
        self.port = port
        self.end = time.monotonic() + SECONDS
        self.targets = {}   # id of each target that sessions use, by number
        self.filters = {}   # ids of each writer's filters
        self.asked = set()  # VNIs
        self.left = {}      # what each writer leaves: session id -> VNI
        self.extra = {}     # and the ids of filters and targets that no session uses
        self.counts = collections.Counter()
        self.failures = []
        self.lock = threading.Lock()

    def done(self, what):
        with self.lock:
            self.counts[what] += 1


def write(shared, client, writer, chance):
    targets = {n: client.make("Target", NetworkInterfaceId=f"eni-t{n}") for n in (2 * writer, 2 * writer + 1)}
    filters = []
    for _ in range(2):
        filters.append(client.make("Filter"))
        for direction in ("ingress", "egress"):
            client.make("FilterRule", TrafficMirrorFilterId=filters[-1], TrafficDirection=direction, RuleNumber=1,
                        RuleAction="accept", SourceCidrBlock="0.0.0.0/0", DestinationCidrBlock="0.0.0.0/0")
    with shared.lock:
        shared.targets.update(targets)
        shared.filters[writer] = filters
    count, sessions, extra = 0, {}, {"Filter": [], "Target": []}
    while time.monotonic() < shared.end:
        count += 1
        choice = chance.random()
        slot = chance.randrange(3)
        members = Members(writer << 16 | slot << 14 | count)
        parameters = {"SessionNumber": members.number, "PacketLength": members.length, "VirtualNetworkId": members.vni,
                      "TrafficMirrorTargetId": targets[members.target], "Description": members.description,
                      "TrafficMirrorFilterId": filters[members.filter]}
        shared.asked.add(members.vni)
        if choice < 0.15:
            kind = chance.choice(["Filter", "Target"])
            if len(extra[kind]) < 3:
                more = {} if kind == "Filter" else {"NetworkInterfaceId": f"eni-t{2 * writer}"}
                extra[kind].append(client.make(kind, **more))
            else:
                client.ask("DeleteTrafficMirror" + kind, **{f"TrafficMirror{kind}Id": extra[kind].pop(0)})
            shared.done(kind)
        elif choice < 0.2:  # a rule that no frame matches, among those that all do
            made = client.make("FilterRule", TrafficMirrorFilterId=filters[slot % 2], TrafficDirection="egress",
                               RuleNumber=2, RuleAction="reject", SourceCidrBlock="192.168.0.0/16",
                               DestinationCidrBlock="0.0.0.0/0")
            client.ask("DeleteTrafficMirrorFilterRule", TrafficMirrorFilterRuleId=made)
            shared.done("FilterRule")
        elif slot not in sessions:
            made = client.make("Session", NetworkInterfaceId=f"eni-s{writer}", **parameters)
            sessions[slot] = (made, members.vni)
            shared.done("create")
        elif choice < 0.4:
            client.ask("DeleteTrafficMirrorSession", TrafficMirrorSessionId=sessions.pop(slot)[0])
            shared.done("delete")
        else:
            client.ask("ModifyTrafficMirrorSession", TrafficMirrorSessionId=sessions[slot][0], **parameters)
            sessions[slot] = (sessions[slot][0], members.vni)
            shared.done("modify")
    with shared.lock:
        shared.left[writer] = sessions
        shared.extra[writer] = extra


def check_session(shared, item):
    """All members are of one request."""
    members = Members(int(item.findtext("virtualNetworkId")))
    found = (item.findtext("networkInterfaceId"), int(item.findtext("sessionNumber")),
             int(item.findtext("packetLength")), item.findtext("description"), item.findtext("trafficMirrorTargetId"),
             item.findtext("trafficMirrorFilterId"))
    wanted = (f"eni-s{members.writer}", members.number, members.length, members.description,
              shared.targets[members.target], shared.filters[members.writer][members.filter])
    if found != wanted or members.vni not in shared.asked:
        raise AssertionError(f"a session that nobody asked for: {found} rather than {wanted}")
    return item.findtext("trafficMirrorSessionId"), members.vni


def read(shared, client, chance):
    while time.monotonic() < shared.end:
        if chance.random() < 0.5:
            places = collections.Counter()
            for item in client.items("Sessions"):
                check_session(shared, item)
                shared.done("session seen")
                places[item.findtext("networkInterfaceId"), item.findtext("sessionNumber")] += 1
            if places and max(places.values()) > 1:
                raise AssertionError(f"two sessions of one number: {places.most_common(1)}")
        else:
            for item in client.items("Filters"):
                rules = item.find("ingressFilterRuleSet").findall("item") + item.find(
                    "egressFilterRuleSet").findall("item")
                shared.done("filter with rules seen" if rules else "filter seen")
                if any(r.findtext("trafficMirrorFilterId") != item.findtext("trafficMirrorFilterId") for r in rules):
                    raise AssertionError("a rule of another filter")
        shared.done("describe")


class Concurrency(unittest.TestCase):
    def test_many_clients_under_traffic(self):
        """T2 S8 32 connections change and describe everything under traffic; replies, store and device agree."""
        print(f"MIRRORNIC_SEED={SEED}", flush=True)
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        (folder / "config.json").write_text(json.dumps({"NetworkInterfaces": [
            *(interface(f"eni-s{n}", 1, n) for n in range(WRITERS)),
            *(interface(f"eni-t{n}", 2, n) for n in range(2 * WRITERS))]}))
        write_capture(folder / "in.pcap")
        command = [MIRRORNIC, "serve", "--listen", "127.0.0.1:0", "--config", folder / "config.json", "--state",
                   folder / "state.sqlite"]
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen([*command, "--in", folder / "in.pcap", "--loop", "--out", folder / "out.pcap",
                                       "--stats", folder / "stats.json"], stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        shared = Shared(int(json.loads(server.stdout.readline())["Url"].rsplit(":", 1)[1]))

        def guarded(work, *arguments):
            client = Client(shared.port)
            try:
                work(shared, client, *arguments)
            except Exception as error:  # pylint: disable=broad-except
                shared.failures.append(repr(error))
            finally:
                client.connection.close()
        threads = [threading.Thread(target=guarded, args=(write, n, random.Random(SEED + n))) for n in range(WRITERS)]
        threads += [threading.Thread(target=guarded, args=(read, random.Random(SEED - n))) for n in range(READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(shared.failures, [])
        for what in ("create", "modify", "delete", "describe", "session seen", "filter with rules seen"):
            self.assertGreater(shared.counts[what], 0, what)

        # The end: what was answered is what is described, and what the device has.
        client = Client(shared.port)
        self.addCleanup(client.connection.close)
        left = {made: vni for sessions in shared.left.values() for made, vni in sessions.values()}
        self.assertEqual(dict(check_session(shared, item) for item in client.items("Sessions")), left)
        for kind, used in (("Filter", sum(shared.filters.values(), [])), ("Target", list(shared.targets.values()))):
            extra = sum((each[kind] for each in shared.extra.values()), [])
            self.assertEqual(sorted(item.findtext(f"trafficMirror{kind}Id") for item in client.items(kind + "s")),
                             sorted(used + extra))
        client.connection.request("GET", "/stats")
        stats = json.loads(client.connection.getresponse().read())
        self.assertEqual(sorted(each["TrafficMirrorSessionId"] for each in stats["sessions"]), sorted(left))
        for each in environment.some(stats["sessions"]):
            self.assertEqual(each["selected"], each["mirrored"] + each["dropped"])

        # In the end's state alone: each source's frames go to its first session.
        settled = int(stats["frames"]["mirrored"])
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(60), 0, (folder / "log").read_text()[-2000:])
        stats = json.loads((folder / "stats.json").read_text())
        for unit in ("frames", "bytes"):
            sums = stats[unit]
            self.assertEqual(sums["received"], sums["forwarded"])
            self.assertEqual(sums["received"], sums["not_eligible"] + sums["not_accepted"] + sums["selected"])
            self.assertEqual(sums["selected"], sums["mirrored"] + sums["dropped"])
        self.assertGreater(stats["frames"]["mirrored"], settled)
        first = {}
        for vni in left.values():
            members = Members(vni)
            first[members.writer] = min(first.get(members.writer, members), members, key=lambda m: m.number)
        mirrored = {each["TrafficMirrorSessionId"] for each in stats["sessions"] if each["mirrored"]}
        for made, vni in left.items():
            if first[vni >> 16].vni == vni:
                self.assertIn(made, mirrored)

        # No copy is of a mix of two sessions, or of one that never was.
        copies = read_copies(folder / "out.pcap")
        self.assertEqual(sum(copies.values()), stats["frames"]["mirrored"])
        for source, target, vni, length, inner in copies:
            members = Members(vni)
            self.assertIn(vni, shared.asked)
            self.assertEqual((source, target, length, inner),
                             (mac(1, members.writer), mac(2, members.target), members.length, mac(1, members.writer)))
        seen = {vni for _, _, vni, _, _ in copies}
        self.assertGreater(len(seen), len(left))

        # The store: a start from the file alone has the same.
        with open(folder / "log", "ab") as log:
            again = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(again.stdout.close)
        self.addCleanup(again.wait)
        self.addCleanup(again.kill)
        client = Client(int(json.loads(again.stdout.readline())["Url"].rsplit(":", 1)[1]))
        self.addCleanup(client.connection.close)
        self.assertEqual(dict(check_session(shared, item) for item in client.items("Sessions")), left)
        print(f"{dict(shared.counts)}; {stats['frames']['received']} frames, {sum(copies.values())} copies of "
              f"{len(seen)} VNIs", flush=True)


if __name__ == "__main__":
    environment.main()
