"""The stores in which guards may count together: named by the installation alone, so that no endpoint names an address.

A credential is read from the files of a mounted Secret each time that a document is issued: it may change at any time.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.policy.document import SharedStore

MOST = 16
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_FIELDS = {"name", "address", "port", "serverName", "ca", "pods"}
_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Store:
    """`namespace` and `labels` choose the store's pods where `address` is a Service's; without them it is itself."""

    name: str
    place: SharedStore
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """Empty where there is none (yet); the guards then count alone, each its share."""

    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Credential(***)"


def read(text: str) -> tuple[Store, ...]:
    """From the chart's value, as JSON; raises ValueError."""
    found = json.loads(text) if text else []
    if not isinstance(found, list) or len(found) > MOST:
        raise ValueError(f"is not a list of up to {MOST} stores")
    stores = tuple(_store(item) for item in found)
    if len({store.name for store in stores}) != len(stores):
        raise ValueError("has two stores of one name")
    return stores


def credential(folder: Path, name: str) -> Credential:
    return Credential(_line(folder / name / "username"), _line(folder / name / "password"))


def _store(item: object) -> Store:
    if not isinstance(item, Mapping) or not {"name", "address", "port"} <= item.keys() <= _FIELDS:
        raise ValueError(f"a store has name, address and port, and may have {', '.join(sorted(_FIELDS))}")
    name, port, pods = str(item["name"]), item["port"], item.get("pods") or {}
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a store's name; use lower-case letters, digits and '-'")
    if type(port) is not int or port not in _PORTS:
        raise ValueError(f"store {name}: {port!r} is not a port")
    if bool(item.get("serverName")) != bool(item.get("ca")):
        raise ValueError(f"store {name}: TLS needs both serverName and ca")
    place = SharedStore(_address(name, item["address"]), port, item.get("serverName") or "", item.get("ca") or "")
    return Store(name, place, pods.get("namespace") or "", _labels(name, pods))


def _address(name: str, given: object) -> str:
    """Endpoints resolve no names: DNS alone would carry data out."""
    try:
        address = ipaddress.ip_address(str(given))
    except ValueError:
        raise ValueError(f"store {name}: {given!r} is not an IP address, and guards resolve no names") from None
    if address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast:
        raise ValueError(f"store {name}: {address} is no address of a server that pods share")
    return str(address)


def _labels(name: str, pods: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    labels = pods.get("labels") or {}
    if pods and not (pods.get("namespace") and labels):
        raise ValueError(f"store {name}: pods needs a namespace and at least one label")
    return tuple(sorted((str(key), str(value)) for key, value in labels.items()))


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
