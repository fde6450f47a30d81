"""With nothing changed, a resync writes nothing but the Secrets that it cannot see, and those do not move."""

import pytest
from tests.cluster.operator import steady_state
from tests.cluster.operator.bench import Bench

pytestmark = pytest.mark.cluster


def test_a_resync_with_nothing_changed_writes_only_blind_secrets_and_moves_nothing(bench: Bench) -> None:
    found = steady_state.measure(bench, endpoints=12, resync_seconds=4)
    assert found.moved == []
    assert set(found.writes) <= {"apply Secret"}
    assert found.writes["apply Secret"] >= 12
