"""Whatever breaks under load, nothing goes past the guard, and it serves again; `make faults` strikes more often."""

from pathlib import Path

import pytest
from tests.faults.__main__ import strike
from tests.faults.faults import ALL, Fault

TIMES = 2


@pytest.mark.parametrize("fault", ALL, ids=[fault.name.replace(" ", "-") for fault in ALL])
def test_nothing_goes_past_a_guard_that_is_struck(tmp_path: Path, fault: Fault) -> None:
    result = strike(fault, TIMES, tmp_path / "stand")
    assert result.statuses[200]
    assert result.received <= result.allowed
