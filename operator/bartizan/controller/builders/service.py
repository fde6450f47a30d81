"""Service: the guard's port and no other."""

from typing import Any

from bartizan.controller.builders.surroundings import metadata, pod_selector
from bartizan.policy import names
from bartizan.policy.model import ModelDeployment


def build(deployment: ModelDeployment) -> dict[str, Any]:
    identity = deployment.identity
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(identity, identity.name),
        "spec": {
            "type": "ClusterIP",
            "selector": pod_selector(identity),
            "ports": [
                {"name": "guard", "protocol": "TCP", "port": names.GUARD_PORT, "targetPort": names.GUARD_PORT},
            ],
            "externalIPs": [],
            "publishNotReadyAddresses": False,
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
        },
    }
