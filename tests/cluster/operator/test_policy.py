"""Whoever deletes the network policy, however: at every moment one that selects the pods is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.cluster.operator.admin import Live
from tests.cluster.operator.bench import Endpoint, until
from tests.cluster.operator.witness import Witness

from bartizan.controller.kinds import DEPLOYMENT, NETWORK_POLICY, POD
from bartizan.policy import names

pytestmark = pytest.mark.cluster

TWIN = names.policy_twin("echo")
NAKED_SECONDS = 1.0
"""For how long nothing may be there after finalizer and policy were taken away: nobody can prevent it."""


@contextmanager
def no_gap(endpoint: Endpoint) -> Iterator[None]:
    """At every moment a policy is in force over the pods."""
    labels = {names.ENDPOINT_LABEL: endpoint.name, names.ENDPOINT_UID_LABEL: endpoint.uid}
    with Witness(endpoint.admin, endpoint.namespace, NETWORK_POLICY).watching() as witness:
        yield
    states = [state[NETWORK_POLICY] for state in witness.states()]
    assert len(states) > 1, "nothing has happened"
    for policies in states:
        selectors = [policy["spec"]["podSelector"].get("matchLabels") for policy in policies]
        assert labels in selectors, f"of {len(states)} states one has policies over {selectors} only"


def _is_whole(endpoint: Endpoint, former: str) -> Callable[[], bool]:
    """One policy, anew, nobody's deletion upon it, and no twin."""

    def check() -> bool:
        policy = endpoint.owned("NetworkPolicy")
        if policy is None or "deletionTimestamp" in policy["metadata"] or policy["metadata"]["uid"] == former:
            return False
        return endpoint.admin.get(NETWORK_POLICY, endpoint.namespace, TWIN) is None

    return check


@pytest.mark.parametrize(
    "options",
    [{}, {"gracePeriodSeconds": 0}, {"propagationPolicy": "Foreground"}, {"propagationPolicy": "Orphan"}],
    ids=["plain", "grace-0", "foreground", "orphan"],
)
def test_a_deleted_policy_is_made_anew_without_a_gap(endpoint: Endpoint, options: dict[str, object]) -> None:
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    with no_gap(endpoint):
        endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, endpoint.name, **options)
        until(_is_whole(endpoint, former))
    until(lambda: endpoint.events("PolicyDeletionAnswered"))


def test_deleting_policy_and_twin_again_and_again_opens_nothing(endpoint: Endpoint) -> None:
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    with no_gap(endpoint):
        for _ in range(10):
            for name in (endpoint.name, TWIN):
                endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, name)
        until(_is_whole(endpoint, former))


def test_deleting_the_whole_collection_opens_nothing(endpoint: Endpoint) -> None:
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    with no_gap(endpoint):
        endpoint.admin.send("DELETE", NETWORK_POLICY.path(endpoint.namespace))
        until(_is_whole(endpoint, former))


def test_a_deletion_held_up_by_a_foreign_finalizer_is_answered_too(endpoint: Endpoint) -> None:
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    body = {"metadata": {"finalizers": [names.FINALIZER, "example.com/hold"]}}
    with no_gap(endpoint):
        endpoint.admin.patch(NETWORK_POLICY, endpoint.namespace, endpoint.name, body)
        endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, endpoint.name)
        until(_is_whole(endpoint, former))


def test_finalizer_and_policy_taken_at_once_are_back_at_once(endpoint: Endpoint) -> None:
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    endpoint.admin.patch(NETWORK_POLICY, endpoint.namespace, endpoint.name, {"metadata": {"finalizers": None}})
    endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, endpoint.name)
    until(lambda: endpoint.owned("NetworkPolicy") is not None, seconds=NAKED_SECONDS)
    until(lambda: names.FINALIZER in (endpoint.must_own("NetworkPolicy")["metadata"].get("finalizers") or ()))
    assert endpoint.must_own("NetworkPolicy")["metadata"]["uid"] == former or _is_whole(endpoint, former)()


def test_a_policy_made_a_strangers_is_replaced_by_the_twin(endpoint: Endpoint) -> None:
    policy = endpoint.must_own("NetworkPolicy")
    policy["metadata"] |= {"labels": {}, "finalizers": [], "annotations": {}}
    policy["spec"]["podSelector"] = {"matchLabels": {"app": "nothing"}}
    endpoint.admin.replace(NETWORK_POLICY, policy)
    until(lambda: endpoint.admin.get(NETWORK_POLICY, endpoint.namespace, TWIN))
    until(lambda: endpoint.condition("Accepted").get("reason") == "NameTaken")
    assert "NetworkPolicy echo" in endpoint.condition("Accepted")["message"]
    endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, endpoint.name)
    until(lambda: endpoint.condition("Accepted").get("reason") == "SpecAccepted")
    until(_is_whole(endpoint, policy["metadata"]["uid"]))


def _squat_twin(endpoint: Endpoint) -> None:
    spec = {"podSelector": {"matchLabels": {"app": "nothing"}}}
    endpoint.admin.create(NETWORK_POLICY, endpoint.namespace, {"metadata": {"name": TWIN}, "spec": spec})


def _selects(endpoint: Endpoint, policy: Live) -> bool:
    wanted = {names.ENDPOINT_LABEL: endpoint.name, names.ENDPOINT_UID_LABEL: endpoint.uid}
    return bool(policy["spec"]["podSelector"].get("matchLabels") == wanted and not policy["spec"].get("egress"))


def _closing(endpoint: Endpoint) -> list[str]:
    policies = endpoint.admin.list(NETWORK_POLICY, endpoint.namespace)
    return [policy["metadata"]["name"] for policy in policies if _selects(endpoint, policy)]


def test_a_deletion_is_answered_though_somebody_sits_on_the_twins_name(endpoint: Endpoint) -> None:
    _squat_twin(endpoint)
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    with no_gap(endpoint):
        endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, endpoint.name)
        until(lambda: (endpoint.owned("NetworkPolicy") or {"metadata": {"uid": former}})["metadata"]["uid"] != former)
        until(lambda: _closing(endpoint) == [endpoint.name])


def test_with_both_names_taken_a_policy_stands_under_a_third(endpoint: Endpoint) -> None:
    _squat_twin(endpoint)
    policy = endpoint.must_own("NetworkPolicy")
    policy["metadata"] |= {"labels": {}, "finalizers": [], "annotations": {}}
    policy["spec"]["podSelector"] = {"matchLabels": {"app": "nothing"}}
    endpoint.admin.replace(NETWORK_POLICY, policy)
    until(lambda: _closing(endpoint), seconds=NAKED_SECONDS)
    third = _closing(endpoint)[0]
    endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, third)
    until(lambda: _closing(endpoint) not in ([], [third]), seconds=NAKED_SECONDS)
    for name in (endpoint.name, TWIN):
        endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, name)
    until(lambda: _closing(endpoint) == [endpoint.name], lambda: _closing(endpoint))


def test_a_policy_that_is_said_to_be_a_former_lifes_is_stood_in_for_and_the_rest_repaired(endpoint: Endpoint) -> None:
    labels = names.managed_labels(endpoint.name, "forged")
    pod = {
        "metadata": {"name": "forged", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "example.com/c"}]},
    }
    endpoint.admin.create(POD, endpoint.namespace, pod)
    body = {"metadata": {"labels": labels}, "spec": {"podSelector": {"matchLabels": {"app": "nothing"}}}}
    endpoint.admin.patch(NETWORK_POLICY, endpoint.namespace, endpoint.name, body)
    until(lambda: _closing(endpoint), seconds=NAKED_SECONDS)
    removal = [{"op": "remove", "path": "/spec/template/spec/initContainers/0"}]
    endpoint.admin.patch(DEPLOYMENT, endpoint.namespace, endpoint.name, removal)
    until(lambda: _has_guard(endpoint), "the workload is repaired")
    endpoint.edit_spec(access={"clients": []})
    until(lambda: endpoint.api_key() == "", "the client's key is withdrawn")
    endpoint.admin.delete(POD, endpoint.namespace, "forged", gracePeriodSeconds=0)
    until(lambda: _closing(endpoint) == [endpoint.name], lambda: _closing(endpoint))


def _has_guard(endpoint: Endpoint) -> bool:
    containers = endpoint.must_own("Deployment")["spec"]["template"]["spec"].get("initContainers", ())
    return any(container["name"] == "bartizan-guard" for container in containers)


def test_a_policy_on_its_way_out_is_repaired_too(endpoint: Endpoint) -> None:
    former = endpoint.must_own("NetworkPolicy")["metadata"]["uid"]
    body = {"metadata": {"finalizers": [names.FINALIZER, "example.com/hold"]}, "spec": {"egress": [{}]}}
    endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, TWIN)
    endpoint.admin.patch(NETWORK_POLICY, endpoint.namespace, endpoint.name, body)
    endpoint.admin.delete(NETWORK_POLICY, endpoint.namespace, endpoint.name)
    until(_is_whole(endpoint, former))
    assert not endpoint.must_own("NetworkPolicy")["spec"].get("egress")
