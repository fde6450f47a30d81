"""Knows the shapes of OpenAI's responses and of the events of their streams. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .script import Script
from .shapes import CREATED

Content = dict[str, Any]


@dataclass
class Frame:
    """What all parts of one answer share; `tool` is the function that the answer calls, if it calls one."""

    model: str
    number: int
    asked: Content
    sent: int = field(default=0, init=False)

    @property
    def tool(self) -> str:
        return self.asked["tools"][0]["name"] if self.asked.get("tools") else ""

    def whole(self, script: Script) -> Content:
        is_cut = script.finish_reason == "length"
        used = {"input_tokens": script.prompt_tokens, "output_tokens": script.usage["completion_tokens"]}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return {
            **self._response(
                "incomplete" if is_cut else "completed", [self._item("".join(script.tokens), "completed")]
            ),
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "usage": {**used, **details, "total_tokens": sum(used.values())},
        }

    def opening(self) -> Iterator[Content]:
        yield self._event("response.created", response=self._response("in_progress", []))
        yield self._event("response.in_progress", response=self._response("in_progress", []))
        item = {**self._item("", "in_progress"), **({} if self.tool else {"content": []})}
        yield self._event("response.output_item.added", output_index=0, item=item)
        if not self.tool:
            yield self._event("response.content_part.added", **self._spot, content_index=0, part=_part(""))

    def token(self, text: str, *, position: int, last: int) -> Iterator[Content]:
        if not self.tool:
            yield self._event("response.output_text.delta", **self._spot, content_index=0, delta=text, logprobs=[])
            return
        start, end = '{"said":"' * (position == 0), '"}' * (position == last)
        piece = start + json.dumps(text)[1:-1] + end
        yield self._event("response.function_call_arguments.delta", **self._spot, delta=piece)

    def closing(self, script: Script) -> Iterator[Content]:
        item = self._item("".join(script.tokens), "completed")
        if self.tool:
            done = {"name": self.tool, "arguments": item["arguments"]}
            yield self._event("response.function_call_arguments.done", **self._spot, **done)
        else:
            part = item["content"][0]
            yield self._event(
                "response.output_text.done", **self._spot, content_index=0, text=part["text"], logprobs=[]
            )
            yield self._event("response.content_part.done", **self._spot, content_index=0, part=part)
        yield self._event("response.output_item.done", output_index=0, item=item)
        response = self.whole(script)
        yield self._event(f"response.{response['status']}", response=response)

    @property
    def _spot(self) -> Content:
        return {"item_id": f"item_{self.number}", "output_index": 0}

    def _event(self, kind: str, **fields: Any) -> Content:
        self.sent += 1
        return {"type": kind, "sequence_number": self.sent - 1, **fields}

    def _response(self, status: str, output: list[Content]) -> Content:
        echoed: Content = {
            "instructions": None,
            "tools": [],
            "tool_choice": "auto",
            "metadata": {},
            "temperature": None,
        }
        told = {name: self.asked.get(name, value) for name, value in echoed.items()}
        named = {"id": f"resp_{self.number}", "object": "response", "created_at": CREATED, "model": self.model}
        rest = {"error": None, "incomplete_details": None, "parallel_tool_calls": True, "top_p": None, "usage": None}
        return {**named, "status": status, "output": output, **told, **rest, "store": self.asked.get("store", True)}

    def _item(self, said: str, status: str) -> Content:
        named = {"id": f"item_{self.number}", "status": status}
        if self.tool:
            arguments = json.dumps({"said": said}, separators=(",", ":")) if said else ""
            call = {"type": "function_call", "call_id": f"call_{self.number}", "name": self.tool}
            return {**named, **call, "arguments": arguments}
        return {**named, "type": "message", "role": "assistant", "content": [_part(said)]}


def _part(said: str) -> Content:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
