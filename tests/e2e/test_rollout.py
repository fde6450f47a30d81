"""Changes while clients are at work: new pods, more pods, a new operator; refusals are documented ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from demo import stage as stages
from demo.stage import SYSTEM
from tests.e2e import company
from tests.e2e.endpoint import Endpoint, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player, Tally
from tests.e2e.theatre import Theatre
from tests.localcluster import images, lifecycle, sandbox

pytestmark = pytest.mark.node

NEXT_TAG = "e2e-next"
SLOTS = 6


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    limits = {"requests": [{"limit": 1_000_000, "window": "1d"}], "concurrent": SLOTS, "concurrentPerClient": SLOTS}
    return ground.endpoint(replicas=2, limits=limits).wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


def pod_names(endpoint: Endpoint) -> list[str]:
    return [pod["metadata"]["name"] for pod in endpoint.pods()]


def has_rolled(endpoint: Endpoint, before: list[str]) -> bool:
    now = pod_names(endpoint)
    return not set(now) & set(before) and endpoint.is_true("Ready") and endpoint.is_true("InSync")


def judge(tally: Tally) -> None:
    """Refusals that tell a client to come again are documented; a refused connection is the network's way of it."""
    documented = {"200", "429 rate_limit_exceeded", "503 service_unavailable"}
    cut = {name for name in tally.outcomes if name not in documented and "ConnectionRefused" not in name}
    assert cut == set(), tally.outcomes
    assert tally.outcomes["200"] > sum(tally.outcomes.values()) * 0.9, tally.outcomes


def test_a_rolling_update_under_load_cuts_no_request(endpoint: Endpoint, app: Player) -> None:
    before = pod_names(endpoint)
    template = endpoint.live["spec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "ROLLED", "value": before[0]}]
    with app.load(endpoint.service, prefix="rolling", parallel=2) as tally:
        endpoint.edit(template=template)
        until(lambda: has_rolled(endpoint, before), lambda: f"rolled: {pod_names(endpoint)} after {before}", seconds=90)
    judge(tally)


def test_scaling_is_followed_by_gates_and_limits_stay_totals(endpoint: Endpoint, app: Player) -> None:
    endpoint.kubectl("scale", "mdep", endpoint.name, "--replicas=3")
    until(lambda: endpoint.live["status"]["pods"]["summary"] == "3/3", lambda: endpoint.live["status"])
    endpoint.wait()
    assert endpoint.live["status"]["replicas"] == 3
    for pod in endpoint.pods():
        address = f"{pod['status']['podIP']}:8080"
        assert app.crowd(address, SLOTS) == {"200": SLOTS // 3, "429": SLOTS - SLOTS // 3}
    endpoint.kubectl("scale", "mdep", endpoint.name, "--replicas=2")
    until(lambda: len(pod_names(endpoint)) == 2, "two pods")
    until(lambda: endpoint.live["status"]["pods"]["summary"] == "2/2", lambda: endpoint.live["status"])
    endpoint.wait()
    for pod in endpoint.pods():
        assert app.crowd(f"{pod['status']['podIP']}:8080", SLOTS) == {"200": SLOTS // 2, "429": SLOTS - SLOTS // 2}


def test_an_operator_upgrade_restarts_no_model_until_it_is_paced(endpoint: Endpoint, app: Player) -> None:
    """The same content under another tag is another image to everyone who reads names."""
    before = pod_names(endpoint)
    with other_tag(endpoint.stage):
        stages.install(endpoint.stage, image__tag=NEXT_TAG)
        until(lambda: running_tag(endpoint.stage) == NEXT_TAG, "the operator runs the other image")
        endpoint.edit(limits=endpoint.live["spec"]["limits"] | {"concurrent": SLOTS + 2})
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
    with company.alone():
        try:
            yield
        finally:
            stages.install(stage)
