"""The way down, where no real API server can be made to stand still: shut until the last pod has ended, and told of."""

import pytest
from tests.unit.controller.reconciling import NAMESPACE, Scene

from bartizan.controller import kinds
from bartizan.controller.api import ApiError
from bartizan.policy import names

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


def test_an_orphaned_replica_set_without_our_mark_goes_too() -> None:
    scene = Scene().settle()
    labels = {key: text for key, text in LABELS.items() if key != names.MANAGED_BY_LABEL} | _life(scene)
    scene.cluster.put(kinds.REPLICA_SET, {"metadata": {"name": "llama-1", "namespace": NAMESPACE, "labels": labels}})
    scene.delete()
    scene.reconcile(3)
    assert not scene.has(kinds.REPLICA_SET, "-1")
    assert not scene.has(kinds.MODEL_DEPLOYMENT)


LABELS = names.managed_labels("llama", "of this life")


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
