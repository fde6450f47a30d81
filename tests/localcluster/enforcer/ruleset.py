"""Knows what NetworkPolicies mean in nft's words: one table, in which each isolated pod has a chain a direction.

Only the opening direction of a connection is judged, at every packet, by the addresses after the Service's
translation; replies pass. So a connection that a new policy forbids stalls. What the node itself sends never meets
these hooks: the kubelet's probes pass, as on every cluster. What a pod sends to its node is judged.
"""

from collections.abc import Iterable, Iterator, Sequence

from tests.localcluster.enforcer.facts import Manifest, Pod, Policy, read_namespace_labels, read_pods, read_policy
from tests.localcluster.enforcer.selection import Anybody, Block, Peer, World, peers, selects

PREAMBLE = """\
table inet {table}
delete table inet {table}
table inet {table} {{
\tchain forward {{
\t\ttype filter hook forward priority filter; policy accept;
\t\tjump judge
\t}}
\tchain input {{
\t\ttype filter hook input priority filter; policy accept;
\t\tjump judge
\t}}
"""
"""The table is declared before it is deleted, or the first load fails; nft applies one file as one transaction."""


def render(
    policies: Iterable[Manifest], pods: Iterable[Manifest], namespaces: Iterable[Manifest], *, table: str
) -> str:
    """One nft script that replaces the table; the same objects in any order give the same text."""
    known = sorted(read_pods(pods), key=lambda pod: pod.address)
    world = World(known, read_namespace_labels(namespaces))
    read = [read_policy(policy) for policy in policies]
    outgoing = {pod.address: egress_rules(pod, read, world) for pod in known if is_closed_out(pod, read)}
    incoming = {pod.address: ingress_rules(pod, read, world) for pod in known if is_closed_in(pod, read)}
    lines = ["\tchain judge {", "\t\tct direction reply accept", "\t\tct state related accept"]
    lines += dispatch("saddr", "egress", outgoing) + dispatch("daddr", "ingress", incoming) + ["\t}"]
    for direction, chains in (("egress", outgoing), ("ingress", incoming)):
        for address, rules in chains.items():
            lines += [f"\tchain {chain(direction, address)} {{", *(f"\t\t{rule}" for rule in rules), "\t}"]
    return PREAMBLE.format(table=table) + "\n".join(lines) + "\n}\n"


def is_closed_in(pod: Pod, policies: Sequence[Policy]) -> bool:
    return any(policy.ingress is not None and selects(policy, pod) for policy in policies)


def is_closed_out(pod: Pod, policies: Sequence[Policy]) -> bool:
    return any(policy.egress is not None and selects(policy, pod) for policy in policies)


def chain(direction: str, address: str) -> str:
    return f"{direction}_{address.replace('.', '_').replace(':', '_')}"


def dispatch(side: str, direction: str, addresses: Iterable[str]) -> list[str]:
    targets = ", ".join(f"{address} : jump {chain(direction, address)}" for address in addresses)
    return [f"\t\tip {side} vmap {{ {targets} }}"] if targets else []


def ingress_rules(pod: Pod, policies: Sequence[Policy], world: World) -> list[str]:
    allowed = {
        f"{match_peer(peer, 'saddr')}{match_port(port, pod)}return"
        for policy in policies
        if selects(policy, pod)
        for rule in policy.ingress or ()
        for peer in peers(rule.get("from"), policy, world)
        for port in rule.get("ports") or [{}]
        if means_somebody(peer) and is_resolved(port, pod)
    }
    return [f"ip saddr {pod.address} return", *sorted(allowed), "counter drop"]


def egress_rules(pod: Pod, policies: Sequence[Policy], world: World) -> list[str]:
    allowed = {
        rule_text
        for policy in policies
        if selects(policy, pod)
        for rule in policy.egress or ()
        for peer in peers(rule.get("to"), policy, world)
        for port in rule.get("ports") or [{}]
        for rule_text in outgoing_rules(peer, port, world)
    }
    return [f"ip daddr {pod.address} return", *sorted(allowed), "counter drop"]


def outgoing_rules(peer: Peer, port: Manifest, world: World) -> Iterator[str]:
    """A port's name is looked up at each pod that may be meant; addresses outside of pods have no names."""
    if not isinstance(port.get("port"), str):
        if means_somebody(peer):
            yield f"{match_peer(peer, 'daddr')}{match_port(port)}return"
        return
    for target in named_targets(peer, world):
        if is_resolved(port, target):
            yield f"ip daddr {target.address} {match_port(port, target)}return"


def named_targets(peer: Peer, world: World) -> Sequence[Pod]:
    if isinstance(peer, Anybody):
        return world.pods
    return () if isinstance(peer, Block) else peer.pods


def means_somebody(peer: Peer) -> bool:
    return isinstance(peer, Anybody | Block) or bool(peer.pods)


def is_resolved(port: Manifest, pod: Pod) -> bool:
    number = port.get("port")
    return not isinstance(number, str) or (protocol_of(port), number) in pod.named_ports


def protocol_of(port: Manifest) -> str:
    protocol: str = port.get("protocol", "TCP")
    return protocol


def match_peer(peer: Peer, side: str) -> str:
    if isinstance(peer, Anybody):
        return ""
    if isinstance(peer, Block):
        field = f"{'ip6' if ':' in peer.cidr else 'ip'} {side}"
        return f"{field} {peer.cidr} " + "".join(f"{field} != {cidr} " for cidr in sorted(peer.excluded))
    return f"ip {side} {{ {', '.join(sorted(pod.address for pod in peer.pods))} }} "


def match_port(port: Manifest, pod: Pod | None = None) -> str:
    """Empty for an empty port, which means every protocol."""
    if not port:
        return ""
    protocol, number = protocol_of(port).lower(), port.get("port")
    if number is None:
        return f"meta l4proto {protocol} "
    if isinstance(number, str) and pod is not None:
        number = pod.named_ports[protocol_of(port), number]
    last = port.get("endPort")
    return f"{protocol} dport {number}-{last} " if last else f"{protocol} dport {number} "
