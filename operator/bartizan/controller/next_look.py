"""When an endpoint is looked at again though nothing happens: soon after a change, ever more rarely if a lack lasts."""

from collections.abc import Callable

from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardState
from bartizan.controller.work_queue import Key, Priority
from bartizan.controller.workers import Result

OUT_OF_SYNC_SECONDS = 0.25
"""How soon a guard that is behind is asked again; the second touch comes after one second."""
OUT_OF_SYNC_GROWTH = 0.05
"""The longer it has been behind, the less it matters when exactly it is asked: a share of the document's age."""
URGENT_SECONDS = 10.0
"""A document that is younger is somebody's change, who waits for it: those looks go beside events, all others after."""
BLOCKED_SECONDS = 5.0
"""How soon a guard that does not answer, a name that is taken, a lost root, a former life, or a spec that the API
server refuses is looked at again."""
UNTOLD_SECONDS = 1.0
"""How soon a guard that could not be told what others have used is told again."""
ENDING_SECONDS = 2.0
"""Pods end without our doing; their events come sooner than this in all but lost watches."""
GROWTH = 0.25
"""What has lasted long lasts longer: a share of the time that it has."""
LONGEST_SECONDS = 60.0
LONGEST_WITHOUT_PODS_SECONDS = 300.0
"""Where nothing runs that a policy must hold, and what may start something has events of its own."""


class NextLook:
    """Remembers since when an endpoint has been waiting for the same thing; `now` in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: dict[Key, tuple[str, float]] = {}

    def after(self, key: Key, findings: Findings, *, otherwise_seconds: float | None) -> Result:
        """For an endpoint that lives; `otherwise_seconds` is how long it may wait at most for other reasons."""
        states = findings.guard_states.values()
        is_behind = findings.waits_to_grow or GuardState.OUTDATED in states
        seconds, priority = (
            self._after_a_change(findings.document.age_seconds(self._now()))
            if is_behind and findings.document is not None
            else (self._while_it_lasts(key, findings), Priority.RESYNC)
        )
        waits = [wait for wait in (seconds, otherwise_seconds) if wait is not None]
        return Result(min(waits, default=None), findings.error, priority)

    def at_the_end(self, key: Key, *, longest_seconds: float = LONGEST_SECONDS) -> float:
        """Seconds, for an endpoint that is going and of which something is left."""
        return self._lasting(key, "pods", ENDING_SECONDS, longest_seconds)

    def forget(self, key: Key) -> None:
        self._since.pop(key, None)

    def _after_a_change(self, age_seconds: float) -> tuple[float, Priority]:
        seconds = min(max(OUT_OF_SYNC_SECONDS, age_seconds * OUT_OF_SYNC_GROWTH), LONGEST_SECONDS)
        return seconds, Priority.EVENT if age_seconds < URGENT_SECONDS else Priority.RESYNC

    def _while_it_lasts(self, key: Key, findings: Findings) -> float | None:
        """None where nothing is wanting."""
        if GuardState.UNREACHABLE in findings.guard_states.values():
            return self._lasting(key, "guards", BLOCKED_SECONDS)
        if findings.name_taken or findings.is_root_lost or (findings.failure and findings.error is None):
            return self._lasting(key, "names", BLOCKED_SECONDS)
        if findings.usage_is_untold:
            return self._lasting(key, "usage", UNTOLD_SECONDS)
        if findings.was_tried_in_vain:
            return self._lasting(key, "trial", BLOCKED_SECONDS)
        self.forget(key)
        return None

    def _lasting(self, key: Key, what: str, first_seconds: float, longest_seconds: float = LONGEST_SECONDS) -> float:
        now = self._now()
        held = self._since.get(key)
        if held is None or held[0] != what:
            held = self._since[key] = (what, now)
        return min(max(first_seconds, (now - held[1]) * GROWTH), longest_seconds)
