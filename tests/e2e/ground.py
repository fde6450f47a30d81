"""A namespace in which a module's tests make endpoints and players, and which they leave empty."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import cast
from demo.stage import MONITORING, STRANGERS, ensure_namespace
from tests.e2e.endpoint import BARE, CLIENT, CONTAINER, WITHOUT_OPERATOR_SECONDS, Endpoint, manifest, until
from tests.e2e.player import Player
from tests.e2e.theatre import Theatre

from bartizan.policy import names

HERE = Path(__file__).parent
PLAYERS = HERE / "players"
TOKEN = "/var/run/secrets/bartizan/token"
OWN_PLAYERS = "e2e-players"
"""The ConfigMap of these scripts: the demo's own stands in the same namespaces."""


def namespace_of(module: str) -> str:
    """The namespace of a test module: each has its own."""
    return f"e2e-{module.rpartition('.')[2].removeprefix('test_').replace('_', '-')}"


DOOMED = "e2e-doomed"
"""One that a test deletes, and makes again."""

BENCH = "e2e-bench"
"""Where the figures of bench/ are taken."""

NAMESPACES = (*(namespace_of(path.stem) for path in sorted(HERE.glob("test_*.py"))), DOOMED, BENCH)


@dataclass(frozen=True)
class Ground:
    """What tests do in their namespace."""

    stage: Theatre
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.stage.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def apply(self, live: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps(live))

    def endpoint(self, name: str = "model", *, container: dict[str, Any] | None = None, **spec: Any) -> Endpoint:
        """Applies a ModelDeployment; `spec` goes over the plain one's fields, `container` over its container's."""
        made = Endpoint(self.stage, self.namespace, name)
        self.apply(manifest(made, container or {}, spec))
        return made

    def client(self, endpoint: Endpoint, client: str = CLIENT) -> Player:
        """A pod of the endpoint's namespace with a client's key."""
        return self._player(f"{endpoint.name}-{client}", self.namespace, secret=f"{endpoint.name}.{client}")

    def account(self, endpoint: Endpoint, account: str) -> Player:
        """A pod that runs as this ServiceAccount, with the token that docs/identity.md has it project in TOKEN."""
        audience = f"bartizan.dev/{endpoint.namespace}/{endpoint.name}"
        source = {"serviceAccountToken": {"path": "token", "audience": audience, "expirationSeconds": 3600}}
        name = f"{endpoint.name}-{account}"
        pod = cast.pod(self.stage, name, self.namespace, players=OWN_PLAYERS)["spec"]
        pod["volumes"].append({"name": "token", "projected": {"sources": [source]}})
        (container,) = pod["containers"]
        container["volumeMounts"].append({"name": "token", "mountPath": TOKEN.rpartition("/")[0], "readOnly": True})
        container["env"] = [{"name": "OPENAI_BASE_URL", "value": f"http://{endpoint.service}/v1"}]
        return self._player(name, self.namespace, **pod | {"serviceAccountName": account})

    def neighbour(self) -> Player:
        """A pod of the endpoint's namespace without a key."""
        return self._player("neighbour", self.namespace)

    def stranger(self, name: str = "e2e-stranger", **spec: Any) -> Player:
        """A pod of another namespace; `spec` goes over the pod's fields."""
        ensure_namespace(self.stage, STRANGERS)
        return self._player(name, STRANGERS, **spec)

    def scraper(self) -> Player:
        """A pod of the namespace that may read metrics."""
        ensure_namespace(self.stage, MONITORING)
        return self._player("e2e-scraper", MONITORING)

    def run_bare(self, name: str) -> None:
        """The model's own pod as somebody without Bartizan would run it: a Deployment, a port, a probe."""
        container = CONTAINER | {"image": self.stage.images.model, "command": BARE}
        pod = cast.pod(self.stage, name, self.namespace)["spec"]
        del pod["volumes"]
        template = {"metadata": {"labels": {"app": name}}, "spec": pod | {"containers": [container]}}
        spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
        metadata = {"name": name, "namespace": self.namespace}
        self.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    def clear(self) -> None:
        """Takes all away again: endpoints, players, and what insiders have left."""
        self.kubectl("delete", "mdep", "--all", "--wait=false")
        self.kubectl("delete", "pods", "-l", f"!{names.ENDPOINT_LABEL}", "--grace-period=1", "--wait=false")
        until(self._is_clear, lambda: self.stage.list(self.namespace, "mdep"), seconds=WITHOUT_OPERATOR_SECONDS)
        self.kubectl("delete", "pods,services,networkpolicies,resourcequotas", "--all", "--timeout=30s")

    def _is_clear(self) -> bool:
        """Whether all endpoints are gone; their pods, which would let callers finish for ten seconds, are cut short."""
        pods = [pod["metadata"] for pod in self.stage.list(self.namespace, "pods", names.ENDPOINT_LABEL)]
        patient = [pod["name"] for pod in pods if pod.get("deletionGracePeriodSeconds", 0) > 1]
        if patient:
            self.kubectl("delete", "pods", *patient, "--grace-period=1", "--wait=false", "--ignore-not-found")
        return not self.stage.list(self.namespace, "mdep")

    def _player(self, name: str, namespace: str, *, secret: str | None = None, **spec: Any) -> Player:
        player = Player(self.stage, namespace, name)
        kubectl = self.stage.cluster.kubectl
        pod = cast.pod(self.stage, name, namespace, secret=secret, players=OWN_PLAYERS)
        pod["spec"] |= spec
        kubectl("delete", "pod", name, "-n", namespace, "--ignore-not-found", "--grace-period=1")
        kubectl("apply", "-f", "-", stdin=json.dumps(cast.scripts(namespace, PLAYERS, name=OWN_PLAYERS)))
        kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=60s")
        return player
