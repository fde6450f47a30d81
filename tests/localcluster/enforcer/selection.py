"""Knows whom a selector or a peer of a NetworkPolicy means."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.localcluster.enforcer.facts import Labels, Manifest, Pod, Policy


@dataclass(frozen=True)
class World:
    """Everybody whom a peer may mean."""

    pods: Sequence[Pod]
    namespaces: Mapping[str, Labels]


@dataclass(frozen=True)
class Anybody:
    """No peers are named: every address, in the cluster and out of it."""


@dataclass(frozen=True)
class Block:
    cidr: str
    excluded: tuple[str, ...]


@dataclass(frozen=True)
class Pods:
    pods: tuple[Pod, ...]


Peer = Anybody | Block | Pods


def matches(selector: Manifest, labels: Labels) -> bool:
    """An empty selector matches everything."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    return all(holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def holds(expression: Manifest, labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            raise ValueError(f"matchExpressions: there is no operator {operator!r}")


def selects(policy: Policy, pod: Pod) -> bool:
    return pod.namespace == policy.namespace and matches(policy.selector, pod.labels)


def peers(named: Sequence[Manifest] | None, policy: Policy, world: World) -> Iterator[Peer]:
    if not named:
        yield Anybody()
    for peer in named or ():
        yield read_peer(peer, policy, world)


def read_peer(peer: Manifest, policy: Policy, world: World) -> Peer:
    if block := peer.get("ipBlock"):
        return Block(block["cidr"], tuple(block.get("except") or ()))
    return Pods(tuple(pod for pod in world.pods if is_meant(peer, pod, policy, world)))


def is_meant(peer: Manifest, pod: Pod, policy: Policy, world: World) -> bool:
    """Both selectors must hold where both are given; without one for namespaces, the policy's own is meant."""
    namespaces = peer.get("namespaceSelector")
    if namespaces is None and pod.namespace != policy.namespace:
        return False
    if namespaces is not None and not matches(namespaces, world.namespaces.get(pod.namespace, {})):
        return False
    return matches(peer.get("podSelector") or {}, pod.labels)
