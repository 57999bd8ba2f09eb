#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proofs about the RTL by model checking, with Debian's Yosys and ABC alone.

    prove.py [--json FILE] [--keep FOLDER] [NAME ...]

Each proof is a module `proof` in proofs/NAME.sv that holds the modules under test, its assumptions, its assertions and
one cover. Yosys makes an AIGER of it; ABC's pdr shows that no assertion can ever fail, or bmc3 that none does in so
many cycles from reset and ind that none does behind as many cycles in which none did. A proof counts only if its cover
is reached and each of its mutants (a bug put into the RTL) is found, in the same set-up and in the same run: that is how
an assumption too many or an input that became constant would show. What only helps an induction stands behind HELPERS,
and no mutant is found by it.

Exit status 1: a proof failed, a mutant lived, a cover was not reached, or an engine ran out of its time.
"""
import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
RTL = HERE.parent / "rtl"
SHARED = "no_flips", "one_cause"  # modules of several proofs, in proofs/

# Turns each cover into an assertion that fails when it is reached.
COVER_MAP = "module \\$cover (input A, input EN); \\$assert _TECHMAP_REPLACE_ (.A(!A), .EN(EN)); endmodule\n"

# The proof's modules as one AIGER. Outputs would become properties; what nothing drives is free, not constant.
SCRIPT = """
read_verilog -sv -I{include} {formal} {files}
read_verilog -sv -formal {helpers} {proof}
{cone}
hierarchy -check -top proof
proc
flatten
opt_expr
opt_clean
{keep}
async2sync
memory_map -formal
setundef -undriven -anyseq
delete -output
opt -fast
techmap
opt -fast
dffunmap
setundef -undriven -anyseq
aigmap
opt_clean
write_aiger -symbols -I -B -zinit -no-startoffset {aiger}
"""
ASSERTIONS = "chformal -cover -remove"
COVERS = "chformal -assert -remove\ntechmap -map {map}\nopt_clean"


@dataclass
class Proof:
    name: str                 # of the file in proofs/
    rules: str
    shows: str
    files: list               # of the RTL or SHARED, without .sv
    mutants: list             # (what, file, old text, new text)
    steps: int = 0            # in the place of pdr: induction over so many cycles, of which bmc3 shows the first ones
    sizes: dict = field(default_factory=dict)      # instead of the register map's
    constants: dict = field(default_factory=dict)  # instead of those of package offload
    edits: list = field(default_factory=list)      # (file, old text, new text) that reduce the RTL
    reduced: str = "none"     # to what, in words
    reach: int = 40           # cycles within which the cover is reached and the mutants are found; 0: no cycles
    seconds: int = 60         # of processor time for an engine
    before: str = "strash"    # what ABC does before the engine
    own: bool = True          # the modules' own assertions (FORMAL) belong to the proof
    cone: Path = None         # a module that Yosys has made already


class Failed(Exception):
    pass


def replaced(text, old, new, where):
    if old not in text:
        raise Failed(f"{where} does not have the text that the proof changes: {old}")
    return text.replace(old, new)


def constants(text, values, where):
    for name, value in values.items():
        text, count = re.subn(rf"(localparam int {name} = )[^;]+;", rf"\g<1>{value};", text)
        if count != 1:
            raise Failed(f"{where} has no constant {name}")
    return text


def sources(proof, mutant, folder):
    """The files that Yosys reads, reduced, with the mutant in them."""
    map_sv = folder / "map.sv"
    subprocess.run([sys.executable, RTL / "registers.py", RTL / "registers.toml", "sv", map_sv], check=True)
    for file in (map_sv, folder / "sizes.svh"):
        file.write_text(constants(file.read_text(), proof.sizes, "the register map"))
    # Proofs run at sizes that are not allowed else.
    least = {f"{name}Least": size for name, size in proof.sizes.items()}
    map_sv.write_text(constants(map_sv.read_text(), least, "the register map"))
    files = [map_sv]
    for name in ["offload", *proof.files]:
        text = ((HERE / "proofs" if name in SHARED else RTL) / f"{name}.sv").read_text()
        if name == "offload":
            text = constants(text, proof.constants, "package offload")
        changes = [edit for edit in proof.edits if edit[0] == name]
        if mutant and mutant[1] == name:
            changes.insert(0, mutant[1:])
        for _, old, new in changes:
            text = replaced(text, old, new, f"{name}.sv")
        files.append(folder / f"{name}.sv")
        files[-1].write_text(text)
    return files


def run(command, seconds, log):
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=limit)
    log.write_text(done.stdout)
    return done


def aiger(proof, mutant, keep, helpers, folder):
    cover_map = folder / "cover.v"
    cover_map.write_text(COVER_MAP)
    output = folder / "proof.aig"
    script = folder / "script.ys"
    script.write_text(SCRIPT.format(formal="-formal" if proof.own else "",
                                    helpers="-D HELPERS" if helpers else "",
                                    proof=HERE / "proofs" / f"{proof.name}.sv",
                                    include=folder, files=" ".join(map(str, sources(proof, mutant, folder))),
                                    cone=f"read_rtlil {proof.cone}" if proof.cone else "",
                                    keep=keep.format(map=cover_map), aiger=output))
    done = run(["yosys", "-s", script], 600, folder / "yosys.log")
    if done.returncode != 0:
        raise Failed("Yosys: " + "\n".join(line for line in done.stdout.splitlines() if "ERROR" in line))
    # Constants out of range and the like; that a memory is read where it was not written is meant.
    warnings = {line for line in done.stdout.splitlines() if "Warning:" in line}
    if warnings:
        raise Failed("Yosys: " + "\n".join(sorted(warnings)[:10]))
    return output


def check(proof, mutant, keep, bound, folder):
    """To `bound` cycles, or for ever if that is 0. Gives ("proved" | "failed" | "held" | "open", cycles)."""
    inductive = bound == 0 and proof.steps > 0
    bound = bound or proof.steps
    engine = "pdr" if bound == 0 else f"bmc3 -F {bound} -T {proof.seconds}"
    if inductive:
        engine += f"; ind -F {bound}"
    command = f"read_aiger {aiger(proof, mutant, keep, inductive, folder)}; fold; orpos; {proof.before}; print_stats; {engine}"
    done = run(["yosys-abc", "-c", command], proof.seconds + 5, folder / "abc.log")
    if found := re.search(r"was asserted in frame (\d+)", done.stdout):
        return "failed", int(found[1])
    held = re.search(r"No output (?:asserted|failed) in (\d+) frames", done.stdout)
    reached = int(held[1]) if held else 0
    if inductive:
        return "proved" if reached >= bound and "Networks are equivalent" in done.stdout else "open", reached
    # What rewriting has shown to be constant needs no engine.
    if re.search(r"Property proved|is UNSAT|Networks are equivalent", done.stdout):
        return "proved", 0
    return "held" if held and reached >= bound else "open", reached


# Production (P1): the whole offload, cut down to what its production outputs are made of. All in one run of Yosys, for
# reading takes most of the time; a mutant replaces the top alone.
CONES_BEGIN = """
read_verilog -sv -I{include} {files}
hierarchy -check -top mirror_offload
proc
opt_expr
opt_clean
design -save whole
"""
CONE = """
{change}
flatten
setattr -unset keep w:*
delete -output mirror_offload/o:* mirror_offload/o:m_axis_forward_* %d mirror_offload/o:s_axis_tready %d
opt_clean -purge
tee -q -o {folder}/cells select -list t:*
tee -q -o {folder}/inputs select -list mirror_offload/i:* mirror_offload/t:* %ci %i
rename mirror_offload cone
write_rtlil {folder}/cone.il
"""
CHANGE = """
design -load whole
read_verilog -sv -I{include} -overwrite {files}
hierarchy -check -top mirror_offload
proc
opt_expr
opt_clean
"""
PRODUCTION_INPUTS = {"clk", "rst", "s_axis_tvalid", "s_axis_tdata", "s_axis_tkeep", "s_axis_tlast", "s_axis_tuser",
                     "m_axis_forward_tready"}


def production_cones(proof, folder):
    """For the RTL and for each mutant: a folder with the cone, its cells and its inputs."""
    files = sources(proof, None, folder)
    script = CONES_BEGIN.format(include=folder, files=" ".join(map(str, files)))
    folders = []
    for i, mutant in enumerate([None, *proof.mutants]):
        folders.append(folder / f"cone{i}")
        folders[-1].mkdir(exist_ok=True)
        change = ""
        if mutant:
            changed = folders[-1] / "mirror_offload.sv"
            changed.write_text(replaced((RTL / "mirror_offload.sv").read_text(), *mutant[2:], "mirror_offload.sv"))
            # With the packages, and with the modules that the top gives parameters to.
            again = [*files[:2], *(file for file in files if re.search(r"^module \w+ #", file.read_text(), re.M))]
            change = CHANGE.format(include=folder, files=" ".join(map(str, [*again, changed])))
        script += CONE.format(change=change, folder=folders[-1])
    (folder / "cones.ys").write_text(script)
    done = run(["yosys", "-s", folder / "cones.ys"], 600, folder / "cones.log")
    if done.returncode != 0:
        raise Failed("Yosys: " + "\n".join(line for line in done.stdout.splitlines() if "ERROR" in line))
    return folders


def strangers(folder):
    """Cells outside the forward register and inputs that are not production's, in a cone."""
    cells = [line.split("/", 1)[1] for line in (folder / "cells").read_text().split()]
    inputs = [line.split("/", 1)[1] for line in (folder / "inputs").read_text().split()]
    if not cells or not inputs:
        raise Failed("the cone of production is empty")
    return [name for name in cells if not re.match(r"\$flatten\\forward\.", name)] + \
           [name for name in inputs if name not in PRODUCTION_INPUTS]


def prove_production(proof, folder):
    cones = production_cones(proof, folder)
    found = {"proof": ("failed", 0) if strangers(cones[0]) else None, "cover": None, "mutants": []}
    models = []
    for cone in cones:
        models.append(replace(proof, files=[], cone=cone / "cone.il"))
    (folder / "cover").mkdir(exist_ok=True)
    found["proof"] = found["proof"] or check(models[0], None, ASSERTIONS, 0, cones[0])
    found["cover"] = check(models[0], None, COVERS, proof.reach, folder / "cover")
    for model, cone, (_, how, *_) in zip(models[1:], cones[1:], proof.mutants):
        if not strangers(cone):
            found["mutants"].append(("held", 0))
        else:
            found["mutants"].append(check(model, None, ASSERTIONS, proof.reach, cone) if how == "miter" else ("failed", 0))
    return found


def prove(proof, folder):
    """What the engine says of the proof, of its cover and of each mutant."""
    if proof.name == "production":
        return prove_production(proof, folder)
    for part in ["proof", "cover", *map(str, range(len(proof.mutants)))]:
        (folder / part).mkdir(exist_ok=True)
    return {"proof": check(proof, None, ASSERTIONS, 0, folder / "proof"),
            "cover": check(proof, None, COVERS, proof.reach, folder / "cover"),
            "mutants": [check(proof, mutant, ASSERTIONS, proof.reach, folder / str(i))
                        for i, mutant in enumerate(proof.mutants)]}


RESULTS = {"proved": "for ever", "failed": "FAILED in cycle {}", "open": "NOT DECIDED, {} cycles"}


def report(proof, folder):
    """Runs one proof and prints its line; gives it as the JSON has it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    problems = []
    found = {"proof": ("open", 0), "cover": ("open", 0), "mutants": []}
    try:
        found = prove(proof, folder)
        if found["proof"][0] != "proved":
            problems.append("an assertion fails" if found["proof"][0] == "failed" else
                            f"the engine did not come to an end in {proof.seconds} seconds")
        if found["cover"][0] != "failed":
            problems.append("the cover is not reached")
        problems += [f"the mutant lives: {mutant[0]}"
                     for mutant, (result, _) in zip(proof.mutants, found["mutants"]) if result != "failed"]
    except Failed as error:
        problems.append(str(error))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result, cycles = found["proof"]
    line = {
        "name": proof.name, "rules": proof.rules, "shows": proof.shows,
        "engine": "ind" if proof.steps else "pdr",
        "result": result, "cycles": cycles, "reduced": proof.reduced, "cover_in_cycle": found["cover"][1],
        "mutants": [{"what": mutant[0], "found_in_cycle": cycle if result == "failed" else None}
                    for mutant, (result, cycle) in zip(proof.mutants, found["mutants"])],
        "processor_seconds": round(seconds, 1), "problems": problems,
    }
    print(f"{proof.name:16} {line['engine']:5} {RESULTS[result].format(cycles):22} {len(proof.mutants)} mutants  "
          f"{seconds:7.1f} s   {proof.rules}", flush=True)
    for problem in problems:
        print(f"    {problem}", flush=True)
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave models and logs there")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    unknown = set(options.names) - {proof.name for proof in PROOFS}
    if unknown:
        sys.exit(f"There is no proof {', '.join(sorted(unknown))}; there are: "
                 f"{', '.join(proof.name for proof in PROOFS)}.")
    chosen = [proof for proof in PROOFS if not options.names or proof.name in options.names]
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        for proof in chosen:
            folder = (options.keep or Path(temporary)) / proof.name
            folder.mkdir(parents=True, exist_ok=True)
            lines.append(report(proof, folder))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(lines, indent=2) + "\n")
    failed = [line["name"] for line in lines if line["problems"]]
    print(f"{len(lines) - len(failed)} of {len(lines)} hold" + (f"; not: {', '.join(failed)}" if failed else ""))
    return 1 if failed or not lines else 0


# Every word that is read has a flipped bit, or none, at any place.
FLIP = ("    (* anyseq *) logic [CheckBits+Width-1:0] flip;\n"
        "    always_comb assume ((flip & (flip - 1'b1)) == '0);\n")
FLIPS = [
    ("fifo", "logic raw_valid, fetch, take, flipped;",
     "logic raw_valid, fetch, take, flipped;\n" + FLIP),
    ("fifo", "raw     <= memory[fetched[Bits-1:0]];", "raw     <= memory[fetched[Bits-1:0]] ^ flip;"),
]


def counters(bits):
    """Counters of so many bits, led out, and their late resets."""
    return [
        ("counters", "64'", f"{bits}'"), ("counters", "[63:0]", f"[{bits - 1}:0]"),
        ("counters", "    input  logic                           snapshot,",
         "    input  logic                           snapshot,\n"
         f"    output logic [{bits}*map::Counters-1:0] every_live,\n"
         f"    output logic [{bits}*map::Counters-1:0] every_frozen,\n"
         "    output logic [1:0] resets,"),
        ("counters", "    assign value       = frozen[index];",
         "    assign value       = '0;\n"
         "    assign resets      = {later_rst, late_rst};\n"
         "    for (genvar i = 0; i < map::Counters; i++) begin : g_every\n"
         f"        assign every_live[{bits}*i +: {bits}]   = live[i];\n"
         f"        assign every_frozen[{bits}*i +: {bits}] = frozen[i];\n"
         "    end"),
    ]


# What is inside a queue, led out.
INSIDE = [
    ("fifo", "    output logic             corrected ",
     "    output logic [5:0] inside,\n    output logic [5:0] sum,\n    output logic filled,\n    output logic within,\n"
     "    output logic             corrected "),
    ("fifo", "    assign take  = raw_valid",
     "    logic [Bits:0] count;\n"
     "    logic [Bits-1:0] place;\n"
     "    assign count  = written - fetched;\n"
     "    assign within = count <= (Bits + 1)'(Depth);\n"
     "    assign inside = 6'(count) + 6'(raw_valid) + 6'(out_valid);\n"
     "    always_comb begin\n"
     "        sum    = (raw_valid ? 6'(raw[Width-1:0]) : '0) + (out_valid ? 6'(out_word) : '0);\n"
     "        filled = (!raw_valid || raw[Width-1:0] != '0) && (!out_valid || out_word != '0);\n"
     "        for (int i = 0; i < Depth; i++) begin\n"
     "            place = fetched[Bits-1:0] + Bits'(i);\n"
     "            if (i < 32'(count)) begin\n"
     "                sum = sum + 6'(memory[place][Width-1:0]);\n"
     "                if (memory[place][Width-1:0] == '0) filled = 1'b0;\n"
     "            end\n"
     "        end\n"
     "    end\n"
     "    assign take  = raw_valid"),
    ("hold_buffer", "    output logic                            corrected ",
     "    output logic [5:0] open,\n    output logic [5:0] closed,\n    output logic [5:0] shown,\n"
     "    output logic                            corrected "),
    ("hold_buffer", "    assign take  = raw_valid",
     "    logic [Bits:0] ahead, behind, last;\n"
     "    assign ahead  = visible - fetched;\n"
     "    assign behind = start - visible;\n"
     "    assign last   = next - start;\n"
     "    assign open   = 6'(last);\n"
     "    assign closed = 6'(behind);\n"
     "    assign shown  = 6'(ahead) + 6'(raw_valid) + 6'(out_valid);\n"
     "    assign take  = raw_valid"),
    ("settle", "    output logic                            pass_settled, ",
     "    output logic [5:0] endings_inside,\n    output logic [5:0] fates_inside,\n    output logic [1:0] within,\n"
     "    output logic                            pass_settled, "),
    ("settle", "        .corrected(corrected[0])", "        .inside(endings_inside), .within(within[0]), .corrected(corrected[0])"),
    ("settle", "        .corrected(corrected[1])", "        .inside(fates_inside), .within(within[1]), .corrected(corrected[1])"),
]

# The lookup's tables, led out, entry 0 lowest.
TABLES = [
    ("interface_table", "    output logic                              ready\n",
     "    output logic                              ready,\n"
     "    output logic [map::Interfaces*($bits(write_word)+8)-1:0] contents\n"),
    ("interface_table", "    assign ready    =",
     "    assign contents = {memory[3], memory[2], memory[1], memory[0]};\n    assign ready    ="),
    ("filter_table", "    output logic                            out_faulty\n",
     "    output logic                            out_faulty,\n"
     "    output logic [2*map::Filters*offload::FilterWidth-1:0] contents\n"),
    ("filter_table", "    list_parity parity",
     "    assign contents = {memory[3], memory[2], memory[1], memory[0]};\n    list_parity parity"),
    ("session_table", "    output logic                                         outer_corrected\n",
     "    output logic                                         outer_corrected,\n"
     "    output logic [map::Slots*map::Sessions*(offload::CutWidth+4)-1:0] cuts,\n"
     "    output logic [map::Sessions-1:0] vnis\n"),
    ("session_table", "        assign cut_faulty[i] =",
     "        assign cuts[i*2*(offload::CutWidth+4) +: 2*(offload::CutWidth+4)] = {memory[1], memory[0]};\n"
     "        assign cut_faulty[i] ="),
    ("session_table", "    logic outer_valid;\n",
     "    logic outer_valid;\n"
     "    offload::outer_t outer0, outer1;\n"
     "    assign outer0 = memory[0][$bits(outer)-1:0];\n"
     "    assign outer1 = memory[1][$bits(outer)-1:0];\n"
     "    assign vnis = {outer1.vni[0], outer0.vni[0]};\n"),
    ("lookup", "    output logic                             busy\n",
     "    output logic                             busy,\n"
     "    output logic [map::Interfaces*($bits(staged_interface)+8)-1:0] interface_memory,\n"
     "    output logic [map::Slots*2*map::Filters*offload::FilterWidth-1:0] filter_memory,\n"
     "    output logic [map::Slots*map::Sessions*(offload::CutWidth+4)-1:0] cut_memory,\n"
     "    output logic [map::Sessions-1:0] vni_memory\n"),
    ("lookup", ".out_faulty(interface_faulty), .ready\n", ".out_faulty(interface_faulty), .ready, .contents(interface_memory)\n"),
    ("lookup", ".out_faulty(filter_faulty[i])\n",
     ".out_faulty(filter_faulty[i]),\n"
     "            .contents(filter_memory[i*2*map::Filters*offload::FilterWidth +: 2*map::Filters*offload::FilterWidth])\n"),
    ("lookup", ".outer_corrected(session_faulty[map::Slots])\n",
     ".outer_corrected(session_faulty[map::Slots]), .cuts(cut_memory), .vnis(vni_memory)\n"),
]


PROOFS = [
    Proof("production", "P1",
          "the cells behind m_axis_forward_* and s_axis_tready are those of one stream register and have no input but "
          "production's; two offloads with the same production and anything at all on their other inputs never differ "
          "there",
          (RTL / "filelist.f").read_text().replace(".sv", "").split()[1:],
          [("beats wait for room in the hold buffer", "cells", ".in_valid(s_axis_tvalid), .in_ready",
            ".in_valid(s_axis_tvalid && room), .in_ready"),
           ("tlast is mixed with the mirror's ready", "miter", "s_axis_tuser, s_axis_tlast, s_axis_tkeep",
            "s_axis_tuser, s_axis_tlast ^ m_axis_mirror_tready, s_axis_tkeep")],
          before="strash; scorr", reach=10),
    Proof("stream_register", "P1 P21",
          "beats come out once, in order, a cycle later; out_valid falls only when it is empty; a beat that waits holds "
          "still; two fit; a stream without gaps stays one",
          ["stream_register"],
          [("the spare beat is lost", "stream_register", "if (spare_valid) out_beat <= spare;\n            else if",
            "if"),
           ("a beat changes while it waits", "stream_register", "if (out_ready || !out_valid) begin",
            "if (out_ready || !out_valid || in_valid) begin")],
          reduced="4 bits a beat"),
    Proof("tap", "P4 I1",
          "every beat that production takes reaches the mirror, once, in order, its bytes counted and its marks judged: two "
          "cycles later, but a frame's first of several one cycle after its second was taken; a frame's window is its first "
          "two beats",
          ["tap"],
          [("a frame's last beat is not full and malformed", "tap", "(!seen_last && !(&seen_keep))", "!(&seen_keep)"),
           ("a first beat does not wait", "tap", "(!held.first || held.last || seen)", "1'b1"),
           ("bytes are carried into the next frame", "tap", "bytes_before <= held.last ? '0 : received_bytes;",
            "bytes_before <= received_bytes;")],
          constants={"FrameWidth": 8}, reduced="byte counts modulo 256",
          before="strash; scorr"),
    Proof("delay", "T4",
          "every beat comes out 7 cycles later as it was, and no other does, with any one bit of each stored word flipped; each "
          "flip is told",
          ["protect", "correct", "delay"],
          [("the ring is a place too short", "delay", "ring[place] <=", "ring[place == '1 ? '0 : place] <="),
           ("a beat is a cycle early", "delay", "place - Bits'(Cycles - 1)", "place - Bits'(Cycles - 2)"),
           ("a flipped bit stays", "correct", "corrected = grid[Width-1:0]", "corrected = word")],
          constants={"BeatBytes": 1, "BeatWidth": 8},
          edits=[("delay", "    logic leaves;\n",
                  "    logic leaves;\n" + FLIP + "    assign flips = flip != '0;\n"),
                 ("delay", "    output logic           busy\n",
                  "    output logic           busy,\n    output logic           flips\n"),
                 ("delay", "raw    = ring[due];", "raw    = ring[due] ^ flip;")],
          reduced="beats of 1 byte", steps=10),
    Proof("fifo", "P21 T4",
          "words come out once, in order, 3 cycles later where none waits, with any one bit of each stored word flipped; none is "
          "overwritten while no more than Depth wait behind the two on their way out",
          ["protect", "correct", "fifo"],
          [("a word that waits is fetched over", "fifo", "written != fetched && (!raw_valid || take)",
            "written != fetched"),
           ("a flipped bit stays", "correct", "corrected = grid[Width-1:0]", "corrected = word"),
           ("half of the memory is used", "fifo", "memory[written[Bits-1:0]]", "memory[written[Bits-2:0]]")],
          edits=FLIPS, reduced="4 words of 2 bits", seconds=240),
    Proof("hold_buffer", "P21 P22",
          "beats that were committed come out once, in order, without a gap, within 3 cycles of their announcement; none "
          "that was cancelled does; none is overwritten while the writer watches `room`",
          ["no_flips", "hold_buffer"],
          [("the second of two beats survives its cancel", "hold_buffer", "if (cancel) next <= start;",
            "if (cancel && !write) next <= start;"),
           ("the beat of the commit is not committed", "hold_buffer", "start <= next + (Bits + 1)'(keep);",
            "start <= next;"),
           ("room is seen where there is none", "hold_buffer", "map::HoldBeats - 1);", "map::HoldBeats + 1);")],
          sizes={"HoldBeats": 4}, constants={"BeatBytes": 4, "BeatWidth": 32, "MaxCopy": 8},
          reduced="4 beats of 4 bytes, of each its first bit; no flipped bits", seconds=400),
    Proof("protection", "T4",
          "any word with any one flipped bit, of its own or of its check bits, is given as it was written, and the flip "
          "is seen; a word without one is left alone",
          ["protect", "correct"],
          [("row 7 is not corrected", "correct", "if (wrong[Columns+i]) grid", "if (wrong[Columns+i] && i != 7) grid"),
           ("flipped check bits are not seen", "correct", "assign flipped = wrong != '0;",
            "assign flipped = wrong[Columns-1:0] != '0;")],
          reduced="none: 512, 523, 433, 398, 64 and 1 bits", before="strash; collapse; strash", seconds=120, reach=0),
    Proof("lookup", "T2",
          "verdict, version, source port and outer header are those of the tables as they were in the cycle of the "
          "frame's window, where a commit changes all tables at once (a filter's egress list a cycle later, with its "
          "version)",
          ["no_flips", "choose", "filter_table", "interface_table", "session_table", "lookup"],
          [("interface words are written a cycle late", "lookup", ".write(token3.commit && token3.interface_word)",
            ".write(token4.commit && token4.interface_word)"),
           ("length limits are written a cycle early", "lookup", ".write_cut(token6.commit && token6.session)",
            ".write_cut(token5.commit && token5.session)"),
           ("a frame at no tap is looked up", "lookup", "in_valid && in_tap;", "in_valid;"),
           ("a commit enters during the sweep", "lookup", "token_taken = ready && (", "token_taken = 1'b1 && ("),
           ("the frame between a filter's two lists reports the new version", "lookup",
            "token4.commit && token4.filter && egress3 ? version - 1'b1 : version", "version")],
          sizes={"Interfaces": 4, "Slots": 2, "Filters": 2, "Rules": 2, "Sessions": 2, "Services": 2},
          constants={"FieldsWidth": 1, "MarksWidth": 0, "VersionWidth": 3},
          edits=[("lookup", "map::SourcePortsReset[20:0]", "21'd0"), *TABLES],
          reduced="4 interfaces, 2 of each other table's entries, slots and rules; words of a few free bits; no flipped bits",
          steps=16),
    Proof("rules", "P11",
          "a rule of a list matches a frame's key if and only if all that it names does, its CIDRs, protocol and ports",
          ["match_rules"],
          [("a column's last covered bits are left out", "match_rules", "(covered2 | cidr[127:96])", "covered2"),
           ("the first port of a range is outside", "offload", "ports | ~limits;", "ports & ~limits;"),
           ("a rule with ports matches without them", "match_rules", "(in_key.has_ports && !outside[14]", "(!outside[14]")],
          sizes={"Rules": 4}, reduced="4 rules a list", steps=4, reach=4),
    Proof("choose", "P8 P10 P12 P14",
          "of the matches of all slots the first rule of each slot decides, Amazon DNS before the rules, and the first slot that "
          "accepts mirrors the frame, with its session and the lower of its two lengths",
          ["choose"],
          [("the last rule decides", "choose", "int j = map::Rules - 1; j >= 0; j--", "int j = 0; j < map::Rules; j++"),
           ("a later slot that accepts takes the frame", "choose", "if (accepts && !accepted)", "if (accepts)"),
           ("rules decide about Amazon DNS", "choose", "if (in_dns) begin\n                    rule_index = '0;",
            "if (in_dns && why == offload::SlotNoRule) begin\n                    rule_index = '0;")],
          steps=3, reach=3),
    Proof("queues", "P21 P22",
          "no queue behind the admission takes more than it holds: the hold buffer, the copies that wait for the output, "
          "the endings that wait for their copies' fates and the fates",
          ["no_flips", "hold_buffer", "fifo", "settle"],
          [("the hold buffer's last place is used", "hold_buffer", "(Bits + 1)'(map::HoldBeats - 1)",
            "(Bits + 1)'(map::HoldBeats)"),
           ("fewer endings can wait than copies", "settle", "EndingDepth = 2 * map::HoldBeats",
            "EndingDepth = map::HoldBeats"),
           ("nothing settles while a fate comes in", "settle", "copy_end_valid && fate_waiting;",
            "copy_end_valid && fate_waiting && !fate_valid;")],
          sizes={"HoldBeats": 4}, edits=INSIDE, reduced="4 beats in the hold buffer; no flipped bits", steps=10),
    Proof("registers", "T2 T5",
          "an AXI4-Lite access has one answer that holds still until it is taken, and a line none; one token at a time waits "
          "unchanged until it is taken, and what a commit carries holds still until it is done; a filter is committed alone",
          ["registers"],
          [("a write is taken before the last one's answer", "registers", "(!s_axil_bvalid || s_axil_bready)", "1'b1"),
           ("a commit is done when it is taken", "registers", "Settle: if (token_done || fetching) state <= Respond;",
            "Settle: state <= Respond;"),
           ("a line has an answer", "registers", "posted  <= s_line_valid;", "posted  <= 1'b0;")],
          edits=[("registers", "    output logic        irq,", "    output logic        irq,\n"
                  "    output logic [3:0] at,\n    output logic writing,\n    output logic posted,\n"
                  "    output logic fetching,\n    output logic expired,"),
                 ("registers", "    logic writing, posted, fetching, mapped;", "    logic mapped;\n    assign at = state;"),
                 ("registers", "taken, expired;", "taken;")],
          reduced="none; without the staged rules", steps=4, reach=80),
    Proof("admission", "P6 P7 P12 P14 P22..P25 I1 I5",
          "what becomes of a pass, its cause and its decision are those of its verdict, marks, room and resets; a copy is "
          "committed if and when it is due, and is the frame up to the packet length, zeros behind it, none of its beats "
          "kept without room",
          ["one_cause", "admit"],
          [("a drop by a reset has no cause", "admit", "if (resetting) lost_cause = offload::CauseReset;",
            "if (resetting) lost_cause = offload::CauseNone;"),
           ("a mark behind the copy's last byte counts", "admit", "assign counts    = !selected || left != '0;",
            "assign counts    = 1'b1;"),
           ("beats but the first are kept without room", "admit", "takes && !room", "takes && !room && in_beat.first"),
           ("the byte behind the packet length stays", "admit", "<< left[5:0])", "<< left[5:0] << 1)"),
           ("a commit is not announced with a first beat", "admit", "out_commit <= commit;",
            "out_commit <= commit && !in_beat.first;"),
           ("a frame that no session accepts is mirrored", "admit", "!in_verdict.excluded && in_verdict.accepted",
            "!in_verdict.excluded"),
           ("what follows a reset of this block alone is taken for a frame", "admit", "torn           <= !rst_neighbours;",
            "torn           <= 1'b0;"),
           ("all frames behind a reset of this block alone are malformed", "admit", "if (in_beat.last) torn <= 1'b0;", "")],
          edits=[("admit", "    output logic                          between_frames\n",
                  "    output logic                          between_frames,\n"
                  "    output offload::verdict_t saved_verdict,\n"
                  "    output logic [offload::LengthWidth-1:0] saved_left,\n"
                  "    output logic [offload::LengthWidth-1:0] saved_kept,\n"
                  "    output logic [offload::FrameWidth-1:0] saved_bytes,\n"
                  "    output logic saved_selected,\n    output logic saved_malformed,\n    output logic saved_bad,\n"
                  "    output logic saved_late,\n    output logic saved_done,\n    output logic saved_lost,\n"
                  "    output logic [3:0] saved_lost_cause\n"),
                 ("admit", "    offload::verdict_t saved, verdict;\n",
                  "    offload::verdict_t saved, verdict;\n    assign saved_verdict = saved;\n"),
                 ("admit", "saved_left, left, saved_kept, kept;", "left, kept;"),
                 ("admit", "saved_bytes, bytes;", "bytes;"),
                 ("admit", "logic saved_malformed, malformed, saved_bad, bad, saved_late, late, saved_done, done, saved_lost, lost;",
                  "logic malformed, bad, late, done, lost;"),
                 ("admit", "saved_lost_cause, lost_cause;", "lost_cause;"),
                 ("admit", "saved_selected, selected,", "selected,"),
                 ("admit", "    output logic saved_selected,\n", "    output logic saved_selected,\n    output logic torn,\n"),
                 ("admit", "covered, spoiled, torn;", "covered, spoiled;")],
          steps=3),
    Proof("checksum", "P14 P21",
          "each committed copy, and no other, is announced 2 cycles later, with its length and with the outer header and the "
          "source port that came with its frame's start",
          ["checksum"],
          [("a frame's header is told for the one before", "checksum", "if (start1) begin", "if (start1 && !commit1) begin"),
           ("two commits in a row are one", "checksum", "commit2 <= commit1;", "commit2 <= commit1 && !commit2;"),
           ("the length comes a cycle late", "checksum", "kept2 <= kept1;", "kept2 <= in_kept;")],
          edits=[("checksum", "    output logic                            busy\n",
                  "    output logic busy,\n    output logic held_start,\n    output offload::outer_t held_outer1,\n"
                  "    output offload::outer_t held_outer2,\n    output logic [15:0] held_port1,\n"
                  "    output logic [15:0] held_port2,\n    output logic [offload::SessionBits-1:0] held_session1,\n"
                  "    output logic [offload::SessionBits-1:0] held_session2\n"),
                 ("checksum", "    assign busy =",
                  "    assign held_start  = start1;\n    assign held_outer1 = outer1;\n    assign held_outer2 = outer2;\n"
                  "    assign held_port1  = port1;\n    assign held_port2  = port2;\n"
                  "    assign held_session1 = session1;\n    assign held_session2 = session2;\n    assign busy =")],
          reduced="none; not the checksum's value", steps=4),
    Proof("conservation", "P23",
          "in every cycle, in passes and bytes, live and in a snapshot: received = not eligible + not accepted + "
          "mirrored + dropped + in flight, selected = mirrored + dropped, the causes add up; nothing is in flight when "
          "nothing is inside",
          ["one_cause", "admit", "counters"],
          [("two passes that settle in one cycle leave as one", "counters",
            "64'(pass_settled) - 64'(copy_settled);", "64'(pass_settled || copy_settled);"),
           ("a copy that is thrown away beside a drop is not counted", "counters",
            "64'(settled_selected) +\n                                               64'(copy_settled && copy_reset);",
            "64'(settled_selected || (copy_settled && copy_reset));"),
           ("a frame's bytes go on from the one before", "admit", "assign bytes    = (in_beat.first ? '0 : saved_bytes)",
            "assign bytes    = saved_bytes")],
          sizes={"Sessions": 2}, constants={"LengthWidth": 8, "FrameWidth": 2}, edits=counters(2) + [
              ("admit", "    output logic                          between_frames",
               "    output logic                          between_frames,\n"
               "    output logic [offload::FrameWidth-1:0] saved_bytes_out"),
              ("admit", "    assign covered ", "    assign saved_bytes_out = saved_bytes;\n    assign covered ")],
          reduced="counters and byte counts modulo 4; any queue of endings in the place of `settle`", own=False,
          steps=3),
    Proof("encapsulate", "P14..P19 I3",
          "every byte of a copy is that of the outer header which its description asks for, the byte of its frame that "
          "the header's length puts there, or a zero behind it up to 60 bytes; tkeep and tlast are right; all its beats and "
          "no other are taken; inside a copy tvalid stays",
          ["encapsulate"],
          [("bytes move by one lane", "encapsulate", "data = {taken[8*58-1:0], carried[511:8*58]};",
            "data = {taken[8*58-1:0], carried[503:8*57]};"),
           ("a last beat of one byte is left behind", "encapsulate", ": Width'(Header4));",
            ": Width'(Header4 + 1));"),
           ("a full last beat has no tkeep", "encapsulate", "left[6:0]", "left[5:0]"),
           ("the bytes of a copy leave out its header", "encapsulate", ": copy.kept + offload::LengthWidth'(Header4)",
            ": copy.kept"),
           ("a short copy is sent without padding", "encapsulate", "< 4'(Shortest - Header4) ?", "< 4'd1 ?"),
           ("the time to live is 64", "encapsulate", "16'hff11", "16'h4011"),
           ("over IPv6 the VNI stands the wrong way round", "encapsulate",
            "copy.outer.vni[7:0], copy.outer.vni[15:8],\n                                    copy.outer.vni[23:16]",
            "copy.outer.vni[23:16], copy.outer.vni[15:8],\n                                    copy.outer.vni[7:0]")],
          constants={"LengthWidth": 9}, reduced="copies of up to 511 bytes of a frame; full beats", reach=12,
          before="strash; scorr; dc2", seconds=400),
]

if __name__ == "__main__":
    sys.exit(main())
