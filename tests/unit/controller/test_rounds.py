"""A part that goes on for ever outlives any fault of one round."""

import asyncio

import pytest
from tests.unit.controller.log_capture import capture

from bartizan.controller.rounds import survive


async def fall(error: BaseException) -> int:
    raise error


async def stand() -> int:
    return 1


def test_a_result_passes() -> None:
    assert asyncio.run(survive(stand(), part="x")) == 1


@pytest.mark.parametrize("error", [RecursionError("deep"), KeyError("x"), TimeoutError()])
def test_a_fault_is_told_and_survived(error: Exception) -> None:
    with capture("text") as lines:
        assert asyncio.run(survive(fall(error), part="resync")) is None
    assert "fault in a round" in lines.getvalue()
    assert type(error).__name__ in lines.getvalue()


def test_the_end_is_not_survived() -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(survive(fall(asyncio.CancelledError()), part="x"))
