"""In a namespace that was taken from the operator nothing hangs, and the policy still goes last."""

import asyncio

from tests.unit.controller.reconciling import NAME, NAMESPACE, Scene

from bartizan.controller import kinds
from bartizan.controller.api import ApiError
from bartizan.controller.delisted import Delisted
from bartizan.controller.settings import Settings
from bartizan.policy import names

ELSEWHERE = Settings(guard_image="x", namespaces=("other",))


def _scene() -> tuple[Scene, Delisted]:
    """An endpoint with a running pod that is being deleted, after its namespace was taken off the list."""
    scene = Scene().settle()
    scene.pod()
    scene.delete()
    return scene, Delisted(scene.tools.api, ELSEWHERE, scene.tools.applier)


def _look(delisted: Delisted, times: int = 1) -> None:
    for _ in range(times):
        asyncio.run(delisted.look())


def test_the_endpoint_is_let_go_and_its_policy_goes_with_it() -> None:
    scene, delisted = _scene()
    uid = scene.endpoint["metadata"]["uid"]
    scene.live(kinds.NETWORK_POLICY)["metadata"]["labels"] = {}
    _look(delisted)
    assert not scene.has(kinds.MODEL_DEPLOYMENT)
    policy = scene.live(kinds.NETWORK_POLICY)["metadata"]
    assert [owner["uid"] for owner in policy["ownerReferences"]] == [uid]
    assert policy["labels"] == names.managed_labels(NAME, uid)
    assert names.FINALIZER in policy["finalizers"]


def test_the_policy_stays_until_no_pod_was_seen_twice() -> None:
    scene, delisted = _scene()
    _look(delisted)
    scene.live(kinds.NETWORK_POLICY)["metadata"]["deletionTimestamp"] = "now"  # by the garbage collector
    _look(delisted, 3)
    assert scene.has(kinds.NETWORK_POLICY), "a pod still runs"
    scene.cluster.take(kinds.POD, NAMESPACE, "llama-1")
    _look(delisted)
    assert scene.has(kinds.NETWORK_POLICY), "another may be about to start"
    _look(delisted)
    assert not scene.has(kinds.NETWORK_POLICY)


def test_what_is_not_being_deleted_or_is_managed_or_a_strangers_is_let_be() -> None:
    scene, delisted = _scene()
    del scene.endpoint["metadata"]["deletionTimestamp"]
    _look(delisted, 2)
    scene.delete()
    _look(Delisted(scene.tools.api, Settings(guard_image="x", namespaces=(NAMESPACE,)), scene.tools.applier), 2)
    assert names.FINALIZER in scene.endpoint["metadata"]["finalizers"]
    scene.live(kinds.NETWORK_POLICY)["metadata"] |= {"finalizers": [], "labels": {}}
    _look(delisted)
    assert "ownerReferences" not in scene.live(kinds.NETWORK_POLICY)["metadata"]


def test_what_fails_is_tried_again() -> None:
    scene, delisted = _scene()
    scene.refuse(kinds.NETWORK_POLICY, "PATCH", error=ApiError(500, "InternalError", "no"))
    _look(delisted)
    assert scene.has(kinds.MODEL_DEPLOYMENT)
    scene.cluster.refuse = lambda _: None
    _look(delisted)
    assert not scene.has(kinds.MODEL_DEPLOYMENT)
