"""The line for slots: bounded, in order, for a time, and nothing of it leaks whoever leaves it and when."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import Model, chat, credential, document, eventually, read_all, request_bytes

from bartizan.guard.refusal import Refusal
from bartizan.guard.slots import Caps, Slots

HELD = request_bytes(json.dumps(chat("/hold")).encode())
BATCH = HELD.replace(credential().reveal().encode(), credential("batch").reveal().encode())


def asked(model: Model) -> int:
    return sum(event["path"] == running.CHAT for event in model.received())


def test_who_finds_no_slot_waits_and_is_served(tmp_path: Path, model: Model) -> None:
    given = document(concurrent=1, concurrent_per_client=1, queue_size=4, queue_seconds=20)
    with running.guard(tmp_path, model.upstream, given=given) as guard, ExitStack() as held:
        before = asked(model)
        first, second = held.enter_context(guard.connect()), held.enter_context(guard.connect())
        first.sendall(HELD)
        eventually(lambda: asked(model) == before + 1, "one under way")
        second.sendall(BATCH)
        eventually(lambda: guard.metric("bartizan_guard_requests_waiting") == 1, "one in line")
        assert asked(model) == before + 1
        model.release()
        assert read_all(first).startswith(b"HTTP/1.1 200")
        eventually(lambda: asked(model) == before + 2, "its turn")
        model.release()
        assert read_all(second).startswith(b"HTTP/1.1 200")
        assert guard.metric("bartizan_guard_requests_in_flight") == 0


def test_who_waits_too_long_or_finds_the_line_full_is_refused(tmp_path: Path, model: Model) -> None:
    given = document(concurrent=1, concurrent_per_client=1, queue_size=2, queue_seconds=1)
    with running.guard(tmp_path, model.upstream, given=given) as guard, ExitStack() as held:
        before = asked(model)
        held.enter_context(guard.connect()).sendall(HELD)
        eventually(lambda: asked(model) == before + 1, "one under way")
        waiting = held.enter_context(guard.connect())
        waiting.sendall(HELD)
        eventually(lambda: guard.metric("bartizan_guard_requests_waiting") == 1, "one in line")
        assert guard.ask(chat()).status == 429, "half of the line is for one client"
        assert read_all(waiting).startswith(b"HTTP/1.1 429")
        assert guard.metric("bartizan_guard_requests_waiting") == 0


def test_t55_a_key_that_is_withdrawn_in_line_lets_nobody_in(tmp_path: Path, model: Model) -> None:
    given = document(concurrent=1, concurrent_per_client=1, queue_size=2, queue_seconds=20)
    with running.guard(tmp_path, model.upstream, given=given) as guard, ExitStack() as held:
        before = asked(model)
        first, second = held.enter_context(guard.connect()), held.enter_context(guard.connect())
        first.sendall(BATCH)
        eventually(lambda: asked(model) == before + 1, "one under way")
        second.sendall(HELD)
        eventually(lambda: guard.metric("bartizan_guard_requests_waiting") == 1, "one in line")
        guard.take_up(
            document(version=2000, keys=(running.client_key("batch"),), concurrent=1, concurrent_per_client=1)
        )
        model.release()
        assert read_all(second).startswith(b"HTTP/1.1 401")
        assert asked(model) == before + 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "come", "end", "leave", "late"]), st.integers(0, 20), st.sampled_from("abc")),
    max_size=50,
)


@settings(max_examples=500)
@given(steps=STEPS)
def test_no_order_of_coming_and_leaving_leaks_or_passes_a_cap(steps: list[tuple[str, int, str]]) -> None:
    async def run() -> None:
        slots, caps = Slots(), Caps(2, 3, line=4, line_seconds=60)
        tasks: list[tuple[str, asyncio.Task[None]]] = []
        inside: dict[asyncio.Task[None], asyncio.Event] = {}

        async def visit(client: str, *, is_late: bool) -> None:
            with await slots.line_up(client, Caps(2, 3, 4, 0) if is_late else caps):
                over = asyncio.Event()
                me = asyncio.current_task()
                assert me
                inside[me] = over
                try:
                    await over.wait()
                finally:
                    del inside[me]

        for what, number, client in steps:
            if what in ("come", "late"):
                tasks.append((client, asyncio.create_task(visit(client, is_late=what == "late"))))
            elif what == "end" and inside:
                list(inside.values())[number % len(inside)].set()
            elif what == "leave" and tasks:
                tasks[number % len(tasks)][1].cancel()
            for _ in range(number % 4):
                await asyncio.sleep(0)
            assert len(inside) <= slots.taken <= 3
            assert slots.waiting <= 4
            by_client = [name for name, task in tasks if task in inside]
            assert all(by_client.count(name) <= 2 for name in "abc")
        while any(not task.done() for _, task in tasks):
            for over in list(inside.values()):
                over.set()
            await asyncio.sleep(0)
        ends = await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
        assert all(end is None or isinstance(end, Refusal | asyncio.CancelledError) for end in ends)
        assert (slots.taken, slots.waiting, dict(slots._by_client)) == (0, 0, {})

    asyncio.run(run())


def test_the_first_in_line_whom_a_slot_fits_has_it() -> None:
    async def run() -> None:
        slots, caps = Slots(), Caps(1, 2, line=6, line_seconds=60)
        order: list[str] = []

        async def visit(client: str) -> None:
            with await slots.line_up(client, caps):
                order.append(client)
                await asyncio.sleep(0)

        with slots.lease("a", caps), slots.lease("b", caps):
            waiting = [asyncio.create_task(visit(client)) for client in ("a", "b", "c", "d")]
            await asyncio.sleep(0)
            assert slots.waiting == 4
        await asyncio.gather(*waiting)
        assert order in (["b", "c", "a", "d"], ["b", "a", "c", "d"])

    asyncio.run(run())


def test_without_a_line_nobody_waits() -> None:
    async def run() -> None:
        slots, caps = Slots(), Caps(1, 1)
        with slots.lease("a", caps), pytest.raises(Refusal), await slots.line_up("b", caps):
            raise AssertionError("there is no slot")

    asyncio.run(run())
