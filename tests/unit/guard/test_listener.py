"""The clients' port lets in as many as come: none waits at the door because those inside keep the guard busy."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvloop
from tests.unit.guard import running

from bartizan.guard import listener as listeners
from bartizan.guard import settings
from bartizan.guard.connection import Surroundings
from bartizan.guard.deadlines import Deadlines
from bartizan.guard.listener import BACKLOG, DOORS, Listener
from bartizan.guard.request import Budget
from bartizan.policy.reasons import Reason


def _surroundings() -> Surroundings:
    bounds = settings.parse(running.arguments(running.ROOT, "tcp:127.0.0.1:1")).bounds
    return Surroundings(lambda *_: None, Deadlines(), bounds, Budget(1 << 20, each=1 << 20), new_id=lambda: "req_1")


@contextlib.asynccontextmanager
async def _port(let_in: list[int]) -> AsyncIterator[tuple[str, int]]:
    listener = Listener(most=1000, most_each=1000, counted=let_in.append)
    sock = listeners.bind("127.0.0.1", 0)
    await listener.open(sock, _surroundings())
    try:
        yield sock.getsockname()
    finally:
        listener.close()
        listener.abort(Reason.DRAINING)


def test_one_turn_of_the_event_loop_lets_in_as_many_as_there_are_doors() -> None:
    let_in: list[int] = []

    async def run() -> int:
        turns = 0
        async with _port(let_in) as place:
            with contextlib.ExitStack() as stack:
                for _ in range(2 * DOORS):
                    stack.enter_context(socket.create_connection(place))
                while len(let_in) < 2 * DOORS and turns < 100:
                    await asyncio.sleep(0)
                    turns += 1
        return turns

    assert uvloop.run(run()) <= 6


def test_the_kernel_keeps_as_many_waiting_as_was_asked_for() -> None:
    """An event loop has a backlog of its own, of a hundred, and listens with it again."""
    callers = 150
    assert callers < BACKLOG

    async def run() -> None:
        async with _port([]) as place:
            with contextlib.ExitStack() as stack:
                for _ in range(callers):  # within one turn: nobody is let in
                    stack.enter_context(socket.create_connection(place, timeout=1))

    uvloop.run(run())
