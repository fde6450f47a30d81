"""How a long step shows on stderr: a running clock on a terminal, one line a step elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TICK_SECONDS = 0.5


@contextmanager
def step(what: str) -> Iterator[None]:
    began = time.monotonic()
    ended = threading.Event()
    clock = _clock(what, began, ended) if sys.stderr.isatty() else None
    if clock is None:
        say(f"{what} …") if what.startswith(("building", "waiting")) else None
    mark = "✗"
    try:
        yield
        mark = "✓"
    finally:
        ended.set()
        if clock:
            clock.join()
        lead = "\r\x1b[K" if clock else ""
        say(f"{lead}{mark} {what} ({time.monotonic() - began:.1f} s)")


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _clock(what: str, began: float, ended: threading.Event) -> threading.Thread:
    def run() -> None:
        while not ended.wait(_TICK_SECONDS):
            sys.stderr.write(f"\r\x1b[K… {what} ({time.monotonic() - began:.0f} s)")
            sys.stderr.flush()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
