"""How long a failed key waits: its own exponential backoff, and a bucket that all retries share."""

import random
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 300.0
JITTER = 0.2
"""Share by which a wait varies, so that keys that failed together do not come back together."""

_MOST_DOUBLINGS = 32


@dataclass
class Backoff(Generic[K]):
    """Half a second, doubled with every failure in a row, at most five minutes."""

    generator: random.Random
    _failures: dict[K, int] = field(default_factory=dict)

    def next_seconds(self, key: K, ceiling_seconds: float = LONGEST_SECONDS) -> float:
        """Counts a failure; the wait that follows it."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds = min(FIRST_SECONDS * 2.0 ** min(failures, _MOST_DOUBLINGS), ceiling_seconds)
        return min(seconds * self.generator.uniform(1 - JITTER, 1 + JITTER), ceiling_seconds)

    def failures(self, key: K) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """The key succeeded, or is no more."""
        self._failures.pop(key, None)


@dataclass
class TokenBucket:
    """At most `burst` at once and `rate` a second after that; who comes too early is told how long to wait."""

    rate: float
    burst: int
    _ahead: float = 0.0
    """The moment up to which tokens are given out, less what the burst allows."""

    def reserve_seconds(self, now: float) -> float:
        """Takes a token; the wait until it may be used."""
        self._ahead = max(self._ahead, now - self.burst / self.rate) + 1 / self.rate
        return max(0.0, self._ahead - now)
