"""One client's connection: which state follows which, each with a deadline; one request is under way at a time.

Bytes that come while a request is answered are dropped and end the connection after the answer. A caller that closes,
even only its own half, is gone, and what was under way for it ends at once.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, cast

from bartizan.guard.deadlines import NEVER, Deadlines
from bartizan.guard.incoming import Incoming
from bartizan.guard.refusal import Refusal, overloaded
from bartizan.guard.reply import Reply, Source
from bartizan.guard.request import Budget, Head, Request
from bartizan.guard.settings import Bounds
from bartizan.policy.reasons import Reason

MAX_DROPPED_BYTES = 256 * 1024
"""What a caller may send while its answer is prepared, before its connection is cut."""
LINGER_BYTES = 16 * 1024 * 1024
"""What a refused caller may still send beyond the largest body: many clients send all of it before they read a 413, and
would find a reset in its place. These bytes cost a read each, and are neither parsed nor kept."""
PAUSED_BYTES = 16 * 1024
"""What waits for a caller, beside what its kernel and ours hold, when the model is told to hold back."""
MAX_LEFT_BYTES = 32 * 1024
"""What may wait for a caller that does not read once its request has ended; of more, the request has not ended yet, nor
where it is the rest of more: the transport lets go of what was written at one time when all of it has left."""
TURN_SECONDS = 1.0
"""Longer than a turn of the event loop may last before what comes is shed: by then a caller has been heard."""
LINGER_SECONDS = 2.0
"""How long a refused caller that is still sending may take to read its answer."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time at all: close with a reset."""

Answerer = Callable[[Request, Reply], Coroutine[Any, Any, None] | None]
"""Answers at once, or gives what is to be waited for: a refusal that needs no waiting costs no task."""


class State(Enum):
    IDLE = "between requests"
    HEAD = "a head is awaited or on its way"
    BODY = "the head is judged, the body on its way"
    ANSWERING = "the request is whole, the answer on its way"
    LINGERING = "answered; what still comes is dropped until the caller has read the answer"
    CLOSING = "answered; the rest of the answer is on its way, then the end"

    __hash__ = object.__hash__  # an Enum's own is Python's to run, at each step of each request


_DEAF = frozenset({State.ANSWERING, State.LINGERING, State.CLOSING})
"""States in which what comes is dropped."""


class Listener(Protocol):
    """What the connection belongs to."""

    is_draining: bool

    def joined(self, connection: "ClientConnection") -> bool: ...

    def left(self, connection: "ClientConnection") -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all connections share."""

    answer: Answerer
    deadlines: Deadlines
    bounds: Bounds
    budget: Budget
    new_id: Callable[[], str]

    def seconds(self) -> dict[State, float]:
        """Each state's deadline; an answer's own is the upstream's, or the reader's while nobody reads."""
        return {
            State.IDLE: self.bounds.idle_seconds,
            State.HEAD: self.bounds.header_seconds,
            State.BODY: self.bounds.body_seconds,
            State.ANSWERING: NEVER,
            State.LINGERING: LINGER_SECONDS,
            State.CLOSING: self.bounds.reader_seconds,
        }


class ClientConnection(asyncio.Protocol):
    """The answer of a request runs in one task, which ends with the connection."""

    def __init__(self, listener: Listener, around: Surroundings, seconds: dict[State, float]) -> None:
        self._listener = listener
        self._around = around
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._incoming = Incoming(self._make)
        self._task: asyncio.Task[None] | None = None
        self._is_answering = False
        self._is_paused = False
        self._is_lost = False
        self._dropped_bytes = 0
        self._source: Source | None = None
        self._drain: asyncio.Future[None] | None = None
        self.lost_because = Reason.CLIENT_GONE
        self.address = ""
        """Whose it is, as far as the network says: behind a gateway, the gateway's."""
        self.deadline = NEVER

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are in all but name
        self._transport.set_write_buffer_limits(high=PAUSED_BYTES, low=0)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self._around.deadlines.watch(self)
        self._enter(State.HEAD)
        if not self._listener.joined(self):
            self._refuse_wire(overloaded())

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._around.deadlines.forget(self)
        if self._incoming.request is not None:
            self._incoming.request.release()
        if self._task is not None and self._is_answering:
            self._task.cancel()
        self._is_lost = True
        if self._task is None or self._task.done():
            self._listener.left(self)

    def data_received(self, data: bytes) -> None:
        if self._state in _DEAF:
            self._drop(len(data))
            return
        if self._is_paused:  # it asks again and has not read what it asked before: answers would pile up
            self.abort(Reason.CLIENT_TOO_SLOW)
            return
        try:
            self._incoming.feed(data)
        except Refusal as refusal:
            self._refuse_wire(refusal)
            return
        if self._incoming.request is not None:
            self._go_on(self._incoming.request)
        elif self._state is State.IDLE:
            self._enter(State.HEAD)

    def eof_received(self) -> None:
        """Gone, though the transport stays until the caller has read what was written: nothing may wait for that."""
        if self._task is not None and self._is_answering:
            self._task.cancel()
            self._forsake()
        self._enter(State.CLOSING)

    def pause_writing(self) -> None:
        self._is_paused = True
        self.deadline = self._loop.time() + self._around.bounds.reader_seconds
        if self._source is not None:
            self._source.pause()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._enter(self._state)
        if self._source is not None:
            self._source.resume()
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    # From one state to the next

    def _enter(self, state: State) -> None:
        self._state = state
        self.entered = now = self._loop.time()
        if not self._is_paused:
            self.deadline = now + self._seconds[state]

    def _go_on(self, request: Request) -> None:
        if request.is_complete:
            self._enter(State.ANSWERING)
        elif self._state is not State.BODY:
            self._enter(State.BODY)
        if not self._is_answering:
            self._begin(request)

    def _refuse_wire(self, refusal: Refusal) -> None:
        """Refuse what is not the HTTP that the guard speaks, whether or not its answer is being prepared."""
        self._enter(State.CLOSING)
        self._incoming.keeps_alive = False
        if self._is_answering and self._incoming.request is not None:
            self._incoming.request.fail(refusal)
            return
        self._begin(self._incoming.refused(refusal))

    def _begin(self, request: Request) -> None:
        self._is_answering = True
        reply = Reply(self, request.id, has_body=request.head.method != b"HEAD")
        try:
            answering = self._around.answer(request, reply)
        except Exception:  # noqa: BLE001 -- as where a task ends with one: no fault may reach whoever called
            self._transport.abort()
            return
        if answering is not None:
            self._task = self._loop.create_task(answering)
            self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._is_lost:
            self._listener.left(self)  # only now: whoever waits for the last to leave has its outcome in the audit
        elif not task.cancelled() and task.exception() is not None:
            self._transport.abort()

    def _make(self, head: Head) -> Request:
        return Request(head, self._around.new_id(), self._around.budget, asked=self._ask_for_body)

    def _ask_for_body(self) -> None:
        """Somebody waits for the body: tell a caller that asked before sending it."""
        request = self._incoming.request
        if request is not None and request.head.values(b"expect") == (b"100-continue",):
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _drop(self, size: int) -> None:
        self._incoming.has_excess = True
        self._dropped_bytes += size
        is_lingering = self._state is State.LINGERING
        if self._dropped_bytes > (self._around.bounds.body_bytes + LINGER_BYTES if is_lingering else MAX_DROPPED_BYTES):
            self._transport.abort()

    # The deadlines' and the listener's side

    def expire(self) -> None:
        """A deadline has passed: a request that is not whole is told so, everything else ends."""
        if self._is_paused:
            self.abort(Reason.CLIENT_TOO_SLOW)
        elif self._state is State.BODY or (self._state is State.HEAD and self._incoming.has_begun):
            self._refuse_wire(Refusal(Reason.REQUEST_TIMEOUT, "The request did not arrive in time; send it again."))
        elif self._state in (State.IDLE, State.HEAD):
            self.close()
        else:
            self.abort(Reason.CLIENT_TOO_SLOW)

    @property
    def is_idle(self) -> bool:
        return self._state is State.IDLE

    @property
    def is_new(self) -> bool:
        """No byte of a request has come yet, which may be on its way."""
        return self._state is State.HEAD and not self._incoming.has_begun

    @property
    def owes(self) -> bool:
        return self._transport.get_write_buffer_size() > 0

    def close(self) -> None:
        """End it as soon as the caller has read what was written, or has not in time."""
        self._enter(State.CLOSING)
        self._transport.close()

    @property
    def may_make_room(self) -> bool:
        """Whether nobody who has shown a key loses an answer with it."""
        return self._state in (State.IDLE, State.HEAD, State.LINGERING) and not self._is_answering

    @property
    def has_unread(self) -> bool:
        """Whether something has just come that waits in the kernel for its turn.

        Only of who has not been here for long: who sends a byte now and then must not keep a place for ever with it.
        """
        if self._loop.time() - self.entered > TURN_SECONDS:
            return False
        size = bytearray(4)
        with suppress(OSError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, size)
        return any(size)

    def make_room(self) -> None:
        """End it at once, in peace where the caller has left nothing unread."""
        if self.owes:
            self.abort(Reason.OVERLOADED)
        else:
            self.close()

    def abort(self, reason: Reason) -> None:
        """Drop everything, also what the kernel still holds for a caller that does not read."""
        self.lost_because = reason
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    # The reply's side

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def take_from(self, source: Source) -> None:
        """From now on `source` is told when to hold back, at once where the caller has left too much unread already."""
        self._source = source
        if self._is_paused:
            source.pause()

    async def drained(self, size: int, within: float) -> None:
        if self._is_paused and max(size, self._transport.get_write_buffer_size()) > MAX_LEFT_BYTES:
            self._drain = self._loop.create_future()
            too_late = self._loop.call_later(max(0.0, within), self.abort, Reason.CLIENT_TOO_SLOW)
            try:
                await self._drain
            finally:
                too_late.cancel()

    def will_close(self) -> bool:
        incoming, request = self._incoming, self._incoming.request
        if request is None or not request.is_complete or not incoming.keeps_alive:
            return True
        return incoming.has_excess or self._listener.is_draining

    def finish(self) -> None:
        """The answer is out: make room for the next request, or close in a way that lets the caller read it."""
        must_close = self.will_close()
        self._source = None
        self._is_answering = False
        if self._incoming.request is not None:
            self._incoming.request.release()
        if not must_close:
            self._incoming.renew()
            self._enter(State.IDLE)
        elif self._incoming.is_whole and not self._incoming.has_excess:
            self.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close our half and read on for a while: a reset on unread bytes would take the answer from the caller."""
        self._enter(State.LINGERING)
        if not self._transport.is_closing():
            self._transport.write_eof()

    def cut(self) -> None:
        self._source = None
        self._forsake()
        self.close()

    def let_go_of_source(self) -> None:
        """It has given all that this caller gets, and may serve another."""
        self._source = None

    def _forsake(self) -> None:
        """Drop what is left of an answer that ends now: from here on nobody counts what waits for the caller."""
        if self._transport.get_write_buffer_size() > MAX_LEFT_BYTES:
            self.abort(self.lost_because)
