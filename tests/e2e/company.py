"""Whose turn it is on the stage that all workers share: most tests bear company, some must have it for themselves.

Who takes the operator or the network's enforcer away waits until every other worker is between two tests, and the
others wait until it is back. The kernel lets go what a dead worker held.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tests.localcluster import places

FOLDER = places.clusters()
"""Read once: some tests keep their own clusters elsewhere for a while."""

HOST = FOLDER / ".e2e-host.lock"
"""Held by who changes what the host shows of networks and mounts, or looks whether somebody has."""

_held: list[IO[str]] = []
"""The room, while this worker's test is in it."""


def _open(name: str) -> IO[str]:
    path = FOLDER / f".e2e-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")


@contextmanager
def shared() -> Iterator[None]:
    """One test among others."""
    with _open("room") as room:
        _enter(room, fcntl.LOCK_SH)
        _held.append(room)
        try:
            yield
        finally:
            _held.remove(room)


@contextmanager
def alone() -> Iterator[None]:
    """Within a test: nobody else's is under way."""
    room = _held[-1]
    fcntl.flock(room, fcntl.LOCK_UN)  # two who each wait for the other to leave would wait for ever
    _enter(room, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(room, fcntl.LOCK_SH)


def _enter(room: IO[str], how: int) -> None:
    """One at a time at the door: who waits for an empty room keeps others from coming in after them."""
    with _open("door") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, how)
