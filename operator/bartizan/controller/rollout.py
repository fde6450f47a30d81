"""When a new guard image may restart pods of an endpoint whose spec has not changed."""

from collections.abc import Callable
from typing import Any

from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key

Live = dict[str, Any]


class Pacer:
    """`OnSpecChange`: never; `Paced`: one endpoint in each interval, and only one whose pods are all available.

    It is that one's turn until the interval is over: it may have to wait, or to try again, before it has rolled.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._is_paced = settings.guard_rollout == "Paced"
        self._interval_seconds = settings.guard_rollout_interval_seconds
        self._clock = clock
        self._next = clock()
        self._holder: Key | None = None

    def may_roll(self, key: Key, live: Live | None) -> bool:
        """True for at most one endpoint in an interval; who asks and is told so rolls."""
        if not self._is_paced or not _is_available(live):
            return False
        if self._clock() < self._next:
            return key == self._holder
        self._holder, self._next = key, self._clock() + self._interval_seconds
        return True

    @property
    def look_again_seconds(self) -> float | None:
        """When an endpoint that waits for its turn asks again."""
        return max(1.0, self._next - self._clock()) if self._is_paced else None


def _is_available(live: Live | None) -> bool:
    if live is None:
        return True
    return bool(live.get("status", {}).get("availableReplicas", 0) >= live["spec"].get("replicas", 1))
