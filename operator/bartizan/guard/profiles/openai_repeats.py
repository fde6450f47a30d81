"""Chunks of a stream that are, byte for byte, the one before but for one text: nothing else of them is read anew.

A model's chunks mostly differ in the token that they bring. What stands round it was judged with the chunk before, and
a text that needs no escape (RFC 8259, 7) cannot make anything else of it: it is the seam's to see, and no more.
"""

import re
from typing import Any

from bartizan.guard.inspection import Place
from bartizan.guard.profiles import openai_words as words
from bartizan.guard.profiles.answer_json import encode, load
from bartizan.guard.tally import AnswerError

CHANCES = 16
"""Chunks from which it is learnt in vain, one after another, until it is given up: they cost twice."""
MOST_BYTES = 4096
"""Of a chunk that it is learnt from; one token's has some 200."""
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*+')
_PROBE = "(a text in place of the text)"


class Repeats:
    """Of one stream; `place` is where the texts grow that it finds."""

    __slots__ = ("_after", "_before", "_chances", "place")

    def __init__(self, chances: int = CHANCES) -> None:
        self.place = Place(0, ())
        self._before = b""
        """Empty where nothing can be told from the chunk before."""
        self._after = b""
        self._chances = chances

    def find(self, data: bytes) -> str | None:
        """The text of a chunk that is the one before but for it; None of any other, which must be read."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after):
            return None
        found = _PLAIN.fullmatch(data, len(before), len(data) - len(after))
        if found is None:
            return None
        try:
            text = found[0].decode("utf-8")
        except UnicodeDecodeError:
            return None
        self._chances = CHANCES
        return text

    def write(self, text: str) -> bytes:
        """The chunk with this text in place of its own."""
        return self._before + encode(text)[1:-1] + self._after

    def forget(self) -> None:
        self._before = b""

    def learn(self, data: bytes, chunk: dict[str, Any]) -> None:
        """From a chunk that was read and went on as it came."""
        spot = _only_text(chunk)
        if spot is None or not self._chances or len(data) > MOST_BYTES:
            return
        self._chances -= 1
        path, holder, key = spot
        before, quote, after = _cut(data, holder[key])
        if quote and _is_between(before, after, chunk, spot):
            self.place = Place(chunk["choices"][0]["index"], path)
            self._before, self._after = before, after


def _only_text(chunk: dict[str, Any]) -> words.Spot | None:
    """Where a chunk's text stands that brings one, and nothing else of a choice or of usage."""
    choices = chunk["choices"]
    if len(choices) != 1 or chunk.get("usage") is not None or choices[0].get("finish_reason") is not None:
        return None
    strings = words.strings(choices[0])
    if len(strings.spots) != 1 or strings.odd:
        return None
    path, _, key = strings.spots[0]
    return None if path[0] == "logprobs" or key in words.WITHOUT_TOKENS else strings.spots[0]


def _cut(data: bytes, text: str) -> tuple[bytes, bytes, bytes]:
    before, quoted, after = data.partition(b'"%b"' % text.encode("utf-8", "surrogatepass"))
    return before + quoted[:1], quoted[:1], quoted[:1] + after


def _is_between(before: bytes, after: bytes, chunk: dict[str, Any], spot: words.Spot) -> bool:
    """Whether another text between the two is another text at the spot: the bytes of a text may stand anywhere."""
    _, holder, key = spot
    text = holder[key]
    if text == _PROBE:
        return False
    holder[key] = _PROBE
    try:
        return load(before + _PROBE.encode("ascii") + after) == chunk
    except AnswerError:
        return False
    finally:
        holder[key] = text
