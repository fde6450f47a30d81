"""Which spec is in force: the one at hand if it is valid, else the last that was, without what the new one withdrew."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bartizan.controller.revision import Accepted
from bartizan.policy import closing
from bartizan.policy.identity import Identity
from bartizan.policy.model import Manifest, ModelDeployment, Problem

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
    clients = closing.remaining(before.spec.clients, manifest.get("spec"), namespace=identity.namespace)
    return InForce(replace(before, spec=replace(before.spec, clients=clients)), accepted.spec, problems)
