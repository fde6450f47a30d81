"""The workbench of the operator's tests: a control plane with the chart on it, and endpoints to try things on."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.installation import install, token
from tests.cluster.operator.admin import Admin, Live, administrator
from tests.cluster.operator.process import Operator, running
from tests.cluster.plane import release_all
from tests.localcluster import waiting
from tests.localcluster.api import Cluster, control_plane

from bartizan.controller import kinds
from bartizan.policy import names

PATIENCE_SECONDS = 20.0
CLUSTERS_OWN = "kube-controller-manager"
STATUS_WRITERS = ("Deployment ", "PodDisruptionBudget ")
"""Kinds whose own controllers write a status whenever pods come and go."""

MANIFEST: Live = {
    "apiVersion": names.API_VERSION,
    "kind": names.KIND,
    "spec": {
        "model": {"name": "echo"},
        "access": {"clients": [{"name": "chat-ui"}]},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "model",
                        "image": "example.com/model:v1",
                        "command": ["serve", "--uds", "/run/model/model.sock"],
                    }
                ]
            }
        },
    },
}


@dataclass(frozen=True)
class Bench:
    """One cluster, its administrator, and the operator's credentials."""

    cluster: Cluster
    admin: Admin
    operator_kubeconfig: Path
    namespaces: list[str] = field(default_factory=list)

    @contextmanager
    def operator(self, **settings: object) -> Iterator[Operator]:
        with running(self.operator_kubeconfig, **settings) as operator:
            yield operator

    def namespace(self) -> str:
        """A new one, of its own for each test."""
        name = f"t-{secrets.token_hex(4)}"
        self.admin.create(kinds.NAMESPACE, None, {"metadata": {"name": name}})
        self.namespaces.append(name)
        return name

    def sweep(self) -> None:
        """Leaves nothing to the operators that come after; none runs now, so finalizers are taken off by hand."""
        for namespace in self.namespaces:
            self.admin.delete(kinds.NAMESPACE, None, namespace)
            for kind in (kinds.MODEL_DEPLOYMENT, kinds.NETWORK_POLICY):
                release_all(self.admin, kind, namespace)
        self.namespaces.clear()

    def endpoint(self, namespace: str, name: str = "echo", **spec: Any) -> "Endpoint":
        """Creates a ModelDeployment; `spec` goes over the plain one's fields."""
        manifest = deepcopy(MANIFEST)
        manifest["metadata"] = {"name": name, "namespace": namespace}
        manifest["spec"] |= spec
        created = self.admin.create(kinds.MODEL_DEPLOYMENT, namespace, manifest)
        return Endpoint(self.admin, namespace, name, created["metadata"]["uid"])


@dataclass(frozen=True)
class Endpoint:
    """A ModelDeployment and what belongs to it."""

    admin: Admin
    namespace: str
    name: str
    uid: str

    @property
    def live(self) -> Live:
        return self.admin.must_get(kinds.MODEL_DEPLOYMENT, self.namespace, self.name)

    @property
    def status(self) -> Live:
        found: Live = self.live.get("status", {})
        return found

    def condition(self, name: str) -> Live:
        found = [item for item in self.status.get("conditions", ()) if item["type"] == name]
        return dict(found[0]) if found else {}

    def is_settled(self) -> bool:
        """The operator has seen this very spec, and made what it wants."""
        live = self.live
        observed = live.get("status", {}).get("observedGeneration", 0)
        return bool(observed >= live["metadata"]["generation"] and self.owned("Deployment"))

    def wait(self) -> "Endpoint":
        until(self.is_settled, lambda: f"settled: {self.status}")
        return self

    def edit(self, body: Any) -> None:
        self.admin.patch(kinds.MODEL_DEPLOYMENT, self.namespace, self.name, body)

    def edit_spec(self, **spec: Any) -> None:
        self.edit({"spec": spec})

    def delete(self, **options: Any) -> None:
        self.admin.delete(kinds.MODEL_DEPLOYMENT, self.namespace, self.name, **options)

    def owned(self, kind: str, suffix: str = "") -> Live | None:
        found = next(item for item in kinds.ALL if item.kind == kind)
        return self.admin.get(found, self.namespace, self.name + suffix)

    def must_own(self, kind: str, suffix: str = "") -> Live:
        found = self.owned(kind, suffix)
        assert found is not None, f"{kind} {self.name}{suffix} is not there"
        return found

    def api_key(self, client: str = "chat-ui") -> str:
        """Empty where the client has none."""
        secret = self.admin.get(kinds.SECRET, self.namespace, names.client_secret(self.name, client))
        return base64.b64decode(secret["data"]["OPENAI_API_KEY"]).decode() if secret else ""

    def document(self) -> str:
        secret = self.admin.get(kinds.SECRET, self.namespace, names.document_secret(self.name))
        return base64.b64decode(secret["data"]["document.jws"]).decode() if secret else ""

    def pods(self) -> list[Live]:
        return self.admin.list(kinds.POD, self.namespace, **{names.ENDPOINT_LABEL: self.name})

    def events(self, reason: str) -> list[str]:
        items = self.admin.list(kinds.EVENT, self.namespace)
        return [
            item["message"] for item in items if item["reason"] == reason and item["involvedObject"]["uid"] == self.uid
        ]

    def inventory(self) -> dict[str, Live]:
        """Everything of the endpoint but pods, ReplicaSets and Events, by kind and name."""
        wanted = (*(kind for kind in kinds.OWNED if kind is not kinds.POD), kinds.SECRET)
        found = ((kind, item) for kind in wanted for item in self.admin.list(kind, self.namespace))
        labelled = ((kind, item) for kind, item in found if _belongs(item, self.name))
        return {f"{kind.kind} {item['metadata']['name']}": item for kind, item in labelled}

    def versions(self) -> dict[str, str]:
        """What tells whether somebody wrote; where a controller writes a status of its own, that does not count."""
        return {name: _version(name, item["metadata"]) for name, item in self.inventory().items()}


def _version(name: str, metadata: Live) -> str:
    """All that a write moves; where a controller of the cluster's own writes, too, all but what that one does."""
    if not name.startswith(STATUS_WRITERS):
        return str(metadata["resourceVersion"])
    written = [entry for entry in metadata.get("managedFields", ()) if entry.get("manager") != CLUSTERS_OWN]
    annotations = {**metadata.get("annotations", {}), "deployment.kubernetes.io/revision": ""}
    ours = {**metadata, "resourceVersion": "", "managedFields": written, "annotations": annotations}
    return json.dumps(ours, sort_keys=True)


def _belongs(item: Live, endpoint: str) -> bool:
    return bool((item["metadata"].get("labels") or {}).get(names.ENDPOINT_LABEL) == endpoint)


def until(
    claim: Callable[[], object], what: str | Callable[[], object] = "", *, seconds: float = PATIENCE_SECONDS
) -> None:
    """Waits for the claim to hold; fails with what it last saw."""
    waiting.until(lambda: bool(claim()), seconds=seconds, complaint=lambda: str(what() if callable(what) else what))


@contextmanager
def workbench(directory: Path) -> Iterator[Bench]:
    """A control plane of its own with the chart installed, for all namespaces."""
    with control_plane() as cluster, closing(administrator(cluster)) as admin:
        install(cluster)
        yield Bench(cluster, admin, operator_kubeconfig(cluster, directory))


def operator_kubeconfig(cluster: Cluster, directory: Path) -> Path:
    """With the installed account's token."""
    path = directory / "operator.kubeconfig"
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token(cluster)}} for user in config["users"]]
    path.write_text(yaml.safe_dump(config))
    return path
