"""PodDisruptionBudget: nodes may be drained one pod of the endpoint at a time."""

from typing import Any

from bartizan.controller.builders.surroundings import metadata, pod_selector
from bartizan.policy.model import ModelDeployment


def build(deployment: ModelDeployment) -> dict[str, Any] | None:
    """The budget, or None for a single replica, which it could only block."""
    if deployment.spec.replicas <= 1:
        return None
    identity = deployment.identity
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(identity, identity.name),
        "spec": {
            "selector": {"matchLabels": pod_selector(identity)},
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
