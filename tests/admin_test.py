#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve --admin`: health, counters and metrics on an address of their own, without credentials. The argument is
the folder of what tests fetch. MIRRORNIC names the command."""
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import environment
import service
from service import FORM, MIRRORNIC, VERSION, signed

CONFIG = Path(__file__).resolve().parent / "clients/config.json"
FETCHED = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 and sys.argv[1][:1] == "/" else None
PAGES = ("/health", "/metrics", "/stats")
QUERY = f"Action=DescribeVpcs&Version={VERSION}"
# A network of its own, with an address that is not loopback.
NETWORK = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c",
           'ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip -6 address add 2001:db8::1/128 dev lo nodad && '
           'exec "$@"', "-"]


def admin_port(served):
    return int(served.ready["Admin"].rsplit(":", 1)[1])


def ask(port, method="GET", path="/metrics", body=b"", headers=()):
    return service.ask(port, method, path, body, headers)


def samples(text):
    """Each sample's value by its name with labels. Every metric has one HELP and one TYPE line before its samples."""
    found, kinds, current = {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current and name not in kinds, line
            kinds[name] = kind
        else:
            match = re.fullmatch(r'([a-z_]+)(\{\w+="(?:[^"\\\n]|\\["\\n])*"(?:,\w+="(?:[^"\\\n]|\\["\\n])*")*\})? (\S+)', line)
            assert match, line
            of = re.sub("_(bucket|sum|count)$", "", match[1]) if kinds[current] == "histogram" else match[1]
            assert of == current, line
            key = match[1] + (match[2] or "")
            assert key not in found, line
            found[key] = float(match[3])
    return found


class Signed(unittest.TestCase):
    """Beside an API that asks for signatures."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.served = service.Service(cls.folder, CONFIG, "--admin", "127.0.0.1:0", "--credentials",
                                     service.write_credentials(cls.folder / "keys.json"))
        cls.addClassCleanup(cls.served.__exit__)
        cls.port = admin_port(cls.served)

    def test_pages_need_no_credentials(self):
        self.assertRegex(self.served.ready["Admin"], r"^http://127\.0\.0\.1:\d+$")
        self.assertNotEqual(self.port, self.served.port)
        status, headers, body = ask(self.port, path="/health")
        self.assertEqual((status, json.loads(body)["Status"], headers["Cache-Control"]), (200, "ready", "no-store"))
        self.assertEqual(json.loads(ask(self.port, path="/stats")[2])["frames"]["received"], 0)
        status, headers, body = ask(self.port)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        self.assertIn("mirrornic_received_passes_total", samples(body.decode()))

    def test_head_is_get_without_body(self):
        for page in PAGES:
            status, headers, body = ask(self.port, "HEAD", page)
            self.assertEqual((status, body), (200, b""), page)
            self.assertGreater(int(headers["Content-Length"]), 0)

    def test_nothing_else_is_served(self):
        """No action is performed there, signed or not, and no method but GET and HEAD is taken."""
        change = f"Action=CreateTrafficMirrorFilter&Version={VERSION}".encode()
        for path, method, body in (("/", "GET", b""), ("/?" + QUERY, "GET", b""), ("/", "POST", change),
                                   ("/?" + change.decode(), "POST", b""), ("/healthz", "GET", b""), ("/health/", "GET", b""),
                                   ("//health", "GET", b""), ("/%68ealth", "GET", b""), ("/metrics/../", "POST", change)):
            with self.subTest(f"{method} {path}"):
                name, _, query = path.partition("?")
                head = signed(method, name, query, {"Host": f"127.0.0.1:{self.port}", "Content-Type": FORM}, body)
                status, _, text = ask(self.port, method, path, body, head)
                self.assertEqual(status, 404)
                self.assertIn(b"/metrics", text)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            for page in PAGES:
                status, headers, _ = ask(self.port, method, page, change)
                self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), f"{method} {page}")
        self.assertEqual(self.served.ok("DescribeTrafficMirrorFilters").findall("trafficMirrorFilterSet/item"), [])

    def test_the_api_keeps_its_pages(self):
        """On the API's address they are signed, as before."""
        for page in PAGES:
            self.assertEqual(self.served.http("GET", page)[0], 401)
            host = {"Host": f"127.0.0.1:{self.served.port}"}
            self.assertEqual(self.served.http("GET", page, b"", signed("GET", page, "", host, b""))[0], 200)

    def test_web_pages(self):
        """What a browser sends for a page of another origin is refused, also behind a name that was bound anew."""
        for host in (f"127.0.0.1:{self.port}", "127.0.0.1", f"localhost:{self.port}", f"[::1]:{self.port}", "127.9.9.9"):
            self.assertEqual(ask(self.port, headers={"Host": host})[0], 200, host)
        for host in ("evil.example", f"evil.example:{self.port}", "192.0.2.1", "127.0.0.1.evil.example", "", "[::2]"):
            self.assertEqual(ask(self.port, headers={"Host": host})[0], 403, host)
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{self.port}"):
            self.assertEqual(ask(self.port, headers={"Origin": origin})[0], 403, origin)
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 403), ("none", 200)):
            self.assertEqual(ask(self.port, headers={"Sec-Fetch-Site": site})[0], status, site)

    def test_metrics(self):
        """What /metrics has, beside the counters."""
        self.served.ok("DescribeVpcs")
        self.served.call("DescribeVpcs", {"Nonsense": "1"})
        before = samples(ask(self.port)[2].decode())
        for _ in range(3):
            self.served.ok("DescribeVpcs")
        found = samples(ask(self.port)[2].decode())
        version = subprocess.run([MIRRORNIC, "--version"], capture_output=True, text=True, check=True).stdout
        build = (f'mirrornic_build_info{{version="{version.split()[1]}",'
                 f'map_hash="{re.search("register map (.*)", version)[1]}"}}')
        self.assertEqual(found[build], 1)
        for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds",
                     "start_time_seconds"):
            self.assertGreater(found["process_" + name], 0)
        self.assertLess(abs(found["process_start_time_seconds"] - time.time()), 600)
        self.assertEqual(found['mirrornic_requests_total{action="DescribeVpcs",code="OK"}'] -
                         before['mirrornic_requests_total{action="DescribeVpcs",code="OK"}'], 3)
        self.assertGreater(found['mirrornic_requests_total{action="DescribeVpcs",code="UnknownParameter"}'], 0)
        self.assertGreater(found['mirrornic_requests_total{action="/metrics",code="OK"}'], 0)
        classes = set(re.findall(r'mirrornic_request_duration_seconds_count\{class="(\w+)"\}', "\n".join(found)))
        self.assertEqual(classes, {"read", "change", "page", "refused"})
        name = 'mirrornic_request_duration_seconds_count{class="read"}'
        self.assertEqual(found[name] - before[name], 3)
        self.assertEqual(found[name], found['mirrornic_request_duration_seconds_bucket{class="read",le="+Inf"}'])
        self.assertEqual(found["mirrornic_sessions_disabled"], 0)
        self.assertEqual(found["mirrornic_ready"], 1)
        self.assertGreaterEqual(found["mirrornic_connections"], 1)

    def test_the_labels_are_a_closed_set(self):
        """What a stranger sends makes no label."""
        for path in ("/strange", "/metrics/", "/?Action=Strange", "/%00strange"):
            ask(self.port, path=path)
            self.served.http("GET", path)
            self.served.http("STRANGE", path)
        for action in ("Strange", "DescribeVpcs\n", "é"):
            self.served.form([("Action", action), ("Version", VERSION)])
        text = ask(self.port)[2].decode()
        self.assertNotIn("trange", text)
        actions = set(re.findall(r'action="([^"]*)"', text))
        self.assertGreater(len(actions), 1)
        self.assertTrue(all(re.fullmatch(r"other|/(health|metrics|stats)|[A-Z][A-Za-z]+", action) for action in actions), actions)

    def test_promtool(self):
        """Prometheus's own tool has nothing to say against /metrics."""
        self.assertIsNotNone(FETCHED, "the folder of what tests fetch is the first argument")
        try:
            promtool, _ = environment.prometheus(FETCHED / "prometheus")
        except SystemExit as ends:
            if ends.code == 77:
                self.skipTest("promtool cannot be had")
            raise
        self.served.ok("DescribeVpcs")
        done = subprocess.run([promtool, "check", "metrics"], input=ask(self.port)[2], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""))


class Local(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def serve(self, *arguments, **more):
        served = service.Service(self.folder, more.pop("config", CONFIG), *arguments, **more)
        self.addCleanup(served.__exit__)
        return served

    def test_without_it(self):
        """No second address is listened on, and the ready line does not name one."""
        self.assertNotIn("Admin", self.serve().ready)

    def test_addresses(self):
        """Beyond this host it needs TLS, or the word that it goes without; and it must be free."""
        def refused(*arguments):
            done = subprocess.run([MIRRORNIC, "serve", "--config", CONFIG, "--listen", "127.0.0.1:0", "--state",
                                   self.folder / "s", *arguments], capture_output=True, text=True, check=False, timeout=30)
            return done.returncode, done.stderr

        for address in ("192.0.2.1:4581", "0.0.0.0:0", "[::]:4581", "[2001:db8::1]:0"):
            status, text = refused("--admin", address)
            self.assertEqual(status, 2, text)
            self.assertIn("--tls-cert", text)
            self.assertIn("--plain-http", text)
        for address in ("4581", "127.0.0.1", "127.0.0.1:99999", "name.example:1", ":1", "127.0.0.1:", ""):
            status, text = refused("--admin", address)
            self.assertEqual((status, "--admin" in text), (2, True), text)
        self.assertEqual(refused("--admin-host", "name.example")[0], 2)
        self.assertEqual(refused("--admin", "127.0.0.1:0", "--admin-host", "a b")[0], 2)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            status, text = refused("--admin", f"127.0.0.1:{taken.getsockname()[1]}")
            self.assertEqual(status, 1)
            self.assertIn("cannot listen on 127.0.0.1 port", text)
        self.assertEqual(self.serve("--admin", "localhost:0").ready["Admin"].split(":")[1], "//127.0.0.1")

    def inside(self, served, address, port, host, tls=False):
        """The status of a request from within the service's network."""
        code = ("import http.client, ssl, sys\n"
                "address, port, host, tls = sys.argv[1:]\n"
                "context = ssl._create_unverified_context() if tls else None\n"
                "c = http.client.HTTPSConnection(address, int(port), timeout=10, context=context) if tls else "
                "http.client.HTTPConnection(address, int(port), timeout=10)\n"
                "c.request('GET', '/health', headers={'Host': host})\n"
                "print(c.getresponse().status)\n")
        done = subprocess.run(["nsenter", "--target", str(served.process.pid), "--user", "--net", "--preserve-credentials",
                               sys.executable, "-c", code, address, str(port), host, "1" if tls else ""],
                              capture_output=True, text=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    def network(self, *arguments):
        if subprocess.run([*NETWORK, "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("no network of its own can be made here")
        return self.serve(*arguments, launcher=NETWORK)

    def test_hosts_of_another_address(self):
        """A name is taken where it was asked for, and the literal of the address: neither can be another's by DNS."""
        served = self.network("--admin", "192.0.2.1:0", "--plain-http", "--admin-host", "nic.example", "--admin-host",
                              "nic2.example")
        port = admin_port(served)
        for host, status in (("192.0.2.1", 200), (f"192.0.2.1:{port}", 200), ("nic.example", 200),
                             (f"NIC.example:{port}", 200), ("nic2.example", 200), ("evil.example", 403), ("localhost", 403),
                             ("192.0.2.2", 403), ("127.0.0.1", 403), ("nic.example.evil.example", 403), ("[::1]", 403)):
            self.assertEqual(self.inside(served, "192.0.2.1", port, host), status, host)
        self.assertIn("in the clear", served.log())

    def test_hosts_of_any_address(self):
        """Where it listens on all addresses, any literal is good: a page cannot bind one anew."""
        for address, client, literals in (("0.0.0.0", "192.0.2.1", ["192.0.2.1", "127.0.0.1", "10.9.8.7"]),
                                          ("[::]", "2001:db8::1", ["[2001:db8::1]", "[::1]", "192.0.2.1"])):
            served = self.network("--admin", f"{address}:0", "--plain-http")
            port = admin_port(served)
            for host in literals:
                self.assertEqual(self.inside(served, client, port, f"{host}:{port}"), 200, host)
            for host in ("evil.example", "localhost.evil.example", "1.2.3", "0x7f.1"):
                self.assertEqual(self.inside(served, client, port, host), 403, host)
            served.stop()

    def test_tls(self):
        """Beyond this host it speaks TLS with the API's certificate; on loopback it never does."""
        certificate, key = service.make_certificate(self.folder)
        served = self.network("--admin", "192.0.2.1:0", "--tls-cert", certificate, "--tls-key", key)
        self.assertTrue(served.ready["Admin"].startswith("https://192.0.2.1:"), served.ready)
        self.assertEqual(self.inside(served, "192.0.2.1", admin_port(served), "192.0.2.1", tls=True), 200)
        served.stop()
        served = self.serve("--admin", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
        self.assertTrue(served.url.startswith("https:"))
        self.assertEqual(ask(admin_port(served))[0], 200)

    def test_many_sessions(self):
        """While the counters of a full device are read, other requests go on."""
        interfaces = [{"NetworkInterfaceId": "eni-target", "MacAddress": "02:00:00:01:00:00", "PrivateIpAddress": "10.9.0.1"}]
        interfaces += [{"NetworkInterfaceId": f"eni-{i:04x}", "MacAddress": f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}",
                        "PrivateIpAddress": f"10.0.{i >> 8}.{i & 255}"} for i in range(256)]
        sessions = [{"TrafficMirrorSessionId": f"tms-{i:017x}", "TrafficMirrorTargetId": "tmt-00000000000000001",
                     "TrafficMirrorFilterId": "tmf-00000000000000001", "NetworkInterfaceId": f"eni-{i // 3:04x}",
                     "SessionNumber": i % 3 + 1, "VirtualNetworkId": i} for i in range(768)]
        config = self.folder / "config.json"
        config.write_text(json.dumps({
            "NetworkInterfaces": interfaces, "TrafficMirrorSessions": sessions,
            "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-00000000000000001", "NetworkInterfaceId": "eni-target"}],
            "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-00000000000000001"}]}))
        served = self.serve("--admin", "127.0.0.1:0", "--import", config=config)
        port, scrapes, slowest, stop = admin_port(served), [], [], threading.Event()

        def scrape():
            while not stop.is_set():
                for page in ("/metrics", "/stats"):
                    begin = time.monotonic()
                    status, _, body = ask(port, path=page)
                    scrapes.append((status, len(body), time.monotonic() - begin))

        thread = threading.Thread(target=scrape)
        thread.start()
        try:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                begin = time.monotonic()
                served.ok("DescribeVpcs")
                slowest.append(time.monotonic() - begin)
                time.sleep(0.002)
        finally:
            stop.set()
            thread.join()
        self.assertEqual({status for status, _, _ in scrapes}, {200})
        self.assertGreater(len(scrapes), 4)
        slowest.sort()
        print(f"{len(scrapes)} scrapes of up to {max(size for _, size, _ in scrapes)} bytes in up to "
              f"{max(seconds for *_, seconds in scrapes):.3f} s; {len(slowest)} requests beside them, the slowest "
              f"{slowest[-1]:.3f} s, the median {slowest[len(slowest) // 2]:.4f} s")
        # On a machine that does other work too, one request may wait for the processor.
        self.assertLess(slowest[len(slowest) * 99 // 100 - 1], 0.1)
        found = samples(ask(port)[2].decode())
        self.assertEqual(sum(name.startswith("mirrornic_session_selected_passes_total{") for name in found), 768)
        self.assertEqual(len(json.loads(ask(port, path="/stats")[2])["sessions"]), 768)


if __name__ == "__main__":
    environment.main()
