"""What workers make of a reconcile's end, whatever it is."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.unit.controller.eventually import eventually

from bartizan.controller import metrics
from bartizan.controller.api import ApiError
from bartizan.controller.work_queue import Key, Priority, WorkQueue
from bartizan.controller.workers import Result, Workers

KEY = Key("ml", "llama")


def total(result: str) -> float:
    return metrics.REGISTRY.get_sample_value("bartizan_operator_reconciles_total", {"result": result}) or 0.0


def run(
    reconcile: Callable[[Key], Awaitable[Result]], until: Callable[[WorkQueue], bool], *, deadline_seconds: float = 5.0
) -> WorkQueue:
    """Runs workers on one key until a condition holds."""

    async def scenario() -> WorkQueue:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        queue.enqueue(KEY)
        workers = asyncio.create_task(Workers(queue, reconcile, count=2, deadline_seconds=deadline_seconds).run())
        await eventually(lambda: until(queue))
        queue.close()
        await workers
        return queue

    return asyncio.run(scenario())


def test_success_counts_and_wants_nothing_more() -> None:
    before = total("success")

    async def reconcile(_: Key) -> Result:
        return Result()

    queue = run(reconcile, lambda _: total("success") > before)
    assert queue.delayed == 0


def test_a_wish_to_be_called_again_is_kept() -> None:
    calls: list[Key] = []

    async def reconcile(key: Key) -> Result:
        calls.append(key)
        return Result(requeue_after=0.01)

    run(reconcile, lambda _: len(calls) >= 3)
    assert set(calls) == {KEY}


def test_a_fault_is_retried_and_other_keys_go_on() -> None:
    other = Key("ml", "other")
    seen: list[Key] = []

    async def reconcile(key: Key) -> Result:
        seen.append(key)
        if key == KEY:
            raise RuntimeError("a bug")
        return Result()

    async def scenario() -> None:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        workers = asyncio.create_task(Workers(queue, reconcile, count=1).run())
        queue.enqueue(KEY)
        queue.enqueue(other)
        await eventually(lambda: other in seen and seen.count(KEY) > 1)
        queue.close()
        await workers

    asyncio.run(scenario())


def test_an_api_error_is_retried_with_backoff() -> None:
    before = total("error")

    async def reconcile(_: Key) -> Result:
        raise ApiError(500, "InternalError", "etcd is away")

    queue = run(reconcile, lambda _: total("error") > before)
    assert queue.delayed == 1


def test_a_failure_is_retried_with_backoff_but_no_later_than_the_reconcile_asks() -> None:
    before = total("error")

    async def reconcile(_: Key) -> Result:
        return Result(requeue_after=0.01, failure=ApiError(403, "Forbidden", "exceeded quota"))

    run(reconcile, lambda _: total("error") >= before + 8)


def test_while_the_api_server_is_away_no_key_waits_for_minutes() -> None:
    async def scenario() -> float:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        return max(queue.retry(KEY, 15.0) for _ in range(20))

    assert asyncio.run(scenario()) <= 15.0


def test_a_reconcile_that_hangs_gives_its_worker_back() -> None:
    before = total("timeout")

    async def reconcile(_: Key) -> Result:
        await asyncio.Event().wait()
        return Result()

    queue = run(reconcile, lambda _: total("timeout") > before, deadline_seconds=0.02)
    assert queue.delayed == 1


def test_closing_the_queue_lets_the_current_reconcile_finish() -> None:
    finished: list[Key] = []

    async def scenario() -> None:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        started, proceed = asyncio.Event(), asyncio.Event()

        async def reconcile(key: Key) -> Result:
            started.set()
            await proceed.wait()
            finished.append(key)
            return Result()

        workers = asyncio.create_task(Workers(queue, reconcile, count=1).run())
        queue.enqueue(KEY)
        queue.enqueue(Key("ml", "next"))
        async with asyncio.timeout(5):
            await started.wait()
            queue.close()
            proceed.set()
            await workers
        assert queue.depth(Priority.EVENT) == 1

    asyncio.run(scenario())
    assert finished == [KEY]


def test_polls_of_guards_that_hang_keep_no_event_waiting() -> None:
    """Far more of them than there are workers, each asking to be called again at once."""
    victim = Key("good", "victim")
    order: list[Key] = []

    async def reconcile(key: Key) -> Result:
        order.append(key)
        await asyncio.sleep(0)
        return Result() if key == victim else Result(requeue_after=0.0)

    async def scenario() -> int:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        workers = asyncio.create_task(Workers(queue, reconcile, count=8).run())
        for number in range(200):
            queue.enqueue(Key("evil", f"e{number}"))
        await eventually(lambda: len(order) > 1000)
        before = len(order)
        queue.enqueue(victim)
        await eventually(lambda: victim in order)
        queue.close()
        await workers
        return order.index(victim) - before

    assert asyncio.run(scenario()) <= 16, "those under way, and no whole round"


def test_a_look_that_somebody_waits_for_goes_beside_events() -> None:
    async def scenario() -> list[int]:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        depths = []

        async def reconcile(key: Key) -> Result:
            depths.append(queue.depth(Priority.EVENT))
            return Result(requeue_after=0.0, priority=Priority.EVENT) if len(depths) < 3 else Result()

        queue.enqueue(KEY, Priority.RESYNC)
        workers = asyncio.create_task(Workers(queue, reconcile, count=1).run())
        await eventually(lambda: len(depths) == 3)
        assert queue.depth(Priority.RESYNC) == 0
        queue.close()
        await workers
        return depths

    assert asyncio.run(scenario()) == [0, 0, 0]
