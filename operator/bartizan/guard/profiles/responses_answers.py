"""What OpenAI's responses and their stream events hold: texts, by output item and part, and what was used.

A text grows by events of deltas and is then said again whole, up to four times: where it is done, with its part, its
item and the response. Said again, it goes on as it was released; any other string is shown to the seam once. An event
of a type that is not listed here is dropped: it tells of tools that the server runs, or of media, and both are refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, TypeGuard

from bartizan.guard import event_stream
from bartizan.guard.event_stream import Event
from bartizan.guard.inspection import Inspector, Place, Step
from bartizan.guard.profiles import answer_json
from bartizan.guard.tally import AnswerError, Said, Tally, figure

MAX_TEXTS = 4096
"""Texts that grow at one time; real streams have one."""
MAX_ITEMS = 4096
"""Output items of a response that comes whole."""
MAX_INDEX = 1 << 31
"""Numbers from here on are no event's, item's or part's; some take kilobytes."""
MAX_KEPT = 8 << 20
"""Characters that are remembered in order to know them again; an answer that comes whole may have as many bytes."""
OVERHEAD = 100
"""What it takes to remember a string beside its characters, in as many."""

_GROW: Mapping[str, tuple[str, str]] = {
    "response.output_text": ("content_index", "text"),
    "response.refusal": ("content_index", "refusal"),
    "response.reasoning_text": ("content_index", "text"),
    "response.reasoning_summary_text": ("summary_index", "text"),
    "response.function_call_arguments": ("", "arguments"),
    "response.custom_tool_call_input": ("", "input"),
}
"""What grows, by the beginning of its events' types: the field that says which part, and the one of the whole text."""
_DELTAS = {f"{stem}.delta": stem for stem in _GROW}
_DONES = {f"{stem}.done": stem for stem in _GROW}
_LASTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_PASS = frozenset(
    {
        *_DELTAS,
        *_DONES,
        *_LASTS,
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_part.added",
        "response.reasoning_part.done",
        "response.output_text.annotation.added",
    }
)
"""The two of `reasoning_part` are vLLM's."""
_WORDS: Mapping[str, frozenset[str]] = {
    "type": frozenset(
        {
            *_PASS,
            *("message", "output_text", "refusal", "reasoning", "reasoning_text", "summary_text"),
            *("function_call", "custom_tool_call", "function", "custom", "text", "url_citation", "file_citation"),
        }
    ),
    "object": frozenset({"response"}),
    "role": frozenset({"assistant"}),
    "status": frozenset({"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"}),
}
"""What fields that say what something is may say; the seam sees every other string."""
_OF_DELTA = frozenset({"type", "sequence_number", "item_id", "output_index", "content_index", "summary_index", "delta"})
"""Without `obfuscation`: letters by chance, against who listens on the wire, which whoever needs them does without."""
_TEXTS = frozenset({"type", "item_id", "delta"})
"""Of a delta's fields, those that are no numbers."""
_EMPTY = "logprobs"
"""Clients look for this list in a delta; of what may stand in it, tokens as text, nothing goes on."""
_RESPONSE = frozenset(
    {
        "id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model",
        "output", "usage", "instructions", "metadata", "parallel_tool_calls", "temperature", "top_p",
        "tool_choice", "tools", "max_output_tokens", "max_tool_calls", "previous_response_id", "reasoning",
        "service_tier", "store", "background", "text", "truncation", "user", "safety_identifier",
        "top_logprobs", "prompt", "conversation",
    }
)  # fmt: skip
"""What of a response passes."""
_NAMES = _RESPONSE | _OF_DELTA | {
    "response", "item", "part", "content", "summary", "name", "arguments", "input", "refusal", "role", "call_id",
    "type", "annotation", "annotations", "annotation_index", "logprobs", "url", "title", "start_index", "end_index",
    "index", "file_id", "filename", "encrypted_content", "code", "message", "param", "reason", "effort", "format",
    "generate_summary", "verbosity", "mode", "schema", "strict", "description", "parameters", "obfuscation",
    "input_tokens", "input_tokens_details", "cached_tokens", "output_tokens", "output_tokens_details",
    "reasoning_tokens", "total_tokens",
}  # fmt: skip
"""The protocol's own names; the seam sees every other one, for it may be the model's word."""
_OF_RESPONSE = -1
"""Stands for the index of texts that belong to no output item."""


@dataclass(slots=True)
class Growing:
    """A text that has begun: its pieces as they came and as they went on, and the last event, to go on in its form."""

    place: Place
    event: dict[str, Any]
    came: StringIO = field(default_factory=StringIO)
    went: StringIO = field(default_factory=StringIO)


@dataclass(slots=True)
class EventReader:
    """Reads one stream's events in their order. Usage is always shown: it stands in the response itself."""

    inspector: Inspector
    tally: Tally
    shows_usage: bool = True
    is_done: bool = False
    _open: dict[Place, Growing] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    """What each string that was shown became."""
    _kept: int = 0
    _number: int | None = None

    def read(self, data: bytes) -> list[Event]:
        """The events that go to the caller in place of this one; raises AnswerError, and Refusal."""
        event = answer_json.load(data)
        kind = str(event.get("type"))
        if kind not in _PASS:
            if kind == "error":
                raise AnswerError("an error within the stream")
            return []
        stem = _DELTAS.get(kind)
        before, has_changed = self._grow(stem, event) if stem else self._repeat(kind, event)
        out = [self._numbered(rest) for rest in before]
        return [*out, self._numbered(event, None if has_changed else data)]

    def _numbered(self, event: dict[str, Any], data: bytes | None = None) -> Event:
        """Events have numbers, which must go up by one whatever was dropped or put in."""
        said = event.get("sequence_number")
        if type(said) is int:
            number = said if self._number is None else self._number
            if said != number:
                event["sequence_number"], data = number, None
            self._number = number + 1
        return Event(answer_json.encode(event) if data is None else data, str(event["type"]).encode())

    def _grow(self, stem: str, event: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        text = event.get("delta")
        if not isinstance(text, str):
            raise AnswerError("a delta without its text")
        place = _place(stem, event)
        growing = self._open.get(place)
        if growing is None:
            growing = self._open[place] = Growing(place, event)
            self._keep(OVERHEAD)
            if len(self._open) > MAX_TEXTS:
                raise AnswerError("more texts in one answer than can be followed")
        growing.event = event
        released = self.inspector.answer(place, text)
        self.tally.floor += bool(text)
        self._keep(len(text) + len(released))
        growing.came.write(text)
        growing.went.write(released)
        event["delta"] = released
        return [], _strip(event) | self._see_item(event, place) | (released != text)

    def _see_item(self, event: dict[str, Any], place: Place) -> bool:
        """Each delta names its item again; the name is the server's, and seen once."""
        item = event.get("item_id")
        if not isinstance(item, str):
            return event.pop("item_id", None) is not None
        event["item_id"] = self._see(Place(place.choice, ("item_id",)), item)
        return event["item_id"] is not item

    def _repeat(self, kind: str, event: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """An event that says again what has grown, or tells of what will; and what was held back until now."""
        if stem := _DONES.get(kind):
            before = self._rest(self._open.pop(_place(stem, event), None))
        elif kind in _LASTS:
            before = [rest for growing in self._open.values() for rest in self._rest(growing)]
            self._open.clear()
            self.is_done = True
            self._read_usage(event)
        else:
            before = []
        response = event.get("response")
        has_more = isinstance(response, dict) and answer_json.trim(response, _RESPONSE)
        return before, self._see_all(event, _index(event), ()) or has_more

    def _rest(self, growing: Growing | None) -> list[dict[str, Any]]:
        if growing is None:
            return []
        rest = self.inspector.rest(growing.place)
        self._keep(len(rest))
        growing.went.write(rest)
        self._known[growing.came.getvalue()] = growing.went.getvalue()
        return [{**growing.event, "delta": rest}] if rest else []

    def _read_usage(self, event: dict[str, Any]) -> None:
        response = event.get("response")
        if not isinstance(response, dict):
            raise AnswerError("an end without its response")
        if response.get("usage") is not None:
            self.tally.said = usage(response["usage"])

    def _see_all(self, holder: Any, choice: int, path: tuple[Step, ...]) -> bool:  # noqa: ANN401 - any JSON
        """Show each string below `holder` that is not known yet; put what each became. Whether something changed."""
        if len(path) > answer_json.MAX_DEPTH:
            raise AnswerError("an answer that is nested too deep")
        has_changed = isinstance(holder, dict) and not holder.keys() <= _NAMES and self._see_names(holder, choice, path)
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(value, str):
                if isinstance(key, str) and value in _WORDS.get(key, ()):
                    continue
                if (released := self._see(Place(choice, (*path, key)), value)) != value:
                    holder[key], has_changed = released, True
            elif isinstance(value, dict | list):
                has_changed |= self._see_all(value, choice, (*path, key))
        return has_changed

    def _see_names(self, holder: dict[str, Any], choice: int, path: tuple[Step, ...]) -> bool:
        """Show each name that is not the protocol's; whether one has become another."""
        pairs = []
        for position, (name, value) in enumerate(holder.items()):
            released = name if name in _NAMES else self._see(Place(choice, (*path, (position,))), name)
            if released != name and released in _NAMES:
                raise AnswerError("a name that the seam makes the protocol's")
            pairs.append((released, value))
        renamed = answer_json.unique(pairs)
        has_changed = renamed.keys() != holder.keys()
        holder.clear()
        holder.update(renamed)
        return has_changed

    def _see(self, place: Place, text: str) -> str:
        released = self._known.get(text)
        if released is None:
            released = self._known[text] = answer_json.show(self.inspector, place, text)
            self._keep(len(text) + OVERHEAD)
        return released

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > MAX_KEPT:
            raise AnswerError("an answer that is too long to be known again")


def _strip(event: dict[str, Any]) -> bool:
    """Leave nothing in a delta but what the protocol names, and of numbers only those; whether there was something."""
    beside = [
        name
        for name, value in event.items()
        if not (value == [] if name == _EMPTY else name in _OF_DELTA and (name in _TEXTS or _is_index(value)))
    ]
    for name in beside:
        del event[name]
    if _EMPTY in beside:
        event[_EMPTY] = []
    return bool(beside)


def read_whole(body: bytes, inspector: Inspector, tally: Tally) -> bytes:
    """A response that came whole, as it goes to the caller; raises AnswerError, and Refusal."""
    response = answer_json.load(body)
    items = response.get("output")
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        raise AnswerError("a response without output, or with more items than can be")
    if response.get("usage") is not None:
        tally.said = usage(response["usage"])
    has_changed = answer_json.trim(response, _RESPONSE)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise AnswerError("an output item that is none")
        has_changed |= answer_json.see(inspector, item, index, (), answer_json.quiet(item, _WORDS))
        has_changed |= answer_json.see_names(inspector, item, Place(index, ()), _NAMES)
        tally.floor += 1
    if tally.said is None or tally.said.output is None:
        tally.text_bytes += answer_json.text_bytes(items)
    but = answer_json.quiet(response, _WORDS) | {"output"}
    has_changed |= answer_json.see(inspector, response, _OF_RESPONSE, (), but)
    return answer_json.encode(response) if has_changed else body


def usage(said: Any) -> Said:  # noqa: ANN401 - whatever JSON the server sent
    """Raises AnswerError."""
    if not isinstance(said, dict):
        raise AnswerError("usage that is no object")
    return Said(figure(said.get("input_tokens")), figure(said.get("output_tokens")))


def nothing_said(_tail: bytes) -> None:
    """Every response holds text."""


def error_event(body: bytes) -> bytes:
    """The event in a stream that tells of an error: as described, and with the object that OpenAI's SDKs look for."""
    error = json.loads(body)["error"]
    told = {name: error[name] for name in ("code", "message", "param")}
    event = {"type": "error", **told, "sequence_number": 0, "error": error}
    return event_stream.write(Event(json.dumps(event).encode(), b"error"))


def _place(stem: str, event: dict[str, Any]) -> Place:
    part = event.get(_GROW[stem][0], 0)
    if not _is_index(part):
        raise AnswerError("a part without its index")
    return Place(_index(event), (stem, part))


def _index(event: dict[str, Any]) -> int:
    index = event.get("output_index", _OF_RESPONSE)
    if not _is_index(index):
        raise AnswerError("an event without its item's index")
    return index


def _is_index(value: object) -> TypeGuard[int]:
    return type(value) is int and _OF_RESPONSE <= value < MAX_INDEX
