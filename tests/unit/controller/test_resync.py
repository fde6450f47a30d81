"""The resync finds what no event told of."""

import asyncio
import random
from typing import Any

import pytest
from tests.unit.controller.eventually import eventually
from tests.unit.controller.fake_transport import Answer, FakeTransport

from bartizan.controller.api import Api, ApiError, Call
from bartizan.controller.health import Signs
from bartizan.controller.resync import Resync
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key, WorkQueue
from bartizan.policy import names


def endpoint(namespace: str, name: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "uid": f"u-{name}"}}


def child(namespace: str, owner: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "x", "labels": {names.ENDPOINT_LABEL: owner}}}


class Cluster:
    """Answers lists from what it holds."""

    def __init__(self, endpoints: list[dict[str, Any]], policies: list[dict[str, Any]]) -> None:
        self.holds = {"modeldeployments": endpoints, "networkpolicies": policies}
        self.refuses: set[str] = set()
        self.breaks: set[str] = set()

    def __call__(self, call: Call) -> Answer:
        plural = call.path.rpartition("/")[2]
        if call.path in self.refuses:
            return ApiError(403, "Forbidden", "no")
        if plural in self.breaks:
            return ApiError(500, "InternalError", "no")
        namespace = call.path.partition("/namespaces/")[2].partition("/")[0]
        items = self.holds.get(plural, [])
        return {"items": [item for item in items if namespace in {"", item["metadata"]["namespace"]}], "metadata": {}}


def sweep(cluster: Cluster, *namespaces: str) -> tuple[set[Key], Signs, FakeTransport]:
    """One sweep, and the keys it enqueued."""
    transport = FakeTransport(cluster)

    async def scenario() -> tuple[set[Key], Signs]:
        loop = asyncio.get_running_loop()
        queue, signs = WorkQueue(loop.time, random.Random(1)), Signs(loop.time, 600.0)
        settings = Settings(guard_image="x", namespaces=namespaces)
        resync = Resync(Api(transport), settings, queue, signs=signs, generator=random.Random(1))
        running = asyncio.create_task(resync.run())
        attempts = signs.resync_silence_seconds
        await eventually(lambda: signs.resync_silence_seconds > attempts)
        running.cancel()
        found = set()
        while key := queue.poll():
            found.add(key)
        return found, signs

    found, signs = asyncio.run(scenario())
    return found, signs, transport


def test_every_living_endpoint_is_looked_at() -> None:
    found, signs, _ = sweep(Cluster([endpoint("ml", "a"), endpoint("other", "b")], []))
    assert found == {Key("ml", "a"), Key("other", "b")}
    assert signs.has_resynced


def test_a_child_whose_endpoint_vanished_while_we_were_away_is_found() -> None:
    found, *_ = sweep(Cluster([], [child("ml", "ghost")]))
    assert found == {Key("ml", "ghost")}


def test_only_managed_namespaces_are_swept() -> None:
    found, *_ = sweep(Cluster([endpoint("ml", "a"), endpoint("other", "b")], [child("other", "c")]), "ml")
    assert found == {Key("ml", "a")}


@pytest.mark.parametrize("plural", ["modeldeployments", "networkpolicies", "pods"])
def test_a_kind_that_cannot_be_listed_does_not_hide_the_others(plural: str) -> None:
    cluster = Cluster([endpoint("ml", "a")], [child("ml", "ghost")])
    cluster.breaks.add(plural)
    found, signs, _ = sweep(cluster)
    hidden = {"modeldeployments": {Key("ml", "a")}, "networkpolicies": {Key("ml", "ghost")}}
    assert found == {Key("ml", "a"), Key("ml", "ghost")} - hidden.get(plural, set())
    assert not signs.has_resynced


@pytest.mark.parametrize("plural", ["modeldeployments", "networkpolicies"])
def test_a_namespace_without_rights_keeps_the_others_neither_from_a_look_nor_from_readiness(plural: str) -> None:
    group = {"modeldeployments": "bartizan.dev/v1alpha1", "networkpolicies": "networking.k8s.io/v1"}[plural]
    cluster = Cluster([endpoint("ml", "a")], [child("ml", "ghost")])
    cluster.refuses.add(f"/apis/{group}/namespaces/lost/{plural}")
    found, signs, _ = sweep(cluster, "lost", "ml")
    assert found == {Key("ml", "a"), Key("ml", "ghost")}
    assert signs.has_resynced
    assert signs.resync_age_seconds > 0, "it was not whole"


def test_only_metadata_is_asked_for() -> None:
    *_, transport = sweep(Cluster([endpoint("ml", "a")], []))
    assert all("PartialObjectMetadataList" in call.accept for call in transport.calls)
