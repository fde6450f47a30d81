"""What the operator may do with rights in the whole cluster, on a real API server."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import attempts, chart_rights
from tests.cluster.installation import Caller
from tests.cluster.plane import Plane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def operator(plane: Plane) -> Iterator[Caller]:
    with chart_rights.account(plane, "everywhere") as caller:
        yield caller


@pytest.mark.parametrize("attempt", attempts.of("everywhere"), ids=chart_rights.name)
def test_with_rights_everywhere_the_operator(attempt: dict[str, Any], operator: Caller) -> None:
    chart_rights.try_out(attempt, operator)
