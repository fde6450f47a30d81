"""A pod that takes another's place takes over what that had used: nobody's day begins anew with it."""

import base64
import json

import pytest
from tests.e2e.endpoint import CLIENT, Endpoint, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.e2e.rolling import has_rolled, pod_names

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]

DAILY = 10
OTHER = "other"


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    limits = {"requests": [{"limit": DAILY, "window": "1d"}]}
    return ground.endpoint(limits=limits, access={"clients": [{"name": CLIENT}, {"name": OTHER}]}).wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


def given(player: Player, endpoint: Endpoint, client: str, most: int) -> int:
    """How many requests of so many are answered."""
    asked = (endpoint.service, "/v1/models", "--key", endpoint.key(client))
    answers = [player.call(*asked).split()[0] for _ in range(most)]
    assert set(answers) <= {"200", "429"}
    return answers.count("200")


def shares(endpoint: Endpoint) -> int:
    payload = endpoint.document().split(".")[1]
    found: int = json.loads(base64.urlsafe_b64decode(payload + "=="))["replicas"]
    return found


def settled(endpoint: Endpoint) -> None:
    """The one guard shares with nobody, and has been told what others had used."""
    until(lambda: len(pod_names(endpoint)) == 1, "one pod")
    until(lambda: shares(endpoint) == 1, "one share")
    endpoint.wait()
    until(lambda: endpoint.guard_status().get("usageAwaited") is False, "its guard has been told")


def test_a_new_pod_has_what_the_one_before_it_had_left(endpoint: Endpoint, app: Player) -> None:
    settled(endpoint)
    assert given(app, endpoint, CLIENT, DAILY + 1) == DAILY
    before = pod_names(endpoint)
    template = endpoint.live["spec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "ROLLED", "value": "true"}]
    endpoint.edit(template=template)
    until(lambda: has_rolled(endpoint, before), lambda: f"rolled: {pod_names(endpoint)} after {before}", seconds=90)
    settled(endpoint)
    assert given(app, endpoint, CLIENT, 1) == 0
    assert given(app, endpoint, OTHER, DAILY // 2) == DAILY // 2
    endpoint.kubectl("delete", "pod", endpoint.pod()["metadata"]["name"])
    settled(endpoint)
    assert given(app, endpoint, CLIENT, 1) == 0
    assert given(app, endpoint, OTHER, DAILY) == DAILY - DAILY // 2
