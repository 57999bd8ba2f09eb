#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sizes of the offload's memories (T4), as Verilator finds them in the RTL, for the simulation that flips their bits.

usage: memory_sizes.py OUTPUT.hpp VERILATOR [ARGUMENT ...]: the arguments with which Verilator reads the whole design
"""
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

TOP = "mirror_offload"
# Offload::Memory, and what belongs to each of its words: arrays, or vectors of which each word has one bit. A star
# stands for the number of a slot.
MEMORIES = {
    "interfaces": ["lookup.interfaces.memory"],
    "filters": ["lookup.g_slot[*].filters.memory"],
    "session_limits": ["lookup.sessions.g_slot[*].memory"],
    "session_headers": ["lookup.sessions.memory"],
    "services": ["lookup.services.entries", "lookup.services.parity"],
    "delay": ["delay.ring"],
    "hold": ["hold_buffer.memory"],
    "copies": ["copies.memory"],
    "endings": ["settle.endings.memory"],
    "fates": ["settle.fates.memory"],
}


def number(constant):
    """Of 10'h3ff and the like."""
    return int(constant.get("name").split("'sh")[-1].split("'h")[-1], 16)


class Netlist:
    def __init__(self, root):
        self.modules = {module.get("name"): module for module in root.iter("module")}
        self.types = {kind.get("id"): kind for kind in root.find("netlist/typetable")}

    def shape(self, kind):
        """(words, bits) of a type; an array has a word for each element, anything else is one word."""
        kind = self.types[kind]
        if kind.tag == "unpackarraydtype":
            ends = [number(end) for end in kind.find("range").iter("const")]
            return abs(ends[0] - ends[1]) + 1, self.shape(kind.get("sub_dtype_id"))[1]
        if kind.tag != "basicdtype":
            raise SystemExit(f"memory_sizes.py: a {kind.tag} is no word of a memory")
        return 1, abs(int(kind.get("left", 0)) - int(kind.get("right", 0))) + 1

    def variables(self, module=TOP, path=""):
        """(path, (words, bits)) of every array and vector below the top."""
        def within(element, path):
            for child in element:
                if child.tag == "var":
                    kind = self.types[child.get("dtype_id")]
                    if kind.tag == "unpackarraydtype" or kind.get("left"):
                        yield path + child.get("name"), self.shape(child.get("dtype_id"))
                elif child.tag == "instance":
                    yield from self.variables(child.get("defName"), f"{path}{child.get('name')}.")
                elif child.tag == "begin":  # a loop's own block has its name in those of its rounds already
                    name = child.get("name") or ""
                    inner = f"{path}{name}." if "[" in name else path
                    yield from within(child, inner)
        yield from within(self.modules[module], path)


def sizes(variables):
    """name: (copies, words, bits)"""
    found = {}
    for name, parts in MEMORIES.items():
        for part in parts:
            form = re.compile(re.escape(part).replace(r"\*", r"\d+"))
            shapes = [shape for path, shape in variables if form.fullmatch(path)]
            if not shapes or len(set(shapes)) > 1:
                raise SystemExit(f"memory_sizes.py: the RTL has no memory {part} of one size")
            words, bits = shapes[0]
            if name in found:  # a vector beside an array
                if (words, bits) != (1, found[name][1]):
                    raise SystemExit(f"memory_sizes.py: {part} has not one bit a word")
                found[name] = (*found[name][:2], found[name][2] + 1)
            else:
                found[name] = (len(shapes), words, bits)
    return found


def main():
    output, verilator, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "design.xml"
        subprocess.run([verilator, "--xml-only", "--xml-output", listed, "--Mdir", folder, *arguments], check=True)
        found = sizes(list(Netlist(xml.parse(listed).getroot()).variables()))
    lines = ["// SPDX-License-Identifier: Apache-2.0", "// Made from the RTL by rtl/memory_sizes.py.", "#pragma once", "",
             "namespace mirrornic::memory_sizes {", "", "struct Size {",
             "    unsigned copies;  ///< of the whole memory: one a slot for filters and session limits",
             "    unsigned words, bits;", "};", ""]
    lines += [f"constexpr Size {name}{{{copies}, {words}, {bits}}};" for name, (copies, words, bits) in found.items()]
    lines += ["", "}  // namespace mirrornic::memory_sizes", ""]
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
