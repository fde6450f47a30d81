"""The only writer of owned objects: brings one live object to its manifest, and says what it had to do."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bartizan.controller import api_defaults, compare, kinds, metrics, ownership
from bartizan.controller.api import Api, ApiError
from bartizan.controller.fights import Fights
from bartizan.controller.kinds import Kind
from bartizan.policy import names
from bartizan.policy.identity import Identity

Live = dict[str, Any]

MAX_CONFLICTS = 5


class Did(StrEnum):
    NOTHING = "nothing"
    CREATED = "created"
    UPDATED = "updated"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`paths` are what differed, `manager` who wrote last, as claimed; both for repairs.

    `wait_seconds` where a harmless change, made again and again, is left alone for so long.
    """

    did: Did
    kind: str
    name: str
    live: Live
    paths: tuple[str, ...] = ()
    manager: str = ""
    wait_seconds: float = 0.0


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
        self._fights = Fights(clock)
        self._applied: dict[tuple[str, str, str], str] = {}

    async def ensure(self, desired: Live, live: Live | None, identity: Identity) -> Outcome:
        """Creates, updates or repairs; writes nothing when the live object is the manifest already."""
        for _ in range(MAX_CONFLICTS):
            try:
                if live is None:
                    return await self._create(_stamped(desired))
                _refuse_strangers(desired, live, identity)
                return await self._correct(_stamped(desired), live)
            except ApiError as error:
                if not error.is_conflict:
                    raise
            live = await self._api.get(_kind(desired), identity.namespace, desired["metadata"]["name"])
        raise ApiError(409, "Conflict", f"{desired['kind']} {desired['metadata']['name']} changes faster than we write")

    async def remove(self, kind: Kind, live: Live, *, propagation: str = "Background") -> None:
        """Deletes this very object, not another that has taken its name since."""
        metadata = live["metadata"]
        if "deletionTimestamp" in metadata:
            return
        try:
            await self._api.delete(
                kind, metadata["namespace"], metadata["name"], uid=metadata["uid"], propagation=propagation
            )
        except ApiError as error:
            if not error.is_conflict:  # another one has its name: this one has gone
                raise

    async def release(self, kind: Kind, live: Live) -> None:
        """Takes our finalizer off; what was deleted may go."""
        finalizers = list(live["metadata"].get("finalizers") or ())
        if names.FINALIZER in finalizers:
            await self._take_off(kind, live, f"/{finalizers.index(names.FINALIZER)}", names.FINALIZER)

    async def release_wholly(self, kind: Kind, live: Live) -> None:
        """Takes all finalizers off an object of ours: one that somebody added must not keep its name occupied."""
        if finalizers := live["metadata"].get("finalizers"):
            await self._take_off(kind, live, "", finalizers)

    async def release_foreign(self, live: Live, identity: Identity) -> None:
        """Takes off a deleted object of ours what somebody holds it with, but for what a cascade waits for.

        By a PUT, which is the right that there is, and with our labels, without which no write of ours passes.
        """
        metadata = live["metadata"]
        kept = [name for name in metadata.get("finalizers") or () if name in api_defaults.CASCADE_FINALIZERS]
        if "deletionTimestamp" not in metadata or kept == list(metadata.get("finalizers") or ()):
            return
        labels = {**(metadata.get("labels") or {}), **names.managed_labels(identity.name, identity.uid)}
        try:
            await self._api.replace({**live, "metadata": {**metadata, "finalizers": kept, "labels": labels}})
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict):  # it has gone or changed: the next look sees it
                raise

    async def _take_off(self, kind: Kind, live: Live, place: str, found: object) -> None:
        metadata, path = live["metadata"], f"/metadata/finalizers{place}"
        operations: list[Live] = [{"op": "test", "path": path, "value": found}, {"op": "remove", "path": path}]
        try:
            await self._api.patch_json(kind, metadata["namespace"], metadata["name"], operations)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def _create(self, desired: Live) -> Outcome:
        created = await self._api.create(desired)
        was_ours = self._remember(desired)
        did = Did.REPAIRED if was_ours else Did.CREATED
        return told(Outcome(did, desired["kind"], desired["metadata"]["name"], created, ("deleted",) * was_ours))

    async def _correct(self, desired: Live, live: Live) -> Outcome:
        found = compare.differences(desired, live)
        kind, name = desired["kind"], desired["metadata"]["name"]
        if not found:
            self._remember(desired)
            return Outcome(Did.NOTHING, kind, name, live)
        is_drift = self._is_drift(desired, live)
        if is_drift and (seconds := self._fights.wait_seconds(_key(desired), found)):
            return Outcome(Did.NOTHING, kind, name, live, wait_seconds=seconds)
        written = await self._api.replace(compare.replacement(desired, live))
        self._remember(desired)
        if written["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]:
            return Outcome(Did.NOTHING, kind, name, written)  # this API server does not store all that we render
        if not is_drift:
            return Outcome(Did.UPDATED, kind, name, written)
        self._fights.note(_key(desired), found)
        return told(Outcome(Did.REPAIRED, kind, name, written, tuple(found), ownership.claimed_manager(live)))

    def _is_drift(self, desired: Live, live: Live) -> bool:
        """The same manifest as last time, by our memory or by the object's own, and yet another object."""
        content: str = desired["metadata"]["annotations"][compare.RENDERED_ANNOTATION]
        noted = (live["metadata"].get("annotations") or {}).get(compare.RENDERED_ANNOTATION)
        return bool(content in (noted, self._applied.get(_key(desired))))

    def _remember(self, desired: Live) -> bool:
        """True where the same manifest had been written before."""
        content: str = desired["metadata"]["annotations"][compare.RENDERED_ANNOTATION]
        before = self._applied.get(_key(desired))
        self._applied[_key(desired)] = content
        return before == content

    def forget_endpoint(self, namespace: str, endpoint: str) -> None:
        """It has gone, and what it owned with it."""
        for key in [key for key in self._applied if names.is_of_endpoint(key[2], endpoint)]:
            if key[1] == namespace:
                del self._applied[key]

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """What we deleted ourselves is no drift when it comes back."""
        self._applied.pop((kind, namespace, name), None)


def told(outcome: Outcome) -> Outcome:
    """Counts a repair."""
    if outcome.did is Did.REPAIRED:
        metrics.DRIFT_REPAIRED.labels(kind=outcome.kind, manager=metrics.manager_label(outcome.manager)).inc()
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
    annotations = {**metadata.get("annotations", {}), compare.RENDERED_ANNOTATION: content_hash(desired)}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def content_hash(desired: Live) -> str:
    """Of a whole manifest; tells two of them apart."""
    return hashlib.sha256(json.dumps(desired, sort_keys=True).encode()).hexdigest()[:32]


def _kind(desired: Live) -> Kind:
    return kinds.of(desired["apiVersion"], desired["kind"])


def _key(desired: Live) -> tuple[str, str, str]:
    return (desired["kind"], desired["metadata"]["namespace"], desired["metadata"]["name"])
