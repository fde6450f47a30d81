"""Sheds what would have to wait too long: how long one turn of the event loop takes is how long its last caller waits.

A turn looks once at every connection that has sent something and at every request that can go on. Under load those
that come late in it wait for all before them. What comes up later than `most_seconds` after the turn's beginning is
refused, so that who is answered is answered soon, and the callers that have to come again spread over time.
"""

import asyncio
from collections.abc import Callable

from bartizan.guard import refusal


class Turn:
    """Times are seconds of `clock`; `took` is told how long each turn was in which a request was looked at."""

    __slots__ = ("_began", "_clock", "_most", "_took")

    def __init__(self, most_seconds: float, took: Callable[[float], None], *, clock: Callable[[], float]) -> None:
        self._most = most_seconds
        self._took = took
        self._clock = clock
        self._began: float | None = None

    def judge(self, now: float) -> None:
        """Raises Refusal where the turn has lasted too long; the first to ask in a turn begins it."""
        began = self._began
        if began is None:
            self._began = now
            asyncio.get_running_loop().call_soon(self._end)
        elif now - began > self._most:
            raise refusal.overloaded()

    def _end(self) -> None:
        """Called by the loop in its next turn, before whatever was put off to it after the first request of this."""
        if self._began is not None:
            self._took(self._clock() - self._began)
            self._began = None
