"""The shares of an endpoint's long windows: whose each is, and what of it is used.

The total of a window is divided by the document's number of guards: so many shares there are. A pod that ends leaves
its own to the one that takes its place. Where shares are added, what was left is divided among all: a new one has as
much used as the others have on average. Where some are taken away, what was used of those is charged to the others, so
that on average as much is used as before.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bartizan.policy.usage import MOST_WINDOWS, Usage


@dataclass(frozen=True, slots=True)
class _Known:
    """What was used, `at` seconds of our clock; all windows have been refilling since."""

    used: Usage
    at: float

    def after(self, now: float) -> Usage:
        passed = int(now - self.at)
        return {window: left for window, seconds in self.used.items() if (left := seconds - passed) > 0}


@dataclass(slots=True)
class Shares:
    """`own` are the pods that its Deployment counts, and `standing` those of them that do not end.

    Times are seconds of one clock that never goes back.
    """

    own: frozenset[str] = frozenset()
    standing: frozenset[str] = frozenset()
    owed: dict[str, Usage] = field(default_factory=dict)
    """What guards are still to be charged besides what they say."""
    _count: int = 0
    """0 until it is known how many there are."""
    _known: dict[str, _Known] = field(default_factory=dict)
    """By the pod that has or had each share, or by a name of ours where none has had it yet."""
    _inherited: set[str] = field(default_factory=set)
    """Pods that end, and whose share is another's already."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def meet(self, own: frozenset[str], standing: frozenset[str]) -> None:
        """The pods that there are now."""
        self.own, self.standing = own, standing
        self._inherited &= own
        self.owed = {name: more for name, more in self.owed.items() if name in self._known and more}

    def note(self, name: str, used: Usage | None, now: float) -> None:
        """What a guard says of its share; None where it has more windows than it can say."""
        if name not in self.own or name in self._inherited:
            return
        if used is None:
            self._known.pop(name, None)  # what it said before is old
        else:
            self._known[name] = _Known(used, now)

    def divide(self, count: int, now: float) -> None:
        """From now on there are so many."""
        before, self._count = self._count, count
        if not before or not self._known:
            return
        if count > before:
            new = _Known(self._average(self._known, now), now)
            self._known |= {f"/{next(self._numbers)}": new for _ in range(count - before)}
        elif count < before:
            self._gather(count, now)

    def next_heirless(self, now: float) -> str | None:
        """Of the shares that no standing pod has, the most used."""
        return next(iter(self._heirless(now)), None)

    def begun_with(self, heirless: str | None, now: float) -> Usage | None:
        """What a new pod's guard has used; None where nobody knows, or more than can be told."""
        if heirless is not None and heirless in self._known:
            used: Usage = self._used(heirless, now)
        elif serving := self._known.keys() & self.standing:
            used = self._average(serving, now)
        else:
            return None
        return used if len(used) <= MOST_WINDOWS else None

    def pass_on(self, heirless: str | None, heir: str, used: Usage | None, now: float) -> None:
        """The heir's guard has been told."""
        if heirless is not None:
            self._known.pop(heirless, None)  # its guard may have said something else meanwhile
            self.owed.pop(heirless, None)
            self._inherited |= {heirless} & self.own
        if used is not None:
            self._known[heir] = _Known(used, now)

    def charged(self, name: str, now: float) -> None:
        """The guard has been told what it owed."""
        if name in self._known:
            self._known[name] = _Known(self._used(name, now), now)
        self.owed.pop(name, None)

    def _gather(self, count: int, now: float) -> None:
        """Take the most used of those away that nobody has, and charge what was used of them to all others."""
        heirless = self._heirless(now)
        standing = self._known.keys() & self.standing
        gone = heirless[: max(0, len(heirless) - max(0, count - len(standing)))]
        left = [*standing, *heirless[len(gone) :]]
        wanted, left_used = self._average(self._known, now), self._sum(left, now)
        more = Counter({window: used - left_used[window] // len(left) for window, used in wanted.items()})
        for name in gone:
            self.pass_on(name, "", None, now)
        for name in left if gone else ():
            if name in self.own:  # whose guard will say again what it knows of, without this
                owed = Counter(self.owed.get(name, {})) + more  # what is less than 0 is left out
                self.owed |= {name: dict(owed.most_common(MOST_WINDOWS))} if owed else {}
            else:
                self._known[name] = _Known(self._used(name, now) + more, now)

    def _heirless(self, now: float) -> list[str]:
        found = [name for name in self._known if name not in self.standing]
        return sorted(found, key=lambda name: self._used(name, now).total(), reverse=True)

    def _used(self, name: str, now: float) -> Counter[str]:
        return Counter(self._known[name].after(now)) + Counter(self.owed.get(name, {}))

    def _sum(self, names: Iterable[str], now: float) -> Counter[str]:
        return sum((self._used(name, now) for name in names), Counter[str]())

    def _average(self, names: Iterable[str], now: float) -> Usage:
        of = list(names)
        return {window: -(-seconds // len(of)) for window, seconds in self._sum(of, now).items()}
