"""What clients of OpenAI's protocol see: its SDK with responses and tools, async, and LangChain; refusals included."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from tests.unit.guard import running
from tests.unit.guard.running import Answer, Guard, Model, credential, document, request_bytes

from bartizan.policy.document import RequestWindow

RESPONSES = "/v1/responses"
FUNCTION: Any = {
    "type": "function",
    "name": "look",
    "strict": False,
    "parameters": {"type": "object", "properties": {}},
}


@pytest.fixture
def client(guard: Guard) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=guard.base_url, api_key=credential().reveal(), max_retries=0) as made:
        yield made


def ask(guard: Guard, **more: Any) -> Answer:
    return guard.ask({"model": "demo", "input": "hello there", **more}, path=RESPONSES)


def test_sdk_response_is_answered_and_the_model_keeps_none(client: openai.OpenAI, model: Model) -> None:
    answer = client.responses.create(model="demo", input="hello there", instructions="be brief")
    assert (answer.output_text, answer.status) == ("hello there", "completed")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 2)
    told = json.loads(model.received()[-1]["body"])
    assert (told["store"], told["max_output_tokens"], "stream_options" in told) == (False, 1_000_000, False)


def test_sdk_response_is_streamed(client: openai.OpenAI) -> None:
    with client.responses.stream(model="demo", input="/count 20") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        last = stream.get_final_response()
    assert "".join(pieces) == last.output_text == " ".join(str(number) for number in range(1, 21))
    assert len(pieces) == 20


def test_sdk_async_response_is_streamed(guard: Guard) -> None:
    async def streamed() -> list[str]:
        async with openai.AsyncOpenAI(base_url=guard.base_url, api_key=credential().reveal()) as asked:
            return [event.type async for event in await asked.responses.create(model="demo", input="hi", stream=True)]

    kinds = asyncio.run(streamed())
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_sdk_response_calls_a_function_and_is_told_what_it_gave(client: openai.OpenAI, model: Model) -> None:
    said: Any = [{"role": "user", "content": "hello there"}]
    with client.responses.stream(model="demo", input=said, tools=[FUNCTION]) as stream:
        answer = stream.get_final_response()
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("look", {"said": "hello there"})
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "it rains"}
    turns: Any = [*said, *(item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in answer.output)]
    client.responses.create(model="demo", input=[*turns, result], tools=[FUNCTION])
    assert json.loads(model.received()[-1]["body"])["input"][-1] == result


def test_sdk_feeds_an_answer_back(client: openai.OpenAI) -> None:
    first: Any = client.responses.create(model="demo", input="one").output
    turns: Any = [{"role": "user", "content": "one"}, *first, {"role": "user", "content": "two"}]
    assert client.responses.create(model="demo", input=turns).output_text == "two"


def test_sdk_sees_what_is_refused_of_responses(client: openai.OpenAI) -> None:
    asked: Any = ({"previous_response_id": "resp_1"}, {"store": True}, {"background": True}, {"conversation": "c"},
                 {"tools": [{"type": "web_search"}]})  # fmt: skip
    for more in asked:
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="demo", input="x", **more)
        assert refused.value.code in ("unknown_parameter", "invalid_value")


def test_a_response_that_the_model_breaks_off_ends_in_an_error(client: openai.OpenAI, guard: Guard) -> None:
    seen: list[str] = []
    with pytest.raises(openai.APIError, match="broke off"):  # noqa: PT012 -- the error comes while one reads
        stream = client.responses.create(model="demo", input="/count 9 /drop 3", stream=True)
        seen.extend(event.type for event in stream)
    assert seen.count("response.output_text.delta") == 3
    body = json.dumps({"model": "demo", "input": "/count 9 /drop 3", "stream": True}).encode()
    raw = guard.raw(request_bytes(body, path=RESPONSES.encode()))
    assert b"event: error\ndata: " in raw
    assert not raw.endswith(b"0\r\n\r\n"), "HTTP's own end would say that all of it came"


@pytest.mark.parametrize("stream", [False, True])
def test_usage_of_a_response_is_charged(guard: Guard, *, stream: bool) -> None:
    answer = ask(guard, input="/count 30", stream=stream)
    (_, outcome) = guard.audited(answer.headers["X-Request-Id"])
    assert (outcome["inputTokens"], outcome["outputTokens"]) == (2, 30)


def test_the_most_output_of_a_response_is_clamped_or_refused(tmp_path: Path, model: Model) -> None:
    given = document(max_output_tokens=100)
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        assert ask(guard, max_output_tokens=5000).status == 200
        assert json.loads(model.received()[-1]["body"])["max_output_tokens"] == 100
        guard.take_up(document(max_output_tokens=100, excess_output="Reject", version=2_000))
        assert ask(guard, max_output_tokens=101).json()["error"]["param"] == "max_output_tokens"


def test_sdk_waits_as_it_is_told_and_tries_again(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=document(requests=(RequestWindow(1, 1),))) as guard:
        key, wrong = credential().reveal(), credential(epoch=2).reveal()
        with openai.OpenAI(base_url=guard.base_url, api_key=key, max_retries=4) as patient:
            began = time.monotonic()
            for _ in range(2):
                patient.responses.create(model="demo", input="x")
            assert time.monotonic() - began >= 0.9
        with (
            openai.OpenAI(base_url=guard.base_url, api_key=wrong, max_retries=4) as stranger,
            pytest.raises(openai.AuthenticationError),
        ):
            stranger.responses.create(model="demo", input="x")
        assert guard.end() == 0
        assert [line.get("reason") for line in guard.audit()].count("KeyUnknown") == 1, "a 401 is final"


@pytest.fixture
def chat_model(guard: Guard) -> Iterator[Callable[..., ChatOpenAI]]:
    """Makes models of LangChain's with a connection of their own, which ends with the test."""
    key = SecretStr(credential().reveal())
    with openai.DefaultHttpxClient() as http:
        yield partial(ChatOpenAI, model="demo", base_url=guard.base_url, api_key=key, max_retries=0, http_client=http)


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_is_answered_whole_and_streamed(chat_model: Callable[..., ChatOpenAI], *, responses: bool) -> None:
    chat = chat_model(use_responses_api=responses)
    assert chat.invoke([("system", "be brief"), HumanMessage("hello there")]).text == "hello there"
    pieces = [chunk.text for chunk in chat.stream("/count 20") if isinstance(chunk, AIMessageChunk)]
    assert "".join(pieces) == " ".join(str(number) for number in range(1, 21))


def test_langchain_waits_for_nobody(chat_model: Callable[..., ChatOpenAI]) -> None:
    async def asked() -> list[str]:
        async with openai.DefaultAsyncHttpxClient() as http:
            chat = chat_model(http_async_client=http)
            return [answer.text for answer in await asyncio.gather(*map(chat.ainvoke, ["one", "two", "three"]))]

    assert asyncio.run(asked()) == ["one", "two", "three"]


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_binds_tools_and_asks_for_a_structure(
    chat_model: Callable[..., ChatOpenAI], model: Model, *, responses: bool
) -> None:
    @tool
    def look(city: str) -> str:
        """Looks out of the window."""
        return city

    chat = chat_model(use_responses_api=responses)
    chat.bind_tools([look], tool_choice="any").invoke("hello there")
    (told,) = json.loads(model.received()[-1]["body"])["tools"]
    assert "Looks out of the window." in json.dumps(told)
    schema = {"title": "t", "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    chat.with_structured_output(schema, method="json_schema", include_raw=True).invoke("hello there")
    assert "json_schema" in model.received()[-1]["body"]


def test_langchain_sees_a_refusal_as_openais_error(chat_model: Callable[..., ChatOpenAI]) -> None:
    with pytest.raises(openai.BadRequestError, match="guided_json"):
        chat_model(extra_body={"guided_json": {}}).invoke("x")


def test_curl_is_answered_as_the_readme_says(guard: Guard) -> None:
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello"}]})
    key = f"Authorization: Bearer {credential().reveal()}"
    asked = ["curl", "-sS", f"{guard.base_url}/chat/completions", "-H", key, "-H", "Content-Type: application/json",
             "-d", body]  # fmt: skip
    said = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    assert said["choices"][0]["message"]["content"] == "Hello"
    streamed = subprocess.run([*asked[:-1], body[:-1] + ', "stream": true}'], capture_output=True, check=True).stdout
    assert streamed.endswith(b"data: [DONE]\n\n")
