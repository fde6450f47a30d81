"""spec.serving: how the model server listens, and which container it is."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bartizan.policy import capabilities, fields, media, names
from bartizan.policy.capabilities import Capability
from bartizan.policy.media import MediaTerms
from bartizan.policy.model import Serving, Transport
from bartizan.policy.nodes import Absent, Node, show
from bartizan.policy.protocols import Protocol
from bartizan.policy.shapes import LABEL, SUBDOMAIN, Choice, Many, Record, Ruled, Text, Whole

DEFAULT_SOCKET_PATH = "/run/model/model.sock"
LONGEST_SOCKET_PATH = 100
"""A unix socket's address holds 107 bytes (unix(7)); some are left for what servers append while binding."""
GUARD_PORTS = (names.GUARD_PORT, names.STATUS_PORT, names.GUARD_TLS_PORT, names.METRICS_PORT)

_SOCKET_PATH = re.compile(r"/(run|tmp|srv|mnt|var/run|var/tmp)(/[A-Za-z0-9_][-A-Za-z0-9_.]*){2,}")
_TAKEN = ("/run/secrets/", "/var/run/secrets/", "/run/bartizan/", "/var/run/bartizan/")


_FIELD = Text(
    64,
    r"[a-z][a-z0-9_]*",
    "is not a field's name; use lower-case letters, digits and '_', as in top_k",
)


def _socket_path(node: Node) -> str | Absent:
    path = node.value
    if not isinstance(path, str) or len(path) > LONGEST_SOCKET_PATH:
        return node.refuse(f"{show(path)} is not a path of at most {LONGEST_SOCKET_PATH} characters; shorten it")
    if not _SOCKET_PATH.fullmatch(path) or path.startswith(_TAKEN):
        return node.refuse(
            f"{show(path)} is not a socket in a directory of its own below /run, /tmp, /srv, /mnt, /var/run "
            f"or /var/tmp, without '..'; write for example {DEFAULT_SOCKET_PATH}"
        )
    return path


def _port(node: Node) -> int | Absent:
    port = Whole(1024, 65535)(node)
    if port in GUARD_PORTS:
        return node.refuse(f"{port} is the guard's; let the model server listen on another port, for example 8000")
    return port


def _field(node: Node) -> str | Absent:
    name = _FIELD(node)
    if isinstance(name, str) and (why := fields.NEVER.get(name)):
        return node.refuse(f"{show(name)} is never let through: {why}; remove it")
    return name


def _judge_fields(node: Node, clean: list[str]) -> None:
    if len(set(clean)) < len(clean):
        node.refuse("names one field twice; name each once")


def _judge_types(node: Node, clean: list[str]) -> None:
    if len(set(clean)) < len(clean):
        node.refuse("names one type twice; name each once")


def _judge_capabilities(node: Node, clean: list[str]) -> None:
    if len(set(clean)) < len(clean):
        node.refuse("names one capability twice; name each once")


_CAPABILITY = Choice(
    tuple(Capability), f"write some of {', '.join(Capability)}, or [] for plain text; images have media"
)
_MEDIA = Record(
    {
        "types": Ruled(Many(Choice(media.TYPES), len(media.TYPES), 1), _judge_types),
        "maxBytes": Whole(1, media.MOST_BYTES),
        "tokens": Whole(1, media.MOST_TOKENS),
    },
    required=("types", "tokens"),
)


judge = Record(
    {
        "protocol": Choice(tuple(Protocol)),
        "allowFields": Ruled(Many(_field, fields.MOST), _judge_fields),
        "media": _MEDIA,
        "capabilities": Ruled(Many(_CAPABILITY, len(Capability)), _judge_capabilities),
        "transport": Choice(tuple(Transport)),
        "socketPath": _socket_path,
        "port": _port,
        "container": LABEL,
        "tls": Record({"secretName": SUBDOMAIN}, required=("secretName",)),
    }
)


def build(node: Node, section: Mapping[str, Any], containers: tuple[str, ...]) -> Serving:
    """`containers` are the names of the template's containers, as far as they can be read."""
    transport = Transport(section.get("transport", Transport.UNIX_SOCKET))
    container = _container(node, section, containers)
    protocol = Protocol(section.get("protocol", Protocol.OPENAI))
    served = Serving(
        transport,
        container,
        protocol=protocol,
        allow_fields=tuple(sorted(section.get("allowFields", ()))),
        media=_build_media(node, section, protocol),
        capabilities=tuple(sorted(map(Capability, section.get("capabilities", capabilities.ALL)))),
        tls_secret=section.get("tls", {}).get("secretName"),
    )
    if transport is Transport.UNIX_SOCKET:
        if "port" in section:
            node.key("port", None).refuse("belongs to transport Loopback; remove it or set transport to Loopback")
        return replace(served, socket_path=section.get("socketPath", DEFAULT_SOCKET_PATH))
    if "socketPath" in section:
        node.key("socketPath", None).refuse("belongs to transport UnixSocket; remove it or set transport to UnixSocket")
    if "port" not in section and not _was_refused(node, "port"):
        node.key("port", None).refuse("is missing; with transport Loopback name the port that the model server uses")
    return replace(served, port=section.get("port", 0))


def _build_media(node: Node, section: Mapping[str, Any], protocol: Protocol) -> MediaTerms | None:
    given = section.get("media")
    if given is None:
        return None
    if protocol is Protocol.KSERVE_V2:
        node.key("media", None).refuse("is of no use with protocol KServeV2, where images are tensors; remove it")
    max_bytes = given.get("maxBytes", media.DEFAULT_MAX_BYTES)
    return MediaTerms(tuple(sorted(given.get("types", ()))), max_bytes, given.get("tokens", 0))


def _was_refused(node: Node, field: str) -> bool:
    return any(problem.path == f"{node.path}.{field}" for problem in node.problems)


def _container(node: Node, section: Mapping[str, Any], containers: tuple[str, ...]) -> str:
    spot = node.key("container", None)
    chosen: str = section.get("container", "")
    if not chosen and len(containers) == 1:
        return containers[0]
    if not chosen and containers and not _was_refused(node, "container"):
        spot.refuse(f"is missing; say which of {', '.join(containers)} serves the model")
    if chosen and chosen not in containers:
        spot.refuse(f"{show(chosen)} is not a container of the template; name one of its containers")
    return chosen
