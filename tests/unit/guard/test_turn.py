"""Too much at one time is shed: who would wait long is told to come again, and who is answered is answered soon."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import Model, chat, eventually, read_all, request_bytes
from tests.unit.guard.stand import Stand, Wire

from bartizan.guard.answers import Asked, Reader
from bartizan.guard.inspection import LetPass
from bartizan.guard.profiles import openai
from bartizan.guard.refusal import Refusal
from bartizan.guard.relay import LONG_BYTES, Relay
from bartizan.guard.reply import Reply
from bartizan.guard.request import Budget
from bartizan.guard.tally import Tally
from bartizan.guard.turn import Turn
from bartizan.guard.upstream_connection import AnswerHead
from bartizan.policy.document import RequestWindow
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
        turn.judge()
        clock.now += 0.5
        turn.judge()
        clock.now += 0.1
        with pytest.raises(Refusal) as caught:
            turn.judge()
        assert caught.value.reason is Reason.OVERLOADED
        await _next_turn()
        turn.judge()
        await _next_turn()

    asyncio.run(work())
    assert took == pytest.approx([0.6, 0.0])


def test_what_is_done_before_the_first_request_counts() -> None:
    """An answer that is long, a handshake: the request behind it has waited for it."""
    clock = Clock()
    turn = Turn(0.5, lambda _: None, clock=clock)

    async def work() -> None:
        turn.begin()
        clock.now += 0.6
        with pytest.raises(Refusal):
            turn.judge()

    asyncio.run(work())


@pytest.mark.parametrize(("size", "is_late"), [(100, False), (LONG_BYTES + 1, True)])
def test_a_long_piece_of_an_answer_counts_and_a_tokens_event_costs_nothing(size: int, *, is_late: bool) -> None:
    clock = Clock()
    turn = Turn(0.5, lambda _: None, clock=clock)
    asked = Asked(wants_stream=False, shows_usage=False, is_read=True, most_output=8)
    reader = Reader(asked, openai.CHOICES, LetPass(), Tally(), Budget(1 << 20, each=1 << 20), "", "req_1")

    async def work() -> None:
        relay = Relay(Reply(Wire(), "req_1", has_body=True), reader, turn, sent=lambda: None, clock=clock)
        relay.head(AnswerHead(200, b"application/json", None))
        relay.piece(b" " * size)
        clock.now += 0.6
        with pytest.raises(Refusal) if is_late else contextlib.nullcontext():
            turn.judge()

    asyncio.run(work())


def test_what_waits_for_the_next_turn_is_judged_by_that_turn() -> None:
    """Requests that are whole go on in a task, in the turn after the one in which they came."""
    clock = Clock()
    turn = Turn(0.5, lambda _: None, clock=clock)

    async def one() -> str:
        try:
            turn.judge()
        except Refusal:
            return "shed"
        clock.now += 0.3
        return "served"

    async def work() -> list[str]:
        turn.judge()
        clock.now += 10
        return await asyncio.gather(*[one() for _ in range(4)])

    assert asyncio.run(work()) == ["served", "served", "shed", "shed"]


def test_a_crowd_that_is_shed_does_not_come_back_as_one() -> None:
    clock = Clock()
    turn = Turn(0.5, lambda _: None, clock=clock)

    def shed() -> int | None:
        with pytest.raises(Refusal) as caught:
            turn.judge()
        return caught.value.retry_after_seconds

    async def work() -> list[int | None]:
        turn.begin()
        clock.now += 1
        return [shed() for _ in range(6)]

    assert asyncio.run(work()) == [1, 2, 3, 1, 2, 3]


def _late_at(look: int) -> Callable[[], float]:
    """A clock by which the turn has lasted nine seconds from its given look on; the first begins the turn."""
    return chain(repeat(0.0, look), repeat(9.0)).__next__


@pytest.mark.parametrize(
    ("look", "again"),
    [pytest.param(1, 200, id="at the head"), pytest.param(2, 429, id="before the body is parsed")],
)
def test_a_request_is_judged_when_its_head_has_come_and_before_its_body_is_parsed(
    tmp_path: Path, look: int, again: int
) -> None:
    """By then it has counted against its client's rate; nothing else is held of it."""
    stand = Stand(tmp_path, given=running.document(requests=(RequestWindow(1, 60),)))
    status, error = stand.ask(turn=Turn(0.5, lambda _: None, clock=_late_at(look)))
    assert (status, error["code"]) == (503, "overloaded")
    assert [entry["reason"] for entry in stand.tape.entries] == ["Overloaded"]
    assert (stand.model.bodies, stand.gate.slots.taken) == ([], 0)
    stand.wire = Wire()
    assert stand.ask()[0] == again


def test_a_crowd_is_served_in_part_and_shed_in_part(tmp_path: Path, model: Model) -> None:
    """All ask while the guard is held, so that it finds all of them in one turn."""
    asked = 60
    long = chat("x", messages=[{"role": "user", "content": "x"}] * 1000)
    data = request_bytes(json.dumps(long).encode())
    flags = ["--max-turn-seconds", "0.005", "--max-waiting-bytes", str(64 << 20)]
    given = running.document(concurrent=1000, concurrent_per_client=1000)
    before = len(model.received())
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
        assert all(b"\r\nRetry-After: " in answer and b'"overloaded"' in answer for answer in shed)
        assert len(model.received()) - before == len(served)
        assert guard.metric('bartizan_guard_requests_total{reason="Overloaded"') == len(shed)
        assert guard.metric("bartizan_guard_turn_seconds_count") > 0
        assert guard.ask(chat("alone again")).status == 200
