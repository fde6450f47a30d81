"""spec.access: from where and by whom the guard may be called."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy import addresses, label_selectors
from bartizan.policy.model import AccessFrom, Client, NamespaceScope
from bartizan.policy.nodes import Node, show
from bartizan.policy.sections import proofs
from bartizan.policy.shapes import OWN_NAME, Choice, Many, Record, Ruled, Whole

MOST_CLIENTS = 64
MOST_IP_BLOCKS = 16
HIGHEST_EPOCH = 1_000_000

_CLIENT = Ruled(
    Record(
        {
            "name": OWN_NAME,
            "keyEpoch": Whole(1, HIGHEST_EPOCH),
            "serviceAccount": proofs.SERVICE_ACCOUNT,
            "jwt": proofs.JWT,
            "tier": OWN_NAME,
        },
        required=("name",),
    ),
    proofs.judge_client,
)


def _clients(node: Node) -> list[dict[str, Any]]:
    clients: list[dict[str, Any]] = Many(_CLIENT, MOST_CLIENTS)(node)
    seen: set[str] = set()
    for position, client in enumerate(clients):
        name = client.get("name", "")
        if name and name in seen:
            node.index(position, client).key("name", name).refuse(f"{show(name)} stands twice; remove one")
        seen.add(name)
    return clients


def _judge_ip_blocks(node: Node, blocks: list[str]) -> None:
    if len(set(blocks)) < len(blocks):
        node.refuse("names one range twice; remove it once")


_FROM = Record(
    {
        "namespaces": Choice(tuple(NamespaceScope)),
        "selector": label_selectors.SHAPE,
        "ipBlocks": Ruled(Many(addresses.judge_clients, MOST_IP_BLOCKS), _judge_ip_blocks),
    },
)


def _judge_from(node: Node, section: Mapping[str, Any]) -> None:
    is_selector = section.get("namespaces", NamespaceScope.SAME) == NamespaceScope.SELECTOR
    spot = node.key("selector", None)
    if is_selector and "selector" not in section:
        spot.refuse("is missing; with namespaces Selector say which namespaces by their labels")
    elif not is_selector and "selector" in section:
        spot.refuse("is only read with namespaces Selector; remove it or set namespaces to Selector")
    elif is_selector and not label_selectors.names_something(section["selector"]):
        spot.refuse(
            "would choose every namespace, or all but a few; "
            "name at least one label that a namespace must have, or set namespaces to All"
        )


FROM = Ruled(_FROM, _judge_from)


judge = Ruled(Record({"from": FROM, "clients": _clients, "authentication": proofs.AUTHENTICATION}), proofs.judge)


def build_from(section: Mapping[str, Any]) -> AccessFrom:
    wish = section.get("from", {})
    return AccessFrom(
        namespaces=NamespaceScope(wish.get("namespaces", NamespaceScope.SAME)),
        selector=wish.get("selector"),
        ip_blocks=tuple(wish.get("ipBlocks", ())),
    )


def build_clients(section: Mapping[str, Any], *, namespace: str) -> tuple[Client, ...]:
    """Sorted by name, so that the order in the manifest changes nothing that is derived from it."""
    clients = (
        Client(
            client["name"],
            client.get("keyEpoch", 1),
            proofs.account(client, namespace),
            proofs.token(client),
            client.get("tier", ""),
        )
        for client in section.get("clients", ())
    )
    return tuple(sorted(clients, key=lambda client: client.name))
