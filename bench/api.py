#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API's speed: `mirrornic serve` beside bare SQLite commits and beside moto's server. A table, and JSON with --json.

Session creates are durable (SQLite, WAL, synchronous=FULL) and signed, over kept connections, with the simulated device
in the same process; the yardstick is one-row commits of the same settings on the same disk, in the same round. moto (in
memory, no data plane) is asked for the same listing of 1,000 filters, creates filters, and creates and lists sessions.
The device is the register-level model in a file (`--device file:`). Ten thousand sessions are made without HTTP, in one
process, over that model with tables of that size.
"""
import argparse
import datetime
import http.client
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/bench/bench_api"
SCALE = ROOT / "build/bench/bench_scale"
COMMAND = ROOT / "build/host/mirrornic"
MOTO = "moto[server,ec2]==5.2.5"
SESSIONS, SOURCES, TARGETS = 690, 230, 23  # all sessions of the sources, ten sources a target
FILTERS = 1000


def configuration(folder):
    interface = lambda name, net, i: {"NetworkInterfaceId": name, "PrivateIpAddress": f"10.{net}.{i >> 8}.{i & 255}",
                                      "MacAddress": f"02:00:00:{net:02x}:{i >> 8:02x}:{i & 255:02x}"}
    interfaces = [interface(f"eni-{i:017x}", 1, i) for i in range(SOURCES)]
    interfaces += [interface(f"eni-0fff{i:013x}", 2, i) for i in range(TARGETS)]
    config = folder / "config.json"
    config.write_text(json.dumps({"NetworkInterfaces": interfaces}))
    policy = {"Statement": {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}}
    keys = folder / "keys.json"
    keys.touch(0o600)
    keys.write_text(json.dumps({"Credentials": [
        {"AccessKeyId": "bench", "SecretAccessKey": "bench-secret", "Policy": policy}]}))
    return config, keys


def bench(*arguments):
    return json.loads(subprocess.run([BENCH, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout)


class Server:
    """mirrornic serve, stopped at the end."""

    def __init__(self, folder, signed=True):
        config, keys = configuration(folder)
        self.log = open(folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--listen", "127.0.0.1:0", "--state", folder / "state.sqlite", "--config", config,
             *(["--credentials", keys] if signed else []), "--device", f"file:{folder}/device", "--quota", f"filters={FILTERS + 1}"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        url = urllib.parse.urlparse(json.loads(self.process.stdout.readline())["Url"])
        self.at = (url.hostname, url.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()

    def call(self, form):
        return bench("call", *self.at, form)["body"]

    def memory_mb(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
        return None


def identifier(body, name):
    return body.split(f"<{name}>", 1)[1].split("<", 1)[0]


def creates(rounds, folder):
    rows = []
    with Server(folder) as server:
        filter_id = identifier(server.call("Action=CreateTrafficMirrorFilter"), "trafficMirrorFilterId")
        for direction in ("ingress", "egress"):
            server.call(f"Action=CreateTrafficMirrorFilterRule&TrafficMirrorFilterId={filter_id}&TrafficDirection={direction}"
                        "&RuleNumber=1&RuleAction=accept&SourceCidrBlock=0.0.0.0/0&DestinationCidrBlock=0.0.0.0/0")
        targets = ",".join(identifier(server.call(
            f"Action=CreateTrafficMirrorTarget&NetworkInterfaceId=eni-0fff{i:013x}"), "trafficMirrorTargetId")
            for i in range(TARGETS))
        for _ in range(rounds):
            rows.append({
                "sqlite": bench("sqlite", folder / "bare.sqlite", SESSIONS),
                "one": bench("sessions", *server.at, 1, SESSIONS, targets, filter_id),
                "control": bench("sqlite", folder / "bare.sqlite", SESSIONS),
                "many": bench("sessions", *server.at, 32, SESSIONS, targets, filter_id),
            })
        memory = server.memory_mb()
    median = lambda of: statistics.median(of(row) for row in rows)
    result = {"rounds": rounds, "sessions": SESSIONS, "memory_mb": memory,
              "control_ratio": round(median(lambda r: r["control"]["per_second"] / r["sqlite"]["per_second"]), 3)}
    for name in ("sqlite", "one", "many"):
        ratios = sorted(r[name]["per_second"] / r["sqlite"]["per_second"] for r in rows)
        result[name] = {"per_second": round(median(lambda r: r[name]["per_second"])),
                        "p50_ms": round(median(lambda r: r[name]["p50_ms"]), 3),
                        "p99_ms": round(median(lambda r: r[name]["p99_ms"]), 3),
                        "of_sqlite": round(statistics.median(ratios), 2),
                        "of_sqlite_min": round(ratios[0], 2), "of_sqlite_max": round(ratios[-1], 2)}
    return result


def environment():
    """Python with moto in it; None and why where it cannot be had."""
    folder = ROOT / "build/moto"
    python = folder / "bin/python"
    if not (folder / "done").exists():
        made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
        if made.returncode == 0:
            made = subprocess.run([python, "-m", "pip", "install", "--quiet", MOTO], capture_output=True, text=True)
        if made.returncode != 0:
            return None, (made.stderr.strip().splitlines() or ["no message"])[-1]
        (folder / "done").touch()
    return python, ""


class Moto:
    """moto's server, ended at the end."""

    def __init__(self, python):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.at = free.getsockname()
        self.process = subprocess.Popen([python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.at[1])],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                socket.create_connection(self.at).close()
                return
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError("moto's server does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def caller(at):
    """Calls over one connection, which is kept where the server keeps it; the same client for every server."""
    connection = http.client.HTTPConnection(*at, timeout=60)

    def call(form):
        connection.request("POST", "/", form + "&Version=2016-11-15", {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ec2/aws4_request, "
                             "SignedHeaders=host, Signature=0"})
        reply = connection.getresponse()
        body = reply.read().decode()
        if reply.status != 200:
            raise RuntimeError(f"{at}: {reply.status}: {body[:200]}")
        return body
    return call


def seconds(act):
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def moto(rounds, folder):
    python, why = environment()
    if not python:
        return {"skipped": why}
    (folder / "filters").mkdir()
    (folder / "sessions").mkdir()
    return {"version": MOTO, "rounds": rounds, **moto_filters(python, rounds, folder / "filters"),
            "sessions": moto_sessions(python, rounds, folder / "sessions")}


def moto_filters(python, rounds, folder):
    with Server(folder) as server, Moto(python) as peer:
        for i in range(FILTERS):
            server.call(f"Action=CreateTrafficMirrorFilter&Description=filter-{i}")
        call = caller(peer.at)
        create_rate = FILTERS / seconds(lambda: [
            call(f"Action=CreateTrafficMirrorFilter&Description=filter-{i}") for i in range(FILTERS)])
        ours, theirs, ratios = [], [], []
        for _ in range(rounds):
            mine = bench("describe", *server.at, 20)["p50_ms"]
            times = []
            for _ in range(3):
                start = time.perf_counter()
                body = call("Action=DescribeTrafficMirrorFilters")
                times.append((time.perf_counter() - start) * 1e3)
            if body.count("<trafficMirrorFilterId>") != FILTERS:
                raise RuntimeError("moto does not list all filters")
            ours.append(mine)
            theirs.append(statistics.median(times))
            ratios.append(theirs[-1] / mine)
        return {"filters": FILTERS, "describe_ms": round(statistics.median(ours), 2),
                "moto_describe_ms": round(statistics.median(theirs), 2),
                "times_faster": round(statistics.median(ratios), 1),
                "times_faster_min": round(min(ratios), 1), "moto_creates_per_second": round(create_rate)}


def moto_sessions(python, rounds, folder):
    """Creates and listings of sessions by one client over one connection: ours, twice as a control, and moto's. Ours are
    durable and check what they name; moto's are in memory and check nothing."""
    count = 300
    with Server(folder, signed=False) as server, Moto(python) as peer:
        calls = {"ours": caller(server.at), "control": caller(server.at), "moto": caller(peer.at)}
        made = {}
        for name in ("ours", "moto"):
            call = calls[name]
            made[name] = (identifier(call("Action=CreateTrafficMirrorFilter"), "trafficMirrorFilterId"),
                          [identifier(call(f"Action=CreateTrafficMirrorTarget&NetworkInterfaceId=eni-0fff{i:013x}"),
                                      "trafficMirrorTargetId") for i in range(count // 30)])
        made["control"] = made["ours"]

        def create(name):
            filter_id, targets = made[name]
            ids = []
            for i in range(count):
                ids.append(identifier(calls[name](
                    f"Action=CreateTrafficMirrorSession&NetworkInterfaceId=eni-{i // 3:017x}&SessionNumber={i % 3 + 1}"
                    f"&TrafficMirrorTargetId={targets[i // 30]}&TrafficMirrorFilterId={filter_id}"), "trafficMirrorSessionId"))
            return ids

        rows = []
        for _ in range(rounds):
            row = {}
            for name in calls:
                ids = []
                row[name] = {"create": seconds(lambda: ids.extend(create(name)))}
                listing = "Action=DescribeTrafficMirrorSessions"
                if calls[name](listing).count("<trafficMirrorSessionId>") != count:
                    raise RuntimeError(f"{name}: not all sessions are listed")
                row[name]["list"] = statistics.median(seconds(lambda: calls[name](listing)) for _ in range(5))
                for one in ids:
                    calls[name](f"Action=DeleteTrafficMirrorSession&TrafficMirrorSessionId={one}")
            rows.append(row)
    result = {"count": count}
    for what in ("create", "list"):
        for name in ("moto", "control"):
            ratios = sorted(row[name][what] / row["ours"][what] for row in rows)
            result[f"{what}_{name}_to_ours"] = round(statistics.median(ratios), 2)
            result[f"{what}_{name}_to_ours_min"] = round(ratios[0], 2)
            result[f"{what}_{name}_to_ours_max"] = round(ratios[-1], 2)
    for name in ("ours", "moto"):
        result[f"{name}_creates_per_second"] = round(count / statistics.median(row[name]["create"] for row in rows))
        result[f"{name}_list_ms"] = round(1e3 * statistics.median(row[name]["list"] for row in rows), 2)
    return result


def scale(rounds, folder):
    rows = []
    for i in range(min(rounds, 3)):
        (folder / str(i)).mkdir()
        rows.append(json.loads(subprocess.run([SCALE, folder / str(i)], check=True, stdout=subprocess.PIPE).stdout))
    median = lambda name: statistics.median(row[name] for row in rows)
    return {"rounds": len(rows), "sessions": rows[0]["sessions"],
            "last_to_first_thousand": round(median("last_to_first"), 2),
            "creates_per_second": round(rows[0]["sessions"] / statistics.median(sum(r["seconds_by_thousand"]) for r in rows)),
            "page_of_1000_p99_ms": round(median("page_of_1000_p99_ms"), 1),
            "restart_seconds": round(median("restart_seconds"), 3), "memory_mb": round(median("memory_mb"), 1)}


def show(figures):
    of = figures["creates"]
    print(f"durable, signed session creates ({of['sessions']} a round, medians of {of['rounds']} rounds)")
    print("                              per second   p50 ms   p99 ms   of SQLite (min..max)")
    for name, words in (("sqlite", "bare SQLite FULL commits"), ("one", "serve, 1 connection"),
                        ("many", "serve, 32 connections")):
        row = of[name]
        print(f"  {words:26} {row['per_second']:12} {row['p50_ms']:8.3f} {row['p99_ms']:8.3f}   "
              f"{row['of_sqlite']:.2f} ({row['of_sqlite_min']:.2f}..{row['of_sqlite_max']:.2f})")
    print(f"  SQLite against itself: {of['control_ratio']}; memory of serve: {of['memory_mb']} MB")
    of = figures["moto"]
    if "skipped" in of:
        print(f"moto: skipped, it cannot be installed: {of['skipped']}")
    else:
        print(f"DescribeTrafficMirrorFilters of {of['filters']}: {of['describe_ms']} ms, moto {of['moto_describe_ms']} ms: "
              f"{of['times_faster']} times faster; moto creates {of['moto_creates_per_second']} filters/s in memory")
        of = of["sessions"]
        print(f"sessions, the same client: {of['ours_creates_per_second']} creates/s, durable, moto {of['moto_creates_per_second']} in "
              f"memory: {of['create_moto_to_ours']} times ({of['create_moto_to_ours_min']}..{of['create_moto_to_ours_max']}); a "
              f"listing of {of['count']} in {of['ours_list_ms']} ms, moto {of['moto_list_ms']} ms: {of['list_moto_to_ours']} times "
              f"({of['list_moto_to_ours_min']}..{of['list_moto_to_ours_max']}); ours against itself: "
              f"{of['create_control_to_ours']} and {of['list_control_to_ours']}")
    of = figures["scale"]
    print(f"{of['sessions']} sessions: {of['creates_per_second']} creates/s, the last thousand in {of['last_to_first_thousand']} of the "
          f"first one's time; a page of 1,000 in {of['page_of_1000_p99_ms']} ms (p99); restart in {of['restart_seconds']} s; "
          f"{of['memory_mb']} MB")


def missed(figures):
    result = []
    of = figures["scale"]
    for name, limit in (("last_to_first_thousand", 1.3), ("page_of_1000_p99_ms", 50), ("restart_seconds", 2), ("memory_mb", 200)):
        if of[name] > limit:
            result.append(f"10,000 sessions: {name} is over {limit}")
    for name, goal, words in (("one", 0.5, "1 connection"), ("many", 1.5, "32 connections")):
        if figures["creates"][name]["of_sqlite"] < goal:
            result.append(f"creates on {words} are under {goal} of SQLite's commits")
    if figures["moto"].get("times_faster", 50) < 50:
        result.append("the listing of filters is not 50 times moto's speed")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    options = parser.parse_args()
    figures = {"date": datetime.date.today().isoformat(), "cpus": os.cpu_count(), "machine": platform.machine()}
    for name, measure in (("creates", creates), ("moto", moto), ("scale", scale)):
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:  # on a disk, not in memory
            figures[name] = measure(options.rounds, Path(folder))
    figures["missed"] = missed(figures)
    show(figures)
    for sentence in figures["missed"]:
        print("missed:", sentence)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
