"""Passes the model's answer on: judges its head, frames it anew, keeps its pieces in order as they come."""

from collections.abc import Callable

from bartizan.guard.reply import Reply, Source
from bartizan.guard.upstream_connection import AnswerHead, broken

_EVENTS = b"text/event-stream"
_JSON = b"application/json"
_OK = 200
_TO_MEND_BY_THE_CALLER = frozenset({400, 409, 413, 422, 429})
"""What a model may say against a request itself: its values, its length, that it comes at a bad time.

Any other 4xx is between guard and model, and the guard's own to answer for. A 401 or 403 would make a client throw away
a good key, a 404 or 405 look for another path, a 408 send again what arrived whole: SDKs raise an error of its own for
each. A model's 429 passes without the Retry-After that ours has, and SDKs then wait as they see fit.
"""
_SERVER_ERRORS = range(500, 600)


class Relay:
    """Of the model's header only status, type and length pass; anything but JSON or asked-for events is refused."""

    __slots__ = ("_first_byte", "_reply", "_wants_stream", "sent")

    def __init__(
        self, reply: Reply, *, wants_stream: bool, sent: Callable[[], None], first_byte: Callable[[], None]
    ) -> None:
        self._reply = reply
        self._wants_stream = wants_stream
        self._first_byte = first_byte
        self.sent = sent

    def begin(self, source: Source) -> None:
        self._reply.take_from(source)

    def head(self, head: AnswerHead) -> None:
        self._first_byte()
        kind = head.content_type.partition(b";")[0].strip().lower()
        is_answer = head.status == _OK and (kind == _JSON or (kind == _EVENTS and self._wants_stream))
        is_error = kind == _JSON and (head.status in _TO_MEND_BY_THE_CALLER or head.status in _SERVER_ERRORS)
        if not (is_answer or is_error):
            raise broken("The model's answer is not what was asked for.")
        content_type = b"text/event-stream; charset=utf-8" if kind == _EVENTS else _JSON
        self._reply.start(head.status, [(b"Content-Type", content_type)], length=head.length)

    def piece(self, data: bytes) -> None:
        self._reply.piece(data)

    def flush(self) -> None:
        self._reply.flush()

    def end(self) -> None:
        self._reply.end()
