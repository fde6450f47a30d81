"""What a request asks for beyond a text: told in the audit, refused where the owner has not let it through."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.unit.guard import running
from tests.unit.guard.running import Answer, Guard, Model, chat, credential, document

from bartizan.guard.enforcement import PROFILES
from bartizan.guard.profiles.contract import Terms
from bartizan.policy.capabilities import ALL, Capability

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
CHAT, COMPLETIONS, RESPONSES, MESSAGES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
)
MOST: dict[str, dict[str, Any]] = {
    CHAT: chat(),
    COMPLETIONS: {"model": "demo", "prompt": "hi"},
    RESPONSES: {"model": "demo", "input": "hi"},
    MESSAGES: {"model": "demo", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]},
}
ASKED: list[tuple[str, dict[str, Any], Capability]] = [
    (CHAT, {"tools": [TOOL]}, Capability.TOOLS),
    (CHAT, {"functions": [{"name": "look"}]}, Capability.TOOLS),
    (CHAT, {"response_format": {"type": "json_object"}}, Capability.STRUCTURED_OUTPUT),
    (CHAT, {"response_format": SCHEMA}, Capability.STRUCTURED_OUTPUT),
    (CHAT, {"logprobs": True}, Capability.LOG_PROBS),
    (CHAT, {"top_logprobs": 1}, Capability.LOG_PROBS),
    (CHAT, {"n": 2}, Capability.MANY_ANSWERS),
    (CHAT, {"logit_bias": {"13": -100}}, Capability.TOKEN_BIAS),
    (CHAT, {"reasoning_effort": "low"}, Capability.REASONING),
    (COMPLETIONS, {"logprobs": 0}, Capability.LOG_PROBS),
    (COMPLETIONS, {"n": 2}, Capability.MANY_ANSWERS),
    (COMPLETIONS, {"best_of": 2}, Capability.MANY_ANSWERS),
    (COMPLETIONS, {"logit_bias": {"13": 1}}, Capability.TOKEN_BIAS),
    (COMPLETIONS, {"prompt": ["a", "b"]}, Capability.MANY_ANSWERS),
    (COMPLETIONS, {"prompt": ["a"] * 8}, Capability.MANY_ANSWERS),
    (RESPONSES, {"tools": [{"type": "function", "name": "look", "strict": False, "parameters": {}}]}, Capability.TOOLS),
    (RESPONSES, {"text": {"format": {"type": "json_object"}}}, Capability.STRUCTURED_OUTPUT),
    (RESPONSES, {"reasoning": {"effort": "high"}}, Capability.REASONING),
    (RESPONSES, {"reasoning": {"summary": "auto"}}, Capability.REASONING),
    (RESPONSES, {"reasoning": {"effort": "none", "summary": "detailed"}}, Capability.REASONING),
    (RESPONSES, {"reasoning": {"generate_summary": "concise"}}, Capability.REASONING),
    (MESSAGES, {"tools": [{"name": "look", "input_schema": {"type": "object"}}]}, Capability.TOOLS),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 5}}, Capability.REASONING),
    (
        MESSAGES,
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        Capability.STRUCTURED_OUTPUT,
    ),
    (MESSAGES, {"output_config": {"effort": "low"}}, Capability.REASONING),
]
QUIET: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"tools": [], "functions": [], "tool_choice": "none"}),
    (CHAT, {"response_format": {"type": "text"}, "logprobs": False, "top_logprobs": None}),
    (CHAT, {"n": 1, "logit_bias": None, "reasoning_effort": "none"}),
    (COMPLETIONS, {"n": None, "best_of": 1, "logprobs": None, "logit_bias": {}}),
    (COMPLETIONS, {"prompt": ["hi"]}),
    (RESPONSES, {"tools": [], "text": {"format": {"type": "text"}}, "reasoning": {"context": "auto"}}),
    (RESPONSES, {"reasoning": {"effort": "none", "summary": None, "generate_summary": None}}),
    (MESSAGES, {"tools": [], "thinking": {"type": "disabled"}, "output_config": {}}),
    (MESSAGES, {"output_config": {"effort": None, "format": None}}),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[dict[str, Guard]]:
    """Guards of endpoints that let nothing but text through, by protocol."""
    with (
        running.guard(tmp_path_factory.mktemp("o"), model.upstream, given=document(capabilities=())) as one,
        running.guard(
            tmp_path_factory.mktemp("a"), model.upstream, given=document(capabilities=(), protocol="Anthropic")
        ) as other,
    ):
        yield {"OpenAI": one, "Anthropic": other}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, model: Model, guard: Guard) -> Iterator[dict[str, Guard]]:
    given = document(protocol="Anthropic")
    with running.guard(tmp_path_factory.mktemp("w"), model.upstream, given=given) as other:
        yield {"OpenAI": guard, "Anthropic": other}


def ask(guards: dict[str, Guard], path: str, more: dict[str, Any]) -> tuple[Guard, Answer]:
    guard = guards["Anthropic" if path == MESSAGES else "OpenAI"]
    headers = {"anthropic_version": "2023-06-01"} if path == MESSAGES else {}
    return guard, guard.ask({**MOST[path], **more}, path=path, **headers)


def _name(value: object) -> str:
    return "-".join(value) if isinstance(value, dict) else str(value).rpartition("/")[2]


@pytest.mark.parametrize(("path", "more", "capability"), ASKED, ids=_name)
def test_what_a_request_asks_for_is_told_and_may_be_shut(
    wide: dict[str, Guard], plain: dict[str, Guard], path: str, more: dict[str, Any], capability: Capability
) -> None:
    guard, answer = ask(wide, path, more)
    assert guard.audited(answer.headers["X-Request-Id"])[0]["capabilities"] == [capability]
    guard, refused = ask(plain, path, more)
    assert refused.status == 403
    error = refused.json()["error"]
    assert capability in error["message"]
    assert error.get("param", next(iter(more))) == next(iter(more))
    (decision,) = guard.audited(refused.headers["X-Request-Id"])
    assert decision["reason"] == "CapabilityNotAllowed"


@pytest.mark.parametrize(("path", "more"), QUIET, ids=_name)
def test_what_asks_for_nothing_passes_everywhere(plain: dict[str, Guard], path: str, more: dict[str, Any]) -> None:
    guard, answer = ask(plain, path, more)
    assert answer.status == 200
    assert guard.audited(answer.headers["X-Request-Id"])[0]["capabilities"] == []


def test_one_capability_does_not_open_another(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=document(capabilities=("Tools",))) as guard:
        assert guard.ask(chat(tools=[TOOL])).status == 200
        assert guard.ask(chat(tools=[TOOL], n=2)).status == 403


@pytest.mark.parametrize(
    ("allowed", "status"),
    [(("Reasoning",), 403), (("StructuredOutput",), 403), (("Reasoning", "StructuredOutput"), 200)],
)
def test_a_field_that_asks_for_two_needs_both(
    tmp_path: Path, model: Model, allowed: tuple[str, ...], status: int
) -> None:
    both = {"output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {}}}}
    with running.guard(tmp_path, model.upstream, given=document(capabilities=allowed, protocol="Anthropic")) as guard:
        _, answer = ask({"Anthropic": guard}, MESSAGES, both)
        told = guard.audited(answer.headers["X-Request-Id"])[0]["capabilities"]
    assert (answer.status, told) == (status, list(allowed) if status == 200 else [])


def test_many_prompts_are_as_many_as_choices_may_be(wide: dict[str, Guard], plain: dict[str, Guard]) -> None:
    """Each is a request of its own to the model, in one slot."""
    _, refused = ask(wide, COMPLETIONS, {"prompt": ["a"] * 9})
    assert (refused.status, refused.json()["error"]["param"]) == (400, "prompt")
    _, shut = ask(plain, COMPLETIONS, {"prompt": ["a", "b"]})
    assert "send one prompt" in shut.json()["error"]["message"]


def test_the_sdk_hears_that_permission_is_denied_and_does_not_try_again(plain: dict[str, Guard], model: Model) -> None:
    before = len(model.received())
    with (
        openai.OpenAI(base_url=plain["OpenAI"].base_url, api_key=credential().reveal()) as client,
        pytest.raises(openai.PermissionDeniedError) as refused,
    ):
        client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "hi"}], n=3)
    assert refused.value.param == "n"
    assert len(model.received()) == before


def test_every_field_that_asks_is_one_of_its_schema_and_every_capability_can_be_asked_for() -> None:
    asked = set()
    for build in PROFILES.values():
        for route in build(Terms("demo")).routes.values():
            if route.schema is not None:
                assert set(route.asking) <= set(route.schema.fields)
                asked |= {asking.capability for askings in route.asking.values() for asking in askings}
    assert asked == set(ALL)
