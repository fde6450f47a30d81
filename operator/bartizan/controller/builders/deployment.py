"""Deployment: replicas and strategy around a pod template that was rendered once and is kept."""

from collections.abc import Mapping
from typing import Any

from bartizan.controller.builders.surroundings import metadata, pod_selector
from bartizan.policy.model import Manifest, ModelDeployment

ACCELERATOR_WORDS = ("gpu", "tpu", "gaudi", "neuron", "npu")
"""Parts of the resource names under which device plugins offer accelerators."""

ZERO = (0, "0%")


def build(deployment: ModelDeployment, pod_template: Manifest) -> dict[str, Any]:
    identity, spec = deployment.identity, deployment.spec
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(identity, identity.name),
        "spec": {
            "replicas": spec.replicas,
            "selector": {"matchLabels": pod_selector(identity)},
            "strategy": strategy(deployment),
            "minReadySeconds": 0,
            "paused": False,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 3,
            "template": pod_template,
        },
    }


def strategy(deployment: ModelDeployment) -> dict[str, Any]:
    """As the owner said; else one pod more while rolling, or none where a pod holds accelerators that are scarce.

    Never both zero: no pod could be replaced, and Kubernetes refuses it.
    """
    wish = deployment.spec.strategy
    if wish.type == "Recreate":
        return {"type": "Recreate"}
    surge, unavailable = wish.max_surge, wish.max_unavailable
    if surge is None:
        surge = 0 if uses_accelerators(deployment.spec.template.spec) and unavailable not in ZERO else 1
    if unavailable is None:
        unavailable = 1 if surge in ZERO else 0
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def surge(deployment: ModelDeployment) -> int:
    """How many pods more than `replicas` a roll-out may run; percentages round up, as Kubernetes does."""
    figure = strategy(deployment).get("rollingUpdate", {}).get("maxSurge", 0)
    if isinstance(figure, int):
        return figure
    return -(-int(figure.rstrip("%")) * deployment.spec.replicas // 100)


def uses_accelerators(pod_spec: Mapping[str, Any]) -> bool:
    containers = [*pod_spec.get("containers", ()), *pod_spec.get("initContainers", ())]
    resources = (container.get("resources", {}) for container in containers)
    asked = {name for resource in resources for part in resource.values() if isinstance(part, Mapping) for name in part}
    return any(word in name for name in asked for word in ACCELERATOR_WORDS) or bool(pod_spec.get("resourceClaims"))
