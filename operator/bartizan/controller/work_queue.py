"""A keyed work queue: no key twice at once, none lost, events before resyncs, retries with backoff.

A key is *waiting* (for a worker), *processing*, both (it was added while it was processed: it waits again once that
ends), or *delayed* (until its time). Taking a key drops its delay: the reconcile that follows sees the world as it is
and says itself when it wants to be called again.
"""

import asyncio
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bartizan.controller import metrics
from bartizan.controller.retries import LONGEST_SECONDS, Backoff, TokenBucket

PATIENCE_SECONDS = 30.0
"""A key of low priority that has waited this long goes before every other event: neither storm holds up the other."""
RETRIES_PER_SECOND = 10.0
RETRY_BURST = 100


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one ModelDeployment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Priority(Enum):
    """Who goes first."""

    EVENT = "event"
    """Something happened."""
    RESYNC = "resync"
    """Start-up, periodic resync and polls: probably nothing to do."""


class WorkQueue:
    """For one event loop. `poll` and all else is synchronous; `take` waits."""

    def __init__(self, clock: Callable[[], float], generator: random.Random) -> None:
        self._clock = clock
        self._backoff: Backoff[Key] = Backoff(generator)
        self._bucket = TokenBucket(RETRIES_PER_SECOND, RETRY_BURST)
        self._waiting: dict[Priority, dict[Key, float]] = {priority: {} for priority in Priority}  # since when, FIFO
        self._again: dict[Key, tuple[Priority, float]] = {}  # added while processing
        self._processing: set[Key] = set()
        self._delayed: dict[Key, tuple[float, Priority]] = {}
        self._heap: list[tuple[float, Key]] = []  # holds stale entries, too: `_delayed` is the truth
        self._changed = asyncio.Event()
        self._is_closed = False
        self._was_late_one = False  # the last key was one of low priority that went before events
        self._done_at = clock()

    def enqueue(self, key: Key, priority: Priority = Priority.EVENT) -> None:
        """Adds a key; one that is there already keeps its place, unless its priority rises."""
        metrics.QUEUE_ADDS.inc()
        self._add(key, priority)

    def enqueue_after(self, key: Key, seconds: float, priority: Priority = Priority.EVENT) -> None:
        """Adds a key once the time is up; of two times the earlier holds, of two priorities the higher."""
        due = self._clock() + max(0.0, seconds)
        former = self._delayed.get(key)
        if former is not None:
            due = min(due, former[0])
            priority = _higher(priority, former[1])
        if former != (due, priority):
            self._delayed[key] = (due, priority)
            heapq.heappush(self._heap, (due, key))
            self._changed.set()

    def retry(self, key: Key, ceiling_seconds: float = LONGEST_SECONDS) -> float:
        """Adds a key that failed after its backoff; how long that is."""
        metrics.QUEUE_RETRIES.inc()
        shared = self._bucket.reserve_seconds(self._clock())
        seconds = max(shared, self._backoff.next_seconds(key, ceiling_seconds))
        self.enqueue_after(key, seconds)
        return seconds

    def forget(self, key: Key) -> None:
        """The key succeeded: its next failure is the first again."""
        self._backoff.forget(key)

    def poll(self) -> Key | None:
        """The next key, if one is due; call `done` when it has been processed."""
        self._ripen()
        line = self._next_line()
        if line is None:
            return None
        key = next(iter(line))
        del line[key]
        self._delayed.pop(key, None)
        self._processing.add(key)
        return key

    async def take(self) -> Key | None:
        """Waits for the next key; `None` once the queue is closed."""
        while not self._is_closed:
            if key := self.poll():
                return key
            self._changed.clear()
            await self._wait_for_change()
        return None

    def done(self, key: Key) -> None:
        """Ends the processing of a key; if it was added in the meantime, it waits again."""
        self._processing.discard(key)
        self._done_at = self._clock()
        if again := self._again.pop(key, None):
            self._waiting[again[0]][key] = again[1]
            self._changed.set()

    def close(self) -> None:
        """`take` gives nothing more."""
        self._is_closed = True
        self._changed.set()

    def depth(self, priority: Priority) -> int:
        """Keys that wait for a worker."""
        return len(self._waiting[priority]) + sum(1 for held, _ in self._again.values() if held is priority)

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return len(self._delayed)

    @property
    def oldest_seconds(self) -> float:
        """How long the key has waited that waits longest; 0 for an empty queue."""
        since = [at for line in self._waiting.values() for at in line.values()] + [at for _, at in self._again.values()]
        return max(0.0, self._clock() - min(since)) if since else 0.0

    @property
    def stall_seconds(self) -> float:
        """Since the processing of any key ended, or since the queue was made."""
        return self._clock() - self._done_at

    def _add(self, key: Key, priority: Priority) -> None:
        now = self._clock()
        if key in self._processing:
            held, since = self._again.get(key, (priority, now))
            self._again[key] = (_higher(priority, held), since)
            return
        if key in self._waiting[Priority.EVENT]:
            return
        low = self._waiting[Priority.RESYNC]
        if priority is Priority.EVENT:
            self._waiting[Priority.EVENT][key] = low.pop(key, now)
        else:
            low.setdefault(key, now)
        self._changed.set()

    def _ripen(self) -> None:
        while self._heap and self._heap[0][0] <= self._clock():
            due, key = heapq.heappop(self._heap)
            held = self._delayed.get(key)
            if held is not None and held[0] == due:
                del self._delayed[key]
                self._add(key, held[1])

    def _next_line(self) -> dict[Key, float] | None:
        events, resyncs = self._waiting[Priority.EVENT], self._waiting[Priority.RESYNC]
        if not events or not resyncs:
            return events or resyncs or None
        is_late = self._clock() - next(iter(resyncs.values())) > PATIENCE_SECONDS
        self._was_late_one = is_late and not self._was_late_one
        return resyncs if self._was_late_one else events

    async def _wait_for_change(self) -> None:
        seconds = max(0.0, self._heap[0][0] - self._clock()) if self._heap else None
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return


def _higher(one: Priority, other: Priority) -> Priority:
    return Priority.EVENT if Priority.EVENT in {one, other} else Priority.RESYNC
