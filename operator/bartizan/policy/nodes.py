"""Where untrusted data is stood on: a value, its path, and the one list that every complaint about it goes to."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bartizan.policy.model import Problem

Clean: TypeAlias = Any
"""A value that passed its shape: plain JSON of the right types, or ABSENT."""


class Absent:
    """The value of a field that is not there, or that was refused."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class Node:
    """One spot of a manifest. `problems` is shared by all nodes of one reading."""

    path: str
    value: object
    problems: list[Problem]

    def key(self, name: str, value: object) -> "Node":
        """The node of one field; odd names (labels, say) stand in brackets."""
        plain = name.isidentifier() and name.isascii()
        return Node(f"{self.path}.{name}".lstrip(".") if plain else f"{self.path}[{show(name)}]", value, self.problems)

    def index(self, position: int, value: object) -> "Node":
        return Node(f"{self.path}[{position}]", value, self.problems)

    def refuse(self, message: str) -> Absent:
        """Notes a problem: what is wrong and what to do."""
        self.problems.append(Problem(self.path, message))
        return ABSENT


LONGEST_SHOWN = 80


def show(value: object) -> str:
    """The value as a message shows it: short, on one line, in JSON's words where JSON has one."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…")
    if isinstance(value, int | float):
        return repr(value) if abs(value) < 2**64 else "a number beyond all bounds"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name[:64], list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""
