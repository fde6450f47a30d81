"""ModelDeployments in namespaces that the operator was not given: their owners are told so; nothing else is done."""

import asyncio
from collections.abc import Awaitable, Callable

from bartizan.controller import log
from bartizan.controller.api import Api, ApiError, Manifest, Manifests
from bartizan.controller.kinds import MODEL_DEPLOYMENT
from bartizan.controller.rounds import survive
from bartizan.controller.settings import Settings

LOGGER = log.logger(__name__)

Refuse = Callable[[Manifest], Awaitable[None]]
"""Writes the condition; gets the ModelDeployment's metadata."""


class Outsiders:
    """They are outside of every watch, so they are listed; each is told once for each of its generations."""

    def __init__(self, api: Api, settings: Settings, refuse: Refuse) -> None:
        self._api = api
        self._settings = settings
        self._refuse = refuse
        self._told: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """For ever; where the operator manages all namespaces, it only waits."""
        while True:
            if self._settings.namespaces:
                await survive(self.look(), part="outsiders")
            await asyncio.sleep(self._settings.look_seconds)

    async def look(self) -> None:
        """Tells those that have not been told."""
        try:
            found = await self._api.list_metadata(MODEL_DEPLOYMENT)
        except ApiError as error:
            # Without the right to look outside, or without an API server; the prerequisites complain of the latter.
            LOGGER.debug("namespaces outside not seen", error=error)
            return
        outside = {_life(item): item for item in self._outside(found)}
        self._told &= outside.keys()
        for life in outside.keys() - self._told:
            await self._tell(life, outside[life])

    def _outside(self, found: Manifests) -> Manifests:
        return [item for item in found if not self._settings.manages(item["metadata"]["namespace"])]

    async def _tell(self, life: tuple[str, int], item: Manifest) -> None:
        try:
            await self._refuse(item)
        except ApiError as error:
            endpoint = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            LOGGER.warning("endpoint outside not told", endpoint=endpoint, error=error)
            return
        self._told.add(life)


def _life(item: Manifest) -> tuple[str, int]:
    return item["metadata"]["uid"], item["metadata"].get("generation", 0)
