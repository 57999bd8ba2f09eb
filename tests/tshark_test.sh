#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Wireshark's dissector takes every mirror copy for well-formed VXLAN.
#
#   tshark_test.sh MIRROR COUNT
#
# MIRROR  pcap of mirror copies
# COUNT   how many it must hold, at least 1
#
# Checked per copy: the layers are Ethernet, IPv4 or IPv6, UDP, VXLAN; none of these has an expert
# warning or error; the IPv4 header checksum is good; the UDP checksum is good over IPv6 and absent
# over IPv4; the lengths agree with the frame's; the port is 4789; the VXLAN flags are 0x08 and all
# else that is reserved is 0. What the copy carries may be cut off, so it is not looked at.
#
# Exit status: 0 all well, 1 a complaint, 77 tshark is not installed, 2 wrong usage.
# Needs, from Debian: tshark python3.
set -euo pipefail

if (($# != 2)) || [[ ! $2 =~ ^[1-9][0-9]*$ ]]; then
    sed -n '3,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
for tool in tshark python3; do
    command -v "$tool" >/dev/null || {
        echo "skipped: $tool is not installed"
        exit 77
    }
done

exec python3 - "$1" "$2" <<'PYTHON'
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

WARNING = 0x600000  # epan/proto.h, PI_WARN; an error is above


def number(layer, name):
    field = layer.find(f".//field[@name='{name}']")
    return None if field is None else int(field.get("show"), 0)


def complaints(packet):
    layers = packet.findall("proto")
    names = [layer.get("name") for layer in layers]
    if names[0] == "geninfo":
        layers, names = layers[1:], names[1:]
    if names[:5] not in (
        ["frame", "eth", "ip", "udp", "vxlan"],
        ["frame", "eth", "ipv6", "udp", "vxlan"],
    ):
        yield "its layers are " + ", ".join(names)
        return
    frame, _, ip, udp, vxlan = layers[:5]
    for layer in layers[:5]:
        for expert in layer.iterfind(".//field[@name='_ws.expert']"):
            if number(expert, "_ws.expert.severity") >= WARNING:
                yield f"{layer.get('name')}: {expert.get('showname')}"

    size = number(frame, "frame.len")
    is_ipv6 = ip.get("name") == "ipv6"
    expected = [
        (frame, "frame.cap_len", size),
        (udp, "udp.dstport", 4789),
        (udp, "udp.length", size - (54 if is_ipv6 else 34)),
        (vxlan, "vxlan.flags", 0x0800),
        (vxlan, "vxlan.gbp", 0),
        (vxlan, "vxlan.reserved8", 0),
    ]
    if is_ipv6:
        expected += [(ip, "ipv6.plen", size - 54), (udp, "udp.checksum.status", 1)]
    else:
        expected += [(ip, "ip.len", size - 14), (ip, "ip.checksum.status", 1)]
        expected += [(udp, "udp.checksum", 0)]
    for layer, name, value in expected:
        if number(layer, name) != value:
            yield f"{name} is {number(layer, name)} and not {value}"


path, count = sys.argv[1], int(sys.argv[2])
found = wrong = 0
with tempfile.TemporaryDirectory() as settings, tempfile.TemporaryFile("w+") as messages:
    tshark = subprocess.Popen(
        ["tshark", "-n", "-r", path, "-T", "pdml"]
        + ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"],
        stdout=subprocess.PIPE,
        stderr=messages,
        env={**os.environ, "WIRESHARK_CONFIG_DIR": settings},
    )
    try:
        for _, packet in ElementTree.iterparse(tshark.stdout):
            if packet.tag != "packet":
                continue
            found += 1
            for complaint in complaints(packet):
                wrong += 1
                if wrong <= 20:
                    print(f"copy {found}: {complaint}")
            packet.clear()
    except ElementTree.ParseError as error:
        print(f"tshark's output ends early: {error}")
        wrong += 1
    tshark.stdout.close()
    if tshark.wait() != 0:
        messages.seek(0)
        sys.exit(f"tshark failed: {messages.read().strip()}")
if found != count:
    sys.exit(f"{path} holds {found} copies and not {count}")
if wrong:
    sys.exit(f"{wrong} complaints")
print(f"{count} copies: tshark has no complaint")
PYTHON
