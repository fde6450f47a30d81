"""Server-sent events: any cut gives the events that the standard's own words give, and none is kept without end."""

import random
import re

from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.stream_words import EVENTS, WORDS
from tests.fuzz.target import Target

from bartizan.guard import event_stream
from bartizan.guard.event_stream import EventStream

_LINES = (
    b"data: a",
    b"data:  b",
    b"data",
    b"data:",
    b": c",
    b":",
    b"event: e",
    b"event",
    b"id: 1",
    b"x",
    b"",
    b"",
    b"datax: y",
)
_MUTATOR = Mutator(EVENTS, WORDS)


def make(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        data = b"".join(chance.choice(EVENTS) for _ in range(chance.randrange(5))) + _MUTATOR.make(chance)
    else:
        ends = (b"\n", b"\n", b"\r\n", b"\r")
        data = b"".join(chance.choice(_LINES) + chance.choice(ends) for _ in range(chance.randrange(20)))
    return with_cuts(data, chance)


def judge(case: bytes) -> None:
    cut = pieces(case)
    text = b"".join(cut)
    stream = EventStream()
    events = [event for piece in cut for event in stream.feed(piece)]
    assert events == EventStream().feed(text), "a cut decides what the events are"
    assert [(event.data, event.name) for event in events if event.data is not None] == _by_the_standard(text)
    written = b"".join(map(event_stream.write, events))
    assert _by_the_standard(written) == _by_the_standard(text) or b"\r" in written, (
        "what is written means something else"
    )
    assert not stream.is_between_events or not text or re.search(rb"(\n|\r)\Z", text), "an end in the middle of a line"


def _by_the_standard(text: bytes) -> list[tuple[bytes, bytes]]:
    """HTML standard, 9.2.6: data and name of the events that are dispatched."""
    lines = re.split(rb"\r\n|\n|\r", text.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events: list[tuple[bytes, bytes]] = []
    data: list[bytes] = []
    name = b""
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            events += [(b"\n".join(data), name)] if data else []
            data, name = [], b""
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


TARGET = Target("event_stream", make, judge)
