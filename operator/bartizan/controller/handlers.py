"""From watch events to keys: which ModelDeployment an event concerns, and whether it says anything new.

The handlers do no work and return nothing: Kopf neither retries an event's handler nor keeps what it returns to itself.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import kopf

from bartizan.controller import kinds, metrics
from bartizan.controller.kinds import MODEL_DEPLOYMENT, POD, Kind
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key, Priority
from bartizan.policy import names

POD_DEBOUNCE_SECONDS = 0.075
"""A starting pod changes many times a second; one look at the end of a burst is enough."""
LISTED_SECONDS = 1.0
"""What is listed may have changed in a gap of the watch. At a start all kinds are listed, and most endpoints get their
look, which sees all of that, before this time is up."""
START_SECONDS = 30.0
"""From the first endpoint on; a list that comes later has every endpoint looked at by itself, and so is spread."""
SPREAD_SECONDS_EACH = 0.03
LONGEST_SPREAD_SECONDS = 30.0
"""For each endpoint there is, and in all: few are looked at as soon as at a start, a thousand do not come at once."""

MANAGED_SELECTOR = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
"""Matched by the API server: an object that loses the label arrives as deleted, and so does not pass unseen."""

OWN_MANAGERS = frozenset({names.FIELD_MANAGER, names.STATUS_FIELD_MANAGER})

Enqueue = Callable[[Key, float, Priority], None]
"""Key, delay in seconds, priority. Called in Kopf's thread."""


class Observer:
    """Judges events. Remembers of each ModelDeployment what it looked like, to tell the echo of our own status."""

    def __init__(self, enqueue: Enqueue, *, clock: Callable[[], float]) -> None:
        self._enqueue = enqueue
        self._clock = clock
        self._began: float | None = None
        self._looks: dict[Key, tuple[Any, ...]] = {}

    def see_endpoint(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """`event_type` is None where Kopf lists: at the start, and after a gap in the watch."""
        if self._began is None:
            self._began = self._clock()
        metadata = body["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        look = _look(body)
        is_new = self._looks.get(key) != look
        if event_type == "DELETED":
            self._looks.pop(key, None)
        else:
            self._looks[key] = look
        if event_type == "MODIFIED" and not is_new:
            return _count(MODEL_DEPLOYMENT, "ignored")
        seconds = self._spread(key) if event_type is None and not is_new else 0.0
        self._enqueue(key, seconds, Priority.RESYNC if event_type is None else Priority.EVENT)
        return _count(MODEL_DEPLOYMENT, "enqueued")

    def has_seen(self, key: Key, uid: str, generation: int) -> bool:
        """Whether some event told of this generation of the ModelDeployment, or of a later one."""
        seen_uid, seen_generation, *_ = self._looks.get(key, (None, None))
        return seen_uid == uid and (seen_generation or 0) >= generation

    def see_owned(self, kind: Kind, event_type: str | None, body: Mapping[str, Any]) -> None:
        """An object that carries our label: its endpoint's name is in another one."""
        keys = self._concerned(kind, body)
        for key in keys:
            if event_type is None:
                self._enqueue(key, LISTED_SECONDS + self._spread(key), Priority.RESYNC)
            else:
                self._enqueue(key, POD_DEBOUNCE_SECONDS if kind is POD else 0.0, Priority.EVENT)
        return _count(kind, "enqueued" if keys else "ignored")

    def _spread(self, key: Key) -> float:
        """Seconds, 0 at the start; the same for each kind that is listed, so that one look sees all of them."""
        if self._began is None or self._clock() - self._began < START_SECONDS:
            return 0.0
        share = int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:4], "big") / 2**32
        return share * min(len(self._looks) * SPREAD_SECONDS_EACH, LONGEST_SPREAD_SECONDS)

    def _concerned(self, kind: Kind, body: Mapping[str, Any]) -> list[Key]:
        """The endpoint that the label names; and those that live and are told by what one edit cannot change, too."""
        labelled = owner_of(body)
        told = () if kind is POD else _told_otherwise(body)
        return sorted({*([labelled] if labelled else ()), *(key for key in told if key in self._looks)})


def owner_of(body: Mapping[str, Any]) -> Key | None:
    """The endpoint that an object says it belongs to; None where it says nothing of the kind.

    Anyone may write the label. No endpoint's name holds a dot, but a twin's does, and such a key would take it down.
    """
    metadata = body.get("metadata") or {}
    endpoint = (metadata.get("labels") or {}).get(names.ENDPOINT_LABEL)
    namespace = metadata.get("namespace")
    return Key(namespace, endpoint) if endpoint and namespace and "." not in endpoint else None


def _told_otherwise(body: Mapping[str, Any]) -> Iterator[Key]:
    """By name, which follows from the endpoint's and cannot be edited, and by the owner that controls it.

    Of other owners anyone may name as many as there are endpoints.
    """
    metadata = body["metadata"]
    yield Key(metadata["namespace"], names.endpoint_of(metadata["name"]))
    owners = metadata.get("ownerReferences") or ()
    owner = next((owner for owner in owners if owner.get("controller") is True), None)
    if owner and owner.get("kind") == names.KIND:
        yield Key(metadata["namespace"], owner["name"])


def owned_kinds(settings: Settings) -> tuple[Kind, ...]:
    """The kinds that are watched and swept for drift; Secrets only where the operator may read them."""
    return (*kinds.OWNED, *((kinds.SECRET,) if settings.watch_secrets else ()))


def registry(observer: Observer, settings: Settings) -> kopf.OperatorRegistry:
    """Kopf's registry with one thin handler for each watched kind."""
    handlers = kopf.OperatorRegistry()

    async def on_endpoint(event: kopf.RawEvent, **_: object) -> None:
        observer.see_endpoint(event["type"], event["object"])

    _register(handlers, MODEL_DEPLOYMENT, on_endpoint)
    for kind in owned_kinds(settings):
        _register(handlers, kind, _owned_handler(observer, kind))
    return handlers


def _owned_handler(observer: Observer, kind: Kind) -> Callable[..., Any]:
    async def on_owned(event: kopf.RawEvent, **_: object) -> None:
        observer.see_owned(kind, event["type"], event["object"])

    return on_owned


def _register(handlers: kopf.OperatorRegistry, kind: Kind, handler: Callable[..., Any]) -> None:
    kopf.on.event(group=kind.group, version=kind.version, plural=kind.plural, id=kind.plural, registry=handlers)(
        handler
    )


def _look(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a reconcile could care about: all but our own status; that of somebody else shows by its writer."""
    metadata = body["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(metadata.get("finalizers") or ()),
        tuple(sorted((metadata.get("labels") or {}).items())),
        tuple(sorted((metadata.get("annotations") or {}).items())),
        tuple(
            (entry.get("manager"), entry.get("time"))
            for entry in metadata.get("managedFields") or ()
            if entry.get("subresource") == "status" and entry.get("manager") not in OWN_MANAGERS
        ),
        tuple(sorted(body.get("status") or ())),  # who takes fields away leaves no name
    )


def _count(kind: Kind, outcome: str) -> None:
    metrics.WATCH_EVENTS.labels(kind=kind.kind, outcome=outcome).inc()
