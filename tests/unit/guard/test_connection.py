"""A caller that does not read: whatever it asks, it holds neither memory nor a slot nor its connection for long."""

import asyncio
import contextlib
import fcntl
import json
import signal
import socket
import sys
import termios
from collections.abc import Iterator

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import Guard, Model, chat, eventually, queues, request_bytes

from bartizan.guard import settings
from bartizan.guard.connection import TURN_SECONDS, ClientConnection, Surroundings
from bartizan.guard.deadlines import Deadlines
from bartizan.guard.reply import Reply
from bartizan.guard.request import Budget, Request
from bartizan.policy.reasons import Reason

ALIVE = b"Connection: keep-alive"
ANSWER_BYTES = 8_000
"""Less than what a connection keeps before it pauses, so that several answers end in its buffer."""
STREAM = request_bytes(json.dumps(chat("/count 400000", stream=True)).encode(), ALIVE)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    flags = ["--header-seconds", "1", "--body-seconds", "1", "--idle-seconds", "1", "--reader-seconds", "2"]
    with running.guard(tmp_path_factory.mktemp("hasty"), model.upstream, *flags) as started:
        yield started


@contextlib.contextmanager
def _deaf(guard: Guard) -> Iterator[socket.socket]:
    """A caller with little room for answers, none of which it takes."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(running.DEADLINE_SECONDS)
        sock.connect(("127.0.0.1", guard.port))
        yield sock


def _ask_unread(guard: Guard, sock: socket.socket, size: int = ANSWER_BYTES) -> bool:
    """Ask for one more answer of some `size`; whether it came to its end, and was not cut."""
    before = _ended(guard)
    with contextlib.suppress(ConnectionError):
        sock.sendall(request_bytes(json.dumps(chat("x" * size)).encode(), ALIVE))
    eventually(lambda: _ended(guard) > before or queues(guard, sock) is None, "answered or cut")
    return _ended(guard) > before


def _ended(guard: Guard) -> int:
    return (guard.folder / "audit").read_bytes().count(b'"audit":"outcome"')


def _fill(guard: Guard, sock: socket.socket) -> None:
    """Ask until the kernel takes no more of the answers, so that a part of the last one waits in the guard itself."""
    held, grown = 0, ANSWER_BYTES
    while grown > ANSWER_BYTES // 2:
        assert _ask_unread(guard, sock)
        now = (queues(guard, sock) or (0, 0))[0]
        held, grown = now, now - held


def _fill_until_paused(guard: Guard, sock: socket.socket) -> None:
    _fill(guard, sock)
    assert _ask_unread(guard, sock, 2 * ANSWER_BYTES)


def _is_stuck(guard: Guard, sock: socket.socket) -> bool:
    looks = [queues(guard, sock) for _ in range(20) if guard.get("statusPort", "/livez")]
    return looks[0] is not None and looks[0][0] > 0 and len(set(looks)) == 1


AGAIN = {
    "a request": request_bytes(b"", ALIVE, method=b"GET", path=b"/v1/models"),
    "a part of a head": b"GET /par",
    "a head without its body": request_bytes(b"", b"Content-Length: 9", ALIVE),
}


@pytest.mark.parametrize("more", AGAIN.values(), ids=AGAIN)
def test_one_that_asks_again_without_reading_is_cut(guard: Guard, more: bytes) -> None:
    with _deaf(guard) as sock:
        _fill_until_paused(guard, sock)
        before = _ended(guard)
        sock.sendall(more)
        eventually(lambda: queues(guard, sock) is None, "cut", 5)
        assert _ended(guard) == before


@pytest.mark.parametrize("more", [b"", *AGAIN.values()], ids=["nothing", *AGAIN])
def test_one_that_left_a_little_unread_ends_at_its_deadlines(hasty: Guard, more: bytes) -> None:
    with _deaf(hasty) as sock:
        _fill(hasty, sock)
        sock.sendall(more)
        eventually(lambda: queues(hasty, sock) is None, "cut", 8)


def test_no_kernel_holds_answers_that_nobody_reads(guard: Guard) -> None:
    """Which would count as the container's memory, and as nobody's in the budget of answers."""
    text = "/count 60000"
    with _deaf(guard) as sock:
        sock.sendall(request_bytes(json.dumps(chat(text)).encode(), ALIVE))
        eventually(lambda: _is_stuck(guard, sock), "the answer waits")
        assert (queues(guard, sock) or (0, 0))[0] <= 64 * 1024, "of some 300 KiB"
        assert guard.metric("bartizan_guard_requests_in_flight") == 1
        with sock.makefile("rb") as answer:
            head = iter(answer.readline, b"\r\n")
            length = next(int(line.split()[1]) for line in head if line.lower().startswith(b"content-length"))
            assert all(head)
            assert json.loads(answer.read(length))["choices"][0]["message"]["content"].endswith("60000")
        eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 0, "the slot is free")


def test_no_kernel_keeps_much_of_what_the_guard_has_not_come_to(guard: Guard) -> None:
    """Of a caller that has sent much, and whose window would have grown."""
    with guard.connect() as sock:
        sock.sendall(request_bytes(b"", b"Content-Length: 2000000"))
        sock.sendall(bytes(1_500_000))
        eventually(lambda: running.is_all_read(guard, sock), "all is read")
        guard.process.send_signal(signal.SIGSTOP)
        try:
            sock.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                sock.sendall(bytes(490_000))
            assert 0 < (queues(guard, sock) or (0, 0))[1] <= 64 * 1024
        finally:
            guard.process.send_signal(signal.SIGCONT)


def test_a_long_answer_is_in_flight_until_all_of_it_has_left(guard: Guard) -> None:
    """While a byte of it waits in the guard, all of it does: what was written at one time is let go at one time."""
    with _deaf(guard) as sock:
        sock.sendall(request_bytes(json.dumps(chat("/count 60000")).encode(), ALIVE))
        eventually(lambda: _is_stuck(guard, sock), "the answer waits")
        head, _, begun = sock.recv(4096).partition(b"\r\n\r\n")
        (length,) = [int(line.split()[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        left = length - len(begun)
        while guard.metric("bartizan_guard_requests_in_flight") and left:
            left -= len(sock.recv(min(4096, left)))

        def is_all_in_the_kernel() -> bool:
            unread = int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)
            return left <= unread + (queues(guard, sock) or (0, 0))[0]

        eventually(is_all_in_the_kernel, "nothing waits in the guard", 2)


def test_one_that_only_closes_its_half_gives_back_slot_and_model_at_once(guard: Guard, model: Model) -> None:
    with _deaf(guard) as sock:
        sock.sendall(STREAM)
        eventually(lambda: _is_stuck(guard, sock), "the answer waits")
        number = model.received()[-1]["number"]
        sock.shutdown(socket.SHUT_WR)
        eventually(lambda: {"number": number, "event": "client gone"} in model.events(), "cancelled at the model", 3)
        eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 0, "the slot is free", 3)
        assert guard.audit()[-1]["reason"] == "ClientGone"


def test_one_that_closed_its_half_and_reads_nothing_ends_at_its_deadline(hasty: Guard) -> None:
    with _deaf(hasty) as sock:
        _fill(hasty, sock)
        sock.shutdown(socket.SHUT_WR)
        eventually(lambda: queues(hasty, sock) is None, "cut", 8)


class Everyone:
    """A listener with room."""

    is_draining = False

    def joined(self, connection: ClientConnection) -> bool:
        self.connection = connection
        return True

    def left(self, connection: ClientConnection) -> None: ...


class Tap:
    """A source that says whether it holds back."""

    is_paused = False

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False


def test_a_source_that_comes_to_a_paused_connection_is_told_at_once() -> None:
    tap = Tap()

    async def answer(_: Request, reply: Reply) -> None:
        reply.start(200, b"", length=None)
        reply.piece(b"x" * (64 << 20))
        reply.flush()
        reply.take_from(tap)
        was_told.set()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        bounds = settings.parse(running.arguments(running.ROOT, "tcp:127.0.0.1:1")).bounds
        around = Surroundings(answer, Deadlines(), bounds, Budget(1 << 20, each=1 << 20), new_id=lambda: "req_1")
        listener = Everyone()
        server = await loop.create_server(lambda: ClientConnection(listener, around, around.seconds()), "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as sock:
            sock.sendall(request_bytes(b"", method=b"GET"))
            async with asyncio.timeout(running.DEADLINE_SECONDS):
                await was_told.wait()
            listener.connection.abort(Reason.DRAINING)
        server.close()
        await server.wait_closed()

    was_told = asyncio.Event()
    asyncio.run(run())
    assert tap.is_paused


def test_a_fault_in_answering_at_once_ends_the_connection_and_reaches_nobody() -> None:
    """It may be a sweep of the deadlines that had the request refused, and that must go on for all others."""

    def answer(_: Request, __: Reply) -> None:
        raise ValueError("a fault")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reached.append(context))
        bounds = settings.parse(running.arguments(running.ROOT, "tcp:127.0.0.1:1")).bounds
        around = Surroundings(answer, Deadlines(), bounds, Budget(1 << 20, each=1 << 20), new_id=lambda: "req_1")
        listener = Everyone()
        server = await loop.create_server(lambda: ClientConnection(listener, around, around.seconds()), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request_bytes(b"", method=b"GET"))
        async with asyncio.timeout(running.DEADLINE_SECONDS):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        server.close()
        await server.wait_closed()

    reached: list[object] = []
    asyncio.run(run())
    assert reached == []


@pytest.mark.parametrize(("seconds", "keeps"), [(0.0, True), (2 * TURN_SECONDS, False)])
def test_unread_bytes_keep_a_place_for_a_turn_and_not_for_ever(seconds: float, *, keeps: bool) -> None:
    """Else whoever sends a byte now and then on the oldest connections would have every new caller turned away."""

    async def run() -> bool:
        loop = asyncio.get_running_loop()
        bounds = settings.parse(running.arguments(running.ROOT, "tcp:127.0.0.1:1")).bounds
        around = Surroundings(
            lambda *_: None, Deadlines(), bounds, Budget(1 << 20, each=1 << 20), new_id=lambda: "req_1"
        )
        ours, theirs = socket.socketpair()
        connection = ClientConnection(Everyone(), around, around.seconds())
        with theirs:
            transport, _ = await loop.create_connection(lambda: connection, sock=ours)
            assert not connection.has_unread
            theirs.sendall(b"G")
            connection.entered -= seconds
            found = connection.has_unread
            transport.abort()
        return found

    assert asyncio.run(run()) is keeps
