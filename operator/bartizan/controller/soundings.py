"""Asks guards again what they say of themselves: of a certificate, a store or a socket the cluster has no events.

It costs the API server nothing: pods are asked where the last reconcile found them, and only an answer that differs
from the one before makes a reconcile.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from bartizan.controller.guards import GuardReport, Guards
from bartizan.controller.next_look import GROWTH
from bartizan.controller.rounds import survive
from bartizan.controller.work_queue import Key, Priority

Addresses = Mapping[str, str]
Reports = Mapping[str, GuardReport | None]
Heard = Callable[[Key, Reports], None]
Enqueue = Callable[[Key, Priority], None]

FIRST_SECONDS = 5.0
"""How soon guards are asked again that have just said something new; the longer it lasts, the more rarely."""
LONGEST_SECONDS = 30.0
QUIET_SECONDS = 120.0
"""Who says something new again sooner than this is asked half as often each time: it may say what it likes for ever."""
ROUND_SECONDS = 1.0
ENDPOINTS_AT_ONCE = 8
SILENT_AT_ONCE = 4
"""Of those that did not answer the last time: guards that hang on purpose, however many, keep no others waiting."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What an endpoint's guards said, since when, and when they are asked again: never sooner than `pause_seconds`."""

    addresses: Addresses
    reports: Reports
    since: float
    pause_seconds: float
    due: float


class Soundings:
    """Remembers what the guards of each endpoint said last. Belongs to one event loop."""

    def __init__(self, guards: Guards, heard: Heard, *, clock: Callable[[], float]) -> None:
        """`heard` gets whatever guards have said, reconciles' questions counted."""
        self._guards = guards
        self._heard = heard
        self._clock = clock
        self._said: dict[Key, _Said] = {}
        self._being_asked: set[Key] = set()
        self._slots = asyncio.Semaphore(ENDPOINTS_AT_ONCE)
        self._slots_of_silent = asyncio.Semaphore(SILENT_AT_ONCE)

    def note(self, key: Key, addresses: Addresses, reports: Reports) -> None:
        """What a reconcile has just been told."""
        self._heard(key, reports)
        now, before = self._clock(), self._said.get(key)
        since, pause_seconds = now, FIRST_SECONDS
        if before is not None and before.reports == reports:
            since, pause_seconds = before.since, before.pause_seconds
        elif before is not None and now - before.since < QUIET_SECONDS:
            are_the_same = before.addresses == addresses  # pods that come and go are events anyway
            pause_seconds = min(before.pause_seconds * (2 if are_the_same else 1), LONGEST_SECONDS)
        wait_seconds = min(max(pause_seconds, (now - since) * GROWTH), LONGEST_SECONDS)
        self._said[key] = _Said(addresses, reports, since, pause_seconds, now + wait_seconds)

    def forget(self, key: Key) -> None:
        self._said.pop(key, None)

    async def run(self, enqueue: Enqueue) -> None:
        """For ever; `enqueue` gets the endpoints whose guards say something else."""
        async with asyncio.TaskGroup() as rounds:
            while True:  # a round waits for none before it: one takes as long as its slowest guard
                rounds.create_task(survive(self.look(enqueue), part="soundings"))
                await asyncio.sleep(ROUND_SECONDS)

    async def look(self, enqueue: Enqueue) -> None:
        """Asks those whose time has come and who are not being asked."""
        now = self._clock()
        due = [(said.due, key) for key, said in self._said.items() if said.addresses and said.due <= now]
        asked = [key for _, key in sorted(due) if key not in self._being_asked]
        await asyncio.gather(*(self._sound(key, self._said[key], enqueue) for key in asked))

    async def _sound(self, key: Key, said: _Said, enqueue: Enqueue) -> None:
        self._being_asked.add(key)
        try:
            reports = await self._ask(key, said)
        finally:
            self._being_asked.discard(key)
        if reports is None or self._is_old(key, said):
            return
        self.note(key, said.addresses, reports)
        if reports != said.reports:
            enqueue(key, Priority.RESYNC)  # a store's outage is thousands at once, and a user's edit goes before

    async def _ask(self, key: Key, said: _Said) -> Reports | None:
        """None where it was not asked any more: it may have waited for long."""
        is_silent = None in said.reports.values()
        async with self._slots_of_silent if is_silent else nullcontext(), self._slots:
            return None if self._is_old(key, said) else await self._guards.ask_at(said.addresses)

    def _is_old(self, key: Key, said: _Said) -> bool:
        """A reconcile has asked meanwhile, or the endpoint has gone."""
        return self._said.get(key) is not said
