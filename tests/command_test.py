#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command as a user calls it: files in, files out, messages, exit status. MIRRORNIC names the binary,
MIRRORNICD the one without the simulation."""
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import environment

TESTS = Path(__file__).resolve().parent
MIRRORNIC = os.environ["MIRRORNIC"]
CAPTURES = environment.some(sorted(p for p in (TESTS / "captures").iterdir() if p.suffix in (".pcap", ".pcapng")), "captures")
SHARED = TESTS.parent.parent / "shared/captures"
DEMO = TESTS / "demo/config.json"


def config(v6=False, packet_length=None):
    """Both hosts of the captures are sources; all is accepted, with Amazon DNS; the target is one interface."""
    def rule(number, direction, block):
        return {"TrafficMirrorFilterRuleId": f"tmfr-{direction}{number}", "TrafficMirrorFilterId": "tmf-1",
                "TrafficDirection": direction, "RuleNumber": number, "RuleAction": "accept",
                "SourceCidrBlock": block, "DestinationCidrBlock": block}
    session = {"TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1", "SessionNumber": 1,
               "VirtualNetworkId": 77}
    if packet_length:
        session["PacketLength"] = packet_length
    collector = {"NetworkInterfaceId": "eni-c", "MacAddress": "02:00:00:00:00:0c", "Mtu": 9216}
    if v6:
        collector["Ipv6Addresses"] = [{"Ipv6Address": "2001:db8::30"}]
    else:
        collector["PrivateIpAddress"] = "10.0.1.30"
    return {
        "NetworkInterfaces": [
            {"NetworkInterfaceId": "eni-a", "MacAddress": "02:00:00:00:00:0a", "PrivateIpAddress": "10.0.1.10",
             "Ipv6Addresses": [{"Ipv6Address": "2001:db8::10"}]},
            {"NetworkInterfaceId": "eni-b", "MacAddress": "02:00:00:00:00:0b", "PrivateIpAddress": "10.0.2.20",
             "Ipv6Addresses": [{"Ipv6Address": "2001:db8::20"}]}, collector],
        "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-c",
                                  "Type": "network-interface"}],
        "TrafficMirrorFilters": [{
            "TrafficMirrorFilterId": "tmf-1", "NetworkServices": ["amazon-dns"],
            "IngressFilterRules": [rule(1, "ingress", "0.0.0.0/0"), rule(2, "ingress", "::/0")],
            "EgressFilterRules": [rule(1, "egress", "0.0.0.0/0"), rule(2, "egress", "::/0")]}],
        "TrafficMirrorSessions": [dict(session, TrafficMirrorSessionId="tms-a", NetworkInterfaceId="eni-a")]}


def read_pcap(path):
    """[(nanoseconds, bytes)] of a nanosecond pcap."""
    data = Path(path).read_bytes()
    assert struct.unpack_from("<I", data)[0] == 0xA1B23C4D, path
    offset, frames = 24, []
    while offset < len(data):
        seconds, nanos, captured, _ = struct.unpack_from("<IIII", data, offset)
        frames.append((seconds * 10**9 + nanos, data[offset + 16:offset + 16 + captured]))
        offset += 16 + captured
    return frames


def write_pcap(path, frames, magic=0xA1B23C4D, order="<", link=1, wire=None):
    with open(path, "wb") as file:
        file.write(struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 262144, link))
        for time_stamp, frame in frames:
            scale = 1 if magic == 0xA1B23C4D else 1000
            file.write(struct.pack(order + "IIII", time_stamp // 10**9, time_stamp % 10**9 // scale, len(frame),
                                   wire or len(frame)))
            file.write(frame)


def udp(length=100, source=b"\2\0\0\0\0\x0a", destination=b"\2\0\0\0\0\x0e"):
    head = destination + source + bytes.fromhex("080045000000000000004011000" + "00a00010a0a000214" + "9c401388" + "00000000")
    return (head + bytes(i & 255 for i in range(max(0, length - len(head)))))[:length]


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def call(self, *arguments, status=0, stdin=None):
        done = subprocess.run([MIRRORNIC, *map(str, arguments)], input=stdin, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done

    def run_capture(self, capture, *more, status=0, configuration=None):
        path = self.file("config.json", configuration or config())
        out = {name: self.folder / name for name in ("mirror.pcap", "forward.pcap", "stats.json", "decisions.jsonl")}
        done = self.call("run", "--config", path, "--in", capture, "--out", out["mirror.pcap"], "--forward",
                         out["forward.pcap"], "--stats", out["stats.json"], "--decisions", out["decisions.jsonl"],
                         *more, status=status)
        return (done, read_pcap(out["mirror.pcap"]), read_pcap(out["forward.pcap"]),
                json.loads(out["stats.json"].read_text()),
                [json.loads(line) for line in out["decisions.jsonl"].read_text().splitlines()])

    def check_sums(self, stats, mirror, forward, decisions):
        for unit in ("frames", "bytes"):
            sums = stats[unit]
            self.assertEqual(sums["received"], sums["forwarded"])
            self.assertEqual(sums["received"], sums["not_eligible"] + sums["not_accepted"] + sums["selected"])
            self.assertEqual(sums["selected"], sums["mirrored"] + sums["dropped"])
        self.assertEqual(len(mirror), stats["frames"]["mirrored"])
        self.assertEqual(len(forward), stats["frames"]["forwarded"])
        self.assertEqual(len(decisions), stats["frames"]["received"])
        self.assertEqual(sum(len(f) for _, f in forward), stats["bytes"]["forwarded"])
        self.assertEqual(sum(s["mirrored_bytes"] for s in stats["sessions"]), sum(len(f) for _, f in mirror))

    def check_copies(self, mirror, forward, decisions, v6):
        """P14 P15 P18 P19 P21: each copy holds the first bytes of its frame, in order, with the frame's time stamp."""
        header = 70 if v6 else 50
        mirrored = [(decision, frame) for decision, frame in zip(decisions, forward, strict=True)
                    if decision["Outcome"] == "mirrored"]
        self.assertEqual(len(mirror), len(mirrored))
        for (stamp, copy), (decision, (frame_stamp, frame)) in zip(mirror, mirrored, strict=True):
            self.assertEqual(stamp, frame_stamp)
            self.assertEqual(copy[:12], b"\2\0\0\0\0\x0c" + b"\2\0\0\0\0\x0a")
            self.assertEqual(copy[12:14], b"\x86\xdd" if v6 else b"\x08\x00")
            self.assertEqual(copy[header - 14:header - 12], struct.pack(">H", 4789))
            self.assertEqual(copy[header - 8:header], bytes.fromhex("08000000") + b"\0\0\x4d\0")
            self.assertEqual(copy[header:], frame[:decision["Kept"]])

    def test_endpoint_mtu(self):
        """P14 a copy to a gateway load balancer endpoint is an IP packet of at most 8500 bytes, or of its smaller MTU."""
        capture = self.folder / "long.pcap"
        write_pcap(capture, [(10**9, udp(9200))])
        for target, mtu, limit in (("endpoint", 9216, 8500), ("endpoint", 9001, 8500), ("endpoint", 8499, 8499),
                                   ("interface", 9216, 9216)):
            for v6 in (False, True):
                configuration = config(v6)
                configuration["NetworkInterfaces"][2].update(Mtu=mtu, Description="VPC Endpoint Interface vpce-1a2b3c4d")
                if target == "endpoint":
                    configuration["TrafficMirrorTargets"] = [
                        {"TrafficMirrorTargetId": "tmt-1", "GatewayLoadBalancerEndpointId": "vpce-1a2b3c4d"}]
                with self.subTest(target=target, mtu=mtu, v6=v6):
                    _, mirror, forward, _, decisions = self.run_capture(capture, configuration=configuration)
                    self.check_copies(mirror, forward, decisions, v6)
                    self.assertEqual([len(copy) for _, copy in mirror], [14 + min(limit, 9200 + (56 if v6 else 36))])

    def test_short_copies(self):
        """I3, P14, P23: a copy of less than 60 bytes is written as it is on the wire; no length and no sum counts the zeros."""
        capture = self.folder / "in.pcap"
        frames = [udp(60 + i) for i in range(20)]
        write_pcap(capture, [(i, frame) for i, frame in enumerate(frames)])
        for length in (1, 9, 10, 11):
            _, mirror, _, stats, decisions = self.run_capture(capture, configuration=config(packet_length=length))
            self.assertEqual({decision["Kept"] for decision in decisions}, {length})
            for (_, copy), frame in zip(mirror, frames, strict=True):
                self.assertEqual(len(copy), max(60, 50 + length))
                self.assertEqual(struct.unpack_from(">H", copy, 16)[0], 36 + length)
                self.assertEqual(struct.unpack_from(">H", copy, 38)[0], 16 + length)
                self.assertEqual(copy[50:50 + length], frame[:length])
                self.assertEqual(copy[50 + length:], bytes(max(0, 10 - length)))
            self.assertEqual(len(mirror), 20)
            self.assertEqual(sum(s["mirrored_bytes"] for s in stats["sessions"]), 20 * (50 + length))
            _, mirror, *_ = self.run_capture(capture, configuration=config(v6=True, packet_length=length))
            self.assertEqual({len(copy) for _, copy in mirror}, {70 + length})

    def test_captures(self):
        """P14 P15 P18 P19 P21 P23 I5 every recorded capture comes out mirrored, over IPv4 and IPv6, at every pace."""
        for capture in CAPTURES:
            for v6 in (False, True):
                for pace in ("lossless", "line", "capture"):
                    with self.subTest(capture=capture.name, v6=v6, pace=pace):
                        _, mirror, forward, stats, decisions = self.run_capture(
                            capture, "--pace", pace, configuration=config(v6))
                        self.check_sums(stats, mirror, forward, decisions)
                        self.check_copies(mirror, forward, decisions, v6)
                        self.assertGreater(len(mirror), 0)
                        if pace == "lossless":
                            self.assertEqual(stats["frames"]["dropped"], 0)

    def test_shared_captures(self):
        """Foreign captures run whole, or are refused with a reason where they are not of Ethernet."""
        if not SHARED.is_dir():
            self.skipTest("there are no captures beside the project")
        copies = 0
        for capture in environment.some(sorted(SHARED.glob("*.pcap")), "captures"):
            with self.subTest(capture=capture.name):
                if struct.unpack_from("<I", capture.read_bytes(), 20)[0] != 1:
                    done = self.call("run", "--config", self.file("c.json", config()), "--in", capture, "--out",
                                     self.folder / "o.pcap", status=1)
                    self.assertIn(b"link", done.stderr.lower())
                    continue
                _, mirror, forward, stats, decisions = self.run_capture(capture, "--default-tap", "eni-a:egress")
                self.check_sums(stats, mirror, forward, decisions)
                self.check_copies(mirror, forward, decisions, False)
                copies += len(mirror)
        self.assertGreater(copies, 0)

    def test_tshark(self):
        """P15 to P19 tshark reads the copies as VXLAN without a complaint."""
        for v6 in (False, True):
            for name in ("http.pcap", "extension_headers.pcapng", "jumbo.pcap"):
                mirror = self.run_capture(TESTS / "captures" / name, configuration=config(v6))[1]
                self.script("tshark_test.sh", self.folder / "mirror.pcap", len(mirror))

    def test_kernel(self):
        """P14 to P19 the Linux kernel's VXLAN device takes the original bytes out of the copies."""
        for v6 in (False, True):
            for name in ("http.pcap", "http6.pcap", "fragments.pcap"):
                _, _, forward, _, decisions = self.run_capture(TESTS / "captures" / name, configuration=config(v6))
                expected = self.folder / "expected.pcap"
                write_pcap(expected, [f for f, d in zip(forward, decisions, strict=True) if d["Outcome"] == "mirrored"])
                addresses = ("2001:db8::30", "2001:db8::10") if v6 else ("10.0.1.30", "10.0.1.10")
                self.script("kernel_vxlan_test.sh", self.folder / "mirror.pcap", expected, 77, *addresses,
                            "02:00:00:00:00:0c")

    def test_decisions_say_why(self):
        """I5 P8 P10 P12 each session that was tried says why it rejected, and the one that accepts by what rule or service."""
        block = {"SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"}

        def rule(name, action, port=None):
            ports = {"Protocol": 17, "DestinationPortRange": {"FromPort": port, "ToPort": port}} if port else {}
            return {"TrafficMirrorFilterRuleId": name, "TrafficDirection": "egress", "RuleNumber": 1, "RuleAction": action,
                    **block, **ports}

        def decoded(port):  # the UDP destination port
            frame = bytearray(udp(100))
            frame[36:38] = struct.pack(">H", port)
            return bytes(frame)
        whole = config()
        first = {"TrafficMirrorFilterId": "tmf-none", "EgressFilterRules": []}
        second = {"TrafficMirrorFilterId": "tmf-reject", "EgressFilterRules": [rule("tmfr-reject", "reject")]}
        third = {"TrafficMirrorFilterId": "tmf-accept", "NetworkServices": ["amazon-dns"],
                 "EgressFilterRules": [rule("tmfr-accept", "accept", 5000)]}
        for filter_ in (first, second, third):
            filter_.setdefault("IngressFilterRules", [])
            for one in filter_["EgressFilterRules"]:
                one["TrafficMirrorFilterId"] = filter_["TrafficMirrorFilterId"]
        whole["TrafficMirrorFilters"] = [first, second, third]
        session = whole["TrafficMirrorSessions"][0]
        whole["TrafficMirrorSessions"] = [
            {**session, "TrafficMirrorSessionId": f"tms-{number}", "SessionNumber": number, "PacketLength": 60,
             "VirtualNetworkId": number, "TrafficMirrorFilterId": filter_["TrafficMirrorFilterId"]}
            for number, filter_ in enumerate((first, second, third), 1)]
        dns = bytearray(decoded(53))
        dns[30:34] = bytes([169, 254, 169, 253])
        capture = self.folder / "why.pcap"
        write_pcap(capture, [(10**9 + i, frame) for i, frame in enumerate((decoded(5000), decoded(5001), bytes(dns)))])
        decisions = self.run_capture(capture, configuration=whole)[4]
        none = {"TrafficMirrorSessionId": "tms-1", "Why": "no rule"}
        rejected = {"TrafficMirrorSessionId": "tms-2", "Why": "rejected by rule", "TrafficMirrorFilterRuleId": "tmfr-reject"}
        tap = {"Length": 100, "NetworkInterfaceId": "eni-a", "Direction": "egress"}
        accepted = {**tap, "Outcome": "mirrored", "TrafficMirrorSessionId": "tms-3", "Kept": 60}
        off = [{"TrafficMirrorSessionId": f"tms-{number}", "Why": "amazon-dns is off"} for number in (1, 2)]
        # LateBad is in none of them: nothing in a capture marks a frame bad.
        self.assertEqual(decisions, [
            {"Frame": 1, **accepted, "TrafficMirrorFilterRuleId": "tmfr-accept", "Rejected": [none, rejected]},
            {"Frame": 2, **tap, "Outcome": "not accepted",
             "Rejected": [none, rejected, {"TrafficMirrorSessionId": "tms-3", "Why": "no rule"}]},
            {"Frame": 3, **accepted, "NetworkService": "amazon-dns", "Rejected": off}])

    def script(self, name, *arguments):
        done = subprocess.run([TESTS / name, *map(str, arguments)], capture_output=True, timeout=120)
        if done.returncode == 77:
            self.skipTest((done.stderr or done.stdout).decode().strip())
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())

    def test_demo_repeats(self):
        """Two runs with one seed give identical files; another seed gives other ids."""
        def demo(folder, seed):
            folder.mkdir()
            self.call("run", "--config", DEMO, "--requests", TESTS / "demo/requests.jsonl", "--in",
                      TESTS / "captures/http.pcap", "--out", folder / "m", "--decisions", folder / "d", "--stats",
                      folder / "s", "--replies", folder / "r", "--seed", seed)
            return [(folder / name).read_bytes() for name in "mdsr"]
        first = demo(self.folder / "1", 1)
        self.assertEqual(first, demo(self.folder / "2", 1))
        self.assertNotEqual(first, demo(self.folder / "3", 2))

    def test_input_forms(self):
        """pcap in either byte order and resolution, gzip, and standard input give one result."""
        frames = [(1_500_000_000_000_000_000 + i * 1_000_000, udp(60 + i)) for i in range(50)]
        results = []
        for magic in (0xA1B23C4D, 0xA1B2C3D4):
            for order in "<>":
                path = self.folder / "in.pcap"
                write_pcap(path, frames, magic, order)
                results.append(self.run_capture(path)[1])
        packed = self.folder / "in.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        results.append(self.run_capture(packed)[1])
        done = self.call("run", "--config", self.folder / "config.json", "--in", "-", "--out", "-",
                         stdin=path.read_bytes())
        (self.folder / "stdout.pcap").write_bytes(done.stdout)
        results.append(read_pcap(self.folder / "stdout.pcap"))
        self.assertEqual(len(results[0]), 50)
        for result in results[1:]:
            self.assertEqual(result, results[0])

    def test_cut_off(self):
        """A cut-off record: all whole frames are processed, outputs are complete, a warning, status 1."""
        path = self.folder / "in.pcap"
        write_pcap(path, [(1, udp())] * 10)
        path.write_bytes(path.read_bytes()[:-5])
        done, mirror, forward, stats, _ = self.run_capture(path, status=1)
        self.assertEqual((len(mirror), len(forward)), (9, 9))
        self.assertIn(b"cut off", done.stderr)
        self.assertEqual(len(stats["warnings"]), 1)

    def test_snapped(self):
        """Frames that the capture shortened run as captured, with a warning that counts them."""
        path = self.folder / "in.pcap"
        write_pcap(path, [(1, udp(64))] * 3, wire=1500)
        done, mirror, *_ = self.run_capture(path)
        self.assertEqual(len(mirror), 3)
        self.assertIn(b"3 frames", done.stderr)

    def test_refusals(self):
        """Bad input ends with one line that says what to do, and status 1."""
        good = self.file("c.json", config())
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp())])
        cooked = self.folder / "cooked.pcap"
        write_pcap(cooked, [(1, udp())], link=113)
        os.symlink(capture, self.folder / "link.pcap")
        (self.folder / "empty.pcap").write_bytes(b"")
        out = self.folder / "o.pcap"
        cases = [
            ((good, cooked, out), b"-i"),
            ((good, capture, capture), b"is named for"),
            ((good, capture, self.folder / "link.pcap"), b"is named for"),
            ((good, self.folder / "empty.pcap", out), b"empty"),
            ((good, self.folder / "none.pcap", out), b"none.pcap"),
            ((self.folder / "none.json", capture, out), b"none.json"),
            ((self.file("mac.json", {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-a", "MacAddress": "02:00"}]}),
              capture, out), b"NetworkInterfaces[0].MacAddress"),
            ((self.file("next.json", {"NetworkInterfaces": [], "NextToken": "x"}), capture, out), b"NextToken"),
            ((self.file("twice.json", '{"Vpcs": [], "Vpcs": []}'), capture, out), b"Vpcs"),
        ]
        for (configuration, source, target), words in cases:
            with self.subTest(words=words):
                done = self.call("run", "--config", configuration, "--in", source, "--out", target, status=1)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertEqual(read_pcap(capture), [(1, udp())])

    def test_usage(self):
        """Wrong usage is status 2; help and version are status 0."""
        for arguments in ([], ["nothing"], ["run"], ["run", "--pace", "slow", "--config", "x", "--in", "x", "--out", "y"],
                          ["run", "--unknown"], ["check"]):
            self.call(*arguments, status=2)
        for command in ("run", "check"):
            self.assertIn(b"--config", self.call(command, "--help").stdout)
        self.assertIn(b"256 interfaces", self.call("--version").stdout)

    def test_no_copies(self):
        """A run that has made no copy says why, and a configuration that makes none says so."""
        accepts, rejects, idle = config(), config(), config()
        for rules in ("IngressFilterRules", "EgressFilterRules"):
            for rule in rejects["TrafficMirrorFilters"][0][rules]:
                rule["RuleAction"] = "reject"
        del idle["TrafficMirrorSessions"]
        known, foreign = udp(), udp(source=b"\2\0\0\0\0\x1a")
        for name, configuration, frames, more, said in (
                ("copies", accepts, [known], [], None),
                ("empty", accepts, [], [], "the capture has no frame"),
                ("foreign", accepts, [foreign], [], "--default-tap"),
                ("idle", idle, [known], [], "no session is in force"),
                ("both", idle, [foreign], [], "no session is in force"),
                ("rejected", rejects, [known, foreign], [], "--decisions FILE says"),
                ("told", rejects, [known], ["--decisions", self.folder / "d.jsonl"], f"{self.folder / 'd.jsonl'} says")):
            with self.subTest(name):
                write_pcap(self.folder / "in.pcap", [(10**18 + i, frame) for i, frame in enumerate(frames)])
                done = self.call("run", "--config", self.file("c.json", configuration), "--in", self.folder / "in.pcap",
                                 "--out", self.folder / "out.pcap", *more)
                lines = [line for line in done.stdout.decode().splitlines() if line.startswith("no copies: ")]
                self.assertEqual(len(read_pcap(self.folder / "out.pcap")), 1 if said is None else 0)
                self.assertEqual(len(lines), 0 if said is None else 1, done.stdout)
                if said:
                    self.assertIn(said, lines[0])
        for configuration, said in ((accepts, False), (rejects, False), (idle, True)):
            text = self.call("check", "--config", self.file("c.json", configuration)).stdout.decode()
            self.assertEqual("no session: nothing is mirrored" in text, said, text)

    def test_mirrornicd(self):
        """The program without the simulation links no SystemC, has the other commands, and says where the simulated device is."""
        program = os.environ["MIRRORNICD"]
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        self.assertIn("libsqlite3", libraries)
        self.assertNotIn("systemc", libraries)
        call = lambda *arguments: subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
        commands = re.findall(r"^  (\w+) ", call("--help").stdout, re.M)
        self.assertEqual(commands, ["serve", "check", "backup"])
        self.assertTrue(call("--version").stdout.startswith("mirrornicd "))
        configuration = self.file("c.json", config())
        for arguments, said in ((["--device", "sim"], "the program `mirrornic`"), ([], "--device is missing"),
                                (["--device", "nvme:1"], "give pci:ADDRESS[,bar=N][,offset=BYTES] or file:PATH"),
                                (["--device", "file:"], "file:PATH"), (["--device", "file:f", "--in", "x"], "--in")):
            done = call("serve", "--config", configuration, *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertTrue(done.stderr.startswith("mirrornicd: "))
        done = call("check", "--config", configuration)
        self.assertEqual((done.returncode, done.stdout), (0, self.call("check", "--config", configuration).stdout.decode()))

    def test_empty_values(self):
        """No option's value may be empty: the message names the option, on the command line and in a file of options."""
        base = {"run": {"config": "c", "in": "i", "out": "o"}, "serve": {"config": "c"}, "check": {"config": "c"},
                "backup": {"state": "s", "to": "t"}}
        for command, needed in base.items():
            text = self.call(command, "--help").stdout.decode()
            options = re.findall(r"^  --([a-z-]+) (?:arg|[A-Z(=])", text, re.M)
            self.assertGreaterEqual(len(options), len(needed))
            for option in options:
                with self.subTest(command=command, option=option):
                    others = [word for name, value in needed.items() if name != option for word in ("--" + name, value)]
                    done = self.call(command, *others, "--" + option, "", status=2)
                    self.assertIn(f"--{option}", done.stderr.decode().splitlines()[0])
                    done = self.call(command, *others, f"--{option}=", status=2)
                    self.assertIn(f"--{option}", done.stderr.decode().splitlines()[0])
                    if command == "serve" and option != "options":
                        done = self.call(command, *others, "--options", self.file("options", f"{option}=\n"), status=2)
                        self.assertIn(f"--{option}", done.stderr.decode().splitlines()[0])

    def test_values_that_name_nothing(self):
        """A region that is none and a device without an address are wrong usage."""
        for option, value in (("region", " "), ("region", "us east"), ("region", "us-east-1\n"), ("device", "file:"),
                              ("device", "pci:")):
            done = self.call("serve", "--config", "c", "--" + option, value, status=2)
            self.assertIn(f"--{option}", done.stderr.decode().splitlines()[0])

    def test_options_file(self):
        """A file of options that is not there, or is a folder, is said with its name."""
        for name in (self.folder / "none", self.folder):
            done = self.call("serve", "--config", "c", "--options", name, status=2)
            self.assertRegex(done.stderr.decode().splitlines()[0], f"--options {name}: (No such file|Is a directory)")
        empty = self.file("empty", "")
        self.assertIn(b"c: No such file", self.call("serve", "--config", self.folder / "c", "--options", empty, "--state",
                                                    self.folder / "s", status=1).stderr)

    def test_scarcity(self):
        """Too little memory and too few descriptors end a command with one line that says what to allow more of."""
        config_file = self.file("c.json", config())
        network = self.file("n.json", {"NetworkInterfaces": config()["NetworkInterfaces"]})
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp())])
        serve = ["serve", "--config", network, "--listen", "127.0.0.1:0", "--state", self.folder / "state"]
        run = ["run", "--config", config_file, "--in", capture, "--out", self.folder / "o", "--quiet"]
        enough, scarce = 0, set()
        for limit, sizes in (("nofile", range(5, 25)), ("as", range(32_000_000, 120_000_000, 3_000_000))):
            for size in sizes:
                for command in (serve, run):
                    with self.subTest(limit=limit, size=size, command=command[0]):
                        process = subprocess.Popen(["prlimit", f"--{limit}={size}", MIRRORNIC, *map(str, command)],
                                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                        self.addCleanup(process.kill)
                        if command is serve and process.stdout.readline():  # ready
                            enough += 1
                            process.terminate()
                        message = process.communicate(timeout=30)[1]
                        if process.returncode == 127 or process.returncode == 0:  # not loaded; enough
                            continue
                        scarce.add((limit, command[0]))
                        self.assertIn(process.returncode, (1, 3))
                        last = [line for line in message.splitlines() if " info " not in line]
                        self.assertEqual(len(last), 1, message)
                        self.assertRegex(last[0], r"^mirrornic: .*(ulimit|Too many open files|Cannot allocate memory)")
                        self.assertNotIn("std::", last[0])
        self.assertGreater(enough, 2)
        self.assertEqual(scarce, {(limit, command) for limit in ("nofile", "as") for command in ("serve", "run")})

    def test_missing_target(self):
        """A session whose target is in no file stops the run with the command that prints it; or is left out."""
        incomplete = config()
        del incomplete["TrafficMirrorTargets"]
        path = self.file("c.json", incomplete)
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp())])
        done = self.call("run", "--config", path, "--in", capture, "--out", self.folder / "o", status=1)
        self.assertIn(b"describe-traffic-mirror-targets", done.stderr)
        stats = self.run_capture(capture, "--skip-unresolved", configuration=incomplete)[3]
        self.assertEqual(stats["frames"]["not_accepted"], 1)

    def test_requests_at_frames(self):
        """T2 S8 requests act exactly before their frame; a deleted session keeps its counters."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(10**9 + i * 10**6, udp()) for i in range(40)])
        session = {"TrafficMirrorSessionId": "tms-a"}
        lines = [
            {"Action": "ModifyTrafficMirrorSession", "VirtualNetworkId": 99, "PacketLength": 20, "AtFrame": 11, **session},
            {"Action": "DeleteTrafficMirrorSession", "TrafficMirrorSessionId": "tms-0123456789abcdef0",
             "ExpectError": "InvalidTrafficMirrorSessionId.NotFound"},
            {"Action": "DeleteTrafficMirrorSession", "AtTime": 0.0295, **session}]
        requests = self.file("r.jsonl", "\n".join(map(json.dumps, lines)))
        replies = self.folder / "replies.jsonl"
        _, mirror, forward, stats, decisions = self.run_capture(capture, "--requests", requests, "--replies", replies)
        vnis = [int.from_bytes(copy[46:49], "big") for _, copy in mirror]
        self.assertEqual(vnis, [77] * 10 + [99] * 20)
        self.assertEqual([len(copy) for _, copy in mirror], [150] * 10 + [70] * 20)
        self.assertEqual([d["Outcome"] for d in decisions], ["mirrored"] * 30 + ["not accepted"] * 10)
        self.assertEqual(stats["sessions"][0]["mirrored"], 30)
        self.assertEqual(len(replies.read_text().splitlines()), 3)

    def test_failed_request(self):
        """S7 a failed request is shown with its line and code, the run goes on and ends with status 1."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp())] * 5)
        requests = self.file("r.jsonl", "\n" + json.dumps({"Action": "DeleteTrafficMirrorFilter",
                                                            "TrafficMirrorFilterId": "tmf-1"}))
        done, mirror, *_ = self.run_capture(capture, "--requests", requests, status=1)
        self.assertIn(b"r.jsonl:2", done.stderr)
        self.assertIn(b"TrafficMirrorFilterInUse", done.stderr)
        self.assertEqual(len(mirror), 5)

    def test_taps(self):
        """P13 a frame between two interfaces passes twice, egress first; an unknown one is at the default tap or none."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp(destination=b"\2\0\0\0\0\x0b")),
                             (2, udp(source=b"\2\0\0\0\0\x1a", destination=b"\2\0\0\0\0\x1b"))])
        taps = [(d["Frame"], d.get("NetworkInterfaceId"), d.get("Direction")) for d in self.run_capture(capture)[4]]
        self.assertEqual(taps, [(1, "eni-a", "egress"), (1, "eni-b", "ingress"), (2, None, None)])
        last = self.run_capture(capture, "--default-tap", "eni-a:ingress")[4][-1]
        self.assertEqual((last["NetworkInterfaceId"], last["Direction"], last["Outcome"]),
                         ("eni-a", "ingress", "mirrored"))

    def test_source_ports(self):
        """P20 --source-ports sets the range of outer source ports."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp(60)[:34] + struct.pack(">H", port) + udp(60)[36:]) for port in range(1, 200)])
        for option, low, high in (("rfc7348", 49152, 65535), ("aws", 65408, 65535), ("1024/3", 1024, 1031)):
            ports = {int.from_bytes(copy[34:36], "big")
                     for _, copy in self.run_capture(capture, "--source-ports", option)[1]}
            self.assertTrue(all(low <= port <= high for port in ports), (option, ports))
            self.assertGreater(len(ports), 4)

    def test_interrupt(self):
        """SIGINT closes the outputs validly and prints the summary; nothing of a progress bar when piped."""
        source = self.folder / "fifo"
        os.mkfifo(source)
        out = self.folder / "o.pcap"
        process = subprocess.Popen([MIRRORNIC, "run", "--config", self.file("c.json", config()), "--in", source,
                                    "--out", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        whole = self.folder / "in.pcap"
        write_pcap(whole, [(1, udp())] * 20000)
        with contextlib.suppress(BrokenPipeError), open(source, "wb") as pipe:  # its reader goes away
            pipe.write(whole.read_bytes())
            pipe.flush()
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
            pipe.write(struct.pack("<IIII", 0, 1, 100, 100) + udp())
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"interrupted", stderr)
        self.assertIn(b"mirrored", stdout)
        self.assertNotIn(b"\r", stderr)
        self.assertGreater(len(read_pcap(out)), 0)

    def shards_and_alone(self, capture, *more, shards=2, status=0, configuration=None):
        """What a run with shards wrote, after it was found to be what the run of one process writes: copies, forwarded
        frames, decisions and replies to the byte, statistics but for `cycles`, messages and exit status."""
        path = self.file("config.json", configuration or config())
        results = []
        for count in (1, shards):
            out = {name: self.folder / f"{count}-{name}" for name in ("mirror", "forward", "decisions", "replies", "stats")}
            done = self.call("run", "--config", path, "--in", capture, *(x for name, file in out.items()
                             for x in ("--out" if name == "mirror" else f"--{name}", file)), "--quiet", "--shards", count,
                             *more, status=status)
            stats = json.loads(out.pop("stats").read_text())
            cycles = stats.pop("cycles")
            results.append(([file.read_bytes() for file in out.values()], stats, done.stderr, done.stdout))
            copies = stats["frames"]["mirrored"]
            self.assertEqual(cycles.get("latency", {}).get("minimum"), 16 if copies else None)
        for alone, together in zip(*results, strict=True):
            self.assertEqual(alone, together)
        return results[1]

    def test_shards(self):
        """--shards writes what one process writes: real captures, one shard more than there are pieces, and 9 shards."""
        long = self.folder / "long.pcap"
        frames = [frame for name in ("http.pcap", "dns.pcap", "icmp.pcap", "jumbo.pcap")
                  for frame in self.original(TESTS / "captures" / name)]
        write_pcap(long, [(10**9 + i * 1000, frames[i % len(frames)]) for i in range(6000)])
        for more, shards in (((), 2), (("--default-tap", "eni-b:ingress"), 9)):
            self.assertGreater(self.shards_and_alone(long, *more, shards=shards)[1]["frames"]["mirrored"], 0)
        for capture in CAPTURES:
            with self.subTest(capture=capture.name):
                self.assertGreater(self.shards_and_alone(capture, shards=3)[1]["frames"]["mirrored"], 0)

    def original(self, capture):
        """The frames of a capture, as a run forwards them: each once, whatever its format."""
        only = dict(config(), TrafficMirrorSessions=[])
        only["NetworkInterfaces"] = [dict(only["NetworkInterfaces"][2])]
        only["TrafficMirrorFilters"] = []
        return [frame for _, frame in self.run_capture(capture, configuration=only)[2]]

    def test_shards_uneven(self):
        """--shards a capture whose beginning costs far more than its end, and one of a frame fewer than shards."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(10**9 + i, udp(9000 if i < 300 else 60)) for i in range(12000)])
        for shards in (2, 3):
            self.assertEqual(self.shards_and_alone(capture, shards=shards)[1]["frames"]["mirrored"], 12000)
        for count in (0, 1, 4):
            write_pcap(capture, [(1, udp())] * count)
            stats = self.shards_and_alone(capture, shards=5)[1]
            self.assertEqual(stats["frames"]["received"], count)

    def test_shards_requests(self):
        """T2 S8 --shards requests act before their frame in each shard; a deleted session keeps the sum of its counters."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(10**9 + i * 10**6, udp()) for i in range(8000)])
        session = {"TrafficMirrorSessionId": "tms-a"}
        requests = self.file("r.jsonl", "\n".join(map(json.dumps, [
            {"Action": "ModifyTrafficMirrorSession", "VirtualNetworkId": 99, "AtFrame": 1500, **session},
            {"Action": "CreateTrafficMirrorFilter", "As": "f"},
            {"Action": "DeleteTrafficMirrorSession", "AtTime": 3.0005, **session},
            {"Action": "CreateTrafficMirrorSession", "AtFrame": 5000, "NetworkInterfaceId": "eni-a",
             "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1", "SessionNumber": 2, "PacketLength": 30},
            {"Action": "DeleteTrafficMirrorFilter",
             "TrafficMirrorFilterId": "${f.TrafficMirrorFilter.TrafficMirrorFilterId}"},
            {"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "tmf-1", "AtFrame": 7999},
            {"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "tmf-1", "AtFrame": 9000}])))
        _, stats, stderr, _ = self.shards_and_alone(capture, "--requests", requests, shards=3, status=1)
        self.assertEqual([s["mirrored"] for s in stats["sessions"]], [3001, 3001])
        self.assertEqual(stderr.count(b"TrafficMirrorFilterInUse"), 1)
        self.assertEqual(len(stats["warnings"]), 1)

    def test_shards_compressed(self):
        """--shards compressed outputs hold the bytes that one process writes; compressed and foreign inputs are taken."""
        capture, packed = self.folder / "in.pcap", self.folder / "in.pcap.gz"
        write_pcap(capture, [(10**9 + i, udp(60 + i % 1000)) for i in range(5000)], 0xA1B2C3D4, ">")
        packed.write_bytes(gzip.compress(capture.read_bytes()))
        self.assertEqual(self.shards_and_alone(packed)[1]["frames"]["mirrored"], 5000)
        path, plain, small = self.folder / "config.json", self.folder / "o.pcap", self.folder / "o.pcap.gz"
        self.call("run", "--config", path, "--in", packed, "--out", plain)
        self.call("run", "--config", path, "--in", packed, "--out", small, "--shards", 2)
        self.assertEqual(gzip.decompress(small.read_bytes()), plain.read_bytes())
        done = self.call("run", "--config", path, "--in", packed, "--out", "-", "--shards", 2)
        self.assertEqual(done.stdout, plain.read_bytes())
        self.assertEqual(self.shards_and_alone(small, "--default-tap", "eni-a:egress")[1]["frames"]["mirrored"], 5000)

    def test_shards_refusals(self):
        """--shards refuses what it cannot do exactly, and failures of a shard are the command's."""
        path, capture, out = self.file("c.json", config()), self.folder / "in.pcap", self.folder / "o.pcap"
        frames = [(1, udp(1000))] * 4000
        write_pcap(capture, frames)
        base = ["run", "--config", path, "--out", out, "--shards", 2, "--in"]
        for more, words in ((["-"], b"needs a file"), ([capture, "--pace", "line"], b"lossless"),
                            ([capture, "--wave", self.folder / "w.fst"], b"--wave"), ([capture, "--shards", 0], b"")):
            self.assertIn(words, self.call(*base, *more, status=2).stderr)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        self.assertIn(b"is a pipe", self.call(*base, capture, "--forward", pipe, status=1).stderr)
        self.assertIn(b"none.pcap", self.call(*base, self.folder / "none.pcap", status=1).stderr)
        # A record that cannot be, after two pieces: said once, and all frames of whole pieces are there.
        damaged = self.folder / "damaged.pcap"
        data = capture.read_bytes()
        at = 24 + 3000 * 1016
        damaged.write_bytes(data[:at + 8] + b"\xff\xff\xff\x7f" + data[at + 12:])
        done = self.call(*base, damaged, status=1)
        self.assertEqual(done.stderr.count(b"after frame 3000"), 1, done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertGreaterEqual(len(read_pcap(out)), 1024)
        capture.write_bytes(data[:-5])
        self.assertEqual(self.shards_and_alone(capture, status=1)[1]["frames"]["mirrored"], 3999)

    def shard_processes(self, process, count):
        """The process ids of a run's shards, once they are there."""
        for _ in range(500):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if len(children) == count:
                return [int(child) for child in children]
            time.sleep(0.01)
        return self.fail("the shards did not start")

    def start_shards(self):
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(1, udp(9000))] * 20000)
        process = subprocess.Popen([MIRRORNIC, "run", "--config", self.file("c.json", config()), "--in", capture, "--out",
                                    self.folder / "o.pcap", "--shards", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, self.shard_processes(process, 3)

    def test_shard_killed(self):
        """--shards a shard that is killed ends the run with status 3 and a sentence; the others end too."""
        process, shards = self.start_shards()
        os.kill(shards[1], signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, stderr)
        self.assertIn(b"shard 2 of 3 was ended by signal 9", stderr)
        self.assertFalse([shard for shard in shards if Path(f"/proc/{shard}").exists()])

    def test_shards_interrupt(self):
        """--shards SIGINT ends the run after the pieces in hand: a beginning of the copies, a warning, status 1."""
        process, _ = self.start_shards()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, stderr)
        self.assertIn(b"interrupted", stderr)
        mirror = read_pcap(self.folder / "o.pcap")
        self.assertLess(len(mirror), 20000)
        self.assertRegex(stdout.decode(), rf"mirrored +{len(mirror)}\n")

    def test_pauses(self):
        """At the pace of the capture pauses cost nothing: what is evaluated is a frame's way through the offload."""
        capture = self.folder / "in.pcap"
        write_pcap(capture, [(10**9 + i * 10**6, udp(200)) for i in range(500)])
        cycles = self.run_capture(capture, "--pace", "capture")[3]["cycles"]
        self.assertGreater(cycles["total"], 499 * 322_000)
        self.assertLess(cycles["active"], 500 * 64)

    def test_memory(self):
        """A long capture needs no more memory than a short one: under 512 MB, here measured at 60 MB of input."""
        script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdin=sys.stdin); "
                  "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        def peak(count):
            capture = self.folder / "big.pcap"
            write_pcap(capture, [(1, udp(9000))] * count)
            with open(capture, "rb") as pipe:
                done = subprocess.run(["python3", "-c", script, MIRRORNIC, "run", "--quiet", "--config",
                                       self.file("c.json", config()), "--in", "-", "--out", "/dev/null"],
                                      stdin=pipe, capture_output=True, check=True, timeout=120)
            return int(done.stdout)
        few, many = peak(100), peak(7000)
        self.assertLess(many, 512 * 1024)
        self.assertLess(many, few + 16 * 1024)

    def test_check(self):
        """check says what a configuration means, also as JSON."""
        path = self.file("c.json", config())
        self.assertIn(b"tms-a", self.call("check", "--config", path).stdout)
        self.assertIn("tms-a", json.dumps(json.loads(self.call("check", "--config", path, "--json").stdout)))


if __name__ == "__main__":
    environment.main()
