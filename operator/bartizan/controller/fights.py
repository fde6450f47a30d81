"""How long a harmless change is left alone: a controller that puts its own back again and again is not raced.

What bears on security is repaired at once, always: whoever tampers with it must not earn a pause by tampering often.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Target = tuple[str, str, str]
"""Kind, namespace and name."""

FREE_ROUNDS = 3
"""Repairs that are immediate: whoever changes something now and then is no controller."""
FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
PEACE_SECONDS = 120.0
"""After so long without a repair the next one is the first again."""
HARMLESS_PATHS = ("metadata.annotations.", "spec.replicas")
"""Whose annotation an object bears, and how many pods there are: the document's shares follow the pods that live."""


@dataclass(frozen=True, slots=True)
class _Round:
    times: int
    when: float


class Fights:
    """Remembers the repairs of harmless changes, by object."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rounds: dict[Target, _Round] = {}

    def wait_seconds(self, target: Target, paths: Iterable[str]) -> float:
        """How long this change must still be left alone; 0 where it is to be repaired now."""
        last = self._rounds.get(target)
        if last is None or last.times < FREE_ROUNDS or not _is_harmless(paths):
            return 0.0
        pause = min(FIRST_SECONDS * 2.0 ** min(last.times - FREE_ROUNDS, 16), LONGEST_SECONDS)
        return max(0.0, last.when + pause - self._clock())

    def note(self, target: Target, paths: Iterable[str]) -> None:
        """A repair."""
        if not _is_harmless(paths):
            return
        now = self._clock()
        self._rounds = {key: item for key, item in self._rounds.items() if now - item.when < PEACE_SECONDS}
        before = self._rounds.get(target)
        self._rounds[target] = _Round(before.times + 1 if before else 1, now)


def _is_harmless(paths: Iterable[str]) -> bool:
    return all(path.startswith(HARMLESS_PATHS) for path in paths)
