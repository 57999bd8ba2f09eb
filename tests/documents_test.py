#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every example in the documents (*.md, docs/*.md) and in the man page is run, or EXAMPLES says why it is not; and what they
name in passing (options, subcommands, pages, files, links) is there. Environment: MIRRORNIC and REGRESS name the binaries, CXX
the compiler, INCLUDE its folders of headers, FETCHED the folder of what tests fetch."""
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

import environment
import service
from service import KEY, SECRET, VERSION, signed

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PAGE = ROOT / "install/mirrornic.1"
MIRRORNIC = Path(service.MIRRORNIC).resolve()
service.MIRRORNIC = str(MIRRORNIC)  # examples run in folders of their own
URL = "http://127.0.0.1:4580"  # the documents' service,
ADMIN = "127.0.0.1:4581"  # and its admin address
FETCHED = Path(os.environ.get("FETCHED", tempfile.gettempdir())) / "prometheus"


# --- How an example is run ------------------------------------------------------------------------

class NotRun:
    """What is no example, or what a test cannot run."""

    def __init__(self, why):
        self.why = why

    def __call__(self, test, text):
        pass


class Subcommands:
    """Lines that run `./dev ...`, or build or run a test: they are run elsewhere, and what they name must exist."""

    def __init__(self, why):
        self.why = why

    def __call__(self, test, text):
        for line in text.splitlines():
            test.check_command(re.split(r"  +|#", line.strip())[0])


class Shell:
    """Lines for a shell, one after the other in a folder that has eni.json, vpcs.json and capture.pcap. A line that
    starts `mirrornic serve` does so in the background. `values` are pairs of a placeholder and what takes its place:
    each time, the next of a list; with None, the newest id of its kind in an output before. `keys`: clients have some.
    `there`: what the reader has: a "service" as the documents start it, an "account" at AWS with a session, or its
    "state" of an earlier service. `makes`: these files are there afterwards, with more in them than a capture's header."""

    def __init__(self, values=(), keys=True, there=None, makes=()):
        self.values, self.keys, self.there, self.makes = values, keys, there, makes

    def __call__(self, test, text):
        folder = test.folder()
        os.chdir(folder)
        shutil.copy(ROOT / "tests/captures/http.pcap", folder / "capture.pcap")
        network = json.loads((ROOT / "tests/demo/config.json").read_text())
        for name, member in (("eni.json", "NetworkInterfaces"), ("vpcs.json", "Vpcs")):
            (folder / name).write_text(json.dumps({member: network[member]}))
        self.lists = {name: list(value) for name, value in self.values if isinstance(value, (list, tuple))}
        self.printed, self.served, self.variables = "", None, []
        tools = folder / "tools"
        tools.mkdir()
        (tools / "mirrornic").symlink_to(MIRRORNIC)
        (tools / "aws").symlink_to(test.program("/usr/bin/aws", "awscli"))
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment.update(PATH=f"{tools}:{os.environ['PATH']}", AWS_EC2_METADATA_DISABLED="true", HOME=str(folder),
                                NO_PROXY="127.0.0.1")
        if self.keys:
            self.environment.update(AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any", AWS_DEFAULT_REGION="us-east-1")
        if self.there:
            self.serve(test, f"--config {ROOT}/tests/demo/config.json")
        if self.there in ("account", "state"):
            make_session(self.served)
        if self.there == "account":
            (tools / "aws").unlink()
            (tools / "aws").write_text(f'#!/bin/sh\nexec /usr/bin/aws --endpoint-url {self.served.url} "$@"\n')
            (tools / "aws").chmod(0o755)
        if self.there == "state":
            self.served.stop()
        for line in text.replace("\\\n", " ").splitlines():
            self.run(test, line.strip())
        for name in self.makes:
            service.await_until(lambda: (folder / name).exists() and (folder / name).stat().st_size > 24,
                                f"{name} has something in it")

    def serve(self, test, arguments):
        arguments = arguments.replace(ADMIN, "127.0.0.1:0")
        self.served = test.start(service.Service(Path.cwd(), *shlex.split(arguments)[1:]))

    def run(self, test, line):
        line = re.sub(r"^build/host/mirrornic", "mirrornic", line)
        for name, value in self.values:
            while name in line:
                if value is None:
                    found = re.findall(rf'"({name.rstrip(".")}[0-9a-f]+)"', self.printed)
                    test.assertTrue(found, f"nothing that was printed before has an id {name}")
                    line = line.replace(name, found[-1], 1)
                else:
                    line = line.replace(name, self.lists[name].pop(0) if name in self.lists else value, 1)
        if self.served:
            line = line.replace(URL, self.served.url)
        if line.startswith("mirrornic serve"):
            return self.serve(test, line.removeprefix("mirrornic serve"))
        if re.match(r"export |\w+=\S+$|\w+=\"[^\"]*\"$", line):
            self.variables.append(line)
            return None
        script = "\n".join(["set -euo pipefail", *self.variables, line])
        done = subprocess.run(["bash", "-c", script], env=self.environment, capture_output=True, text=True, timeout=60,
                              check=False)
        test.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}")
        self.printed += done.stdout
        return None


class Demo:
    """What `./dev demo` prints: its command is run again. The cycles depend on each register access of the driver: they are
    those of the document within a tenth."""

    def __call__(self, test, text):
        command = re.search(r"build/host/mirrornic (run.*?[^\\])\n", (ROOT / "dev").read_text(), re.DOTALL)[1]
        folder = test.folder()
        command = shlex.split(command.replace("\\\n", " ").replace("out/demo", str(folder)))
        done = subprocess.run([MIRRORNIC, *command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
        lines = text.split("\n")
        for found, said in zip(done.stdout.split("\n")[:len(lines)], lines, strict=True):  # then the files that it wrote
            if said.startswith("cycles"):
                found_cycles, said_cycles = (int(line.split()[1]) for line in (found, said))
                test.assertAlmostEqual(found_cycles, said_cycles, delta=said_cycles / 10)
                found = found.replace(str(found_cycles), str(said_cycles))
            test.assertEqual(found, said)
        self.check_picture(test, (folder / "decisions.jsonl").read_text().splitlines())

    @staticmethod
    def check_picture(test, decisions):
        """That what docs/demo.svg quotes of a frame is in the frame's first decision, that at the client's egress tap."""
        picture = (ROOT / "docs/demo.svg").read_text()
        _, *frames = re.split(r">frame (\d+), (\d+) bytes<", picture)
        frames = list(zip(frames[::3], frames[1::3], frames[2::3], strict=True))
        test.assertGreater(len(frames), 1)
        for number, length, rest in frames:
            decision = next(line for line in decisions if line.startswith(f'{{"Frame":{number},'))
            quoted = re.findall(r'class="j"[^>]*>([^<]*)<', rest)
            test.assertTrue(quoted)
            for text in [f'"Length":{length},', f'"NetworkInterfaceId":"{CLIENT}","Direction":"egress"', *quoted]:
                test.assertIn(text.rstrip(","), decision)


class Page:
    """A page that is read from top to bottom (up to a line that begins so): the blocks marked `sh` are one shell's. A block
    marked `text` is what the one before it prints, in which `...` stands for anything, and as a line for any lines. The page is
    read in a folder that looks like the checkout, and its service has an address of its own."""

    def __init__(self, document, until=None):
        self.document, self.until = document, until

    def __call__(self, test, text):
        page = (ROOT / self.document).read_text()
        if self.until:
            page = page[:page.index("\n" + self.until)]
        blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        scripts = [block for kind, block in blocks if kind == "sh"]
        printed = self.run(test, scripts)
        at, compared = -1, 0
        for kind, block in blocks:
            if kind == "sh":
                at += 1
            else:
                self.compare(test, block.rstrip("\n"), printed[at], scripts[at])
                compared += 1
        test.assertGreater(compared, 0)

    def run(self, test, scripts):
        """What each of them prints."""
        folder = test.folder()
        (folder / "build/host").mkdir(parents=True)
        (folder / "build/host/mirrornic").symlink_to(MIRRORNIC)
        (folder / "tests").symlink_to(ROOT / "tests")
        (folder / "dev").write_text("#!/bin/sh\n[ \"$*\" = build ]\n")
        (folder / "dev").chmod(0o755)
        (folder / "tools").mkdir()
        if any(re.search(r"\baws ", script) for script in scripts):
            (folder / "tools/aws").symlink_to(test.program("/usr/bin/aws", "awscli"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        mark = "=== the next block ==="
        lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"]
        for script in scripts:
            for line in script.replace("127.0.0.1:4580", f"127.0.0.1:{port}").splitlines():
                if line.startswith("mirrornic serve "):
                    line = line.replace("serve ", f"serve --listen 127.0.0.1:{port} ", 1)
                lines.append(line)
                if line.endswith(" &"):
                    lines.append(f"until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done")
            lines.append(f"echo '{mark}'")
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables.update(PATH=f"{folder}/tools:{variables['PATH']}", HOME=str(folder), AWS_EC2_METADATA_DISABLED="true",
                         NO_PROXY="127.0.0.1", LC_ALL="C.UTF-8")
        process = subprocess.Popen(["bash", "-c", "\n".join(lines)], cwd=folder, env=variables, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            test.fail(f"{self.document} does not end:\n{out}{err}")
        test.assertEqual(process.returncode, 0, f"{out}{err}")
        return out.split(mark + "\n")

    @staticmethod
    def compare(test, said, printed, script):
        lines = ["(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in said.split("\n")]
        test.assertTrue(re.fullmatch("".join(lines), printed), f"{script}\nprints\n{printed}\nand not\n{said}")


class Keys:
    """A credentials file: the policy's key may do these actions and see these pages, and not those."""

    def __init__(self, values, allowed, refused):
        self.values, self.allowed, self.refused = values, allowed, refused

    def __call__(self, test, text):
        for name, value in self.values:
            test.assertIn(name, text)
            text = text.replace(name, value, 1)
        folder = test.folder()
        file = folder / "keys.json"
        file.write_text(text)
        file.chmod(0o600)
        served = test.start(service.Service(folder, ROOT / "tests/demo/config.json", "--credentials", file))
        for names, refused in ((self.allowed, False), (self.refused, True)):
            for name in names:
                path, query = (name, "") if name[0] == "/" else ("/", f"Action={name}&Version={VERSION}")
                host = {"Host": f"127.0.0.1:{served.port}"}
                status, _, body = served.http("GET", path + (query and "?" + query), b"",
                                              signed("GET", path, query, host, b""))
                test.assertEqual(service.code_of(body) == "UnauthorizedOperation", refused, f"{name}: {body}")
                test.assertEqual(status, 403 if refused else 200, name)


class Cpp:
    """Statements of a program that uses the library: they compile. `...` stands for what a reader fills in."""

    def __init__(self, *headers):
        self.headers = headers

    def __call__(self, test, text):
        folder = test.folder()
        source = folder / "example.cpp"
        source.write_text("".join(f'#include "{name}"\n' for name in self.headers) +
                          "void example() {\n" + text.replace(" = ...;", ";") + "\n}\n")
        done = subprocess.run([os.environ["CXX"], "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable",
                               "-fsyntax-only", *(f"-I{name}" for name in os.environ["INCLUDE"].split(":")), source],
                              capture_output=True, text=True, check=False)
        test.assertEqual(done.returncode, 0, done.stderr)


class Hcl:
    """Terraform: it reads the text; where the AWS provider is on the machine (a filesystem mirror that TF_CLI_CONFIG_FILE
    names), it knows each argument too."""

    def __call__(self, test, text):
        terraform = test.program("terraform", "terraform")
        folder = test.folder()
        (folder / "main.tf").write_text(text + "\n")
        self.run(test, terraform, folder, "fmt", "-write=false")
        settings = Path(os.environ.get("TF_CLI_CONFIG_FILE", ""))
        if not settings.is_file() or "filesystem_mirror" not in settings.read_text():
            test.skipTest("the AWS provider is not on this machine: only the text was checked")
        (folder / "versions.tf").write_text(
            'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n')
        self.run(test, terraform, folder, "init", "-backend=false", "-input=false")
        self.run(test, terraform, folder, "validate")

    @staticmethod
    def run(test, *command):
        terraform, folder, *arguments = command
        done = subprocess.run([terraform, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "CHECKPOINT_DISABLE": "1"})
        test.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}{done.stderr}")


class Scrapes:
    """A configuration of Prometheus: its own tool takes it, and Prometheus with it finds the service up."""

    def __call__(self, test, text):
        try:
            promtool, prometheus = environment.prometheus(FETCHED)
        except SystemExit as ends:
            if ends.code == 77:
                test.skipTest("Prometheus cannot be had")
            raise
        folder = test.folder()
        served = test.start(service.Service(folder, ROOT / "tests/demo/config.json", "--admin", "127.0.0.1:0"))
        test.assertIn(ADMIN, text)
        text = text.replace(ADMIN, served.ready["Admin"].removeprefix("http://"))
        file = folder / "prometheus.yml"
        file.write_text("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n" + text + "\n")
        test.assertIn("SUCCESS", output(promtool, "check", "config", file))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(folder / "prometheus.log", "wb") as log:
            running = subprocess.Popen([prometheus, f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
                                        f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            def answer(query):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={query}", timeout=5) as reply:
                    return [entry["value"][1] for entry in json.load(reply)["data"]["result"]]

            def up():
                try:
                    return answer("up") == ["1"]
                except OSError:
                    return False
            service.await_until(up, "Prometheus finds the service up", 30,
                                lambda: (folder / "prometheus.log").read_text() + served.log())
            test.assertEqual(answer("mirrornic_ready"), ["1"])
            test.assertEqual(answer("sum(mirrornic_passes_total)"), ["0"])
        finally:
            running.terminate()
            running.wait(20)


def make_session(served):
    """One session of the demo's interfaces that accepts all."""
    ok = served.ok
    tmf = ok("CreateTrafficMirrorFilter").findtext("trafficMirrorFilter/trafficMirrorFilterId")
    for direction in ("ingress", "egress"):
        ok("CreateTrafficMirrorFilterRule", TrafficMirrorFilterId=tmf, TrafficDirection=direction, RuleNumber=1,
           RuleAction="accept", SourceCidrBlock="0.0.0.0/0", DestinationCidrBlock="0.0.0.0/0")
    tmt = ok("CreateTrafficMirrorTarget", NetworkInterfaceId=COLLECTOR).findtext("trafficMirrorTarget/trafficMirrorTargetId")
    ok("CreateTrafficMirrorSession", NetworkInterfaceId=CLIENT, TrafficMirrorTargetId=tmt, TrafficMirrorFilterId=tmf,
       SessionNumber=1)


# --- The examples -----------------------------------------------------------------------------------

CLIENT, COLLECTOR = "eni-0000000000000000a", "eni-0000000000000000c"  # of tests/demo/config.json
PICTURE = NotRun("a picture")
OF_THE_PAGE = NotRun("it is run with the whole page")
CI = Subcommands("continuous integration runs it, or a part of it")
TESTS = Subcommands("ctest builds and runs these tests")

# By document and the start of the first line.
R = NotRun("tests/clients/r/client.R makes these calls where paws is installed")
EXAMPLES = {
    ("CONTRIBUTING.md", "./dev doctor "): CI,
    ("CONTRIBUTING.md", "./dev format"): CI,
    ("README.md", "./dev demo "): CI,
    ("README.md", "frames  "): Demo(),
    ("README.md", "aws ec2 describe-network-interfaces "): Shell(
        [("...", "--config vpcs.json --config targets.json --config filters.json --config sessions.json")],
        there="account", makes=["mirror.pcap", "decisions.jsonl"]),
    ("README.md", "build/host/mirrornic serve "): Shell(),
    ("docs/api.md", "build/host/mirrornic serve --config eni.json --config "): Shell(),
    ("docs/api.md", "export AWS_ACCESS_KEY_ID="): Shell(
        [("eni-...", [COLLECTOR, CLIENT]), ("tmf-...", None), ("tmt-...", None)], keys=False,
        there="service"),
    ("docs/api.md", '{"Credentials": '): Keys(
        [("AKIA...", KEY), ("...", SECRET)], ["DescribeVpcs", "DescribeTrafficMirrorSessions", "/health", "/metrics"],
        ["CreateTrafficMirrorFilter", "DeleteTags", "/stats"]),
    ("docs/api.md", "build/host/mirrornic serve --config eni.json --admin "): Shell(),
    ("docs/api.md", "scrape_configs:"): Scrapes(),
    ("docs/api.md", "build/host/mirrornic backup "): Shell(there="state", makes=["state.backup"]),
    ("docs/api.md", 'provider "aws" {'): Hcl(),
    ("docs/architecture.md", " serve, simulated device"): PICTURE,
    ("docs/coverage.md", "./dev regress "): CI,
    ("docs/coverage.md", "./dev coverage "): CI,
    ("docs/extending.md", "./dev test -R \"botocore|members"): CI,
    ("docs/extending.md", "./dev test -L \"^(stage|system"): CI,
    ("docs/extending.md", "./dev test registers"): CI,
    ("docs/extending.md", "./dev test -R \"botocore|query"): CI,
    ("docs/extending.md", "./dev test open_store"): CI,
    ("docs/extending.md", "./dev test mapped_registers"): CI,
    ("docs/extending.md", "./dev lint"): CI,
    ("docs/programming.md", "HTTP (host/http"): PICTURE,
    ("docs/programming.md", "mirrornic::MappedRegisters registers"):
        Cpp("driver/access/mapped_registers.hpp", "driver/mirror_device.hpp"),
    ("docs/proofs.md", "./dev prove "): CI,
    ("docs/testing.md", "./dev test admit  "): CI,
    ("docs/testing.md", "build/tests/admit_test "): TESTS,
    ("docs/testing.md", "cmake --build build --target mirrornic"): TESTS,
    ("docs/testing.md", "MIRRORNIC_SEED=17 "): TESTS,
    ("docs/testing.md", "./dev test admit --wave"): Subcommands("it builds all with waves"),
    ("docs/testing.md", "./dev prove admission "): CI,
    ("docs/tutorial.md", "./dev build"): Page("docs/tutorial.md", until="## 7."),
    ("docs/tutorial.md", "tcpdump "): NotRun("it needs root and records the reader's own network"),
    ("docs/tutorial.md", "export AWS_ACCESS_KEY_ID="): Page("docs/tutorial.md"),
    **{("docs/tutorial.md", begin): OF_THE_PAGE for begin in (
        "tshark -r capture.pcap -Y", "     28 02:00", "cat > network.json", "Interfaces", "cat > requests.jsonl", "frames  ",
        "tshark -r mirror.pcap -c 3", "124 10.0.1.10", "grep -oE", "     27 ", "grep -E '\"Frame\":(4|55)", '{"Frame":4,',
        "cat >> requests.jsonl", "...\n  accepted", "mirrornic serve ", "...\ntms-", "mirrornic run ")},
    ("docs/r.md", "library(paws.compute)"): R,
    ("docs/r.md", "filter <- "): R,
    ("docs/r.md", "tryCatch("): R,
    ("docs/r.md", "ec2$modify_traffic_mirror_session("): R,
    ("docs/r.md", "ec2$delete_traffic_mirror_session("): R,
    ("mirrornic.1", "mirrornic serve "): Shell(there="state", makes=["mirror.pcap"]),
}

# JSON in a line of text.
IN_TEXT = {
    '{"Status": "ready", "Url": "http://127.0.0.1:4580", ...}': "the ready line; service.py reads it in each test",
    '{"Status": "starting" or "ready" or "degraded"}': "not JSON: the three values",
    '{"Action": ..., ...}': "not JSON: a shape",
}

# Messages that libraries and the system word.
LIBRARIES = ("Address already in use", "database or disk is full", "file is not a database")

# Options of other programs.
OTHERS = {"--cli-input-json": "aws", "--sc": "verilator"}


def examples():
    """(document, line number, text) of each block: fenced, or indented behind an empty line."""
    for path in DOCUMENTS:
        document, lines, i = str(path.relative_to(ROOT)), path.read_text().split("\n"), 0
        while i < len(lines):
            begin = i + 1
            if lines[i].lstrip().startswith("```"):
                i = next(k for k in range(begin, len(lines)) if lines[k].lstrip().startswith("```"))
                yield document, begin, "\n".join(lines[begin:i])
            elif lines[i].startswith("    ") and not lines[i - 1].strip() and not in_list(lines, i):
                while i + 1 < len(lines) and (lines[i + 1].startswith("    ") or not lines[i + 1].strip()):
                    i += 1
                yield document, begin, "\n".join(line[4:] for line in lines[begin - 1:i + 1]).rstrip()
            i += 1
    for match in re.finditer(r"^\.nf\n(.*?)^\.fi\n", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        yield PAGE.name, PAGE.read_text()[:match.start()].count("\n") + 2, match[1].rstrip().replace("\\-", "-")


def in_list(lines, i):
    """Whether an indented line goes on with an item of a list."""
    before = next((line for line in reversed(lines[:i]) if line.strip() and not line.startswith(" ")), "")
    return bool(re.match(r"([-*]|\d+\.) ", before))


def spans():
    """(document, line number, text) of each `code` in running text."""
    for path in DOCUMENTS:
        fenced = False
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif not fenced and not line.startswith("    "):
                for text in re.findall(r"`([^`]+)`", line):
                    yield str(path.relative_to(ROOT)), number, text


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False, cwd=ROOT)
    return done.stdout


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        usage = output(MIRRORNIC, "--help")
        cls.commands = {name: options_in(output(MIRRORNIC, name, "--help"))
                        for name in re.findall(r"^  (\w+) ", usage, re.MULTILINE)}
        usage = output(ROOT / "dev")
        cls.dev = {name: set() for name in re.findall(r"^  (\w+) ", usage, re.MULTILINE)}
        for name, script in (("prove", "tests/prove.py"), ("regress", "tests/regress.py"), ("coverage", "tests/coverage.py"),
                             ("mutate", "tests/mutate.py"), ("soak", "tests/soak.py"), ("synth", "bench/synth.py")):
            cls.dev[name] = options_in(output("python3", ROOT / script, "--help"))
        cls.dev.update(fuzz={"--time"}, test={"--wave"}, lint={"--analyze"})
        cls.regress = options_in(output(os.environ["REGRESS"], "--help"))

    def setUp(self):
        self.addCleanup(os.chdir, Path.cwd())

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def start(self, served):
        self.addCleanup(served.__exit__)
        return served

    def program(self, name, package):
        path = shutil.which(name)
        if path is None:
            self.skipTest(f"there is no {name}; the package {package} has it")
        return path

    def test_every_example_has_one_entry(self):
        """What is new is run, or its entry in EXAMPLES says why it is not."""
        used = set()
        for document, line, text in examples():
            keys = [key for key in EXAMPLES if key[0] == document and text.startswith(key[1])]
            with self.subTest(f"{document}:{line}"):
                self.assertEqual(len(keys), 1, "this example needs one entry in EXAMPLES of tests/documents_test.py, which "
                                               f"says how it is run or why it cannot be:\n{text}")
            used.update(keys)
        self.assertEqual(set(EXAMPLES) - used, set(), "entries of examples that there are no more")

    def check_command(self, line):
        """That what a line runs has its subcommand and its options."""
        line = re.sub(r"^([A-Z_]+=\S+ )+", "", line)
        command, *words = shlex.split(line)
        if command == "./dev":
            self.assertIn(words[0], self.dev, line)
            known = self.dev[words[0]]
            if words[0] == "wave" and words[1:] and words[1].islower():
                return self.check_command("mirrornic " + shlex.join(words[1:]))
            if words[0] == "test" and words[1:] and words[1][0] != "-" and words[1].islower():
                subprocess.run(["python3", "-B", ROOT / "tests/tests_of.py", words[1]], check=True, stdout=subprocess.DEVNULL)
        elif command == "build/tests/regress":
            known = self.regress
        elif command in ("cmake", "ctest", "python3") or command.startswith("build/tests/"):
            return self.check_test(line, command, words)
        else:
            self.assertIn(command, ("mirrornic", "build/host/mirrornic"), line)
            if words[:1] == ["--version"]:
                return
            self.assertIn(words[0], self.commands, line)
            known = self.commands[words[0]]
        for word in words:
            if word.startswith("--"):
                self.assertIn(word, known, line)

    def check_test(self, line, command, words):
        """That what builds or runs one test names one that is there."""
        if command == "python3":
            self.assertTrue((ROOT / words[0]).exists(), line)
        elif command == "ctest":
            self.assertEqual(words[:2], ["--test-dir", "build"], line)
        elif command == "cmake":
            self.assertEqual(words[:3], ["--build", "build", "--target"], line)
            built = "".join((ROOT / name / "CMakeLists.txt").read_text() for name in ("tests", "host"))
            for target in words[3:]:
                made = rf"add_(custom_target|executable)\({target}\b|(unit|system)_test\({target}\b"
                self.assertTrue(re.search(made, built) or (ROOT / f"tests/{target}.cpp").exists(), line)
        else:
            self.assertTrue((ROOT / f"{command.removeprefix('build/')}.cpp").exists(), line)

    def test_what_the_text_names_is_there(self):
        """Commands, options, pages, actions of policies, JSON and files in running text."""
        options = set.union(*self.commands.values(), *self.dev.values(), self.regress)
        folder = self.folder()
        served = self.start(service.Service(folder, ROOT / "tests/demo/config.json"))
        actions, json_seen = set(), set()
        for document, line, text in spans():
            with self.subTest(f"{document}:{line}: {text}"):
                if re.match(r"\./dev |(build/host/)?mirrornic \w|build/tests/\w+_?\w*( |$)|cmake --build |ctest --test-dir ", text):
                    self.check_command(text)
                elif text.startswith("--"):
                    option = text.split()[0]
                    self.assertTrue(option in options or option in OTHERS, "there is no such option")
                elif re.match("(GET|HEAD) /", text):
                    method, path = text.split()
                    self.assertEqual(served.http(method, path)[0], 200)
                elif text.startswith("ec2:"):
                    actions.add(text)
                elif text.startswith("{"):
                    self.assertIn(text, IN_TEXT, "JSON needs an entry in IN_TEXT of tests/documents_test.py")
                    json_seen.add(text)
                elif re.fullmatch(r"(bench|docs|driver|host|install|rtl|sim|tests)/[\w./-]*", text):
                    self.assertTrue((ROOT / text).exists(), "there is no such file")
        self.assertEqual(set(IN_TEXT) - json_seen, set(), "entries of JSON that there is no more")
        self.assertTrue(actions)
        keys = service.write_credentials(folder / "keys.json", (KEY, SECRET, service.policy(*sorted(actions)), None))
        served.stop()
        self.start(service.Service(folder, ROOT / "tests/demo/config.json", "--credentials", keys)).stop()

    def test_links(self):
        """Each link leads to a file, and to a heading in it where it names one."""
        headings = 0
        for path in DOCUMENTS:
            for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
                with self.subTest(f"{path.name}: {target}"):
                    name, _, heading = target.partition("#")
                    if re.match(r"\w+:", name):
                        continue
                    file = path.parent / name if name else path
                    self.assertTrue(file.exists())
                    if heading:
                        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                                   for title in re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)}
                        self.assertIn(heading, anchors)
                        headings += 1
        self.assertGreater(headings, 0)

    def test_quoted_messages(self):
        """Each message of the troubleshooting page is one of the program's: the words between two `...` stand in the sources."""
        sources = "".join(path.read_text() for folder in ("host", "sim", "driver") for path in sorted((ROOT / folder).rglob("*.?pp")))
        texts = re.sub(r'"\s*"', "", sources).replace('\\"', '"')

        def printed(words):
            """Whole, or in two parts that meet at a space, as where a name is put before the rest."""
            spaces = [match.start() for match in re.finditer(" ", words)]
            return words in texts or any(words[:at] in texts and words[at:] in texts for at in spaces)
        header, checked = "", 0
        for row in (ROOT / "docs/troubleshooting.md").read_text().splitlines():
            before, header = header, header or row if row.startswith("|") else ""
            column = next((i for i, name in enumerate(header.split("|")) if "message" in name or "`Why`" in name), None)
            if not before or column is None or row.startswith("|--"):
                continue
            for message in re.findall(r"`([^`]+)`", row.split("|")[column]):
                for words in re.split(r"\.\.\.|" + "|".join(LIBRARIES), message):
                    with self.subTest(message):
                        self.assertTrue(printed(words.strip(" ,;:")), words)
                        checked += 1
        self.assertGreater(checked, 100)

    def test_the_options_of_the_unit(self):
        """The lines of an options file that the systemd unit gives are such that `--options` takes."""
        lines = re.findall(r"^#     (\S+=\S+)$", (ROOT / "install/mirrornic.service.in").read_text(), re.MULTILINE)
        self.assertTrue(lines)
        folder = self.folder()
        file = folder / "serve.conf"
        text = "\n".join(lines).replace("/etc/mirrornic/eni.json", str(ROOT / "tests/demo/config.json"))
        file.write_text(re.sub(r":\d+$", ":0", text, flags=re.MULTILINE) + "\n")
        process = subprocess.Popen([MIRRORNIC, "serve", "--options", file, "--listen", "127.0.0.1:0", "--state", folder / "s"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(json.loads(process.stdout.readline())["Status"], "ready")


def add_examples():
    """A test for each example."""
    counts = {}
    for document, line, text in examples():
        for key, how in EXAMPLES.items():
            if key[0] != document or not text.startswith(key[1]) or isinstance(how, NotRun):
                continue
            # What may be skipped has a name of its own (tests/CMakeLists.txt).
            needs = ("needs_terraform" if isinstance(how, Hcl) else "needs_prometheus" if isinstance(how, Scrapes) else
                     "needs_aws" if re.search(r"\baws ", text) else "example")
            name = f"test_{needs}_" + re.sub(r"\W+", "_", document)
            counts[name] = counts.get(name, 0) + 1

            def test(self, how=how, text=text):
                how(self, text)
            test.__doc__ = f"{document}:{line}: {text.splitlines()[0].strip()}"
            setattr(Documents, f"{name}_{counts[name]}", test)


def options_in(text):
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


add_examples()

if __name__ == "__main__":
    environment.main()
