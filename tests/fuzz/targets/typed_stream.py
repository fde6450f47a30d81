"""Streams of typed events, Anthropic's and those of responses: the same at any cut, and past the seam nothing."""

import json
import random
from typing import Any

from tests.fuzz import odd_json
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.stream_words import WORDS
from tests.fuzz.target import Target
from tests.fuzz.targets.stream_answer import Recorder
from tests.unit.guard import streams, test_anthropic_answers, test_responses_answers
from tests.unit.guard.inspectors import Blot

from bartizan.guard.answers import Streamed
from bartizan.guard.event_stream import EventStream
from bartizan.guard.profiles import anthropic_answers, responses_answers
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import Tally

READERS: tuple[streams.Maker, ...] = (anthropic_answers.EventReader, responses_answers.EventReader)
STREAMS = (test_anthropic_answers.STREAM, test_responses_answers.STREAM)
EVENTS = tuple(tuple(streams.named(event) for event in events) for events in STREAMS)
_RARE: tuple[tuple[streams.Event, ...], ...] = (
    (
        test_anthropic_answers.begun(type="text", text="begun", citations=[{"cited_text": "x"}]),
        test_anthropic_answers.begun(type="thinking", thinking="begun", signature="s"),
        test_anthropic_answers.begun(type="redacted_thinking", data="x"),
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "x"}},
        },
        test_anthropic_answers.ended({"output_tokens": 3}, stop_reason="refusal", stop_details={"explanation": "x"}),
    ),
    (
        {**test_responses_answers.deltas("refusal", 1, "content_index", "x")[0], "sequence_number": 3, "logprobs": []},
        test_responses_answers.last("failed", error={"code": "x", "message": "y"}),
    ),
)
"""Events of the protocol that the streams do without."""
_MUTATORS = tuple(
    Mutator(events, (*WORDS, b'"type":', b'"delta":', b'"index":1', b'"output_index":1', odd_json.TERM.encode()))
    for events in EVENTS
)


def make(chance: random.Random) -> bytes:
    number = chance.randrange(len(READERS))
    parts = list(EVENTS[number])
    for _ in range(chance.choice((0, 0, 1, 3))):
        parts.pop(chance.randrange(len(parts)))
    how = chance.random()
    if how < 0.4:
        parts.insert(chance.randrange(len(parts) + 1), _MUTATORS[number].make(chance))
    elif how < 0.9:
        odd = odd_json.changed(chance.choice((*STREAMS[number], *_RARE[number])), chance)
        parts.insert(chance.randrange(len(parts) + 1), b"data: %b\n\n" % json.dumps(odd).encode())
    return bytes([number + len(READERS) * chance.randrange(8)]) + with_cuts(b"".join(parts), chance)


def judge(case: bytes) -> None:
    number, cut = case[0] if case else 0, pieces(case[1:])
    maker, most = READERS[number % len(READERS)], number // len(READERS)
    passed, out, seam = _read(maker, cut, Recorder(0))
    assert passed == _read(maker, [b"".join(cut)], Recorder(0))[0], "a cut decides whether the stream is whole"
    held_passed, _, holding = _read(maker, cut, Recorder(most))
    if passed:
        assert held_passed, "holding back breaks a stream"
        assert holding.given == holding.seen == seam.seen, "holding back loses text"
    _, blotted, _ = _read(maker, cut, Blot(odd_json.TERM))
    for event in EventStream().feed(blotted):
        if event.data is not None:
            value = json.loads(event.data)
            assert event.name.decode() == value["type"], "a name that nobody has inspected"
            assert odd_json.TERM not in json.dumps(value), "past the seam"
    assert len(out) < 4 * sum(map(len, cut)) + 4096


def _read(maker: streams.Maker, cut: list[bytes], inspector: Any) -> tuple[bool, bytes, Any]:
    """Whether the stream was read to its end, and what went out of it."""
    tally, out = Tally(), b""
    answer = Streamed(maker(inspector, tally, False), tally, streams.MOST_OUTPUT)
    try:
        for piece in cut:
            out += answer.piece(piece)
        return True, out + answer.end(), inspector
    except Refusal:
        return False, out, inspector
    finally:
        assert tally.floor >= 0


TARGET = Target("typed_stream", make, judge)
