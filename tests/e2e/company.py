"""Whose turn it is on the stage that all workers share: most tests bear company, some must have it for themselves.

Who takes one of its parts away waits until no other worker has a test under way that needs it, and tests that need it
wait until it is back; a test that only makes its endpoint with it has the patience to go without. Who changes the pods
of all endpoints waits until no other module has any. The kernel lets go what a dead worker held.
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

_house: list[IO[str]] = []
"""Held as long as this worker's modules follow each other on the stage."""

_held: list[dict[str, IO[str]]] = []
"""The parts that this worker's test needs, while it is under way."""

_doors: list[IO[str]] = []
"""The door of the part that it will take away, until it does."""


def enter(*, needs_all: bool) -> None:
    """Before a test, while it holds nothing: who waits for the house must not keep others from emptying it.

    Who needs all of it waits for those who come after it, too: they come to an end.
    """
    if not _house:
        house = _open("house")
        fcntl.flock(house, fcntl.LOCK_EX if needs_all else fcntl.LOCK_SH)
        _house.append(house)


def leave() -> None:
    while _house:
        _house.pop().close()


def _open(name: str) -> IO[str]:
    path = FOLDER / f".e2e-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")


@contextmanager
def shared(parts: Collection[str], *, takes: str = "") -> Iterator[None]:
    """One test among others, none of which takes these parts away.

    One that `takes` a part keeps others that need it from beginning until it has: so they wait for no long test. It
    enters no other part: two takers, each at its door, would wait for ever before each other's.
    """
    assert {*parts, *([takes] if takes else [])} <= set(PARTS), (parts, takes)
    entered = {takes} if takes else set(parts)
    with ExitStack() as opened:
        try:
            rooms = {part: opened.enter_context(_open(part)) for part in PARTS if part in entered}
            if takes:
                _doors.append(opened.enter_context(_open(f"{takes}-door")))
                fcntl.flock(_doors[0], fcntl.LOCK_EX)
            _enter_all(rooms, but_door=takes)
            _held.append(rooms)
            yield
        finally:
            _held.clear()
            _doors.clear()


@contextmanager
def alone(part: str) -> Iterator[None]:
    """Within a test that `takes` it: no other that needs this part is under way, and this one needs none but it."""
    (rooms,), (door,) = _held, _doors
    for room in rooms.values():  # two who each wait for the other to leave would wait for ever
        fcntl.flock(room, fcntl.LOCK_UN)
    try:
        with _open(part) as room:
            fcntl.flock(room, fcntl.LOCK_EX)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield
    finally:
        fcntl.flock(door, fcntl.LOCK_UN)  # who was interrupted before still has it, and would wait for itself
        _enter_all(rooms)


def _enter_all(rooms: dict[str, IO[str]], *, but_door: str = "") -> None:
    """One at a time at each door: who waits for an empty room keeps others from coming in after them."""
    for part, room in rooms.items():
        with _open(f"{part}-door") as door:
            if part != but_door:
                fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_SH)
