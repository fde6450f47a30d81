"""A stream on its way: read or broken, the same at any cut; nothing goes out that the seam has not given out."""

import json
import random
from collections import defaultdict
from typing import Any

from tests.fuzz import odd_json
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.stream_words import EVENTS, WORDS
from tests.fuzz.target import Target
from tests.unit.guard.inspectors import Blot, HoldBack

from bartizan.guard.answers import Streamed
from bartizan.guard.event_stream import EventStream
from bartizan.guard.inspection import Place
from bartizan.guard.profiles.openai_answers import DONE, ChunkReader
from bartizan.guard.profiles.openai_words import NAMES, OF_LOGPROBS, REASONS
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import Tally

MOST_OUTPUT = 8
_MUTATOR = Mutator(EVENTS, WORDS)
_CHUNKS = tuple(
    json.loads(event.data)
    for event in EventStream().feed(b"".join(EVENTS))
    if event.data is not None and event.data != DONE
)
Texts = dict[Place, str]


class Recorder(HoldBack):
    """Holds back, and keeps what it gave out."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.given: Texts = defaultdict(str)
        self.words: set[str] = set()

    def answer(self, place: Place, text: str) -> str:
        self.words.add(text)
        given = super().answer(place, text)
        self.given[place] += given
        return given

    def rest(self, place: Place) -> str:
        given = super().rest(place)
        self.given[place] += given
        return given


def make(chance: random.Random) -> bytes:
    parts = [chance.choice(EVENTS) for _ in range(chance.randrange(8))]
    how = chance.random()
    if how < 0.4:
        parts.insert(chance.randrange(len(parts) + 1), _MUTATOR.make(chance))
    elif how < 0.8:
        odd = odd_json.changed(chance.choice(_CHUNKS), chance)
        parts.insert(chance.randrange(len(parts) + 1), b"data: %b\n\n" % json.dumps(odd).encode())
    data = b"".join(parts) + (EVENTS[-1] if chance.random() < 0.8 else b"")
    return bytes([chance.randrange(8)]) + with_cuts(data, chance)


def judge(case: bytes) -> None:
    most, shows_usage, cut = case[0] >> 1 if case else 0, bool(case and case[0] & 1), pieces(case[1:])
    whole = [b"".join(cut)]
    passed, out, seam = _read(cut, Recorder(0), shows_usage=shows_usage)
    assert (passed, out if passed else b"") == _read(whole, Recorder(0), shows_usage=shows_usage)[:2] or not passed
    assert passed == _read(whole, Recorder(0), shows_usage=shows_usage)[0], "a cut decides whether the stream is whole"
    held_passed, held_out, holding = _read(cut, Recorder(most), shows_usage=shows_usage)
    for output, inspector in ((out, seam), (held_out, holding)):
        _judge_seen(output, inspector)
    _, blotted, _ = _read(cut, Blot(odd_json.TERM), shows_usage=shows_usage)
    assert not any(odd_json.TERM in json.dumps(event) for event in _events(blotted)), "past the seam"
    if passed:
        assert held_passed, "holding back breaks a stream"
        assert holding.given == holding.seen == seam.seen, "holding back loses text"
        assert shows_usage or not any(event.get("usage") for event in _events(out)), "usage that nobody asked for"


def _read(cut: list[bytes], inspector: Any, *, shows_usage: bool) -> tuple[bool, bytes, Any]:
    """Whether the stream was read to its end, and what went out of it."""
    tally, out = Tally(), b""
    answer = Streamed(ChunkReader(inspector, tally, shows_usage), tally, MOST_OUTPUT)
    try:
        for piece in cut:
            out += answer.piece(piece)
        return True, out + answer.end(), inspector
    except Refusal:
        return False, out, inspector
    finally:
        assert tally.floor >= 0
        assert answer._stream._line_bytes + answer._stream._begun_bytes <= sum(map(len, cut))


def _judge_seen(output: bytes, inspector: Recorder) -> None:
    """Every string of every choice that went out is the seam's own word, in order."""
    gone: Texts = defaultdict(str)
    for event in _events(output):
        for choice in event["choices"]:
            assert _names(choice) - NAMES - OF_LOGPROBS <= inspector.words, "a name that the seam has not seen"
            for path, text in _texts(choice, ()):
                gone[Place(choice["index"], path)] += text
    for place, text in gone.items():
        assert inspector.given.get(place, "").startswith(text), f"a text that the seam did not give out, at {place}"


def _events(output: bytes) -> list[dict[str, Any]]:
    found = EventStream().feed(output)
    assert not any(event.name for event in found), "a name that nobody has inspected"
    return [json.loads(event.data) for event in found if event.data is not None and event.data != DONE]


def _texts(value: Any, path: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, list):
        is_of_tokens = len(path) == 2 and path[0] == "logprobs"
        steps = [
            (0 if is_of_tokens else item["index"] if _has_index(item) else at, item) for at, item in enumerate(value)
        ]
        return [found for step, item in steps for found in _texts(item, (*path, step))]
    if isinstance(value, dict):
        return [
            found
            for name, item in value.items()
            if path or name != "finish_reason" or not isinstance(item, str) or item not in REASONS
            for found in _texts(item, (*path, name))
        ]
    return []


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {*value, *(name for item in value.values() for name in _names(item))}
    return {name for item in value for name in _names(item)} if isinstance(value, list) else set()


def _has_index(item: Any) -> bool:
    return isinstance(item, dict) and type(item.get("index")) is int


TARGET = Target("stream_answer", make, judge)
