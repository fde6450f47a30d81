"""The operator's process: puts the parts together, and takes them apart in the right order."""

import asyncio
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubernetes.aio.config import ConfigException

from bartizan.controller import health, log, nesting, settings, status, supervise, tools
from bartizan.controller.api import Api, ApiError, Manifest
from bartizan.controller.connection import Connection
from bartizan.controller.delisted import Delisted
from bartizan.controller.handlers import Observer
from bartizan.controller.health import Doctor, Signs
from bartizan.controller.outsiders import Outsiders
from bartizan.controller.reconcile import Reconciler
from bartizan.controller.resync import Resync
from bartizan.controller.root_key import RootError
from bartizan.controller.settings import Settings, SettingsError
from bartizan.controller.tools import Tools
from bartizan.controller.work_queue import Key, Priority, WorkQueue
from bartizan.controller.workers import Workers

LOGGER = log.logger(__name__)

SWITCH_SECONDS = 0.001
"""How long the watches' thread may go on while this one waits; Python's 5 ms would be felt in each write."""
MOST_FILES = 8192
"""For the guards that are asked at once and all else: some systems start processes with 1,024."""
DRAIN_SECONDS = 20.0
"""For the reconciles under way when SIGTERM comes; the pod's grace period is 30 s."""


def main(arguments: list[str]) -> int:
    """`bartizan operator`; returns the exit code."""
    try:
        chosen = settings.load(os.environ, arguments)
    except SettingsError as error:
        log.configure(form="json", level="info")
        LOGGER.error("settings wrong", error=error)  # noqa: TRY400 - says all there is
        return 2
    log.configure(form=chosen.log_format, level=chosen.log_level)
    for name in settings.unknown(os.environ):
        LOGGER.warning("variable is no setting", variable=name)
    sys.setswitchinterval(SWITCH_SECONDS)
    nesting.prepare()
    claim_files()
    return asyncio.run(run(chosen, os.environ))


def claim_files() -> None:
    """As many as the kernel lets this process have, up to `MOST_FILES`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MOST_FILES)), hard))


async def run(chosen: Settings, environment: Mapping[str, str]) -> int:
    """Until SIGTERM or SIGINT (0), or until a part fails that nothing can go on without (1)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        connection = await Connection.open(environment)
    except (ConfigException, OSError) as error:
        remedy = "run in a cluster, or set KUBECONFIG"
        LOGGER.error("no credentials for an api server", error=error, remedy=remedy)  # noqa: TRY400 - says all there is
        return 1
    LOGGER.info("starting", namespaces=list(chosen.namespaces) or "all", guard_image=chosen.guard_image)
    operator = _assemble(Api(connection), chosen)
    try:
        async with health.serve(Doctor(operator.signs, operator.queue), chosen):
            return await _run_until(stop, operator, environment)
    finally:
        await connection.close()


@dataclass(frozen=True)
class Operator:
    """The parts of a running operator."""

    api: Api
    settings: Settings
    signs: Signs
    queue: WorkQueue
    supervisor: supervise.Supervisor
    resync: Resync


def _assemble(api: Api, chosen: Settings) -> Operator:
    generator = random.Random()  # noqa: S311 - spreads work, guards nothing
    queue = WorkQueue(time.monotonic, generator)
    signs = Signs(time.monotonic, chosen.resync_seconds)
    observer = Observer(_enqueue_from_thread(queue), clock=time.monotonic)
    return Operator(
        api=api,
        settings=chosen,
        signs=signs,
        queue=queue,
        supervisor=supervise.Supervisor(api, chosen, observer=observer, signs=signs),
        resync=Resync(api, chosen, queue, signs=signs, generator=generator),
    )


def _enqueue_from_thread(queue: WorkQueue) -> Callable[[Key, float, Priority], None]:
    """The watches run in another thread; the queue belongs to this one's event loop."""
    loop = asyncio.get_running_loop()

    def add(key: Key, seconds: float, priority: Priority) -> None:
        if seconds:
            queue.enqueue_after(key, seconds, priority)
        else:
            queue.enqueue(key, priority)

    def enqueue(key: Key, seconds: float, priority: Priority) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(add, key, seconds, priority)

    return enqueue


async def _run_until(stop: asyncio.Event, operator: Operator, environment: Mapping[str, str]) -> int:
    stopping = asyncio.create_task(stop.wait(), name="stop")
    work = asyncio.create_task(_work(operator, environment), name="work")
    await asyncio.wait({stopping, work}, return_when=asyncio.FIRST_COMPLETED)
    operator.signs.is_stopping = True
    LOGGER.info("stopping")
    operator.queue.close()
    stopping.cancel()
    work.cancel()
    await asyncio.wait({work})
    error = None if work.cancelled() else work.exception()
    if error is not None:
        LOGGER.error("operator failed", exception=error, error=type(error).__name__)
    LOGGER.info("stopped")
    return 1 if error is not None else 0


async def _work(operator: Operator, environment: Mapping[str, str]) -> None:
    """Ends only by cancellation, or by the fault of a part that must not end."""
    beating = asyncio.create_task(health.beat(operator.signs, operator.supervisor.echo), name="beat")
    try:
        await operator.supervisor.wait_until_usable()
        async with tools.assemble(operator.api, operator.settings) as assembled:
            await _look_at_root(assembled)
            await _run_parts(operator, assembled, environment)
    finally:
        beating.cancel()


async def _look_at_root(assembled: Tools) -> None:
    """Makes the root at the very first start; says early what every reconcile would stumble over."""
    try:
        await assembled.root.current()
    except (ApiError, RootError) as error:
        LOGGER.warning("root key not read", error=error)


async def _run_parts(operator: Operator, assembled: Tools, environment: Mapping[str, str]) -> None:
    pool = Workers(operator.queue, Reconciler(assembled).reconcile, count=operator.settings.workers)

    async def refuse(manifest: Manifest) -> None:
        await status.refuse_namespace(operator.api, manifest, now=assembled.now())

    workers = asyncio.create_task(pool.run(), name="workers")
    parts = [
        asyncio.create_task(operator.supervisor.run(environment), name="supervisor"),
        asyncio.create_task(operator.resync.run(), name="resync"),
        asyncio.create_task(assembled.root.watch(operator.resync.want), name="root"),
        asyncio.create_task(assembled.learner.cluster_keys.watch(operator.resync.want), name="cluster keys"),
        asyncio.create_task(assembled.learner.issuers.run(operator.resync.want), name="issuers"),
        asyncio.create_task(assembled.soundings.run(operator.queue.enqueue), name="soundings"),
        asyncio.create_task(Outsiders(operator.api, operator.settings, refuse).run(), name="outsiders"),
        asyncio.create_task(Delisted(operator.api, operator.settings, assembled.applier).run(), name="delisted"),
    ]
    try:
        await _until_one_ends({workers, *parts})
    finally:
        await _drain(parts, workers)


async def _until_one_ends(parts: set[asyncio.Task[None]]) -> None:
    done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    for part in done:
        part.result()


async def _drain(parts: list[asyncio.Task[None]], workers: asyncio.Task[None]) -> None:
    """No new work, but time for what is under way."""
    for part in parts:
        part.cancel()
    _, late = await asyncio.wait({workers}, timeout=DRAIN_SECONDS)
    if late:
        LOGGER.warning("reconciles cut off", after_seconds=DRAIN_SECONDS)
        workers.cancel()
    await asyncio.wait({workers, *parts})
