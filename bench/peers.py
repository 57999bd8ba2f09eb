#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same mirror session done by Linux tc and by Open vSwitch on this machine, beside the offload's clock cycles.

A switch with three ports in a network namespace of its own: production goes from port `in` to port `out`, copies leave
through port `mirror` in VXLAN. The other ends of the cables are in the namespace of this process, where a raw socket
sends and interface counters count. tc: a Linux bridge, a clsact filter on `in`, mirred to a VXLAN device. Open vSwitch:
a bridge with OpenFlow rules, or its Mirror table, and a VXLAN port; its daemons are started here, with a database and
sockets in a temporary folder. All of it is gone when this process ends.

Each set-up is first checked with a few frames, byte by byte. Then, in interleaved rounds: frames as fast as the sender
can, for rates and loss, and frames at one rate that all can follow, for CPU time. Needs root, and Linux.
"""
import argparse
import collections
import ctypes
import datetime
import gzip
import ipaddress
import json
import os
import platform
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LENGTHS = (60, 512, 1514)
FLOWS, RULES, PACKET_LENGTH = 64, 10, 128
OUTER = 50  # bytes of Ethernet, IPv4, UDP and VXLAN around a copy
VNI, LOCAL, REMOTE = 4242, "192.0.2.1", "192.0.2.2"
RATE = 20_000  # frames a second where CPU time is measured
MEGAHERTZ = 250  # assumed, not measured: the RTL has not been placed and routed
MACS = {"sender": "02:00:00:00:00:0a", "receiver": "02:00:00:00:00:0b", "collector": "02:00:00:00:00:0c"}
ENDS = {"in": "sender", "out": "receiver", "mirror": "collector"}
# No IPv6, which would send by itself. Where the kernel has none, that is as good.
QUIET = "for i in default all; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done 2>/dev/null || true"
SELECTIONS = {
    "base": "no mirror", "control": "no mirror, again", "all": "everything", "rules": f"{RULES} rules, the last accepts",
    "nothing": f"{RULES} rules, none accepts", "truncated": f"everything, first {PACKET_LENGTH} bytes",
    "mirror": "everything, Mirror table", "mirror truncated": f"everything, Mirror table, snaplen {PACKET_LENGTH}",
}


class Failed(Exception):
    """A sentence for the user."""


def run(*arguments, check=True, **options):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, check=False, **options)
    if check and done.returncode != 0:
        raise Failed(f"`{' '.join(map(str, arguments))}` failed: {(done.stderr or done.stdout).strip()}")
    return done


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frames_of(length):
    """One UDP frame of each flow; they differ in the source port."""
    mac = lambda name: bytes.fromhex(MACS[name].replace(":", ""))
    result = []
    for flow in range(FLOWS):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length - 14, flow, 0x4000, 64, 17, 0,
                         socket.inet_aton("10.0.1.10"), socket.inet_aton("10.0.2.20"))
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        udp = struct.pack("!HHHH", 40000 + flow, 5000, length - 34, 0)
        frame = mac("receiver") + mac("sender") + b"\x08\x00" + ip + udp
        result.append(frame + bytes((flow + at * 7) & 255 for at in range(len(frame), length)))
    return result


def received_frames(text):
    """Frames received by each device, from the text of /proc/net/dev."""
    result = {}
    for line in text.splitlines()[2:]:
        name, values = line.split(":", 1)
        result[name.strip()] = int(values.split()[1])
    return result


def copy_of(frame):
    """VNI and inner frame of a copy; a sentence says what is wrong with it."""
    if len(frame) < OUTER or frame[12:14] != b"\x08\x00" or frame[14] != 0x45 or frame[23] != 17:
        raise Failed("a copy is not UDP over IPv4")
    source, target = (str(ipaddress.ip_address(frame[at : at + 4])) for at in (26, 30))
    port, flags = struct.unpack("!H", frame[36:38])[0], frame[42]
    if (source, target, port, flags) != (LOCAL, REMOTE, 4789, 8):
        raise Failed(f"a copy goes from {source} to {target}, UDP port {port}, VXLAN flags {flags:#x}; "
                     f"the session says {LOCAL}, {REMOTE}, 4789, 0x8")
    ends = 14 + struct.unpack("!H", frame[16:18])[0]
    return int.from_bytes(frame[46:49], "big"), frame[OUTER:ends]


class Switch:
    """A switch under test: a namespace kept by a process, with one end of three cables in it."""

    def __init__(self, name):
        self.name = name
        self.children = []
        self.end = {port: f"{ENDS[port][0]}-{name}" for port in ENDS}
        # cat ends with this process, and the namespace with it.
        self.keeper = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.net = Path(f"/proc/{self.keeper.pid}/ns/net")
        self.selected = None

    def start(self):
        for _ in range(500):  # until unshare has made it
            if os.stat(self.net).st_ino != os.stat("/proc/self/ns/net").st_ino:
                break
            time.sleep(0.01)
        else:
            raise Failed("unshare makes no network namespace")
        self.inside("sh", "-c", QUIET)
        for port, end in self.end.items():
            run("ip", "link", "add", end, "type", "veth", "peer", "name", port, "netns", self.keeper.pid)
            run("ip", "link", "set", end, "address", MACS[ENDS[port]], "addrgenmode", "none", "mtu", "9000", "arp", "off", "up")
            self.inside("ip", "link", "set", port, "addrgenmode", "none", "mtu", "9000", "up")
        self.set_up()

    def inside(self, *arguments, **options):
        return run("nsenter", f"--net={self.net}", *arguments, **options)

    def underlay(self, device):
        self.inside("ip", "address", "add", f"{LOCAL}/24", "dev", device)
        self.inside("ip", "link", "set", device, "mtu", "9000", "up")
        self.inside("ip", "neighbor", "replace", REMOTE, "lladdr", MACS["collector"], "dev", device)

    def select(self, selection):
        if selection != self.selected:
            self.configure(selection)
            self.selected = selection

    def cpu_seconds(self):
        """Of the switch's own processes, all threads."""
        return sum(scheduled(task) for child in self.children for task in Path(f"/proc/{child.pid}/task").iterdir())

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.keeper.stdin.close()
        self.keeper.wait()


class Tc(Switch):
    selections = ("base", "control", "all", "rules", "nothing")

    def set_up(self):
        self.inside("ip", "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
        self.inside("ip", "link", "set", "switch", "addrgenmode", "none", "up")
        for port in ("in", "out"):
            self.inside("ip", "link", "set", port, "master", "switch")
        self.inside("bridge", "fdb", "add", MACS["receiver"], "dev", "out", "master", "static")
        self.underlay("mirror")
        self.inside("ip", "link", "add", "vxlan", "type", "vxlan", "id", VNI, "local", LOCAL, "remote", REMOTE,
                    "dev", "mirror", "dstport", "4789", "nolearning")
        self.inside("ip", "link", "set", "vxlan", "addrgenmode", "none", "arp", "off", "mtu", "8900", "up")
        self.inside("tc", "qdisc", "add", "dev", "in", "clsact")
        flower = self.filter(1, "protocol", "ip", "flower", "ip_proto", "udp", check=False).returncode == 0
        matchall = self.filter(2, "protocol", "all", "matchall", check=False).returncode == 0
        self.flower = flower and matchall
        self.what = ("Linux bridge, tc clsact, " + ("flower and matchall" if self.flower else
                     "u32 (this kernel has no flower and matchall)") + ", mirred to a VXLAN device")

    def filter(self, priority, *match, check=True):
        return self.inside("tc", "filter", "add", "dev", "in", "ingress", "prio", priority, *match,
                           "action", "mirred", "egress", "mirror", "dev", "vxlan", check=check)

    def configure(self, selection):
        self.inside("tc", "filter", "delete", "dev", "in", "ingress")
        if selection == "all":
            self.filter(1, "protocol", "all", *(["matchall"] if self.flower else ["u32", "match", "u32", "0", "0"]))
        for i, network in enumerate(networks(selection), 1):
            if self.flower:
                match = ["flower", "ip_proto", "udp", "dst_ip", network, "dst_port", "5000"]
            else:
                match = ["u32", "match", "ip", "dst", network, "match", "ip", "protocol", "17", "0xff",
                         "match", "ip", "dport", "5000", "0xffff"]
            self.filter(i, "protocol", "ip", *match)


class OpenVSwitch(Switch):
    selections = ("base", "control", "all", "rules", "nothing", "truncated", "mirror", "mirror truncated")

    def __init__(self, name, folder):
        super().__init__(name)
        self.folder = folder
        self.environment = {**os.environ, **{f"OVS_{kind}DIR": str(folder) for kind in ("RUN", "DB", "LOG")}}

    def daemon(self, name, *arguments):
        log = open(self.folder / f"{name}.log", "w", encoding="utf-8")
        # setpriv and nsenter become the daemon; it does not outlive this process.
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self.net}", name, *arguments,
             f"--unixctl={self.folder}/{name}.ctl", f"--pidfile={self.folder}/{name}.pid", "-vconsole:warn"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, start_new_session=True)
        log.close()
        self.children.append(child)
        for _ in range(100):
            if child.poll() is not None:
                break
            if (self.folder / f"{name}.ctl").exists():
                return child
            time.sleep(0.05)
        lines = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        raise Failed(f"{name} does not start: {lines[-1] if lines else 'no message'}")

    def vsctl(self, *arguments):
        return self.inside("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--timeout=10", *arguments, env=self.environment)

    def appctl(self, *arguments):
        return run("ovs-appctl", "-t", self.folder / "ovs-vswitchd.ctl", *arguments, env=self.environment)

    def set_up(self):
        run("ovsdb-tool", "create", self.folder / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        self.daemon("ovsdb-server", self.folder / "conf.db", f"--remote=punix:{self.folder}/db.sock")
        self.vsctl("--no-wait", "init")
        run("sh", "-c", "modprobe openvswitch", check=False)  # fails where it is built in or missing
        kernel = Path("/sys/module/openvswitch").exists()
        switch = self.daemon("ovs-vswitchd", f"unix:{self.folder}/db.sock")
        os.sched_setaffinity(switch.pid, {max(os.sched_getaffinity(0))})
        for task in Path(f"/proc/{switch.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {max(os.sched_getaffinity(0))})
        datapath = "system" if kernel else "netdev"
        self.vsctl("add-br", "switch", "--", "set", "bridge", "switch", f"datapath_type={datapath}", "fail_mode=secure",
                   "--", "add-port", "switch", "in", "--", "set", "interface", "in", "ofport_request=1",
                   "--", "add-port", "switch", "out", "--", "set", "interface", "out", "ofport_request=2",
                   "--", "add-port", "switch", "vxlan", "--", "set", "interface", "vxlan", "ofport_request=3", "type=vxlan",
                   f"options:remote_ip={REMOTE}", f"options:local_ip={LOCAL}", f"options:key={VNI}", "options:dst_port=4789")
        if kernel:
            self.underlay("mirror")
        else:
            self.vsctl("add-br", "under", "--", "set", "bridge", "under", "datapath_type=netdev",
                       "--", "add-port", "under", "mirror")
            self.underlay("under")
            self.appctl("tnl/neigh/set", "under", REMOTE, MACS["collector"])
        version = run("ovs-vswitchd", "--version").stdout.split("\n", 1)[0].split()[-1]
        self.what = (f"Open vSwitch {version}, {'kernel' if kernel else 'userspace'} datapath ({datapath}"
                     f"{'' if kernel else '; this kernel has no openvswitch module'}), a vxlan port")
        schema = json.loads(Path("/usr/share/openvswitch/vswitch.ovsschema").read_text(encoding="utf-8"))
        self.mirror_filter = "filter" in schema["tables"]["Mirror"]["columns"]

    def configure(self, selection):
        self.vsctl("clear", "bridge", "switch", "mirrors")
        flows = ["priority=1,in_port=1,actions=output:2"]
        if selection in ("all", "truncated"):
            copy = "output:3" if selection == "all" else f"output(port=3,max_len={PACKET_LENGTH})"
            flows = [f"priority=1,in_port=1,actions=output:2,{copy}"]
        for i, network in enumerate(networks(selection)):
            flows.append(f"priority={100 - i},udp,in_port=1,nw_dst={network},tp_dst=5000,actions=output:2,output:3")
        self.inside("ovs-ofctl", "replace-flows", "switch", "-", input="\n".join(flows), env=self.environment)
        if selection.startswith("mirror"):
            self.vsctl("--id=@in", "get", "port", "in", "--", "--id=@vxlan", "get", "port", "vxlan", "--",
                       "--id=@mirror", "create", "mirror", "name=mirror", "select_src_port=@in", "output_port=@vxlan",
                       *([f"snaplen={PACKET_LENGTH}"] if selection.endswith("truncated") else []),
                       "--", "set", "bridge", "switch", "mirrors=@mirror")
        self.appctl("revalidator/purge")  # no flow of before is left in the datapath


def networks(selection):
    """The rules' destinations, in order; the traffic goes to 10.0.2.20."""
    if selection not in ("rules", "nothing"):
        return []
    return [f"10.9.{i}.0/24" for i in range(RULES - 1)] + ["10.0.2.0/24" if selection == "rules" else "10.9.99.0/24"]


def scheduled(process):
    """Seconds that a task has run, counted by the scheduler in nanoseconds."""
    try:
        return int((Path(process) / "schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


class Accounting:
    """Where CPU time is read. A task's run time holds the soft interrupts that ran on top of it, unless the kernel
    accounts interrupts apart (CONFIG_IRQ_TIME_ACCOUNTING); then they are in the irq and softirq columns of /proc/stat."""

    def __init__(self):
        text = ""
        if Path("/proc/config.gz").exists():
            text = gzip.open("/proc/config.gz", "rt").read()
        elif Path(f"/boot/config-{platform.release()}").exists():
            text = Path(f"/boot/config-{platform.release()}").read_text(encoding="utf-8")
        self.apart = "CONFIG_IRQ_TIME_ACCOUNTING=y" in text
        self.ksoftirqd = [path.parent for path in Path("/proc").glob("[0-9]*/comm")
                          if path.read_text(errors="replace").startswith("ksoftirqd/")]
        self.what = ("run time of the sender, ksoftirqd and the switch's processes (/proc/PID/schedstat), " +
                     ("plus irq and softirq of /proc/stat" if self.apart else "which holds the soft interrupts") +
                     ("" if text else "; whether this kernel accounts interrupts apart is not known"))

    def seconds(self, switch):
        total = switch.cpu_seconds() + sum(map(scheduled, self.ksoftirqd))
        if self.apart:
            with open("/proc/stat", encoding="utf-8") as stat:
                columns = stat.readline().split()
            total += (int(columns[6]) + int(columns[7])) / os.sysconf("SC_CLK_TCK")
        return total


def counters():
    return received_frames(Path("/proc/self/net/dev").read_text(encoding="utf-8"))


def settled(switch):
    """The counters of the ends once they stand still."""
    ends = [switch.end["out"], switch.end["mirror"]]
    seen = None
    for _ in range(100):
        time.sleep(0.015)
        now = counters()
        if now == seen:
            break
        seen = now
    return [now[end] for end in ends]


def send(switch, length, seconds, rate):
    done = run(ROOT / "build/bench/bench_packets", switch.end["in"], length, seconds, rate,
               input=b"".join(frames_of(length)).decode("latin-1"), encoding="latin-1",
               preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
    return json.loads(done.stdout)


def measure(switch, accounting, length, seconds, rate):
    """What came of frames that were sent at a rate, 0 for as fast as possible."""
    production, copies = settled(switch)
    cpu = accounting.seconds(switch)
    sent = send(switch, length, seconds, rate)
    after, copies_after = settled(switch)
    cpu = accounting.seconds(switch) - cpu + sent["cpu_seconds"]
    return {"offered": sent["offered"], "production": after - production, "copies": copies_after - copies,
            "seconds": sent["seconds"], "cpu": cpu}


def capture(device):
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
    packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    packets.bind((device, 3))
    return packets


def captured(packets, count, wanted=lambda frame: True):
    """Frames received: waits for so many, and a moment for more than that."""
    result = []
    try:
        while True:
            packets.settimeout(2 if len(result) < count else 0.1)
            frame, address = packets.recvfrom(65536)
            if address[2] != socket.PACKET_OUTGOING and wanted(frame):
                result.append(frame)
    except socket.timeout:
        return result


def check(switch, selection, length):
    """A few frames through the switch: production comes out whole, and the copies are what the session says."""
    where = f"{switch.name}, {SELECTIONS[selection]}, {length} bytes"
    switch.select(selection)
    frames = frames_of(length)
    send(switch, length, 0.01, 2000)  # what is learnt from the first frame is learnt now
    settled(switch)
    with capture(switch.end["out"]) as out, capture(switch.end["mirror"]) as mirror:
        offered = send(switch, length, 0.03, 2000)["offered"]
        copied = selection not in ("base", "control", "nothing")
        production = captured(out, offered)
        copies = captured(mirror, offered if copied else 0, lambda frame: frame[12:14] != b"\x08\x06")  # the underlay may ask by ARP
    sent = [frames[i % FLOWS] for i in range(offered)]
    if collections.Counter(production) != collections.Counter(sent):
        raise Failed(f"{where}: {offered} frames were sent, {len(production)} came out, and they are not the same")
    try:
        found = [copy_of(frame) for frame in copies]
    except Failed as error:
        raise Failed(f"{where}: {error}") from None
    kept = PACKET_LENGTH if selection.endswith("truncated") else length
    if selection == "mirror truncated" and found and len(found[0][1]) == PACKET_LENGTH - OUTER:
        kept = PACKET_LENGTH - OUTER  # snaplen counts the outer headers where the switch adds them before it cuts
    expected = [(VNI, frame[:kept]) for frame in sent if copied]
    if collections.Counter(found) != collections.Counter(expected):
        example = next(iter(collections.Counter(found) - collections.Counter(expected)), (None, b""))
        raise Failed(f"{where}: {len(expected)} copies of {min(kept, length)} bytes with VNI {VNI} are expected, {len(found)} came"
                     + (f", one with VNI {example[0]} and {len(example[1])} bytes" if example[0] is not None else ""))
    return {"switch": switch.name, "selection": selection, "length": length, "frames": offered, "copies": len(found),
            "inner_bytes": min(kept, length) if found else None}


def summary(values, digits):
    values = sorted(values)
    return {"median": round(statistics.median(values), digits), "min": round(values[0], digits), "max": round(values[-1], digits)}


def rows_of(switch, length, rounds):
    """Medians of the rounds, each beside the round's own baseline."""
    result = []
    for selection in rounds[0]:
        pairs = [(cells[selection], cells["base"]) for cells in rounds]
        selected = selection not in ("base", "control", "nothing")
        loss = lambda load, of: summary([1 - cell[load][of] / cell[load]["offered"] for cell, _ in pairs], 4)
        rate = lambda cell: cell["fast"]["production"] / cell["fast"]["seconds"]
        each = lambda cell: cell["paced"]["cpu"] / cell["paced"]["offered"] * 1e6
        row = {"switch": switch, "length": length, "selection": selection,
               "production_per_second": summary([rate(cell) for cell, _ in pairs], 0),
               "of_base": summary([rate(cell) / rate(base) for cell, base in pairs], 3),
               "production_loss": loss("fast", "production"), "paced_production_loss": loss("paced", "production"),
               "cpu_us_per_frame": summary([each(cell) for cell, _ in pairs], 3),
               "cpu_of_base": summary([each(cell) / each(base) for cell, base in pairs], 3)}
        if selected:
            row |= {"copies_per_second": summary([cell["fast"]["copies"] / cell["fast"]["seconds"] for cell, _ in pairs], 0),
                    "copy_loss": loss("fast", "copies"), "paced_copy_loss": loss("paced", "copies"),
                    "cpu_us_per_copy": summary([(each(cell) - each(base)) * cell["paced"]["offered"] / max(1, cell["paced"]["copies"])
                                                for cell, base in pairs], 3)}
        result.append(row)
    return result


def compare(switches, lengths, rounds, seconds):
    accounting = Accounting()
    checks = [check(switch, selection, length) for switch in switches
              for selection in switch.selections for length in lengths
              if not selection.endswith("truncated") or length > PACKET_LENGTH]
    cells = [(length, switch, selection) for length in lengths for switch in switches for selection in switch.selections
             if selection != "mirror truncated" and (selection != "truncated" or length > PACKET_LENGTH)]
    measured = {(switch.name, length): [{} for _ in range(rounds)] for length in lengths for switch in switches}
    done = 0
    for i in range(rounds):
        for length, switch, selection in cells if i % 2 == 0 else cells[::-1]:
            switch.select(selection)
            send(switch, length, min(0.02, seconds), RATE)  # flow caches are filled
            measured[switch.name, length][i][selection] = {
                "fast": measure(switch, accounting, length, seconds, 0),
                "paced": measure(switch, accounting, length, seconds, RATE)}
            done += 1
            if sys.stderr.isatty():
                print(f"\r{done}/{len(cells) * rounds} measurements", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    rows = [row for (name, length), of in measured.items() for row in
            rows_of(name, length, [{s: of[i][s] for s in next(w for w in switches if w.name == name).selections if s in of[i]}
                                   for i in range(rounds)])]
    return {"cpu_time": accounting.what, "checks": checks, "rows": rows}


def features(switches, checks):
    """What each can do of a session; what is said of truncation was found by the checks."""
    rows = []
    for switch in switches:
        if isinstance(switch, Tc):
            usage = run("tc", "actions", "add", "action", "mirred", "help", check=False)
            text = (usage.stdout + usage.stderr).lower()
            truncates = "trunc" in text or "len" in text
            rows.append({"switch": switch.name, "selects_by_5_tuple": True,
                         "truncates": "unknown: mirred has an option for it" if truncates else "no: mirred has no option for it"})
        else:
            snapped = next((row["inner_bytes"] for row in checks if row["selection"] == "mirror truncated"), "was not tried")
            rows.append({"switch": switch.name, "truncates": f"yes: output(port=N,max_len={PACKET_LENGTH}) keeps {PACKET_LENGTH} bytes of the "
                         f"frame, snaplen={PACKET_LENGTH} in the Mirror table {snapped}",
                         "selects_by_5_tuple": "OpenFlow rules; the Mirror table " +
                                               ("by its filter column" if switch.mirror_filter else "only by port and VLAN")})
    return rows


def offload():
    """Clock cycles of the simulated RTL, counted with full tables; cycles are not wall time."""
    figures = json.loads(run(ROOT / "build/bench/bench_rtl").stdout)
    starts = figures["starts"]
    if starts["mirrored"] != starts["frames_started"]:
        raise Failed("the simulated offload does not mirror each one-beat frame")
    rows = []
    for length in LENGTHS:
        row = next(row for row in figures["saturation"]
                   if (row["outer"], row["length"], row["packet_length"]) == ("IPv4", length, None))
        cycles = row["cycles"] / row["copies"]
        rows.append({"length": length, "cycles_per_copy": round(cycles, 3),
                     "copies_per_second_if": round(MEGAHERTZ * 1e6 / cycles)})
    return {"assumed_megahertz": MEGAHERTZ, "rows": rows, "one_beat": {
        "length": 60, "packet_length": 14, "cycles_per_copy": starts["cycles"] / starts["mirrored"],
        "copies_per_second_if": round(MEGAHERTZ * 1e6 * starts["mirrored"] / starts["cycles"])}}


def show(figures):
    print(f"{figures['rounds']} interleaved rounds of {figures['seconds']} s flat out and {figures['seconds']} s at {RATE} frames/s; "
          f"{FLOWS} flows; medians. {figures['cpus']} CPUs, {figures['processor']}, Linux {figures['kernel']}")
    for name, what in figures["switches"].items():
        print(f"{name}: {what}")
    if "rows" in figures:
        print(f"{len(figures['checks'])} checks: production is whole; VNI, addresses, UDP port and inner frames are the session's")
        print(f"CPU time: {figures['cpu_time']}")
        print(f"\n{'':49}flat out: as fast as the sender can                      | {RATE} frames/s: CPU us, loss\n"
              f"{'':5} {'bytes':>5} {'selected':36} production/s (of base, min..max)  loss   copies/s  loss   | a frame   a copy (min..max)    copies lost")
        percent = lambda of: f"{100 * of['median']:5.1f} %" if of else f"{'-':>7}"
        for row in figures["rows"]:
            ratio = row["of_base"]
            copies = f"{row['copies_per_second']['median']:10.0f}" if "copies_per_second" in row else f"{'-':>10}"
            each = row.get("cpu_us_per_copy")
            spread = f"{each['median']:7.2f} ({each['min']:.2f}..{each['max']:.2f})" if each else f"{'-':>7}"
            print(f"{row['switch']:5} {row['length']:5} {SELECTIONS[row['selection']]:36} {row['production_per_second']['median']:9.0f} "
                  f"{ratio['median']:.3f} ({ratio['min']:.2f}..{ratio['max']:.2f}) {percent(row['production_loss'])} {copies} "
                  f"{percent(row.get('copy_loss'))} | {row['cpu_us_per_frame']['median']:7.2f} {spread:24} {percent(row.get('paced_copy_loss'))}")
        controls = [row for row in figures["rows"] if row["selection"] == "control"]
        span = lambda of: f"{min(row[of]['median'] for row in controls):.3f}..{max(row[of]['median'] for row in controls):.3f}"
        print(f"\ncontrol, no mirror against itself: production {span('of_base')}, CPU time {span('cpu_of_base')}\n")
        for row in figures["features"]:
            by = row["selects_by_5_tuple"]
            print(f"{row['switch']}: selects by 5-tuple: {'yes' if by is True else by}; truncates: {row['truncates']}")
    of = figures["offload"]
    print(f"\noffload, simulated: clock cycles, not wall time; the last column is arithmetic at an assumed {of['assumed_megahertz']} MHz")
    print("  bytes  PacketLength  cycles a copy  copies/s if so")
    for row in (of["one_beat"], *of["rows"]):
        print(f"  {row['length']:5}  {row.get('packet_length', '-'):>12}  {row['cycles_per_copy']:13.2f}  {row['copies_per_second_if']:14,}")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())


def stopped(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=0.25, help="of each measurement, two a round and set-up (default 0.25)")
    parser.add_argument("--length", type=int, choices=LENGTHS, action="append", help="bytes of a frame; all of them unless given")
    options = parser.parse_args()
    if options.rounds < 1 or not 0 < options.seconds <= 10:
        parser.error("give at least one round, and more than 0 and at most 10 seconds")
    # This process goes on in a namespace of its own, which goes when it ends.
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
        print(f"skipped: no network namespace can be made here ({os.strerror(ctypes.get_errno())}); run it as root")
        return 77
    run("sh", "-c", QUIET)
    signal.signal(signal.SIGTERM, stopped)
    figures = {"date": datetime.date.today().isoformat(), "cpus": os.cpu_count(), "processor": processor(),
               "kernel": platform.release(), "rounds": options.rounds, "seconds": options.seconds,
               "packets_per_second_paced": RATE, "flows": FLOWS, "switches": {}}
    switches, running = [], []
    with tempfile.TemporaryDirectory(prefix="mirrornic-peers-") as folder:
        try:
            for make in (lambda: Tc("tc"), lambda: OpenVSwitch("ovs", Path(folder))):
                switch = make()
                running.append(switch)
                try:
                    switch.start()
                    switches.append(switch)
                    figures["switches"][switch.name] = switch.what
                except Failed as error:
                    figures["switches"][switch.name] = f"skipped: {error}"
                except FileNotFoundError as error:
                    figures["switches"][switch.name] = f"skipped: {error.filename} is not installed"
            figures["offload"] = offload()
            if switches:
                figures |= compare(switches, options.length or LENGTHS, options.rounds, options.seconds)
                figures["features"] = features(switches, figures["checks"])
        except Failed as error:
            print(f"peers: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            for switch in running:
                switch.stop()
    show(figures)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
