"""ServiceAccount: an identity that is given no token and no right."""

from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.policy.model import ModelDeployment


def build(deployment: ModelDeployment) -> dict[str, Any]:
    identity = deployment.identity
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(identity, identity.name),
        "automountServiceAccountToken": False,
    }
