"""A caller of a guard in this process: a connection fed piece by piece, in the manners that a case asks for."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvloop
from tests.fuzz.in_process import InProcess
from tests.fuzz.mutation import pieces

from bartizan.guard.connection import ClientConnection
from bartizan.guard.inspection import Inspector, LetPass

WAITS, HALF_CLOSES, MODEL_WAITS, LEAVES_EARLY = 1, 2, 4, 8
"""What a case's first byte says: the loop turns between pieces; how the caller leaves; how quick the model is."""
TURNS = 12
"""Of the loop, in which a request that can end has ended."""


class Transport:
    """What a connection sees of a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.protocol: ClientConnection | None = None
        self.written = b""
        self.is_over = self.has_ended = False

    def write(self, data: bytes) -> None:
        assert not self.is_over, "bytes behind the end"
        assert not self.has_ended, "bytes behind the end of our half"
        self.written += data

    def write_eof(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        if not self.is_over and self.protocol is not None:
            self.is_over = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.is_over

    def set_write_buffer_limits(self, *, high: int, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else self

    def setsockopt(self, *option: object) -> None: ...


class Bench:
    """One guard and one loop for many cases."""

    def __init__(self, inspector: Callable[[], Inspector] = LetPass) -> None:
        self.loop = uvloop.new_event_loop()
        self.faults: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.guard = self.loop.run_until_complete(_made(inspector))

    def run(self, case: bytes) -> bytes:
        """What the guard wrote for the case; its first byte says how the caller behaves, the rest what it sends."""
        self.faults.clear()
        written = self.loop.run_until_complete(self._talk(case[0] if case else 0, pieces(case[1:])))
        assert not self.faults, f"the loop heard of {self.faults}"
        return written

    async def _talk(self, manners: int, cut: list[bytes]) -> bytes:
        guard = self.guard
        guard.forget()
        guard.model.turns = 3 if manners & MODEL_WAITS else 0
        transport = Transport(self.loop)
        connection = transport.protocol = ClientConnection(guard.listener, guard.around, guard.seconds)
        connection.connection_made(cast("asyncio.Transport", transport))
        for piece in cut:
            if transport.is_over:
                break
            connection.data_received(piece)
            await _turn(3 if manners & WAITS else 0)
        await _turn(0 if manners & LEAVES_EARLY else TURNS)
        if manners & HALF_CLOSES and not transport.is_over:
            connection.eof_received()
        transport.close()
        await _turn(TURNS)
        assert not guard.left_behind(), f"left behind: {guard.left_behind()}"
        return transport.written


async def _made(inspector: Callable[[], Inspector]) -> InProcess:
    return InProcess(inspector)


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
