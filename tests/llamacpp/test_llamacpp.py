"""A real model server behind the guard, over its unix socket: whole, streamed, cancelled, counted, broken."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.llamacpp import tiny_model
from tests.llamacpp.server import LlamaServer, llama
from tests.unit.guard import running
from tests.unit.guard.running import Guard, chat, credential, document, eventually, read_all, request_bytes

PROMPT_TOKENS = 259
"""Of any chat of one message: the template pads it."""
CANCEL_SECONDS = 0.1


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, server: LlamaServer) -> Iterator[Guard]:
    given = document(max_output_tokens=4000)
    with running.guard(tmp_path_factory.mktemp("before-llama"), server.upstream, given=given) as started:
        yield started


@pytest.fixture
def client(guard: Guard) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=guard.base_url, api_key=credential().reveal(), max_retries=0) as made:
        yield made


def _outcome(guard: Guard, request_id: str) -> dict[str, Any]:
    return guard.audited(request_id)[-1]


def test_the_model_is_the_same_on_every_run() -> None:
    assert tiny_model.build() == tiny_model.build()


@pytest.mark.parametrize("text", ["hello", "é 😀 \u200b", 'a "quoted"\n\tline', "x" * 255])
def test_a_whole_answer_says_what_the_model_said(client: openai.OpenAI, text: str) -> None:
    answer = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": text}])
    assert answer.choices[0].message.content == text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(text.encode()) + 1


def test_what_is_charged_is_what_the_server_counted(guard: Guard) -> None:
    answer = guard.ask(chat("/count"))
    outcome = _outcome(guard, answer.headers["X-Request-Id"])
    usage = answer.json()["usage"]
    assert (outcome["inputTokens"], outcome["outputTokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert usage["completion_tokens"] == 11
    assert outcome["inputTokens"] >= PROMPT_TOKENS


@pytest.mark.parametrize("shows_usage", [True, False])
def test_a_stream_is_the_same_text_and_tells_usage_to_who_asked(client: openai.OpenAI, shows_usage: bool) -> None:
    chunks = list(
        client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "/story"}],
            stream=True,
            stream_options={"include_usage": shows_usage},
        )
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == tiny_model.STORY
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([21] if shows_usage else [])


def test_a_stream_is_charged_by_the_servers_count_also_where_the_caller_did_not_ask(guard: Guard) -> None:
    answer = guard.ask(chat("/count", stream=True))
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert b"usage" not in answer.body
    assert _outcome(guard, answer.headers["X-Request-Id"])["outputTokens"] == 11


def test_plain_completions_stream_too(client: openai.OpenAI) -> None:
    """This server puts `usage` beside the last choice, not behind it."""
    chunks = list(client.completions.create(model="demo", prompt="x", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == tiny_model.STORY
    assert all(chunk.usage is None for chunk in chunks)


def test_nothing_of_the_server_itself_goes_out(guard: Guard) -> None:
    answer = guard.ask(chat("hello"))
    assert set(answer.json()) <= {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert "Server" not in answer.headers
    assert "llama" not in json.dumps(answer.headers).lower()


def test_the_most_output_is_what_the_server_keeps_to(guard: Guard, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "/loop"}], max_completion_tokens=7
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7


def test_a_reply_in_a_schema_comes_as_the_caller_wants_it(guard: Guard) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    answer = guard.ask(chat('{"a": 1}', response_format=wanted))
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"a": 1}


@pytest.mark.parametrize("how", ["closes", "closes its half", "resets"])
def test_a_caller_that_leaves_a_stream_ends_it_at_the_server(guard: Guard, server: LlamaServer, how: str) -> None:
    with guard.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/loop", stream=True)).encode(), b"Connection: keep-alive"))
        received = b""
        while b"tock" not in received:
            received += sock.recv(65536)
        assert server.busy() == 1
        if how == "resets":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.shutdown(socket.SHUT_WR) if how == "closes its half" else sock.close()
        left = time.monotonic()
        eventually(lambda: server.busy() == 0, "the server is idle")
        taken = time.monotonic() - left
    assert taken < CANCEL_SECONDS, f"{taken * 1000:.0f} ms"
    request_id = received.split(b"X-Request-Id: ")[1].split(b"\r\n")[0].decode()
    outcome = _outcome(guard, request_id)
    assert outcome["reason"] == "ClientGone"
    assert 0 < outcome["outputTokens"] < 4000


def test_a_server_that_is_killed_in_mid_stream_is_no_clean_end(tmp_path: Any) -> None:
    with llama(tmp_path) as server, running.guard(tmp_path, server.upstream) as guard, guard.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/loop", stream=True)).encode(), b"Connection: keep-alive"))
        received = b""
        while b"tock" not in received:
            received += sock.recv(65536)
        server.process.kill()
        received += read_all(sock)
        assert b'"upstream_broken"' in received
        assert b"[DONE]" not in received
        assert not received.endswith(b"0\r\n\r\n")
        server.process.wait()
        assert guard.ask(chat()).status == 503


def test_a_prompt_too_long_for_the_server_is_the_servers_own_word(guard: Guard) -> None:
    messages = [{"role": "user", "content": "x" * 9000}, {"role": "user", "content": "y"}]
    for stream in (False, True):
        answer = guard.ask({"model": "demo", "messages": messages, "stream": stream})
        assert answer.status == 400
        assert answer.code == "context_length_exceeded"
        assert "context size" in answer.json()["error"]["message"]
        assert _outcome(guard, answer.headers["X-Request-Id"])["outputTokens"] == 0
