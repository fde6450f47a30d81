"""Service: the guard's port and no other, of pods with all of our labels: one that lacks any is not watched."""

from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.policy import names
from bartizan.policy.model import ModelDeployment


def build(deployment: ModelDeployment) -> dict[str, Any]:
    identity, has_tls = deployment.identity, deployment.spec.serving.has_tls
    port = names.guard_port(has_tls=has_tls)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(identity, identity.name),
        "spec": {
            "type": "ClusterIP",
            "selector": names.managed_labels(identity.name, identity.uid),
            "ports": [
                {"name": "https" if has_tls else "guard", "protocol": "TCP", "port": port, "targetPort": port},
            ],
            "externalIPs": [],
            "publishNotReadyAddresses": False,
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
        },
    }
