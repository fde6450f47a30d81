"""Which address ranges may be named, and which nobody reaches whatever is named: link-local and cloud metadata."""

import ipaddress
import re
from typing import TypeAlias

from bartizan.policy.nodes import ABSENT, Absent, Node, show

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SHUT: tuple[ipaddress.IPv4Network, ...] = tuple(
    ipaddress.IPv4Network(cidr)
    for cidr in ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
)
"""Link-local, where most clouds keep their metadata service, and those that live elsewhere: Alibaba, Azure, Oracle."""

_SHUT_6: tuple[ipaddress.IPv6Network, ...] = tuple(
    ipaddress.IPv6Network(cidr)
    for cidr in (
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "fd00:c1::a9fe:a9fe/128",
        "fd00:42::42/128",
        "fd00:a9fe:a9fe::1/128",
        "fd00:100::100:200/128",
    )
)
"""Link-local, then the services of AWS (metadata, DNS and time lie in one range), Google, Oracle, Scaleway, Linode and
Alibaba."""

TRANSLATED = tuple(ipaddress.IPv6Network(cidr) for cidr in ("64:ff9b::/96", "::/96"))
"""Ranges whose last 32 bits are an IPv4 address that a gateway may translate to: NAT64 (RFC 6052), IPv4-compatible."""

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4-mapped addresses: the IPv4 rules above could be walked round through them. They are refused as peers, but cannot
be excepted: Kubernetes reads them as IPv4. Nor need they be, since no node sends a packet to one."""


def _translated(shut: ipaddress.IPv4Network, prefix: ipaddress.IPv6Network) -> ipaddress.IPv6Network:
    address = int(prefix.network_address) + int(shut.network_address)
    return ipaddress.IPv6Network((address, 96 + shut.prefixlen))


NEVER_REACHED: tuple[Network, ...] = (
    *_SHUT,
    *_SHUT_6,
    *(_translated(shut, prefix) for prefix in TRANSLATED for shut in _SHUT),
)
"""Refused as peers, and excepted from every wider range."""

WIDEST_CLIENTS = {4: 8, 6: 32}
"""Prefix lengths: a wider range of clients is the internet by another name."""


def judge_clients(node: Node) -> str | Absent:
    """A range that clients may come from."""
    network = _read(node)
    if isinstance(network, Absent):
        return network
    widest = WIDEST_CLIENTS[network.version]
    if network.prefixlen < widest:
        return node.refuse(
            f"{show(node.value)} opens the endpoint to nearly everyone; "
            f"name the network of your gateway, /{widest} or narrower"
        )
    return _unless_never_reached(node, network)


def judge_peer(node: Node) -> str | Absent:
    """A range that the pods may reach. A wide one is allowed: see `exceptions_within`."""
    network = _read(node)
    return network if isinstance(network, Absent) else _unless_never_reached(node, network)


def judge_exception(node: Node) -> str | Absent:
    """A range that stays shut; it only ever closes."""
    network = _read(node)
    return ABSENT if isinstance(network, Absent) else str(network)


def judge_address(node: Node) -> str | Absent:
    """A single address, in the one form that is canonical."""
    try:
        address = ipaddress.ip_address(node.value if isinstance(node.value, str) and "%" not in node.value else "")
    except ValueError:
        return node.refuse(f"{show(node.value)} is not an IP address; write for example 10.20.0.1")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return node.refuse(f"{show(node.value)} is IPv4 in IPv6's clothes; write {address.ipv4_mapped}")
    return str(address)


def exceptions_within(cidr: str) -> tuple[str, ...]:
    """What a policy for `cidr` has to except, so that no range, however wide, opens a metadata service."""
    network = ipaddress.ip_network(cidr)
    return tuple(str(shut) for shut in NEVER_REACHED if contains(network, shut))


def is_open(address: str, listed: tuple[Network, ...]) -> bool:
    """Whether it may be connected to: a public address, or one of the `listed` ranges; never a metadata service.

    An IPv6 address that stands for an IPv4 one must pass as both. Raises ValueError for what is no address.
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return _is_open(found.ipv4_mapped, listed)
        inner = found.sixtofour or next((_last_32(found) for shut in TRANSLATED if found in shut), None)
        if inner is not None and not _is_open(inner, listed):
            return False
    return _is_open(found, listed)


def _last_32(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _is_open(address: ipaddress.IPv4Address | ipaddress.IPv6Address, listed: tuple[Network, ...]) -> bool:
    if any(address in shut for shut in NEVER_REACHED):
        return False
    is_public = address.is_global and not address.is_multicast and not address.is_reserved
    return is_public or any(address in network for network in listed)


def contains(outer: Network, inner: Network) -> bool:
    if isinstance(outer, ipaddress.IPv4Network):
        return isinstance(inner, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, ipaddress.IPv6Network) and inner.subnet_of(outer)


def _read(node: Node) -> Network | Absent:
    text = node.value if isinstance(node.value, str) else ""
    if not re.fullmatch(r"[0-9a-fA-F:.]{2,39}/[0-9]{1,3}", text):
        return node.refuse(f"{show(node.value)} is not a CIDR; write for example 10.20.0.0/16")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return node.refuse(f"{show(node.value)} is not a CIDR; write for example 10.20.0.0/16")
    if ipaddress.ip_interface(text).ip != network.network_address:
        return node.refuse(f"{show(node.value)} has bits set beyond its prefix; write {network}")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(MAPPED):
        return node.refuse(f"{show(node.value)} is IPv4 in IPv6's clothes; write a range of IPv4 as such")
    return network


def _unless_never_reached(node: Node, network: Network) -> str | Absent:
    shut = next((shut for shut in NEVER_REACHED if contains(shut, network)), None)
    if shut is not None:
        return node.refuse(
            f"{show(node.value)} lies within {shut}, link-local and metadata addresses, which stay shut; remove it"
        )
    return str(network)
