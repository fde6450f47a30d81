"""Makes cases from well-formed seeds: pieces cut out, doubled, moved, overwritten, words of the grammar put in."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

BYTES = (b"\x00", b"\x01", b"\t", b"\n", b"\r", b"\r\n", b" ", b"\x0b", b"\x7f", b"\x80", b"\xc0\xaf", b"\xff")
"""What grammars tend to stumble over, whatever the grammar."""
MOST_CHANGES = 4
MOST_CUTS = 6


@dataclass(frozen=True)
class Mutator:
    """`seeds` are well-formed, `words` what the grammar knows."""

    seeds: Sequence[bytes]
    words: Sequence[bytes]

    def make(self, chance: random.Random) -> bytes:
        data = chance.choice(self.seeds)
        for _ in range(chance.randrange(MOST_CHANGES + 1)):
            data = self._changed(data, chance)
        return data

    def _changed(self, data: bytes, chance: random.Random) -> bytes:  # noqa: PLR0911 -- one for each change
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + (chance.randrange(9) if chance.random() < 0.8 else chance.randrange(len(data) + 1)))
        match chance.randrange(8):
            case 0:
                return data[:at] + data[end:]
            case 1:
                return data[:at] + data[at:end] * chance.choice((2, 2, 3, 50)) + data[end:]
            case 2:
                other = chance.choice(self.seeds)
                return data[:at] + other[chance.randrange(len(other) + 1) :]
            case 3:
                return data[:at] + chance.choice(BYTES) + data[end:]
            case 4:
                return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 5:
                return self._replaced(data, chance)
        return data[:at] + chance.choice(self.words) + data[chance.choice((at, end)) :]

    def _replaced(self, data: bytes, chance: random.Random) -> bytes:
        """One word of the grammar for another that stands there."""
        there = [word for word in self.words if word in data]
        if not there:
            return data
        return data.replace(chance.choice(there), chance.choice(self.words), chance.choice((1, -1)))


def with_cuts(data: bytes, chance: random.Random) -> bytes:
    """The data with where to cut it written before it."""
    cuts = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(MOST_CUTS + 1))]
    return bytes([len(cuts)]) + b"".join(cut.to_bytes(2, "big") for cut in cuts if cut < 1 << 16) + data


def pieces(case: bytes) -> list[bytes]:
    """The data of a case, cut as it says; any bytes are a case."""
    count = case[0] % (MOST_CUTS + 1) if case else 0
    data = case[1 + 2 * count :]
    places = sorted(int.from_bytes(case[at : at + 2], "big") for at in range(1, 1 + 2 * count, 2))
    ends = [*(min(place, len(data)) for place in places), len(data)]
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


class Script:
    """Reads a case as a script: small numbers one after another, zeros once it is at its end."""

    def __init__(self, case: bytes) -> None:
        self._case = case
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._case)

    def number(self, below: int, *, size: int = 1) -> int:
        """A number of `size` bytes, brought below a bound."""
        found = int.from_bytes(self._case[self._at : self._at + size], "big")
        self._at += size
        return found % below
