"""Fixtures of the tests on a real node: one cluster, set up as the demo sets it up, and a namespace for each module."""

from collections.abc import Iterator

import pytest
from demo import stage as stages
from demo import story
from tests.e2e.ground import NAMESPACES, Ground, namespace_of
from tests.e2e.theatre import Theatre, window
from tests.localcluster.api import node

STORY = "test_story.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests come in any order, but a story is told from its beginning."""
    places = [place for place, item in enumerate(items) if item.path.name == STORY]
    order = [scene.__name__ for scene in story.SCENES]
    told = sorted((items[place] for place in places), key=lambda item: order.index(item.callspec.id))  # type: ignore[attr-defined]
    for place, item in zip(places, told, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def stage() -> Iterator[Theatre]:
    """The demo's own cluster if it is up, and then it stays; else one that goes with the tests."""
    with node(stages.CLUSTER) as cluster, window(stages.set_up(cluster, *NAMESPACES)) as theatre:
        yield theatre


@pytest.fixture(scope="module")
def ground(stage: Theatre, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Empty before and after."""
    made = Ground(stage, namespace_of(request.module.__name__))
    made.clear()
    yield made
    made.clear()
