"""What OpenAI's answers and stream chunks hold: texts, by choice and place, and what the server says it used."""

import re
from dataclasses import dataclass, field
from typing import Any

from bartizan.guard import event_stream
from bartizan.guard.event_stream import Event
from bartizan.guard.inspection import Inspector, Place, Step
from bartizan.guard.profiles import openai_words as words
from bartizan.guard.profiles.answer_json import encode, load, text_bytes
from bartizan.guard.profiles.openai_repeats import Repeats
from bartizan.guard.tally import AnswerError, Said, Tally, figure

DONE = b"[DONE]"
MAX_PLACES = 4096
"""Texts that grow at one time: a few for each choice and each call of a tool."""
MAX_CHOICES = 128
"""Choices of an answer, and those that are open at one time; no request gets more than 64."""
MAX_BEFORE = 256
"""Items before a text in a list of texts; the protocol's deltas have none but for tokens, which are one text."""

_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*\})')


@dataclass(slots=True)
class ChunkReader:
    """Reads one stream's chunks in their order; `shows_usage` where the caller asked for it."""

    inspector: Inspector
    tally: Tally
    shows_usage: bool
    is_done: bool = False
    _open: dict[int, dict[Place, None]] = field(default_factory=dict)
    _followed: int = 0
    _frame: dict[str, Any] = field(default_factory=dict)
    _said: words.Frame = field(default_factory=words.Frame)
    _repeats: Repeats = field(default_factory=Repeats)

    def read(self, data: bytes) -> list[Event]:
        """The events that go to the caller in place of this one; raises AnswerError, and Refusal."""
        if data == DONE:
            self.is_done = True
            return [*(rest for index in list(self._open) for rest in self._rests(index)), Event(DONE)]
        if (text := self._repeats.find(data)) is not None:
            return [self._read_text(data, text)]
        self._repeats.forget()
        chunk = self._frame = load(data)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) > MAX_CHOICES or chunk.get("error") is not None:
            raise AnswerError("a chunk that holds no choices, too many, or an error")
        has_changed = self._said.judge(chunk, self.inspector) | self._read_usage(chunk, has_choices=bool(choices))
        before: list[Event] = []
        for choice in choices:
            has_changed |= self._read_choice(choice)
            if choice.get("finish_reason") is not None:
                before += self._rests(choice["index"])
        if not choices and "usage" in chunk and not self.shows_usage:
            return before
        if has_changed:
            return [*before, Event(encode(chunk))]
        self._repeats.learn(data, chunk)
        return [*before, Event(data)]

    def _read_text(self, data: bytes, text: str) -> Event:
        """A chunk of which only the text is new."""
        released = self.inspector.answer(self._repeats.place, text)
        self.tally.floor += bool(text)
        return Event(data if released == text else self._repeats.write(released))

    def _read_usage(self, chunk: dict[str, Any], *, has_choices: bool) -> bool:
        """Whether something of the chunk must be left out."""
        used = chunk.get("usage")
        if used is None:
            return False
        self.tally.said = usage(used)
        if self.shows_usage:
            return words.show_usage(used, self.inspector)
        if has_choices:
            del chunk["usage"]
        return has_choices

    def _read_choice(self, choice: Any) -> bool:  # noqa: ANN401 - whatever JSON the server sent
        """Whether the seam has changed something of it."""
        if not isinstance(choice, dict) or type(choice.get("index")) is not int:
            raise AnswerError("a choice without an index")
        index, has_changed, has_text = choice["index"], False, False
        places = self._open.get(index)
        if places is None:
            places = self._begin(index)
        strings = words.strings(choice)
        for path, holder, key in strings.spots:
            text, place = holder[key], Place(index, path)
            if place not in places:
                self._follow(places, place)
            released = self.inspector.answer(place, text)
            has_text |= bool(text) and key not in words.WITHOUT_TOKENS
            if released != text:
                words.put(holder, key, released)
                has_changed = True
        self.tally.floor += has_text
        if choice.get("finish_reason") is not None:
            has_changed |= self._end_within(index, strings.spots)
        if strings.odd:
            has_changed |= words.show_names(strings, index, self.inspector)
        return has_changed

    def _end_within(self, index: int, spots: list[words.Spot]) -> bool:
        """Of a choice that ends with this chunk: what was held back of a text follows what the chunk says of it."""
        has_changed = False
        for place, (holder, key) in {Place(index, path): (holder, key) for path, holder, key in spots}.items():
            if rest := self.inspector.rest(place):
                words.put(holder, key, holder[key] + rest)
                has_changed = True
            del self._open[index][place]
            self._followed -= 1
        return has_changed

    def _begin(self, index: int) -> dict[Place, None]:
        places = self._open[index] = {}
        if len(self._open) > MAX_CHOICES:
            raise AnswerError("more choices in one answer than can be followed")
        return places

    def _follow(self, places: dict[Place, None], place: Place) -> None:
        places[place] = None
        self._followed += 1
        if self._followed > MAX_PLACES:
            raise AnswerError("more texts in one answer than can be followed")
        _grown(place.path, "")  # what could not be held back breaks the stream whether or not it is

    def _rests(self, index: int) -> list[Event]:
        """What was held back of a choice that has ended, of texts that its last chunk says nothing of."""
        found = []
        places = self._open.pop(index, {})
        self._followed -= len(places)
        for place in places:
            if text := self.inspector.rest(place):
                choice = {"index": index, **_grown(place.path, text), "finish_reason": None}
                frame = {name: value for name, value in self._frame.items() if name != "usage"}
                found.append(Event(encode({**frame, "choices": [choice]})))
        return found


def read_whole(body: bytes, inspector: Inspector, tally: Tally) -> bytes:
    """An answer that came whole, as it goes to the caller; raises AnswerError, and Refusal."""
    answer = load(body)
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) > MAX_CHOICES:
        raise AnswerError("an answer without choices, or with more than can be")
    if answer.get("usage") is not None:
        tally.said = usage(answer["usage"])
    has_changed = words.judge_frame(answer, inspector) | words.show_usage(answer.get("usage"), inspector)
    for choice in choices:
        if not isinstance(choice, dict):
            raise AnswerError("a choice that is none")
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        has_changed |= words.show_whole(words.strings(choice), index, inspector)
        tally.floor += 1
    if tally.said is None or tally.said.output is None:
        tally.text_bytes += text_bytes(choices)
    return encode(answer) if has_changed else body


def usage(said: Any) -> Said:  # noqa: ANN401 - whatever JSON the server sent
    """Raises AnswerError."""
    if not isinstance(said, dict):
        raise AnswerError("usage that is no object")
    return Said(figure(said.get("prompt_tokens")), figure(said.get("completion_tokens")))


def tail_usage(tail: bytes) -> Said | None:
    """What the last bytes of an answer without text say of usage, which stands at its end; None where nothing does."""
    found = _USAGE.search(tail)
    return usage(load(found[1])) if found else None


def error_event(body: bytes) -> bytes:
    """The event in a stream that tells of an error, in the words of a refusal's body."""
    return event_stream.write(Event(body))


def _grown(path: tuple[Step, ...], text: str) -> dict[str, Any]:
    """The smallest delta that has `text` at `path`."""
    value: Any = text
    for step in reversed(path):
        if isinstance(step, str):
            value = {step: value}
        elif isinstance(value, dict) and "index" not in value:
            value = [{"index": step, **value}]
        else:
            value = [*_empty(value, step), value]
    grown: dict[str, Any] = value
    return grown


def _empty(value: Any, places: Any) -> list[Any]:  # noqa: ANN401 - any JSON, and where in its list it stands
    """What stands before it in its list, which says no place: as many of its kind, with nothing in them."""
    if places > MAX_BEFORE:
        raise AnswerError("a text too far down in a list to be held back")
    return [type(value)()] * int(places)
