#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve` asked by plain HTTP, in ways that no client of AWS can: S5, S7, S10. MIRRORNIC names the command."""
import datetime
import email.utils
import http.client
import json
import re
import shutil
import socket
import tempfile
import threading
import time
import unittest
from pathlib import Path
from urllib.parse import quote

import environment
import service
from service import FORM, KEY, SECRET, VERSION, policy, signed

CONFIG = Path(__file__).resolve().parent / "clients/config.json"
READER, DENIED, GUEST = ("AKREADER", "secret-of-the-reader"), ("AKDENIED", "secret-of-the-denied"), (
    "AKGUEST", "secret-of-the-guest", "token-of-the-guest")
QUERY = f"Action=DescribeVpcs&Version={VERSION}"


class Http(unittest.TestCase):
    """One service for all cases of a class."""
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.served = service.Service(cls.folder, CONFIG, *cls.options(), *cls.arguments)
        cls.addClassCleanup(cls.served.__exit__)

    @classmethod
    def options(cls):
        return []

    def check(self, reply, status, code="", xml=True):
        """A reply's status and code, and what every reply has. Pages, and refusals of what is no HTTP, are no XML."""
        found, headers, body = reply
        self.assertEqual((found, service.code_of(body)), (status, code), body)
        self.assertIsNotNone(email.utils.parsedate_to_datetime(headers["Date"]))
        self.assertEqual(headers["Content-Type"].startswith("text/xml"), xml, headers["Content-Type"])
        if xml:
            root = service.parse(body)
            request_id = root.findtext("RequestID" if code else "requestId")
            self.assertRegex(request_id, r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
            self.assertEqual(request_id, headers["x-amzn-RequestId"])
        return body

    def raw(self, data, count=1, timeout=15):
        """Bytes as they are on one connection; that many replies, as (status, headers, body)."""
        with socket.create_connection(("127.0.0.1", self.served.port), timeout) as connection:
            connection.sendall(data)
            file, replies = connection.makefile("rb"), []
            for _ in range(count):
                reply = http.client.HTTPResponse(_File(file), method="GET")
                reply.begin()
                replies.append((reply.status, reply.headers, reply.read()))
            return replies


class _File:
    """What HTTPResponse takes for a socket, so that several replies are read from one stream."""

    def __init__(self, file):
        self.file = file

    def makefile(self, _):
        return _Open(self.file)


class _Open:
    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        pass


class Signed(Http):
    arguments = ("--log-format", "json")

    @classmethod
    def options(cls):
        denied = policy("ec2:*")
        denied["Statement"] += policy("ec2:Delete*", effect="Deny")["Statement"]
        return ["--credentials", service.write_credentials(
            cls.folder / "keys.json", (KEY, SECRET, policy("ec2:*"), None), (*READER, policy("ec2:Describe*"), None),
            (*DENIED, denied, None), (GUEST[0], GUEST[1], policy("*"), GUEST[2]))]

    @classmethod
    def tearDownClass(cls):
        """The log after all cases: each line is JSON, and none has a secret, a signature or a forged line."""
        cls.served.stop()
        lines = cls.served.log().splitlines()
        assert len(lines) > 100
        for line in lines:
            entry = json.loads(line)
            assert {"time", "level", "message"} <= set(entry), line
            assert entry["message"] != "FORGED" and entry["level"] in ("info", "warning", "error"), line
        log = cls.served.log()
        for word in (SECRET, READER[1], DENIED[1], GUEST[1], GUEST[2], "Signature=", *service.signatures):
            assert word not in log, word
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", log)

    def form(self, form, status, code="", **more):
        return self.check(self.served.form(form, **more), status, code)

    def test_action(self):
        """S7 no, an empty and an unknown action; no and another version."""
        for form in ("", f"Version={VERSION}", f"Action=&Version={VERSION}"):
            self.form(form, 400, "MissingAction")
        for form in ("Action=DescribeVpcs", "Action=DescribeVpcs&Version=2016-11-16", "Action=Nothing&Version="):
            self.form(form, 400, "NoSuchVersion")
        for name in ("DescribeInstances", "describevpcs", "DescribeVpcs%00", "%C3%A9"):
            self.form(f"Action={name}&Version={VERSION}", 400, "InvalidAction")

    def test_bad_query(self):
        """S7 what is no form, and what is there twice."""
        for part in ("novalue", "=x", "a=%", "a=%4", "a=%zz", "%4=a", "&", "VpcId.1=vpc-1&VpcId.1=vpc-1",
                     "VpcId.1=a&VpcId%2E1=b", "Action=DescribeVpcs"):
            self.form(f"{QUERY}&{part}", 400, "MalformedQueryString")

    def test_unknown_parameters(self):
        """S7 a member that the model does not have, or not there, is unknown and never ignored."""
        for part in ("Nonsense=1", "vpcId.1=x", "VpcId=x", "VpcId.0=x", "VpcId.01=x", "VpcId.x=y", "VpcId.1.Name=x",
                     "VpcIds.1=x", "Filter.1.Key=x", "Filter.1.Value=x", "DryRun.1=true", "=", "MaxResults.x=5"):
            code = "MalformedQueryString" if part == "=" else "UnknownParameter"
            self.form(f"{QUERY}&{part}", 400, code)
        self.form(f"Action=DescribeNetworkInterfaces&Version={VERSION}&IncludeManagedResources=false", 400,
                  "UnsupportedOperation")

    def test_values(self):
        """S1 S7 what is not a number, a boolean or valid text."""
        for part in ("DryRun=maybe", "DryRun=", "DryRun=1", "MaxResults=five", "MaxResults=5.0", "MaxResults=",
                     "MaxResults=%2B5", "MaxResults=99999999999999999999999", "VpcId.1=%ff", "VpcId.1=%00",
                     "VpcId.1=%ed%a0%80", "NextToken=%08", "MaxResults=+5"):
            self.form(f"{QUERY}&{part}", 400, "InvalidParameterValue")
        self.form(f"{QUERY}&DryRun=TRUE", 412, "DryRunOperation")
        self.form(f"{QUERY}&DryRun=False&MaxResults=1000", 200)

    def test_indices(self):
        """A list's indices may have gaps and any size; their order counts, not that of the query."""
        big = "9" * 400
        self.form(f"{QUERY}&VpcId.{big}=vpc-2&VpcId.7=vpc-1", 200)
        body = self.form(f"{QUERY}&VpcId.10=vpc-y&VpcId.9=vpc-x", 400, "InvalidVpcID.NotFound")
        self.assertIn(b"vpc-x", body)

    def test_sizes(self):
        """20,000 parameters, 50 filters of 200 values, 1 MiB and 16 KiB are taken, more is refused."""
        many = "".join(f"&Filter.{f}.Name=tag:{f}" + "".join(f"&Filter.{f}.Value.{v}=x*{v}" for v in range(1, 201))
                       for f in range(1, 51))
        start = time.monotonic()
        self.form(f"{QUERY}{many}", 200)
        self.form(f"{QUERY}&Filter.1.Name=vpc-id" + "".join(f"&Filter.1.Value.{i}=x" for i in range(1, 202)), 400,
                  "FilterLimitExceeded")
        self.form(QUERY + "&" + "&".join(f"A.{i}=x" for i in range(19998)), 400, "UnknownParameter")
        self.form(QUERY + "&" + "&".join(f"A.{i}=x" for i in range(19999)), 400, "MalformedQueryString")
        deep = f"{QUERY}&" + "A." * 100_000 + "=x"
        self.form(deep, 400, "UnknownParameter")
        self.assertLess(time.monotonic() - start, 10)
        body = f"{QUERY}&NextToken="
        self.form(body + "x" * (2**20 - len(body)), 400, "InvalidNextToken")
        head = signed("POST", "/", "", {"Host": f"127.0.0.1:{self.served.port}", "Content-Type": FORM}, b"")
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        too_much = self.raw(f"POST / HTTP/1.1\r\n{lines}Content-Length: {2**20 + 1}\r\n\r\n".encode())[0]
        self.assertEqual(too_much[0], 413)
        self.check(self.served.http("POST", "/", b"", {**head, "X-Fill": "x" * 15000}), 400, "MissingAction")
        self.assertEqual(self.served.http("POST", "/", b"", {**head, "X-Fill": "x" * 17000})[0], 431)
        self.form(QUERY, 200)

    def test_content_type(self):
        for kind in ("application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencodedx"):
            self.form(QUERY, 400, "MalformedQueryString", headers={"Content-Type": kind})
        self.form(QUERY, 200, headers={"Content-Type": "Application/X-WWW-Form-Urlencoded"})

    def test_authentication(self):
        """S7 each reason for AuthFailure is in the log alone."""
        host = {"Host": f"127.0.0.1:{self.served.port}", "Content-Type": FORM}
        body = QUERY.encode()
        good = signed("POST", "/", "", host, body)
        authorization = good["Authorization"]
        self.check(self.served.http(body=body, headers=good), 200)

        def without(name):
            return {k: v for k, v in good.items() if k != name}

        cases = {
            "no Authorization header": host,
            "only AWS4-HMAC-SHA256": {**good, "Authorization": "Basic QUtJRA=="},
            "there is no key": signed("POST", "/", "", host, body, ("AKNOBODY", SECRET)),
            "is not that of key AKIDTEST": signed("POST", "/", "", host, body, (KEY, SECRET + "x")),
            "is not that of key AKREADER": signed("POST", "/", "", host, body, (READER[0], SECRET)),
            "region is": signed("POST", "/", "", host, body, region="eu-west-1"),
            "service is": signed("POST", "/", "", host, body, service="sts"),
            "Signature is not 64 digits": signed("POST", "/", "", host, body, signature="A" * 64),
            "Credential's date": {**good, "X-Amz-Date": "20200101T000000Z"},
            "is not a time": {**good, "X-Amz-Date": "yesterday"},
            "neither x-amz-date nor Date": without("X-Amz-Date"),
            "Authorization has no Signature": {**good, "Authorization": authorization.rsplit(",", 1)[0]},
            "is not signed": {**good, "X-Amz-Target": "x"},
            '"host" is not signed': {**good, "Authorization": authorization.replace("host;", "")},
            "x-amz-content-sha256 is": signed("POST", "/", "", {**host, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
                                              body),
            "x-amz-security-token is not as key AKGUEST": signed("POST", "/", "", host, body, GUEST[:2]),
            "x-amz-security-token is not as key AKIDTEST": signed("POST", "/", "", host, body, (KEY, SECRET, "x")),
        }
        said = set()
        for reason, headers in cases.items():
            with self.subTest(reason=reason):
                reply = self.check(self.served.http(body=body, headers=headers), 401, "AuthFailure")
                said.add(service.parse(reply).findtext("Errors/Error/Message"))
                request_id = service.parse(reply).findtext("RequestID")
                self.served.await_log(request_id)  # the log is written in a thread of its own
                lines = [json.loads(line) for line in self.served.log().splitlines() if request_id in line]
                self.assertIn(reason, lines[0]["message"])
        self.assertEqual(len(said), 1, said)
        self.check(self.served.http(body=body.replace(b"Vpcs", b"Tags"), headers=good), 401, "AuthFailure")
        for query in ("X-Amz-Signature=1", "AWSAccessKeyId=AKIDTEST&Signature=x"):
            self.check(self.served.http("GET", f"/?{QUERY}&{query}", b"", good), 401, "AuthFailure")
        self.check(self.served.form(QUERY, key=GUEST), 200)

    def test_time(self):
        """S7 15 minutes either way; whoever does not hold the secret learns nothing of time."""
        now = datetime.datetime.now(datetime.timezone.utc)
        for minutes, status, code in ((-16, 400, "RequestExpired"), (16, 400, "RequestExpired"), (-14, 200, ""),
                                      (14, 200, "")):
            when = now + datetime.timedelta(minutes=minutes)
            self.form(QUERY, status, code, when=when)
            self.form(QUERY, 401, "AuthFailure", when=when, key=(KEY, "x"))

    def test_permission(self):
        """S5 S7 default deny, Deny wins; permission is checked after the action and before parameters."""
        delete = f"Action=DeleteTrafficMirrorFilter&Version={VERSION}&TrafficMirrorFilterId=tmf-1"
        self.form(QUERY, 200, key=READER)
        body = self.form(delete, 403, "UnauthorizedOperation", key=READER)
        self.assertIn(b"DeleteTrafficMirrorFilter", body)
        self.form(delete, 403, "UnauthorizedOperation", key=DENIED)
        self.form(delete + "&Nonsense=1", 403, "UnauthorizedOperation", key=READER)
        self.form(delete + "&DryRun=true", 403, "UnauthorizedOperation", key=READER)
        self.form(delete, 400, "InvalidTrafficMirrorFilterId.NotFound", key=GUEST)
        self.form(f"Action=Nothing&Version={VERSION}", 400, "InvalidAction", key=READER)
        self.form("Action=Nothing", 401, "AuthFailure", key=("AKNOBODY", "x"))

    def get(self, path, key=None, query=""):
        host = {"Host": f"127.0.0.1:{self.served.port}"}
        return self.served.http("GET", path + ("?" + query if query else ""), b"",
                                signed("GET", path, query, host, b"", key))

    def test_pages(self):
        """/health, /stats and /metrics are for those who may do all of ec2."""
        for page in ("/health", "/stats", "/metrics"):
            self.check(self.served.http("GET", page), 401, "AuthFailure")
            self.check(self.get(page, ("AKNOBODY", "x")), 401, "AuthFailure")
            self.check(self.get(page, READER), 403, "UnauthorizedOperation")
            self.assertEqual(self.served.http("POST", page)[0], 405)
        self.assertEqual(json.loads(self.check(self.get("/health"), 200, xml=False)), {"Status": "ready"})
        stats = json.loads(self.check(self.get("/stats"), 200, xml=False))
        self.assertEqual(stats["frames"]["received"], 0)
        text = self.check(self.get("/metrics"), 200, xml=False).decode()
        self.assertIn('mirrornic_received_passes_total 0', text)
        self.assertRegex(text, r'mirrornic_requests_total\{action="DescribeVpcs",code="OK"\} \d+')

    def test_methods_and_paths(self):
        for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            status, headers, _ = self.served.http(method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, POST"), method)
        self.check(self.get("/other"), 404, xml=False)
        self.check(self.served.http("GET", "/other"), 401, "AuthFailure")
        self.check(self.get("/", query=QUERY), 200)
        self.check(self.get("/", query="Action=DescribeVpcs&Version=x"), 400, "NoSuchVersion")

    def requests(self, *forms):
        out = b""
        for form in forms:
            head = signed("POST", "/", "", {"Host": f"127.0.0.1:{self.served.port}", "Content-Type": FORM},
                          form.encode())
            out += "".join(["POST / HTTP/1.1\r\n", *(f"{n}: {v}\r\n" for n, v in head.items()),
                            f"Content-Length: {len(form)}\r\n\r\n", form]).encode()
        return out

    def test_connections(self):
        """Requests follow each other on a connection, also sent at once; their replies come in their order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=10)
        ids = set()
        for _ in range(20):
            host = {"Host": f"127.0.0.1:{self.served.port}", "Content-Type": FORM}
            connection.request("POST", "/", QUERY, signed("POST", "/", "", host, QUERY.encode()))
            reply = connection.getresponse()
            self.check((reply.status, reply.headers, reply.read()), 200)
            ids.add(reply.headers["x-amzn-RequestId"])
        connection.close()
        self.assertEqual(len(ids), 20)
        forms = [QUERY, f"Action=DescribeTags&Version={VERSION}", "", f"Action=DescribeTags&Version={VERSION}&A=1"] * 5
        replies = self.raw(self.requests(*forms), len(forms))
        for form, (status, _, body) in zip(forms, replies, strict=True):
            wanted = "DescribeVpcsResponse" if form == QUERY else "Response" if form == "" or form.endswith(
                "A=1") else "DescribeTagsResponse"
            self.assertEqual(service.parse(body).tag, wanted)
            self.assertEqual(status, 400 if wanted == "Response" else 200)

    def test_not_http(self):
        """What is no request of HTTP/1.1 is answered with 400 and ends its connection."""
        for data in (b"hello\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                     b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"):
            with self.subTest(data=data):
                self.assertEqual(self.raw(data)[0][0], 400)
        both = self.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"0\r\n\r\n")[0]
        self.assertIn(both[0], (400, 401))
        self.form(QUERY, 200)

    def test_log_injection(self):
        """Control characters of a client, in names, values, paths and headers, make no line of the log."""
        forged = '\n{"time":"","level":"info","message":"FORGED"}'
        before = len(self.served.log().splitlines())
        for form in (f"Action={quote(forged)}&Version={VERSION}", f"{QUERY}&{quote(forged)}=1",
                     f"{QUERY}&VpcId.1={quote(forged)}", f"{QUERY}&NextToken={quote(forged)}"):
            self.assertEqual(self.served.form(form)[0], 400)
        self.form(QUERY, 401, "AuthFailure", key=(quote(forged), "x"))
        self.check(self.get("/" + quote(forged)), 404, xml=False)
        self.form(QUERY, 401, "AuthFailure", headers={"X-Amz-Meta": "\t\"FORGED"}, key=("AK", "x"))
        self.assertEqual(self.served.http("GET", headers={"X-Amz-Meta": "\x1b[31mFORGED"})[0], 400)
        self.raw(f"GET /?{quote(forged)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        service.await_until(lambda: len(self.served.log().splitlines()) >= before + 8, "a line for each request")

    def test_idempotent_at_once(self):
        """S6 one token that arrives often at once makes one filter."""
        made, threads = [], []
        for _ in range(16):
            threads.append(threading.Thread(target=lambda: made.append(self.served.call(
                "CreateTrafficMirrorFilter", {"ClientToken": "at-once", "Description": "x"}))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([(status, code) for status, code, _ in made], [(200, "")] * 16)
        ids = {service.parse(body).findtext("trafficMirrorFilter/trafficMirrorFilterId") for *_, body in made}
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.served.call("DeleteTrafficMirrorFilter", {"TrafficMirrorFilterId": ids.pop()})[0], 200)

    def test_client_token_is_echoed(self):
        """S10 clientToken is there when one was sent, and not otherwise."""
        for token in ({}, {"ClientToken": "echo"}):
            reply = self.served.ok("CreateTrafficMirrorFilter", **token)
            self.assertEqual(reply.findtext("clientToken"), token.get("ClientToken"))
            for name in ("ingressFilterRuleSet", "egressFilterRuleSet", "networkServiceSet", "tagSet"):
                self.assertEqual(len(reply.find(f"trafficMirrorFilter/{name}")), 0)
            self.assertIsNone(reply.find("trafficMirrorFilter/description"))
            tmf = reply.findtext("trafficMirrorFilter/trafficMirrorFilterId")
            tagged = self.served.ok("CreateTags", ResourceId__1=tmf, Tag__1__Key="a")
            self.assertEqual(tagged.findtext("return"), "true")
            self.served.ok("DeleteTrafficMirrorFilter", TrafficMirrorFilterId=tmf)

    def test_slow_senders(self):
        """256 connections that send a byte a second are closed within 10 s, and a request meanwhile is answered."""
        head = self.requests(QUERY)
        start, open_at, ended = time.monotonic(), {}, []
        for _ in range(256):
            connection = socket.create_connection(("127.0.0.1", self.served.port), 5)
            connection.setblocking(False)
            open_at[connection] = time.monotonic()
        sent, answers = 0, []
        while open_at and time.monotonic() - start < 20:
            for connection in list(open_at):
                try:
                    if sent < len(head):
                        connection.send(head[sent:sent + 1])
                    ends = connection.recv(1000) == b""
                except BlockingIOError:
                    ends = False
                except OSError:
                    ends = True
                if ends:
                    ended.append(time.monotonic() - open_at.pop(connection))
                    connection.close()
            sent += 1
            try:
                answers.append(self.served.form(QUERY)[0])
            except (ConnectionError, http.client.HTTPException) as error:
                answers.append(repr(error))
            time.sleep(1)
        self.assertEqual((len(ended), len(open_at)), (256, 0), f"{len(ended)} ended")
        self.assertLess(max(ended), 14)  # with the seconds between two looks on a busy machine
        self.assertLessEqual({200}, set(answers), answers)
        self.assertLessEqual(set(answers), {200, 503}, answers)
        self.form(QUERY, 200)

    def test_idle_connections(self):
        """256 connections that have nothing to say keep nobody out: the longest idle one makes room."""
        idle = [socket.create_connection(("127.0.0.1", self.served.port), 5) for _ in range(256)]
        try:
            idle[255].sendall(self.requests(QUERY))
            self.assertIn(b"200 OK", idle[255].recv(1000))
            for _ in range(10):
                self.form(QUERY, 200)
            idle[0].settimeout(5)
            self.assertEqual(idle[0].recv(1), b"")
            idle[255].sendall(self.requests(QUERY))  # the last to speak is still there
            self.assertNotEqual(idle[255].recv(1), b"")
        finally:
            for connection in idle:
                connection.close()

    def test_unfinished(self):
        """Connections that end in the middle of a request or before its reply leave nothing behind."""
        for cut in (1, 20, 200, None):
            for _ in range(70):
                with socket.create_connection(("127.0.0.1", self.served.port), 5) as connection:
                    connection.sendall(self.requests(QUERY)[:cut])
        self.form(QUERY, 200)


class Local(Http):
    """Without credentials: requests of this host alone, and none of a web page."""

    def ask(self, status, code="", method="GET", query=QUERY, body=b"", xml=True, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path = "/" + (f"?{query}" if query else "")
        return self.check(self.served.http(method, path, body, named), status, code, xml)

    def test_host(self):
        """A name of another host, as after DNS rebinding, is refused."""
        port = self.served.port
        for host in (f"127.0.0.1:{port}", "127.0.0.1", f"localhost:{port}", "LocalHost", f"[::1]:{port}", "[::1]",
                     "127.1.2.3"):
            self.ask(200, Host=host)
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example",
                     "10.0.0.1", "[::2]", "", "0x7f.1"):
            self.ask(401, "AuthFailure", Host=host)
        for host in ("[::1].evil.example", "[::1", "::1", "127.0.0.1@evil.example", "a b", "localhost:http"):
            self.ask(400, xml=False, Host=host)
        for page in ("/health", "/stats", "/metrics"):
            self.assertEqual(self.served.http("GET", page)[0], 200)
            self.assertEqual(self.served.http("GET", page, headers={"Host": "evil.example"})[0], 401)
        self.assertEqual(self.raw(f"GET /?{QUERY} HTTP/1.1\r\n\r\n".encode())[0][0], 400)
        self.assertEqual(self.raw(f"GET /?{QUERY} HTTP/1.0\r\n\r\n".encode())[0][0], 401)
        self.assertEqual(self.raw(f"GET /?{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n".encode())[0][0],
                         400)

    def test_web_pages(self):
        """What a browser adds to a page's requests is refused."""
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{self.served.port}"):
            self.ask(401, "AuthFailure", Origin=origin)
        for site in ("cross-site", "same-site", "same-origin"):
            self.ask(401, "AuthFailure", Sec_Fetch_Site=site)
        self.ask(200, Sec_Fetch_Site="none")
        self.ask(400, "MalformedQueryString", method="POST", query="", body=QUERY.encode(), Content_Type="text/plain")

    def test_changes(self):
        """A change must be a POST with the header that clients sign in; reading needs neither."""
        change = f"Action=CreateTrafficMirrorFilter&Version={VERSION}"
        authorization = "AWS4-HMAC-SHA256 Credential=any/20200101/us-east-1/ec2/aws4_request"
        self.ask(401, "AuthFailure", query=change)
        self.ask(401, "AuthFailure", query=change, Authorization=authorization)
        self.ask(401, "AuthFailure", method="POST", query="", body=change.encode(), Content_Type=FORM)
        self.ask(401, "AuthFailure", method="POST", query="", body=change.encode(), Content_Type=FORM,
                 Authorization="Basic x")
        for body in (b"", QUERY.encode(), change.encode()):
            self.ask(400, "MalformedQueryString", method="POST", query=change, body=body, Content_Type=FORM,
                     Authorization=authorization)
            self.ask(400, "MalformedQueryString", method="POST", query="a", body=body, Content_Type=FORM)
        self.ask(200, method="POST", query="", body=QUERY.encode(), Content_Type=FORM)
        self.ask(200, method="POST", query="", body=change.encode(), Content_Type=FORM, Authorization=authorization)

    def test_older_http(self):
        """HTTP/1.0 is served, and its connection closed."""
        with socket.create_connection(("127.0.0.1", self.served.port), 5) as connection:
            connection.sendall(f"GET /?{QUERY} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            data = b"".join(iter(lambda: connection.recv(4096), b""))
        self.assertTrue(data.startswith(b"HTTP/1.0 200"), data)

    def test_log(self):
        """A text log has one line for each request."""
        for _ in range(5):
            _, headers, _ = self.served.http("GET", "/?" + QUERY)
            name = headers["x-amzn-RequestId"]
            self.served.await_log(f"{name} ")
            lines = [line for line in self.served.log().splitlines() if name in line]
            self.assertEqual(len(lines), 1)
            self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT[\d:.]+Z info request id=\S+ action=DescribeVpcs key=- "
                                       r"peer=127.0.0.1 code=200 ms=[\d.]+$")


if __name__ == "__main__":
    environment.main()
