"""The link between host and node: a veth pair, the addresses at its ends, and which of them are free to use."""

import hashlib
import ipaddress
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.localcluster import controlplane, waiting
from tests.localcluster.complaints import Complaint
from tests.localcluster.components import Surroundings
from tests.localcluster.record import Record

_CANDIDATES = ("10.243.255.0/30", "172.31.255.248/30", "192.168.255.248/30", "198.18.255.248/30")
"""One of them overlaps with no route of nearly any machine; the node's other ranges never leave its namespaces."""

_UPLINK = "uplink"

_MASQUERADE = f"""
table ip bartizan_masquerade
delete table ip bartizan_masquerade
table ip bartizan_masquerade {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {controlplane.POD_RANGE} oifname "{_UPLINK}" masquerade
  }}
}}
"""
"""As on other clusters, pods reach what lies outside under the node's address."""


def link_name(cluster: str) -> str:
    """At most 15 characters, the kernel's limit."""
    return f"bartizan-{hashlib.sha256(cluster.encode()).hexdigest()[:5]}"


def free_addresses() -> tuple[str, str]:
    """The host's and the node's end of a link network that overlaps with no route of the host."""
    routes = json.loads(_run(["ip", "-json", "-4", "route"]))
    used = [ipaddress.ip_network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]
    for candidate in map(ipaddress.ip_network, _CANDIDATES):
        if not any(candidate.overlaps(network) for network in used):
            host, node = list(candidate.hosts())
            return str(host), str(node)
    raise Complaint(f"routes of this machine overlap with each of {', '.join(_CANDIDATES)}; remove one of them")


def ensure_link(record: Record, prefix: Sequence[str]) -> None:
    """The default route is made last; where it is, all else is there."""
    if _run([*prefix, "ip", "route", "show", "default"]):
        return
    remove_link(record.name)
    keeper = Surroundings(record.places).process("keeper")
    assert keeper, "the namespaces are made before the link"
    name = link_name(record.name)
    _run(["ip", "link", "add", name, "type", "veth", "peer", "name", _UPLINK, "netns", str(keeper.pid)])
    _run(["ip", "address", "add", f"{record.gateway}/30", "dev", name])
    _run(["ip", "link", "set", name, "up"])
    _run([*prefix, "ip", "address", "add", f"{record.address}/30", "dev", _UPLINK])
    _run([*prefix, "ip", "link", "set", _UPLINK, "up"])
    _run([*prefix, "nft", "-f", "-"], stdin=_MASQUERADE)
    _run([*prefix, "ip", "route", "add", "default", "via", record.gateway])


def remove_link(cluster: str) -> None:
    """The kernel removes it with the node's network namespace, a little later than the processes."""
    name = link_name(cluster)
    if exists(name):
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
    waiting.until(lambda: not exists(name), seconds=10, complaint=lambda: f"{name} does not go away")


def exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _run(command: Sequence[str], *, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise Complaint(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
