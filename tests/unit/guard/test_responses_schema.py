"""The schema of OpenAI's responses against the description that OpenAI's own package carries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import shared_params
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseFunctionToolCallParam,
    ResponseInputTextParam,
    ResponseOutputMessageParam,
    ResponseOutputRefusalParam,
    ResponseOutputTextParam,
    ResponseReasoningItemParam,
    response_create_params,
    response_custom_tool_call_output_param,
    response_custom_tool_call_param,
    response_format_text_config_param,
    response_input_item_param,
    response_text_config_param,
    tool_param,
)
from tests.unit.guard import described
from tests.unit.guard.described import Description

from bartizan.guard.profiles import responses_schema as ours
from bartizan.guard.profiles import schema
from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason

TOOLS = described.tags_of(tool_param.ToolParam)
DESCRIPTIONS = {
    "response": Description(
        ours.RESPONSE, response_create_params.ResponseCreateParamsBase, ours.REFUSED, {"stream": bool | None}
    ),
    "user": Description(ours.MESSAGES["user"], response_input_item_param.Message),
    "assistant": Description(ours.MESSAGES["assistant"], ResponseOutputMessageParam),
    "input_text": Description(ours._INPUT_TEXT, ResponseInputTextParam, ours.REFUSED),
    "output_text": Description(ours._OUTPUT_TEXT, ResponseOutputTextParam),
    "refusal": Description(ours._REFUSAL, ResponseOutputRefusalParam),
    "function_call": Description(ours.ITEMS["function_call"], ResponseFunctionToolCallParam, ours.REFUSED_OF_TOOLS),
    "function_call_output": Description(
        ours.ITEMS["function_call_output"], response_input_item_param.FunctionCallOutput,
        {**ours.REFUSED_OF_TOOLS, "name": "the call has it"},
    ),
    "custom_tool_call": Description(
        ours.ITEMS["custom_tool_call"], response_custom_tool_call_param.ResponseCustomToolCallParam,
        ours.REFUSED_OF_TOOLS,
    ),
    "custom_tool_call_output": Description(
        ours.ITEMS["custom_tool_call_output"],
        response_custom_tool_call_output_param.ResponseCustomToolCallOutputParam, ours.REFUSED_OF_TOOLS,
    ),
    "reasoning": Description(ours.ITEMS["reasoning"], ResponseReasoningItemParam),
    "function": Description(ours.TOOLS["function"], TOOLS["function"], ours.REFUSED_OF_TOOLS),
    "custom": Description(ours.TOOLS["custom"], TOOLS["custom"], ours.REFUSED_OF_TOOLS),
    "text": Description(ours.TEXT, response_text_config_param.ResponseTextConfigParam),
    "asked reasoning": Description(ours.REASONING, shared_params.Reasoning, ours.REFUSED_OF_REASONING),
}  # fmt: skip


@pytest.mark.parametrize("it", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_every_described_field_is_known_or_refused_on_purpose(it: Description) -> None:
    assert it.unnoticed() == set()
    assert it.invented() == set(), "a field that OpenAI does not describe"
    assert not set(it.record.fields) & set(it.refused)


def test_what_is_required_is_described_as_required_but_for_what_clients_leave_out() -> None:
    found = {name: set(it.record.required) ^ it.required() for name, it in DESCRIPTIONS.items()}
    assert {name: fields for name, fields in found.items() if fields} == {
        "response": {"model", "input"},
        "assistant": {"id", "status", "type"},  # an easy message of the assistant has none of them
        "output_text": {"annotations"},
        "function": {"parameters", "strict"},
    }
    assert set(EasyInputMessageParam.__annotations__) <= set(ours.MESSAGES["assistant"].fields)


@pytest.mark.parametrize("it", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_simple_values_of_the_described_type_pass_and_others_do_not(it: Description) -> None:
    asked_for_nothing = {("store", True), ("background", True)}
    more_lenient = {"annotations", "logprobs", "status", "content", "strict", "summary", "encrypted_content"}
    assert [wrong for wrong in it.misjudged() if wrong not in asked_for_nothing and wrong[0] not in more_lenient] == []


def test_every_described_kind_of_item_is_known_or_refused() -> None:
    kinds = set(described.tags_of(response_input_item_param.ResponseInputItemParam))
    assert kinds - {*ours.ITEMS, "message"} == {
        "file_search_call", "computer_call", "computer_call_output", "web_search_call", "tool_search_call",
        "tool_search_output", "additional_tools", "compaction", "image_generation_call", "code_interpreter_call",
        "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call",
        "apply_patch_call_output", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call",
        "compaction_trigger", "configuration_update", "item_reference", "program", "program_output",
    }  # fmt: skip


def test_every_described_tool_is_the_callers_own_or_refused() -> None:
    assert set(ours.TOOLS) == {"function", "custom"}
    for kind in set(TOOLS) - set(ours.TOOLS):
        assert not described.passes(ours.RESPONSE.fields["tools"], [{"type": kind, "name": "x"}])


def test_every_described_format_is_known() -> None:
    found = described.tags_of(response_format_text_config_param.ResponseFormatTextConfigParam)
    assert set(found) == set(ours.FORMATS)
    for kind, member in found.items():
        it = Description(ours.FORMATS[kind], member)
        assert (it.unnoticed(), it.invented()) == (set(), set())


RICH: dict[str, Any] = {
    "model": "demo", "instructions": "be brief", "stream": True, "store": False, "background": None, "include": [],
    "input": [
        {"role": "user", "content": "hello"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
         "content": [{"type": "reasoning_text", "text": "r"}], "encrypted_content": None, "status": None},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}",
         "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "fine", "annotations": [], "logprobs": []},
                     {"type": "refusal", "refusal": "no"}]},
    ],
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": None},
              {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "d"}}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 100, "temperature": 1, "top_p": 0.5,
    "truncation": "disabled", "metadata": {"a": "b"}, "parallel_tool_calls": False, "user": "u",
}  # fmt: skip


def test_a_rich_request_passes() -> None:
    ours.RESPONSE.judge(RICH, "")


IMAGE = [
    {"role": "user", "content": [{"type": "input_image", "image_url": "http://169.254.169.254/", "detail": "auto"}]}
]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"input": [{"id": "msg_1"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "c2VjcmV0"}]},
         "input[0].encrypted_content"),
        ({"input": [{"type": "mcp_call", "id": "m"}]}, "input[0].type"),
        ({"input": IMAGE}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "http://x/"}]}]},
         "input[0].content[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": []}, "input"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x", "server_url": "http://10.0.0.1"}]}, "tools[0].type"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools[0].type"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"previous_input_messages": [{"role": "system", "content": "x"}]}, "previous_input_messages"),
        ({"kv_transfer_params": {"remote_host": "10.0.0.1"}}, "kv_transfer_params"),
    ],
)  # fmt: skip
def test_what_the_server_would_fetch_keep_or_run_is_refused(change: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as refused:
        ours.RESPONSE.judge({**RICH, **change}, "")
    assert refused.value.param == param


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(ours.RESPONSE.fields)), value=VALUES)
def test_any_value_in_any_field_passes_or_is_refused_and_nothing_else_happens(field: str, value: Any) -> None:
    try:
        ours.RESPONSE.judge({**RICH, field: value}, "")
    except Refusal as refusal:
        assert refusal.reason in (Reason.FIELD_UNKNOWN, Reason.FIELD_INVALID)  # noqa: PT017 -- a refusal need not come


def test_an_object_without_its_tag_is_judged_as_the_commonest() -> None:
    tagged = schema.Tagged("type", {"a": schema.Record({"x": schema.Flag()})}, absent="a")
    tagged.judge({"x": True}, "")
    for wrong in ({"type": None, "x": True}, {"type": "b"}, {"type": ["a"]}, {"y": 1}):
        with pytest.raises(Refusal):
            tagged.judge(wrong, "")
