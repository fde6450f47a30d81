"""A new ModelDeployment gets everything that it owns, and nothing is written once all is as it should be."""

import pytest
from tests.cluster.operator.admin import Live
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator
from tests.cluster.plane import NO_CACHE

from bartizan.controller import kinds
from bartizan.policy import names
from bartizan.policy.reasons import Reason

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


def test_kubectl_shows_what_matters_at_a_glance(bench: Bench, endpoint: Endpoint) -> None:
    until(lambda: endpoint.status["pods"]["summary"] == "1/1")
    shown = bench.cluster.kubectl("get", "mdep", "--namespace", endpoint.namespace).splitlines()
    assert shown[0].split() == ["NAME", "READY", "GATED", "ADDRESS", "AGE"]
    assert shown[1].split()[:4] == ["echo", "False", "1/1", endpoint.status["address"]]
    described = bench.cluster.kubectl("describe", "mdep", "echo", "--namespace", endpoint.namespace)
    assert "KeyIssued" in described
    assert "SpecAccepted" in described
    assert bench.cluster.kubectl("get", "bartizan", "--namespace", endpoint.namespace, "--output=name", NO_CACHE)


def test_events_tell_of_transitions_and_only_of_them(endpoint: Endpoint, operator: Operator) -> None:
    until(endpoint.pods)
    until(lambda: endpoint.status["pods"]["total"] == 1)
    told = _told(endpoint)
    for number in range(3):
        seen = operator.metric("bartizan_operator_reconciles_total")
        endpoint.edit({"metadata": {"annotations": {"example.com/note": str(number)}}})
        until(lambda: operator.metric("bartizan_operator_reconciles_total") > seen)  # noqa: B023
    assert _told(endpoint) == told


def test_every_reason_that_is_told_is_one_of_the_documented(endpoint: Endpoint) -> None:
    found = {condition["reason"] for condition in endpoint.status["conditions"]}
    found |= {event["reason"] for event in _events(endpoint)}
    assert found <= {str(reason) for reason in Reason}


def _events(endpoint: Endpoint) -> list[Live]:
    events = endpoint.admin.list(kinds.EVENT, endpoint.namespace)
    return [event for event in events if event["involvedObject"]["uid"] == endpoint.uid]


def _told(endpoint: Endpoint) -> list[str]:
    return sorted(event["message"] for event in _events(endpoint))
