"""What the parser lets pass, the API server takes and keeps: by dry run, of good manifests and of many by chance."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from tests.cluster import wishes
from tests.cluster.bad_manifests import HERE, load
from tests.cluster.plane import Plane
from tests.cluster.rest import Rest, client_of
from tests.localcluster.api import Cluster

from bartizan.controller import compare
from bartizan.controller.builders import deployment, network_policy, pod_template
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment
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

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Iterator[Cluster]:
    with plane.lent() as made:
        yield made


def owned(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    result = parse(manifest, Identity("default", manifest["metadata"]["name"], "uid", "namespace-uid"))
    assert isinstance(result, ModelDeployment), result
    return rendered(result)


def rendered(result: ModelDeployment) -> list[dict[str, Any]]:
    template = pod_template.build(result, SURROUNDINGS, document_key="key", not_before=1)
    return [deployment.build(result, template), network_policy.build(result, SURROUNDINGS)]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_passes_can_be_deployed(cluster: Cluster, path: Path) -> None:
    found = [manifest for manifest in yaml.safe_load_all(path.read_text()) if manifest["kind"] == "ModelDeployment"]
    assert found
    for manifest in (child for each in found for child in owned(each)):
        cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps(manifest))


COLLECTIONS = {"Deployment": "/apis/apps/v1/namespaces/default/deployments",
               "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"}  # fmt: skip
UNFIT_FOR_YAML = re.compile("[\x7f-\x9f\ufeff\ufffe\uffff]")
"""As themselves; JSON, which the operator sends, may hold them."""
SEEDS = [load(path)["spec"] for path in (HERE / "base.yaml", *sorted((HERE / "good").glob("*.yaml")))]


@pytest.fixture(scope="module")
def rest(cluster: Cluster) -> Iterator[Rest]:
    with client_of(cluster) as api:
        yield Rest(api)


def dry_run(rest: Rest, manifest: dict[str, Any]) -> Any:
    """By server-side apply, which also holds lists to their keys."""
    path = f"{COLLECTIONS[manifest['kind']]}/{manifest['metadata']['name']}"
    options = "dryRun=All&fieldManager=bartizan&force=true&fieldValidation=Strict"
    kind = {"Content-Type": "application/apply-patch+yaml"}
    text = json.dumps(manifest, ensure_ascii=False)
    return rest.request(
        "PATCH", f"{path}?{options}", UNFIT_FOR_YAML.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text), **kind
    )


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(wishes.accepted(SEEDS, 15))
def test_whatever_is_accepted_is_taken_and_kept(rest: Rest, wish: ModelDeployment) -> None:
    """Kept: what the server makes of it is no drift, or the operator would repair it for ever."""
    for manifest in rendered(wish):
        assert compare.differences(manifest, dry_run(rest, manifest)) == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_stands_beside_an_endpoint_in_an_example_can_be_deployed(cluster: Cluster, path: Path) -> None:
    """The volume and the Job that fills it, say; in a namespace that is there."""
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest["kind"] != "ModelDeployment":
            here = {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}
            text = json.dumps(manifest if manifest["kind"] == "Namespace" else here)
            cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=text)
