"""Inspectors in the seam: one that holds back and remembers, one that blots out a term wherever it is cut, and one
that takes out what nobody sees.
"""

from collections import defaultdict
from collections.abc import Iterable

from bartizan.guard.inspection import Leaf, LetPass, Place


class HoldBack:
    """Keeps the last few characters of each text until it has ended."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: dict[Place, str] = defaultdict(str)
        self.seen: dict[Place, str] = defaultdict(str)
        self.leaves: list[Leaf] = []

    def request(self, leaves: Iterable[Leaf]) -> None:
        self.leaves += leaves

    def answer(self, place: Place, text: str) -> str:
        self.seen[place] += text
        whole = self.kept[place] + text
        cut = max(0, len(whole) - self.most)
        self.kept[place] = whole[cut:]
        return whole[:cut]

    def rest(self, place: Place) -> str:
        return self.kept.pop(place, "")


class Blot(LetPass):
    """Holds back what may be the beginning of the term, and replaces the term."""

    def __init__(self, term: str) -> None:
        self.term = term
        self.kept: dict[Place, str] = defaultdict(str)

    def answer(self, place: Place, text: str) -> str:
        whole = (self.kept[place] + text).replace(self.term, "*" * len(self.term))
        cut = max(0, len(whole) - len(self.term) + 1)
        self.kept[place] = whole[cut:]
        return whole[:cut]

    def rest(self, place: Place) -> str:
        return self.kept.pop(place, "")


class Strip(LetPass):
    """Takes out what nobody sees."""

    def answer(self, place: Place, text: str) -> str:
        return super().answer(place, text).replace("\u200b", "")
