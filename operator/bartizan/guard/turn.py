"""Sheds what would have to wait too long: how long one turn of the event loop takes is how long its last caller waits.

A turn looks once at every connection that has sent something, at every answer that has come on, and at every request
that can go on. Under load those that come late in it wait for all before them: what is to be looked at more than
`most_seconds` after the turn's beginning is refused, so that who is answered is answered soon.
"""

import asyncio
import itertools
from collections.abc import Callable

from bartizan.guard import refusal

RETRY_SECONDS = (1, 2, 3)
"""In turns, so that a crowd which is shed does not come back as one."""


class Turn:
    """Times are seconds of `clock`; `took` is told how long each turn was in which there was something to look at."""

    __slots__ = ("_began", "_clock", "_most", "_retry_seconds", "_took")

    def __init__(self, most_seconds: float, took: Callable[[float], None], *, clock: Callable[[], float]) -> None:
        self._most = most_seconds
        self._took = took
        self._clock = clock
        self._began: float | None = None
        self._retry_seconds = itertools.cycle(RETRY_SECONDS)

    def begin(self) -> None:
        """Something is looked at: the first that is begins the turn."""
        if self._began is None:
            asyncio.get_running_loop().call_soon(self._end)
            self._began = self._clock()

    def judge(self) -> None:
        """Raises Refusal where the turn has lasted too long."""
        if self._began is None:
            self.begin()
        if self._began is not None and self._clock() - self._began > self._most:
            raise refusal.overloaded(next(self._retry_seconds))

    def _end(self) -> None:
        """Called by the loop in its next turn, before whatever was put off to it after the beginning of this."""
        began, self._began = self._began, None
        if began is not None:
            self._took(self._clock() - began)
