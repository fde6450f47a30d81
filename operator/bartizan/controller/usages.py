"""Keeps what is left of long windows the endpoint's, however its pods come and go, by telling guards what others used.

It is kept in memory. An operator that starts anew asks the guards that serve, and knows nothing of pods that ended
before: then a new guard has used what the others have on average, and where nobody serves its own guess.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bartizan.controller import guards
from bartizan.controller.guards import GuardReport, Live, Telling
from bartizan.controller.observe import World
from bartizan.controller.shares import Shares
from bartizan.controller.work_queue import Key
from bartizan.policy import usage
from bartizan.policy.document import GuardDocument
from bartizan.policy.usage import Notice, Usage

Reports = Mapping[str, GuardReport | None]


class Usages:
    """Belongs to one event loop; `clock` in seconds."""

    def __init__(self, tell: Telling, *, clock: Callable[[], float]) -> None:
        self._tell = tell
        self._clock = clock
        self._shares: dict[Key, Shares] = {}
        self._deaf: dict[Key, set[str]] = {}
        """Those that did not take what they were told."""

    def note(self, key: Key, reports: Reports) -> None:
        """What guards say, of pods that `meet` has seen; those that await a notice guess."""
        shares = self._shares.get(key, Shares())
        for name, report in reports.items():
            if report is not None and not report.awaits_usage:
                shares.note(name, report.usage, self._clock())

    def meet(self, world: World) -> None:
        """Whose word counts from now on: pods that name a ReplicaSet of the Deployment's as what controls them."""
        maker = world.deployment["metadata"].get("uid") if world.deployment else None
        made = {live["metadata"]["uid"] for live in world.replica_sets if maker and _controller(live) == maker}
        own = {pod["metadata"]["name"]: pod for pod in world.owned_pods if _controller(pod) in made}
        standing = frozenset(name for name, pod in own.items() if "deletionTimestamp" not in pod["metadata"])
        self._shares.setdefault(world.key, Shares()).meet(frozenset(own), standing)
        self._deaf[world.key] = self._deaf.get(world.key, set()) & own.keys()

    async def tell(
        self, world: World, reports: Reports, document: GuardDocument, signing_key: Ed25519PrivateKey
    ) -> bool:
        """Tell whoever awaits it, or has more to be charged; False where one could not be told, or not in time."""
        shares, deaf = self._shares[world.key], self._deaf[world.key]
        shares.divide(document.replicas, self._clock())
        addresses = guards.addresses(world.owned_pods)

        async def send(name: str, used: Usage | None, *, begins: bool) -> bool:
            report = reports[name]
            assert report is not None  # noqa: S101 -- who does not answer wants nothing
            notice = Notice(document.endpoint, report.usage_nonce, used, begins)
            return await self._tell(addresses[name], usage.encode(notice, signing_key))

        wanting = {name: report for name in shares.standing if (report := reports.get(name)) and report.usage_nonce}
        told = {name: False for name, report in wanting.items() if report.awaits_usage or name in shares.owed}
        with suppress(TimeoutError):
            async with asyncio.timeout(guards.ASK_ALL_SECONDS):
                for name in sorted(told, key=lambda name: (name in deaf, name)):
                    deaf.add(name)
                    tell = self._begin if wanting[name].awaits_usage else self._charge
                    told[name] = await tell(shares, name, send)
                    if told[name]:
                        deaf.discard(name)
        return all(told.values())

    async def _begin(self, shares: Shares, name: str, send: "_Send") -> bool:
        heirless = shares.next_heirless(self._clock())
        used = shares.begun_with(heirless, self._clock())
        is_taken = await send(name, used, begins=True)
        if is_taken:
            shares.pass_on(heirless, name, used, self._clock())
        return is_taken

    async def _charge(self, shares: Shares, name: str, send: "_Send") -> bool:
        is_taken = await send(name, shares.owed[name], begins=False)
        if is_taken:
            shares.charged(name, self._clock())
        return is_taken

    def forget(self, key: Key) -> None:
        self._shares.pop(key, None)
        self._deaf.pop(key, None)


class _Send(Protocol):
    """Sends a notice to the pod's guard; whether it has taken it."""

    async def __call__(self, name: str, used: Usage | None, *, begins: bool) -> bool: ...


def _controller(live: Live) -> str | None:
    owners = live["metadata"].get("ownerReferences") or ()
    return next((owner.get("uid") for owner in owners if owner.get("controller")), None)
