"""What a fuzz target is: how a case is made from randomness, and the one function that judges it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

Case = bytes


@dataclass(frozen=True)
class Target:
    """`judge` returns where the case keeps every promise; whatever it raises is a finding.

    A case is bytes, whatever it means to its target, so that one can be kept in a file, cut shorter and tried again.
    """

    name: str
    make: Callable[[random.Random], Case]
    judge: Callable[[Case], None]


def case_of(target: Target, seed: int, number: int) -> Case:
    """The case of this number: it hangs on the seed and on nothing that came before it."""
    return target.make(random.Random((seed << 40) + number))
