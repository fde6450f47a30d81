"""Writes audit lines to a file descriptor without ever waiting for its reader."""

import asyncio
import contextlib
import os
from collections import deque

from bartizan.guard.audit import SinkError

MAX_KEPT_BYTES = 256 * 1024
"""Outcomes kept while the reader stalls: those of all requests that can be under way, several times over."""


class DescriptorSink:
    """Lines that may wait are kept, in order, while the descriptor is full; those that must not wait are refused."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._settled = asyncio.Event()

    def write(self, line: bytes, *, must_not_wait: bool) -> None:
        self._flush()
        if not self._kept and self._write_now(line):
            return
        if must_not_wait or self._kept_bytes + len(line) > MAX_KEPT_BYTES:
            raise SinkError("the reader of the audit stalls")
        self._keep(line)

    async def settle(self, seconds: float) -> int:
        """Wait until no line is kept, at most for `seconds`; the number of lines that nobody took."""
        with contextlib.suppress(SinkError, TimeoutError):
            self._flush()
            async with asyncio.timeout(max(0.0, seconds)):
                while self._kept:
                    self._settled.clear()
                    await self._settled.wait()
        return len(self._kept)

    def _write_now(self, line: bytes) -> bool:
        """True when the line is written or, after a part of it was, safely kept."""
        try:
            written = os.write(self._descriptor, line)
        except BlockingIOError:
            return False
        except OSError as error:
            raise SinkError(f"the audit cannot be written: {error.strerror}") from error
        if written < len(line):
            self._keep(line[written:])
        return True

    def _keep(self, line: bytes) -> None:
        if not self._kept:
            asyncio.get_running_loop().add_writer(self._descriptor, self._flush_or_wait)
        self._kept.append(line)
        self._kept_bytes += len(line)

    def _flush_or_wait(self) -> None:
        try:
            self._flush()
        except SinkError:
            asyncio.get_running_loop().remove_writer(self._descriptor)

    def _flush(self) -> None:
        """Write kept lines until the descriptor is full again."""
        while self._kept:
            try:
                written = os.write(self._descriptor, self._kept[0])
            except BlockingIOError:
                return
            except OSError as error:
                raise SinkError(f"the audit cannot be written: {error.strerror}") from error
            self._kept_bytes -= written
            if written < len(self._kept[0]):
                self._kept[0] = self._kept[0][written:]
                return
            self._kept.popleft()
            if not self._kept:
                asyncio.get_running_loop().remove_writer(self._descriptor)
                self._settled.set()
