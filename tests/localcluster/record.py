"""What a cluster was made as: its level, its address and its ports, kept in one file."""

import json
import random
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.localcluster import places
from tests.localcluster.complaints import Complaint

PORTS = range(20000, 30000)
"""Below the kernel's ephemeral ports, so that no outgoing connection takes one between choice and use."""

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")


class Level(StrEnum):
    CONTROL_PLANE = "control-plane"
    NODE = "node"


@dataclass(frozen=True)
class Record:
    name: str
    level: Level
    address: str
    """Where the components listen: the loopback of the host, or the node's end of its link."""
    ports: Mapping[str, int]
    owner_pid: int = 0
    """The process at whose end the cluster may be swept away; 0 for one that stays until it is taken down."""
    owner_started: int = 0
    gateway: str = ""
    """The host's end of the node's link."""

    @property
    def server(self) -> str:
        return self.url("kube-apiserver")

    def url(self, component: str) -> str:
        return f"https://{self.address}:{self.ports[component]}"

    @property
    def places(self) -> places.ClusterPlaces:
        return places.of(self.name)


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Complaint(f"--name {name!r}: use up to 30 lower-case letters, digits and hyphens, a letter first")
    return name


def read(name: str) -> Record | None:
    """None when there is no such cluster, or one that died before it was recorded."""
    try:
        held: dict[str, Any] = json.loads(places.of(name).record.read_text())
        return Record(**{**held, "level": Level(held["level"])})
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def write(record: Record) -> None:
    record.places.create()
    fresh = record.places.record.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record), indent=2))
    fresh.replace(record.places.record)


def names() -> list[str]:
    """All clusters that left anything in the state directory."""
    with suppress(FileNotFoundError):
        return sorted(
            entry.name for entry in places.clusters().iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name)
        )
    return []


def free_ports(components: Sequence[str]) -> dict[str, int]:
    """Ports that no recorded cluster has and that can be bound now; call under the lock of the records."""
    taken = {port for name in names() if (record := read(name)) for port in record.ports.values()}
    begin = random.randrange(len(PORTS))
    candidates = (port for port in [*PORTS[begin:], *PORTS[:begin]] if port not in taken and _is_free(port))
    return dict(zip(components, candidates, strict=False))


def allocation_lock() -> Path:
    return places.clusters() / ".allocation.lock"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
