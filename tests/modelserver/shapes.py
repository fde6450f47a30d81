"""Knows the shapes of OpenAI's objects: answers, stream chunks, embeddings, the list of models. Pure."""

import base64
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .script import Script

CREATED = 1_700_000_000
"""One time for all answers: they are compared byte by byte."""

DIMENSIONS = 8


@dataclass(frozen=True)
class Frame:
    """What all parts of one answer share."""

    model: str
    number: int
    is_chat: bool
    choices: int

    def object(self, choices: list[dict[str, Any]], *, chunk: bool) -> dict[str, Any]:
        kind = "chat.completion" + ".chunk" * chunk if self.is_chat else "text_completion"
        name = f"{'chatcmpl' if self.is_chat else 'cmpl'}-{self.number}"
        return {"id": name, "object": kind, "created": CREATED, "model": self.model, "choices": choices}

    def whole(self, script: Script) -> dict[str, Any]:
        text = "".join(script.tokens)
        said = {"message": {"role": "assistant", "content": text}} if self.is_chat else {"text": text}
        choices = [self.choice(index, said, script.finish_reason) for index in range(self.choices)]
        return self.object(choices, chunk=False) | {"usage": script.usage}

    def choice(self, index: int, said: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": index, **said, "logprobs": None, "finish_reason": reason}

    def opening(self) -> Iterator[dict[str, Any]]:
        if self.is_chat:
            yield from self.chunks({"delta": {"role": "assistant", "content": ""}}, None)

    def token(self, text: str) -> Iterator[dict[str, Any]]:
        return self.chunks({"delta": {"content": text}} if self.is_chat else {"text": text}, None)

    def closing(self, script: Script, *, include_usage: bool) -> Iterator[dict[str, Any]]:
        yield from self.chunks({"delta": {}} if self.is_chat else {"text": ""}, script.finish_reason)
        if include_usage:
            yield self.object([], chunk=True) | {"usage": script.usage}

    def chunks(self, said: dict[str, Any], reason: str | None) -> Iterator[dict[str, Any]]:
        for index in range(self.choices):
            yield self.object([self.choice(index, said, reason)], chunk=True)


def models(model: str) -> dict[str, Any]:
    entry = {"id": model, "object": "model", "created": CREATED, "owned_by": "demo"}
    return {"object": "list", "data": [entry]}


def embeddings(model: str, body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    encode = as_base64 if body.get("encoding_format") == "base64" else list[float]
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector(str(text)))}
        for index, text in enumerate(inputs)
    ]
    words = sum(len(str(text).split()) for text in inputs)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def vector(text: str) -> tuple[float, ...]:
    """The same text gives the same vector; each figure is a float32 exactly."""
    return tuple(byte / 128 - 1 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS])


def as_base64(figures: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(figures)}f", *figures)).decode()
