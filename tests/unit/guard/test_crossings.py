"""What one caller, or the model, could do to others through what the guard shares: connections to the model, memory."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import pytest
from tests.unit.guard import running, scripted
from tests.unit.guard.running import Guard, Model, chat, request_bytes
from tests.unit.guard.scripted import whole

from bartizan.guard import page_server
from bartizan.guard.deadlines import Deadlines
from bartizan.guard.reply import Source
from bartizan.guard.settings import Address
from bartizan.guard.upstream import Upstream
from bartizan.guard.upstream_connection import AnswerHead


class Caller:
    """Takes an answer; one that `reads_slowly` asks to wait just as the last bytes are handed to it."""

    def __init__(self, *, reads_slowly: bool) -> None:
        self._reads_slowly = reads_slowly
        self.has_ended = False

    def begin(self, source: Source) -> None:
        self._source = source

    def sent(self) -> None:
        pass

    def head(self, head: AnswerHead) -> None:
        pass

    def piece(self, data: bytes) -> None:
        pass

    def flush(self) -> None:
        pass

    def end(self) -> None:
        if self._reads_slowly:
            self._source.pause()
        self.has_ended = True


def test_a_caller_that_reads_slowly_leaves_no_deaf_connection_to_the_next(tmp_path: Path) -> None:
    with scripted.scripted(tmp_path / "model.sock", whole(b"{}"), stays=True) as server:

        async def ask_twice() -> list[bool]:
            upstream = Upstream(Address(path=str(server.path)), Deadlines(), answer_seconds=1)
            callers = [Caller(reads_slowly=True), Caller(reads_slowly=False)]
            async with asyncio.timeout(10):
                for caller in callers:
                    await upstream.forward(b"/v1/chat/completions", b"{}", caller, b"", within=60)
            upstream.close()
            return [caller.has_ended for caller in callers]

        assert asyncio.run(ask_twice()) == [True, True]


MIB = 1 << 20
ENDLESS = {
    "a trailer's value": b"0\r\nX: ",
    "a trailer's name": b"0\r\n",
    "a chunk's extension": b"5;x=",
}


@pytest.mark.parametrize("beginning", ENDLESS.values(), ids=ENDLESS)
def test_what_one_caller_sends_without_end_does_not_fill_the_memory(guard: Guard, beginning: bytes) -> None:
    """A guard that is killed for its memory takes every caller's answers with it."""
    before = guard.rss_mib()
    with guard.connect() as sock:
        sock.sendall(request_bytes(b"", b"Transfer-Encoding: chunked") + beginning)
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                sock.sendall(b"a" * MIB)
        assert guard.rss_mib() < before + 16


@pytest.mark.parametrize("end", [b"0\r\nX: " + b"a" * 64 * MIB, b"5;" + b"a" * 64 * MIB], ids=["trailer", "extension"])
def test_what_the_model_sends_without_end_does_not_fill_the_memory(tmp_path: Path, end: bytes) -> None:
    folder = tmp_path / "guard"
    folder.mkdir()
    answer = scripted.chunked(b"{}", kind=b"application/json", end=end)
    path = tmp_path / "model.sock"
    with scripted.scripted(path, answer) as server, running.guard(folder, server.upstream) as started:
        before = started.rss_mib()
        assert started.ask(chat()).status == 502
        assert started.rss_mib() < before + 16


def test_a_status_without_a_name_is_passed_on(tmp_path: Path) -> None:
    folder = tmp_path / "guard"
    folder.mkdir()
    answer = whole(b"{}", status=b"529 Overloaded")
    path = tmp_path / "model.sock"
    with scripted.scripted(path, answer) as server, running.guard(folder, server.upstream) as started:
        assert started.ask(chat()).status == 529


def test_connections_that_ask_nothing_shut_nobody_out_of_the_status(guard: Guard) -> None:
    """The model reaches this port within the pod; a guard whose liveness probe fails is restarted."""
    with contextlib.ExitStack() as held:
        for _ in range(3 * page_server.MAX_CONNECTIONS):
            held.enter_context(socket.create_connection(("127.0.0.1", guard.ports["statusPort"])))
        for _ in range(5):
            assert guard.get("statusPort", "/livez").status == 200


def test_one_clients_unfinished_bodies_leave_room_for_anothers(tmp_path: Path, model: Model) -> None:
    flags = ["--max-waiting-bytes", "800000", "--max-body-bytes", "200000"]
    other = running.credential("batch").reveal()
    with running.guard(tmp_path, model.upstream, *flags) as small, contextlib.ExitStack() as held:
        greedy = [held.enter_context(small.connect()) for _ in range(6)]
        for sock in greedy:
            sock.sendall(request_bytes(b"", b"Content-Length: 199999") + b" " * 180_000)
        for sock in running.readable(greedy):
            assert b" 503 " in sock.recv(64)
        assert small.ask(b" " * 150_000 + json.dumps(chat()).encode(), key=other).status == 200
