"""A body as it comes in takes the memory that its budget counts, however small its pieces are."""

import contextlib
import tracemalloc

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import Guard, eventually, request_bytes

from bartizan.guard.request import Budget, Head, Request

MIB = 1 << 20
SIZE = MIB // 16
HEAD = Head(b"POST", b"/v1/chat/completions", ())


@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_small_pieces_take_no_more_memory_than_they_are_counted_for(size: int) -> None:
    request = Request(HEAD, "req_1", Budget(MIB, each=MIB), asked=lambda: None)
    tracemalloc.start()
    try:
        for number in range(SIZE // size):
            request.add(bytes([number % 256]) * size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * SIZE


def test_unfinished_bodies_in_small_chunks_leave_the_guard_within_its_memory(guard: Guard) -> None:
    """Four bodies are a client's whole share of the budget, and a guard has 256 MiB."""
    before = guard.rss_mib()
    chunks = b"8\r\nxxxxxxxx\r\n" * 10_000
    with contextlib.ExitStack() as held:
        for _ in range(4):
            sock = held.enter_context(guard.connect())
            sock.sendall(request_bytes(b"", b"Transfer-Encoding: chunked"))
            for _ in range(20):
                sock.sendall(chunks)
            eventually(lambda: running.is_all_read(guard, sock), "all was read")  # noqa: B023
        assert guard.rss_mib() < before + 16


@pytest.mark.parametrize(("size", "is_read"), [(1, False), (2, False), (16, True)])
def test_a_body_of_mere_framing_is_not_read_on(guard: Guard, size: int, is_read: bool) -> None:
    """Beyond what a small body may take: the rest of the chunks is worth nothing and costs the parser's work."""
    text = b'"' + b"x" * 128_000 + b'"'
    chunks = b"".join(b"%x\r\n%b\r\n" % (size, text[at : at + size]) for at in range(0, len(text) - size, size))
    answer = guard.raw(request_bytes(chunks + b"0\r\n\r\n", b"Transfer-Encoding: chunked"))
    assert (b"chunks are too small" in answer, b"json_invalid" in answer) == (not is_read, is_read)
