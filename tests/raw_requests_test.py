#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve` given bytes as they are: a table of requests, each with the section of RFC 9110 or 9112 that says
what is right, the statuses that come, and whether the connection stays. MIRRORNIC names the command."""
import http.client
import re
import shutil
import socket
import tempfile
import time
import unittest
from pathlib import Path

import environment
import service
from service import FORM, VERSION

CONFIG = Path(__file__).resolve().parent / "clients/config.json"
QUERY = f"Action=DescribeVpcs&Version={VERSION}"
READ = f"/?{QUERY}"
MAKE = f"Action=CreateTrafficMirrorFilter&Version={VERSION}"
SIGNED = "Authorization: AWS4-HMAC-SHA256 x"
STAYS, CLOSES = True, False


def head(line, *fields, host="Host: localhost"):
    return "".join(f"{each}\r\n" for each in (line, *([host] if host else []), *fields, "")).encode()


def get(target, *fields, method="GET", version="1.1", **more):
    return head(f"{method} {target} HTTP/{version}", *fields, **more)


def post(*fields, body=b"", target="/", version="1.1", **more):
    """A POST with the fields of a change, but without those of its body."""
    return head(f"POST {target} HTTP/{version}", f"Content-Type: {FORM}", SIGNED, *fields, **more) + body


def make(**more):
    """A whole change, which must be performed where it is a request, and never where it is a body."""
    return post(f"Content-Length: {len(MAKE)}", body=MAKE.encode(), **more)


def chunks(body, size=None, last=b"0\r\n\r\n", extension=b""):
    size = size or len(body)
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts) + last


def coded(*fields, body=None):
    """A change whose body is chunked and holds another, for whoever ends it too early."""
    return post(*fields, body=chunks(MAKE.encode()) if body is None else body)


C = "Transfer-Encoding: chunked"
NO = b"\r\n" + make()  # what must not be performed
FORMED = MAKE.encode()

# Name, section, bytes (in several parts: the next is sent when the reply to the one before has come), statuses ("200H":
# of a HEAD), whether the connection stays, changes that are performed.
TABLE = [
    # Transfer-Encoding
    ("chunked", "9112 7.1", coded(C), "200", STAYS, 1),
    ("letter case", "9112 7", coded("transfer-ENCODING: CHUNKED"), "200", STAYS, 1),
    ("white space", "9112 5.1", coded("Transfer-Encoding: \t chunked\t "), "200", STAYS, 1),
    ("many chunks", "9112 7.1", coded(C, body=chunks(FORMED, 7)), "200", STAYS, 1),
    ("leading zeros of a size", "9112 7.1", coded(C, body=b"000" + chunks(FORMED)), "200", STAYS, 1),
    ("an extension", "9112 7.1.1", coded(C, body=chunks(FORMED, extension=b';a="b;c";d')), "200", STAYS, 1),
    ("identity", "9112 6.3", coded("Transfer-Encoding: identity", body=make()), "400", CLOSES, 0),
    ("gzip", "9112 6.3", coded("Transfer-Encoding: gzip", body=make()), "400", CLOSES, 0),
    ("unknown coding", "9112 6.3", coded("Transfer-Encoding: xyz", body=make()), "400", CLOSES, 0),
    ("empty coding", "9112 6.3", coded("Transfer-Encoding:", body=make()), "400", CLOSES, 0),
    ("commas alone", "9110 5.6.1", coded("Transfer-Encoding: , ,", body=make()), "400", CLOSES, 0),
    ("quoted coding", "9112 6.3", coded('Transfer-Encoding: "chunked"', body=make()), "400", CLOSES, 0),
    ("chunked not last", "9112 6.3", coded("Transfer-Encoding: chunked, identity", body=chunks(FORMED) + make()), "400",
     CLOSES, 0),
    ("chunked before gzip", "9112 6.3", coded("Transfer-Encoding: chunked, gzip", body=make()), "400", CLOSES, 0),
    ("chunked twice", "9112 7", coded("Transfer-Encoding: chunked, chunked"), "400", CLOSES, 0),
    ("chunked in two lines", "9110 5.3", coded(C, C), "400", CLOSES, 0),
    ("gzip behind chunked in two lines", "9110 5.3", coded(C, "Transfer-Encoding: gzip"), "400", CLOSES, 0),
    ("gzip before chunked", "9112 6.1", coded("Transfer-Encoding: gzip, chunked"), "501", CLOSES, 0),
    ("gzip before chunked in two lines", "9110 5.3", coded("Transfer-Encoding: gzip", C), "501", CLOSES, 0),
    ("unknown before chunked", "9112 6.1", coded("Transfer-Encoding: xyz;q=1 , chunked"), "501", CLOSES, 0),
    ("identity before chunked", "9112 6.1", coded("Transfer-Encoding: identity, chunked"), "501", CLOSES, 0),
    ("no token before chunked", "9110 5.6.2", coded("Transfer-Encoding: g zip, chunked"), "400", CLOSES, 0),
    ("chunked with a parameter", "9112 7.1", coded("Transfer-Encoding: chunked;a=b"), "400", CLOSES, 0),
    ("chunked with a stop", "9112 6.1", coded("Transfer-Encoding: chunked."), "400", CLOSES, 0),
    ("vertical tab before chunked", "9110 5.5", coded("Transfer-Encoding: \x0bchunked"), "400", CLOSES, 0),
    ("of HTTP/1.0", "9112 6.1", post(C, version="1.0", body=chunks(FORMED)), "400", CLOSES, 0),
    ("with Content-Length", "9112 6.1", coded(C, f"Content-Length: {len(FORMED)}"), "400", CLOSES, 0),
    ("behind Content-Length", "9112 6.1", coded("Content-Length: 0", C, body=make()), "400", CLOSES, 0),
    ("gzip with Content-Length", "9112 6.3", coded("Content-Length: 0", "Transfer-Encoding: gzip", body=make()), "400",
     CLOSES, 0),
    # Chunks
    ("no number of a size", "9112 7.1", coded(C, body=b"x\r\n" + FORMED + b"\r\n0\r\n\r\n"), "400", CLOSES, 0),
    ("negative size", "9112 7.1", coded(C, body=b"-5\r\nabcde\r\n0\r\n\r\n" + make()), "400", CLOSES, 0),
    ("0x before a size", "9112 7.1", coded(C, body=b"0x5\r\nabcde\r\n0\r\n\r\n" + make()), "400", CLOSES, 0),
    ("size over 64 bits", "9112 7.1", coded(C, body=b"10000000000000001\r\na\r\n0\r\n\r\n" + make()), "400", CLOSES, 0),
    ("size beyond the body's limit", "9110 15.5.14", coded(C, body=b"ffffffff\r\n" + make()), "413", CLOSES, 0),
    ("chunks beyond it together", "9110 15.5.14", coded(C, body=chunks(b"x" * (2**20 + 9), 50000)), "413", CLOSES, 0),
    ("chunk longer than its size", "9112 7.1", coded(C, body=b"3\r\nabcde\r\n0\r\n\r\n"), "400", CLOSES, 0),
    ("LF behind a size", "9112 2.2", coded(C, body=b"5\nabcde\r\n0\r\n\r\n"), "400", CLOSES, 0),
    ("LF behind a chunk", "9112 2.2", coded(C, body=b"5\r\nabcde\n0\r\n\r\n"), "400", CLOSES, 0),
    ("CR in an extension", "9112 7.1.1", coded(C, body=b"5;a\rb\r\nabcde\r\n0\r\n\r\n"), "400", CLOSES, 0),
    ("LF in an extension", "9112 7.1.1", coded(C, body=b"5;a\nb\r\nabcde\r\n0\r\n\r\n"), "400", CLOSES, 0),
    ("extensions that are huge", "9112 7.1.1", coded(C, body=b"5;a=" + b"x" * 40000 + b"\r\nabcde\r\n0\r\n\r\n"),
     "431", CLOSES, 0),
    ("white space before an extension", "9112 7.1.1", coded(C, body=chunks(FORMED, extension=b' \t; a = b ;c= "d\\""')),
     "200", STAYS, 1),
    *((f"size line {line!r}", "9112 7.1", coded(C, body=line + b"abcde\r\n0\r\n\r\n" + make()), "400", CLOSES, 0) for line in (
        b"\n", b"5\n", b"5\r5\r\n", b"5 \r\n", b"5\t\r\n", b" 5\r\n", b"\r\n", b";a\r\n", b"5 5\r\n", b"5,\r\n", b"5;\r\n", b"5;;a\r\n",
        b"5;a=\r\n", b'5;a="b\r\n', b'5;a="b"c\r\n', b"5;a=b c\r\n", b"5;a \r\n", b"5;a\0\r\n", b"5;a=\x7f\r\n", b"5;a\n\r\n",
        b"5;a\r\r\n", b"5a b\r\n", b"+5\r\n", b"5_0\r\n", b"5h\r\n", b"5.0\r\n")),
    *((f"last chunk's line {line!r}", "9112 7.1", coded(C, body=b"5\r\nabcde\r\n" + line + b"\r\n" + make()), "400", CLOSES, 0)
      for line in (b"0\n", b"0 \r\n", b"0;\r\n", b"0\r0\r\n", b"\r\n")),
    *((f"behind a chunk {end!r}", "9112 7.1", coded(C, body=b"5\r\nabcde" + end + b"0\r\n\r\n" + make()), "400", CLOSES, 0)
      for end in (b"\n", b"\r", b"\r\r\n", b" \r\n", b"0\r\n", b"")),
    *((f"end of a chunked body {end!r}", "9112 7.1.2", coded(C, body=chunks(FORMED, last=b"0\r\n" + end) + make()), "400",
       CLOSES, 0) for end in (b"\n", b"\rx", b" \r\n", b"\0\r\n")),
    ("extensions of many chunks that are huge together", "9112 7.1.1",
     coded(C, body=chunks(b"x" * 1000, 1, extension=b";a=" + b"b" * 30)), "431", CLOSES, 0),
    ("one-byte chunks", "9112 7.1", coded(C, body=chunks(FORMED, 1)), "200", STAYS, 1),
    ("a request behind chunks", "9112 9.3.2", coded(C) + make(), "200 200", STAYS, 2),
    # Trailers
    ("trailer", "9112 7.1.2", coded(C, body=chunks(FORMED, last=b"0\r\nA: b\r\n\r\n")), "200", STAYS, 1),
    ("Authorization in a trailer", "9110 6.5.1", head("POST / HTTP/1.1", f"Content-Type: {FORM}", C) +
     chunks(FORMED, last=f"0\r\n{SIGNED}\r\n\r\n".encode()), "401", STAYS, 0),
    ("Host in a trailer", "9110 6.5.1", coded(C, body=chunks(FORMED, last=b"0\r\nHost: evil\r\n\r\n")), "200", STAYS, 1),
    ("Connection in a trailer", "9110 6.5.1", coded(C, body=chunks(FORMED, last=b"0\r\nConnection: close\r\n\r\n")),
     "200", STAYS, 1),
    ("trailers that are huge", "9110 15.5.14", coded(C, body=chunks(FORMED, last=b"0\r\nA: " + b"b" * 40000 + b"\r\n\r\n")),
     "431", CLOSES, 0),
    ("Content-Length in a trailer", "9110 6.5.1",
     coded(C, body=chunks(FORMED, last=f"0\r\nContent-Length: {len(make())}\r\n\r\n".encode())) + make(), "200 200", STAYS, 2),
    ("Transfer-Encoding in a trailer", "9110 6.5.1",
     coded(C, body=chunks(FORMED, last=b"0\r\nTransfer-Encoding: chunked\r\n\r\n")) + make(), "200 200", STAYS, 2),
    ("Expect in a trailer", "9110 6.5.1", coded(C, body=chunks(FORMED, last=b"0\r\nExpect: x\r\n\r\n")), "200", STAYS, 1),
    *((f"trailer {lines!r}", "9112 5.2", coded(C, body=chunks(FORMED, last=b"0\r\n" + lines + b"\r\n\r\n") + make()), "400", CLOSES,
       0) for lines in (b"A: b\r\n c", b"A: b\r\n\tc", b"A:\r\n ", b" A: b", b"A : b", b": b", b"A: b\nB: c", b"A: b\rB: c", b"A: \0",
                        b"A\n")),
    ("many trailers", "6585 5", coded(C, body=chunks(FORMED, last=b"0\r\n" + b"A: b\r\n" * 200 + b"\r\n")), "431", CLOSES, 0),
    ("90 trailers", "6585 5", coded(C, body=chunks(FORMED, last=b"0\r\n" + b"A: b\r\n" * 90 + b"\r\n")), "200", STAYS, 1),
    ("trailer that is none", "9112 7.1.2", coded(C, body=chunks(FORMED, last=b"0\r\nA b\r\n\r\n")), "400", CLOSES, 0),
    # Content-Length
    ("Content-Length", "9112 6.2", make(), "200", STAYS, 1),
    ("no body of a POST", "9112 6.3", post(), "400", STAYS, 0),
    ("two unlike lengths", "9112 6.3", post("Content-Length: 0", f"Content-Length: {len(FORMED)}", body=make()), "400",
     CLOSES, 0),
    ("two like lengths", "9112 6.3", post("Content-Length: 0", "Content-Length: 0", body=make()), "400", CLOSES, 0),
    ("list of lengths", "9112 6.3", post("Content-Length: 0, 0", body=make()), "400", CLOSES, 0),
    ("list of unlike lengths", "9112 6.3", post("Content-Length: 0, 5", body=make()), "400", CLOSES, 0),
    ("length with a sign", "9110 8.6", post("Content-Length: +0", body=make()), "400", CLOSES, 0),
    ("negative length", "9110 8.6", post("Content-Length: -1", body=make()), "400", CLOSES, 0),
    ("length in hex", "9110 8.6", post("Content-Length: 0x0", body=make()), "400", CLOSES, 0),
    ("length with a point", "9110 8.6", post("Content-Length: 0.0", body=make()), "400", CLOSES, 0),
    ("empty length", "9110 8.6", post("Content-Length:", body=make()), "400", CLOSES, 0),
    ("length of two words", "9110 8.6", post("Content-Length: 0 0", body=make()), "400", CLOSES, 0),
    ("length over 64 bits", "9110 8.6", post("Content-Length: 18446744073709551616", body=make()), "400", CLOSES, 0),
    ("length beyond the limit", "9110 15.5.14", post(f"Content-Length: {2**20 + 1}", body=make()), "413", CLOSES, 0),
    ("leading zeros of a length", "9110 8.6", post(f"Content-Length: 000{len(FORMED)}", body=FORMED), "200", STAYS, 1),
    # Lines
    ("folded field", "9112 5.2", get(READ, "A: b", " c"), "400", CLOSES, 0),
    ("folded length", "9112 5.2", post("Content-Length:", f" {len(FORMED)}", body=FORMED), "400", CLOSES, 0),
    ("space before the first field", "9112 2.2", head(f"GET {READ} HTTP/1.1", host=" Host: localhost"), "400", CLOSES, 0),
    ("space before a colon", "9112 5.1", post("Content-Length : 0", body=make()), "400", CLOSES, 0),
    ("tab before a colon", "9112 5.1", coded("Transfer-Encoding\t: chunked"), "400", CLOSES, 0),
    ("no name", "9112 5.1", get(READ, ": b"), "400", CLOSES, 0),
    ("no colon", "9112 5.1", get(READ, "nothing"), "400", CLOSES, 0),
    ("name that is no token", "9110 5.6.2", get(READ, "A(b): c"), "400", CLOSES, 0),
    ("LF alone", "9112 2.2", get(READ).replace(b"\r\n", b"\n"), "400", CLOSES, 0),
    ("LF in a field", "9112 2.2", get(READ, "A: b\nContent-Length: 5"), "400", CLOSES, 0),
    ("CR in a field", "9112 2.2", get(READ, "A: b\rContent-Length: 5"), "400", CLOSES, 0),
    ("CR CR LF", "9112 2.2", get(READ, "A: b\r"), "400", CLOSES, 0),
    ("NUL in a value", "9110 5.5", get(READ, "A: b\0c"), "400", CLOSES, 0),
    ("NUL in a name", "9110 5.6.2", get(READ, "A\0: b"), "400", CLOSES, 0),
    ("escape in a value", "9110 5.5", get(READ, "A: \x1b[1m"), "400", CLOSES, 0),
    ("tab in a value", "9110 5.5", get(READ, "A: b\tc"), "200", STAYS, 0),
    ("UTF-8 in a value", "9110 5.5", get(READ, "A: é"), "200", STAYS, 0),
    ("empty value", "9110 5.5", get(READ, "A:"), "200", STAYS, 0),
    ("empty line before the request", "9112 2.2", b"\r\n" + get(READ), "200", STAYS, 0),
    ("empty line between requests", "9112 2.2", make() + b"\r\n" + make(), "200 200", STAYS, 2),
    ("LF before the request", "9112 2.2", b"\n" + get(READ), "400", CLOSES, 0),
    ("empty lines without end", "9112 2.2", b"\r\n" * 20000, "414", CLOSES, 0),
    ("space before the request", "9112 3", b" " + get(READ), "400", CLOSES, 0),
    # The request line
    ("two spaces", "9112 3", head(f"GET  {READ} HTTP/1.1"), "400", CLOSES, 0),
    ("tab", "9112 3", head(f"GET\t{READ}\tHTTP/1.1"), "400", CLOSES, 0),
    ("space in a target", "9112 3.2", get("/a b"), "400", CLOSES, 0),
    ("space behind the version", "9112 3", head(f"GET {READ} HTTP/1.1 "), "400", CLOSES, 0),
    ("fragment", "9112 3.2", get(READ + "#a"), "400", CLOSES, 0),
    ("bytes that are not ASCII in a target", "9112 3.2", get("/é"), "400", CLOSES, 0),
    ("bytes that are no UTF-8 in a target", "9112 3.2", b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", "400", CLOSES,
     0),
    ("long request line", "9110 15.5.15", get("/" + "x" * 40000), "414", CLOSES, 0),
    ("long request line without end", "9110 15.5.15", b"GET /" + b"x" * 20000, "414", CLOSES, 0),
    ("long method", "9110 15.5.15", b"x" * 20000, "414", CLOSES, 0),
    ("long header", "6585 5", get(READ, "A: " + "b" * 40000), "431", CLOSES, 0),
    ("many fields", "6585 5", get(READ, *["A: b"] * 200), "431", CLOSES, 0),
    ("90 fields", "6585 5", get(READ, *["A: b"] * 90), "200", STAYS, 0),
    ("HTTP/0.9", "9112 2.3", f"GET {READ}\r\n".encode(), "400", CLOSES, 0),
    ("HTTP/1.0", "9112 2.3", get(READ, version="1.0"), "200", CLOSES, 0),
    ("HTTP/1.0 that keeps alive", "9112 C.2.2", get(READ, "Connection: keep-alive", version="1.0"), "200", STAYS, 0),
    ("HTTP/1.2", "9110 2.5", get(READ, version="1.2"), "200", STAYS, 0),
    ("HTTP/1.9 with a body", "9110 2.5", make(version="1.9"), "200", STAYS, 1),
    ("HTTP/2.0", "9110 15.6.6", get(READ, version="2.0"), "505", CLOSES, 0),
    ("preface of HTTP/2", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", CLOSES, 0),
    ("HTTP/1.10", "9112 2.3", get(READ, version="1.10"), "400", CLOSES, 0),
    ("http/1.1", "9112 2.3", head(f"GET {READ} http/1.1"), "400", CLOSES, 0),
    ("TLS", "9112 3", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(40), "400", CLOSES, 0),
    # Methods
    ("HEAD of a listing", "9110 9.3.2", get(READ, method="HEAD"), "200H", STAYS, 0),
    ("HEAD of /health", "9110 9.3.2", get("/health", method="HEAD"), "200H", STAYS, 0),
    ("HEAD of /metrics", "9110 9.3.2", get("/metrics", method="HEAD"), "200H", STAYS, 0),
    ("HEAD of /stats", "9110 9.3.2", get("/stats", method="HEAD"), "200H", STAYS, 0),
    ("HEAD of a change", "9110 9.2.1", get(f"/?{MAKE}", SIGNED, method="HEAD"), "405H", STAYS, 0),
    ("HEAD of no action", "9110 9.3.2", get("/", method="HEAD"), "400H", STAYS, 0),
    ("POST of a page", "9110 15.5.6", post("Content-Length: 0", target="/health"), "405", STAYS, 0),
    ("PUT", "9110 15.5.6", get("/", "Content-Length: 0", method="PUT"), "405", STAYS, 0),
    ("TRACE", "9110 9.3.8", get("/", method="TRACE"), "405", STAYS, 0),
    ("OPTIONS", "9110 9.3.7", get("/", method="OPTIONS"), "405", STAYS, 0),
    ("OPTIONS *", "9112 3.2.4", get("*", method="OPTIONS"), "405", STAYS, 0),
    ("GET *", "9112 3.2.4", get("*"), "400", CLOSES, 0),
    ("CONNECT", "9112 3.2.3", get("localhost:80", method="CONNECT"), "405", STAYS, 0),
    ("CONNECT of a path", "9112 3.2.3", get("/", method="CONNECT"), "400", CLOSES, 0),
    ("unknown method", "9110 15.6.2", get("/", method="BREW"), "501", STAYS, 0),
    ("method in lower case", "9110 9.1", get(READ, method="get"), "501", STAYS, 0),
    ("method that is no token", "9112 3.1", get("/", method="G@T"), "400", CLOSES, 0),
    ("GET with a body", "9110 9.3.1", get(READ, "Content-Length: 3") + b"a=b", "400", STAYS, 0),
    ("GET with a change as its body", "9110 9.3.1", get(READ, f"Content-Length: {len(make())}") + make(), "400", STAYS, 0),
    ("POST with parameters in its URL", "9110 9.3.3", make(target=f"/?{QUERY}"), "400", STAYS, 0),
    ("POST with an empty query", "9110 9.3.3", make(target="/?"), "200", STAYS, 1),
    # Targets and Host
    ("absolute target", "9112 3.2.2", get(f"http://localhost{READ}"), "200", STAYS, 0),
    ("absolute target without a path", "9112 3.2.2", get(f"HTTP://LOCALHOST:80?{QUERY}"), "200", STAYS, 0),
    ("absolute target, HTTP/1.0 without Host", "9112 3.2.2", get(f"http://localhost{READ}", version="1.0", host=""), "200",
     CLOSES, 0),
    ("absolute target of another host", "9112 3.2.2", get(f"http://evil.example{READ}", host="Host: evil.example"), "401",
     STAYS, 0),
    ("absolute target of another, HTTP/1.0", "9112 3.2.2", get(f"http://evil.example{READ}", version="1.0", host=""), "401",
     CLOSES, 0),
    ("absolute target beside another Host", "9112 3.2.2", get(f"http://localhost{READ}", host="Host: evil.example"), "400",
     CLOSES, 0),
    ("absolute target of another beside Host", "9112 3.2.2", get(f"http://evil.example{READ}"), "400", CLOSES, 0),
    ("absolute target of another port", "9112 3.2.2", get(f"http://localhost:81{READ}"), "400", CLOSES, 0),
    ("absolute target with a user", "9110 4.2.4", get(f"http://a@localhost{READ}"), "400", CLOSES, 0),
    ("absolute target without a host", "9110 4.2.1", get(f"http://{READ}"), "400", CLOSES, 0),
    ("target of another scheme", "9112 3.2.2", get(f"ftp://localhost{READ}"), "400", CLOSES, 0),
    ("target that is no path", "9112 3.2", get("health"), "400", CLOSES, 0),
    ("absolute https target", "9110 7.4", get(f"https://localhost{READ}"), "421", CLOSES, 0),
    ("absolute https target of a change", "9110 7.4", make(target="HTTPS://localhost/"), "421", CLOSES, 0),
    ("absolute target with a port over 65535", "9112 3.2", get(f"http://localhost:99999{READ}", host="Host: localhost:99999"),
     "400", CLOSES, 0),
    ("absolute target with a comma", "9112 3.2", get(f"http://a,b{READ}", host="Host: a,b"), "400", CLOSES, 0),
    ("path that begins with //", "9112 3.2.1", get("//evil.example/"), "404", STAYS, 0),
    ("no Host", "9112 3.2", get(READ, host=""), "400", CLOSES, 0),
    ("no Host in HTTP/1.0", "9112 3.2", get(READ, version="1.0", host=""), "401", CLOSES, 0),
    ("two Hosts", "9112 3.2", get(READ, "Host: localhost"), "400", CLOSES, 0),
    ("two unlike Hosts", "9112 3.2", get(READ, "HOST: evil.example"), "400", CLOSES, 0),
    ("list of Hosts", "9112 3.2", get(READ, host="Host: localhost, localhost"), "400", CLOSES, 0),
    ("list of Hosts without blanks", "9112 3.2", get(READ, host="Host: localhost,localhost"), "400", CLOSES, 0),
    ("list of a Host and nothing", "9112 3.2", get(READ, host="Host: localhost,"), "400", CLOSES, 0),
    ("Host whose port is over 65535", "9112 3.2", get(READ, host="Host: localhost:99999"), "400", CLOSES, 0),
    ("Host whose port is over 64 bits", "9112 3.2", get(READ, host=f"Host: localhost:{2**64 + 80}"), "400", CLOSES, 0),
    ("Host whose port is 65535", "9112 3.2", get(READ, host="Host: localhost:65535"), "200", STAYS, 0),
    ("CONNECT of a port over 65535", "9112 3.2.3", get("localhost:65536", method="CONNECT"), "400", CLOSES, 0),
    ("Host with brackets around no address", "9112 3.2", get(READ, host="Host: [:::]"), "400", CLOSES, 0),
    ("empty Host", "9112 3.2", get(READ, host="Host:"), "401", STAYS, 0),
    ("Host with a path", "9112 3.2", get(READ, host="Host: localhost/"), "400", CLOSES, 0),
    ("Host with a user", "9112 3.2", get(READ, host="Host: a@localhost"), "400", CLOSES, 0),
    ("Host whose port is a word", "9112 3.2", get(READ, host="Host: localhost:http"), "400", CLOSES, 0),
    # Content-Encoding
    ("gzip body", "9110 15.5.16", post("Content-Encoding: gzip", f"Content-Length: {len(FORMED)}", body=FORMED), "415", CLOSES, 0),
    ("gzip chunks", "9110 15.5.16", coded(C, "Content-Encoding: gzip"), "415", CLOSES, 0),
    ("gzip in a list", "9110 15.5.16", coded(C, "Content-Encoding: identity, x-gzip"), "415", CLOSES, 0),
    ("unknown coding of a body", "9110 15.5.16", coded(C, "Content-Encoding: identity", "content-encoding: xyz"), "415", CLOSES,
     0),
    ("identity body", "9110 12.5.3", coded(C, "Content-Encoding: , Identity"), "200", STAYS, 1),
    ("coding of no body", "9110 8.4", get(READ, "Content-Encoding: gzip"), "200", STAYS, 0),
    # Expect
    ("100-continue", "9110 10.1.1", (post(f"Content-Length: {len(FORMED)}", "Expect: 100-continue"), FORMED), "100 200",
     STAYS, 1),
    ("100-Continue of chunks", "9110 10.1.1", (post(C, "Expect: 100-Continue"), chunks(FORMED)), "100 200", STAYS, 1),
    ("100-continue with its body", "9110 10.1.1", post(f"Content-Length: {len(FORMED)}", "Expect: 100-continue",
                                                       body=FORMED), "200", STAYS, 1),
    ("100-continue without a body", "9110 10.1.1", get(READ, "Expect: 100-continue"), "200", STAYS, 0),
    ("100-continue of too much", "9110 10.1.1", post(f"Content-Length: {2**20 + 1}", "Expect: 100-continue"), "413", CLOSES,
     0),
    ("100-continue in HTTP/1.0", "9110 10.1.1", post(f"Content-Length: {len(FORMED)}", "Expect: 100-continue", version="1.0",
                                                     body=FORMED), "200", CLOSES, 1),
    ("100-continue of a gzip body", "9110 10.1.1", post(C, "Content-Encoding: gzip", "Expect: 100-continue"), "415", CLOSES, 0),
    ("another expectation", "9110 10.1.1", post("Expect: something", f"Content-Length: {len(FORMED)}", body=FORMED), "417",
     CLOSES, 0),
    # Connections
    ("close", "9112 9.6", get(READ, "Connection: close") + make(), "200", CLOSES, 0),
    ("Close in a list", "9112 9.6", get(READ, "Connection: foo, Close") + make(), "200", CLOSES, 0),
    ("close of a change", "9112 9.6", make() .replace(b"Host", b"Connection: close\r\nHost"), "200", CLOSES, 1),
    ("requests at once", "9112 9.3.2", make() + get(READ) + get("/none") + make() + get("/", method="BREW"),
     "200 200 404 200 501", STAYS, 2),
    ("at once behind a fault", "9112 9.3.2", make() + get(READ, "A : b") + make(), "200 400", CLOSES, 1),
    ("upgrade to h2c", "9110 7.8", get(READ, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"),
     "200", STAYS, 0),
    ("upgrade to websocket", "9110 7.8", get(READ, "Connection: Upgrade", "Upgrade: websocket"), "200", STAYS, 0),
    ("change behind a body", "9112 6.3", post("Content-Length: 3", body=b"a=b") + make(), "400 200", STAYS, 1),
    ("change in a body", "9112 6.3", post(f"Content-Length: {len(NO)}", body=NO), "400", STAYS, 0),
]


class Reader:
    """Replies from a connection, one after the other."""

    def __init__(self, connection):
        self.file = connection.makefile("rb")

    def next(self, of_head=False):
        """A status, the headers and the body; nothing at the end."""
        line = self.file.readline()
        if not line:
            return None
        assert line.startswith(b"HTTP/1.") and line.endswith(b"\r\n"), line
        status = int(line.split()[1])
        headers = http.client.parse_headers(self.file)
        if line.startswith(b"HTTP/1.0") and "Connection" not in headers:
            headers["Connection"] = "close"
        if of_head or status < 200:
            body = b""
        elif "Transfer-Encoding" in headers:
            body = b""
            while size := int(self.file.readline(), 16):
                body += self.file.read(size + 2)[:-2]
            self.file.readline()
        else:
            body = self.file.read(int(headers["Content-Length"]))
        return status, headers, body


class Raw(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.served = service.Service(cls.folder, CONFIG)
        cls.addClassCleanup(cls.served.__exit__)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.served.port), 8)

    def filters(self):
        body = self.served.http("GET", f"/?Action=DescribeTrafficMirrorFilters&Version={VERSION}")[2]
        return body.count(b"<trafficMirrorFilterId>")

    def exchange(self, parts, statuses, stays):
        with self.connect() as connection:
            reader, found = Reader(connection), []
            for part in parts:
                try:
                    connection.sendall(part)
                except ConnectionError:
                    pass  # refused before its end
                if len(parts) > 1 and part is not parts[-1]:
                    found.append(str(reader.next()[0]))
            for status in statuses[len(found):]:
                reply = reader.next(status.endswith("H"))
                self.assertIsNotNone(reply, f"after {found} the connection ended")
                found.append(str(reply[0]) + "H" * status.endswith("H"))
                self.assertEqual(reply[1].get("Connection") == "close", not stays and len(found) == len(statuses))
            self.assertEqual(found, statuses)
            if stays:
                connection.sendall(get("/health", "Connection: close"))
                self.assertEqual(reader.next()[0], 200)
            self.assertIsNone(reader.next())

    def test_table(self):
        """Each request of the table has its statuses, its connection stays or ends, and nothing else is performed."""
        self.assertGreater(len(TABLE), 80)
        self.assertEqual(len({name for name, *_ in TABLE}), len(TABLE))
        there, start = self.filters(), time.monotonic()
        for name, section, data, statuses, stays, changes in TABLE:
            with self.subTest(name=name, section=section):
                self.assertRegex(section, r"^(9110|9112|9113|6585) \S+$")
                begin = time.monotonic()
                try:
                    self.exchange(data if isinstance(data, tuple) else (data,), statuses.split(), stays)
                finally:
                    performed = self.filters() - there
                    there += performed
                self.assertEqual(performed, changes, "changes that were performed")
                self.assertLess(time.monotonic() - begin, 5, "answered by a time limit")
        # The answers came at once, and none from a time limit.
        self.assertLess(time.monotonic() - start, 60)

    def test_in_pieces(self):
        """Where a request is cut on its way does not matter."""
        tried = 0
        for name, _, data, statuses, stays, changes in TABLE:
            if isinstance(data, tuple) or len(data) > 1000 or "400" in statuses or name == "HTTP/0.9":
                continue
            with self.subTest(name=name):
                there = self.filters()
                with self.connect() as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    reader = Reader(connection)
                    try:
                        for byte in data:
                            connection.send(bytes([byte]))
                    except ConnectionError:
                        pass
                    found = []
                    for status in statuses.split():
                        reply = reader.next(status.endswith("H"))
                        while reply and reply[0] == 100:
                            reply = reader.next()
                        found.append(str(reply[0]) + "H" * status.endswith("H"))
                    self.assertEqual(found, statuses.split())
                self.assertEqual(self.filters() - there, changes)
                tried += 1
        self.assertGreater(tried, 30)

    def test_head(self):
        """A HEAD has the headers of the GET, with the length of its body, and no body."""
        for target in (READ, "/health", "/stats", "/metrics", "/none", "/"):
            replies = []
            for method in ("GET", "HEAD"):
                with self.connect() as connection:
                    connection.sendall(get(target, "Connection: close", method=method))
                    reader = Reader(connection)
                    replies.append(reader.next(method == "HEAD"))
                    self.assertIsNone(reader.next())
            (status, of_get, body), (of_head_status, of_head, _) = replies
            self.assertEqual(status, of_head_status)
            self.assertEqual(of_get.keys(), of_head.keys())
            self.assertEqual(int(of_get["Content-Length"]), len(body))
            if target != "/metrics":  # which counts the GET
                self.assertEqual(of_get["Content-Length"], of_head["Content-Length"])
        with self.connect() as connection:
            connection.sendall(get(f"/?{MAKE}", SIGNED, method="HEAD"))
            self.assertEqual(Reader(connection).next(True)[1]["Allow"], "POST")

    def reply_to(self, data):
        with self.connect() as connection:
            connection.sendall(data)
            return Reader(connection).next()

    def test_reasons(self):
        """A refusal says what is wrong with the request, and what to do: no signature is asked for where none would help."""
        for data, status, words in (
                (get(READ, host="Host: evil.example"), 401, ("Host is", "evil.example", "localhost")),
                (get(READ, "Origin: http://evil.example"), 401, ("web page", "Origin")),
                (get(READ, "Sec-Fetch-Site: cross-site"), 401, ("web page", "Sec-Fetch-Site")),
                (get(f"/?{MAKE}"), 401, ("must be a POST", "Authorization")),
                (get(f"/?{MAKE}", SIGNED), 401, ("must be a POST",)),
                (make().replace(b"AWS4", b"AWS3"), 401, ("AWS4-HMAC-SHA256",)),
                (get(f"https://localhost{READ}"), 421, ("https", "plain HTTP")),
                (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(40), 400, ("TLS", "plain HTTP", "http://", "--tls-cert")),
                (coded(C, body=b"5\nabcde\r\n0\r\n\r\n"), 400, ("LF", "chunk")),
                (post("Content-Encoding: gzip", "Content-Length: 3", body=b"abc"), 415, ("Content-Encoding",)),
                (get(READ, host="Host: localhost:99999"), 400, ("Host", "port"))):
            with self.subTest(data=data[:80]):
                found, headers, body = self.reply_to(data)
                text = body.decode()
                self.assertEqual(found, status, text)
                self.assertRegex(headers["x-amzn-RequestId"], "^[0-9a-f-]{36}$")
                for word in words:
                    self.assertIn(word, text.replace("&quot;", '"'))
                self.assertNotIn("not signed", text)
                if status == 415:
                    self.assertEqual(headers["Accept-Encoding"], "identity")

    def test_refused_heads(self):
        """What is refused before it is a request is counted by its status, and has a line in the log with its id."""
        def counts():
            text = self.served.http("GET", "/metrics")[2].decode()
            of_refused = re.search(r'duration_seconds_count\{class="refused"\} (\d+)', text)
            return ({code: int(number) for code, number in
                     re.findall(r'mirrornic_requests_total\{action="other",code="(\d+)"\} (\d+)', text)}, int(of_refused[1]))

        requests = {"400": b"nonsense\r\n\r\n", "413": post(f"Content-Length: {2**20 + 1}"), "414": b"x" * 20000,
                    "415": coded(C, "Content-Encoding: br"), "417": get(READ, "Expect: x"), "421": get("https://localhost/"),
                    "431": get(READ, "A: " + "b" * 17000), "501": coded("Transfer-Encoding: gzip, chunked"),
                    "505": get(READ, version="3.0")}
        before, refused = counts()
        for status, data in requests.items():
            for _ in range(3):
                with self.connect() as connection:
                    try:
                        connection.sendall(data)
                    except ConnectionError:
                        pass
                    found, headers, body = Reader(connection).next()
                self.assertEqual(str(found), status)
                line = self.served.await_log(headers["x-amzn-RequestId"]) and next(
                    each for each in self.served.log().splitlines() if headers["x-amzn-RequestId"] in each)
                self.assertIn(f"code={status}", line)
                self.assertIn("127.0.0.1", line)
                self.assertIn(body.decode().strip(), line.replace('\\"', '"'))
        after, refused_then = counts()
        self.assertEqual({status: after[status] - before.get(status, 0) for status in requests}, dict.fromkeys(requests, 3))
        self.assertEqual(refused_then - refused, 3 * len(requests))

    def test_labels(self):
        """The labels of /metrics are from a closed set, whatever was asked for, and its text is UTF-8."""
        with self.connect() as connection:
            for i in range(50):
                connection.sendall(get(f"host-{i}:80", method="CONNECT") + get(f"/path-{i}") +
                                   get(f"/?Action=Action{i}&Version={VERSION}") + get("/", method=f"METHOD{i}") +
                                   get(f"/?Action=%ff{i}&Version={VERSION}") + get(f"/%ff{i}"))
            reader = Reader(connection)
            for _ in range(300):
                self.assertIsNotNone(reader.next())
        text = self.served.http("GET", "/metrics")[2].decode("utf-8", "strict")
        actions = set(re.findall(r'mirrornic_requests_total\{action="([^"]*)"', text))
        known = {"/health", "/metrics", "/stats", "other"}
        self.assertLessEqual(actions - known, {name for name in actions if re.fullmatch(
            "(Create|Delete|Describe|Modify)[A-Za-z]+", name)})
        self.assertIn("other", actions)
        self.assertFalse([name for name in actions if re.search("host|path|[0-9]", name)], actions)

    def test_log(self):
        """A line of the log is short and UTF-8, whatever a client sent."""
        with self.connect() as connection:
            connection.sendall(get("/" + "x" * 15000) + post("Content-Length: 0", f"Sec-Fetch-Site: {'é' * 4000}") +
                               b"GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: \xff\xfe\r\nConnection: close\r\n\r\n")
            reader = Reader(connection)
            self.assertEqual([reader.next()[0] for _ in range(3)], [404, 401, 401])
            self.assertIsNone(reader.next())
        self.served.await_log("(cut)")
        lines = self.served.log_file.read_bytes().decode("utf-8", "strict").splitlines()
        self.assertLess(max(map(len, lines)), 2000)


if __name__ == "__main__":
    environment.main()
