"""Writes Secrets without reading them: they are outputs, applied again and again, and nobody gave us the right to look.

What an apply answers is all that is known of a Secret. It is enough to take away what others added, and to tell from
the resourceVersion whether somebody changed or deleted what was written before. Where the operator may list Secrets,
the same figure tells without a write that nothing has happened.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.controller import ownership
from bartizan.controller.api import Api, ApiError
from bartizan.controller.apply import Did, NameTakenError, Outcome, content_hash, told
from bartizan.controller.kinds import SECRET
from bartizan.policy import names

Live = dict[str, Any]
Versions = Mapping[str, str]
"""resourceVersion by name, of the Secrets that are there."""

BLIND_INTERVAL_SECONDS = 30.0
"""An unchanged Secret is applied again at most this often; a shorter resync sets the other bound."""

FENCE = "bartizan fence: "
"""How the chart's admission policy begins to say that a Secret is not ours."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What stands in the Secret by our last apply; a hash of its content, never the content."""

    content: str
    version: str
    when: float


class SecretWriter:
    """Remembers what it wrote last, to write neither too often nor too seldom."""

    def __init__(
        self, api: Api, *, clock: Callable[[], float], interval_seconds: float = BLIND_INTERVAL_SECONDS
    ) -> None:
        self._api = api
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._written: dict[tuple[str, str], _Written] = {}
        self._removed: set[tuple[str, str]] = set()

    async def ensure(self, desired: Live, seen: Versions | None) -> Outcome | None:
        """None where nothing was sent; `seen` is None where Secrets cannot be listed. Raises NameTakenError."""
        key = (desired["metadata"]["namespace"], desired["metadata"]["name"])
        content = content_hash(desired)
        before = self._written.get(key)
        if before is not None and before.content == content and self._is_fresh(before, key[1], seen):
            return None
        applied = await self._apply(desired)
        self._removed.discard(key)
        self._written[key] = _Written(content, applied["metadata"]["resourceVersion"], self._clock())
        return _outcome(desired, applied, before, content)

    async def remove(
        self, namespace: str, secrets: Iterable[str], *, seen: Versions | None = None, most: int | None = None
    ) -> bool:
        """Deletes those that are there, at most so many at once; whether any may be left.

        Where that cannot be seen, each once in this process's life, or until it is issued again.
        """
        wanted = [name for name in secrets if (namespace, name) not in self._removed and _may_exist(name, seen)]
        for name in wanted[:most]:
            try:
                await self._api.delete(SECRET, namespace, name)
            except ApiError as error:
                if not _is_fenced(error):  # a stranger's: what we wrote under this name is gone already
                    raise
            self._removed.add((namespace, name))
            self._written.pop((namespace, name), None)
        return most is not None and len(wanted) > most

    def forget_endpoint(self, namespace: str, endpoint: str) -> None:
        """It has gone, and its Secrets with it."""
        keys = {*self._written, *self._removed}
        for key in [key for key in keys if names.is_of_endpoint(key[1], endpoint)]:
            if key[0] == namespace:
                self._written.pop(key, None)
                self._removed.discard(key)

    def _is_fresh(self, before: _Written, name: str, seen: Versions | None) -> bool:
        if seen is not None:
            return seen.get(name) == before.version
        return self._clock() - before.when < self._interval_seconds

    async def _apply(self, desired: Live) -> Live:
        metadata = desired["metadata"]
        try:
            applied = await self._apply_over_immutable(desired)
            if excess := _excess(desired, applied):
                applied = await self._api.patch_merge(SECRET, metadata["namespace"], metadata["name"], excess)
        except ApiError as error:
            if not _is_fenced(error):
                raise
            owner = "somebody else; who, cannot be told, since the operator may not read Secrets"
            raise NameTakenError("Secret", metadata["name"], owner) from error
        return applied

    async def _apply_over_immutable(self, desired: Live) -> Live:
        try:
            return await self._api.apply(desired)
        except ApiError as error:
            if not (error.is_invalid and "immutable" in error.message):
                raise
        await self._api.delete(SECRET, desired["metadata"]["namespace"], desired["metadata"]["name"])
        return await self._api.apply(desired)


def _may_exist(name: str, seen: Versions | None) -> bool:
    return seen is None or name in seen


def _is_fenced(error: ApiError) -> bool:
    return error.status in (403, 422) and FENCE in error.message


def _outcome(desired: Live, applied: Live, before: _Written | None, content: str) -> Outcome | None:
    """A repair where the same had been written before and the API server has changed something nevertheless."""
    if before is None or before.content != content or before.version == applied["metadata"]["resourceVersion"]:
        return None
    manager = ownership.claimed_manager(applied)
    return told(Outcome(Did.REPAIRED, "Secret", desired["metadata"]["name"], {}, ("content",), manager))


def _excess(desired: Live, applied: Live) -> Live:
    """A merge patch that takes away what others have added; empty where nobody has."""
    wanted, found = desired["metadata"], applied["metadata"]
    metadata: Live = {}
    for field in ("labels", "annotations"):
        if added := set(found.get(field) or {}) - set(wanted.get(field) or {}):
            metadata[field] = dict.fromkeys(sorted(added))
    if found.get("finalizers"):
        metadata["finalizers"] = None
    if len(found.get("ownerReferences") or ()) != len(wanted["ownerReferences"]):
        metadata["ownerReferences"] = wanted["ownerReferences"]
    added = set(applied.get("data") or {}) - set(desired["data"])
    return {
        **({"metadata": metadata} if metadata else {}),
        **({"data": dict.fromkeys(sorted(added))} if added else {}),
    }
