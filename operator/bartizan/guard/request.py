"""One request as it comes in: the head, whole, and the body, as its pieces arrive."""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from bartizan.guard.refusal import Refusal, overloaded
from bartizan.policy.reasons import Reason

Field = tuple[bytes, bytes]

SHARES = 4
"""One client may hold this part of the budget, or one whole body: what it leaves unfinished shuts out nobody else."""


class Head:
    """The request line and the header, names in lower case; `fault` says why the wire already refuses it."""

    __slots__ = ("_has_repeats", "_values", "fault", "fields", "method", "path")

    def __init__(self, method: bytes, path: bytes, fields: tuple[Field, ...], fault: Refusal | None = None) -> None:
        self.method = method
        self.path = path
        self.fields = fields
        self.fault = fault
        self._values = dict(fields)
        self._has_repeats = len(self._values) != len(fields)

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of the header `name`, in order: a second one is never dropped unseen."""
        if name not in self._values:
            return ()
        if self._has_repeats:
            return tuple([value for given, value in self.fields if given == name])
        return (self._values[name],)

    def named(self, names: AbstractSet[bytes]) -> AbstractSet[bytes]:
        """Which of these headers the request has."""
        return self._values.keys() & names


class Budget:
    """Bytes of bodies that may be held at one time, over all connections, until the model has taken them."""

    def __init__(self, total: int, *, each: int) -> None:
        self.left = total
        self.each = each
        self._share = max(each, total // SHARES)
        self._held: dict[str, int] = {}

    def take(self, size: int, client: str) -> None:
        """`client` is empty as long as nobody knows whose the bytes are."""
        if size > self.left:
            raise overloaded()
        if client:
            self.assign(size, client)
        self.left -= size

    def assign(self, size: int, client: str) -> None:
        """Count bytes as the client's that were taken while nobody knew whose they are."""
        held = self._held.get(client, 0) + size
        if held > self._share:
            raise overloaded()
        self._held[client] = held

    def give_back(self, size: int, client: str) -> None:
        self.left += size
        if not client:
            return
        held = self._held[client] - size
        if held:
            self._held[client] = held
        else:
            del self._held[client]


class Request:
    """`head` and, once somebody waits for it, the body. The connection feeds it; the pipeline reads it."""

    __slots__ = (
        "_asked",
        "_body",
        "_budget",
        "_client",
        "_failure",
        "_size",
        "_waiter",
        "head",
        "id",
        "is_complete",
    )

    def __init__(self, head: Head, request_id: str, budget: Budget, *, asked: Callable[[], None]) -> None:
        self.head = head
        self.id = request_id
        self._budget = budget
        self._client = ""
        self._asked = asked
        self._body = bytearray()  # pieces kept one by one would take many times the bytes that the budget counts
        self._size = 0
        self.is_complete = False
        self._failure: Refusal | None = None
        self._waiter: asyncio.Future[None] | None = None

    def belongs_to(self, client: str) -> None:
        """From now on the body counts as the client's; raises Refusal where that holds too much already. Once."""
        if self._size:
            self._budget.assign(self._size, client)
        self._client = client

    def judge(self) -> None:
        """Raises the Refusal for which the body will never be whole."""
        if self._failure is not None:
            raise self._failure

    async def arrive(self) -> None:
        """Wait until the body is whole, or will never be."""
        if not self.is_complete and self._failure is None:
            self._waiter = asyncio.get_running_loop().create_future()
            self._asked()
            await self._waiter

    def body(self) -> bytes:
        """The body that has arrived, once; raises the Refusal for which it never will. Its bytes stay charged."""
        self.judge()
        whole = bytes(self._body)
        self._body.clear()
        return whole

    def add(self, piece: bytes) -> None:
        """Keep one piece, within the bounds; beyond them the request fails and what was kept is let go."""
        if self._failure is not None:
            return
        size = len(piece)
        try:
            if self._size + size > self._budget.each:
                raise too_large(self._budget.each)
            self._budget.take(size, self._client)
        except Refusal as refusal:
            self.fail(refusal)
            return
        self._size += size
        self._body += piece

    def complete(self) -> None:
        self.is_complete = True
        self._wake()

    def fail(self, refusal: Refusal) -> None:
        if self._failure is None:
            self._failure = refusal
            self.release()
            self._wake()

    def release(self) -> None:
        """Let go of the body and give its bytes back to the budget: it was sent or refused. Safe to call again."""
        if self._size:
            self._budget.give_back(self._size, self._client)
            self._size = 0
            self._body.clear()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def too_large(most: int) -> Refusal:
    return Refusal(Reason.BODY_TOO_LARGE, f"The body is larger than {most} bytes; send a shorter request.")
