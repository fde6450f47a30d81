"""Knows how to build a node in miniature: a network namespace for each party, all joined by one that forwards."""

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import company
from tests.localcluster import locks

GATEWAY = "10.77.0.1"
SERVICE = ("10.96.0.77", 80)
ADDRESSES = {
    "model": "10.77.0.11",
    "peer": "10.77.0.12",
    "chat": "10.77.0.13",
    "rogue": "10.77.0.14",
    "outside": "192.0.2.10",
    "barred": "192.0.2.70",
    "host": GATEWAY,
}
PORTS = (("tcp", 8080), ("tcp", 8081), ("tcp", 9090), ("udp", 5353))
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

SERVICE_TABLE = f"""
table ip services {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr {SERVICE[0]} tcp dport {SERVICE[1]} dnat to {ADDRESSES["model"]}:8080
  }}
}}
"""
"""What kube-proxy does to a Service."""


def namespace(party: str) -> str:
    return f"bartizan-{os.getpid()}-{party}"


def command(*words: str, stdin: str = "") -> None:
    subprocess.run(words, input=stdin, text=True, check=True)


def inside(party: str, *words: str, stdin: str = "") -> None:
    command("ip", "netns", "exec", namespace(party), *words, stdin=stdin)


@contextlib.contextmanager
def standing_in(party: str) -> Iterator[None]:
    """This thread makes its sockets in the party's network; they stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    theirs = os.open(f"/run/netns/{namespace(party)}", os.O_RDONLY)
    try:
        enter(theirs)
        yield
    finally:
        enter(own)
        os.close(own)
        os.close(theirs)


def enter(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def bring_up() -> None:
    for party in ADDRESSES:
        command("ip", "netns", "add", namespace(party))
        inside(party, "ip", "link", "set", "lo", "up")
    inside("host", "ip", "address", "add", f"{GATEWAY}/32", "dev", "lo")
    inside("host", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    inside("host", "nft", "-f", "-", stdin=SERVICE_TABLE)
    for number, (party, address) in enumerate(ADDRESSES.items()):
        if party != "host":
            join(party, address, f"party{number}")


def join(party: str, address: str, device: str) -> None:
    """Wire a party as the ptp plugin wires a pod: a veth, a host route, the gateway on the node's end."""
    ends = ("ip", "link", "add", device, "netns", namespace("host"), "type", "veth")
    command(*ends, "peer", "name", "eth0", "netns", namespace(party))
    inside("host", "ip", "address", "add", f"{GATEWAY}/32", "dev", device)
    inside("host", "ip", "link", "set", device, "up")
    inside("host", "ip", "route", "add", f"{address}/32", "dev", device)
    inside(party, "ip", "address", "add", f"{address}/32", "dev", "eth0")
    inside(party, "ip", "link", "set", "eth0", "up")
    inside(party, "ip", "route", "add", GATEWAY, "dev", "eth0", "scope", "link")
    inside(party, "ip", "route", "add", "default", "via", GATEWAY)


def take_down() -> None:
    for party in ADDRESSES:
        if Path(f"/run/netns/{namespace(party)}").exists():
            command("ip", "netns", "del", namespace(party))


@dataclass
class Lab:
    """The running node; every party listens on every port."""

    listeners: dict[tuple[str, str, int], socket.socket] = field(default_factory=dict)

    def listen(self) -> None:
        for party, address in ADDRESSES.items():
            with standing_in(party):
                for protocol, port in PORTS:
                    self.listeners[party, protocol, port] = listener(address, protocol, port)

    def load(self, table: str) -> None:
        inside("host", "nft", "-f", "-", stdin=table)

    def close(self) -> None:
        for each in self.listeners.values():
            each.close()


def listener(address: str, protocol: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, KINDS[protocol])
    made.setblocking(False)
    made.bind((address, port))
    if protocol == "tcp":
        made.listen(128)
    return made


@contextlib.contextmanager
def running() -> Iterator[Lab]:
    lab = Lab()
    with locks.exclusive(company.HOST, waiting_for="another test looks at what the host shows"):
        try:
            bring_up()
            lab.listen()
            yield lab
        finally:
            lab.close()
            take_down()
