"""A stranger's object under a name that the endpoint needs: never adopted, told of, and no hindrance to the rest."""

from copy import deepcopy
from typing import Any

import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds
from bartizan.controller.kinds import Kind
from bartizan.policy import names

pytestmark = pytest.mark.cluster

POD_SPEC = {"containers": [{"name": "own", "image": "example.com/own"}]}
LABELS = {"app": "own"}
STRANGERS: dict[str, tuple[Kind, str, dict[str, Any]]] = {
    "NetworkPolicy": (kinds.NETWORK_POLICY, "echo", {"spec": {"podSelector": {"matchLabels": LABELS}}}),
    "Service": (kinds.SERVICE, "echo", {"spec": {"selector": LABELS, "ports": [{"port": 80}]}}),
    "ServiceAccount": (kinds.SERVICE_ACCOUNT, "echo", {"imagePullSecrets": [{"name": "own"}]}),
    "PodDisruptionBudget": (
        kinds.POD_DISRUPTION_BUDGET,
        "echo",
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}}},
    ),
    "Deployment": (
        kinds.DEPLOYMENT,
        "echo",
        {
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": POD_SPEC},
            }
        },
    ),
    "ControllerRevision": (kinds.CONTROLLER_REVISION, "echo.1", {"revision": 1, "data": {"own": True}}),
    "client Secret": (kinds.SECRET, "echo.chat-ui", {"type": "Opaque", "stringData": {"own": "kept"}}),
    "document Secret": (kinds.SECRET, "echo.guard.bartizan", {"type": "Opaque", "stringData": {"own": "kept"}}),
    "typed Secret": (
        kinds.SECRET,
        "echo.chat-ui",
        {"type": "kubernetes.io/basic-auth", "stringData": {"username": "u", "password": "p"}},
    ),
}


def _squat(bench: Bench, namespace: str, what: str) -> tuple[Kind, dict[str, Any]]:
    kind, name, content = STRANGERS[what]
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **deepcopy(content)}
    return kind, bench.admin.create(kind, namespace, body, manager="squatter")


@pytest.mark.parametrize("what", STRANGERS)
def test_a_strangers_object_is_left_alone_and_told_of(
    what: str, bench: Bench, operator: Operator, namespace: str
) -> None:
    kind, stranger = _squat(bench, namespace, what)
    endpoint = bench.endpoint(namespace, replicas=2)
    until(lambda: endpoint.condition("Accepted").get("reason") == "NameTaken", lambda: endpoint.status)
    message = endpoint.condition("Ready")["message"]
    assert f"{kind.kind} {stranger['metadata']['name']} " in message
    assert kind is kinds.SECRET or "'squatter'" in message
    now = bench.admin.must_get(kind, namespace, stranger["metadata"]["name"])
    assert _content(now) == _content(stranger)
    assert what == "NetworkPolicy" or endpoint.owned("NetworkPolicy"), "the gate is shut all the same"
    assert what == "Deployment" or endpoint.owned("Deployment") is None, "no pod starts in somebody else's frame"


def test_names_that_become_free_are_taken(bench: Bench, operator: Operator) -> None:
    endpoints = {}
    for what in STRANGERS:
        namespace = bench.namespace()
        kind, stranger = _squat(bench, namespace, what)
        endpoints[bench.endpoint(namespace, replicas=2)] = (kind, stranger["metadata"]["name"])
    for endpoint, (kind, name) in endpoints.items():
        until(lambda: endpoint.condition("Accepted").get("reason") == "NameTaken", lambda: endpoint.status)  # noqa: B023
        bench.admin.delete(kind, endpoint.namespace, name)
    for endpoint in endpoints:
        until(lambda: endpoint.condition("Accepted").get("reason") == "SpecAccepted", lambda: endpoint.status)  # noqa: B023
        until(lambda: endpoint.owned("Deployment"))  # noqa: B023


def test_other_endpoints_go_on_while_one_is_blocked(bench: Bench, operator: Operator, namespace: str) -> None:
    _squat(bench, namespace, "Service")
    blocked = bench.endpoint(namespace)
    other = bench.endpoint(namespace, "other").wait()
    assert blocked.owned("Deployment") is None
    assert other.condition("Accepted")["reason"] == "SpecAccepted"


@pytest.mark.parametrize("what", ["Service", "ServiceAccount", "client Secret", "document Secret"])
def test_a_name_taken_later_keeps_nothing_else_from_being_repaired(what: str, bench: Bench, endpoint: Endpoint) -> None:
    kind, name, _ = STRANGERS[what]
    bench.admin.delete(kind, endpoint.namespace, name)
    live = endpoint.admin.get(kind, endpoint.namespace, name)
    if live is None:  # else it has been put back already: then its owner's marks are taken off instead
        try:
            _squat(bench, endpoint.namespace, what)
        except Exception:  # noqa: BLE001 - the operator was faster
            live = endpoint.admin.must_get(kind, endpoint.namespace, name)
    if live is not None:
        body = {"metadata": {"labels": None, "ownerReferences": None, "annotations": None}}
        endpoint.admin.patch(kind, endpoint.namespace, name, body, manager="squatter")
    bench.admin.patch(
        kinds.DEPLOYMENT, endpoint.namespace, "echo", {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    )
    until(lambda: not endpoint.must_own("Deployment")["spec"]["template"]["spec"].get("hostNetwork"), seconds=5)


def test_an_object_said_to_be_a_former_lifes_does_not_block_repair(endpoint: Endpoint) -> None:
    forged = {"metadata": {"labels": {names.ENDPOINT_UID_LABEL: "another"}, "ownerReferences": None}}
    endpoint.admin.patch(kinds.SERVICE, endpoint.namespace, "echo", forged)
    until(
        lambda: endpoint.must_own("Service")["metadata"]["labels"][names.ENDPOINT_UID_LABEL] == endpoint.uid, seconds=5
    )


def _content(live: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: live["metadata"].get(name) for name in ("uid", "labels", "ownerReferences")}
    kept = ("spec", "data", "type", "imagePullSecrets")
    return {name: value for name, value in live.items() if name in kept} | {"metadata": metadata}
