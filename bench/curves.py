# SPDX-License-Identifier: Apache-2.0
"""Mirror throughput and latency over every frame length, and bursts against the hold buffer's depth: runs the programs
that count (curves.cpp), compares with limits.py, and draws throughput.svg and burst.svg.

Throughput is the output beats and cycles of two copies in steady state, of frames back to back: from an empty hold
buffer, and, where copies have more beats than their frames, in overflow. Every point is exact.
"""
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from math import log10

import limits

OUTERS = ("IPv4", "IPv6")
DEPTHS = (256, 512, 1024)
CLOCKS = {"250 MHz": 250e6, "322.27 MHz": 322.265625e6}
LATENCY_GOAL = {"IPv4": 16, "IPv6": 20}
EVERY_PACKET_LENGTH = (65, 129, 9216)  # frame lengths that curves.cpp cuts to 1..8500 bytes
LENGTHS_SHOWN = (60, 64, 65, 78, 79, 128, 129, 256, 512, 1024, 1514, 9014, 9216)
POINT = ("length", "packet_length", "beats", "cycles", "full_beats", "full_cycles", "latency")
BURST = ("length", "packet_length", "ready_every", "frames", "loss_free", "dropped", "predicted_loss_free",
         "predicted_dropped", "differs")


def measure(folder):
    parts = max(1, min(2, len(os.sched_getaffinity(0))))
    jobs = [(depth, "bursts", part) for depth in DEPTHS for part in range(parts)]
    jobs = [(512, "throughput", part) for part in range(parts)] + jobs

    def run(job):
        depth, what, part = job
        command = [folder / f"bench_curves_{depth}", what, str(part), str(parts)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    with ThreadPoolExecutor(parts) as pool:
        done = dict(zip(jobs, pool.map(run, jobs)))
    return {
        "bubbles": sum(result["bubbles"] for result in done.values()),
        "throughput": throughput([done[512, "throughput", part] for part in range(parts)]),
        "bursts": {depth: bursts([done[depth, "bursts", part] for part in range(parts)]) for depth in DEPTHS},
        "wire": wire(),
    }


def columns(names, rows):
    return {name: list(column) for name, column in zip(names, zip(*rows))}


def sweeps_of(length, packet_length):
    """The sweeps that a point belongs to."""
    if packet_length is None:
        return ["PacketLength unset"]
    return ["PacketLength 15"] * (packet_length == 15) + [f"{length} bytes"] * (length in EVERY_PACKET_LENGTH)


def throughput(results):
    """By outer IP version: what each sweep counted, and the least part of the limit that was seen."""
    curves = {}
    for index, outer in enumerate(OUTERS):
        sweeps, worst, latencies, overflows = {}, None, {}, 0
        # A point that is in two sweeps was counted twice.
        points = {(row[0], row[1] or 0): row for result in results for row in result["points"][index]}
        for _, row in sorted(points.items()):
            length, packet_length, beats, cycles, full_beats, full_cycles, latency = row
            out, frame = limits.offered(length, packet_length, outer)
            limit = min(Fraction(1), Fraction(out, frame))
            least = Fraction(beats, cycles)
            if full_beats is not None:
                least = min(least, Fraction(full_beats, full_cycles))
                overflows += 1
            if worst is None or least / limit < worst[0]:
                worst = (least / limit, length, packet_length)
            latencies[latency] = latencies.get(latency, 0) + 1
            for name in sweeps_of(length, packet_length):
                sweeps.setdefault(name, []).append(row)
        curves[outer] = {
            "points": len(points), "in_overflow": overflows,
            "least_of_limit": float(worst[0]), "at_length": worst[1], "at_packet_length": worst[2],
            "latency_cycles": {str(cycles): count for cycles, count in sorted(latencies.items())},
            "sweeps": {name: columns(POINT, rows) for name, rows in sweeps.items()},
        }
    return curves


def bursts(results):
    """By outer IP version: what each burst lost, counted and predicted."""
    curves = {}
    depth = results[0]["hold_beats"]
    for index, outer in enumerate(OUTERS):
        admission, latency = results[0]["admission"][index], results[0]["latency"][index]
        rows, different = [], 0
        for v6, length, packet_length, ready_every, frames, lost in sorted(
                (row for result in results for row in result["bursts"]), key=lambda row: (row[1], row[2] or 0, row[3])):
            if v6 != (outer == "IPv6"):
                continue
            predicted = limits.dropped(depth, length, packet_length, outer, ready_every, frames, admission, latency)
            # All of the burst's drops are compared by the frame's number; a stalled output has a closed formula too.
            differs = predicted != lost
            if ready_every == 0:
                kept = limits.kept_bytes(length, packet_length, outer)
                differs = differs or lost[:1] != [limits.stalled_burst(depth, kept, outer)]
            different += differs
            rows.append((length, packet_length, ready_every, frames, lost[0] if lost else None, len(lost),
                         predicted[0] if predicted else None, len(predicted), differs))
        curves[outer] = {"bursts": len(rows), "frames": sum(row[3] for row in rows), "dropped": sum(row[5] for row in rows),
                         "different": different, "admission": admission, "latency": latency,
                         "counts": columns(BURST, rows)}
    return curves


def wire():
    """Arithmetic, not measured: what 100 Gb/s and the bus at two clocks carry of copies of whole frames."""
    rows = []
    for length in LENGTHS_SHOWN:
        for outer in OUTERS:
            size = limits.copy_size(length, None, outer)
            rows.append({"length": length, "outer": outer, "copy": size,
                         "wire_mpps": round(limits.wire_rate(size) / 1e6, 2),
                         **{f"bus_mpps_{name}": round(clock / limits.beats(size) / 1e6, 2)
                            for name, clock in CLOCKS.items()}})
    return {"copies": rows, "bus_guarantees_gbps": {
        name: round(limits.guaranteed(clock, range(51, 9287))[0] / 1e9, 1) for name, clock in CLOCKS.items()}}


def show(curves):
    print("\nmirror copies, exact      points  in overflow  least of the limit  latency, cycles")
    for outer, of in curves["throughput"].items():
        latency = ", ".join(f"{cycles} ({count})" for cycles, count in of["latency_cycles"].items())
        print(f"  {outer:22}{of['points']:8}{of['in_overflow']:13}{100 * of['least_of_limit']:18.2f} %  {latency}")
    print("\nbursts       hold beats   bursts     frames    dropped  other than predicted")
    for depth, outers in curves["bursts"].items():
        for outer, of in outers.items():
            print(f"  {outer:10}{depth:11}{of['bursts']:9}{of['frames']:11}{of['dropped']:11}{of['different']:22}")
    print("\nloss-free frames, IPv4        output stalled        one beat in two\n  length      " +
          "".join(f"{depth:8}" for depth in DEPTHS * 2))
    for length in LENGTHS_SHOWN:
        row = [loss_free(curves["bursts"][depth]["IPv4"]["counts"], every).get(length) for every in (0, 2) for depth in DEPTHS]
        if all(value is not None for value in row):
            print(f"  {length:6}      " + "".join(f"{value:8}" for value in row))
    print("\nby arithmetic, Mpps            100 Gb/s  " + "  ".join(f"bus at {name}" for name in CLOCKS))
    for row in curves["wire"]["copies"]:
        if row["length"] in (60, 64, 128, 1514):
            print(f"  {row['length']:5} bytes over {row['outer']:10}{row['wire_mpps']:12.2f}" +
                  "".join(f"{row[f'bus_mpps_{name}']:18.2f}" for name in CLOCKS))
    print("  the bus carries at least, of wire time: " +
          ", ".join(f"{gbps} Gb/s at {name}" for name, gbps in curves["wire"]["bus_guarantees_gbps"].items()))


def missed(curves):
    """Which goals are not reached, a sentence each."""
    result = []
    if curves["bubbles"]:
        result.append(f"production was held in {curves['bubbles']} cycles of the curves")
    for outer, of in curves["throughput"].items():
        if of["least_of_limit"] < 0.999:
            result.append(f"mirror output over {outer} is at {100 * of['least_of_limit']:.2f} % of its limit with frames of "
                          f"{of['at_length']} bytes and PacketLength {of['at_packet_length'] or 'unset'}")
        latencies = sorted(map(int, of["latency_cycles"]))
        if len(latencies) != 1 or latencies[-1] > LATENCY_GOAL[outer]:
            result.append(f"latency over {outer} is {', '.join(map(str, latencies))} cycles, not one constant of at most "
                          f"{LATENCY_GOAL[outer]}")
    for depth, outers in curves["bursts"].items():
        result += [f"{of['different']} bursts over {outer} into {depth} beats lost other frames than predicted"
                   for outer, of in outers.items() if of["different"]]
    return result


def compact(text):
    """JSON with each list of plain values on one line."""
    return re.sub(r"\[[^\[\]{}]*\]", lambda match: " ".join(match[0].split()), text)


# Plots.

COLOURS = {"IPv4": "#0b62a4", "IPv6": "#c2570c", 256: "#c2570c", 512: "#0b62a4", 1024: "#2b7a3d"}
LEFT, WIDE, TALL, GAP, TOP = 70, 640, 220, 90, 50


class Plot:
    """One panel under the other, all over the frame length."""

    def __init__(self, title):
        self.parts, self.bottom, self.title = [], TOP, title

    def panel(self, title, unit, low, high, ticks, logarithmic=False):
        self.top = self.bottom + (GAP if self.bottom > TOP else 0)
        self.bottom = self.top + TALL
        self.legend = 0
        scale = log10 if logarithmic else float
        self.y_of = lambda y: self.bottom - TALL * (scale(y) - scale(low)) / (scale(high) - scale(low))
        self.text(LEFT, self.top - 12, title, "start", bold=True)
        for tick in ticks:
            y = self.y_of(tick)
            self.parts.append(f'<path d="M{LEFT} {y:.1f}H{LEFT + WIDE}" stroke="#ddd"/>')
            self.text(LEFT - 6, y + 4, f"{tick:,}", "end")
        for tick in (60, 128, 256, 512, 1024, 1514, 4096, 9216):
            x = self.x_of(tick)
            self.parts.append(f'<path d="M{x:.1f} {self.top}V{self.bottom}" stroke="#eee"/>')
            self.text(x, self.bottom + 16, f"{tick:,}", "middle")
        self.parts.append(f'<rect x="{LEFT}" y="{self.top}" width="{WIDE}" height="{TALL}" fill="none" stroke="#555"/>')
        self.text(LEFT + WIDE / 2, self.bottom + 34, "frame length, bytes", "middle")
        middle = self.top + TALL / 2
        self.parts.append(f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{unit}</text>')

    @staticmethod
    def x_of(length):
        return LEFT + WIDE * log10(length / 60) / log10(9216 / 60)

    def text(self, x, y, words, anchor, bold=False):
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{words}</text>')

    def line(self, points, colour, name, style=""):
        path = " ".join(f"{self.x_of(x):.1f},{self.y_of(y):.1f}" for x, y in corners(points))
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" {style}/>')
        self.key(f'<path d="M{{x}} {{y}}h24" stroke="{colour}" {style}/>', name)

    def dots(self, points, colour, name):
        for x, y in points:
            self.parts.append(f'<circle cx="{self.x_of(x):.1f}" cy="{self.y_of(y):.1f}" r="2" fill="{colour}"/>')
        self.key(f'<circle cx="{{x}}" cy="{{y}}" r="3" fill="{colour}"/>', name)

    def key(self, mark, name):
        x, y = LEFT + WIDE + 16, self.top + 12 + 18 * self.legend
        self.legend += 1
        self.parts.append(mark.format(x=x, y=y))
        self.text(x + 32, y + 4, name, "start")

    def write(self, file):
        width, height = LEFT + WIDE + 240, self.bottom + 50
        file.write_text("\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
            f'<title>{self.title}</title>', f'<rect width="{width}" height="{height}" fill="white"/>', *self.parts, "</svg>", ""]),
            encoding="utf-8")


def corners(points):
    """The points of a line without those that lie on the way between their neighbours."""
    points = list(points)
    return [point for i, point in enumerate(points) if i in (0, len(points) - 1) or
            abs((point[1] - points[i - 1][1]) * (points[i + 1][0] - point[0]) -
                (points[i + 1][1] - point[1]) * (point[0] - points[i - 1][0])) > 1e-6]


def used(sweep):
    """Frame length and beats a cycle; in overflow where that was counted."""
    for length, beats, cycles, full_beats, full_cycles in zip(
            *(sweep[name] for name in ("length", "beats", "cycles", "full_beats", "full_cycles"))):
        yield length, beats / cycles if full_beats is None else full_beats / full_cycles


def loss_free(counts, ready_every):
    """Frames in a row without loss, by length, PacketLength unset."""
    return {length: frames for length, packet_length, every, frames in zip(
        *(counts[name] for name in ("length", "packet_length", "ready_every", "loss_free")))
        if packet_length is None and every == ready_every and frames is not None}


def draw(curves, folder):
    folder.mkdir(parents=True, exist_ok=True)
    plot = Plot("Mirror output over the frame length")
    plot.panel("Mirror output, frames back to back: counted, every length", "beats a cycle", 0, 1.1, (0, 0.25, 0.5, 0.75, 1))
    for packet_length, style in ((None, ""), (15, 'stroke-dasharray="6 3"')):
        name = "PacketLength 15" if packet_length else "PacketLength unset"
        for outer, of in curves["throughput"].items():
            # Both versions have as many beats a cycle: the one that is drawn first is wider.
            wide = 'stroke-width="4" stroke-opacity="0.5"' if outer == "IPv4" else 'stroke-width="1.5"'
            plot.line(used(of["sweeps"][name]), COLOURS[outer], f"{outer}, {name}", f"{wide} {style}")
    plot.line([(60, 1), (9216, 1)], "black", "limit of the bus", 'stroke-dasharray="2 4"')
    for clock_name, clock in CLOCKS.items():
        plot.panel(f"The same on the wire, PacketLength unset, if clocked at {clock_name}", "Gb/s of wire time", 0, 250,
                   (0, 50, 100, 150, 200, 250))
        for outer, of in curves["throughput"].items():
            plot.line([(length, clock * limits.bus_bits(limits.copy_size(length, None, outer)) * part / 1e9)
                       for length, part in used(of["sweeps"]["PacketLength unset"])],
                      COLOURS[outer], f"{outer}: bus", 'stroke-width="1.2"')
        plot.line([(60, 100), (9216, 100)], "black", "limit of 100GbE", 'stroke-dasharray="6 3"')
        least = curves["wire"]["bus_guarantees_gbps"][clock_name]
        plot.line([(60, least), (9216, least)], "#888", f"least of any copy: {least}", 'stroke-dasharray="2 4"')
    plot.write(folder / "throughput.svg")

    plot = Plot("Loss-free burst over the frame length")
    for title, every in (("Mirror output stalled", 0), ("Mirror output ready in one cycle of two", 2)):
        plot.panel(f"{title}, frames back to back, IPv4", "frames without loss", 1, 3000, (1, 10, 100, 1000), True)
        for depth in sorted(DEPTHS, reverse=True):
            of = curves["bursts"][depth]["IPv4"]
            predicted = ((length, limits.dropped(depth, length, None, "IPv4", every, None, of["admission"], of["latency"])[0])
                         for length in range(60, 9217))
            plot.line(predicted, COLOURS[depth], f"{depth} beats, predicted")
            counted = loss_free(of["counts"], every)
            shown = loss_free(curves["bursts"][DEPTHS[0]]["IPv4"]["counts"], every)  # as many as the other depths have
            plot.dots([point for point in counted.items() if point[0] in shown], COLOURS[depth], f"{depth} beats, counted")
    plot.write(folder / "burst.svg")
