"""What Anthropic's answers and stream events hold: texts, by content block and field, and what the server says it used.

The grammar is that of Anthropic's "Streaming messages". A block's text grows by deltas; every other string but the
names of things stands whole in one event. An event of a type that is not listed here is dropped: clients must be able
to do without it, and nobody could say what of it is text.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from bartizan.guard import event_stream
from bartizan.guard.event_stream import Event
from bartizan.guard.inspection import Inspector, Place
from bartizan.guard.profiles import answer_json
from bartizan.guard.tally import SILENCE, AnswerError, Said, Tally, figure

MAX_BLOCKS = 4096
"""Content blocks of an answer, in a stream those that are open at one time, of which real ones have one."""

_FIELDS: Mapping[str, frozenset[str]] = {
    "content_block_delta": frozenset({"type", "index", "delta"}),
    "content_block_start": frozenset({"type", "index", "content_block"}),
    "content_block_stop": frozenset({"type", "index"}),
    "message_start": frozenset({"type", "message"}),
    "message_delta": frozenset({"type", "delta", "usage"}),
    "message_stop": frozenset({"type"}),
    "ping": frozenset({"type"}),
}
"""The events that pass, and what of them does."""
_MESSAGE = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
)
"""What of a message passes, whole or at the start of its stream."""
_ENDING = frozenset({"stop_reason", "stop_sequence", "stop_details"})
"""What of a message's end passes."""
_BLOCK = frozenset({"type", "text", "citations", "thinking", "signature", "data", "id", "name", "input"})
"""The protocol's own names in a block; the seam sees every other one, for it may be the model's word."""
_OTHER_DELTA = frozenset({"type", "citation"})
"""The protocol's own names in deltas whose pieces are no text."""
_GROWS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json",
          "signature_delta": "signature"}  # fmt: skip
"""Each kind of delta, and the field of it whose pieces are one text."""
_DELTAS = {name: kind for kind, name in _GROWS.items()}
_STARTS = frozenset({"text", "thinking", "signature"})
"""Fields of a block's start that its deltas go on with."""
_WORDS: Mapping[str, frozenset[str]] = {
    "type": frozenset({"message", "text", "thinking", "redacted_thinking", "tool_use", *_GROWS}),
    "role": frozenset({"assistant"}),
    "stop_reason": frozenset({"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}),
    "service_tier": frozenset({"standard", "priority", "batch"}),
}
"""What fields that say what something is may say; the seam sees every other string."""
_OF_MESSAGE = -1
"""Stands for the index of texts that belong to no block."""


@dataclass(slots=True)
class EventReader:
    """Reads one stream's events in their order. Usage is always shown: the protocol has no other way."""

    inspector: Inspector
    tally: Tally
    shows_usage: bool = True
    is_done: bool = False
    _open: dict[int, dict[str, None]] = field(default_factory=dict)
    """The fields that grow, by block."""

    def read(self, data: bytes) -> list[Event]:
        """The events that go to the caller in place of this one; raises AnswerError, and Refusal."""
        event = answer_json.load(data)
        kind = str(event.get("type"))
        fields = _FIELDS.get(kind)
        if fields is None:
            if kind == "error":
                raise AnswerError("an error within the stream")
            return []
        has_more = answer_json.trim(event, fields)
        before, has_changed = self._read(kind, event)
        out = answer_json.encode(event) if has_more or has_changed else data
        return [*before, Event(out, kind.encode())]

    def _read(self, kind: str, event: dict[str, Any]) -> tuple[list[Event], bool]:
        """What goes before the event, and whether something of it has changed."""
        if kind == "content_block_delta":
            return [], self._read_delta(event)
        if kind == "content_block_start":
            return [], self._read_start(event)
        if kind == "content_block_stop":
            return self._rests(_index(event)), False
        before = self._all_rests() if kind in ("message_delta", "message_stop") else []
        self.is_done = kind == "message_stop"
        described = {"message_start": event.get("message"), "message_delta": event.get("delta")}
        holder = event.get("message") if kind == "message_start" else event
        return before, kind in described and self._read_frame(holder, described[kind])

    def _read_delta(self, event: dict[str, Any]) -> bool:
        index, delta = _index(event), event.get("delta")
        if not isinstance(delta, dict):
            raise AnswerError("a delta that is none")
        kind = delta.get("type")
        name = _GROWS.get(kind) if isinstance(kind, str) else None
        if name is None:
            has_changed = answer_json.see(self.inspector, delta, index, ("delta",), ())
            return answer_json.see_names(self.inspector, delta, Place(index, ("delta",)), _OTHER_DELTA) | has_changed
        text = delta.get(name)
        if not isinstance(text, str):
            raise AnswerError("a delta without its text")
        self.tally.floor += bool(text) and name != "signature"
        released = self._grow(index, name, text)
        if released == text and len(delta) == len(("type", name)):
            return False
        event["delta"] = {"type": delta["type"], name: released}
        return True

    def _read_start(self, event: dict[str, Any]) -> bool:
        index, block = _index(event), event.get("content_block")
        if not isinstance(block, dict):
            raise AnswerError("a block that is none")
        self._follow(index)
        has_changed = answer_json.see(self.inspector, block, index, ("block",), quiet(block) | _STARTS)
        for name in _STARTS & block.keys():
            if (text := block[name]) is None:
                continue
            if not isinstance(text, str):
                raise AnswerError("a text that is none")
            block[name] = self._grow(index, name, text)
            has_changed |= block[name] != text
            self.tally.floor += bool(text) and name != "signature"
        return answer_json.see_names(self.inspector, block, Place(index, ("block",)), _BLOCK) | has_changed

    def _read_frame(self, holder: Any, described: Any) -> bool:  # noqa: ANN401 - whatever JSON the server sent
        """Where the message begins and where it ends: what was used, and what is said of the message."""
        if not isinstance(holder, dict) or not isinstance(described, dict):
            raise AnswerError("a message that is none")
        if holder.get("usage") is not None:
            self.tally.said = usage(holder["usage"], self.tally.said)
        has_more = answer_json.trim(described, _MESSAGE if described is holder else _ENDING)
        has_more |= answer_json.see(self.inspector, described, _OF_MESSAGE, ("message",), quiet(described))
        if holder is not described:
            has_more |= _see_usage(self.inspector, holder)
        return has_more

    def _grow(self, index: int, name: str, text: str) -> str:
        self._follow(index)[name] = None
        return self.inspector.answer(Place(index, (name,)), text)

    def _follow(self, index: int) -> dict[str, None]:
        fields = self._open.setdefault(index, {})
        if len(self._open) > MAX_BLOCKS:
            raise AnswerError("more blocks in one answer than can be followed")
        return fields

    def _all_rests(self) -> list[Event]:
        return [rest for index in list(self._open) for rest in self._rests(index)]

    def _rests(self, index: int) -> list[Event]:
        """What was held back of a block that ends."""
        found = []
        for name in self._open.pop(index, {}):
            if text := self.inspector.rest(Place(index, (name,))):
                delta = {"type": _DELTAS[name], name: text}
                event = {"type": "content_block_delta", "index": index, "delta": delta}
                found.append(Event(answer_json.encode(event), b"content_block_delta"))
        return found


def read_whole(body: bytes, inspector: Inspector, tally: Tally) -> bytes:
    """An answer that came whole, as it goes to the caller; raises AnswerError, and Refusal."""
    answer = answer_json.load(body)
    blocks = answer.get("content")
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS:
        raise AnswerError("an answer without content, or with more blocks than can be")
    if answer.get("usage") is not None:
        tally.said = usage(answer["usage"], None)
    has_changed = answer_json.trim(answer, _MESSAGE)
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise AnswerError("a block that is none")
        has_changed |= answer_json.see(inspector, block, index, (), quiet(block))
        has_changed |= answer_json.see_names(inspector, block, Place(index, ()), _BLOCK)
        tally.floor += 1
    if tally.said is None or tally.said.output is None:
        tally.text_bytes += answer_json.text_bytes(blocks)
    has_changed |= answer_json.see(inspector, answer, _OF_MESSAGE, (), quiet(answer) | {"content"})
    return answer_json.encode(answer) if has_changed else body


def quiet(holder: dict[str, Any]) -> AbstractSet[str]:
    """The fields of `holder` that say what it is in the protocol's own words."""
    return answer_json.quiet(holder, _WORDS)


def _see_usage(inspector: Inspector, event: dict[str, Any]) -> bool:
    """Names and words beside the figures; nearly always there are none."""
    used = {"usage": event.get("usage")}
    if not answer_json.see(inspector, used, _OF_MESSAGE, ("message",), ()):
        return False
    event.update(used)
    return True


def usage(said: Any, before: Said | None) -> Said:  # noqa: ANN401 - whatever JSON the server sent
    """What was used so far: figures of a message's end replace those of its start; raises AnswerError."""
    if not isinstance(said, dict):
        raise AnswerError("usage that is no object")
    known = before or SILENCE
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    given = [tokens for name in read if (tokens := figure(said.get(name))) is not None]
    return Said(
        max((sum(given), known.input or 0)) if given else known.input,
        max((item for item in (figure(said.get("output_tokens")), known.output) if item is not None), default=None),
    )


def read_count(body: bytes, _inspector: Inspector, tally: Tally) -> bytes:
    """Of a count of tokens the figure; raises AnswerError.

    Counting asks the tokenizer and not the model: it costs a request and no token.
    """
    counted = figure(answer_json.load(body).get("input_tokens"))
    if counted is None:
        raise AnswerError("a count without its figure")
    tally.said = Said(0, 0)
    return answer_json.encode({"input_tokens": counted})


def nothing_said(_tail: bytes) -> None:
    """Every answer is read whole."""


def error_event(body: bytes) -> bytes:
    """The event in a stream that tells of an error, in the words of a refusal's body."""
    return event_stream.write(Event(body, b"error"))


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    if type(index) is not int or index < 0:
        raise AnswerError("an event without its block's index")
    return index
