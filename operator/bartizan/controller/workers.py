"""Workers that take keys from the queue and have them reconciled, each within a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

from bartizan.controller import log, metrics
from bartizan.controller.api import ApiError
from bartizan.controller.retries import LONGEST_SECONDS
from bartizan.controller.work_queue import Key, Priority, WorkQueue

RECONCILE_SECONDS = 60.0
"""Many times what a reconcile takes; one that hangs gives its worker back."""
UNREACHABLE_SECONDS = 15.0
"""Longest backoff while the API server does not answer: once it does, everything is picked up soon."""

LOGGER = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile asks for next: to be called again after so many seconds, or only when something happens.

    With a `failure`, that time may heal, it is called again after a backoff, or so many seconds where they are less.
    """

    requeue_after: float | None = None
    failure: ApiError | None = None
    priority: Priority = Priority.RESYNC
    """Of that call: a poll must not keep what has just happened waiting."""


Reconcile = Callable[[Key], Awaitable[Result]]


class Workers:
    """`count` loops over one queue; they end when the queue is closed, each after its current key."""

    def __init__(
        self, queue: WorkQueue, reconcile: Reconcile, *, count: int, deadline_seconds: float = RECONCILE_SECONDS
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._count = count
        self._deadline_seconds = deadline_seconds

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while (key := await self._queue.take()) is not None:
            started = perf_counter()
            try:
                with metrics.ACTIVE_WORKERS.track_inprogress():
                    result = await self._attempt(key)
            finally:
                self._queue.done(key)
            metrics.RECONCILES.labels(result=result).inc()
            metrics.RECONCILE_SECONDS.observe(perf_counter() - started)

    async def _attempt(self, key: Key) -> str:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                result = await self._reconcile(key)
        except TimeoutError:
            self._retry(key, f"took longer than {self._deadline_seconds:g} s")
            return "timeout"
        except ApiError as error:
            result = Result(failure=error)
        except Exception as error:  # noqa: BLE001 - one bad object must not stop the others
            self._retry(key, f"{type(error).__name__}: {error}", exception=error)
            return "error"
        if result.failure is not None:
            self._retry(key, str(result.failure), _ceiling_seconds(result, result.failure))
            return "error"
        self._queue.forget(key)
        if result.requeue_after is None:
            return "success"
        self._queue.enqueue_after(key, result.requeue_after, result.priority)
        return "requeue"

    def _retry(
        self, key: Key, error: str, ceiling_seconds: float = LONGEST_SECONDS, exception: BaseException | None = None
    ) -> None:
        seconds = self._queue.retry(key, ceiling_seconds)
        fields = {"endpoint": str(key), "error": error, "retry_in_seconds": round(seconds, 1)}
        if exception is None:
            LOGGER.warning("reconcile failed", **fields)
        else:
            LOGGER.error("reconcile failed", exception=exception, **fields)


def _ceiling_seconds(result: Result, failure: ApiError) -> float:
    wished = LONGEST_SECONDS if result.requeue_after is None else result.requeue_after
    return min(wished, UNREACHABLE_SECONDS if failure.is_unreachable else LONGEST_SECONDS)
