"""The guard's end: new requests are taken a moment longer, then refused while others finish, and the rest is cut.

A pod's end is told twice. Its guard's preStop hook sends SIGUSR1 at once: the guard drains, and does not end, because
the model waits for it and its own end would take the port away. SIGTERM comes when the model has gone, or when the
pod's time is up: there is nothing to wait for any more. SIGTERM that comes first is for the guard alone: it means both.
"""

import asyncio
from collections.abc import Callable

from bartizan.guard import log
from bartizan.guard.listener import Listener
from bartizan.guard.slots import Slots
from bartizan.guard.underway import Underway
from bartizan.policy.reasons import Reason

SETTLE_SECONDS = 0.05
"""How often a guard that ends looks whether it may go on."""
LAST_SECONDS = 1.0
"""What a kubelet leaves a container whose time is up is two seconds: cut answers and the audit share them."""


class Farewell:
    """`has_begun`: not ready any more, answers end their connections. `refuses`: so are new requests.

    New requests are taken for `farewell_seconds`, since nodes send them until they have heard that the pod ends; all of
    it takes at most `drain_seconds`.
    """

    def __init__(self, *, farewell_seconds: float, drain_seconds: float) -> None:
        self.has_begun = False
        self.refuses = False
        self.deadline = float("inf")
        self._farewell_seconds = farewell_seconds
        self._drain_seconds = drain_seconds
        self._may_end = False
        self._is_last_call = False
        self._begun = asyncio.Event()

    def leave(self) -> None:
        """Drain, and go on to refuse until `end`."""
        self.has_begun = True
        self._begun.set()

    def end(self) -> None:
        """Drain and end; who drains already has no more time."""
        self._is_last_call = self.has_begun
        self._may_end = True
        self.leave()

    async def run(self, listener: Listener, slots: Slots, underway: Underway) -> int:
        """Waits for the end to begin, and returns when all have gone: the number of requests that were cut."""
        await self._begun.wait()
        now = asyncio.get_running_loop().time()
        self.deadline = now + self._drain_seconds
        log.info("guard draining", requests=slots.taken)
        listener.is_draining = True
        await self._until(lambda: self._is_last_call, now + self._farewell_seconds)
        self.refuses = True
        listener.close_idle(even_new=False)
        await self._until(lambda: self._is_last_call or self.is_over(listener, slots), self.deadline)
        cut = underway.cut(Reason.DRAINING)
        await self._until(lambda: self._may_end, float("inf"))
        return cut + await self._close(listener, is_short=self._is_last_call or cut > 0)

    def is_over(self, listener: Listener, slots: Slots) -> bool:
        """Whether nobody needs the model any more: no new request is taken, and of the others all is read."""
        return self.refuses and not slots.taken and not listener.owes

    async def _close(self, listener: Listener, *, is_short: bool) -> int:
        listener.close()
        listener.close_idle(even_new=True)
        if not is_short:
            await self._until(lambda: self._is_last_call or listener.is_empty, self.deadline)
        await self._empty(listener)
        cut = listener.abort(Reason.DRAINING)
        await self._empty(listener)
        return cut

    async def _empty(self, listener: Listener) -> None:
        await self._until(lambda: listener.is_empty, asyncio.get_running_loop().time() + LAST_SECONDS)

    @staticmethod
    async def _until(claim: Callable[[], bool], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not claim() and loop.time() < deadline:  # noqa: ASYNC110 -- a deadline, looked at now and then
            await asyncio.sleep(SETTLE_SECONDS)
