"""The guard's native sidecar, as it stands in every gated pod."""

from typing import Any

from bartizan.controller.builders import hooks
from bartizan.controller.builders.guard_document import FILE_NAME
from bartizan.controller.builders.hooks import BIN_PATH, IMAGE_LAUNCHER
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.policy import names
from bartizan.policy.grace import FAREWELL_SECONDS, Grace
from bartizan.policy.model import ModelDeployment, Serving, Tokenizer, Transport

GUARD = "bartizan-guard"
BIN_VOLUME = "bartizan-bin"
SOCKET_VOLUME = "bartizan-socket"
DOCUMENT_VOLUME = "bartizan-document"
STATE_VOLUME = "bartizan-state"
TLS_VOLUME = "bartizan-tls"
SLOW_START_SECONDS = 30
"""How long a guard may take to start on a node that is short of time before its silence counts."""

GUARD_SOCKET_PATH = "/run/bartizan/model"
DOCUMENT_PATH = "/run/bartizan/document"
TLS_PATH = "/run/bartizan/tls"
TLS_FILES = ("tls.crt", "tls.key")
"""The keys of a Secret of type kubernetes.io/tls; whatever else it holds is not mounted."""
TOKENIZER_PATH = "/run/bartizan/tokenizer"
STATE_PATH = "/var/lib/bartizan"
"""What a guard must know again when its container starts anew; no other container mounts it."""


def restricted() -> dict[str, Any]:
    """Security context of our own containers: the restricted profile, spelt out, and a read-only root.

    What it leaves to the pod (AppArmor, SELinux, further groups), the template may not loosen there: a profile named
    here would keep the pod off nodes without AppArmor.
    """
    return {
        "runAsUser": names.GUARD_UID,
        "runAsGroup": names.GUARD_UID,
        "runAsNonRoot": True,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def guard(deployment: ModelDeployment, surroundings: Surroundings, *, arguments: list[str]) -> dict[str, Any]:
    """The sidecar starts before the model and ends after it; its start must therefore not wait for the model.

    Its end begins with the pod's, by its preStop hook, while the model's hook holds the model until it has drained.

    When it has started, it copies the launcher into the pod, so that the model is started and probed whatever its image
    holds; a kubelet goes on only then. An init container and a startupProbe would do the same two seconds later.
    """
    port = names.guard_port(has_tls=deployment.spec.serving.has_tls)
    return {
        "name": GUARD,
        "image": surroundings.guard_image,
        "imagePullPolicy": surroundings.guard_pull_policy,
        "restartPolicy": "Always",
        "args": arguments,
        "ports": [
            {"name": "guard", "containerPort": port, "protocol": "TCP"},
            {"name": "guard-status", "containerPort": names.STATUS_PORT, "protocol": "TCP"},
            {"name": "guard-metrics", "containerPort": names.METRICS_PORT, "protocol": "TCP"},
        ],
        "lifecycle": {
            "postStart": {"exec": {"command": [IMAGE_LAUNCHER, "install", BIN_PATH]}},
            "preStop": hooks.drain(),
        },
        "readinessProbe": _probe("/readyz", period=1, failures=2),
        "livenessProbe": {**_probe("/livez", period=10, failures=3), "initialDelaySeconds": SLOW_START_SECONDS},
        "resources": _resources(deployment),
        "securityContext": restricted(),
        "volumeMounts": _mounts(deployment),
    }


def _resources(deployment: ModelDeployment) -> dict[str, Any]:
    """A tokenizer's vocabulary stays in memory, beside what bodies take for a while.

    100,000 tokens take 63 MiB and 262,000 take 186, and 30 more while they are read; texts that were counted leave 40.
    """
    has_tokenizer = deployment.spec.limits.tokenizer is not None
    request, limit = ("192Mi", "512Mi") if has_tokenizer else ("64Mi", "256Mi")
    return {"requests": {"cpu": "50m", "memory": request}, "limits": {"memory": limit}}


def _mounts(deployment: ModelDeployment) -> list[dict[str, Any]]:
    serving, tokenizer = deployment.spec.serving, deployment.spec.limits.tokenizer
    mounts: list[dict[str, Any]] = [
        {"name": DOCUMENT_VOLUME, "mountPath": DOCUMENT_PATH, "readOnly": True},
        {"name": STATE_VOLUME, "mountPath": STATE_PATH},
        {"name": BIN_VOLUME, "mountPath": BIN_PATH},
    ]
    if serving.transport is Transport.UNIX_SOCKET:
        mounts.append({"name": SOCKET_VOLUME, "mountPath": GUARD_SOCKET_PATH})
    if serving.has_tls:
        mounts.append({"name": TLS_VOLUME, "mountPath": TLS_PATH, "readOnly": True})
    if tokenizer is not None:
        mounts.append({"name": tokenizer.volume, "mountPath": TOKENIZER_PATH, "readOnly": True})
    return mounts


def arguments(deployment: ModelDeployment, grace: Grace, *, document_key: str, not_before: int) -> list[str]:
    """The guard's command line: who it guards, whose signature it believes, and where the model listens."""
    identity = deployment.identity
    return [
        "guard",
        f"--namespace={identity.namespace}",
        f"--name={identity.name}",
        f"--uid={identity.uid}",
        f"--namespace-uid={identity.namespace_uid}",
        f"--document={DOCUMENT_PATH}/{FILE_NAME}",
        f"--document-key={document_key}",
        f"--document-not-before={not_before}",
        f"--state-directory={STATE_PATH}",
        f"--upstream={_upstream(deployment.spec.serving)}",
        f"--port={names.guard_port(has_tls=deployment.spec.serving.has_tls)}",
        *_tls_arguments(deployment.spec.serving),
        *_tokenizer_arguments(deployment.spec.limits.tokenizer),
        f"--status-port={names.STATUS_PORT}",
        f"--metrics-port={names.METRICS_PORT}",
        f"--farewell-seconds={FAREWELL_SECONDS}",
        f"--drain-seconds={grace.drain_seconds}",
    ]


def _tls_arguments(serving: Serving) -> list[str]:
    if not serving.has_tls:
        return []
    return [f"--tls-certificate={TLS_PATH}/{TLS_FILES[0]}", f"--tls-key={TLS_PATH}/{TLS_FILES[1]}"]


def _tokenizer_arguments(tokenizer: Tokenizer | None) -> list[str]:
    if tokenizer is None:
        return []
    return [f"--tokenizer-directory={TOKENIZER_PATH}", f"--tokenizer-path={tokenizer.path}"]


def _upstream(serving: Serving) -> str:
    if serving.socket_path is not None:
        return f"unix:{GUARD_SOCKET_PATH}/{serving.socket_path.rsplit('/', 1)[1]}"
    return f"tcp:127.0.0.1:{serving.port}"


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.STATUS_PORT, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "successThreshold": 1,
        "failureThreshold": failures,
    }
