"""A chunk that repeats the one before but for its text is read as it would be by itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard.inspectors import Blot, HoldBack

from bartizan.guard.inspection import Place
from bartizan.guard.profiles.openai_answers import DONE, ChunkReader
from bartizan.guard.profiles.openai_repeats import CHANCES, MOST_BYTES, Repeats
from bartizan.guard.tally import AnswerError, Tally


def chunk(text: str, name: str = "content", reason: str | None = None, index: int = 0, **frame: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": {name: text}, "finish_reason": reason}
    return {"id": "c", "model": "m", **frame, "choices": [choice]}


def learnt(first: dict[str, Any]) -> Repeats:
    found = Repeats()
    found.learn(json.dumps(first).encode(), first)
    return found


def find(found: Repeats, other: dict[str, Any]) -> str | None:
    return found.find(json.dumps(other, ensure_ascii=False).encode())


@pytest.mark.parametrize("text", ["b", "", "né", "{}[]:,", "a" * MOST_BYTES, "content"])
def test_the_text_of_a_repeated_chunk_is_found(text: str) -> None:
    found = learnt(chunk(" a"))
    assert find(found, chunk(text)) == text
    assert found.place == Place(0, ("delta", "content"))
    assert found.write(text) == json.dumps(chunk(text)).encode()


@pytest.mark.parametrize(
    "other",
    [
        chunk("b", id="d"),
        chunk("b", reason="stop"),
        chunk("b", index=1),
        chunk("b", name="refusal"),
        chunk('b"'),
        chunk("b\\n"),
        chunk("b\n"),
        chunk("b", usage={"completion_tokens": 1}),
    ],
    ids=["id", "end", "choice", "place", "quote", "escape", "control", "usage"],
)
def test_every_other_chunk_must_be_read(other: dict[str, Any]) -> None:
    assert find(learnt(chunk(" a")), other) is None


def test_bytes_that_are_no_text_must_be_read() -> None:
    found, data = learnt(chunk("a")), json.dumps(chunk("a")).encode()
    assert found.find(data.replace(b'"a"', b'"\xff"')) is None
    assert found.find(data.replace(b'"a"', b'"')) is None


@pytest.mark.parametrize(
    "first",
    [
        chunk("m"),
        chunk("id"),
        chunk(":"),
        chunk(","),
        chunk("é"),
        chunk("a\n"),
        chunk("\ud800"),
        chunk("(a text in place of the text)"),
        chunk("a", reason="stop"),
        chunk("a", name="role"),
        chunk("a", name="unheard-of"),
        chunk("a", usage={"completion_tokens": 1}),
        chunk("a" * MOST_BYTES),
        {"choices": []},
        {"choices": chunk("a")["choices"] * 2},
        {"choices": [{"index": 0, "logprobs": {"content": [{"token": "a", "logprob": -1, "bytes": [97]}]}}]},
    ],
    ids=str,
)
def test_nothing_is_learnt_from_a_chunk_that_leaves_a_doubt(first: dict[str, Any]) -> None:
    data = json.dumps(first, separators=(",", ":"))
    found = Repeats()
    found.learn(data.encode(), first)
    assert json.dumps(first, separators=(",", ":")) == data
    assert found.find(data.encode()) is None


def test_what_is_learnt_in_vain_is_given_up() -> None:
    found = Repeats()
    for number in range(CHANCES + 1):
        other = chunk("a", id=str(number))
        found.forget()
        found.learn(json.dumps(other).encode(), other)
        assert find(found, chunk("b", id="none")) is None
    assert find(found, chunk("b", id=str(CHANCES))) is None


class Log(HoldBack):
    """Lets all pass, and keeps what it was shown, in order."""

    def __init__(self) -> None:
        super().__init__(0)
        self.shown: list[tuple[Place, str]] = []

    def answer(self, place: Place, text: str) -> str:
        self.shown.append((place, text))
        return super().answer(place, text)


_TEXTS = st.sampled_from(["a", "m", "c", "", ":", ",", '"', "\\", "\n", "é", "content", "hello", "(a text in place"])
_CHUNKS = st.builds(
    chunk,
    st.lists(_TEXTS, max_size=3).map("".join),
    st.sampled_from(["content"] * 8 + ["refusal", "role", "odd"]),
    st.sampled_from([None] * 8 + ["stop"]),
    st.sampled_from([0, 0, 0, 0, 1]),
    id=st.sampled_from(["c"] * 8 + ["d"]),
)
_DATA = st.lists(
    st.tuples(
        _CHUNKS, st.booleans(), st.sampled_from([None] * 20 + list(range(60))), st.binary(min_size=1, max_size=1)
    ),
    max_size=12,
)


def _read(repeats: Repeats, inspector: Any, stream: list[bytes]) -> tuple[list[Any], Tally, bool]:
    reader, out = ChunkReader(inspector, Tally(), shows_usage=False), []
    reader._repeats = repeats
    try:
        for data in (*stream, DONE):
            out += [event.data if event.data == DONE else json.loads(event.data or b"") for event in reader.read(data)]
    except AnswerError:
        return out, reader.tally, False
    return out, reader.tally, True


@given(_DATA)
def test_a_stream_is_the_same_whether_it_is_learnt_from_or_not(
    given_chunks: list[tuple[Any, bool, Any, bytes]],
) -> None:
    stream = []
    for value, is_ascii, place, byte in given_chunks:
        data = json.dumps(value, ensure_ascii=is_ascii).encode()
        stream.append(data if place is None else data[:place] + byte + data[place + 1 :])
    learning, plain = Log(), Log()
    assert _read(Repeats(), learning, stream) == _read(Repeats(0), plain, stream)
    assert learning.shown == plain.shown
    assert _read(Repeats(), Blot("hello"), stream) == _read(Repeats(0), Blot("hello"), stream)
