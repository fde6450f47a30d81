"""Whose turn it is on the stage that all workers share: most tests bear company, some must have it for themselves.

Who takes one of its parts away waits until no other worker has a test under way that needs it, and those tests wait
until it is back. Who changes the pods of all endpoints waits until no other module has any. The kernel lets go what a
dead worker held.
"""

import fcntl
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from tests.localcluster import places

FOLDER = places.clusters()
"""Read once: some tests keep their own clusters elsewhere for a while."""

HOST = FOLDER / ".e2e-host.lock"
"""Held by who changes what the host shows of networks and mounts, or looks whether somebody has."""

OPERATOR, NETWORK = "operator", "network"
PARTS = (OPERATOR, NETWORK)
"""What may be away for a while: Bartizan's operator, and what enforces the network's policies. They are entered in this
order, so that no two tests each wait for what the other has."""

_held: list[dict[str, IO[str]]] = []
"""The parts that this worker's test needs, while it is under way."""

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
def shared(parts: Collection[str]) -> Iterator[None]:
    """One test among others, none of which takes these parts away."""
    assert set(parts) <= set(PARTS), parts
    with ExitStack() as opened:
        rooms = {part: opened.enter_context(_open(part)) for part in PARTS if part in parts}
        _enter_all(rooms)
        _held.append(rooms)
        try:
            yield
        finally:
            _held.remove(rooms)


@contextmanager
def alone(part: str) -> Iterator[None]:
    """Within a test: no other that needs this part is under way, and this one needs none but it."""
    rooms = _held[-1]
    for room in rooms.values():  # two who each wait for the other to leave would wait for ever
        fcntl.flock(room, fcntl.LOCK_UN)
    try:
        with _open(part) as room:
            _enter(room, fcntl.LOCK_EX, door=f"{part}-door")
            yield
    finally:
        _enter_all(rooms)


def _enter_all(rooms: dict[str, IO[str]]) -> None:
    for part, room in rooms.items():
        _enter(room, fcntl.LOCK_SH, door=f"{part}-door")


def _enter(room: IO[str], how: int, *, door: str) -> None:
    """One at a time at the door: who waits for an empty room keeps others from coming in after them."""
    with _open(door) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.flock(room, how)
