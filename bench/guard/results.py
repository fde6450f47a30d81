"""The figures of a run: by measure, peer and round; ratios are taken round by round, so that drift cancels out."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field

from bench.guard.subject import Figures

Key = tuple[str, str]


@dataclass(frozen=True)
class Ref:
    """One figure of one peer in one measure."""

    measure: str
    peer: str
    figure: str


@dataclass(frozen=True)
class Spread:
    """The median over the rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Results:
    """`missing` says why a peer has no figures in a measure."""

    rounds: dict[Key, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[Key, str] = field(default_factory=dict)

    def add(self, measure: str, peer: str, figures: Figures) -> None:
        self.rounds[measure, peer].append(figures)

    def drop(self, measure: str, peer: str, why: str) -> None:
        """Rounds before the failure would be compared with rounds of another time: they go, too."""
        self.missing[measure, peer] = why
        self.rounds.pop((measure, peer), None)

    def series(self, ref: Ref) -> list[float]:
        """Round by round; empty where there is none. `added_…` is what a peer adds to no proxy at all."""
        if ref.figure.startswith("added_"):
            plain = ref.figure.removeprefix("added_")
            theirs = self.series(Ref(ref.measure, ref.peer, plain))
            base = self.series(Ref(ref.measure, "direct", plain))
            return [mine - bare for mine, bare in zip(theirs, base, strict=False)]
        return [
            figures[ref.figure] for figures in self.rounds.get((ref.measure, ref.peer), []) if ref.figure in figures
        ]

    def spread(self, ref: Ref) -> Spread | None:
        values = self.series(ref)
        return Spread.of(values) if values else None

    def ratio(self, ref: Ref, over: Ref) -> Spread | None:
        """None where either is missing, or where what it is compared with is lost in noise (nothing or less)."""
        pairs = list(zip(self.series(ref), self.series(over), strict=False))
        if not pairs or any(below <= 0 for _, below in pairs):
            return None
        return Spread.of([above / below for above, below in pairs])

    def most_foreign(self) -> float:
        """The largest part of the measured core that others took during a CPU figure."""
        taken = [figures["foreign"] for rounds in self.rounds.values() for figures in rounds if "foreign" in figures]
        return max(taken, default=0.0)
