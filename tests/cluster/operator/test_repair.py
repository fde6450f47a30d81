"""Whatever is added to, changed in or taken from an owned object is put back at once, told of, and not fought over."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.attempts import merge
from tests.cluster.operator.admin import Admin, Live
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds
from bartizan.controller.kinds import Kind

pytestmark = pytest.mark.cluster

CASES = yaml.safe_load((Path(__file__).parent / "repairs.yaml").read_text())
REPAIR_SECONDS = 2.0
VOLATILE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
FOLLOWS_THE_PODS = {"Secret echo.guard.bartizan"}
"""The guards' shares of the limits follow the number of pods, and that changes after some repairs."""


@pytest.fixture(scope="module")
def patient(bench: Bench, operator: Operator) -> Iterator[Endpoint]:
    """One endpoint for all cases: what one case left behind would be seen by the next."""
    endpoint = bench.endpoint(bench.namespace(), replicas=2).wait()
    until(lambda: len(endpoint.pods()) == 2)
    yield endpoint
    endpoint.delete()


def _name(case: dict[str, Any]) -> str:
    return f"{case['kind']}-{case['name']}".replace(" ", "-").replace("'", "")


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_a_foreign_change_is_put_back(case: dict[str, Any], patient: Endpoint, operator: Operator) -> None:
    kind = next(kind for kind in kinds.OWNED if kind.kind == case["kind"])
    name = patient.name + case.get("suffix", "")
    manager = case.get("as", "mallory")
    before = patient.admin.must_get(kind, patient.namespace, name)
    repaired = operator.metric("bartizan_operator_drift_repaired_total", kind=kind.kind)
    _do(case, patient.admin, kind, before, manager)
    until(
        lambda: _is_as(patient.admin.get(kind, patient.namespace, name), before),
        lambda: (_differing(patient.admin.get(kind, patient.namespace, name), before), operator.output[-3:]),
        seconds=REPAIR_SECONDS,
    )
    until(lambda: operator.metric("bartizan_operator_drift_repaired_total", kind=kind.kind) > repaired, "counted")
    told = patient.events
    until(
        lambda: any(_tells_of(text, kind, name, case, manager) for text in told("DriftRepaired")),
        lambda: (case, told("DriftRepaired")),
    )
    _assert_peace(patient, operator)


def _do(case: dict[str, Any], admin: Admin, kind: Kind, before: Live, manager: str) -> None:
    namespace, name = before["metadata"]["namespace"], before["metadata"]["name"]
    if case.get("delete"):
        admin.delete(kind, namespace, name)
        return
    if "put" in case:
        admin.replace(kind, merge(before, case["put"]), manager=manager)
        return
    body = json.loads(
        json.dumps(case.get("json") or case["patch"]).replace("$CONFIGMAP_UID", _config_map_uid(admin, namespace))
    )
    admin.patch(kind, namespace, name, body, manager=manager, subresource=case.get("subresource", ""))


def _config_map_uid(admin: Admin, namespace: str) -> str:
    """Of an object that exists: an owner that does not is the garbage collector's order to delete."""
    found = admin.send("GET", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")
    return str(found["metadata"]["uid"])


def _is_as(now: Live | None, before: Live) -> bool:
    return now is not None and _content(now) == _content(before)


def _differing(now: Live | None, before: Live) -> list[str]:
    """Paths, to show where a repair went wrong."""
    return (
        ["gone"]
        if now is None
        else [f"{path}: {text}" for path, text in _flat(_content(now)) ^ _flat(_content(before))]
    )


def _flat(value: Any, path: str = "") -> set[tuple[str, str]]:
    if isinstance(value, dict):
        return {leaf for name, item in value.items() for leaf in _flat(item, f"{path}.{name}")}
    if isinstance(value, list):
        return {leaf for position, item in enumerate(value) for leaf in _flat(item, f"{path}[{position}]")}
    return {(path, str(value))}


def _content(live: Live) -> Live:
    metadata = {name: value for name, value in live["metadata"].items() if name not in VOLATILE}
    annotations = {
        key: text for key, text in metadata.get("annotations", {}).items() if "deployment.kubernetes" not in key
    }
    rest = {name: value for name, value in live.items() if name not in ("metadata", "status")}
    if "clusterIP" in rest.get("spec", {}):
        rest["spec"] = {name: value for name, value in rest["spec"].items() if name not in ("clusterIP", "clusterIPs")}
    return {**rest, "metadata": {**metadata, "annotations": annotations}}


def _tells_of(text: str, kind: Kind, name: str, case: dict[str, Any], manager: str) -> bool:
    return f"{kind.kind} {name} " in text and (case.get("traceless", False) or f"'{manager}'" in text)


def _assert_peace(endpoint: Endpoint, operator: Operator) -> None:
    """One more look writes nothing: repair and API server agree on what the object is."""
    versions = endpoint.versions()
    seen = operator.metric("bartizan_operator_reconciles_total")
    endpoint.edit({"metadata": {"annotations": {"example.com/look": os.urandom(4).hex()}}})
    until(lambda: operator.metric("bartizan_operator_reconciles_total") > seen)
    later = endpoint.versions()
    assert {name for name in versions if later[name] != versions[name]} <= FOLLOWS_THE_PODS
