"""Tiers, which clients have and limits name: a word on one side only is a slip, and somebody would have other limits.

A tier is a name of the owner's; it stands for nothing but the limits that name it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.nodes import Node, show


def judge(spec: Node, access: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    """The sections after their shapes."""
    clients = [client for client in access.get("clients", ()) if "tier" in client]
    given, named = {client["tier"] for client in clients}, list(_named(spec.key("limits", None), limits))
    for spot, tier in named:
        if tier not in given:
            spot.refuse(f"{show(tier)} is no client's tier; set it in spec.access.clients, or remove this")
    known = {tier for _, tier in named}
    for position, client in enumerate(access.get("clients", ())):
        if client.get("tier", "") and client["tier"] not in known:
            spot = spec.key("access", None).key("clients", None).index(position, client).key("tier", client["tier"])
            spot.refuse(f"{show(client['tier'])} is named by no limit; name it in spec.limits, or remove it")


def _named(node: Node, limits: Mapping[str, Any]) -> Iterator[tuple[Node, str]]:
    for kind in ("requests", "tokens"):
        for position, limit in enumerate(limits.get(kind, ())):
            if limit.get("tier", ""):
                yield node.key(kind, None).index(position, limit).key("tier", limit["tier"]), limit["tier"]
    for position, tier in enumerate(limits.get("refusedWithoutStore", ())):
        yield node.key("refusedWithoutStore", None).index(position, tier), tier
