"""The periodic look at everything: finds what no event told of, above all what vanished while nobody watched."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import perf_counter

from bartizan.controller import handlers, log, metrics
from bartizan.controller.api import Api, ApiError, Manifest
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

Refuse = Callable[[Manifest], Awaitable[None]]
"""Told of each ModelDeployment (its metadata) in a namespace that the operator was not given."""


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

    async def run(self, refuse: Refuse) -> None:
        """For ever; a failed sweep is tried again soon."""
        while True:
            started = perf_counter()
            is_whole = await self._sweep(refuse)
            self._signs.resync_attempted(is_whole=is_whole)
            metrics.RESYNCS.labels(result="success" if is_whole else "error").inc()
            metrics.RESYNC_SECONDS.set(perf_counter() - started)
            period = self._settings.resync_seconds
            await asyncio.sleep(period if is_whole else min(period, RETRY_SECONDS))

    async def _sweep(self, refuse: Refuse) -> bool:
        try:
            living, outside = await self._endpoints()
        except ApiError as error:
            LOGGER.warning("resync failed", kind=names.KIND, error=error)
            return False
        metrics.ENDPOINTS.set(len(living))
        owners, is_whole = await self._owners()
        for key in sorted(living | owners):
            self._queue.enqueue_after(key, self._delay(), Priority.RESYNC)
        for manifest in outside:
            is_whole &= await _try(refuse, manifest)
        LOGGER.debug("resync swept", endpoints=len(living), orphans=len(owners - living), outside=len(outside))
        return is_whole

    async def _endpoints(self) -> tuple[set[Key], list[Manifest]]:
        """Keys of what is ours to manage; the ModelDeployments that are not."""
        found = await self._list_endpoints()
        outside = [item for item in found if not self._settings.manages(item["metadata"]["namespace"])]
        inside = {_key(item) for item in found if self._settings.manages(item["metadata"]["namespace"])}
        return inside, outside

    async def _list_endpoints(self) -> list[Manifest]:
        try:
            return await self._api.list_metadata(MODEL_DEPLOYMENT)
        except ApiError as error:
            if not (error.is_forbidden and self._settings.namespaces):
                raise
        # Without the right to see those outside, at least look after our own.
        found = [await self._api.list_metadata(MODEL_DEPLOYMENT, item) for item in self._settings.namespaces]
        return [item for items in found for item in items]

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


def _key(item: Manifest) -> Key:
    return Key(item["metadata"]["namespace"], item["metadata"]["name"])


async def _try(refuse: Refuse, manifest: Manifest) -> bool:
    try:
        await refuse(manifest)
    except ApiError as error:
        LOGGER.warning("endpoint outside of the managed namespaces not marked", endpoint=_key(manifest), error=error)
        return False
    return True
