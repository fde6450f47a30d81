"""The schema of Anthropic's bodies against the description that Anthropic's own package carries."""

from typing import Any

import pytest
from anthropic.types import (
    Base64ImageSourceParam,
    CacheControlEphemeralParam,
    DocumentBlockParam,
    MetadataParam,
    OutputConfigParam,
    RedactedThinkingBlockParam,
    SearchResultBlockParam,
    TextBlockParam,
    ThinkingBlockParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
    content_block_param,
    message_count_tokens_params,
    message_create_params,
    message_param,
    thinking_config_param,
    tool_choice_param,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard import described
from tests.unit.guard.described import Description

from bartizan.guard.profiles import anthropic_schema as ours
from bartizan.guard.profiles import schema
from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason

NO_CITATIONS = {"citations": "they point to what the server has found"}
CALLED = {"caller": "the server runs no code that could call a tool", "toolset_name": "the server runs no toolsets"}
BLOCKS = {**ours.ASSISTANT_BLOCKS, **ours.USER_BLOCKS}
DESCRIPTIONS = {
    "message": Description(
        ours.MESSAGE, message_create_params.MessageCreateParamsBase, ours.REFUSED,
        {"stream": bool, "temperature": float, "top_p": float, "top_k": int},
    ),
    "count_tokens": Description(ours.COUNT, message_count_tokens_params.MessageCountTokensParams, ours.REFUSED),
    "text": Description(BLOCKS["text"], TextBlockParam, NO_CITATIONS),
    "document": Description(BLOCKS["document"], DocumentBlockParam),
    "search_result": Description(BLOCKS["search_result"], SearchResultBlockParam),
    "tool_result": Description(BLOCKS["tool_result"], ToolResultBlockParam, CALLED),
    "tool_use": Description(BLOCKS["tool_use"], ToolUseBlockParam, CALLED),
    "thinking": Description(BLOCKS["thinking"], ThinkingBlockParam),
    "redacted_thinking": Description(BLOCKS["redacted_thinking"], RedactedThinkingBlockParam),
    "tool": Description(ours.TOOL, ToolParam, ours.REFUSED_OF_TOOLS),
    "metadata": Description(ours.MESSAGE.fields["metadata"], MetadataParam),  # type: ignore[arg-type]
    "output_config": Description(ours.MESSAGE.fields["output_config"], OutputConfigParam),  # type: ignore[arg-type]
    "cache_control": Description(ours._CACHE.rule, CacheControlEphemeralParam),  # type: ignore[arg-type]
}  # fmt: skip
"""Temperature and its like went with version 2026-10-21; model servers and clients of the older one have them."""


@pytest.mark.parametrize("it", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_every_described_field_is_known_or_refused_on_purpose(it: Description) -> None:
    assert it.unnoticed() == set()
    assert it.invented() == set(), "a field that Anthropic does not describe"
    assert not set(it.record.fields) & set(it.refused)


@pytest.mark.parametrize("it", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_what_is_required_is_what_is_described_as_required(it: Description) -> None:
    assert set(it.record.required) == it.required()


@pytest.mark.parametrize("it", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_simple_values_of_the_described_type_pass_and_others_do_not(it: Description) -> None:
    assert it.misjudged() == []


def test_every_described_kind_of_block_is_known_or_refused_on_purpose() -> None:
    blocks = described.tags_of(content_block_param.ContentBlockParam)
    assert set(blocks) == {*BLOCKS, *ours.REFUSED_BLOCKS}


def test_every_described_role_choice_and_way_of_thinking_is_known() -> None:
    assert set(described.tags_of(message_param.MessageParam, "role")) == set(ours.MESSAGES)
    for union, rule in (
        (tool_choice_param.ToolChoiceParam, ours.MESSAGE.fields["tool_choice"]),
        (thinking_config_param.ThinkingConfigParam, ours.MESSAGE.fields["thinking"]),
    ):
        assert isinstance(rule, schema.Tagged)
        found = described.tags_of(union)
        assert set(found) == set(rule.records)
        for name, member in found.items():
            record = rule.records[name]
            assert isinstance(record, schema.Record)
            it = Description(record, member)
            assert (it.unnoticed(), it.invented()) == (set(), set()), name


RICH: dict[str, Any] = {
    "model": "demo", "max_tokens": 100,
    "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {"role": "user", "content": "hello"},
        {"role": "system", "content": "still brief"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "text", "text": "let me look"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": False,
             "content": [{"type": "text", "text": "sunny"}]},
            {"type": "document", "title": "t", "context": None, "citations": {"enabled": True},
             "source": {"type": "text", "media_type": "text/plain", "data": "a page"}},
            {"type": "search_result", "title": "t", "source": "intranet", "content": [{"type": "text", "text": "x"}]}]},
    ],
    "tools": [{"name": "weather", "description": "d", "strict": True,
               "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"},
    "stop_sequences": ["\n\nHuman:"], "temperature": 1.0, "top_p": 0.9, "top_k": 40, "stream": True,
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"a": [1]}}},
}  # fmt: skip


def test_a_rich_request_passes() -> None:
    ours.MESSAGE.judge(RICH, "")


USER = RICH["messages"][3]["content"]
IMAGE: dict[str, Any] = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].name"),
        ({"tools": [{"type": "bash_20250124", "name": "bash", "input_schema": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "computer_20250124", "name": "computer", "input_schema": {}}]}, "tools[0].type"),
        ({"mcp_servers": [{"type": "url", "url": "http://10.0.0.1"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": IMAGE}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {
            "type": "url", "url": "http://169.254.169.254/"}}]}]}, "messages[0].content[0].source.type"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {
            "type": "file", "file_id": "f"}}]}]}, "messages[0].content[0].source.type"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop_sequences": ["x"] * 17}, "stop_sequences"),
    ],
)  # fmt: skip
def test_what_the_server_would_fetch_keep_or_run_is_refused(change: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as refused:
        ours.MESSAGE.judge({**RICH, **change}, "")
    assert refused.value.param is not None
    assert refused.value.param.startswith(param.rpartition(".")[0] or param)


def test_an_image_is_described_as_we_would_read_it() -> None:
    assert set(Base64ImageSourceParam.__annotations__) == set(IMAGE)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(ours.MESSAGE.fields)), value=VALUES)
def test_any_value_in_any_field_passes_or_is_refused_and_nothing_else_happens(field: str, value: Any) -> None:
    try:
        ours.MESSAGE.judge({**RICH, field: value}, "")
    except Refusal as refusal:
        assert refusal.reason in (Reason.FIELD_UNKNOWN, Reason.FIELD_INVALID)  # noqa: PT017 -- a refusal need not come
