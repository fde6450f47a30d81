"""The sink of the audit: lines stay whole and in order whatever the pipe takes, and never wait for its reader."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.guard.audit import MAX_LINE_BYTES, SinkError
from bartizan.guard.audit_sink import MAX_KEPT_BYTES, DescriptorSink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


def test_what_may_wait_leaves_with_the_next_line_that_may_not(pipe: tuple[int, int]) -> None:
    async def scene() -> None:
        sink = DescriptorSink(pipe[1])
        sink.write(b"outcome\n", must_not_wait=False)
        assert _read(pipe[0]) == b""
        sink.write(b"decision\n", must_not_wait=True)
        assert _read(pipe[0]) == b"outcome\ndecision\n"

    asyncio.run(scene())


def test_what_may_wait_waits_for_no_longer_than_a_turn_of_the_loop(pipe: tuple[int, int]) -> None:
    async def scene() -> None:
        DescriptorSink(pipe[1]).write(b"outcome\n", must_not_wait=False)
        await asyncio.sleep(0)
        assert _read(pipe[0]) == b"outcome\n"

    asyncio.run(scene())


def test_more_than_one_write_takes_does_not_wait_at_all(pipe: tuple[int, int]) -> None:
    async def scene() -> None:
        sink = DescriptorSink(pipe[1])
        for _ in range(30):
            sink.write(b"x" * 999 + b"\n", must_not_wait=False)
            assert sink._kept_bytes < MAX_LINE_BYTES + 1000
        assert _read(pipe[0]).count(b"\n") >= 25, "all but what one write holds"

    asyncio.run(scene())


STEPS = st.lists(st.tuples(st.integers(1, MAX_LINE_BYTES), st.booleans(), st.integers(0, 3)), min_size=20, max_size=120)


@settings(max_examples=60)
@given(STEPS)
def test_lines_are_whole_and_in_order_whatever_the_reader_does(steps: list[tuple[int, bool, int]]) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    accepted: list[bytes] = []
    read = bytearray()

    async def scene() -> int:
        sink = DescriptorSink(writing)
        for number, (size, must_not_wait, looks) in enumerate(steps):
            line = b"%d:" % number + b"x" * max(0, size - 8) + b"\n"
            try:
                sink.write(line, must_not_wait=must_not_wait)
            except SinkError:
                assert must_not_wait or sink._kept_bytes > MAX_KEPT_BYTES - MAX_LINE_BYTES
            else:
                accepted.append(line)
            for _ in range(looks):
                read.extend(_read(reading) if looks > 1 else b"")
                await asyncio.sleep(0)
        settled = asyncio.ensure_future(sink.settle(10))
        while not settled.done():
            read.extend(_read(reading))
            await asyncio.sleep(0)
        return await settled

    try:
        assert asyncio.run(scene()) == 0
        read.extend(_read(reading))
        assert bytes(read) == b"".join(accepted)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_line_that_could_not_be_written_at_once_leaves_nothing_behind(pipe: tuple[int, int]) -> None:
    async def scene() -> None:
        sink = DescriptorSink(pipe[1])
        for _ in range(16):
            sink.write(b"d" * 4095 + b"\n", must_not_wait=True)
        with pytest.raises(SinkError):
            sink.write(b"too many\n", must_not_wait=True)
        held = _read(pipe[0])
        sink.write(b"after\n", must_not_wait=True)
        assert held.endswith(b"d\n")
        assert _read(pipe[0]) == b"after\n"

    asyncio.run(scene())


def test_a_reader_that_has_gone_is_said_to_the_next_decision(pipe: tuple[int, int]) -> None:
    async def scene() -> None:
        sink = DescriptorSink(pipe[1])
        nobody = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nobody, pipe[0])
        os.close(nobody)
        sink.write(b"outcome\n", must_not_wait=False)
        await asyncio.sleep(0)
        with pytest.raises(SinkError, match="Broken pipe"):
            sink.write(b"decision\n", must_not_wait=True)
        assert await sink.settle(0.1) == 1, "the outcome alone is still owed"

    asyncio.run(scene())


def test_a_disk_that_was_full_takes_lines_again_however_many_waited(pipe: tuple[int, int]) -> None:
    """Nobody says when a disk has room again, so whoever comes has to try: else the guard would refuse for ever."""

    decision = b"d" * 3999 + b"\n"

    async def scene() -> None:
        sink, kept = DescriptorSink(pipe[1]), os.dup(pipe[1])
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, pipe[1])
        for _ in range(MAX_KEPT_BYTES // 4000):
            sink.write(b"o" * 3999 + b"\n", must_not_wait=False)
        with pytest.raises(SinkError):
            sink.write(decision, must_not_wait=True)
        await asyncio.sleep(0)  # the turn ends while the disk is full still
        os.dup2(kept, pipe[1])
        for descriptor in (kept, full):
            os.close(descriptor)
        read = bytearray()
        for _ in range(100):
            try:
                sink.write(decision, must_not_wait=True)
            except SinkError:
                read += _read(pipe[0])
                await asyncio.sleep(0)
            else:
                break
        read += _read(pipe[0])
        assert read.endswith(decision)
        assert len(read) == (MAX_KEPT_BYTES // 4000) * 4000 + len(decision), "nothing of what waited is lost"

    asyncio.run(scene())
