#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""T2 S8: every ordered pair of changes, sent at once on two connections to `mirrornic serve` while traffic passes on every
cycle, with a few sessions and with an interface table that is full. MIRRORNIC names the command that compares each
decision and each copy with the reference model of the tables version that the decision names (checked_board.cpp); here the names
in --decisions are compared with the model's. MIRRORNIC_ROUNDS is how often each pair is tried (2); MIRRORNIC_SEED repeats a
seed that was printed."""
import collections
import http.client
import json
import os
import random
import re
import shutil
import struct
import tempfile
import time
import unittest
from pathlib import Path
from urllib.parse import urlencode

import environment
import service
from service import FORM, VERSION, Service, parse

ROUNDS = int(os.environ.get("MIRRORNIC_ROUNDS", 2))
SEED = int(os.environ.get("MIRRORNIC_SEED", random.randrange(1 << 32)))
TABLE = 256  # interfaces that the device holds
SPARE = 40   # more of them in the configuration
CONFLICTS = {"TrafficMirrorSessionLimitExceeded", "TrafficMirrorFilterInUse", "TrafficMirrorTargetInUseException",
             "InvalidTrafficMirrorSessionId.NotFound", "InvalidTrafficMirrorFilterId.NotFound",
             "InvalidTrafficMirrorFilterRuleId.NotFound", "InvalidTrafficMirrorTargetId.NotFound",
             "TrafficMirrorFilterRuleAlreadyExists", "InvalidParameterValue", "InvalidID",
             "TrafficMirrorFilterRuleLimitExceeded"}


def mac(kind, number):
    return bytes([2, 0, 0, kind, number >> 8, number & 255])


def interface(name, kind, number):
    return {"NetworkInterfaceId": name, "MacAddress": mac(kind, number).hex(":"),
            "PrivateIpAddress": f"10.{kind}.{number >> 8}.{number & 255}"}


def write_capture(path, sources, chance):
    """Frames that each interface sends and receives, in no order, of lengths and ports that rules tell apart."""
    frames = []
    for number in list(range(sources)) * (1 + 500 // sources):
        for egress in (True, False):
            length = chance.randrange(60, 200)
            port = chance.choice([80, 443, 5000])
            addresses = [bytes([10, 1, number >> 8, number & 255]), bytes([192, 168, 0, chance.randrange(1, 9)])]
            ends = [mac(9, number), mac(1, number)]
            if not egress:
                addresses.reverse()
                ends.reverse()
            frames.append(ends[0] + ends[1] + struct.pack(
                ">HBBHHHBBH4s4sHHHH", 0x0800, 0x45, 0, length - 14, 0, 0, 64, 17, 0, *addresses, 40000 + number, port,
                length - 34, 0) + chance.randbytes(length - 42))
    chance.shuffle(frames)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for when, frame in enumerate(frames):
            file.write(struct.pack("<IIII", 1, when, len(frame), len(frame)) + frame)


class World:
    """What there is, as the replies said, and requests that change it."""

    def __init__(self, chance, sources):
        self.chance = chance
        self.free = [f"eni-{i}" for i in range(sources)]
        self.sessions = {}  # id -> interface
        self.targets, self.spare_targets = [], []
        self.filters, self.spare_filters = [], []
        self.rules = {}     # id -> filter
        self.number = 0

    def next(self):
        self.number += 1
        return self.number

    # Each gives (parameters, what the reply's XML brings about).
    def create_session(self):
        eni = self.free.pop(self.chance.randrange(len(self.free)))

        def done(xml):
            if xml is None:
                self.free.append(eni)
            else:
                self.sessions[xml.findtext("trafficMirrorSession/trafficMirrorSessionId")] = eni
        return {"Action": "CreateTrafficMirrorSession", "NetworkInterfaceId": eni,
                "SessionNumber": self.chance.randrange(1, 1000), "VirtualNetworkId": self.next(),
                "TrafficMirrorTargetId": self.chance.choice(self.targets), "PacketLength": self.chance.randrange(1, 250),
                "TrafficMirrorFilterId": self.chance.choice(self.filters)}, done

    def modify_session(self):
        return {"Action": "ModifyTrafficMirrorSession", "VirtualNetworkId": self.next(),
                "TrafficMirrorSessionId": self.chance.choice(list(self.sessions)),
                "SessionNumber": self.chance.randrange(1, 1000), "PacketLength": self.chance.randrange(1, 250),
                "TrafficMirrorTargetId": self.chance.choice(self.targets),
                "TrafficMirrorFilterId": self.chance.choice(self.filters)}, lambda xml: None

    def delete_session(self):
        session = self.chance.choice(list(self.sessions))

        def done(xml):
            if xml is not None:
                self.free.append(self.sessions.pop(session))
        return {"Action": "DeleteTrafficMirrorSession", "TrafficMirrorSessionId": session}, done

    def create_target(self):
        return {"Action": "CreateTrafficMirrorTarget", "NetworkInterfaceId": self.chance.choice(["eni-t0", "eni-t1"])}, \
            lambda xml: xml is None or self.spare_targets.append(xml.findtext("trafficMirrorTarget/trafficMirrorTargetId"))

    def delete_target(self):
        target = self.chance.choice(self.spare_targets)

        def done(xml):
            if xml is not None:
                self.spare_targets.remove(target)
        return {"Action": "DeleteTrafficMirrorTarget", "TrafficMirrorTargetId": target}, done

    def create_filter(self):
        return {"Action": "CreateTrafficMirrorFilter"}, lambda xml: xml is None or self.spare_filters.append(
            xml.findtext("trafficMirrorFilter/trafficMirrorFilterId"))

    def delete_filter(self):
        mirror_filter = self.chance.choice(self.spare_filters)

        def done(xml):
            if xml is not None:
                self.spare_filters.remove(mirror_filter)
        return {"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": mirror_filter}, done

    def modify_services(self):
        return {"Action": "ModifyTrafficMirrorFilterNetworkServices",
                "TrafficMirrorFilterId": self.chance.choice(self.filters),
                self.chance.choice(["AddNetworkService.1", "RemoveNetworkService.1"]): "amazon-dns"}, lambda xml: None

    def matches(self):
        """Members of a rule that takes about a half of the frames."""
        port = self.chance.choice([None, 80, 443, 5000])
        ports = {} if port is None else {"Protocol": 17, "DestinationPortRange.FromPort": port,
                                         "DestinationPortRange.ToPort": port}
        return {"RuleAction": self.chance.choice(["accept", "accept", "reject"]), **ports,
                "SourceCidrBlock": self.chance.choice(["0.0.0.0/0", "10.0.0.0/8", "192.168.0.0/16"]),
                "DestinationCidrBlock": self.chance.choice(["0.0.0.0/0", "192.168.0.0/30"])}

    def create_rule(self):
        mirror_filter = self.chance.choice(self.filters)

        def done(xml):
            if xml is not None:
                self.rules[xml.findtext("trafficMirrorFilterRule/trafficMirrorFilterRuleId")] = mirror_filter
        return {"Action": "CreateTrafficMirrorFilterRule", "TrafficMirrorFilterId": mirror_filter,
                "TrafficDirection": self.chance.choice(["ingress", "egress"]),
                "RuleNumber": self.chance.randrange(1, 30000), **self.matches()}, done

    def modify_rule(self):
        members = self.matches()
        if "Protocol" not in members:
            members = {**members, "RemoveField.1": "protocol", "RemoveField.2": "destination-port-range"}
        return {"Action": "ModifyTrafficMirrorFilterRule",
                "TrafficMirrorFilterRuleId": self.chance.choice(list(self.rules)), **members}, lambda xml: None

    def delete_rule(self):
        rule = self.chance.choice(list(self.rules))

        def done(xml):
            if xml is not None:
                self.rules.pop(rule, None)
        return {"Action": "DeleteTrafficMirrorFilterRule", "TrafficMirrorFilterRuleId": rule}, done

    def create_tags(self):
        return {"Action": "CreateTags", "ResourceId.1": self.chance.choice(list(self.sessions)), "Tag.1.Key": "k",
                "Tag.1.Value": self.next()}, lambda xml: None

    def delete_tags(self):
        return {"Action": "DeleteTags", "ResourceId.1": self.chance.choice(list(self.sessions)), "Tag.1.Key": "k"}, \
            lambda xml: None

    ACTIONS = [create_session, modify_session, delete_session, create_target, delete_target, create_filter,
               delete_filter, modify_services, create_rule, modify_rule, delete_rule, create_tags, delete_tags]


class Changes(unittest.TestCase):
    def setUp(self):
        print(f"MIRRORNIC_SEED={SEED} MIRRORNIC_ROUNDS={ROUNDS}", flush=True)
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.chance = random.Random(f"{SEED} {self.id()}")
        self.counts = collections.Counter()

    def send(self, connection, parameters):
        body = urlencode({"Version": VERSION, **parameters})
        connection.request("POST", "/", body.encode(), {"Authorization": "AWS4-HMAC-SHA256 x", "Content-Type": FORM})

    def take(self, connection, parameters, done):
        reply = connection.getresponse()
        text = reply.read()
        code = service.code_of(text) if reply.status != 200 else ""
        self.counts[parameters["Action"], code] += 1
        if reply.status != 200:
            self.assertIn(code, CONFLICTS, f"{parameters}: {text.decode()}\n{self.served.log()[-2000:]}")
        done(parse(text) if reply.status == 200 else None)

    def together(self, *requests):
        """Sends requests at once, on a connection each, and takes their replies."""
        self.assertLessEqual(len(requests), len(self.connections))
        try:
            for connection, (parameters, _) in zip(self.connections, requests):
                self.send(connection, parameters)
            for connection, (parameters, done) in zip(self.connections, requests):
                self.take(connection, parameters, done)
        except (OSError, http.client.HTTPException) as error:
            self.served.process.wait(10)
            raise AssertionError(f"{[p for p, _ in requests]}: {error!r}\n{self.served.log()[-3000:]}") from error

    def fill(self, world, sessions):
        """As many sessions, spare targets and filters, and rules, as the next pair may want."""
        while True:
            wanted = []
            if len(world.sessions) < sessions:
                wanted = [world.create_session() for _ in range(min(2, sessions - len(world.sessions)))]
            elif len(world.sessions) > sessions:
                wanted = [world.delete_session()]
            elif len(world.spare_targets) < 2:
                wanted = [world.create_target()]
            elif len(world.spare_filters) < 2:
                wanted = [world.create_filter()]
            elif len(world.rules) < 4 * len(world.filters):
                wanted = [world.create_rule()]
            elif len(world.rules) > 6 * len(world.filters):
                wanted = [world.delete_rule()]
            else:
                return
            self.together(*wanted)

    def every_pair(self, sources, sessions):
        config, names, decisions = (self.folder / name for name in ("config.json", "names", "decisions"))
        config.write_text(json.dumps({"NetworkInterfaces": [
            *(interface(f"eni-{i}", 1, i) for i in range(sources)),
            *(interface(f"eni-t{i}", 2, i) for i in range(2))]}))
        write_capture(self.folder / "in.pcap", sources, self.chance)
        with Service(self.folder, config, "--in", self.folder / "in.pcap", "--loop", "--out", "/dev/null",
                     "--decisions", decisions, "--quota", "sources-per-target=1000", "--quota", "rules-per-filter=16",
                     launcher=["env", f"CHECKED_NAMES={names}"]) as self.served:
            self.connections = [http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=60) for _ in range(2)]
            for connection in self.connections:
                self.addCleanup(connection.close)
            world = World(self.chance, sources)
            for _ in range(3):
                self.together(world.create_filter(), world.create_target())
            world.filters, world.spare_filters = world.spare_filters, []
            world.targets, world.spare_targets = world.spare_targets, []
            started, pairs = time.monotonic(), 0
            order = [(a, b) for a in World.ACTIONS for b in World.ACTIONS] * ROUNDS
            self.chance.shuffle(order)
            for first, second in order:
                more = (first, second).count(World.create_session)
                self.fill(world, sessions - (more if World.delete_session not in (first, second) else 0))
                self.together(first(world), second(world))
                pairs += 1
            took = time.monotonic() - started
            self.served.stop()
            log = self.served.log()
        checked = re.search(r"checked: passes=(\d+) copies=(\d+) changes=(\d+)", log)
        self.assertTrue(checked, log[-2000:])
        passes, copies, changes = map(int, checked.groups())
        # The words of --decisions are the model's.
        compared = 0
        with open(names, encoding="ascii") as model, open(decisions, encoding="ascii") as found:
            for line, want in zip(found, model, strict=True):
                session = re.search(r'"Outcome":"mirrored","TrafficMirrorSessionId":"([^"]*)"', line)
                rule = session and re.search(r'^,"TrafficMirrorFilterRuleId":"([^"]*)"', line[session.end():])
                has = f"{session[1] if session else '-'} {rule[1] if rule else '-'}\n"
                if has != want:
                    self.fail(f"line {compared + 1}: {line}the model says {want}")
                compared += 1
        self.assertEqual(compared, passes)
        ok = collections.Counter()
        for (action, code), count in self.counts.items():
            ok[action] += count if code == "" else 0
        print(f"{self.id()}: {pairs} pairs in {took:.1f} s, {passes} passes, {copies} copies, {changes} changes; "
              f"{dict(self.counts)}", flush=True)
        self.assertEqual(len([action for action in ok if ok[action] > 0]), len(World.ACTIONS))
        self.assertGreater(sum(ok.values()), 0.8 * sum(self.counts.values()))
        self.assertGreater(passes, 20 * pairs)
        self.assertGreater(copies, pairs)

    def test_few_sessions(self):
        """T2 S8 every pair of changes at once, with traffic of four sessions."""
        self.every_pair(8, 4)

    def test_full_table(self):
        """T2 S8 every pair of changes at once, with an interface table that is full: indices change hands."""
        self.every_pair(TABLE + SPARE, TABLE)


if __name__ == "__main__":
    environment.main()
