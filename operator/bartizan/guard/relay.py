"""Passes the model's answer on: judges its head, frames it anew, keeps its pieces in order as they come."""

from collections.abc import Callable

from bartizan.guard.reply import Reply, Source
from bartizan.guard.upstream_connection import AnswerHead, broken

_EVENTS = b"text/event-stream"
_JSON = b"application/json"
_OK, _FAILED, _AFTER_LAST = 200, 400, 600


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
        is_error = _FAILED <= head.status < _AFTER_LAST and kind == _JSON
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
