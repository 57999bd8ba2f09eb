# SPDX-License-Identifier: Apache-2.0
"""The clients that tests need, with pinned versions, each in a directory of its own; made when missing or changed.
A test is skipped (exit status 77) when its client's registry cannot be reached, and fails when what was asked of it is
wrong."""
import fcntl
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import unittest
import venv
from contextlib import contextmanager
from pathlib import Path

CLIENTS = Path(__file__).resolve().parent / "clients"

# What pip, npm, go and apt-get say of a registry that does not answer.
UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|connection broken|"
    r"ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|ERR_SOCKET_TIMEOUT|"
    r"dial tcp|no such host|connection refused|i/o timeout|TLS handshake timeout|Unable to locate package|"
    r"Could not resolve|Failed to fetch|Couldn't find any package", re.IGNORECASE)


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)


def some(things, what="what a test was to look at"):
    """A list of the things, of which there must be one at least: a loop over none would compare nothing."""
    things = list(things)
    if not things:
        raise AssertionError(f"there is none of {what}")
    return things


def main(verbosity=2):
    """unittest's main with an exit status that ctest understands: 77 when a test was skipped and none failed. What a test's
    thread raises and nobody catches is a failure too.
    `--without Class.test,Class.other*` leaves tests out: those that ctest runs by themselves (tests/CMakeLists.txt), so
    that it shows which was skipped, and not only that one was."""
    without = []
    if "--without" in sys.argv:
        at = sys.argv.index("--without")
        without = sys.argv[at + 1].split(",")
        del sys.argv[at:at + 2]
    left_out = set()

    class Loader(unittest.TestLoader):
        def getTestCaseNames(self, testCaseClass):
            names = []
            for name in super().getTestCaseNames(testCaseClass):
                found = [pattern for pattern in without
                         if fnmatch.fnmatchcase(f"{testCaseClass.__name__}.{name}", pattern)]
                left_out.update(found)
                if not found:
                    names.append(name)
            return names

    lost = []

    def told(arguments):
        if not issubclass(arguments.exc_type, SystemExit):
            lost.append(f"{arguments.exc_type.__name__}: {arguments.exc_value}")
        threading.__excepthook__(arguments)

    threading.excepthook = told
    result = unittest.main(verbosity=verbosity, exit=False, testLoader=Loader()).result
    unknown = set(without) - left_out
    if unknown:
        sys.exit(f"--without names no test: {', '.join(sorted(unknown))}")
    if result.testsRun == 0:
        sys.exit("no test was run")
    if lost:
        sys.exit(f"threads of the tests ended with {'; '.join(lost)}")
    sys.exit(1 if not result.wasSuccessful() else 77 if result.skipped else 0)


def install(what, command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode == 0:
        return
    silence = next(filter(UNREACHABLE.search, done.stdout.splitlines()), None)
    if silence:
        skip(f"{what} cannot be fetched, its registry does not answer: {silence.strip()}")
    print(done.stdout)
    sys.exit(f"{what} cannot be installed")


def program(name, package):
    path = shutil.which(name)
    if path is None:
        skip(f"there is no {name}; the Debian package {package} has it")
    return path


@contextmanager
def made_of(directory, *files):
    """Gives whether the directory has to be made; it is marked with the files' content when that was done."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = directory / ".made-of"
        content = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
        stale = not mark.exists() or mark.read_text() != content
        yield stale
        if stale:
            mark.write_text(content)


def python(directory, requirements=CLIENTS / "requirements.txt"):
    """An interpreter with the packages of a list: boto3 and botocore."""
    interpreter = directory / "bin/python"
    with made_of(directory, requirements) as stale:
        if stale:
            venv.create(directory, clear=True, with_pip=True)
            install(f"what {requirements.name} lists",
                    [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1",
                     "--no-deps", "--require-hashes", "--requirement", requirements])
    return interpreter


def javascript(directory):
    """The command that runs the JavaScript client."""
    node, npm = program("node", "nodejs"), program("npm", "npm")
    source = CLIENTS / "js"
    with made_of(directory, source / "package.json", source / "package-lock.json") as stale:
        if stale:
            directory.mkdir(exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, directory)
            install("the JavaScript SDK", [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts",
                                           "--fetch-retries=1"], cwd=directory)
    shutil.copy(source / "client.mjs", directory)  # modules are looked for beside what imports them
    return [node, directory / "client.mjs"]


def go(directory):
    """The Go client, built."""
    compiler = program("go", "golang-go")
    source = CLIENTS / "go"
    binary = directory / "client"
    with made_of(directory, *sorted(source.iterdir())) as stale:
        if stale:
            directory.mkdir(exist_ok=True)
            install("the Go SDK", [compiler, "build", "-o", binary, "."], cwd=source,
                    env={**os.environ, "GOMODCACHE": str(directory / "modules"), "GOCACHE": str(directory / "cache"),
                         "GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local", "GOWORK": "off"})
    return [binary]


def prometheus(directory):
    """The programs promtool and prometheus: the machine's, or else those of the Debian package, which is taken apart here
    and not installed, as it would start a service."""
    installed = [shutil.which(name) for name in ("promtool", "prometheus")]
    if all(installed):
        return installed
    with made_of(directory) as stale:
        if stale:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            install("Prometheus", [program("apt-get", "apt"), "download", "--quiet", "prometheus"], cwd=directory)
            package = next(directory.glob("prometheus_*.deb"))
            install("Prometheus", ["dpkg", "--extract", package, directory])
            package.unlink()
    return [directory / "usr/bin" / name for name in ("promtool", "prometheus")]
