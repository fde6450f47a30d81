"""One answer as it goes out: how it is framed in HTTP/1.1, whole or piece by piece."""

from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Protocol

from bartizan.policy.reasons import Reason

JSON = b"Content-Type: application/json\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

_HEAD = b"%b%b%b%b%bCache-Control: no-store\r\n%b\r\n"


class Source(Protocol):
    """Where the pieces come from; told to hold back while the caller does not read."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Wire(Protocol):
    """The connection under a reply."""

    lost_because: Reason

    def write(self, data: bytes) -> None: ...

    def take_from(self, source: Source) -> None: ...

    def let_go_of_source(self) -> None: ...

    def finish(self) -> None: ...

    def will_close(self) -> bool: ...

    def cut(self) -> None: ...

    def drained(self, size: int, within: float) -> Coroutine[Any, Any, None]: ...


class Reply:
    """Sent once: either `whole`, or `start`, any number of `piece`s and `end`; `cut` ends it visibly unfinished.

    What is started is written at the next `flush` or at the end: what came together leaves together. The defaults are
    the class's own, as a visit's are.
    """

    is_over = False
    is_stream = False
    """Of events: more may be said at its end."""
    limits = b""
    """What of the client's limits is left, in lines of the head."""
    status = 0
    body_bytes = 0
    _is_chunked = False

    def __init__(self, wire: Wire, request_id: str, *, has_body: bool) -> None:
        self._wire = wire
        self._request_id = request_id.encode("ascii")
        self._identity = b"X-Request-Id: %b\r\n" % self._request_id
        self._waiting: list[bytes] = []
        self.has_body = has_body

    @property
    def has_started(self) -> bool:
        return self.status != 0

    def also_name_id(self, header: bytes) -> None:
        """Tell the request's id under the protocol's own name, too."""
        self._identity += b"%b: %b\r\n" % (header, self._request_id)

    def whole(self, status: int, header: bytes, body: bytes) -> None:
        """Each line of `header` with its end."""
        self._put(status, header, body)
        self._finish()

    def put(self, status: int, header: bytes, body: bytes) -> None:
        """As `whole`, but for the `end`, which waits until the caller has read it; its source has given all."""
        self._wire.let_go_of_source()
        self._put(status, header, body)

    def _put(self, status: int, header: bytes, body: bytes) -> None:
        self.status = status
        head = self._head(status, header, b"Content-Length: %d\r\n" % len(body))
        if self.has_body:
            self.body_bytes = len(body)
            head += body
        self._wire.write(head)

    def start(self, status: int, header: bytes, *, length: int | None) -> None:
        """Begin an answer of `length` bytes, or of unknown length."""
        self.status = status
        self._is_chunked = length is None
        framing = b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length
        self._waiting.append(self._head(status, header, framing))

    def piece(self, data: bytes) -> None:
        self.body_bytes += len(data)
        self._waiting.append(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def flush(self) -> None:
        if self._waiting:
            self._wire.write(b"".join(self._waiting))
            self._waiting.clear()

    def end(self) -> None:
        if self._is_chunked:
            self._waiting.append(b"0\r\n\r\n")
        self.flush()
        self._finish()

    def cut(self) -> None:
        """Close without the end that HTTP asks for, so that nobody takes the part for the whole."""
        if not self.is_over:
            self.is_over = True
            self.flush()
            self._wire.cut()

    @property
    def lost_because(self) -> Reason:
        """Why the connection went away, once it has."""
        return self._wire.lost_because

    def take_from(self, source: Source) -> None:
        self._wire.take_from(source)

    def drained(self, within: float) -> Coroutine[Any, Any, None]:
        """Returns once the caller has read what was written, but for a buffer; it is cut after so many seconds."""
        return self._wire.drained(self.body_bytes, within)

    def _finish(self) -> None:
        self.is_over = True
        self._wire.finish()

    def _head(self, status: int, header: bytes, framing: bytes) -> bytes:
        close = b"Connection: close\r\n" if self._wire.will_close() else b""
        first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status  # a model may use numbers without a name
        return _HEAD % (first, header, framing, self.limits, self._identity, close)
