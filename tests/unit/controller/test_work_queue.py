"""The work queue's promises, against every order of events that hypothesis thinks of."""

import asyncio
import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.controller.eventually import eventually

from bartizan.controller.work_queue import PATIENCE_SECONDS, Key, Priority, WorkQueue

KEYS = st.sampled_from([Key("ml", name) for name in ("a", "b", "c", "d")])
PRIORITIES = st.sampled_from(Priority)
SECONDS = st.floats(0, 20)

A, B, C = Key("ml", "a"), Key("ml", "b"), Key("ml", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[WorkQueue, Clock]:
    clock = Clock()
    return WorkQueue(clock, random.Random(7)), clock


class QueueMachine(RuleBasedStateMachine):
    """Keeps beside the queue a model of what is owed: keys added since they were last taken."""

    def __init__(self) -> None:
        super().__init__()
        self.queue, self.clock = make()
        self.owed: set[Key] = set()
        self.later: dict[Key, float] = {}
        self.processing: set[Key] = set()

    @rule(key=KEYS, priority=PRIORITIES)
    def enqueue(self, key: Key, priority: Priority) -> None:
        self.queue.enqueue(key, priority)
        self.owed.add(key)

    @rule(key=KEYS, seconds=SECONDS, priority=PRIORITIES)
    def enqueue_after(self, key: Key, seconds: float, priority: Priority) -> None:
        self.queue.enqueue_after(key, seconds, priority)
        self.later[key] = min(self.clock.now + seconds, self.later.get(key, float("inf")))

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        due = {key for key, at in self.later.items() if at <= self.clock.now}
        ready = (self.owed | due) - self.processing
        key = self.queue.poll()
        assert (key is None) == (not ready), "a key that is due is given out, and nothing else"
        if key is None:
            return
        assert key in ready, "no key is processed twice at once"
        self.owed.discard(key)
        for ripe in due:
            del self.later[ripe]
            if ripe != key:
                self.owed.add(ripe)
        self.later.pop(key, None)
        self.processing.add(key)

    @precondition(lambda self: self.processing)
    @rule(data=st.data(), failed=st.booleans())
    def done(self, data: st.DataObject, failed: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        if failed:
            seconds = self.queue.retry(key)
            self.later[key] = min(self.clock.now + seconds, self.later.get(key, float("inf")))
        else:
            self.queue.forget(key)
        self.queue.done(key)
        self.processing.discard(key)

    @invariant()
    def counts_are_sane(self) -> None:
        waiting = sum(self.queue.depth(priority) for priority in Priority)
        assert waiting + self.queue.delayed >= len(self.owed | set(self.later))
        assert self.queue.oldest_seconds >= 0.0

    def teardown(self) -> None:
        """Whatever was owed comes out in the end."""
        self.clock.now += 10_000
        for key in sorted(self.processing):
            self.queue.done(key)
        rest = set()
        while (ready := self.queue.poll()) is not None:
            rest.add(ready)
            self.queue.done(ready)
        assert rest == self.owed | set(self.later)
        assert self.queue.delayed == 0


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=40)


def test_keys_come_in_the_order_of_arrival_and_once() -> None:
    queue, _ = make()
    for key in (B, A, B, C, A):
        queue.enqueue(key)
    assert [queue.poll(), queue.poll(), queue.poll(), queue.poll()] == [B, A, C, None]


def test_events_go_before_the_resync_and_lift_its_keys() -> None:
    queue, _ = make()
    queue.enqueue(A, Priority.RESYNC)
    queue.enqueue(B, Priority.RESYNC)
    queue.enqueue(C)
    queue.enqueue(B)
    assert [queue.poll(), queue.poll(), queue.poll()] == [C, B, A]


def test_an_events_priority_is_never_lowered() -> None:
    queue, _ = make()
    queue.enqueue(A)
    queue.enqueue(A, Priority.RESYNC)
    assert (queue.depth(Priority.EVENT), queue.depth(Priority.RESYNC)) == (1, 0)


def test_a_storm_of_events_does_not_hold_up_the_resync_for_ever() -> None:
    queue, clock = make()
    queue.enqueue(A, Priority.RESYNC)
    clock.now += PATIENCE_SECONDS + 1
    queue.enqueue(B)
    assert queue.poll() == A


def test_a_storm_of_polls_that_are_late_does_not_hold_up_events() -> None:
    queue, clock = make()
    for number in range(100):
        queue.enqueue(Key("evil", f"e{number}"), Priority.RESYNC)
    clock.now += PATIENCE_SECONDS + 1
    for key in (A, B, C):
        queue.enqueue(key)
    taken = [queue.poll() for _ in range(6)]
    assert [key for key in taken if key in (A, B, C)] == [A, B, C]


def test_a_key_added_while_processed_comes_again_after_it_is_done() -> None:
    queue, clock = make()
    queue.enqueue(A)
    assert queue.poll() == A
    queue.enqueue(A)
    clock.now += 3
    assert queue.poll() is None
    assert queue.oldest_seconds == 3
    queue.done(A)
    assert queue.poll() == A


def test_of_two_times_the_earlier_holds() -> None:
    queue, clock = make()
    queue.enqueue_after(A, 10)
    queue.enqueue_after(A, 5)
    queue.enqueue_after(A, 20)
    clock.now += 5
    assert queue.poll() == A
    queue.done(A)
    clock.now += 100
    assert queue.poll() is None


def test_failures_in_a_row_wait_longer_each_time_up_to_five_minutes() -> None:
    queue, _ = make()
    waits = [queue.retry(A) for _ in range(14)]
    assert 0.4 <= waits[0] <= 0.6
    assert waits[5] > waits[3] > waits[1]
    assert max(waits) <= 300
    queue.forget(A)
    assert queue.retry(A) <= 0.6


def test_many_failing_keys_share_one_rate() -> None:
    queue, _ = make()
    waits = [queue.retry(Key("ml", f"e{number}")) for number in range(400)]
    assert max(waits[:100]) <= 0.6
    assert 25 <= waits[-1] <= 35, "300 beyond the burst, at 10 a second"


def test_take_wakes_for_a_new_key_for_a_due_one_and_for_the_end() -> None:
    async def scenario() -> list[Key | None]:
        loop = asyncio.get_running_loop()
        queue = WorkQueue(loop.time, random.Random(1))
        takers = [asyncio.create_task(queue.take()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.enqueue_after(B, 0.02)
        queue.enqueue(A)
        async with asyncio.timeout(5):
            await eventually(lambda: sum(task.done() for task in takers) == 2)
            queue.close()
            return list(await asyncio.gather(*takers))

    taken = asyncio.run(scenario())
    assert set(taken) == {A, B, None}


def test_workers_in_parallel_never_share_a_key() -> None:
    async def scenario() -> tuple[int, int]:
        queue = WorkQueue(asyncio.get_running_loop().time, random.Random(1))
        active: set[Key] = set()
        handled = 0

        async def work() -> None:
            nonlocal handled
            while key := await queue.take():
                assert key not in active
                active.add(key)
                await asyncio.sleep(0)
                active.discard(key)
                handled += 1
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(8)]
        for round_number in range(200):
            queue.enqueue(Key("ml", f"e{round_number % 7}"))
            if round_number % 3 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: not queue.depth(Priority.EVENT) and not active)
        queue.close()
        await asyncio.gather(*workers)
        return handled, len(active)

    handled, left = asyncio.run(scenario())
    assert handled >= 7
    assert left == 0
