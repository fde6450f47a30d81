"""An error of one write leaves no other running."""

import asyncio

import pytest

from bartizan.controller import together
from bartizan.controller.api import ApiError


def test_all_end_before_the_first_error_is_raised() -> None:
    ended: list[str] = []

    async def fail(name: str) -> None:
        ended.append(name)
        raise ApiError(500, "InternalError", name)

    async def scenario() -> None:
        failed = asyncio.Event()

        async def write_late() -> None:
            await failed.wait()
            ended.append("late")

        async def fail_and_tell() -> None:
            failed.set()
            await fail("first")

        await together.finish(write_late(), fail_and_tell(), fail("second"))

    with pytest.raises(ApiError, match="first"):
        asyncio.run(scenario())
    assert ended == ["first", "second", "late"]


def test_a_cancellation_reaches_all() -> None:
    cancelled: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def scenario() -> None:
        async with asyncio.timeout(0.01):
            await together.finish(hang(), hang())

    with pytest.raises(TimeoutError):
        asyncio.run(scenario())
    assert cancelled == [True, True]
