"""A model that is killed under load; a module of its own, as it takes long."""

import pytest
from tests.e2e import kills, victims
from tests.e2e.endpoint import Endpoint
from tests.e2e.ground import Ground

pytestmark = [pytest.mark.node, pytest.mark.needs]


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    return kills.endpoint_of_many(ground)


def test_t68_kills_under_load_let_no_request_by_and_heal(ground: Ground, endpoint: Endpoint) -> None:
    kills.survives(endpoint, ground.client(endpoint), victims.MODEL)
