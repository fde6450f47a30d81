"""The seam for inspecting content: it sees every string of a request and every span of an answer. Now it lets all pass.

Whoever stands here may refuse a request, and may hold an answer's text back until enough of it has come to be judged.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Step = str | int | tuple[str | int]
"""A field's name, or a place in a list; in an answer's deltas, the place that an item itself names by `index`.

A tuple stands beside all fields and places: for a name, by its position, and for what an answer says of itself.
"""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One string of a request: a value, or a name that the caller chose."""

    path: tuple[Step, ...]
    text: str


class Place(NamedTuple):
    """Where a text of an answer grows: the deltas of one place, put together, are one text.

    A tuple, because one is made for each chunk of each stream.
    """

    choice: int
    path: tuple[Step, ...]


class Inspector(Protocol):
    """One request's; what it raises ends the request."""

    def request(self, leaves: Iterable[Leaf]) -> None:
        """Raises Refusal."""

    def answer(self, place: Place, text: str) -> str:
        """Takes the next piece of a text and gives what may go out of what has come so far; raises Refusal."""

    def rest(self, place: Place) -> str:
        """The text at this place has ended: what was held back of it and may go out; raises Refusal."""


class LetPass:
    """Nothing is inspected."""

    __slots__ = ()

    def request(self, leaves: Iterable[Leaf]) -> None:
        """All pass."""

    def answer(self, place: Place, text: str) -> str:  # noqa: ARG002 - the seam's signature
        return text

    def rest(self, place: Place) -> str:  # noqa: ARG002 - the seam's signature
        return ""


def leaves(value: object, path: tuple[Step, ...] = ()) -> Iterator[Leaf]:
    """Every string in plain JSON, the names of fields too: in a free-form object they are the caller's own words."""
    if isinstance(value, str):
        yield Leaf(path, value)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield Leaf(path, name)
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
