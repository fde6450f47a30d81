"""The CRD on a real API server: good manifests pass, bad ones come back with a message that names path and remedy."""

import copy
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.bad_manifests import HERE, Case, cases, load
from tests.cluster.plane import NO_CACHE, Plane
from tests.cluster.rest import RefusalError, Rest, client_of
from tests.localcluster.api import Cluster

from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment
from bartizan.policy.parse import parse

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / "bartizan.dev_modeldeployments.yaml"
GOOD = [*sorted((HERE / "good").glob("*.yaml")), *sorted((ROOT / "manifests" / "examples").glob("*.yaml"))]
CASES = tuple(cases())
DEADLINE_SECONDS = 20.0

pytestmark = pytest.mark.cluster


class Server(Rest):
    """The few requests that these tests make, in plain JSON."""

    OBJECTS = "/apis/bartizan.dev/v1alpha1/namespaces/default/modeldeployments"
    DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def install(self, definition: dict[str, Any]) -> None:
        spot = f"{self.DEFINITIONS}/{definition['metadata']['name']}"
        try:
            self.request("POST", f"{self.DEFINITIONS}?fieldValidation=Strict", definition)
        except RefusalError as refusal:
            if refusal.status != 409:
                raise
            self.request("PATCH", spot, definition)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while "Established" not in {
            condition["type"]
            for condition in self.request("GET", spot)["status"].get("conditions") or ()
            if condition["status"] == "True"
        }:
            assert time.monotonic() < deadline, "the CRD was not established in time"

    def create(self, manifest: dict[str, Any], *, dry_run: bool = True, strict: bool = False) -> Any:
        body = {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}
        options = f"fieldValidation={'Strict' if strict else 'Ignore'}{'&dryRun=All' if dry_run else ''}"
        return self.request("POST", f"{self.OBJECTS}?{options}", body)

    def replace(self, manifest: dict[str, Any]) -> Any:
        return self.request("PUT", f"{self.OBJECTS}/{manifest['metadata']['name']}", manifest)

    def table(self) -> Any:
        """The list as `kubectl get -o wide` asks for it."""
        return self.request("GET", self.OBJECTS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")

    def scale(self, name: str) -> Any:
        return self.request("GET", f"{self.OBJECTS}/{name}/scale")

    def write_status(self, name: str, status: dict[str, Any]) -> Any:
        return self.request("PATCH", f"{self.OBJECTS}/{name}/status", {"status": status})


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Iterator[Cluster]:
    with plane.lent() as made:
        yield made


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Server]:
    with client_of(cluster) as api:
        made = Server(api)
        made.install(load(CRD))
        yield made


def fresh(**changes: Any) -> dict[str, Any]:
    manifest = load(HERE / "base.yaml")
    manifest["metadata"]["name"] = f"t-{uuid.uuid4().hex[:8]}"
    manifest["spec"].update(changes)
    return copy.deepcopy(manifest)


@pytest.mark.parametrize("case", [case for case in CASES if case.schema], ids=lambda case: case.name)
def test_the_schema_refuses_with_path_and_remedy(server: Server, case: Case) -> None:
    with pytest.raises(RefusalError) as refusal:
        server.create(case.manifest)
    assert refusal.value.status == 422, refusal.value
    assert str(case.schema) in refusal.value.message


@pytest.mark.parametrize("case", [case for case in CASES if not case.schema], ids=lambda case: case.name)
def test_what_the_allow_list_refuses_passes_the_schema(server: Server, case: Case) -> None:
    created = server.create(case.manifest)
    if not case.pruned:
        identity = Identity("default", created["metadata"]["name"], "uid", "namespace-uid")
        result = parse(created, identity)
        assert not isinstance(result, ModelDeployment)
        assert any(case.parse in str(problem) for problem in result)


@pytest.mark.parametrize("case", [case for case in CASES if case.pruned], ids=lambda case: case.name)
def test_a_misspelt_field_closes(server: Server, case: Case) -> None:
    """Pruned, so that the default stands; and refused where the request asks for strictness, as kubectl does."""
    created = server.create(case.manifest)
    default = server.create(load(HERE / "base.yaml"))
    untouched = {name: value for name, value in default["spec"].items() if name not in case.manifest["spec"]}
    assert untouched.items() <= created["spec"].items()
    with pytest.raises(RefusalError) as refusal:
        server.create(case.manifest, strict=True)
    assert "unknown field" in refusal.value.message


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_manifests_pass_schema_and_parser(server: Server, path: Path) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest["kind"] == "ModelDeployment":
            created = server.create(manifest, strict=True)
            identity = Identity("default", created["metadata"]["name"], "uid", "namespace-uid")
            as_stored, as_written = parse(created, identity), parse(manifest, identity)
            assert isinstance(as_stored, ModelDeployment), as_stored
            assert as_stored == as_written, "the schema's defaults are not the parser's"


def test_an_epoch_cannot_be_lowered(server: Server) -> None:
    created = server.create(fresh(access={"clients": [{"name": "a", "keyEpoch": 3}, {"name": "b"}]}), dry_run=False)
    created["spec"]["access"]["clients"] = [{"name": "b", "keyEpoch": 2}, {"name": "a", "keyEpoch": 3}]
    raised = server.replace(created)
    raised["spec"]["access"]["clients"][1]["keyEpoch"] = 2
    with pytest.raises(RefusalError, match="cannot be lowered, since a retired key would come back"):
        server.replace(raised)
    del raised["spec"]["access"]["clients"][1]["keyEpoch"]
    with pytest.raises(RefusalError, match="cannot be lowered"):
        server.replace(raised)


def test_a_generated_name_is_held_to_the_bound(server: Server) -> None:
    manifest = fresh()
    manifest["metadata"] = {"generateName": "a" * 39 + "-"}
    with pytest.raises(RefusalError, match=r"metadata\.name must start with a letter"):
        server.create(manifest)


def test_an_autoscaler_finds_what_it_needs(server: Server) -> None:
    name = server.create(fresh(replicas=3), dry_run=False)["metadata"]["name"]
    server.write_status(name, {"replicas": 2, "selector": f"bartizan.dev/endpoint={name}"})
    scale = server.scale(name)
    assert scale["spec"]["replicas"] == 3
    assert scale["status"] == {"replicas": 2, "selector": f"bartizan.dev/endpoint={name}"}


def test_the_columns_show_what_matters(server: Server) -> None:
    name = server.create(fresh(), dry_run=False)["metadata"]["name"]
    moment = "2026-01-01T00:00:00Z"
    kinds = (("Ready", "True"), ("Accepted", "True"), ("InSync", "False"), ("Hardened", "Unknown"))
    conditions = [
        {"type": kind, "status": state, "reason": "R", "message": "m", "lastTransitionTime": moment}
        for kind, state in kinds
    ]
    pods = {"total": 2, "gated": 2, "summary": "2/2"}
    server.write_status(name, {"conditions": conditions, "pods": pods, "address": "http://a:8080/v1"})
    table = server.table()
    columns = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert columns == ["Name", "Ready", "Gated", "Address", "Age"]
    row = next(row for row in table["rows"] if row["cells"][0] == name)
    cells = dict(zip([column["name"] for column in table["columnDefinitions"]], row["cells"], strict=True))
    assert (cells["Ready"], cells["Gated"], cells["Address"]) == ("True", "2/2", "http://a:8080/v1")
    assert (cells["Model"], cells["Transport"]) == ("tiny", "UnixSocket")
    assert (cells["Accepted"], cells["InSync"], cells["Hardened"]) == ("True", "False", "Unknown")


def test_status_keeps_nothing_that_is_not_in_the_schema(server: Server) -> None:
    name = server.create(fresh(), dry_run=False)["metadata"]["name"]
    assert server.write_status(name, {"secret": "x", "observedGeneration": 1})["status"] == {"observedGeneration": 1}


@pytest.mark.parametrize("word", ["mdep", "bartizan", "modeldeployments.bartizan.dev"])
def test_kubectl_finds_it_by_short_name_and_category(server: Server, cluster: Cluster, word: str) -> None:
    name = server.create(fresh(), dry_run=False)["metadata"]["name"]
    found = cluster.kubectl("get", word, "--namespace=default", "--output=name", NO_CACHE).split()
    assert f"modeldeployment.bartizan.dev/{name}" in found


def with_template(**fields: Any) -> dict[str, Any]:
    manifest = fresh()
    manifest["spec"]["template"]["spec"].update(fields)
    return manifest


def nested(depth: int, *, by_lists: bool) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value] if by_lists else {"a": value}
    return value


def test_a_template_above_its_bound_is_refused_in_few_words(server: Server) -> None:
    """The schema cannot weigh it: the API server stores it, and the parser says so at once."""
    created = server.create(with_template(tolerations=[{"key": "x" * 60, "value": "y" * 60}] * 600))
    result = parse(created, Identity("default", created["metadata"]["name"], "uid", "namespace-uid"))
    assert isinstance(result, tuple)
    said = "spec.template: has more than 65536 bytes; move data to a ConfigMap or a volume"
    assert [str(problem) for problem in result] == [said]


@pytest.mark.parametrize("by_lists", [True, False])
def test_a_deep_template_is_refused_with_its_path(server: Server, *, by_lists: bool) -> None:
    created = server.create(with_template(affinity=nested(400, by_lists=by_lists)))
    result = parse(created, Identity("default", created["metadata"]["name"], "uid", "namespace-uid"))
    assert isinstance(result, tuple)
    assert result[0].path.startswith("spec.template.spec.affinity")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_what_is_deeper_than_json_may_be_never_gets_in(server: Server, opening: str, closing: str) -> None:
    """As text, since this side's JSON writer would not go so deep; as YAML, since the client writes JSON itself."""
    head, tail = json.dumps(with_template(affinity="HERE")).split('"HERE"')
    text = f"{head}{opening * 20_000}1{closing * 20_000}{tail}"
    with pytest.raises(RefusalError, match="depth") as refusal:
        server.request("POST", f"{server.OBJECTS}?dryRun=All", text, **{"Content-Type": "application/yaml"})
    assert 400 <= refusal.value.status < 500
