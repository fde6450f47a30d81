"""An operator's upgrade while clients are at work: no model restarts until the chart has the guards renewed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from demo import stage as stages
from demo.stage import SYSTEM
from tests.e2e.endpoint import Endpoint, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.e2e.rolling import has_rolled, judge, pod_names
from tests.e2e.theatre import Theatre
from tests.localcluster import images, lifecycle, sandbox

pytestmark = pytest.mark.node

NEXT_TAG = "e2e-next"


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    return ground.endpoint(replicas=2).wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


def test_an_operator_upgrade_restarts_no_model_until_it_is_paced(endpoint: Endpoint, app: Player) -> None:
    """The same content under another tag is another image to everyone who reads names."""
    before = pod_names(endpoint)
    with other_tag(endpoint.stage):
        stages.install(endpoint.stage, image__tag=NEXT_TAG)
        until(lambda: running_tag(endpoint.stage) == NEXT_TAG, "the operator runs the other image")
        endpoint.edit(limits=endpoint.live["spec"]["limits"] | {"concurrent": 65})
        endpoint.wait()
        assert pod_names(endpoint) == before
        with app.load(endpoint.service, prefix="paced", parallel=2) as tally:
            paced = {"guardRollout__policy": "Paced", "guardRollout__intervalSeconds": "10"}
            stages.install(endpoint.stage, image__tag=NEXT_TAG, **paced)
            until(lambda: has_rolled(endpoint, before), lambda: f"rolled: {pod_names(endpoint)}", seconds=90)
        judge(tally)
        guards = {pod["spec"]["initContainers"][0]["image"].rpartition(":")[2] for pod in endpoint.pods()}
        assert guards == {NEXT_TAG}


def running_tag(stage: Theatre) -> str:
    pods = stage.list(SYSTEM, "pods", "app.kubernetes.io/name=bartizan")
    return ",".join({pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods})


@contextmanager
def other_tag(stage: Theatre) -> Iterator[None]:
    if not stage.cluster.is_ours:
        pytest.skip("a cluster that you brought pulls its images from elsewhere")
    repository = stage.images.bartizan.rpartition(":")[0]
    tag = (*images._CTR, "images", "tag", "--force", stage.images.bartizan, f"{repository}:{NEXT_TAG}")
    sandbox.run(lifecycle.existing(stage.cluster.name), *tag)
    try:
        yield
    finally:
        stages.install(stage)
