"""What an honest caller gets: whole and streamed answers, its own model, and refusals that say what to do."""

import json

import openai
import pytest
from tests.unit.guard.running import CHAT, Guard, Model, chat, credential, request_bytes


@pytest.fixture
def client(guard: Guard) -> openai.OpenAI:
    return openai.OpenAI(base_url=guard.base_url, api_key=credential().reveal(), max_retries=0)


def test_sdk_chat_is_answered(client: openai.OpenAI) -> None:
    with client:
        answer = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "hello there"}])
    assert answer.choices[0].message.content == "hello there"


def test_sdk_stream_arrives_piece_by_piece(client: openai.OpenAI) -> None:
    with client:
        stream = client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "/count 20"}], stream=True
        )
        deltas = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(deltas) == " ".join(str(number) for number in range(1, 21))


def test_sdk_completions_embeddings_and_models_are_answered(client: openai.OpenAI) -> None:
    with client:
        assert client.completions.create(model="demo", prompt="one two").choices[0].text == "one two"
        assert client.embeddings.create(model="demo", input="one").data[0].embedding
        assert [model.id for model in client.models.list()] == ["demo"]


def test_sdk_sees_each_refusal_as_its_own_error(guard: Guard, client: openai.OpenAI) -> None:
    wrong = openai.OpenAI(base_url=guard.base_url, api_key=credential(epoch=2).reveal(), max_retries=0)
    with client, wrong:
        with pytest.raises(openai.AuthenticationError) as refused:
            wrong.models.list()
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.NotFoundError) as absent:
            client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
        assert (absent.value.code, absent.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.BadRequestError) as bad:
            client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": "x"}], extra_body={"guided_regex": ".*"}
            )
        assert (bad.value.code, bad.value.param) == ("unknown_parameter", "guided_regex")


def test_every_answer_has_an_id_of_our_own(guard: Guard) -> None:
    answers = [guard.ask(chat(), X_Request_Id="mine"), guard.ask(chat(), key=""), guard.ask(path="/nothing")]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == 3
    assert all(request_id.startswith("req_") for request_id in ids)


def test_errors_of_the_model_keep_their_status(guard: Guard) -> None:
    answer = guard.ask(chat("/status 422"))
    assert (answer.status, answer.json()["error"]["type"]) == (422, "invalid_request_error")


def test_nothing_of_the_servers_identity_passes(guard: Guard) -> None:
    names = {name.lower() for name in guard.ask(chat()).headers}
    limits = {f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")}
    assert names == {"content-type", "content-length", "x-request-id", "cache-control", *limits}


def test_one_connection_carries_many_requests(guard: Guard) -> None:
    body = json.dumps(chat("again")).encode()
    with guard.connect() as sock:
        for _ in range(50):
            sock.sendall(request_bytes(body, b"Connection: keep-alive"))
            answer = b""
            while b'"usage"' not in answer:
                answer += sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_a_caller_that_expects_100_continue_gets_it(guard: Guard) -> None:
    body = json.dumps(chat("patient")).encode()
    with guard.connect() as sock:
        sock.sendall(request_bytes(b"", b"Content-Length: %d" % len(body), b"Expect: 100-continue"))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_body_is_read_whole(guard: Guard, model: Model) -> None:
    body = json.dumps(chat("in chunks")).encode()
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer = guard.raw(request_bytes(pieces, b"Transfer-Encoding: chunked"))
    assert b'"content": "in chunks"' in answer
    assert model.received()[-1]["headers"]["content-length"] == str(len(model.received()[-1]["body"]))


def test_refusals_name_the_way_out(guard: Guard) -> None:
    assert guard.ask(chat(), key="").headers["WWW-Authenticate"] == "Bearer"
    assert guard.ask(path=CHAT).headers["Allow"] == "POST"
    assert guard.ask(chat(), path="/v1/models").headers["Allow"] == "GET"
