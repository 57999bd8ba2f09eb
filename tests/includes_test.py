#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rooms of the C++: who includes whom.

A room is a folder with a subject. A file includes headers of its own room and of the rooms that stand before it in ROOMS;
what it includes is written from the root, so that the room can be read off the line.
"""
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import environment  # noqa: E402
import mutate_cpp  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
# Each room, and the rooms that it may include; in an order in which none includes a later one.
ROOMS = {
    "driver": [],
    "driver/access": ["driver"],
    "sim": ["driver"],
    "sim/models": ["driver", "driver/access"],
    "host/base": [],
    "host/frames": ["host/base"],
    "host/account": ["driver", "host/base"],
    "host/ec2": ["host/account", "host/base"],
    "host/requests": ["driver", "host/account", "host/ec2", "host/base"],
    "host/configuration": ["driver", "host/account", "host/ec2", "host/base"],
    "host/store": ["driver/access", "host/account", "host/ec2", "host/base"],
    "host/http": ["host/base"],
    "host/access": ["host/base", "host/http"],
    "host/api": ["driver", "host/access", "host/base", "host/frames", "host/account", "host/ec2", "host/requests", "host/http"],
    "host/service": ["driver", "driver/access", "sim/models", "host/base", "host/frames", "host/account", "host/ec2",
                     "host/requests", "host/configuration", "host/store", "host/http", "host/access", "host/api"],
    "host/simulation": ["driver", "sim", "host/base", "host/frames", "host/account", "host/requests", "host/configuration",
                        "host/store", "host/api", "host/service"],
    "host/command": ["driver", "sim", "host/base", "host/requests", "host/configuration", "host/store", "host/http",
                     "host/service", "host/simulation", "driver/access"],
}
MOST_FILES = 12
GENERATED = {"register_map.hpp", "memory_sizes.hpp"}


def room_of(path):
    return str(Path(path).parent)


def wrong(path, text):
    """The includes of a file that it may not have, each with the reason."""
    found = []
    for included in re.findall(r'^#include "([^"]+\.hpp)"', text, re.MULTILINE):
        if included in GENERATED:
            continue
        room = room_of(included)
        if room not in ROOMS:
            found.append(f"{path} includes {included}, which is not written from the root")
        elif room != room_of(path) and room not in ROOMS[room_of(path)]:
            found.append(f"{path} includes {included}: {room} is not below {room_of(path)}")
    return found


class Rooms(unittest.TestCase):
    def files(self):
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "driver", "sim", "host"], cwd=ROOT, check=True,
                               capture_output=True, text=True).stdout.split()
        files = [name for name in names if name.endswith((".hpp", ".cpp"))]
        self.assertGreater(len(files), 60)
        return files

    def test_no_arrow_runs_up(self):
        for i, (room, below) in enumerate(ROOMS.items()):
            self.assertLessEqual(set(below), set(list(ROOMS)[:i]), room)

    def test_each_include_is_of_a_room_below(self):
        self.assertEqual([], [line for name in self.files() for line in wrong(name, (ROOT / name).read_text())])

    def test_each_file_is_in_a_room_and_no_room_is_too_full(self):
        rooms = [room_of(name) for name in self.files()]
        self.assertEqual(set(rooms), set(ROOMS))
        for room in ROOMS:
            self.assertLessEqual(rooms.count(room), MOST_FILES, room)

    def test_each_source_has_tests_that_must_find_its_faults_or_is_left_out(self):
        sources = {name for name in self.files() if name.endswith(".cpp")}
        self.assertEqual(sources, set(mutate_cpp.UNITS) | mutate_cpp.LEFT_OUT)
        self.assertFalse(set(mutate_cpp.UNITS) & mutate_cpp.LEFT_OUT)

    def test_the_reference_model_includes_nothing_of_ours(self):
        for name in ("sim/models/reference_model.hpp", "sim/models/reference_model.cpp"):
            included = set(re.findall(r'#include "([^"]+)"', (ROOT / name).read_text()))
            self.assertEqual(included, {"sim/models/reference_model.hpp"} if name.endswith("cpp") else set(), name)

    def test_the_document_has_the_same_table(self):
        text = (ROOT / "docs/architecture.md").read_text()
        rows = dict(re.findall(r"^\| `([a-z0-9/]+)` \| .* \| ([^|]+) \|$", text.split("## Threads")[0], re.MULTILINE))
        told = {room: set(ROOMS) - {room} if cell == "all of the above" else set(re.findall(r"`([^`]+)`", cell))
                for room, cell in rows.items()}
        self.assertEqual(told, {room: set(below) for room, below in ROOMS.items()})

    def test_what_is_wrong_is_found(self):
        self.assertEqual(1, len(wrong("driver/plan.cpp", '#include "host/base/json_text.hpp"\n')))
        self.assertEqual(1, len(wrong("host/ec2/replies.cpp", '#include "host/requests/request_service.hpp"\n')))
        self.assertEqual(1, len(wrong("sim/board.cpp", '#include "offload.hpp"\n')))
        self.assertEqual([], wrong("host/ec2/replies.cpp", '#include "host/base/json_text.hpp"\n#include "host/ec2/replies.hpp"\n'))


if __name__ == "__main__":
    os.chdir(ROOT)
    environment.main()
