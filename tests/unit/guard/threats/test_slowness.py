"""Callers that take their time or send without end, tried over real sockets."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard.running import (
    Guard,
    Model,
    chat,
    eventually,
    guard,
    read_all,
    readable,
    request_bytes,
)
from tests.unit.guard.threats.raw import BODY, status


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    """A guard with short deadlines and few connections."""
    flags = ["--header-seconds", "1", "--body-seconds", "1", "--idle-seconds", "1", "--reader-seconds", "1"]
    with guard(tmp_path_factory.mktemp("hasty"), model.upstream, *flags, "--max-connections", "20") as started:
        yield started


def test_t48_a_slow_header_is_told_so_and_ended(hasty: Guard) -> None:
    with hasty.connect() as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: guard\r\nX-Slow: ")
        assert status(read_all(sock)) == 408


def test_t48_a_header_that_trickles_is_ended_at_the_same_deadline(hasty: Guard) -> None:
    began = time.monotonic()
    with hasty.connect() as sock:
        sock.settimeout(0.05)
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
        answer = _trickle(sock, b"X-Slow: yes\r\n")
    assert (status(answer), time.monotonic() - began < 3) == (408, True)


def test_t48_a_body_that_trickles_is_ended_at_its_deadline(hasty: Guard) -> None:
    began = time.monotonic()
    with hasty.connect() as sock:
        sock.settimeout(0.05)
        sock.sendall(request_bytes(b"", b"Content-Length: 100000"))
        answer = _trickle(sock, b" ")
    assert (status(answer), time.monotonic() - began < 3) == (408, True)


def _trickle(sock: socket.socket, piece: bytes) -> bytes:
    """Send `piece` every 50 ms until an answer comes."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        sock.sendall(piece)
        try:
            return sock.recv(65536)
        except TimeoutError:
            continue
    raise AssertionError("no answer")


def test_t48_silent_and_idle_connections_end(hasty: Guard) -> None:
    with hasty.connect() as silent, hasty.connect() as idle:
        idle.sendall(request_bytes(b"", b"Connection: keep-alive", method=b"GET", path=b"/v1/models"))
        assert read_all(silent) == b""
        assert status(read_all(idle)) == 200


def test_t48_a_slow_reader_is_cut_and_what_it_reaches_is_ended(hasty: Guard, model: Model) -> None:
    body = json.dumps(chat("/count 400000", stream=True)).encode()
    with hasty.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(request_bytes(body))
        request_id = sock.recv(400).split(b"X-Request-Id: ")[1].split(b"\r\n")[0].decode()
        lines = hasty.audited(request_id)
        assert [line["reason"] for line in lines] == ["Allowed", "ClientTooSlow"]
        assert not read_all(sock).endswith(b"0\r\n\r\n")
    assert hasty.rss_mib() < 80


def test_t48_connections_are_capped_and_what_reaches_the_cap_hears_when_to_come_back(
    hasty: Guard, model: Model
) -> None:
    before = len(model.received())
    with contextlib.ExitStack() as held:
        for _ in range(20):
            sock = held.enter_context(hasty.connect())
            sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: len(model.received()) == before + 20, "all are under way")
        answer = hasty.raw(b"")
        assert status(answer) == 503
        assert b"\r\nRetry-After: 1\r\n" in answer
        model.release()
    eventually(lambda: hasty.metric("bartizan_guard_connections ") == 0, "there is room for the next test")


IDLE = {
    "silent": b"",
    "half a head": b"GET /v1/models HTTP/1.1\r\n",
    "kept alive": request_bytes(b"", b"Connection: keep-alive", method=b"GET", path=b"/nothing"),
    "refused": request_bytes(b"", b"Content-Length: 9", path=b"/nothing"),
}


@pytest.mark.parametrize("data", IDLE.values(), ids=IDLE)
def test_t48_connections_without_a_request_give_way_to_what_reaches_the_cap(
    tmp_path: Path, model: Model, data: bytes
) -> None:
    with guard(tmp_path, model.upstream, "--max-connections", "10") as small, contextlib.ExitStack() as held:
        busy = held.enter_context(small.connect())
        busy.sendall(request_bytes(json.dumps(chat("/count 50 /slow 20", stream=True)).encode()))
        idle = [held.enter_context(small.connect()) for _ in range(30)]
        for sock in idle:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
        for sock in idle if data.endswith(b"\r\n\r\n") else ():
            with contextlib.suppress(ConnectionError):
                sock.recv(1)  # answered, or closed already
        eventually(lambda: small.metric("bartizan_guard_connections ") <= 10, "whoever was turned away has gone")
        for _ in range(5):
            assert small.ask(chat("reaches it")).status == 200
        assert read_all(busy).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert small.metric("bartizan_guard_connections ") <= 10


def test_t48_bodies_share_a_budget_and_what_reaches_beyond_is_shed(tmp_path: Path, model: Model) -> None:
    flags = ["--max-waiting-bytes", "300000", "--max-body-bytes", "200000"]
    with guard(tmp_path, model.upstream, *flags) as small, small.connect() as first, small.connect() as second:
        for sock in (first, second):
            sock.sendall(request_bytes(b"", b"Content-Length: 199999") + b" " * 180_000)
        (shed,) = readable([first, second])
        assert status(shed.recv(65536)) == 503
        first.close()
        second.close()
        eventually(lambda: small.metric("bartizan_guard_connections") == 0, "the budget is free again")
        assert small.ask(b" " * 199_000 + BODY).status == 200


def test_t49_header_bombs_are_refused(guard: Guard) -> None:
    many = [b"X-%d: x" % number for number in range(100)]
    long = [b"X-Long: " + b"x" * 20_000]
    for lines in (many, long):
        assert status(guard.raw(request_bytes(BODY, *lines))) == 431
    assert status(guard.raw(request_bytes(BODY, path=b"/" + b"x" * 20_000))) == 431


def test_t49_a_header_without_end_is_refused(guard: Guard) -> None:
    with guard.connect() as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nX-Endless: " + b"x" * 200_000)
        assert status(read_all(sock)) == 431
