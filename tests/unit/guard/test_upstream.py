"""What the guard makes of a model's server: its manners are not trusted, its end is not taken for an answer."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard import running, scripted
from tests.unit.guard.running import Guard, Model, chat, eventually, read_all, request_bytes
from tests.unit.guard.scripted import Scripted, chunked, whole
from tests.unit.guard.test_crossings import Caller

from bartizan.guard.refusal import Refusal
from bartizan.guard.upstream_connection import UpstreamConnection
from bartizan.policy.reasons import Reason

STREAM = json.dumps(chat("x", stream=True)).encode()
ANSWER = b'{"choices":[]}'
EVENT = b'data: {"choices":[]}\n\ndata: [DONE]\n\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model's server listens: each test's own, one after another."""
    return tmp_path_factory.mktemp("scripted") / "model.sock"


@pytest.fixture
def server(place: Path) -> Iterator[Scripted]:
    with scripted.scripted(place) as started:
        yield started


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, place: Path) -> Iterator[Guard]:
    """A guard before the scripted servers."""
    with running.guard(tmp_path_factory.mktemp("before"), f"unix:{place}", "--answer-seconds", "1") as started:
        yield started


BROKEN = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "redirect": whole(b"", b"Location: http://evil.example/", status=b"302 Found"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "page": whole(b"<html>", kind=b"text/html"),
    "plain error": whole(b"Internal Server Error", status=b"500 Oops", kind=b"text/plain"),
    "unasked stream": chunked(EVENT),
    "too many headers": whole(ANSWER, *[b"X-%d: x" % number for number in range(200)]),
    "no choices": whole(b"{}"),
    "an error that says it is none": whole(b'{"error":{"message":"out of memory"}}'),
    "too long to be read whole": chunked(*[b"x" * (1 << 20)] * 9, kind=b"application/json"),
    "a stream that is none": chunked(b"data: hello\n\n", kind=b"application/json"),
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_is_a_502_of_our_own(server: Scripted, before: Guard, answer: bytes) -> None:
    server.answer = answer
    got = before.ask(chat())
    assert (got.status, got.code) == (502, "upstream_broken")
    assert [line["reason"] for line in before.audited(got.headers["X-Request-Id"])] == ["Allowed", "UpstreamBroken"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 409, 413, 422, 429, 500, 502, 503, 504, 529])
def test_what_the_model_says_of_a_request_is_told_in_our_form(server: Scripted, before: Guard, status: int) -> None:
    said = b'{"error":{"message":"in its own words","code":"context_length_exceeded","trace":"/srv/model.py"}}'
    server.answer = whole(said, b"Retry-After: 3600", status=b"%d Oops" % status)
    got = before.ask(chat())
    error = got.json()["error"]
    is_about_the_request = status < 500
    assert got.status == status
    assert (error["message"] == "in its own words") == is_about_the_request
    assert error["code"] == ("context_length_exceeded" if is_about_the_request else None)
    assert error.keys() == {"message", "type", "param", "code"}
    assert got.headers.get("Retry-After") == ("2" if status in (429, 503, 529) else None)
    assert [line["reason"] for line in before.audited(got.headers["X-Request-Id"])] == ["Allowed", "Completed"]


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 408, 411, 414, 415, 417, 426, 431, 451])
def test_what_the_model_says_of_the_guard_is_no_answer_to_the_caller(
    server: Scripted, before: Guard, status: int
) -> None:
    server.answer = whole(
        b'{"error":{"code":"invalid_api_key"}}', b"WWW-Authenticate: Bearer", status=b"%d No" % status
    )
    got = before.ask(chat())
    assert (got.status, got.code) == (502, "upstream_broken")
    assert "WWW-Authenticate" not in got.headers
    assert [line["reason"] for line in before.audited(got.headers["X-Request-Id"])] == ["Allowed", "UpstreamBroken"]


CUT = {
    "cut stream": chunked(EVENT, end=b""),
    "cut within a chunk": chunked(EVENT, end=b"ffff\r\ndata"),
    "garbage between chunks": chunked(EVENT, end=b"garbage\r\n"),
    "short body": whole(b"x" * 100)[:-50],
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_a_cut_answer_ends_visibly_unfinished(server: Scripted, before: Guard, answer: bytes) -> None:
    server.answer = answer
    got = before.raw(request_bytes(STREAM))
    assert got.startswith((b"HTTP/1.1 200 OK", b"HTTP/1.1 502 "))
    assert not got.endswith(b"0\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"chunked" in head or b" 502 " in head or len(body) < 100
    eventually(lambda: before.audit()[-1]["reason"] == "UpstreamBroken", "the outcome")


def test_a_model_that_stays_silent_is_a_504(server: Scripted, before: Guard) -> None:
    server.stays = True
    got = before.ask(chat())
    assert (got.status, got.code) == (504, "upstream_timeout")
    assert server.gone.wait(5)


def test_a_model_that_falls_silent_in_its_answer_is_cut(server: Scripted, before: Guard) -> None:
    server.stays, server.answer = True, chunked(EVENT, end=b"")
    got = before.raw(request_bytes(STREAM))
    assert EVENT in got
    assert not got.endswith(b"0\r\n\r\n")
    assert server.gone.wait(5)


def test_a_connection_that_is_lost_before_the_request_fails_at_once() -> None:
    async def send() -> None:
        ours, theirs = socket.socketpair()
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            lambda: UpstreamConnection(ours, answer_seconds=600), sock=ours
        )
        theirs.close()
        async with asyncio.timeout(running.DEADLINE_SECONDS):
            while connection.is_reusable:  # noqa: ASYNC110 -- the loop itself has to notice
                await asyncio.sleep(0)
            await connection.send(b"POST / HTTP/1.1\r\n\r\n", Caller(reads_slowly=False), within=60)

    with pytest.raises(Refusal) as refused:
        asyncio.run(send())
    assert refused.value.reason is Reason.UPSTREAM_BROKEN


def test_an_interim_answer_is_passed_over(server: Scripted, before: Guard) -> None:
    server.answer = b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b'{"choices":[],"id":"fine"}')
    assert before.ask(chat()).json() == {"choices": [], "id": "fine"}


def test_events_data_passes_byte_for_byte_and_nothing_beside_it(server: Scripted, before: Guard) -> None:
    said = 'data: {"choices" : [], "id": "é\\u00e9"}\n\n'.encode()
    split = said.index("é".encode()) + 1
    sent = [b": loading\n\n", b"id: 7\r\ndata: [1]\r\n\r\n".replace(b"[1]", said[6:-2]), said[:split], said[split:]]
    server.answer = chunked(*sent, b"data: [DONE]\n\n")
    got = before.raw(request_bytes(STREAM))
    assert _unchunked(got.partition(b"\r\n\r\n")[2]) == b":\n\n" + said + said + b"data: [DONE]\n\n"


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        body += rest[: int(size, 16)]
        data = rest[int(size, 16) + 2 :]
    return body


def test_a_server_that_closes_after_each_stream_is_no_fault(server: Scripted, before: Guard) -> None:
    server.answer = chunked(EVENT)
    for _ in range(20):
        assert before.raw(request_bytes(STREAM)).endswith(b"0\r\n\r\n")
    assert server.connections == 20


def test_unasked_bytes_on_an_idle_connection_answer_nobody(server: Scripted, before: Guard) -> None:
    server.stays, server.answer = True, whole(ANSWER) + whole(b'{"choices":[],"planted":1}')
    answers = [before.ask(chat()) for _ in range(5)]
    assert {answer.status for answer in answers} <= {200, 502}
    assert not any(b"planted" in answer.body for answer in answers)


def test_connections_to_the_model_are_used_again(server: Scripted, before: Guard) -> None:
    server.stays, server.answer = True, whole(ANSWER)
    for _ in range(20):
        assert before.ask(chat()).status == 200
    assert (len(server.requests), server.connections) == (20, 1)


def test_a_connection_that_the_model_will_close_is_not_used_again(server: Scripted, before: Guard) -> None:
    server.stays, server.answer = True, whole(ANSWER, b"Connection: close")
    for _ in range(5):
        assert before.ask(chat()).status == 200
    assert server.connections == 5


def test_a_connection_that_the_model_closed_is_not_used_again(server: Scripted, before: Guard) -> None:
    server.answer = whole(ANSWER)
    for number in range(1, 21):
        assert before.ask(chat()).status == 200
        eventually(lambda: server.closed == number, "the model closed")  # noqa: B023
    assert (len(server.requests), server.connections) == (20, 20)


def test_a_body_that_the_model_does_not_take_holds_its_budget(tmp_path: Path, model: Model) -> None:
    body = json.dumps(chat("x" * 1_500_000)).encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "stuck.sock"))
        listener.listen()
        flags = ["--max-waiting-bytes", "2000000", "--answer-seconds", "30"]
        with running.guard(tmp_path, f"unix:{tmp_path / 'stuck.sock'}", *flags) as guard, guard.connect() as first:
            first.sendall(request_bytes(body))
            eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 1, "under way")
            assert guard.ask(body).status == 503
            first.close()
            eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 0, "let go")
            with guard.connect() as again:
                again.sendall(request_bytes(body))
                eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 1, "the budget is free again")


def test_a_caller_that_leaves_a_stream_ends_it_at_the_model_at_once(guard: Guard, model: Model) -> None:
    prompt = "/count 100000 /slow 20"
    with guard.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat(prompt, stream=True)).encode()))
        sock.recv(4096)
        number = model.received()[-1]["number"]
    eventually(lambda: {"number": number, "event": "client gone"} in model.events(), "cancelled at the model", 2)
    eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 0, "the slot is free")
    eventually(lambda: guard.audit()[-1]["reason"] == "ClientGone", "the outcome is audited")


@pytest.mark.parametrize("leave", ["close", "half-close", "reset"])
def test_a_caller_that_leaves_while_the_model_thinks_is_gone(guard: Guard, model: Model, leave: str) -> None:
    before = len(model.received())
    sock = guard.connect()
    sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
    eventually(lambda: len(model.received()) == before + 1, "the request is held by the model")
    number = model.received()[-1]["number"]
    if leave == "half-close":
        sock.shutdown(socket.SHUT_WR)
    if leave == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if leave != "half-close":
        sock.close()
    eventually(lambda: {"number": number, "event": "client gone"} in model.events(), "cancelled at the model", 2)
    eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 0, "the slot is free")
    sock.close()


def test_t68_a_killed_model_answers_nobody_and_leaks_no_slot(tmp_path: Path) -> None:
    """Killed under load, again and again: each answer is the model's own, whole, or is none; then no slot is held."""
    (tmp_path / "guard").mkdir()
    stop = threading.Event()
    wrong: list[bytes] = []
    first = running.model(tmp_path)
    alive = first.__enter__()
    with running.guard(tmp_path / "guard", alive.upstream) as guard:
        callers = [threading.Thread(target=_call, args=(guard, stop, wrong)) for _ in range(8)]
        for caller in callers:
            caller.start()
        for _ in range(5):
            seen = len(alive.received())
            eventually(lambda: len(alive.received()) > seen + 20, "load at the model")  # noqa: B023
            alive.process.kill()
            alive.process.wait()
            eventually(lambda: guard.get("statusPort", "/readyz").body == b"SocketStale\n", "the guard noticed")
            first.__exit__(None, None, None)
            first = running.model(tmp_path)
            alive = first.__enter__()
        stop.set()
        for caller in callers:
            caller.join()
        assert wrong == []
        assert guard.metric("bartizan_guard_requests_in_flight") == 0
        assert guard.ask(chat("back")).json()["choices"][0]["message"]["content"] == "back"
        assert guard.metric('bartizan_guard_requests_total{reason="InternalFault"') == 0
    first.__exit__(None, None, None)


def _call(guard: Guard, stop: threading.Event, wrong: list[bytes]) -> None:
    whole_body = json.dumps(chat("/count 30 /slow 1")).encode()
    stream_body = json.dumps(chat("/count 30 /slow 1", stream=True)).encode()
    while not stop.is_set():
        for body in (whole_body, stream_body):
            with guard.connect() as sock:
                sock.sendall(request_bytes(body))
                answer = read_all(sock)
            if not _is_honest(answer):
                wrong.append(answer)


def _is_honest(answer: bytes) -> bool:
    """The model's answer, whole or visibly cut, or a refusal that says that there is no model."""
    if answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 502")):
        return True
    if b"text/event-stream" in answer:
        return answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") or not answer.endswith(b"0\r\n\r\n")
    return answer.startswith(b"HTTP/1.1 200") and b" 29 30" in answer


@pytest.mark.parametrize(
    "status", [b"000 \r\n", b"100 Continue\r\n", b"103 Early Hints\r\nLink: <x>\r\n", b"200 OK\r\n"]
)
def test_what_a_model_sends_behind_its_answer_reaches_nobody(tmp_path: Path, status: bytes) -> None:
    """In one packet with its end: it would be taken for the next answer, with headers and texts of its choice."""
    smuggled = b"HTTP/1.1 " + status + b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED"
    answer = scripted.whole(b"{}", status=b"400 Bad Request") + smuggled
    folder = tmp_path / "guard"
    folder.mkdir()
    with (
        scripted.scripted(tmp_path / "model.sock", answer, stays=True) as server,
        running.guard(folder, server.upstream) as started,
        started.connect() as sock,
    ):
        asked = running.request_bytes(json.dumps(chat()).encode(), b"Connection: keep-alive")
        sock.sendall(asked)
        received = sock.recv(65536)
        sock.sendall(running.request_bytes())
        received += running.read_all(sock)
        assert b"SMUGGLED" not in received
        assert b"Link" not in received


@pytest.mark.parametrize("is_on_a_port", [True, False], ids=["port", "socket"])
def test_bodies_that_the_model_does_not_read_stay_in_the_budget(tmp_path: Path, *, is_on_a_port: bool) -> None:
    """And do not go to the kernel, which takes megabytes of each for a model on a port."""
    body = request_bytes(json.dumps(chat("x" * 2_000_000)).encode())
    with socket.socket(socket.AF_INET if is_on_a_port else socket.AF_UNIX) as deaf, contextlib.ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0) if is_on_a_port else str(tmp_path / "model.sock"))
        deaf.listen()
        place = f"tcp:127.0.0.1:{deaf.getsockname()[1]}" if is_on_a_port else f"unix:{tmp_path / 'model.sock'}"
        guard = stack.enter_context(running.guard(tmp_path, place))
        for _ in range(4):
            stack.enter_context(guard.connect()).sendall(body)
        eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 4, "the model is asked")
        assert guard.raw(body).startswith(b"HTTP/1.1 503 "), "four hold a client's quarter"
