"""Whether the operator works, not merely runs: signs of life, what they mean, and where the kubelet asks for them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bartizan.controller import log, metrics
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Priority, WorkQueue

LOGGER = log.logger(__name__)

LOOP_LAG_SECONDS = 10.0
"""An event loop that wakes up this late is blocked by something that should not run in it."""
STALL_SECONDS = 300.0
"""A key has waited this long and no worker has ended anything in that time: they hang, all of them."""
RESYNC_PERIODS = 3.0
RESYNC_GRACE_SECONDS = 120.0
BEAT_SECONDS = 1.0


@dataclass
class Signs:
    """Signs of life, written by those whose life it is. Moments are `clock()`s."""

    clock: Callable[[], float]
    resync_seconds: float
    is_stopping: bool = False
    waits_for: str = "start"
    """What keeps the operator from being ready; empty when nothing does."""
    loop_lag_seconds: float = 0.0
    watch_echo_at: float | None = None
    """When the event loop of the watches last answered; None while there are none."""
    has_resynced: bool = False
    """Every endpoint that there was a right to see has been looked at since the start."""
    _started_at: float = field(init=False)
    _resync_attempted_at: float | None = None
    _resync_succeeded_at: float | None = None

    def __post_init__(self) -> None:
        self._started_at = self.clock()

    def resync_ended(self, *, is_whole: bool, has_failed: bool) -> None:
        """`has_failed`: something was missed, and not for want of rights.

        Whoever lacks a right in one namespace may lack it for ever (its Role went with the namespace), and works in
        the others meanwhile.
        """
        self._resync_attempted_at = self.clock()
        self.has_resynced |= not has_failed
        if is_whole:
            self._resync_succeeded_at = self._resync_attempted_at

    @property
    def resync_age_seconds(self) -> float:
        """Since the last one that succeeded, or since the start."""
        return self.clock() - (self._started_at if self._resync_succeeded_at is None else self._resync_succeeded_at)

    @property
    def resync_silence_seconds(self) -> float:
        """Since the last one that ended, however it did; 0 before the first."""
        return 0.0 if self._resync_attempted_at is None else self.clock() - self._resync_attempted_at

    @property
    def watch_silence_seconds(self) -> float:
        return 0.0 if self.watch_echo_at is None else self.clock() - self.watch_echo_at


@dataclass(frozen=True, slots=True)
class Facts:
    """The figures that liveness is judged by."""

    loop_lag_seconds: float
    watch_silence_seconds: float
    resync_silence_seconds: float
    resync_seconds: float
    oldest_seconds: float
    stall_seconds: float
    """Since a worker last ended anything."""


def ailments(facts: Facts) -> tuple[str, ...]:
    """Why the process should be started anew; an API server that is away is no reason: a new one would find it so."""
    resync_limit = facts.resync_seconds * RESYNC_PERIODS + RESYNC_GRACE_SECONDS
    found = {
        f"event loop lags {facts.loop_lag_seconds:.0f} s": facts.loop_lag_seconds > LOOP_LAG_SECONDS,
        f"watches silent for {facts.watch_silence_seconds:.0f} s": facts.watch_silence_seconds > LOOP_LAG_SECONDS * 3,
        f"no resync ended for {facts.resync_silence_seconds:.0f} s": facts.resync_silence_seconds > resync_limit,
        f"oldest key waits {facts.oldest_seconds:.0f} s, workers stall": min(facts.oldest_seconds, facts.stall_seconds)
        > STALL_SECONDS,
    }
    return tuple(text for text, is_ill in found.items() if is_ill)


def impediments(signs: Signs) -> tuple[str, ...]:
    """Why the operator is not ready."""
    found = {
        "stopping": signs.is_stopping,
        f"waits for {signs.waits_for}": bool(signs.waits_for),
        "waits for first resync": not signs.has_resynced,
    }
    return tuple(text for text, holds in found.items() if holds)


class Doctor:
    """Gathers the facts and answers the kubelet."""

    def __init__(self, signs: Signs, queue: WorkQueue) -> None:
        self._signs = signs
        self._queue = queue

    def facts(self) -> Facts:
        signs = self._signs
        return Facts(
            loop_lag_seconds=signs.loop_lag_seconds,
            watch_silence_seconds=signs.watch_silence_seconds,
            resync_silence_seconds=signs.resync_silence_seconds,
            resync_seconds=signs.resync_seconds,
            oldest_seconds=self._queue.oldest_seconds,
            stall_seconds=self._queue.stall_seconds,
        )

    async def livez(self, _: web.Request) -> web.Response:
        return _answer(ailments(self.facts()))

    async def readyz(self, _: web.Request) -> web.Response:
        return _answer(impediments(self._signs))

    async def metrics(self, _: web.Request) -> web.Response:
        self._measure()
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})

    def _measure(self) -> None:
        for priority in Priority:
            metrics.QUEUE_DEPTH.labels(priority=priority.value).set(self._queue.depth(priority))
        metrics.QUEUE_DELAYED.set(self._queue.delayed)
        metrics.QUEUE_OLDEST_SECONDS.set(self._queue.oldest_seconds)
        metrics.LOOP_LAG_SECONDS.set(self._signs.loop_lag_seconds)
        metrics.RESYNC_AGE_SECONDS.set(self._signs.resync_age_seconds)
        metrics.READY.set(0 if impediments(self._signs) else 1)


async def beat(signs: Signs, echo: Callable[[], None]) -> None:
    """For ever: measures the event loop's lag, and has `echo` ask the watches for theirs."""
    while True:
        before = signs.clock()
        await asyncio.sleep(BEAT_SECONDS)
        signs.loop_lag_seconds = max(0.0, signs.clock() - before - BEAT_SECONDS)
        echo()


@asynccontextmanager
async def serve(doctor: Doctor, settings: Settings) -> AsyncIterator[None]:
    """Health on one port, metrics on another, so that each can be opened to those who need it."""
    health = await _start({"/livez": doctor.livez, "/readyz": doctor.readyz}, settings.health_port, "health")
    figures = await _start({"/metrics": doctor.metrics}, settings.metrics_port, "metrics")
    try:
        yield
    finally:
        await health.cleanup()
        await figures.cleanup()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _start(routes: dict[str, Handler], port: int, purpose: str) -> web.AppRunner:
    application = web.Application()
    application.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, _listen(port)).start()
    LOGGER.info("listening", purpose=purpose, port=runner.addresses[0][1])
    return runner


def _listen(port: int) -> socket.socket:
    """One socket for both families, so that there is one port also where the system chooses it."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _answer(problems: tuple[str, ...]) -> web.Response:
    if problems:
        return web.Response(status=503, text="\n".join(problems) + "\n")
    return web.Response(text="ok\n")
