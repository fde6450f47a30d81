"""The audit chain: one JSON line for each decision and outcome, each holding the SHA-256 of the line before.

A `decision` is written before the first byte goes to the model, or the request is refused. An `outcome` follows at the
end; a decision without one is itself evidence of a kill. Lines hold lengths, hashes and names, never content or keys.
The first line of a process is `start`, with a random chain id, so that a chain cannot be continued by another.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import orjson

MAX_LINE_BYTES = 4096
"""PIPE_BUF on Linux: one write of at most this size to a pipe is never mixed with another's."""

Value = str | int | float | bool | tuple[str, ...] | None
Fields = Mapping[str, Value]


class SinkError(Exception):
    """The line could not be written; nothing of it was."""


class LineBegunError(SinkError):
    """A part of the line was written, as on a disk that is full; the rest is kept, and follows when it can."""


class Sink(Protocol):
    def write(self, line: bytes, *, must_not_wait: bool) -> None:
        """Write one line with one call, or raise SinkError; without `must_not_wait` it may be kept for later."""


class Audit:
    """`lost` counts the lines that could not be written since the last one that was."""

    def __init__(self, sink: Sink, *, chain: str, endpoint: str, now: Callable[[], float]) -> None:
        self._sink = sink
        self._chain = chain
        self._endpoint = endpoint
        self._now = now
        self._number = 0
        self._previous = "0" * 64
        self._second = -1
        self._second_shown = ""
        self.lost = 0

    def start(self) -> None:
        """The chain's first line; raises SinkError."""
        self._append("start", {}, must_not_wait=True)

    def decision(self, fields: Fields) -> None:
        """Raises SinkError: what cannot be written down must not happen."""
        self._append("decision", fields, must_not_wait=True)

    def outcome(self, fields: Fields) -> None:
        """Raises SinkError when not even the buffer takes it."""
        self._append("outcome", fields, must_not_wait=False)

    def _append(self, kind: str, fields: Fields, *, must_not_wait: bool) -> None:
        line = orjson.dumps(
            {
                "audit": kind,
                **fields,
                "at": self._at(),
                "endpoint": self._endpoint,
                "chain": self._chain,
                "number": self._number,
                "lost": self.lost,
                "previous": self._previous,
            }
        )
        self.lost += 1
        if len(line) >= MAX_LINE_BYTES:
            raise SinkError("the line is too long")
        try:
            self._sink.write(line + b"\n", must_not_wait=must_not_wait)
        except LineBegunError:
            self._goes_on_from(line)
            raise
        self._goes_on_from(line)

    def _goes_on_from(self, line: bytes) -> None:
        self._number += 1
        self._previous = hashlib.sha256(line).hexdigest()
        self.lost = 0

    def _at(self) -> str:
        """RFC 3339 in UTC with milliseconds; most lines share their second with the line before."""
        now = self._now()
        second = math.floor(now)
        if second != self._second:
            self._second = second
            self._second_shown = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_shown}.{int((now - second) * 1000):03d}+00:00"
