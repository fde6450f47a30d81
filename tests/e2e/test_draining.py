"""Pods that end while clients are at work: streams end whole, new requests go elsewhere, a deadline cuts visibly."""

import pytest
from tests.e2e.endpoint import GUARD, Endpoint, restarts, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.e2e.rolling import has_rolled, pod_names

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]

EIGHT_SECONDS = "/count 80 /slow 100"
END = "import os, signal; os.kill(1, signal.SIGTERM)"
FOR_EVER = "/count 1000 /slow 100"


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    limits = {
        "requests": [{"limit": 1_000_000, "window": "1d"}],
        "concurrent": 64,
        "concurrentPerClient": 64,
        "maxStreamSeconds": 300,
    }
    return ground.endpoint(replicas=2, limits=limits).wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


def _address(pod: dict[str, object]) -> str:
    status = pod["status"]
    assert isinstance(status, dict)
    return f"{status['podIP']}:8080"


def _exists(endpoint: Endpoint, name: str) -> bool:
    return bool(endpoint.find("pods", name))


def _settle(endpoint: Endpoint) -> None:
    endpoint.wait()
    until(lambda: len(pod_names(endpoint)) == 2, "two pods")  # as many as replicas


def test_a_pod_deleted_in_mid_stream_ends_it_whole_and_loses_no_request(endpoint: Endpoint, app: Player) -> None:
    pod = endpoint.pods()[0]
    name = pod["metadata"]["name"]
    load = app.load(endpoint.service, prefix="beside", parallel=2)
    with load as tally, app.stream(_address(pod), EIGHT_SECONDS) as ending:
        endpoint.kubectl("delete", "pod", name, "--wait=false")
    assert (ending.status, ending.last, ending.errors, ending.cut) == (200, "data: [DONE]", [], "")
    assert ending.events >= 80  # all that it counted
    assert set(tally.outcomes) == {"200"}, tally.outcomes
    until(lambda: not _exists(endpoint, name), f"{name} is gone", seconds=20)
    _settle(endpoint)


def test_a_guard_that_is_told_to_end_alone_loses_nothing_either(endpoint: Endpoint, app: Player) -> None:
    pod = endpoint.pods()[0]
    name = pod["metadata"]["name"]
    load = app.load(endpoint.service, prefix="alone", parallel=2)
    with load as tally, app.stream(_address(pod), EIGHT_SECONDS) as ending:
        endpoint.kubectl("exec", name, "-c", GUARD, "--", "python3", "-c", END)
    assert (ending.last, ending.errors, ending.cut) == ("data: [DONE]", [], "")
    assert set(tally.outcomes) == {"200"}, tally.outcomes
    until(lambda: restarts(endpoint.find("pods", name), GUARD) == 1, "the guard has started anew")
    assert restarts(endpoint.find("pods", name), "model") == 0
    _settle(endpoint)


def test_a_stream_that_outlasts_its_pod_ends_with_an_error_event_and_uncleanly(endpoint: Endpoint, app: Player) -> None:
    pod = endpoint.pods()[0]
    with app.stream(_address(pod), FOR_EVER) as ending:
        endpoint.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=4", "--wait=false")
    assert ending.status == 200
    assert ending.errors, ending
    assert set(ending.errors) <= {"draining", "upstream_broken"}
    assert ending.cut == "IncompleteRead", "nobody takes the part for the whole"
    _settle(endpoint)


def test_a_roll_out_under_load_fails_no_request(endpoint: Endpoint, app: Player) -> None:
    before = pod_names(endpoint)
    template = endpoint.live["spec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "ROLLED", "value": before[0]}]
    with app.load(endpoint.service, prefix="rolling", parallel=2) as tally:
        endpoint.edit(template=template)
        until(lambda: has_rolled(endpoint, before), lambda: f"rolled: {pod_names(endpoint)} after {before}", seconds=90)
    assert set(tally.outcomes) == {"200"}, tally.outcomes
    assert tally.outcomes["200"] > 100  # under load, that is
