"""Facts of pods, in words that a user can act on."""

import copy
from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller import pod_facts


def test_reasons_are_told_once_each_whoever_has_them() -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off\n  5m0s"}
    status = {"containerStatuses": [{"name": "model", "state": {"waiting": waiting}}]}
    pods = [worlds.pod("a", status=status), worlds.pod("b", status=status)]
    assert pod_facts.failures(pods, []) == ["container model: CrashLoopBackOff: back-off 5m0s"]


def test_starting_is_no_failure() -> None:
    status = {
        "initContainerStatuses": [{"name": "bartizan-guard", "state": {"running": {}}}],
        "containerStatuses": [{"name": "model", "state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    assert pod_facts.failures([worlds.pod(status=status)], []) == []


def test_pods_that_find_no_node_and_pods_that_cannot_be_made_are_told_of() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: gpu"}
    quota = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    found = pod_facts.failures(
        [worlds.pod(status={"conditions": [unschedulable]})], [{"status": {"conditions": [quota]}}]
    )
    assert found == ["pod: Unschedulable: 0/3 nodes: gpu", "pods: FailedCreate: exceeded quota"]


def test_a_lost_node_shows_by_its_pods() -> None:
    assert pod_facts.is_on_lost_node(worlds.pod(status={"reason": "NodeLost"}))
    assert not pod_facts.is_on_lost_node(worlds.pod(status={"conditions": [{"type": "Ready", "status": "False"}]}))


def as_stored(template: dict[str, Any]) -> dict[str, Any]:
    """A pod of the template as the API server stores it: what is false of the host's is left out."""
    spec = copy.deepcopy(template["spec"])
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        del spec[field]
    return worlds.pod(spec=spec)


TEMPLATE = worlds.template(worlds.wish())
STRANGER = {"name": "stranger", "image": "x"}


def test_a_pod_of_the_template_is_gated() -> None:
    assert pod_facts.is_gated(as_stored(TEMPLATE), [TEMPLATE])
    assert not pod_facts.is_gated(as_stored(TEMPLATE), [])


def test_a_pod_of_an_older_document_is_gated() -> None:
    assert pod_facts.is_gated(as_stored(worlds.template(worlds.wish(), not_before=7)), [TEMPLATE])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, True) for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")),
        ("automountServiceAccountToken", True),
        ("automountServiceAccountToken", None),
        ("dnsPolicy", "Default"),
        ("containers", [*TEMPLATE["spec"]["containers"], STRANGER]),
        ("initContainers", [*TEMPLATE["spec"]["initContainers"], STRANGER]),
        ("initContainers", []),
        ("ephemeralContainers", [STRANGER]),
    ],
)
def test_what_opens_the_pod_takes_its_gate(field: str, value: Any) -> None:
    pod = as_stored(TEMPLATE)
    pod["spec"][field] = value
    if value is None:
        del pod["spec"][field]
    assert not pod_facts.is_gated(pod, [TEMPLATE])


@pytest.mark.parametrize("field", ["image", "args", "command", "env", "restartPolicy", "securityContext"])
def test_a_guard_that_was_changed_is_no_gate(field: str) -> None:
    pod = as_stored(TEMPLATE)
    pod["spec"]["initContainers"][0][field] = {} if field == "securityContext" else ["other"]
    assert not pod_facts.is_gated(pod, [TEMPLATE])
