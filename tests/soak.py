#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve` for long in a hostile world (./dev soak, docs/verification.md). Clients send random requests: valid ones,
whose replies they keep a model of, wrong ones, and bytes that are no HTTP. Meanwhile configurations are reloaded with holes,
wrong and empty; the device's file is truncated, replaced and overwritten; disks are full; the clock jumps; readers of replies,
of outputs and of the log stall or go away; another program locks the state; idle clients take all descriptors; and the
service is stopped, or killed, and started again. Exit status 1 when
anything was found that should not be: what counts is in docs/verification.md."""
import argparse
import collections
import contextlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

import service

VERSION = "2016-11-15"
NAMESPACE = f' xmlns="http://ec2.amazonaws.com/doc/{VERSION}/"'
CLIENTS = 6
SOURCES = 4   # interfaces of a client
STATE_DISK, OUTPUT_DISK = "96m", "8m"
RECOVERY = 20  # seconds after a fault is gone until health is ready again


def mac(kind, number):
    return bytes([2, 0, 0, kind, number >> 8, number & 255])


def network(without=()):
    names = [(f"eni-c{c}s{i}", 1, c * SOURCES + i) for c in range(CLIENTS + 1) for i in range(SOURCES)]
    names += [(f"eni-c{c}t{i}", 2, c * SOURCES + i) for c in range(CLIENTS + 1) for i in range(2)]
    return {"NetworkInterfaces": [
        {"NetworkInterfaceId": name, "MacAddress": mac(kind, number).hex(":"), "VpcId": "vpc-1", "Status": "in-use",
         "PrivateIpAddress": f"10.{kind}.{number >> 8}.{number & 255}"}
        for name, kind, number in names if name not in without], "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/8"}]}


def frame(chance):
    """From or to a configured interface, mostly."""
    source, destination = mac(1, chance.randrange(CLIENTS * SOURCES + 3)), mac(9, chance.randrange(9))
    if chance.random() < 0.3:
        source, destination = destination, source
    length = chance.randrange(60, 300)
    return destination + source + struct.pack(
        ">HBBHHHBBH4s4sHHHH", 0x0800, 0x45, 0, length - 14, 0, 0, 64, chance.choice([6, 17, 17]), 0,
        bytes([10, 1, 0, source[5]]), bytes([10, 9, 0, 1]), 4000, chance.choice([53, 80, 443]), length - 34, 0) + bytes(
            length - 42)


PCAP = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)


def record(data, number):
    return struct.pack("<IIII", 1 + number // 1000000, number % 1000000, len(data), len(data)) + data


class Gone(Exception):
    """The connection ended, or nothing came in time; says what."""


class Wire:
    """One kept connection, read by hand: what comes need not be right."""

    def __init__(self, port, patience, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self.port, self.buffer = port, b""

    def close(self):
        self.socket.close()

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError as error:
            raise Gone("no reply in time") from error
        except OSError as error:
            raise Gone(repr(error)) from error
        if not data:
            raise Gone("closed")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def bytes(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def ask(self, body, method="POST", path="/"):
        """(status, body)"""
        head = (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n")
        try:
            self.socket.sendall(head.encode() + body)
        except OSError as error:
            raise Gone(repr(error)) from error
        return self.reply()

    def reply(self):
        status = int(self.line().split()[1])
        fields = {}
        while line := self.line():
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip().lower()
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(self.line().split(b";")[0], 16):
                body += self.bytes(size)
                self.line()
            self.line()
        else:
            body = self.bytes(int(fields.get(b"content-length", 0)))
        self.ended = fields.get(b"connection") == b"close"
        if self.ended:
            self.close()
        return status, body


def form(action, parameters):
    pairs = [("Action", action), ("Version", VERSION), *parameters.items()]
    return "&".join(f"{quote(str(n))}={quote_from_bytes(v) if isinstance(v, bytes) else quote(str(v))}"
                    for n, v in pairs).encode()


class World:
    """What all threads share."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.lock = threading.Lock()
        self.findings, self.counts, self.codes = [], collections.Counter(), collections.Counter()
        self.requests = self.more = 0
        self.alike = collections.Counter()
        self.over = threading.Event()
        self.up = threading.Event()      # the service is to be asked
        self.verify = 0                  # raised: clients compare all that they know
        self.port = self.admin = self.generation = 0
        self.tls = None                  # what the port's connections are wrapped in
        self.alive = lambda: True        # the service's process runs
        self.trouble = set()             # what explains a 500 or a 503
        self.quiet_since = 0.0           # since when nothing explains it

    def finding(self, kind, text):
        kind_of_it = (kind, re.sub(r"[0-9a-f]{8,}|[0-9.]+", "#", text[:80]))
        with self.lock:
            self.alike[kind_of_it] += 1
            if self.alike[kind_of_it] > 3:  # what comes again and again must not hide the rest
                self.more += 1
                return
            self.findings.append((kind, text))
        print(f"FINDING {kind}: {text}", flush=True)
        if len(self.findings) >= 60:
            self.over.set()

    def count(self, status, code):
        with self.lock:
            self.requests += 1
            self.codes[f"{status} {code}".strip()] += 1
            if self.requests >= self.options.most:
                self.over.set()

    def wire(self, admin=False):
        """A new connection."""
        return Wire(self.admin, self.options.patience) if admin else Wire(self.port, self.options.patience, self.tls)

    def explained(self):
        return bool(self.trouble) or time.monotonic() < self.quiet_since + 3 or not self.up.is_set()


class Client(threading.Thread):
    """Random requests on one connection; what they change is this client's alone. A connection that failed once is never
    used again: the reply that was given up may still come, and would be taken for the next one."""

    def __init__(self, world, number):
        super().__init__(daemon=True, name=f"client {number}")
        self.world, self.number = world, number
        self.chance = random.Random(f"{world.options.seed} client {number}")
        self.wire = None
        self.generation = self.verified = 0
        self.serial = 0
        self.known = {"Session": {}, "Filter": {}, "Target": {}, "FilterRule": {}}  # id -> members
        self.pending = []    # changes whose reply did not come
        self.scratch = []    # ids that wrong requests may work on, and whose state nobody knows
        self.tokens = []     # (parameters, id)

    # --- the wire

    def run(self):
        world = self.world
        try:
            while not world.over.is_set():
                if not world.up.wait(0.1):
                    continue
                try:
                    if self.generation != world.generation:
                        if self.wire:
                            self.wire.close()
                        self.wire = None
                        self.generation = world.generation
                        self.check_all()
                    if self.verified != world.verify:
                        self.verified = world.verify
                        self.check_all()
                    self.step()
                except Gone as gone:
                    if self.generation == world.generation and world.up.is_set() and not world.over.is_set():
                        time.sleep(0.2)  # a stop that is under way, or a crash, is known by then
                        if not world.alive():
                            world.up.wait(0.5)
                        elif "in time" not in str(gone) and "crowd" in world.trouble:
                            pass  # it was idle for a moment, and made room
                        elif self.generation == world.generation and world.up.is_set():
                            world.finding("hang" if "in time" in str(gone) else "connection",
                                          f"{self.name}: {gone}; {getattr(self, 'last', '')}")
                        self.generation = 0
        except Exception as error:  # pylint: disable=broad-except
            import traceback
            world.finding("client", f"{self.name}: {error!r}\n{traceback.format_exc()}")

    def connect(self, admin=False):
        try:
            return self.world.wire(admin)
        except OSError as error:
            raise Gone(f"cannot connect: {error}") from error

    def exchange(self, *request):
        """(status, body) of Wire.ask, on the kept connection or on a new one."""
        wire, self.wire = self.wire or self.connect(), None
        try:
            status, body = wire.ask(*request)
        except Exception:
            wire.close()
            raise
        if not wire.ended:
            self.wire = wire
        return status, body

    def ask(self, action, parameters):
        """(status, code, XML or None). A reply that the world does not explain is a finding."""
        self.last = f"{action} {parameters}"
        status, body = self.exchange(form(action, parameters))
        code, xml = "", None
        try:
            xml = ElementTree.fromstring(body.decode().replace(NAMESPACE, ""))
            code = xml.findtext("Errors/Error/Code") or ""
        except (ElementTree.ParseError, UnicodeDecodeError) as error:
            if status != 431 and status != 413 and status != 400:
                self.world.finding("reply", f"{status} for {self.last}: {error}: {body[:300]}")
        self.world.count(status, code)
        if status in (500, 503):
            if not self.world.explained():
                self.world.finding(str(status), f"{self.last}: {body[:400].decode(errors='replace')}")
        elif not (status == 200 or 400 <= status < 500):
            self.world.finding("status", f"{status} for {self.last}")
        return status, code, xml

    def change(self, what, action, parameters, apply):
        """A change of known objects: `apply(xml)` is done when it succeeds. One without reply is pending."""
        try:
            status, code, xml = self.ask(action, parameters)
        except Gone:
            self.pending.append((what, parameters))
            raise
        if status == 200:
            apply(xml)
        elif status == 500:
            self.pending.append((what, parameters))  # it may not have been taken back yet
        return status, code, xml

    # --- valid requests, and what they leave

    def step(self):
        roll = self.chance.random()
        if roll < 0.55:
            self.act()
        elif roll < 0.72:
            self.read()
        elif roll < 0.90:
            self.wrong()
        elif roll < 0.96:
            self.page()
        else:
            self.garbage()

    def fresh(self):
        self.serial += 1
        return f"c{self.number}-{self.serial}"

    def act(self):
        known = self.known
        choices = []
        if len(known["Target"]) < 3:
            choices.append(self.create_target)
        if len(known["Filter"]) < 4:
            choices.append(self.create_filter)
        if known["Filter"] and len(known["FilterRule"]) < 12:
            choices += [self.create_rule] * 2
        if known["Filter"] and known["Target"] and len(known["Session"]) < 8:
            choices += [self.create_session] * 2
        if known["Session"]:
            choices += [self.modify_session] * 3 + [self.delete_session, self.tags]
        if known["FilterRule"]:
            choices += [self.modify_rule] * 2 + [self.delete_rule]
        if known["Filter"]:
            choices += [self.modify_services, self.delete_filter]
        if known["Target"]:
            choices.append(self.delete_target)
        if self.tokens:
            choices.append(self.token_again)
        self.chance.choice(choices)()

    def create(self, kind, parameters, members):
        if self.chance.random() < 0.1:
            return self.ask(f"CreateTrafficMirror{kind}", {**parameters, "DryRun": "true"})
        if self.chance.random() < 0.03:
            parameters["ClientToken"] = f"{self.fresh()}-{self.world.generation}"
        element = f"trafficMirror{kind}"

        def apply(xml):
            made = xml.find(element).findtext(f"{element}Id")
            self.known[kind][made] = members
            if "ClientToken" in parameters:
                self.tokens = self.tokens[-9:] + [(f"CreateTrafficMirror{kind}", parameters, element, made)]
        return self.change("create", f"CreateTrafficMirror{kind}", parameters, apply)

    def token_again(self):
        action, parameters, element, made = self.chance.choice(self.tokens)
        try:
            status, _, xml = self.ask(action, parameters)
        except Gone:
            self.pending.append(("create", parameters))
            raise
        # A clock that has jumped ends tokens; then the request makes another object.
        if status == 200:
            found = xml.find(element).findtext(f"{element}Id")
            if found != made:
                self.tokens.clear()
                self.scratch.append(found)
                if not self.world.counts["clock jumps"]:
                    self.world.finding("token", f"{parameters} gave {found} after {made}")

    def create_target(self):
        self.create("Target", {"NetworkInterfaceId": f"eni-c{self.number}t{self.chance.randrange(2)}",
                               "Description": self.fresh()}, {})

    def create_filter(self):
        self.create("Filter", {"Description": self.fresh()}, {"services": False})

    def rule_members(self):
        members = {"RuleAction": self.chance.choice(["accept", "reject"]),
                   "SourceCidrBlock": self.chance.choice(["0.0.0.0/0", "10.0.0.0/8"]),
                   "DestinationCidrBlock": self.chance.choice(["0.0.0.0/0", "10.9.0.0/16"])}
        if self.chance.random() < 0.5:
            members.update({"Protocol": 17, "DestinationPortRange.FromPort": 50, "DestinationPortRange.ToPort": 90})
        return members

    def create_rule(self):
        mirror_filter = self.chance.choice(list(self.known["Filter"]))
        number = self.chance.randrange(1, 32767)
        self.create("FilterRule", {"TrafficMirrorFilterId": mirror_filter, "RuleNumber": number,
                                   "TrafficDirection": self.chance.choice(["ingress", "egress"]), **self.rule_members(),
                                   "Description": self.fresh()}, {"filter": mirror_filter, "number": number})

    def modify_rule(self):
        rule = self.chance.choice(list(self.known["FilterRule"]))
        number = self.chance.randrange(1, 32767)
        self.change("modify", "ModifyTrafficMirrorFilterRule", {"TrafficMirrorFilterRuleId": rule, "RuleNumber": number},
                    lambda xml: self.known["FilterRule"][rule].update(number=number))

    def modify_services(self):
        mirror_filter = self.chance.choice(list(self.known["Filter"]))
        on = self.chance.random() < 0.5
        self.change("modify", "ModifyTrafficMirrorFilterNetworkServices",
                    {"TrafficMirrorFilterId": mirror_filter,
                     ("Add" if on else "Remove") + "NetworkService.1": "amazon-dns"},
                    lambda xml: self.known["Filter"][mirror_filter].update(services=on))

    def session_members(self):
        return {"SessionNumber": self.chance.randrange(1, 32767), "VirtualNetworkId": self.chance.randrange(1 << 24),
                "PacketLength": self.chance.randrange(1, 8501),
                "TrafficMirrorTargetId": self.chance.choice(list(self.known["Target"])),
                "TrafficMirrorFilterId": self.chance.choice(list(self.known["Filter"]))}

    def create_session(self):
        members = self.session_members()
        self.create("Session", {"NetworkInterfaceId": f"eni-c{self.number}s{self.chance.randrange(SOURCES)}",
                                "Description": self.fresh(), **members}, {**members, "tag": None})

    def modify_session(self):
        session = self.chance.choice(list(self.known["Session"]))
        members = self.session_members() if self.known["Target"] and self.known["Filter"] else {"PacketLength": 100}
        members = {name: value for name, value in members.items() if self.chance.random() < 0.5} or {"PacketLength": 99}
        if self.chance.random() < 0.1:
            self.ask("ModifyTrafficMirrorSession", {"TrafficMirrorSessionId": session, **members, "DryRun": "true"})
            return
        self.change("modify", "ModifyTrafficMirrorSession", {"TrafficMirrorSessionId": session, **members},
                    lambda xml: self.known["Session"][session].update(members))

    def tags(self):
        session = self.chance.choice(list(self.known["Session"]))
        value = self.fresh() if self.chance.random() < 0.7 else None
        parameters = {"ResourceId.1": session, "Tag.1.Key": "soak", **({} if value is None else {"Tag.1.Value": value})}
        self.change("modify", "DeleteTags" if value is None else "CreateTags", parameters,
                    lambda xml: self.known["Session"][session].update(tag=value))

    def delete(self, kind):
        chosen = self.chance.choice(list(self.known[kind]))

        def apply(_):
            self.known[kind].pop(chosen)
            if kind == "Filter":
                self.known["FilterRule"] = {r: m for r, m in self.known["FilterRule"].items() if m["filter"] != chosen}
        self.change("delete", f"DeleteTrafficMirror{kind}", {f"TrafficMirror{kind}Id": chosen}, apply)

    def delete_session(self):
        self.delete("Session")

    def delete_rule(self):
        self.delete("FilterRule")

    def delete_filter(self):
        self.delete("Filter")

    def delete_target(self):
        self.delete("Target")

    def read(self):
        kind = self.chance.choice(["Session", "Filter", "Target", "FilterRule"])
        parameters = {}
        if self.known[kind] and self.chance.random() < 0.7:
            wanted = self.chance.choice(list(self.known[kind]))
            parameters = {f"TrafficMirror{kind}Id.1": wanted}
        elif self.chance.random() < 0.5:
            parameters = {"MaxResults": self.chance.randrange(5, 1001)}
            while True:
                _, _, xml = self.ask(f"DescribeTrafficMirror{kind}s", parameters)
                token = xml is not None and xml.findtext("nextToken")
                if not token or self.chance.random() < 0.3:
                    return
                parameters["NextToken"] = token
        status, code, xml = self.ask(f"DescribeTrafficMirror{kind}s", parameters)
        if f"TrafficMirror{kind}Id.1" in parameters and not self.pending:
            if status == 200 and parameters[f"TrafficMirror{kind}Id.1"] in ElementTree.tostring(xml, encoding="unicode"):
                return
            if status not in (500, 503):
                self.world.finding("lost", f"{parameters} is acknowledged, and not there: {status} {code}")
                self.known[kind].pop(parameters[f"TrafficMirror{kind}Id.1"], None)

    # --- wrong requests

    def text(self):
        chance = self.chance
        return chance.choice([
            lambda: "", lambda: "x" * chance.choice([1, 64, 65, 255, 256, 5000]), lambda: str(chance.randrange(-9, 9)),
            lambda: str(chance.choice([1 << 24, 1 << 31, 1 << 32, 1 << 64, -(1 << 63)])), lambda: chance.randbytes(9),
            lambda: "ä€😀\u202e", lambda: "tms-" + "0" * 17, lambda: "10.0.0.0/33", lambda: "::/0", lambda: "null",
            lambda: "true", lambda: "1e3", lambda: "\0\r\n<&>'\"", lambda: "mirrornic:ttl", lambda: "vpc-1",
            lambda: chance.choice(self.scratch) if self.scratch else "tmf-1", lambda: "amazon-dns"])()

    def wrong(self):
        """A request about objects that nobody relies on, changed at random. What it makes is deleted later."""
        chance = self.chance
        if len(self.scratch) > 20:
            scratch = self.scratch.pop(chance.randrange(len(self.scratch)))
            kind = {"tms": "Session", "tmf": "Filter", "tmt": "Target"}.get(scratch.split("-")[0], "FilterRule")
            status, code, _ = self.ask(f"DeleteTrafficMirror{kind}", {f"TrafficMirror{kind}Id": scratch})
            if status != 200 and not code.endswith("NotFound"):
                self.scratch.append(scratch)
                if len(self.scratch) > 40:
                    self.scratch = self.scratch[20:]
            return
        some = lambda prefix: chance.choice([s for s in self.scratch if s.startswith(prefix)] or [prefix + "0" * 17])
        action, parameters = chance.choice([
            ("CreateTrafficMirrorSession", {
                "NetworkInterfaceId": f"eni-c{CLIENTS}s{chance.randrange(SOURCES)}", "SessionNumber": chance.randrange(1, 99),
                "TrafficMirrorTargetId": some("tmt-"), "TrafficMirrorFilterId": some("tmf-"),
                "Tag.1.Key": "a", "TagSpecification.1.ResourceType": "traffic-mirror-session"}),
            ("ModifyTrafficMirrorSession", {
                "TrafficMirrorSessionId": some("tms-"), "SessionNumber": chance.randrange(1, 99), "Description": "d",
                "TrafficMirrorTargetId": some("tmt-"), "RemoveField.1": "packet-length"}),
            ("CreateTrafficMirrorTarget", {"NetworkInterfaceId": f"eni-c{CLIENTS}t{chance.randrange(2)}"}),
            ("CreateTrafficMirrorFilter", {"Description": "scratch", "TagSpecification.1.Tag.1.Key": "k"}),
            ("CreateTrafficMirrorFilterRule", {
                "TrafficMirrorFilterId": some("tmf-"), "RuleNumber": chance.randrange(1, 99), "RuleAction": "accept",
                "TrafficDirection": "ingress", "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0",
                "Protocol": 6, "SourcePortRange.FromPort": 1, "SourcePortRange.ToPort": 2}),
            ("ModifyTrafficMirrorFilterRule", {"TrafficMirrorFilterRuleId": some("tmfr-"), "Protocol": 6,
                                               "RemoveField.1": "protocol"}),
            ("ModifyTrafficMirrorFilterNetworkServices", {"TrafficMirrorFilterId": some("tmf-"),
                                                          "AddNetworkService.1": "amazon-dns"}),
            ("CreateTags", {"ResourceId.1": some("tms-"), "Tag.1.Key": "k", "Tag.1.Value": "v"}),
            ("DeleteTags", {"ResourceId.1": some("tmf-"), "Tag.1.Key": "k"}),
            ("DescribeTrafficMirrorSessions", {"Filter.1.Name": "virtual-network-id", "Filter.1.Value.1": "*7?",
                                               "MaxResults": 5}),
            ("DescribeTrafficMirrorFilterRules", {"Filter.1.Name": "rule-number", "Filter.1.Value.1": "1"}),
            ("DescribeNetworkInterfaces", {"NetworkInterfaceId.1": "eni-c0s0"}),
            ("DescribeVpcs", {"Filter.1.Name": "vpc-id", "Filter.1.Value.1": "vpc-*"}),
            ("DescribeTags", {"MaxResults": 5}), (chance.choice(["", "Nothing", "RunInstances"]), {})])
        parameters = dict(parameters)
        for _ in range(chance.randrange(3)):
            roll = chance.random()
            if parameters and roll < 0.3:
                parameters.pop(chance.choice(list(parameters)))
            elif parameters and roll < 0.7:
                parameters[chance.choice(list(parameters))] = self.text()
            elif roll < 0.8:
                parameters["DryRun"] = self.text()
            else:
                parameters[chance.choice(["Filter.1.Name", "ClientToken", "NextToken", "MaxResults", "Tag.1.Key", "X.1.Y"])
                           ] = self.text()
        for name in ("ResourceId.1", "TrafficMirrorFilterId", "TrafficMirrorSessionId"):  # never a known object
            if any(parameters.get(name) in known for known in self.known.values()):
                return
        status, _, xml = self.ask(action, parameters)
        if status == 200 and xml is not None and action.startswith("Create"):
            made = re.search(r">(tm(?:s|f|t|fr)-[0-9a-f]{17})<", ElementTree.tostring(xml, encoding="unicode"))
            for kind in ("Session", "FilterRule", "Target", "Filter"):
                found = xml.find(f"trafficMirror{kind}")
                if found is not None and made:
                    self.scratch.append(found.findtext(f"trafficMirror{kind}Id"))
                    break

    def page(self):
        path = self.chance.choice(["/health", "/metrics", "/stats"])
        self.last = path
        if self.chance.random() < 0.5:
            status, body = self.exchange(b"", "GET", path)
        else:
            wire = self.connect(admin=True)
            try:
                status, body = wire.ask(b"", "GET", path)
            finally:
                wire.close()
        self.world.count(status, path)
        try:
            body.decode()
        except UnicodeDecodeError:
            self.world.finding("page", f"{path} is no UTF-8")
            return
        if status == 200 and path == "/metrics":
            for line in body.decode().splitlines():
                if not re.fullmatch(r'#.*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? [-+0-9.eEInfNa]+', line):
                    self.world.finding("page", f"/metrics: {line[:200]}")
        elif status not in (200, 503) or (status == 503 and not self.world.explained()):
            self.world.finding("page", f"{path}: {status} {body[:300]}")

    def garbage(self):
        """Bytes that are no HTTP, or hardly, on a connection of their own, which must end or be answered."""
        chance = self.chance
        whole = form("DescribeTrafficMirrorFilters", {})
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{self.world.port}\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n".encode()
        data = chance.choice([
            lambda: chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n",
            lambda: b"GET / HTTP/9.9\r\n\r\n", lambda: b"\r\n\r\n\r\n\r\n",
            lambda: head + b"Transfer-Encoding: " + chance.choice([b"identity", b"chunked, chunked", b'"chunked"', b""]) +
            b"\r\n\r\n" + whole,
            lambda: head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + whole,
            lambda: head + b"Content-Length: 99999999999999999999\r\n\r\n",
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n" + b"fffffffffffffffff\r\n",
            lambda: head + b"X: " + b"y" * 100000 + b"\r\n\r\n",
            lambda: b"CONNECT \xff\xfe" + chance.randbytes(9).hex().encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            lambda: head + b"Content-Length: 400\r\n\r\n" + whole,
            lambda: b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"])()
        try:
            connection = socket.create_connection(("127.0.0.1", self.world.port), timeout=1)
            connection.sendall(data)
            connection.recv(1 << 16) if chance.random() < 0.5 and b"Length: 400" not in data else None
            connection.close()
        except OSError:
            pass
        self.world.count("garbage", "")

    # --- what must be there

    def listing(self, kind):
        status, _, xml = self.ask(f"DescribeTrafficMirror{kind}s", {})
        if status != 200:
            raise Gone(f"a listing gave {status}")
        mine = f"c{self.number}-"
        return {item.findtext(f"trafficMirror{kind}Id"): item for item in xml.find(f"trafficMirror{kind}Set")
                if (item.findtext("description") or "").startswith(mine)}

    def check_all(self):
        """Replies against what is there. What is pending may have happened or not, and is learned."""
        try:
            self.compare()
        except Gone:
            if not self.world.explained():
                raise

    def compare(self):
        there = {kind: self.listing(kind) for kind in ("Target", "Filter", "Session")}
        there["FilterRule"] = {rule.findtext("trafficMirrorFilterRuleId"): rule for each in there["Filter"].values()
                               for part in ("ingressFilterRuleSet", "egressFilterRuleSet")
                               for rule in each.find(part)}
        unsure = {str(v) for _, parameters in self.pending for v in parameters.values()}
        created = {parameters.get("Description") for what, parameters in self.pending if what == "create"}
        lost = []
        for kind, found in there.items():
            known = self.known[kind]
            for gone in set(known) - set(found):
                if gone not in unsure and known[gone].get("filter") not in unsure:
                    lost.append(f"{kind} {gone} {known[gone]} is acknowledged, and not there")
                known.pop(gone)
            for new in set(found) - set(known):
                if (found[new].findtext("description") not in created and new not in self.scratch
                        and not (kind == "FilterRule" and self.known["Filter"].get(found[new].findtext(
                            "trafficMirrorFilterId")) is None)):
                    lost.append(f"{kind} {new} is there, and its creation was not acknowledged, or its deletion was")
                if new not in self.scratch:
                    known[new] = {"filter": found[new].findtext("trafficMirrorFilterId")}
                    self.learn(kind, known[new], found[new])
            for each, members in known.items():
                seen = {}
                self.learn(kind, seen, found[each])
                wrong = {n: (members.get(n), v) for n, v in seen.items() if n in members and str(members[n]) != str(v)}
                if wrong and each not in unsure:
                    lost.append(f"{kind} {each}: acknowledged and found differ: {wrong}")
                members.update(seen)
        self.pending.clear()
        for text in lost:
            self.world.finding("lost", f"{self.name}: {text}")
        self.world.counts["comparisons"] += 1

    @staticmethod
    def learn(kind, members, item):
        if kind == "Session":
            members.update({
                "SessionNumber": item.findtext("sessionNumber"), "VirtualNetworkId": item.findtext("virtualNetworkId"),
                "PacketLength": item.findtext("packetLength"),
                "TrafficMirrorTargetId": item.findtext("trafficMirrorTargetId"),
                "TrafficMirrorFilterId": item.findtext("trafficMirrorFilterId"),
                "tag": next((tag.findtext("value") for tag in item.find("tagSet") if tag.findtext("key") == "soak"), None)})
        elif kind == "Filter":
            members["services"] = item.find("networkServiceSet") is not None and len(item.find("networkServiceSet")) > 0
        elif kind == "FilterRule":
            members.update(number=item.findtext("ruleNumber"), filter=item.findtext("trafficMirrorFilterId"))


class Reader(threading.Thread):
    """Reads a pipe or FIFO, keeps the last lines of a log, and can be told to pause."""

    def __init__(self, stream, fifo=False):
        super().__init__(daemon=True)
        self.stream, self.fifo = stream, fifo
        self.paused, self.over = threading.Event(), threading.Event()
        self.tail, self.said = collections.deque(maxlen=20), collections.deque(maxlen=40)

    def run(self):
        rest = b""
        while True:
            while self.paused.is_set():
                time.sleep(0.05)
            try:
                data = os.read(self.stream, 1 << 16)
            except OSError:
                return
            if not data and self.fifo and not self.over.wait(0.05):
                continue  # who writes has not opened it yet
            if not data:
                return
            if self.fifo:
                continue
            *lines, rest = (rest + data).split(b"\n")
            self.tail.extend(lines)
            self.said.extend(line for line in lines if b" info request " not in line and b"Unavailable" not in line)

    def text(self):
        """The last lines, and before them the last that are not about a request."""
        return b"\n".join([*self.said, b"...", *self.tail]).decode(errors="replace")


class Feeder(threading.Thread):
    """Writes frames into the service's capture, a FIFO, some hundred a second."""

    def __init__(self, path, chance):
        super().__init__(daemon=True)
        self.path, self.chance, self.over = path, chance, threading.Event()

    def run(self):
        try:
            with open(self.path, "wb", buffering=0) as file:
                file.write(PCAP)
                number = 0
                while not self.over.wait(0.02):
                    file.write(b"".join(record(frame(self.chance), number + i) for i in range(8)))
                    number += 8
        except OSError:
            pass


class Conductor:
    """Starts and stops the service, and does to it what the world does."""

    def __init__(self, world):
        self.world, self.folder = world, world.folder
        self.chance = random.Random(f"{world.options.seed} conductor")
        self.state, self.outputs = self.folder / "state", self.folder / "outputs"
        self.config = self.folder / "config.json"
        self.clock = self.folder / "clock"
        self.device = self.state / "device"
        self.certificate, self.key = service.make_certificate(self.folder)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.set_clock(0)
        self.process = self.log = self.out = self.feeder = None
        self.mode = "file"
        self.peak = 0
        self.filled = False  # the outputs' disk, on purpose
        world.alive = lambda: self.process is not None and self.process.poll() is None

    def prepare(self):
        for path, size in ((self.state, STATE_DISK), (self.outputs, OUTPUT_DISK)):
            path.mkdir()
            if self.world.options.disks:
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
        self.write_config(network())
        (self.folder / "in.pcap").write_bytes(PCAP + b"".join(record(frame(self.chance), i) for i in range(200)))

    def write_config(self, content):
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        new = self.folder / "config.new"
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.rename(self.config)

    def set_clock(self, seconds):
        """Read by the service with each look at the time of day (soak_clock.cpp)."""
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("<q", seconds))

    def start(self, mode):
        self.mode = mode
        arguments = [*os.environ["MIRRORNIC"].split(), "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", str(self.config),
                     "--state", str(self.state / "state.sqlite"), "--quota", "sources-per-target=100",
                     "--quota", "rules-per-filter=16", "--quota", "sessions-per-interface=3"]
        self.out = self.feeder = None
        tls = self.chance.random() < 0.3
        if tls:
            arguments += ["--tls-cert", str(self.certificate), "--tls-key", str(self.key)]
        for name in ("in", "out"):
            (self.folder / name).unlink(missing_ok=True)
        for path in self.outputs.iterdir():
            path.unlink()
        if mode == "file":
            arguments += ["--device", f"file:{self.device}"]
        elif mode == "fifo":
            for name in ("in", "out"):
                os.mkfifo(self.folder / name)
            self.out = Reader(os.open(self.folder / "out", os.O_RDONLY | os.O_NONBLOCK), fifo=True)
            os.set_blocking(self.out.stream, True)
            self.feeder = Feeder(self.folder / "in", random.Random(self.chance.random()))
            arguments += ["--in", str(self.folder / "in"), "--out", str(self.folder / "out"), "--decisions",
                          str(self.outputs / "decisions")]
        elif mode == "loop":
            arguments += ["--in", str(self.folder / "in.pcap"), "--loop", "--out", str(self.outputs / "out.pcap"),
                          "--decisions", "/dev/null", "--stats", str(self.outputs / "stats.json")]
        environ = {**os.environ, "SOAK_CLOCK": str(self.clock),
                   "ASAN_OPTIONS": f"exitcode=99:log_path={self.folder}/sanitizer:quarantine_size_mb=16:"
                                   "allocator_release_to_os_interval_ms=500:" + os.environ.get("ASAN_OPTIONS", ""),
                   "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={self.folder}/sanitizer"}
        read, write = os.pipe()
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=write,
                                        env=environ)
        os.close(write)
        self.log = Reader(read)
        self.log.start()
        if self.out:
            self.out.start()
            self.feeder.start()
        if mode == "loop":
            threading.Thread(target=self.keep_room, args=(self.process,), daemon=True).start()
        if not select.select([self.process.stdout], [], [], 60)[0]:
            self.process.kill()
            self.process.wait()
            self.world.finding("start", f"no ready line within 60 s\n{self.log.text()}")
            return False
        line = self.process.stdout.readline()
        if not line:
            return False
        ready = json.loads(line)
        self.world.port, self.world.admin = (int(ready[name].rsplit(":", 1)[1]) for name in ("Url", "Admin"))
        self.world.tls = self.tls if tls else None
        self.world.counts["starts with TLS"] += tls
        self.world.generation += 1
        self.world.up.set()
        return True

    def begin(self, mode=None):
        """Starts it, for good: what a damaged device file keeps from starting does so without it."""
        mode = mode or self.chance.choices(["file", "idle", "fifo", "loop"], [8, 4, 4, 1])[0]
        self.world.counts[f"starts {mode}"] += 1
        if self.start(mode):
            return
        status = self.process.wait(20)
        damaged = "device damage" in self.world.trouble
        if not damaged or status not in (1, 3) or "mirrornic: " not in self.log.text():
            self.world.finding("start", f"{mode}: status {status}\n{self.log.text()}")
        self.device.unlink(missing_ok=True)
        self.world.counts["starts refused"] += damaged
        if not self.start(mode):
            self.world.finding("start", f"{mode} again: status {self.process.wait(20)}\n{self.log.text()}")
            self.world.over.set()

    def end(self, number):
        """Stops or kills it, under load."""
        world = self.world
        world.up.clear()
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            status = self.process.wait(world.options.patience + 5)
        except subprocess.TimeoutExpired:
            world.finding("hang", f"{self.mode}: not ended {world.options.patience + 5} s after signal {number}\n{self.log.text()}")
            self.process.kill()
            status = self.process.wait()
        took = time.monotonic() - began
        if number == signal.SIGKILL:
            world.counts["kills"] += 1
        else:
            world.counts["stops"] += 1
            if status != 0 and status != -9:
                world.finding("stop", f"{self.mode}: status {status} after {took:.1f} s\n{self.log.text()}")
            elif took > world.options.patience:
                world.finding("stop", f"{self.mode}: took {took:.1f} s")
        if self.feeder:
            self.feeder.over.set()
            self.feeder.join(5)
            self.out.over.set()
        self.process.stdout.close()

    def look(self):
        """A crash, a sanitizer's report, or memory that grows."""
        world = self.world
        if self.process.poll() is not None and world.up.is_set():
            world.up.clear()
            reports = "".join(path.read_text(errors="replace")[:5000] for path in self.folder.glob("sanitizer.*"))
            world.finding("crash", f"{self.mode}: status {self.process.returncode}; trouble {world.trouble}\n{reports}\n"
                                   f"{self.log.text()[:5000]}")
            self.device.unlink(missing_ok=True)
            world.trouble.clear()
            self.begin()
            return
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except OSError:
            return
        resident = pages * os.sysconf("SC_PAGESIZE") >> 20
        self.peak = max(self.peak, resident)
        if resident > world.options.memory:
            world.finding("memory", f"{resident} MB")
            self.restart(signal.SIGTERM)

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.world.over.is_set():
            time.sleep(0.2)
            self.look()

    def keep_room(self, process):
        """While it runs, the outputs' disk has room, which the copies of a capture that is looped fill in half a second."""
        while process.poll() is None:
            time.sleep(0.03)
            with contextlib.suppress(FileNotFoundError):
                if not self.filled:
                    os.truncate(self.outputs / "out.pcap", 0)

    def recovered(self, what):
        """Health is ready again, and nothing explains errors from now on."""
        world = self.world
        end = time.monotonic() + RECOVERY
        text = ""
        while time.monotonic() < end and not world.over.is_set():
            self.look()
            try:
                status, body = world.wire().ask(b"", "GET", "/health")
                text = f"{status} {body.decode(errors='replace')}"
                if status == 200 and "degraded" not in text:
                    break
            except (Gone, OSError) as error:
                text = repr(error)
            time.sleep(0.2)
        else:
            if not world.over.is_set():
                world.finding("health", f"{self.mode}: {RECOVERY} s after {what}: {text}\n{self.log.text()[:5000]}")
        world.trouble.discard(what)
        world.quiet_since = time.monotonic()
        world.verify += 1

    # --- what the world does; each leaves things as they were

    def reload(self, content):
        if content is None:
            self.config.unlink(missing_ok=True)
        else:
            self.write_config(content)
        self.process.send_signal(signal.SIGHUP)
        self.world.counts["reloads"] += 1

    def holes(self):
        """Interfaces vanish and come back; wrong and empty files."""
        names = [each["NetworkInterfaceId"] for each in network()["NetworkInterfaces"]]
        for _ in range(self.chance.randrange(1, 6)):
            self.reload(self.chance.choice([
                network(self.chance.sample(names, self.chance.randrange(len(names)))), network(names), "", "{", "[]",
                None, json.dumps(network()).encode("utf-16"), b"\xff\xfe\x00", json.dumps(network())[:-40]]))
            self.pause(self.chance.uniform(0.1, 1.5))
        self.reload(network())
        self.pause(0.5)
        self.world.verify += 1

    def device_faults(self):
        """The device's file is truncated, replaced, overwritten; then the service starts with what is left."""
        if self.mode != "file":
            return self.restart(signal.SIGTERM, "file")
        self.world.trouble.add("device damage")
        self.world.counts["device faults"] += 1
        size = self.device.stat().st_size if self.device.exists() else 0
        roll = self.chance.randrange(5)
        if roll == 0:
            os.truncate(self.device, self.chance.choice([0, 1, size // 2]))
        elif roll == 1:
            new = self.device.with_name("device.new")
            new.write_bytes(self.chance.randbytes(self.chance.choice([0, 64, 8192])))
            new.rename(self.device)
        else:
            with open(self.device, "r+b") as file:
                for _ in range(1 if roll == 2 else 50):
                    file.seek(0 if roll == 2 else self.chance.randrange(max(size - 64, 1)))
                    file.write(b"\xff" * size if roll == 2 else self.chance.randbytes(4))
        self.pause(self.chance.uniform(0.5, 3))
        self.restart(self.chance.choice([signal.SIGTERM, signal.SIGKILL]), "file")
        self.recovered("device damage")

    def full_disk(self):
        if not self.world.options.disks:
            return
        disk = self.chance.choice([self.state, self.state, self.outputs])
        self.world.counts["full disks"] += 1
        if disk == self.state:
            self.world.trouble.add("full disk")
        filler = disk / "filler"
        self.filled = disk == self.outputs
        with open(filler, "wb", buffering=0) as file:
            for block in (1 << 20, 4096, 1):
                try:
                    while file.write(bytes(block)) == block:
                        pass
                except OSError:
                    pass
        self.pause(self.chance.uniform(0.5, 4))
        if self.chance.random() < 0.2:
            self.end(signal.SIGKILL)
            filler.unlink()
            self.begin()
        else:
            filler.unlink()
        self.filled = False
        if disk == self.outputs:  # what was written there has taken what was free
            for path in self.outputs.iterdir():
                os.truncate(path, 0)
        if disk == self.state:
            self.recovered("full disk")

    def clock_jump(self):
        self.world.counts["clock jumps"] += 1
        day = 86400
        self.set_clock(self.chance.choice([3600, -3600, 2 * day, -2 * day, 400 * day, -20000 * day, 20000 * day]))
        self.pause(self.chance.uniform(0.2, 2))
        if self.chance.random() < 0.5:
            self.set_clock(0)

    def stalled_readers(self):
        """Clients that do not read, an output and a log that nobody reads for a while."""
        self.world.counts["stalled readers"] += 1
        stalled = []
        for _ in range(self.chance.randrange(1, 5)):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                client.settimeout(2)
                client.connect(("127.0.0.1", self.world.port))
                if self.world.tls:
                    client = self.world.tls.wrap_socket(client)
                body = form("DescribeTrafficMirrorFilters", {})
                head = (f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: AWS4-HMAC-SHA256 x\r\nContent-Type: "
                        f"application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n").encode()
                client.sendall((head + body) * self.chance.choice([1, 100]))
            except OSError:
                pass
            stalled.append(client)
        for reader in (self.log, self.out):
            if reader and self.chance.random() < 0.6:
                reader.paused.set()
        self.pause(self.chance.uniform(1, 5))
        for reader in (self.log, self.out):
            if reader:
                reader.paused.clear()
        for client in stalled:
            client.close()

    def foreign_lock(self):
        """Another program reads the state, or keeps it from being written."""
        world, how = self.world, self.chance.choice(["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
        world.counts["foreign locks"] += 1
        if how != "BEGIN":
            world.trouble.add("foreign lock")
        database = sqlite3.connect(self.state / "state.sqlite", isolation_level=None, timeout=3)
        try:
            database.execute(how)
            database.execute("SELECT count(*) FROM sqlite_master").fetchall()
            self.pause(self.chance.uniform(0.2, 3))
        except sqlite3.OperationalError:
            pass  # the service was faster
        database.close()
        if how != "BEGIN":
            self.recovered("foreign lock")

    def crowd(self):
        """More idle clients than the service may have descriptors."""
        world, process = self.world, self.process.pid
        world.counts["crowds"] += 1
        world.trouble.add("crowd")  # SQLite may want a descriptor at that moment
        limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{process}/fd")) + 20, limits[1]))
        clients = []
        for _ in range(60):
            try:
                clients.append(socket.create_connection(("127.0.0.1", world.port), timeout=1))
            except OSError:
                pass
        self.pause(self.chance.uniform(0.5, 2))
        for client in clients:
            client.close()
        if self.process.poll() is None:
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, limits)
        self.recovered("crowd")

    def lost_log(self):
        """Whoever reads standard error goes away, for the rest of this process's life."""
        self.world.counts["lost logs"] += 1
        read, self.log.stream = self.log.stream, os.open("/dev/null", os.O_RDONLY)
        self.log.tail.append(b"(from here on nobody reads the log)")
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, read)
        os.close(null)
        self.pause(self.chance.uniform(0.5, 3))
        self.restart(self.chance.choice([signal.SIGTERM, signal.SIGKILL]))

    def restart(self, number, mode=None):
        self.end(number)
        self.begin(mode)

    def kill(self):
        self.restart(signal.SIGKILL)

    def stop(self):
        self.restart(self.chance.choice([signal.SIGTERM, signal.SIGINT]))

    def run(self, until):
        deeds = [self.holes, self.device_faults, self.full_disk, self.clock_jump, self.stalled_readers, self.foreign_lock,
                 self.crowd, self.lost_log, self.kill, self.stop]
        next_line = 0
        order = []
        while not self.world.over.is_set() and not until():
            if not order:  # every deed in turn, in a random order
                order = self.chance.sample(deeds, len(deeds))
            order.pop()()
            self.pause(self.chance.uniform(0.5, 3))
            if time.monotonic() > next_line:
                next_line = time.monotonic() + 15
                world = self.world
                print(f"{time.monotonic() - world.began:6.0f} s  {world.requests} requests  {len(world.findings)} findings  "
                      f"{self.peak} MB at most  {dict(world.counts)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("(")[0])
    parser.add_argument("--minutes", type=float, default=30, help="at least so long (30)")
    parser.add_argument("--requests", type=int, default=1000000, help="and at least so many (1000000)")
    parser.add_argument("--most-minutes", type=float, help="but no longer than this")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--patience", type=float, default=5, help="seconds until a missing reply is a hang (5)")
    parser.add_argument("--memory", type=int, default=1000, help="MB of resident memory that are too much (1000)")
    parser.add_argument("--skip-without-disks", action="store_true", help="status 77 where no disk could be full, as of a "
                        "test that was skipped")
    options = parser.parse_args()
    options.most = 1 << 62
    # In a mount namespace of its own there are disks that can be full.
    inside = os.environ.get("SOAK_INSIDE")
    if inside is None:
        unshare = ["unshare", *(["--user", "--map-root-user"] if os.geteuid() else []), "--mount"]
        possible = subprocess.run([*unshare, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"], check=False,
                                  capture_output=True).returncode == 0
        if possible:
            os.environ["SOAK_INSIDE"] = "yes"
            os.execvp("unshare", [*unshare, sys.executable, __file__, *sys.argv[1:], "--seed", str(options.seed)])
        print("no mount namespace can be made here: no disk will be full", flush=True)
    options.disks = inside == "yes"
    print(f"seed {options.seed}; at least {options.minutes:g} minutes and {options.requests} requests; to repeat: "
          f"./dev soak --seed {options.seed} --minutes {options.minutes:g} --requests {options.requests}", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    world = World(options, folder)
    threading.excepthook = lambda of: world.finding("thread", f"{of.thread.name}: {of.exc_value!r}")
    world.began = time.monotonic()
    conductor = Conductor(world)
    clients = [Client(world, i) for i in range(CLIENTS)]
    try:
        conductor.prepare()
        conductor.begin("file")
        for client in clients:
            client.start()

        def until():
            minutes = (time.monotonic() - world.began) / 60
            return (minutes >= options.minutes and world.requests >= options.requests) or (
                options.most_minutes is not None and minutes >= options.most_minutes)
        conductor.run(until)
        # At the end nothing is wrong any more, and all is compared once again.
        if not world.over.is_set():
            conductor.set_clock(0)
            conductor.restart(signal.SIGTERM, "file")
            conductor.recovered("everything")
            before = world.counts["comparisons"]
            end = time.monotonic() + 30
            while world.counts["comparisons"] < before + CLIENTS and time.monotonic() < end:
                time.sleep(0.1)
            if world.counts["comparisons"] < before + CLIENTS:
                world.finding("comparison", "the clients do not compare all once again at the end")
        world.over.set()
        for client in clients:
            client.join(options.patience + 5)
            if client.is_alive():
                world.finding("hang", f"{client.name} does not end")
        conductor.end(signal.SIGTERM)
    finally:
        if conductor.process and conductor.process.poll() is None:
            conductor.process.kill()
        reports = [path.read_text(errors="replace") for path in folder.glob("sanitizer.*")]
        if options.disks:
            for path in (conductor.state, conductor.outputs):
                subprocess.run(["umount", "-l", path], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    for report in reports:
        world.finding("sanitizer", report[:6000])
    seconds = time.monotonic() - world.began
    print(f"\n{world.requests} requests in {seconds / 60:.1f} minutes ({world.requests / seconds:.0f} a second), "
          f"{conductor.peak} MB at most; seed {options.seed}")
    for name, count in sorted(world.codes.items(), key=lambda item: -item[1]):
        print(f"{count:9}  {name}")
    print(", ".join(f"{name}: {count}" for name, count in sorted(world.counts.items())))
    print(f"findings: {len(world.findings)}" + (f" and {world.more} more like them" if world.more else ""), flush=True)
    for kind, text in world.findings:
        print(f"  {kind}: {text.splitlines()[0][:300] if text else ''}")
    return 1 if world.findings else 77 if options.skip_without_disks and not options.disks else 0


if __name__ == "__main__":
    sys.exit(main())
