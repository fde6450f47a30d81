"""Fixtures of the tests on a real node: one cluster, set up as the demo sets it up, and a namespace for each module."""

import json
import os
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from demo import stage as stages
from demo import story
from demo.stage import Images, Stage
from tests.e2e import company
from tests.e2e.ground import NAMESPACES, Ground, namespace_of
from tests.e2e.theatre import Theatre, window
from tests.localcluster.api import found, lacking, node, tool
from tests.localcluster.record import Level

STORY = "test_story.py"
UPGRADE = "test_upgrade.py"
"""Its operator renews the pods of every endpoint: it is what workers come to last."""
LONG = (
    *("test_document.py", "test_ways_round.py", "test_killed_model.py", "test_killed_guard.py", "test_runner.py"),
    *("test_failures.py", "test_draining.py", "test_deletion.py", "test_identity.py", "test_rollout.py"),
    STORY,
)
"""They begin first, so that no worker has one of them left when the others have nothing more to do. The first two take
a part of the stage away for a while, the next three do without it: nobody waits for long. These three are of one test,
and who has but one gets the next module at once: the longest goes to the one that is through first."""
LAST = ("test_localcluster_node.py", UPGRADE)
"""The one needs nothing of the stage, and the other all of it."""
ENDS = pytest.StashKey[ExitStack]()
"""What the controller of workers ends when they have ended."""

IMAGES = "BARTIZAN_E2E_IMAGES"
"""From the controller to its workers: the stage is set, with these images."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules come in any order, but long ones first; tests, too, but a story is told from its beginning."""
    rank = {name: place - len(LONG) for place, name in enumerate(LONG)}
    rank |= {name: place for place, name in enumerate(LAST, start=1)}
    items.sort(key=lambda item: (rank.get(item.path.name, 0), item.path.name, _goes_late(item)))
    places = [place for place, item in enumerate(items) if item.path.name == STORY]
    order = [scene.__name__ for scene in story.SCENES]
    told = sorted((items[place] for place in places), key=lambda item: order.index(item.callspec.id))  # type: ignore[attr-defined]
    for place, item in zip(places, told, strict=True):
        items[place] = item


def _goes_late(item: pytest.Item) -> bool:
    """Those that take something away come first, and the tool's tests that take their node down last: up takes long."""
    is_about_the_tool = item.path.name == LAST[0]
    return "cluster" not in item.fixturenames if is_about_the_tool else "alone" not in item.keywords  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Around all else, so that no test's own deadline runs while it waits for its turn."""
    if not _is_on_stage(item):
        return (yield)
    company.enter(needs_all=item.path.name == UPGRADE)
    try:
        needs = item.get_closest_marker("needs")
        with company.shared(company.PARTS if needs is None else needs.args, takes=_taken(item)):
            return (yield)
    finally:
        stays = nextitem is not None and _is_on_stage(nextitem) and nextitem.path.name != UPGRADE
        if not stays:  # all that its module had is gone by now
            company.leave()


def _is_on_stage(item: pytest.Item) -> bool:
    """Not so one that has a cluster of its own, or none."""
    return "stage" in getattr(item, "fixturenames", ())


def _taken(item: pytest.Item) -> str:
    mark = item.get_closest_marker("alone")
    return mark.args[0] if mark else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure goes what the operator has said: the cluster is gone before anybody could ask it."""
    report = yield
    stage = getattr(item, "funcargs", {}).get("stage")
    if report.failed and stage is not None:
        command = ("logs", "deployment/bartizan-operator", "-n", stages.SYSTEM, "--tail=100", "--timestamps")
        kubectl = [str(tool("kubectl")), f"--kubeconfig={stage.cluster.kubeconfig}"]
        said = subprocess.run([*kubectl, *command], capture_output=True, text=True, check=False)
        report.sections.append(("the operator's log", said.stdout + said.stderr))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Where workers share the stage, their controller sets it: it is there before the first and after the last."""
    config = session.config
    is_controller = bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")
    if is_controller and not config.option.collectonly and not lacking(Level.NODE):
        os.environ[IMAGES] = json.dumps(vars(config.stash[ENDS].enter_context(_set()).images))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[ENDS].close()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ENDS] = ExitStack()


@contextmanager
def _set() -> Iterator[Stage]:
    """The demo's own cluster if it is up, and then it stays; else one that goes with the tests."""
    if IMAGES in os.environ:  # and as it is: another worker may have taken a part of it away
        images = Images(**json.loads(os.environ[IMAGES]))
        yield Stage(found(stages.CLUSTER), images, (stages.NAMESPACE, *NAMESPACES))
        return
    with node(stages.CLUSTER) as cluster:
        yield stages.set_up(cluster, *NAMESPACES)


@pytest.fixture(scope="session")
def stage() -> Iterator[Theatre]:
    with _set() as ready, window(ready) as theatre:
        yield theatre


@pytest.fixture(scope="module")
def ground(stage: Theatre, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Empty before and after."""
    made = Ground(stage, namespace_of(request.module.__name__))
    made.clear()
    yield made
    made.clear()
