"""The pods that play: two clients beside the model, a stranger elsewhere, a scraper where metrics are read."""

import json
from pathlib import Path
from typing import Any

from demo.stage import MONITORING, NAMESPACE, STRANGERS, Stage

SCRIPTS = Path(__file__).parent / "players"
PLAYERS = (
    ("chat-ui", NAMESPACE, "demo.chat-ui"),
    ("batch", NAMESPACE, "demo.batch"),
    ("stranger", STRANGERS, None),
    ("scraper", MONITORING, None),
)


def enter(stage: Stage) -> None:
    """Applies the players and waits until they can act."""
    for namespace in (NAMESPACE, STRANGERS, MONITORING):
        stage.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(scripts(namespace)))
    for name, namespace, secret in PLAYERS:
        stage.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod(stage, name, namespace, secret=secret)))
    for name, namespace, _ in PLAYERS:
        stage.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=60s")


def leave(stage: Stage) -> None:
    """Their environment was read when they started: a new story begins with new pods."""
    for place in sorted({namespace for _, namespace, _ in PLAYERS}):
        names = [name for name, namespace, _ in PLAYERS if namespace == place]
        stage.kubectl("delete", "pod", *names, "-n", place, "--ignore-not-found", "--grace-period=1")


def scripts(namespace: str, *folders: Path, name: str = "players") -> dict[str, Any]:
    """A ConfigMap with what players can do; `folders` hold more of it."""
    files = [path for folder in (SCRIPTS, *folders) for path in sorted(folder.glob("*.py"))]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {path.name: path.read_text() for path in files},
    }


def pod(
    stage: Stage, name: str, namespace: str, *, secret: str | None = None, players: str = "players"
) -> dict[str, Any]:
    """A pod that waits to be told what to do; `secret` becomes its environment, `players` names its scripts."""
    container = {
        "name": "client",
        "image": stage.images.model,
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "workingDir": "/players",
        "volumeMounts": [{"name": "players", "mountPath": "/players"}],
        "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "players", "configMap": {"name": players}}],
            "terminationGracePeriodSeconds": 1,
        },
    }
