"""What a spec takes away although it is refused: closing is never refused, and opening never follows from it.

It reads what no shape has judged, so it looks at each field on its own and takes what it cannot read for unsaid.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bartizan.policy.model import Authentication, Client, JwtRef, Proof, ServiceAccountRef


def remaining(clients: tuple[Client, ...], refused_spec: object, *, namespace: str) -> tuple[Client, ...]:
    """Those that the spec still names, as what they were; an epoch that it raises is raised.

    Out is who is no longer named, who is somebody else now, and whose kind of proof is no longer listed.
    """
    access = _mapping(_mapping(refused_spec).get("access"))
    named = {name: item for item in _mappings(access.get("clients")) if isinstance(name := item.get("name"), str)}
    return tuple(
        replace(client, key_epoch=max(client.key_epoch, _epoch(named[client.name])))
        for client in clients
        if client.name in named
        and client.service_account == _account(named[client.name], namespace)
        and client.jwt == _jwt(named[client.name])
        and _is_listed(client.proof, access.get("authentication"))
    )


def _is_listed(way: Authentication, found: object) -> bool:
    """Yes, where the list cannot be read: a misspelt entry is no wish to shut anybody out."""
    listed = {(str(item.get("type")), str(item.get("issuer") or "")) for item in _mappings(found)}
    is_readable = bool(listed) and {kind for kind, _ in listed} <= set(Proof)
    return not is_readable or (str(way.type), way.issuer) in listed


def _jwt(item: Mapping[str, object]) -> JwtRef | None:
    if item.get("jwt") is None:
        return None
    token = _mapping(item["jwt"])
    groups = token.get("groups")
    named = tuple(sorted(map(str, groups))) if isinstance(groups, list) else ()
    return JwtRef(str(token.get("issuer")), str(token.get("subject") or ""), named)


def _account(item: Mapping[str, object], namespace: str) -> ServiceAccountRef | None:
    if item.get("serviceAccount") is None:
        return None
    account = _mapping(item["serviceAccount"])
    return ServiceAccountRef(str(account.get("namespace") or namespace), str(account.get("name")))


def _epoch(item: Mapping[str, object]) -> int:
    epoch = item.get("keyEpoch")
    return epoch if type(epoch) is int else 1


def _mapping(found: object) -> Mapping[str, object]:
    return found if isinstance(found, Mapping) else {}


def _mappings(found: object) -> Iterator[Mapping[str, object]]:
    yield from (item for item in (found if isinstance(found, list) else ()) if isinstance(item, Mapping))
