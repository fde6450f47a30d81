"""What the operator may do with Roles in listed namespaces, on a real API server."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import attempts, chart_rights
from tests.cluster.installation import Caller
from tests.cluster.plane import Plane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def operator(plane: Plane) -> Iterator[Caller]:
    with chart_rights.account(plane, "listed") as caller:
        yield caller


@pytest.mark.parametrize("attempt", attempts.of("listed"), ids=chart_rights.name)
def test_in_listed_namespaces_the_operator(attempt: dict[str, Any], operator: Caller) -> None:
    chart_rights.try_out(attempt, operator)


def test_at_least_twenty_five_attempts_are_refused_by_each_of_rights_and_fence() -> None:
    for reason in ("rbac", "fence"):
        assert sum(reason in attempt for attempt in attempts.TABLE["attempts"]) >= 25
