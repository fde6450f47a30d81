"""Which documents mean to be ModelDeployments of ours, and who they are as far as that is known outside a cluster."""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy import names
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment, Problem
from bartizan.policy.nodes import Node, show
from bartizan.policy.parse import parse
from bartizan.policy.shapes import LABEL

DEFAULT_NAMESPACE = "default"
NONE_FOUND = f"holds no {names.KIND} of {names.GROUP}"


Read = ModelDeployment | tuple[Problem, ...]


def is_ours(value: object) -> bool:
    """By the group; without one by the kind, however it is written. Other projects have a kind ModelDeployment, too."""
    if not isinstance(value, Mapping):
        return False
    group = str(value.get("apiVersion", "")).partition("/")[0]
    return group == names.GROUP or (group == "" and str(value.get("kind")).lower() == names.KIND.lower())


def read(manifest: Mapping[str, Any], *, namespace: str = DEFAULT_NAMESPACE, uid: str = "") -> Read:
    """The accepted ModelDeployment, or all that is wrong with the manifest; `namespace` is for those that name none."""
    problems = tuple(_judge_surroundings(manifest))
    result = parse(manifest, _identity(manifest, namespace, uid))
    if isinstance(result, ModelDeployment):
        return problems or result
    return (*problems, *result)


def _identity(manifest: Mapping[str, Any], namespace: str, uid: str) -> Identity:
    metadata = _metadata(manifest)
    given = metadata.get("name")
    return Identity(
        namespace=str(metadata.get("namespace") or namespace),
        name="" if given is None else str(given),
        uid=uid,
        namespace_uid=uid,
    )


def _metadata(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    given = manifest.get("metadata")
    return given if isinstance(given, Mapping) else {}


def _judge_surroundings(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """What the API server would hold an object to before it looks at the spec."""
    for field, wanted in (("apiVersion", names.API_VERSION), ("kind", names.KIND)):
        if manifest.get(field) is None:
            yield Problem(field, f"is missing; write {wanted}")
    given = manifest.get("metadata")
    if given is not None and not isinstance(given, Mapping):
        yield Problem("metadata", f"{show(given)} is not a mapping; write its fields as `name: value` below it")
    namespace = _metadata(manifest).get("namespace")
    if namespace is not None:
        spot = Node("metadata.namespace", namespace, [])
        LABEL(spot)
        yield from spot.problems
