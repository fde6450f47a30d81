"""How to wait: poll a condition until a deadline, and say what it last saw."""

import time
from collections.abc import Callable

from tests.localcluster.complaints import Complaint

_POLL_SECONDS = 0.05


def until(condition: Callable[[], bool], *, seconds: float, complaint: Callable[[], str]) -> None:
    """Return once ``condition`` holds; raise ``complaint`` when it has not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Complaint(complaint())
        time.sleep(_POLL_SECONDS)


def holds_within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
