#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes of registers.toml: the RTL's package, the driver's header and the register reference.

usage: registers.py registers.toml {sv|hpp|md} OUTPUT
sv: beside OUTPUT, sizes.svh is written too, the table sizes for package offload.
"""
import hashlib
import itertools
import re
import sys
import tomllib
from pathlib import Path


class Register:
    def __init__(self, raw, names):
        self.name = raw["name"]
        self.address = raw["address"]
        self.access = raw["access"]
        self.text = raw["text"]
        self.reset = raw.get("reset", 0)
        self.array = [(names[c] if isinstance(c, str) else c, s) for c, s in raw.get("array", [])]
        fields = raw.get("fields")
        self.whole = fields is None  # one field of 32 bits
        self.fields = [Field(f, names) for f in fields or []]
        self.mask = 0xFFFFFFFF if self.whole else sum(f.mask for f in self.fields)
        self.last_mask = self.mask & (1 << raw.get("last_bits", 32)) - 1
        *_, (_, self.last) = self.places()

    def places(self):
        """(index tuple, address) of every element."""
        for index in itertools.product(*[range(count) for count, _ in self.array]):
            yield index, self.address + sum(i * s for i, (_, s) in zip(index, self.array))


class Field:
    def __init__(self, raw, names):
        self.name = raw["name"]
        self.high, self.low = raw["bits"]
        self.width = self.high - self.low + 1
        self.full = (1 << self.width) - 1
        self.mask = self.full << self.low
        limit = raw.get("max", self.full)
        self.max = eval(limit, {}, dict(names)) if isinstance(limit, str) else limit
        self.min = raw.get("min", 0)
        self.text = raw.get("text", "")
        assert self.max <= self.full, self.name


def check_sizes(sizes, allowed):
    """Exits with a sentence for each size that the modules are not made for."""
    refused = [f"the size {name} is missing" for name in allowed if name not in sizes]
    for name, value in sizes.items():
        if name not in allowed:
            refused.append(f"{name} is no size; the sizes are {', '.join(allowed)}")
            continue
        least, most = allowed[name]
        right = type(value) is int and least <= value <= most and (value & (value - 1) == 0 or least == most)
        if not right:
            may = f"{least} alone" if least == most else f"a power of two from {least} to {most}"
            refused.append(f"{name} = {value} is not allowed; it may be {may}")
    if refused:
        sys.exit("\n".join(f"registers.py: {sentence}" for sentence in refused))


class Map:
    def __init__(self, path):
        source = Path(path).read_bytes()
        raw = tomllib.loads(source.decode())
        self.hash = int.from_bytes(hashlib.sha256(source).digest()[:4], "big")
        self.magic, self.version = raw["magic"], raw["version"]
        self.sizes, self.allowed = raw["sizes"], raw["allowed"]
        self.reasons, self.lists = raw["reasons"], raw["lists"]
        check_sizes(self.sizes, self.allowed)
        self.faults = raw["faults"]
        names = dict(self.sizes, counters=len(self.lists["counter"]),
                     session_counters=len(self.lists["session_counter"]))
        self.registers = sorted((Register(r, names) for r in raw["register"]),
                                key=lambda r: r.address)
        taken = {}
        for register in self.registers:
            for index, address in register.places():
                clash = taken.setdefault(address, register.name)
                assert address % 4 == 0 and address < 0x2000, register.name
                assert clash == register.name and list(taken.values()).count(clash) >= 1, \
                    f"{register.name}{index} and {clash} are both at {address:#x}"
        self.places = taken


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def in_register(register, address="address"):
    """SystemVerilog condition: the address lies in the register (or one of its elements)."""
    strides = [s for _, s in register.array]
    clear = 0
    bounds = []
    for count, stride in register.array:
        span = 1 << max(count - 1, 0).bit_length()
        field = (span - 1) * stride
        base = register.address & field
        if base or clear & field:  # not aligned to its span
            return any_of_array(register, address)
        clear |= field
        if span != count:
            shift = stride.bit_length() - 1
            bounds.append(f"{address}[{shift + span.bit_length() - 2}:{shift}] < {count}")
    assert all(s & (s - 1) == 0 for s in strides)
    keep = 0x1FFF & ~clear
    terms = [f"({address} & 13'h{keep:04x}) == 13'h{register.address:04x}"] + bounds
    return " && ".join(terms)


def any_of_array(register, address):
    """As above for an innermost array that is not aligned; outer ones must be."""
    *outer, (count, stride) = register.array
    clear = 0
    for n, s in outer:
        span = 1 << (n - 1).bit_length()
        assert span == n and not register.address & ((span - 1) * s), register.name
        clear |= (span - 1) * s
    assert stride in (4, 8)
    keep = 0x1FFF & ~clear
    # One by one: a comparison of the order would be a chain of carries.
    places = [f"({address} & 13'h{keep:04x}) == 13'h{register.address + i * stride:04x}" for i in range(count)]
    return "(" + " || ".join(places) + ")"


def spans(lines):
    """Aligned power-of-two pieces, (first, count), of an ascending list of line numbers."""
    lines, pieces = set(lines), []
    while lines:
        first, count = min(lines), 1
        while first % (2 * count) == 0 and lines.issuperset(range(first, first + 2 * count)):
            count *= 2
        pieces.append((first, count))
        lines.difference_update(range(first, first + count))
    return pieces


def in_line(first, count):
    """SystemVerilog condition: the number lies in the piece."""
    return f"(line & 7'h{0x7f & ~(count - 1):02x}) == 7'h{first:02x}"


def size_constants(m):
    return [f"localparam int {camel(name)} = {value};" for name, value in m.sizes.items()]


def svh(m):
    return "\n".join(["// SPDX-License-Identifier: Apache-2.0", "// Made from registers.toml: table sizes.",
                      *size_constants(m), ""])


def sv(m):
    out = ["// SPDX-License-Identifier: Apache-2.0",
           "// Made from registers.toml: addresses, sizes, limits.", "package map;"]
    for name, value in [("Magic", m.magic), ("Version", m.version), ("Hash", m.hash)]:
        out.append(f"    localparam logic [31:0] {name} = 32'h{value:08x};")
    out += [f"    {line}" for line in size_constants(m)]
    out += [f"    localparam int {camel(name)}{end} = {value};" for name, ends in m.allowed.items()
            for end, value in zip(("Least", "Most"), ends)]
    for name, value in m.reasons.items():
        out.append(f"    localparam logic [3:0] Reason{camel(name)} = {value};")
    for name, value in m.faults.items():
        out.append(f"    localparam logic [2:0] Fault{camel(name)} = {value};")
    for kind, names in m.lists.items():
        out.append(f"    localparam int {camel(kind)}s = {len(names)};")
        out += [f"    localparam int {camel(kind)}{camel(n)} = {i};" for i, n in enumerate(names)]
    for r in m.registers:
        out.append(f"    localparam logic [12:0] A{camel(r.name)} = 13'h{r.address:04x};")
        for f in r.fields:
            out.append(f"    localparam int {camel(r.name)}{camel(f.name)}Lsb = {f.low};")
        if isinstance(r.reset, int) and r.reset:
            out.append(f"    localparam logic [31:0] {camel(r.name)}Reset = 32'h{r.reset:08x};")
    out += ["", "    // Why the register at an address refuses a value, 0 if it does not (T5).",
            "    function automatic logic [3:0] refusal(input logic [12:0] address, input logic [31:0] value);",
            "        logic known, read_only, reserved, beyond;",
            "        {known, read_only, reserved, beyond} = '0;"]
    for r in m.registers:
        out.append(f"        if ({in_register(r)}) begin")
        out.append("            known = 1'b1;")
        if r.access == "ro":
            out.append("            read_only = 1'b1;")
        else:
            for f in r.fields:
                part = f"value[{f.high}:{f.low}]" if f.width > 1 else f"value[{f.low}]"
                if f.max != f.full:
                    out.append(f"            if ({part} > {f.width}'d{f.max}) beyond = 1'b1;")
                if f.min:
                    out.append(f"            if ({part} < {f.width}'d{f.min}) beyond = 1'b1;")
            if r.mask != 0xFFFFFFFF:
                out.append(f"            if ((value & 32'h{0xFFFFFFFF & ~r.mask:08x}) != 0) reserved = 1'b1;")
            if r.last_mask != r.mask:
                out.append(f"            if (address == 13'h{r.last:04x} && "
                           f"(value & 32'h{0xFFFFFFFF & ~r.last_mask:08x}) != 0) reserved = 1'b1;")
        out.append("        end")
    out += ["        refusal = !known ? ReasonUnmapped : read_only ? ReasonReadOnly : reserved ? ReasonReservedBits :",
            "                  beyond ? ReasonOutOfRange : 4'd0;", "    endfunction", ""]
    for name, registers in (("mapped", m.registers), ("writable", [r for r in m.registers if r.access != "ro"])):
        out += [f"    function automatic logic {name}(input logic [12:0] address);", f"        {name} = 1'b0;"]
        out += [f"        if ({in_register(r)}) {name} = 1'b1;" for r in registers]
        out += ["    endfunction", ""]
    lines = sorted({place >> 6 for place in m.places})
    out += ["    // Whether a line of 64 bytes has a register: its other addresses are holes (T5).",
            "    function automatic logic has_registers(input logic [6:0] line);",
            f"        has_registers = {' || '.join(in_line(*span) for span in spans(lines))};", "    endfunction", "",
            "endpackage", ""]
    return "\n".join(out)


def hpp(m):
    out = ["// SPDX-License-Identifier: Apache-2.0", "// Made from rtl/registers.toml.", "#pragma once", "",
           "#include <cstdint>", "", "namespace mirrornic::registers {", ""]
    for name, value in [("magic", m.magic), ("version", m.version), ("hash", m.hash)]:
        out.append(f"constexpr std::uint32_t {name}_value = {value:#010x};")
    out += ["", "namespace sizes {"]
    out += [f"constexpr std::uint32_t {n} = {v};" for n, v in m.sizes.items()]
    out += ["}", "", "enum class Reason : std::uint8_t {", "    none = 0,"]
    out += [f"    {n} = {v}," for n, v in m.reasons.items()] + ["};"]
    out += ["", "/// FAULT.place", "enum class Fault : std::uint8_t {"]
    out += [f"    {n} = {v}," for n, v in m.faults.items()] + ["};"]
    for kind, names in m.lists.items():
        out += ["", f"enum class {camel(kind)} : std::uint32_t {{"]
        out += [f"    {n} = {i}," for i, n in enumerate(names)] + ["};"]
        out.append(f"constexpr std::uint32_t {kind}_count = {len(names)};")
    out += ["", "/// Bits of a field: value << low, at most max.",
            "struct Field {", "    unsigned low, width;", "    std::uint32_t min, max;",
            "    constexpr std::uint32_t operator()(std::uint32_t value) const { return value << low; }",
            "    constexpr std::uint32_t of(std::uint32_t word) const {",
            "        return (word >> low) & (width == 32 ? ~0u : (1u << width) - 1);", "    }", "};"]
    for r in m.registers:
        args = ", ".join(f"std::uint32_t {n}" for n in "ijk"[:len(r.array)])
        sum_ = " + ".join([f"{r.address:#06x}u"] +
                          [f"{n} * {s}u" for n, (_, s) in zip("ijk", r.array)])
        out += ["", f"/// {r.text}", f"namespace {r.name} {{",
                f"constexpr std::uint32_t address({args}) {{ return {sum_}; }}"]
        if isinstance(r.reset, int):
            out.append(f"constexpr std::uint32_t reset = {r.reset:#010x};")
        out += [f"constexpr Field {f.name}{{{f.low}, {f.width}, {f.min}, {f.max}}};" for f in r.fields]
        out.append("}")
    out += ["", "/// Every register, for a walk over the map.",
            "enum class Access : std::uint8_t { ro, rw, wo, w1c };",
            "struct Place {", "    std::uint32_t address;", "    Access access;",
            "    std::uint32_t writable;   ///< bits of some field", "    bool has_reset;",
            "    std::uint32_t reset;      ///< where it does not depend on what happens",
            "    const char* name;", "};", "constexpr Place places[] = {"]
    for r in m.registers:
        for index, address in r.places():
            has = isinstance(r.reset, int) or r.reset in ("magic", "version", "hash", "sizes")
            value = {"magic": m.magic, "version": m.version, "hash": m.hash}.get(r.reset, r.reset)
            if r.reset == "sizes":
                value = list(m.sizes.values())[index[0]]
            out.append(f"    {{{address:#06x}, Access::{r.access}, "
                       f"{r.last_mask if address == r.last else r.mask:#010x}, "
                       f"{'true' if has else 'false'}, {value if has else 0}u, "
                       f"\"{r.name}{''.join(f'[{i}]' for i in index)}\"}},")
    out += ["};", "constexpr std::uint32_t end_address = 0x2000;  ///< of the map, in bytes",
            "", "static_assert(magic::address() == 0 && version::address() == 4 && map_hash::address() == 8,",
            "              \"a driver of any version finds the identity at the start\");",
            "static_assert(sizes::interfaces <= 0xffff && sizes::sessions <= 0x10000 && sizes::filters <= 0x10000,",
            "              \"indices are 16 bits\");", "}  // namespace mirrornic::registers", ""]
    return "\n".join(out)


def md(m):
    out = ["# Register reference", "", f"Version {m.version >> 16}.{m.version & 0xffff}, map hash `{m.hash:08x}`. "
           "AXI4-Lite, 32-bit registers, byte addresses. Made from `rtl/registers.toml`.", "",
           "Access: ro read only, rw read and write, wo write only (reads 0), w1c write one to clear. "
           "A refused write changes nothing, answers SLVERR and is kept in `error_address` and `error_reason` (T5).", "",
           "The line port writes the 16 registers of an aligned 64 bytes at once, those whose strobes are set. An address "
           "without a register in a line that has some is a hole: 0 may be written there, on both ports. In a line with a "
           "writable register 0 may be written to those that are read only. If one register is refused, so is the whole "
           "line; there is no response, but the same record of the error, with the address of the lowest register "
           "that is refused. In a line, `filter_clear` acts before `filter_flags`, and `source_ports` before `commit`.",
           ""]
    for r in m.registers:
        where = f"`{r.address:#06x}`" + "".join(f" + {s:#x} × {n} (0..{c - 1})"
                                               for n, (c, s) in zip("ijk", r.array))
        out += [f"## {r.name}", "", f"{where}, {r.access}" +
                (f", reset `{r.reset:#x}`" if isinstance(r.reset, int) else ""), "", r.text, ""]
        if r.fields:
            out += ["| bits | field | range | |", "|---|---|---|---|"]
            out += [f"| {f.high}..{f.low} | {f.name} | {f.min}..{f.max} | {f.text} |" if f.width > 1 else
                    f"| {f.low} | {f.name} | | {f.text} |" for f in r.fields] + [""]
        if r.name in m.lists:
            out += ["| index | counter |", "|---|---|"]
            out += [f"| {i} | {n} |" for i, n in enumerate(m.lists[r.name])] + [""]
    out += ["## Reasons", "", "| value | reason |", "|---|---|"]
    out += [f"| {v} | {n} |" for n, v in m.reasons.items()] + [""]
    return "\n".join(out)


def main():
    if len(sys.argv) != 4 or sys.argv[2] not in ("sv", "hpp", "md"):
        sys.exit(__doc__)
    m = Map(sys.argv[1])
    text = {"sv": sv, "hpp": hpp, "md": md}[sys.argv[2]](m)
    output = Path(sys.argv[3])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(re.sub(r"[ \t]+\n", "\n", text))
    if sys.argv[2] == "sv":
        (output.parent / "sizes.svh").write_text(svh(m))


if __name__ == "__main__":
    main()
