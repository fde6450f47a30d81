"""Knows what a prompt makes the server do: an echo, unless commands in the last message ask for more.

`/count N` answers with the numbers 1 to N, `/slow N` waits N milliseconds before each token, `/drop N` cuts the
connection after N tokens, `/status N` answers with that HTTP status, `/hold` waits until somebody posts to
`/control/release`, `/overrun` says everything, however few tokens it was told to give.
"""

import re
from dataclasses import dataclass
from typing import Any

COMMAND = re.compile(r"/(count|slow|drop|status|hold|overrun)\b(?:\s+(\d+))?\s*")
TOKEN = re.compile(r"\s*\S+")


@dataclass(frozen=True)
class Script:
    """One answer, before a byte of it is sent."""

    tokens: tuple[str, ...]
    prompt_tokens: int
    finish_reason: str = "stop"
    delay_seconds: float = 0.0
    drop_after: int | None = None
    status: int = 200
    is_held: bool = False

    @property
    def usage(self) -> dict[str, int]:
        completion = len(self.tokens)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


def read(body: dict[str, Any]) -> Script:
    """The script that a chat or plain completion request asks for."""
    said = texts(body)
    prompt = said[-1] if said else ""
    commands = {name: int(number or 0) for name, number in COMMAND.findall(prompt)}
    tokens = tuple(TOKEN.findall(answer_to(prompt, commands)))
    limits = (body.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
    limit = next((most for most in limits if most), len(tokens))
    if "overrun" in commands:
        limit = len(tokens)
    return Script(
        tokens=tokens[:limit],
        prompt_tokens=sum(len(text.split()) for text in said),
        finish_reason="stop" if len(tokens) <= limit else "length",
        delay_seconds=commands.get("slow", 0) / 1000,
        drop_after=commands.get("drop"),
        status=commands.get("status", 200),
        is_held="hold" in commands,
    )


def answer_to(prompt: str, commands: dict[str, int]) -> str:
    if "count" in commands:
        return " ".join(str(number) for number in range(1, commands["count"] + 1))
    return COMMAND.sub("", prompt).strip() or "ok"


def texts(body: dict[str, Any]) -> list[str]:
    """What was said, the last user message (or prompt) at the end."""
    if "input" in body:
        return [*([body["instructions"]] if body.get("instructions") else []), *said_in(body["input"])]
    if "messages" not in body:
        prompt = body.get("prompt", "")
        return prompt if isinstance(prompt, list) else [prompt]
    ordered = sorted(body["messages"], key=lambda message: message["role"] == "user")
    system = [text_of(body["system"])] if "system" in body else []
    return [*system, *(text_of(message.get("content")) for message in ordered)]


def said_in(given: str | list[dict[str, Any]]) -> list[str]:
    """What a response's input says, the last message of the user at the end."""
    if isinstance(given, str):
        return [given]
    messages = [item for item in given if "role" in item]
    return [text_of(item["content"]) for item in sorted(messages, key=lambda item: item["role"] == "user")]


def text_of(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""
