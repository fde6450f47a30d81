"""Several writes at once, of which none outlives the step that began them."""

import asyncio
from collections.abc import Awaitable


async def finish(*work: Awaitable[None]) -> None:
    """Waits for all, then raises the first error: a write left running could land after, and over, a newer one."""
    ends = await asyncio.gather(*work, return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end
