"""The periodic look at everything: finds what no event told of, above all what vanished while nobody watched."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

from bartizan.controller import handlers, log, metrics
from bartizan.controller.api import Api, ApiError, Manifests
from bartizan.controller.health import Signs
from bartizan.controller.kinds import MODEL_DEPLOYMENT, Kind
from bartizan.controller.rounds import survive
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key, Priority, WorkQueue
from bartizan.policy import names

LOGGER = log.logger(__name__)

MANAGED = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
SPREAD_SHARE = 0.1
LONGEST_SPREAD_SECONDS = 30.0
"""A resync's keys are spread over a tenth of the period, so that it does not come as a thunderclap."""
RETRY_SECONDS = 15.0


@dataclass
class Sweep:
    """What one look at everything found."""

    living: set[Key] = field(default_factory=set)
    owners: set[Key] = field(default_factory=set)
    """Every endpoint that some object says it belongs to, living or not."""
    is_whole: bool = True
    has_failed: bool = False
    """Something could not be listed for another reason than missing rights: those are complained of elsewhere, and
    may stay missing for ever without keeping the other namespaces from their due."""


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
        """For ever; a sweep that missed something is tried again soon."""
        while True:
            self._wanted.clear()
            started = perf_counter()
            swept = await survive(self._sweep(), part="resync") or Sweep(is_whole=False, has_failed=True)
            self._enqueue(swept)
            self._signs.resync_ended(is_whole=swept.is_whole, has_failed=swept.has_failed)
            metrics.RESYNCS.labels(result="success" if swept.is_whole else "error").inc()
            metrics.RESYNC_SECONDS.set(perf_counter() - started)
            period = self._settings.resync_seconds
            await self._rest(period if swept.is_whole else min(period, RETRY_SECONDS))

    def want(self) -> None:
        """Something has changed that concerns every endpoint: sweep now."""
        self._wanted.set()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    async def _sweep(self) -> Sweep:
        """Namespace by namespace and kind by kind: what cannot be listed hides nothing else."""
        swept = Sweep()
        for namespace in self._settings.namespaces or (None,):
            for item in await self._listed(MODEL_DEPLOYMENT, namespace, swept):
                swept.living.add(Key(item["metadata"]["namespace"], item["metadata"]["name"]))
            for kind in handlers.owned_kinds(self._settings):
                found = await self._listed(kind, namespace, swept)
                swept.owners |= {key for item in found if (key := handlers.owner_of(item))}
        return swept

    async def _listed(self, kind: Kind, namespace: str | None, swept: Sweep) -> Manifests:
        """Empty where it cannot be listed, which the sweep then knows."""
        try:
            return await self._api.list_metadata(kind, namespace, labels=None if kind is MODEL_DEPLOYMENT else MANAGED)
        except ApiError as error:
            say = LOGGER.debug if error.is_forbidden else LOGGER.warning  # missing rights are complained of elsewhere
            say("resync missed objects", kind=kind.kind, namespace=namespace, error=error)
            swept.is_whole = False
            swept.has_failed |= not error.is_forbidden
            return []

    def _enqueue(self, swept: Sweep) -> None:
        metrics.ENDPOINTS.set(len(swept.living))
        for key in sorted(swept.living | swept.owners):
            self._queue.enqueue_after(key, self._delay(), Priority.RESYNC)
        LOGGER.debug("resync swept", endpoints=len(swept.living), orphans=len(swept.owners - swept.living))

    def _delay(self) -> float:
        if not self._signs.has_resynced:
            return 0.0  # at the start, the sooner the better
        return self._random.uniform(0, min(self._settings.resync_seconds * SPREAD_SHARE, LONGEST_SPREAD_SECONDS))
