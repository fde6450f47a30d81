"""Changes while clients are at work: new pods, more pods; refusals are documented ones."""

import pytest
from tests.e2e.endpoint import Endpoint, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.e2e.rolling import has_rolled, judge, pod_names

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]

SLOTS = 6


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    limits = {"requests": [{"limit": 1_000_000, "window": "1d"}], "concurrent": SLOTS, "concurrentPerClient": SLOTS}
    return ground.endpoint(replicas=2, limits=limits).wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


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
