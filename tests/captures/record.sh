#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Records the captures of this folder anew, from Linux's network stack: two hosts, each a network
# namespace, on a veth cable, all offloads off so that every frame is as it would be on a wire.
# Needs root and, from Debian: iproute2 ethtool tcpdump tshark iputils-ping curl dnsmasq-base
# bind9-dnsutils procps
# python3.
set -euo pipefail
cd "$(dirname "$0")"

client="client$$" server="server$$" trunk="trunk$$"
work=$(mktemp -d)
background=()

stop_background() {
    kill "${background[@]}" 2>/dev/null || true
    wait "${background[@]}" 2>/dev/null || true
    background=()
}

remove_network() {
    for name in "$client" "$server" "$trunk"; do
        ip netns delete "$name" 2>/dev/null || true
    done
}

trap 'stop_background; remove_network; rm -rf "$work"' EXIT

in_client() { ip netns exec "$client" "$@"; }
in_server() { ip netns exec "$server" "$@"; }

offloads_off() {  # namespace, device
    ip netns exec "$1" ethtool -K "$2" rx off tx off sg off tso off gso off gro off \
        rxvlan off txvlan off >"$work/ethtool" 2>&1 || {
        cat "$work/ethtool" >&2
        return 1
    }
}

host_up() {  # namespace, MAC, IPv4, IPv6, MTU
    ip -n "$1" link set lo up
    offloads_off "$1" eth0
    ip netns exec "$1" sysctl -qw net.ipv6.conf.eth0.accept_ra=0 # solicits no routers
    ip -n "$1" link set eth0 address "$2" mtu "$5" up
    ip -n "$1" address add "$3/16" dev eth0
    ip -n "$1" address add "$4/64" dev eth0 nodad
}

# The client 10.0.1.10, 2001:db8::10 and the server 10.0.2.20, 2001:db8::20.
both_up() {  # MTU
    host_up "$client" 02:00:00:00:00:0a 10.0.1.10 2001:db8::10 "$1"
    host_up "$server" 02:00:00:00:00:0b 10.0.2.20 2001:db8::20 "$1"
    sleep 2.5 # until duplicate address detection and multicast reports are over
}

new_network() {  # MTU
    remove_network
    ip netns add "$client"
    ip netns add "$server"
    ip -n "$client" link add dev eth0 type veth peer name eth0 netns "$server"
    both_up "$1"
}

# The hosts of new_network, but each on an access port of a switch of its own. Between the two
# switches is a trunk on which every frame carries the given tags, outermost first.
new_trunk() {  # TPID:VLAN...
    remove_network
    ip netns add "$client"
    ip netns add "$server"
    ip netns add "$trunk"
    ip -n "$client" link add dev eth0 type veth peer name access0 netns "$trunk"
    ip -n "$server" link add dev eth0 type veth peer name access1 netns "$trunk"
    ip -n "$trunk" link add dev trunk0 type veth peer name trunk1
    for device in access0 access1 trunk0 trunk1; do
        offloads_off "$trunk" "$device"
        ip -n "$trunk" link set "$device" addrgenmode none mtu 1600 promisc on up
    done
    ip netns exec "$trunk" python3 - "$@" <<'PYTHON' &
import selectors, socket, struct, sys

tags = b""
for tag in sys.argv[1:]:
    tpid, vlan = tag.split(":")
    tags += struct.pack("!HH", int(tpid, 0), int(vlan))

def port(device):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    port.bind((device, 0))
    return port

ports = selectors.DefaultSelector()
for access, trunk in ((port("access0"), port("trunk0")), (port("access1"), port("trunk1"))):
    ports.register(access, selectors.EVENT_READ, (trunk, True))
    ports.register(trunk, selectors.EVENT_READ, (access, False))
while True:
    for ready, _ in ports.select():
        frame, address = ready.fileobj.recvfrom(65536)
        if address[2] == socket.PACKET_OUTGOING:
            continue
        to, tag = ready.data
        if tag:
            frame = frame[:12] + tags + frame[12:]
        else:  # the kernel has already taken one tag off
            while frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
                frame = frame[:12] + frame[16:]
        to.send(frame)
PYTHON
    background+=($!)
    both_up 1500
}

record() {  # namespace, device, file, function that makes the traffic
    # Neighbours are learnt anew, so that each capture has its ARP or neighbour discovery.
    in_client ip neighbour flush dev eth0
    in_server ip neighbour flush dev eth0
    rm -f "$work/tcpdump.log"
    ip netns exec "$1" tcpdump --immediate-mode -U -Z root -i "$2" -w "$work/recording" \
        "${tcpdump_options[@]}" 2>"$work/tcpdump.log" &
    local tcpdump=$!
    until grep -qs 'listening on' "$work/tcpdump.log"; do
        kill -0 "$tcpdump" || { cat "$work/tcpdump.log" >&2; return 1; }
        sleep 0.1
    done
    "$4"
    sleep 0.5
    kill -INT "$tcpdump"
    wait "$tcpdump"
    grep -q '^0 packets dropped by kernel' "$work/tcpdump.log"
    case "$3" in
    *.pcapng) editcap -F pcapng "$work/recording" "$3" ;;
    *) mv "$work/recording" "$3" ;;
    esac
    chmod 644 "$3"
    echo "$3: $(tshark -r "$3" 2>/dev/null | wc -l) frames, $(stat -c %s "$3") bytes"
}
tcpdump_options=()

until_answer() {  # command...: tries for 10 s
    for _ in {1..100}; do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "no answer: $*" >&2
    return 1
}

fails() {
    if "$@" >/dev/null 2>&1; then
        echo "did not fail: $*" >&2
        return 1
    fi
}

# The servers listen on both of the server's addresses.
start_web_server() {
    in_server python3 -m http.server --directory "$work/site" --bind :: 80 >/dev/null 2>&1 &
    background+=($!)
    until_answer in_server curl -sf http://127.0.0.1/
}

start_echo_server() {
    in_server python3 - <<'PYTHON' &
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 7))
while True:
    data, client = server.recvfrom(65536)
    server.sendto(data, client)
PYTHON
    background+=($!)
    until_answer in_server grep ':0007 ' /proc/net/udp6
}

fetch() {  # host as in a URL, path...
    local host=$1 path
    shift
    for path in "$@"; do
        in_client curl -gsf -o "$work/fetched" "http://$host/$path"
        cmp "$work/fetched" "$work/site/$path"
    done
}

send_datagrams() {  # address, sizes...
    in_client python3 - "$@" <<'PYTHON'
import socket, sys
address, sizes = sys.argv[1], [int(size) for size in sys.argv[2:]]
client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(10)
client.connect((address, 7))
for size in sizes:
    data = bytes(i * 7 & 255 for i in range(size))
    client.send(data)
    assert client.recv(65536) == data
PYTHON
}

# ------------------------------------------------------------------------------- what is recorded

http() {
    fetch 10.0.2.20 index.html data.bin
    fails in_client curl -sf http://10.0.2.20/missing
    fails in_client curl -sf http://10.0.2.20:81/ # nobody listens: a reset
}

http6() { fetch '[2001:db8::20]' index.html data.bin; }

dns() {
    in_client dig @10.0.2.20 www.example.test A
    in_client dig @10.0.2.20 www.example.test AAAA
    in_client dig @10.0.2.20 none.example.test A
    in_client dig @10.0.2.20 large.example.test TXT +bufsize=512 # truncated, then over TCP
    in_client dig @10.0.2.20 www.example.test A +tcp
    in_client dig @2001:db8::20 www.example.test AAAA
    in_client dig @2001:db8::20 www.example.test A +tcp
} >"$work/dig"

icmp() {
    in_client ping -q -c 3 -i 0.2 10.0.2.20
    in_client ping -q -c 3 -i 0.2 2001:db8::20
    in_client ping -q -c 1 -s 4000 10.0.2.20
    in_client ping -q -c 1 -s 4000 2001:db8::20
    in_client ping -q -c 1 -R 10.0.2.20 # record route: an IPv4 header with options
    fails in_client python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("10.0.2.20", 9))
s.send(b"x")
s.settimeout(5)
s.recv(1) # nobody listens: port unreachable'
} >"$work/ping"

fragments() {
    send_datagrams 10.0.2.20 1472 1473 5000
    send_datagrams 2001:db8::20 1452 1453 5000
}

vlan() {
    fetch 10.0.2.20 index.html
    fetch '[2001:db8::20]' index.html
    in_client ping -q -c 2 -i 0.2 10.0.2.20
    send_datagrams 10.0.2.20 3000
    send_datagrams 2001:db8::20 3000
} >"$work/ping"

jumbo() {
    in_client ping -q -c 1 -M "do" -s 8973 10.0.2.20
    fetch 10.0.2.20 jumbo.bin
    fetch '[2001:db8::20]' jumbo.bin
} >"$work/ping"

extension_headers() {
    in_client python3 - <<'PYTHON'
import socket

IPV6_HOPOPTS, IPV6_DSTOPTS = 54, 59  # linux/in6.h
ROUTER_ALERT = bytes([0, 0, 5, 2, 0, 0, 1, 0])

def experiment(size):  # a header that holds one option of type 0x1e (RFC 4727): to be skipped
    return bytes([0, size // 8 - 1, 0x1E, size - 4]) + bytes(size - 4)

def connect(kind, port, options):
    s = socket.socket(socket.AF_INET6, kind)
    for option, header in options:
        s.setsockopt(socket.IPPROTO_IPV6, option, header)
    s.settimeout(10)
    s.connect(("2001:db8::20", port))
    return s

for options in (
    [(IPV6_HOPOPTS, ROUTER_ALERT)],
    [(IPV6_DSTOPTS, experiment(8))],
    [(IPV6_DSTOPTS, experiment(128))],  # the ports lie beyond the frame's first 128 bytes
    [(IPV6_HOPOPTS, ROUTER_ALERT), (IPV6_DSTOPTS, experiment(24))],
):
    for size in 20, 3000:  # 3000: in fragments
        with connect(socket.SOCK_DGRAM, 7, options) as s:
            s.send(bytes(size))
            assert s.recv(65536) == bytes(size)

with connect(socket.SOCK_STREAM, 80, [(IPV6_DSTOPTS, experiment(16))]) as s:
    s.send(b"GET /index.html HTTP/1.0\r\n\r\n")
    while s.recv(65536):
        pass
PYTHON
}

# ------------------------------------------------------------------------------------ recordings

mkdir "$work/site"
echo '<!doctype html><title>A page</title><p>It was recorded.' >"$work/site/index.html"
python3 -c 'print("".join(f"{i:07d}\n" for i in range(1500)), end="")' >"$work/site/data.bin"
python3 -c 'print("".join(f"{i:07d}\n" for i in range(4000)), end="")' >"$work/site/jumbo.bin"

new_network 1500
start_web_server
start_echo_server
large=$(printf 'x%.0s' {1..200})
in_server dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --no-resolv --no-hosts \
    --user=root --local=/test/ --host-record=www.example.test,10.0.2.20,2001:db8::20 \
    --txt-record="large.example.test,$large,$large,$large,$large" &
background+=($!)
until_answer in_server dig @10.0.2.20 www.example.test +timeout=1 +tries=1

record "$client" eth0 http.pcap http
record "$client" eth0 http6.pcap http6
record "$client" eth0 dns.pcap dns
record "$client" eth0 icmp.pcap icmp
record "$client" eth0 fragments.pcap fragments
tcpdump_options=(--time-stamp-precision=nano)
record "$client" eth0 extension_headers.pcapng extension_headers
tcpdump_options=()
stop_background

new_trunk 0x8100:100
start_web_server
start_echo_server
record "$trunk" trunk0 vlan.pcap vlan
stop_background

new_trunk 0x88a8:200 0x8100:100
start_web_server
start_echo_server
record "$trunk" trunk0 qinq.pcap vlan
stop_background

new_network 9001
start_web_server
tcpdump_options=(--time-stamp-precision=nano)
record "$client" eth0 jumbo.pcap jumbo
