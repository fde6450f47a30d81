"""One client's connection: the narrow HTTP/1.1 that the guard speaks, every state with a deadline and a cap.

llhttp (in httptools) parses; what stands here is what may follow what. One request is under way at a time. Bytes that
come while it is answered are dropped and end the connection after the answer; a caller that closes, even only its own
half, is gone.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools

from bartizan.guard.deadlines import NEVER, Deadlines
from bartizan.guard.refusal import Refusal
from bartizan.guard.reply import Reply, Source
from bartizan.guard.request import Budget, Field, Head, Request
from bartizan.guard.settings import Bounds
from bartizan.policy.reasons import Reason

MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_COUNT = 64
"""Real clients send some 20 lines and 1 KB."""
MAX_DROPPED_BYTES = 256 * 1024
"""What a caller may send while nobody reads it, before its connection is cut."""
LINGER_SECONDS = 2.0
"""How long a refused caller that is still sending may take to read its answer."""

Answerer = Callable[[Request, Reply], Coroutine[Any, Any, None]]


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


class ClientConnection(asyncio.Protocol):
    """The parser's callbacks collect a request; its answer runs in one task, which ends with the connection."""

    def __init__(self, listener: Listener, surroundings: Surroundings) -> None:
        self._listener = listener
        self._around = surroundings
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None
        self.source: Source | None = None
        self.deadline = NEVER
        self._is_answering = False
        self._is_lingering = False
        self._dropped_bytes = 0
        self._forget_request()

    def _forget_request(self) -> None:
        self._request: Request | None = None
        self._fields: list[Field] = []
        self._target = b""
        self._fed_bytes = 0
        self._is_too_large = False
        self._has_excess = False
        self._keeps_alive = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are in all but name
        self._around.deadlines.watch(self)
        if not self._listener.joined(self):
            self._keeps_alive = False
            self._answer(Head(b"", b"", (), fault=_overloaded()))
            return
        self._allow(self._around.bounds.header_seconds)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._around.deadlines.forget(self)
        self._listener.left(self)
        if self._request is not None:
            self._request.release()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._is_lingering or (self._request is not None and self._request.is_complete):
            self._drop(len(data))
            return
        if not self._fed_bytes and not self._fields:
            self._allow(self._around.bounds.header_seconds)
        self._fed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse_wire(_malformed())
            return
        self._advance()

    def pause_writing(self) -> None:
        self._allow(self._around.bounds.reader_seconds)
        if self.source is not None:
            self.source.pause()

    def resume_writing(self) -> None:
        self.deadline = NEVER
        if self.source is not None:
            self.source.resume()

    # The parser's side

    def on_message_begin(self) -> None:
        if self._request is not None:
            self._has_excess = True

    def on_url(self, part: bytes) -> None:
        if not self._has_excess:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._request is None:
            self._fields.append((name.lower(), value))
            self._is_too_large = self._is_too_large or len(self._fields) > MAX_HEADER_COUNT
        elif not self._has_excess:
            self._request.fail(_malformed())  # a trailer: nothing may come after what was judged

    def on_headers_complete(self) -> None:
        if self._has_excess:
            return
        size = len(self._target) + sum(len(name) + len(value) for name, value in self._fields)
        self._is_too_large = self._is_too_large or size > MAX_HEADER_BYTES
        self._keeps_alive = self._parser.should_keep_alive()
        fault = None if self._parser.get_http_version() == "1.1" else _malformed()
        head = Head(self._parser.get_method(), self._target, tuple(self._fields), fault)
        self._request = self._new_request(head)
        self._allow(self._around.bounds.body_seconds)

    def on_body(self, piece: bytes) -> None:
        if self._request is not None and not self._has_excess:
            self._request.add(piece)

    def on_message_complete(self) -> None:
        if self._request is not None and not self._has_excess:
            self._request.complete()
            self.deadline = NEVER

    # What may follow what

    def _advance(self) -> None:
        if self._is_too_large or (self._request is None and self._fed_bytes > MAX_HEADER_BYTES):
            self._refuse_wire(Refusal(Reason.HEADERS_TOO_LARGE, "The request's header is too large."))
        elif self._request is not None and not self._is_answering:
            self._begin(self._request)

    def _refuse_wire(self, refusal: Refusal) -> None:
        """Refuse what is not the HTTP that the guard speaks, whether or not its answer is being prepared."""
        self._keeps_alive = False
        if self._is_answering and self._request is not None:
            self._request.fail(refusal)
            return
        method = self._request.head.method if self._request is not None else b""
        self._answer(Head(method, self._target[:MAX_HEADER_BYTES], (), fault=refusal))

    def _answer(self, head: Head) -> None:
        self._request = self._new_request(head)
        self._begin(self._request)

    def _new_request(self, head: Head) -> Request:
        return Request(head, self._around.new_id(), self._around.budget, asked=self._continue)

    def _begin(self, request: Request) -> None:
        self._is_answering = True
        self._reply = Reply(self, request.id, has_body=request.head.method != b"HEAD")
        self._task = self._loop.create_task(self._around.answer(request, self._reply))
        self._task.add_done_callback(self._ended)

    def _continue(self) -> None:
        """Somebody waits for the body: tell a caller that asked before sending it."""
        if self._request is not None and self._request.head.values(b"expect") == [b"100-continue"]:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._transport.abort()

    def _drop(self, size: int) -> None:
        self._has_excess = True
        self._dropped_bytes += size
        if self._dropped_bytes > MAX_DROPPED_BYTES:
            self._transport.abort()

    def _allow(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds

    # The deadlines' and the listener's side

    def expire(self) -> None:
        """A deadline has passed: a request that is not whole is told so, everything else is cut."""
        has_begun = bool(self._fed_bytes) and not self._is_lingering
        if has_begun and (self._request is None or not self._request.is_complete) and not self._has_written():
            self._refuse_wire(Refusal(Reason.REQUEST_TIMEOUT, "The request did not arrive in time; send it again."))
            self._allow(self._around.bounds.reader_seconds)
            return
        self._transport.abort()

    def _has_written(self) -> bool:
        return self._reply is not None and self._reply.has_started

    @property
    def is_idle(self) -> bool:
        return self._request is None

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # The reply's side

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def will_close(self) -> bool:
        is_whole = self._request is not None and self._request.is_complete
        return self._has_excess or self._listener.is_draining or not (self._keeps_alive and is_whole)

    def finish(self) -> None:
        """The answer is out: make room for the next request, or close in a way that lets the caller read it."""
        is_whole = self._request is not None and self._request.is_complete
        must_close = self.will_close()
        if self._request is not None:
            self._request.release()
        self.source = None
        self._is_answering = False
        if not must_close:
            self._forget_request()
            self._allow(self._around.bounds.idle_seconds)
        elif is_whole and not self._has_excess:
            self._allow(self._around.bounds.reader_seconds)
            self._transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close our half and read on for a while: a reset on unread bytes would take the answer from the caller."""
        self._is_lingering = True
        self._allow(LINGER_SECONDS)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def cut(self) -> None:
        self.source = None
        self._allow(self._around.bounds.reader_seconds)
        self._transport.close()


def _malformed() -> Refusal:
    return Refusal(Reason.REQUEST_MALFORMED, "The request is not plain HTTP/1.1 as this endpoint reads it.")


def _overloaded() -> Refusal:
    return Refusal(Reason.OVERLOADED, "The endpoint is busy; try again shortly.", retry_after_seconds=1)
