# SPDX-License-Identifier: Apache-2.0
"""`mirrornic serve` as tests start, ask and stop it. MIRRORNIC names the binary."""
import datetime
import errno
import hashlib
import hmac
import http.client
import json
import os
import select
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import quote, urlencode

MIRRORNIC = os.environ["MIRRORNIC"]
REGION = "us-east-1"
KEY, SECRET = "AKIDTEST", "a/secret+of+the/tests"
VERSION = "2016-11-15"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
signatures = []  # that were sent: no log may have them


def policy(*actions, effect="Allow"):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": "*"}]}


def write_credentials(path, *keys):
    """Keys of (id, secret, policy, session token or None); without any, KEY may do everything."""
    entries = []
    for key, secret, its_policy, token in keys or [(KEY, SECRET, policy("ec2:*"), None)]:
        entries.append({"AccessKeyId": key, "SecretAccessKey": secret, "Policy": its_policy})
        if token:
            entries[-1]["SessionToken"] = token
    path.write_text(json.dumps({"Credentials": entries}))
    path.chmod(0o600)
    return path


def ask(port, method="GET", path="/", body=b"", headers=()):
    """One request to this host on a connection of its own: (status, headers, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


class Service:
    """A running service; its log is a file. To be used in a `with`: what is left at its end is stopped."""

    def __init__(self, folder, config, *arguments, state="state.sqlite", stdin=None, ready=True, launcher=(),
                 listen="127.0.0.1:0"):
        self.folder = Path(folder)
        self.log_file = self.folder / f"log-{time.monotonic_ns()}"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [*map(str, launcher), MIRRORNIC, "serve", "--listen", listen, "--config", str(config), "--state",
                 str(self.folder / state), *map(str, arguments)],
                stdin=stdin if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.__exit__()
                raise

    def wait_ready(self):
        if not select.select([self.process.stdout], [], [], 60)[0]:
            self.process.kill()
            raise AssertionError("no ready line within 60 s: " + self.log())
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"ended with {self.process.wait()}: {self.log()}")
        self.ready = json.loads(line)
        self.url = self.ready["Url"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stdin):
            if stream:
                stream.close()

    def log(self):
        return self.log_file.read_text(errors="replace")

    def await_log(self, words, seconds=20, count=1):
        return await_until(lambda: self.log().count(words) >= count, f"{words!r} in the log", seconds, self.log)

    def stop(self, status=0):
        """Stops it by SIGTERM and holds its exit status against the one expected."""
        self.process.send_signal(signal.SIGTERM)
        found = self.process.wait(60)
        if found != status:
            raise AssertionError(f"exit status {found} rather than {status}: {self.log()}")

    def http(self, method="POST", path="/", body=b"", headers=()):
        """One request on a connection of its own: (status, headers, body)."""
        return ask(self.port, method, path, body, headers)

    def form(self, form, headers=None, key=None, **signing):
        """A signed POST of a form, which is a string or pairs. A key is (id, secret[, token])."""
        body = (form if isinstance(form, str) else urlencode(form)).encode()
        head = {"Host": f"127.0.0.1:{self.port}", "Content-Type": FORM}
        head.update(headers or {})
        return self.http(body=body, headers=signed("POST", "/", "", head, body, key, **signing))

    def call(self, action, parameters=(), **more):
        """An action with its parameters in wire names. The reply is (HTTP status, error code or "", XML)."""
        pairs = list(parameters.items()) if isinstance(parameters, dict) else list(parameters)
        status, _, body = self.form([("Action", action), ("Version", VERSION), *pairs], **more)
        return status, code_of(body), body.decode()

    def ok(self, action, **parameters):
        """An action that must succeed, as its parsed XML without name space."""
        status, code, body = self.call(action, {name.replace("__", "."): value for name, value in parameters.items()})
        if status != 200:
            raise AssertionError(f"{action}: {status} {code}: {body}")
        return parse(body)


def small_disk(folder):
    """A launcher that gives the service a file system of 2 MiB of its own at a folder, which must exist: it is in a
    mount namespace that ends with the service. `disk_of` is the way there from outside."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
            'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"', folder]


def disk_of(served, folder):
    return Path(f"/proc/{served.process.pid}/root{folder}")


def fill(disk):
    """Takes all the room of a file system; the file that takes it."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return filler


def make_certificate(folder):
    """A certificate for 127.0.0.1 that signs itself, and its key: PEM files."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    return certificate, key


def parse(body):
    text = body.decode() if isinstance(body, bytes) else body
    root = ElementTree.fromstring(text.replace(f' xmlns="http://ec2.amazonaws.com/doc/{VERSION}/"', ""))
    return root


def code_of(body):
    """The error code of a reply's body; "" without one."""
    try:
        return parse(body).findtext("Errors/Error/Code") or ""
    except ElementTree.ParseError:
        return ""


def await_until(predicate, what, seconds=20, context=lambda: ""):
    end = time.monotonic() + seconds
    while True:
        found = predicate()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}\n{context()}")
        time.sleep(0.02)


def signed(method, path, query, headers, body, key=None, region=REGION, service="ec2", when=None, signature=None):
    """The headers with those of Signature Version 4 added. Source: AWS, "Create a signed AWS API request"."""
    key_id, secret, *token = key or (KEY, SECRET)
    when = when or datetime.datetime.now(datetime.timezone.utc)
    date = when.strftime("%Y%m%dT%H%M%SZ")
    headers = {**headers, "X-Amz-Date": date, **({"X-Amz-Security-Token": token[0]} if token else {})}
    low = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(low))
    pairs = sorted(tuple(part.partition("=")[::2]) for part in query.split("&")) if query else []
    canonical = "\n".join([method, quote(path), "&".join(f"{n}={v}" for n, v in pairs),
                           *(f"{name}:{low[name]}" for name in sorted(low)), "", names,
                           hashlib.sha256(body).hexdigest()])
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = ("AWS4" + secret).encode()
    for part in (*scope.split("/"), text):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    signatures.append(signature or secret.hex())
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, "
                                        f"Signature={signatures[-1]}"}
