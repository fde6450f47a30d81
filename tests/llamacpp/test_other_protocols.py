"""The same real server asked in Anthropic's words and in those of OpenAI's responses, by their own SDKs."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from tests.llamacpp import tiny_model
from tests.llamacpp.server import LlamaServer
from tests.unit.guard import running
from tests.unit.guard.running import Guard, credential, document, eventually, request_bytes

STORY: list[Any] = [{"role": "user", "content": "/story"}]
KEY = credential().reveal()
VERSION = b"anthropic-version: 2023-06-01"


def _guard(folder: Any, server: LlamaServer, **given: Any) -> Any:
    return running.guard(folder, server.upstream, given=document(max_output_tokens=4000, **given))


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory, server: LlamaServer) -> Iterator[Guard]:
    with _guard(tmp_path_factory.mktemp("messages"), server, protocol="Anthropic") as started:
        yield started


@pytest.fixture(scope="module")
def responses(tmp_path_factory: pytest.TempPathFactory, server: LlamaServer) -> Iterator[Guard]:
    with _guard(tmp_path_factory.mktemp("responses"), server) as started:
        yield started


@pytest.fixture
def claude(messages: Guard) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{messages.port}", api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
def client(responses: Guard) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=responses.base_url, api_key=KEY, max_retries=0) as made:
        yield made


def _charged(guard: Guard, headers: Any) -> tuple[int, int]:
    """Input and output tokens of the answer with these headers."""
    outcome = guard.audited(headers["X-Request-Id"])[-1]
    return outcome["inputTokens"], outcome["outputTokens"]


def test_a_message_comes_whole_and_is_charged_by_the_servers_count(
    claude: anthropic.Anthropic, messages: Guard
) -> None:
    raw = claude.messages.with_raw_response.create(model="demo", max_tokens=100, messages=STORY)
    answer, usage = raw.parse(), raw.parse().usage
    assert [block.text for block in answer.content if block.type == "text"] == [tiny_model.STORY]
    assert answer.stop_reason == "end_turn"
    assert _charged(messages, raw.headers) == (usage.input_tokens + (usage.cache_read_input_tokens or 0), 21)


def test_a_message_is_streamed(claude: anthropic.Anthropic, messages: Guard) -> None:
    with claude.messages.stream(model="demo", max_tokens=100, messages=STORY) as stream:
        pieces = list(stream.text_stream)
        last = stream.get_final_message()
    assert "".join(pieces) == tiny_model.STORY
    assert len(pieces) > 10
    assert (last.stop_reason, last.usage.output_tokens) == ("end_turn", 21)
    assert _charged(messages, stream.response.headers)[1] == 21


def test_the_most_output_is_what_the_server_keeps_to(claude: anthropic.Anthropic) -> None:
    looped: list[Any] = [{"role": "user", "content": "/loop"}]
    answer = claude.messages.create(model="demo", max_tokens=7, messages=looped)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 7)


def test_tokens_are_counted_without_a_charge(claude: anthropic.Anthropic, messages: Guard) -> None:
    raw = claude.messages.with_raw_response.count_tokens(model="demo", messages=STORY)
    assert raw.parse().input_tokens > 0
    assert _charged(messages, raw.headers) == (0, 0)


def test_a_caller_that_leaves_a_message_ends_it_at_the_server(messages: Guard, server: LlamaServer) -> None:
    body = {"model": "demo", "max_tokens": 4000, "stream": True, "messages": [{"role": "user", "content": "/loop"}]}
    with messages.connect() as sock:
        sock.sendall(request_bytes(json.dumps(body).encode(), VERSION, path=b"/v1/messages"))
        received = b""
        while b"tock" not in received:
            received += sock.recv(65536)
        assert server.busy() == 1
    eventually(lambda: server.busy() == 0, "the server is idle")


def test_a_response_comes_whole_and_is_charged_by_the_servers_count(client: openai.OpenAI, responses: Guard) -> None:
    raw = client.responses.with_raw_response.create(model="demo", input="/story")
    answer = raw.parse()
    assert (answer.output_text, answer.status) == (tiny_model.STORY, "completed")
    assert answer.usage is not None
    assert _charged(responses, raw.headers) == (answer.usage.input_tokens, answer.usage.output_tokens)


def test_a_response_is_streamed(client: openai.OpenAI, responses: Guard) -> None:
    """Event by event: this server gives no indices, without which the SDK's own helper cannot put pieces together."""
    pieces, whole = [], ""
    with client.responses.create(model="demo", input="/story", stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
            elif event.type == "response.completed":
                whole = event.response.output_text
    assert "".join(pieces) == whole == tiny_model.STORY
    assert len(pieces) > 10
    assert _charged(responses, stream.response.headers)[1] == 21
