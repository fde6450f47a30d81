"""The hooks that order a pod's end: its guard drains at once, its model is held until nobody needs it any more."""

from typing import Any

from bartizan.policy import names
from bartizan.policy.grace import Grace

BIN_PATH = "/bartizan/bin"
"""Where the guard's container puts the launcher, and the model's finds it."""
LAUNCHER = f"{BIN_PATH}/launcher"
IMAGE_LAUNCHER = "/opt/bartizan/launcher"
"""The same file in the guard's own image."""
HEARING_SECONDS = 30
"""How long a guard that has only just started may take to hear that its pod ends again."""
_GUARD = f"127.0.0.1:{names.STATUS_PORT}"


def drain() -> dict[str, Any]:
    """The guard's preStop hook: it is told at once, not when its turn to end has come, which is after the model's."""
    return _exec(IMAGE_LAUNCHER, "drain", "--path", "/draining", seconds=HEARING_SECONDS)


def hold(grace: Grace) -> dict[str, Any]:
    """The model's preStop hook; until it returns the model gets no SIGTERM."""
    return _exec(LAUNCHER, "hold", "--path", "/drained", seconds=grace.drain_seconds)


def _exec(*command: str, seconds: int) -> dict[str, Any]:
    return {"exec": {"command": [*command, "--tcp", _GUARD, "--for", f"{seconds}s"]}}
