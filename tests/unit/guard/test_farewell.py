"""The guard's end, over real sockets: who is served, who is refused, who is cut, and when it is over."""

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import Guard, Model, chat, eventually, read_all, request_bytes

SLOW = json.dumps(chat("/count 60 /slow 20", stream=True)).encode()
ENDLESS = json.dumps(chat("/count 60 /hold", stream=True)).encode()
LONG = json.dumps(chat("/count 1000 /slow 50", stream=True)).encode()
KEEP_ALIVE = b"Connection: keep-alive"
DONE = b"data: [DONE]\n\n\r\n0\r\n\r\n"


@contextlib.contextmanager
def _streaming(guard: Guard, body: bytes) -> Iterator[socket.socket]:
    """A connection on which the model's answer has begun."""
    with guard.connect() as sock:
        sock.sendall(request_bytes(body, KEEP_ALIVE))
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        yield sock


def _leave(guard: Guard) -> None:
    """What the pod's preStop hook tells the guard."""
    guard.process.send_signal(signal.SIGUSR1)
    eventually(lambda: guard.get("statusPort", "/draining").status == 200, "the guard drains")


def _is_drained(guard: Guard) -> bool:
    return guard.get("statusPort", "/drained").status == 200


def test_sigterm_alone_lets_streams_end_refuses_new_requests_and_exits_zero(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream) as guard, guard.connect() as idle, _streaming(guard, SLOW) as stream:
        idle.sendall(request_bytes(b"", KEEP_ALIVE, method=b"GET", path=b"/v1/models"))
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        guard.process.terminate()
        assert read_all(idle) == b"", "an idle connection ends"
        assert guard.get("statusPort", "/readyz").body == b"Draining\n"
        answer = guard.ask(chat())
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "draining", "2")
        assert answer.headers["Connection"] == "close"
        assert read_all(stream).endswith(DONE)
        assert guard.process.wait(10) == 0


def test_a_guard_that_was_told_to_leave_does_not_end_before_its_model(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream) as guard:
        with _streaming(guard, SLOW) as stream:
            assert [guard.get("statusPort", page).status for page in ("/draining", "/drained")] == [503, 503]
            _leave(guard)
            assert not _is_drained(guard), "a stream needs the model"
            assert guard.ask(chat()).status == 503
            assert read_all(stream).endswith(DONE)
        eventually(lambda: _is_drained(guard), "nobody needs the model")
        assert guard.ask(chat()).code == "draining", "the port stays open: a refusal, and no reset"
        assert guard.end() == 0


def test_new_requests_are_served_until_nodes_have_heard_and_end_their_connections(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, "--farewell-seconds", "600", "--drain-seconds", "900") as guard:
        with guard.connect() as kept:
            kept.sendall(request_bytes(b"", KEEP_ALIVE, method=b"GET", path=b"/v1/models"))
            assert b"Connection: close" not in kept.recv(65536)
            _leave(guard)
            assert guard.get("statusPort", "/readyz").status == 503
            answer = guard.ask(chat("late"), Connection="keep-alive")
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
            kept.sendall(request_bytes(json.dumps(chat("later")).encode(), KEEP_ALIVE))
            assert b"Connection: close" in read_all(kept), "and so does a connection from before"
        assert not _is_drained(guard), "more may come"
        assert guard.end() == 0, "SIGTERM says that the model has gone: nothing to wait for"


def test_a_farewell_of_no_length_keeps_no_request_from_an_answer(tmp_path: Path, model: Model) -> None:
    """Every request of a crowd that comes while the guard turns to draining is served or refused, none is cut."""
    outcomes: list[int] = []
    stop = threading.Event()

    def call(guard: Guard) -> None:
        while not stop.is_set():
            outcomes.append(guard.ask(chat()).status)

    with running.guard(tmp_path, model.upstream) as guard:
        callers = [threading.Thread(target=call, args=(guard,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        eventually(lambda: outcomes.count(200) > 20, "served")
        _leave(guard)
        eventually(lambda: outcomes.count(503) > 20, "refused")
        stop.set()
        for caller in callers:
            caller.join()
        assert set(outcomes) == {200, 503}


@pytest.mark.parametrize("is_told_to_leave", [True, False])
def test_a_stream_that_outlasts_the_pod_ends_with_an_error_event_and_no_clean_end(
    tmp_path: Path, model: Model, *, is_told_to_leave: bool
) -> None:
    """As after `kubectl delete pod --grace-period=…`: the second signal says that the time is up."""
    with running.guard(tmp_path, model.upstream, "--drain-seconds", "600") as guard, _streaming(guard, LONG) as stream:
        if is_told_to_leave:
            _leave(guard)
        else:
            guard.process.terminate()
            eventually(lambda: guard.get("statusPort", "/draining").status == 200, "the guard drains")
        assert guard.end() == 0
        rest = read_all(stream)
        assert b'"code": "draining"' in rest
        assert not rest.endswith(b"0\r\n\r\n"), "nobody takes the part for the whole"
        assert guard.audit()[-1]["reason"] == "Draining"


def test_draining_has_a_deadline(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, "--drain-seconds", "0.5") as guard, guard.connect() as held:
        before = len(model.received())
        held.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: len(model.received()) > before, "held by the model")
        assert guard.end() == 0
        assert read_all(held).startswith(b"HTTP/1.1 503 "), "an answer that has not begun is a refusal"
        assert guard.audit()[-1]["reason"] == "Draining"


def test_a_body_that_is_on_its_way_when_requests_are_refused_does_not_reach_the_model(
    tmp_path: Path, model: Model
) -> None:
    with running.guard(tmp_path, model.upstream) as guard, guard.connect() as sock:
        before = len(model.received())
        data = request_bytes(json.dumps(chat()).encode())
        sock.sendall(data[:-10])
        eventually(lambda: running.is_all_read(guard, sock), "the body is on its way")
        _leave(guard)
        eventually(lambda: _is_drained(guard), "who has sent no whole request cannot keep the pod")
        sock.sendall(data[-10:])
        assert b'"code": "draining"' in read_all(sock)
        assert len(model.received()) == before


def test_a_request_that_waits_in_line_into_the_end_is_refused(tmp_path: Path, model: Model) -> None:
    """Its stream might take all the time that streams may, on top of its wait."""
    given = running.document(concurrent=1, concurrent_per_client=1, queue_size=4, queue_seconds=60)
    with running.guard(tmp_path, model.upstream, given=given) as guard, guard.connect() as sock:
        with _streaming(guard, SLOW) as stream:
            sock.sendall(request_bytes(json.dumps(chat()).encode()))
            eventually(lambda: guard.metric("bartizan_guard_requests_waiting") == 1, "one in line")
            before = len(model.received())
            _leave(guard)
            assert read_all(stream).endswith(DONE)
        assert b'"code": "draining"' in read_all(sock)
        assert len(model.received()) == before
        eventually(lambda: _is_drained(guard), "nobody needs the model")


def test_who_holds_connections_open_cannot_keep_the_pod(tmp_path: Path, model: Model) -> None:
    """Heads that never end, connections without a byte, refusals that nobody reads."""
    with running.guard(tmp_path, model.upstream) as guard, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(guard.connect()) for _ in range(30)]
        for sock in socks[:10]:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: gu")
        for sock in socks[10:20]:
            sock.sendall(b"GET /nowhere HTTP/1.1\r\nHost: guard\r\n\r\n")
        _leave(guard)
        eventually(lambda: _is_drained(guard), "drained", seconds=5)
        assert guard.end() == 0
