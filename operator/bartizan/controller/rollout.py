"""When a new guard image may restart pods of an endpoint whose spec has not changed."""

from collections.abc import Callable
from typing import Any

from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key

Live = dict[str, Any]

TURN_SECONDS = 60.0
"""A turn lasts at least so long, though the next may begin sooner: guards are waited for before pods are replaced."""


class Pacer:
    """`OnSpecChange`: never; `Paced`: one endpoint in each interval, and only one whose pods are all available.

    It is that one's turn until the interval is over, or longer: it may have to wait, or to try again, before it has
    rolled.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._is_paced = settings.guard_rollout == "Paced"
        self._interval_seconds = settings.guard_rollout_interval_seconds
        self._clock = clock
        self._next = clock()
        self._turns: dict[Key, float] = {}
        """Until when."""

    def may_roll(self, key: Key, live: Live | None) -> bool:
        """True for at most one endpoint more in an interval; who asks and is told so rolls."""
        if not self._is_paced or not _is_available(live):
            return False
        now = self._clock()
        self._turns = {holder: until for holder, until in self._turns.items() if until > now}
        if key in self._turns:
            return True
        if now < self._next:
            return False
        self._next = now + self._interval_seconds
        self._turns[key] = now + max(self._interval_seconds, TURN_SECONDS)
        return True

    @property
    def look_again_seconds(self) -> float | None:
        """When an endpoint that waits for its turn asks again."""
        return max(1.0, self._next - self._clock()) if self._is_paced else None


def _is_available(live: Live | None) -> bool:
    if live is None:
        return True
    return bool(live.get("status", {}).get("availableReplicas", 0) >= live["spec"].get("replicas", 1))
