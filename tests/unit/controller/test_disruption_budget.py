"""A budget lets nodes be drained one pod at a time, and never protects pods that do not serve."""

import pytest
from tests.unit.controller import worlds

from bartizan.controller.builders import disruption_budget
from bartizan.policy import names


@pytest.mark.parametrize("replicas", [2, 100])
def test_one_pod_at_a_time_and_unready_ones_always(replicas: int) -> None:
    budget = disruption_budget.build(worlds.wish(replicas=replicas))
    assert budget is not None
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["spec"]["selector"]["matchLabels"][names.ENDPOINT_UID_LABEL] == worlds.IDENTITY.uid


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_single_pod_has_none(replicas: int) -> None:
    assert disruption_budget.build(worlds.wish(replicas=replicas)) is None
