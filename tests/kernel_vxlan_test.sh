#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hands mirror copies to the Linux kernel as a mirror target would receive them, and compares what
# its VXLAN device takes out of them with the frames that were mirrored, byte by byte.
#
#   kernel_vxlan_test.sh MIRROR EXPECTED VNI LOCAL_IP REMOTE_IP TARGET_MAC
#
# MIRROR      pcap of the copies, all with this VNI and to this target
# EXPECTED    pcap of what they must hold, in the same order
# LOCAL_IP    the target's address, REMOTE_IP the mirrored interface's: both IPv4 or both IPv6
# TARGET_MAC  the target's MAC, unicast and not zero
#
# The kernel checks the outer IP header, the UDP length, over IPv6 the UDP checksum, the VXLAN flags
# and the VNI, and drops what is wrong. Over IPv4 it is told to accept no other source than
# REMOTE_IP. Some versions also drop inner frames that they find too short, so leave these out:
# below 14 bytes; EtherType IPv4 below 34; IPv6 below 54; VLAN-tagged below 20.
#
# Exit status: 0 equal, 1 different, 77 the kernel or the tools cannot do it here, 2 wrong usage.
# Needs root, or user namespaces; from Debian: iproute2 ethtool procps python3.
set -euo pipefail

skip() {
    echo "skipped: $*"
    exit 77
}

if (($# != 6)); then
    sed -n '3,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
mirror=$1 expected=$2 vni=$3 local_ip=$4 remote_ip=$5 target_mac=$6

# All of it happens in a network namespace that goes when this process ends: the script runs itself
# again inside (unshare does not fork, so the inner one's parent is the outer one).
if [[ ${KERNEL_VXLAN_NAMESPACE-} != "$PPID" ]]; then
    for tool in ip ethtool sysctl python3 unshare; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
    unshare=(unshare --net)
    ((EUID == 0)) || unshare+=(--user --map-root-user)
    "${unshare[@]}" true 2>/dev/null || skip "no right to create a network namespace"
    status=0
    KERNEL_VXLAN_NAMESPACE=$$ "${unshare[@]}" "$BASH" "$0" "$@" || status=$?
    exit "$status"
fi

# The mirror's end of the cable is `wire`, the target's `target`.
ip link add dev wire type veth peer name target 2>/dev/null || skip "the kernel has no veth devices"
for device in wire target; do
    ethtool -K "$device" rx off tx off gro off >/dev/null
    ip link set "$device" addrgenmode none arp off mtu 9400
done
ip link set target address "$target_mac"
if [[ $local_ip == *:* ]]; then
    sysctl -qw net.ipv6.conf.target.disable_ipv6=0 2>/dev/null || skip "the kernel has no IPv6"
    prefix=128 nodad=(nodad)
else
    sysctl -qw net.ipv4.conf.target.rp_filter=1 || skip "network settings cannot be changed"
    prefix=32 nodad=()
fi
ip link set wire up
ip link set target up
ip address add "$local_ip/$prefix" dev target "${nodad[@]}"
ip route add "$remote_ip/$prefix" dev target

ip link add dev probe type vxlan id 1 dstport 4790 2>/dev/null ||
    skip "the kernel has no VXLAN devices"
ip link delete probe

# Its own MAC must be none that was mirrored: the kernel drops frames from itself.
# UDP checksums over IPv6 stay required: no udp6zerocsumrx.
ip link add dev vxlan type vxlan id "$vni" local "$local_ip" remote "$remote_ip" dev target \
    dstport 4789 nolearning
ip link set vxlan address 02:6b:65:72:6e:6c addrgenmode none arp off mtu 9300 promisc on
sysctl -qw net.ipv6.conf.vxlan.disable_ipv6=1 2>/dev/null || true
ethtool -K vxlan gro off >/dev/null
ip link set vxlan up

exec python3 - "$mirror" "$expected" <<'PYTHON'
import socket
import struct
import sys

SOL_PACKET, PACKET_AUXDATA = 263, 8  # linux/if_packet.h
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
VXLAN_MAC = bytes.fromhex("026b65726e6c")


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<",
             b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}.get(data[:4])
    if order is None:
        sys.exit(f"{path}: not a pcap file")
    frames, at = [], 24
    while at < len(data):
        size, = struct.unpack_from(order + "8xI", data, at) if at + 16 <= len(data) else (0,)
        frames.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    if at != len(data):
        sys.exit(f"{path}: the file is cut off")
    return frames


def packet_socket(device, protocol):
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    packets.bind((device, protocol))
    return packets


def receive(packets):
    """The next frame that the device received, with the VLAN tag that is kept beside it."""
    while True:
        try:
            frame, ancillary, _, address = packets.recvmsg(65536, 256)
        except socket.timeout:
            return None
        if address[2] == socket.PACKET_OUTGOING:
            continue
        for level, kind, data in ancillary:
            if (level, kind) != (SOL_PACKET, PACKET_AUXDATA):
                continue
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data)
            if status & TP_STATUS_VLAN_VALID:
                if not status & TP_STATUS_VLAN_TPID_VALID:
                    tpid = 0x8100
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        return frame


def hexdump(frame, mark):
    lines = []
    for at in range(mark // 16 * 16, min(len(frame), mark // 16 * 16 + 48), 16):
        lines.append(f"    {at:04x}  {frame[at : at + 16].hex(' ')}")
    return "\n".join(lines) or "    (ends before)"


def explain(number, copy, expected, received):
    if received is None:
        return (f"copy {number} ({len(copy)} bytes): the kernel dropped it\n  it begins\n"
                f"{hexdump(copy, 0)}\n  expected out of it: {len(expected)} bytes")
    differing = next((i for i, (a, b) in enumerate(zip(expected, received)) if a != b),
                     min(len(expected), len(received)))
    return (f"copy {number}: first difference at byte {differing}\n"
            f"  expected, {len(expected)} bytes\n{hexdump(expected, differing)}\n"
            f"  received, {len(received)} bytes\n{hexdump(received, differing)}")


copies, expected = read_pcap(sys.argv[1]), read_pcap(sys.argv[2])
if not copies or len(copies) != len(expected):
    sys.exit(f"{sys.argv[1]} holds {len(copies)} copies, {sys.argv[2]} {len(expected)} frames")
if any(frame[6:12] == VXLAN_MAC for frame in expected):
    sys.exit(f"{sys.argv[2]} has a frame from the VXLAN device's own MAC {VXLAN_MAC.hex(':')}")

wire = packet_socket("wire", 0)
vxlan = packet_socket("vxlan", 3)  # ETH_P_ALL
vxlan.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
vxlan.settimeout(1)

# One at a time, so that no queue can overflow and each failure belongs to one copy.
wrong = 0
for number, (copy, frame) in enumerate(zip(copies, expected), 1):
    wire.send(copy)
    received = receive(vxlan)
    if received != frame:
        print(explain(number, copy, frame, received))
        wrong += 1
        if wrong == 5:
            print("... and no further comparison")
            break
if wrong == 0:
    vxlan.settimeout(0.2)
    extra = receive(vxlan)
    if extra is not None:
        print(f"the kernel delivered one frame too many, {len(extra)} bytes\n{hexdump(extra, 0)}")
        wrong = 1
if wrong:
    sys.exit(1)
print(f"{len(copies)} copies: the kernel's VXLAN device delivered exactly the mirrored frames")
PYTHON
