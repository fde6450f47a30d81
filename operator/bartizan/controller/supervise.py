"""Keeps the watches up: waits for what they need, starts them, starts them again when they end or could see more."""

import asyncio
import itertools
from collections.abc import Mapping

from bartizan.controller import log, metrics, prerequisites
from bartizan.controller.api import Api, ApiError
from bartizan.controller.handlers import Observer
from bartizan.controller.health import Signs
from bartizan.controller.hearing import Hearing
from bartizan.controller.prerequisites import Lack, Survey
from bartizan.controller.settings import Settings
from bartizan.controller.watch import Watch

LOGGER = log.logger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
CONTACTS_A_LOOK = 3
"""So often the API server is asked for a sign of life: watches alone would be silent for a minute. Once a look it is
tried whether a namespace that could not be watched can be."""
CONTACTS_A_HEARING = 12
"""Every so many contacts, by default once a minute, it is asked whether the watch has told of what a list shows."""
REMINDER_SECONDS = 300.0
"""A lack that lasts is logged again after this time."""


class Complaints:
    """Says each lack once, again as a reminder, and once more when it is gone."""

    def __init__(self, signs: Signs) -> None:
        self._signs = signs
        self._said: dict[Lack, float] = {}

    def hear(self, lacks: tuple[Lack, ...]) -> None:
        now = self._signs.clock()
        metrics.LACKS.set(len(lacks))
        for lack in lacks:
            if now - self._said.get(lack, -REMINDER_SECONDS) >= REMINDER_SECONDS:
                self._said[lack] = now
                where = lack.namespace or "all"
                LOGGER.error(
                    lack.message,
                    namespace=where,
                    subject=lack.subject or None,
                    detail=lack.detail or None,
                    remedy=lack.remedy,
                )
        for lack in set(self._said) - set(lacks):
            del self._said[lack]
            LOGGER.info("no longer so", was=lack.message, subject=lack.subject or None)


class Supervisor:
    """Owns the current watch."""

    def __init__(self, api: Api, settings: Settings, *, observer: Observer, signs: Signs) -> None:
        self._api = api
        self._settings = settings
        self._observer = observer
        self._signs = signs
        self._complaints = Complaints(signs)
        self._hearing = Hearing(api, observer)
        self._watch: Watch | None = None

    async def wait_until_usable(self) -> Survey:
        """Until at least one namespace (or the cluster) can be watched; says all the while what is missing."""
        pause = FIRST_PAUSE_SECONDS
        while not (survey := await self._survey()).is_usable:
            self._signs.waits_for = survey.lacks[0].message if survey.lacks else "prerequisites"
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return survey

    async def run(self, environment: Mapping[str, str]) -> None:
        """For ever: a watch that ends is started again, whatever it ended of."""
        while True:
            survey = await self.wait_until_usable()
            self._watch = Watch(self._observer, self._settings, environment, survey.namespaces)
            self._hearing.forget()
            LOGGER.info("watching", namespaces=list(survey.namespaces) or "all")
            self._signs.waits_for = ""
            try:
                await self._run_one(self._watch, survey)
            finally:
                self._watch = None
                self._signs.watch_echo_at = None
            self._signs.waits_for = "watches"
            await asyncio.sleep(FIRST_PAUSE_SECONDS)

    def echo(self) -> None:
        """Asks the watch's event loop for a sign of life."""
        if self._watch is not None:
            self._watch.beat(self._answer)

    def _answer(self) -> None:
        self._signs.watch_echo_at = self._signs.clock()

    async def _run_one(self, watch: Watch, survey: Survey) -> None:
        running = asyncio.create_task(watch.run(), name="watch")
        try:
            for number in itertools.count(1):
                await asyncio.wait({running}, timeout=self._settings.look_seconds / CONTACTS_A_LOOK)
                if running.done():
                    break
                await self._keep_contact(survey)
                sees_more = number % CONTACTS_A_LOOK == 0 and await self._could_see_more(survey)
                is_deaf = number % CONTACTS_A_HEARING == 0 and await self._is_deaf(survey)
                if sees_more or is_deaf:
                    watch.stop()
                    await asyncio.wait({running})
            _report(running)
        finally:
            running.cancel()
            await asyncio.wait({running})

    async def _keep_contact(self, survey: Survey) -> None:
        lack = await prerequisites.contact(self._api, survey)
        self._complaints.hear((*survey.lacks, lack) if lack else survey.lacks)
        self._signs.waits_for = lack.message if lack else ""

    async def _could_see_more(self, survey: Survey) -> bool:
        if not survey.lacks:
            return False  # all is watched: nothing more can come into sight
        return bool(set((await self._survey()).namespaces) - set(survey.namespaces))

    async def _is_deaf(self, survey: Survey) -> bool:
        try:
            missed = await self._hearing.missed(survey.namespaces)
        except ApiError:
            return False  # the contact before has said what is wrong
        if missed:
            metrics.DEAF_WATCHES.inc()
            endpoints = sorted(str(word.key) for word in missed)
            LOGGER.error(
                "watch is deaf", missed=len(missed), first=endpoints[0], remedy="none needed: it is begun anew"
            )
        return bool(missed)

    async def _survey(self) -> Survey:
        survey = await prerequisites.survey(self._api, self._settings)
        self._complaints.hear(survey.lacks)
        return survey


def _report(running: asyncio.Task[None]) -> None:
    error = running.exception() if not running.cancelled() else None
    if error is not None:
        LOGGER.warning("watches ended", error=f"{type(error).__name__}: {error}")
