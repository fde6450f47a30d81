"""A new ModelDeployment gets everything that it owns, and nothing is written once all is as it should be."""

import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds
from bartizan.policy import names

pytestmark = pytest.mark.cluster

OWNED = {
    "NetworkPolicy echo",
    "Deployment echo",
    "Service echo",
    "ServiceAccount echo",
    "PodDisruptionBudget echo",
    "ControllerRevision echo.1",
    "Secret echo.chat-ui",
    "Secret echo.batch",
    "Secret echo.guard.bartizan",
}


def test_every_owned_object_exists(bench: Bench, operator: Operator, namespace: str) -> None:
    clients = {"clients": [{"name": "chat-ui"}, {"name": "batch"}]}
    endpoint = bench.endpoint(namespace, replicas=2, access=clients).wait()
    assert set(endpoint.inventory()) == OWNED
    assert endpoint.live["metadata"]["finalizers"] == [names.FINALIZER]


def test_every_owned_object_but_the_policy_belongs_to_the_modeldeployment(endpoint: Endpoint) -> None:
    owners = {
        name: [owner["uid"] for owner in item["metadata"].get("ownerReferences", ())]
        for name, item in endpoint.inventory().items()
    }
    assert owners.pop("NetworkPolicy echo") == []
    assert set(map(tuple, owners.values())) == {(endpoint.uid,)}


def test_pods_come_after_the_policy_that_closes_them(bench: Bench, endpoint: Endpoint) -> None:
    until(endpoint.pods)
    policy = endpoint.must_own("NetworkPolicy")
    born = [pod["metadata"]["creationTimestamp"] for pod in endpoint.pods()]
    assert policy["metadata"]["creationTimestamp"] <= min(born)
    labels = endpoint.pods()[0]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_nothing_more_is_written_once_all_stands(endpoint: Endpoint, operator: Operator) -> None:
    until(endpoint.pods)
    until(lambda: endpoint.status.get("pods", {}).get("total") == 1)
    versions, version = endpoint.versions(), endpoint.live["metadata"]["resourceVersion"]
    endpoint.edit({"metadata": {"annotations": {"example.com/note": "look again"}}})
    seen = operator.metric("bartizan_operator_reconciles_total")
    until(lambda: operator.metric("bartizan_operator_reconciles_total") > seen)
    assert endpoint.versions() == versions
    assert endpoint.live["metadata"]["resourceVersion"] != version, "the note itself"
    assert endpoint.live["metadata"]["managedFields"][0]


def test_conditions_are_told_with_their_reasons(endpoint: Endpoint) -> None:
    assert endpoint.condition("Accepted")["reason"] == "SpecAccepted"
    assert endpoint.condition("Hardened")["reason"] == "FullyHardened"
    assert endpoint.condition("NetworkIsolated")["status"] == "Unknown"
    assert endpoint.condition("EnforcementVerified")["reason"] == "NotProbed"
    assert endpoint.condition("PlainHTTP")["status"] == "True"
    assert endpoint.condition("Ready")["status"] == "False"


def test_a_service_opens_nothing_but_the_guards_port(endpoint: Endpoint) -> None:
    service = endpoint.admin.must_get(kinds.SERVICE, endpoint.namespace, endpoint.name)
    assert [port["port"] for port in service["spec"]["ports"]] == [names.GUARD_PORT]
