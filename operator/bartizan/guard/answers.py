"""How an answer's bytes are read on their way: as events, whole, or not at all; each counts what it has cost."""

from typing import NamedTuple, Protocol

from bartizan.guard import event_stream
from bartizan.guard.event_stream import Event, EventError, EventStream
from bartizan.guard.inspection import Inspector
from bartizan.guard.profiles.contract import Reading, StreamReader
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import AnswerError, Tally
from bartizan.guard.upstream_connection import broken
from bartizan.policy.reasons import Reason

MAX_WHOLE_BYTES = 8 << 20
"""An answer with text that comes whole is read whole, before any of it goes on."""
TAIL_BYTES = 512
"""Of an answer without text, where the server says at its end what it used."""
SLACK_TOKENS = 8
"""What a server may send beyond what it was told: some give a token for nothing, or count the end as one."""


class Answer(Protocol):
    """Takes the model's bytes and gives what goes to the caller for them; both raise Refusal."""

    def piece(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Asked(NamedTuple):
    """What the request says of how its answer is to be read; `most_output` in tokens."""

    wants_stream: bool
    shows_usage: bool
    answers_text: bool
    most_output: int


class Reader(NamedTuple):
    """Chooses how to read one answer."""

    asked: Asked
    reading: Reading
    inspector: Inspector
    tally: Tally

    def events(self) -> Answer:
        assert self.reading.stream is not None  # noqa: S101 -- a protocol without streams knows no way to ask for one
        reader = self.reading.stream(self.inspector, self.tally, self.asked.shows_usage)
        return Streamed(reader, self.tally, self.asked.most_output)

    def whole(self) -> Answer:
        return Whole(self.reading, self.inspector, self.tally)

    def opaque(self) -> Answer:
        return Opaque(self.reading, self.tally)


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
            out = b"".join([part for event in self._stream.feed(data) for part in self._read(event)])
        except (AnswerError, EventError) as error:
            raise broken() from error
        if self._tally.floor > self._most:
            raise Refusal(Reason.ANSWER_TOO_LONG, "The model sent more than was asked for; the answer was cut.")
        return out

    def end(self) -> bytes:
        if not self._reader.is_done or not self._stream.is_between_events:
            raise broken()
        return b""

    def _read(self, event: Event) -> list[bytes]:
        if event.data is None:
            return [event_stream.COMMENT]
        if self._reader.is_done:
            raise AnswerError("an event behind the last")
        # The name that the model gave an event goes no further: nobody would inspect it.
        return [event_stream.write(out) for out in self._reader.read(event.data)]


class Whole:
    """An answer with text, in one piece at its end."""

    __slots__ = ("_inspector", "_kept", "_reading", "_tally")

    def __init__(self, reading: Reading, inspector: Inspector, tally: Tally) -> None:
        self._reading = reading
        self._inspector = inspector
        self._tally = tally
        self._kept = bytearray()

    def piece(self, data: bytes) -> bytes:
        self._kept += data
        if len(self._kept) > MAX_WHOLE_BYTES:
            raise broken(f"The model's answer has more than {MAX_WHOLE_BYTES} bytes; ask for less, or for a stream.")
        return b""

    def end(self) -> bytes:
        body = bytes(self._kept)
        self._kept.clear()
        try:
            return self._reading.whole(body, self._inspector, self._tally)
        except AnswerError as error:
            raise broken() from error


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
