"""What the installation, rather than the owner, says about an endpoint: images, namespaces, the key that signs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bartizan.controller.stores import Store
from bartizan.policy import names
from bartizan.policy.identity import Identity
from bartizan.policy.model import Manifest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Values of the chart that builders need; `monitoring_namespace` None keeps the metrics port shut."""

    guard_image: str
    guard_pull_policy: str
    operator_namespace: str
    operator_pod_labels: Mapping[str, str]
    monitoring_namespace: str | None
    monitoring_pod_labels: Mapping[str, str]
    dns_namespace: str
    dns_pod_labels: Mapping[str, str]
    stores: Mapping[str, Store] = field(default_factory=dict)
    """By name; where their guards may count together."""


def metadata(identity: Identity, kind_name: str, **more: object) -> dict[str, object]:
    """Metadata of an owned object: name, namespace, labels, and the ModelDeployment as its controller."""
    return {
        "name": kind_name,
        "namespace": identity.namespace,
        "labels": names.managed_labels(identity.name, identity.uid),
        "ownerReferences": [owner_reference(identity)],
        **more,
    }


def owner_reference(identity: Identity) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": identity.name,
        "uid": identity.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_selector(identity: Identity) -> dict[str, str]:
    """Labels by which policy, Service and Deployment find the endpoint's pods, and only this life's."""
    return {names.ENDPOINT_LABEL: identity.name, names.ENDPOINT_UID_LABEL: identity.uid}
