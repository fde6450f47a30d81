"""Tells each guard whose pod is new what its windows have used: its share of what is left, and not a full one.

The total of a window is divided by the document's number of guards: so many shares there are, and a pod that ends
leaves its own to the one that takes its place. Where more pods come than have ended, each new one has as much used as
those that serve have on average, so that all that was left of the total is left, and no more.

It is kept in memory. An operator that starts anew asks the guards that serve, and knows nothing of pods that ended
before: then the average holds, and where nobody serves the new guard's own guess.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bartizan.controller import guards
from bartizan.controller.guards import GuardReport, Live, Telling
from bartizan.controller.observe import World
from bartizan.controller.work_queue import Key
from bartizan.policy import usage
from bartizan.policy.document import GuardDocument
from bartizan.policy.usage import MOST_WINDOWS, Notice, Usage

Reports = Mapping[str, GuardReport | None]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a guard said, `at` seconds of our clock; all windows have been refilling since."""

    usage: Usage
    at: float

    def after(self, now: float) -> Usage:
        passed = int(now - self.at)
        return {window: left for window, seconds in self.usage.items() if (left := seconds - passed) > 0}


@dataclass(slots=True)
class _Endpoint:
    """`known` by pod; `own` are the pods that its Deployment counts, and `standing` those of them that do not end.

    Of pods that end, `inherited` are those whose share is another's already. `deaf` did not take what they were told.
    """

    known: dict[str, _Known] = field(default_factory=dict)
    inherited: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    own: frozenset[str] = frozenset()
    standing: frozenset[str] = frozenset()


class Usages:
    """Belongs to one event loop; `clock` in seconds."""

    def __init__(self, tell: Telling, *, clock: Callable[[], float]) -> None:
        self._tell = tell
        self._clock = clock
        self._endpoints: dict[Key, _Endpoint] = {}

    def note(self, key: Key, reports: Reports) -> None:
        """What guards say, of pods that `meet` has seen; those that await a notice guess."""
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            return
        for name, report in reports.items():
            counts = name in endpoint.own and name not in endpoint.inherited
            if not counts or report is None or report.usage_nonce:
                continue
            if report.usage is None:  # it has more windows than it can say, and what it said before is old
                endpoint.known.pop(name, None)
            else:
                endpoint.known[name] = _Known(report.usage, self._clock())

    def meet(self, world: World) -> None:
        """Whose word counts from now on: whoever may make a pod may set a label, but the Deployment's are its own."""
        endpoint = self._endpoints.setdefault(world.key, _Endpoint())
        maker = world.deployment["metadata"].get("uid") if world.deployment else None
        made = {live["metadata"]["uid"] for live in world.replica_sets if maker and _controller(live) == maker}
        own = [pod for pod in world.owned_pods if _controller(pod) in made]
        endpoint.own = frozenset(pod["metadata"]["name"] for pod in own)
        endpoint.standing = frozenset(
            pod["metadata"]["name"] for pod in own if "deletionTimestamp" not in pod["metadata"]
        )
        endpoint.inherited &= endpoint.own
        endpoint.deaf &= endpoint.own

    async def tell(
        self, world: World, reports: Reports, document: GuardDocument, signing_key: Ed25519PrivateKey
    ) -> bool:
        """Tell whoever awaits it; False where one could not be told, or not in time."""
        endpoint = self._endpoints[world.key]
        self._drop(endpoint, shares=document.replicas)
        in_turn = sorted(endpoint.standing, key=lambda name: (name in endpoint.deaf, name))
        awaited = {name: nonce for name in in_turn if (nonce := _nonce(reports.get(name)))}
        addresses, told = guards.addresses(world.owned_pods), 0
        with suppress(TimeoutError):
            async with asyncio.timeout(guards.ASK_ALL_SECONDS):
                for name, nonce in awaited.items():
                    heirless = self._ended(endpoint)
                    share = self._share(endpoint, heirless)
                    notice = usage.encode(Notice(document.endpoint, nonce, share), signing_key)
                    endpoint.deaf.add(name)
                    if await self._tell(addresses[name], notice):
                        endpoint.deaf.discard(name)
                        told += 1
                        self._pass_on(endpoint, name, share, heirless)
        return told == len(awaited)

    def forget(self, key: Key) -> None:
        self._endpoints.pop(key, None)

    def _share(self, endpoint: _Endpoint, heirless: list[str]) -> Usage | None:
        """None where nobody knows, or more than can be told."""
        now = self._clock()
        if heirless:
            used: Usage = endpoint.known[heirless[0]].after(now)
        elif serving := [known for name, known in endpoint.known.items() if name in endpoint.standing]:
            used = _average(serving, now)
        else:
            return None
        return used if len(used) <= MOST_WINDOWS else None

    def _pass_on(self, endpoint: _Endpoint, heir: str, share: Usage | None, heirless: list[str]) -> None:
        if heirless:
            endpoint.known.pop(heirless[0], None)  # it may have said something else meanwhile
            endpoint.inherited.add(heirless[0])
        if share is not None:
            endpoint.known[heir] = _Known(share, self._clock())

    def _ended(self, endpoint: _Endpoint) -> list[str]:
        """Pods that end or have ended, and whose share is nobody's yet; the most used first."""
        now = self._clock()
        ended = [name for name in endpoint.known if name not in endpoint.standing]
        return sorted(ended, key=lambda name: sum(endpoint.known[name].after(now).values()), reverse=True)

    def _drop(self, endpoint: _Endpoint, *, shares: int) -> None:
        """Shares that there are no more, since fewer guards divide the total now: the least used.

        Where all pods have ended before others came, as with no replicas, the rest have left what all had together.
        """
        ended, now = self._ended(endpoint), self._clock()
        taken = len(endpoint.known.keys() & endpoint.standing)
        count = max(0, shares - taken)
        if len(ended) <= count or not endpoint.standing:
            return
        known = [endpoint.known.pop(name) for name in ended]
        rest = known[:count] if taken else [_Known(_average(known, now), now)] * count
        endpoint.known |= zip(ended[:count], rest, strict=True)


def _average(of: Sequence[_Known], now: float) -> Usage:
    sums = sum((Counter(known.after(now)) for known in of), Counter[str]())
    return {window: -(-seconds // len(of)) for window, seconds in sums.items()}


def _nonce(report: GuardReport | None) -> str:
    return report.usage_nonce if report else ""


def _controller(live: Live) -> str | None:
    owners = live["metadata"].get("ownerReferences") or ()
    return next((owner.get("uid") for owner in owners if owner.get("controller")), None)
