"""Whether the watch still hears: what lists show for long, and the watch has never told of, means that it is deaf.

A watch can die without a word: its connection held open by something in between, or its reader ended by a fault. The
resync finds what it missed, but late; nobody would know that events no longer count.
"""

from dataclasses import dataclass

from bartizan.controller.api import Api
from bartizan.controller.handlers import Observer
from bartizan.controller.kinds import MODEL_DEPLOYMENT
from bartizan.controller.work_queue import Key


@dataclass(frozen=True, slots=True)
class Word:
    """One generation of one ModelDeployment: a watch brings each, or a later one."""

    key: Key
    uid: str
    generation: int


class Hearing:
    """Compares two looks, far enough apart for any event to have come."""

    def __init__(self, api: Api, observer: Observer) -> None:
        self._api = api
        self._observer = observer
        self._unheard: frozenset[Word] = frozenset()

    def forget(self) -> None:
        """A new watch begins."""
        self._unheard = frozenset()

    async def missed(self, namespaces: tuple[str, ...]) -> frozenset[Word]:
        """What the last look and this one have shown and the watch has not told of; raises ApiError.

        `namespaces` are those that are watched; empty means all.
        """
        listed: set[Word] = set()
        for namespace in namespaces or (None,):
            for item in await self._api.list_metadata(MODEL_DEPLOYMENT, namespace):
                metadata = item["metadata"]
                key = Key(metadata["namespace"], metadata["name"])
                listed.add(Word(key, metadata["uid"], metadata.get("generation", 0)))
        unheard = frozenset(word for word in listed if not self._observer.has_seen(word.key, word.uid, word.generation))
        missed, self._unheard = unheard & self._unheard, unheard
        return missed
