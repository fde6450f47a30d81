"""The operator may die after any single write, also of those that are rare: the next one comes to the same end.

The common ones (creation, keys, pods, deletion) are tried on a real API server: tests/cluster/operator/test_crash.py.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controller.fake_cluster import FakeCluster
from tests.unit.controller.reconciling import NAMESPACE, SETTINGS, Scene

from bartizan.controller import kinds
from bartizan.controller.api import Call
from bartizan.policy import names

MOST_WRITES = 30
VOLATILE = {"uid", "resourceVersion"}


class CrashError(BaseException):
    """Not an Exception: nothing may catch it and go on."""


class DyingTransport:
    """Does so many writes and then dies; looks after each that a policy stands where one stood."""

    def __init__(self, cluster: FakeCluster, writes: int) -> None:
        self._cluster = cluster
        self._left = writes
        self._is_shut = self._has_policy()

    async def send(self, call: Call) -> dict[str, Any]:
        if self._left <= 0:
            raise CrashError
        answer = await self._cluster.send(call)
        self._left -= call.method != "GET" and ("dryRun", "All") not in call.query
        assert self._has_policy() or not self._is_shut, f"no policy stands after {call.method} {call.path}"
        if self._left <= 0:
            raise CrashError
        return answer

    def _has_policy(self) -> bool:
        return any(plural == kinds.NETWORK_POLICY.plural for plural, _, _ in self._cluster.objects)


def _nothing(scene: Scene) -> None:
    """The very first start, which makes the root."""


def _delete_policy(scene: Scene) -> None:
    scene.live(kinds.NETWORK_POLICY)["metadata"]["deletionTimestamp"] = "now"


def _drop_budget(scene: Scene) -> None:
    scene.edit(replicas=1)


def _forge_revision(scene: Scene) -> None:
    scene.live(kinds.CONTROLLER_REVISION, ".1")["data"] = {"payload": "{}", "mac": "0"}


def _take_new_guard(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, guard_image="example.com/bartizan:v2", guard_rollout="Paced")


def _is_policy_whole(scene: Scene) -> bool:
    has_twin = scene.cluster.get(kinds.NETWORK_POLICY, NAMESPACE, names.policy_twin("llama"))
    return "deletionTimestamp" not in scene.live(kinds.NETWORK_POLICY)["metadata"] and not has_twin


def _is_new_guard_there(scene: Scene) -> bool:
    template = scene.live(kinds.DEPLOYMENT)["spec"]["template"]
    return str(template["spec"]["initContainers"][0]["image"]).endswith(":v2")


def _is_revision_sealed(scene: Scene) -> bool:
    return bool(scene.live(kinds.CONTROLLER_REVISION, ".1")["data"]["mac"] != "0")


RARE: dict[str, tuple[Callable[[Scene], None], Callable[[Scene], bool]]] = {
    "root creation": (_nothing, lambda scene: scene.has(kinds.SECRET, ".b")),
    "answer to a deleted policy": (_delete_policy, _is_policy_whole),
    "removal of the budget": (_drop_budget, lambda scene: not scene.has(kinds.POD_DISRUPTION_BUDGET)),
    "repair of a revision": (_forge_revision, _is_revision_sealed),
    "paced roll-out": (_take_new_guard, _is_new_guard_there),
}


def _start(change: Callable[[Scene], None]) -> Scene:
    scene = Scene()
    # No pod is ever available here; without replicas a Deployment has all that it wants.
    scene.edit(replicas=2 if change is _drop_budget else 0 if change is _take_new_guard else 1)
    if change is not _nothing:
        scene.settle()
    change(scene)
    return scene


def _end(scene: Scene) -> dict[str, Any]:
    """All but Events and what time and chance put into it."""
    found = deepcopy(scene.cluster.objects)
    kept = {address: item for address, item in found.items() if address[0] != kinds.EVENT.plural}
    return {str(address): _shape(item) for address, item in kept.items()}


def _shape(item: dict[str, Any]) -> Any:
    """Names and kinds of everything, and the guard; contents hold UIDs, times and keys."""
    metadata = {name: value for name, value in item["metadata"].items() if name not in VOLATILE}
    conditions = {
        (condition["type"], condition["status"]) for condition in item.get("status", {}).get("conditions", ())
    }
    return sorted(item), sorted(metadata), sorted(metadata.get("finalizers") or ()), sorted(conditions)


@pytest.mark.parametrize("name", RARE)
def test_dying_after_any_write_of_a_rare_change_leads_to_the_same_end(name: str) -> None:
    change, is_done = RARE[name]
    ends = []
    for writes in range(1, MOST_WRITES):
        scene = _start(change)
        scene.restart(DyingTransport(scene.cluster, writes))
        try:
            scene.reconcile(3)
            has_died = False
        except (CrashError, BaseExceptionGroup):
            has_died = True
        root = deepcopy(scene.cluster.get(kinds.SECRET, SETTINGS.namespace, SETTINGS.root_secret))
        scene.restart()
        scene.reconcile(3)
        assert is_done(scene)
        assert root in (None, scene.cluster.must_get(kinds.SECRET, SETTINGS.namespace, SETTINGS.root_secret))
        ends.append(_end(scene))
        if not has_died:
            break
    else:
        pytest.fail(f"more than {MOST_WRITES} writes for one change")
    assert len(ends) > 1, "it takes some writes"
    for position, end in enumerate(ends[:-1]):
        assert end == ends[-1], f"after a crash behind write {position + 1}"
