"""The pod: the owner's template behind the guard, with nothing of it reachable but the guard's port."""

from collections.abc import Mapping
from typing import Any

from bartizan.controller.builders import guard_container, model_container
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.policy import grace as graces
from bartizan.policy import names
from bartizan.policy.grace import Grace
from bartizan.policy.model import ModelDeployment, Transport

DEFAULT_CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container"
REWRITTEN = ("containers", "initContainers", "volumes", "securityContext")
CLOSED: Mapping[str, Any] = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "shareProcessNamespace": False,
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
}
"""Rendered in every pod, so that whoever changes one of them has changed something of ours."""


def build(
    deployment: ModelDeployment,
    surroundings: Surroundings,
    *,
    document_key: str,
    not_before: int,
) -> dict[str, Any]:
    """The pod template; `not_before` is the version of the document at hand, so that no older one can be replayed."""
    identity, template = deployment.identity, deployment.spec.template
    grace = _grace(deployment)
    arguments = guard_container.arguments(deployment, grace, document_key=document_key, not_before=not_before)
    guard = guard_container.guard(deployment, surroundings, arguments=arguments)
    return {
        "metadata": {
            "labels": {**template.labels, **names.managed_labels(identity.name, identity.uid)},
            "annotations": {**template.annotations, DEFAULT_CONTAINER_ANNOTATION: deployment.spec.serving.container},
        },
        "spec": {
            "schedulerName": "default-scheduler",
            **{name: value for name, value in template.spec.items() if name not in REWRITTEN},
            "terminationGracePeriodSeconds": grace.period_seconds,
            **CLOSED,
            "serviceAccountName": identity.name,
            "securityContext": _security_context(template.spec.get("securityContext", {})),
            "initContainers": [guard, *_containers(deployment, "initContainers")],
            "containers": _containers(deployment, "containers"),
            "volumes": [*template.spec.get("volumes", ()), *_volumes(deployment)],
        },
    }


def _containers(deployment: ModelDeployment, field: str) -> list[dict[str, Any]]:
    spec = deployment.spec
    context = _security_context(spec.template.spec.get("securityContext", {}))
    grace = _grace(deployment)
    return [
        model_container.build(container, spec.serving, context, grace=grace)
        for container in spec.template.spec.get(field, ())
    ]


def _grace(deployment: ModelDeployment) -> Grace:
    spec = deployment.spec
    return graces.choose(spec.limits.caps.max_stream_seconds, spec.template.spec.get("terminationGracePeriodSeconds"))


def _security_context(wish: Mapping[str, Any]) -> dict[str, Any]:
    """The shared group lets the guard connect to the socket that the model's user has made."""
    return {
        "runAsNonRoot": True,
        "runAsUser": names.MODEL_UID,
        "runAsGroup": names.MODEL_UID,
        "fsGroup": names.ENDPOINT_GID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
        **wish,
    }


def _volumes(deployment: ModelDeployment) -> list[dict[str, Any]]:
    spec = deployment.spec
    containers = [*spec.template.spec.get("initContainers", ()), *spec.template.spec["containers"]]
    volumes = [
        {"name": guard_container.BIN_VOLUME, "emptyDir": {"sizeLimit": "32Mi"}},
        {
            "name": guard_container.DOCUMENT_VOLUME,
            "secret": {
                "secretName": names.document_secret(deployment.identity.name),
                "defaultMode": 0o440,
                "optional": False,
            },
        },
        {"name": guard_container.STATE_VOLUME, "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": model_container.CACHE_VOLUME, "emptyDir": {"sizeLimit": model_container.CACHE_SIZE}},
        *model_container.temporary_volumes(containers),
    ]
    if spec.serving.has_tls:
        files = [{"key": name, "path": name} for name in guard_container.TLS_FILES]
        secret = {"secretName": spec.serving.tls_secret, "items": files, "defaultMode": 0o440, "optional": False}
        volumes.append({"name": guard_container.TLS_VOLUME, "secret": secret})
    if spec.serving.transport is Transport.UNIX_SOCKET:
        volumes.append({"name": guard_container.SOCKET_VOLUME, "emptyDir": {"sizeLimit": "1Mi"}})
    return volumes
