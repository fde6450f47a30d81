"""Facts of pods, in words that a user can act on."""

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
