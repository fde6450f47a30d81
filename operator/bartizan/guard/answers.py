"""How an answer's bytes are read on their way: as events, whole, or not at all; each counts what it has cost."""

from typing import NamedTuple, Protocol

from bartizan.guard import event_stream, model_error
from bartizan.guard.event_stream import Event, EventError, EventStream
from bartizan.guard.inspection import Inspector
from bartizan.guard.profiles.contract import Reading, StreamReader
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Budget
from bartizan.guard.tally import AnswerError, Tally
from bartizan.guard.upstream_connection import broken
from bartizan.policy.reasons import Reason

SMALL_BYTES = 4 << 10
"""Answers up to here are bounded by the number of connections, and not counted."""
COUNTED_BYTES = 64 << 10
"""The values of a shorter answer are too few to matter."""
MAX_OBJECTS = 1 << 18
MAX_VALUES = 1 << 20
"""Of a longer one. Log probabilities, the richest that models give, have fewer in all that is read."""
_OK = 200
TAIL_BYTES = 512
"""Of an answer without text, where the server says at its end what it used."""
SLACK_TOKENS = 8
"""What a server may send beyond what it was told: some give a token for nothing, or count the end as one."""


class Answer(Protocol):
    """Takes the model's bytes and gives what goes to the caller for them; both raise Refusal."""

    def piece(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Asked(NamedTuple):
    """What the request says of how to read its answer; `is_read`: whole, if it is no stream. Output in tokens."""

    wants_stream: bool
    shows_usage: bool
    is_read: bool
    most_output: int


class Reader(NamedTuple):
    """Chooses how to read one answer. What is held of it counts against `budget`, as the `client`'s."""

    asked: Asked
    reading: Reading
    inspector: Inspector
    tally: Tally
    budget: Budget
    client: str
    request_id: str

    def events(self) -> Answer:
        assert self.reading.stream is not None  # noqa: S101 -- a protocol without streams knows no way to ask for one
        reader = self.reading.stream(self.inspector, self.tally, self.asked.shows_usage)
        return Streamed(reader, self.tally, self.asked.most_output)

    def whole(self, status: int) -> "Whole":
        return Whole(self, status, self.reading.most_bytes if status == _OK else model_error.MAX_BYTES)

    def opaque(self) -> Answer:
        return Opaque(self.reading, self.tally)

    def read(self, status: int, body: bytes) -> bytes:
        """What goes to the caller for a whole answer of the model's; raises AnswerError, and the seam's Refusal."""
        if status == _OK:
            return self.reading.whole(body, self.inspector, self.tally)
        return self.reading.error_body(model_error.read(status, body, self.inspector), self.request_id)


class Streamed:
    """Events, each as it comes; cut where the model goes on beyond what was held for it."""

    __slots__ = ("_most", "_reader", "_stream", "_tally")

    def __init__(self, reader: StreamReader, tally: Tally, most_output: int) -> None:
        self._reader = reader
        self._stream = EventStream()
        self._tally = tally
        self._most = most_output + SLACK_TOKENS

    def piece(self, data: bytes) -> bytes:
        try:
            out = b"".join(map(self._read, self._stream.feed(data)))
        except (AnswerError, EventError) as error:
            raise broken() from error
        if self._tally.floor > self._most:
            raise Refusal(Reason.ANSWER_TOO_LONG, "The model sent more than was asked for; the answer was cut.")
        return out

    def end(self) -> bytes:
        if not self._reader.is_done or not self._stream.is_between_events:
            raise broken()
        return b""

    def _read(self, event: Event) -> bytes:
        if event.data is None:
            return event_stream.COMMENT
        if self._reader.is_done:
            raise AnswerError("an event behind the last")
        # The name that the model gave an event goes no further: nobody would inspect it.
        return b"".join(map(event_stream.write, self._reader.read(event.data)))


class Whole:
    """An answer in one piece at its end. Its bytes count against the reader's budget until it is let go."""

    __slots__ = ("_kept", "_most", "_reader", "_status", "_taken")

    def __init__(self, reader: Reader, status: int, most: int) -> None:
        self._reader = reader
        self._status = status
        self._most = most
        self._kept = bytearray()
        self._taken = 0

    def piece(self, data: bytes) -> bytes:
        self._kept += data
        if len(self._kept) > SMALL_BYTES:
            self._judge(len(self._kept))
        return b""

    def end(self) -> bytes:
        body = bytes(self._kept)
        self._kept.clear()
        if len(body) > COUNTED_BYTES:
            _judge_values(body)
        try:
            out = self._reader.read(self._status, body)
        except AnswerError as error:
            raise broken() from error
        if len(out) > SMALL_BYTES:  # written anew, it may be longer than it came
            self._judge(len(out))
        return out

    def release(self) -> None:
        """It was sent, or refused. Safe to call again."""
        if self._taken:
            self._reader.budget.give_back(self._taken, self._reader.client)
            self._taken = 0

    def _judge(self, size: int) -> None:
        """Raises Refusal where it is too long, or where too many wait already for callers that do not read."""
        if size > self._most:
            raise broken(f"The model's answer has more than {self._most} bytes; ask for less, or for a stream.")
        self._hold(size)

    def _hold(self, size: int) -> None:
        if size <= self._taken:
            return
        try:
            self._reader.budget.take(size - self._taken, self._reader.client)
        except Refusal:
            self.release()  # at once: others that grow in the same turn of the loop must not fail for this one
            self._kept.clear()
            raise
        self._taken = size


def _judge_values(body: bytes) -> None:
    """Read, a value takes many times its bytes: those of 8 MiB could take all the memory that there is."""
    if body.count(b"{") > MAX_OBJECTS or body.count(b",") + body.count(b"[") > MAX_VALUES:
        raise broken("The model's answer has more values than are read; ask for less, or for a stream.")


class Opaque:
    """An answer without text: passed on as it comes, but for a look at its end."""

    __slots__ = ("_reading", "_tail", "_tally")

    def __init__(self, reading: Reading, tally: Tally) -> None:
        self._reading = reading
        self._tally = tally
        self._tail = b""

    def piece(self, data: bytes) -> bytes:
        self._tail = (self._tail + data)[-TAIL_BYTES:] if len(data) < TAIL_BYTES else data[-TAIL_BYTES:]
        return data

    def end(self) -> bytes:
        try:
            self._tally.said = self._reading.tail_usage(self._tail)
        except AnswerError as error:
            raise broken() from error
        return b""
