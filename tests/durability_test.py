#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S8: kill -9 of the host at any moment, with a device that outlives it. After each: what was answered is there,
nothing is there by half, a start brings the device to the store's state in the fewest commits, and client tokens still
work. MIRRORNIC and CRASH_HOST name the binaries; MIRRORNIC_SEED repeats the random cases of a seed that was printed."""
import collections
import http.client
import json
import os
import random
import shutil
import signal
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
CRASH_HOST = os.environ["CRASH_HOST"]
SEED = int(os.environ.get("MIRRORNIC_SEED", random.randrange(1 << 32)))
KILLS = 200
WORKERS = 4


def interface(name, number):
    return {"NetworkInterfaceId": name, "MacAddress": "02:00:00:00:%02x:%02x" % divmod(number, 256),
            "PrivateIpAddress": "10.0.%d.%d" % divmod(number, 256)}


def rule(filter_id, number, direction="ingress", **more):
    return dict({"Action": "CreateTrafficMirrorFilterRule", "TrafficMirrorFilterId": filter_id, "RuleNumber": number,
                 "TrafficDirection": direction, "RuleAction": "accept", "SourceCidrBlock": "10.0.0.0/8",
                 "DestinationCidrBlock": "0.0.0.0/0"}, **more)


# Each step gives its request, or those that come together, of the replies before it.
def id_of(reply, kind):
    return reply["Body"][kind][kind + "Id"]


STEPS = [
    lambda r: {"Action": "CreateTrafficMirrorTarget", "NetworkInterfaceId": "eni-t0", "ClientToken": "target"},
    lambda r: {"Action": "CreateTrafficMirrorFilter", "ClientToken": "filter", "Description": "first"},
    lambda r: rule(id_of(r[1], "TrafficMirrorFilter"), 10, ClientToken="rule"),
    lambda r: {"Action": "CreateTrafficMirrorSession", "NetworkInterfaceId": "eni-s0", "SessionNumber": 1,
               "TrafficMirrorTargetId": id_of(r[0], "TrafficMirrorTarget"), "ClientToken": "session",
               "TrafficMirrorFilterId": id_of(r[1], "TrafficMirrorFilter")},
    lambda r: rule(id_of(r[1], "TrafficMirrorFilter"), 20, "egress", Protocol=6,
                   DestinationPortRange={"FromPort": 80, "ToPort": 443}),
    lambda r: [{"Action": "CreateTrafficMirrorFilter", "Description": "second", "ClientToken": "together"},
               {"Action": "CreateTrafficMirrorSession", "NetworkInterfaceId": "eni-s1", "SessionNumber": 5,
                "TrafficMirrorTargetId": id_of(r[0], "TrafficMirrorTarget"), "VirtualNetworkId": 500,
                "TrafficMirrorFilterId": id_of(r[1], "TrafficMirrorFilter"), "ClientToken": "of group"},
               {"Action": "CreateTrafficMirrorSession", "NetworkInterfaceId": "eni-s2", "SessionNumber": 6,
                "TrafficMirrorTargetId": id_of(r[0], "TrafficMirrorTarget"), "VirtualNetworkId": 600,
                "TrafficMirrorFilterId": id_of(r[1], "TrafficMirrorFilter")}],
    lambda r: rule(id_of(r[5][0], "TrafficMirrorFilter"), 7, RuleAction="reject"),
    lambda r: {"Action": "ModifyTrafficMirrorSession", "PacketLength": 100, "VirtualNetworkId": 4711,
               "SessionNumber": 9, "TrafficMirrorSessionId": id_of(r[3], "TrafficMirrorSession"),
               "TrafficMirrorFilterId": id_of(r[5][0], "TrafficMirrorFilter"), "Description": "modified"},
    lambda r: {"Action": "ModifyTrafficMirrorFilterNetworkServices", "AddNetworkServices": ["amazon-dns"],
               "TrafficMirrorFilterId": id_of(r[1], "TrafficMirrorFilter")},
    lambda r: {"Action": "ModifyTrafficMirrorFilterRule", "SourceCidrBlock": "192.168.0.0/16", "RuleNumber": 11,
               "TrafficMirrorFilterRuleId": id_of(r[2], "TrafficMirrorFilterRule")},
    lambda r: {"Action": "CreateTags", "Resources": [id_of(r[3], "TrafficMirrorSession")],
               "Tags": [{"Key": "a", "Value": "b"}]},
    lambda r: {"Action": "DeleteTrafficMirrorFilterRule",
               "TrafficMirrorFilterRuleId": id_of(r[4], "TrafficMirrorFilterRule")},
    lambda r: {"Action": "DeleteTrafficMirrorSession",
               "TrafficMirrorSessionId": id_of(r[3], "TrafficMirrorSession")},
    lambda r: {"Action": "DeleteTrafficMirrorFilter",
               "TrafficMirrorFilterId": id_of(r[5][0], "TrafficMirrorFilter")},
]


class Durability(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "config.json"
        names = [f"eni-{kind}{i}" for kind in "ts" for i in range(3 * WORKERS)]
        self.config.write_text(json.dumps({"NetworkInterfaces": [interface(n, i + 1) for i, n in enumerate(names)]}))
        self.fresh()

    def fresh(self):
        for path in self.folder.glob("state*"):
            path.unlink()
        self.state, self.device = self.folder / "state.sqlite", self.folder / "state.device"

    def serve(self, requests, step, seed=1):
        """What crash_host answered, until it ended or died: [reply]; and the number of steps, None when it died."""
        process = subprocess.Popen([CRASH_HOST, "serve", self.state, self.device, self.config, str(step), str(seed)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        replies, steps = [], None
        try:
            for request in requests:
                process.stdin.write(json.dumps(request(replies)).encode() + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line.endswith(b"\n"):
                    break
                replies.append(json.loads(line))
            else:
                process.stdin.close()
                line = process.stdout.readline()
                steps = json.loads(line)["Steps"] if line else None
        except BrokenPipeError:
            pass
        status = process.wait(60)
        process.stdout.close()
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        self.assertIn(status, (0, -signal.SIGKILL))
        return replies, steps

    def look(self, *restart):
        done = subprocess.run([CRASH_HOST, "look", self.state, self.device, self.config, *restart],
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout)

    def check_agreement(self, seen, device="After"):
        """The device holds what the store wants, and nothing else."""
        self.assertEqual(sorted(seen[device]["Held"]), sorted(seen["Wanted"]))

    def check_fewest_writes(self, before, after, most):
        """What was right in the device stayed where it was; commits were spent on the rest alone."""
        wanted = {slot for text in after["Held"] for slot in text[1:]}
        for slot, place in before["Places"].items():
            if slot in wanted:
                self.assertEqual(after["Places"][slot], place, slot)
        commits = after["Sequence"] - before["Sequence"]
        if sorted(before["Held"]) == sorted(after["Held"]):
            self.assertEqual(commits, 0)
        self.assertLessEqual(commits, most)
        return commits

    def test_every_step(self):
        """S8 the host dies between any two steps of any change: before or after staging, store, device and reply."""
        golden = []
        for count in range(len(STEPS) + 1):
            self.fresh()
            replies, steps = self.serve(STEPS[:count], 0)
            self.assertEqual(len(replies), count)
            for reply in replies:
                for each in reply if isinstance(reply, list) else [reply]:
                    self.assertEqual(each["Code"], "", each)
            seen = self.look()
            self.check_agreement(seen, "Device")
            golden.append(seen)
        outcomes = collections.Counter()
        for step in range(1, steps + 1):
            with self.subTest(step=step):
                self.fresh()
                answered, rest = self.serve(STEPS, step)
                self.assertIsNone(rest)
                self.assertEqual(answered, replies[:len(answered)])
                seen = self.look("restart")
                before, after = golden[len(answered)], golden[min(len(answered) + 1, len(STEPS))]
                self.assertIn(seen["Store"], (before["Store"], after["Store"]))
                happened = seen["Store"] == after["Store"] and before["Store"] != after["Store"]
                slots = {slot for each in (before, after) for text in each["Device"]["Held"] for slot in text[1:]}
                for text in seen["Device"]["Held"]:
                    for slot in text[1:]:
                        self.assertIn(slot, slots)
                self.check_agreement(seen)
                used = after["Device"]["Sequence"] - before["Device"]["Sequence"]
                commits = self.check_fewest_writes(seen["Device"], seen["After"], used)
                outcomes["after" if happened else "before", commits] += 1
                # The same tokens give the same replies, and make nothing; also that of the change that was lost.
                tokens = [i for i in range(min(len(answered) + 1, len(STEPS))) if "ClientToken" in
                          str(STEPS[i](replies))]
                again, _ = self.serve([lambda r, i=i: STEPS[i](replies) for i in tokens
                                       if not isinstance(replies[i], list)], 0, seed=99)
                for i, reply in zip([i for i in tokens if not isinstance(replies[i], list)], again, strict=True):
                    self.assertEqual(reply["Code"], "")
                    if i < len(answered) or happened:
                        self.assertEqual(reply, replies[i])
                lost = len(answered) in tokens and not happened and not isinstance(replies[len(answered)], list)
                if not lost:
                    self.assertEqual(self.look()["Store"], seen["Store"])
        print(f"every step: {steps} kills; found before or after, and commits of the start: "
              f"{sorted(outcomes.items())}", flush=True)
        self.assertGreater(outcomes["after", 1], 5)
        self.assertGreater(outcomes["before", 0], 30)

    def test_random_moments(self):
        """S8 kill -9 at random moments of a load by several clients, again and again on the same files."""
        print(f"MIRRORNIC_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        workers = [Worker(i, chance.randrange(1 << 32)) for i in range(WORKERS)]
        totals = collections.Counter()
        started = time.monotonic()
        for kill in range(KILLS):
            with self.subTest(kill=kill):
                server, port = self.start()
                threads = [threading.Thread(target=worker.run, args=(port,)) for worker in workers]
                for thread in threads:
                    thread.start()
                time.sleep(chance.uniform(0, 0.12))
                server.kill()
                server.wait()
                server.stdout.close()
                for thread in threads:
                    thread.join()
                for worker in workers:
                    self.assertIsNone(worker.failure)
                in_flight = sum(worker.pending is not None for worker in workers)
                if kill % 2:
                    seen = self.look("restart")
                else:  # the real start, killed at once
                    seen = self.look()
                    server, _ = self.start()
                    server.kill()
                    server.wait()
                    server.stdout.close()
                    again = self.look()
                    self.assertEqual(again["Store"], seen["Store"])
                    seen["After"] = again["Device"]
                for worker in workers:
                    totals[worker.check(self, seen["Store"])] += 1
                ids = [each[key] for kind, key in (("Sessions", "TrafficMirrorSessionId"),
                                                   ("Filters", "TrafficMirrorFilterId"),
                                                   ("FilterRules", "TrafficMirrorFilterRuleId"))
                       for each in seen["Store"][kind]]
                self.assertEqual(len(ids), len(set(ids)))
                self.check_agreement(seen)
                # A change takes two commits at the most: a filter that comes into use, and the change.
                totals["commits"] += self.check_fewest_writes(seen["Device"], seen["After"], 2 * in_flight)
                totals["in flight"] += in_flight
        totals["done"] = sum(worker.done for worker in workers)
        print(f"random moments: {KILLS} kills in {time.monotonic() - started:.0f} s, {dict(totals)}", flush=True)
        self.assertGreater(totals["done"], KILLS)
        self.assertGreater(totals["after"], 0)
        self.assertGreater(totals["before"], 0)

    def start(self):
        server = subprocess.Popen([MIRRORNIC, "serve", "--listen", "127.0.0.1:0", "--config", self.config, "--state",
                                   self.state, "--device", f"file:{self.device}"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        line = server.stdout.readline()
        self.assertTrue(line, "the server did not start")
        return server, int(json.loads(line)["Url"].rsplit(":", 1)[1])


class Worker:
    """A client with interfaces and objects of its own, which knows what was answered."""

    def __init__(self, number, seed):
        self.number, self.chance = number, random.Random(seed)
        self.objects = {}     # what must be there: Description -> members
        self.pending = None   # (form, objects if it happened, Description that it creates or None)
        self.answered = collections.deque(maxlen=3)  # (form with a token, reply)
        self.failure = None
        self.done = self.created = 0

    # The objects: kind, id and the members that are compared; a rule is kept beside its filter.
    def of(self, kind):
        return [name for name, each in self.objects.items() if each["kind"] == kind]

    def next(self):
        chance, now = self.chance, {name: dict(each) for name, each in self.objects.items()}
        targets, filters, rules, sessions = map(self.of, ("target", "filter", "rule", "session"))
        self.created += 1
        name = f"w{self.number}-{self.created}"
        create = {"Description": name, "ClientToken": name}
        if not targets:
            now[name] = {"kind": "target", "address": f"eni-t{self.number}"}
            return {"Action": "CreateTrafficMirrorTarget", "NetworkInterfaceId": now[name]["address"],
                    **create}, now, name
        if len(filters) < 2 or (len(filters) < 4 and chance.random() < 0.1):
            now[name] = {"kind": "filter"}
            return {"Action": "CreateTrafficMirrorFilter", **create}, now, name
        free = [(f"eni-s{self.number * 3 + i}", n) for i in range(3) for n in range(1, 4)]
        taken = {(self.objects[s]["interface"], self.objects[s]["number"]) for s in sessions}
        free = [each for each in free if each not in taken]
        choice = chance.random()
        if choice < 0.25 and free:
            source, number = chance.choice(free)
            filter_name = chance.choice(filters)
            now[name] = {"kind": "session", "interface": source, "number": number, "vni": chance.randrange(1 << 24),
                         "length": chance.randrange(1, 8501), "filter": self.objects[filter_name]["id"],
                         "target": self.objects[targets[0]]["id"]}
            return {"Action": "CreateTrafficMirrorSession", "NetworkInterfaceId": source, "SessionNumber": number,
                    "VirtualNetworkId": now[name]["vni"], "PacketLength": now[name]["length"],
                    "TrafficMirrorFilterId": now[name]["filter"], "TrafficMirrorTargetId": now[name]["target"],
                    **create}, now, name
        if choice < 0.45:
            filter_name = chance.choice(filters)
            mine = [self.objects[r]["number"] for r in rules if self.objects[r]["filter"] == filter_name]
            if len(mine) < 8:
                number = chance.choice([n for n in range(1, 20) if n not in mine])
                direction = chance.choice(["ingress", "egress"])
                now[name] = {"kind": "rule", "filter": filter_name, "number": number, "direction": direction,
                             "source": f"10.{chance.randrange(256)}.0.0/16"}
                return {"Action": "CreateTrafficMirrorFilterRule", "RuleNumber": number, "RuleAction": "accept",
                        "TrafficMirrorFilterId": self.objects[filter_name]["id"], "TrafficDirection": direction,
                        "SourceCidrBlock": now[name]["source"], "DestinationCidrBlock": "0.0.0.0/0",
                        **create}, now, name
        if choice < 0.7 and sessions:  # all of its members at once
            session = chance.choice(sessions)
            its = now[session]
            numbers = [n for source, n in free if source == its["interface"]]
            its.update(vni=chance.randrange(1 << 24), length=chance.randrange(1, 8501),
                       filter=self.objects[chance.choice(filters)]["id"],
                       number=chance.choice(numbers or [its["number"]]))
            return {"Action": "ModifyTrafficMirrorSession", "TrafficMirrorSessionId": its["id"],
                    "VirtualNetworkId": its["vni"], "PacketLength": its["length"],
                    "TrafficMirrorFilterId": its["filter"], "SessionNumber": its["number"]}, now, None
        if choice < 0.8 and rules:
            name = chance.choice(rules)
            now[name]["source"] = f"172.{chance.randrange(256)}.0.0/16"
            return {"Action": "ModifyTrafficMirrorFilterRule", "TrafficMirrorFilterRuleId": now[name]["id"],
                    "SourceCidrBlock": now[name]["source"]}, now, None
        if choice < 0.85 and rules:
            gone = now.pop(chance.choice(rules))
            return {"Action": "DeleteTrafficMirrorFilterRule", "TrafficMirrorFilterRuleId": gone["id"]}, now, None
        used = {self.objects[s]["filter"] for s in sessions}
        unused = [f for f in filters if self.objects[f]["id"] not in used]
        if choice < 0.93 and unused:  # with its rules
            name = chance.choice(unused)
            now = {n: each for n, each in now.items() if n != name and each.get("filter") != name}
            return {"Action": "DeleteTrafficMirrorFilter",
                    "TrafficMirrorFilterId": self.objects[name]["id"]}, now, None
        if sessions:
            gone = now.pop(chance.choice(sessions))
            return {"Action": "DeleteTrafficMirrorSession", "TrafficMirrorSessionId": gone["id"]}, now, None
        now[name] = {"kind": "filter"}
        return {"Action": "CreateTrafficMirrorFilter", **create}, now, name

    def run(self, port):
        """Asks until the server is gone: first what was answered before, then what may be lost, then more."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            for form, reply in list(self.answered):
                if self.ask(connection, form) != reply:
                    self.failure = f"{form} was answered by {reply}, and now differently"
                    return
            while True:
                if self.pending is None:
                    self.pending = self.next()
                form, then, creates = self.pending
                reply = self.ask(connection, form)
                if creates:
                    made = next(e.text for e in ElementTree.fromstring(reply).iter()
                                if e.tag.endswith(then[creates]["kind"].title().replace("Rule", "FilterRule") + "Id")
                                and "TrafficMirror" not in e.tag.split("}")[1][13:])
                    then[creates]["id"] = made
                    self.answered.append((form, reply))
                self.objects, self.pending = then, None
                self.done += 1
        except (http.client.HTTPException, OSError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.failure = repr(error)
        finally:
            connection.close()

    def ask(self, connection, form):
        """The reply without its id, which is of the request."""
        connection.request("POST", "/", urlencode({"Version": "2016-11-15", **form}),
                           {"Authorization": "AWS4-HMAC-SHA256 x", "Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        body = reply.read().decode()
        if reply.status != 200:
            raise AssertionError(f"{form}: {body}")
        start, _, rest = body.partition("<requestId>")
        return start + rest.partition("</requestId>")[2]

    def check(self, test, store):
        """The store has this worker's objects as before the request that was not answered, or as after it."""
        mine = f"w{self.number}-"
        held = {}
        for each in store["Targets"]:
            held[each["Description"]] = {"kind": "target", "address": each["NetworkInterfaceId"],
                                         "id": each["TrafficMirrorTargetId"]}
        filters = {}
        for each in store["Filters"]:
            filters[each["TrafficMirrorFilterId"]] = each["Description"]
            held[each["Description"]] = {"kind": "filter", "id": each["TrafficMirrorFilterId"]}
            for one in each["IngressFilterRules"] + each["EgressFilterRules"]:
                held[one["Description"]] = {"kind": "rule", "filter": each["Description"], "number": one["RuleNumber"],
                                            "direction": one["TrafficDirection"], "source": one["SourceCidrBlock"],
                                            "id": one["TrafficMirrorFilterRuleId"]}
        test.assertEqual(sorted(r["TrafficMirrorFilterRuleId"] for r in store["FilterRules"]),
                         sorted(e["id"] for e in held.values() if e["kind"] == "rule"))
        for each in store["Sessions"]:
            held[each["Description"]] = {
                "kind": "session", "interface": each["NetworkInterfaceId"], "number": each["SessionNumber"],
                "vni": each["VirtualNetworkId"], "length": each["PacketLength"], "id": each["TrafficMirrorSessionId"],
                "filter": each["TrafficMirrorFilterId"], "target": each["TrafficMirrorTargetId"]}
        held = {name: each for name, each in held.items() if name.startswith(mine)}
        if held == self.objects:
            return "before"
        test.assertIsNotNone(self.pending, f"{held}\nrather than\n{self.objects}")
        form, then, creates = self.pending
        if creates and creates in held:
            then[creates]["id"] = held[creates]["id"]
        test.assertEqual(held, then, f"neither before nor after {form}")
        if not creates:  # a create is asked again: its token gives the reply that was lost
            self.objects, self.pending = then, None
        return "after"


if __name__ == "__main__":
    environment.main()
