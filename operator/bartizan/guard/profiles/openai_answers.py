"""What OpenAI's answers and stream chunks hold: texts, by choice and place, and what the server says it used."""

import re
from dataclasses import dataclass, field
from typing import Any

from bartizan.guard import event_stream
from bartizan.guard.event_stream import Event
from bartizan.guard.inspection import Inspector, Place, Step
from bartizan.guard.profiles.answer_json import MAX_DEPTH, encode, load, show, trim
from bartizan.guard.tally import AnswerError, Tally
from bartizan.policy.tokens import Amount

DONE = b"[DONE]"
MAX_PLACES = 4096
"""Texts that grow at one time: a few for each choice and each call of a tool."""

_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*\})')
_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})
"""Of an answer's own fields, those that go on: servers put texts and more into others, where nobody looks for them."""
REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""Why a choice has ended, in the protocol's words; the seam sees every other string."""
_WITHOUT_TOKENS = frozenset({"role", "finish_reason", "stop_reason"})
"""Of a choice's strings, those that cost nothing."""
NAMES = frozenset(
    (
        *("index", "delta", "message", "text", "finish_reason", "stop_reason", "logprobs"),
        *("role", "content", "refusal", "reasoning", "reasoning_content", "annotations", "audio"),
        *("tool_calls", "id", "type", "function", "name", "arguments", "function_call", "custom", "input"),
        *("token", "logprob", "bytes", "top_logprobs", "tokens", "token_logprobs", "text_offset"),
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
        *("cached_tokens", "audio_tokens", "reasoning_tokens"),
        *("accepted_prediction_tokens", "rejected_prediction_tokens"),
    )
)
"""The protocol's own names in choices and usage; the seam sees every other one, for it may be the model's word: in the
old log probabilities, tokens are names."""

_NESTED = (dict, list)
Path = tuple[Step, ...]
Spot = tuple[Path, Any, Any]
"""Where a string grows, and the object or list and the key in it that hold it now."""


class _Strings:
    """Of one choice: the spots of its strings, and the objects with names that are not the protocol's."""

    __slots__ = ("odd", "spots")

    def __init__(self) -> None:
        self.spots: list[Spot] = []
        self.odd: list[tuple[Path, dict[str, Any]]] = []


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

    def read(self, data: bytes) -> list[Event]:
        """The events that go to the caller in place of this one; raises AnswerError, and Refusal."""
        if data == DONE:
            self.is_done = True
            return [*(rest for index in list(self._open) for rest in self._rests(index)), Event(DONE)]
        chunk = self._frame = load(data)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or chunk.get("error") is not None:
            raise AnswerError("a chunk that holds no choices, or an error")
        has_changed = trim(chunk, _FIELDS) | self._read_usage(chunk, has_choices=bool(choices))
        before: list[Event] = []
        for choice in choices:
            has_changed |= self._read_choice(choice)
            if choice.get("finish_reason") is not None:
                before += self._rests(choice["index"])
        if not choices and "usage" in chunk and not self.shows_usage:
            return before
        return [*before, Event(encode(chunk) if has_changed else data)]

    def _read_usage(self, chunk: dict[str, Any], *, has_choices: bool) -> bool:
        """Whether something of the chunk must be left out."""
        used = chunk.get("usage")
        if used is None:
            return False
        self.tally.said = usage(used)
        if self.shows_usage:
            return _show_usage(used, self.inspector)
        if has_choices:
            del chunk["usage"]
        return has_choices

    def _read_choice(self, choice: Any) -> bool:  # noqa: ANN401 - whatever JSON the server sent
        """Whether the seam has changed something of it."""
        if not isinstance(choice, dict) or type(choice.get("index")) is not int:
            raise AnswerError("a choice without an index")
        index, has_changed, has_text = choice["index"], False, False
        places = self._open.setdefault(index, {})
        strings = _strings(choice)
        for path, holder, key in strings.spots:
            text, place = holder[key], Place(index, path)
            if place not in places:
                self._follow(places, place)
            released = self.inspector.answer(place, text)
            has_text |= bool(text) and key not in _WITHOUT_TOKENS
            if released != text:
                holder[key], has_changed = released, True
        self.tally.floor += has_text
        if choice.get("finish_reason") is not None:
            has_changed |= self._end_within(index, strings.spots)
        return _show_names(strings, index, self.inspector) | has_changed

    def _end_within(self, index: int, spots: list[Spot]) -> bool:
        """Of a choice that ends with this chunk: what was held back of a text follows what the chunk says of it."""
        has_changed = False
        for place, (holder, key) in {Place(index, path): (holder, key) for path, holder, key in spots}.items():
            if rest := self.inspector.rest(place):
                holder[key], has_changed = holder[key] + rest, True
            del self._open[index][place]
            self._followed -= 1
        return has_changed

    def _follow(self, places: dict[Place, None], place: Place) -> None:
        places[place] = None
        self._followed += 1
        if self._followed > MAX_PLACES or len(self._open) > MAX_PLACES:
            raise AnswerError("more texts in one answer than can be followed")

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
    if not isinstance(choices, list):
        raise AnswerError("an answer without choices")
    if answer.get("usage") is not None:
        tally.said = usage(answer["usage"])
    has_changed = trim(answer, _FIELDS) | _show_usage(answer.get("usage"), inspector)
    for choice in choices:
        if not isinstance(choice, dict):
            raise AnswerError("a choice that is none")
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        has_changed |= _show_whole(_strings(choice), index, inspector)
        tally.floor += 1
    return encode(answer) if has_changed else body


def usage(said: Any) -> Amount:  # noqa: ANN401 - whatever JSON the server sent
    """Raises AnswerError."""
    if not isinstance(said, dict):
        raise AnswerError("usage that is no object")
    return Amount(_figure(said.get("prompt_tokens")), _figure(said.get("completion_tokens")))


def _figure(said: Any) -> int:  # noqa: ANN401 - whatever JSON the server sent
    if type(said) is int and said >= 0:
        return said
    if said is None:
        return 0
    raise AnswerError("usage without whole numbers")


def tail_usage(tail: bytes) -> Amount | None:
    """What the last bytes of an answer without text say of usage, which stands at its end; None where nothing does."""
    found = _USAGE.search(tail)
    return usage(load(found[1])) if found else None


def error_event(body: bytes) -> bytes:
    """The event in a stream that tells of an error, in the words of a refusal's body."""
    return event_stream.write(Event(body))


def _strings(choice: dict[str, Any]) -> _Strings:
    """Every string of a choice. A list and no generator: this runs for each chunk of each stream."""
    found = _Strings()
    if not choice.keys() <= NAMES:
        found.odd.append(((), choice))
    for name, value in choice.items():
        if isinstance(value, str):
            if name != "finish_reason" or value not in REASONS:
                found.spots.append(((name,), choice, name))
        elif isinstance(value, _NESTED):
            _gather(value, (name,), found)
    return found


def _gather(holder: Any, path: Path, found: _Strings) -> None:  # noqa: ANN401 - any object or list
    if len(path) >= MAX_DEPTH:
        raise AnswerError("a choice that is nested too deep")
    is_list = isinstance(holder, list)
    if not is_list and not holder.keys() <= NAMES:
        found.odd.append((path, holder))
    for key, value in enumerate(holder) if is_list else holder.items():
        if isinstance(value, str):
            found.spots.append(((*path, key), holder, key))
        elif isinstance(value, _NESTED):
            _gather(value, (*path, _step(value, key) if is_list else key), found)


def _show_whole(strings: _Strings, index: int, inspector: Inspector) -> bool:
    """Show the seam strings and names that are whole; whether it has changed something."""
    has_changed = False
    for path, holder, key in strings.spots:
        text = holder[key]
        released = show(inspector, Place(index, path), text)
        if released is not text:
            holder[key], has_changed = released, True
    return _show_names(strings, index, inspector) | has_changed


def _show_names(strings: _Strings, index: int, inspector: Inspector) -> bool:
    """Show the seam the names that are not the protocol's, each a text of its own; whether it has changed one."""
    has_changed = False
    for path, holder in strings.odd:
        renamed: dict[str, Any] = {}
        for position, (name, value) in enumerate(holder.items()):
            released = name if name in NAMES else show(inspector, Place(index, (*path, position)), name)
            if released is not name and not isinstance(value, int | float | None):
                raise AnswerError("a text under a name that may not go out")  # later pieces would grow under it
            renamed[released] = value
        if renamed.keys() != holder.keys():
            holder.clear()
            holder.update(renamed)
            has_changed = True
    return has_changed


def _show_usage(used: Any, inspector: Inspector) -> bool:  # noqa: ANN401 - whatever JSON the server sent
    if not isinstance(used, dict):
        return False
    strings = _Strings()
    _gather(used, ("usage",), strings)
    return _show_whole(strings, 0, inspector)


def _step(item: Any, place: Step) -> Step:  # noqa: ANN401 - any object or list
    """Where an item of a list stands by its own word, else its place."""
    index = item.get("index") if isinstance(item, dict) else None
    return index if type(index) is int else place


def _grown(path: tuple[Step, ...], text: str) -> dict[str, Any]:
    """The smallest delta that has `text` at `path`."""
    value: Any = text
    for step in reversed(path):
        if isinstance(step, str):
            value = {step: value}
        else:
            value = [{"index": step, **value}] if isinstance(value, dict) else [value]
    grown: dict[str, Any] = value
    return grown
