"""Anthropic's own SDK through the guard: whole, streamed, with tools, refused; and what no SDK would send."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from tests.unit.guard import running, scripted
from tests.unit.guard.running import Answer, Guard, Model, credential, document, request_bytes

from bartizan.guard.profiles.anthropic import VERSIONS
from bartizan.policy.document import RequestWindow, TokenWindow

MESSAGES = "/v1/messages"
HELLO: list[Any] = [{"role": "user", "content": "hello there"}]
TOOL: Any = {"name": "look", "input_schema": {"type": "object", "properties": {"said": {"type": "string"}}}}
VERSION = {"anthropic_version": "2023-06-01"}


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    folder = tmp_path_factory.mktemp("anthropic")
    given = document(protocol="Anthropic", max_output_tokens=1000)
    with running.guard(folder, model.upstream, given=given) as started:
        yield started


def address(guard: Guard) -> str:
    return f"http://127.0.0.1:{guard.port}"


def sdk(guard: Guard, key: str | None = None, retries: int = 0) -> anthropic.Anthropic:
    token = credential().reveal() if key is None else key
    return anthropic.Anthropic(base_url=address(guard), api_key=token, max_retries=retries)


@pytest.fixture
def client(guard: Guard) -> Iterator[anthropic.Anthropic]:
    with sdk(guard) as made:
        yield made


def body(**more: Any) -> dict[str, Any]:
    return {"model": "demo", "max_tokens": 100, "messages": HELLO, **more}


def ask(guard: Guard, **more: Any) -> Answer:
    return guard.ask(body(**more), path=MESSAGES, **VERSION)


def test_sdk_message_is_answered(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="demo", max_tokens=50, messages=HELLO, system="be brief")
    assert [block.text for block in answer.content if block.type == "text"] == ["hello there"]
    assert answer._request_id is not None
    assert answer._request_id.startswith("req_"), "what its users quote when something went wrong"
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 4, 2)


def test_sdk_stream_arrives_piece_by_piece(client: anthropic.Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "/count 20"}]
    with client.messages.stream(model="demo", max_tokens=50, messages=messages) as stream:
        pieces = list(stream.text_stream)
        last = stream.get_final_message()
    assert "".join(pieces) == " ".join(str(number) for number in range(1, 21))
    assert len(pieces) == 20
    assert (last.usage.input_tokens, last.usage.output_tokens) == (2, 20)


def test_sdk_async_stream_is_answered(guard: Guard) -> None:
    async def streamed() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=address(guard), api_key=credential().reveal()) as asked:
            stream = await asked.messages.create(model="demo", max_tokens=50, messages=HELLO, stream=True)
            return [event.type async for event in stream]

    kinds = asyncio.run(streamed())
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_delta") == 2


def test_sdk_calls_a_tool_and_tells_its_result(client: anthropic.Anthropic, model: Model) -> None:
    answer = client.messages.create(model="demo", max_tokens=50, messages=HELLO, tools=[TOOL])
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    assert (answer.stop_reason, call.name, call.input) == ("tool_use", "look", {"said": "hello there"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "it rains"}
    turns: list[Any] = [*HELLO, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    client.messages.create(model="demo", max_tokens=50, messages=turns, tools=[TOOL])
    assert json.loads(model.received()[-1]["body"])["messages"][2]["content"] == [result]


def test_sdk_streams_a_tools_input(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="demo", max_tokens=50, messages=HELLO, tools=[TOOL]) as stream:
        last = stream.get_final_message()
    (call,) = [block for block in last.content if block.type == "tool_use"]
    assert call.input == {"said": "hello there"}


def test_sdk_counts_tokens_and_lists_models(client: anthropic.Anthropic, guard: Guard) -> None:
    assert client.messages.count_tokens(model="demo", messages=HELLO).input_tokens == 2
    assert [model.id for model in client.models.list()] == ["demo"]
    counted = guard.ask({"model": "demo", "messages": HELLO}, path="/v1/messages/count_tokens", **VERSION)
    (_, outcome) = guard.audited(counted.headers["X-Request-Id"])
    assert (outcome["inputTokens"], outcome["outputTokens"]) == (0, 0), "counting costs no token"


def test_sdk_beta_messages_are_the_same_message(client: anthropic.Anthropic, model: Model) -> None:
    answer = client.beta.messages.create(model="demo", max_tokens=50, messages=HELLO, betas=["some-2026-01-01"])
    assert answer.content[0].type == "text"
    assert (model.received()[-1]["path"], "anthropic-beta" in model.received()[-1]["headers"]) == (MESSAGES, False)


def test_sdk_sees_each_refusal_as_its_own_error(guard: Guard, client: anthropic.Anthropic) -> None:
    with sdk(guard, credential(epoch=2).reveal()) as wrong, pytest.raises(anthropic.AuthenticationError) as refused:
        wrong.messages.create(model="demo", max_tokens=50, messages=HELLO)
    assert refused.value.type == "authentication_error"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="other", max_tokens=50, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError) as bad:
        client.messages.create(model="demo", max_tokens=50, messages=HELLO, tools=[{
            "type": "web_search_20250305", "name": "web_search"}])  # fmt: skip
    assert bad.value.type == "invalid_request_error"
    with pytest.raises(anthropic.BadRequestError, match="guided_json"):
        client.messages.create(model="demo", max_tokens=50, messages=HELLO, extra_body={"guided_json": {}})


def test_a_refusal_names_the_request(guard: Guard) -> None:
    refused = ask(guard, model="other")
    assert refused.json()["request_id"] == refused.headers["X-Request-Id"] == refused.headers["request-id"]
    assert (refused.json()["type"], refused.json()["error"]["type"]) == ("error", "not_found_error")


def test_sdk_waits_as_it_is_told_and_tries_again(tmp_path: Path, model: Model) -> None:
    given = document(protocol="Anthropic", requests=(RequestWindow(1, 1),))
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        with sdk(guard, retries=4) as patient:
            began = time.monotonic()
            for _ in range(2):
                patient.messages.create(model="demo", max_tokens=50, messages=HELLO)
            assert time.monotonic() - began >= 0.9
        with sdk(guard) as hasty, pytest.raises(anthropic.RateLimitError) as limited:
            hasty.messages.create(model="demo", max_tokens=50, messages=HELLO)
        assert int(limited.value.response.headers["retry-after"]) >= 1
        with sdk(guard, credential(epoch=2).reveal(), retries=4) as wrong, pytest.raises(anthropic.AuthenticationError):
            wrong.models.list()
        assert guard.end() == 0
        assert [line.get("reason") for line in guard.audit()].count("KeyUnknown") == 1, "a 401 is final"


def test_an_outage_is_an_error_that_the_sdk_retries(tmp_path: Path) -> None:
    absent = f"unix:{tmp_path / 'absent.sock'}"
    with (
        running.guard(tmp_path, absent, given=document(protocol="Anthropic")) as guard,
        sdk(guard) as client,
        pytest.raises(anthropic.InternalServerError) as refused,
    ):
        client.messages.create(model="demo", max_tokens=50, messages=HELLO)
    assert (refused.value.status_code, refused.value.type) == (503, "overloaded_error")
    assert refused.value.response.headers["retry-after"] == "2"


def test_an_error_of_the_model_keeps_its_status(client: anthropic.Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "/status 529"}]
    with pytest.raises(anthropic.InternalServerError) as refused:
        client.messages.create(model="demo", max_tokens=50, messages=messages)
    assert refused.value.status_code == 529


def test_a_stream_that_the_model_breaks_off_ends_in_an_error(client: anthropic.Anthropic, guard: Guard) -> None:
    messages: list[Any] = [{"role": "user", "content": "/count 9 /drop 3"}]
    seen: list[str] = []
    with pytest.raises(anthropic.APIError, match="api_error"):  # noqa: PT012 -- the error comes while one reads
        stream = client.messages.create(model="demo", max_tokens=50, messages=messages, stream=True)
        seen.extend(event.type for event in stream)
    assert seen.count("content_block_delta") == 3
    raw = guard.raw(request_bytes(json.dumps(body(messages=messages, stream=True)).encode(),
                                  b"anthropic-version: 2023-06-01", path=b"/v1/messages"))  # fmt: skip
    assert b"event: error\ndata: " in raw
    assert not raw.endswith(b"0\r\n\r\n"), "HTTP's own end would say that all of it came"


def test_a_model_that_overruns_is_cut(tmp_path: Path) -> None:
    piece = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}
    event = f"event: content_block_delta\ndata: {json.dumps(piece)}\n\n".encode()
    answer = scripted.chunked(*[event] * 200, end=b"")
    given = document(protocol="Anthropic", max_output_tokens=50)
    with (
        scripted.scripted(tmp_path / "wild.sock", answer, stays=True) as wild,
        running.guard(tmp_path, wild.upstream, given=given) as guard,
    ):
        raw = guard.raw(request_bytes(json.dumps(body(stream=True)).encode(), b"anthropic-version: 2023-06-01",
                                      path=b"/v1/messages"))  # fmt: skip
    assert raw.count(b"text_delta") <= 60
    assert b"sent more than was asked for" in raw


@pytest.mark.parametrize("stream", [False, True])
def test_usage_is_charged_and_the_rest_let_go(tmp_path: Path, model: Model, *, stream: bool) -> None:
    given = document(protocol="Anthropic", max_output_tokens=1000, tokens=(TokenWindow("Total", 10_000, 86400),))
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        answer = ask(guard, messages=[{"role": "user", "content": "/count 30"}], stream=stream)
        (_, outcome) = guard.audited(answer.headers["X-Request-Id"])
        assert (outcome["inputTokens"], outcome["outputTokens"]) == (2, 30)
        left = guard.ask(path="/v1/models", **VERSION).headers["x-ratelimit-remaining-tokens"]
        assert left == str(10_000 - 32)


def test_max_tokens_is_clamped_or_refused_as_the_policy_says(guard: Guard, tmp_path: Path, model: Model) -> None:
    assert ask(guard, max_tokens=5000).status == 200
    told = json.loads(model.received()[-1]["body"])
    assert (told["max_tokens"], "stream_options" in told) == (1000, False)
    given = document(protocol="Anthropic", max_output_tokens=1000, excess_output="Reject")
    with running.guard(tmp_path, model.upstream, given=given) as strict:
        assert ask(strict, max_tokens=1001).status == 400
        assert ask(strict, max_tokens=1000).status == 200


def test_what_goes_to_the_model_is_ours(guard: Guard, model: Model) -> None:
    ask(guard)
    headers = model.received()[-1]["headers"]
    assert headers["anthropic-version"] == VERSIONS[0].decode()
    assert set(headers) == {"host", "content-type", "accept", "content-length", "anthropic-version"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_Api_Key": "{key}"}, 200),
        ({"Authorization": "Bearer {key}"}, 200),
        ({"X_Api_Key": "{key}", "Authorization": "Bearer {key}"}, 401),
        ({"X_Api_Key": "{key}", "Proxy_Authorization": "Bearer {key}"}, 401),
        ({"X_Api_Key": "Bearer {key}"}, 401),
        ({"X_Api_Key": ""}, 401),
        ({"Api_Key": "{key}"}, 401),
        ({}, 401),
    ],
)
def test_one_credential_in_either_header_and_no_second(guard: Guard, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(key=credential().reveal()) for name, value in headers.items()}
    answer = guard.ask(body(), path=MESSAGES, key="", **VERSION, **sent)
    assert answer.status == status


def test_two_keys_in_one_header_are_refused(guard: Guard) -> None:
    line = b"x-api-key: " + credential().reveal().encode()
    data = json.dumps(body()).encode()
    raw = request_bytes(data, b"anthropic-version: 2023-06-01", line, path=b"/v1/messages")
    assert guard.raw(raw).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("lines", [[], [b"2023-01-01"], [b"2023-06-01", b"2023-06-01"], [b"2023-06-01, 2023-06-01"]])
def test_the_version_is_judged(guard: Guard, lines: list[bytes]) -> None:
    sent = [b"anthropic-version: " + line for line in lines]
    raw = guard.raw(request_bytes(json.dumps(body()).encode(), *sent, path=b"/v1/messages"))
    assert raw.startswith(b"HTTP/1.1 400")
    assert b"anthropic-version: 2023-06-01 or 2026-10-21" in raw


@pytest.mark.parametrize("path", ["/v1/messages?beta=false", "/v1/messages?x", "/v1/messages/", "/v1/messages/batches",
                                  "/v1/chat/completions", "/v1/complete", "/v1/models/demo"])  # fmt: skip
def test_other_paths_are_not_there(guard: Guard, path: str) -> None:
    assert guard.ask(body(), path=path, **VERSION).status == 404
