"""Locks between processes, which the kernel lets go when their holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.localcluster import progress


@contextmanager
def exclusive(path: Path, *, waiting_for: str) -> Iterator[None]:
    """Wait for the lock at ``path``; say ``waiting_for`` if another process has it. The holder may delete the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            if not _acquire(file.fileno()):
                with progress.step(f"waiting for another process: {waiting_for}"):
                    fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(path, file.fileno()):
                yield
                return


def _is_at(path: Path, descriptor: int) -> bool:
    """Who waited may get the lock of a file that was deleted meanwhile, while a third made a new one."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def try_hold(path: Path) -> int | None:
    """A descriptor that holds the lock until its last copy is closed; None when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _acquire(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _acquire(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
