"""The only writer of owned objects: brings one live object to its manifest, and says what it had to do."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bartizan.controller import compare, kinds, metrics, ownership
from bartizan.controller.api import Api, ApiError
from bartizan.controller.kinds import SECRET, Kind
from bartizan.policy import names
from bartizan.policy.model import Identity

Live = dict[str, Any]

BLIND_INTERVAL_SECONDS = 30.0
"""An unchanged Secret is applied again at most this often; the resync sets the other bound."""

REMOVED = ("removed", 0.0)

MAX_CONFLICTS = 5


class Did(StrEnum):
    NOTHING = "nothing"
    CREATED = "created"
    UPDATED = "updated"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`paths` are what differed, `manager` who wrote last, as claimed; both for repairs."""

    did: Did
    kind: str
    name: str
    live: Live
    paths: tuple[str, ...] = ()
    manager: str = ""


class NameTakenError(Exception):
    """A stranger's object has the name; it is never adopted."""

    def __init__(self, kind: str, name: str, owner: str) -> None:
        super().__init__(
            f"{kind} {name} exists and is not Bartizan's (it belongs to {owner}); delete or rename it, "
            f"or rename the ModelDeployment"
        )


class FormerLifeError(Exception):
    """An object of a former ModelDeployment of this name has not gone yet; try again soon."""


class Applier:
    """Writes for all endpoints; remembers what it wrote last, to tell drift from a change of its own."""

    def __init__(self, api: Api, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._applied: dict[tuple[str, str, str], str] = {}
        self._blind: dict[tuple[str, str], tuple[str, float]] = {}

    async def ensure(self, desired: Live, live: Live | None, identity: Identity) -> Outcome:
        """Creates, updates or repairs; writes nothing when the live object is the manifest already."""
        if live is None:
            return await self._create(_stamped(desired))
        for _ in range(MAX_CONFLICTS):
            _refuse_strangers(desired, live, identity)
            try:
                return await self._correct(_stamped(desired), live)
            except ApiError as error:
                if not error.is_conflict:
                    raise
            live = await self._api.get(_kind(desired), identity.namespace, desired["metadata"]["name"])
            if live is None:
                return await self._create(_stamped(desired))
        raise ApiError(409, "Conflict", f"{desired['kind']} {desired['metadata']['name']} changes faster than we write")

    async def ensure_secret(self, desired: Live) -> bool:
        """Applies without looking, since nobody gave us the right to look; True where a request was sent."""
        key = (desired["metadata"]["namespace"], desired["metadata"]["name"])
        content = _hash(desired)
        seen, when = self._blind.get(key, ("", 0.0))
        if seen == content and self._clock() - when < BLIND_INTERVAL_SECONDS:
            return False
        applied = await self._api.apply(desired)
        added = sorted(set(applied.get("data") or {}) - set(desired["data"]))
        if added:
            await self._api.patch_merge(SECRET, *key, {"data": dict.fromkeys(added)})
        self._blind[key] = (content, self._clock())
        return True

    async def remove(self, kind: Kind, live: Live, *, propagation: str = "Background") -> None:
        """Deletes this very object, not another that has taken its name since."""
        metadata = live["metadata"]
        if "deletionTimestamp" in metadata:
            return
        await self._api.delete(
            kind, metadata["namespace"], metadata["name"], uid=metadata["uid"], propagation=propagation
        )

    async def remove_secrets(self, namespace: str, secrets: Iterable[str]) -> None:
        """Deletes without looking, once for each name in this process's life or until it is issued again."""
        for name in secrets:
            if self._blind.get((namespace, name)) == REMOVED:
                continue
            await self._api.delete(SECRET, namespace, name)
            self._blind[(namespace, name)] = REMOVED

    async def release(self, kind: Kind, live: Live) -> None:
        """Takes our finalizer off; what was deleted may go."""
        metadata = live["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if names.FINALIZER not in finalizers:
            return
        index = finalizers.index(names.FINALIZER)
        path = f"/metadata/finalizers/{index}"
        operations = [{"op": "test", "path": path, "value": names.FINALIZER}, {"op": "remove", "path": path}]
        try:
            await self._api.patch_json(kind, metadata["namespace"], metadata["name"], operations)
        except ApiError as error:
            if not error.is_not_found:
                raise

    def forget_blind(self, namespace: str) -> None:
        """The next ensure_secret of this namespace is sent whatever was sent before."""
        for key in [key for key in self._blind if key[0] == namespace]:
            del self._blind[key]

    async def _create(self, desired: Live) -> Outcome:
        created = await self._api.create(desired)
        was_ours = self._remember(desired)
        did = Did.REPAIRED if was_ours else Did.CREATED
        return self._told(Outcome(did, desired["kind"], desired["metadata"]["name"], created, ("deleted",) * was_ours))

    async def _correct(self, desired: Live, live: Live) -> Outcome:
        found = compare.differences(desired, live)
        kind, name = desired["kind"], desired["metadata"]["name"]
        if not found:
            self._remember(desired)
            return Outcome(Did.NOTHING, kind, name, live)
        is_drift = self._is_drift(desired, live)
        written = await self._api.replace(compare.replacement(desired, live))
        self._remember(desired)
        if not is_drift:
            return Outcome(Did.UPDATED, kind, name, written)
        return self._told(Outcome(Did.REPAIRED, kind, name, written, tuple(found), ownership.claimed_manager(live)))

    def _is_drift(self, desired: Live, live: Live) -> bool:
        """The same manifest as last time, by our memory or by the object's own, and yet another object."""
        content: str = desired["metadata"]["annotations"][compare.RENDERED_ANNOTATION]
        noted = (live["metadata"].get("annotations") or {}).get(compare.RENDERED_ANNOTATION)
        return bool(content in (noted, self._applied.get(_key(desired))))

    def _remember(self, desired: Live) -> bool:
        """True where the same manifest had been written before."""
        content = desired["metadata"]["annotations"][compare.RENDERED_ANNOTATION]
        before = self._applied.get(_key(desired))
        self._applied[_key(desired)] = content
        return before == content

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """What we deleted ourselves is no drift when it comes back."""
        self._applied.pop((kind, namespace, name), None)

    @staticmethod
    def _told(outcome: Outcome) -> Outcome:
        if outcome.did is Did.REPAIRED:
            metrics.DRIFT_REPAIRED.labels(kind=outcome.kind, manager=outcome.manager).inc()
        return outcome


def _refuse_strangers(desired: Live, live: Live, identity: Identity) -> None:
    if ownership.is_ours(live, identity):
        return
    if ownership.is_former(live, identity):
        raise FormerLifeError(f"{desired['kind']} {desired['metadata']['name']} of a former endpoint is still there")
    raise NameTakenError(desired["kind"], desired["metadata"]["name"], ownership.describe_owner(live))


def _stamped(desired: Live) -> Live:
    """The manifest with its own hash, by which a later look tells who changed what."""
    metadata = desired["metadata"]
    annotations = {**metadata.get("annotations", {}), compare.RENDERED_ANNOTATION: _hash(desired)}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def _hash(desired: Live) -> str:
    return hashlib.sha256(json.dumps(desired, sort_keys=True).encode()).hexdigest()[:32]


def _kind(desired: Live) -> Kind:
    return kinds.of(desired["apiVersion"], desired["kind"])


def _key(desired: Live) -> tuple[str, str, str]:
    return (desired["kind"], desired["metadata"]["namespace"], desired["metadata"]["name"])
