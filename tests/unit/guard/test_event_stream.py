"""Server-sent events are read the same however their bytes are cut."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.guard import event_stream
from bartizan.guard.event_stream import MAX_EVENT_BYTES, Event, EventError, EventStream


def read(*pieces: bytes) -> list[Event]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\n", [Event(b"a")]),
        (b"data:a\n\ndata:  b\n\n", [Event(b"a"), Event(b" b")]),
        (b"data: a\ndata: b\n\n", [Event(b"a\nb")]),
        (b"data\n\n", [Event(b"")]),
        (b"event: delta\ndata: a\n\n", [Event(b"a", b"delta")]),
        (b"event: delta\n\n", []),
        (b"event: delta\nevent\ndata: a\n\n", [Event(b"a")]),
        (b": ping\n\n", [Event(None)]),
        (b": ping\ndata: a\n\n", [Event(b"a")]),
        (b"id: 7\nretry: 10\ndata: a\n\n", [Event(b"a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event(b"a"), Event(b"b")]),
        (b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")]),
        (b"data: a\n\r\n", [Event(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
        (b"\n\n\ndata: a\n\n\n\n", [Event(b"a")]),
        (b"data: a\n", []),
        (b"dat", []),
        ("data: ä€😀\n\n".encode(), [Event("ä€😀".encode())]),
        (b"databank: x\n\n", [Event(None)]),
    ],
)
def test_events_are_read_at_every_split(text: bytes, events: list[Event]) -> None:
    assert read(text) == events
    assert read(*(text[place : place + 1] for place in range(len(text)))) == events
    for place in range(len(text)):
        assert read(text[:place], text[place:]) == events


@pytest.mark.parametrize(
    "pieces",
    [
        (b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"),
        (b"data: a\r\r", b"data: b\n\n", b"\ndata: c\n\n"),
        (b"data: a\r\r", b"\ndata: b\n\n", b"data: c\n\n"),
        (b"event: x\n", b"data: a\n\n"),
        (b"data: a\n", b"data: b\n\n"),
        (b"data", b"data: b\n\n"),
        (b": a\n", b"data: b\n\n", b": c\n\n"),
    ],
)
def test_an_event_that_comes_by_itself_is_read_as_among_others(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces) == read(b"".join(pieces))


LINES = st.sampled_from(
    [b"data: a", b"data:", b"data: {}", b": c", b"event: x", b"", b"", b"junk", "data: é€".encode()]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=30), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_gives_the_same_events(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    text = b"".join(line + end for line, end in lines)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[begin:end] for begin, end in itertools.pairwise(places)]
    assert read(*pieces) == read(text)


@given(
    events=st.lists(
        st.one_of(st.none(), st.text(st.characters(blacklist_characters="\r", codec="utf-8")).map(str.encode)).map(
            Event
        )
    )
)
def test_what_is_written_is_read_again(events: list[Event]) -> None:
    assert read(b"".join(event_stream.write(event) for event in events)) == events


def test_it_knows_whether_a_stream_may_end_here() -> None:
    stream = EventStream()
    assert stream.is_between_events
    whole = b"data: a\n\n"
    for piece, is_between in (
        (b"da", False),
        (b"ta: a\n", False),
        (b"\n", True),
        (whole + b"data: b\n", False),
        (b"\n", True),
        (whole + b"d", False),
        (b"\n\n" + whole, True),
        (b"event: x\n", False),
    ):
        stream.feed(piece)
        assert stream.is_between_events is is_between


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"])
def test_an_event_without_end_is_not_kept(piece: bytes) -> None:
    stream = EventStream()
    for _ in range(MAX_EVENT_BYTES // len(piece)):
        stream.feed(piece)
    with pytest.raises(EventError):
        stream.feed(piece)


def test_an_event_in_very_small_pieces_costs_no_more_than_its_bytes() -> None:
    stream = EventStream()
    for _ in range(MAX_EVENT_BYTES - 10):
        stream.feed(b"x")
    assert stream.feed(b"\n\n") == [Event(None)]


def test_small_pieces_of_a_long_line_take_little_more_than_their_bytes() -> None:
    stream = EventStream()
    tracemalloc.start()
    try:
        for number in range(200_000):
            stream.feed(b"%02d" % (number % 100))
        assert tracemalloc.get_traced_memory()[0] < 800_000, "of 400,000 bytes"
    finally:
        tracemalloc.stop()
