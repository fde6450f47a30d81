"""Knows the shapes of Anthropic's objects: messages, the events of their streams, counted tokens, errors. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .script import Script

Content = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """What all parts of one answer share; `tool` is the tool that the answer calls, if it calls one."""

    model: str
    number: int
    tool: str = ""

    def whole(self, script: Script) -> dict[str, Any]:
        used = {"input_tokens": script.prompt_tokens, "output_tokens": script.usage["completion_tokens"]}
        blocks = [self._block(script)] if script.tokens else []
        return {**self._message(blocks, self._reason(script)), "usage": used}

    def opening(self, script: Script) -> Iterator[Content]:
        used = {"input_tokens": script.prompt_tokens, "output_tokens": 1}
        yield {"type": "message_start", "message": {**self._message([], None), "usage": used}}
        empty = {"type": "tool_use", "id": self._call, "name": self.tool, "input": {}} if self.tool else _text("")
        yield {"type": "content_block_start", "index": 0, "content_block": empty}
        yield {"type": "ping"}

    def token(self, text: str, *, position: int, last: int) -> Iterator[Content]:
        delta: Content = {"type": "text_delta", "text": text}
        if self.tool:
            inner = json.dumps(text)[1:-1]
            start, end = '{"said":"' * (position == 0), '"}' * (position == last)
            delta = {"type": "input_json_delta", "partial_json": start + inner + end}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}

    def closing(self, script: Script) -> Iterator[Content]:
        yield {"type": "content_block_stop", "index": 0}
        used = {"output_tokens": script.usage["completion_tokens"]}
        delta = {"stop_reason": self._reason(script), "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": used}
        yield {"type": "message_stop"}

    @property
    def _call(self) -> str:
        return f"toolu_{self.number}"

    def _reason(self, script: Script) -> str:
        if script.finish_reason == "length":
            return "max_tokens"
        return "tool_use" if self.tool else "end_turn"

    def _block(self, script: Script) -> Content:
        said = "".join(script.tokens)
        if self.tool:
            return {"type": "tool_use", "id": self._call, "name": self.tool, "input": {"said": said}}
        return _text(said)

    def _message(self, blocks: list[Content], reason: str | None) -> dict[str, Any]:
        named = {"id": f"msg_{self.number}", "type": "message", "role": "assistant", "model": self.model}
        return {**named, "content": blocks, "stop_reason": reason, "stop_sequence": None}


def _text(said: str) -> Content:
    return {"type": "text", "text": said}


def counted(script: Script) -> dict[str, Any]:
    return {"input_tokens": script.prompt_tokens}


def error(message: str, status: int) -> dict[str, Any]:
    kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind if status < 500 or status == 529 else "api_error", "message": message},
    }
