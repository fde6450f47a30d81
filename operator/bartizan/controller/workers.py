"""Workers that take keys from the queue and have them reconciled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile asks for next: to be called again after so many seconds, or only when something happens."""

    requeue_after: float | None = None
