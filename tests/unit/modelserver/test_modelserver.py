"""Promises of the demo's model server, kept by the real program on a real unix socket."""

import contextlib
import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 10


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass(frozen=True)
class Model:
    socket: Path
    log: Path
    port: int

    def ask(self, prompt: str, **more: object) -> tuple[int, dict[str, Any]]:
        return read(self.send(prompt, **more))

    def send(self, prompt: str, **more: object) -> UnixConnection:
        body = {"model": "demo", "messages": [{"role": "user", "content": prompt}], **more}
        return self.post("/v1/chat/completions", body)

    def post(self, path: str, body: object) -> UnixConnection:
        connection = UnixConnection(self.socket)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]


def read(connection: UnixConnection) -> tuple[int, dict[str, Any]]:
    with contextlib.closing(connection):
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def model() -> Iterator[Model]:
    with tempfile.TemporaryDirectory(prefix="model") as directory:
        made = Model(Path(directory) / "m.sock", Path(directory) / "log", free_port())
        command = [sys.executable, "-m", "tests.modelserver", "--log", str(made.log)]
        command += ["--socket", str(made.socket), "--port", str(made.port)]
        process = subprocess.Popen(command, cwd=ROOT, umask=0o007, stderr=subprocess.DEVNULL)
        try:
            until(lambda: accepts(made.socket))
            yield made
        finally:
            process.terminate()
            assert process.wait(DEADLINE_SECONDS) == 0


def test_the_last_user_message_is_echoed_and_counted(model: Model) -> None:
    status, answer = model.ask("hello brave new world")
    assert status == 200
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "hello brave new world"}
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}


def test_the_same_question_gets_the_same_bytes_but_for_its_number(model: Model) -> None:
    first, second = model.ask("/count 3")[1], model.ask("/count 3")[1]
    assert first.pop("id") != second.pop("id")
    assert first == second


def test_max_tokens_cuts_the_answer(model: Model) -> None:
    choice = model.ask("/count 9", max_tokens=4)[1]["choices"][0]
    assert choice["message"]["content"] == "1 2 3 4"
    assert choice["finish_reason"] == "length"


def test_a_status_in_the_prompt_is_answered(model: Model) -> None:
    status, answer = model.ask("/status 503")
    assert status == 503
    assert answer["error"]["type"] == "server_error"


def test_bad_json_and_unknown_paths_are_errors_in_openai_form(model: Model) -> None:
    for path, body, status in (("/v1/completions", ["x"], 400), ("/v1/audio", {}, 404)):
        got, answer = read(model.post(path, body))
        assert got == answer["error"]["code"] == status


def test_the_openai_client_understands_every_endpoint(model: Model) -> None:
    client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{model.port}/v1", max_retries=0)
    with client:
        assert [each.id for each in client.models.list()] == ["demo"]
        assert client.completions.create(model="demo", prompt="say this").choices[0].text == "say this"
        vectors = client.embeddings.create(model="demo", input=["a", "b", "a"]).data
        assert vectors[0].embedding == vectors[2].embedding != vectors[1].embedding
        with client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "/count 3"}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            chunks = list(stream)
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == "1 2 3"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_it_says_no_more_than_it_was_told_to_but_where_the_prompt_wants_it(model: Model) -> None:
    for prompt, said in (("/count 5", 3), ("/count 5 /overrun", 5)):
        body = {"model": "demo", "messages": [{"role": "user", "content": prompt}], "max_tokens": 3}
        assert read(model.post("/v1/chat/completions", body))[1]["usage"]["completion_tokens"] == said


def test_a_dropped_stream_breaks_after_the_asked_tokens(model: Model) -> None:
    with contextlib.closing(model.send("/count 9 /drop 2", stream=True)) as connection:
        answer = connection.getresponse()
        with answer, pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
    assert model.events() == ["received", "cut"]


def test_a_held_request_waits_for_its_release(model: Model) -> None:
    held = model.send("/hold hello")
    until(lambda: model.events() == ["received"])
    read(model.post("/control/release", {}))
    assert read(held)[1]["choices"][0]["message"]["content"] == "hello"


def test_a_client_that_leaves_stops_the_generation(model: Model) -> None:
    for stream in (False, True):
        model.send("/count 1000 /slow 1000", stream=stream).close()
    until(lambda: model.events().count("client gone") == 2)


def test_the_log_says_what_reached_the_model(model: Model) -> None:
    model.ask("secret word", user="me")
    received = json.loads(model.log.read_text().splitlines()[0])
    assert (received["method"], received["path"]) == ("POST", "/v1/chat/completions")
    assert received["headers"]["content-type"] == "application/json"
    assert json.loads(received["body"])["user"] == "me"


def test_one_connection_carries_many_requests(model: Model) -> None:
    connection = UnixConnection(model.socket)
    for _ in range(3):
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b'{"status": "ok"}'
    connection.close()


def test_a_chunked_body_is_read(model: Model) -> None:
    connection = UnixConnection(model.socket)
    parts = iter([b'{"prompt": ', b'"in parts"}'])
    connection.request("POST", "/v1/completions", parts, encode_chunked=True)
    assert read(connection)[1]["choices"][0]["text"] == "in parts"


def test_the_socket_is_as_a_plain_bind_leaves_it(model: Model) -> None:
    assert stat.S_IMODE(os.stat(model.socket).st_mode) == 0o770  # noqa: PTH116 - the mode is the point
    command = [sys.executable, "-m", "tests.modelserver", "--socket", str(model.socket)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=DEADLINE_SECONDS)
    assert b"Address already in use" in second.stderr
