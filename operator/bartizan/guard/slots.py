"""Counts requests under way, by client and in all; a slot is held within a `with` and so cannot leak.

Where a document allows a line, who finds none waits there, for a time, in the order of coming. A slot that comes free
is given to the first in line whom it fits, before anybody who comes later.
"""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason

RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Caps:
    """How many slots there are, and how many requests may wait for one, for how long; 0: none waits."""

    of_client: int
    in_all: int
    line: int = 0
    line_seconds: float = 0.0


class Slots:
    def __init__(self) -> None:
        self.taken = 0
        self._by_client: dict[str, int] = {}
        self._line: dict[asyncio.Future[None], tuple[str, Caps]] = {}

    @property
    def waiting(self) -> int:
        return len(self._line)

    def lease(self, client: str, caps: Caps) -> AbstractContextManager[None]:
        """Hold one slot; entering raises Refusal when the client or the endpoint has none left."""
        return _Lease(self, client, caps)

    def take(self, client: str, caps: Caps) -> None:
        """Take a slot, to be given back; raises Refusal."""
        own = self._by_client.get(client, 0)
        if own >= caps.of_client or self.taken >= caps.in_all:
            message = "Too many requests are under way at one time; wait for one to end."
            raise Refusal(Reason.CONCURRENCY_LIMITED, message, retry_after_seconds=RETRY_SECONDS)
        self.taken += 1
        self._by_client[client] = own + 1

    def give_back(self, client: str) -> None:
        self.taken -= 1
        left = self._by_client[client] - 1
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]
        if self._line:
            self._give_turns()

    async def line_up(self, client: str, caps: Caps) -> AbstractContextManager[None]:
        """As `lease`, after a wait in line where there is room in it; one client has half of the room at most."""
        own = sum(name == client for name, _ in self._line.values())
        if self._fits(client, caps) or len(self._line) >= caps.line or own >= max(1, caps.line // 2):
            return self.lease(client, caps)
        turn = asyncio.get_running_loop().create_future()
        self._line[turn] = (client, caps)
        try:
            async with asyncio.timeout(caps.line_seconds):
                await turn
        except TimeoutError:
            if not turn.done() or turn.cancelled():
                return self.lease(client, caps)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(client)
            raise
        finally:
            self._line.pop(turn, None)
        return _Held(self, client)

    def _fits(self, client: str, caps: Caps) -> bool:
        return self._by_client.get(client, 0) < caps.of_client and self.taken < caps.in_all

    def _take(self, client: str) -> None:
        self.taken += 1
        self._by_client[client] = self._by_client.get(client, 0) + 1

    def _give_turns(self) -> None:
        for turn, (waiting, caps) in list(self._line.items()):
            if not turn.done() and self._fits(waiting, caps):
                del self._line[turn]
                self._take(waiting)
                turn.set_result(None)


class _Held:
    """A slot that was taken: a class, since a generator's `with` costs three times as much."""

    __slots__ = ("_client", "_slots")

    def __init__(self, slots: Slots, client: str) -> None:
        self._slots = slots
        self._client = client

    def __enter__(self) -> None:
        """It was taken before."""

    def __exit__(self, *_: object) -> None:
        self._slots.give_back(self._client)


class _Lease(_Held):
    """A slot that is taken at the beginning of the `with`."""

    __slots__ = ("_caps",)

    def __init__(self, slots: Slots, client: str, caps: Caps) -> None:
        self._slots = slots
        self._client = client
        self._caps = caps

    def __enter__(self) -> None:
        self._slots.take(self._client, self._caps)
