"""GCRA under any sequence of requests: never more than the limit and what has refilled, and nobody waits in vain."""

import random

from tests.fuzz.mutation import Script
from tests.fuzz.target import Target
from tests.unit.guard.stand import FORGETFUL

from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.policy import limits
from bartizan.policy.limits import NANOSECONDS, Pace, Scoped
from bartizan.policy.reasons import Reason

CLIENTS = ("a", "b")
LIMITS = (1, 2, 3, 7, 60)
WINDOWS = (1, 2, 60, 3600)


def make(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(4, 120))


def judge(case: bytes) -> None:
    script, rates, now = Script(case), Rates(FORGETFUL), 0
    replicas = 1 + script.number(3)
    paces = tuple(
        limits.share(LIMITS[script.number(len(LIMITS))], window, replicas=replicas)
        for window in sorted({WINDOWS[script.number(len(WINDOWS))] for _ in range(1 + script.number(3))})
    )
    scoped = Scoped(paces, (limits.share(1 + script.number(80), 60, replicas=replicas),))
    taken: dict[str, list[int]] = {client: [] for client in CLIENTS}
    while not script.is_over:
        now += _step(script, paces)
        client = CLIENTS[script.number(len(CLIENTS))]
        left = rates.left(client, scoped, now).remaining
        try:
            rates.take(client, scoped, now)
        except Refusal as refusal:
            _judge_refusal(left, refusal)
            _judge_wait(rates, client, scoped, now, refusal)
            continue
        assert left, "who has nothing left was let through"
        taken[client].append(now)
    for times in taken.values():
        for pace in paces:
            _judge_times(times, pace)
    for pace in scoped.endpoint:
        _judge_times(sorted(time for times in taken.values() for time in times), pace)


def _step(script: Script, paces: tuple[Pace, ...]) -> int:
    """Time that passes: none, a few nanoseconds, about an interval, or long."""
    pace = paces[script.number(len(paces))]
    return (0, 0, 1, pace.interval_ns - 1, pace.interval_ns, 2 * pace.interval_ns, 3600 * NANOSECONDS)[script.number(7)]


def _judge_refusal(left: int, refusal: Refusal) -> None:
    assert not left or refusal.reason is Reason.ENDPOINT_RATE_LIMITED, "who has something left was refused"


def _judge_wait(rates: Rates, client: str, paces: Scoped[Pace], now: int, refusal: Refusal) -> None:
    """Whoever comes back when it was told to is let through."""
    assert refusal.retry_after_seconds, "refused without a time to come back"
    rates.judge(client, paces, now + refusal.retry_after_seconds * NANOSECONDS)


def _judge_times(times: list[int], pace: Pace) -> None:
    for first in range(len(times)):
        for last in range(first, len(times)):
            most = pace.burst + (times[last] - times[first]) // pace.interval_ns
            assert last - first + 1 <= most, f"{last - first + 1} requests where {most} may pass"


TARGET = Target("rates", make, judge)
