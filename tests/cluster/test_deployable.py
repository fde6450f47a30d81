"""What the parser lets pass, the API server takes: Deployment and NetworkPolicy of every good manifest, by dry run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.bad_manifests import HERE
from tests.localcluster.api import Cluster, control_plane

from bartizan.controller.builders import deployment, network_policy, pod_template
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.policy.model import Identity, ModelDeployment
from bartizan.policy.parse import parse

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
GOOD = [*sorted((HERE / "good").glob("*.yaml")), *sorted(EXAMPLES.glob("*.yaml"))]
SURROUNDINGS = Surroundings(
    guard_image="registry.example.com/bartizan:1",
    guard_pull_policy="IfNotPresent",
    operator_namespace="bartizan-system",
    operator_pod_labels={"app.kubernetes.io/name": "bartizan"},
    monitoring_namespace="monitoring",
    monitoring_pod_labels={"app": "prometheus"},
    dns_namespace="kube-system",
    dns_pod_labels={"k8s-app": "kube-dns"},
)

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("deployable")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with control_plane() as made:
        yield made


def owned(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    result = parse(manifest, Identity("default", manifest["metadata"]["name"], "uid", "namespace-uid"))
    assert isinstance(result, ModelDeployment), result
    template = pod_template.build(result, SURROUNDINGS, document_key="key", not_before=1)
    return [deployment.build(result, template), network_policy.build(result, SURROUNDINGS)]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_passes_can_be_deployed(cluster: Cluster, path: Path) -> None:
    found = [manifest for manifest in yaml.safe_load_all(path.read_text()) if manifest["kind"] == "ModelDeployment"]
    assert found
    for manifest in (child for each in found for child in owned(each)):
        cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps(manifest))
