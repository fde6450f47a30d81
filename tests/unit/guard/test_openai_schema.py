"""The schema of OpenAI's bodies against the description that OpenAI's own package carries."""

import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionDeveloperMessageParam,
    ChatCompletionFunctionMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat import completion_create_params as chat_params

from bartizan.guard.profiles import openai_schema, schema
from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason

STREAMED: dict[str, Any] = {"stream": bool | None}
"""`stream` stands in OpenAI's types beside the rest: one class each for true and false."""

RECORDS: dict[str, tuple[schema.Record, Any, dict[str, Any]]] = {
    "chat": (openai_schema.CHAT, chat_params.CompletionCreateParamsBase, STREAMED),
    "completion": (openai_schema.COMPLETION, completion_create_params.CompletionCreateParamsBase, STREAMED),
    "embedding": (openai_schema.EMBEDDING, embedding_create_params.EmbeddingCreateParams, {}),
    "developer": (openai_schema.MESSAGES["developer"], ChatCompletionDeveloperMessageParam, {}),
    "system": (openai_schema.MESSAGES["system"], ChatCompletionSystemMessageParam, {}),
    "user": (openai_schema.MESSAGES["user"], ChatCompletionUserMessageParam, {}),
    "assistant": (openai_schema.MESSAGES["assistant"], ChatCompletionAssistantMessageParam, {}),
    "tool": (openai_schema.MESSAGES["tool"], ChatCompletionToolMessageParam, {}),
    "function": (openai_schema.MESSAGES["function"], ChatCompletionFunctionMessageParam, {}),
}


@pytest.mark.parametrize(("record", "described", "more"), RECORDS.values(), ids=RECORDS)
def test_every_described_field_is_known_or_refused_on_purpose(
    record: schema.Record, described: Any, more: dict[str, Any]
) -> None:
    hints = {**typing.get_type_hints(described), **more}
    assert set(hints) - set(record.fields) <= set(openai_schema.REFUSED)
    assert set(record.fields) <= set(hints), "a field that OpenAI does not describe"
    assert not set(record.fields) & set(openai_schema.REFUSED)


@pytest.mark.parametrize(("record", "described", "more"), RECORDS.values(), ids=RECORDS)
def test_what_is_required_is_what_is_described_as_required(
    record: schema.Record, described: Any, more: dict[str, Any]
) -> None:
    hints = typing.get_type_hints(described, include_extras=True)
    assert set(record.required) == {name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required}


@pytest.mark.parametrize(("record", "described", "more"), RECORDS.values(), ids=RECORDS)
def test_simple_values_of_the_described_type_pass_and_others_do_not(
    record: schema.Record, described: Any, more: dict[str, Any]
) -> None:
    hints = {**typing.get_type_hints(described), **more}
    for name, rule in record.fields.items():
        kinds = set(_kinds(hints[name]))
        for kind, value in ((bool, True), (int, 1), (str, "x"), (type(None), None)):
            is_described = kind in kinds or (kind is int and float in kinds)
            if _passes(rule, value):
                assert is_described, (name, value)
            elif is_described and kind in (bool, int, type(None)):
                pytest.fail(f"{name}: {value!r} is described and refused")


def _kinds(hint: Any) -> Iterator[Any]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        for inner in typing.get_args(hint):
            yield from _kinds(inner)
    elif origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(hint)}
    else:
        yield origin or hint


@pytest.mark.parametrize("name", ["reasoning_effort", "verbosity"])
def test_every_described_word_of_these_choices_passes(name: str) -> None:
    hint = typing.get_type_hints(chat_params.CompletionCreateParamsBase)[name]
    (words,) = [typing.get_args(inner) for inner in typing.get_args(hint) if typing.get_origin(inner)]
    assert all(_passes(openai_schema.CHAT.fields[name], word) for word in words)


def test_smaller_records_are_described_alike() -> None:
    text = openai_schema._TEXT_PART
    options = openai_schema._STREAM_OPTIONS.rule
    function = openai_schema._TOOL.records["function"]
    for record, described in (
        (text, ChatCompletionContentPartTextParam),
        (options, ChatCompletionStreamOptionsParam),
        (function, ChatCompletionFunctionToolParam),
    ):
        assert isinstance(record, schema.Record)
        assert set(typing.get_type_hints(described)) - set(record.fields) <= set(openai_schema.REFUSED)


RICH: dict[str, Any] = {
    "model": "demo",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": [{"type": "text", "text": "x"}]},
        {"role": "user", "content": "hello", "name": "someone"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": None},
    ],
    "tools": [{"type": "function", "function": {
        "name": "weather", "description": "d", "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}},
        {"type": "custom", "custom": {"name": "c", "format": {
            "type": "grammar", "grammar": {"definition": "x", "syntax": "lark"}}}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": [1, {"b": None}]}}},
    "stop": ["a", "b"], "stream": True, "stream_options": {"include_usage": True}, "logit_bias": {"50256": -100},
    "temperature": 0.5, "top_p": 1, "n": 2, "max_completion_tokens": 100, "seed": -1, "metadata": {"a": "b"},
    "reasoning_effort": "high", "parallel_tool_calls": False, "logprobs": True, "top_logprobs": 5,
    "prediction": {"type": "content", "content": "x"}, "modalities": ["text"], "user": "u",
}  # fmt: skip


def test_a_rich_request_passes() -> None:
    openai_schema.CHAT.judge(RICH, "")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each object whose fields are known."""
    if isinstance(value, dict):
        free = path and path[-1] in ("parameters", "schema", "metadata", "logit_bias")
        yield from [] if free else [path]
        for name, item in value.items():
            yield from [] if free else _paths(item, (*path, name))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", [path for path in _paths(RICH) if "schema" not in path and "parameters" not in path])
def test_an_unknown_field_is_refused_in_every_object(path: tuple[Any, ...]) -> None:
    body = _copied(RICH)
    target = body
    for step in path:
        target = target[step]
    target["smuggled"] = "text"
    with pytest.raises(Refusal) as refused:
        openai_schema.CHAT.judge(body, "")
    assert refused.value.reason is Reason.FIELD_UNKNOWN
    assert refused.value.param is not None
    assert refused.value.param.endswith("smuggled")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(openai_schema.CHAT.fields)), value=VALUES)
def test_any_value_in_any_field_passes_or_is_refused_and_nothing_else_happens(field: str, value: Any) -> None:
    try:
        openai_schema.CHAT.judge({**RICH, field: value}, "")
    except Refusal as refusal:
        assert refusal.reason in (Reason.FIELD_UNKNOWN, Reason.FIELD_INVALID)  # noqa: PT017 -- a refusal need not come


def _passes(rule: schema.Rule, value: Any) -> bool:
    try:
        rule.judge(value, "field")
    except Refusal:
        return False
    return True
