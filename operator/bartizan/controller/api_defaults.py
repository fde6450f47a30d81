"""What the API server itself adds to an object: the only additions that are not drift, each with its only values.

Paths are written with `*` for a list's items; source: the defaulting functions of Kubernetes 1.30 to 1.35
(pkg/apis/*/v1/defaults.go) and the allocators of the Service registry.
"""

import re
from collections.abc import Mapping
from typing import Any

ANY = object()
"""For values that the server allocates or that cannot open anything."""

Path = tuple[str, ...]

METADATA_FIELDS = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
"""Written by the API server, writable by nobody."""

CASCADE_FINALIZERS = frozenset({"foregroundDeletion", "orphan"})
ADDED_ANNOTATIONS = frozenset({"deployment.kubernetes.io/revision"})
RESTART_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
"""`kubectl rollout restart` is a wish of the owner's that opens nothing."""

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_CONTAINERS = ("containers", "initContainers")


def _is_blank(metadata: object) -> bool:
    """Metadata that says nothing: what is left of a missing one."""
    return isinstance(metadata, dict) and not any(metadata.values())


def _pod_template() -> dict[str, Any]:
    fields: dict[str, Any] = {
        "metadata.creationTimestamp": None,
        f"metadata.annotations.{RESTART_ANNOTATION}": ANY,
        "spec.serviceAccount": ANY,  # the deprecated copy of serviceAccountName, which is compared itself
        "spec.volumes.*.secret.defaultMode": 0o644,
        "spec.volumes.*.configMap.defaultMode": 0o644,
        "spec.volumes.*.projected.defaultMode": 0o644,
        "spec.volumes.*.downwardAPI.defaultMode": 0o644,
        "spec.volumes.*.downwardAPI.items.*.fieldRef.apiVersion": "v1",
        "spec.volumes.*.downwardAPI.items.*.resourceFieldRef.divisor": "0",
        "spec.volumes.*.projected.sources.*.downwardAPI.items.*.fieldRef.apiVersion": "v1",
        "spec.volumes.*.projected.sources.*.downwardAPI.items.*.resourceFieldRef.divisor": "0",
        "spec.volumes.*.ephemeral.volumeClaimTemplate.metadata": _is_blank,
        "spec.volumes.*.ephemeral.volumeClaimTemplate.metadata.creationTimestamp": None,
        "spec.volumes.*.ephemeral.volumeClaimTemplate.spec.volumeMode": "Filesystem",
        "spec.topologySpreadConstraints.*.nodeAffinityPolicy": "Honor",
        "spec.topologySpreadConstraints.*.nodeTaintsPolicy": "Ignore",
    }
    for containers in _CONTAINERS:
        fields |= _container(f"spec.{containers}.*")
    return fields


def _container(path: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "ports.*.protocol": "TCP",
        "env.*.valueFrom.fieldRef.apiVersion": "v1",
        "env.*.valueFrom.resourceFieldRef.divisor": "0",
    }
    for probe in _PROBES:
        fields |= {
            f"{probe}.timeoutSeconds": 1,
            f"{probe}.periodSeconds": 10,
            f"{probe}.successThreshold": 1,
            f"{probe}.failureThreshold": 3,
            f"{probe}.httpGet.scheme": "HTTP",
            f"{probe}.httpGet.path": "/",
        }
    return {f"{path}.{name}": value for name, value in fields.items()}


_PULL_SECRET = re.compile(r".+-dockercfg-[a-z0-9]{5}")


def _is_distributions_own(references: object) -> bool:
    """OpenShift adds a pull secret to each account, and would fight for it."""
    return isinstance(references, list) and all(
        set(item) == {"name"} and _PULL_SECRET.fullmatch(str(item["name"])) for item in references
    )


_FIELDS: dict[str, dict[str, Any]] = {
    "Deployment": {f"spec.template.{name}": value for name, value in _pod_template().items()},
    "Service": {
        "spec.clusterIP": ANY,
        "spec.clusterIPs": ANY,
        "spec.ipFamilies": ANY,
        "spec.ipFamilyPolicy": ANY,
    },
    "ServiceAccount": {
        "secrets": _is_distributions_own,
        "imagePullSecrets": _is_distributions_own,
    },
    "NetworkPolicy": {},
    "PodDisruptionBudget": {},
    "ControllerRevision": {},
    "Secret": {},
}


def _path(name: str) -> Path:
    """Annotation keys hold dots themselves; only the restart annotation is named here."""
    head, found, _ = name.partition(RESTART_ANNOTATION)
    parts = head.strip(".").split(".")
    return (*parts, RESTART_ANNOTATION) if found else tuple(parts)


ADDITIONS: Mapping[str, Mapping[Path, Any]] = {
    kind: {_path(name): value for name, value in fields.items()} for kind, fields in _FIELDS.items()
}

ABSENT_WHEN_FALSE = frozenset(
    {
        *("hostNetwork", "hostPID", "hostIPC", "publishNotReadyAddresses", "paused", "minReadySeconds"),
        *("readOnly", "stdin", "stdinOnce", "tty", "initialDelaySeconds"),
    }
)
"""Fields that the API server stores only when they are true (or not zero): for these, absent is false.

No pointers of the API's types may stand here: for them absent means the default, which need not be false.
"""

QUANTITY_PARENTS = frozenset({"requests", "limits", "emptyDir", "capacity"})
"""Values below these are quantities, which the server writes in its own canonical form."""
QUANTITIES = frozenset({"divisor"})
"""Fields that are quantities wherever they stand."""
