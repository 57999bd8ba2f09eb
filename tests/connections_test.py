#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve` under connections that are slow or many, and its TLS. MIRRORNIC names the command."""
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import environment
import service
from service import FORM, Service

CONFIG = Path(__file__).resolve().parent / "clients/config.json"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
OLD = b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def serve(self, *arguments, **more):
        served = Service(self.folder, CONFIG, *arguments, **more)
        self.addCleanup(served.__exit__)
        return served


class Slow(Folder):
    def connect(self, served, source="127.0.0.1"):
        connection = socket.create_connection(("127.0.0.1", served.port), 5, (source, 0))
        self.addCleanup(connection.close)
        return connection

    def ask(self, connection, data=GET + b"\r\n"):
        """How long a request takes, on a connection that stays."""
        start = time.monotonic()
        connection.sendall(data)
        got = b""
        while b"}\n" not in got:
            part = connection.recv(4096)
            self.assertTrue(part, got)
            got += part
        self.assertTrue(got.startswith(b"HTTP/1.1 200"), got)
        return time.monotonic() - start

    def open_of(self, connections):
        count = 0
        for connection in connections:
            connection.setblocking(False)
            try:
                count += connection.recv(1) != b""
            except BlockingIOError:
                count += 1
            except OSError:
                pass
        return count

    def test_slow_headers(self):
        """600 connections with slow headers from one address lock out neither another address, nor who has
        completed a request, nor a quick one from the same address."""
        served = self.serve()
        finished = []
        for _ in range(80):
            finished.append(self.connect(served))
            self.ask(finished[-1])
        other = self.connect(served, "127.0.0.2")
        other.sendall(GET)
        slow, longest = [], 0
        for i in range(600):
            slow.append(self.connect(served))
            slow[-1].sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
            if i % 60 == 59:
                longest = max(longest, self.ask(finished[i // 60]), self.ask(self.connect(served, "127.0.0.3")),
                              self.ask(self.connect(served)))
                for connection in slow[-40:]:
                    connection.sendall(b"x")
        self.assertLess(longest, 2)
        self.assertLess(self.ask(other, b"\r\n"), 2)
        for connection in finished:
            self.assertLess(self.ask(connection), 2)
        self.assertIn(self.open_of(slow), (63, 64))  # the quick one at the end took a place for a while
        self.assertEqual(self.open_of(slow[-63:]), 63)
        served.stop()

    def test_slow_further_requests(self):
        """Connections that complete one request and then are slow do not lock others out either."""
        served = self.serve()
        for i in range(300):
            connection = self.connect(served)
            self.ask(connection)
            connection.sendall(b"GET / HT")
        for _ in range(5):
            self.assertLess(self.ask(self.connect(served)), 2)

    def test_descriptors(self):
        """Where descriptors run out, idle connections make room, the longest waiting first: each new client is served
        at once, the log says so once, the process keeps what it needs for a reload, does not spin, and is well again."""
        for limit in (24, 28, 40, 64):
            with self.subTest(limit=limit):
                served = self.serve(state=f"state-{limit}", launcher=["prlimit", f"--nofile={limit}"])
                files = Path(f"/proc/{served.process.pid}/fd")
                before, kept, longest = len(list(files.iterdir())), [], 0
                for _ in range(100):
                    kept.append(self.connect(served))
                    longest = max(longest, self.ask(kept[-1]))
                self.assertLess(longest, 0.5)
                self.assertLess(self.ask(kept[-1]), 0.5)
                room = max(limit - 4 - before, 1)
                self.assertEqual(len(list(files.iterdir())), before + room)
                self.assertEqual(self.open_of(kept), room)
                self.assertEqual(self.open_of(kept[-room:]), room)
                served.process.send_signal(signal.SIGHUP)
                served.await_log("configuration reloaded")
                served.await_log("descriptors run out")
                text = self.get(served, "/metrics")
                self.assertGreater(int(re.search(r"^mirrornic_connections_displaced_total (\d+)$", text, re.M)[1]), 30)

                def used():
                    return sum(map(int, Path(f"/proc/{served.process.pid}/stat").read_text().rsplit(")")[1].split()[11:13]))
                start = used()
                time.sleep(1)
                self.assertLess(used() - start, 20)  # of 100
                if limit == 40:
                    for connection in kept:
                        connection.close()
                    served.await_log("enough descriptors again")
                self.assertEqual(served.log().count("descriptors run out"), 1)
                served.stop()

    def test_descriptors_with_slow_clients(self):
        """Clients that never complete a request do not keep others out when descriptors run out."""
        served, slow = self.serve(launcher=["prlimit", "--nofile=40"]), []
        for _ in range(100):
            slow.append(self.connect(served))
            slow[-1].sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        for _ in range(30):
            self.assertLess(self.ask(self.connect(served)), 0.5)
        served.stop()

    def get(self, served, target):
        with self.connect(served) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def test_stop_with_stalled(self):
        """Half a request and a reply that is not read do not hold up the stop, which answers what has come."""
        served = self.serve()
        half, idle, body = (self.connect(served) for _ in range(3))
        half.sendall(GET)
        self.ask(idle)
        body.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 99\r\n\r\nA".encode())
        stalled = self.connect(served)
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.settimeout(0.3)
        try:  # until the service has no more room for its replies
            while True:
                stalled.sendall((GET + b"\r\n") * 1000)
        except TimeoutError:
            pass
        whole = [self.connect(served) for _ in range(5)]
        for connection in whole:
            connection.sendall(GET + b"\r\n")
        start = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        for connection in whole:
            got = b"".join(iter(lambda c=connection: c.recv(4096), b""))
            self.assertEqual(got.count(b"HTTP/1.1 200"), 1, got)
        self.assertEqual(served.process.wait(10), 0, served.log())
        self.assertLess(time.monotonic() - start, 2)


class Tls(Folder):
    def context(self, certificate):
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = True
        return context

    def rsa(self):
        certificate, key = self.folder / "rsa.pem", self.folder / "rsa-key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                       capture_output=True)
        return certificate, key

    def raw(self, served, context, data):
        """What comes until the TLS connection ends, and whether it ended with close_notify. A truncated one raises."""
        with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
            with context.wrap_socket(connection, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as secure:
                secure.sendall(data)
                got = b""
                while part := secure.recv(65536):
                    got += part
                return got

    def test_close_notify(self):
        """Each end of a TLS connection is told by close_notify: of a reply, of a fault, and of a stop."""
        certificate, key = service.make_certificate(self.folder)
        served = self.serve("--tls-cert", certificate, "--tls-key", key)
        context = self.context(certificate)
        for data, status in ((GET + b"Connection: close\r\n\r\n", b"200"), (OLD, b"200"), (b"nonsense\r\n\r\n", b"400"),
                             (GET + b"Transfer-Encoding: gzip\r\n\r\n", b"400"), (b"GET /" + b"x" * 20000, b"414"),
                             (GET + b"Content-Length: 99999999\r\n\r\n" + b"x" * 50000, b"413")):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context.maximum_version = context.minimum_version = version
                with self.subTest(data=data[:60], version=version):
                    got = self.raw(served, context, data)
                    self.assertEqual(got.split(b" ")[1], status)
        with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
            with context.wrap_socket(connection, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as secure:
                secure.sendall(GET + b"\r\n")
                self.assertIn(b"200 OK", secure.recv(4096))
                start = time.monotonic()
                served.process.send_signal(signal.SIGTERM)
                while secure.recv(4096):
                    pass
                self.assertEqual(served.process.wait(10), 0)
                self.assertLess(time.monotonic() - start, 2)

    def test_ciphers(self):
        """TLS 1.2 and 1.3 alone, forward secrecy and authenticated encryption in both."""
        certificate, key = self.rsa()
        served = self.serve("--tls-cert", certificate, "--tls-key", key)

        def handshake(*options):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", *options], input=b"",
                                  capture_output=True, timeout=20)
            text = (done.stdout + done.stderr).decode(errors="replace")
            found = re.search(r"^New, (TLSv1\.\d), Cipher is (\S+)", text, re.M)
            return found[2] if found and found[2] != "(NONE)" else None

        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA256", "ECDHE-RSA-AES128-SHA",
                       "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256"):
            self.assertIsNone(handshake("-tls1_2", "-cipher", cipher + ":@SECLEVEL=0"), cipher)
        for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"):
            self.assertEqual(handshake("-tls1_2", "-cipher", cipher), cipher)
        self.assertIn("TLS_", handshake("-tls1_3"))
        for version in ("-tls1", "-tls1_1"):
            self.assertIsNone(handshake(version, "-cipher", "DEFAULT:@SECLEVEL=0"), version)

    def test_failed_handshakes(self):
        """What comes to a TLS port without being TLS is in the log, with what to do, and counted."""
        certificate, key = service.make_certificate(self.folder)
        served = self.serve("--tls-cert", certificate, "--tls-key", key)
        for data in (GET + b"\r\n", b"\0" * 50):
            with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
                connection.sendall(data)
                while connection.recv(4096):
                    pass
        served.await_log("a plain HTTP request has come, and this port speaks TLS: ask for https://")
        served.await_log("no TLS")
        got = self.raw(served, self.context(certificate),
                       b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").decode()
        self.assertIn('mirrornic_requests_total{action="other",code="TLS"} 2', got)
        served.stop()

    def test_slow_handshakes(self):
        """Connections that begin no handshake, or half of one, keep nobody out of TLS."""
        certificate, key = service.make_certificate(self.folder)
        served = self.serve("--tls-cert", certificate, "--tls-key", key)
        context, slow = self.context(certificate), []
        for i in range(600):
            slow.append(socket.create_connection(("127.0.0.1", served.port), 5))
            if i % 2:
                slow[-1].sendall(b"\x16\x03\x01\x02\0")
        self.assertIn(b"200 OK", self.raw(served, context, GET + b"Connection: close\r\n\r\n"))
        start = time.monotonic()
        served.stop()
        self.assertLess(time.monotonic() - start, 2)
        for connection in slow:
            connection.close()


if __name__ == "__main__":
    environment.main()
