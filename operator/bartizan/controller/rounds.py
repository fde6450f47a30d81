"""One round of a part that goes on for ever: a fault in it, whatever it is, must not be the last thing it did."""

from collections.abc import Awaitable
from typing import TypeVar

from bartizan.controller.log import logger

LOGGER = logger(__name__)

Result = TypeVar("Result")


async def survive(round_: Awaitable[Result], *, part: str) -> Result | None:
    """The round's result; None after a fault, which is logged with its traceback."""
    try:
        return await round_
    except Exception as error:  # noqa: BLE001 - the next round may find the world otherwise
        LOGGER.error("fault in a round", part=part, exception=error)  # noqa: TRY400 - our own logger
        return None
