"""Ends what takes too long: one sweep over everything with a deadline, so that none costs a timer of its own."""

import asyncio
from typing import Protocol

NEVER = float("inf")
SWEEP_SECONDS = 0.2
"""How late a deadline may be noticed."""


class Bounded(Protocol):
    """`deadline` is in the event loop's time."""

    deadline: float

    def expire(self) -> None: ...


class Deadlines:
    def __init__(self) -> None:
        self._watched: set[Bounded] = set()

    def watch(self, thing: Bounded) -> None:
        self._watched.add(thing)

    def forget(self, thing: Bounded) -> None:
        self._watched.discard(thing)

    def sweep(self, now: float) -> None:
        for thing in [thing for thing in self._watched if thing.deadline <= now]:
            thing.deadline = NEVER
            thing.expire()

    async def run(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(loop.time())
