"""How soon a model learns that its caller has left: it computes for nobody any longer than the promise says."""

import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from tests.unit.guard import running, scripted
from tests.unit.guard.running import DEADLINE_SECONDS, Guard, chat, eventually, request_bytes
from tests.unit.guard.scripted import Scripted, chunked

PROMISED_SECONDS = 0.1
"""Of the guard's own doing, so of the best of several: a busy machine may keep anybody waiting."""
NEVER_SECONDS = 1.0
TIMES = 5
EVENT = b'data: {"choices":[]}\n\n'
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted.scripted(tmp_path_factory.mktemp("scripted") / "model.sock", stays=True) as started:
        yield started


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, server: Scripted) -> Iterator[Guard]:
    with running.guard(tmp_path_factory.mktemp("cancelling"), server.upstream) as started:
        yield started


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


LEAVING: dict[str, Callable[[socket.socket], None]] = {
    "close": socket.socket.close,
    "half-close": lambda sock: sock.shutdown(socket.SHUT_WR),
    "reset": reset,
}
STATES: dict[str, tuple[bool, bytes, bytes]] = {
    "a whole answer that has not begun": (False, b"", b""),
    "a stream that has not begun": (True, b"", b""),
    "a stream in its middle": (True, chunked(EVENT, end=b""), CHUNK),
    "a stream that pauses in its middle": (True, chunked(EVENT, end=b""), b""),
}
"""Whether it is a stream; what the model has said of it; what it says again and again."""


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_caller_that_leaves_is_gone_at_the_model_within_a_tenth_of_a_second(
    before: Guard, server: Scripted, state: tuple[bool, bytes, bytes], leave: Callable[[socket.socket], None]
) -> None:
    stream, server.answer, server.more = state
    body = json.dumps(chat("x", stream=True) if stream else chat()).encode()
    took = [left(before, server, body, leave) for _ in range(TIMES)]
    assert min(took) <= PROMISED_SECONDS, took
    assert max(took) <= NEVER_SECONDS, took


def left(guard: Guard, server: Scripted, body: bytes, leave: Callable[[socket.socket], None]) -> float:
    """Seconds from the caller's leaving to the end of the model's connection, by the model's clock."""
    server.requests.clear()
    server.gone.clear()
    with guard.connect() as sock:
        sock.sendall(request_bytes(body))
        eventually(lambda: server.requests, "the model has the request")
        received = b""
        while server.answer and EVENT not in received:
            received += sock.recv(65536)
        began = time.monotonic()
        leave(sock)
        assert server.gone.wait(DEADLINE_SECONDS)
    return server.gone_at - began
