# SPDX-License-Identifier: Apache-2.0
"""What the hardware could do at best, and what a burst of frames loses: arithmetic alone, nothing measured.

A frame of `length` bytes is ceil(length / 64) beats in, and its copy of `kept` bytes is ceil((kept + 50) / 64) beats out
over IPv4, 70 instead of 50 over IPv6; `kept` is the least of length, PacketLength and the target's MTU less the outer
headers behind Ethernet (P14). At one beat a cycle the output carries min(1, beats out / beats in) beats a cycle.

The wire: Ethernet adds 8 bytes of preamble, 4 of FCS and 12 of gap to a frame of at least 60 bytes (the MAC pads), so
100 Gb/s carry 100e9 / (8 * (max(bytes, 60) + 24)) frames a second.

The bus against the wire: a beat a cycle at a clock of f carries 8 * (max(bytes, 60) + 24) / ceil(bytes / 64) * f bits of
wire time a second. The least is at 65 bytes, whose second beat holds one byte: 8 * 89 / 2 = 356 bits a cycle, 89.0 Gb/s
at 250 MHz and 114.7 Gb/s at 322.27 MHz. As a copy, 65 bytes are PacketLength 15 over IPv4. Whole frames of 60 bytes and
more make copies of at least 110 bytes, of which 129 is the worst: 408 bits a cycle.
"""
import itertools
import math
from bisect import bisect_left
from functools import lru_cache

BEAT = 64
HEADER = {"IPv4": 50, "IPv6": 70}
MTU = 9216             # of the targets in workload.hpp
LINE_RATE = 100e9
OUTPUT_REGISTERS = 2   # beats in encapsulate's stream_register
WAY_OUT = 2            # beats of the hold buffer that are no longer in its memory: raw and out_data
FREE = 1               # place of the memory that `room` leaves free


def beats(size):
    return (size + BEAT - 1) // BEAT


def kept_bytes(length, packet_length, outer):
    return min(length, packet_length or length, MTU + 14 - HEADER[outer])


def copy_size(length, packet_length, outer):
    return kept_bytes(length, packet_length, outer) + HEADER[outer]


def offered(length, packet_length, outer):
    """Beats that the copies of back-to-back frames have, and the cycles that the frames take."""
    return beats(copy_size(length, packet_length, outer)), beats(length)


def wire_bytes(size):
    return max(size, 60) + 24


def wire_rate(size):
    """Frames a second on 100 Gb/s."""
    return LINE_RATE / (8 * wire_bytes(size))


def bus_bits(size):
    """Bits of wire time that a cycle of the bus carries with frames of one size."""
    return 8 * wire_bytes(size) / beats(size)


def guaranteed(clock, sizes):
    """Wire bits a second that the bus carries with the worst of the sizes, and that size."""
    worst = min(sizes, key=bus_bits)
    return bus_bits(worst) * clock, worst


def held_by_output(kept, outer):
    """Beats of a stalled offload that have left the hold buffer's memory: those that the two output beats took, and
    the way out. The first output beat over IPv6 is header alone; a copy of one kept beat over IPv4 can be one output
    beat or two."""
    taken = 1 if outer == "IPv6" or (kept <= BEAT and kept + HEADER[outer] > BEAT) else OUTPUT_REGISTERS
    return taken + WAY_OUT


def stalled_burst(depth, kept, outer):
    """Frames in a row that lose nothing while the mirror output takes nothing: `room` refuses a beat when depth - 1
    of them are in the memory."""
    return (depth - FREE + held_by_output(kept, outer)) // beats(kept)


def dropped(depth, length, packet_length, outer, out_of, frames, admission, latency):
    """Numbers of the frames that a burst of `frames` loses, back to back from cycle 0 on, into a mirror output that is
    ready in the cycles that `out_of` divides (never: 0). `admission` is the cycle of a beat's admission after its
    handshake, `latency` that of a copy's first output beat. Without `frames` the burst goes on to its first loss."""
    kept = kept_bytes(length, packet_length, outer)
    return _dropped(depth, beats(kept), beats(length), beats(kept + HEADER[outer]), outer == "IPv6", out_of, frames,
                    admission, latency)


@lru_cache(maxsize=None)
def _dropped(depth, inside, cycles, outside, v6, out_of, frames, admission, latency):
    """A frame is dropped when one of its kept beats meets a memory with depth - 1 beats (admit, hold_buffer). What
    leaves is a max-plus recurrence: a beat enters a stage when it has been in the one before for a cycle and the beat
    ahead makes room (hold_buffer's way out, encapsulate, stream_register)."""
    needs = range(1, inside + 1) if v6 else range(inside)    # output beats that take a kept beat
    visible_after = latency - admission - WAY_OUT - 1        # from the commit to the first fetch
    fetches, emits, leaves = [], [], []                      # cycles, of all beats so far
    came_to = [-1] * WAY_OUT + [-1]                          # when the beat ahead came to each stage, and left the last
    committed, lost = 0, []

    def copy(commit):
        for number in range(outside):
            cycle = commit + visible_after
            if number in needs:
                for stage in range(WAY_OUT):
                    cycle = max(cycle, came_to[stage + 1])   # the beat ahead moves on in this cycle
                    came_to[stage] = cycle
                    if stage == 0:
                        fetches.append(cycle)
                    cycle += 1
            else:
                cycle += WAY_OUT
            emit = max(cycle, emits[-1] + 1 if emits else 0,
                       leaves[-OUTPUT_REGISTERS] + 1 if len(leaves) >= OUTPUT_REGISTERS else 0)
            valid = max(emit + 1, leaves[-1] + 1 if leaves else 0)
            leaves.append(math.inf if out_of == 0 or valid == math.inf else -(-valid // out_of) * out_of)
            emits.append(emit)
            if number in needs:
                came_to[WAY_OUT] = emit

    for frame in range(frames) if frames is not None else itertools.count():
        begin = admission + frame * cycles
        for beat in range(inside):
            if committed + beat - bisect_left(fetches, begin + beat) >= depth - FREE:
                lost.append(frame)
                break
        else:
            copy(begin + max(inside - 1, min(1, cycles - 1)))
            committed += inside
        if lost and frames is None:
            break
    return lost
