"""One connection to the model's server: one request out, one answer in, pieces handed on as they come."""

import asyncio
import select
import socket
from typing import NamedTuple, Protocol, cast

import httptools

from bartizan.guard.deadlines import NEVER
from bartizan.guard.refusal import Refusal
from bartizan.guard.reply import Source
from bartizan.policy.reasons import Reason

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADER_COUNT = 100
_CONTINUE, _OK = 100, 200


class AnswerHead(NamedTuple):
    """What of the model's header is looked at at all."""

    status: int
    content_type: bytes
    length: int | None


class Receiver(Protocol):
    """Takes the answer; what it raises ends the exchange and is raised by it."""

    def begin(self, source: Source) -> None: ...

    def sent(self) -> None:
        """The request has left the guard whole."""

    def head(self, head: AnswerHead) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def end(self) -> None: ...


def broken(message: str = "The model's answer broke off; try again.") -> Refusal:
    return Refusal(Reason.UPSTREAM_BROKEN, message)


class UpstreamConnection(asyncio.Protocol):
    """Parsed by llhttp; an answer must say its length or be chunked, so that a cut is never taken for an end."""

    def __init__(self, sock: socket.socket, *, answer_seconds: float) -> None:
        self._news = select.poll()
        self._news.register(sock, select.POLLIN)
        self._answer_seconds = answer_seconds
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] | None = None
        self._is_lost = False
        self._is_writing = False
        self._is_reusable = True
        self._keeps_alive = False
        self._is_paused = False
        self._idle_since = 0.0
        self.deadline = NEVER
        self._latest = NEVER

    # The pool's side

    def send(self, request: bytes, receiver: Receiver, *, within: float) -> asyncio.Future[None]:
        """Send the request and hand the answer to `receiver`; the result is a Refusal when it does not come whole."""
        self._done = self._loop.create_future()
        if self._is_lost:  # nobody would ever say so again
            self._end(broken())
            return self._done
        self._receiver = receiver
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._head: AnswerHead | None = None
        self._is_begun = False
        self._has_ended = False
        self._is_reusable = False
        self._silent_bytes = 0
        now = self._loop.time()
        self._latest = now + within
        self.deadline = now + self._answer_seconds
        receiver.begin(self)  # after the deadline, which a caller that does not read suspends
        self._transport.write(request)
        if not self._is_writing:
            receiver.sent()
        return self._done

    def is_fit(self, most_idle_seconds: float) -> bool:
        """Whether it may carry another request: not closed, nothing unasked on it, not idle for long."""
        if not self.is_reusable or self._loop.time() - self._idle_since > most_idle_seconds:
            return False
        return not self._news.poll(0)

    @property
    def is_reusable(self) -> bool:
        return self._is_reusable and not self._is_lost

    def abort(self) -> None:
        self._is_lost = True
        self._transport.abort()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are in all but name
        self._transport.set_write_buffer_limits(high=0)  # so that it says when everything is written

    def pause_writing(self) -> None:
        self._is_writing = True

    def resume_writing(self) -> None:
        self._is_writing = False
        self._receiver.sent()

    def data_received(self, data: bytes) -> None:
        if self._done is None or self._done.done():
            self.abort()
            return
        self.deadline = min(self._loop.time() + self._answer_seconds, self._latest)
        try:
            self._silent_bytes += len(data)
            self._parser.feed_data(data)
            self._deliver()
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(broken())
        except Exception as error:  # noqa: BLE001 -- handed to the pipeline, which judges it
            self._end(error)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._is_lost = True
        self._end(broken())

    def expire(self) -> None:
        self._end(Refusal(Reason.UPSTREAM_TIMEOUT, "The model took too long; try again later."))
        self.abort()

    def pause(self) -> None:
        if not self._is_lost and not self._is_paused:
            self._is_paused = True
            self.deadline = NEVER
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._is_lost and self._is_paused:
            self._is_paused = False
            self.deadline = min(self._loop.time() + self._answer_seconds, self._latest)
            self._transport.resume_reading()

    def _deliver(self) -> None:
        """After each read: what it brought, in one piece, and the end if it came."""
        if self._silent_bytes > MAX_HEADER_BYTES:
            raise broken()  # a head, trailer or chunk extension without end, which the parser would keep
        if self._head is None:
            return
        if not self._is_begun:
            self._is_begun = True
            self._receiver.head(self._head)
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._receiver.piece(data)
        if not self._has_ended:
            self._receiver.flush()
            return
        self._receiver.end()
        self.resume()  # whoever reads the end slowly must not leave the next caller a connection that is deaf
        self._is_reusable = self._keeps_alive
        self._idle_since = self._loop.time()
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        self.deadline = NEVER
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    # The parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))
        if len(self._fields) > MAX_HEADER_COUNT:
            raise broken()

    def on_headers_complete(self) -> None:
        if self._has_ended or self._head is not None:
            raise broken()
        status = self._parser.get_status_code()
        if status < _OK:
            if status < _CONTINUE:  # a body follows, to the parser
                raise broken()
            self._fields.clear()
            return
        fields = dict(self._fields)
        length = fields.get(b"content-length")
        if length is None and b"transfer-encoding" not in fields:
            raise broken()
        # Asked here, because the parser forgets it when the message ends. Model servers close after a stream without
        # having said so, and a request that meets this closing would be lost.
        kind = fields.get(b"content-type", b"")
        self._keeps_alive = self._parser.should_keep_alive() and not kind.startswith(b"text/event-stream")
        self._head = AnswerHead(status, kind, None if length is None else int(length))

    def on_body(self, data: bytes) -> None:
        if self._has_ended or self._head is None:
            raise broken()
        self._silent_bytes = 0
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._head is not None:
            self._has_ended = True
