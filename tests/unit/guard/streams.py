"""Streams of events for tests: written as servers write them, cut anywhere, put together as clients do."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from bartizan.guard.answers import Streamed
from bartizan.guard.event_stream import EventStream
from bartizan.guard.inspection import Inspector
from bartizan.guard.profiles.contract import StreamReader
from bartizan.guard.tally import Tally

Event = dict[str, Any]
Maker = Callable[[Inspector, Tally, bool], StreamReader]
MOST_OUTPUT = 10_000


def wire(events: Iterable[Event]) -> bytes:
    return b"".join(named(event) for event in events)


def named(event: Event) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def passed(maker: Maker, inspector: Inspector, pieces: Iterable[bytes], tally: Tally | None = None) -> bytes:
    """What goes to the caller for what came from the model in these pieces; raises Refusal."""
    kept = Tally() if tally is None else tally
    answer = Streamed(maker(inspector, kept, False), kept, MOST_OUTPUT)
    return b"".join([answer.piece(piece) for piece in pieces]) + answer.end()


def read(out: bytes) -> list[Event]:
    """The events as a client sees them, each name the one that its data says."""
    events = []
    for event in EventStream().feed(out):
        if event.data is not None:
            value = json.loads(event.data)
            assert event.name.decode() == value["type"]
            events.append(value)
    return events


def cuts(data: bytes) -> Iterable[tuple[bytes, ...]]:
    """Every way to cut it in two, and byte by byte."""
    yield tuple(bytes([byte]) for byte in data)
    for cut in range(len(data) + 1):
        yield data[:cut], data[cut:]
