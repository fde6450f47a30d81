"""Connections are capped in all and by address, so that no single caller takes the place of all others."""

import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import DEADLINE_SECONDS, Guard, Model, chat, eventually, read_all, request_bytes

NEIGHBOUR = "127.0.0.2"
STREAM = request_bytes(json.dumps(chat("/count 1000 /slow 50", stream=True)).encode())
ASK = request_bytes(json.dumps(chat()).encode())


@pytest.fixture
def guard(tmp_path: Path, model: Model) -> Iterator[Guard]:
    caps = ["--max-connections", "8", "--max-connections-per-address", "5"]
    with running.guard(tmp_path, model.upstream, *caps) as started:
        yield started


def _from(guard: Guard, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", guard.port), DEADLINE_SECONDS, source_address=(address, 0))


def _answer(guard: Guard, address: str) -> bytes:
    with _from(guard, address) as sock:
        sock.sendall(ASK)
        return read_all(sock)


def _busy(guard: Guard, stack: contextlib.ExitStack, address: str, count: int) -> None:
    for _ in range(count):
        sock = stack.enter_context(_from(guard, address))
        sock.sendall(STREAM)
        assert sock.recv(1024).startswith(b"HTTP/1.1 200")


def test_an_address_with_all_of_its_share_is_told_so_and_others_are_served(guard: Guard) -> None:
    with contextlib.ExitStack() as stack:
        _busy(guard, stack, "127.0.0.1", 5)
        refused = _answer(guard, "127.0.0.1")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in refused
        assert _answer(guard, NEIGHBOUR).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: guard.metric("bartizan_guard_connections") == 0, "all have left")
    assert _answer(guard, "127.0.0.1").startswith(b"HTTP/1.1 200 "), "the share is free again"


def test_whoever_opens_without_end_loses_its_own_connections_and_nobody_elses(guard: Guard) -> None:
    with contextlib.ExitStack() as stack:
        quiet = stack.enter_context(_from(guard, NEIGHBOUR))
        quiet.sendall(ASK[:20])
        eventually(lambda: running.is_all_read(guard, quiet), "the neighbour's head has begun")
        for _ in range(100):
            stack.enter_context(_from(guard, "127.0.0.1"))
        assert _answer(guard, "127.0.0.1").startswith(b"HTTP/1.1 200 ")
        assert guard.metric("bartizan_guard_connections") <= 6
        quiet.sendall(ASK[20:])
        assert read_all(quiet).startswith(b"HTTP/1.1 200 ")


def test_a_request_that_nobody_has_looked_at_yet_keeps_its_place(guard: Guard) -> None:
    """Whoever opens many at one time, while the guard is busy, drives out none that has asked."""
    with contextlib.ExitStack() as stack:
        guard.process.send_signal(signal.SIGSTOP)
        asking = stack.enter_context(_from(guard, "127.0.0.1"))
        asking.sendall(ASK)
        for _ in range(100):
            stack.enter_context(_from(guard, "127.0.0.1"))
        guard.process.send_signal(signal.SIGCONT)
        assert read_all(asking).startswith(b"HTTP/1.1 200 ")


def test_all_together_keep_to_the_cap_in_all(guard: Guard) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(2, 5):
            _busy(guard, stack, f"127.0.0.{number}", 3 if number < 4 else 2)
        assert _answer(guard, "127.0.0.9").startswith(b"HTTP/1.1 503 ")


def test_addresses_that_have_left_are_forgotten(guard: Guard) -> None:
    _answer(guard, "127.0.0.1")
    before = guard.rss_mib()
    for number in range(1000):
        _from(guard, f"127.0.{number // 250 + 1}.{number % 250 + 1}").close()
    assert _answer(guard, "127.0.0.1").startswith(b"HTTP/1.1 200 ")
    assert guard.rss_mib() - before < 5
