"""Who is outside of the managed namespaces is told, once, and again when something changed."""

import asyncio
from typing import Any

import pytest
from tests.unit.controller.fake_transport import FakeTransport

from bartizan.controller.api import Api, ApiError
from bartizan.controller.outsiders import Outsiders
from bartizan.controller.settings import Settings


def endpoint(namespace: str, name: str, generation: int = 1) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "uid": f"u-{name}", "generation": generation}}


class Refusals:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.error: ApiError | None = None

    async def __call__(self, manifest: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.told.append(manifest["metadata"]["name"])


def make(items: list[dict[str, Any]]) -> tuple[Outsiders, Refusals]:
    refusals = Refusals()
    api = Api(FakeTransport(lambda _: {"items": items, "metadata": {}}))
    return Outsiders(api, Settings(guard_image="x", namespaces=("ml",)), refusals), refusals


def test_only_those_outside_are_told_and_only_once() -> None:
    outsiders, refusals = make([endpoint("ml", "ours"), endpoint("other", "theirs")])
    asyncio.run(outsiders.look())
    asyncio.run(outsiders.look())
    assert refusals.told == ["theirs"]


def test_a_change_is_told_again() -> None:
    items = [endpoint("other", "theirs")]
    outsiders, refusals = make(items)
    asyncio.run(outsiders.look())
    items[0] = endpoint("other", "theirs", generation=2)
    asyncio.run(outsiders.look())
    assert refusals.told == ["theirs", "theirs"]


def test_a_failed_telling_is_tried_again() -> None:
    outsiders, refusals = make([endpoint("other", "theirs")])
    refusals.error = ApiError(500, "InternalError", "no")
    asyncio.run(outsiders.look())
    refusals.error = None
    asyncio.run(outsiders.look())
    assert refusals.told == ["theirs"]


@pytest.mark.parametrize("status", [0, 403])
def test_without_sight_of_the_outside_nothing_fails(status: int) -> None:
    api = Api(FakeTransport(lambda _: ApiError(status, "R", "m")))
    refusals = Refusals()
    asyncio.run(Outsiders(api, Settings(guard_image="x", namespaces=("ml",)), refusals).look())
    assert refusals.told == []
