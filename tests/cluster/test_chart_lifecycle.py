"""The chart's life on a real API server, the operator running under its rights: install, upgrade, uninstall, back."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.installation import CHART, NAMESPACE, RELEASE, helm, install, running_operator, until
from tests.cluster.plane import Plane
from tests.localcluster.api import tool

from bartizan.controller import kinds
from bartizan.policy import names

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
TEAM, OTHER_TEAM, ENDPOINT = "life-a", "life-b", "llama"
OWNED = (
    kinds.NETWORK_POLICY,
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.SERVICE_ACCOUNT,
    kinds.SECRET,
    kinds.CONTROLLER_REVISION,
)
MODEL_DEPLOYMENT = {
    "apiVersion": "bartizan.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": ENDPOINT, "namespace": TEAM},
    "spec": {
        "model": {"name": "llama-3-8b"},
        "replicas": 0,
        "access": {"clients": [{"name": "chat-ui"}]},
        "template": {
            "spec": {"containers": [{"name": "model", "image": "localhost/model:dev", "command": ["serve"]}]},
        },
    },
}
NAMESPACE_OF_TEAM = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}
LISTED = ("--set", f"namespaces={{{TEAM}}}")


@pytest.fixture(scope="module")
def bare(plane: Plane) -> Iterator[Plane]:
    with plane.lent(OTHER_TEAM) as cluster:
        yield cluster
        cluster.admin.delete(kinds.NAMESPACE, None, TEAM)


@pytest.fixture
def cluster(bare: Plane) -> Iterator[Plane]:
    """An empty cluster but for the team's namespace; whatever a test leaves is let go as the documentation says."""
    bare.kubectl("apply", "--filename=-", stdin=json.dumps(NAMESPACE_OF_TEAM))
    yield bare
    if RELEASE in helm(bare, "list", "--short"):
        helm(bare, "uninstall", RELEASE)
    if _is_declared(bare):
        _break_glass(bare, _page())
    bare.kubectl("delete", "crd", "modeldeployments.bartizan.dev", "--ignore-not-found")
    owned = ",".join(kind.plural for kind in OWNED)
    bare.kubectl("--namespace", TEAM, "delete", owned, f"--selector={names.ENDPOINT_LABEL}={ENDPOINT}")
    bare.kubectl("--namespace", NAMESPACE, "delete", "secret", "bartizan-root", "--ignore-not-found")


def _is_declared(cluster: Plane) -> bool:
    return cluster.admin.get(kinds.MODEL_DEPLOYMENT, TEAM, ENDPOINT) is not None


def _owned(cluster: Plane) -> dict[str, Any]:
    """Spec or data of every owned object, by kind and name."""
    return {
        f"{kind.kind}/{item['metadata']['name']}": item.get("spec", item.get("data"))
        for kind in OWNED
        for item in cluster.admin.list(kind, TEAM, **{names.ENDPOINT_LABEL: ENDPOINT})
    }


def _gated(cluster: Plane) -> bool:
    return {f"Deployment/{ENDPOINT}", f"NetworkPolicy/{ENDPOINT}", f"Secret/{ENDPOINT}.chat-ui"} <= _owned(
        cluster
    ).keys()


def _declare(cluster: Plane) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(MODEL_DEPLOYMENT))
    until(partial(_gated, cluster), "the endpoint's objects exist", seconds=60)


def _page() -> str:
    (script,) = re.findall(r"```sh break-glass\n(.*?)```", (ROOT / "docs" / "install.md").read_text(), re.DOTALL)
    return str(script)


def _break_glass(cluster: Plane, script: str) -> None:
    """Runs the very commands of the documentation, or of the chart's notes, as if they were pasted."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": f"{tool('kubectl').parent}:{os.environ['PATH']}",
        "NAMESPACE": TEAM,
        "ENDPOINT": ENDPOINT,
    }
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_upgrade_with_changed_values_reaches_operator_and_rights(cluster: Plane) -> None:
    install(cluster, *LISTED)
    changed = f"workers=3,namespaces={{{OTHER_TEAM}}}"
    helm(cluster, "upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", "--set", changed)
    deployment = cluster.kubectl("--namespace", NAMESPACE, "get", "deployment", "bartizan-operator", "--output=yaml")
    (container,) = yaml.safe_load(deployment)["spec"]["template"]["spec"]["containers"]
    assert {"name": "BARTIZAN_WORKERS", "value": "3"} in container["env"]
    assert {"name": "BARTIZAN_NAMESPACES", "value": OTHER_TEAM} in container["env"]
    assert "bartizan-operator" not in cluster.kubectl("--namespace", TEAM, "get", "roles,rolebindings", "--output=name")
    assert "bartizan-operator" in cluster.kubectl(
        "--namespace", OTHER_TEAM, "get", "roles,rolebindings", "--output=name"
    )


def test_an_endpoint_of_a_namespace_taken_off_the_list_can_be_deleted(cluster: Plane, tmp_path: Path) -> None:
    install(cluster)
    with running_operator(cluster, tmp_path):
        _declare(cluster)
    helm(cluster, "upgrade", RELEASE, str(CHART), "--set", "namespaces={default}")
    with running_operator(cluster, tmp_path):
        cluster.kubectl("--namespace", TEAM, "delete", "modeldeployments.bartizan.dev", ENDPOINT, "--timeout=60s")
        until(lambda: not _owned(cluster), "its objects go with it, the policy last", seconds=60)


def test_an_upgrade_adds_a_field_to_the_crd(cluster: Plane, tmp_path: Path) -> None:
    install(cluster, *LISTED)
    newer = tmp_path / "bartizan"
    shutil.copytree(CHART, newer)
    template = newer / "templates" / "crds.yaml"
    text = re.sub(
        r"^( +)replicas:", r"\1novelty: {type: string}\n\1replicas:", template.read_text(), count=1, flags=re.MULTILINE
    )
    template.write_text(text)
    helm(cluster, "upgrade", RELEASE, str(newer), "--reset-then-reuse-values")
    wish = {**MODEL_DEPLOYMENT, "spec": {**MODEL_DEPLOYMENT["spec"], "novelty": "kept"}}  # type: ignore[dict-item]

    def is_kept() -> bool:
        return "novelty" in cluster.kubectl(
            "apply", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(wish)
        )

    until(is_kept, "the API server serves the new field")


def test_an_uninstall_leaves_gates_shut_and_a_reinstall_adopts_them(cluster: Plane, tmp_path: Path) -> None:
    install(cluster, *LISTED)
    with running_operator(cluster, tmp_path):
        _declare(cluster)
    before, root = _owned(cluster), _root(cluster)

    printed = helm(cluster, "uninstall", RELEASE)
    assert "resource policy" in printed
    assert _owned(cluster) == before
    assert _root(cluster) == root
    assert _is_declared(cluster)

    cluster.kubectl("--namespace", TEAM, "delete", "modeldeployments.bartizan.dev", ENDPOINT, "--wait=false")
    cluster.kubectl("--namespace", TEAM, "delete", "networkpolicy", ENDPOINT, "--wait=false")
    assert f"NetworkPolicy/{ENDPOINT}" in _owned(cluster), "a deleted policy must stay in force"

    install(cluster, *LISTED)
    assert _root(cluster) == root
    with running_operator(cluster, tmp_path):
        until(lambda: not _is_declared(cluster), "the deletion that waited ends")
        assert not {"Deployment", "NetworkPolicy"} & {name.split("/")[0] for name in _owned(cluster)}


def test_a_reinstall_leaves_keys_as_they_were(cluster: Plane, tmp_path: Path) -> None:
    install(cluster)
    with running_operator(cluster, tmp_path):
        _declare(cluster)
    before = _owned(cluster)
    helm(cluster, "uninstall", RELEASE)
    install(cluster)
    with running_operator(cluster, tmp_path):
        cluster.kubectl("--namespace", TEAM, "delete", "secret", f"{ENDPOINT}.chat-ui")
        cluster.kubectl("--namespace", TEAM, "annotate", "modeldeployments.bartizan.dev", ENDPOINT, "look=again")
        until(partial(_gated, cluster), "the client's Secret is back", seconds=60)
    assert _owned(cluster) == before


@pytest.mark.parametrize("source", ["page", "notes"])
def test_breaking_the_glass_lets_go_without_the_operator(cluster: Plane, tmp_path: Path, source: str) -> None:
    notes = install(cluster, *LISTED)
    with running_operator(cluster, tmp_path):
        _declare(cluster)
    helm(cluster, "uninstall", RELEASE)
    _leave_twin(cluster)
    _break_glass(cluster, _page() if source == "page" else _script_of(notes))
    assert not _is_declared(cluster)
    assert not {"Deployment", "NetworkPolicy"} & {name.split("/")[0] for name in _owned(cluster)}


def _leave_twin(cluster: Plane) -> None:
    """As an operator does that ends while a policy's twin stands in for it."""
    policy = cluster.admin.must_get(kinds.NETWORK_POLICY, TEAM, ENDPOINT)
    metadata = {field: policy["metadata"][field] for field in ("labels", "finalizers")}
    twin = {**policy, "metadata": {**metadata, "name": names.policy_twin(ENDPOINT)}}
    cluster.admin.create(kinds.NETWORK_POLICY, TEAM, twin)


def _script_of(notes: str) -> str:
    """The page's, word for word."""
    lines = notes[notes.index("break the glass") :].splitlines()
    chosen, *commands = [line.removeprefix("  ") for line in lines if line.startswith("  ")]
    assert "\n".join(commands) + "\n" == _page()
    return "\n".join([chosen.replace("<namespace>", TEAM).replace("<endpoint>", ENDPOINT), *commands])


@pytest.mark.parametrize("values", [LISTED, ()], ids=["listed", "everywhere"])
def test_t14_a_deleted_namespace_goes_under_the_charts_rights(
    cluster: Plane, tmp_path: Path, values: tuple[str, ...]
) -> None:
    install(cluster, *values)
    with running_operator(cluster, tmp_path):
        _declare(cluster)
        # Its deletion may take the operator's Role first; in a listed namespace that is made sure here.
        cluster.kubectl("--namespace", TEAM, "delete", "rolebindings", "--all")
        cluster.kubectl("delete", "namespace", TEAM, "--timeout=60s")
    assert TEAM not in cluster.kubectl("get", "namespaces", "--output=name")


def _root(cluster: Plane) -> str:
    return cluster.kubectl("--namespace", NAMESPACE, "get", "secret", "bartizan-root", "--output=jsonpath={.data.root}")
