"""The periodic look at everything: finds what no event told of, above all what vanished while nobody watched."""

import asyncio
import random
from contextlib import suppress
from time import perf_counter

from bartizan.controller import handlers, log, metrics
from bartizan.controller.api import Api, ApiError
from bartizan.controller.health import Signs
from bartizan.controller.kinds import MODEL_DEPLOYMENT
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key, Priority, WorkQueue
from bartizan.policy import names

LOGGER = log.logger(__name__)

MANAGED = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
SPREAD_SHARE = 0.1
LONGEST_SPREAD_SECONDS = 30.0
"""A resync's keys are spread over a tenth of the period, so that it does not come as a thunderclap."""
RETRY_SECONDS = 15.0


class Resync:
    """Lists, compares, enqueues with low priority; the reconcile judges."""

    def __init__(
        self, api: Api, settings: Settings, queue: WorkQueue, *, signs: Signs, generator: random.Random
    ) -> None:
        self._api = api
        self._settings = settings
        self._queue = queue
        self._signs = signs
        self._random = generator
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """For ever; a failed sweep is tried again soon."""
        while True:
            self._wanted.clear()
            started = perf_counter()
            is_whole = await self._sweep()
            self._signs.resync_attempted(is_whole=is_whole)
            metrics.RESYNCS.labels(result="success" if is_whole else "error").inc()
            metrics.RESYNC_SECONDS.set(perf_counter() - started)
            period = self._settings.resync_seconds
            await self._rest(period if is_whole else min(period, RETRY_SECONDS))

    def want(self) -> None:
        """Something has changed that concerns every endpoint: sweep now."""
        self._wanted.set()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    async def _sweep(self) -> bool:
        try:
            living = await self._endpoints()
        except ApiError as error:
            LOGGER.warning("resync failed", kind=names.KIND, error=error)
            return False
        metrics.ENDPOINTS.set(len(living))
        owners, is_whole = await self._owners()
        for key in sorted(living | owners):
            self._queue.enqueue_after(key, self._delay(), Priority.RESYNC)
        LOGGER.debug("resync swept", endpoints=len(living), orphans=len(owners - living))
        return is_whole

    async def _endpoints(self) -> set[Key]:
        found: set[Key] = set()
        for namespace in self._settings.namespaces or (None,):
            items = await self._api.list_metadata(MODEL_DEPLOYMENT, namespace)
            found |= {Key(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
        return found

    async def _owners(self) -> tuple[set[Key], bool]:
        """Every endpoint that some object says it belongs to, living or not; False where a listing failed."""
        owners: set[Key] = set()
        is_whole = True
        for namespace in self._settings.namespaces or (None,):
            for kind in handlers.owned_kinds(self._settings):
                try:
                    items = await self._api.list_metadata(kind, namespace, labels=MANAGED)
                except ApiError as error:
                    LOGGER.warning("resync failed", kind=kind.kind, namespace=namespace, error=error)
                    is_whole = False
                    continue
                owners |= {key for item in items if (key := handlers.owner_of(item))}
        return owners, is_whole

    def _delay(self) -> float:
        if not self._signs.has_resynced:
            return 0.0  # at the start, the sooner the better
        return self._random.uniform(0, min(self._settings.resync_seconds * SPREAD_SHARE, LONGEST_SPREAD_SECONDS))
