"""Passes the model's answer on: judges its head, frames it anew, keeps its pieces in order as they come."""

from collections.abc import Callable

from bartizan.guard.answers import Answer, Reader, Whole
from bartizan.guard.refusal import UNAVAILABLE_RETRY_SECONDS
from bartizan.guard.reply import JSON, Reply, Source
from bartizan.guard.turn import Turn
from bartizan.guard.upstream_connection import AnswerHead, broken

_EVENTS = b"text/event-stream"
_JSON = b"application/json"
_EVENTS_HEADER = b"Content-Type: text/event-stream; charset=utf-8\r\n"
_OK = 200
_TO_MEND_BY_THE_CALLER = frozenset({400, 409, 413, 422, 429})
"""What a model may say against a request itself: its values, its length, that it comes at a bad time.

Any other 4xx is between guard and model, and the guard's own to answer for. A 401 or 403 would make a client throw away
a good key, a 404 or 405 look for another path, a 408 send again what arrived whole: SDKs raise an error of its own for
each.
"""
_TO_COME_AGAIN = frozenset({429, 503, 529})
_LATER = JSON + b"Retry-After: %d\r\n" % UNAVAILABLE_RETRY_SECONDS
"""Without it SDKs wait as they see fit, and some not at all."""
_SERVER_ERRORS = range(500, 600)
LONG_BYTES = 4096
"""A piece for which others may have to wait: a token's event has some 200 bytes."""


class Relay:
    """Of the model's header only status, type and length pass; anything but JSON or asked-for events is refused.

    An answer's texts are read on their way by `reader`, and so is an error's. `has_begun` once the model may have the
    request, `is_error` where it refused it. `first_byte` is when the answer's head came, `first_token` a stream's first
    text, in seconds of `clock`. The defaults are the class's own, as a visit's are.
    """

    first_byte: float | None = None
    first_token: float | None = None
    has_begun = False
    is_error = False
    _answer: Answer | None = None
    _whole: Whole | None = None
    _status = _OK
    _awaits_token = False

    def __init__(
        self, reply: Reply, reader: Reader, turn: Turn, *, sent: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        self._reply = reply
        self._reader = reader
        self._turn = turn
        self._clock = clock
        self.sent = sent

    def begin(self, source: Source) -> None:
        self.has_begun = True
        self._reply.take_from(source)

    def head(self, head: AnswerHead) -> None:
        self.first_byte = self._clock()
        kind = head.content_type.partition(b";")[0].strip().lower()
        if head.status == _OK and kind == _EVENTS and self._reader.asked.wants_stream:
            self._answer = self._reader.events()
            self._reply.is_stream = self._awaits_token = True
            self._reply.start(head.status, _EVENTS_HEADER, length=None)
        elif head.status == _OK and kind == _JSON and self._reader.asked.is_read:
            self._answer = self._whole = self._reader.whole(_OK)
        elif head.status == _OK and kind == _JSON:
            self._answer = self._reader.opaque()
            self._reply.start(head.status, JSON, length=head.length)
        else:
            self.is_error = head.status != _OK
            if kind == _JSON and self._passes_error(head.status):
                self._answer = self._whole = self._reader.whole(head.status)
                self._status = head.status
                return
            raise broken("The model's answer is not what was asked for.")

    def piece(self, data: bytes) -> None:
        if len(data) > LONG_BYTES:
            self._turn.begin()
        if self._answer is not None and (out := self._answer.piece(data)):
            self._reply.piece(out)
        if self._awaits_token and self._reader.tally.floor:
            self._awaits_token = False
            self.first_token = self._clock()

    def flush(self) -> None:
        self._reply.flush()

    def end(self) -> None:
        rest = b"" if self._answer is None else self._answer.end()
        if self._whole is None:
            self._reply.end()
            return
        self._reply.put(self._status, _LATER if self._status in _TO_COME_AGAIN else JSON, rest)

    async def finish(self, latest: float) -> None:
        """Ends an answer that was read whole, once the caller has taken it; it has until `latest`, by the clock.

        Until then its request keeps its slot: how many of them wait for slow readers in memory is bounded by that.
        """
        if self._whole is not None:
            await self._reply.drained(latest - self._clock())
            self._reply.end()

    def release(self) -> None:
        """Nothing is held of the answer any more."""
        if self._whole is not None:
            self._whole.release()

    @staticmethod
    def _passes_error(status: int) -> bool:
        return status in _TO_MEND_BY_THE_CALLER or status in _SERVER_ERRORS
