"""The arithmetic of token budgets: hold the most that a request may cost, charge what it did cost, let go of the rest.

Each window is a leaky bucket, as in limits.py, with two figures: what has been charged, as the time at which all of it
will have leaked out (GCRA's theoretical arrival time), and what is held for requests under way, which does not leak. A
charge is booked when it is known and not when it was held, so a long answer cannot be paid with time that has passed
meanwhile. Over any span `t`, what is charged is at most `limit + t * limit / window`, however many race, as long as no
request costs more than was held for it; what one costs beyond that is charged all the same.

Whole numbers only; times are nanoseconds of a clock that never goes back; the caller reads it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bartizan.policy.limits import NANOSECONDS, Allowance, part


class ExcessOutput(StrEnum):
    """What becomes of a request that asks for more output than `max_output_tokens`."""

    CLAMP = "Clamp"
    REJECT = "Reject"


class Kind(StrEnum):
    """Which tokens a budget counts."""

    INPUT = "Input"
    OUTPUT = "Output"
    TOTAL = "Total"


_INPUT, _OUTPUT = Kind.INPUT, Kind.OUTPUT


class Amount(NamedTuple):
    """Tokens of one request."""

    input: int = 0
    output: int = 0

    def of(self, kind: Kind) -> int:
        if kind is _INPUT:
            return self.input
        return self.output if kind is _OUTPUT else self.input + self.output


@dataclass(frozen=True, slots=True)
class Budget:
    """One window's share: `most` tokens at once, one more every `interval_ns`."""

    kind: Kind
    window_seconds: int
    interval_ns: int
    most: int
    name: tuple[Kind, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", (self.kind, self.window_seconds))


class Level(NamedTuple):
    """`charged_until_ns`: when all that was charged will have leaked out; `held`: tokens of requests under way."""

    charged_until_ns: int = 0
    held: int = 0


Levels = Mapping[tuple[Kind, int], Level]
_EMPTY = Level()


class Verdict(NamedTuple):
    """`levels` is what to keep: the old ones where `short` says which budget has no room for the request.

    After `wait_ns` it may pass; None means that it never can, or not before others end (`awaits_others`).
    """

    levels: Levels
    short: Budget | None = None
    wait_ns: int | None = None
    awaits_others: bool = False


def share(kind: Kind, limit: int, window_seconds: int, *, replicas: int) -> Budget:
    """One replica's part of a total; the parts add up to no more than the total, but for a least of one token."""
    interval_ns = -(-window_seconds * NANOSECONDS * replicas // limit)
    return Budget(kind, window_seconds, interval_ns, part(limit, replicas=replicas))


def hold(levels: Levels, budgets: tuple[Budget, ...], most: Amount, now_ns: int) -> Verdict:
    """Hold the most that a request may cost in every window, or in none."""
    held, refusals = dict(levels), []
    for budget in budgets:
        need, name = most.of(budget.kind), budget.name
        level = levels.get(name, _EMPTY)
        if need and need > _room(level, budget, now_ns):  # who asks for nothing may have it, also of one overdrawn
            refusals.append(_refuse(levels, budget, need, now_ns))
        held[name] = Level(level.charged_until_ns, level.held + need)
    return worst(refusals) if refusals else Verdict(held)


def settle(levels: Levels, budgets: tuple[Budget, ...], *, held: Amount, spent: Amount, now_ns: int) -> Levels:
    """Charge what the request cost and let go of what was held for it; `budgets` are those it was held in."""
    settled = dict(levels)
    for budget in budgets:
        settled[budget.name] = _settled(levels, budget, held, spent, now_ns)
    return settled


def left(levels: Levels, budget: Budget, now_ns: int) -> Allowance:
    """Tokens that may be held now, and when all that was charged will have leaked out."""
    level = levels.get(budget.name, _EMPTY)
    return Allowance(budget.most, max(0, _room(level, budget, now_ns)), max(0, level.charged_until_ns - now_ns))


def worst(refusals: Iterable[Verdict]) -> Verdict:
    """What never passes before what waits for others, and that before what waits for time, the longest first."""
    return max(refusals, key=_severity)


def _settled(levels: Levels, budget: Budget, held: Amount, spent: Amount, now_ns: int) -> Level:
    level = levels.get(budget.name, _EMPTY)
    charged_until_ns = max(level.charged_until_ns, now_ns) + spent.of(budget.kind) * budget.interval_ns
    return Level(charged_until_ns, max(0, level.held - held.of(budget.kind)))


def _refuse(levels: Levels, budget: Budget, need: int, now_ns: int) -> Verdict:
    """Why the budget has no room for the request, and until when."""
    if need > budget.most:
        return Verdict(levels, budget)
    level = levels.get(budget.name, _EMPTY)
    room = budget.most - level.held - need
    if room < 0:
        return Verdict(levels, budget, awaits_others=True)
    return Verdict(levels, budget, wait_ns=level.charged_until_ns - now_ns - room * budget.interval_ns)


def _room(level: Level, budget: Budget, now_ns: int) -> int:
    """What is neither held nor charged, where what has not leaked out yet is rounded up; less than 0 if overdrawn."""
    free = budget.most - level.held
    ahead_ns = level.charged_until_ns - now_ns
    return free - -(-ahead_ns // budget.interval_ns) if ahead_ns > 0 else free


def _severity(verdict: Verdict) -> tuple[bool, bool, int]:
    return (verdict.wait_ns is None and not verdict.awaits_others, verdict.awaits_others, verdict.wait_ns or 0)
