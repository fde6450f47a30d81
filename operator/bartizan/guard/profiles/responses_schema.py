"""The body of OpenAI's responses, as data: every field that passes, with bounds.

A conversation must stand in the request. Left out on purpose, and so refused: whatever refers to something that was not
inspected here (earlier responses, conversations, items by id, prompts by id, files, what only the server can decrypt),
and tools that the server itself would run.
"""

from collections.abc import Mapping
from typing import Any

from bartizan.guard.profiles import openai_schema as chat
from bartizan.guard.profiles.contract import Asking
from bartizan.guard.profiles.schema import (
    Anything,
    ByType,
    Choice,
    Flag,
    Nullable,
    Number,
    Only,
    Record,
    Rule,
    Sequence,
    Table,
    Tagged,
    Text,
    Whole,
)
from bartizan.policy.capabilities import Capability

MAX_ITEMS = 2048
MAX_PARTS = 256
MAX_TOOLS = 128

_NAME = Text(128, 1)
_ID = Text(256)
_LONG = Text()
_NONE = Nullable(Sequence(Anything(), 0))
"""A list that must be empty: SDKs send back what an answer held, and it held none."""
_STATUS = Nullable(Choice(("in_progress", "completed", "incomplete")))


def _kind(kind: str, /, *required: str, **fields: Rule) -> Record:
    return Record({"type": Choice((kind,)), **fields}, ("type", *required))


_INPUT_TEXT = _kind("input_text", "text", text=_LONG)
_OUTPUT_TEXT = _kind("output_text", "text", text=_LONG, annotations=_NONE, logprobs=_NONE)
_REFUSAL = _kind("refusal", "refusal", refusal=_LONG)
_INPUTS = ByType(
    {str: _LONG, list: Sequence(Tagged("type", {"input_text": _INPUT_TEXT}), MAX_PARTS)},
    "a string or a list of text parts",
)
_OUTPUTS = ByType(
    {str: _LONG, list: Sequence(Tagged("type", {"output_text": _OUTPUT_TEXT, "refusal": _REFUSAL}), MAX_PARTS)},
    "a string or a list of parts",
)


def _message(role: str, content: Rule, **fields: Rule) -> Record:
    message = {"type": Choice(("message",)), "role": Choice((role,)), "content": content, "status": _STATUS, **fields}
    return Record(message, ("role", "content"))


MESSAGES: Mapping[str, Record] = {
    "user": _message("user", _INPUTS),
    "system": _message("system", _INPUTS),
    "developer": _message("developer", _INPUTS),
    "assistant": _message("assistant", _OUTPUTS, id=_ID, phase=Nullable(Choice(("commentary", "final_answer")))),
}
_SUMMARIES = Sequence(_kind("summary_text", "text", text=_LONG), MAX_PARTS)
_REASONS = Nullable(Sequence(_kind("reasoning_text", "text", text=_LONG), MAX_PARTS))
ITEMS: Mapping[str, Record] = {
    "function_call": _kind(
        "function_call",
        "arguments",
        "call_id",
        "name",
        arguments=_LONG,
        call_id=_ID,
        name=_NAME,
        id=_ID,
        status=_STATUS,
    ),
    "function_call_output": _kind(
        "function_call_output", "output", output=_INPUTS, call_id=Nullable(_ID), id=Nullable(_ID), status=_STATUS
    ),
    "custom_tool_call": _kind(
        "custom_tool_call", "call_id", "input", "name", call_id=_ID, input=_LONG, name=_NAME, id=_ID
    ),
    "custom_tool_call_output": _kind(
        "custom_tool_call_output", "call_id", "output", call_id=_ID, output=_INPUTS, id=_ID
    ),
    "reasoning": _kind(
        "reasoning",
        "id",
        "summary",
        id=_ID,
        summary=_SUMMARIES,
        content=_REASONS,
        encrypted_content=Only(None),
        status=_STATUS,
    ),
}
_ITEM = Tagged("type", {"message": Tagged("role", MESSAGES), **ITEMS}, absent="message")

TOOLS: Mapping[str, Record] = {
    "function": _kind(
        "function",
        "name",
        name=_NAME,
        description=Nullable(_LONG),
        parameters=Nullable(Anything()),
        strict=Nullable(Flag()),
        output_schema=Nullable(Anything()),
    ),
    "custom": _kind(
        "custom",
        "name",
        name=_NAME,
        description=_LONG,
        format=Tagged(
            "type",
            {
                "text": _kind("text"),
                "grammar": _kind("grammar", "definition", "syntax", definition=_LONG, syntax=Choice(("lark", "regex"))),
            },
        ),
    ),
}
_NAMED = {kind: _kind(kind, "name", name=_NAME) for kind in TOOLS}
_TOOL_CHOICE = ByType(
    {
        str: Choice(("none", "auto", "required")),
        dict: Tagged(
            "type",
            {
                **_NAMED,
                "allowed_tools": _kind(
                    "allowed_tools",
                    "mode",
                    "tools",
                    mode=Choice(("auto", "required")),
                    tools=Sequence(Tagged("type", _NAMED), MAX_TOOLS),
                ),
            },
        ),
    },
    "a mode or a tool",
)
FORMATS: Mapping[str, Record] = {
    "text": _kind("text"),
    "json_object": _kind("json_object"),
    "json_schema": _kind(
        "json_schema", "name", "schema", name=_NAME, schema=Anything(), description=_LONG, strict=Nullable(Flag())
    ),
}
TEXT = Record({"format": Tagged("type", FORMATS), "verbosity": Nullable(Choice(("low", "medium", "high")))})
_SUMMARY = Nullable(Choice(("auto", "concise", "detailed")))
REASONING = Record(
    {
        "effort": chat.CHAT.fields["reasoning_effort"],
        "summary": _SUMMARY,
        "generate_summary": _SUMMARY,
        "context": Nullable(Choice(("auto", "current_turn", "all_turns"))),
    }
)

RESPONSE = Record(
    {
        "model": Text(256, 1),
        "input": ByType({str: _LONG, list: Sequence(_ITEM, MAX_ITEMS, 1)}, "a string or a list of items"),
        "instructions": Nullable(_LONG),
        "tools": Sequence(Tagged("type", TOOLS), MAX_TOOLS),
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": Nullable(Flag()),
        "max_tool_calls": Nullable(Whole(1, MAX_TOOLS)),
        "max_output_tokens": Nullable(Whole(1, chat.MAX_TOKENS)),
        "text": TEXT,
        "reasoning": Nullable(REASONING),
        "temperature": Nullable(Number(0, 2)),
        "top_p": Nullable(Number(0, 1)),
        "truncation": Nullable(Choice(("auto", "disabled"))),
        "include": _NONE,
        "store": Nullable(Only(False)),
        "background": Nullable(Only(False)),
        "stream": Nullable(Flag()),
        "stream_options": Nullable(Record({"include_obfuscation": Flag()})),
        "metadata": Nullable(Table(Text(64), Text(512), 16)),
        "service_tier": Nullable(Choice(("auto", "default"))),
        "safety_identifier": Nullable(_ID),
        "user": _ID,
    },
    ("model", "input"),
)


def _has_no_format(text: Mapping[str, Any] | None) -> bool:
    return not text or text.get("format", {}).get("type", "text") == "text"


def _asks_for_no_thought(reasoning: Mapping[str, Any] | None) -> bool:
    """Neither to think nor to tell of it; `context` says no more than which of earlier thoughts are read again."""
    if not reasoning:
        return True
    is_silent = not reasoning.get("summary") and not reasoning.get("generate_summary")
    return is_silent and reasoning.get("effort") in (None, "none")


ASKING: Mapping[str, tuple[Asking, ...]] = {
    "tools": (Asking(Capability.TOOLS),),
    "text": (Asking(Capability.STRUCTURED_OUTPUT, _has_no_format),),
    "reasoning": (Asking(Capability.REASONING, _asks_for_no_thought),),
}


def response_with_images(url: Rule) -> Record:
    """The body where users may show images."""
    detail = Nullable(Choice(("auto", "low", "high")))
    image = _kind("input_image", "image_url", image_url=url, detail=detail)
    parts = Sequence(Tagged("type", {"input_text": _INPUT_TEXT, "input_image": image}), MAX_PARTS)
    user = _message("user", ByType({str: _LONG, list: parts}, "a string or a list of parts"))
    item = Tagged("type", {"message": Tagged("role", {**MESSAGES, "user": user}), **ITEMS}, absent="message")
    given = ByType({str: _LONG, list: Sequence(item, MAX_ITEMS, 1)}, "a string or a list of items")
    return Record({**RESPONSE.fields, "input": given}, RESPONSE.required)


FORCED: Mapping[str, object] = {"store": False}
"""Servers keep a response unless they are told not to."""

_SHARED_CACHE = "caches shared between callers tell one about another"
_STATE = "what it refers to was not inspected here"
REFUSED: Mapping[str, str] = {
    "access_programs": "it means something only at another service",
    "background_options": _STATE,
    "context_management": "the server keeps nothing for callers",
    "conversation": _STATE,
    "image": "inline media come with a capability for them",
    "moderation": "it names another service",
    "previous_response_id": _STATE,
    "prompt": _STATE,
    "prompt_cache_key": _SHARED_CACHE,
    "prompt_cache_options": _SHARED_CACHE,
    "prompt_cache_retention": _SHARED_CACHE,
    "prompt_cache_breakpoint": _SHARED_CACHE,
    "top_logprobs": "they repeat a text beside the one that the seam may hold back",
}
"""Fields of OpenAI's description that are refused as unknown, and why; a test holds that no third kind exists."""

_RUNS_NONE = "the server runs no tools"
REFUSED_OF_TOOLS: Mapping[str, str] = dict.fromkeys(
    ("async", "allowed_callers", "caller", "defer_loading", "namespace"), _RUNS_NONE
)
REFUSED_OF_REASONING: Mapping[str, str] = {"mode": "it means something only at another service"}
