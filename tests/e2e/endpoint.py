"""A ModelDeployment on the node, its pods, its guards and its keys."""

import base64
import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.e2e.theatre import Live, Theatre
from tests.localcluster import waiting

from bartizan.policy import names

CLIENT = "app"
GUARD = "bartizan-guard"
PATIENCE_SECONDS = 60.0
WITHOUT_OPERATOR_SECONDS = 120.0
"""For what only the operator brings about: another module's test may have taken it away for a while (company.py)."""

SPEC: Live = {
    "model": {"name": "demo"},
    "access": {"clients": [{"name": CLIENT}]},
    "limits": {"requests": [{"limit": 1_000_000, "window": "1d"}], "concurrent": 64, "concurrentPerClient": 64},
}
HEALTH = {"path": "/health", "port": 8000}
CONTAINER: Live = {
    "name": "model",
    "imagePullPolicy": "IfNotPresent",
    "command": ["python3", "-m", "modelserver", "--socket", "/run/model/model.sock", "--model", "demo", "--log", "-"],
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    "startupProbe": {"httpGet": HEALTH, "periodSeconds": 1, "failureThreshold": 60},
    # an exec probe of each model in every second would take the node a tenth of its time
    "readinessProbe": {"httpGet": HEALTH, "periodSeconds": 10},
}
BARE = ["python3", "-m", "modelserver", "--host", "0.0.0.0", "--port", "8000", "--model", "demo"]
LOOPBACK = ["python3", "-m", "modelserver", "--port", "8000", "--model", "demo", "--log", "-"]


@dataclass(frozen=True)
class Endpoint:
    stage: Theatre
    namespace: str
    name: str

    @property
    def service(self) -> str:
        return f"{self.name}.{self.namespace}.svc:{names.GUARD_PORT}"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.stage.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    @property
    def selector(self) -> str:
        return f"{names.ENDPOINT_LABEL}={self.name}"

    def find(self, kind: str, name: str = "") -> Live:
        """An object of the endpoint's namespace, by default the one with the endpoint's name; empty where none is."""
        return self.stage.find(self.namespace, kind, name or self.name)

    @property
    def live(self) -> Live:
        return self.stage.must_find(self.namespace, "mdep", self.name)

    def condition(self, kind: str) -> Live:
        """The condition, if it speaks of the newest spec; else empty."""
        live = self.live
        found = [item for item in live.get("status", {}).get("conditions", ()) if item["type"] == kind]
        is_current = found and found[0]["observedGeneration"] == live["metadata"]["generation"]
        return dict(found[0]) if is_current else {}

    def is_true(self, kind: str) -> bool:
        return self.condition(kind).get("status") == "True"

    def wait(self, *kinds: str) -> "Endpoint":
        """Until these conditions are True of the newest spec, Ready and InSync if none is named."""
        for kind in kinds or ("Ready", "InSync"):
            until(
                lambda kind=kind: self.is_true(kind),  # type: ignore[misc]
                lambda kind=kind: f"{kind}: {self.condition(kind)}",  # type: ignore[misc]
                seconds=WITHOUT_OPERATOR_SECONDS,
            )
        return self

    def edit(self, **spec: Any) -> None:
        self.kubectl("patch", "mdep", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def pods(self) -> list[Live]:
        """Those that are not being deleted, in the order of their names."""
        items = self.stage.list(self.namespace, "pods", self.selector)
        alive = [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]
        return sorted(alive, key=lambda pod: str(pod["metadata"]["name"]))

    def pod(self) -> Live:
        (only,) = self.pods()
        return only

    @property
    def address(self) -> str:
        """The only pod's IP."""
        return str(self.pod()["status"]["podIP"])

    def key(self, client: str = CLIENT) -> str:
        secret = self.stage.must_find(self.namespace, "secrets", names.client_secret(self.name, client))
        return base64.b64decode(secret["data"]["OPENAI_API_KEY"]).decode()

    def document(self) -> str:
        secret = self.stage.must_find(self.namespace, "secrets", names.document_secret(self.name))
        return base64.b64decode(secret["data"]["document.jws"]).decode()

    def guard_log(self) -> list[Live]:
        """What the only pod's guard has written, audit and other lines alike."""
        return lines(self.kubectl("logs", self.pod()["metadata"]["name"], "-c", GUARD))

    def guard_status(self) -> Live:
        """What the guard of the only pod says on its status port, asked from the node; empty while nobody answers."""
        pod = f"{self.pod()['metadata']['name']}:{names.STATUS_PORT}"
        return self.stage.read(f"api/v1/namespaces/{self.namespace}/pods/{pod}/proxy/status")

    def events(self, reason: str) -> list[str]:
        items = self.stage.list(self.namespace, "events")
        of_ours = (item for item in items if item["involvedObject"]["name"] == self.name)
        return [item["message"] for item in of_ours if item["reason"] == reason]


def manifest(endpoint: Endpoint, container: Live, spec: Live) -> Live:
    merged = deepcopy(SPEC) | spec
    serving = CONTAINER | {"image": endpoint.stage.images.model} | container
    merged.setdefault("template", {"spec": {"containers": [serving]}})
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": endpoint.name, "namespace": endpoint.namespace},
        "spec": merged,
    }


def lines(text: str) -> list[Live]:
    """The JSON objects among a log's lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def restarts(pod: Live, container: str) -> int:
    statuses = [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]
    return sum(status["restartCount"] for status in statuses if status["name"] == container)


def is_ready(pod: Live) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def until(claim: Callable[[], object], what: str | Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> float:
    """Waits for the claim to hold, and says how long it took; fails with what it last saw."""
    began = time.monotonic()
    waiting.until(lambda: bool(claim()), seconds=seconds, complaint=lambda: str(what() if callable(what) else what))
    return time.monotonic() - began
