"""The way down, where no real API server can be made to stand still: shut until the last pod has ended, and told of."""

import pytest
from tests.unit.controller import worlds
from tests.unit.controller.reconciling import NAMESPACE, Scene

from bartizan.controller import kinds
from bartizan.controller.api import ApiError
from bartizan.policy import names

LABELS = names.managed_labels("llama", "of this life")
ENDING = {"metadata": {"name": NAMESPACE, "deletionTimestamp": "now", "finalizers": ["kubernetes"]}}


def _scene() -> Scene:
    """An endpoint on its way out whose last pod still runs."""
    scene = Scene().settle()
    scene.pod()
    scene.delete()
    scene.reconcile()
    return scene


def _go_on(scene: Scene) -> None:
    scene.cluster.take(kinds.POD, NAMESPACE, "llama-1")
    scene.cluster.take(kinds.DEPLOYMENT, NAMESPACE, "llama")
    scene.reconcile(2)
    assert not scene.has(kinds.MODEL_DEPLOYMENT)
    assert not scene.has(kinds.NETWORK_POLICY)


def test_a_policy_opened_meanwhile_is_shut_again() -> None:
    scene = _scene()
    scene.open_network()
    scene.reconcile()
    assert scene.is_network_shut
    _go_on(scene)


def test_a_policy_taken_meanwhile_is_made_anew() -> None:
    scene = _scene()
    scene.cluster.take(kinds.NETWORK_POLICY, NAMESPACE, "llama")
    scene.reconcile()
    assert scene.is_network_shut
    _go_on(scene)


def test_what_was_accepted_last_bounds_the_policy_on_the_way_down() -> None:
    scene = _scene()
    ingress = scene.live(kinds.NETWORK_POLICY)["spec"]["ingress"]
    scene.edit(access={"from": {"namespaces": "Nonsense"}})
    scene.live(kinds.NETWORK_POLICY)["spec"]["ingress"] = [{}]
    scene.reconcile()
    assert scene.live(kinds.NETWORK_POLICY)["spec"]["ingress"] == ingress
    _go_on(scene)


def test_one_that_was_never_accepted_stays_closed_on_the_way_down() -> None:
    scene = Scene()
    scene.edit(template={"spec": {"hostNetwork": True}})
    scene.settle()
    scene.pod()
    scene.delete()
    scene.cluster.take(kinds.NETWORK_POLICY, NAMESPACE, "llama")
    scene.reconcile()
    assert scene.live(kinds.NETWORK_POLICY)["spec"]["ingress"] == []


@pytest.mark.parametrize("message", ["namespace ml is being terminated", "networkpolicies is forbidden"])
def test_in_an_ending_namespace_what_is_there_is_kept_and_nothing_hangs(message: str) -> None:
    scene = _scene()
    scene.cluster.put(kinds.NAMESPACE, ENDING)
    scene.live(kinds.NETWORK_POLICY)["metadata"]["deletionTimestamp"] = "now"
    scene.open_network()
    assert scene.reconcile().failure is None
    assert scene.is_network_shut
    scene.refuse(kinds.NETWORK_POLICY, "PUT", "POST", error=ApiError(403, "Forbidden", message))
    scene.open_network()
    assert scene.reconcile().failure is None
    assert names.FINALIZER in scene.live(kinds.NETWORK_POLICY)["metadata"]["finalizers"]
    _go_on(scene)


def test_a_step_that_fails_is_told_of_in_the_status() -> None:
    scene = Scene().settle()
    scene.delete()
    scene.refuse(kinds.DEPLOYMENT, "DELETE", error=ApiError(403, "Forbidden", "a webhook says no"))
    assert "a webhook says no" in str(scene.reconcile().failure)
    assert scene.condition("Ready") == ("False", "Deleting", "403 Forbidden: a webhook says no")
    scene.cluster.refuse = lambda _: None
    scene.reconcile(2)
    assert not scene.has(kinds.MODEL_DEPLOYMENT)


def test_a_pod_that_somebody_stripped_of_our_mark_still_holds_the_policy() -> None:
    scene = Scene().settle()
    scene.pod(labels={key: text for key, text in LABELS.items() if key != names.MANAGED_BY_LABEL} | _life(scene))
    scene.delete()
    scene.reconcile()
    scene.cluster.take(kinds.DEPLOYMENT, NAMESPACE, "llama")  # with its pods orphaned
    scene.reconcile(2)
    assert scene.is_network_shut
    _go_on(scene)


def _torn_away() -> Scene:
    """An endpoint whose ModelDeployment somebody took away, finalizer and all, at a moment when no pod ran."""
    scene = Scene().settle()
    scene.cluster.take(kinds.MODEL_DEPLOYMENT, NAMESPACE, "llama")
    return scene


def _orphan(scene: Scene, **metadata: object) -> None:
    labels = {names.ENDPOINT_LABEL: "llama"}
    replica_set = {"metadata": {"name": "llama-1", "namespace": NAMESPACE, "labels": labels, **metadata}}
    scene.cluster.put(kinds.REPLICA_SET, replica_set)


@pytest.mark.parametrize("labels", [LABELS, {}], ids=["labelled", "stripped"])
def test_a_policy_torn_from_its_modeldeployment_stays_while_a_deployment_may_start_pods(labels: dict[str, str]) -> None:
    scene = _torn_away()
    scene.live(kinds.DEPLOYMENT)["metadata"]["labels"] = labels
    looks = [scene.reconcile().requeue_after for _ in range(3)]
    assert looks == [2.0, 2.5, 5.0], "and is looked at again"
    assert "deletionTimestamp" not in scene.live(kinds.NETWORK_POLICY)["metadata"]
    _orphan(scene)
    scene.cluster.take(kinds.DEPLOYMENT, NAMESPACE, "llama")
    assert scene.reconcile().requeue_after, "a ReplicaSet may start them, too"
    assert scene.has(kinds.NETWORK_POLICY)
    scene.cluster.take(kinds.REPLICA_SET, NAMESPACE, "llama-1")
    assert scene.reconcile().requeue_after is None
    assert not scene.has(kinds.NETWORK_POLICY)


def test_what_only_might_start_pods_is_looked_at_ever_more_rarely_and_what_runs_once_a_minute() -> None:
    """Anyone who may make Deployments and policies could have a thousand such pairs; their events come anyway."""
    scene = _torn_away()
    assert max(scene.reconcile().requeue_after or 0 for _ in range(150)) == 300.0
    scene.cluster.put(kinds.POD, worlds.pod(labels={names.ENDPOINT_LABEL: "llama"}))
    assert scene.reconcile().requeue_after == 60.0


def test_what_is_on_its_way_out_or_a_strangers_keeps_no_policy_that_was_torn_from_its_modeldeployment() -> None:
    scene = _torn_away()
    held = {"finalizers": ["example.com/hold"], "deletionTimestamp": "now"}
    scene.live(kinds.DEPLOYMENT)["metadata"] |= held
    _orphan(scene, **held)
    assert scene.reconcile().requeue_after is None
    assert not scene.has(kinds.NETWORK_POLICY)
    scene = _torn_away()
    scene.live(kinds.DEPLOYMENT)["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert scene.reconcile().requeue_after is None
    assert not scene.has(kinds.NETWORK_POLICY), "it selects none of its pods"


def test_an_orphaned_replica_set_without_our_mark_goes_too() -> None:
    scene = Scene().settle()
    labels = {key: text for key, text in LABELS.items() if key != names.MANAGED_BY_LABEL} | _life(scene)
    scene.cluster.put(kinds.REPLICA_SET, {"metadata": {"name": "llama-1", "namespace": NAMESPACE, "labels": labels}})
    scene.delete()
    scene.reconcile(3)
    assert not scene.has(kinds.REPLICA_SET, "-1")
    assert not scene.has(kinds.MODEL_DEPLOYMENT)


def _life(scene: Scene) -> dict[str, str]:
    return {names.ENDPOINT_UID_LABEL: scene.endpoint["metadata"]["uid"]}


def test_a_foreign_finalizer_on_the_deployment_holds_nothing_up() -> None:
    scene = Scene().settle()
    scene.live(kinds.DEPLOYMENT)["metadata"] |= {"finalizers": ["example.com/hold", "foregroundDeletion"], "labels": {}}
    scene.delete()
    scene.reconcile(2)
    assert scene.live(kinds.DEPLOYMENT)["metadata"]["finalizers"] == ["foregroundDeletion"], "the cascade's own"
    scene.cluster.take(kinds.DEPLOYMENT, NAMESPACE, "llama")
    scene.reconcile()
    assert not scene.has(kinds.MODEL_DEPLOYMENT)


def test_a_replica_set_that_somebody_holds_on_its_way_out_holds_nothing_up() -> None:
    scene = _scene()
    held = {"name": "llama-1", "namespace": NAMESPACE, "finalizers": ["example.com/hold"], "deletionTimestamp": "now"}
    labels = names.managed_labels("llama", scene.endpoint["metadata"]["uid"])
    scene.cluster.put(kinds.REPLICA_SET, {"metadata": {**held, "labels": labels}})
    scene.reconcile()
    assert scene.has(kinds.MODEL_DEPLOYMENT), "a pod still runs"
    _go_on(scene)
