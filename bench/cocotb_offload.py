# SPDX-License-Identifier: Apache-2.0
"""The offload under cocotb with cocotbext-axi, for `./dev bench sim`: the same tables, frames and commands as
simulator.cpp has. The register accesses are those that the driver made in the bare loop, with what it read."""
import json
import os
import struct
import sys
import time

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

MASK = (1 << 64) - 1


def hash_of(copies):
    """As CopyHash: of each copy its 8-byte words, the last filled with zeros, then its length."""
    value = 0
    for copy in copies:
        padded = copy + bytes(-len(copy) % 8)
        for word in (*struct.unpack(f"<{len(padded) // 8}Q", padded), len(copy)):
            product = (value ^ word) * 0x9e3779b97f4a7c15 & MASK
            value = (product << 29 | product >> 35) & MASK
    return value


def read_frames(file):
    """The frames of a pcap file in this machine's byte order."""
    with open(file, "rb") as capture:
        content = capture.read()
    frames, at = [], 24
    while at < len(content):
        size = struct.unpack_from("=I", content, at + 8)[0]
        frames.append(content[at + 16:at + 16 + size])
        at += 16 + size
    return frames


class Bench:
    def __init__(self, dut):
        self.dut = dut
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_mirror"), dut.clk)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk)

    async def cycles(self, count):
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    async def wait_until_idle(self):
        await self.cycles(2)
        while self.dut.idle.value != 1:
            await RisingEdge(self.dut.clk)

    async def reset(self):
        self.dut.rst.value = 1
        await self.cycles(4)
        self.dut.rst.value = 0
        if cocotb.SIM_NAME.startswith("Icarus"):
            # It does not see that an unknown bit and its copy are equal; a memory of an FPGA begins with zeros.
            for counters in (self.dut.offload.dropped_passes, self.dut.offload.settled_copies):
                for row in range(64):
                    counters.cleared[row].value = 0
        await self.wait_until_idle()
        cocotb.start_soon(self.wait_for_room())

    async def wait_for_room(self):
        while True:
            self.source.pause = self.dut.mirror_room.value != 1
            await RisingEdge(self.dut.clk)

    async def replay(self, operations):
        """As the bus takes them: writes one after the other, and a read behind all before it."""
        done, write = [], None
        for kind, address, value in operations:
            if kind == "write":
                write = self.registers.init_write(address, value.to_bytes(4, "little"))
            else:
                if write:
                    await write.wait()
                value = await self.registers.read_dword(address)
            done.append([kind, address, value])
        if write:
            await write.wait()
        return done

    async def run(self, frames, count, index):
        user = 1 << 18 | 1 << 17 | index << 1
        elapsed, cpu = time.perf_counter(), time.process_time()
        for i in range(count):
            self.source.send_nowait(AxiStreamFrame(frames[i % len(frames)], tuser=user))
        await self.source.wait()
        await self.wait_until_idle()
        elapsed, cpu = time.perf_counter() - elapsed, time.process_time() - cpu
        copies = []
        while not self.sink.empty():
            copies.append(bytes(self.sink.recv_nowait().tdata))
        return {"seconds": elapsed, "cpu_seconds": cpu, "copies": len(copies), "bytes": sum(map(len, copies)),
                "hash": hash_of(copies)}


@cocotb.test()
async def offload(dut):
    with open(os.environ["OPERATIONS"], encoding="utf-8") as file:
        operations = json.load(file)
    cocotb.start_soon(Clock(dut.clk, 4, units="ns").start())
    bench = Bench(dut)
    await bench.reset()
    programmed = await bench.replay(operations["program"])
    files = {}
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "operations":
            result = {**operations, "program": programmed}
        elif command == "counters":
            result = await bench.replay(operations["counters"])
        elif command == "run":
            file, count, index = arguments
            if file not in files:
                files[file] = read_frames(file)
            result = await bench.run(files[file], int(count), int(index))
        else:
            raise ValueError(f"there is no command {line}")
        print(json.dumps(result), flush=True)
