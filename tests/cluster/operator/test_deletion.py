"""The way down: workload first, policy last, whatever the cascade; nothing hangs, no pod is without its policy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster.operator.admin import Live, RefusedError
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.witness import Witness

from bartizan.controller import kinds
from bartizan.policy import names

pytestmark = pytest.mark.cluster

HOLD = "example.com/slow-end"
"""A finalizer on a pod stands for containers that take their time to end: there is no kubelet here."""
CASCADES = ["Background", "Foreground", "Orphan"]


def _slow_pod(endpoint: Endpoint) -> str:
    """One of the endpoint's pods, which will not go before it is let go."""
    until(endpoint.pods, "a pod")
    name: str = endpoint.pods()[0]["metadata"]["name"]
    endpoint.admin.patch(kinds.POD, endpoint.namespace, name, {"metadata": {"finalizers": [HOLD]}})
    return name


def _let_end(endpoint: Endpoint, pod: str) -> None:
    endpoint.admin.patch(kinds.POD, endpoint.namespace, pod, {"metadata": {"finalizers": None}})


@contextmanager
def in_order(endpoint: Endpoint) -> Iterator[None]:
    """At no moment is there a pod of the endpoint without a policy."""
    with Witness(endpoint.admin, endpoint.namespace, kinds.POD, kinds.NETWORK_POLICY).watching() as witness:
        yield
    for state in witness.states():
        labels = [pod["metadata"]["labels"] for pod in state[kinds.POD]]
        pods = [each for each in labels if each.get(names.ENDPOINT_LABEL) == endpoint.name]
        assert state[kinds.NETWORK_POLICY] or not pods, f"pods without a policy: {pods}"


def _assert_all_gone(endpoint: Endpoint) -> None:
    admin, namespace = endpoint.admin, endpoint.namespace
    # The garbage collector learns of a new kind within half a minute, and till then ends no foreground deletion of it.
    has_gone = lambda: admin.get(kinds.MODEL_DEPLOYMENT, namespace, endpoint.name) is None  # noqa: E731
    until(has_gone, lambda: endpoint.live, seconds=60)
    until(lambda: not endpoint.inventory(), lambda: list(endpoint.inventory()))
    until(lambda: not endpoint.pods())
    assert admin.list(kinds.REPLICA_SET, namespace) == []


@pytest.mark.parametrize("cascade", CASCADES)
def test_the_policy_stays_until_the_last_pod_has_ended(cascade: str, endpoint: Endpoint) -> None:
    pod = _slow_pod(endpoint)
    with in_order(endpoint):
        endpoint.delete(propagationPolicy=cascade)
        until(lambda: [item for item in endpoint.pods() if "deletionTimestamp" in item["metadata"]], "pod is ending")
        until(lambda: endpoint.condition("Ready").get("reason") == "Deleting")
        policy = endpoint.must_own("NetworkPolicy")
        assert names.FINALIZER in policy["metadata"]["finalizers"]
        _let_end(endpoint, pod)
        _assert_all_gone(endpoint)


def test_the_policy_is_kept_against_everybody_until_the_last_pod_has_ended(endpoint: Endpoint) -> None:
    pod = _slow_pod(endpoint)
    admin, namespace, name = endpoint.admin, endpoint.namespace, endpoint.name
    shut = endpoint.must_own("NetworkPolicy")["spec"]

    def is_kept() -> bool:
        policy = endpoint.owned("NetworkPolicy") or {"metadata": {"deletionTimestamp": "long ago"}}
        return "deletionTimestamp" not in policy["metadata"] and policy["spec"] == shut

    endpoint.delete()
    until(lambda: [item for item in endpoint.pods() if "deletionTimestamp" in item["metadata"]], "pod is ending")
    admin.patch(kinds.NETWORK_POLICY, namespace, name, {"spec": {"egress": [{}], "ingress": [{}]}})
    until(is_kept, "what was opened is shut")
    admin.patch(kinds.NETWORK_POLICY, namespace, name, {"metadata": {"finalizers": None}})
    admin.delete(kinds.NETWORK_POLICY, namespace, name)
    until(is_kept, "what was taken away is made anew")
    admin.delete(kinds.NETWORK_POLICY, namespace, name)
    until(is_kept, "a deletion is answered")
    _let_end(endpoint, pod)
    _assert_all_gone(endpoint)


@pytest.mark.parametrize("cascade", CASCADES)
def test_a_deployment_deleted_by_hand_comes_back_behind_its_policy(cascade: str, endpoint: Endpoint) -> None:
    until(endpoint.pods)
    former = endpoint.must_own("Deployment")["metadata"]["uid"]
    with in_order(endpoint):
        endpoint.admin.delete(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, propagationPolicy=cascade)
        until(lambda: (endpoint.owned("Deployment") or {"metadata": {"uid": former}})["metadata"]["uid"] != former)
        until(lambda: endpoint.status["pods"]["summary"] == "1/1", lambda: endpoint.status)


def test_orphans_of_a_deployment_deleted_by_hand_go_with_the_endpoint(endpoint: Endpoint) -> None:
    until(endpoint.pods)
    endpoint.admin.delete(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, propagationPolicy="Orphan")
    until(lambda: endpoint.owned("Deployment"))
    endpoint.delete()
    _assert_all_gone(endpoint)


def test_a_deployment_held_on_its_way_out_is_made_anew(endpoint: Endpoint) -> None:
    former = endpoint.must_own("Deployment")["metadata"]["uid"]
    body = {"metadata": {"finalizers": ["example.com/hold"]}}
    endpoint.admin.delete(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, propagationPolicy="Foreground")
    try:
        endpoint.admin.patch(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, body)
    except RefusedError:
        assert endpoint.namespace, "it had gone already, or may get no finalizer any more"
    until(lambda: (endpoint.owned("Deployment") or {"metadata": {"uid": former}})["metadata"]["uid"] != former)


def test_a_foreign_finalizer_on_the_deployment_does_not_hang_the_endpoints_deletion(endpoint: Endpoint) -> None:
    body = {"metadata": {"finalizers": ["example.com/hold"], "labels": None}}
    endpoint.delete()
    try:
        endpoint.admin.patch(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, body)
    except RefusedError:
        assert endpoint.namespace, "it had gone already, or may get no finalizer any more"
    _assert_all_gone(endpoint)


def test_a_namespace_goes_with_all_its_endpoints_and_the_policy_last(endpoint: Endpoint) -> None:
    pod = _slow_pod(endpoint)
    with in_order(endpoint):
        endpoint.admin.delete(kinds.NAMESPACE, None, endpoint.namespace)
        until(lambda: [item for item in endpoint.pods() if "deletionTimestamp" in item["metadata"]], "pod is ending")
        _let_end(endpoint, pod)
        until(lambda: endpoint.admin.get(kinds.NAMESPACE, None, endpoint.namespace) is None, seconds=40)


def test_a_policy_whose_modeldeployment_was_torn_away_stays_as_long_as_its_pods(endpoint: Endpoint) -> None:
    pod = _slow_pod(endpoint)
    endpoint.admin.delete(kinds.MODEL_DEPLOYMENT, endpoint.namespace, endpoint.name, propagationPolicy="Background")
    _strip_until_gone(endpoint)
    until(lambda: [item for item in endpoint.pods() if "deletionTimestamp" in item["metadata"]], "pod is ending")
    assert endpoint.owned("NetworkPolicy")
    _let_end(endpoint, pod)
    until(lambda: endpoint.owned("NetworkPolicy") is None)


def test_a_new_endpoint_of_the_same_name_waits_for_the_pods_of_the_former(bench: Bench, endpoint: Endpoint) -> None:
    pod = _slow_pod(endpoint)
    endpoint.delete()
    _strip_until_gone(endpoint)
    later = bench.endpoint(endpoint.namespace)
    until(lambda: "former" in later.condition("Ready").get("message", ""), lambda: later.status)
    selected: dict[str, Any] = later.must_own("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert selected[names.ENDPOINT_UID_LABEL] == endpoint.uid, "the former pods' policy is still theirs"
    assert later.owned("Deployment") is None or later.must_own("Deployment")["metadata"]["uid"]
    _let_end(endpoint, pod)
    # The garbage collector ends the former workload; it may take half a minute to learn of a kind that is new to it.
    until(lambda: _pods_of_this_life(later), lambda: later.status, seconds=90)
    selected = later.must_own("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert selected[names.ENDPOINT_UID_LABEL] == later.uid
    assert later.condition("Accepted")["reason"] == "SpecAccepted"


def _pods_of_this_life(endpoint: Endpoint) -> list[Live]:
    return [pod for pod in endpoint.pods() if pod["metadata"]["labels"][names.ENDPOINT_UID_LABEL] == endpoint.uid]


def _strip_until_gone(endpoint: Endpoint) -> None:
    """As somebody in a hurry does it: the finalizer taken off by hand."""

    def is_gone() -> bool:
        if endpoint.admin.get(kinds.MODEL_DEPLOYMENT, endpoint.namespace, endpoint.name) is None:
            return True
        endpoint.edit({"metadata": {"finalizers": None}})
        return False

    until(is_gone)
