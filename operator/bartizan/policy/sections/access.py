"""spec.access: from where and by whom the guard may be called."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy import addresses, label_selectors
from bartizan.policy.model import AccessFrom, Client, NamespaceScope, Proof, ServiceAccountRef
from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import LABEL, OWN_NAME, SUBDOMAIN, Choice, Distinct, Many, Record, Ruled, Whole

MOST_CLIENTS = 64
MOST_IP_BLOCKS = 16
HIGHEST_EPOCH = 1_000_000

_SERVICE_ACCOUNT = Record({"namespace": LABEL, "name": SUBDOMAIN}, required=("name",))


def _judge_epoch(node: Node, client: Mapping[str, Any]) -> None:
    if "serviceAccount" in client and client.get("keyEpoch", 1) != 1:
        node.key("keyEpoch", client["keyEpoch"]).refuse(
            "rotates a key, and a serviceAccount has none; remove one of them"
        )


_CLIENT = Ruled(
    Record(
        {"name": OWN_NAME, "keyEpoch": Whole(1, HIGHEST_EPOCH), "serviceAccount": _SERVICE_ACCOUNT}, required=("name",)
    ),
    _judge_epoch,
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


_PROOFS = Distinct(
    Many(
        Record({"type": Choice(tuple(Proof))}, required=("type",)),
        len(Proof),
        1,
        "an endpoint without authentication is no gate",
    ),
    by=("type",),
)


def _judge_proofs(node: Node, section: Mapping[str, Any]) -> None:
    """Who is named must be able to come in: a client of a type that is not listed would be shut out for ever."""
    listed = [entry.get("type") for entry in section.get("authentication", [{"type": Proof.API_KEY}])]
    for position, client in enumerate(section.get("clients", ())):
        needed = Proof.SERVICE_ACCOUNT if "serviceAccount" in client else Proof.API_KEY
        if needed not in listed and "name" in client:
            node.key("clients", None).index(position, client).refuse(
                f"proves itself by {needed}, which spec.access.authentication does not list; add {{type: {needed}}}"
            )


judge = Ruled(Record({"from": FROM, "clients": _clients, "authentication": _PROOFS}), _judge_proofs)


def judge_accounts(node: Node, section: Mapping[str, Any], *, namespace: str) -> None:
    """What takes the endpoint's own namespace to tell: if an account may come in, and that it is one client's only."""
    is_same = section.get("from", {}).get("namespaces", NamespaceScope.SAME) == NamespaceScope.SAME
    seen: set[ServiceAccountRef] = set()
    for position, client in enumerate(section.get("clients", ())):
        account = _account(client, namespace)
        if account is None:
            continue
        spot = node.key("clients", None).index(position, client).key("serviceAccount", None)
        if account in seen:
            spot.refuse(f"{show(str(account))} is another client already; remove one")
        if is_same and account.namespace != namespace:
            spot.key("namespace", None).refuse(
                f"{show(account.namespace)} may not come in: spec.access.from.namespaces is Same; "
                "set it to Selector with that namespace's labels, or remove the client"
            )
        seen.add(account)


def build_from(section: Mapping[str, Any]) -> AccessFrom:
    wish = section.get("from", {})
    return AccessFrom(
        namespaces=NamespaceScope(wish.get("namespaces", NamespaceScope.SAME)),
        selector=wish.get("selector"),
        ip_blocks=tuple(wish.get("ipBlocks", ())),
    )


def build_proofs(section: Mapping[str, Any]) -> tuple[Proof, ...]:
    return tuple(sorted(Proof(entry["type"]) for entry in section.get("authentication", [{"type": Proof.API_KEY}])))


def build_clients(section: Mapping[str, Any], *, namespace: str) -> tuple[Client, ...]:
    """Sorted by name, so that the order in the manifest changes nothing that is derived from it."""
    clients = (
        Client(client["name"], client.get("keyEpoch", 1), _account(client, namespace))
        for client in section.get("clients", ())
    )
    return tuple(sorted(clients, key=lambda client: client.name))


def _account(client: Mapping[str, Any], namespace: str) -> ServiceAccountRef | None:
    """`client` after its shape: what was refused there is not in it."""
    account = client.get("serviceAccount")
    if not account or "name" not in account:
        return None
    return ServiceAccountRef(account.get("namespace", namespace), account["name"])
