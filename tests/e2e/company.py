"""Whose turn it is on the stage that all workers share: most tests bear company, some must have it for themselves.

Who takes the operator or the network's enforcer away waits until every other worker is between two tests, and the
others wait until it is back, but for those that need neither. Who changes the pods of all endpoints waits until no
other module has any. The kernel lets go what a dead worker held.
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


_module: list[tuple[str, IO[str]]] = []
"""The module that this worker is in, and the house, which it holds."""


def enter_module(name: str, *, needs_all: bool) -> None:
    """Before its first test, outside of the room: who waits for the house must not keep others from emptying it."""
    if _module and _module[0][0] == name:
        return
    leave_module()
    house = _open("house")
    _enter(house, fcntl.LOCK_EX if needs_all else fcntl.LOCK_SH, door="gate")
    _module.append((name, house))


def leave_module() -> None:
    while _module:
        _module.pop()[1].close()


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


def _enter(room: IO[str], how: int, *, door: str = "door") -> None:
    """One at a time at the door: who waits for an empty room keeps others from coming in after them."""
    with _open(door) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.flock(room, how)
