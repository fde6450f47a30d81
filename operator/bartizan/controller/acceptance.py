"""Which spec is in force: the one at hand if it is valid, else the last that was, without what the new one withdrew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bartizan.controller.revision import Accepted
from bartizan.policy.model import Client, Identity, Manifest, ModelDeployment, Problem

Parse = Callable[[Manifest, Identity], ModelDeployment | tuple[Problem, ...]]


@dataclass(frozen=True, slots=True)
class InForce:
    """`deployment` is None where nothing was ever accepted; `problems` are those of the spec at hand."""

    deployment: ModelDeployment | None
    spec: Manifest | None
    problems: tuple[Problem, ...] = ()


def judge(manifest: Manifest, identity: Identity, accepted: Accepted | None, *, parse: Parse) -> InForce:
    parsed = parse(manifest, identity)
    if isinstance(parsed, ModelDeployment):
        return InForce(parsed, manifest["spec"])
    return refuse(manifest, identity, accepted, problems=parsed, parse=parse)


def refuse(
    manifest: Manifest, identity: Identity, accepted: Accepted | None, *, problems: tuple[Problem, ...], parse: Parse
) -> InForce:
    """What holds while the spec at hand has problems."""
    if accepted is None:
        return InForce(None, None, problems)
    before = parse({**manifest, "spec": accepted.spec}, identity)
    if not isinstance(before, ModelDeployment):
        return InForce(None, None, problems)
    clients = _remaining(before.spec.clients, manifest.get("spec"))
    return InForce(replace(before, spec=replace(before.spec, clients=clients)), accepted.spec, problems)


def _remaining(clients: tuple[Client, ...], refused_spec: object) -> tuple[Client, ...]:
    """Closing is never refused: whom a refused spec no longer names is out, and an epoch it raises is raised."""
    named = _named_clients(refused_spec)
    return tuple(
        Client(client.name, max(client.key_epoch, named[client.name])) for client in clients if client.name in named
    )


def _named_clients(spec: object) -> dict[str, int]:
    access = spec.get("access") if isinstance(spec, Mapping) else None
    items = access.get("clients") if isinstance(access, Mapping) else None
    clients = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return {
        name: epoch if type(epoch := item.get("keyEpoch")) is int else 1
        for item in clients
        if isinstance(name := item.get("name"), str)
    }
