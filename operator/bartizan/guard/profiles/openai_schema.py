"""The bodies of OpenAI's chat completions, completions and embeddings, as data: every field that passes, with bounds.

Left out on purpose, and so refused: whatever makes a server fetch, keep or call something (images and audio by URL or
inline, files, web search, stored completions), and prompts as token ids, which nobody could inspect as text.
"""

from collections.abc import Mapping
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
    Table,
    Tagged,
    Text,
    Whole,
)
from bartizan.policy.capabilities import Capability

MAX_CHOICES = 8
"""Answers to one request: each costs as much as a request of its own."""
MAX_TOKENS = 1_000_000
MAX_MESSAGES = 2048
MAX_PARTS = 256
MAX_TOOLS = 128
MAX_INPUTS = 2048
MAX_STOPS = 16

_NAME = Text(64, 1)
_ID = Text(256)
_LONG = Text()
_MODEL = Text(256, 1)
_STOP = Nullable(ByType({str: Text(256), list: Sequence(Text(256), MAX_STOPS)}, "a string or a list of strings"))
_LOGIT_BIAS = Nullable(Table(Text(10, 1), Number(-100, 100), 300))
_METADATA = Nullable(Table(Text(64), Text(512), 16))
_STREAM_OPTIONS = Nullable(Record({"include_usage": Flag(), "include_obfuscation": Flag()}))

_TEXT_PART = Record({"type": Choice(("text",)), "text": _LONG}, ("type", "text"))
_REFUSAL_PART = Record({"type": Choice(("refusal",)), "refusal": _LONG}, ("type", "refusal"))
_TEXT_PARTS = Sequence(Tagged("type", {"text": _TEXT_PART}), MAX_PARTS, 1)
_ANSWER_PARTS = Sequence(Tagged("type", {"text": _TEXT_PART, "refusal": _REFUSAL_PART}), MAX_PARTS, 1)
_CONTENT = ByType({str: _LONG, list: _TEXT_PARTS}, "a string or a list of text parts")
_ANSWER_CONTENT = Nullable(ByType({str: _LONG, list: _ANSWER_PARTS}, "a string or a list of text parts"))
_TEXTS = ByType({str: _LONG, list: Sequence(_LONG, MAX_INPUTS, 1)}, "a string or a list of strings")
_PROMPTS = ByType({str: _LONG, list: Sequence(_LONG, MAX_CHOICES, 1)}, "a string or a list of strings")
"""Each is answered: several cost what as many choices do."""

_FUNCTION_CALL = Record({"name": _NAME, "arguments": _LONG}, ("name", "arguments"))
_TOOL_CALLS = Sequence(
    Tagged(
        "type",
        {
            "function": Record(
                {"id": _ID, "type": Choice(("function",)), "function": _FUNCTION_CALL}, ("id", "type", "function")
            ),
            "custom": Record(
                {
                    "id": _ID,
                    "type": Choice(("custom",)),
                    "custom": Record({"name": _NAME, "input": _LONG}, ("name", "input")),
                },
                ("id", "type", "custom"),
            ),
        },
    ),
    MAX_TOOLS,
)


def _message(role: str, *required: str, **fields: Rule) -> Record:
    return Record({"role": Choice((role,)), **fields}, ("role", *required))


MESSAGES: Mapping[str, Record] = {
    "developer": _message("developer", "content", content=_CONTENT, name=_NAME),
    "system": _message("system", "content", content=_CONTENT, name=_NAME),
    "user": _message("user", "content", content=_CONTENT, name=_NAME),
    "assistant": _message(
        "assistant",
        content=_ANSWER_CONTENT,
        refusal=Nullable(_LONG),
        name=_NAME,
        tool_calls=_TOOL_CALLS,
        function_call=Nullable(_FUNCTION_CALL),
    ),
    "tool": _message("tool", "content", "tool_call_id", content=_CONTENT, tool_call_id=_ID),
    "function": _message("function", "content", "name", content=Nullable(_LONG), name=_NAME),
}

_FUNCTION = Record(
    {"name": _NAME, "description": _LONG, "parameters": Anything(), "strict": Nullable(Flag())}, ("name",)
)
_GRAMMAR = Record(
    {"definition": _LONG, "syntax": Choice(("lark", "regex"))},
    ("definition", "syntax"),
)
_CUSTOM = Record(
    {
        "name": _NAME,
        "description": _LONG,
        "format": Tagged(
            "type",
            {
                "text": Record({"type": Choice(("text",))}),
                "grammar": Record({"type": Choice(("grammar",)), "grammar": _GRAMMAR}, ("grammar",)),
            },
        ),
    },
    ("name",),
)
_TOOL = Tagged(
    "type",
    {
        "function": Record({"type": Choice(("function",)), "function": _FUNCTION}, ("function",)),
        "custom": Record({"type": Choice(("custom",)), "custom": _CUSTOM}, ("custom",)),
    },
)
_NAMED = Record({"name": _NAME}, ("name",))
_NAMED_TOOLS = {
    "function": Record({"type": Choice(("function",)), "function": _NAMED}, ("function",)),
    "custom": Record({"type": Choice(("custom",)), "custom": _NAMED}, ("custom",)),
}
_ALLOWED_TOOLS = Record(
    {"mode": Choice(("auto", "required")), "tools": Sequence(Tagged("type", _NAMED_TOOLS), MAX_TOOLS)},
    ("mode", "tools"),
)
_TOOL_CHOICE = ByType(
    {
        str: Choice(("none", "auto", "required")),
        dict: Tagged(
            "type",
            {
                **_NAMED_TOOLS,
                "allowed_tools": Record(
                    {"type": Choice(("allowed_tools",)), "allowed_tools": _ALLOWED_TOOLS}, ("allowed_tools",)
                ),
            },
        ),
    },
    "a mode or a tool",
)
_JSON_SCHEMA = Record(
    {"name": _NAME, "description": _LONG, "schema": Anything(), "strict": Nullable(Flag())}, ("name",)
)
_RESPONSE_FORMAT = Tagged(
    "type",
    {
        "text": Record({"type": Choice(("text",))}),
        "json_object": Record({"type": Choice(("json_object",))}),
        "json_schema": Record({"type": Choice(("json_schema",)), "json_schema": _JSON_SCHEMA}, ("json_schema",)),
    },
)
_PREDICTION = Nullable(Record({"type": Choice(("content",)), "content": _CONTENT}, ("type", "content")))

_SAMPLING: Mapping[str, Rule] = {
    "model": _MODEL,
    "frequency_penalty": Nullable(Number(-2, 2)),
    "presence_penalty": Nullable(Number(-2, 2)),
    "temperature": Nullable(Number(0, 2)),
    "top_p": Nullable(Number(0, 1)),
    "logit_bias": _LOGIT_BIAS,
    "max_tokens": Nullable(Whole(1, MAX_TOKENS)),
    "n": Nullable(Whole(1, MAX_CHOICES)),
    "seed": Nullable(Whole(-(1 << 63), (1 << 63) - 1)),
    "stop": _STOP,
    "stream": Nullable(Flag()),
    "stream_options": _STREAM_OPTIONS,
    "user": _ID,
}

CHAT = Record(
    {
        **_SAMPLING,
        "messages": Sequence(Tagged("role", MESSAGES), MAX_MESSAGES, 1),
        "max_completion_tokens": Nullable(Whole(1, MAX_TOKENS)),
        "logprobs": Nullable(Flag()),
        "top_logprobs": Nullable(Whole(0, 20)),
        "tools": Sequence(_TOOL, MAX_TOOLS),
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": Flag(),
        "functions": Sequence(_FUNCTION, MAX_TOOLS),
        "function_call": ByType({str: Choice(("none", "auto")), dict: _NAMED}, "a mode or a function"),
        "response_format": _RESPONSE_FORMAT,
        "prediction": _PREDICTION,
        "reasoning_effort": Nullable(Choice(("none", "minimal", "low", "medium", "high", "xhigh", "max"))),
        "verbosity": Nullable(Choice(("low", "medium", "high"))),
        "modalities": Nullable(Sequence(Choice(("text",)), 1)),
        "metadata": _METADATA,
        "safety_identifier": Nullable(_ID),
        "service_tier": Nullable(Choice(("auto", "default"))),
    },
    ("model", "messages"),
)


def chat_with_images(url: Rule) -> Record:
    """The chat's body where users may show images."""
    image = Record({"url": url, "detail": Choice(("auto", "low", "high"))}, ("url",))
    part = Record({"type": Choice(("image_url",)), "image_url": image}, ("type", "image_url"))
    parts = Sequence(Tagged("type", {"text": _TEXT_PART, "image_url": part}), MAX_PARTS, 1)
    content = ByType({str: _LONG, list: parts}, "a string or a list of parts")
    roles = {**MESSAGES, "user": _message("user", "content", content=content, name=_NAME)}
    return Record({**CHAT.fields, "messages": Sequence(Tagged("role", roles), MAX_MESSAGES, 1)}, CHAT.required)


COMPLETION = Record(
    {
        **_SAMPLING,
        "prompt": Nullable(_PROMPTS),
        "suffix": Nullable(_LONG),
        "best_of": Nullable(Whole(1, MAX_CHOICES)),
        "echo": Nullable(Flag()),
        "logprobs": Nullable(Whole(0, 5)),
    },
    ("model", "prompt"),
)

EMBEDDING = Record(
    {
        "model": _MODEL,
        "input": _TEXTS,
        "dimensions": Whole(1, 1 << 16),
        "encoding_format": Choice(("float", "base64")),
        "user": _ID,
    },
    ("model", "input"),
)


def _is_text(value: Mapping[str, Any] | None) -> bool:
    return not value or value["type"] == "text"


def _is_one(value: int | None) -> bool:
    return value is None or value == 1


def _is_one_prompt(prompt: str | list[str] | None) -> bool:
    return type(prompt) is not list or len(prompt) == 1


def _is_none(value: str | None) -> bool:
    return value is None or value == "none"


_CHOICES = {"n": (Asking(Capability.MANY_ANSWERS, _is_one),), "logit_bias": (Asking(Capability.TOKEN_BIAS),)}
CHAT_ASKING: Mapping[str, tuple[Asking, ...]] = {
    **_CHOICES,
    "tools": (Asking(Capability.TOOLS),),
    "functions": (Asking(Capability.TOOLS),),
    "response_format": (Asking(Capability.STRUCTURED_OUTPUT, _is_text),),
    "logprobs": (Asking(Capability.LOG_PROBS),),
    "top_logprobs": (Asking(Capability.LOG_PROBS),),
    "reasoning_effort": (Asking(Capability.REASONING, _is_none),),
}
COMPLETION_ASKING: Mapping[str, tuple[Asking, ...]] = {
    **_CHOICES,
    "prompt": (Asking(Capability.MANY_ANSWERS, _is_one_prompt, "send one prompt in each request"),),
    "best_of": (Asking(Capability.MANY_ANSWERS, _is_one),),
    "logprobs": (Asking(Capability.LOG_PROBS, lambda value: value is None),),
}
"""Here `logprobs` is a number, and 0 asks for the chosen token's own."""

REFUSED: Mapping[str, str] = {
    "audio": "inline media come with a capability for them",
    "moderation": "it names another service",
    "prompt_cache_key": "caches shared between callers tell one about another",
    "prompt_cache_options": "caches shared between callers tell one about another",
    "prompt_cache_retention": "caches shared between callers tell one about another",
    "prompt_cache_breakpoint": "caches shared between callers tell one about another",
    "store": "the model keeps nothing for callers",
    "web_search_options": "the model reaches no network",
}
"""Fields of OpenAI's description that are refused as unknown, and why; a test holds that no third kind exists."""
