"""The arithmetic of request limits: GCRA, whole numbers only, over several windows at once.

GCRA (the generic cell rate algorithm, ITU-T I.371) keeps one figure for each window: the theoretical arrival time
(TAT) at which all requests so far would have come, had they come evenly. A request passes while the TAT runs ahead of
now by no more than the burst allows. `limit` requests may come at once, then one every `window / limit`: over any span
`t` at most `limit + t * limit / window`, whoever counts and wherever a window is thought to begin.

Times are nanoseconds of a clock that never goes back; the caller reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

NANOSECONDS = 1_000_000_000


ENDPOINT = ""
"""Stands where a client's name does, for all clients together; none is empty."""


def name_of_tier(tier: str) -> str:
    """Stands where a client's name does, for all clients of the tier together; none has such a character."""
    return f"/{tier}"


class Scope(StrEnum):
    """Whose a limit is: each client's own, or what all clients of a tier, or of the endpoint, draw on."""

    CLIENT = "Client"
    TIER = "Tier"
    ENDPOINT = "Endpoint"


@dataclass(frozen=True, slots=True)
class Scoped(Generic[T]):
    """Windows by whose they are. A request must find room in all of them."""

    client: tuple[T, ...]
    endpoint: tuple[T, ...] = ()
    tier: tuple[T, ...] = ()
    tier_name: str = ""
    shared: tuple[tuple[str, tuple[T, ...]], ...] = field(init=False, repr=False, compare=False)
    """Those that others draw on, too, with the name under which they are kept."""

    def __post_init__(self) -> None:
        found = ((name_of_tier(self.tier_name), self.tier), (ENDPOINT, self.endpoint))
        object.__setattr__(self, "shared", tuple((whose, windows) for whose, windows in found if windows))


@dataclass(frozen=True, slots=True)
class Pace:
    """One window's share: a request every `interval_ns`, of which `burst` may come at once."""

    window_seconds: int
    interval_ns: int
    burst: int


class Verdict(NamedTuple):
    """`wait_ns` is 0 when the request passes; `state` is what to keep, the old one when it does not pass."""

    wait_ns: int
    state: Mapping[int, int]


class Allowance(NamedTuple):
    """What is left of a window's share, and the time after which all of it will be there again."""

    limit: int
    remaining: int
    reset_ns: int


def share(limit: int, window_seconds: int, *, replicas: int) -> Pace:
    """One replica's part of a total.

    The rates of all replicas add up to the total exactly, also where that is less than one request a window for each;
    only the burst cannot be less than one.
    """
    interval_ns = -(-window_seconds * NANOSECONDS * replicas // limit)
    return Pace(window_seconds, interval_ns, max(1, limit // replicas))


def part(total: int, *, replicas: int) -> int:
    """One replica's part of what is counted and not timed; at least one, or a replica could serve nobody."""
    return max(1, total // replicas)


def judge(state: Mapping[int, int], paces: tuple[Pace, ...], now_ns: int) -> Verdict:
    """Charge one request to every window, or to none: `state` maps a window's seconds to its TAT.

    Where there are no windows, it passes.
    """
    arrivals, wait_ns = {}, 0
    for pace in paces:
        arrival_ns = max(state.get(pace.window_seconds, now_ns), now_ns)
        wait_ns = max(wait_ns, arrival_ns - (pace.burst - 1) * pace.interval_ns - now_ns)
        arrivals[pace.window_seconds] = arrival_ns + pace.interval_ns
    return Verdict(wait_ns, state) if wait_ns else Verdict(0, arrivals)


def left(state: Mapping[int, int], pace: Pace, now_ns: int) -> Allowance:
    """Requests that may come now."""
    ahead_ns = state.get(pace.window_seconds, now_ns) - now_ns
    if ahead_ns <= 0:
        return Allowance(pace.burst, pace.burst, 0)
    return Allowance(pace.burst, max(0, pace.burst - -(-ahead_ns // pace.interval_ns)), ahead_ns)
