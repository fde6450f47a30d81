"""Windows are read into seconds, from a second to a day."""

import pytest

from bartizan.policy import durations
from bartizan.policy.nodes import ABSENT, Node


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("60s", 60), ("1m", 60), ("2h", 7200), ("24h", 86_400), ("1d", 86_400)]
)
def test_reads(text: str, seconds: int) -> None:
    assert durations.judge(Node("x", text, [])) == seconds


@pytest.mark.parametrize(
    "value", ["0s", "01m", "1", "1w", "2d", "25h", "86401s", "1m30s", "1 m", "-1s", "1S", "", 60, None]
)
def test_refuses(value: object) -> None:
    spot = Node("x", value, [])
    assert durations.judge(spot) is ABSENT
    assert len(spot.problems) == 1
