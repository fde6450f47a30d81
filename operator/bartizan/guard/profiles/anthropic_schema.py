"""The bodies of Anthropic's messages and count_tokens, as data: every field that passes, with bounds.

Left out on purpose, and so refused: tools that the server itself would run (web search and fetch, code, bash,
computer), what refers to something that was not inspected here (files, containers, documents by URL), and images.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bartizan.guard.profiles.contract import Asking
from bartizan.guard.profiles.schema import (
    Anything,
    ByType,
    Choice,
    Flag,
    Nullable,
    Number,
    Record,
    Rule,
    Sequence,
    Tagged,
    Text,
    Whole,
)
from bartizan.policy.capabilities import Capability

MAX_TOKENS = 1_000_000
MAX_MESSAGES = 2048
MAX_BLOCKS = 256
MAX_TOOLS = 128
MAX_STOPS = 16
MAX_OPAQUE = 1 << 20
"""Characters of what only a model can read: signatures, and thoughts that were hidden from the client."""

_NAME = Text(128, 1)
_ID = Text(256, 1)
_LONG = Text()
_EFFORT = Nullable(Choice(("low", "medium", "high", "xhigh", "max")))
_DISPLAY = Nullable(Choice(("summarized", "omitted")))
_CACHE = Nullable(Record({"type": Choice(("ephemeral",)), "ttl": Choice(("5m", "1h"))}, ("type",)))
_CITED = Record({"enabled": Flag()})


def _kind(kind: str, /, *required: str, **fields: Rule) -> Record:
    return Record({"type": Choice((kind,)), **fields}, ("type", *required))


_TEXT = _kind("text", "text", text=_LONG, cache_control=_CACHE)
_TEXTS = ByType(
    {str: _LONG, list: Sequence(Tagged("type", {"text": _TEXT}), MAX_BLOCKS)}, "a string or a list of text blocks"
)
_SOURCE = Tagged(
    "type",
    {
        "text": _kind("text", "media_type", "data", media_type=Choice(("text/plain",)), data=_LONG),
        "content": _kind("content", "content", content=_TEXTS),
    },
)
_DOCUMENT = _kind(
    "document",
    "source",
    source=_SOURCE,
    title=Nullable(Text(1024)),
    context=Nullable(_LONG),
    citations=Nullable(_CITED),
    cache_control=_CACHE,
)
_SEARCH_RESULT = _kind(
    "search_result",
    "content",
    "source",
    "title",
    content=Sequence(_TEXT, MAX_BLOCKS),
    source=Text(2048),
    title=Text(1024),
    citations=_CITED,
    cache_control=_CACHE,
)
_RESULTS: Mapping[str, Record] = {"text": _TEXT, "document": _DOCUMENT, "search_result": _SEARCH_RESULT}


def _of_user(shown: Mapping[str, Record]) -> Mapping[str, Record]:
    """A user's blocks: what may be shown, by itself or as what a tool has given."""
    blocks = Sequence(Tagged("type", shown), MAX_BLOCKS)
    result = _kind(
        "tool_result",
        "tool_use_id",
        tool_use_id=_ID,
        content=ByType({str: _LONG, list: blocks}, "a string or a list of blocks"),
        is_error=Flag(),
        cache_control=_CACHE,
    )
    return {**shown, "tool_result": result}


USER_BLOCKS = _of_user(_RESULTS)
ASSISTANT_BLOCKS: Mapping[str, Record] = {
    "text": _TEXT,
    "thinking": _kind("thinking", "thinking", "signature", thinking=_LONG, signature=Text(MAX_OPAQUE)),
    "redacted_thinking": _kind("redacted_thinking", "data", data=Text(MAX_OPAQUE)),
    "tool_use": _kind("tool_use", "id", "name", "input", id=_ID, name=_NAME, input=Anything(), cache_control=_CACHE),
}


def _message(role: str, blocks: Mapping[str, Record]) -> Record:
    content = ByType(
        {str: _LONG, list: Sequence(Tagged("type", blocks), MAX_BLOCKS)}, "a string or a list of content blocks"
    )
    return Record({"role": Choice((role,)), "content": content}, ("role", "content"))


MESSAGES: Mapping[str, Record] = {
    "user": _message("user", USER_BLOCKS),
    "assistant": _message("assistant", ASSISTANT_BLOCKS),
    "system": _message("system", {"text": _TEXT}),
}

TOOL = Record(
    {
        "type": Nullable(Choice(("custom",))),
        "name": _NAME,
        "description": _LONG,
        "input_schema": Anything(),
        "input_examples": Sequence(Anything(), 32),
        "strict": Flag(),
        "eager_input_streaming": Nullable(Flag()),
        "cache_control": _CACHE,
    },
    ("name", "input_schema"),
)
_PARALLEL = Flag()
_TOOL_CHOICE = Tagged(
    "type",
    {
        "auto": _kind("auto", disable_parallel_tool_use=_PARALLEL),
        "any": _kind("any", disable_parallel_tool_use=_PARALLEL),
        "tool": _kind("tool", "name", name=_NAME, disable_parallel_tool_use=_PARALLEL),
        "none": _kind("none"),
    },
)
_THINKING = Tagged(
    "type",
    {
        "enabled": _kind("enabled", "budget_tokens", budget_tokens=Whole(1, MAX_TOKENS), display=_DISPLAY),
        "adaptive": _kind("adaptive", display=_DISPLAY),
        "between_tools": _kind("between_tools"),
        "disabled": _kind("disabled"),
    },
)
_FORMAT = _kind("json_schema", "schema", schema=Anything())

_ASKED: Mapping[str, Rule] = {
    "model": Text(256, 1),
    "messages": Sequence(Tagged("role", MESSAGES), MAX_MESSAGES, 1),
    "system": _TEXTS,
    "tools": Sequence(TOOL, MAX_TOOLS),
    "tool_choice": _TOOL_CHOICE,
    "thinking": _THINKING,
    "output_config": Record({"effort": _EFFORT, "format": Nullable(_FORMAT)}),
    "cache_control": _CACHE,
}

MESSAGE = Record(
    {
        **_ASKED,
        "max_tokens": Whole(1, MAX_TOKENS),
        "stop_sequences": Sequence(Text(256, 1), MAX_STOPS),
        "stream": Flag(),
        "temperature": Number(0, 2),
        "top_p": Number(0, 1),
        "top_k": Whole(0, 1 << 20),
        "metadata": Record({"user_id": Nullable(_ID)}),
        "service_tier": Choice(("auto", "standard_only")),
    },
    ("model", "messages", "max_tokens"),
)
COUNT = Record(_ASKED, ("model", "messages"))


def _is_disabled(thinking: Mapping[str, Any] | None) -> bool:
    return not thinking or thinking["type"] == "disabled"


def _has_no_format(config: Mapping[str, Any] | None) -> bool:
    return not config or not config.get("format")


def _has_no_effort(config: Mapping[str, Any] | None) -> bool:
    return not config or not config.get("effort")


ASKING: Mapping[str, tuple[Asking, ...]] = {
    "tools": (Asking(Capability.TOOLS),),
    "thinking": (Asking(Capability.REASONING, _is_disabled),),
    "output_config": (
        Asking(Capability.STRUCTURED_OUTPUT, _has_no_format, "leave its format out"),
        Asking(Capability.REASONING, _has_no_effort, "leave its effort out"),
    ),
}


def with_images(source: Callable[[Rule], Rule]) -> tuple[Record, Record]:
    """Both bodies where users may show images; `source` makes the rule of one from that of its data."""
    image = _kind("image", "source", source=source(_LONG), cache_control=_CACHE)
    user = _message("user", _of_user({**_RESULTS, "image": image}))
    messages = Sequence(Tagged("role", {**MESSAGES, "user": user}), MAX_MESSAGES, 1)
    message, count = ({**record.fields, "messages": messages} for record in (MESSAGE, COUNT))
    return Record(message, MESSAGE.required), Record(count, COUNT.required)


REFUSED: Mapping[str, str] = {
    "container": "it names files and skills on the server, which nobody has inspected",
    "diagnostics": "it refers to an earlier answer",
    "inference_geo": "an endpoint is where it is",
    "speed": "an endpoint has one speed",
    "user_profile_id": "it names an account of another service",
    "workspace_id": "it names an account of another service",
}
"""Fields of Anthropic's description that are refused as unknown, and why; a test holds that no third kind exists."""

REFUSED_BLOCKS: Mapping[str, str] = {
    "image": "inline media come with a capability for them",
    "container_upload": "it names a file on the server, which nobody has inspected",
    "server_tool_use": "the server runs no tools",
    "web_search_tool_result": "the server runs no tools",
    "web_fetch_tool_result": "the server runs no tools",
    "code_execution_tool_result": "the server runs no tools",
    "bash_code_execution_tool_result": "the server runs no tools",
    "text_editor_code_execution_tool_result": "the server runs no tools",
    "tool_search_tool_result": "the server runs no tools",
}
REFUSED_OF_TOOLS: Mapping[str, str] = {
    "allowed_callers": "the server runs no code that could call a tool",
    "defer_loading": "the server searches no tools",
}
