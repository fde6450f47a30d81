"""Sees every state that objects have been in, in the order in which the API server brought it about.

Both kinds of a question are watched, and their changes are put in order by resourceVersion, which one etcd counts for
all: so there is no moment between two looks, and nobody has to look all the time.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from tests.cluster.operator.admin import Admin, Live
from tests.localcluster import waiting

from bartizan.controller.kinds import Kind

ROUND_SECONDS = 1
"""After which a watch is begun anew where it has ended: nobody has to be cut off."""
PATIENCE_SECONDS = 20.0

State = Mapping[Kind, Sequence[Live]]


@dataclass(frozen=True)
class Change:
    version: int
    kind: Kind
    uid: str
    live: Live | None
    """None where the object has gone."""


class Witness:
    def __init__(self, admin: Admin, namespace: str, *kinds: Kind) -> None:
        self._admin = admin
        self._namespace = namespace
        self._kinds = kinds
        self._stop = threading.Event()
        self._changes: list[Change] = []
        self._began = 0

    @contextmanager
    def watching(self) -> Iterator[Self]:
        """All that happens in the block has been seen at its end."""
        beginnings = {kind: self._begin(kind) for kind in self._kinds}
        self._began = max(beginnings.values())
        for start in beginnings.items():
            threading.Thread(target=self._follow, args=start, daemon=True).start()
        try:
            yield self
            waiting.until(
                self._is_up_to_date, seconds=PATIENCE_SECONDS, complaint=lambda: "a watch has not told of everything"
            )
        finally:
            self._stop.set()

    def states(self) -> Iterator[State]:
        """The one at the beginning, and one after each change."""
        held: dict[Kind, dict[str, Live]] = {kind: {} for kind in self._kinds}
        changes = sorted(self._changes, key=lambda change: change.version)
        for change in (change for change in changes if change.version <= self._began):
            _apply(change, held)
        yield _as_state(held)
        for change in (change for change in changes if change.version > self._began):
            _apply(change, held)
            yield _as_state(held)

    def _begin(self, kind: Kind) -> int:
        answer = self._admin.send("GET", kind.path(self._namespace))
        version = int(answer["metadata"]["resourceVersion"])
        self._changes += [Change(version, kind, item["metadata"]["uid"], item) for item in answer["items"]]
        return version

    def _follow(self, kind: Kind, version: int) -> None:
        while not self._stop.is_set():
            query = {"watch": "true", "resourceVersion": str(version), "timeoutSeconds": str(ROUND_SECONDS)}
            for line in self._admin.lines(kind.path(self._namespace), query):
                event = json.loads(line)
                metadata = event["object"]["metadata"]  # there is none in an error: then not all has been seen
                version = int(metadata["resourceVersion"])
                live = None if event["type"] == "DELETED" else event["object"]
                self._changes.append(Change(version, kind, metadata["uid"], live))

    def _is_up_to_date(self) -> bool:
        there = {kind: self._admin.list(kind, self._namespace) for kind in self._kinds}
        *_, seen = self.states()
        return all(_versions(there[kind]) == _versions(seen[kind]) for kind in self._kinds)


def _apply(change: Change, held: dict[Kind, dict[str, Live]]) -> None:
    held[change.kind].pop(change.uid, None)
    if change.live is not None:
        held[change.kind][change.uid] = change.live


def _as_state(held: dict[Kind, dict[str, Live]]) -> State:
    return {kind: tuple(items.values()) for kind, items in held.items()}


def _versions(items: Sequence[Live]) -> dict[str, str]:
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}
