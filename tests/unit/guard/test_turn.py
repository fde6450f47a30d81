"""Too much at one time is shed: who would wait long is told to come again, and who is answered is answered soon."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import Model, chat, eventually, read_all, request_bytes

from bartizan.guard.refusal import Refusal
from bartizan.guard.turn import Turn
from bartizan.policy.reasons import Reason


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _next_turn() -> None:
    await asyncio.sleep(0)


def test_what_comes_late_in_a_turn_is_refused_and_the_next_turn_begins_anew() -> None:
    clock, took = Clock(), list[float]()
    turn = Turn(0.5, took.append, clock=clock)

    async def work() -> None:
        turn.judge(clock.now)
        clock.now += 0.5
        turn.judge(clock.now)
        clock.now += 0.1
        with pytest.raises(Refusal) as caught:
            turn.judge(clock.now)
        assert (caught.value.reason, caught.value.retry_after_seconds) == (Reason.OVERLOADED, 1)
        await _next_turn()
        turn.judge(clock.now)
        await _next_turn()

    asyncio.run(work())
    assert took == pytest.approx([0.6, 0.0])


def test_what_waits_for_the_next_turn_is_judged_by_that_turn() -> None:
    """Requests that are whole go on in a task, in the turn after the one in which they came."""
    clock = Clock()
    turn = Turn(0.5, lambda _: None, clock=clock)

    async def one() -> str:
        try:
            turn.judge(clock.now)
        except Refusal:
            return "shed"
        clock.now += 0.3
        return "served"

    async def work() -> list[str]:
        turn.judge(clock.now)
        clock.now += 10
        return await asyncio.gather(*[one() for _ in range(4)])

    assert asyncio.run(work()) == ["served", "served", "shed", "shed"]


def test_a_crowd_is_served_in_part_and_shed_in_part(tmp_path: Path, model: Model) -> None:
    """All ask while the guard is held, so that it finds all of them in one turn."""
    asked = 60
    long = chat("x", messages=[{"role": "user", "content": "x"}] * 1000)
    data = request_bytes(json.dumps(long).encode())
    flags = ["--max-turn-seconds", "0.005", "--max-waiting-bytes", str(64 << 20)]
    given = running.document(concurrent=1000, concurrent_per_client=1000)
    with (
        running.guard(tmp_path, model.upstream, *flags, given=given) as guard,
        contextlib.ExitStack() as held,
    ):
        socks = [held.enter_context(guard.connect()) for _ in range(asked)]
        eventually(lambda: guard.metric("bartizan_guard_connections") == asked, "all are connected")
        guard.process.send_signal(signal.SIGSTOP)
        for sock in socks:
            sock.sendall(data)
        guard.process.send_signal(signal.SIGCONT)
        answers = [read_all(sock) for sock in socks]
        served = [answer for answer in answers if answer.startswith(b"HTTP/1.1 200 ")]
        shed = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert len(served) + len(shed) == asked
        assert served
        assert shed
        assert all(b"Retry-After: 1\r\n" in answer and b'"overloaded"' in answer for answer in shed)
        assert len(model.received()) == len(served)
        assert guard.metric('bartizan_guard_requests_total{reason="Overloaded"') == len(shed)
        assert guard.metric("bartizan_guard_turn_seconds_count") > 0
        assert guard.ask(chat("alone again")).status == 200
