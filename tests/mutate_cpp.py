# SPDX-License-Identifier: Apache-2.0
"""Faults in the C++ of driver, host and sim, for ./dev mutate.

The faults of a file are written into one copy of it, beside the original text, and the environment variable MUTANT chooses
one when a test runs: the file is compiled once, and linked once into each test of its unit. A fault is a comparison, a
logical or an arithmetic operator that is another, a number that is one more, a condition that is the opposite, a return of
the opposite, or a statement that is gone. A seed draws which of them are tried. The draw goes by a fault's text and the
file's name (DRAWN_AS): a line that is added elsewhere in the file changes none of those that are drawn.
"""
import collections
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# What no test of a unit reaches: the command, which is tested as a process, and what is around the verilated circuit.
LEFT_OUT = {"host/api/log.cpp", "host/base/standard_output.cpp", "host/service/mapped_device.cpp", "host/service/network_reload.cpp",
            "host/service/serve.cpp", "host/service/watch.cpp", "host/simulation/run.cpp", "host/simulation/shards.cpp",
            "host/simulation/simulated_device.cpp", "sim/board.cpp", "sim/offload.cpp",
            *(f"host/command/{name}.cpp" for name in ("check_command", "command_line", "main", "mirrornicd", "serve_command",
                                                      "simulation_commands"))}
# Python tests of the command: the program that they are given, and their tests that are left out, as they may be skipped, or
# take a while and look at the surroundings of the command.
PROGRAMS = {"members": ("tests/marking_mirrornic", []),
            "command": ("host/mirrornic", ["--without", "Command.test_shared_captures,Command.test_tshark,Command.test_kernel,"
                                                        "Command.test_scarcity,Command.test_mirrornicd"])}
# The tests that must find the faults of a file.
UNITS = {
    "driver/encoding.cpp": ["encoding_test", "mirror_device_test", "register_file_test"],
    "driver/access/file_lock.cpp": ["mapped_registers_test"],
    "driver/access/mapped_registers.cpp": ["mapped_registers_test"],
    "driver/mirror_device.cpp": ["mirror_device_test"],
    "driver/plan.cpp": ["mirror_device_test"],
    "driver/tables.cpp": ["tables_test", "configuration_test"],
    "host/access/access.cpp": ["access_test"],
    "host/access/policy.cpp": ["access_test"],
    "host/access/signature.cpp": ["access_test"],
    "host/base/ascii.cpp": ["access_test", "query_protocol_test"],
    "host/ec2/account_check.cpp": ["configuration_test", "request_service_test", "sqlite_store_test"],
    "host/ec2/action_table.cpp": ["request_service_test"],
    "host/api/ec2_server.cpp": ["ec2_server_test"],
    "host/configuration/configuration.cpp": ["configuration_test"],
    "host/account/desired_tables.cpp": ["configuration_test", "request_service_test", "holes_test"],
    "host/requests/describe_actions.cpp": ["request_service_test"],
    "host/configuration/configuration_report.cpp": ["configuration_test", "request_service_test"],
    "host/ec2/filter_values.cpp": ["filter_values_test"],
    "host/requests/perform_actions.cpp": ["request_service_test"],
    "host/http/http_head.cpp": ["http_head_test", "http_server_test", "ec2_server_test"],
    "host/http/http_server.cpp": ["http_server_test", "ec2_server_test"],
    "host/base/json_text.cpp": ["json_text_test", "request_script_test", "configuration_test", "request_service_test"],
    "host/api/metrics.cpp": ["metrics_test"],
    "host/account/account.cpp": ["account_test", "request_service_test"],
    "host/base/named_files.cpp": ["named_files_test"],
    "host/account/network.cpp": ["request_service_test", "configuration_test"],
    "host/api/query_protocol.cpp": ["query_protocol_test"],
    "host/ec2/replies.cpp": ["query_protocol_test", "request_service_test"],
    "host/ec2/request_error.cpp": ["query_protocol_test", "request_service_test"],
    "host/requests/request_script.cpp": ["request_script_test"],
    "host/requests/request_service.cpp": ["request_service_test"],
    "host/store/sqlite_store.cpp": ["sqlite_store_test"],
    "host/frames/line_writer.cpp": ["simulated_traffic_test", "members", "command"],
    "host/service/statistics.cpp": ["simulated_traffic_test", "members", "command"],
    "host/simulation/decision_log.cpp": ["simulated_traffic_test", "members", "command"],
    "host/simulation/simulated_traffic.cpp": ["simulated_traffic_test", "members", "command"],
    "host/store/open_store.cpp": ["open_store_test"],
    "host/frames/capture_file.cpp": ["capture_file_test"],
    "host/frames/live_writer.cpp": ["live_writer_test"],
    "host/frames/output_file.cpp": ["capture_file_test", "live_writer_test"],
    "host/frames/output_sink.cpp": ["capture_file_test", "live_writer_test"],
    "sim/models/reference_model.cpp": ["reference_model_test"],
    "sim/models/register_file.cpp": ["register_file_test"],
    "sim/models/register_model.cpp": ["mirror_device_test"],
}
# The name by which the faults of a file are drawn, where it is not its own: what it had when they were first drawn, or what
# the file had from which it came. A file that is moved keeps its faults.
DRAWN_AS = {
    "host/access/access.cpp": "host/access.cpp",
    "host/access/policy.cpp": "host/access.cpp",
    "host/access/signature.cpp": "host/access.cpp",
    "host/base/ascii.cpp": "host/access.cpp",
    "driver/access/file_lock.cpp": "driver/file_lock.cpp",
    "driver/access/mapped_registers.cpp": "driver/mapped_registers.cpp",
    "host/account/account.cpp": "host/model.cpp",
    "host/account/desired_tables.cpp": "host/data_plane.cpp",
    "host/account/network.cpp": "host/network.cpp",
    "host/api/ec2_server.cpp": "host/api.cpp",
    "host/api/metrics.cpp": "host/metrics.cpp",
    "host/api/query_protocol.cpp": "host/query.cpp",
    "host/base/json_text.cpp": "host/json_text.cpp",
    "host/base/named_files.cpp": "host/named_files.cpp",
    "host/configuration/configuration.cpp": "host/configuration.cpp",
    "host/configuration/configuration_report.cpp": "host/description.cpp",
    "host/ec2/account_check.cpp": "host/account_check.cpp",
    "host/ec2/action_table.cpp": "host/actions.cpp",
    "host/ec2/filter_values.cpp": "host/filter_values.cpp",
    "host/ec2/replies.cpp": "host/replies.cpp",
    "host/ec2/request_error.cpp": "host/request_error.cpp",
    "host/frames/capture_file.cpp": "sim/capture_file.cpp",
    "host/frames/line_writer.cpp": "host/traffic.cpp",
    "host/frames/live_writer.cpp": "sim/live_writer.cpp",
    "host/frames/output_file.cpp": "sim/output_file.cpp",
    "host/frames/output_sink.cpp": "sim/output_sink.cpp",
    "host/http/http_head.cpp": "host/http_head.cpp",
    "host/http/http_server.cpp": "host/http_server.cpp",
    "host/requests/describe_actions.cpp": "host/describe.cpp",
    "host/requests/perform_actions.cpp": "host/handlers.cpp",
    "host/requests/request_script.cpp": "host/request_file.cpp",
    "host/requests/request_service.cpp": "host/requests.cpp",
    "host/service/statistics.cpp": "host/traffic.cpp",
    "host/simulation/decision_log.cpp": "host/traffic.cpp",
    "host/simulation/simulated_traffic.cpp": "host/traffic.cpp",
    "host/store/sqlite_store.cpp": "host/sqlite_store.cpp",
    "sim/models/reference_model.cpp": "sim/reference_model.cpp",
    "sim/models/register_file.cpp": "sim/register_file.cpp",
    "sim/models/register_model.cpp": "sim/register_model.cpp",
}
OPERATORS = [
    (r" == ", (" != ",)), (r" != ", (" == ",)), (r" && ", (" || ",)), (r" \|\| ", (" && ",)),
    (r" < ", (" <= ", " >= ")), (r" <= ", (" < ", " > ")), (r" > ", (" >= ", " <= ")), (r" >= ", (" > ", " < ")),
    (r" \+ ", (" - ",)), (r" - ", (" + ",)), (r" \+= ", (" -= ",)), (r" -= ", (" += ",)), (r" \|= ", (" &= ",)),
    (r"\btrue\b", ("false",)), (r"\bfalse\b", ("true",)), (r"(?<=[( ])!(?=[\w(])", ("",)),
    (r"(?<![\w.\"'])(?:0x[0-9a-f]+|\d+)(?![\w.\"'])", None),
]
NOT_STATEMENTS = re.compile(
    r"\s*(#|namespace\b|static_assert|using\b|template\b|struct\b|class\b|enum\b|case\b|default\b|public:|private:|friend\b|"
    r"constexpr\b|static\b|inline\b|typedef\b|extern\b|[}\]],?;?$|break;|continue;|else\b|do\b|goto\b)")
DECLARATION = re.compile(
    r"\s*(const\b|auto\b|unsigned\b|int\b|bool\b|char\b|long\b|double\b|struct\b|[\w:]+(<.*>)?[ &*]+(const )?(?!=)[&*]?\w+(\(|\{|\[|;| = |,))")
CHOICE = 'extern "C" int mirrornic_mutant();'
# Of the test: which fault it runs with.
CHOOSER = """#include <cstdlib>
extern "C" int mirrornic_mutant() {
    static const int chosen = [] {
        const char* text = std::getenv("MUTANT");
        return text ? std::atoi(text) : 0;
    }();
    return chosen;
}
"""


@dataclass
class Site:
    """A statement, or the condition of an `if`, `while` or `for`, from line `first` to line `last` of a file (from 0)."""
    first: int
    last: int
    before: str     # the text in front of what is changed
    text: str       # what is changed
    after: str
    condition: bool


@dataclass
class Fault:
    site: Site
    edited: str
    change: str


def code_of(text):
    """The text with comments and the inside of strings blanked, column for column."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)\'|//[^\n]*',
                  lambda found: found[0][0] + " " * (len(found[0]) - 2) + (found[0][-1] if found[0][0] != "/" else " "), text)


def sites(lines):
    """The places of a file that can be changed, each on lines of its own, and inside of a function by their indent."""
    i = 0
    while i < len(lines):
        first = i
        code = code_of(lines[i])
        if 'R"' in lines[i] or not lines[i].startswith("    ") or not code.strip() or NOT_STATEMENTS.match(code):
            i += 1
            continue
        # Lines that belong together end when parentheses are closed, with `;` or `{`.
        text = lines[i]
        while not re.search(r"[;{}]$", code_of(text).rstrip()) and i + 1 < len(lines) and i - first < 6:
            i += 1
            text += "\n" + lines[i]
        code = code_of(text)
        i += 1
        if code.count("(") != code.count(")") or "[&" in code or "[=" in code or "[this" in code or "R\"" in text:
            continue
        found = re.match(r"\s*(if|while|for) \(", code)
        if found:
            # As far as the parenthesis that closes it.
            depth, start, end = 1, found.end(), found.end()
            while depth and end < len(code):
                depth += {"(": 1, ")": -1}.get(code[end], 0)
                end += 1
            end -= 1
            parts = code[start:end].split(";")
            if found[1] == "for" and len(parts) == 3:
                start, end = code.index(parts[1].strip(), start + len(parts[0])), end - len(parts[2]) - 1
            elif found[1] == "for" or len(parts) > 1:
                continue
            condition = text[start:end]
            # A declaration in a condition stays.
            if not re.match(r"(const|auto|\w+ \w+ =)", condition) and " = " not in condition:
                yield Site(first, i - 1, text[:start], condition, text[end:], True)
            continue
        if re.match(r"\s*(for|switch|try|catch)\b", code) or not code.rstrip().endswith(";"):
            continue
        depths = [code[:at].count("{") - code[:at].count("}") for at in range(len(code) + 1)]
        if min(depths) < 0 or depths[-1] != 0:
            continue
        if DECLARATION.match(code) and not re.match(r"\s*(return|throw|delete)\b", code):
            continue
        indent = re.match(r"\s*", text)[0]
        yield Site(first, i - 1, indent, text[len(indent):].rstrip(), "", False)


def faults_of(lines):
    """All faults of a file, site by site."""
    for site in sites(lines):
        code = code_of(site.text)
        line = lambda at: site.first + 1 + (site.before + site.text[:at]).count("\n")
        for pattern, instead in OPERATORS:
            for found in re.finditer(pattern, code):
                values = instead if instead is not None else (found[0] + " + 1",)
                for value in values:
                    yield Fault(site, site.text[:found.start()] + value + site.text[found.end():],
                                f"'{found[0]}' becomes '{value}'" + (f" in line {line(found.start()) - site.first}"
                                                                    if site.last > site.first else ""))
        if site.condition:
            yield Fault(site, f"!({site.text})", "the condition is the opposite")
        elif not re.match(r"(return|throw)\b", code):
            yield Fault(site, ";", "the statement is gone")
        elif re.match(r"return [^{};]+;", code):
            yield Fault(site, re.sub(r"^return ", "return !(", site.text)[:-1] + ");", "the opposite is returned")


def with_faults(lines, chosen):
    """The file with the faults of {number: Fault} beside the original."""
    lines = list(lines)
    by_site = {}
    for number, fault in chosen.items():
        by_site.setdefault(fault.site.first, []).append((number, fault))
    for first, faults in by_site.items():
        site = faults[0][1].site
        if site.condition:
            text = "".join(f"mirrornic_mutant() == {number} ? bool({fault.edited}) : " for number, fault in faults)
            text = f"{site.before}{text}bool({site.text}){site.after}"
        else:
            text = site.before + "".join(f"if (mirrornic_mutant() == {number}) {{ {fault.edited} }} else "
                                         for number, fault in faults) + f"{{ {site.text} }}"
        # Each line keeps its number, for what the compiler says.
        lines[site.first] = " ".join(part.strip() for part in text.split("\n"))
        for i in range(site.first + 1, site.last + 1):
            lines[i] = ""
    return f'{CHOICE}\n#line 1 "mutated.cpp"\n' + "\n".join(lines) + "\n"


def cases_of(binary):
    """The cases of a test that are run by one process each: all, or one where the simulated board is in it."""
    if binary.name != "simulated_traffic_test":
        return [[]]
    names = subprocess.run([binary, "--list-test-names-only"], capture_output=True, text=True, check=False,
                           env={**os.environ, "SYSTEMC_DISABLE_COPYRIGHT_MESSAGE": "1"}).stdout.splitlines()
    return [[re.sub(r"([\[\],\\])", r"\\\1", name)] for name in names]


def targets(name):
    """What must be built for the tests of a file."""
    return [Path(PROGRAMS.get(test, (test, []))[0]).name for test in UNITS[name]]


def total(root):
    """How many faults all files have."""
    return sum(len(list(faults_of((root / name).read_text().splitlines()))) for name in UNITS)


class File:
    """A file with some of its faults."""

    def __init__(self, root, name):
        self.path, self.name = root / name, name
        self.lines = self.path.read_text().splitlines()
        self.every = list(faults_of(self.lines))

    def draw(self, build, count, seed):
        """{number: Fault}: so many of those that compile, or all. What does not compile is no fault."""
        alike = collections.Counter()

        def rank(fault):
            text = f"{seed} {DRAWN_AS.get(self.name, self.name)} {fault.site.text} {fault.change}"
            alike[text] += 1
            return hashlib.sha256(f"{text} {alike[text]}".encode()).digest()

        order = sorted(self.every, key=rank)
        self.chosen, spare = dict(enumerate(order[:count], 1)), order[count:]
        with tempfile.TemporaryDirectory() as folder:
            while True:
                wrong, said = self.compile(build, Path(folder), ["-fsyntax-only"])
                if not wrong and not said:
                    return self.chosen
                bad = [number for number, fault in self.chosen.items()
                       if any(fault.site.first <= line <= fault.site.last for line in wrong)]
                if not bad:  # what a fault leaves open is found elsewhere
                    bad = [number for number, fault in self.chosen.items()
                           if fault.site.last > fault.site.first or fault.site.condition]
                if not bad:
                    raise RuntimeError(f"{self.name} does not compile: {said}")
                for number in bad:
                    site = self.chosen.pop(number).site.first
                    spare = [fault for fault in spare if fault.site.first != site]
                    if spare:
                        self.chosen[number] = spare.pop(0)

    def compile(self, build, folder, options=()):
        """The lines, from 0, that the compiler refuses, and what it says."""
        entry = next(entry for entry in json.loads((build / "compile_commands.json").read_text())
                     if Path(entry["file"]) == self.path)
        source = folder / "mutated.cpp"
        source.write_text(with_faults(self.lines, self.chosen))
        arguments = shlex.split(entry["command"])
        if "ccache" in arguments[0]:
            arguments.pop(0)
        arguments = [word for word in arguments if word not in ("-Werror", "-g") and not word.startswith(("-flto", "-fno-fat"))]
        arguments[arguments.index("-o") + 1] = str(folder / "mutated.o")
        arguments[arguments.index("-c") + 1] = str(source)
        done = subprocess.run([*arguments, "-w", "-O1", "-D_GLIBCXX_ASSERTIONS", "-fmax-errors=0", f"-I{self.path.parent}", *options],
                              cwd=entry["directory"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return [], ""
        errors = re.findall(r"mutated\.cpp:(\d+):\d+: (?:fatal )?error", done.stderr)
        return ({int(line) - 1 for line in errors or re.findall(r"mutated\.cpp:(\d+):", done.stderr)}, done.stderr[-2000:])

    def build(self, build, folder):
        """The commands that run the file's tests, which are made in a folder, with its faults in them."""
        folder = Path(folder)
        _, said = self.compile(build, folder)
        if said:
            raise RuntimeError(f"{self.name} does not compile: {said}")
        (folder / "chooser.cpp").write_text(CHOOSER)
        subprocess.run(["g++", "-c", folder / "chooser.cpp", "-o", folder / "chooser.o"], check=True)
        commands = []
        for test in UNITS[self.name]:
            target, arguments = PROGRAMS.get(test, (f"tests/{test}", []))
            program = folder / Path(target).name
            command = next(line for line in reversed(subprocess.run(
                ["ninja", "-t", "commands", target], cwd=build, capture_output=True, text=True,
                check=True).stdout.splitlines()) if f" -o {target} " in line)
            # Cmake writes `: && g++ ... && what finds the tests`.
            command = command.split("&&")[1].strip()
            objects = [word for word in command.split() if word.endswith(".o")]
            for same in (word for word in objects if word.endswith(f"/{self.name}.o")):
                command = command.replace(f" {same} ", " ")
            # In front of the libraries, so that the file in them is not taken.
            command = command.replace(objects[0], f"{objects[0]} {folder}/mutated.o {folder}/chooser.o", 1)
            command = command.replace(f" -o {target} ", f" -o {program} ")
            done = subprocess.run(command, shell=True, cwd=build, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{test} does not link with faults in {self.name}: {done.stderr[-500:]}")
            if test in PROGRAMS:
                commands.append(["env", f"MIRRORNIC={program}", sys.executable, build.parent / f"tests/{test}_test.py",
                                 *arguments, "--failfast"])
            else:
                commands += [[program, "--abort", *cases] for cases in cases_of(program)]
        return commands
