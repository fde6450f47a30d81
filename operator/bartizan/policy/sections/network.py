"""spec.network: what the pods may reach; nothing, unless peers and ports are named."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from bartizan.policy import addresses, label_selectors
from bartizan.policy.model import EgressRule
from bartizan.policy.nodes import Node
from bartizan.policy.shapes import Choice, Many, Record, Ruled, Whole

MOST = 16
_PORT_NUMBER = Whole(1, 65535)
_PORT = Record(
    {"protocol": Choice(("TCP", "UDP")), "port": _PORT_NUMBER, "endPort": _PORT_NUMBER},
    required=("port",),
)
_IP_BLOCK = Record(
    {"cidr": addresses.judge_peer, "except": Many(addresses.judge_exception, MOST)},
    required=("cidr",),
)


def _judge_port(node: Node, clean: Mapping[str, Any]) -> None:
    first, last = clean.get("port", 0), clean.get("endPort", 65535)
    if last < first:
        node.key("endPort", last).refuse(f"{last} is below port {first}; swap them")


def _judge_ip_block(node: Node, clean: Mapping[str, Any]) -> None:
    cidr = clean.get("cidr", "")
    for shut in clean.get("except", ()) if cidr else ():
        outer, inner = ipaddress.ip_network(cidr), ipaddress.ip_network(shut)
        if outer == inner or not addresses.contains(outer, inner):
            node.key("except", shut).refuse(f"{shut} is not a smaller range within {cidr}; remove or correct it")


_PEER = Record(
    {
        "ipBlock": Ruled(_IP_BLOCK, _judge_ip_block),
        "namespaceSelector": label_selectors.SHAPE,
        "podSelector": label_selectors.SHAPE,
    }
)


def _judge_peer(node: Node, clean: Mapping[str, Any]) -> None:
    given = node.value if isinstance(node.value, Mapping) else {"ipBlock": {}}
    has_block = given.get("ipBlock") is not None
    has_selector = given.get("namespaceSelector") is not None or given.get("podSelector") is not None
    if has_block == has_selector:
        node.refuse("needs either ipBlock or selectors; an empty peer would mean everywhere, so say which")
    if "namespaceSelector" in clean and not label_selectors.names_something(clean["namespaceSelector"]):
        node.key("namespaceSelector", None).refuse(
            "would choose every namespace, or all but a few; name at least one label that a namespace must have, "
            "or write {key: kubernetes.io/metadata.name, operator: Exists} if all are meant"
        )


_RULE = Record(
    {
        "to": Many(Ruled(_PEER, _judge_peer), MOST, 1, "no peer would mean everywhere; name one"),
        "ports": Many(Ruled(_PORT, _judge_port), MOST, 1, "no port would mean all; name one"),
    },
    required=("to", "ports"),
)
judge = Record({"egress": Many(_RULE, MOST)})


def build(section: Mapping[str, Any]) -> tuple[EgressRule, ...]:
    return tuple(EgressRule(tuple(rule["to"]), _ports(rule["ports"])) for rule in section.get("egress", ()))


def _ports(given: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({"protocol": "TCP", **port} for port in given)
